//! What a peer says and hears, as WAV files: written for it before the call, judged by loudness after it.

use std::path::Path;
use std::process::Command;

use crate::scratch::Scratch;

/// Writes `seconds` of a quiet line: 16-bit mono noise about 70 dB below full scale, which no detector takes for
/// speech. Digital silence would be unlike any telephone.
///
/// # Errors
/// When the file cannot be written.
pub fn write_quiet_line(path: &Path, sample_rate_hz: u32, seconds: u32) -> hound::Result<()> {
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    write_mono(path, sample_rate_hz, seconds * sample_rate_hz, |_| {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        (noise % 21) as i16 - 10
    })
}

/// Writes `seconds` of a murmur: noise as a telephone carries it, loud and soft in turn, and never the same twice, so
/// that it is like itself at one delay only.
///
/// # Errors
/// When the file cannot be written.
pub fn write_murmur(path: &Path, sample_rate_hz: u32, seconds: u32) -> hound::Result<()> {
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    let mut tones = [(0.0, 0.0); 3];
    write_mono(path, sample_rate_hz, seconds * sample_rate_hz, |n| {
        if n.is_multiple_of(sample_rate_hz / 20) {
            for (hertz, _) in &mut tones {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                *hertz = 200.0 + (noise % 1_600) as f64;
            }
        }
        let swell = 1.0 + 0.5 * (f64::from(n) / f64::from(sample_rate_hz) * 9.0).sin();
        let sum: f64 = tones
            .iter_mut()
            .map(|(hertz, phase)| {
                *phase += *hertz * std::f64::consts::TAU / f64::from(sample_rate_hz);
                phase.sin()
            })
            .sum();
        (2_000.0 * swell * sum) as i16
    })
}

/// Writes `seconds` of a steady tone at a quarter of full scale.
///
/// # Errors
/// When the file cannot be written.
pub fn write_tone(
    path: &Path,
    sample_rate_hz: u32,
    seconds: u32,
    tone_hz: f64,
) -> hound::Result<()> {
    let step = tone_hz * std::f64::consts::TAU / f64::from(sample_rate_hz);
    write_mono(path, sample_rate_hz, seconds * sample_rate_hz, |n| {
        (8192.0 * (f64::from(n) * step).sin()) as i16
    })
}

/// Writes keys as tones at 8 kHz: 100 ms each, -10 dBm0 a tone, with 100 ms of quiet around each.
///
/// # Errors
/// When the file cannot be written.
pub fn write_keys(path: &Path, keys: &str) -> hound::Result<()> {
    const PIECE: u32 = 800;
    let places: Vec<usize> = keys
        .chars()
        .filter_map(|key| "123A456B789C*0#D".find(key))
        .collect();
    let pieces = u32::try_from(2 * places.len() + 1).unwrap_or(u32::MAX);
    write_mono(path, 8_000, pieces * PIECE, |n| {
        let piece = (n / PIECE) as usize;
        let Some(place) = places.get(piece / 2).filter(|_| piece % 2 == 1) else {
            return 0;
        };
        let row = [697.0, 770.0, 852.0, 941.0][place / 4];
        let column = [1_209.0, 1_336.0, 1_477.0, 1_633.0][place % 4];
        let turns = std::f64::consts::TAU * f64::from(n) / 8_000.0;
        (7_000.0 * ((row * turns).sin() + (column * turns).sin())) as i16
    })
}

fn write_mono(
    path: &Path,
    sample_rate_hz: u32,
    samples: u32,
    mut sample: impl FnMut(u32) -> i16,
) -> hound::Result<()> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: sample_rate_hz,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec)?;
    for n in 0..samples {
        writer.write_sample(sample(n))?;
    }
    writer.finalize()
}

/// Writes `text` as flite's voice `slt`, which a daemon speaks with as well, says it.
///
/// # Panics
/// Where flite or sox is not there or fails.
pub fn write_spoken(path: &Path, sample_rate_hz: u32, text: &str) {
    let folder = Scratch::new("spoken").expect("a folder");
    let raw = folder.file("raw.wav");
    let run = |program: &mut Command| {
        let ran = program.output();
        assert!(
            ran.as_ref().is_ok_and(|ran| ran.status.success()),
            "{program:?}: {ran:?}"
        );
    };
    let mut flite = Command::new("flite");
    run(flite.args(["-voice", "slt", "-t", text, "-o"]).arg(&raw));
    let rate = sample_rate_hz.to_string();
    let mut sox = Command::new("sox");
    sox.arg(&raw).args(["-r", &rate, "-c", "1", "-b", "16"]);
    run(sox.arg(path).args(["norm", "-6"]));
}

/// What was heard so far in a recording, as loudness over time.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Root mean square of each 20 ms, as a share of full scale (0 to 1).
    frames: Vec<f64>,
}

