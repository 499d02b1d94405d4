//! Audio files: what agents play, decoded whole, once, and shared by all calls.
//!
//! ```text
//! Asset ─► bytes ─► Form (by the first bytes) ─┬─ WAV, FLAC, MP3, Ogg Vorbis ─► containers (symphonia) ─┬─► mono i16, at the file's rate
//!                    Ogg ─► ogg (its pages)  ──┴─ Ogg Opus ────────────────────► ogg_opus (libopus) ─────┘    ─► AudioByRate
//! ```
//!
//! A file is looked at when the configuration is read, so that a bad one is a mistake there: nobody should hear of
//! it by a caller who hears nothing. What is cut off or damaged is refused as a whole. Several channels become one by
//! their mean, which cannot clip. The leg's rate is made of the file's later ([`AudioByRate`]).

mod containers;
mod ogg;
mod ogg_opus;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use offhook_session::agent::AudioByRate;
use offhook_session::provider::Audio;

use crate::asset::Asset;

/// The longest file, in bytes: 30 minutes of stereo at 48 kHz with 24 bits are 495 MiB.
const MOST_BYTES: u64 = 512 << 20;
/// The longest audio, in minutes; at rates above 48 kHz it is as many samples as at that.
const MOST_MINUTES: u32 = 30;
const LOWEST_RATE_HZ: u32 = 8_000;
const HIGHEST_RATE_HZ: u32 = 192_000;
/// As many channels as are brought down to one.
const MOST_CHANNELS: usize = 8;

/// Audio from a file; clones share it.
#[derive(Clone)]
pub struct AudioFile {
    name: PathBuf,
    audio: Arc<AudioByRate>,
}

impl AudioFile {
    /// Reads and decodes a file.
    ///
    /// # Errors
    /// What keeps it from being played.
    pub fn load(file: &Asset) -> Result<Self, AudioFileError> {
        let bytes = file
            .read_at_most(MOST_BYTES)?
            .ok_or(AudioFileError::TooLarge)?;
        Ok(Self {
            name: file.name().to_owned(),
            audio: Arc::new(AudioByRate::new(decode(&bytes)?)),
        })
    }

    /// The file's path, or the name of what came with the program.
    #[must_use]
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// What it holds.
    #[must_use]
    pub fn audio(&self) -> &Arc<AudioByRate> {
        &self.audio
    }
}

impl fmt::Debug for AudioFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AudioFile").field(&self.name).finish()
    }
}

/// Files are the same when they have the same name: one configuration reads each once.
impl PartialEq for AudioFile {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// The files of one configuration: each is decoded once, however many agents name it.
#[derive(Debug, Default)]
pub struct AudioFiles(BTreeMap<PathBuf, AudioFile>);

impl AudioFiles {
    /// The audio of a file.
    ///
    /// # Errors
    /// As [`AudioFile::load`].
    pub fn get(&mut self, file: &Asset) -> Result<AudioFile, AudioFileError> {
        if let Some(known) = self.0.get(file.name()) {
            return Ok(known.clone());
        }
        let loaded = AudioFile::load(file)?;
        self.0.insert(file.name().to_owned(), loaded.clone());
        Ok(loaded)
    }
}

impl Eq for AudioFile {}

/// Why a file cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum AudioFileError {
    /// It could not be read at all.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// More bytes than are taken.
    #[error("is larger than {} MiB", MOST_BYTES >> 20)]
    TooLarge,
    /// Longer than is taken.
    #[error(
        "is longer than {MOST_MINUTES} minutes (above 48 kHz, than as many samples as that has)"
    )]
    TooLong,
    /// Not a byte, or not a sample.
    #[error("is empty")]
    Empty,
    /// Nothing that is known.
    #[error("is no audio file that is known: there are WAV, MP3, FLAC, Ogg Vorbis and Ogg Opus")]
    NotAudio,
    /// Known, but with something inside that is not.
    #[error("has a codec that is not known: {0}")]
    UnknownCodec(String),
    /// It says that it is longer than it is.
    #[error("ends too early: it was cut off")]
    CutOff,
    /// It cannot be decoded.
    #[error("is damaged at {:.1} s: {what}", f64::from(*at_ms) / 1_000.0)]
    Damaged {
        /// Where in it, in milliseconds of audio.
        at_ms: u32,
        /// What is wrong there.
        what: String,
    },
    /// A rate outside of what is converted.
    #[error("has a rate of {0} Hz; it may be {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ}")]
    Rate(u32),
    /// No channel, or too many.
    #[error("has {0} channels; it may have 1 to {MOST_CHANNELS}")]
    Channels(usize),
}

