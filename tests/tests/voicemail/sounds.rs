//! What a callee's line carries, at 8 kHz: speech with its pauses, beeps and other tones, and noise under all of it.

use std::f64::consts::TAU;

use crate::callee::{Callee, Kind, Noise, Part};
use crate::sentences;
use crate::voices::{self, speak};

const RATE: f64 = 8_000.0;

/// A call's audio, from the first packet on.
pub struct Line {
    pub samples: Vec<i16>,
    /// Where the greeting, or what takes its place, begins and ends, in milliseconds.
    pub greeting_ms: (f64, f64),
    /// Where the beep ends, where there is one.
    pub beep_end_ms: Option<f64>,
}

pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// From 0 to 1.
    pub fn share(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.share()
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[(self.share() * from.len() as f64) as usize]
    }
}

/// What is heard of a callee.
pub fn line(callee: &Callee) -> Line {
    let mut random = Random::new(callee.seed + 1);
    let level = 10f64.powf(random.between(-28.0, -18.0) / 20.0) * 32_768.0;
    let mut sound = Sound::default();
    for _ in 0..callee.rings {
        ring(&mut sound, callee.seed % 3);
    }
    let mut beep_end_ms = None;
    let delay = if callee.kind.is_human() {
        random.between(200.0, 1_200.0)
    } else {
        random.between(300.0, 1_800.0)
    };
    sound.quiet(delay);
    let from_ms = sound.ms();
    let mut until_ms = from_ms;
    match callee.kind {
        Kind::ShortHuman | Kind::LongHuman | Kind::Business => {
            sound.says(callee, level);
            until_ms = sound.ms();
            sound.quiet(random.between(1_500.0, 3_000.0));
            if random.share() < 0.6 {
                let again = sentences::of(callee.part, Kind::ShortHuman)[0];
                sound.text(callee.voice, again, level);
            }
            sound.quiet(2_000.0);
        }
        Kind::OneTone | Kind::TwoTone | Kind::NoBeep => {
            sound.says(callee, level);
            until_ms = sound.ms();
            if callee.kind != Kind::NoBeep {
                sound.quiet(random.between(150.0, 1_100.0));
                beep(&mut sound, callee.kind, &mut random);
                beep_end_ms = Some(sound.ms());
            }
            sound.quiet(3_000.0);
        }
        Kind::Screening | Kind::Menu => {
            sound.says(callee, level);
            until_ms = sound.ms();
            sound.quiet(3_000.0);
        }
        Kind::Fax if callee.seed.is_multiple_of(4) => {
            for _ in 0..3 {
                sound.tone(&[1_100.0], 500.0, -14.0);
                sound.quiet(3_000.0);
            }
        }
        Kind::Fax => {
            sound.tone(&[2_100.0], 3_300.0, -14.0);
            sound.quiet(4_000.0);
        }
        Kind::Silence => sound.quiet(8_000.0),
        Kind::Network if callee.seed.is_multiple_of(4) => {
            for _ in 0..10 {
                sound.tone(&[425.0], 480.0, -14.0);
                sound.quiet(480.0);
            }
        }
        Kind::Network => {
            for hz in [950.0, 1_400.0, 1_800.0] {
                sound.tone(&[hz], 330.0, -14.0);
            }
            sound.quiet(1_000.0);
            sound.says(callee, level);
            sound.quiet(4_000.0);
        }
    }
    if let Some((noise, below_db)) = callee.condition.noise {
        let level = level * 10f64.powf(-below_db / 20.0);
        sound.add(&noise_of(
            callee.part,
            noise,
            sound.samples.len(),
            level,
            &mut random,
        ));
    }
    Line {
        samples: sound.pcm(),
        greeting_ms: (from_ms, until_ms),
        beep_end_ms,
    }
}

/// One ring and the pause behind it: North American, European, British.
fn ring(sound: &mut Sound, country: u64) {
    match country {
        0 => {
            sound.tone(&[440.0, 480.0], 2_000.0, -19.0);
            sound.quiet(4_000.0);
        }
        1 => {
            sound.tone(&[425.0], 1_000.0, -16.0);
            sound.quiet(4_000.0);
        }
        _ => {
            sound.tone(&[400.0, 450.0], 400.0, -19.0);
            sound.quiet(200.0);
            sound.tone(&[400.0, 450.0], 400.0, -19.0);
            sound.quiet(2_000.0);
        }
    }
}

fn beep(sound: &mut Sound, kind: Kind, random: &mut Random) {
    let level = random.between(-22.0, -10.0);
    let ms = random.between(180.0, 1_100.0);
    let hz = random.pick(&[440.0, 620.0, 850.0, 1_000.0, 1_004.0, 1_400.0, 2_000.0]);
    // A second tone above or below, within what telephones carry well.
    let other = if hz > 1_700.0 { 1.0 / 1.37 } else { 1.37 };
    if kind == Kind::OneTone {
        sound.tone(&[hz], ms, level);
    } else if random.share() < 0.5 {
        sound.tone(&[hz, hz * other], ms, level - 3.0);
    } else {
        sound.tone(&[hz], ms / 2.0, level);
        sound.tone(&[hz * other], ms / 2.0, level);
    }
}

