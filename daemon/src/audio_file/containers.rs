//! WAV, FLAC, MP3 and Ogg Vorbis, by symphonia.

use std::io::Cursor;
use std::io::ErrorKind;

use symphonia::core::codecs::audio::well_known::{CODEC_ID_FLAC, CODEC_ID_MP3, CODEC_ID_VORBIS};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatOptions, FormatReader, Track};
use symphonia::core::io::MediaSourceStream;
use symphonia::default::formats::{FlacReader, MpaReader, OggReader, WavReader};

use super::{AudioFileError, HIGHEST_RATE_HZ, LOWEST_RATE_HZ, MOST_CHANNELS, at_ms, most_samples};

/// A rate in Hz and mono samples.
type Decoded = Result<(u32, Vec<i16>), AudioFileError>;

/// The first frames of an MP3 file that was cut out of a longer one lean on bits that were cut away: so many may fail.
const FRAMES_WITHOUT_RESERVOIR: usize = 2;

/// PCM of 8 to 32 bits, floating point, A-law and µ-law.
pub(super) fn wav(bytes: &[u8]) -> Decoded {
    let reader = WavReader::try_new(stream(bytes), FormatOptions::default()).map_err(opening)?;
    Decoding::begin(Box::new(reader), |_| true)?.run(0)
}

pub(super) fn flac(bytes: &[u8]) -> Decoded {
    let reader = FlacReader::try_new(stream(bytes), FormatOptions::default()).map_err(opening)?;
    Decoding::begin(Box::new(reader), |codec| codec == CODEC_ID_FLAC)?.run(0)
}

pub(super) fn mp3(bytes: &[u8]) -> Decoded {
    let reader = MpaReader::try_new(stream(bytes), FormatOptions::default()).map_err(opening)?;
    Decoding::begin(Box::new(reader), |codec| codec == CODEC_ID_MP3)?.run(FRAMES_WITHOUT_RESERVOIR)
}

/// The pages have been looked at already.
pub(super) fn ogg_vorbis(bytes: &[u8]) -> Decoded {
    let reader = OggReader::try_new(stream(bytes), FormatOptions::default()).map_err(opening)?;
    Decoding::begin(Box::new(reader), |codec| codec == CODEC_ID_VORBIS)?.run(0)
}

fn stream(bytes: &[u8]) -> MediaSourceStream<'_> {
    MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default())
}

/// What went wrong before the first packet.
fn opening(error: Error) -> AudioFileError {
    match error {
        Error::Unsupported(what) => AudioFileError::UnknownCodec(what.to_owned()),
        error => failing(error, 0),
    }
}

fn failing(error: Error, at_ms: u32) -> AudioFileError {
    match error {
        Error::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => AudioFileError::CutOff,
        Error::ResetRequired => AudioFileError::Damaged {
            at_ms,
            what: "another stream begins".to_owned(),
        },
        error => AudioFileError::Damaged {
            at_ms,
            what: error.to_string(),
        },
    }
}

/// One track on its way to samples.
struct Decoding<'a> {
    reader: Box<dyn FormatReader + 'a>,
    track: Track,
    parameters: AudioCodecParameters,
    rate_hz: u32,
    samples: Vec<i16>,
}

impl<'a> Decoding<'a> {
    fn begin(
        reader: Box<dyn FormatReader + 'a>,
        wanted: impl Fn(AudioCodecId) -> bool,
    ) -> Result<Self, AudioFileError> {
        let audio = |track: &Track| {
            let parameters = track.codec_params.as_ref()?.audio()?.clone();
            wanted(parameters.codec).then(|| (track.clone(), parameters))
        };
        let (track, parameters) =
            reader.tracks().iter().find_map(audio).ok_or_else(|| {
                AudioFileError::UnknownCodec("it has no track of audio".to_owned())
            })?;
        let rate_hz = parameters.sample_rate.unwrap_or(0);
        if !(LOWEST_RATE_HZ..=HIGHEST_RATE_HZ).contains(&rate_hz) {
            return Err(AudioFileError::Rate(rate_hz));
        }
        Ok(Self {
            reader,
            track,
            parameters,
            rate_hz,
            samples: Vec::new(),
        })
    }

    /// Decodes to the end. So many packets at the beginning may be damaged.
    fn run(mut self, may_fail: usize) -> Decoded {
        let options = AudioDecoderOptions::default().verify(true);
        let mut decoder = symphonia::default::get_codecs()
            .make_audio_decoder(&self.parameters, &options)
            .map_err(opening)?;
        let announced = self
            .track
            .num_frames
            .and_then(|frames| usize::try_from(frames).ok());
        let most = most_samples(self.rate_hz);
        if announced.is_some_and(|announced| announced > most) {
            return Err(AudioFileError::TooLong);
        }
        // Grown by doubling, a long file would need twice its room. A header that lies costs addresses alone.
        self.samples.reserve(announced.unwrap_or(0));
        let mut interleaved: Vec<f32> = Vec::new();
        let mut failed = 0;
        while let Some(packet) = self.next_packet()? {
            let decoded = match decoder.decode(&packet) {
                Ok(decoded) => decoded,
                Err(Error::DecodeError(_)) if failed < may_fail && self.samples.is_empty() => {
                    failed += 1;
                    continue;
                }
                Err(error) => return Err(failing(error, self.at_ms())),
            };
            if decoded.frames() == 0 {
                continue;
            }
            if decoded.spec().rate() != self.rate_hz {
                return Err(AudioFileError::Damaged {
                    at_ms: self.at_ms(),
                    what: format!("its rate changes to {} Hz", decoded.spec().rate()),
                });
            }
            let channels = decoded.spec().channels().count();
            if !(1..=MOST_CHANNELS).contains(&channels) {
                return Err(AudioFileError::Channels(channels));
            }
            decoded.copy_to_vec_interleaved(&mut interleaved);
            self.samples
                .extend(interleaved.chunks_exact(channels).map(mean));
            if self.samples.len() > most {
                return Err(AudioFileError::TooLong);
            }
        }
        if announced.is_some_and(|announced| self.samples.len() < announced) && failed == 0 {
            return Err(AudioFileError::CutOff);
        }
        if decoder.finalize().verify_ok == Some(false) {
            return Err(AudioFileError::Damaged {
                at_ms: self.at_ms(),
                what: "the checksum of its audio is another".to_owned(),
            });
        }
        Ok((self.rate_hz, self.samples))
    }

    fn next_packet(&mut self) -> Result<Option<symphonia::core::packet::Packet>, AudioFileError> {
        loop {
            match self.reader.next_packet() {
                Ok(Some(packet)) if packet.track_id != self.track.id => {}
                Ok(packet) => return Ok(packet),
                // Not every reader tells an end from an early one; whoever knows how long the file should be does.
                Err(Error::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Ok(None);
                }
                Err(error) => return Err(failing(error, self.at_ms())),
            }
        }
    }

    fn at_ms(&self) -> u32 {
        at_ms(self.samples.len(), self.rate_hz)
    }
}

/// Brings one moment's channels down to one sample. What has 16 bits stays as it is.
fn mean(channels: &[f32]) -> i16 {
    let sum: f32 = channels.iter().sum();
    // The cast saturates, and takes what is no number for zero.
    (sum / channels.len() as f32 * 32_768.0).round() as i16
}
