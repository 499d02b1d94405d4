//! What the way back does to our voice: how loud each band returns, and how long it rings.

use super::spectra::{BANDS, BINS, BINS_A_BAND, Bands, Spectrum, in_bands};

/// Foretells the spectrum of the echo and learns from what came.
#[derive(Debug)]
pub(super) struct EchoPath {
    /// What was sent, as it rings at the far end.
    ringing: Spectrum,
    /// Gain of each band, in steps of 3 dB. It is one that four of five ticks stay below.
    gains: Bands,
    /// Ticks each band's gain was learned from.
    learned: Bands,
}

/// What of a tick's sound still rings in the next.
const RINGS_ON: f32 = 0.5;
/// No gain is learned from what was sent more softly than this in a band, nor from a band 30 dB below the
/// loudest.
const SOFTEST_SENT: f32 = 30.0;
const SOFTEST_SHARE: f32 = 0.003;
const LOWEST_GAIN: f32 = -16.0;
const HIGHEST_GAIN: f32 = 2.0;
/// The first ticks set a gain to the highest of theirs.
const FIRST_TICKS: f32 = 10.0;
/// A gain known from fewer ticks may be wrong by 5 dB more.
const KNOWN_AFTER_TICKS: f32 = 40.0;
const UNKNOWN_MARGIN: f32 = 3.0;
/// A bin may be louder than foretold by 9 dB.
const MARGIN: f32 = 8.0;
/// All of a tick may be louder than usual by 6 dB.
const LOUDER_AT_MOST: f32 = 4.0;
/// Steps a tick.
const RISE: f32 = 0.1;
const FAST_RISE: f32 = 0.6;
const FALL: f32 = 0.03;

/// How a gain may change in a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lesson {
    /// The first of it.
    First,
    /// What came is surely the echo.
    Sure,
    /// What came is likely the echo.
    Likely,
    /// What came may be somebody else's: the echo is not louder than that.
    AtMost,
}

/// Amplitudes of a tick, summed over the bins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Amplitudes {
    /// Of bins that the echo does not explain.
    pub(super) foreign: f32,
    /// Of all bins.
    pub(super) all: f32,
}

impl EchoPath {
    pub(super) fn new() -> Self {
        Self {
            ringing: [0.0; BINS],
            gains: [LOWEST_GAIN; BANDS],
            learned: [0.0; BANDS],
        }
    }

    /// Forgets the gains: another delay is another path.
    pub(super) fn forget(&mut self) {
        self.learned = [0.0; BANDS];
    }

    /// Takes what was sent in the ticks about the delay.
    pub(super) fn sent(&mut self, spectra: &[Spectrum; 3]) {
        for bin in 0..BINS {
            let [a, b, c] = spectra;
            let loudest = a[bin].max(b[bin]).max(c[bin]);
            self.ringing[bin] = (self.ringing[bin] * RINGS_ON).max(loudest);
        }
    }

    /// Whether an echo of what was sent may be as loud as what was heard: the path is known, the delay is not.
    pub(super) fn is_loud_enough(&self, sent: &[Spectrum; 3], heard: &Spectrum) -> bool {
        let power = |spectrum: &Spectrum| spectrum.iter().sum::<f32>();
        let loudest = sent.iter().map(power).fold(0.0, f32::max);
        power(heard) <= loudest * self.usual_gain().exp2() * LOUDER_AT_MOST
    }

    /// The mean of the gains that are known.
    fn usual_gain(&self) -> f32 {
        let known = |band: &usize| self.learned[*band] >= 3.0;
        let (sum, count) = (0..BANDS)
            .filter(known)
            .fold((0.0, 0.0), |(sum, count), band| {
                (sum + self.gains[band], count + 1.0)
            });
        if count > 0.0 {
            sum / count
        } else {
            LOWEST_GAIN
        }
    }

    /// What of the sound that was heard is not the echo's.
    pub(super) fn explain(&self, heard: &Spectrum, noise: &Bands) -> Amplitudes {
        // A band that said nothing yet is like the others.
        let known = |band: usize| self.learned[band] >= 3.0;
        let usual = self.usual_gain();
        let mut amplitudes = Amplitudes::default();
        let (bands, _) = heard.as_chunks::<BINS_A_BAND>();
        let (ringing, _) = self.ringing.as_chunks::<BINS_A_BAND>();
        let heard = bands.iter().zip(ringing).zip(noise).enumerate();
        for (band, ((heard, ringing), noise)) in heard {
            let gain = if known(band) { self.gains[band] } else { usual };
            let unknown = if self.learned[band] < KNOWN_AFTER_TICKS {
                UNKNOWN_MARGIN
            } else {
                1.0
            };
            let most = gain.exp2() * MARGIN * unknown;
            // A bin's share is a third of that, but single ticks of noise differ much.
            let floor = noise * 2.0;
            for (heard, ringing) in heard.iter().zip(ringing) {
                let amplitude = (heard - floor).max(0.0).sqrt();
                amplitudes.all += amplitude;
                if *heard > floor + most * ringing {
                    amplitudes.foreign += amplitude;
                }
            }
        }
        amplitudes
    }

    /// Learns how loud the echo is from what was heard.
    pub(super) fn learn(&mut self, heard: &Spectrum, noise: &Bands, lesson: Lesson) {
        let sent = in_bands(&self.ringing);
        let heard = in_bands(heard);
        let loudest = sent.iter().copied().fold(0.0, f32::max);
        let softest = SOFTEST_SENT.max(loudest * SOFTEST_SHARE);
        for band in 0..BANDS {
            let gain = &mut self.gains[band];
            let drowned = |power: f32| power < 4.0 * noise[band];
            if sent[band] < softest || (drowned(heard[band]) && drowned(sent[band] * gain.exp2())) {
                continue;
            }
            let ratio = (heard[band].max(0.01) / sent[band]).log2();
            let rise = match lesson {
                Lesson::First => HIGHEST_GAIN - LOWEST_GAIN,
                Lesson::Sure => FAST_RISE,
                Lesson::Likely => RISE,
                Lesson::AtMost => 0.0,
            };
            if lesson != Lesson::AtMost {
                self.learned[band] += 1.0;
                if self.learned[band] == 1.0 {
                    *gain = ratio.clamp(LOWEST_GAIN, HIGHEST_GAIN);
                    continue;
                }
                if self.learned[band] <= FIRST_TICKS {
                    *gain = gain.max(ratio.min(HIGHEST_GAIN));
                    continue;
                }
            }
            let step = (ratio - *gain).clamp(-FALL, rise);
            *gain = (*gain + step).clamp(LOWEST_GAIN, HIGHEST_GAIN);
        }
    }
}
