//! The session's core: everything it decides, without a task, a clock or a wait of its own.
//!
//! `handle_*(…, now)` for what arrives, [`Session::poll_output`] for all that leaves,
//! [`Session::poll_timeout`] for when to come back. The actor drains the outputs after every call.
//!
//! This file holds the whole and what the leg and the call tell it; [`commands`] what handles ask, [`results`] what comes of
//! work given away, [`caller`] what the caller does, [`life`] how the call begins and ends,
//! [`leaving`] how it goes on without its agent, [`answering`] who answered a call of ours, [`replies`] what a language
//! model says, [`hand_off`] how another agent takes over, [`settle`] what follows from every input. The parts with a life
//! of their own are [`Speech`], [`Hearing`], [`Turn`], [`SilenceTimer`], [`Collector`] and [`Presser`].

mod answering;
mod callbacks;
mod caller;
mod commands;
mod detection;
mod hand_off;
mod key_presses;
mod leaving;
mod life;
mod message_taking;
mod metering;
mod replies;
mod results;
mod settle;
mod sounding;
mod timers;
mod transferring;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

use std::time::Duration;

use offhook_media::control::{Bus, CallTone, LegEvent};
use tokio::time::Instant;

use self::key_presses::{KeyPresses, Path};
use super::config::SessionConfig;
use super::digits::Collector;
use super::event::{CallbackKind, EndReason, SessionEvent};
use super::facts::Direction;
use super::hearing::Hearing;
use super::line::CallEvent;
use super::output::{Callback, Outbox, Output};
use super::pressing::Presser;
use super::recording::{PausedBy, Recording};
use super::silence::{Silence, SilenceTimer};
use super::sounds::Sounds;
use super::speech::Speech;
use super::state::{AgentState, States, Trigger, UserState};
use super::taking_message::TakingMessage;
use super::transcript::{EntryKind, Speaker, Transcript, TranscriptEntry};
use super::transfer::AgentInBridge;
use super::transfer::Transfer;
use super::turn::Turn;
use super::turn_metrics::{CallMetrics, TurnMeter};
use crate::agent::Agent;
use crate::pii::Pii;
use callbacks::Callbacks;
use caller::CallerSpeech;
use detection::Detection;
use hand_off::HandingOff;
use life::{Gate, Phase};
use replies::Replies;
use timers::{Timer, Timers};

/// How long the call may take to say why its leg is gone.
const LEG_GONE_PATIENCE: Duration = Duration::from_millis(500);

/// What the session has besides its configuration: fixed for its life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Means {
    /// The leg's rate.
    pub(super) sample_rate_hz: u32,
    pub(super) has_voice: bool,
    pub(super) has_recogniser: bool,
    pub(super) has_model: bool,
    pub(super) has_turn_detector: bool,
    /// Whether the agent wants to hear the caller at all.
    pub(super) listens: bool,
}

/// One conversation.
pub(super) struct Session {
    config: Box<SessionConfig>,
    means: Means,
    began: Instant,
    phase: Phase,
    gate: Gate,
    /// Who answered, while that is found out or something is done about a machine. Before, its settings are in the
    /// configuration.
    answering: Option<Box<Detection>>,
    states: States,
    speech: Speech,
    hearing: Hearing,
    turn: Turn,
    silence: SilenceTimer,
    key_presses: KeyPresses,
    collector: Option<Box<Collector>>,
    /// The message that the caller leaves.
    taking_message: Option<Box<TakingMessage>>,
    presser: Presser,
    transfer: Transfer,
    meter: Box<TurnMeter>,
    replies: Box<Replies>,
    /// To whom the conversation is being given.
    hand_off: Option<Box<HandingOff>>,
    callbacks: Callbacks,
    timers: Timers,
    transcript: Transcript,
    /// What the caller says right now.
    caller: Option<CallerSpeech>,
    /// Whether what the caller says counts; not before the agent's first utterance is done.
    input_open: bool,
    /// Whether the leg's barge-in reflex is armed.
    armed: bool,
    loopback: bool,
    recording: Recording,
    sounds: Box<Sounds>,
    on_hold: bool,
    /// What becomes of the agent while the call is joined to another.
    bridge: Option<AgentInBridge>,
    /// Somebody is being called in the far end's place, which has no reason to send anything meanwhile.
    successor_rings: bool,
    /// The earliest moment the leg can have begun, by the marks it sent.
    media_origin: Option<Instant>,
    /// Transitions the table refused: each is a bug.
    refused_transitions: u64,
    out: Outbox,
}

