//! From RTP packets to 10 ms frames.
//!
//! ```text
//! handle_packet: datagram → RtpReader → payload type ─┬─► digits (telephone_event)
//!                                                     ├─► comfort noise: a pause
//!                                                     └─► sequence → jitter_buffer
//! pull:          jitter_buffer.next → decode | recover | conceal → decoded samples → frame
//! ```
//!
//! Owns the order of packets, the playout delay and the decoder. Who may send is the leg's business: it
//! passes on what comes from the far end only. Nothing here allocates once built.

mod decoded;
mod decoding;
mod sequence;
mod statistics;

pub use statistics::{PacketError, ReceivedStream, ReceiverStatistics};

use std::time::{Duration, Instant};

use rtp_rs::RtpReader;

use crate::codec::{Codec, CodecError, CodecKind, PayloadType, samples_in};
use crate::concealment::FADE_END_MS;
use crate::jitter_buffer::{
    Arrival, Excess, Insertion, JitterBuffer, Next, PayloadKind, UNITS_PER_SECOND,
};
use crate::telephone_event::{DigitReceiver, EventPacket, ReceivedDigit, TelephoneEvent};
use decoded::Decoded;
use decoding::Decoding;
use sequence::{InterarrivalJitter, Numbered, SequenceTracker, signed_microseconds};

/// Comfort noise's static payload type (RFC 3389 section 4).
const COMFORT_NOISE: u8 = 13;
/// The largest datagram looked at, in bytes.
const MAXIMUM_PACKET_BYTES: usize = 1_500;
/// The most audio one packet may hold, in milliseconds.
const MAXIMUM_PACKET_MS: usize = 120;
/// The jitter buffer's units in a millisecond.
const UNITS_PER_MS: u64 = UNITS_PER_SECOND as u64 / 1_000;
/// A frame's mean magnitude below which 10 ms may be left out unheard (about -50 dBFS).
const QUIET: u32 = 100;
/// So is one this many times below the recent loudest.
const QUIET_BELOW_LOUDEST: u32 = 10;

/// What a receiver needs to know.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// The negotiated codec.
    pub codec: Codec,
    /// The negotiated digits, if any.
    pub telephone_event: Option<TelephoneEvent>,
    /// Further payload types to decode, of codecs with the negotiated codec's clock and sample rate (a
    /// far end may change between them in mid-stream). PCMU and PCMA under their static types are
    /// always taken for one another.
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
    /// Invented, in part at least, to cover a loss or to lengthen the playout delay.
    Concealed,
    /// Nothing: nothing has arrived yet, or the far end sends nothing. Zeros, after a short fade.
    Silence,
}

/// From RTP packets to 10 ms frames.
#[derive(Debug)]
pub struct Receiver {
    config: ReceiverConfig,
    /// The codec before the last renegotiation, of which packets may be under way.
    former: Option<Codec>,
    /// Arrivals count from the first one.
    epoch: Option<Instant>,
    sequence: SequenceTracker,
    /// Numbers of packets that were not to be heard here: to what is heard they are no gap.
    passed_over: i64,
    /// Whether among those was the first of another source.
    new_source_passed_over: bool,
    jitter: InterarrivalJitter,
    digits: DigitReceiver,
    buffer: JitterBuffer,
    decoding: Decoding,
    decoded: Decoded,
    /// Where what is left in `decoded` came from.
    last_origin: FrameOrigin,
    /// How long nothing was there to play, in milliseconds; counts up to the end of the fade.
    gap_ms: usize,
    /// The recent loudest frame's mean magnitude.
    loudest: u32,
    statistics: ReceiverStatistics,
}

