//! Keeps the sum of the buses inside full scale without the crackle of clipping.

use dasp::Sample;

/// Lowers the gain of a frame that would exceed the ceiling and lets it recover slowly. A frame's peak
/// is known before its first sample leaves, so the gain is down in time; what still sticks out during
/// the 1 ms of the move is bent by a soft knee that never reaches full scale.
#[derive(Clone, Debug)]
pub(crate) struct Limiter {
    gain: f32,
}

/// -1 dBFS.
const CEILING: f32 = 0.891;
/// The gain moves down within a tenth of a frame, which is 1 ms.
const ATTACK_SHARE: usize = 10;
/// And back up by 0.25 dB a frame, 25 dB a second.
const RECOVERY: f32 = 1.0292;

impl Limiter {
    pub(crate) fn new() -> Self {
        Self { gain: 1.0 }
    }

    /// Whether a frame within full scale would pass unchanged.
    pub(crate) fn is_idle(&self) -> bool {
        self.gain >= 1.0
    }

    /// A frame went by in silence.
    pub(crate) fn rest(&mut self) {
        self.gain = (self.gain * RECOVERY).min(1.0);
    }

    pub(crate) fn apply(&mut self, sum: &[f32], out: &mut [i16]) {
        let peak = sum.iter().fold(0f32, |peak, sample| peak.max(sample.abs()));
        let allowed = if peak > CEILING { CEILING / peak } else { 1.0 };
        let target = allowed.min(self.gain * RECOVERY).min(1.0);
        let ramp = if target < self.gain {
            sum.len() / ATTACK_SHARE
        } else {
            sum.len()
        };
        let step = (target - self.gain) / ramp.max(1) as f32;
        for (index, (sample, out)) in sum.iter().zip(out.iter_mut()).enumerate() {
            let gain = if index < ramp {
                self.gain + step * (index + 1) as f32
            } else {
                target
            };
            *out = soft_knee(sample * gain).to_sample::<i16>();
        }
        self.gain = target;
    }
}

/// The identity up to the ceiling, then a curve that approaches but never reaches full scale.
fn soft_knee(sample: f32) -> f32 {
    let magnitude = sample.abs();
    if magnitude <= CEILING {
        return sample;
    }
    let room = 0.999 - CEILING;
    let excess = (magnitude - CEILING) / room;
    (CEILING + room * excess / (1.0 + excess)).copysign(sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_within_the_ceiling_passes_unchanged() {
        let mut limiter = Limiter::new();
        let samples: Vec<i16> = (0..80).map(|index| (index - 40) * 600).collect();
        let sum: Vec<f32> = samples
            .iter()
            .map(|sample| sample.to_sample::<f32>())
            .collect();
        let mut out = [0i16; 80];
        limiter.apply(&sum, &mut out);
        assert_eq!(out.to_vec(), samples);
        assert!(limiter.is_idle());
    }

    #[test]
    fn three_full_scale_sines_together_never_reach_full_scale_and_keep_their_shape() {
        let mut limiter = Limiter::new();
        let mut outputs = Vec::new();
        let mut inputs = Vec::new();
        for frame in 0..100 {
            let sum: Vec<f32> = (0..80)
                .map(|index| {
                    let time = (frame * 80 + index) as f32 / 8000.0;
                    3.0 * (std::f32::consts::TAU * 440.0 * time).sin()
                })
                .collect();
            let mut out = [0i16; 80];
            limiter.apply(&sum, &mut out);
            inputs.extend(sum);
            outputs.extend(out);
        }
        assert!(outputs.iter().all(|sample| sample.unsigned_abs() < 32_767));
        // After the first frame it is the sine again, only lower: what is left after the best scaled
        // copy of the input is subtracted is distortion.
        let (inputs, outputs) = (&inputs[800..], &outputs[800..]);
        let dot: f64 = inputs
            .iter()
            .zip(outputs)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum();
        let power: f64 = inputs.iter().map(|a| f64::from(*a).powi(2)).sum();
        let scale = dot / power;
        let error: f64 = inputs
            .iter()
            .zip(outputs)
            .map(|(a, b)| (f64::from(*b) - scale * f64::from(*a)).powi(2))
            .sum();
        let ratio = 10.0 * (scale * scale * power / error).log10();
        assert!(ratio > 40.0, "signal to distortion {ratio:.1} dB");
    }

    #[test]
    fn the_gain_comes_back_after_a_loud_frame() {
        let mut limiter = Limiter::new();
        let mut out = [0i16; 80];
        limiter.apply(&[1.8; 80], &mut out);
        assert!(!limiter.is_idle());
        for _ in 0..40 {
            limiter.rest();
        }
        assert!(limiter.is_idle());
    }
}
