//! The short-time spectra of what was sent and what came back, both by one Fourier transform.

use std::f32::consts::TAU;
use std::fmt;
use std::sync::{Arc, LazyLock};

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

/// Samples of a tick at 8 kHz.
pub(super) const TICK: usize = 80;
/// Samples a spectrum is made of: 16 ms, so that neighbours share a little.
const WINDOW: usize = 128;
const SHARED: usize = WINDOW - TICK;
/// The lowest bin that is looked at, of 62.5 Hz each: 250 Hz.
const LOWEST_BIN: usize = 4;
/// Bins looked at: up to 3,250 Hz.
pub(super) const BINS: usize = BANDS * BINS_A_BAND;
/// Bands of 188 Hz.
pub(super) const BANDS: usize = 16;
pub(super) const BINS_A_BAND: usize = 3;

/// Power in each bin; 1 is a mean square of 1 in sample units.
pub(super) type Spectrum = [f32; BINS];
/// A value for each band.
pub(super) type Bands = [f32; BANDS];

/// A spectrum that is kept: the upper halves of its numbers, which are within 0.8 per cent of them.
pub(super) type Kept = [u16; BINS];

pub(super) fn keep(spectrum: &Spectrum) -> Kept {
    spectrum.map(|power| (power.to_bits() >> 16) as u16)
}

pub(super) fn recall(kept: &Kept) -> Spectrum {
    kept.map(|half| f32::from_bits(u32::from(half) << 16))
}

/// The power in each band.
pub(super) fn in_bands(spectrum: &Spectrum) -> Bands {
    let (bands, _) = spectrum.as_chunks::<BINS_A_BAND>();
    std::array::from_fn(|band| bands[band].iter().sum())
}

/// Two streams of ticks, each with what its windows need of the past. The real part of the transform's input
/// is what was sent, the imaginary part what came back; the symmetry of real signals tells them apart again.
pub(super) struct Spectra {
    transform: Arc<dyn Fft<f32>>,
    window: [f32; WINDOW],
    sent: [f32; WINDOW],
    heard: [f32; WINDOW],
    buffer: [Complex<f32>; WINDOW],
    scratch: Box<[Complex<f32>]>,
}

/// One plan for all legs.
static TRANSFORM: LazyLock<Arc<dyn Fft<f32>>> =
    LazyLock::new(|| FftPlanner::new().plan_fft_forward(WINDOW));

impl Spectra {
    pub(super) fn new() -> Self {
        let transform = Arc::clone(&TRANSFORM);
        let scratch = vec![Complex::default(); transform.get_inplace_scratch_len()];
        // Of unit power, so that a bin's power does not depend on the window's length.
        let scale = (8.0f32 / 3.0).sqrt() / WINDOW as f32;
        Self {
            transform,
            window: std::array::from_fn(|index| {
                let turn = TAU * (index as f32 + 0.5) / WINDOW as f32;
                (0.5 - 0.5 * turn.cos()) * scale
            }),
            sent: [0.0; WINDOW],
            heard: [0.0; WINDOW],
            buffer: [Complex::default(); WINDOW],
            scratch: scratch.into(),
        }
    }

    /// The spectra of the windows that end with these ticks: sent, heard.
    pub(super) fn next(&mut self, sent: &[f32; TICK], heard: &[f32; TICK]) -> (Spectrum, Spectrum) {
        for (past, tick) in [(&mut self.sent, sent), (&mut self.heard, heard)] {
            past.copy_within(TICK.., 0);
            past[SHARED..].copy_from_slice(tick);
        }
        for index in 0..WINDOW {
            let weight = self.window[index];
            self.buffer[index] =
                Complex::new(self.sent[index] * weight, self.heard[index] * weight);
        }
        self.transform
            .process_with_scratch(&mut self.buffer, &mut self.scratch);
        let (mut ours, mut theirs) = ([0.0; BINS], [0.0; BINS]);
        for index in 0..BINS {
            let a = self.buffer[LOWEST_BIN + index];
            let b = self.buffer[WINDOW - LOWEST_BIN - index];
            let (sum, difference) = (a + b.conj(), a - b.conj());
            ours[index] = sum.norm_sqr() / 2.0;
            theirs[index] = difference.norm_sqr() / 2.0;
        }
        (ours, theirs)
    }
}

impl fmt::Debug for Spectra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spectra").finish_non_exhaustive()
    }
}
