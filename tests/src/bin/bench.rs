//! `make bench`: what a call costs, beside two floors, in one run on one machine.
//!
//! In each round every program takes the same load in turn, so that what the machine does meanwhile hits all alike; the
//! medians over the rounds are compared. Prints a table of every run as it comes and then Markdown for
//! `docs/performance.md`.
//!
//! `bench [--rounds 3] [--seconds 20] [--calls 200,500] [--only floor,sipp,offhook,offhook+vad] [--json FILE]`

use std::fmt::Write as _;
use std::process::{Command, ExitCode};
use std::time::Duration;
use std::{env, fs};

use offhook_tests::child::Program;
use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::load::{self, LoadPlan, LoadReport};
use offhook_tests::ports::{PortBlock, udp_port_is_bound};
use offhook_tests::scratch::Scratch;
use offhook_tests::sipp::SippEcho;
use offhook_tests::wait::wait_until;

/// The aims, with the floor's own figure as the unit.
const AIM_PROCESSOR: f64 = 1.7;
const AIM_PROCESSOR_VAD: f64 = 2.5;
const AIM_MEMORY_KIB: f64 = 64.0;
const AIM_GAP_MS: f64 = 1.5;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some(plan) = Plan::read(&arguments) else {
        eprintln!(
            "usage: bench [--rounds 3] [--seconds 20] [--calls 200,500] [--only floor,sipp,offhook,offhook+vad] \
             [--json FILE]"
        );
        return ExitCode::from(2);
    };
    let machine = machine();
    let runs = plan.run();
    print!("\n{}", markdown(&plan, &machine, &runs));
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
    ExitCode::SUCCESS
}

/// The programs compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Floor,
    SippEcho,
    Offhook,
    OffhookWithVad,
}

const SUBJECTS: [Subject; 4] = [
    Subject::Floor,
    Subject::SippEcho,
    Subject::Offhook,
    Subject::OffhookWithVad,
];

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::SippEcho => "sipp",
            Self::Offhook => "offhook",
            Self::OffhookWithVad => "offhook+vad",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Floor => "bare echo, a socket a call and epoll",
            Self::SippEcho => "`sipp -rtp_echo`, one socket for all calls",
            Self::Offhook => "offhook, agent `echo`, VAD off",
            Self::OffhookWithVad => "offhook, agent `echo`, VAD on",
        }
    }

    /// Starts the program fresh and puts the load on it.
    fn measure(self, calls: usize, window: Duration) -> Result<LoadReport, String> {
        let load = |target, peer_pid| {
            let user = "echo".to_owned();
            load::run(&LoadPlan {
                target,
                user,
                peer_pid,
                calls,
                calls_per_second: 100,
                window,
            })
            .map_err(|error| error.to_string())
        };
        match self {
            Self::Floor => {
                let floor = FloorEcho::start(calls)?;
                load(floor.ports.address(1), floor.program.pid())
            }
            Self::SippEcho => {
                let sipp = SippEcho::start()?;
                load(sipp.sip(), sipp.pid())
            }
            Self::Offhook => {
                let daemon = Daemon::start(&offhook_setup(calls, ""))?;
                load(daemon.sip(), daemon.pid())
            }
            Self::OffhookWithVad => {
                let daemon = Daemon::start(&offhook_setup(calls, "voice_activity = true"))?;
                load(daemon.sip(), daemon.pid())
            }
        }
    }
}

fn offhook_setup(calls: usize, echo_keys: &'static str) -> DaemonSetup {
    DaemonSetup {
        calls: calls as u16,
        calls_per_second: 1_000,
        codecs: vec!["pcmu"],
        echo_keys,
        log: "warn",
        ..DaemonSetup::default()
    }
}

/// The bare echo as a running program.
struct FloorEcho {
    program: Program,
    ports: PortBlock,
    _folder: Scratch,
}

