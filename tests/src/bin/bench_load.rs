//! Puts a load of calls on a SIP program that is already running and prints what it cost, as text and as JSON.
//!
//! `bench_load --target 127.0.0.1:5060 --pid PID [--user echo] [--calls 200] [--seconds 20] [--rate 100] [--format pcmu] [--name NAME]`

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use offhook_tests::load::{self, Format, LoadPlan, LoadReport};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some((name, plan)) = plan(&arguments) else {
        eprintln!(
            "usage: bench_load --target ADDRESS:PORT --pid PID [--user echo] [--calls 200] [--seconds 20] \
             [--rate 100] [--format pcmu,g722,opus,srtp] [--name peer]"
        );
        return ExitCode::from(2);
    };
    match load::run(&plan) {
        Ok(report) => {
            println!(
                "{}\n{}\n{}",
                LoadReport::HEAD,
                report.row(&name),
                report.json(&name)
            );
            if report.failed() == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("bench_load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads `--name value` pairs; `None` when one is unknown, unreadable or missing.
fn plan(arguments: &[String]) -> Option<(String, LoadPlan)> {
    let mut name = "peer".to_owned();
    let mut format = Format::Pcmu;
    let (mut target, mut pid) = (None, None);
    let (mut user, mut calls, mut seconds, mut rate) = ("echo".to_owned(), 200, 20, 100);
    for pair in arguments.chunks(2) {
        let [option, value] = pair else { return None };
        match option.as_str() {
            "--target" => target = Some(value.parse().ok()?),
            "--pid" => pid = Some(value.parse().ok()?),
            "--user" => user.clone_from(value),
            "--calls" => calls = value.parse().ok()?,
            "--seconds" => seconds = value.parse().ok()?,
            "--rate" => rate = value.parse().ok()?,
            "--format" => {
                format = Format::ALL
                    .into_iter()
                    .find(|format| format.name() == value)?;
            }
            "--name" => name.clone_from(value),
            _ => return None,
        }
    }
    let window = Duration::from_secs(seconds);
    Some((
        name,
        LoadPlan {
            target: target?,
            user,
            peer_pid: pid?,
            format,
            interrupts: false,
            answer_waits: Duration::ZERO,
            calls,
            calls_per_second: rate,
            window,
        },
    ))
}
