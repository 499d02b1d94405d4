//! What came of it: confusion matrices, how soon, and which were wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use offhook_session::voicemail::{Evidence, FarEnd};

use crate::Trial;
use crate::callee::Kind;
use crate::trial::Outcome;

const FAR_ENDS: [FarEnd; 8] = [
    FarEnd::Human,
    FarEnd::MachineGreeting,
    FarEnd::MachineBeep,
    FarEnd::CallScreening,
    FarEnd::Ivr,
    FarEnd::Fax,
    FarEnd::Silence,
    FarEnd::Unknown,
];

/// Which of a trial's outcomes; `None` where it was not watched in that way.
pub type Which = fn(&Trial) -> Option<&Outcome>;

fn outcome(trial: &Trial, which: Which) -> &Outcome {
    which(trial).expect("it was watched in this way")
}

/// A share of callees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub right: usize,
    pub of: usize,
}

impl Share {
    pub fn percent(self) -> f64 {
        100.0 * self.right as f64 / self.of.max(1) as f64
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} ({:.0} %)", self.right, self.of, self.percent())
    }
}

/// How many of some callees are told for what they are.
pub fn right(trials: &[Trial], which: Which, of: impl Fn(&Trial) -> bool) -> Share {
    share(trials, of, |trial| {
        trial
            .callee
            .kind
            .is_told_by(outcome(trial, which).verdict.far_end)
    })
}

/// How many of those that are no person, and not silent either, are taken for one, or let through as one.
pub fn let_through(trials: &[Trial], which: Which) -> Share {
    share(
        trials,
        |trial| !trial.callee.kind.is_human() && trial.callee.kind != Kind::Silence,
        |trial| match outcome(trial, which).verdict.far_end {
            FarEnd::Human | FarEnd::Unknown | FarEnd::Silence => true,
            FarEnd::MachineGreeting
            | FarEnd::MachineBeep
            | FarEnd::CallScreening
            | FarEnd::Ivr
            | FarEnd::Fax => false,
        },
    )
}

fn share(
    trials: &[Trial],
    of: impl Fn(&Trial) -> bool,
    is_right: impl Fn(&Trial) -> bool,
) -> Share {
    let mut share = Share::default();
    for trial in trials.iter().filter(|trial| of(trial)) {
        share.of += 1;
        share.right += usize::from(is_right(trial));
    }
    share
}

/// Beeps that were waited for, and how long after the end of each a message could begin.
#[derive(Debug, Default)]
pub struct Beeps {
    /// Beeps of machines that were told for machines before.
    pub of: usize,
    /// After the end that the leg heard, in milliseconds, sorted.
    pub after_heard_ms: Vec<f64>,
    /// After the callee's end: with packets, network and jitter buffer.
    pub after_sent_ms: Vec<f64>,
    /// A message began before the beep was over, or without it.
    pub missed: usize,
}

pub fn beeps(trials: &[Trial], which: Which) -> Beeps {
    let mut beeps = Beeps::default();
    for trial in trials {
        let outcome = outcome(trial, which);
        let Some(end_ms) = trial.line.beep_end_ms else {
            continue;
        };
        if !outcome.verdict.far_end.is_voicemail() {
            continue;
        }
        beeps.of += 1;
        let end_ms = end_ms - trial.live_ms as f64;
        match (outcome.message, outcome.beep_ended) {
            (Some((begins, true)), Some(heard)) if ms(begins) > end_ms => {
                beeps.after_sent_ms.push(ms(begins) - end_ms);
                beeps.after_heard_ms.push(ms(begins) - ms(heard));
            }
            _ => beeps.missed += 1,
        }
    }
    beeps.after_heard_ms.sort_by(f64::total_cmp);
    beeps.after_sent_ms.sort_by(f64::total_cmp);
    beeps
}

