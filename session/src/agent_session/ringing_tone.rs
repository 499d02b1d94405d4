//! The tone by which a telephone network says that it rings.

use std::f32::consts::TAU;
use std::sync::Arc;

/// ITU-T E.180: 400 to 450 Hz, 0.67 to 1.5 s long and 3 to 5 s apart; this is how most networks do it.
const FREQUENCY_HZ: f32 = 425.0;
const TONE_S: u32 = 1;
const PAUSE_S: u32 = 4;
/// -20 dBFS, as loud as a voice on the line.
const AMPLITUDE: f32 = 3_000.0;

/// One ring and the pause behind it, to be repeated.
pub(super) fn ringing_tone(sample_rate_hz: u32) -> Arc<[i16]> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a tone of a second, well within range"
    )]
    let tone = |index: u32| {
        let step = TAU * FREQUENCY_HZ / sample_rate_hz as f32;
        (AMPLITUDE * (step * index as f32).sin()) as i16
    };
    let pause = std::iter::repeat_n(0, (sample_rate_hz * PAUSE_S) as usize);
    (0..sample_rate_hz * TONE_S)
        .map(tone)
        .chain(pause)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rings_for_a_second_and_is_silent_for_four() {
        let tone = ringing_tone(8_000);
        assert_eq!(tone.len(), 40_000);
        let crossings = tone[..8_000].windows(2);
        let rises = crossings.filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
        assert!((423..=426).contains(&rises), "{rises}");
        assert!(tone[8_000..].iter().all(|sample| *sample == 0));
    }
}
