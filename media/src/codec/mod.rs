//! Codecs: payload bytes to samples and back, at the leg's rate.
//!
//! [`Codec`] is what an offer and an answer agreed on. [`Encoder`] and [`Decoder`] are its two halves
//! and hide which codec it is: the sender and the receiver know samples and payloads only. Concealment
//! of lost packets belongs to the decoder, because Opus does it itself and the others need the decoded past.
//!
//! To add a codec: a variant of [`CodecKind`], its row in that type's methods, its `Family`, and for a new one
//! an arm in the encoder and the decoder; the compiler names every place.

mod by_sample;
mod g711;
mod g722;
mod kind;
mod opus_codec;

pub use kind::{CodecKind, PayloadType};

use crate::concealment::Concealment;
use by_sample::SampleFormat;
use g711::Law;
use g722::{G722Decoder, G722Encoder};
use opus_codec::{OpusDecoder, OpusEncoder};

/// How Opus is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusSettings {
    /// Bits a second, 6,000 to 128,000.
    pub bitrate: u32,
    /// Whether packets carry a coarse copy of their predecessor (in-band FEC).
    pub fec: bool,
    /// Whether silence is left unsent (DTX).
    pub dtx: bool,
    /// The rate the far end plays at, in hertz, 8,000 to 48,000: what it could not play is not encoded.
    pub playback_rate_hz: u32,
    /// Encoder effort, 0 to 10. Measured for voice at 16 kHz, 2 costs 0.7 of what 3 to 5 cost and 1
    /// costs 0.45; above 5 only music gains.
    pub complexity: u8,
}

impl Default for OpusSettings {
    fn default() -> Self {
        Self {
            bitrate: 28_000,
            fec: true,
            dtx: false,
            playback_rate_hz: 48_000,
            complexity: 2,
        }
    }
}

/// A negotiated codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codec {
    /// Which.
    pub kind: CodecKind,
    /// The payload type the far end wants to receive.
    pub payload_type_send: PayloadType,
    /// The payload type the far end was told to send.
    pub payload_type_receive: PayloadType,
    /// How much audio our packets carry, in milliseconds: 10 to 60 in tens (see
    /// [`CodecKind::permitted_ptime_ms`]).
    pub ptime_ms: u8,
    /// Encoder settings, read for Opus only.
    pub opus: OpusSettings,
}

impl Codec {
    /// The codec with its static payload type (96 where it has none) and 20 ms packets.
    #[must_use]
    pub fn new(kind: CodecKind) -> Self {
        let payload_type = kind
            .static_payload_type()
            .unwrap_or(PayloadType::FIRST_DYNAMIC);
        Self {
            kind,
            payload_type_send: payload_type,
            payload_type_receive: payload_type,
            ptime_ms: 20,
            opus: OpusSettings::default(),
        }
    }

    /// The RTP clock, in hertz.
    #[must_use]
    pub const fn clock_rate_hz(&self) -> u32 {
        self.kind.clock_rate_hz()
    }

    /// The leg's sample rate, in hertz.
    #[must_use]
    pub const fn sample_rate_hz(&self) -> u32 {
        self.kind.sample_rate_hz()
    }

    /// Samples in one packet of ours, at the leg's rate.
    #[must_use]
    pub const fn samples_per_frame(&self) -> usize {
        (self.sample_rate_hz() / 1_000) as usize * self.ptime_ms as usize
    }

    /// Samples in one 10 ms tick, at the leg's rate.
    #[must_use]
    pub const fn samples_per_tick(&self) -> usize {
        (self.sample_rate_hz() / 100) as usize
    }

    /// Whether the far end may number packets of this codec so: as it was told, or as it wants to receive them
    /// itself.
    #[must_use]
    pub const fn is_numbered(&self, payload_type: u8) -> bool {
        payload_type == self.payload_type_receive.get()
            || payload_type == self.payload_type_send.get()
    }

    /// RTP clock units in one packet of ours.
    #[must_use]
    pub const fn timestamp_step(&self) -> u32 {
        self.clock_rate_hz() / 1_000 * self.ptime_ms as u32
    }
}

