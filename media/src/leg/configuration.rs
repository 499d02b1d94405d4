//! What a leg is made from, and why it may be refused.

use std::net::SocketAddr;
use std::time::Duration;

use super::digit_paths::InBandDigits;
use crate::codec::{Codec, CodecError, CodecKind, PayloadType};
#[cfg(doc)]
use crate::control::LegEvent;
use crate::mixer::BusBounds;
#[cfg(doc)]
use crate::receiver::ReceiverConfig;
use crate::resampler::UnsupportedRates;
use crate::sdp::{Direction, Negotiated, RtcpPath};
use crate::sender::StreamStart;
use crate::srtp::SrtpKeys;
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
    /// Where RTCP comes from and goes to.
    pub rtcp: RtcpPath,
    /// Which way media flows, seen from us.
    pub direction: Direction,
    /// The keys of SRTP; `None` speaks and hears in the clear.
    pub srtp: Option<SrtpKeys>,
    /// Where the outgoing stream begins; all three random. The SSRC also seeds the detector's noise, and
    /// all of it RTCP's intervals and name.
    pub stream: StreamStart,
    /// Whether the caller's speech is detected. Without it there are no speech marks, no barge-in, and
    /// nothing for a listener that hears speech only; and it costs nothing.
    pub voice_activity: bool,
    /// Whether our own voice, where it comes back, is kept from being taken for the caller's speech. Without
    /// speech detection there is nothing to guard, and before the reflex is armed for the first time the guard
    /// takes no memory: it is made then.
    pub echo_guard: bool,
    /// When tones in the caller's audio are taken for digits.
    pub in_band_digits: InBandDigits,
    /// Whether tones in the caller's audio are reported ([`LegEvent::Tone`]).
    pub call_tones: bool,
    /// How long the far end may be silent (no RTP) before [`LegEvent::Silent`]; not counted while it
    /// is not to send.
    pub no_media_timeout: Option<Duration>,
    /// Bounds of the mixer's queues.
    pub bounds: BusBounds,
}

impl LegConfig {
    /// The leg an offer and answer describe, with speech detection on, tones unheard, no silence limit and
    /// the usual bounds.
    #[must_use]
    pub fn new(negotiated: &Negotiated, stream: StreamStart) -> Self {
        Self {
            codec: negotiated.codec,
            telephone_event: negotiated.telephone_event,
            also_accepted: Vec::new(),
            remote: negotiated.remote,
            rtcp: negotiated.rtcp,
            direction: negotiated.direction,
            srtp: negotiated.srtp.clone(),
            stream,
            voice_activity: true,
            echo_guard: true,
            in_band_digits: InBandDigits::Never,
            call_tones: false,
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
    /// A codec's rate and the leg's cannot be converted.
    #[error(transparent)]
    Rates(#[from] UnsupportedRates),
}