impl Receiver {
    /// A receiver that has heard nothing yet.
    ///
    /// # Errors
    /// [`CodecError::Library`] when the codec library has no memory.
    pub fn new(config: ReceiverConfig) -> Result<Self, CodecError> {
        let kind = config.codec.kind;
        let clock_rate_hz = config
            .telephone_event
            .map_or(8_000, |event| event.clock_rate_hz);
        let samples = config.codec.samples_per_tick() * (MAXIMUM_PACKET_MS / 10 + 2);
        let buffer = JitterBuffer::new(
            config.minimum_delay,
            config.maximum_delay,
            kind.bytes_to_buffer(),
        );
        Ok(Self {
            former: None,
            epoch: None,
            sequence: SequenceTracker::default(),
            passed_over: 0,
            new_source_passed_over: false,
            jitter: InterarrivalJitter::default(),
            digits: DigitReceiver::new(clock_rate_hz),
            buffer,
            decoding: Decoding::new(kind)?,
            decoded: Decoded::new(samples),
            last_origin: FrameOrigin::Silence,
            gap_ms: FADE_END_MS,
            loudest: 0,
            statistics: ReceiverStatistics::default(),
            config,
        })
    }

    /// Takes what a renegotiation changed. At one sample rate the audio goes on, also into another codec:
    /// packets of the old one that wait or are under way are played, and the seam is smoothed. At another rate
    /// it begins anew, and what it was is given back, to hear what is still under way. Counts and the digits not yet
    /// taken are kept.
    ///
    /// # Errors
    /// [`CodecError::Library`] when the codec library has no memory; nothing is changed then.
    pub fn renegotiate(&mut self, config: ReceiverConfig) -> Result<Option<Self>, CodecError> {
        let before = self.config.codec;
        if before.sample_rate_hz() == config.codec.sample_rate_hz() {
            self.decoding.prepare(config.codec.kind)?;
            if before.kind != config.codec.kind {
                self.former = Some(before);
            }
            if let Some(event) = config.telephone_event {
                self.digits.set_clock_rate_hz(event.clock_rate_hz);
            }
            self.config = config;
            return Ok(None);
        }
        let mut fresh = Self::new(config)?;
        std::mem::swap(&mut fresh.digits, &mut self.digits);
        fresh.epoch = self.epoch;
        fresh.sequence = self.sequence;
        fresh.passed_over = self.passed_over;
        fresh.new_source_passed_over = self.new_source_passed_over;
        fresh.statistics = self.statistics;
        if let Some(event) = fresh.config.telephone_event {
            fresh.digits.set_clock_rate_hz(event.clock_rate_hz);
        }
        Ok(Some(std::mem::replace(self, fresh)))
    }

    /// Whether packets of this type belong to the call: what was agreed on, and what far ends send all the
    /// same (their own number for it, the other law of G.711, comfort noise).
    #[must_use]
    pub fn accepts(&self, payload_type: u8) -> bool {
        self.meaning_of(payload_type).is_ok()
    }

    /// Takes one datagram. Cheap, allocates nothing.
    ///
    /// # Errors
    /// [`PacketError`], counted; the call is undisturbed.
    pub fn handle_packet(&mut self, packet: &[u8], arrival: Instant) -> Result<(), PacketError> {
        let outcome = self.sort(packet, arrival);
        match outcome {
            Ok(()) => {
                self.statistics.received += 1;
                self.statistics.last_packet = Some(arrival);
            }
            Err(_) => self.statistics.refused += 1,
        }
        outcome
    }

    /// Takes note of a datagram that is the stream's and not to be heard here: it is not missed later, and the audio
    /// before it and behind it has no gap in its numbers.
    pub fn pass_over(&mut self, packet: &[u8], arrival: Instant) {
        let Ok(rtp) = RtpReader::new(packet) else {
            return;
        };
        match self.meaning_of(rtp.payload_type()) {
            Ok(Meaning::Audio(_)) => {}
            // As in `take_pause`; what has no meaning here may be digits, too.
            Ok(Meaning::Digit | Meaning::ComfortNoise) | Err(_) => {
                if !self.sequence.is_source(rtp.ssrc()) {
                    return;
                }
            }
        }
        let before = self.sequence.highest();
        let numbered = self
            .sequence
            .note(rtp.ssrc(), u16::from(rtp.sequence_number()), arrival);
        self.passed_over += self.sequence.highest() - before;
        match numbered {
            Numbered::New { new_source, .. } => self.new_source_passed_over |= new_source,
            Numbered::Duplicate | Numbered::Straggler | Numbered::Suspect => {}
        }
    }