/// What kind of file it is, by its first bytes; MP3 and FLAC are given without the tags around them.
enum Form<'a> {
    Wav(&'a [u8]),
    Flac(&'a [u8]),
    Mp3(&'a [u8]),
    Ogg(&'a [u8]),
}

impl<'a> Form<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let audio = without_tags(bytes);
        match audio {
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'A',
                b'V',
                b'E',
                ..,
            ] => Some(Self::Wav(audio)),
            [b'f', b'L', b'a', b'C', ..] => Some(Self::Flac(audio)),
            [b'O', b'g', b'g', b'S', ..] => Some(Self::Ogg(audio)),
            // The eleven bits of MPEG's frame sync, a version and layer III.
            [0xff, second, ..] if second & 0xe6 == 0xe2 && second & 0x18 != 0x08 => {
                Some(Self::Mp3(audio))
            }
            _ => None,
        }
    }
}

/// What lies between an ID3v2 tag in front and an ID3v1 tag behind. A picture in a tag may look like a frame.
fn without_tags(bytes: &[u8]) -> &[u8] {
    let mut audio = bytes;
    if let [b'I', b'D', b'3', _, _, flags, size @ ..] = bytes
        && let Some(size) = size.first_chunk::<4>()
    {
        let body = size
            .iter()
            .fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7f));
        let footer = if flags & 0x10 != 0 { 10 } else { 0 };
        audio = bytes.get(10 + body + footer..).unwrap_or_default();
    }
    match audio.len().checked_sub(128) {
        Some(at) if audio[at..].starts_with(b"TAG") => &audio[..at],
        Some(_) | None => audio,
    }
}

/// Decodes a whole file, whatever it is.
fn decode(bytes: &[u8]) -> Result<Audio, AudioFileError> {
    if bytes.is_empty() {
        return Err(AudioFileError::Empty);
    }
    let (sample_rate_hz, samples) = match Form::of(bytes).ok_or(AudioFileError::NotAudio)? {
        Form::Wav(bytes) => contained(|| containers::wav(bytes))?,
        Form::Flac(bytes) => contained(|| containers::flac(bytes))?,
        Form::Mp3(bytes) => contained(|| containers::mp3(bytes))?,
        Form::Ogg(bytes) => match ogg::Stream::find(bytes)? {
            ogg::Stream::Opus(serial) => ogg_opus::decode(bytes, serial)?,
            ogg::Stream::Vorbis => contained(|| containers::ogg_vorbis(bytes))?,
        },
    };
    if samples.is_empty() {
        return Err(AudioFileError::Empty);
    }
    Ok(Audio {
        sample_rate_hz,
        samples: samples.into(),
    })
}

/// Runs a decoder that is not ours. Symphonia 0.6.1 panics where a damaged header makes its arithmetic overflow, in
/// builds that check that (WAV's block size, the tables of Vorbis); that costs the file and nothing else.
fn contained<T>(
    decode: impl FnOnce() -> Result<T, AudioFileError> + std::panic::UnwindSafe,
) -> Result<T, AudioFileError> {
    std::panic::catch_unwind(decode).unwrap_or_else(|_| {
        Err(AudioFileError::Damaged {
            at_ms: 0,
            what: "its decoder gave it up".to_owned(),
        })
    })
}

/// How many samples a file of this rate may have.
fn most_samples(sample_rate_hz: u32) -> usize {
    MOST_MINUTES as usize * 60 * sample_rate_hz.min(48_000) as usize
}

/// Where in a file so many samples are, in milliseconds.
fn at_ms(samples: usize, sample_rate_hz: u32) -> u32 {
    let ms = samples as u64 * 1_000 / u64::from(sample_rate_hz.max(1));
    u32::try_from(ms).unwrap_or(u32::MAX)
}

/// The checksum of a page of Ogg, for tests that make one.
#[cfg(test)]
pub(crate) fn ogg_checksum(page: &[u8]) -> u32 {
    ogg::checksum(page)
}
