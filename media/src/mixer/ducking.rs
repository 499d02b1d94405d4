//! How far the thinking and background buses step back while the agent speaks.

use dasp::envelope::{Detect, Detector};
use dasp::ring_buffer;
use dasp::rms::Rms;

/// The factor in force at the beginning and at the end of one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Duck {
    pub(crate) from: f32,
    pub(crate) to: f32,
}

/// Follows the level of the speech bus, one value a frame, and answers with a gain between 0 dB and
/// [`DEPTH_DECIBELS`].
#[derive(Clone)]
pub(crate) struct Ducker {
    presence: Detector<f32, SpeechPresence>,
    factor: f32,
    envelope: f32,
}

/// How far the other buses are lowered under speech.
const DEPTH_DECIBELS: f32 = -12.0;
/// After 80 ms of speech (and 300 ms without) nine tenths of the depth are reached: time constants of
/// 80 and 300 ms over ln 10, in frames of 10 ms.
const ATTACK_FRAMES: f32 = 8.0 / std::f32::consts::LN_10;
const RELEASE_FRAMES: f32 = 30.0 / std::f32::consts::LN_10;
/// Speech below this level (-50 dBFS) does not push the others back.
const PRESENT_ABOVE: f32 = 0.003;
/// The level reported for speech that plays alone.
const NOMINAL_LEVEL: f32 = 0.1;
/// Frames over which the level is taken, so that the gaps inside a word do not pump.
const LEVEL_FRAMES: usize = 4;

/// One while the level of the last frames says that somebody speaks, zero otherwise.
#[derive(Clone)]
struct SpeechPresence {
    level: Rms<f32, [f32; LEVEL_FRAMES]>,
}

impl Detect<f32> for SpeechPresence {
    type Output = f32;

    fn detect(&mut self, frame_level: f32) -> f32 {
        if self.level.next(frame_level) > PRESENT_ABOVE {
            1.0
        } else {
            0.0
        }
    }
}

impl Ducker {
    pub(crate) fn new() -> Self {
        let level = Rms::new(ring_buffer::Fixed::from([0.0; LEVEL_FRAMES]));
        Self {
            presence: Detector::new(SpeechPresence { level }, ATTACK_FRAMES, RELEASE_FRAMES),
            factor: 1.0,
            envelope: 0.0,
        }
    }

    /// The next frame's factor for the ducked buses; `speech_level` is the frame's RMS, 0 to 1.
    pub(crate) fn next(&mut self, speech_level: f32) -> Duck {
        self.envelope = self.presence.next(speech_level);
        let from = self.factor;
        self.factor = if self.is_at_rest() {
            1.0
        } else {
            10f32.powf(DEPTH_DECIBELS * self.envelope / 20.0)
        };
        Duck {
            from,
            to: self.factor,
        }
    }

    /// Whether the other buses play at full level.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.envelope < 0.001
    }

    /// Speech plays and nothing is there to be ducked: a sound that begins now begins lowered.
    pub(crate) fn speech_alone(&mut self) {
        if self.envelope < 0.999 {
            self.next(NOMINAL_LEVEL);
        }
    }

    /// Nothing plays at all.
    pub(crate) fn rest(&mut self) {
        if !self.is_at_rest() {
            self.next(0.0);
        }
    }
}

impl std::fmt::Debug for Ducker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ducker")
            .field("factor", &self.factor)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decibels(factor: f32) -> f32 {
        20.0 * factor.log10()
    }

    #[test]
    fn most_of_the_depth_is_reached_after_80_ms_of_speech_and_left_after_300_ms_without() {
        let mut ducker = Ducker::new();
        let attack: Vec<f32> = (0..20).map(|_| decibels(ducker.next(0.1).to)).collect();
        assert!(attack[3] > -10.0, "half-way at 40 ms: {attack:?}");
        assert!(
            (-11.5..-10.5).contains(&attack[7]),
            "nine tenths at 80 ms: {attack:?}"
        );
        for _ in 0..100 {
            ducker.next(0.1);
        }
        assert!((decibels(ducker.factor) + 12.0).abs() < 0.01);
        let release: Vec<f32> = (0..60).map(|_| decibels(ducker.next(0.0).to)).collect();
        let held = LEVEL_FRAMES - 1;
        assert!(
            (-1.4..-1.0).contains(&release[held + 29]),
            "a tenth left at 300 ms: {release:?}"
        );
    }

    #[test]
    fn noise_of_a_quiet_prompt_does_not_duck() {
        let mut ducker = Ducker::new();
        for _ in 0..50 {
            assert_eq!(ducker.next(0.001).to, 1.0);
        }
    }

    #[test]
    fn each_frame_begins_where_the_last_one_ended() {
        let mut ducker = Ducker::new();
        let mut last = 1.0;
        for frame in 0..200 {
            let duck = ducker.next(if frame % 70 < 30 { 0.2 } else { 0.0 });
            assert_eq!(duck.from, last);
            last = duck.to;
        }
    }
}
