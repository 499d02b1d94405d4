//! One leg: the audio with one far end.
//!
//! A leg owns everything between datagrams and samples for one far end. Its owner, a media thread,
//! hands it each datagram as it comes and a tick every 10 ms, sends what the tick returns, and drains
//! the events. Nothing on that way locks, allocates or waits.
//!
//! ```text
//! in:  datagram → far end? → receiver → pull (10 ms) → VAD → digits, listener ring   [→ loopback]
//! out: chunk queues → mixer[speech, thinking, background] → sender (encode, RTP) → datagram
//! both: recorder (caller left, agent right)
//! ```
//!
//! The steps of each direction are in one function: [`Leg::hear`] and [`Leg::speak`].

mod event_queue;
mod far_end;
mod listener_tap;
mod media_clock;
#[cfg(test)]
pub(crate) mod tests;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rtp_rs::RtpReader;

use self::event_queue::EventQueue;
use self::far_end::FarEnd;
use self::listener_tap::ListenerTap;
use self::media_clock::{MediaClock, SLOT_MS};
use crate::codec::{Codec, CodecError, CodecKind, PayloadType};
use crate::control::{BargeInPolicy, Bus, LegCommand, LegEvent};
use crate::mixer::{BusBounds, Flush, LONGEST_FRAME, Mark, MixedFrame, Mixer};
use crate::receiver::{FrameOrigin, Receiver, ReceiverConfig, ReceiverStatistics};
use crate::recorder::RecorderTap;
use crate::sdp::{Direction, Negotiated};
use crate::sender::{Filled, Sender, StreamStart};
use crate::telephone_event::TelephoneEvent;
use crate::voice_activity::{SpeechMark, VoiceActivity};

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

/// What a leg counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegStatistics {
    /// The receiving half.
    pub receiver: ReceiverStatistics,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// Payload octets sent.
    pub octets_sent: u64,
    /// Slots of 10 ms that passed without a tick.
    pub missed_slots: u64,
    /// Datagrams from somebody who is not the far end.
    pub from_elsewhere: u64,
    /// Datagrams that came while the far end was not to send.
    pub unwanted: u64,
    /// Caller samples a full listener ring had no room for.
    pub listener_dropped_samples: u64,
    /// Samples (a side) a full recorder ring had no room for.
    pub recorder_lost_samples: u64,
    /// Events lost because nobody drained them.
    pub events_lost: u64,
    /// Frames of 16 ms the neural speech detector looked at.
    pub detector_frames: u64,
    /// Where our packets go.
    pub remote: Option<SocketAddr>,
}

/// The audio with one far end.
#[derive(Debug)]
pub struct Leg {
    clock: MediaClock,
    direction: Direction,
    // In.
    far_end: FarEnd,
    expected: ExpectedPayloads,
    receiver: Receiver,
    voice_activity: Option<Box<VoiceActivity>>,
    listener: Option<ListenerTap>,
    live: bool,
    silence: SilenceWatch,
    // Out.
    loopback: bool,
    mixer: Mixer,
    sender: Sender,
    // Both.
    barge_in: BargeIn,
    recorder: Option<RecorderTap>,
    events: EventQueue,
    codec: Codec,
    missed_slots: u64,
    from_elsewhere: u64,
    unwanted: u64,
    listener_dropped: u64,
    recorder_lost: u64,
}

/// At most this many frames are caught up for slots that were missed: the longest playout delay.
const MOST_CAUGHT_UP: u64 = 20;
/// RFC 3389 comfort noise, which may come beside any codec of its rate.
const COMFORT_NOISE: u8 = 13;

