//! How often speech and music are taken for digits or for a machine's tones: an hour of speech by twenty
//! voices of flite and espeak-ng, at three levels, alone and over music. `cargo run --release -p
//! offhook-media --example talk_off`; an argument sets the minutes.

#[path = "../tests/spoken/mod.rs"]
mod spoken;

use offhook_media::tones::call_tones::{CallTone, ToneDetector};
use offhook_media::tones::{DigitDetector, PressMark};
use spoken::{VOICES, minute, mixed, music};

const MIXES: [(&str, f64, f64); 6] = [
    ("speech", 1.0, 0.0),
    ("speech, 12 dB softer", 0.25, 0.0),
    ("speech, 8 dB louder, clipped", 2.5, 0.0),
    ("speech over music", 1.0, 0.3),
    ("speech under music", 0.4, 1.0),
    ("music", 0.0, 1.0),
];

fn main() {
    let minutes: f64 = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(60.0);
    let mut heard_s = 0.0;
    let mut digits = [0usize; MIXES.len()];
    let mut tones = [0usize; MIXES.len()];
    let mut round = 0;
    while heard_s < minutes * 60.0 {
        let voice = VOICES[round % VOICES.len()];
        let speech = minute(voice, round / VOICES.len());
        let music = music(speech.len(), 12_000.0, round as u64);
        heard_s += speech.len() as f64 / 8_000.0;
        for (index, (name, speech_gain, music_gain)) in MIXES.iter().enumerate() {
            let samples = mixed(&speech, *speech_gain, &music, *music_gain);
            let (presses, told) = listen(&samples);
            for press in &presses {
                println!("{voice}, {name}: {press:?}");
            }
            for tone in &told {
                println!("{voice}, {name}: {tone:?}");
            }
            digits[index] += presses.len();
            tones[index] += told.len();
        }
        round += 1;
    }
    println!(
        "{:<30} {:>8} {:>14}",
        format!("in {:.0} minutes of", heard_s / 60.0),
        "digits",
        "call tones"
    );
    for (index, (name, ..)) in MIXES.iter().enumerate() {
        println!("{name:<30} {:>8} {:>14}", digits[index], tones[index]);
    }
}

fn listen(samples: &[i16]) -> (Vec<PressMark>, Vec<CallTone>) {
    let mut detector = DigitDetector::new(8_000).expect("a usual rate");
    let mut tones = ToneDetector::new(8_000).expect("a usual rate");
    let (mut presses, mut told) = (Vec::new(), Vec::new());
    for (index, frame) in (1u64..).zip(samples.chunks(80)) {
        detector.hear(frame, index * 10, false, |mark| {
            if matches!(mark, PressMark::Began { .. }) {
                presses.push(mark);
            }
        });
        tones.hear(frame, index * 10, |tone| told.push(tone));
    }
    (presses, told)
}
