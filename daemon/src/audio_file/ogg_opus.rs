//! Opus in Ogg (RFC 7845), by libopus. It is decoded at 48 kHz, whatever it was made of, and to one channel: libopus
//! brings two down to their mean.

use super::ogg::{Packets, Pages};
use super::{AudioFileError, at_ms, most_samples};

const RATE_HZ: u32 = 48_000;
/// The longest packet, 120 ms, in samples.
const LONGEST_PACKET: usize = 5_760;

/// What the identification header says (section 5.1).
#[derive(Clone, Copy, Debug)]
struct Head {
    /// Samples at the beginning that are not played.
    pre_skip: usize,
    /// In 1/256 dB.
    output_gain: i16,
}

/// What has been decoded, and what the pages say of it.
struct Decoding {
    decoder: opus::Decoder,
    samples: Vec<i16>,
    /// The granule position before the first sample. What was cut out of a longer stream begins late (section 4.5).
    origin: Option<i64>,
}

/// Decodes the stream `serial`, whose pages are known to be whole.
pub(super) fn decode(bytes: &[u8], serial: u32) -> Result<(u32, Vec<i16>), AudioFileError> {
    let mut packets = Packets::default();
    let mut head = None;
    let mut has_tags = false;
    let mut decoding: Option<Decoding> = None;
    let mut end = None;
    for page in Pages::of(bytes) {
        let page = page?;
        if page.serial != serial {
            continue;
        }
        packets.add(&page, |packet| match (head, &mut decoding) {
            (None, _) => {
                let read = read_head(packet)?;
                head = Some(read);
                decoding = Some(Decoding::new(read)?);
                Ok(())
            }
            (Some(_), _) if !has_tags => {
                has_tags = true;
                Ok(())
            }
            (Some(_), Some(decoding)) => decoding.decode(packet),
            (Some(_), None) => Ok(()),
        })?;
        if let Some(decoding) = &mut decoding
            && page.granule >= 0
        {
            decoding.learn_origin(page.granule, page.is_last())?;
            end = page.is_last().then_some(page.granule);
        }
        if page.is_last() {
            break;
        }
    }
    let (Some(head), Some(decoding)) = (head, decoding) else {
        return Err(AudioFileError::Empty);
    };
    Ok((RATE_HZ, decoding.trimmed(head.pre_skip, end)))
}

fn read_head(packet: &[u8]) -> Result<Head, AudioFileError> {
    let Some(fields) = packet
        .strip_prefix(b"OpusHead")
        .and_then(|fields| fields.first_chunk::<11>())
    else {
        return Err(damaged(0, "its header of Opus is too short"));
    };
    // "version", whose upper half is to be zero, "channel count", …, "channel mapping family".
    let [version, channels, .., family] = *fields;
    if version & 0xf0 != 0 || family != 0 && channels <= 2 {
        let what = format!("Opus of version {version}, mapping family {family}");
        return Err(AudioFileError::UnknownCodec(what));
    }
    if !(1..=2).contains(&channels) {
        return Err(AudioFileError::UnknownCodec(format!(
            "Opus with {channels} channels, where 1 and 2 are"
        )));
    }
    Ok(Head {
        pre_skip: usize::from(u16::from_le_bytes([fields[2], fields[3]])),
        output_gain: i16::from_le_bytes([fields[8], fields[9]]),
    })
}

impl Decoding {
    fn new(head: Head) -> Result<Self, AudioFileError> {
        let decoder = opus::Decoder::new(RATE_HZ, opus::Channels::Mono).and_then(|mut decoder| {
            decoder.set_gain(i32::from(head.output_gain))?;
            Ok(decoder)
        });
        Ok(Self {
            decoder: decoder.map_err(|error| damaged(0, &error.to_string()))?,
            samples: Vec::new(),
            origin: None,
        })
    }

    fn decode(&mut self, packet: &[u8]) -> Result<(), AudioFileError> {
        // libopus takes an empty packet for a loss and invents audio.
        let mut out = [0; LONGEST_PACKET];
        let decoded = match packet {
            [] => Err("an empty packet".to_owned()),
            packet => self
                .decoder
                .decode(packet, &mut out, false)
                .map_err(|error| error.to_string()),
        };
        let count = decoded.map_err(|what| damaged(at_ms(self.samples.len(), RATE_HZ), &what))?;
        self.samples.extend_from_slice(&out[..count]);
        if self.samples.len() > most_samples(RATE_HZ) {
            return Err(AudioFileError::TooLong);
        }
        Ok(())
    }

    /// By the first page on which audio ends. Where it is the last, too, its position is less than it holds for the
    /// sake of the end, not of the beginning.
    fn learn_origin(&mut self, granule: i64, is_last: bool) -> Result<(), AudioFileError> {
        if self.origin.is_some() || self.samples.is_empty() {
            return Ok(());
        }
        let held = i64::try_from(self.samples.len()).unwrap_or(i64::MAX);
        self.origin = match granule.checked_sub(held) {
            Some(origin) if origin >= 0 => Some(origin),
            Some(_) if is_last => Some(0),
            Some(_) | None => {
                return Err(damaged(
                    0,
                    "its first page counts fewer samples than it has",
                ));
            }
        };
        Ok(())
    }

    /// Without what is before the beginning (section 4.2) and behind the end (section 4.4).
    fn trimmed(mut self, pre_skip: usize, end: Option<i64>) -> Vec<i16> {
        let origin = self.origin.unwrap_or(0);
        if let Some(end) = end.and_then(|end| end.checked_sub(origin)) {
            self.samples.truncate(usize::try_from(end).unwrap_or(0));
        }
        self.samples.drain(..pre_skip.min(self.samples.len()));
        self.samples
    }
}

fn damaged(at_ms: u32, what: &str) -> AudioFileError {
    AudioFileError::Damaged {
        at_ms,
        what: what.to_owned(),
    }
}
