//! `make load`: SIPp's own caller at full speed: 10,000 calls at 1,000 a second against the daemon of `tests/load/offhook.toml`, none
//! of which may fail on a quiet machine.
//!
//! `sipp_load [CALLS [CALLS_PER_SECOND]]`

use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use offhook_tests::daemon::Daemon;
use offhook_tests::machine::date_and_machine;
use offhook_tests::process_gauge::ProcessGauge;
use offhook_tests::sipp::{SippRun, TRACE_ANSWER_TIMES};

/// The addresses of `tests/load/offhook.toml`.
const SIP_PORT: u16 = 15_060;
const CONTROL_PORT: u16 = 15_080;

fn main() -> ExitCode {
    let numbers: Option<Vec<u32>> = env::args()
        .skip(1)
        .map(|argument| argument.parse().ok())
        .collect();
    let (calls, calls_per_second) = match numbers.as_deref() {
        Some([]) => (10_000, 1_000),
        Some(&[calls]) if calls > 0 => (calls, 1_000),
        Some(&[calls, calls_per_second]) if calls > 0 && calls_per_second > 0 => {
            (calls, calls_per_second)
        }
        _ => {
            eprintln!("usage: sipp_load [CALLS [CALLS_PER_SECOND]]");
            return ExitCode::from(2);
        }
    };
    match load(calls, calls_per_second) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("sipp_load: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Runs it, prints the outcome, and says whether all calls went well.
fn load(calls: u32, calls_per_second: u32) -> Result<bool, String> {
    println!("{}", date_and_machine());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("load/offhook.toml");
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut daemon = Daemon::start_with(&file, address(SIP_PORT), address(CONTROL_PORT))?;
    let gauge = ProcessGauge::new(daemon.pid());
    let before = gauge.processor_time().map_err(|error| error.to_string())?;
    let begun = Instant::now();
    let run = SippRun {
        scenario: "builtin:uac".to_owned(),
        target: Some(daemon.sip()),
        user: "echo".to_owned(),
        calls,
        calls_per_second,
        at_once: 3_000,
        limit: Duration::from_secs(60 + u64::from(calls / calls_per_second)),
        more: TRACE_ANSWER_TIMES.map(str::to_owned).to_vec(),
    };
    let outcome = run.run()?;
    let seconds = begun.elapsed().as_secs_f64();
    if !daemon.is_alive() {
        return Err(format!("the daemon ended:\n{}", daemon.log()));
    }
    let used = gauge.processor_time().map_err(|error| error.to_string())? - before;
    println!(
        "{} of {calls} calls went well, {} failed, {} SIP messages were repeated; {seconds:.1} s at {calls_per_second} a \
         second; {:.0} µs of processor time a call",
        outcome.successful,
        outcome.failed,
        outcome.retransmissions,
        used.as_secs_f64() * 1e6 / f64::from(calls),
    );
    let times = &outcome.answer_times_ms;
    let share = |share: f64| {
        let at = (times.len().saturating_sub(1) as f64 * share) as usize;
        times.get(at).copied().unwrap_or(f64::NAN)
    };
    println!(
        "from INVITE to 200: median {:.1} ms, 99 % within {:.1} ms, 99.9 % within {:.1} ms, longest {:.1} ms ({} calls)",
        share(0.5),
        share(0.99),
        share(0.999),
        share(1.0),
        times.len()
    );
    if outcome.failed > 0 {
        println!(
            "{}",
            outcome
                .errors
                .lines()
                .take(20)
                .collect::<Vec<_>>()
                .join("\n")
        );
        println!("the daemon said:\n{}", last_lines(&daemon.log(), 20));
    }
    Ok(outcome.failed == 0 && outcome.successful == u64::from(calls))
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
