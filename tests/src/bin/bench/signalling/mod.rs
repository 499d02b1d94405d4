//! `bench --only signalling`: what it costs to begin and end a call, beside SIPp answering the same load.
//!
//! | part | asks |
//! |---|---|
//! | `rate` | the highest rate with none failed: doubled until one fails, then halved in between |
//! | `cost` | processor time of 1,000 calls and set-up times at a fixed rate, both programs in turn, medians |
//! | `memory` | whether what calls held is given back, and a second run needs no more than the first |
//! | `overload` | twice the highest rate: the accepted unharmed, the rest refused at once, well again in a second |
//!
//! `--only signalling [--calls 100000] [--rate 500] [--rounds 3] [--step 10] [--highest N]
//! [--parts rate,cost,memory,overload]`

mod peer;
mod search;

use std::time::Duration;

use offhook_tests::load::signalling::{self, Phase, PhaseReport, SignallingPlan, SignallingReport};
use offhook_tests::process_gauge::{Memory, ProcessGauge};

use peer::{CAP, Peer, PeerKind};

/// From the 200 to the BYE.
const HOLD: Duration = Duration::from_millis(100);
/// Every timer of RFC 3261 that outlives a call (32 s at most) has ended by then.
const FORGOTTEN: Duration = Duration::from_secs(40);
/// Calls a second while memory is looked at.
const MEMORY_RATE: u64 = 1_000;
/// Seconds of overload, and of half the highest rate after it.
const OVERLOAD_S: u64 = 5;

/// The aims.
const AIM_RATE: f64 = 2_000.0;
const AIM_PROCESSOR: f64 = 0.35;
const AIM_MEMORY: f64 = 1.05;

/// The option's form, for a reader who mistook it.
pub(crate) const USAGE: &str = "bench --only signalling [--calls 100000] [--rate 500] [--rounds 3] [--step 10] \
     [--highest N] [--parts rate,cost,memory,overload]";

/// What was asked for on the command line.
#[derive(Debug)]
pub(crate) struct Options {
    calls: u64,
    calls_per_second: u64,
    rounds: usize,
    step_s: u64,
    highest: Option<u64>,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Rate,
    Cost,
    Memory,
    Overload,
}

const PARTS: [(&str, Part); 4] = [
    ("rate", Part::Rate),
    ("cost", Part::Cost),
    ("memory", Part::Memory),
    ("overload", Part::Overload),
];

impl Options {
    /// Reads the arguments that follow `--only signalling`, wherever that stands.
    pub(crate) fn read(arguments: &[String]) -> Option<Self> {
        let mut options = Self {
            calls: 100_000,
            calls_per_second: 500,
            rounds: 3,
            step_s: 10,
            highest: None,
            parts: PARTS.map(|(_, part)| part).to_vec(),
        };
        let number = |value: &str, most: u64| {
            let number = value.parse().ok();
            number.filter(|number| (1..=most).contains(number))
        };
        for pair in arguments.chunks(2) {
            let [option, value] = pair else { return None };
            match option.as_str() {
                "--only" if value == "signalling" => {}
                "--calls" => options.calls = number(value, 1_000_000)?,
                "--rate" => options.calls_per_second = number(value, CAP)?,
                "--rounds" => options.rounds = number(value, 20)? as usize,
                "--step" => options.step_s = number(value, 60)?,
                "--highest" => options.highest = Some(number(value, CAP)?),
                "--parts" => {
                    let part = |name: &str| PARTS.iter().find(|(known, _)| *known == name);
                    options.parts = value
                        .split(',')
                        .map(|name| part(name).map(|(_, part)| *part))
                        .collect::<Option<_>>()?;
                }
                _ => return None,
            }
        }
        Some(options)
    }

    /// Calls of a step at this rate: as many as it lasts, and no more than asked for in all.
    fn step(&self, calls_per_second: u64) -> Phase {
        Phase {
            calls: (calls_per_second * self.step_s).min(self.calls),
            calls_per_second,
        }
    }

    /// Runs the parts in their order and gives the findings as Markdown.
    ///
    /// # Errors
    /// When a program cannot be started, or ends under the load.
    pub(crate) fn run(&self, measured: &str) -> Result<String, String> {
        let mut text =
            format!("INVITE, 180, 200, ACK, 100 ms, BYE over UDP on loopback. {measured}.\n\n");
        let mut highest = self.highest;
        for (_, part) in PARTS {
            if !self.parts.contains(&part) {
                continue;
            }
            text += &match part {
                Part::Rate => {
                    let (found, section) = self.rate()?;
                    highest = highest.or(found);
                    section
                }
                Part::Cost => self.cost()?,
                Part::Memory => self.memory()?,
                Part::Overload => match highest {
                    Some(highest) => overload(highest)?,
                    None => "Overload: left out, since no rate is known that goes well.\n".into(),
                },
            };
            text.push('\n');
        }
        Ok(text)
    }