#[derive(Default)]
struct Sound {
    samples: Vec<f64>,
}

impl Sound {
    fn ms(&self) -> f64 {
        self.samples.len() as f64 * 1_000.0 / RATE
    }

    fn quiet(&mut self, ms: f64) {
        let samples = (ms * RATE / 1_000.0) as usize;
        self.samples.extend(std::iter::repeat_n(0.0, samples));
    }

    /// Sines at once, each at a level in decibels below full scale, over 5 ms of rise and fall.
    fn tone(&mut self, frequencies: &[f64], ms: f64, level_db: f64) {
        let level = 32_768.0 * 2f64.sqrt() * 10f64.powf(level_db / 20.0);
        let count = (ms * RATE / 1_000.0) as usize;
        for index in 0..count {
            let edge = index.min(count - 1 - index) as f64 / (RATE * 0.005);
            let sum: f64 = frequencies
                .iter()
                .map(|hz| (TAU * hz * index as f64 / RATE).sin())
                .sum();
            self.samples.push(level * edge.min(1.0) * sum);
        }
    }

    /// The callee's sentence, with its pauses.
    fn says(&mut self, callee: &Callee, level: f64) {
        for (index, piece) in callee.sentence.split('|').enumerate() {
            let piece = piece.trim();
            if index % 2 == 1 {
                self.quiet(piece.parse().expect("a pause in milliseconds"));
            } else if !piece.is_empty() {
                self.text(callee.voice, piece, level);
            }
        }
    }

    fn text(&mut self, voice: &str, text: &str, level: f64) {
        let samples = speak(voice, text);
        let gain = level / rms_of_the_loud(&samples);
        self.samples
            .extend(samples.iter().map(|sample| f64::from(*sample) * gain));
    }

    fn add(&mut self, other: &[f64]) {
        for (sample, more) in self.samples.iter_mut().zip(other) {
            *sample += more;
        }
    }

    fn pcm(&self) -> Vec<i16> {
        let whole = |sample: &f64| sample.round().clamp(-32_768.0, 32_767.0) as i16;
        self.samples.iter().map(whole).collect()
    }
}

/// The root mean square of the louder half of the frames of 20 ms: how loud speech is while it is spoken.
fn rms_of_the_loud(samples: &[i16]) -> f64 {
    let mut powers: Vec<f64> = samples
        .chunks(160)
        .map(|frame| {
            let squares: f64 = frame.iter().map(|s| f64::from(*s).powi(2)).sum();
            squares / frame.len() as f64
        })
        .collect();
    powers.sort_by(f64::total_cmp);
    let loud = &powers[powers.len() / 2..];
    (loud.iter().sum::<f64>() / loud.len().max(1) as f64)
        .sqrt()
        .max(1.0)
}

fn noise_of(part: Part, noise: Noise, samples: usize, level: f64, random: &mut Random) -> Vec<f64> {
    let mut out = match noise {
        Noise::Babble => babble(part, samples, random),
        Noise::Pink | Noise::Brown => {
            // White noise through first-order low passes an octave or so apart.
            let mut poles = [0.0; 6];
            let mut out = Vec::with_capacity(samples);
            for _ in 0..samples {
                let white = random.between(-1.0, 1.0);
                let mut sum = 0.0;
                for (index, pole) in poles.iter_mut().enumerate() {
                    let keep = 1.0 - 0.7 / 3f64.powi(index as i32);
                    *pole = keep * *pole + (1.0 - keep) * white;
                    sum += *pole * 2.2f64.powi(index as i32);
                }
                out.push(match noise {
                    Noise::Brown => poles[4] * 6.0 + poles[1],
                    Noise::Pink | Noise::Babble => sum,
                });
            }
            out
        }
    };
    let power = out.iter().map(|s| s * s).sum::<f64>() / out.len().max(1) as f64;
    let gain = level / power.sqrt().max(f64::MIN_POSITIVE);
    out.iter_mut().for_each(|sample| *sample *= gain);
    out
}

fn babble(part: Part, samples: usize, random: &mut Random) -> Vec<f64> {
    let mut out = vec![0.0; samples];
    for (voice, text) in voices::babble(part).iter().zip(sentences::babble(part)) {
        let said = speak(voice, text);
        let from = (random.share() * said.len() as f64) as usize;
        for (sample, word) in out.iter_mut().zip(said.iter().cycle().skip(from)) {
            *sample += f64::from(*word);
        }
    }
    out
}
