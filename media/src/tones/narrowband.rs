//! Any leg's audio at 8 kHz, a window of it at a time.

use std::f32::consts::PI;

use super::correlator::WINDOW;

/// Brings a leg's samples to 8 kHz and keeps the last 20 ms of them. Tones lie below 2.2 kHz, so the
/// filter may be short: what folds back from between 4 and 5.8 kHz falls above them.
#[derive(Clone, Debug)]
pub(super) struct Narrowband {
    /// Input samples for each one of 8 kHz.
    factor: usize,
    taps: Box<[f32]>,
    /// The last input samples, in a row that is moved back when it is full; unused at 8 kHz.
    past: Box<[f32]>,
    filled: usize,
    /// Input samples until the next output.
    until_next: usize,
    window: [f32; WINDOW],
    /// Samples in the window since it was last handed out.
    fresh: usize,
    hop: usize,
}

/// Taps on each side of the middle, for each unit of the factor.
const TAPS_A_SIDE: usize = 6;
/// Where the filter cuts, in hertz.
const CUT_HZ: f32 = 3_600.0;

impl Narrowband {
    /// Windows that begin `hop` samples (of 8 kHz) after each other, from audio at `sample_rate_hz`;
    /// `None` unless that is 8, 16, 24, 32, 40 or 48 kHz.
    pub(super) fn new(sample_rate_hz: u32, hop: usize) -> Option<Self> {
        let factor = (sample_rate_hz / 8_000) as usize;
        if !sample_rate_hz.is_multiple_of(8_000) || !(1..=6).contains(&factor) {
            return None;
        }
        let taps = low_pass(factor);
        Some(Self {
            factor,
            past: vec![0.0; 4 * taps.len()].into(),
            filled: taps.len(),
            taps,
            until_next: factor,
            window: [0.0; WINDOW],
            fresh: 0,
            hop,
        })
    }

    /// Takes samples and hands out each window that they complete, with how many milliseconds of the frame
    /// came after the window's last sample.
    pub(super) fn feed(&mut self, frame: &[i16], mut window: impl FnMut(&[f32; WINDOW], usize)) {
        for (index, sample) in frame.iter().enumerate() {
            let sample = f32::from(*sample);
            let narrow = if self.factor == 1 {
                sample
            } else {
                self.remember(sample);
                self.until_next -= 1;
                if self.until_next > 0 {
                    continue;
                }
                self.until_next = self.factor;
                filtered(
                    &self.past[self.filled - self.taps.len()..self.filled],
                    &self.taps,
                )
            };
            self.window[WINDOW - self.hop + self.fresh] = narrow;
            self.fresh += 1;
            if self.fresh == self.hop {
                window(&self.window, (frame.len() - 1 - index) / (self.factor * 8));
                self.fresh = 0;
                self.window.copy_within(self.hop.., 0);
            }
        }
    }

    fn remember(&mut self, sample: f32) {
        if self.filled == self.past.len() {
            let kept = self.taps.len();
            self.past.copy_within(self.filled - kept.., 0);
            self.filled = kept;
        }
        self.past[self.filled] = sample;
        self.filled += 1;
    }
}

/// Eight sums side by side, so that no addition waits for the one before it.
fn filtered(samples: &[f32], taps: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    let (samples, last_samples) = samples.as_chunks::<8>();
    let (taps, last_taps) = taps.as_chunks::<8>();
    for (samples, taps) in samples.iter().zip(taps) {
        for index in 0..8 {
            sums[index] += samples[index] * taps[index];
        }
    }
    let rest = last_samples.iter().zip(last_taps).map(|(a, b)| a * b);
    sums.iter().sum::<f32>() + rest.sum::<f32>()
}

/// A sinc under a Blackman window.
fn low_pass(factor: usize) -> Box<[f32]> {
    if factor == 1 {
        return Box::default();
    }
    let middle = (TAPS_A_SIDE * factor) as f32;
    let cut = 2.0 * CUT_HZ / (8_000.0 * factor as f32);
    let mut taps: Box<[f32]> = (0..=2 * TAPS_A_SIDE * factor)
        .map(|index| {
            let from_middle = index as f32 - middle;
            let sinc = if from_middle == 0.0 {
                1.0
            } else {
                (PI * cut * from_middle).sin() / (PI * cut * from_middle)
            };
            let across = PI * index as f32 / middle;
            sinc * (0.42 - 0.5 * across.cos() + 0.08 * (2.0 * across).cos())
        })
        .collect();
    let sum: f32 = taps.iter().sum();
    for tap in &mut taps {
        *tap /= sum;
    }
    taps
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The level of the last window, of a sine of 10,000.
    fn level(sample_rate_hz: u32, frequency_hz: f32) -> f32 {
        let mut narrowband = Narrowband::new(sample_rate_hz, 40).unwrap();
        let samples: Vec<i16> = (0..sample_rate_hz / 5)
            .map(|index| {
                let phase = 2.0 * PI * frequency_hz * index as f32 / sample_rate_hz as f32;
                (10_000.0 * phase.sin()) as i16
            })
            .collect();
        let mut power = 0.0;
        for frame in samples.chunks(sample_rate_hz as usize / 100) {
            narrowband.feed(frame, |window, _| {
                power = window.iter().map(|s| s * s).sum::<f32>() / WINDOW as f32;
            });
        }
        (2.0 * power).sqrt() / 10_000.0
    }

    #[test]
    fn every_rate_keeps_the_tones_and_loses_what_would_fold_onto_them() {
        for rate in [8_000, 16_000, 24_000, 32_000, 48_000] {
            for frequency in [400.0, 1_000.0, 2_100.0] {
                assert!(
                    (level(rate, frequency) - 1.0).abs() < 0.03,
                    "{frequency} at {rate}"
                );
            }
        }
        for rate in [16_000, 48_000] {
            assert!(level(rate, 6_000.0) < 0.01 && level(rate, 7_300.0) < 0.01);
        }
        assert!(Narrowband::new(44_100, 40).is_none() && Narrowband::new(12_000, 40).is_none());
    }

    #[test]
    fn frames_of_any_length_give_the_same_windows() {
        let samples: Vec<i16> = (0..2_000)
            .map(|index| (index * 7_919 % 3_001) as i16)
            .collect();
        let windows = |length: usize| {
            let mut narrowband = Narrowband::new(16_000, 40).unwrap();
            let mut all = Vec::new();
            for frame in samples.chunks(length) {
                narrowband.feed(frame, |window, _| all.push(*window));
            }
            all
        };
        assert_eq!(windows(160), windows(7));
        assert_eq!(windows(160).len(), 25);
    }
}