    /// Takes note of a datagram of the codec before, which what this receiver was plays: it has come.
    pub fn heard_elsewhere(&mut self, packet: &[u8], arrival: Instant) {
        self.pass_over(packet, arrival);
        self.statistics.received += 1;
        self.statistics.last_packet = Some(arrival);
    }

    fn sort(&mut self, packet: &[u8], arrival: Instant) -> Result<(), PacketError> {
        if packet.len() > MAXIMUM_PACKET_BYTES {
            return Err(PacketError::Malformed);
        }
        let rtp = RtpReader::new(packet).map_err(|_| PacketError::Malformed)?;
        match self.meaning_of(rtp.payload_type())? {
            Meaning::Audio(kind) => self.take_audio(&rtp, kind, arrival),
            Meaning::Digit => self.take_digit(&rtp, arrival),
            Meaning::ComfortNoise => self.take_pause(&rtp, arrival),
        }
    }

    fn meaning_of(&self, number: u8) -> Result<Meaning, PacketError> {
        let Codec {
            kind,
            payload_type_send,
            payload_type_receive,
            ..
        } = self.config.codec;
        // A far end that answered with a number of its own may send with that one too.
        if number == payload_type_receive.get() {
            return Ok(Meaning::Audio(kind));
        }
        if let Some(event) = self.config.telephone_event
            && (number == event.payload_type_receive.get()
                || number == event.payload_type_send.get())
        {
            return Ok(Meaning::Digit);
        }
        if number == payload_type_send.get() {
            return Ok(Meaning::Audio(kind));
        }
        if number == COMFORT_NOISE {
            return Ok(Meaning::ComfortNoise);
        }
        if let Some(former) = self.former.filter(|former| former.is_numbered(number)) {
            return Ok(Meaning::Audio(former.kind));
        }
        let is_sibling = |other: &CodecKind| {
            other.clock_rate_hz() == kind.clock_rate_hz()
                && other.sample_rate_hz() == kind.sample_rate_hz()
        };
        let also = self
            .config
            .also_accepted
            .iter()
            .find(|(known, _)| known.get() == number);
        let fixed = CodecKind::ALL.into_iter().find(|kind| {
            kind.static_payload_type()
                .is_some_and(|fixed| fixed.get() == number)
        });
        also.map(|(_, kind)| *kind)
            .or(fixed)
            .filter(is_sibling)
            .map(Meaning::Audio)
            .ok_or(PacketError::UnknownPayloadType(number))
    }

    fn take_audio(
        &mut self,
        rtp: &RtpReader<'_>,
        kind: CodecKind,
        arrival: Instant,
    ) -> Result<(), PacketError> {
        let payload = rtp.payload();
        let bad = PacketError::BadPayload(payload.len());
        let samples = samples_in(kind, payload);
        let samples_per_ms = kind.sample_rate_hz() as usize / 1_000;
        if samples == 0
            || samples > MAXIMUM_PACKET_MS * samples_per_ms
            || payload.len() > kind.maximum_payload_bytes()
        {
            return Err(bad);
        }
        let duration = self.units(samples);
        let Some((sequence, new_source)) = self.number(rtp, arrival)? else {
            return Ok(());
        };
        if new_source {
            self.jitter.forget();
        }
        let clock_rate_hz = kind.clock_rate_hz();
        self.jitter.note(arrival, rtp.timestamp(), clock_rate_hz);
        let insertion = self.buffer.insert(Arrival {
            sequence,
            timestamp: rtp.timestamp(),
            clock_rate_hz,
            new_source,
            arrival_us: signed_microseconds(arrival, *self.epoch.get_or_insert(arrival)),
            kind: PayloadKind::Audio(kind),
            duration,
            payload,
        });
        match insertion {
            Insertion::Kept => {}
            Insertion::Late => self.statistics.late += 1,
        }
        Ok(())
    }

