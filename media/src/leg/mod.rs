//! One leg: the audio with one far end.
//!
//! A leg owns everything between datagrams and samples for one far end. Its owner, a media thread,
//! hands it each datagram as it comes and a tick every 10 ms, sends what the tick returns, and drains
//! the events. Nothing on that way locks, allocates or waits.
//!
//! ```text
//! in:  datagram → far end? → receiver → pull (10 ms) → digits, tones → VAD → listener ring   [→ loopback]
//!                                                                       ↑ echo guard
//! out: chunk queues → mixer[speech, thinking, background] ───────────────┴→ sender (encode, RTP) → datagram
//! both: recorder (caller left, agent right)
//! ```
//!
//! The steps of each direction are in one function: `hear` and `speak`.

mod adaptation;
mod barge_in;
mod configuration;
mod digit_paths;
mod event_queue;
mod far_end;
mod listener_tap;
mod media_clock;
mod protection;
mod recording;
mod reporting;
mod silence_watch;
#[cfg(test)]
pub(crate) mod tests;
mod ticking;

use std::net::SocketAddr;
use std::time::Instant;

use rtp_rs::RtpReader;

use self::adaptation::{Inbound, Outbound};
use self::barge_in::BargeIn;
pub use self::configuration::{LegConfig, LegError};
use self::digit_paths::DigitPaths;
pub use self::digit_paths::InBandDigits;
use self::event_queue::EventQueue;
use self::far_end::FarEnd;
use self::listener_tap::ListenerTap;
use self::media_clock::{MediaClock, SLOT_MS};
use self::protection::Protection;
use self::recording::Recording;
pub use self::reporting::RtcpDatagram;
use self::silence_watch::SilenceWatch;
use crate::bridge::{BridgeEnd, BridgeStatistics};
use crate::codec::{Codec, CodecKind, PayloadType};
use crate::control::{Bus, LegCommand, LegEvent, RecordMode};
use crate::frame_converter::LONGEST_FRAME;
use crate::mixer::{Flush, Mixer};
use crate::receiver::{Receiver, ReceiverConfig, ReceiverStatistics};
use crate::rtcp::{self, Quality, Rtcp, RtcpStatistics};
use crate::sdp::{Direction, Negotiated, RtcpPath};
use crate::sender::Sender;
use crate::tones::call_tones::ToneDetector;
use crate::voice_activity::VoiceActivity;

/// What a leg counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegStatistics {
    /// The receiving half.
    pub receiver: ReceiverStatistics,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// Payload octets sent.
    pub octets_sent: u64,
    /// Presses towards the far end that were not sent: too many waited, or a re-INVITE changed how digits are
    /// sent.
    pub unsent_digits: u64,
    /// Slots of 10 ms that passed without a tick.
    pub missed_slots: u64,
    /// Datagrams from somebody who is not the far end, or that are no RTP.
    pub from_elsewhere: u64,
    /// Datagrams that SRTP does not prove to be the far end's.
    pub unproven: u64,
    /// Datagrams that came while the far end was not to send.
    pub unwanted: u64,
    /// Caller samples a full listener ring had no room for.
    pub listener_dropped_samples: u64,
    /// Samples (a side) a full recorder ring had no room for.
    pub recorder_lost_samples: u64,
    /// What went across bridges to other legs.
    pub bridge: BridgeStatistics,
    /// Events lost because nobody drained them.
    pub events_lost: u64,
    /// Frames of 16 ms the neural speech detector looked at.
    pub detector_frames: u64,
    /// Where our packets go.
    pub remote: Option<SocketAddr>,
    /// What RTCP counted, and what the far end said by it.
    pub rtcp: RtcpStatistics,
    /// How the call sounds.
    pub quality: Quality,
}