/// Why a codec refused.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The caller's buffer cannot hold the result; nothing was written.
    #[error("the output holds {available}, {needed} are needed")]
    OutputTooSmall {
        /// Samples or bytes needed.
        needed: usize,
        /// Samples or bytes available.
        available: usize,
    },
    /// The far end's payload is no packet of this codec.
    #[error("malformed payload")]
    Malformed,
    /// The frame is not one packet time long.
    #[error("a frame of {given} samples where {expected} make one packet")]
    FrameLength {
        /// Samples in one packet.
        expected: usize,
        /// Samples given.
        given: usize,
    },
    /// The codec library refused its settings or ran out of memory.
    #[error("opus: {0}")]
    Library(#[from] opus::Error),
}

/// Samples to payloads.
#[derive(Debug)]
pub struct Encoder {
    samples_per_frame: usize,
    state: EncoderState,
}

#[derive(Debug)]
enum EncoderState {
    BySample(SampleFormat),
    G722(Box<G722Encoder>),
    Opus(OpusEncoder),
}

impl Encoder {
    /// An encoder for `codec`.
    ///
    /// # Errors
    /// [`CodecError::Library`] when libopus refuses the settings.
    pub fn new(codec: &Codec) -> Result<Self, CodecError> {
        let state = match Family::of(codec.kind) {
            Family::BySample(format) => EncoderState::BySample(format),
            Family::G722 => EncoderState::G722(Box::new(G722Encoder::new())),
            Family::Opus => EncoderState::Opus(OpusEncoder::new(codec)?),
        };
        Ok(Self {
            samples_per_frame: codec.samples_per_frame(),
            state,
        })
    }

    /// Encodes one packet time of samples into `out` and returns the payload's length. Zero bytes mean
    /// that nothing needs to be sent (Opus DTX).
    ///
    /// # Errors
    /// [`CodecError::FrameLength`] when `frame` is not one packet time,
    /// [`CodecError::OutputTooSmall`] when `out` cannot hold the payload.
    pub fn encode(&mut self, frame: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        if frame.len() != self.samples_per_frame {
            return Err(CodecError::FrameLength {
                expected: self.samples_per_frame,
                given: frame.len(),
            });
        }
        match &mut self.state {
            EncoderState::BySample(format) => format.encode(frame, out),
            EncoderState::G722(encoder) => encoder.encode(frame, out),
            EncoderState::Opus(encoder) => encoder.encode(frame, out),
        }
    }

    /// The payload of one packet time of silence, ready-made; `None` for a codec with memory (G.722, Opus),
    /// whose silence is encoded like any frame.
    #[must_use]
    pub fn silence(&self) -> Option<&'static [u8]> {
        match &self.state {
            EncoderState::BySample(format) => format.silence(self.samples_per_frame),
            EncoderState::G722(_) | EncoderState::Opus(_) => None,
        }
    }

    /// Whether the payload of one frame of long silence may stand for those that follow. Not G.722's, whose
    /// two sides would adapt apart; and in DTX the encoder itself counts the frames it leaves unsent.
    #[must_use]
    pub fn repeats_silence(&self) -> bool {
        match &self.state {
            EncoderState::BySample(_) => true,
            EncoderState::G722(_) => false,
            EncoderState::Opus(encoder) => !encoder.dtx(),
        }
    }
}

/// How much audio `payload` holds, in samples at the codec's [`CodecKind::sample_rate_hz`], without decoding
/// it. Zero for a payload that is no packet of this codec.
#[must_use]
pub fn samples_in(kind: CodecKind, payload: &[u8]) -> usize {
    match Family::of(kind) {
        Family::BySample(format) => format.samples_in(payload),
        Family::G722 => payload.len() * 2,
        Family::Opus => opus_codec::samples_in(payload, kind.sample_rate_hz()),
    }
}

/// Payloads to samples, and something plausible where a payload is missing.
#[derive(Debug)]
pub struct Decoder {
    kind: CodecKind,
    state: DecoderState,
}

#[derive(Debug)]
enum DecoderState {
    BySample {
        format: SampleFormat,
        concealment: Concealment,
    },
    G722 {
        decoder: Box<G722Decoder>,
        concealment: Concealment,
    },
    Opus(OpusDecoder),
}

impl Decoder {
    /// A decoder for `kind`, at its [`CodecKind::sample_rate_hz`].
    ///
    /// # Errors
    /// [`CodecError::Library`] when libopus has no memory.
    pub fn new(kind: CodecKind) -> Result<Self, CodecError> {
        let rate = kind.sample_rate_hz();
        let state = match Family::of(kind) {
            Family::BySample(format) => DecoderState::BySample {
                format,
                concealment: Concealment::new(rate),
            },
            Family::G722 => DecoderState::G722 {
                decoder: Box::new(G722Decoder::new()),
                concealment: Concealment::new(rate),
            },
            Family::Opus => DecoderState::Opus(OpusDecoder::new(rate)?),
        };
        Ok(Self { kind, state })
    }

