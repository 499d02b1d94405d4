//! Session descriptions and the offer/answer model (RFC 8866, RFC 3264).
//!
//! ```text
//! bytes → multipart::find → parse → answer ────► Negotiated { codec, digits, remote, direction, body }
//!                             └───► accept_answer ──┘            ▲
//!                             offer → bytes → (far end) ─────────┘
//! ```
//!
//! [`LocalDescription`] holds what must stay the same from one offer or answer to the next within a
//! dialog; [`answer`] and [`offer`] are the single steps. Syntax is the `sdp-types` crate's, and stays
//! behind this module; what a far end means is decided here. Nothing here opens a socket or resolves a
//! name.

mod answer;
mod crypto;
mod formats;
mod local_description;
mod multipart;
mod offer;
mod writing;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

pub use answer::answer;
pub use crypto::{LocalSrtp, RANDOM_BYTES};
pub use local_description::LocalDescription;
pub use multipart::find as find_in_body;
pub use offer::{Offer, accept_answer, offer};

use crate::codec::{Codec, CodecKind};
use crate::srtp::SrtpKeys;
use crate::telephone_event::TelephoneEvent;

/// The longest description taken, in bytes. Real ones, browsers' included, stay below 10,000.
pub const MAXIMUM_BYTES: usize = 16_384;
/// The most media sections taken: each costs a line in the answer.
pub const MAXIMUM_MEDIA: usize = 32;

/// A parsed session description, theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionDescription {
    session: sdp_types::Session,
}

/// Parses a session description.
///
/// # Errors
/// [`SdpError`] when `bytes` are none, or too many.
pub fn parse(bytes: &[u8]) -> Result<SessionDescription, SdpError> {
    if bytes.len() > MAXIMUM_BYTES {
        return Err(SdpError::TooLarge(bytes.len()));
    }
    let session = sdp_types::Session::parse(bytes)
        .or_else(|error| sdp_types::Session::parse(&needed_lines(bytes)).map_err(|_| error))
        .map_err(|error| SdpError::Syntax(error.to_string()))?;
    if session.medias.len() > MAXIMUM_MEDIA {
        return Err(SdpError::TooManyMedia(session.medias.len()));
    }
    Ok(SessionDescription { session })
}

/// The lines we read, their words one space apart: a name in Latin-1 or an odd bandwidth is no reason to
/// refuse a call.
fn needed_lines(bytes: &[u8]) -> Vec<u8> {
    let mut needed = Vec::with_capacity(bytes.len());
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if matches!(line, [b'v' | b'c' | b't' | b'm' | b'a', b'=', ..]) {
            let words = line
                .split(|byte| *byte == b' ')
                .filter(|word| !word.is_empty());
            for (index, word) in words.enumerate() {
                if index > 0 {
                    needed.push(b' ');
                }
                needed.extend_from_slice(word);
            }
            needed.extend_from_slice(b"\r\n");
        }
    }
    needed
}

/// Why bytes are no session description. The sender's fault; a request carrying it is a 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// More than [`MAXIMUM_BYTES`].
    #[error("a session description of {0} bytes")]
    TooLarge(usize),
    /// Not the grammar of RFC 8866.
    #[error("session description: {0}")]
    Syntax(String),
    /// More than [`MAXIMUM_MEDIA`] media sections.
    #[error("a session description with {0} media")]
    TooManyMedia(usize),
}

/// What we can do and where, for one leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMedia {
    /// The address we receive at, as the far end shall use it.
    pub address: IpAddr,
    /// The RTP port we receive at.
    pub port: u16,
    /// Codecs in our order of preference, which decides.
    pub codecs: Vec<CodecKind>,
    /// Digits by RFC 4733, with which clock rates; `None` wants none.
    pub telephone_event: Option<TelephoneEventRates>,
    /// The packet time we send and ask for unless the far end names one, in milliseconds (10 to 60).
    pub ptime_ms: u8,
    /// SRTP by keys in the description; `None` speaks in the clear alone.
    pub srtp: Option<LocalSrtp>,
    /// What we want to do: [`Direction::SendReceive`] unless we hold the far end.
    pub direction: Direction,
    /// The `o=` line's session identifier.
    pub session_id: u64,
    /// The `o=` line's first version.
    pub session_version: u64,
}

