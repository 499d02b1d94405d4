//! Whether an utterance was in the grammar at all.
//!
//! A grammar alone accepts anything: the recogniser always finds the phrase that fits least badly. So
//! the phrase's score is held against two figures, both logarithms of likelihood per 10 ms frame:
//! what it is by itself, and how it compares with the best string of phones that any speech could
//! have been. Neither depends on the grammar's size or the utterance's length.

/// What the recogniser found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scores {
    /// The phrase that fits best.
    pub(super) phrase: String,
    /// Its score per frame; nearer to zero is better.
    pub(super) per_frame: f64,
    /// Its score per frame less that of the best string of phones; larger is better.
    pub(super) over_phones: f64,
}

/// How much the comparison with the phones counts beside the phrase's own score.
const WEIGHT_OVER_PHONES: f64 = 0.5;

/// The combined figure from which a phrase is accepted. `docs/flow.md` has the figures it came from.
const ACCEPTED_FROM: f64 = -29.0;

/// How far the figure moves the confidence: this far over the threshold it is 0.73, as far again 0.88.
const CONFIDENCE_STEP: f64 = 4.0;

impl Scores {
    /// How sure it is that the phrase was said, 0 to 1; `None` when it was not.
    pub(super) fn confidence(&self) -> Option<f32> {
        let margin = self.per_frame + WEIGHT_OVER_PHONES * self.over_phones - ACCEPTED_FROM;
        #[expect(clippy::cast_possible_truncation, reason = "a confidence needs no more digits")]
        (margin >= 0.0).then(|| (1.0 / (1.0 + (-margin / CONFIDENCE_STEP).exp())) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(per_frame: f64, over_phones: f64) -> Scores {
        Scores {
            phrase: "opening hours".to_owned(),
            per_frame,
            over_phones,
        }
    }

    #[test]
    fn a_phrase_that_fits_is_accepted_and_one_that_does_not_is_not() {
        assert!(scores(-18.0, 10.0).confidence().unwrap() > 0.9);
        assert_eq!(scores(-45.0, -12.0).confidence(), None);
    }

    #[test]
    fn confidence_grows_with_the_fit_and_stays_below_one() {
        let low = scores(-26.0, -3.0).confidence().unwrap();
        let high = scores(-14.0, 12.0).confidence().unwrap();
        assert!(0.5 <= low && low < high && high <= 1.0);
    }
}
