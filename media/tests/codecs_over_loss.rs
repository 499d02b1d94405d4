//! Every codec over a network that loses: what is concealed, how late it is heard, and how far it is from what was
//! said. `cargo run --release -p offhook-media --example loss_quality` prints the whole table.

mod loss_measure;
mod lossy_network;

use loss_measure::{Outcome, call};
use offhook_media::codec::{Codec, CodecKind};

const SECONDS: usize = 6;

fn outcomes(kind: CodecKind, burst: u32) -> Vec<(f64, Outcome)> {
    let losses = [0.0, 0.01, 0.05, 0.1, 0.2];
    losses
        .map(|loss| (loss, call(Codec::new(kind), SECONDS, loss, burst, 11)))
        .to_vec()
}

#[test]
fn every_codec_conceals_what_was_lost_and_no_more_at_an_unchanged_delay() {
    for kind in CodecKind::ALL {
        for burst in [1, 3] {
            let outcomes = outcomes(kind, burst);
            let whole = outcomes[0].1;
            println!("{kind:?} in runs of {burst}: {whole:.3?}");
            assert_eq!(whole.concealed, 0.0, "{kind:?}");
            assert!(whole.delay_ms < 45.0, "{kind:?}: {whole:?}");
            for (loss, outcome) in &outcomes[1..] {
                println!("  {loss}: {outcome:.3?}");
                let what = format!("{kind:?} {loss} in runs of {burst}: {outcome:?}");
                // A loss touches a frame at its end more than it holds, where packets are not in step with ticks.
                assert!((outcome.concealed - outcome.lost).abs() < 0.012, "{what}");
                assert!((outcome.delay_ms - whole.delay_ms).abs() < 10.0, "{what}");
                assert!(outcome.segmental_db <= whole.segmental_db + 0.1, "{what}");
                assert!(outcome.spectral_db >= whole.spectral_db - 0.1, "{what}");
            }
        }
    }
}

/// Log-spectral distances beyond what the codec itself does, in dB, by a tenth lost singly.
#[test]
fn a_tenth_lost_leaves_speech_close_to_itself_with_every_codec() {
    for kind in CodecKind::ALL {
        let distance = |loss| call(Codec::new(kind), SECONDS, loss, 1, 5).spectral_db;
        let (whole, damaged) = (distance(0.0), distance(0.1));
        println!("{kind:?}: {whole:.2} dB whole, {damaged:.2} dB with a tenth lost");
        assert!(
            damaged - whole < 2.0,
            "{kind:?}: {whole:.2} to {damaged:.2} dB"
        );
    }
}