impl Leg {
    /// A leg that begins at `now`. Everything it will ever need for packets is allocated here.
    ///
    /// # Errors
    /// [`LegError::Codec`] when the codec's library refuses.
    pub fn new(config: LegConfig, now: Instant) -> Result<Self, LegError> {
        let codec = config.codec;
        let rate = codec.sample_rate_hz();
        let expected = ExpectedPayloads::new(&config);
        let voice_activity = config
            .voice_activity
            .then(|| VoiceActivity::new(rate, config.stream.ssrc).map(Box::new))
            .flatten();
        let receiver = Receiver::new(ReceiverConfig {
            also_accepted: config.also_accepted,
            ..ReceiverConfig::new(codec, config.telephone_event)
        })?;
        Ok(Self {
            clock: MediaClock::new(now),
            direction: config.direction,
            far_end: FarEnd::new(config.remote),
            expected,
            receiver,
            voice_activity,
            listener: None,
            live: false,
            silence: SilenceWatch::new(config.no_media_timeout, now),
            loopback: false,
            mixer: Mixer::new(rate, config.bounds),
            sender: Sender::new(&codec, config.stream)?,
            barge_in: BargeIn::default(),
            recorder: None,
            events: EventQueue::new(),
            codec,
            missed_slots: 0,
            from_elsewhere: 0,
            unwanted: 0,
            listener_dropped: 0,
            recorder_lost: 0,
        })
    }

    /// The rate of every sample that goes into and comes out of this leg, in hertz.
    #[must_use]
    pub fn sample_rate_hz(&self) -> u32 {
        self.codec.sample_rate_hz()
    }

    /// Takes a datagram from the leg's socket. What is not the far end's, or no RTP, is counted and
    /// never reaches the call.
    pub fn handle_datagram(&mut self, bytes: &[u8], from: SocketAddr, arrival: Instant) {
        if !self.direction.receives() {
            self.unwanted += 1;
            return;
        }
        let Ok(packet) = RtpReader::new(bytes) else {
            self.from_elsewhere += 1;
            return;
        };
        let expected = self.expected.contains(packet.payload_type());
        let sequence = u16::from(packet.sequence_number());
        if !self.far_end.admits(from, packet.ssrc(), sequence, expected) {
            self.from_elsewhere += 1;
            return;
        }
        if self.receiver.handle_packet(bytes, arrival).is_ok() {
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
            LegCommand::BargeIn(policy) => self.barge_in.arm(policy),
            LegCommand::Listen(listener) => {
                self.remove_listener();
                self.listener = listener
                    .map(|listener| ListenerTap::new(listener, self.codec.sample_rate_hz()));
            }
            LegCommand::Loopback(on) => self.loopback = on,
        }
    }