    fn take_digit(&mut self, rtp: &RtpReader<'_>, arrival: Instant) -> Result<(), PacketError> {
        let packet = EventPacket {
            ssrc: rtp.ssrc(),
            timestamp: rtp.timestamp(),
            marker: rtp.mark(),
            payload: rtp.payload(),
        };
        if !self.digits.handle(packet, arrival) {
            return Err(PacketError::BadPayload(rtp.payload().len()));
        }
        self.take_pause(rtp, arrival)
    }

    /// A packet without audio has its place in the numbering all the same; one of another source (some
    /// gateways give digits their own) has none.
    fn take_pause(&mut self, rtp: &RtpReader<'_>, arrival: Instant) -> Result<(), PacketError> {
        if !self.sequence.is_source(rtp.ssrc()) {
            return Ok(());
        }
        let Some((sequence, new_source)) = self.number(rtp, arrival)? else {
            return Ok(());
        };
        self.buffer.insert(Arrival {
            sequence,
            timestamp: rtp.timestamp(),
            clock_rate_hz: self.config.codec.clock_rate_hz(),
            new_source,
            arrival_us: signed_microseconds(arrival, *self.epoch.get_or_insert(arrival)),
            kind: PayloadKind::Pause,
            duration: 0,
            payload: &[],
        });
        Ok(())
    }

    /// The packet's extended number and whether it is a new source's first; `None` for one that is not to be heard.
    fn number(
        &mut self,
        rtp: &RtpReader<'_>,
        arrival: Instant,
    ) -> Result<Option<(i64, bool)>, PacketError> {
        let raw = u16::from(rtp.sequence_number());
        match self.sequence.note(rtp.ssrc(), raw, arrival) {
            Numbered::New {
                sequence,
                new_source,
            } => {
                let new_source = new_source | std::mem::take(&mut self.new_source_passed_over);
                Ok(Some((sequence - self.passed_over, new_source)))
            }
            Numbered::Duplicate => Ok(None),
            Numbered::Straggler => {
                self.statistics.late += 1;
                Ok(None)
            }
            Numbered::Suspect => Err(PacketError::Suspect(raw)),
        }
    }

    /// Fills `frame`, exactly 10 ms at the leg's rate, with what is due at `now`. To be called every
    /// 10 ms. A frame of another length is filled with zeros.
    pub fn pull(&mut self, frame: &mut [i16], now: Instant) -> FrameOrigin {
        let tick = self.config.codec.samples_per_tick();
        let Some(epoch) = self.epoch else {
            frame.fill(0);
            return FrameOrigin::Silence;
        };
        if frame.len() != tick {
            frame.fill(0);
            return FrameOrigin::Silence;
        }
        let now_us = signed_microseconds(now, epoch);
        let mut origin = if self.decoded.len() == 0 {
            FrameOrigin::Played
        } else {
            self.last_origin
        };
        while self.decoded.len() < tick {
            self.last_origin = self.refill(now_us);
            origin = match (origin, self.last_origin) {
                (FrameOrigin::Concealed, _) | (_, FrameOrigin::Concealed) => FrameOrigin::Concealed,
                (FrameOrigin::Silence, _) | (_, FrameOrigin::Silence) => FrameOrigin::Silence,
                (FrameOrigin::Played, FrameOrigin::Played) => FrameOrigin::Played,
            };
        }
        self.shorten(now_us);
        self.decoded.take(frame);
        origin
    }