impl Session {
    /// A session whose call is not yet answered: the agent is `starting`.
    pub(super) fn new(
        mut config: Box<SessionConfig>,
        means: Means,
        agent: &dyn Agent,
        now: Instant,
    ) -> Self {
        if config.facts.direction == Direction::Inbound {
            config.voicemail = None;
        }
        let mut session = Self {
            means,
            began: now,
            phase: Phase::Waiting,
            gate: Gate::default(),
            answering: None,
            states: (AgentState::Starting, UserState::Idle),
            speech: Speech::new(
                means.sample_rate_hz,
                means.has_voice,
                config.interruption.fade_ms,
            ),
            hearing: Hearing::new(means.sample_rate_hz, means.has_recogniser),
            turn: Turn::default(),
            silence: SilenceTimer::new(config.wake_up, config.wake_up_repeat),
            key_presses: KeyPresses::default(),
            collector: None,
            taking_message: None,
            presser: Presser::default(),
            transfer: Transfer::default(),
            meter: Box::new(TurnMeter::new(now)),
            replies: Box::new(Replies::of(agent)),
            hand_off: None,
            callbacks: Callbacks::default(),
            timers: Timers::default(),
            transcript: Transcript::default(),
            caller: None,
            input_open: config.accept_input_during_enter,
            armed: false,
            loopback: false,
            recording: Recording::new(&config.record),
            sounds: Box::new(Sounds::new(
                &std::mem::take(&mut *config.sounds),
                means.sample_rate_hz,
                config.interruption.fade_ms,
            )),
            on_hold: false,
            bridge: None,
            successor_rings: false,
            media_origin: None,
            refused_transitions: 0,
            out: Outbox::default(),
            config,
        };
        let at = session.at(now);
        session.event(SessionEvent::AgentStateChanged {
            state: AgentState::Starting,
            previous: None,
            at,
        });
        session
    }

