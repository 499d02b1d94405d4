//! G.722 at 64 kbit/s: 16 kHz in two bands, each coded by itself (ITU-T G.722, mode 1).
//!
//! ```text
//! two samples ─ quadrature mirror filter ─┬─ low band  (6 bits) ─┬─ one byte
//!                                         └─ high band (2 bits) ─┘
//! ```
//!
//! It is our own, since of the crates that have it one allocates for each packet and the other begins with
//! scales that are not the Recommendation's, so that neither can be held to the ITU's test sequences.
//! RFC 3551 section 4.5.2: one byte is two samples but one unit of the RTP clock, which an old mistake made
//! 8 kHz.

mod sub_band;

use super::{CodecError, fitting};
use sub_band::{HighBand, LowBand};

/// The filter's even taps, for the older sample of each pair; the odd ones are the same backwards. A sum of
/// 8,192 is one.
const TAPS: [i32; 12] = [3, -11, 12, 32, -210, 951, 3_876, -805, 362, -156, 53, -11];
/// Samples the filter looks at.
const SPAN: usize = 24;

/// The last samples, oldest first, and the filter over them.
#[derive(Clone, Debug)]
struct Filter([i32; SPAN]);

impl Filter {
    const fn new() -> Self {
        Self([0; SPAN])
    }

    /// Takes a pair, the older one first, and answers with the two half sums.
    fn push(&mut self, pair: [i32; 2]) -> (i32, i32) {
        self.0.copy_within(2.., 0);
        [self.0[SPAN - 2], self.0[SPAN - 1]] = pair;
        let pairs = self.0.chunks_exact(2);
        let taps = TAPS.iter().zip(TAPS.iter().rev());
        pairs
            .zip(taps)
            .fold((0, 0), |(even, odd), (pair, (tap, mirrored))| {
                (even + pair[0] * tap, odd + pair[1] * mirrored)
            })
    }

    /// Into two bands, each at half the rate and 15 bits wide.
    fn split(&mut self, pair: [i16; 2]) -> (i32, i32) {
        let (even, odd) = self.push(pair.map(i32::from));
        let limited = |sum: i32| (sum >> 14).clamp(-16_384, 16_383);
        (limited(even + odd), limited(odd - even))
    }

    /// From two bands.
    fn join(&mut self, low: i32, high: i32) -> [i16; 2] {
        let (even, odd) = self.push([low + high, low - high]);
        [odd, even].map(|sum| {
            let sample = (sum >> 11).clamp(i32::from(i16::MIN), i32::from(i16::MAX));
            // Clamped, so it is one.
            sample as i16
        })
    }
}

#[derive(Debug)]
pub(super) struct G722Encoder {
    filter: Filter,
    low: LowBand,
    high: HighBand,
}

impl G722Encoder {
    pub(super) const fn new() -> Self {
        Self {
            filter: Filter::new(),
            low: LowBand::new(),
            high: HighBand::new(),
        }
    }

    /// One byte for two samples; an odd last one is left out.
    pub(super) fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        let length = samples.len() / 2;
        let out = fitting(out, length)?;
        for (byte, pair) in out.iter_mut().zip(samples.chunks_exact(2)) {
            let (low, high) = self.filter.split([pair[0], pair[1]]);
            *byte = self.high.encode(high) << 6 | self.low.encode(low);
        }
        Ok(length)
    }
}

#[derive(Debug)]
pub(super) struct G722Decoder {
    filter: Filter,
    low: LowBand,
    high: HighBand,
    /// Splits what is played in place of packets that did not come.
    invented: Filter,
}

impl G722Decoder {
    pub(super) const fn new() -> Self {
        Self {
            filter: Filter::new(),
            low: LowBand::new(),
            high: HighBand::new(),
            invented: Filter::new(),
        }
    }

    /// Two samples a byte.
    pub(super) fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        if payload.is_empty() {
            return Err(CodecError::Malformed);
        }
        let out = fitting(out, payload.len() * 2)?;
        for (pair, byte) in out.chunks_exact_mut(2).zip(payload) {
            let (low, high) = (self.low.decode(*byte), self.high.decode(byte >> 6));
            pair.copy_from_slice(&self.filter.join(low, high));
        }
        let recent = out.len().min(SPAN);
        for pair in out[out.len() - recent..].chunks_exact(2) {
            self.invented.split([pair[0], pair[1]]);
        }
        Ok(out.len())
    }

    /// Follows `samples`, which are played in place of a packet that did not come: both bands adapt as if
    /// they had been sent. The far end's coder went on with the real ones; from here the distance to it is
    /// smaller than from where the last packet left us (the idea of G.722 Appendix III).
    pub(super) fn follow(&mut self, samples: &[i16]) {
        for pair in samples.chunks_exact(2) {
            let (low, high) = self.invented.split([pair[0], pair[1]]);
            self.low.encode(low);
            self.high.encode(high);
            self.filter.join(low, high);
        }
    }
}