/// Frames louder than this carry somebody's voice (about -40 dBFS); a quiet line stays far below.
const AUDIBLE: f64 = 0.01;

impl Heard {
    /// Reads a 16-bit recording, also one that is still being written (its header's length is then not true yet, so
    /// the samples are read by hand up to the end of the file); its channels are heard together. `None` before the
    /// first sample.
    pub fn read(path: &Path) -> Option<Self> {
        Self::of(&Samples::read(path)?, |_| true)
    }

    /// Reads one channel of a 16-bit recording, counted from 0: of two, the left one is 0. `None` when there is no such
    /// channel or no sample.
    pub fn read_channel(path: &Path, channel: usize) -> Option<Self> {
        let samples = Samples::read(path)?;
        let channels = samples.channels;
        Self::of(&samples, |n| n % channels == channel)
    }

    fn of(samples: &Samples, is_heard: impl Fn(usize) -> bool) -> Option<Self> {
        let frame = samples.rate_hz / 50 * samples.channels;
        if frame == 0 {
            return None;
        }
        let loudness = |frame: &[f64]| {
            let heard = (0..).zip(frame).filter(|(n, _)| is_heard(*n));
            let squares: Vec<f64> = heard.map(|(_, sample)| sample * sample).collect();
            (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
        };
        let frames: Vec<f64> = samples.values.chunks_exact(frame).map(loudness).collect();
        let is_empty = frames.iter().all(|loudness| loudness.is_nan());
        (!is_empty).then_some(Self { frames })
    }

    /// How many milliseconds between two moments were audible.
    pub fn audible_between_ms(&self, from_ms: usize, to_ms: usize) -> usize {
        self.audible_ms(from_ms)
            .saturating_sub(self.audible_ms(to_ms))
    }

    /// The length so far in milliseconds.
    pub fn length_ms(&self) -> usize {
        self.frames.len() * 20
    }

    /// How many milliseconds from `from_ms` on were audible.
    pub fn audible_ms(&self, from_ms: usize) -> usize {
        self.frames
            .iter()
            .skip(from_ms / 20)
            .filter(|rms| **rms > AUDIBLE)
            .count()
            * 20
    }

    /// How many milliseconds have passed since the last audible frame; the whole length when there was none.
    pub fn quiet_since_ms(&self) -> usize {
        self.frames
            .iter()
            .rev()
            .take_while(|rms| **rms <= AUDIBLE)
            .count()
            * 20
    }
}

/// How much one recording is like another, and when.
#[derive(Debug, Clone, Copy)]
pub struct Likeness {
    /// The normalised correlation, 0 to 1.
    pub correlation: f64,
    /// How much later the other recording has it, in milliseconds.
    pub delay_ms: i64,
}

/// How much `heard` is like `said`: three seconds of it from the third on, in pieces of a quarter of a second, each
/// searched for up to 600 ms around its time, and of these the one in the middle. So a jitter buffer that moves, or a
/// softphone that falls behind, spoils the pieces it is in and no more. Both are compared at 4 kHz. `None` while either
/// is too short.
pub fn likeness(said: &Path, heard: &Path) -> Option<Likeness> {
    const RATE: usize = 4_000;
    const PIECE: usize = RATE / 4;
    const REACH: usize = RATE * 6 / 10;
    let (said, heard) = (at_rate(said, RATE)?, at_rate(heard, RATE)?);
    let of_piece = |n: usize| {
        let start = 2 * RATE + n * PIECE;
        let said = said.get(start..start + PIECE)?;
        let heard = heard.get(start - REACH..start + REACH + PIECE)?;
        let (place, correlation) = best_place(said, heard)?;
        let delay_ms = (place as i64 - REACH as i64) / 4;
        Some(Likeness {
            correlation,
            delay_ms,
        })
    };
    let mut pieces = (0..12).map(of_piece).collect::<Option<Vec<Likeness>>>()?;
    pieces.sort_by(|a, b| a.correlation.total_cmp(&b.correlation));
    pieces.get(pieces.len() / 2).copied()
}

/// How much of the line `said` is somewhere in `heard`, 0 to 1: each quarter of a second that is audible is searched for,
/// at 2 kHz, one behind the other, and the one in the middle counts. `None` when either is shorter than that.
pub fn likeness_of_line(said: &Path, heard: &Path) -> Option<f64> {
    const RATE: usize = 2_000;
    const PIECE: usize = RATE / 4;
    let (said, heard) = (at_rate(said, RATE)?, at_rate(heard, RATE)?);
    let audible = said
        .chunks_exact(PIECE)
        .filter(|piece| energy(piece) > AUDIBLE * AUDIBLE * PIECE as f64);
    let mut before = None;
    let mut pieces = Vec::new();
    for piece in audible {
        let (place, correlation) = best_place(piece, &heard)?;
        // One that is not behind the one before it is somewhere else.
        let is_behind = before.replace(place).is_none_or(|before| place > before);
        pieces.push(if is_behind { correlation } else { 0.0 });
    }
    pieces.sort_by(f64::total_cmp);
    pieces.get(pieces.len() / 2).copied()
}

/// Where in `heard` it is most like `piece`, and how much it is.
fn best_place(piece: &[f64], heard: &[f64]) -> Option<(usize, f64)> {
    let of_piece = energy(piece);
    let correlations = heard.windows(piece.len()).map(|heard| {
        let product: f64 = piece.iter().zip(heard).map(|(a, b)| a * b).sum();
        product / (of_piece * energy(heard) + 1e-12).sqrt()
    });
    correlations.enumerate().max_by(|a, b| a.1.total_cmp(&b.1))
}

fn energy(samples: &[f64]) -> f64 {
    samples.iter().map(|sample| sample * sample).sum()
}

/// A recording, its channels together, each sample the mean of those it stands for.
fn at_rate(path: &Path, rate_hz: usize) -> Option<Vec<f64>> {
    let samples = Samples::read(path)?;
    let together = samples.rate_hz / rate_hz * samples.channels;
    (together > 0).then(|| {
        let pieces = samples.values.chunks_exact(together);
        pieces
            .map(|piece| piece.iter().sum::<f64>() / together as f64)
            .collect()
    })
}

/// A recording as it lies in its file, channels interleaved.
struct Samples {
    channels: usize,
    rate_hz: usize,
    values: Vec<f64>,
}

impl Samples {
    fn read(path: &Path) -> Option<Self> {
        let bytes = std::fs::read(path).ok()?;
        let data = bytes.windows(4).position(|name| name == b"data")? + 8;
        let values = bytes.get(data..)?.chunks_exact(2);
        Some(Self {
            channels: usize::from(little_endian(&bytes, 22)?),
            rate_hz: usize::from(little_endian(&bytes, 24)?),
            values: values
                .map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0)
                .collect(),
        })
    }
}

