//! Sounds for the tests of tones: sines at a level, noise from a seed, and the way through G.711.
#![allow(dead_code, unreachable_pub, reason = "each test uses some of it")]

use std::f64::consts::TAU;

use offhook_media::codec::{Codec, CodecKind, Decoder, Encoder};
use offhook_media::tones::amplitude;

/// Sines: frequency in hertz and level in dBm0.
pub type Sines<'a> = &'a [(f32, f32)];

/// A sound that is put together piece by piece.
#[derive(Clone)]
pub struct Sound {
    pub rate: u32,
    pub samples: Vec<f64>,
}

impl Sound {
    pub fn new(rate: u32) -> Self {
        Self {
            rate,
            samples: Vec::new(),
        }
    }

    pub fn ms(&self) -> f64 {
        self.samples.len() as f64 * 1_000.0 / f64::from(self.rate)
    }

    pub fn quiet(mut self, ms: f64) -> Self {
        let samples = (ms * f64::from(self.rate) / 1_000.0).round() as usize;
        self.samples.extend(std::iter::repeat_n(0.0, samples));
        self
    }

    /// Sines at once, begun and ended abruptly, as the worst of exchanges do.
    pub fn tone(mut self, sines: Sines<'_>, ms: f64) -> Self {
        let begin = self.samples.len();
        self = self.quiet(ms);
        for (frequency, dbm0) in sines {
            let level = f64::from(amplitude(*dbm0));
            for (index, sample) in self.samples.iter_mut().enumerate().skip(begin) {
                let turns = f64::from(*frequency) * index as f64 / f64::from(self.rate);
                *sample += level * (TAU * turns + f64::from(*frequency)).sin();
            }
        }
        self
    }

    pub fn samples(mut self, samples: &[i16]) -> Self {
        self.samples
            .extend(samples.iter().map(|sample| f64::from(*sample)));
        self
    }

    /// White noise over all of it, `below_db` under a power of `power`.
    pub fn noise(mut self, power: f64, below_db: f64, seed: u64) -> Self {
        let level = (power / 10f64.powf(below_db / 10.0)).sqrt();
        let mut random = Random(seed);
        for sample in &mut self.samples {
            *sample += level * random.normal();
        }
        self
    }

    pub fn pcm(&self) -> Vec<i16> {
        let whole = |sample: &f64| sample.round().clamp(-32_768.0, 32_767.0) as i16;
        self.samples.iter().map(whole).collect()
    }

    /// As it comes out of one of the laws of G.711.
    pub fn through(&self, kind: CodecKind) -> Vec<i16> {
        let codec = Codec::new(kind);
        let mut encoder = Encoder::new(&codec).unwrap();
        let mut decoder = Decoder::new(kind).unwrap();
        let mut heard = Vec::new();
        let mut pcm = self.pcm();
        pcm.resize(pcm.len().next_multiple_of(codec.samples_per_frame()), 0);
        for frame in pcm.chunks(codec.samples_per_frame()) {
            let mut payload = [0; 400];
            let length = encoder.encode(frame, &mut payload).unwrap();
            let mut out = [0; 400];
            let count = decoder.decode(&payload[..length], &mut out).unwrap();
            heard.extend_from_slice(&out[..count]);
        }
        heard
    }
}

/// A sine's power.
pub fn power(dbm0: f32) -> f64 {
    f64::from(amplitude(dbm0)).powi(2) / 2.0
}

/// The two frequencies of a key.
pub fn frequencies(key: char) -> (f32, f32) {
    let place = "123A456B789C*0#D".find(key).unwrap();
    let (row, column) = (place / 4, place % 4);
    (
        [697.0, 770.0, 852.0, 941.0][row],
        [1_209.0, 1_336.0, 1_477.0, 1_633.0][column],
    )
}

pub const KEYS: &str = "0123456789*#ABCD";

/// A generator of its own, so that every run makes the same sounds.
pub struct Random(pub u64);

impl Random {
    /// From 0 to 1.
    pub fn uniform(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Of variance 1, near enough: twelve uniform numbers.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}
