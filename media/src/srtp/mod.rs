//! SRTP and SRTCP (RFC 3711, RFC 7714): packets made secret and proven, in place.
//!
//! ```text
//! keys in SDP ─► MasterKey ─► session keys ─┬─► SrtpSender    plain packet ─► protected packet
//!                                           └─► SrtpReceiver  protected packet ─► plain packet, or dropped
//! ```
//!
//! A packet is worked on in the buffer it is in, and nothing is allocated for it. A receiver believes nothing before the
//! packet is proven: neither a source it has not heard of nor a jump in the numbering leaves a trace when the proof
//! fails.

mod cipher;
mod keys;
mod receiver;
mod sender;
mod suite;
#[cfg(test)]
mod tests;

pub use keys::{BadKey, MasterKey};
pub use receiver::{SrtpReceiver, Unproven};
pub use sender::{KeyWornOut, SrtpSender};
pub use suite::SrtpSuite;

/// The keys that two sides settled on, one for each direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrtpKeys {
    /// What we protect with.
    pub ours: MasterKey,
    /// What the far end protects with.
    pub theirs: MasterKey,
}

/// The most bytes that protection adds to a packet: an authentication tag of 16 bytes, and four of SRTCP's index.
pub const MAXIMUM_OVERHEAD: usize = 20;

/// Bytes of an RTP header before the sources that contributed (RFC 3550 section 5.1).
const FIXED_HEADER: usize = 12;
/// Bytes of an RTCP packet that stay readable (RFC 3711 section 3.4): the first header and its sender.
const RTCP_CLEAR: usize = 8;
/// Bytes that SRTCP adds to carry its index.
const RTCP_INDEX_BYTES: usize = 4;
/// The bit before SRTCP's index: this packet is encrypted.
const RTCP_ENCRYPTED: u32 = 0x8000_0000;

/// What of an RTP header protection needs.
#[derive(Clone, Copy, Debug)]
struct RtpHeader {
    sequence: u16,
    ssrc: u32,
    /// Bytes up to the payload, extension included: they stay readable.
    length: usize,
}

impl RtpHeader {
    /// `None` where the bytes hold no whole header.
    fn read(packet: &[u8]) -> Option<Self> {
        let fixed = packet.first_chunk::<FIXED_HEADER>()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let contributors = usize::from(fixed[0] & 0x0f) * 4;
        let mut length = FIXED_HEADER + contributors;
        if fixed[0] & 0x10 != 0 {
            let extension = packet.get(length..)?.first_chunk::<4>()?;
            let words = u16::from_be_bytes([extension[2], extension[3]]);
            length += 4 + usize::from(words) * 4;
        }
        let this = Self {
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            length,
        };
        (length <= packet.len()).then_some(this)
    }
}

/// The sender named in an RTCP packet's first header; `None` where the bytes hold no whole one.
fn rtcp_sender(packet: &[u8]) -> Option<u32> {
    let clear = packet.first_chunk::<RTCP_CLEAR>()?;
    let is_rtcp = clear[0] >> 6 == 2;
    is_rtcp.then(|| u32::from_be_bytes([clear[4], clear[5], clear[6], clear[7]]))
}
