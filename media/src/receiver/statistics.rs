//! What a receiver counts and refuses.

use std::time::Instant;

/// Why a packet was refused. Counted in [`ReceiverStatistics::refused`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// No RTP packet (RFC 3550 section 5.1), or one of more than 1,500 bytes.
    #[error("no RTP packet")]
    Malformed,
    /// A payload type nobody negotiated.
    #[error("payload type {0} was not negotiated")]
    UnknownPayloadType(u8),
    /// An empty payload, one that is too large, or one that is no packet of the codec.
    #[error("payload of {0} bytes is none of the codec's")]
    BadPayload(usize),
    /// A sequence number far from the stream's; a second one in order would be believed.
    #[error("sequence number {0} is far from the stream's")]
    Suspect(u16),
}

/// What a receiver counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverStatistics {
    /// Valid packets, duplicates included.
    pub received: u64,
    /// Packets that never came, by sequence number.
    pub lost: u64,
    /// How many runs those packets form.
    pub loss_runs: u64,
    /// Packets that came after their turn.
    pub late: u64,
    /// Packets that came twice.
    pub duplicate: u64,
    /// Packets that came after a younger one.
    pub reordered: u64,
    /// Datagrams refused (see [`PacketError`]).
    pub refused: u64,
    /// Digits dropped because nobody took them.
    pub dropped_digits: u64,
    /// Audio invented where some was missing, in milliseconds.
    pub concealed_ms: u64,
    /// Audio invented to lengthen the playout delay, in milliseconds.
    pub stretched_ms: u64,
    /// Audio left out to shorten the playout delay, in milliseconds.
    pub left_out_ms: u64,
    /// Interarrival jitter, in microseconds (RFC 3550 section A.8).
    pub jitter_us: u32,
    /// The playout delay aimed at, in milliseconds.
    pub delay_target_ms: u32,
    /// When the last valid packet arrived.
    pub last_packet: Option<Instant>,
}

/// The far end's stream by its numbering, as RTCP reports it (RFC 3550 section A.3). A change of SSRC, or a numbering
/// that begins anew, begins these counts anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedStream {
    /// Whose it is.
    pub ssrc: u32,
    /// The highest sequence number that came, with the count of its wrap-arounds above it.
    pub highest_sequence: u32,
    /// Packets that should have come, by their numbers.
    pub expected: u64,
    /// Packets that came, late ones and duplicates included.
    pub received: u64,
    /// Interarrival jitter, in microseconds.
    pub jitter_us: u32,
}