/// The audio with one far end.
#[derive(Debug)]
pub struct Leg {
    clock: MediaClock,
    direction: Direction,
    protection: Option<Protection>,
    // In.
    far_end: FarEnd,
    also_accepted: Vec<(PayloadType, CodecKind)>,
    inbound: Inbound,
    digits: DigitPaths,
    call_tones: Option<Box<ToneDetector>>,
    voice_activity: Option<Box<VoiceActivity>>,
    listener: Option<ListenerTap>,
    live: bool,
    silence: SilenceWatch,
    // Out.
    loopback: bool,
    mixer: Mixer,
    /// Where the codec has another rate.
    outbound: Option<Box<Outbound>>,
    sender: Sender,
    // Both.
    bridge: Option<Box<BridgeEnd>>,
    barge_in: BargeIn,
    /// Whether our own voice is guarded against, once it can be interrupted.
    echo_guard: bool,
    recording: Recording,
    events: EventQueue,
    codec: Codec,
    /// That of the first codec, for life.
    rate_hz: u32,
    rtcp: Rtcp,
    rtcp_path: RtcpPath,
    /// Where the far end's RTCP comes from, where that is not RTP's port.
    rtcp_source: Option<SocketAddr>,
    missed_slots: u64,
    from_elsewhere: u64,
    unwanted: u64,
    listener_dropped: u64,
    /// What bridges before this one counted.
    bridged: BridgeStatistics,
}

impl Leg {
    /// A leg that begins at `now`. Everything it will ever need for packets is allocated here.
    ///
    /// # Errors
    /// [`LegError::Codec`] when the codec's library refuses.
    pub fn new(config: LegConfig, now: Instant) -> Result<Self, LegError> {
        let codec = config.codec;
        let rate = codec.sample_rate_hz();
        let voice_activity = config
            .voice_activity
            .then(|| VoiceActivity::new(rate, config.stream.ssrc))
            .flatten();
        let also_accepted = config.also_accepted.clone();
        let receiver = Receiver::new(ReceiverConfig {
            also_accepted: config.also_accepted,
            ..ReceiverConfig::new(codec, config.telephone_event)
        })?;
        let mut sender = Sender::new(&codec, config.stream)?;
        sender.set_telephone_event(config.telephone_event);
        Ok(Self {
            clock: MediaClock::new(now),
            direction: config.direction,
            protection: config.srtp.map(Protection::new),
            far_end: FarEnd::new(config.remote),
            also_accepted,
            inbound: Inbound::new(receiver, rate),
            digits: DigitPaths::new(
                config.in_band_digits,
                rate,
                config.telephone_event.is_some(),
            ),
            call_tones: config
                .call_tones
                .then(|| ToneDetector::new(rate).map(Box::new))
                .flatten(),
            voice_activity: voice_activity.map(Box::new),
            listener: None,
            live: false,
            silence: SilenceWatch::new(config.no_media_timeout, now),
            loopback: false,
            bridge: None,
            mixer: Mixer::new(rate, config.bounds),
            outbound: None,
            sender,
            barge_in: BargeIn::default(),
            echo_guard: config.echo_guard,
            recording: Recording::default(),
            events: EventQueue::new(),
            codec,
            rate_hz: rate,
            rtcp: Rtcp::new(config.stream, now),
            rtcp_path: config.rtcp,
            rtcp_source: None,
            missed_slots: 0,
            from_elsewhere: 0,
            unwanted: 0,
            listener_dropped: 0,
            bridged: BridgeStatistics::default(),
        })
    }

    /// The rate of every sample that goes into and comes out of this leg, in hertz.
    #[must_use]
    pub fn sample_rate_hz(&self) -> u32 {
        self.rate_hz
    }

    fn samples_per_tick(&self) -> usize {
        self.rate_hz as usize / 100
    }

    /// Takes a datagram from the leg's RTP socket; RTCP too, which may share it. What is not the far
    /// end's, or neither of the two, is counted and never reaches the call.
    pub fn handle_datagram(&mut self, bytes: &[u8], from: SocketAddr, arrival: Instant) {
        if rtcp::is_rtcp(bytes) {
            self.handle_rtcp(bytes, from, arrival);
            return;
        }
        // First of all: what is not proven may not even say where the far end is. On hold as well, so that roll-overs are
        // counted while the far end goes on sending.
        let is_from_far_end = self.far_end.destination() == Some(from);
        let bytes = match &mut self.protection {
            Some(protection) => match protection.open(bytes, is_from_far_end) {
                Some(opened) => opened,
                None => return,
            },
            None => bytes,
        };
        let Ok(packet) = RtpReader::new(bytes) else {
            self.from_elsewhere += 1;
            return;
        };
        let expected = self.inbound.accepts(packet.payload_type());
        let sequence = u16::from(packet.sequence_number());
        if !self.direction.receives() {
            self.unwanted += 1;
            // Who is not to send says nothing about where it is either.
            if expected && self.far_end.is_known_at(from) {
                self.far_end.admits(from, packet.ssrc(), sequence, expected);
                self.inbound.pass_over(bytes, arrival);
            }
            return;
        }
        if !self.far_end.admits(from, packet.ssrc(), sequence, expected) {
            self.from_elsewhere += 1;
            return;
        }
        let is_ours = packet.ssrc() == self.rtcp.us().ssrc;
        let taken = self.inbound.handle_packet(bytes, arrival).is_ok();
        if is_ours {
            self.note_our_ssrc(sequence, arrival);
        }
        if taken {
            self.silence.heard(arrival);
            if !self.live {
                self.live = true;
                self.events.push(LegEvent::Live {
                    at_ms: self.clock.media_time_ms(arrival),
                });
            }
        }
    }

