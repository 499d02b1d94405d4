//! Between sample rates.
//!
//! A leg runs at its codec's rate; a prompt, a recogniser or a model that wants another one is adapted
//! here, never on the packet path. The work is rubato's FFT resampler in pieces of 20 ms (in 10 ms its filter already costs 0.1 dB at 3 kHz); this module
//! gives it 16-bit samples and any length of input.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _};

/// A pair of rates that cannot be converted: one is zero, or they need pieces longer than a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot resample from {from_hz} Hz to {to_hz} Hz")]
pub struct UnsupportedRates {
    /// The input's rate.
    pub from_hz: u32,
    /// The output's rate.
    pub to_hz: u32,
}

/// A streaming converter for mono 16-bit audio.
pub struct Resampler {
    /// `None` when the rates are equal and samples pass as they are.
    engine: Option<Engine>,
}

struct Engine {
    fft: Fft<f32>,
    /// Samples waiting for a whole piece.
    input: Vec<f32>,
    filled: usize,
    output: Vec<f32>,
}

const PIECES_PER_SECOND: u32 = 50;

impl Resampler {
    /// A converter from `from_hz` to `to_hz`. It allocates here and never again but for `out`.
    ///
    /// # Errors
    /// [`UnsupportedRates`] when a rate is zero or above 384 kHz, or the two have so little in common
    /// that a piece would exceed one second.
    pub fn new(from_hz: u32, to_hz: u32) -> Result<Self, UnsupportedRates> {
        let unsupported = UnsupportedRates { from_hz, to_hz };
        let usable = 1..=384_000;
        if !usable.contains(&from_hz) || !usable.contains(&to_hz) {
            return Err(unsupported);
        }
        if from_hz == to_hz {
            return Ok(Self { engine: None });
        }
        let (from, to) = (from_hz as usize, to_hz as usize);
        let piece = (from_hz / PIECES_PER_SECOND).max(1) as usize;
        let fft = Fft::<f32>::new(from, to, piece, 1, FixedSync::Both).map_err(|_| unsupported)?;
        if fft.input_frames_max() > from {
            return Err(unsupported);
        }
        let input = vec![0.0; fft.input_frames_max()];
        let output = vec![0.0; fft.output_frames_max()];
        Ok(Self {
            engine: Some(Engine {
                fft,
                input,
                filled: 0,
                output,
            }),
        })
    }

    /// Converts `input` and appends what is complete to `out`; up to a piece (20 ms for the telephone
    /// rates) stays inside until more arrives.
    pub fn process(&mut self, input: &[i16], out: &mut Vec<i16>) {
        let Some(engine) = &mut self.engine else {
            out.extend_from_slice(input);
            return;
        };
        let mut rest = input;
        while !rest.is_empty() {
            let room = engine.input.len() - engine.filled;
            let (taken, later) = rest.split_at(room.min(rest.len()));
            let slots = &mut engine.input[engine.filled..engine.filled + taken.len()];
            for (slot, sample) in slots.iter_mut().zip(taken) {
                *slot = f32::from(*sample);
            }
            engine.filled += taken.len();
            rest = later;
            if engine.filled == engine.input.len() {
                engine.filled = 0;
                engine.convert_piece();
                out.extend(engine.output.iter().map(|sample| to_i16(*sample)));
            }
        }
    }

    /// By how many output samples the output lags the input, beside the piece being filled.
    #[must_use]
    pub fn delay_samples(&self) -> usize {
        self.engine
            .as_ref()
            .map_or(0, |engine| engine.fft.output_delay())
    }
}

impl Engine {
    fn convert_piece(&mut self) {
        let input_length = self.input.len();
        let output_length = self.output.len();
        let input = SequentialSlice::new(&self.input, 1, input_length)
            .expect("one channel of the buffer's own length");
        let mut output = SequentialSlice::new_mut(&mut self.output, 1, output_length)
            .expect("one channel of the buffer's own length");
        self.fft
            .process_into_buffer(&input, &mut output, None)
            .expect("the buffers have the sizes the resampler asked for");
    }
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resampler")
            .field("passes_through", &self.engine.is_none())
            .finish()
    }
}