/// Which clock rates an offer lists telephone-event with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TelephoneEventRates {
    /// That of each codec offered (RFC 4733 section 2.1 wants digits on the audio's clock).
    #[default]
    EachClock,
    /// Only that of the first codec: some far ends answer two rates wrongly.
    FirstCodec,
}

/// Which way media flows, seen from whoever states it (RFC 8866 section 6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// `sendrecv`, also when nothing is stated.
    #[default]
    SendReceive,
    /// `sendonly`.
    SendOnly,
    /// `recvonly`.
    ReceiveOnly,
    /// `inactive`.
    Inactive,
}

impl Direction {
    /// Whether whoever states this sends.
    #[must_use]
    pub const fn sends(self) -> bool {
        match self {
            Self::SendReceive | Self::SendOnly => true,
            Self::ReceiveOnly | Self::Inactive => false,
        }
    }

    /// Whether whoever states this receives.
    #[must_use]
    pub const fn receives(self) -> bool {
        match self {
            Self::SendReceive | Self::ReceiveOnly => true,
            Self::SendOnly | Self::Inactive => false,
        }
    }

    const fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendReceive,
            (true, false) => Self::SendOnly,
            (false, true) => Self::ReceiveOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Our direction when the far end states `self` and we would like `wish`: we send what they
    /// receive and receive what they send (RFC 3264 section 6.1).
    const fn answered(self, wish: Self) -> Self {
        Self::of(
            self.receives() && wish.sends(),
            self.sends() && wish.receives(),
        )
    }

    /// The attribute's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendReceive => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::ReceiveOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }
}

/// What an offer and its answer agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The one audio codec.
    pub codec: Codec,
    /// Digits as RTP events, when both want them.
    pub telephone_event: Option<TelephoneEvent>,
    /// Where the far end says it receives; `None` while it holds us by `c=0.0.0.0`.
    pub remote: Option<SocketAddr>,
    /// Where RTCP comes from and goes to.
    pub rtcp: RtcpPath,
    /// Which way media flows, seen from us.
    pub direction: Direction,
    /// The keys of both directions, where audio is protected.
    pub srtp: Option<SrtpKeys>,
    /// Our answer to send; empty when the answer was theirs.
    pub body: Vec<u8>,
    /// Whether this is with another far end than before. No description says so: whoever puts one in another's place
    /// sets it (a REFER that was followed, an INVITE with Replaces), and nothing that was learnt of the former counts.
    pub another_far_end: bool,
}

/// How RTCP travels beside RTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtcpPath {
    /// On RTP's ports, both ways (`a=rtcp-mux`, RFC 5761).
    Multiplexed,
    /// On ports of its own.
    Apart {
        /// The far end's: what `a=rtcp` says (RFC 3605), or else the one above RTP's. Another address that
        /// `a=rtcp` may name is not used: it is the media's address that proves itself.
        port: u16,
    },
}

/// Why an offer or an answer cannot be met: a 488 with this `Warning` (RFC 3261 section 20.43).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unacceptable {
    /// The far end's address is of a family our leg has no socket for.
    #[error("Incompatible network protocol")]
    NetworkProtocol,
    /// No address we can send to: none stated, or a name.
    #[error("Incompatible network address formats")]
    AddressFormat,
    /// Audio is offered over another transport only (such as `RTP/SAVP` where we have no SRTP), or with keys of no suite
    /// of ours.
    #[error("Incompatible transport protocol")]
    Transport,
    /// Audio is offered, or was answered, in the clear, where we want it protected.
    #[error("Audio in the clear is refused")]
    InTheClear,
    /// No audio is offered, or its port is 0.
    #[error("Media type not available")]
    MediaType,
    /// No audio codec in common.
    #[error("Incompatible media format")]
    MediaFormat,
    /// Media to a multicast address.
    #[error("Multicast not available")]
    Multicast,
}

impl Unacceptable {
    /// The warning code of RFC 3261 section 20.43; the text is this error's display.
    #[must_use]
    pub const fn warning_code(self) -> u16 {
        match self {
            Self::NetworkProtocol => 300,
            Self::AddressFormat => 301,
            Self::Transport | Self::InTheClear => 302,
            Self::MediaType => 304,
            Self::MediaFormat => 305,
            Self::Multicast => 330,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