    /// Decodes `payload` into the front of `out` and returns the number of samples. After a
    /// concealed gap the seam is smoothed.
    ///
    /// # Errors
    /// [`CodecError::Malformed`] for an empty payload or one that is no packet of this codec,
    /// [`CodecError::OutputTooSmall`].
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        match &mut self.state {
            DecoderState::BySample {
                format,
                concealment,
            } => {
                let samples = format.decode(payload, out)?;
                concealment.heard(&mut out[..samples]);
                Ok(samples)
            }
            DecoderState::G722 {
                decoder,
                concealment,
            } => {
                let samples = decoder.decode(payload, out)?;
                concealment.heard(&mut out[..samples]);
                Ok(samples)
            }
            DecoderState::Opus(decoder) => decoder.decode(payload, out),
        }
    }

    /// Fills `out` (10 ms or a multiple) with a continuation of what was decoded last, fading to
    /// silence as the gap grows.
    pub fn conceal(&mut self, out: &mut [i16]) {
        match &mut self.state {
            DecoderState::BySample { concealment, .. } => concealment.conceal(out),
            DecoderState::G722 {
                decoder,
                concealment,
            } => {
                concealment.conceal(out);
                decoder.follow(out);
            }
            DecoderState::Opus(decoder) => decoder.conceal(out),
        }
    }

    /// Fills `out` with the audio just before `next`, from the copy `next` carries of it (Opus
    /// in-band FEC); `false` when the codec or the packet has none, and then nothing is changed.
    pub fn recover(&mut self, next: &[u8], out: &mut [i16]) -> bool {
        match &mut self.state {
            DecoderState::BySample { .. } | DecoderState::G722 { .. } => false,
            DecoderState::Opus(decoder) => decoder.recover(next, out),
        }
    }

    /// Whether [`switch_to`](Self::switch_to) would.
    #[must_use]
    pub fn can_switch_to(&self, kind: CodecKind) -> bool {
        let by_sample = |kind| matches!(Family::of(kind), Family::BySample(_));
        kind == self.kind
            || (kind.sample_rate_hz() == self.kind.sample_rate_hz()
                && by_sample(kind)
                && by_sample(self.kind))
    }

    /// Switches between codecs of one sample rate in mid-stream, keeping the audio's continuity.
    /// `false` when this decoder cannot become `kind` without an allocation.
    pub fn switch_to(&mut self, kind: CodecKind) -> bool {
        let can = self.can_switch_to(kind);
        if let (true, DecoderState::BySample { format, .. }, Family::BySample(other)) =
            (can, &mut self.state, Family::of(kind))
        {
            *format = other;
            self.kind = kind;
        }
        can
    }

    /// Forgets the past: a new source speaks.
    pub fn reset(&mut self) {
        match &mut self.state {
            DecoderState::BySample { concealment, .. } => concealment.reset(),
            DecoderState::G722 {
                decoder,
                concealment,
            } => {
                **decoder = G722Decoder::new();
                concealment.reset();
            }
            DecoderState::Opus(decoder) => decoder.reset(),
        }
    }
}

/// Which of the implementations serves a codec.
enum Family {
    BySample(SampleFormat),
    G722,
    Opus,
}

impl Family {
    const fn of(kind: CodecKind) -> Self {
        match kind {
            CodecKind::Pcmu => Self::BySample(SampleFormat::G711(Law::Mu)),
            CodecKind::Pcma => Self::BySample(SampleFormat::G711(Law::A)),
            CodecKind::L16Narrowband | CodecKind::L16Wideband => {
                Self::BySample(SampleFormat::Linear)
            }
            CodecKind::G722 => Self::G722,
            CodecKind::Opus => Self::Opus,
        }
    }
}

/// The first `needed` of `out`.
fn fitting<T>(out: &mut [T], needed: usize) -> Result<&mut [T], CodecError> {
    let available = out.len();
    out.get_mut(..needed)
        .ok_or(CodecError::OutputTooSmall { needed, available })
}

#[cfg(test)]
mod tests;