/// Rounds to the nearest sample and holds what overshoots at full scale.
fn to_i16(sample: f32) -> i16 {
    // The cast saturates.
    sample.round() as i16
}

/// Converts a whole recording, its delay taken off: the result begins with the input's first sample and
/// lasts as long as the input.
///
/// # Errors
/// As [`Resampler::new`].
pub fn resample_whole(
    samples: &[i16],
    from_hz: u32,
    to_hz: u32,
) -> Result<Vec<i16>, UnsupportedRates> {
    let mut resampler = Resampler::new(from_hz, to_hz)?;
    let length = (samples.len() as u64 * u64::from(to_hz)).div_ceil(u64::from(from_hz)) as usize;
    let delay = resampler.delay_samples();
    let mut out = Vec::with_capacity(length + delay + to_hz as usize / 50);
    resampler.process(samples, &mut out);
    let silence = [0i16; 256];
    while out.len() < length + delay {
        resampler.process(&silence, &mut out);
    }
    out.drain(..delay);
    out.truncate(length);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hertz: f64, rate: u32, amplitude: f64, samples: usize) -> Vec<i16> {
        (0..samples)
            .map(|index| {
                let phase = std::f64::consts::TAU * hertz * index as f64 / f64::from(rate);
                (amplitude * phase.sin()).round() as i16
            })
            .collect()
    }

    /// The amplitude of one frequency in the middle of `samples`, and the root mean square of all else.
    fn tone_and_rest(samples: &[i16], hertz: f64, rate: u32) -> (f64, f64) {
        let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
        // Whole periods of the tone and of 100 Hz, so that the projection is exact.
        let middle = &middle[..middle.len() / rate as usize * 100 / 100 * rate as usize];
        let (mut sine, mut cosine) = (0.0, 0.0);
        for (index, sample) in middle.iter().enumerate() {
            let phase = std::f64::consts::TAU * hertz * index as f64 / f64::from(rate);
            sine += f64::from(*sample) * phase.sin();
            cosine += f64::from(*sample) * phase.cos();
        }
        let count = middle.len() as f64;
        let (sine, cosine) = (sine * 2.0 / count, cosine * 2.0 / count);
        let rest: f64 = middle
            .iter()
            .enumerate()
            .map(|(index, sample)| {
                let phase = std::f64::consts::TAU * hertz * index as f64 / f64::from(rate);
                (f64::from(*sample) - sine * phase.sin() - cosine * phase.cos()).powi(2)
            })
            .sum();
        (sine.hypot(cosine), (rest / count).sqrt())
    }

    fn decibels(ratio: f64) -> f64 {
        20.0 * ratio.log10()
    }

    const RATE_PAIRS: [(u32, u32); 8] = [
        (8000, 16_000),
        (16_000, 8000),
        (24_000, 8000),
        (24_000, 16_000),
        (22_050, 8000),
        (44_100, 8000),
        (48_000, 16_000),
        (8000, 48_000),
    ];

    #[test]
    fn the_passband_is_flat_and_clean_up_to_the_telephone_band_edge() {
        for (from, to) in RATE_PAIRS {
            let edge = f64::from(from.min(to)) / 2.0;
            for share in [0.05, 0.25, 0.5, 0.75, 0.85] {
                let hertz = (edge * share / 100.0).round() * 100.0;
                let input = sine(hertz, from, 16_000.0, from as usize * 4);
                let output = resample_whole(&input, from, to).unwrap();
                let (tone, rest) = tone_and_rest(&output, hertz, to);
                let ripple = decibels(tone / 16_000.0);
                let noise = decibels(tone / std::f64::consts::SQRT_2 / rest);
                println!("{from} to {to} Hz, {hertz} Hz: {ripple:+.3} dB, SNR {noise:.1} dB");
                let allowed = if share < 0.8 { 0.05 } else { 0.5 };
                assert!(
                    ripple.abs() < allowed,
                    "{from} to {to}, {hertz} Hz: {ripple:.3} dB"
                );
                // 16-bit rounding of input and output is all that is left.
                assert!(noise > 85.0, "{from} to {to}, {hertz} Hz: {noise:.1} dB");
            }
        }
    }

    #[test]
    fn what_the_narrower_band_cannot_hold_is_gone_and_not_folded_back() {
        for (from, to, hertz) in [
            (16_000, 8000, 4700.0),
            (16_000, 8000, 6000.0),
            (24_000, 8000, 9000.0),
            (48_000, 16_000, 9500.0),
        ] {
            let input = sine(hertz, from, 16_000.0, from as usize * 4);
            let output = resample_whole(&input, from, to).unwrap();
            let middle = &output[output.len() / 4..output.len() * 3 / 4];
            let power: f64 = middle.iter().map(|sample| f64::from(*sample).powi(2)).sum();
            let level = decibels((power / middle.len() as f64).sqrt().max(0.01) / 11_313.7);
            println!("{from} to {to} Hz, {hertz} Hz folds back at {level:.1} dB");
            assert!(level < -80.0, "{from} to {to}, {hertz} Hz: {level:.1} dB");
        }
    }

    #[test]
    fn upsampling_leaves_no_image() {
        let input = sine(3000.0, 8000, 16_000.0, 32_000);
        let output = resample_whole(&input, 8000, 16_000).unwrap();
        let (image, _) = tone_and_rest(&output, 5000.0, 16_000);
        let level = decibels(image.max(0.001) / 16_000.0);
        println!("image at 5 kHz: {level:.1} dB");
        assert!(level < -85.0, "{level:.1} dB");
    }

    #[test]
    fn a_whole_recording_keeps_its_length_and_its_place() {
        for (from, to) in RATE_PAIRS {
            let mut input = vec![0i16; from as usize];
            let click = from as usize / 2;
            // Ten milliseconds around the middle: band-limited enough to keep its centre.
            for offset in 0..from as usize / 100 {
                let share = offset as f64 / (f64::from(from) / 100.0);
                let window = 0.5 - 0.5 * (std::f64::consts::TAU * share).cos();
                input[click + offset - from as usize / 200] = (20_000.0 * window) as i16;
            }
            let output = resample_whole(&input, from, to).unwrap();
            assert_eq!(output.len(), to as usize);
            let (mut weight, mut moment) = (0.0, 0.0);
            for (index, sample) in output.iter().enumerate() {
                weight += f64::from(*sample).powi(2);
                moment += f64::from(*sample).powi(2) * index as f64;
            }
            let centre_ms = moment / weight * 1000.0 / f64::from(to);
            assert!(
                (centre_ms - 500.0).abs() < 0.15,
                "{from} to {to}: {centre_ms:.3} ms"
            );
        }
    }

    #[test]
    fn a_stream_in_crumbs_is_the_same_as_in_one_piece() {
        let input = sine(700.0, 8000, 9000.0, 8000);
        let mut whole = Vec::new();
        Resampler::new(8000, 16_000)
            .unwrap()
            .process(&input, &mut whole);
        let mut crumbs = Vec::new();
        let mut resampler = Resampler::new(8000, 16_000).unwrap();
        let mut rest = &input[..];
        let mut size = 1;
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(size.min(rest.len()));
            resampler.process(piece, &mut crumbs);
            rest = later;
            size = size % 97 + 1;
        }
        assert_eq!(whole, crumbs);
        assert_eq!(whole.len(), 16_000);
    }

    #[test]
    fn equal_rates_pass_samples_unchanged_and_impossible_rates_are_refused() {
        assert_eq!(resample_whole(&[1, -2, 3], 8000, 8000).unwrap(), [1, -2, 3]);
        assert!(resample_whole(&[], 8000, 16_000).unwrap().is_empty());
        for (from, to) in [(0, 8000), (8000, 0), (8000, u32::MAX)] {
            assert!(Resampler::new(from, to).is_err());
        }
    }

    #[test]
    fn overshoot_is_held_at_full_scale() {
        let square: Vec<i16> = (0..8000)
            .map(|index| {
                if index / 20 % 2 == 0 {
                    i16::MAX
                } else {
                    i16::MIN
                }
            })
            .collect();
        let output = resample_whole(&square, 8000, 16_000).unwrap();
        let flips = output
            .windows(2)
            .filter(|pair| pair[0] > 30_000 && pair[1] < -30_000)
            .count();
        assert_eq!(flips, 0, "no sample wrapped round");
    }
}
