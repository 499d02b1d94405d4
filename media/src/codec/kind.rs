//! Which codecs there are, and what RTP and SDP call them.

use std::fmt;

/// An RTP payload type, 0 to 127 (RFC 3551 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayloadType(u8);

impl PayloadType {
    /// The first of the dynamic ones (RFC 3551 section 6).
    pub const FIRST_DYNAMIC: Self = Self(96);

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
    /// G.722 at 64 kbit/s, RFC 3551 section 4.5.2.
    G722,
    /// Opus, RFC 6716 and RFC 7587; mono here.
    Opus,
    /// Samples as they are at 8 kHz, mono, RFC 3551 section 4.5.11. For tests and measurements.
    L16Narrowband,
    /// The same at 16 kHz.
    L16Wideband,
}

impl CodecKind {
    /// Every codec, in no order of preference.
    pub const ALL: [Self; 6] = [
        Self::Pcmu,
        Self::Pcma,
        Self::G722,
        Self::Opus,
        Self::L16Narrowband,
        Self::L16Wideband,
    ];

    /// The encoding name of `a=rtpmap`, compared without regard to case.
    #[must_use]
    pub const fn encoding_name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
            Self::L16Narrowband | Self::L16Wideband => "L16",
        }
    }

    /// The channel count `a=rtpmap` states: RFC 7587 section 7 fixes `opus/48000/2` even for mono.
    #[must_use]
    pub const fn rtpmap_channels(self) -> Option<u8> {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 | Self::L16Narrowband | Self::L16Wideband => None,
            Self::Opus => Some(2),
        }
    }

    /// The payload type RFC 3551 table 4 assigns, `None` for a codec that has only dynamic ones.
    #[must_use]
    pub const fn static_payload_type(self) -> Option<PayloadType> {
        match self {
            Self::Pcmu => Some(PayloadType(0)),
            Self::Pcma => Some(PayloadType(8)),
            Self::G722 => Some(PayloadType(9)),
            Self::Opus | Self::L16Narrowband | Self::L16Wideband => None,
        }
    }

    /// The payload type we offer it with unless the dialog used another: the static one, or a dynamic one
    /// of its own.
    #[must_use]
    pub const fn customary_payload_type(self) -> PayloadType {
        match self {
            Self::Pcmu => PayloadType(0),
            Self::Pcma => PayloadType(8),
            Self::G722 => PayloadType(9),
            Self::Opus => PayloadType(111),
            Self::L16Wideband => PayloadType(112),
            Self::L16Narrowband => PayloadType(113),
        }
    }

    /// The RTP clock, in hertz. That of G.722 is half its sample rate, by a mistake in the first RTP profile
    /// that was kept (RFC 3551 section 4.5.2).
    #[must_use]
    pub const fn clock_rate_hz(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 | Self::L16Narrowband => 8_000,
            Self::L16Wideband => 16_000,
            Self::Opus => 48_000,
        }
    }

    /// The leg's sample rate, in hertz. Opus decodes and encodes at any of its rates; 16 kHz is what
    /// speech recognition wants and costs a third of 48 kHz.
    #[must_use]
    pub const fn sample_rate_hz(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::L16Narrowband => 8_000,
            Self::G722 | Self::Opus | Self::L16Wideband => 16_000,
        }
    }

    /// The largest payload one packet may carry, in bytes: 120 ms of G.711 and G.722, and the largest packet
    /// of Opus and L16 that an unfragmented datagram holds.
    #[must_use]
    pub const fn maximum_payload_bytes(self) -> usize {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 960,
            Self::Opus | Self::L16Narrowband | Self::L16Wideband => 1_400,
        }
    }

    /// Memory for packets that wait, in bytes: about half a second, and more than the longest playout delay
    /// of the codec that may follow in mid-call.
    #[must_use]
    pub const fn bytes_to_buffer(self) -> usize {
        match self {
            Self::Pcmu | Self::Pcma => 4_096,
            Self::G722 | Self::Opus => 6_144,
            Self::L16Narrowband => 8_192,
            Self::L16Wideband => 16_384,
        }
    }

    /// The permitted packet time nearest to and not above `ptime_ms`, in milliseconds: a multiple of
    /// 10 from 10 to 60, for Opus one of its frame sizes (10, 20, 40, 60), for L16 at 16 kHz what a datagram
    /// holds (40).
    #[must_use]
    pub const fn permitted_ptime_ms(self, ptime_ms: u32) -> u8 {
        match (self, ptime_ms) {
            (_, 0..=19) => 10,
            (_, 20..=29) => 20,
            (Self::Opus, 30..=39) => 20,
            (_, 30..=39) => 30,
            (_, 40..=49) => 40,
            (Self::Opus | Self::L16Wideband, 50..=59) => 40,
            (_, 50..=59) => 50,
            (Self::L16Wideband, 60..) => 40,
            (_, 60..) => 60,
        }
    }

    /// The `a=fmtp` parameters we state, `None` for none. Opus (RFC 7587 section 6.1): our decoder runs
    /// at 16 kHz, and uses the in-band copies.
    #[must_use]
    pub const fn format_parameters(self) -> Option<&'static str> {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 | Self::L16Narrowband | Self::L16Wideband => None,
            Self::Opus => Some("maxplaybackrate=16000;sprop-maxcapturerate=16000;useinbandfec=1"),
        }
    }

    /// The name used in configuration and logs: `pcmu`, `pcma`, `g722`, `opus`, `l16` (of either rate).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "pcmu",
            Self::Pcma => "pcma",
            Self::G722 => "g722",
            Self::Opus => "opus",
            Self::L16Narrowband | Self::L16Wideband => "l16",
        }
    }
}
