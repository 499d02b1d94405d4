//! Whether an utterance was in the grammar at all.
//!
//! A grammar alone accepts anything: the recogniser always finds the phrase that fits least badly. What
//! rejects the rest is how badly: the phrase's score, a logarithm of likelihood, per 10 ms frame. It
//! depends on neither the grammar's size nor the utterance's length, but it does on noise, which makes
//! every fit worse; so the threshold gives way as the utterance's own signal-to-noise ratio falls.
//!
//! Two other figures were measured on the same utterances and left out: the difference to a free loop
//! of phones separates no better and costs four times as much, and a loop of common words beside the
//! phrases gains one per cent for ten times as much. `docs/flow.md` has the figures.

/// The phrase of a grammar that fits an utterance best.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fit {
    /// As the grammar spells it.
    pub(super) phrase: String,
    /// How well it fits; nearer to zero is better.
    pub(super) score_per_frame: f64,
}

/// Accepted from here in a quiet utterance and in a noisy one.
const QUIET: Threshold = Threshold {
    signal_to_noise_db: 32.0,
    score_per_frame: -29.0,
};
const NOISY: Threshold = Threshold {
    signal_to_noise_db: 18.0,
    score_per_frame: -33.0,
};

struct Threshold {
    signal_to_noise_db: f64,
    score_per_frame: f64,
}

/// How far the score moves the confidence: this far over the threshold it is 0.73, as far again 0.88.
const CONFIDENCE_STEP: f64 = 4.0;

impl Fit {
    /// How sure it is that the phrase was said, 0.5 to 1; `None` when it was not.
    pub(super) fn confidence(&self, loudness: &Loudness) -> Option<f32> {
        if loudness.loud < QUIETEST_SPEECH {
            return None;
        }
        let margin = self.score_per_frame - accepted_from(loudness.signal_to_noise_db());
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a confidence needs no more digits"
        )]
        (margin >= 0.0).then(|| (1.0 / (1.0 + (-margin / CONFIDENCE_STEP).exp())) as f32)
    }
}

/// The threshold at a signal-to-noise ratio: a line between the two points, flat outside.
fn accepted_from(signal_to_noise_db: f64) -> f64 {
    let way = (signal_to_noise_db - NOISY.signal_to_noise_db)
        / (QUIET.signal_to_noise_db - NOISY.signal_to_noise_db);
    let way = way.clamp(0.0, 1.0);
    NOISY.score_per_frame + way * (QUIET.score_per_frame - NOISY.score_per_frame)
}

/// Frames quieter than this hold no speech, whatever the recogniser makes of them: -60 dBFS.
const QUIETEST_SPEECH: f64 = 33.0;

/// How loud an utterance is where it is loud and where it is quiet, as root mean squares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Loudness {
    loud: f64,
    quiet: f64,
}

impl Loudness {
    /// Measures an utterance, at 16 kHz, in frames of 10 ms. Utterances come with 300 ms from before
    /// the speech, so a tenth of the frames hold none.
    pub(super) fn of(samples: &[i16]) -> Self {
        const FRAME: usize = 160;
        let mut frames: Vec<f64> = samples
            .chunks_exact(FRAME)
            .map(|frame| {
                let squares: f64 = frame.iter().map(|sample| f64::from(*sample).powi(2)).sum();
                #[expect(clippy::cast_precision_loss, reason = "a small constant")]
                (squares / FRAME as f64).sqrt()
            })
            .collect();
        frames.sort_by(f64::total_cmp);
        let at = |tenths: usize| {
            frames
                .get(frames.len() * tenths / 10)
                .copied()
                .unwrap_or(0.0)
        };
        Self {
            loud: at(9),
            quiet: at(1),
        }
    }

    fn signal_to_noise_db(&self) -> f64 {
        20.0 * ((self.loud + 1.0) / (self.quiet + 1.0)).log10()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET_LINE: Loudness = Loudness {
        loud: 3_000.0,
        quiet: 8.0,
    };
    const NOISY_LINE: Loudness = Loudness {
        loud: 3_000.0,
        quiet: 500.0,
    };

    fn fit(score_per_frame: f64) -> Fit {
        Fit {
            phrase: "opening hours".to_owned(),
            score_per_frame,
        }
    }

    #[test]
    fn a_phrase_that_fits_is_accepted_and_one_that_does_not_is_not() {
        assert!(fit(-18.0).confidence(&QUIET_LINE).unwrap() > 0.9);
        assert_eq!(fit(-45.0).confidence(&QUIET_LINE), None);
    }

    #[test]
    fn confidence_grows_with_the_fit() {
        let low = fit(-28.0).confidence(&QUIET_LINE).unwrap();
        let high = fit(-14.0).confidence(&QUIET_LINE).unwrap();
        assert!(0.5 <= low && low < high && high <= 1.0);
    }

    #[test]
    fn noise_lowers_what_is_asked_of_a_fit() {
        assert_eq!(fit(-31.0).confidence(&QUIET_LINE), None);
        assert!(fit(-31.0).confidence(&NOISY_LINE).is_some());
        assert_eq!(fit(-36.0).confidence(&NOISY_LINE), None);
    }

    #[test]
    fn near_silence_is_never_a_phrase() {
        let silence = Loudness::of(&[0; 8_000]);
        assert_eq!(fit(-10.0).confidence(&silence), None);
        assert_eq!(fit(-10.0).confidence(&Loudness::of(&[20; 8_000])), None);
        assert_eq!(fit(-10.0).confidence(&Loudness::of(&[])), None);
    }

    #[test]
    fn loudness_is_measured_where_it_is_loud_and_where_it_is_quiet() {
        let mut samples = vec![10; 4_800];
        samples.extend([1_000; 16_000]);
        let loudness = Loudness::of(&samples);
        assert_eq!(
            loudness,
            Loudness {
                loud: 1_000.0,
                quiet: 10.0
            }
        );
        assert!((loudness.signal_to_noise_db() - 39.2).abs() < 0.1);
    }
}
