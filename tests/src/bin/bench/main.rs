//! `make bench`: what a call costs, beside two floors, in one run on one machine.
//!
//! In each round every program takes the same load in turn, so that what the machine does meanwhile hits all alike; the
//! medians over the rounds are compared. Prints a table of every run as it comes and then Markdown for
//! `docs/performance.md`.
//!
//! `bench [--rounds 3] [--seconds 20] [--calls 200,500] [--only floor,sipp,offhook,offhook+vad] [--json FILE]`
//!
//! What it costs to begin and end a call is a bench of its own with options of its own, `--only signalling`; see
//! [`signalling`]. Without `--only` it follows.

mod comparison;
mod signalling;
mod subject;

use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

use comparison::markdown;
use offhook_tests::load::LoadReport;
use offhook_tests::machine::date_and_machine;
use subject::{SUBJECTS, Subject};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    if has("signalling") {
        return match signalling::Options::read(&arguments) {
            Some(options) => measure_signalling(&options),
            None => {
                eprintln!("usage: {}", signalling::USAGE);
                ExitCode::from(2)
            }
        };
    }
    let Some(plan) = Plan::read(&arguments) else {
        eprintln!(
            "usage: bench [--rounds 3] [--seconds 20] [--calls 200,500] [--only floor,sipp,offhook,offhook+vad] \
             [--json FILE]\n       {}",
            signalling::USAGE
        );
        return ExitCode::from(2);
    };
    let measured = date_and_machine();
    println!("{measured}\n");
    let runs = plan.run();
    print!("\n{}", markdown(&plan, &measured, &runs));
    if let Some(file) = &plan.json {
        let lines: Vec<String> = runs
            .iter()
            .map(|run| run.report.json(run.subject.name()))
            .collect();
        if let Err(error) = fs::write(file, lines.join("\n") + "\n") {
            eprintln!("bench: {file}: {error}");
            return ExitCode::FAILURE;
        }
    }
    match signalling::Options::read(&[]) {
        Some(options) if !has("--only") => measure_signalling(&options),
        Some(_) | None => ExitCode::SUCCESS,
    }
}

fn measure_signalling(options: &signalling::Options) -> ExitCode {
    let measured = date_and_machine();
    println!("{measured}\n");
    match options.run(&measured) {
        Ok(markdown) => {
            print!("\n{markdown}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("bench: signalling: {why}");
            ExitCode::FAILURE
        }
    }
}

/// What was asked for on the command line.
struct Plan {
    rounds: usize,
    window: Duration,
    calls: Vec<usize>,
    subjects: Vec<Subject>,
    json: Option<String>,
}

/// One program under one load.
struct Run {
    subject: Subject,
    calls: usize,
    report: LoadReport,
}

impl Plan {
    fn read(arguments: &[String]) -> Option<Self> {
        let window = Duration::from_secs(20);
        let mut plan = Self {
            rounds: 3,
            window,
            calls: vec![200, 500],
            subjects: SUBJECTS.to_vec(),
            json: None,
        };
        for pair in arguments.chunks(2) {
            let [option, value] = pair else { return None };
            match option.as_str() {
                "--rounds" => {
                    plan.rounds = value
                        .parse()
                        .ok()
                        .filter(|rounds| (1..=20).contains(rounds))?
                }
                "--seconds" => {
                    plan.window = value
                        .parse()
                        .ok()
                        .filter(|s| (1..=120).contains(s))
                        .map(Duration::from_secs)?
                }
                "--calls" => {
                    plan.calls = value
                        .split(',')
                        .map(|n| n.parse().ok().filter(|n| (1..=2_000).contains(n)))
                        .collect::<Option<_>>()?
                }
                "--only" => {
                    let subject =
                        |name: &str| SUBJECTS.into_iter().find(|subject| subject.name() == name);
                    plan.subjects = value.split(',').map(subject).collect::<Option<_>>()?;
                }
                "--json" => plan.json = Some(value.clone()),
                _ => return None,
            }
        }
        Some(plan)
    }

    /// Runs everything, interleaved. A program that cannot be run is named and left out.
    fn run(&self) -> Vec<Run> {
        let mut runs = Vec::new();
        println!("{}", LoadReport::HEAD);
        for _ in 0..self.rounds {
            for &calls in &self.calls {
                for &subject in &self.subjects {
                    match subject.measure(calls, self.window) {
                        Ok(report) => {
                            println!("{}", report.row(subject.name()));
                            report
                                .failures
                                .iter()
                                .for_each(|(why, n)| println!("    {n} calls: {why}"));
                            runs.push(Run {
                                subject,
                                calls,
                                report,
                            });
                        }
                        Err(why) => println!("{:<17} {calls:>5} left out: {why}", subject.name()),
                    }
                }
            }
        }
        runs
    }
}
