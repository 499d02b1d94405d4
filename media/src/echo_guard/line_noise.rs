//! The line's own noise, under what is said.

use super::spectra::{BANDS, Bands, Spectrum, in_bands};

/// Follows the power of the noise in each band: it sinks quickly to a quieter tick and rises slowly while there
/// is sound.
#[derive(Debug)]
pub(super) struct LineNoise {
    powers: Bands,
    /// Ticks since the guard woke up. The first of them hold no echo yet.
    ticks: u32,
}

const FIRST_TICKS: u32 = 3;
const LEAST: f32 = 1.0;
/// 8.6 dB a second.
const RISE: f32 = 1.02;
const FALL: f32 = 0.3;
const FOLLOW: f32 = 0.1;

impl LineNoise {
    pub(super) fn new() -> Self {
        Self {
            powers: [LEAST; BANDS],
            ticks: 0,
        }
    }

    /// What follows comes after a time that was not listened to.
    pub(super) fn begin(&mut self) {
        self.ticks = 0;
    }

    /// The noise of each band, at least 1.
    pub(super) fn powers(&self) -> &Bands {
        &self.powers
    }

    /// Takes what was heard; `loud` if it was more than noise.
    pub(super) fn heard(&mut self, spectrum: &Spectrum, loud: bool) {
        self.ticks = self.ticks.saturating_add(1);
        for (noise, power) in self.powers.iter_mut().zip(in_bands(spectrum)) {
            let next = if self.ticks <= FIRST_TICKS {
                *noise + (power - *noise) / self.ticks as f32
            } else if !loud {
                *noise + (power - *noise) * FOLLOW
            } else if power < *noise {
                *noise + (power - *noise) * FALL
            } else {
                *noise * RISE
            };
            *noise = next.max(LEAST);
        }
    }
}
