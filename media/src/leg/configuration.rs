//! What a leg is made from, and why it may be refused.

use std::net::SocketAddr;
use std::time::Duration;

use crate::codec::{Codec, CodecError, CodecKind, PayloadType};
#[cfg(doc)]
use crate::control::LegEvent;
use crate::mixer::BusBounds;
#[cfg(doc)]
use crate::receiver::ReceiverConfig;
use crate::sdp::{Direction, Negotiated};
use crate::sender::StreamStart;
use crate::telephone_event::TelephoneEvent;

/// What a leg needs to know.
#[derive(Clone, Debug)]
pub struct LegConfig {
    /// The negotiated codec.
    pub codec: Codec,
    /// The negotiated digits, if any.
    pub telephone_event: Option<TelephoneEvent>,
    /// Further payload types to decode (see [`ReceiverConfig::also_accepted`]).
    pub also_accepted: Vec<(PayloadType, CodecKind)>,
    /// Where SDP says the far end receives; `None` while it did not say.
    pub remote: Option<SocketAddr>,
    /// Which way media flows, seen from us.
    pub direction: Direction,
    /// Where the outgoing stream begins; all three random. The SSRC also seeds the detector's noise.
    pub stream: StreamStart,
    /// Whether the caller's speech is detected. Without it there are no speech marks, no barge-in, and
    /// nothing for a listener that hears speech only; and it costs nothing.
    pub voice_activity: bool,
    /// How long the far end may be silent (no RTP) before [`LegEvent::Silent`]; not counted while it
    /// is not to send.
    pub no_media_timeout: Option<Duration>,
    /// Bounds of the mixer's queues.
    pub bounds: BusBounds,
}

impl LegConfig {
    /// The leg an offer and answer describe, with speech detection on, no silence limit and the usual
    /// bounds.
    #[must_use]
    pub fn new(negotiated: &Negotiated, stream: StreamStart) -> Self {
        Self {
            codec: negotiated.codec,
            telephone_event: negotiated.telephone_event,
            also_accepted: Vec::new(),
            remote: negotiated.remote,
            direction: negotiated.direction,
            stream,
            voice_activity: true,
            no_media_timeout: None,
            bounds: BusBounds::default(),
        }
    }
}

/// Why a leg could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum LegError {
    /// The codec's library refused.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A re-INVITE asks for a codec at another sample rate than the audio already queued for the call.
    /// Answer it with the codec in use, or refuse it (488).
    #[error("the call's audio is at {current_hz} Hz and cannot change to {wanted_hz} Hz")]
    SampleRateChange {
        /// The leg's rate.
        current_hz: u32,
        /// The new codec's rate.
        wanted_hz: u32,
    },
}
