//! The session's core: everything it decides, without a task, a clock or a wait of its own.
//!
//! `handle_*(…, now)` for what arrives, [`Session::poll_output`] for all that leaves,
//! [`Session::poll_timeout`] for when to come back. The actor drains the outputs after every call.
//!
//! This file holds the whole and its inputs; [`caller`] what the caller does, [`life`] how the call
//! begins and ends, [`settle`] what follows from every input. The parts with a life of their own are [`Speech`],
//! [`Hearing`], [`Turn`], [`SilenceTimer`] and [`Collector`].

mod callbacks;
mod caller;
mod key_presses;
mod life;
mod settle;
mod timers;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::{Bus, Epoch, LegCommand, LegEvent};
use tokio::time::Instant;

use self::key_presses::{KeyPresses, Path};
use super::config::SessionConfig;
use super::digits::Collector;
use super::event::{CallbackKind, EndReason, SessionEvent};
use super::hearing::Hearing;
use super::line::CallEvent;
use super::message::{BackgroundLoop, Command};
use super::output::{Callback, Outbox, Output};
use super::silence::{Silence, SilenceTimer};
use super::speech::Speech;
use super::state::{AgentState, States, Trigger, UserState};
use super::transcript::{EntryKind, Speaker, Transcript, TranscriptEntry};
use super::turn::Turn;
use super::utterance::UtteranceId;
use crate::pii::Pii;
use crate::provider::{ProviderError, Recognition};
use callbacks::Callbacks;
use caller::CallerSpeech;
use life::{Gate, Phase};
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
    /// Whether the agent wants to hear the caller at all.
    pub(super) listens: bool,
}

/// One conversation.
pub(super) struct Session {
    config: SessionConfig,
    means: Means,
    began: Instant,
    phase: Phase,
    gate: Gate,
    states: States,
    speech: Speech,
    hearing: Hearing,
    turn: Turn,
    silence: SilenceTimer,
    key_presses: KeyPresses,
    collector: Option<Box<Collector>>,
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
    background: Option<BackgroundLoop>,
    /// The background loop on the leg, if one plays.
    background_epoch: Option<Epoch>,
    on_hold: bool,
    /// The earliest moment the leg can have begun, by the marks it sent.
    media_origin: Option<Instant>,
    /// Transitions the table refused: each is a bug.
    refused_transitions: u64,
    out: Outbox,
}

impl Session {
    /// A session whose call is not yet answered: the agent is `starting`.
    pub(super) fn new(config: SessionConfig, means: Means, now: Instant) -> Self {
        let mut session = Self {
            means,
            began: now,
            phase: Phase::Waiting,
            gate: Gate::default(),
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
            callbacks: Callbacks::default(),
            timers: Timers::default(),
            transcript: Transcript::default(),
            caller: None,
            input_open: config.accept_input_during_enter,
            armed: false,
            loopback: false,
            background: None,
            background_epoch: None,
            on_hold: false,
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
            self.collector
                .as_ref()
                .and_then(|collector| collector.poll_timeout()),
        ];
        parts.into_iter().flatten().min()
    }

