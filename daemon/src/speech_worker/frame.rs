//! The frames on the socket pair between the supervisor and a speech process.
//!
//! ```text
//!   0        4        8              8+h                8+h+2n
//!   | h: u32 | n: u32 | header: JSON | samples: n × i16 |        all integers little-endian
//! ```
//!
//! Both lengths are checked against their bounds before anything is read or allocated, on both sides:
//! neither side trusts the other's memory to be sound.

use std::io;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest header, in bytes: a grammar of some thousand phrases.
pub(super) const LONGEST_HEADER: usize = 64 * 1024;

/// The most samples in a frame: a minute at 48 kHz, three at flite's 16 kHz.
pub(super) const MOST_SAMPLES: usize = 60 * 48_000;

/// The two lengths that begin a frame, in bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lengths {
    header: usize,
    samples: usize,
}

impl Lengths {
    /// Bytes of the encoded lengths.
    pub(super) const BYTES: usize = 8;

    /// Reads the lengths, refusing what is out of bounds.
    pub(super) fn parse(bytes: [u8; Self::BYTES]) -> io::Result<Self> {
        let [a, b, c, d, e, f, g, h] = bytes;
        let header = u32::from_le_bytes([a, b, c, d]) as usize;
        let samples = u32::from_le_bytes([e, f, g, h]) as usize;
        if header > LONGEST_HEADER || samples > MOST_SAMPLES {
            return Err(invalid(format!(
                "a frame of {header} bytes and {samples} samples"
            )));
        }
        Ok(Self { header, samples })
    }

    /// Bytes that follow the lengths.
    pub(super) fn rest(self) -> usize {
        self.header + 2 * self.samples
    }

    /// Takes the rest of the frame apart.
    pub(super) fn decode<H: DeserializeOwned>(self, rest: &[u8]) -> io::Result<(H, Arc<[i16]>)> {
        let (header, samples) = rest
            .split_at_checked(self.header)
            .filter(|_| rest.len() == self.rest())
            .ok_or_else(|| invalid("a frame cut short".to_owned()))?;
        let header = serde_json::from_slice(header).map_err(|error| invalid(error.to_string()))?;
        let samples = samples
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        Ok((header, samples))
    }
}

/// A frame's bytes.
///
/// # Errors
/// `InvalidInput` when the header or the samples are over their bounds.
pub(super) fn encode<H: Serialize>(header: &H, samples: &[i16]) -> io::Result<Vec<u8>> {
    let header = serde_json::to_vec(header).map_err(|error| invalid(error.to_string()))?;
    if header.len() > LONGEST_HEADER || samples.len() > MOST_SAMPLES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "{} bytes and {} samples are more than a frame holds",
                header.len(),
                samples.len()
            ),
        ));
    }
    let mut bytes = Vec::with_capacity(Lengths::BYTES + header.len() + 2 * samples.len());
    for length in [header.len(), samples.len()] {
        let length = u32::try_from(length).expect("both bounds are far below 2^32");
        bytes.extend_from_slice(&length.to_le_bytes());
    }
    bytes.extend_from_slice(&header);
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    Ok(bytes)
}

/// Reads one frame; `None` when the other side closed between two frames.
pub(super) fn read<H: DeserializeOwned>(
    reader: &mut impl io::Read,
) -> io::Result<Option<(H, Arc<[i16]>)>> {
    let mut lengths = [0; Lengths::BYTES];
    match reader.read(&mut lengths)? {
        0 => return Ok(None),
        some => reader.read_exact(&mut lengths[some..])?,
    }
    let lengths = Lengths::parse(lengths)?;
    let mut rest = vec![0; lengths.rest()];
    reader.read_exact(&mut rest)?;
    lengths.decode(&rest).map(Some)
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::super::message::Response;
    use super::*;

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let header = Response::Audio {
            sample_rate_hz: 16_000,
        };
        let samples = [0, 1, -1, i16::MAX, i16::MIN];
        let bytes = encode(&header, &samples).unwrap();
        let mut reader = bytes.as_slice();
        let (read_header, read_samples): (Response, _) = read(&mut reader).unwrap().unwrap();
        assert_eq!(read_header, header);
        assert_eq!(&*read_samples, &samples);
        assert!(read::<Response>(&mut reader).unwrap().is_none());
    }

    #[test]
    fn lengths_out_of_bounds_are_refused_before_anything_is_allocated() {
        for (header, samples) in [
            (u32::MAX, 0),
            (0, u32::MAX),
            (LONGEST_HEADER as u32 + 1, 0),
            (2, MOST_SAMPLES as u32 + 1),
        ] {
            let mut bytes = header.to_le_bytes().to_vec();
            bytes.extend_from_slice(&samples.to_le_bytes());
            let error = read::<Response>(&mut bytes.as_slice()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn a_frame_cut_short_at_any_byte_is_an_error_and_never_a_frame() {
        let bytes = encode(&Response::Ready, &[1, 2, 3]).unwrap();
        for length in 1..bytes.len() {
            assert!(
                read::<Response>(&mut &bytes[..length]).is_err(),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn what_is_too_long_for_a_frame_is_not_written() {
        let samples = vec![0; MOST_SAMPLES + 1];
        let error = encode(&Response::Ready, &samples).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
