//! Makes the detector's signal: 16 kHz, at a usual level, with a floor of white noise.

/// Doubles 8 kHz by interpolation, passes 16 kHz, raises quiet speech, and adds the floor.
#[derive(Clone, Debug)]
pub(crate) struct Wideband {
    doubles: bool,
    /// The last samples, oldest first.
    past: [i32; PAST],
    noise: WhiteFloor,
    /// The loudest recent frame, as a mean square in sample units.
    loudness: f32,
    /// In 256ths.
    gain: i32,
}

/// 10 ms of the wide signal.
pub(crate) const WIDE_FRAME: usize = 160;
/// What the interpolation needs of the past.
const PAST: usize = 5;
/// Speech softer than -25 dBFS is raised to that, by 18 dB at most: the detector grows deaf below.
const USUAL_LOUDNESS: f32 = 1843.0 * 1843.0;
const MOST_GAIN: f32 = 8.0;
/// The loudness is forgotten by 8.8 dB a second, of sound only.
const FORGET: f32 = 0.98;

/// Uniform noise of ±36 has an effective value of 21, which is -64 dBFS.
const FLOOR_AMPLITUDE: i32 = 36;

impl Wideband {
    pub(crate) fn new(sample_rate_hz: u32, seed: u32) -> Option<Self> {
        let doubles = match sample_rate_hz {
            8_000 => true,
            16_000 => false,
            _ => return None,
        };
        // The generator never leaves zero.
        Some(Self {
            doubles,
            past: [0; PAST],
            noise: WhiteFloor(seed | 1),
            loudness: 1.0,
            gain: 256,
        })
    }

    /// Sets the gain for a frame whose mean square is `power`.
    pub(crate) fn level(&mut self, power: f32) {
        self.loudness = (self.loudness * FORGET).max(power).max(1.0);
        let gain = (USUAL_LOUDNESS / self.loudness)
            .sqrt()
            .clamp(1.0, MOST_GAIN);
        self.gain = (gain * 256.0) as i32;
    }

    /// The loudest recent frame, as a mean square in sample units.
    pub(crate) fn loudness(&self) -> f32 {
        self.loudness
    }

    /// The wide signal of a frame of up to 10 ms, written to the front of `out`; answers its length,
    /// twice the frame's when the input is 8 kHz. The doubled signal lags by three input samples.
    pub(crate) fn widen(&mut self, frame: &[i16], out: &mut [i16; WIDE_FRAME]) -> usize {
        let frame = &frame[..frame.len().min(if self.doubles {
            WIDE_FRAME / 2
        } else {
            WIDE_FRAME
        })];
        let gain = self.gain;
        let raised = |sample: i16| i32::from(sample) * gain / 256;
        if !self.doubles {
            for (wide, sample) in out.iter_mut().zip(frame) {
                *wide = self.noise.onto(raised(*sample));
            }
            return frame.len();
        }
        let mut line = [0i32; PAST + WIDE_FRAME / 2];
        line[..PAST].copy_from_slice(&self.past);
        for (slot, sample) in line[PAST..].iter_mut().zip(frame) {
            *slot = raised(*sample);
        }
        for (pair, taps) in out
            .chunks_exact_mut(2)
            .zip(line.windows(PAST + 1))
            .take(frame.len())
        {
            let [a, b, c, d, e, f] = [taps[0], taps[1], taps[2], taps[3], taps[4], taps[5]];
            // Six taps of a half-band filter: flat to 3 kHz within 1 dB, images there 20 dB down, which
            // is under the white floor for all but the loudest speech.
            pair[0] = self
                .noise
                .onto((150 * (c + d) - 25 * (b + e) + 3 * (a + f)) / 256);
            pair[1] = self.noise.onto(d);
        }
        self.past
            .copy_from_slice(&line[frame.len()..frame.len() + PAST]);
        2 * frame.len()
    }
}

/// Uniform white noise by xorshift.
#[derive(Clone, Debug)]
struct WhiteFloor(u32);

impl WhiteFloor {
    fn onto(&mut self, sample: i32) -> i16 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        let noise = (self.0 >> 16) as i32 * (2 * FLOOR_AMPLITUDE + 1) / 65_536 - FLOOR_AMPLITUDE;
        (sample + noise).clamp(-32_768, 32_767) as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_white_at_about_64_db_below_full_scale() {
        let mut wideband = Wideband::new(16_000, 7).unwrap();
        let mut samples = Vec::new();
        for _ in 0..100 {
            let mut out = [0; WIDE_FRAME];
            assert_eq!(wideband.widen(&[0; 160], &mut out), 160);
            samples.extend(out.map(f64::from));
        }
        let power = samples.iter().map(|sample| sample * sample).sum::<f64>() / 16_000.0;
        let level = 10.0 * (power / 32_768f64.powi(2)).log10();
        assert!((-64.5..-63.5).contains(&level), "{level:.1} dBFS");
        let neighbours: f64 = samples
            .windows(2)
            .map(|pair| pair[0] * pair[1])
            .sum::<f64>()
            / 16_000.0
            / power;
        assert!(neighbours.abs() < 0.03, "correlation {neighbours:.3}");
    }

    #[test]
    fn doubling_keeps_a_tone_and_nearly_hides_its_image() {
        let mut wideband = Wideband::new(8000, 7).unwrap();
        let mut doubled = Vec::new();
        let tone: Vec<i16> = (0..8000)
            .map(|index| {
                let phase = std::f64::consts::TAU * 1000.0 * f64::from(index) / 8000.0;
                (8000.0 * phase.sin()) as i16
            })
            .collect();
        for frame in tone.chunks_exact(80) {
            let mut out = [0; WIDE_FRAME];
            assert_eq!(wideband.widen(frame, &mut out), 160);
            doubled.extend(out);
        }
        let amplitude = |hertz: f64| {
            let (mut sine, mut cosine) = (0.0, 0.0);
            for (index, sample) in doubled.iter().enumerate() {
                let phase = std::f64::consts::TAU * hertz * index as f64 / 16_000.0;
                sine += f64::from(*sample) * phase.sin();
                cosine += f64::from(*sample) * phase.cos();
            }
            sine.hypot(cosine) * 2.0 / doubled.len() as f64
        };
        assert!((amplitude(1000.0) - 8000.0).abs() < 80.0);
        assert!(
            amplitude(7000.0) < 8000.0 / 100.0,
            "image {}",
            amplitude(7000.0)
        );
    }

    #[test]
    fn other_rates_are_not_offered() {
        assert!(Wideband::new(48_000, 1).is_none());
    }
}
