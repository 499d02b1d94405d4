//! Codecs: payload bytes to samples and back, at the leg's rate.
//!
//! [`Codec`] is what an offer and an answer agreed on. [`Encoder`] and [`Decoder`] are its two halves
//! and hide which codec it is: the sender and the receiver know samples and payloads only. Concealment
//! of lost packets belongs to the decoder, because Opus does it itself and G.711 needs the decoded past.
//!
//! To add a codec: a variant of [`CodecKind`], its row in that type's methods, and an arm in the
//! encoder and the decoder; the compiler names every place.

mod g711;
mod opus_codec;

use std::fmt;

use crate::concealment::Concealment;
use g711::Law;
use opus_codec::{OpusDecoder, OpusEncoder};

/// An RTP payload type, 0 to 127 (RFC 3551 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayloadType(u8);

impl PayloadType {
    /// The payload type `number`, `None` above 127.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < 128 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number, 0 to 127.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for PayloadType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The codecs this crate speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CodecKind {
    /// G.711 µ-law, RFC 3551 section 4.5.14.
    Pcmu,
    /// G.711 A-law, RFC 3551 section 4.5.14.
    Pcma,
    /// Opus, RFC 6716 and RFC 7587; mono here.
    Opus,
}

impl CodecKind {
    /// Every codec, in no order of preference.
    pub const ALL: [Self; 3] = [Self::Pcmu, Self::Pcma, Self::Opus];

    /// The encoding name of `a=rtpmap`, compared without regard to case.
    #[must_use]
    pub const fn encoding_name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::Opus => "opus",
        }
    }

    /// The channel count `a=rtpmap` states: RFC 7587 section 7 fixes `opus/48000/2` even for mono.
    #[must_use]
    pub const fn rtpmap_channels(self) -> Option<u8> {
        match self {
            Self::Pcmu | Self::Pcma => None,
            Self::Opus => Some(2),
        }
    }

    /// The payload type RFC 3551 table 4 assigns, `None` for a codec that has only dynamic ones.
    #[must_use]
    pub const fn static_payload_type(self) -> Option<PayloadType> {
        match self {
            Self::Pcmu => Some(PayloadType(0)),
            Self::Pcma => Some(PayloadType(8)),
            Self::Opus => None,
        }
    }

    /// The RTP clock, in hertz.
    #[must_use]
    pub const fn clock_rate_hz(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8_000,
            Self::Opus => 48_000,
        }
    }

    /// The leg's sample rate, in hertz. Opus decodes and encodes at any of its rates; 16 kHz is what
    /// speech recognition wants and costs a third of 48 kHz.
    #[must_use]
    pub const fn sample_rate_hz(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8_000,
            Self::Opus => 16_000,
        }
    }

    /// The largest payload one packet may carry, in bytes: 120 ms of G.711, and the largest Opus
    /// packet an unfragmented datagram holds.
    #[must_use]
    pub const fn maximum_payload_bytes(self) -> usize {
        match self {
            Self::Pcmu | Self::Pcma => 960,
            Self::Opus => 1_400,
        }
    }

    /// Memory for packets that wait, in bytes: about half a second.
    #[must_use]
    pub const fn bytes_to_buffer(self) -> usize {
        match self {
            Self::Pcmu | Self::Pcma => 4_096,
            Self::Opus => 6_144,
        }
    }

    /// The permitted packet time nearest to and not above `ptime_ms`, in milliseconds: a multiple of
    /// 10 from 10 to 60, and for Opus one of its frame sizes (10, 20, 40, 60).
    #[must_use]
    pub const fn permitted_ptime_ms(self, ptime_ms: u32) -> u8 {
        match (self, ptime_ms) {
            (_, 0..=19) => 10,
            (Self::Opus, 20..=39) | (Self::Pcmu | Self::Pcma, 20..=29) => 20,
            (Self::Pcmu | Self::Pcma, 30..=39) => 30,
            (Self::Opus, 40..=59) | (Self::Pcmu | Self::Pcma, 40..=49) => 40,
            (Self::Pcmu | Self::Pcma, 50..=59) => 50,
            (_, 60..) => 60,
        }
    }

    /// The `a=fmtp` parameters we state, `None` for none. Opus (RFC 7587 section 6.1): our decoder runs
    /// at 16 kHz, and uses the in-band copies.
    #[must_use]
    pub const fn format_parameters(self) -> Option<&'static str> {
        match self {
            Self::Pcmu | Self::Pcma => None,
            Self::Opus => Some("maxplaybackrate=16000;sprop-maxcapturerate=16000;useinbandfec=1"),
        }
    }

    /// The name used in configuration: `pcmu`, `pcma`, `opus`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "pcmu",
            Self::Pcma => "pcma",
            Self::Opus => "opus",
        }
    }
}

