//! Concealment of lost audio for codecs without their own (all but Opus), after the idea of G.711 Appendix I: the last
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
/// Samples of 40 ms at the highest rate, 16 kHz.
const LONGEST_HISTORY: usize = 640;
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
    /// Concealment for audio of `sample_rate_hz`, 8,000 or 16,000.
    #[must_use]
    pub fn new(sample_rate_hz: u32) -> Self {
        let samples_per_ms = (sample_rate_hz as usize / 1_000).clamp(8, 16);
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
        let strength = strength_after(self.gap, self.samples_per_ms);
        if strength == 0.0 {
            return 0.0;
        }
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
    /// they do not, because a short stretch of noise repeated often is heard as a tone. Searched at half
    /// the sample rate first.
    fn find_period(&self) -> usize {
        let (shortest, longest) = (5 * self.samples_per_ms, 15 * self.samples_per_ms);
        let window = 20 * self.samples_per_ms;
        let (mut whole, mut half) = ([0.0; LONGEST_HISTORY], [0.0; LONGEST_HISTORY / 2]);
        let whole = &mut whole[..self.history.len()];
        for (to, from) in whole.iter_mut().zip(&self.history) {
            *to = f32::from(*from);
        }
        let half = &mut half[..self.history.len() / 2];
        for (to, from) in half.iter_mut().zip(whole.iter().skip(1).step_by(2)) {
            *to = *from;
        }
        let coarse = best_lag(half, window / 2, shortest / 2, longest / 2).0 * 2;
        let near = (coarse - 1).max(shortest)..=(coarse + 1).min(longest);
        let (lag, likeness) = best_lag(whole, window, *near.start(), *near.end());
        if likeness >= VOICED_CORRELATION {
            lag
        } else {
            longest
        }
    }
}

/// How strong an invented sample is when `samples` of the gap lie before it, 1 to 0: what every codec's
/// concealment keeps to.
pub(crate) fn strength_after(samples: usize, samples_per_ms: usize) -> f32 {
    let fade_end = FADE_END_MS * samples_per_ms;
    let hold = HOLD_MS * samples_per_ms;
    if samples < hold {
        1.0
    } else {
        fade_end.saturating_sub(samples) as f32 / (fade_end - hold) as f32
    }
}

/// The lag from `shortest` to `longest` at which the last `window` samples are most like those before
/// them, and how much: the normalised correlation, 1 for a repetition, 0 for unrelated sound or silence.
fn best_lag(samples: &[f32], window: usize, shortest: usize, longest: usize) -> (usize, f32) {
    let length = samples.len();
    let recent = &samples[length - window..];
    let energy = product(recent, recent) + 1.0;
    let mut best = (longest, f32::MIN);
    for lag in shortest..=longest {
        let earlier = &samples[length - window - lag..length - lag];
        let likeness =
            product(recent, earlier) / (energy * (product(earlier, earlier) + 1.0)).sqrt();
        if likeness > best.1 {
            best = (lag, likeness);
        }
    }
    best
}

/// The sum of products, in eight partial sums so that it can be computed eight at a time.
fn product(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
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
