//! Concealment of lost audio for codecs without their own, after the idea of G.711 Appendix I: the last
//! pitch period is repeated, held for 10 ms and faded to silence by 60 ms; audio that returns is blended
//! in.
//!
//! Appendix I delays all audio by 3.75 ms so that it can smooth the seam at the loss from both sides.
//! Here nothing is delayed: the step between what was heard last and the repetition's first sample is
//! added to the repetition and decays within a quarter period.

/// Full strength lasts this long, in milliseconds.
const HOLD_MS: usize = 10;
/// Silence is reached after this long, in milliseconds.
pub const FADE_END_MS: usize = 60;
/// Below this correlation with itself one period ago the sound has no pitch.
const VOICED_CORRELATION: f32 = 0.5;

/// Remembers what was heard and continues it over a gap.
#[derive(Debug)]
pub struct Concealment {
    samples_per_ms: usize,
    /// What was heard or invented last, 40 ms, oldest first.
    history: Box<[i16]>,
    /// The period that is repeated: 15 ms at most, `period` samples of it in use.
    cycle: Box<[i16]>,
    period: usize,
    /// Where in `cycle` the next sample is.
    phase: usize,
    /// The step at the start of the gap, still to be faded out.
    step: f32,
    /// Samples invented since audio was last heard.
    gap: usize,
}

impl Concealment {
    /// Concealment for audio of `sample_rate_hz`.
    #[must_use]
    pub fn new(sample_rate_hz: u32) -> Self {
        let samples_per_ms = sample_rate_hz as usize / 1_000;
        Self {
            samples_per_ms,
            history: vec![0; 40 * samples_per_ms].into_boxed_slice(),
            cycle: vec![0; 15 * samples_per_ms].into_boxed_slice(),
            period: 15 * samples_per_ms,
            phase: 0,
            step: 0.0,
            gap: 0,
        }
    }

    /// Takes note of decoded audio; after a gap its beginning is blended with the concealment's end,
    /// over 4 ms for every 10 ms of gap, at most 10 ms.
    pub fn heard(&mut self, samples: &mut [i16]) {
        if self.gap > 0 {
            let lost_tens = self.gap / (10 * self.samples_per_ms);
            let overlap = (4 * self.samples_per_ms * lost_tens.max(1)).max(self.period / 4);
            let overlap = overlap.min(10 * self.samples_per_ms).min(samples.len());
            for (index, sample) in samples.iter_mut().take(overlap).enumerate() {
                let weight = (index + 1) as f32 / (overlap + 1) as f32;
                let invented = self.next_invented();
                *sample = (invented + (f32::from(*sample) - invented) * weight) as i16;
            }
            self.gap = 0;
        }
        self.remember(samples);
    }

    /// Fills `out` with a continuation of what was heard.
    pub fn conceal(&mut self, out: &mut [i16]) {
        if self.gap == 0 {
            self.prepare();
        }
        for sample in out.iter_mut() {
            // The conversion saturates.
            *sample = self.next_invented() as i16;
        }
        self.remember(out);
    }

    /// Forgets what was heard.
    pub fn reset(&mut self) {
        self.history.fill(0);
        self.gap = 0;
    }

    fn remember(&mut self, samples: &[i16]) {
        let length = self.history.len();
        if samples.len() >= length {
            self.history
                .copy_from_slice(&samples[samples.len() - length..]);
        } else {
            self.history.copy_within(samples.len().., 0);
            self.history[length - samples.len()..].copy_from_slice(samples);
        }
    }

    fn next_invented(&mut self) -> f32 {
        let fade_end = FADE_END_MS * self.samples_per_ms;
        let hold = HOLD_MS * self.samples_per_ms;
        if self.gap >= fade_end {
            return 0.0;
        }
        let strength = if self.gap < hold {
            1.0
        } else {
            (fade_end - self.gap) as f32 / (fade_end - hold) as f32
        };
        let smoothing = self.period / 4;
        let step = if self.gap < smoothing {
            self.step * (smoothing - self.gap) as f32 / (smoothing + 1) as f32
        } else {
            0.0
        };
        let sample = f32::from(self.cycle[self.phase]);
        self.phase += 1;
        if self.phase == self.period {
            self.phase = 0;
        }
        self.gap += 1;
        (sample + step) * strength
    }

    /// Finds the pitch and lays out the period to repeat, its end blended into what came before its
    /// beginning, so that it repeats without a click.
    fn prepare(&mut self) {
        self.period = self.find_period();
        self.phase = 0;
        let (period, length) = (self.period, self.history.len());
        let history = &self.history;
        self.cycle[..period].copy_from_slice(&history[length - period..]);
        let quarter = period / 4;
        for index in 0..quarter {
            let weight = (index + 1) as f32 / (quarter + 1) as f32;
            let end = f32::from(history[length - quarter + index]);
            let before = f32::from(history[length - period - quarter + index]);
            self.cycle[period - quarter + index] = (end + (before - end) * weight) as i16;
        }
        let last = f32::from(history[length - 1]);
        self.step = last - f32::from(history[length - period - 1]);
    }