    /// Decodes or invents what comes next: 10 ms at least, save for odd packet times.
    fn refill(&mut self, now_us: i64) -> FrameOrigin {
        let tick = self.config.codec.samples_per_tick();
        let pending = self.pending();
        let per_sample = self.units(1);
        let (concealed, pause) = match self.buffer.next(now_us, pending) {
            Next::Packet {
                kind,
                payload,
                skip,
            } => {
                let room = self.decoded.all_room();
                match self.decoding.decode(kind, payload, room) {
                    Ok(samples) => {
                        self.decoded.added(samples, (skip / per_sample) as usize);
                        self.gap_ms = 0;
                        return FrameOrigin::Played;
                    }
                    // Its length was right and its content was not.
                    Err(_) => (10, false),
                }
            }
            Next::Missing {
                duration,
                next: Some((kind, payload)),
                ..
            } => {
                let samples = (duration / per_sample) as usize;
                let room = self.decoded.room(samples);
                self.decoding.recover(kind, payload, room);
                self.decoded.added(samples, 0);
                self.statistics.concealed_ms += u64::from(duration) / UNITS_PER_MS;
                return FrameOrigin::Concealed;
            }
            Next::Missing {
                next: None, pause, ..
            } => (10, pause),
            Next::Stretch if self.gap_ms < FADE_END_MS => {
                self.statistics.stretched_ms += 10;
                let room = self.decoded.room(tick);
                self.decoding.conceal(room);
                self.decoded.added(tick, 0);
                return FrameOrigin::Concealed;
            }
            Next::NotStarted | Next::Stretch => (0, true),
        };
        let fading = self.gap_ms < FADE_END_MS;
        let room = self.decoded.room(tick);
        if fading {
            self.decoding.conceal(room);
            self.gap_ms += 10;
        } else {
            room.fill(0);
            self.buffer.rest();
        }
        self.decoded.added(tick, 0);
        if fading && !pause {
            self.statistics.concealed_ms += concealed;
            FrameOrigin::Concealed
        } else {
            FrameOrigin::Silence
        }
    }

    /// Where the delay is longer than it need be, makes one frame of the next two: at once when they
    /// are quiet, anywhere when it is much longer.
    fn shorten(&mut self, now_us: i64) {
        let pending = self.pending();
        let excess = self.buffer.excess(now_us, pending);
        if excess == Excess::None {
            return;
        }
        let tick = self.config.codec.samples_per_tick();
        if self.decoded.len() < 2 * tick && self.buffer.is_ready() {
            self.last_origin = self.refill(now_us);
        }
        let Some((first, second)) = self.decoded.levels(tick) else {
            return;
        };
        let loud = first.max(second);
        self.loudest = loud.max(self.loudest - self.loudest / 128);
        let quiet = loud < QUIET.max(self.loudest / QUIET_BELOW_LOUDEST);
        if (quiet || excess == Excess::Anywhere) && self.decoded.merge(tick) {
            self.buffer.shrunk();
            self.statistics.left_out_ms += 10;
        }
    }

    fn pending(&self) -> u32 {
        self.units(self.decoded.len())
    }

    /// Samples of the leg's rate in the jitter buffer's units.
    fn units(&self, samples: usize) -> u32 {
        let per_sample = UNITS_PER_SECOND as u32 / self.config.codec.sample_rate_hz();
        u32::try_from(samples)
            .unwrap_or(0)
            .saturating_mul(per_sample)
    }

    /// The next digit pressed, in order; each press once, when it begins. At most 64 wait.
    pub fn poll_digit(&mut self) -> Option<ReceivedDigit> {
        self.digits.poll()
    }

    /// What was counted so far.
    #[must_use]
    pub fn statistics(&self) -> ReceiverStatistics {
        ReceiverStatistics {
            left_out_ms: self.statistics.left_out_ms + self.buffer.skipped() / UNITS_PER_MS,
            lost: self.sequence.lost(),
            loss_runs: self.sequence.loss_runs,
            duplicate: self.sequence.duplicate,
            reordered: self.sequence.reordered,
            dropped_digits: self.digits.dropped(),
            jitter_us: self.jitter.microseconds(),
            delay_target_ms: u32::try_from(self.buffer.target_us() / 1_000).unwrap_or(0),
            ..self.statistics
        }
    }

    /// The far end's stream as RTCP reports it, once there is one.
    #[must_use]
    pub fn stream(&self) -> Option<ReceivedStream> {
        self.sequence.stream(self.jitter.microseconds())
    }

    /// Whether a valid packet was seen.
    #[must_use]
    pub fn live(&self) -> bool {
        self.statistics.last_packet.is_some()
    }
}

/// What a payload type stands for.
enum Meaning {
    Audio(CodecKind),
    Digit,
    ComfortNoise,
}
