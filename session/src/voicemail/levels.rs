//! How loud each 10 ms was, so that who speaks into the telephone is told from who speaks behind them: voice activity
//! hears both.

use std::time::Duration;

/// Levels by frame, from the first sample that was heard on.
#[derive(Clone, Debug, Default)]
pub(super) struct Levels {
    /// Mean squares.
    powers: Vec<f32>,
    /// What does not fill a frame yet.
    rest_power: f32,
    rest_samples: u32,
    /// The time of the first sample.
    from: Option<Duration>,
}

const FRAME_MS: u64 = 10;
const FRAME: Duration = Duration::from_millis(FRAME_MS);
/// Longer than a call is watched; then no level is known any more.
const MOST_FRAMES: usize = 12_000;

impl Levels {
    /// Takes what was heard until `until`.
    pub(super) fn hear(&mut self, samples: &[i16], sample_rate_hz: u32, until: Duration) {
        let frame_samples = sample_rate_hz / 100;
        if frame_samples == 0 {
            return;
        }
        let length = Duration::from_secs_f64(samples.len() as f64 / f64::from(sample_rate_hz));
        self.from.get_or_insert(until.saturating_sub(length));
        for sample in samples {
            self.rest_power += f32::from(*sample).powi(2);
            self.rest_samples += 1;
            if self.rest_samples >= frame_samples && self.powers.len() < MOST_FRAMES {
                self.powers.push(self.rest_power / self.rest_samples as f32);
                (self.rest_power, self.rest_samples) = (0.0, 0);
            }
        }
    }

    /// From when to when levels are known; `None` where none are.
    pub(super) fn known(&self) -> Option<(Duration, Duration)> {
        let from = self.from.filter(|_| !self.powers.is_empty())?;
        Some((from, from + FRAME * self.powers.len() as u32))
    }

    /// The frames between two moments, each with the moment of its end and its power over 50 ms, which holds no gap
    /// between two sounds of a syllable.
    pub(super) fn between(
        &self,
        from: Duration,
        until: Duration,
    ) -> impl Iterator<Item = (Duration, f32)> {
        let begin = self.from.unwrap_or_default();
        let index = |moment: Duration| {
            let frames = moment.saturating_sub(begin).as_millis() as u64 / FRAME_MS;
            usize::try_from(frames)
                .unwrap_or(usize::MAX)
                .min(self.powers.len())
        };
        (index(from)..index(until)).map(move |frame| {
            let around = &self.powers[frame.saturating_sub(2)..(frame + 3).min(self.powers.len())];
            let power = around.iter().sum::<f32>() / around.len() as f32;
            (begin + FRAME * (frame as u32 + 1), power)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_power_and_the_time_of_what_was_heard() {
        let ms = Duration::from_millis;
        let mut levels = Levels::default();
        assert_eq!(levels.known(), None);
        levels.hear(&[100; 4_000], 8_000, ms(700));
        levels.hear(&[1_000; 4_040], 8_000, ms(1_205));
        assert_eq!(levels.known(), Some((ms(200), ms(1_200))));
        let powers: Vec<_> = levels.between(ms(300), ms(320)).collect();
        assert_eq!(powers, [(ms(310), 1e4), (ms(320), 1e4)]);
        assert!(
            levels
                .between(ms(1_000), ms(9_000))
                .all(|(_, power)| power == 1e6)
        );
        assert_eq!(levels.between(ms(0), ms(9_000)).count(), 100);
    }

    #[test]
    fn what_is_heard_for_minutes_is_not_kept() {
        let mut levels = Levels::default();
        for second in 0..200 {
            levels.hear(&[1; 8_000], 8_000, Duration::from_secs(second + 1));
        }
        assert_eq!(levels.powers.len(), MOST_FRAMES);
    }
}