/// When verdicts come: in milliseconds since media was live (or since a ringing telephone was answered), sorted.
pub fn decided_ms(trials: &[Trial], which: Which, of: impl Fn(&Trial) -> bool) -> Vec<f64> {
    let mut times: Vec<f64> = trials
        .iter()
        .filter(|trial| trial.callee.rings == 0 && of(trial))
        .map(|trial| ms(outcome(trial, which).verdict.at))
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

/// How long after the greeting's end persons are told for what they are.
pub fn after_greeting_ms(trials: &[Trial], which: Which) -> Vec<f64> {
    let mut times: Vec<f64> = trials
        .iter()
        .filter(|trial| {
            trial.callee.kind.is_human() && outcome(trial, which).verdict.far_end == FarEnd::Human
        })
        .map(|trial| {
            ms(outcome(trial, which).verdict.at) + trial.live_ms as f64 - trial.line.greeting_ms.1
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// A percentile of what is sorted.
pub fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let index = sorted.len().saturating_sub(1) * percent / 100;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// Prints it all.
pub fn print(title: &str, trials: &[Trial], which: Which) {
    println!("\n{title}, {} callees", trials.len());
    matrix(trials, which);
    println!(
        "humans {}, machines {}, let through {}",
        right(trials, which, |trial| trial.callee.kind.is_human()),
        right(trials, which, |trial| trial.callee.kind.is_machine()),
        let_through(trials, which),
    );
    let line = |what: &str, times: &[f64]| {
        let of = |percent| percentile(times, percent);
        println!(
            "{what}: median {:.0} ms, 90 % {:.0} ms, all {:.0} ms",
            of(50),
            of(90),
            of(100)
        );
    };
    line(
        "humans decided",
        &decided_ms(trials, which, |trial| trial.callee.kind.is_human()),
    );
    line(
        "machines decided",
        &decided_ms(trials, which, |trial| trial.callee.kind.is_machine()),
    );
    line(
        "human after the greeting",
        &after_greeting_ms(trials, which),
    );
    let beeps = beeps(trials, which);
    println!("beeps {}, missed {}", beeps.of, beeps.missed);
    line("message after the beep, as heard", &beeps.after_heard_ms);
    line("message after the beep, as sent", &beeps.after_sent_ms);
    let by_words = trials.iter().filter(|trial| {
        let evidence = &outcome(trial, which).verdict.evidence;
        let verdict = &outcome(trial, which).verdict;
        verdict.far_end != FarEnd::Human
            && evidence
                .iter()
                .any(|evidence| matches!(evidence, Evidence::Phrase(_)))
    });
    println!("by words: {}", by_words.count());
    let questions: usize = trials
        .iter()
        .map(|trial| outcome(trial, which).questions)
        .sum();
    println!(
        "questions a call: {:.1}",
        questions as f64 / trials.len() as f64
    );
    by(trials, which, "by voice's program", |trial| {
        trial.callee.voice.split(' ').next().unwrap().to_owned()
    });
    by(trials, which, "by condition", |trial| {
        trial.callee.condition.name.to_owned()
    });
}

fn matrix(trials: &[Trial], which: Which) {
    print!("{:20}", "");
    for far_end in FAR_ENDS {
        print!("{:>17}", far_end.as_str());
    }
    println!();
    for kind in Kind::ALL {
        print!("{:20}", kind.as_str());
        for far_end in FAR_ENDS {
            let count = trials.iter().filter(|trial| {
                trial.callee.kind == kind && outcome(trial, which).verdict.far_end == far_end
            });
            print!("{:>17}", count.count());
        }
        println!();
    }
}

fn by(trials: &[Trial], which: Which, what: &str, key: impl Fn(&Trial) -> String) {
    let mut shares: BTreeMap<String, [Share; 2]> = BTreeMap::new();
    for trial in trials {
        let kind = trial.callee.kind;
        let column = match (kind.is_human(), kind.is_machine()) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => continue,
        };
        let share = &mut shares.entry(key(trial)).or_default()[column];
        share.of += 1;
        share.right += usize::from(kind.is_told_by(outcome(trial, which).verdict.far_end));
    }
    println!("{what}:");
    for (key, [humans, machines]) in shares {
        println!("  {key:30} humans {humans}, machines {machines}");
    }
}

/// Prints those that were wrong, and the beeps that were missed.
pub fn print_wrong(trials: &[Trial], which: Which) {
    for trial in trials {
        let callee = &trial.callee;
        if let Some(end_ms) = trial.line.beep_end_ms
            && outcome(trial, which).verdict.far_end.is_voicemail()
            && !matches!(outcome(trial, which).message, Some((begins, true)) if ms(begins) > end_ms - trial.live_ms as f64)
        {
            println!(
                "  a beep missed: {}, {}, greeting {:?}, beep until {end_ms:.0}, message {:?}",
                callee.voice,
                callee.condition.name,
                trial.line.greeting_ms,
                outcome(trial, which).message,
            );
        }
        let verdict = &outcome(trial, which).verdict;
        if !callee.kind.is_told_by(verdict.far_end) {
            println!(
                "  {}, {}, {}, {} rings: {} after {:?}, {:?}: {:?}",
                callee.kind.as_str(),
                callee.voice,
                callee.condition.name,
                callee.rings,
                verdict.far_end.as_str(),
                verdict.at,
                verdict.evidence,
                callee.sentence
            );
        }
    }
}