impl FloorEcho {
    fn start(calls: usize) -> Result<Self, String> {
        let binary = env::current_exe()
            .map_err(|error| error.to_string())?
            .with_file_name("floor_echo");
        let folder = Scratch::new("floor").map_err(|error| error.to_string())?;
        let ports = PortBlock::take((calls * 2 + 16) as u16).map_err(|error| error.to_string())?;
        let mut command = Command::new(binary);
        let rtp = ports.run(2);
        command
            .arg(ports.address(1).to_string())
            .args([rtp.start.to_string(), (rtp.end - 1).to_string()]);
        let program = Program::start("floor_echo", command, folder.file("log"))
            .map_err(|error| error.to_string())?;
        wait_until("a ready floor_echo", Duration::from_secs(5), || {
            udp_port_is_bound(ports.port(1)).then_some(())
        })?;
        Ok(Self {
            program,
            ports,
            _folder: folder,
        })
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

/// The medians of one program's runs at one load.
struct Medians {
    processor_s: f64,
    resident_kib: f64,
    proportional_kib: f64,
    gap_ms: [f64; 3],
    worst_ms: f64,
    lost: (u64, u64),
    failed: usize,
}

impl Medians {
    fn of(runs: &[Run], subject: Subject, calls: usize) -> Option<Self> {
        let reports: Vec<&LoadReport> = runs
            .iter()
            .filter(|run| run.subject == subject && run.calls == calls)
            .map(|run| &run.report)
            .collect();
        let median = |figure: &dyn Fn(&LoadReport) -> f64| {
            let mut figures: Vec<f64> = reports.iter().map(|report| figure(report)).collect();
            figures.sort_by(f64::total_cmp);
            figures.get(figures.len() / 2).copied()
        };
        Some(Self {
            processor_s: median(&LoadReport::processor_s_per_call_minute)?,
            resident_kib: median(&LoadReport::resident_kib_per_call)?,
            proportional_kib: median(&LoadReport::proportional_kib_per_call)?,
            gap_ms: [
                median(&|report| report.gaps.percentile_ms(0.5))?,
                median(&|report| report.gaps.percentile_ms(0.99))?,
                median(&|report| report.gaps.percentile_ms(0.999))?,
            ],
            worst_ms: median(&|report| report.gaps.largest_deviation_ms(20.0))?,
            // What was lost in any run counts: a median would hide it.
            lost: reports.iter().fold((0, 0), |(to, from), report| {
                (to + report.lost().0, from + report.lost().1)
            }),
            failed: reports.iter().map(|report| report.failed()).sum(),
        })
    }
}

/// The medians as Markdown tables, one a load, and how each aim was met.
fn markdown(plan: &Plan, machine: &str, runs: &[Run]) -> String {
    let mut text = format!(
        "Medians of {} interleaved rounds of {} s; two-way PCMU at 20 ms, callers speak 40 % of the time. {machine}.\n",
        plan.rounds,
        plan.window.as_secs()
    );
    for &calls in &plan.calls {
        let _ = write!(
            text,
            "\n### {calls} calls\n\n\
             | program | CPU-s per call-minute | to the floor | RSS, KiB a call | PSS, KiB a call | lost to / from | \
             gap p50 | p99 | p99.9 | worst from 20 ms | failed |\n|---|---|---|---|---|---|---|---|---|---|---|\n"
        );
        let floor = Medians::of(runs, Subject::Floor, calls);
        for &subject in &plan.subjects {
            let Some(medians) = Medians::of(runs, subject, calls) else {
                continue;
            };
            let ratio = floor.as_ref().map_or("".to_owned(), |floor| {
                format!("{:.2}", medians.processor_s / floor.processor_s)
            });
            let [p50, p99, p999] = medians.gap_ms;
            let _ = writeln!(
                text,
                "| {} | {:.4} | {ratio} | {:.1} | {:.1} | {} / {} | {p50:.2} | {p99:.2} | {p999:.2} | {:.2} | {} |",
                subject.meaning(),
                medians.processor_s,
                medians.resident_kib,
                medians.proportional_kib,
                medians.lost.0,
                medians.lost.1,
                medians.worst_ms,
                medians.failed
            );
        }
        if let Some(floor) = floor {
            text += &aims(runs, &floor, calls);
        }
    }
    text
}

fn aims(runs: &[Run], floor: &Medians, calls: usize) -> String {
    let mut text = String::from("\n");
    let mut aim = |what: &str, found: f64, limit: f64| {
        let verdict = if found <= limit { "met" } else { "**missed**" };
        let _ = writeln!(
            text,
            "- {what}: {found:.2}, aim at most {limit}: {verdict}."
        );
    };
    if let Some(medians) = Medians::of(runs, Subject::Offhook, calls) {
        aim(
            "CPU to the floor's, VAD off",
            medians.processor_s / floor.processor_s,
            AIM_PROCESSOR,
        );
        aim("KiB a call", medians.resident_kib, AIM_MEMORY_KIB);
        aim(
            "packets lost",
            (medians.lost.0 + medians.lost.1) as f64,
            0.0,
        );
        aim(
            "gap p99 above the floor's, ms",
            medians.gap_ms[1] - floor.gap_ms[1],
            AIM_GAP_MS,
        );
    }
    if let Some(medians) = Medians::of(runs, Subject::OffhookWithVad, calls) {
        aim(
            "CPU to the floor's, VAD on",
            medians.processor_s / floor.processor_s,
            AIM_PROCESSOR_VAD,
        );
    }
    text
}

/// Processor, cores, kernel: what figures are worth nothing without.
fn machine() -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let model = model.map_or("unknown processor", |(_, name)| name);
    format!(
        "{cores} × {model}, Linux {}, load average before {load}",
        kernel.trim()
    )
}