    fn rate(&self) -> Result<(Option<u64>, String), String> {
        let mut text = String::from(
            "| program | highest rate with none failed | set-up p50 | p99 |\n|---|---|---|---|\n",
        );
        let mut ours = None;
        for kind in [PeerKind::Sipp, PeerKind::Offhook] {
            let found = search::highest_rate(kind, self)?;
            let name = kind.meaning();
            text += &match &found {
                Some((rate, phase)) => {
                    let [p50, p99] = [0.5, 0.99].map(|share| phase.set_up.percentile_ms(share));
                    let at_cap = if *rate >= CAP { " or more" } else { "" };
                    format!("| {name} | {rate} a second{at_cap} | {p50:.2} ms | {p99:.2} ms |\n")
                }
                None => format!("| {name} | none | | |\n"),
            };
            if kind == PeerKind::Offhook {
                ours = found.map(|(rate, _)| rate);
            }
        }
        let rate = ours.unwrap_or_default() as f64;
        text += &format!(
            "\n- highest rate: {rate}, aim at least {AIM_RATE}: {}.\n",
            verdict(rate >= AIM_RATE)
        );
        Ok((ours, text))
    }

    /// Both programs run on, and take the same load in turn: what is left of one round's calls costs in the next.
    fn cost(&self) -> Result<String, String> {
        let mut peers = [
            Peer::start(PeerKind::Sipp, 0)?,
            Peer::start(PeerKind::Offhook, above(self.calls_per_second))?,
        ];
        let mut costs = [Vec::new(), Vec::new()];
        let mut last = [None, None];
        println!("{}", row_head());
        for _ in 0..self.rounds {
            for (n, peer) in peers.iter_mut().enumerate() {
                let report = peer.take(&[self.step(self.calls_per_second)], HOLD)?;
                println!("{}", row(peer.kind().name(), &report));
                costs[n].push(report.processor_s_per_1000());
                last[n] = Some(report);
            }
        }
        let [floor, ours] = costs.map(median);
        let mut text = format!(
            "| program | CPU-s per 1,000 calls at {} a second | to SIPp's | set-up p50 | p99 | failed |\n\
             |---|---|---|---|---|---|\n",
            self.calls_per_second
        );
        for ((peer, cost), report) in peers.iter().zip([floor, ours]).zip(&last) {
            let phase = report.as_ref().map(|report| report.phases[0].clone());
            let phase = phase.unwrap_or_default();
            let [p50, p99] = [0.5, 0.99].map(|share| phase.set_up.percentile_ms(share));
            text += &format!(
                "| {} | {cost:.3} | {:.2} | {p50:.2} ms | {p99:.2} ms | {} |\n",
                peer.kind().meaning(),
                cost / floor,
                phase.failed() + phase.refused
            );
        }
        text += &format!(
            "\n- CPU-s per 1,000 calls: {ours:.3}, aim at most {AIM_PROCESSOR}: {}.\n",
            verdict(ours <= AIM_PROCESSOR)
        );
        Ok(text)
    }

    fn memory(&self) -> Result<String, String> {
        let rate = MEMORY_RATE.min(self.calls);
        let mut peer = Peer::start(PeerKind::Offhook, above(rate))?;
        let gauge = ProcessGauge::new(peer.pid());
        let look = |peer: &Peer| {
            let memory = gauge.memory().map_err(|error| error.to_string())?;
            let live = peer
                .live_memory()
                .ok_or("it does not say what it has allocated")?;
            Ok::<_, String>(Look { memory, live })
        };
        let mut looks = vec![("started", look(&peer)?)];
        println!("{}", row_head());
        let warm = rate.min(self.calls / 10).max(1);
        for (when, calls) in [
            ("after a second of calls", warm),
            ("after the first run", self.calls),
            ("after the second run", self.calls),
        ] {
            let report = peer.take(
                &[Phase {
                    calls,
                    calls_per_second: rate,
                }],
                HOLD,
            )?;
            println!("{}", row("offhook", &report));
            std::thread::sleep(FORGOTTEN);
            looks.push((when, look(&peer)?));
            println!("    {when}: {}", looks[looks.len() - 1].1);
        }
        let mut text = format!(
            "Memory of offhook, each look {} s after the last call; {} calls a run at {rate} a second:\n\n",
            FORGOTTEN.as_secs(),
            self.calls
        );
        for (when, look) in &looks {
            text += &format!("- {when}: {look}\n");
        }
        // What is made once, at the first call, belongs to the start.
        let [_, (_, start), (_, first), (_, second)] = &looks[..] else {
            return Err("a look at memory is missing".to_owned());
        };
        for (what, share) in [
            (
                "live, first run to the second of calls",
                first.live as f64 / start.live as f64,
            ),
            (
                "RSS, second run to the first",
                second.memory.resident as f64 / first.memory.resident as f64,
            ),
        ] {
            text += &format!(
                "- {what}: {share:.3}, aim at most {AIM_MEMORY}: {}.\n",
                verdict(share <= AIM_MEMORY)
            );
        }
        Ok(text)
    }
}

