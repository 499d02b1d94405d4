//! Frames of 10 ms from one sample rate to another, one out for each one in.

use crate::resampler::{Resampler, UnsupportedRates};
use crate::seam::backwards;

/// The longest frame: 10 ms at 48 kHz.
pub(crate) const LONGEST_FRAME: usize = 480;

/// Converts frame by frame, 10 ms and the filter's delay behind; at equal rates it copies. It allocates when it is
/// made and never again.
#[derive(Debug)]
pub(crate) struct FrameConverter {
    resampler: Resampler,
    /// Samples of 10 ms at the first rate.
    samples_in: usize,
    /// Converted samples that wait for their frame; three frames at most.
    ready: Vec<i16>,
    passes_through: bool,
}

impl FrameConverter {
    /// A converter from `from_hz` to `to_hz`.
    pub(crate) fn new(from_hz: u32, to_hz: u32) -> Result<Self, UnsupportedRates> {
        let tick = to_hz as usize / 100;
        // The resampler takes 20 ms at a time: the first frame out has to come from somewhere.
        let mut ready = Vec::with_capacity(4 * tick);
        ready.resize(tick, 0);
        Ok(Self {
            samples_in: from_hz as usize / 100,
            resampler: Resampler::new(from_hz, to_hz)?,
            ready,
            passes_through: from_hz == to_hz,
        })
    }

    /// How many samples it takes: 10 ms at the first rate.
    pub(crate) fn samples_in(&self) -> usize {
        self.samples_in
    }

    /// What came before it, at whatever rate, fades out within its first 10 ms. To be called first.
    pub(crate) fn begin_with_the_end_of(&mut self, before: &[i16]) {
        backwards(before, &mut self.ready);
    }

    /// Takes 10 ms at the first rate and fills `out`, 10 ms at the second.
    pub(crate) fn convert(&mut self, frame: &[i16], out: &mut [i16]) {
        if self.passes_through {
            out.copy_from_slice(frame);
            return;
        }
        self.resampler.process(frame, &mut self.ready);
        let length = out.len().min(self.ready.len());
        let (now, silence) = out.split_at_mut(length);
        now.copy_from_slice(&self.ready[..length]);
        silence.fill(0);
        self.ready.drain(..length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hertz: f64, rate: u32, samples: usize) -> Vec<i16> {
        let at = |index: usize| std::f64::consts::TAU * hertz * index as f64 / f64::from(rate);
        (0..samples)
            .map(|index| (8_000.0 * at(index).sin()) as i16)
            .collect()
    }

    #[test]
    fn a_tone_goes_from_rate_to_rate_without_a_gap() {
        for (from, to) in [
            (8_000, 16_000),
            (16_000, 8_000),
            (48_000, 8_000),
            (8_000, 8_000),
        ] {
            let mut converter = FrameConverter::new(from, to).unwrap();
            let tone = sine(440.0, from, from as usize / 2);
            let mut heard = Vec::new();
            let capacity = converter.ready.capacity();
            for frame in tone.chunks(from as usize / 100) {
                let mut out = vec![0; to as usize / 100];
                converter.convert(frame, &mut out);
                heard.extend(out);
            }
            assert_eq!(heard.len(), to as usize / 2);
            assert_eq!(converter.ready.capacity(), capacity, "it never grows");
            // Settled: every period reaches the peak, and no step is larger than the tone's own.
            let settled = &heard[heard.len() / 5..];
            let own = 8_000.0 * std::f64::consts::TAU * 440.0 / f64::from(to);
            let step = settled
                .windows(2)
                .map(|w| (w[1] - w[0]).unsigned_abs())
                .max();
            assert!(
                f64::from(step.unwrap()) < own * 1.05,
                "{from} {to} {step:?}"
            );
            let period = to as usize / 440 + 1;
            assert!(
                settled
                    .chunks_exact(period)
                    .all(|period| { period.iter().any(|sample| sample.unsigned_abs() > 7_500) })
            );
        }
    }
}
