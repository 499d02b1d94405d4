//! `bench --only answers`: how long a caller who has finished waits for the agent's answer.
//!
//! Callers say something for a second now and then; the agent takes it for the answer to its question and asks it again.
//! Its voice and its recogniser follow a script and take no time (`daemon/examples/scripted.rs`). Measured on the wire:
//! from the caller's last packet with voice to our first packet with sound. What is known to be waited for is taken off:
//! the pause that ends a turn, and the jitter buffer's target.
//!
//! `--only answers [--calls 200] [--seconds 30]`

use std::time::Duration;

use offhook_tests::daemon::{Daemon, DaemonSetup, scripted};
use offhook_tests::load::{self, Format, LoadPlan};
use offhook_tests::machine::date_and_machine;
use offhook_tests::scratch::Scratch;

use super::barge_in::Options;

/// The option's form, for a reader who mistook it.
pub(crate) const USAGE: &str = "bench --only answers [--calls 200] [--seconds 30]";
/// What the session waits for more after a whole phrase of its grammar.
const END_OF_TURN: Duration = Duration::from_millis(375);
/// What the jitter buffer waits on a path without jitter.
const JITTER_TARGET: Duration = Duration::from_millis(20);
/// What the rest of the path may take.
const REST_MS: f64 = 50.0;

/// Measures, and says what came of it as Markdown.
pub(crate) fn run(options: &Options) -> Result<String, String> {
    let folder = Scratch::new("answers").map_err(|error| error.to_string())?;
    let daemon = Daemon::start(&setup(options.calls, &folder)?)?;
    let report = load::run(&LoadPlan {
        target: daemon.sip(),
        user: "asker".to_owned(),
        peer_pid: daemon.pid(),
        format: Format::Pcmu,
        interrupts: true,
        answer_waits: END_OF_TURN + JITTER_TARGET,
        calls: options.calls,
        calls_per_second: 50,
        window: options.window,
    })
    .map_err(|error| error.to_string())?;
    if report.failed() > 0 {
        return Err(format!("calls failed: {:?}", report.failures));
    }
    let answered = &report.answered;
    let p99 = answered.percentile_ms(0.99);
    Ok(format!(
        "Answers at {} calls at once, {} of them in {} s. {}.\n\n\
         | | ms |\n|---|---|\n| caller's last packet with voice to our first with sound, less {} ms, p50 | {:.0} |\n\
         | p90 | {:.0} |\n| p99 | {p99:.0} |\n| not answered before the caller spoke again | {} |\n\
         | our packets' gap, p99 | {:.1} |\n| our own lateness, p99 | {:.1} |\n\n\
         - p99 at most {REST_MS:.0} ms: {}.\n",
        options.calls,
        answered.total(),
        options.window.as_secs(),
        date_and_machine(),
        (END_OF_TURN + JITTER_TARGET).as_millis(),
        answered.percentile_ms(0.5),
        answered.percentile_ms(0.9),
        report.unanswered,
        report.gaps.percentile_ms(0.99),
        report.late.percentile_ms(0.99),
        if answered.total() > 100 && report.unanswered == 0 && p99 <= REST_MS {
            "met"
        } else {
            "**missed**"
        }
    ))
}

fn setup(calls: usize, folder: &Scratch) -> Result<DaemonSetup, String> {
    let flow = folder.file("asker.toml");
    let steps = "start = \"ask\"\nsilence_s = 60\n[step.ask]\nsay = \"Yes?\"\n\
                 expect = [{ phrases = [\"yes\"], then = \"ask\" }]\non_silence = \"end\"\n\
                 [step.end]\nsay = \"Goodbye.\"\nhangup = true\n";
    std::fs::write(&flow, steps).map_err(|error| error.to_string())?;
    Ok(DaemonSetup {
        program: Some(scripted()?),
        calls: calls as u16,
        calls_per_second: 100,
        codecs: vec!["pcmu"],
        more: format!(
            "[agent.asker]\nkind = \"flow\"\nflow = {flow:?}\n[[route]]\nto = \"asker\"\nagent = \"asker\"\n"
        ),
        log: "warn",
        ..DaemonSetup::default()
    })
}