    /// Why the call ended, once the session is closed.
    pub(super) fn closed(&self) -> Option<&EndReason> {
        match &self.phase {
            Phase::Closed { reason } => Some(reason),
            Phase::Waiting | Phase::Open | Phase::HangingUp { .. } | Phase::Closing { .. } => None,
        }
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
            Timer::HangUp => self.hang_up_now(now),
            Timer::LegGone => self.line_lost(now),
            Timer::Exit => self.exit_overdue(now),
        }
    }

    /// The leg noticed something.
    pub(super) fn handle_leg_event(&mut self, event: LegEvent, now: Instant) {
        if self.phase.is_ending() {
            return;
        }
        match event {
            LegEvent::Live { at_ms } => {
                self.learn_media_time(at_ms, now);
                self.media_is_live(now);
            }
            // On hold it is the far end's music that is heard.
            LegEvent::SpeechStarted { .. } | LegEvent::SpeechStopped { .. } if self.on_hold => {}
            LegEvent::Heard { .. } if self.on_hold => self.hearing.drop_gathered(),
            LegEvent::BargeIn { .. } if self.on_hold => {
                self.out.leg(LegCommand::Resume(Bus::Speech));
            }
            LegEvent::SpeechStarted { at_ms } => self.caller_started(at_ms, now),
            LegEvent::SpeechStopped { at_ms } => self.caller_stopped(at_ms, now),
            LegEvent::Heard { samples: _ } => self.hearing.gather(),
            LegEvent::Digit { digit, at_ms: _ } => self.caller_pressed(digit, Path::Audio, now),
            LegEvent::BargeIn { epoch, at_ms } => {
                self.learn_media_time(at_ms, now);
                self.barged_in(epoch, now);
            }
            LegEvent::Started { epoch, at_ms } => {
                self.learn_media_time(at_ms, now);
                if self.speech.leg_started(epoch, now, &mut self.out) {
                    self.timers.stop(Timer::NoTranscript);
                    self.trigger(Trigger::FirstFrame, now);
                }
            }
            LegEvent::Drained { epoch, at_ms } => {
                self.learn_media_time(at_ms, now);
                self.speech.leg_drained(epoch, now, &mut self.out);
            }
            LegEvent::Flushed {
                bus: Bus::Speech,
                through,
                cut,
                played_ms,
            } => {
                self.speech.leg_flushed(through, cut, played_ms);
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
                epoch: _,
            } => {
                tracing::warn!(?bus, "the leg refused audio");
            }
            LegEvent::Silent { at_ms: _ } => self.media_is_silent(now),
        }
        self.settle(now);
    }

    /// The call changed.
    pub(super) fn handle_call_event(&mut self, event: CallEvent, now: Instant) {
        match event {
            CallEvent::Digit(digit) => self.caller_pressed(digit, Path::Signalling, now),
            CallEvent::Answered => self.answered(now),
            CallEvent::Confirmed => self.confirmed(now),
            CallEvent::Held => self.set_on_hold(true, now),
            CallEvent::Resumed => self.set_on_hold(false, now),
            CallEvent::Ended { reason } => self.begin_closing(reason, false, now),
        }
        self.settle(now);
    }

    /// A handle asks for something.
    pub(super) fn handle_command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Transcript(reply) => {
                // Whoever asked may have gone; that is no fault.
                let _gone = reply.send(self.transcript.clone());
            }
            // Replies and handles resolve by being dropped: the call is ending.
            _ if self.phase.is_ending() => {}
            Command::Say(utterance) if self.phase.accepts_speech() => {
                self.speech.say(utterance, now, &mut self.out);
            }
            Command::Say(_) => {}
            Command::Interrupt { force, reply } => {
                let stopped = self.interrupt(force, now);
                let _gone = reply.send(stopped);
            }
            Command::HangUp { reason, drain } => self.hang_up(reason, drain, now),
            Command::Close => self.close(now),
            Command::Collect {
                options,
                after,
                reply,
            } if self.phase.accepts_speech() => {
                // A prompt that ended already is nothing to wait for.
                let after = after.filter(|prompt| self.speech.holds(*prompt));
                let collector = Collector::new(options, after, reply, now);
                self.collect(Box::new(collector), now);
            }
            Command::Collect { .. } => {}
            Command::SetWakeUp(after) => self.silence.set(after, now),
            Command::Expect(grammar) => self.hearing.expect(grammar, &mut self.out),
            Command::Loopback(on) => self.set_loopback(on),
            Command::Background(background) => self.set_background(background),
        }
        self.settle(now);
    }

    /// A sentence was made, or could not be.
    pub(super) fn handle_prepared(
        &mut self,
        utterance: UtteranceId,
        sentence: usize,
        result: Result<Arc<[i16]>, ProviderError>,
        now: Instant,
    ) {
        if let Err(error) = &result {
            self.provider_failed(error.clone(), now);
        }
        self.speech
            .prepared(utterance, sentence, result, now, &mut self.out);
        self.settle(now);
    }

    /// The recogniser is done with an utterance.
    pub(super) fn handle_recognised(
        &mut self,
        result: Result<Recognition, ProviderError>,
        now: Instant,
    ) {
        self.recognised(result, now);
        self.settle(now);
    }

    /// A callback returned, failed or panicked.
    pub(super) fn handle_callback(
        &mut self,
        kind: CallbackKind,
        result: Result<(), Arc<str>>,
        now: Instant,
    ) {
        if self.closed().is_some() {
            return;
        }
        self.callbacks.returned(kind);
        if let Err(error) = result {
            tracing::warn!(callback = kind.as_str(), %error, "a callback failed");
            let at = self.at(now);
            self.event(SessionEvent::CallbackFailed {
                callback: kind,
                error,
                at,
            });
        }
        match kind {
            CallbackKind::Enter => self.entered(now),
            CallbackKind::WakeUp => self.silence.restart(now),
            CallbackKind::Exit => self.finish_closing(now),
            CallbackKind::UserTurn | CallbackKind::Dtmf | CallbackKind::SilenceEnd => {}
        }
        self.settle(now);
    }

    /// The leg reports no more. Most likely the call is over and says so in a moment.
    pub(super) fn handle_leg_gone(&mut self, now: Instant) {
        if !self.phase.is_ending() {
            self.timers.set(Timer::LegGone, now + LEG_GONE_PATIENCE);
        }
    }

    /// The call is lost, or the leg takes no commands: the conversation cannot go on.
    pub(super) fn handle_line_lost(&mut self, now: Instant) {
        self.line_lost(now);
        self.settle(now);
    }

    fn provider_failed(&mut self, error: ProviderError, now: Instant) {
        if self.phase.is_ending() {
            return;
        }
        tracing::warn!(%error, "a provider failed");
        let at = self.at(now);
        self.event(SessionEvent::ProviderFailed { error, at });
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
