//! The decoders of a stream: the one in use, and another one while the codec changes in mid-stream.
//!
//! Packets of the old codec are still under way when the new one is agreed on, so each packet is decoded by
//! its own. Where the codec changes, the new decoder begins from nothing: what the old one would have gone
//! on with is blended into its first 10 ms, so that the seam is not heard.

use crate::codec::{CodecError, CodecKind, Decoder};
use crate::seam::pass_into;

/// Samples of 10 ms at the highest rate, 16 kHz.
const LONGEST_SEAM: usize = 160;

#[derive(Debug)]
pub(super) struct Decoding {
    current: Decoder,
    /// The codec to come, or the one before.
    other: Option<Decoder>,
    /// Samples of the seam, 10 ms.
    seam: usize,
    /// Whether `current` has decoded anything.
    begun: bool,
}

impl Decoding {
    pub(super) fn new(kind: CodecKind) -> Result<Self, CodecError> {
        Ok(Self {
            current: Decoder::new(kind)?,
            other: None,
            seam: (kind.sample_rate_hz() as usize / 100).min(LONGEST_SEAM),
            begun: false,
        })
    }

    /// Gets ready for packets of `kind`, which has to have the sample rate of those before. Allocates.
    pub(super) fn prepare(&mut self, kind: CodecKind) -> Result<(), CodecError> {
        let has = |decoder: &Decoder| decoder.can_switch_to(kind);
        if !has(&self.current) && !self.other.as_ref().is_some_and(has) {
            self.other = Some(Decoder::new(kind)?);
        }
        Ok(())
    }

    /// Decodes a payload of `kind` into the front of `out` and returns the number of samples.
    pub(super) fn decode(
        &mut self,
        kind: CodecKind,
        payload: &[u8],
        out: &mut [i16],
    ) -> Result<usize, CodecError> {
        if self.current.switch_to(kind) {
            let samples = self.current.decode(payload, out)?;
            self.begun = true;
            return Ok(samples);
        }
        let Some(other) = &mut self.other else {
            return Err(CodecError::Malformed);
        };
        if !other.switch_to(kind) {
            return Err(CodecError::Malformed);
        }
        // It may have been in use before; the far end's coder begins anew.
        other.reset();
        let samples = other.decode(payload, out)?;
        std::mem::swap(&mut self.current, other);
        if self.begun {
            let mut ending = [0; LONGEST_SEAM];
            let ending = &mut ending[..self.seam];
            other.conceal(ending);
            pass_into(ending, &mut out[..samples]);
        }
        self.begun = true;
        Ok(samples)
    }

    /// See [`Decoder::conceal`].
    pub(super) fn conceal(&mut self, out: &mut [i16]) {
        self.current.conceal(out);
    }

    /// What is missing before `next`: from its copy where it is of the codec in use and has one, else
    /// invented.
    pub(super) fn recover(&mut self, kind: CodecKind, next: &[u8], out: &mut [i16]) {
        if !self.current.switch_to(kind) || !self.current.recover(next, out) {
            self.current.conceal(out);
        }
    }
}
