//! How well, and at what cost, speech is marked: four synthetic voices (flite) say sentences and single
//! words, clean and over white noise; each utterance's marks are held against where its sound begins
//! and ends. `cargo run --release -p offhook-media --example speech_marks`; needs flite's program.

use std::path::Path;
use std::process::Command;

use offhook_media::codec::{CodecKind, Decoder};
use offhook_media::resampler::resample_whole;
use offhook_media::voice_activity::{SpeechMark, VoiceActivity};

const VOICES: [&str; 4] = ["slt", "rms", "awb", "kal"];
const UTTERANCES: [&str; 12] = [
    "I would like a table for two people, please.",
    "Could you put me through to the billing department?",
    "My account number is five five three, nine zero two.",
    "No, that is not what I asked for.",
    "Tomorrow evening at half past seven would be fine.",
    "She sells sea shells by the shore.",
    "Please cancel the order that I placed on Friday afternoon.",
    "What time do you close?",
    "Yes.",
    "No.",
    "Seven.",
    "Operator.",
];
/// Quiet before and after each utterance.
const QUIET_MS: usize = 3_000;
const SAMPLES_PER_MS: usize = 8;
const FRAME: usize = 80;
/// A frame this far below the utterance's loudest belongs to its beginning or end no more: -35 dB.
const SOUNDING_SHARE: f64 = 0.000_316;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("speech_marks-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let mut spoken = Vec::new();
    for voice in VOICES {
        for text in UTTERANCES {
            spoken.push(speak(voice, text, &folder.join("line.wav"))?);
        }
    }
    std::fs::remove_dir_all(&folder)?;

    println!(
        "{:<8} {:>6} {:>6} {:>6} {:>18} {:>18} {:>9} {:>13}",
        "noise",
        "missed",
        "false",
        "pieces",
        "start off, ms",
        "stop off, ms",
        "known in",
        "detector runs"
    );
    println!(
        "{:<8} {:>6} {:>6} {:>6} {:>18} {:>18} {:>9} {:>13}",
        "", "", "", "", "mean / worst", "mean / worst", "ms", "a s of speech"
    );
    for noise_below_db in [None, Some(30.0), Some(20.0), Some(15.0)] {
        let mut tally = Tally::default();
        for (seed, utterance) in (1..).zip(&spoken) {
            tally.hear(utterance, noise_below_db, seed);
        }
        tally.print(&noise_below_db.map_or("none".to_owned(), |db| format!("-{db:.0} dB")));
    }
    print_talker();
    print_not_speech();
    Ok(())
}

/// Sounds that nobody said, at three levels with half a second between: what of them is marked.
fn print_not_speech() {
    type Sound = (&'static str, fn(f64, f64) -> f64);
    // Each is a function of its time in seconds and of noise within one.
    const SOUNDS: [Sound; 7] = [
        (
            "bursts of noise",
            |time, noise| if time < 0.2 { noise } else { 0.0 },
        ),
        ("decaying noise, a cough", |time, noise| {
            noise * (-time * 12.0).exp()
        }),
        ("a buzz of 60 ms, then noise", |time, noise| {
            if time < 0.06 {
                buzz(150.0, time)
            } else {
                noise * ((0.06 - time) * 8.0).exp()
            }
        }),
        ("a buzz of 120 ms", |time, _| {
            if time < 0.12 { buzz(120.0, time) } else { 0.0 }
        }),
        ("DTMF", |time, _| {
            if time % 0.2 < 0.1 {
                (sine(770.0, time) + sine(1_336.0, time)) / 2.0
            } else {
                0.0
            }
        }),
        ("ring-back tone", |time, _| {
            if time < 1.0 { sine(425.0, time) } else { 0.0 }
        }),
        ("knocking", |time, noise| {
            noise * (-(time % 0.15) * 60.0).exp()
        }),
    ];
    for (name, sound) in SOUNDS {
        let mut detector = VoiceActivity::new(8_000, 1).expect("8 kHz is offered");
        let (mut marks, mut state, mut slot) = (0, 1u32, 0u64);
        let mut hear = |sample: &mut dyn FnMut(usize) -> f64, frames: usize| {
            for frame in 0..frames {
                let samples: [i16; FRAME] =
                    std::array::from_fn(|index| sample(frame * FRAME + index) as i16);
                let mark = detector.hear(Some(&samples), slot * 10);
                marks += usize::from(matches!(mark, Some(SpeechMark::Started { .. })));
                slot += 1;
            }
        };
        for level in [1_500.0, 5_000.0, 15_000.0] {
            for _ in 0..20 {
                hear(&mut |_| 0.0, 50 + marks_apart(slot_noise(&mut state)));
                hear(
                    &mut |index| level * sound(index as f64 / 8_000.0, slot_noise(&mut state)),
                    130,
                );
            }
        }
        println!("not speech: {name}: {marks} of 60 marked");
    }
}

fn marks_apart(noise: f64) -> usize {
    ((noise + 1.0) * 10.0) as usize
}

fn slot_noise(state: &mut u32) -> f64 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    f64::from(*state) / f64::from(u32::MAX) * 2.0 - 1.0
}