    /// Carries out a command; its effect is heard from the next tick on.
    pub fn handle_command(&mut self, command: LegCommand) {
        match command {
            LegCommand::Play { bus, chunk } => {
                let epoch = chunk.epoch;
                if self.mixer.play(bus, chunk).is_err() {
                    self.events.push(LegEvent::Refused { bus, epoch });
                }
            }
            LegCommand::Loop {
                bus,
                epoch,
                samples,
            } => match self.mixer.play_loop(bus, epoch, samples) {
                Ok(Some(flush)) => self.report_flush(bus, flush),
                Ok(None) => {}
                Err(_) => self.events.push(LegEvent::Refused { bus, epoch }),
            },
            LegCommand::Flush {
                bus,
                through,
                fade_ms,
            } => {
                let flush = self.mixer.flush(bus, through, fade_ms);
                self.report_flush(bus, flush);
            }
            LegCommand::Pause(bus) => self.mixer.pause(bus),
            LegCommand::Resume(bus) => self.mixer.resume(bus),
            LegCommand::Gain { bus, decibels } => self.mixer.set_gain(bus, decibels),
            LegCommand::BargeIn(policy) => {
                // Who is never interrupted needs no guard.
                if let (Some(_), true, Some(detector)) =
                    (policy, self.echo_guard, &mut self.voice_activity)
                {
                    detector.guard_against_echo(self.rate_hz);
                }
                self.barge_in.arm(policy);
            }
            LegCommand::Listen(listener) => {
                self.remove_listener();
                self.listener = listener.map(|listener| ListenerTap::new(listener, self.rate_hz));
            }
            LegCommand::Press { digit, duration_ms } => self.sender.press(digit, duration_ms),
            LegCommand::Loopback(on) => self.loopback = on,
            LegCommand::Bridge(end) => self.set_bridge(end),
            LegCommand::Record(mode) => self.recording.set_mode(mode),
            LegCommand::TakeMessage(ring) => self.recording.take_message(ring),
        }
    }

    /// Applies what a re-INVITE agreed on: address, direction, digits, packet time, and the codec, whatever its
    /// sample rate. SSRC, sequence numbers and timestamps go on, also towards another far end, which is learnt anew.
    ///
    /// # Errors
    /// [`LegError`]; the leg is then unchanged.
    pub fn renegotiate(&mut self, agreed: &Negotiated, now: Instant) -> Result<(), LegError> {
        let codec_hz = agreed.codec.sample_rate_hz();
        // Whatever can be refused first.
        if agreed.codec != self.codec {
            let outbound = if codec_hz == self.codec.sample_rate_hz() {
                None
            } else {
                Some(Outbound::new(
                    self.rate_hz,
                    codec_hz,
                    self.sender.last_tick(),
                )?)
            };
            self.sender.switch_to(&agreed.codec)?;
            if let Some(outbound) = outbound {
                self.outbound = Some(Box::new(outbound));
            }
        }
        self.sender.set_telephone_event(agreed.telephone_event);
        let config = ReceiverConfig {
            also_accepted: self.also_accepted.clone(),
            ..ReceiverConfig::new(agreed.codec, agreed.telephone_event)
        };
        self.inbound.renegotiate(config, codec_hz)?;
        match (&mut self.protection, &agreed.srtp) {
            (Some(protection), Some(keys)) => protection.settle(keys.clone()),
            (protection, keys) => *protection = keys.clone().map(Protection::new),
        }
        self.digits.negotiated(agreed.telephone_event.is_some());
        self.codec = agreed.codec;
        if agreed.another_far_end {
            self.far_end = self.far_end.succeeded_by(agreed.remote);
            self.rtcp_source = None;
            self.digits.forget_habits();
        } else {
            self.far_end.redeclare(agreed.remote);
        }
        let source = self.rtcp_source;
        self.rtcp_source = source.filter(|_| self.rtcp_path == agreed.rtcp);
        self.rtcp_path = agreed.rtcp;
        self.direction = agreed.direction;
        self.silence.heard(now);
        Ok(())
    }

