//! Makes the detector's signal: 16 kHz, at a usual level, with a floor of white noise.

/// Doubles 8 kHz by interpolation, passes 16 kHz, raises quiet speech, and adds the floor.
#[derive(Clone, Debug)]
pub(crate) struct Wideband {
    doubles: bool,
    /// The last six samples, oldest first.
    past: [i32; 6],
    noise: u32,
    /// The loudest recent frame, as a mean square in sample units.
    loudness: f32,
    /// In 256ths.
    gain: i32,
}

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
            past: [0; 6],
            noise: seed | 1,
            loudness: USUAL_LOUDNESS,
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

    /// The next sample of the wide signal, preceded by the one interpolated before it when the input
    /// is 8 kHz. The doubled signal lags by three input samples.
    pub(crate) fn widen(&mut self, sample: i16) -> (Option<i16>, i16) {
        if !self.doubles {
            return (None, self.with_floor(i32::from(sample)));
        }
        self.past.rotate_left(1);
        self.past[5] = i32::from(sample);
        let [a, b, c, d, e, f] = self.past;
        // Six taps of a half-band filter: flat to 3 kHz within 1 dB, images there 20 dB down, which is
        // under the white floor for all but the loudest speech.
        let between = (150 * (c + d) - 25 * (b + e) + 3 * (a + f)) / 256;
        (Some(self.with_floor(between)), self.with_floor(d))
    }

    fn with_floor(&mut self, sample: i32) -> i16 {
        self.noise ^= self.noise << 13;
        self.noise ^= self.noise >> 17;
        self.noise ^= self.noise << 5;
        let noise =
            (self.noise >> 16) as i32 * (2 * FLOOR_AMPLITUDE + 1) / 65_536 - FLOOR_AMPLITUDE;
        (sample * self.gain / 256 + noise).clamp(-32_768, 32_767) as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_white_at_about_64_db_below_full_scale() {
        let mut wideband = Wideband::new(16_000, 7).unwrap();
        let samples: Vec<f64> = (0..16_000)
            .map(|_| f64::from(wideband.widen(0).1))
            .collect();
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
        for index in 0..8000 {
            let phase = std::f64::consts::TAU * 1000.0 * f64::from(index) / 8000.0;
            let (between, now) = wideband.widen((8000.0 * phase.sin()) as i16);
            doubled.extend([between.unwrap(), now]);
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