/// The limit is the highest rate, as an operator would set it who has measured; twice that comes.
fn overload(highest: u64) -> Result<String, String> {
    let mut peer = Peer::start(PeerKind::Offhook, highest)?;
    let phase = |seconds: u64, calls_per_second: u64| Phase {
        calls: seconds * calls_per_second,
        calls_per_second,
    };
    let calm = (highest / 2).max(1);
    let phases = [
        phase(OVERLOAD_S, highest * 2),
        phase(1, calm),
        phase(OVERLOAD_S, calm),
    ];
    println!("{}", row_head());
    let report = peer.take(&phases, HOLD)?;
    println!("{}", row("offhook", &report));
    let [over, recovering, after] = &report.phases[..] else {
        return Err("the load left out a phase".to_owned());
    };
    let ms = |phase: &PhaseReport, share| {
        (
            phase.set_up.percentile_ms(share),
            phase.refusal.percentile_ms(share),
        )
    };
    let ((set_up_50, refusal_50), (set_up_99, refusal_99)) = (ms(over, 0.5), ms(over, 0.99));
    let late = report.late.percentile_ms(0.99);
    Ok(format!(
        "Overload: {} calls a second for {OVERLOAD_S} s where the limit is {highest}, then {calm} a second.\n\n\
         - under it: {} completed, {} refused with 503, {} failed ({}); {} requests repeated; our own INVITEs late by \
         {late:.1} ms (p99)\n\
         - set-up p50 {set_up_50:.2} ms, p99 {set_up_99:.2} ms; time to 503 p50 {refusal_50:.2} ms, p99 {refusal_99:.2} ms\n\
         - the second after: {} completed, {} refused, {} failed; then {} completed, {} refused, {} failed, set-up p99 \
         {:.2} ms\n\
         - accepted calls unharmed: {}; well again after a second: {}.\n",
        highest * 2,
        over.completed,
        over.refused,
        over.failed(),
        reasons(over),
        over.repeated_requests,
        recovering.completed,
        recovering.refused,
        recovering.failed(),
        after.completed,
        after.refused,
        after.failed(),
        ms(after, 0.99).0,
        verdict(over.failed() == 0),
        verdict(after.refused + after.failed() == 0),
    ))
}

/// The limit that a load of this rate does not meet.
fn above(calls_per_second: u64) -> u64 {
    calls_per_second + calls_per_second / 10
}

fn reasons(phase: &PhaseReport) -> String {
    let reasons: Vec<String> = phase
        .failures
        .iter()
        .map(|(why, n)| format!("{n} {why}"))
        .collect();
    if reasons.is_empty() {
        "none".to_owned()
    } else {
        reasons.join(", ")
    }
}

fn row_head() -> String {
    format!(
        "{:<9} {:>7} {:>9} {:>7} {:>7} {:>7} {:>8} {:>8} {:>8} {:>9} {:>9}",
        "program",
        "a s",
        "completed",
        "refused",
        "failed",
        "again",
        "p50 ms",
        "p99 ms",
        "late p99",
        "CPU-s/1k",
        "took s"
    )
}

fn row(name: &str, report: &SignallingReport) -> String {
    report
        .phases
        .iter()
        .map(|phase| {
            format!(
                "{name:<9} {:>7} {:>9} {:>7} {:>7} {:>7} {:>8.2} {:>8.2} {:>8.2} {:>9.3} {:>9.1} {}",
                phase.calls_per_second,
                phase.completed,
                phase.refused,
                phase.failed(),
                phase.repeated_requests,
                phase.set_up.percentile_ms(0.5),
                phase.set_up.percentile_ms(0.99),
                report.late.percentile_ms(0.99),
                report.processor_s_per_1000(),
                report.took.as_secs_f64(),
                reasons(phase),
            )
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// What a program holds.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// As the kernel counts it.
    memory: Memory,
    /// In bytes, as its allocator counts it.
    live: u64,
}

impl std::fmt::Display for Look {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(
            out,
            "live {:.2} MiB, RSS {:.1} MiB, PSS {:.1} MiB",
            mebibytes(self.live),
            mebibytes(self.memory.resident),
            mebibytes(self.memory.proportional)
        )
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "**missed**" }
}

impl Peer {
    /// Puts calls on it.
    fn take(&mut self, phases: &[Phase], hold: Duration) -> Result<SignallingReport, String> {
        let report = signalling::run(&SignallingPlan {
            target: self.sip(),
            user: "echo".to_owned(),
            peer_pid: self.pid(),
            phases: phases.to_vec(),
            hold,
        });
        report.map_err(|error| format!("{}: {error}", self.kind().name()))
    }
}