    /// One step of 10 ms: hears a frame, mixes a frame, and when a packet is full returns it and where
    /// it goes. A late tick sends one packet and no more: the missed slots move the timestamps, are
    /// counted, and cost no speech.
    pub fn tick(&mut self, now: Instant) -> Option<(&[u8], SocketAddr)> {
        let missed = self
            .clock
            .tick(now, u64::from(self.codec.ptime_ms) / SLOT_MS);
        if missed > 0 {
            self.pass_over(missed, now);
        }
        let at_ms = self.clock.slot_ms();
        let mut caller = [0i16; LONGEST_FRAME];
        let caller = &mut caller[..self.samples_per_tick()];

        if let Some(bridge) = &mut self.bridge {
            bridge.receive(caller.len());
            if bridge.is_abandoned() {
                self.set_bridge(None);
            }
        }
        let heard = self.hear(caller, at_ms, now);
        self.interrupt_if_armed(at_ms);
        let destination = self.speak(heard.then_some(&*caller), at_ms)?;
        let datagram = self.sender.datagram();
        let datagram = match &mut self.protection {
            Some(protection) => protection.seal(datagram)?,
            None => datagram,
        };
        Some((datagram, destination))
    }

    /// The next event; to be drained after commands and ticks.
    pub fn poll_event(&mut self) -> Option<LegEvent> {
        self.events.pop()
    }

    /// What was counted so far.
    #[must_use]
    pub fn statistics(&self) -> LegStatistics {
        let (packets_sent, octets_sent) = self.sender.sent();
        LegStatistics {
            receiver: self.inbound.receiver.statistics(),
            packets_sent,
            octets_sent,
            unsent_digits: self.sender.unsent_digits(),
            missed_slots: self.missed_slots,
            from_elsewhere: self.from_elsewhere,
            unproven: self.protection.as_ref().map_or(0, Protection::unproven),
            unwanted: self.unwanted,
            listener_dropped_samples: self.listener_dropped
                + self.listener.as_ref().map_or(0, ListenerTap::dropped),
            recorder_lost_samples: self.recording.lost_samples(),
            bridge: self.bridge.as_ref().map_or(self.bridged, |bridge| {
                let mut bridged = self.bridged;
                bridged += bridge.statistics();
                bridged
            }),
            events_lost: self.events.lost(),
            detector_frames: self
                .voice_activity
                .as_ref()
                .map_or(0, |v| v.detector_frames()),
            remote: self.far_end.destination(),
            rtcp: self.rtcp.statistics(),
            quality: self.rtcp.quality(&self.facts()),
        }
    }

    /// Records from now on into `ring`: pairs of samples, caller and agent. `mode` says what, until a
    /// [`LegCommand::Record`] does.
    pub fn attach_recorder(&mut self, ring: rtrb::Producer<i16>, mode: RecordMode) {
        self.recording.begin(ring, mode);
    }

    /// Ends the recording; the writer sees its ring abandoned.
    pub fn detach_recorder(&mut self) {
        self.recording.end();
    }

    fn set_bridge(&mut self, end: Option<Box<BridgeEnd>>) {
        if let Some(earlier) = std::mem::replace(&mut self.bridge, end) {
            self.bridged += earlier.statistics();
        }
    }

    fn report_flush(&mut self, bus: Bus, flush: Flush) {
        self.events.push(LegEvent::Flushed {
            bus,
            through: flush.through,
            cut: flush.cut,
            played_ms: flush.played_ms,
        });
    }

    fn remove_listener(&mut self) {
        if let Some(listener) = self.listener.take() {
            self.listener_dropped += listener.dropped();
        }
    }
}
