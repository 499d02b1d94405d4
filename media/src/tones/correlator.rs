//! How much of each of some frequencies a window of 20 ms holds.
//!
//! A Goertzel filter for each frequency, but with a Hann window, so that the one tone of a pair does not
//! leak into the other's place, and with the phase, which tells the frequency exactly. The window is
//! symmetric, so it is folded in its middle, which halves the work, and all frequencies are summed side by
//! side, which the compiler turns into vector instructions.

use std::f32::consts::TAU;
use std::ops::{Add, AddAssign};

/// A window's length in samples at 8 kHz.
pub(super) const WINDOW: usize = 160;
const HALF: usize = WINDOW / 2;
/// What separates a window's frequencies, in hertz.
pub(super) const BIN_HZ: f32 = 8_000.0 / WINDOW as f32;

/// Amplitude and phase. Squared it is the power of the tone that it was measured on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Phasor {
    pub(super) re: f32,
    pub(super) im: f32,
}

impl Phasor {
    pub(super) fn power(self) -> f32 {
        self.re * self.re + self.im * self.im
    }

    /// How it turned since `earlier`; its length is the product of both.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            re: self.re * earlier.re + self.im * earlier.im,
            im: self.im * earlier.re - self.re * earlier.im,
        }
    }

    /// By how many hertz a tone lies above `frequency_hz`, when this is how it turned in `samples`. Right
    /// as long as it lies within half of 8,000 / `samples`.
    pub(super) fn offset_hz(self, frequency_hz: f32, samples: usize) -> f32 {
        let turns = self.im.atan2(self.re) / TAU - frequency_hz * samples as f32 / 8_000.0;
        (turns - turns.round()) * 8_000.0 / samples as f32
    }
}

impl Add for Phasor {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            re: self.re + other.re,
            im: self.im + other.im,
        }
    }
}

impl AddAssign for Phasor {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// What one window holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spectrum<const N: usize> {
    /// Of each frequency; the phase is that of the window's middle.
    pub(super) phasors: [Phasor; N],
    /// Of everything, scaled so that a single tone's own power comes out.
    pub(super) power: f32,
}

impl<const N: usize> Spectrum<N> {
    pub(super) const SILENCE: Self = Self {
        phasors: [Phasor { re: 0.0, im: 0.0 }; N],
        power: 0.0,
    };
}

/// The window's weight times cosine and sine, for each sample of its later half and each frequency.
#[derive(Debug)]
pub(super) struct Correlator<const N: usize> {
    cosines: [[f32; N]; HALF],
    sines: [[f32; N]; HALF],
    /// The whole window's weights, squared.
    squares: [f32; WINDOW],
}

impl<const N: usize> Correlator<N> {
    pub(super) fn new(frequencies_hz: [f32; N]) -> Self {
        let mut table = Self {
            cosines: [[0.0; N]; HALF],
            sines: [[0.0; N]; HALF],
            squares: [0.0; WINDOW],
        };
        // The sum of a Hann window's weights is half its length, that of their squares three eighths.
        let scale = 2f32.sqrt() / HALF as f32;
        for sample in 0..HALF {
            let time = sample as f32 + 0.5;
            let weight = 0.5 + 0.5 * (TAU * time / WINDOW as f32).cos();
            let square = weight * weight / (WINDOW as f32 * 3.0 / 8.0);
            table.squares[HALF + sample] = square;
            table.squares[HALF - 1 - sample] = square;
            for (index, frequency_hz) in frequencies_hz.iter().enumerate() {
                let phase = f64::from(TAU) * f64::from(*frequency_hz) * f64::from(time) / 8_000.0;
                table.cosines[sample][index] = weight * scale * phase.cos() as f32;
                table.sines[sample][index] = weight * scale * phase.sin() as f32;
            }
        }
        table
    }

    /// Eight sums side by side, so that no addition waits for the one before it.
    pub(super) fn power(&self, window: &[f32; WINDOW]) -> f32 {
        let mut sums = [0f32; 8];
        let (samples, _) = window.as_chunks::<8>();
        let (weights, _) = self.squares.as_chunks::<8>();
        for (samples, weights) in samples.iter().zip(weights) {
            for index in 0..8 {
                sums[index] += samples[index] * samples[index] * weights[index];
            }
        }
        sums.iter().sum()
    }

    pub(super) fn correlate(&self, window: &[f32; WINDOW]) -> Spectrum<N> {
        let (earlier, later) = window.split_at(HALF);
        let mut real = [0f32; N];
        let mut imaginary = [0f32; N];
        let tables = self.cosines.iter().zip(&self.sines);
        for ((before, after), (cosines, sines)) in earlier.iter().rev().zip(later).zip(tables) {
            let (even, odd) = (before + after, before - after);
            for index in 0..N {
                real[index] += even * cosines[index];
                imaginary[index] += odd * sines[index];
            }
        }
        let mut spectrum = Spectrum {
            power: self.power(window),
            ..Spectrum::SILENCE
        };
        for (phasor, (re, im)) in spectrum.phasors.iter_mut().zip(real.iter().zip(imaginary)) {
            *phasor = Phasor { re: *re, im };
        }
        spectrum
    }
}

/// The power that a tone loses in a window's correlation for being `offset_hz` away from its frequency:
/// the Hann window's own spectrum, exact to one per cent within ±50 Hz.
pub(super) fn share_at(offset_hz: f32) -> f32 {
    let bins = (offset_hz / BIN_HZ).clamp(-1.0, 1.0);
    let squared = bins * bins;
    let amplitude = 1.0 - squared * (0.645 - squared * (0.167 - squared * 0.024));
    amplitude * amplitude
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(frequency_hz: f32, amplitude: f32, from: usize) -> [f32; WINDOW] {
        std::array::from_fn(|index| {
            amplitude * (TAU * frequency_hz * (from + index) as f32 / 8_000.0).sin()
        })
    }

    #[test]
    fn a_tones_power_is_found_at_its_frequency_and_in_the_whole() {
        let correlator = Correlator::new([700.0, 1_200.0]);
        let spectrum = correlator.correlate(&tone(700.0, 1_000.0, 3));
        let close = |power: f32| (power - 500_000.0).abs() < 10_000.0;
        assert!(close(spectrum.phasors[0].power()) && close(spectrum.power));
        assert!(spectrum.phasors[1].power() < 100.0);
    }

    #[test]
    fn the_phase_tells_how_far_off_a_frequency_is_and_the_power_can_be_mended() {
        let correlator = Correlator::new([941.0]);
        for offset in [-45.0, -14.0, 0.0, 3.0, 30.0] {
            let [first, second] =
                [7, 47].map(|from| correlator.correlate(&tone(941.0 + offset, 500.0, from)));
            let turned = second.phasors[0].since(first.phasors[0]);
            assert!((turned.offset_hz(941.0, 40) - offset).abs() < 0.5);
            let mended = second.phasors[0].power() / share_at(offset);
            assert!(
                (mended / 125_000.0 - 1.0).abs() < 0.03,
                "{offset}: {mended}"
            );
        }
    }
}
