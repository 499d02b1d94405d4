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
//! The steps of each direction are in one function: `hear` and `speak`.

mod barge_in;
mod configuration;
mod event_queue;
mod far_end;
mod listener_tap;
mod media_clock;
mod silence_watch;
#[cfg(test)]
pub(crate) mod tests;

use std::net::SocketAddr;
use std::time::Instant;

use rtp_rs::RtpReader;

use self::barge_in::BargeIn;
pub use self::configuration::{LegConfig, LegError};
use self::event_queue::EventQueue;
use self::far_end::FarEnd;
use self::listener_tap::ListenerTap;
use self::media_clock::{MediaClock, SLOT_MS};
use self::silence_watch::SilenceWatch;
use crate::codec::{Codec, CodecKind, PayloadType};
use crate::control::{Bus, LegCommand, LegEvent};
use crate::mixer::{Flush, LONGEST_FRAME, Mark, MixedFrame, Mixer};
use crate::receiver::{FrameOrigin, Receiver, ReceiverConfig, ReceiverStatistics};
use crate::recorder::RecorderTap;
use crate::sdp::{Direction, Negotiated};
use crate::sender::{Filled, Sender};
use crate::voice_activity::{SpeechMark, VoiceActivity};

/// What a leg counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegStatistics {
    /// The receiving half.
    pub receiver: ReceiverStatistics,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// Payload octets sent.
    pub octets_sent: u64,
    /// Presses towards the far end that could not be sent as RTP events.
    pub unsent_digits: u64,
    /// Slots of 10 ms that passed without a tick.
    pub missed_slots: u64,
    /// Datagrams from somebody who is not the far end, or that are no RTP.
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
    also_accepted: Vec<(PayloadType, CodecKind)>,
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
            .then(|| VoiceActivity::new(rate, config.stream.ssrc).map(Box::new))
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
            far_end: FarEnd::new(config.remote),
            also_accepted,
            receiver,
            voice_activity,
            listener: None,
            live: false,
            silence: SilenceWatch::new(config.no_media_timeout, now),
            loopback: false,
            mixer: Mixer::new(rate, config.bounds),
            sender,
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
        let expected = self.receiver.accepts(packet.payload_type());
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
            LegCommand::Press { digit, duration_ms } => self.sender.press(digit, duration_ms),
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
        // The sender first: within one sample rate only a new encoder can be refused.
        if agreed.codec != self.codec {
            self.sender.switch_to(&agreed.codec)?;
        }
        self.sender.set_telephone_event(agreed.telephone_event);
        self.receiver.renegotiate(ReceiverConfig {
            also_accepted: self.also_accepted.clone(),
            ..ReceiverConfig::new(agreed.codec, agreed.telephone_event)
        })?;
        self.codec = agreed.codec;
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
            unsent_digits: self.sender.unsent_digits(),
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
        // On hold nobody is talked over: what waits in the bus is not sent.
        let sounding = self
            .mixer
            .sounding(Bus::Speech)
            .filter(|_| self.direction.sends());
        let talked_over = self
            .barge_in
            .talked_over(speaking, sounding.is_some(), at_ms);
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
