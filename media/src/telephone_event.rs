//! Digits as RTP events (RFC 4733).

use std::time::Instant;

use crate::codec::PayloadType;
use crate::control::Digit;

/// The negotiated `telephone-event` format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// The payload type the far end wants to receive.
    pub payload_type_send: PayloadType,
    /// The payload type the far end was told to send.
    pub payload_type_receive: PayloadType,
    /// The events' clock, in hertz: durations and timestamps count in it.
    pub clock_rate_hz: u32,
}

/// A digit the far end pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedDigit {
    /// Which key.
    pub digit: Digit,
    /// When the first packet of the press that reached us arrived.
    pub arrival: Instant,
}
