//! How often an agent interrupts itself by an echo of its voice, without and with the guard, and how many of a
//! caller's true interruptions are found over it: voices by flite and espeak-ng, each minute over each way
//! back. `cargo run --release -p offhook-media --example echo_guard`; `quick` looks at less, `all` at more delays,
//! `opus` goes through Opus in place of PCMU.

#[path = "../tests/echoes/mod.rs"]
mod echoes;
#[path = "../tests/spoken/mod.rs"]
mod spoken;

use echoes::{Delay, Echo, Path, Reference, Scene, Tally, Voices};
use offhook_media::codec::CodecKind;

/// The agent's voice and the caller's.
const PAIRS: [(usize, usize); 8] = [
    (0, 1),
    (1, 2),
    (2, 0),
    (3, 4),
    (6, 10),
    (8, 3),
    (4, 5),
    (12, 6),
];
/// Against the level at which the agent is sent.
const CALLERS_DB: [f64; 3] = [0.0, -6.0, -12.0];

fn main() {
    let given = |word: &str| std::env::args().any(|argument| argument == word);
    let (quick, opus) = (given("quick"), given("opus"));
    let kind = if opus {
        CodecKind::Opus
    } else {
        CodecKind::Pcmu
    };
    let (levels, delays, seconds): (&[f64], &[Delay], usize) = if quick || opus {
        (
            &[-6.0, -20.0, -30.0],
            &[Delay::Ms(40), Delay::Ms(405), Delay::Changes(60, 310)],
            30,
        )
    } else if !given("all") {
        (
            &[-6.0, -10.0, -15.0, -20.0, -30.0],
            &[Delay::Ms(40), Delay::Ms(400), Delay::Changes(60, 310)],
            55,
        )
    } else {
        (
            &[-6.0, -10.0, -15.0, -20.0, -30.0],
            &[
                Delay::Ms(0),
                Delay::Ms(40),
                Delay::Ms(100),
                Delay::Ms(205),
                Delay::Ms(400),
                Delay::Changes(60, 310),
            ],
            55,
        )
    };
    let pairs = if quick || opus { &PAIRS[..4] } else { &PAIRS };
    let rate = if opus { 16_000 } else { 8_000 };
    let calls: Vec<Call> = pairs
        .iter()
        .map(|(agent, caller)| {
            let voices = Voices::new(
                &spoken::minute(spoken::VOICES[*agent], 0),
                &spoken::minute(spoken::VOICES[*caller], 1),
                seconds,
                rate,
            );
            Call {
                callers: CALLERS_DB.map(|db| voices.caller(db)),
                voices,
            }
        })
        .collect();
    let references: Vec<[Reference<'_>; 3]> = calls
        .iter()
        .map(|call| {
            std::array::from_fn(|level| Reference::new(kind, &call.voices, &call.callers[level]))
        })
        .collect();
    println!(
        "{:<14} {:>6} {:<18} {:>18}   callers at 0, -6, -12 dB: missed, added ms (median, nine of ten)",
        "way back", "dB", "delay", "a minute: without, with"
    );
    print_row(None, kind, &calls, &references, seconds);
    for path in [Path::Pure, Path::Hybrid, Path::Speakerphone] {
        for level_db in levels {
            for delay in delays {
                let echo = Echo {
                    level_db: *level_db,
                    delay: *delay,
                    path,
                };
                print_row(Some(echo), kind, &calls, &references, seconds);
            }
        }
    }
}

struct Call {
    voices: Voices,
    callers: [Vec<i16>; 3],
}

fn print_row(
    echo: Option<Echo>,
    kind: CodecKind,
    calls: &[Call],
    references: &[[Reference<'_>; 3]],
    seconds: usize,
) {
    let (mut without, mut with) = (0, 0);
    let mut tallies: [Tally; 3] = Default::default();
    for (call, references) in calls.iter().zip(references) {
        let barge_ins = |guard, caller| {
            Scene {
                kind,
                agent: &call.voices.agent,
                echo,
                caller,
                guard,
            }
            .barge_ins()
        };
        without += barge_ins(false, None).len();
        with += barge_ins(true, None).len();
        for ((tally, caller), reference) in tallies.iter_mut().zip(&call.callers).zip(references) {
            reference.compare(&barge_ins(true, Some(caller)), tally);
        }
    }
    let minutes = (calls.len() * seconds) as f64 / 60.0;
    let (path, level, delay) = echo.map_or(("none".into(), 0.0, String::new()), |echo| {
        (
            format!("{:?}", echo.path),
            echo.level_db,
            format!("{:?}", echo.delay),
        )
    });
    print!(
        "{path:<14} {level:>6} {delay:<18} {:>8.2} {:>8.2}  ",
        without as f64 / minutes,
        with as f64 / minutes
    );
    for tally in &tallies {
        print!(
            "  {:>3}/{} {} {}",
            tally.missed,
            tally.all,
            tally.median_ms(),
            tally.quantile_ms(0.9)
        );
    }
    println!();
}
