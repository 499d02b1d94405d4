//! Speech of many voices that say different things each time, made by flite and espeak-ng (Debian packages
//! of those names), and music to put under it.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "tests and examples use some of it"
)]

use std::f64::consts::TAU;
use std::path::Path;
use std::process::Command;

use offhook_media::resampler::resample_whole;

/// Who speaks: flite's voices, and espeak-ng's with their variants; those of other languages read the same
/// words by their own rules, which gives other vowels.
pub const VOICES: [&str; 20] = [
    "flite slt",
    "espeak en-us+f2",
    "flite rms",
    "espeak en-gb+m3",
    "flite awb",
    "espeak de+f4",
    "flite kal",
    "espeak fr+m2",
    "espeak es+f1",
    "espeak it+m4",
    "espeak en-us+f5",
    "espeak pl+m1",
    "espeak ru+f3",
    "espeak sv+m7",
    "espeak nl+m5",
    "espeak pt+f2",
    "espeak tr+m6",
    "espeak hi+f1",
    "espeak fi+m8",
    "espeak en-gb-scotland+f3",
];

const WHO: [&str; 12] = [
    "I",
    "You",
    "My sister",
    "The driver",
    "Our neighbour",
    "Nobody",
    "The old lady",
    "Mister Fisher",
    "We",
    "The technician",
    "Eleven people",
    "Your colleague",
];
const DOES: [&str; 12] = [
    "would like to move",
    "never received",
    "called about",
    "wants to cancel",
    "has been waiting for",
    "ordered",
    "could not open",
    "keeps losing",
    "is looking for",
    "will bring back",
    "already paid for",
    "complained about",
];
const WHAT: [&str; 14] = [
    "the blue sofa",
    "an invoice from June",
    "a table for two",
    "the parcel",
    "our annual subscription",
    "a new router",
    "twenty-three tickets",
    "the insurance papers",
    "an appointment",
    "the wrong keys",
    "his electricity bill",
    "a loan of five hundred euros",
    "the oil filter",
    "some really good coffee",
];
const WHEN: [&str; 12] = [
    "on Monday morning.",
    "since last week!",
    "at half past seven.",
    "before Christmas, I suppose.",
    "again?",
    "at the airport.",
    "in Oxford Street number nine.",
    "for no reason at all.",
    "as soon as possible, please.",
    "with my mother in law.",
    "and then the line went dead.",
    "under account four four two seven zero one.",
];

/// About a minute of a voice, at 8 kHz; every `round` says something else, at another pitch and speed.
pub fn minute(voice: &str, round: usize) -> Vec<i16> {
    let folder = std::env::temp_dir().join(format!(
        "offhook-spoken-{}-{}-{round}",
        std::process::id(),
        voice.replace([' ', '+'], "-")
    ));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("speech.wav");
    let samples = speak(voice, round, &file);
    std::fs::remove_dir_all(&folder).unwrap();
    samples
}

fn speak(voice: &str, round: usize, file: &Path) -> Vec<i16> {
    let text = text(voice, round);
    let (program, name) = voice.split_once(' ').unwrap();
    let path = file.to_str().unwrap();
    let mut command = if program == "flite" {
        let mut command = Command::new("flite");
        let stretch = format!("duration_stretch={}", 0.85 + 0.1 * (round % 5) as f64);
        command.args(["-voice", name, "--setf", &stretch, "-t", &text, "-o", path]);
        command
    } else {
        let mut command = Command::new("espeak-ng");
        let speed = (140 + 15 * (round % 5)).to_string();
        let pitch = (30 + 17 * (round % 4)).to_string();
        command.args(["-v", name, "-s", &speed, "-p", &pitch, "-w", path, &text]);
        command
    };
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{program} (a Debian package) does not start: {error}"));
    assert!(output.status.success(), "{voice}: {output:?}");
    let mut wave = hound::WavReader::open(file).unwrap();
    let rate = wave.spec().sample_rate;
    let samples: Vec<i16> = wave.samples().map(Result::unwrap).collect();
    resample_whole(&samples, rate, 8_000).unwrap()
}

fn text(voice: &str, round: usize) -> String {
    let mut state = voice.bytes().fold(round as u64 + 1, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    let mut pick = |from: &[&'static str]| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        from[(state >> 33) as usize % from.len()]
    };
    let sentences: Vec<String> = (0..20)
        .map(|_| {
            format!(
                "{} {} {} {}",
                pick(&WHO),
                pick(&DOES),
                pick(&WHAT),
                pick(&WHEN)
            )
        })
        .collect();
    sentences.join(" ")
}

/// Chords under a melody, with overtones: what a queue plays. Notes of `ms`, at 8 kHz, peaks near `level`.
pub fn music(samples: usize, level: f64, seed: u64) -> Vec<i16> {
    let mut state = seed;
    let mut pick = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut out = Vec::with_capacity(samples);
    let mut chord = [0.0; 4];
    let mut left = 0usize;
    let mut length = 1usize;
    while out.len() < samples {
        if left == 0 {
            length = 800 * (1 + pick(6) as usize);
            left = length;
            let steps = [0, 2, 4, 5, 7, 9, 11, 12, 14, 16, 17, 19];
            for (voice, note) in chord.iter_mut().enumerate() {
                let step = steps[pick(12) as usize] + if voice == 0 { 12 } else { 0 };
                *note = 220.0 * 2f64.powf(f64::from(step) / 12.0);
            }
        }
        let at = out.len() as f64 / 8_000.0;
        let fade = 0.3 + 0.7 * left as f64 / length as f64;
        let sum: f64 = chord
            .iter()
            .map(|hz| {
                let phase = TAU * hz * at;
                phase.sin() + 0.4 * (2.0 * phase).sin() + 0.2 * (3.0 * phase).sin()
            })
            .sum();
        out.push((level * fade * sum / 5.0) as i16);
        left -= 1;
    }
    out
}

/// Both at once, each times a factor; the shorter is over sooner.
pub fn mixed(speech: &[i16], speech_gain: f64, music: &[i16], music_gain: f64) -> Vec<i16> {
    speech
        .iter()
        .zip(music)
        .map(|(a, b)| {
            let sum = f64::from(*a) * speech_gain + f64::from(*b) * music_gain;
            sum.clamp(-32_768.0, 32_767.0) as i16
        })
        .collect()
}
