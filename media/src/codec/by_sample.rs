//! Codecs that code each sample by itself: G.711 and L16. They have no memory, so that one can follow another
//! in mid-stream.

use super::g711::Law;
use super::{CodecError, fitting};

/// 60 ms of L16 at 16 kHz.
static LINEAR_SILENCE: [u8; 1_920] = [0; 1_920];

/// How one sample is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SampleFormat {
    /// One byte by a law of G.711.
    G711(Law),
    /// Two bytes in network order (RFC 3551 section 4.5.11).
    Linear,
}

impl SampleFormat {
    /// How many samples `payload` holds; zero for one that ends within a sample.
    pub(super) const fn samples_in(self, payload: &[u8]) -> usize {
        match self {
            Self::G711(_) => payload.len(),
            Self::Linear if payload.len().is_multiple_of(2) => payload.len() / 2,
            Self::Linear => 0,
        }
    }

    pub(super) fn encode(self, samples: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        match self {
            Self::G711(law) => law.encode(samples, out),
            Self::Linear => {
                let out = fitting(out, samples.len() * 2)?;
                for (bytes, sample) in out.chunks_exact_mut(2).zip(samples) {
                    bytes.copy_from_slice(&sample.to_be_bytes());
                }
                Ok(out.len())
            }
        }
    }

    pub(super) fn decode(self, payload: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        match self {
            Self::G711(law) => law.decode(payload, out),
            Self::Linear => {
                let samples = self.samples_in(payload);
                if samples == 0 {
                    return Err(CodecError::Malformed);
                }
                let out = fitting(out, samples)?;
                for (sample, bytes) in out.iter_mut().zip(payload.chunks_exact(2)) {
                    *sample = i16::from_be_bytes([bytes[0], bytes[1]]);
                }
                Ok(samples)
            }
        }
    }

    /// The payload of `samples` of silence, `None` for more than there is ready-made.
    pub(super) fn silence(self, samples: usize) -> Option<&'static [u8]> {
        match self {
            Self::G711(law) => law.silence().get(..samples),
            Self::Linear => LINEAR_SILENCE.get(..samples * 2),
        }
    }
}