    /// Applies what a re-INVITE agreed on: address, direction, digits, packet time, and the codec
    /// within the leg's sample rate. SSRC, sequence numbers and timestamps go on.
    ///
    /// # Errors
    /// [`LegError`]; the leg is then unchanged.
    pub fn renegotiate(&mut self, agreed: &Negotiated, now: Instant) -> Result<(), LegError> {
        let current_hz = self.codec.sample_rate_hz();
        let wanted_hz = agreed.codec.sample_rate_hz();
        if current_hz != wanted_hz {
            return Err(LegError::SampleRateChange {
                current_hz,
                wanted_hz,
            });
        }
        let config = LegConfig::new(agreed, self.sender.position());
        let expected = ExpectedPayloads::new(&config);
        if expected != self.expected {
            self.receiver =
                Receiver::new(ReceiverConfig::new(agreed.codec, agreed.telephone_event))?;
            self.expected = expected;
        }
        if agreed.codec != self.codec {
            self.sender.switch_to(&agreed.codec)?;
            self.codec = agreed.codec;
        }
        self.far_end.redeclare(agreed.remote);
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
        let caller = &mut caller[..self.codec.samples_per_tick()];

        let heard = self.hear(caller, at_ms, now);
        self.interrupt_if_armed(at_ms);
        let destination = self.speak(heard.then_some(&*caller), at_ms)?;
        Some((self.sender.datagram(), destination))
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
            receiver: self.receiver.statistics(),
            packets_sent,
            octets_sent,
            missed_slots: self.missed_slots,
            from_elsewhere: self.from_elsewhere,
            unwanted: self.unwanted,
            listener_dropped_samples: self.listener_dropped
                + self.listener.as_ref().map_or(0, ListenerTap::dropped),
            recorder_lost_samples: self.recorder_lost
                + self.recorder.as_ref().map_or(0, RecorderTap::lost_samples),
            events_lost: self.events.lost(),
            detector_frames: self
                .voice_activity
                .as_ref()
                .map_or(0, |v| v.detector_frames()),
            remote: self.far_end.destination(),
        }
    }

    /// Records from now on into `ring`: pairs of samples, caller and agent.
    pub fn attach_recorder(&mut self, ring: rtrb::Producer<i16>) {
        self.detach_recorder();
        self.recorder = Some(RecorderTap::new(ring));
    }

    /// Ends the recording; the writer sees its ring abandoned.
    pub fn detach_recorder(&mut self) {
        if let Some(recorder) = self.recorder.take() {
            self.recorder_lost += recorder.lost_samples();
        }
    }

    /// In: receiver → VAD → digits → listener. Says whether `frame` holds sound from the far end.
    fn hear(&mut self, frame: &mut [i16], at_ms: u64, now: Instant) -> bool {
        if !self.direction.receives() {
            return false;
        }
        let origin = self.receiver.pull(frame, now);
        while let Some(received) = self.receiver.poll_digit() {
            let at_ms = self.clock.media_time_ms(received.arrival);
            self.events.push(LegEvent::Digit {
                digit: received.digit,
                at_ms,
            });
        }
        let heard = match origin {
            FrameOrigin::Played | FrameOrigin::Concealed => true,
            FrameOrigin::Silence => false,
        };
        let voice_activity = self.voice_activity.as_mut();
        let mark = voice_activity.and_then(|v| v.hear(heard.then_some(&*frame), at_ms));
        if let Some(listener) = &mut self.listener {
            if let Some(samples) = listener.hear(frame, at_ms + SLOT_MS, mark) {
                self.events.push(LegEvent::Heard { samples });
            }
            if listener.is_abandoned() {
                self.remove_listener();
            }
        }
        match mark {
            Some(SpeechMark::Started { at_ms }) => {
                self.events.push(LegEvent::SpeechStarted { at_ms })
            }
            Some(SpeechMark::Stopped { at_ms }) => {
                self.events.push(LegEvent::SpeechStopped { at_ms })
            }
            None => {}
        }
        if self.silence.is_due(now) {
            self.events.push(LegEvent::Silent { at_ms });
        }
        heard
    }

    /// Out: mixer → recorder → sender → marks. Answers where to send the packet that is complete. While
    /// we may not send, or know no address, everything queued waits and only the clock goes on.
    fn speak(&mut self, caller: Option<&[i16]>, at_ms: u64) -> Option<SocketAddr> {
        let length = self.codec.samples_per_tick();
        let destination = self
            .far_end
            .destination()
            .filter(|_| self.direction.sends());
        let Some(destination) = destination else {
            self.sender.skip_ms(SLOT_MS as u32);
            record(&mut self.recorder, caller, None, length);
            return None;
        };
        let loopback = caller.filter(|_| self.loopback);
        let slot = self.sender.slot();
        let mixed = self.mixer.mix(loopback, slot);
        let agent = match mixed {
            MixedFrame::Audio => Some(&*slot),
            MixedFrame::Silence => None,
        };
        record(&mut self.recorder, caller, agent, length);
        let filled = self.sender.push(mixed);
        if filled == Filled::Partly {
            return None;
        }
        let events = &mut self.events;
        self.mixer.take_marks(|_, mark| {
            events.push(match mark {
                Mark::Started(epoch) => LegEvent::Started { epoch, at_ms },
                Mark::Ended { epoch, .. } => LegEvent::Drained { epoch, at_ms },
            });
        });
        (filled == Filled::Complete).then_some(destination)
    }

    /// The reflex: pauses the speech bus when the caller has talked over it for long enough.
    fn interrupt_if_armed(&mut self, at_ms: u64) {
        let speaking = self.voice_activity.as_ref().and_then(|v| v.speaking());
        let sounding = self.mixer.sounding(Bus::Speech);
        let talked_over = self.barge_in.talked_over(
            speaking.map(|s| (s.since_ms, s.last_voiced_ms)),
            sounding.is_some(),
            at_ms,
        );
        if talked_over && let Some(epoch) = sounding {
            self.mixer.pause(Bus::Speech);
            self.events.push(LegEvent::BargeIn { epoch, at_ms });
        }
    }

    /// Slots went by without a tick. The caller's audio of that time is still to be heard, so that
    /// nothing said is lost and the playout delay does not grow; ours was not sent and stays queued.
    fn pass_over(&mut self, missed: u64, now: Instant) {
        self.missed_slots += missed;
        self.sender
            .skip_ms(u32::try_from(missed * SLOT_MS).unwrap_or(u32::MAX));
        let length = self.codec.samples_per_tick();
        let caught_up = missed.min(MOST_CAUGHT_UP);
        let lost = usize::try_from(missed - caught_up).unwrap_or(usize::MAX);
        if let Some(recorder) = &mut self.recorder {
            recorder.skip(lost.saturating_mul(length));
        }
        let mut caller = [0i16; LONGEST_FRAME];
        let caller = &mut caller[..length];
        let next_ms = self.clock.slot_ms();
        for back in (1..=caught_up).rev() {
            let heard = self.hear(caller, next_ms - back * SLOT_MS, now);
            record(&mut self.recorder, heard.then_some(&*caller), None, length);
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

fn record(
    recorder: &mut Option<RecorderTap>,
    caller: Option<&[i16]>,
    agent: Option<&[i16]>,
    length: usize,
) {
    if let Some(recorder) = recorder {
        recorder.record(caller, agent, length);
    }
}

/// The payload types that were agreed on: packets of others prove nothing about their sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ExpectedPayloads {
    /// One bit a type.
    types: u128,
}

impl ExpectedPayloads {
    fn new(config: &LegConfig) -> Self {
        let also = config
            .also_accepted
            .iter()
            .map(|(payload_type, _)| *payload_type);
        let types = also
            .chain([config.codec.payload_type_receive])
            .chain(
                config
                    .telephone_event
                    .map(|event| event.payload_type_receive),
            )
            .fold(1 << COMFORT_NOISE, |types, payload_type| {
                types | 1 << payload_type.get()
            });
        Self { types }
    }

    fn contains(self, payload_type: u8) -> bool {
        payload_type < 128 && self.types & 1 << payload_type != 0
    }
}

/// Notices when no RTP comes any more; says so once each time.
#[derive(Debug)]
struct SilenceWatch {
    timeout: Option<Duration>,
    last: Instant,
    reported: bool,
}

impl SilenceWatch {
    fn new(timeout: Option<Duration>, now: Instant) -> Self {
        Self {
            timeout,
            last: now,
            reported: false,
        }
    }

    fn heard(&mut self, at: Instant) {
        self.last = at;
        self.reported = false;
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let Some(timeout) = self.timeout else {
            return false;
        };
        if self.reported || now.saturating_duration_since(self.last) < timeout {
            return false;
        }
        self.reported = true;
        true
    }
}

/// The barge-in policy and what it needs to remember.
#[derive(Debug, Default)]
struct BargeIn {
    policy: Option<BargeInPolicy>,
    /// When the speech bus began to play, while it plays.
    sounding_since_ms: Option<u64>,
    /// The reflex acts once in a stretch of speech; the session may have resumed on purpose.
    acted: bool,
}

impl BargeIn {
    fn arm(&mut self, policy: Option<BargeInPolicy>) {
        self.policy = policy;
    }

    /// Whether the caller, speaking since the first and last voiced at the second media time, has now
    /// talked over the agent for as long as the policy asks.
    fn talked_over(&mut self, speaking: Option<(u64, u64)>, sounding: bool, at_ms: u64) -> bool {
        let Some(policy) = self.policy else {
            self.sounding_since_ms = None;
            return false;
        };
        self.sounding_since_ms = sounding.then(|| self.sounding_since_ms.unwrap_or(at_ms));
        let Some((since_ms, last_voiced_ms)) = speaking else {
            self.acted = false;
            return false;
        };
        let Some(sounding_since_ms) = self.sounding_since_ms else {
            return false;
        };
        let both_ms = last_voiced_ms.saturating_sub(since_ms.max(sounding_since_ms));
        if self.acted || both_ms < u64::from(policy.min_speech_ms) || both_ms == 0 {
            return false;
        }
        self.acted = true;
        true
    }
}