/// How Opus is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusSettings {
    /// Bits a second, 6,000 to 128,000.
    pub bitrate: u32,
    /// Whether packets carry a coarse copy of their predecessor (in-band FEC).
    pub fec: bool,
    /// Whether silence is left unsent (DTX).
    pub dtx: bool,
    /// Encoder effort, 0 to 10. Five is the knee for speech at 16 kHz: above it cost grows, quality
    /// hardly.
    pub complexity: u8,
}

impl Default for OpusSettings {
    fn default() -> Self {
        Self {
            bitrate: 28_000,
            fec: true,
            dtx: false,
            complexity: 5,
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
        let payload_type = kind.static_payload_type().unwrap_or(PayloadType(96));
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
    G711(Law),
    Opus(OpusEncoder),
}

impl Encoder {
    /// An encoder for `codec`.
    ///
    /// # Errors
    /// [`CodecError::Library`] when libopus refuses the settings.
    pub fn new(codec: &Codec) -> Result<Self, CodecError> {
        let state = match codec.kind {
            CodecKind::Pcmu => EncoderState::G711(Law::Mu),
            CodecKind::Pcma => EncoderState::G711(Law::A),
            CodecKind::Opus => EncoderState::Opus(OpusEncoder::new(codec)?),
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
            EncoderState::G711(law) => law.encode(frame, out),
            EncoderState::Opus(encoder) => encoder.encode(frame, out),
        }
    }

    /// The payload of one packet time of silence, ready-made; `None` for a codec with memory (Opus),
    /// whose silence is encoded like any frame.
    #[must_use]
    pub fn silence(&self) -> Option<&'static [u8]> {
        match &self.state {
            EncoderState::G711(law) => law.silence().get(..self.samples_per_frame),
            EncoderState::Opus(_) => None,
        }
    }
}

/// Payloads to samples, and something plausible where a payload is missing.
#[derive(Debug)]
pub struct Decoder {
    state: DecoderState,
}

#[derive(Debug)]
enum DecoderState {
    G711 { law: Law, concealment: Concealment },
    Opus(OpusDecoder),
}

impl Decoder {
    /// A decoder for `kind`, at its [`CodecKind::sample_rate_hz`].
    ///
    /// # Errors
    /// [`CodecError::Library`] when libopus has no memory.
    pub fn new(kind: CodecKind) -> Result<Self, CodecError> {
        let state = match kind {
            CodecKind::Pcmu => g711_state(Law::Mu),
            CodecKind::Pcma => g711_state(Law::A),
            CodecKind::Opus => DecoderState::Opus(OpusDecoder::new(kind.sample_rate_hz())?),
        };
        Ok(Self { state })
    }

    /// How much audio `payload` holds, in samples at the leg's rate, without decoding it. Zero for a
    /// payload that is no packet of this codec.
    #[must_use]
    pub fn samples_in(&self, payload: &[u8]) -> usize {
        match &self.state {
            DecoderState::G711 { .. } => payload.len(),
            DecoderState::Opus(decoder) => decoder.samples_in(payload),
        }
    }

    /// Decodes `payload` into the front of `out` and returns the number of samples. After a
    /// concealed gap the seam is smoothed.
    ///
    /// # Errors
    /// [`CodecError::Malformed`] for an empty payload or one that is no packet of this codec,
    /// [`CodecError::OutputTooSmall`].
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        match &mut self.state {
            DecoderState::G711 { law, concealment } => {
                let samples = law.decode(payload, out)?;
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
            DecoderState::G711 { concealment, .. } => concealment.conceal(out),
            DecoderState::Opus(decoder) => decoder.conceal(out),
        }
    }

    /// Fills `out` with the audio just before `next`, from the copy `next` carries of it (Opus
    /// in-band FEC); `false` when the codec or the packet has none, and then nothing is changed.
    pub fn recover(&mut self, next: &[u8], out: &mut [i16]) -> bool {
        match &mut self.state {
            DecoderState::G711 { .. } => false,
            DecoderState::Opus(decoder) => decoder.recover(next, out),
        }
    }

    /// Switches between codecs of one sample rate in mid-stream, keeping the audio's continuity.
    /// `false` when this decoder cannot become `kind` without an allocation.
    pub fn switch_to(&mut self, kind: CodecKind) -> bool {
        match (&mut self.state, kind) {
            (DecoderState::G711 { law, .. }, CodecKind::Pcmu) => *law = Law::Mu,
            (DecoderState::G711 { law, .. }, CodecKind::Pcma) => *law = Law::A,
            (DecoderState::Opus(_), CodecKind::Opus) => {}
            (DecoderState::G711 { .. }, CodecKind::Opus)
            | (DecoderState::Opus(_), CodecKind::Pcmu | CodecKind::Pcma) => return false,
        }
        true
    }

    /// Forgets the past: a new source speaks.
    pub fn reset(&mut self) {
        match &mut self.state {
            DecoderState::G711 { concealment, .. } => concealment.reset(),
            DecoderState::Opus(decoder) => decoder.reset(),
        }
    }
}

fn g711_state(law: Law) -> DecoderState {
    DecoderState::G711 {
        law,
        concealment: Concealment::new(8_000),
    }
}

#[cfg(test)]
mod tests;
