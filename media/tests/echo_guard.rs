//! An agent that hears its own voice back does not interrupt itself, and a caller still does: half a minute of
//! some voices here, the whole matrix in the example `echo_guard`.

use std::sync::LazyLock;

mod echoes;
mod spoken;

use echoes::{Delay, Echo, Path, Reference, Scene, Tally, Voices};
use offhook_media::codec::CodecKind;

const SECONDS: usize = 25;

static VOICES: LazyLock<Vec<Voices>> = LazyLock::new(|| {
    [(0, 1), (2, 0), (3, 4)]
        .into_iter()
        .map(|(agent, caller)| {
            Voices::new(
                &spoken::minute(spoken::VOICES[agent], 0),
                &spoken::minute(spoken::VOICES[caller], 1),
                SECONDS,
                8_000,
            )
        })
        .collect()
});

#[test]
fn at_20_db_and_40_ms_no_voice_interrupts_itself_and_without_the_guard_it_does() {
    let mut without = 0;
    for (index, voices) in VOICES.iter().enumerate() {
        for path in [Path::Pure, Path::Hybrid] {
            let scene = |guard| Scene {
                kind: CodecKind::Pcmu,
                agent: &voices.agent,
                echo: Some(Echo {
                    level_db: -20.0,
                    delay: Delay::Ms(40),
                    path,
                }),
                caller: None,
                guard,
            };
            assert_eq!(scene(true).barge_ins(), [], "voice {index}, {path:?}");
            without += scene(false).barge_ins().len();
        }
    }
    assert!(without >= 6, "{without} without the guard");
}

#[test]
fn a_caller_over_an_echo_of_20_db_is_found_as_soon_as_without() {
    let mut tally = Tally::default();
    for voices in VOICES.iter() {
        let caller = voices.caller(-6.0);
        let reference = Reference::new(CodecKind::Pcmu, voices, &caller);
        let scene = Scene {
            kind: CodecKind::Pcmu,
            agent: &voices.agent,
            echo: Some(Echo {
                level_db: -20.0,
                delay: Delay::Ms(40),
                path: Path::Hybrid,
            }),
            caller: Some(&caller),
            guard: true,
        };
        reference.compare(&scene.barge_ins(), &mut tally);
    }
    assert!(tally.all >= 10, "{tally:?}");
    // One is a word of half a second and no more: without its first 20 ms it is too short.
    assert!(tally.missed <= 1 && tally.median_ms() <= 30, "{tally:?}");
}