fn little_endian(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_murmur_is_like_itself_and_not_like_a_tone() {
        let folder = Scratch::new("wav").expect("folder");
        let (wide, narrow, tone) = (
            folder.file("wide"),
            folder.file("narrow"),
            folder.file("tone"),
        );
        write_murmur(&wide, 48_000, 6).expect("murmur");
        write_murmur(&narrow, 8_000, 6).expect("murmur");
        write_tone(&tone, 8_000, 6, 440.0).expect("tone");
        let alike = likeness(&wide, &narrow).expect("long enough");
        assert!(alike.correlation > 0.9 && alike.delay_ms == 0, "{alike:?}");
        let unlike = likeness(&wide, &tone).expect("long enough");
        assert!(unlike.correlation < 0.7, "{unlike:?}");
    }

    #[test]
    fn a_line_is_found_within_a_longer_recording_and_not_in_another() {
        let folder = Scratch::new("wav").expect("folder");
        let (line, later, tone) = (
            folder.file("line"),
            folder.file("later"),
            folder.file("tone"),
        );
        write_murmur(&line, 8_000, 2).expect("murmur");
        write_tone(&tone, 8_000, 3, 440.0).expect("tone");
        let spec = hound::WavReader::open(&line).expect("a line").spec();
        let mut writer = hound::WavWriter::create(&later, spec).expect("a file");
        let mut said = hound::WavReader::open(&line).expect("a line");
        let samples = said
            .samples::<i16>()
            .map(|sample| sample.expect("a sample"));
        for sample in std::iter::repeat_n(0, 4_000).chain(samples) {
            writer.write_sample(sample).expect("written");
        }
        writer.finalize().expect("a file");
        let found = likeness_of_line(&line, &later).expect("long enough");
        assert!(found > 0.99, "{found}");
        let unlike = likeness_of_line(&line, &tone).expect("long enough");
        assert!(unlike < 0.7, "{unlike}");
    }

    #[test]
    fn a_tone_is_audible_and_a_quiet_line_is_not() {
        let folder = Scratch::new("wav").expect("folder");
        write_tone(&folder.file("tone.wav"), 8_000, 1, 440.0).expect("tone");
        write_quiet_line(&folder.file("quiet.wav"), 8_000, 1).expect("quiet");
        let tone = Heard::read(&folder.file("tone.wav")).expect("heard");
        let quiet = Heard::read(&folder.file("quiet.wav")).expect("heard");
        assert_eq!((tone.length_ms(), tone.audible_ms(500)), (1_000, 500));
        assert_eq!((quiet.audible_ms(0), quiet.quiet_since_ms()), (0, 1_000));
    }
}
