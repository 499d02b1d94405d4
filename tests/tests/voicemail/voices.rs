//! Who speaks: flite, festival and espeak-ng (Debian packages) with many voices, none of which is in both parts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use offhook_media::resampler::resample_whole;

use crate::callee::Part;

/// A voice, by its program and name; voices that sound more like people are there more often.
pub const TUNING: [&str; 14] = [
    "flite slt",
    "espeak en-us+m1",
    "festival ked_diphone",
    "espeak en-gb+f2",
    "flite slt slow",
    "espeak en-us+Andy",
    "festival cmu_us_slt_arctic_hts",
    "espeak en-gb-scotland+m7",
    "festival ked_diphone",
    "espeak en-us+f4",
    "flite slt",
    "espeak en-gb-x-rp+m3",
    "festival cmu_us_slt_arctic_hts",
    "espeak en-029+Annie",
];

pub const HELD_BACK: [&str; 14] = [
    "flite rms",
    "espeak en-us+f3",
    "flite awb",
    "espeak en-gb+m5",
    "flite kal16",
    "espeak en-us+Alicia",
    "flite rms slow",
    "espeak en-us-nyc+m2",
    "flite awb",
    "espeak en-gb-x-gbclan+f5",
    "flite kal16",
    "espeak en-us+anika",
    "flite rms",
    "espeak en-gb-x-gbcwmd+m4",
];

pub fn of(part: Part) -> &'static [&'static str; 14] {
    match part {
        Part::Tuning => &TUNING,
        Part::HeldBack => &HELD_BACK,
    }
}

/// The voices of the other people in a room.
pub fn babble(part: Part) -> &'static [&'static str; 3] {
    match part {
        Part::Tuning => &["espeak en-us+m6", "espeak en-gb+f1", "espeak en-us+m8"],
        Part::HeldBack => &[
            "espeak en-us+Michael",
            "espeak en-gb+Linda",
            "espeak en-gb+m8",
        ],
    }
}

/// The text in that voice, at 8 kHz. What was made once is kept in `target`.
pub fn speak(voice: &str, text: &str) -> Vec<i16> {
    let file = cache().join(format!(
        "{:016x}.pcm",
        fingerprint(&format!("{voice}|{text}"))
    ));
    let bytes = fs::read(&file).unwrap_or_else(|_| {
        let samples = synthesise(voice, text, &file.with_extension("wav"));
        let bytes: Vec<u8> = samples
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        fs::write(&file, &bytes).unwrap();
        bytes
    });
    bytes
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

/// Where things that take long are kept.
pub fn cache() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("voicemail");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// FNV-1a.
pub fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

fn synthesise(voice: &str, text: &str, file: &Path) -> Vec<i16> {
    let mut words = voice.split(' ');
    let (program, name) = (words.next().unwrap(), words.next().unwrap());
    let slow = words.next().is_some();
    let path = file.to_str().unwrap();
    let mut command = match program {
        "flite" => {
            let mut command = Command::new("flite");
            let stretch = if slow { "1.2" } else { "0.95" };
            let stretch = format!("duration_stretch={stretch}");
            command.args(["-voice", name, "--setf", &stretch, "-t", text, "-o", path]);
            command
        }
        "festival" => {
            let mut command = Command::new("text2wave");
            let wanted = format!("(voice_{name})");
            command.args(["-eval", &wanted, "-o", path]);
            command
        }
        "espeak" => {
            let mut command = Command::new("espeak-ng");
            let speed = (150 + fingerprint(text) % 4 * 10).to_string();
            command.args(["-v", name, "-s", &speed, "-w", path, text]);
            command
        }
        other => panic!("{other} is no program that speaks"),
    };
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} (a Debian package) does not start: {error}"));
    let input = child.stdin.take().unwrap();
    if program == "festival" {
        std::io::Write::write_all(&mut &input, text.as_bytes()).unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{voice}: {output:?}");
    let mut wave = hound::WavReader::open(file).unwrap_or_else(|why| panic!("{voice}: {why}"));
    let rate = wave.spec().sample_rate;
    let samples: Vec<i16> = wave.samples().map(Result::unwrap).collect();
    fs::remove_file(file).unwrap();
    trimmed(&resample_whole(&samples, rate, 8_000).unwrap()).to_vec()
}

/// Without the silence around it, so that pauses are as long as they are meant to be.
fn trimmed(samples: &[i16]) -> &[i16] {
    let loudest = samples.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
    let speaks = |sample: &i16| sample.unsigned_abs() > loudest / 50;
    let from = samples.iter().position(speaks).unwrap_or(0);
    let until = samples.iter().rposition(speaks).map_or(0, |last| last + 1);
    &samples[from..until.max(from)]
}
