//! Who answered, on 484 synthetic callees: how often the verdict is right, how soon it comes, and when a message may
//! begin. `make test` calls every third of them, `make voicemail` all, and prints what came of it; `docs/voicemail.md`
//! has the figures.
//!
//! ```text
//! sentences, voices ─► sounds: speech, pauses, tones, noise ─► G.711, packets, loss ─► leg ─► detector ─► report
//!                                                                                       └─► ear: the recogniser ─┘
//! ```

#![allow(unreachable_pub, reason = "one test of several files")]

mod callee;
mod ear;
mod leg;
mod report;
mod sentences;
mod sounds;
mod trial;
mod voices;

use std::time::Duration;

use callee::{Callee, Kind, Part, corpus};
use ear::Ear;
use report::Which;
use sounds::Line;
use trial::{MAX_DECISION, Outcome, Watch};

/// A call of ours to a callee, watched in several ways.
struct Trial {
    callee: Callee,
    line: Line,
    live_ms: u64,
    without: Outcome,
    with: Outcome,
    /// With a recogniser, but by voice activity alone; only where all is printed.
    without_levels: Option<Outcome>,
    /// With a recogniser and a deadline of 6 s; only where all is printed.
    patient: Option<Outcome>,
}

const WITHOUT: Which = |trial| Some(&trial.without);
const WITH: Which = |trial| Some(&trial.with);
const WITHOUT_LEVELS: Which = |trial| trial.without_levels.as_ref();
const PATIENT: Which = |trial| trial.patient.as_ref();

/// Calls them all on two threads.
fn call_all(callees: &[Callee], ear: &Ear, in_all_ways: bool) -> Vec<Trial> {
    let call = |callee: &Callee| {
        let line = sounds::line(callee);
        let noticed = leg::notice(callee, &line);
        let with = Watch {
            ear: Some(ear),
            levels: true,
            max_decision: MAX_DECISION,
        };
        let without = Watch { ear: None, ..with };
        let without_levels = Watch {
            levels: false,
            ..with
        };
        let patient = Watch {
            max_decision: MAX_DECISION + Duration::from_secs(2),
            ..with
        };
        Trial {
            callee: *callee,
            live_ms: noticed.live_ms,
            without: trial::run(&noticed, without),
            with: trial::run(&noticed, with),
            without_levels: in_all_ways.then(|| trial::run(&noticed, without_levels)),
            patient: in_all_ways.then(|| trial::run(&noticed, patient)),
            line,
        }
    };
    let (one, other) = callees.split_at(callees.len() / 2);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| one.iter().map(call).collect::<Vec<_>>());
        let second: Vec<Trial> = other.iter().map(call).collect();
        let mut all = first.join().unwrap();
        all.extend(second);
        all
    })
}

#[test]
fn people_and_machines_are_told_apart_as_well_as_the_docs_say() {
    // `tuning`, `held back` or `all`, which are printed; otherwise every third callee is called.
    let wanted = std::env::var("OFFHOOK_VOICEMAIL").ok();
    let ear = Ear::start();
    for part in [Part::Tuning, Part::HeldBack] {
        let all = corpus(part);
        let callees: Vec<Callee> = match wanted.as_deref() {
            None => all.into_iter().step_by(3).collect(),
            Some("all") => all,
            Some(name) if name == part.as_str() => all,
            Some(_) => continue,
        };
        let trials = call_all(&callees, &ear, wanted.is_some());
        if wanted.is_some() {
            for (way, which) in [
                ("without a recogniser", WITHOUT),
                ("with a recogniser", WITH),
                ("with a recogniser, by voice activity alone", WITHOUT_LEVELS),
                ("with a recogniser, within 6 s", PATIENT),
            ] {
                report::print(&format!("{}, {way}", part.as_str()), &trials, which);
            }
            println!("\nwrong with a recogniser, or a beep missed:");
            report::print_wrong(&trials, WITH);
        }
        hold_to_floors(part, &trials);
    }
}

/// One callee or two of every third under what was measured when `docs/voicemail.md` was written, in per cent of humans
/// and of machines.
fn hold_to_floors(part: Part, trials: &[Trial]) {
    let [without, with] = match part {
        Part::Tuning => [(81.0, 80.0), (78.0, 83.0)],
        Part::HeldBack => [(81.0, 80.0), (71.0, 80.0)],
    };
    for (which, (humans, machines)) in [(WITHOUT, without), (WITH, with)] {
        let told = report::right(trials, which, |trial| trial.callee.kind.is_human());
        println!("{part:?}: humans {told}");
        assert!(told.percent() >= humans, "{part:?}: humans {told}");
        let told = report::right(trials, which, |trial| trial.callee.kind.is_machine());
        println!("{part:?}: machines {told}");
        assert!(told.percent() >= machines, "{part:?}: machines {told}");
        let short = report::right(trials, which, |trial| trial.callee.kind == Kind::ShortHuman);
        assert!(short.percent() >= 93.0, "{part:?}: short answers {short}");

        let after_greeting = report::after_greeting_ms(trials, which);
        let nine_tenths = report::percentile(&after_greeting, 90);
        assert!(
            nine_tenths <= 1_100.0,
            "{nine_tenths} ms after the greeting"
        );
        let beeps = report::beeps(trials, which);
        assert!(beeps.missed * 6 <= beeps.of, "{beeps:?}");
        let last = report::percentile(&beeps.after_heard_ms, 100);
        assert!(last <= 300.0, "a message {last} ms after a beep");
    }
}

#[test]
fn no_sentence_and_no_voice_is_in_both_parts() {
    let [tuning, held_back] = [Part::Tuning, Part::HeldBack].map(corpus);
    assert!(tuning.len() + held_back.len() >= 400);
    for callee in &tuning {
        for other in &held_back {
            assert!(callee.sentence.is_empty() || callee.sentence != other.sentence);
            assert_ne!(callee.voice, other.voice);
        }
    }
}