    /// The next thing to do.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.out.pop()
    }

    /// When to call [`Self::handle_timeout`]; `None` while nothing is awaited.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let parts = [
            self.timers.next(),
            self.speech.poll_timeout(),
            self.turn.poll_timeout(),
            self.silence.poll_timeout(),
            self.presser.poll_timeout(),
            self.recording.poll_timeout(),
            self.answering
                .as_ref()
                .and_then(|detection| detection.poll_timeout()),
            self.collector
                .as_ref()
                .and_then(|collector| collector.poll_timeout()),
            self.taking_message
                .as_ref()
                .and_then(|taking| taking.poll_timeout()),
        ];
        parts.into_iter().flatten().min()
    }

    /// Why the call ended, once the session is closed.
    pub(super) fn closed(&self) -> Option<&EndReason> {
        match &self.phase {
            Phase::Closed { reason } => Some(reason),
            Phase::Waiting
            | Phase::Announcing
            | Phase::Open
            | Phase::Asking
            | Phase::LeavingMessage
            | Phase::HangingUp { .. }
            | Phase::Left { .. }
            | Phase::Closing { .. } => None,
        }
    }

    /// Whether the call is not recorded because its caller could not be told.
    pub(super) fn recording_forgone(&self) -> bool {
        self.recording.is_forgone()
    }

    /// The sums of all turns.
    pub(super) fn metrics(&self) -> CallMetrics {
        self.meter.sums()
    }

    /// How long the caller waited for each answer.
    pub(super) fn take_e2e_ms(&mut self) -> Vec<u64> {
        self.meter.take_e2e_ms()
    }

    /// The transcript, when nothing more will be added.
    pub(super) fn take_transcript(&mut self) -> Transcript {
        std::mem::take(&mut self.transcript)
    }

    /// Time has passed: everything due is done.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.take_due(now) {
            self.handle_timer(timer, now);
        }
        self.speech.handle_timeout(now, &mut self.out);
        self.answering_timeout(now);
        if let Some(pressed) = self.presser.handle_timeout(now, &mut self.out) {
            self.keys_pressed(pressed, now);
        }
        if let Some(turn) = self.turn.take_finished(now) {
            self.finish_turn(turn, now);
        }
        if let Some(collector) = self
            .collector
            .take_if(|collector| collector.poll_timeout().is_some_and(|at| at <= now))
        {
            self.finish_collection(collector.finish(), now);
        }
        if let Some(due) = self.silence.take_due(now) {
            self.run(match due {
                Silence::WakeUp => Callback::WakeUp,
                Silence::End => Callback::SilenceEnd,
            });
        }
        self.settle(now);
    }

    fn handle_timer(&mut self, timer: Timer, now: Instant) {
        match timer {
            Timer::Gate => self.open_gate(now),
            Timer::MaxDuration => self.max_duration_reached(now),
            Timer::NoTranscript => self.no_transcript(now),
            Timer::FalseInterruption => self.false_interruption(now),
            Timer::LongSpeech => self.caller_spoke_long(now),
            Timer::Thinking => self.thinking_is_long(),
            Timer::HangUp => self.hang_up_now(now),
            Timer::LegGone => self.line_lost(now),
            Timer::Exit => self.exit_overdue(now),
        }
    }

    /// The leg noticed something.
    pub(super) fn handle_leg_event(&mut self, event: LegEvent, now: Instant) {
        if self.phase.is_ending() {
            return self.leg_event_without_agent(event, now);
        }
        match event {
            LegEvent::Live { at_ms } => {
                self.learn_media_time(at_ms, now);
                self.media_is_live(now);
            }
            // On hold it is the far end's music that is heard, in a bridge what others say to each other.
            LegEvent::SpeechStarted { .. } | LegEvent::SpeechStopped { .. } if self.is_away() => {}
            LegEvent::Heard { .. } if self.is_away() => self.hearing.drop_gathered(),
            // It crossed our own pause, which stays.
            LegEvent::BargeIn { .. } if self.is_away() => {}
            LegEvent::SpeechStarted { at_ms } => {
                self.caller_started(at_ms, now);
                let moment = self.media_time(at_ms, now);
                self.tell_speech(true, moment, now);
            }
            LegEvent::SpeechStopped { at_ms } => {
                self.caller_stopped(at_ms, now);
                let moment = self.media_time(at_ms, now);
                self.tell_speech(false, moment, now);
            }
            LegEvent::Heard { samples: _ } => {
                self.hearing.gather(self.caller.is_some());
                self.tell_audio(now);
            }
            LegEvent::Digit { digit, at_ms: _ } => self.caller_pressed(digit, Path::Audio, now),
            LegEvent::BargeIn { epoch, at_ms } => {
                self.learn_media_time(at_ms, now);
                self.barged_in(epoch, now);
            }
            LegEvent::Started { epoch, at_ms } => {
                self.learn_media_time(at_ms, now);
                if self.speech.leg_started(epoch, now, &mut self.out) {
                    if let Some(audible) = self.speech.audible() {
                        self.replies.begun(audible);
                    }
                    self.meter.first_frame(now, at_ms);
                    self.timers.stop(Timer::NoTranscript);
                    self.stop_thinking();
                    self.trigger(Trigger::FirstFrame, now);
                }
            }
            LegEvent::Drained { epoch, at_ms } => {
                self.learn_media_time(at_ms, now);
                self.speech.leg_drained(epoch, now, &mut self.out);
                self.sounds.drained(epoch, &mut self.out);
            }
            LegEvent::Flushed {
                bus: Bus::Speech,
                through,
                cut,
                played_ms,
            } => {
                self.speech
                    .leg_flushed(through, cut, played_ms, now, &mut self.out);
            }
            LegEvent::Refused {
                bus: Bus::Speech,
                epoch,
            } => {
                self.speech.leg_refused(epoch, now, &mut self.out);
            }
            LegEvent::Flushed {
                bus: Bus::Thinking | Bus::Background,
                ..
            } => {}
            LegEvent::Refused {
                bus: bus @ (Bus::Thinking | Bus::Background),
                epoch,
            } => {
                tracing::warn!(?bus, "the leg refused audio");
                self.sounds.refused(epoch, &mut self.out);
            }
            LegEvent::Tone(tone) => self.tone_heard(tone, now),
            LegEvent::Silent { at_ms: _ } => self.media_is_silent(now),
        }
        self.settle(now);
    }

    fn tone_heard(&mut self, tone: CallTone, now: Instant) {
        let (kind, confidence) = (tone.kind.as_str(), tone.confidence.value());
        tracing::info!(tone = kind, confidence, "a tone is heard");
        let at = self.at(now);
        self.event(SessionEvent::Tone { tone, at });
        if self.phase == Phase::Open && !self.stands_aside() {
            self.run(Callback::Tone(tone));
        }
        self.tell_detector(now, now, |detector, at| detector.handle_tone(tone, at));
    }

    /// The call changed.
    pub(super) fn handle_call_event(&mut self, event: CallEvent, now: Instant) {
        if self.has_left() {
            return self.call_event_without_agent(event, now);
        }
        match event {
            CallEvent::Digit(digit) => self.caller_pressed(digit, Path::Signalling, now),
            CallEvent::Answered => self.answered(now),
            CallEvent::Confirmed => self.confirmed(now),
            CallEvent::Held => self.set_on_hold(true, now),
            CallEvent::Resumed => self.set_on_hold(false, now),
            CallEvent::Bridged(agent) => self.set_bridge(Some(agent), now),
            CallEvent::Parted => self.set_bridge(None, now),
            CallEvent::Transfer(step) => self.transfer_stepped(step, now),
            CallEvent::SuccessorCalled => self.successor_rings = true,
            CallEvent::SuccessorSettled => self.successor_rings = false,
            CallEvent::Succeeded => self.far_end_succeeded(now),
            CallEvent::RecordingPaused => self.recording.set_paused(PausedBy::Operator, true),
            CallEvent::RecordingResumed => self.recording.set_paused(PausedBy::Operator, false),
            CallEvent::Ended { reason } => self.begin_closing(reason, false, now),
        }
        self.settle(now);
    }

    /// The leg reports no more. Most likely the call is over and says so in a moment.
    pub(super) fn handle_leg_gone(&mut self, now: Instant) {
        if !self.phase.is_ending() || self.has_left() {
            self.timers.set(Timer::LegGone, now + LEG_GONE_PATIENCE);
        }
    }

    /// The call is lost, or the leg takes no commands: the conversation cannot go on.
    pub(super) fn handle_line_lost(&mut self, now: Instant) {
        self.line_lost(now);
        self.settle(now);
    }

    fn note(&mut self, who: Speaker, kind: EntryKind, text: String, at: Instant) {
        let at_ms = u64::try_from(self.at(at).as_millis()).unwrap_or(u64::MAX);
        self.transcript.push(TranscriptEntry {
            at_ms,
            who,
            kind,
            text: Pii::new(text),
        });
    }

    fn run(&mut self, callback: Callback) {
        self.callbacks.started(callback.kind());
        self.out.push(Output::Callback(callback));
    }

    fn event(&mut self, event: SessionEvent) {
        self.out.push(Output::Event(event));
    }

    /// A moment, counted from the session's start.
    fn at(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }
}