    /// The lag from 5 to 15 ms at which the last 20 ms resemble themselves most; the longest one when
    /// they do not, because a short stretch of noise repeated often is heard as a tone.
    fn find_period(&self) -> usize {
        let (shortest, longest) = (5 * self.samples_per_ms, 15 * self.samples_per_ms);
        let window = 20 * self.samples_per_ms;
        let coarse = (shortest..=longest)
            .step_by(2)
            .map(|lag| (self.likeness(lag, window, 2), lag))
            .max_by(|(a, _), (b, _)| a.total_cmp(b));
        let Some((_, coarse)) = coarse else {
            return longest;
        };
        let fine = (coarse.max(shortest + 1) - 1..=(coarse + 1).min(longest))
            .map(|lag| (self.likeness(lag, window, 1), lag))
            .max_by(|(a, _), (b, _)| a.total_cmp(b));
        match fine {
            Some((likeness, lag)) if likeness >= VOICED_CORRELATION => lag,
            Some(_) | None => longest,
        }
    }

    /// The normalised correlation of the last `window` samples with those `lag` before, every `stride`th
    /// sample taken: 1 for a repetition, 0 for unrelated sound or silence.
    fn likeness(&self, lag: usize, window: usize, stride: usize) -> f32 {
        let length = self.history.len();
        let recent = &self.history[length - window..];
        let earlier = &self.history[length - window - lag..length - lag];
        let (mut product, mut energy, mut earlier_energy) = (0.0_f32, 1.0_f32, 1.0_f32);
        for (a, b) in recent.iter().zip(earlier).step_by(stride) {
            let (a, b) = (f32::from(*a), f32::from(*b));
            product += a * b;
            energy += a * a;
            earlier_energy += b * b;
        }
        product / (energy * earlier_energy).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f32, from: usize, samples: usize) -> Vec<i16> {
        (from..from + samples)
            .map(|n| ((n as f32 * hz * std::f32::consts::TAU / 8_000.0).sin() * 8_000.0) as i16)
            .collect()
    }

    fn largest_step(samples: &[i16]) -> i32 {
        samples
            .windows(2)
            .map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs())
            .max()
            .unwrap()
    }

    fn level(samples: &[i16]) -> f32 {
        let energy: f32 = samples.iter().map(|s| f32::from(*s) * f32::from(*s)).sum();
        (energy / samples.len() as f32).sqrt()
    }

    #[test]
    fn a_lost_10_ms_of_a_tone_is_continued_in_phase() {
        let mut concealment = Concealment::new(8_000);
        for hz in [100.0, 137.0, 180.0, 233.0] {
            concealment.reset();
            let whole = tone(hz, 0, 640);
            concealment.heard(&mut whole[..480].to_vec());
            let mut invented = [0; 80];
            concealment.conceal(&mut invented);
            let error: Vec<i16> = invented
                .iter()
                .zip(&whole[480..560])
                .map(|(a, b)| a - b)
                .collect();
            let ratio = level(&whole[480..560]) / level(&error);
            assert!(ratio > 5.0, "{hz} Hz: only {ratio} times above the error");
        }
    }

    #[test]
    fn a_long_gap_fades_to_silence_by_60_ms_without_a_click() {
        let mut concealment = Concealment::new(8_000);
        let mut heard = tone(180.0, 0, 480);
        concealment.heard(&mut heard);
        let mut invented = vec![0; 800];
        for frame in invented.chunks_mut(80) {
            concealment.conceal(frame);
        }
        let mut joined = heard.clone();
        joined.extend(&invented);
        assert!(largest_step(&joined) <= largest_step(&heard) * 3 / 2);
        let levels: Vec<f32> = invented.chunks(80).map(level).collect();
        assert!(
            levels.windows(2).all(|pair| pair[1] <= pair[0] * 1.01),
            "{levels:?}"
        );
        assert!(invented[480..].iter().all(|sample| *sample == 0));
    }

    #[test]
    fn returning_audio_is_blended_in_without_a_click() {
        for gap in [80, 160, 480, 1_600] {
            let mut concealment = Concealment::new(8_000);
            let mut joined = tone(180.0, 0, 480);
            let natural = largest_step(&joined);
            concealment.heard(&mut joined);
            let mut invented = vec![0; gap];
            concealment.conceal(&mut invented);
            joined.extend(&invented);
            let mut returned = tone(180.0, 480 + gap + 13, 160);
            concealment.heard(&mut returned);
            joined.extend(&returned);
            assert!(largest_step(&joined) <= natural * 3 / 2, "after {gap}");
        }
    }

    #[test]
    fn silence_is_concealed_by_silence() {
        let mut concealment = Concealment::new(8_000);
        concealment.heard(&mut [0; 320]);
        let mut invented = [1; 80];
        concealment.conceal(&mut invented);
        assert_eq!(invented, [0; 80]);
    }

    #[test]
    fn full_scale_audio_does_not_wrap_around() {
        let mut concealment = Concealment::new(8_000);
        let mut square: Vec<i16> = (0..480)
            .map(|n| {
                if (n / 37) % 2 == 0 {
                    i16::MAX
                } else {
                    i16::MIN
                }
            })
            .collect();
        concealment.heard(&mut square);
        let mut invented = [0; 480];
        concealment.conceal(&mut invented);
        // The repetition keeps the square's sign for nearly all of its length.
        let flips = invented
            .windows(2)
            .filter(|p| (p[0] < 0) != (p[1] < 0))
            .count();
        assert!(flips <= 16, "{flips} sign changes");
    }
}
