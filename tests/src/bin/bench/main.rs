//! `make bench`: what a call costs, beside two floors, in one run on one machine.
//!
//! In each round every program takes the same load in turn, so that what the machine does meanwhile hits all alike; the
//! medians over the rounds are compared. Prints a table of every run as it comes and then Markdown for
//! `docs/performance.md`.
//!
//! `bench [--rounds 3] [--seconds 20] [--calls 100,500,1000] [--formats pcmu,g722,opus,srtp]
//! [--only floor,sipp,offhook,offhook+vad] [--json FILE]`
//!
//! Other formats than PCMU are measured at the smallest number of calls only. How fast an agent falls silent is
//! `--only barge-in`, see [`barge_in`]; how fast it answers is `--only answers`, see [`answers`].
//!
//! What it costs to begin and end a call is a bench of its own with options of its own, `--only signalling`; see
//! [`signalling`]. Without `--only` it follows.

mod answers;
mod barge_in;
mod comparison;
mod libopus;
mod signalling;
mod subject;

use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

use comparison::markdown;
use offhook_tests::load::{Format, LoadReport};
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
    if has("barge-in") {
        return match barge_in::Options::read(&arguments) {
            Some(options) => measure_barge_in(&options),
            None => {
                eprintln!("usage: {}", barge_in::USAGE);
                ExitCode::from(2)
            }
        };
    }
    if has("answers") {
        return match barge_in::Options::read(&arguments) {
            Some(options) => measure_answers(&options),
            None => {
                eprintln!("usage: {}", answers::USAGE);
                ExitCode::from(2)
            }
        };
    }
    let Some(plan) = Plan::read(&arguments) else {
        eprintln!(
            "usage: bench [--rounds 3] [--seconds 20] [--calls 100,500,1000] [--formats pcmu,g722,opus,srtp] \
             [--only floor,sipp,offhook,offhook+vad] [--json FILE]\n       {}\n       {}\n       {}",
            barge_in::USAGE,
            answers::USAGE,
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
            .map(|run| {
                run.report
                    .json(&format!("{} {}", run.subject.name(), run.format.name()))
            })
            .collect();
        if let Err(error) = fs::write(file, lines.join("\n") + "\n") {
            eprintln!("bench: {file}: {error}");
            return ExitCode::FAILURE;
        }
    }
    if has("--only") {
        return ExitCode::SUCCESS;
    }
    let barge_in = barge_in::Options::read(&[]).map(|options| measure_barge_in(&options));
    let answers = barge_in::Options::read(&[]).map(|options| measure_answers(&options));
    let signalling = signalling::Options::read(&[]).map(|options| measure_signalling(&options));
    let failed = [barge_in, answers, signalling].contains(&Some(ExitCode::FAILURE));
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn measure_barge_in(options: &barge_in::Options) -> ExitCode {
    match options.run() {
        Ok(markdown) => {
            print!("\n{markdown}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("bench: barge-in: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure_answers(options: &barge_in::Options) -> ExitCode {
    match answers::run(options) {
        Ok(markdown) => {
            print!("\n{markdown}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("bench: answers: {why}");
            ExitCode::FAILURE
        }
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
    formats: Vec<Format>,
    subjects: Vec<Subject>,
    json: Option<String>,
}

/// One program under one load.
struct Run {
    subject: Subject,
    format: Format,
    calls: usize,
    report: LoadReport,
}

impl Plan {
    fn read(arguments: &[String]) -> Option<Self> {
        let window = Duration::from_secs(20);
        let mut plan = Self {
            rounds: 3,
            window,
            calls: vec![100, 500, 1_000],
            formats: Format::ALL.to_vec(),
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
                "--formats" => {
                    let format =
                        |name: &str| Format::ALL.into_iter().find(|format| format.name() == name);
                    plan.formats = value.split(',').map(format).collect::<Option<_>>()?;
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

    /// Every load: PCMU by each number of calls, the other formats by the smallest.
    fn loads(&self) -> Vec<(Format, usize)> {
        let smallest = self.calls.iter().copied().min();
        let of = |format: Format| {
            let calls = self.calls.iter().copied();
            calls
                .filter(move |calls| format == Format::Pcmu || Some(*calls) == smallest)
                .map(move |calls| (format, calls))
        };
        self.formats.iter().copied().flat_map(of).collect()
    }

    /// Runs everything, interleaved. A program that cannot be run is named and left out.
    fn run(&self) -> Vec<Run> {
        let mut runs = Vec::new();
        println!("{}", LoadReport::HEAD);
        for _ in 0..self.rounds {
            for (format, calls) in self.loads() {
                for &subject in &self.subjects {
                    if !subject.takes(format) {
                        continue;
                    }
                    let name = format!("{} {}", subject.name(), format.name());
                    match subject.measure(format, calls, self.window) {
                        Ok(report) => {
                            println!("{}", report.row(&name));
                            report
                                .failures
                                .iter()
                                .for_each(|(why, n)| println!("    {n} calls: {why}"));
                            runs.push(Run {
                                subject,
                                format,
                                calls,
                                report,
                            });
                        }
                        Err(why) => println!("{name:<17} {calls:>5} left out: {why}"),
                    }
                }
            }
        }
        runs
    }
}
