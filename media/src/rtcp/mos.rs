//! How a call sounds, guessed from what the network did: the E-model (ITU-T G.107).
//!
//! Everything the model asks about telephones, rooms and echo has its default value. What is left is the delay, the
//! codec and its losses:
//!
//! ```text
//! R = 93.2 - Idd(delay) - Ie,eff(codec, loss, burstiness)        MOS = f(R), 1 to 4.5
//! ```

use std::time::Duration;

use crate::codec::CodecKind;

/// The rating of a narrowband call with nothing wrong: Ro - Is with all defaults.
const BEST_RATING: f64 = 93.2;

/// A mean opinion score, in hundredths: 100 (bad) to 450 (as good as a telephone gets).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mos(u16);

impl Mos {
    /// The score in hundredths, 100 to 450.
    #[must_use]
    pub const fn hundredths(self) -> u16 {
        self.0
    }

    /// The score, 1.0 to 4.5.
    #[must_use]
    pub fn score(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    fn of_rating(rating: f64) -> Self {
        let rating = rating.clamp(0.0, 100.0);
        let score = 1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6;
        // The cubic dips below 1 at ratings below 6.5.
        Self((score.clamp(1.0, 4.5) * 100.0).round() as u16)
    }
}

/// What one direction of a call went through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Path {
    /// What it was coded with.
    pub codec: CodecKind,
    /// From mouth to ear, one way.
    pub delay: Duration,
    /// The share of packets that were not there to be played, 0 to 1.
    pub loss: f64,
    /// How much longer runs of losses were than by chance, from 1 on (G.107's BurstR).
    pub burst_ratio: f64,
}

impl Path {
    /// How it sounds.
    #[must_use]
    pub fn mos(&self) -> Mos {
        let (impairment, robustness) = impairment(self.codec);
        let loss_percent = self.loss.clamp(0.0, 1.0) * 100.0;
        let burst_ratio = self.burst_ratio.max(1.0);
        let effective = impairment
            + (95.0 - impairment) * loss_percent / (loss_percent / burst_ratio + robustness);
        Mos::of_rating(BEST_RATING - delay_impairment(self.delay) - effective)
    }
}

/// G.107's BurstR: the mean length of runs of losses over what it would be by chance. 1 where nothing was lost.
#[must_use]
pub fn burst_ratio(lost: u64, runs: u64, expected: u64) -> f64 {
    if runs == 0 || expected == 0 {
        return 1.0;
    }
    let share = (lost as f64 / expected as f64).min(1.0);
    (lost as f64 / runs as f64 * (1.0 - share)).max(1.0)
}

/// Ie and Bpl: what a codec takes away by itself, and how well it bears losses.
const fn impairment(codec: CodecKind) -> (f64, f64) {
    match codec {
        // G.113 table I.4: with the concealment of G.711 appendix I, random losses.
        CodecKind::Pcmu | CodecKind::Pcma => (0.0, 25.1),
        // Nothing is taken away on this narrowband scale, and losses are concealed as G.711's are.
        CodecKind::G722 | CodecKind::L16Narrowband | CodecKind::L16Wideband => (0.0, 25.1),
        // G.113 has no values for Opus. On this narrowband scale it takes nothing away; its robustness is put a bit
        // below G.711's, since what is lost is a longer memory.
        CodecKind::Opus => (0.0, 20.0),
    }
}

/// Idd: too long to talk over, though without echo. Nothing up to 100 ms.
fn delay_impairment(delay: Duration) -> f64 {
    let milliseconds = delay.as_secs_f64() * 1_000.0;
    if milliseconds <= 100.0 {
        return 0.0;
    }
    let x = (milliseconds / 100.0).log2();
    let root = |value: f64| (1.0 + value.powi(6)).powf(1.0 / 6.0);
    25.0 * (root(x) - 3.0 * root(x / 3.0) + 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mos(codec: CodecKind, delay_ms: u64, loss_percent: f64, burst_ratio: f64) -> f64 {
        let path = Path {
            codec,
            delay: Duration::from_millis(delay_ms),
            loss: loss_percent / 100.0,
            burst_ratio,
        };
        path.mos().score()
    }

    #[test]
    fn a_call_with_nothing_wrong_has_the_models_best_score() {
        assert_eq!(mos(CodecKind::Pcmu, 50, 0.0, 1.0), 4.41);
    }

    #[test]
    fn delays_cost_what_the_model_says() {
        // Idd by hand: 0 at 100 ms, 3.0 at 200 ms, 14.8 at 300 ms, 24.1 at 400 ms.
        for (delay_ms, expected) in [(100, 0.0), (200, 3.0), (300, 14.8), (400, 24.1)] {
            let impairment = delay_impairment(Duration::from_millis(delay_ms));
            assert!(
                (impairment - expected).abs() < 0.1,
                "{delay_ms} ms: {impairment}"
            );
        }
    }

    #[test]
    fn losses_cost_more_the_more_of_them_come_together() {
        // Ie,eff of G.711 at 5 % by chance: 95 * 5 / 30.1 = 15.8, so R is 77.4.
        assert_eq!(mos(CodecKind::Pcma, 0, 5.0, 1.0), 3.92);
        let bursts = mos(CodecKind::Pcma, 0, 5.0, 2.0);
        assert!((3.8..3.92).contains(&bursts), "{bursts}");
    }

    #[test]
    fn scores_fall_with_loss_and_delay_and_stay_within_the_scale() {
        for codec in CodecKind::ALL {
            let mut before = 4.5;
            for loss in 0..=100 {
                let score = mos(codec, 30, f64::from(loss), 1.0);
                assert!(
                    (1.0..=before).contains(&score),
                    "{codec:?} {loss} %: {score}"
                );
                before = score;
            }
            assert_eq!(mos(codec, 60_000, 100.0, 1e9), 1.0);
        }
    }

    #[test]
    fn runs_of_losses_that_chance_explains_are_no_bursts() {
        assert_eq!(burst_ratio(0, 0, 0), 1.0);
        assert_eq!(burst_ratio(100, 90, 1_000), 1.0);
        assert!((burst_ratio(300, 100, 10_000) - 2.91).abs() < 0.01);
    }
}