fn sine(hertz: f64, time: f64) -> f64 {
    (std::f64::consts::TAU * hertz * time).sin()
}

/// Pulses with two resonances, somewhat like a vowel.
fn buzz(hertz: f64, time: f64) -> f64 {
    let since = (time * hertz).fract() / hertz;
    (sine(600.0, since) + sine(1_200.0, since) * 0.6) * (-since * 300.0).exp() * 0.7
}

/// What the callers of the bench say: talkspurts cut out of one sentence, as `(first, frames)` of 20 ms
/// in a round of 10 s.
const TALKSPURTS: [(usize, usize); 4] = [(20, 80), (160, 40), (260, 55), (400, 25)];
const ROUNDS: usize = 6;

fn print_talker() {
    let law = include_bytes!("../../tests/audio/talker.ulaw");
    let mut speech = vec![0; law.len()];
    let mut decoder = Decoder::new(CodecKind::Pcmu).expect("a table needs no memory");
    decoder
        .decode(law, &mut speech)
        .expect("every byte is a sample");
    let mut round = vec![0; 500 * 2 * FRAME];
    let mut said = &speech[..];
    for (first, frames) in TALKSPURTS {
        let length = frames * 2 * FRAME;
        round[first * 2 * FRAME..][..length].copy_from_slice(&said[..length]);
        said = &said[length..];
    }
    let mut detector = VoiceActivity::new(8_000, 1).expect("8 kHz is offered");
    let mut marks = 0;
    for (slot, frame) in (0..).zip(round.repeat(ROUNDS).chunks_exact(FRAME)) {
        marks += usize::from(detector.hear(Some(frame), slot * 10).is_some());
    }
    println!(
        "bench talker: {} talkspurts marked of {}, detector runs in {:.1} % of the time",
        marks / 2,
        TALKSPURTS.len() * ROUNDS,
        detector.detector_frames() as f64 * 1.6 / (ROUNDS as f64 * 10.0)
    );
}

/// The utterance at 8 kHz and -20 dBFS.
fn speak(voice: &str, text: &str, file: &Path) -> Result<Vec<i16>, Box<dyn std::error::Error>> {
    let status = Command::new("flite")
        .args(["-voice", voice, "-t", text, "-o"])
        .arg(file)
        .status()?;
    if !status.success() {
        return Err("flite failed".into());
    }
    let mut reader = hound::WavReader::open(file)?;
    let rate = reader.spec().sample_rate;
    let samples = reader.samples().collect::<Result<Vec<i16>, _>>()?;
    let samples = resample_whole(&samples, rate, 8_000)?;
    let level = mean_square(&samples).sqrt().max(1.0);
    let factor = 3_277.0 / level;
    Ok(samples
        .iter()
        .map(|sample| (f64::from(*sample) * factor) as i16)
        .collect())
}

#[derive(Default)]
struct Tally {
    utterances: usize,
    missed: usize,
    false_starts: usize,
    pieces: usize,
    start_off_ms: Vec<i64>,
    stop_off_ms: Vec<i64>,
    known_after_ms: Vec<i64>,
    detector_runs: u64,
    speech_ms: u64,
}

impl Tally {
    fn hear(&mut self, utterance: &[i16], noise_below_db: Option<f64>, seed: u32) {
        let quiet = vec![0; QUIET_MS * SAMPLES_PER_MS];
        let mut line = [&quiet, utterance, &quiet].concat();
        if let Some(db) = noise_below_db {
            // Uniform noise's effective value is its amplitude over the root of three.
            let amplitude = (mean_square(utterance) * 10f64.powf(-db / 10.0) * 3.0).sqrt();
            add_noise(&mut line, amplitude, seed);
        }
        let (begins, ends) = sounding_ms(utterance);
        let mut detector = VoiceActivity::new(8_000, seed).expect("8 kHz is offered");
        let (mut starts, mut stops) = (Vec::new(), Vec::new());
        let mut runs_before = 0;
        for (slot, frame) in (0..).zip(line.chunks_exact(FRAME)) {
            // At the very beginning the gate still learns what the line's noise is.
            if slot as i64 * 10 == begins - 500 {
                runs_before = detector.detector_frames();
            }
            match detector.hear(Some(frame), slot * 10) {
                Some(SpeechMark::Started { at_ms }) => {
                    starts.push((at_ms as i64, slot as i64 * 10 + 10))
                }
                Some(SpeechMark::Stopped { at_ms }) => stops.push(at_ms as i64),
                None => {}
            }
        }
        self.utterances += 1;
        self.detector_runs += detector.detector_frames() - runs_before;
        self.speech_ms += (ends - begins) as u64;
        let belongs = |at_ms: i64| (begins - 150..ends + 100).contains(&at_ms);
        self.false_starts += starts.iter().filter(|(at, _)| !belongs(*at)).count();
        starts.retain(|(at, _)| belongs(*at));
        self.pieces += starts.len();
        match (starts.first(), stops.last()) {
            (Some((start, known)), Some(stop)) => {
                self.start_off_ms.push(start - begins);
                self.known_after_ms.push(known - begins);
                self.stop_off_ms.push(stop - ends);
            }
            (None, _) | (_, None) => self.missed += 1,
        }
    }

    fn print(&self, noise: &str) {
        println!(
            "{noise:<8} {:>6} {:>6} {:>6} {:>18} {:>18} {:>9.0} {:>13.1}",
            self.missed,
            self.false_starts,
            format!("{}/{}", self.pieces, self.utterances),
            mean_and_worst(&self.start_off_ms),
            mean_and_worst(&self.stop_off_ms),
            mean(&self.known_after_ms),
            self.detector_runs as f64 * 1_000.0 / self.speech_ms as f64,
        );
    }
}

fn mean(values: &[i64]) -> f64 {
    values.iter().sum::<i64>() as f64 / values.len().max(1) as f64
}

fn mean_and_worst(values: &[i64]) -> String {
    let worst = values.iter().copied().max_by_key(|value| value.abs());
    format!("{:+.0} / {:+}", mean(values), worst.unwrap_or(0))
}

/// Where the utterance's sound begins and ends, in milliseconds of the whole line.
fn sounding_ms(utterance: &[i16]) -> (i64, i64) {
    let powers: Vec<f64> = utterance.chunks_exact(FRAME).map(mean_square).collect();
    let loudest = powers.iter().copied().fold(0.0, f64::max);
    let sounds = |power: &f64| *power > loudest * SOUNDING_SHARE;
    let first = powers.iter().position(sounds).unwrap_or(0);
    let last = powers.iter().rposition(sounds).unwrap_or(0);
    let ms = |frame: usize| (QUIET_MS + frame * 10) as i64;
    (ms(first), ms(last + 1))
}

fn mean_square(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    sum / samples.len().max(1) as f64
}

fn add_noise(line: &mut [i16], amplitude: f64, seed: u32) {
    let mut state = seed | 1;
    for sample in line {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let noise = amplitude * (f64::from(state) / f64::from(u32::MAX) * 2.0 - 1.0);
        *sample = (f64::from(*sample) + noise) as i16;
    }
}
