//! How the conversation begins and ends: the gate, the hang-up, the close.
//!
//! ```text
//! Waiting ── gate ──► Open ── hangup ──► HangingUp ── drained, 10 s ──┐
//!    └──────── BYE, CANCEL, close, hangup_now, fault ─────────────────┴► Closing ── on_exit, 5 s ──► Closed
//! ```

use offhook_media::control::{Bus, LegCommand};
use tokio::time::Instant;

use super::super::config::Direction;
use super::super::event::{CallbackKind, EndCause, EndReason, SessionEvent};
use super::super::line::CallRequest;
use super::super::message::BackgroundLoop;
use super::super::output::{Callback, Output};
use super::super::state::Trigger;
use super::{Session, Timer};

/// Where the conversation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The gate is shut.
    Waiting,
    /// The agent has entered.
    Open,
    /// What is speaking or queued drains, then the call ends.
    HangingUp { reason: EndReason },
    /// `on_exit` runs.
    Closing { reason: EndReason },
    /// Over.
    Closed { reason: EndReason },
}

impl Phase {
    /// Whether the end has begun: nothing but the end itself is handled.
    pub(super) fn is_ending(&self) -> bool {
        match self {
            Self::Waiting | Self::Open | Self::HangingUp { .. } => false,
            Self::Closing { .. } | Self::Closed { .. } => true,
        }
    }

    /// Whether a new utterance is taken.
    pub(super) fn accepts_speech(&self) -> bool {
        match self {
            Self::Waiting | Self::Open => true,
            Self::HangingUp { .. } | Self::Closing { .. } | Self::Closed { .. } => false,
        }
    }
}

/// What is known of the call's beginning; all of it latched.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gate {
    answered: bool,
    confirmed: bool,
    /// Outbound: only what came after the answer counts.
    media_live: bool,
    /// Whether `on_enter` returned.
    pub(super) entered: bool,
}

impl Session {
    pub(super) fn answered(&mut self, now: Instant) {
        if self.gate.answered || self.phase.is_ending() {
            return;
        }
        self.gate.answered = true;
        let patience = match self.config.facts.direction {
            Direction::Inbound => self.config.inbound_gate,
            Direction::Outbound => {
                // Early media and ringback are no sign that somebody listens.
                self.gate.media_live = false;
                self.config.media_live_timeout
            }
        };
        if let Some(longest) = self.config.max_duration {
            self.timers.set(Timer::MaxDuration, now + longest);
        }
        if self.phase == Phase::Waiting {
            self.timers.set(Timer::Gate, now + patience);
        }
        self.try_gate(now);
    }

    pub(super) fn confirmed(&mut self, now: Instant) {
        self.gate.confirmed = true;
        // An acknowledgement answers an answer, also where that event was lost.
        self.answered(now);
        self.try_gate(now);
    }

    pub(super) fn media_is_live(&mut self, now: Instant) {
        self.gate.media_live = true;
        self.try_gate(now);
    }

    fn try_gate(&mut self, now: Instant) {
        let far_end_hears = match self.config.facts.direction {
            Direction::Inbound => self.gate.confirmed || self.gate.media_live,
            Direction::Outbound => self.gate.media_live,
        };
        if self.gate.answered && far_end_hears {
            self.open_gate(now);
        }
    }

    /// The far end can hear: the agent enters.
    pub(super) fn open_gate(&mut self, now: Instant) {
        if self.phase != Phase::Waiting {
            return;
        }
        self.timers.stop(Timer::Gate);
        self.phase = Phase::Open;
        if self.loopback {
            self.out.leg(LegCommand::Loopback(true));
        }
        if let Some(background) = self.background.take() {
            self.set_background(Some(background));
        }
        self.run(Callback::Enter);
        self.speech.open(now, &mut self.out);
    }

    /// `on_enter` returned.
    pub(super) fn entered(&mut self, now: Instant) {
        if self.phase.is_ending() {
            return;
        }
        self.gate.entered = true;
        let at = self.at(now);
        self.event(SessionEvent::AgentStarted { at });
    }

    pub(super) fn set_loopback(&mut self, on: bool) {
        if on != self.loopback {
            self.loopback = on;
            if self.phase != Phase::Waiting {
                self.out.leg(LegCommand::Loopback(on));
            }
        }
    }

    /// Replaces the background loop; before the gate opens it is only remembered.
    pub(super) fn set_background(&mut self, background: Option<BackgroundLoop>) {
        let background = background.filter(|background| !background.samples.is_empty());
        if self.phase == Phase::Waiting {
            self.background = background;
            return;
        }
        match background {
            Some(background) => {
                let epoch = self.speech.next_epoch();
                let decibels = background.volume_db.clamp(-60.0, 12.0);
                self.background_epoch = Some(epoch);
                self.out.leg(LegCommand::Gain {
                    bus: Bus::Background,
                    decibels,
                });
                let samples = background.samples;
                self.out.leg(LegCommand::Loop {
                    bus: Bus::Background,
                    epoch,
                    samples,
                });
            }
            None => {
                if let Some(through) = self.background_epoch.take() {
                    let fade_ms = self.config.interruption.fade_ms;
                    self.out.leg(LegCommand::Flush {
                        bus: Bus::Background,
                        through,
                        fade_ms,
                    });
                }
            }
        }
    }

    /// On hold the leg is mute and the caller hears nothing of ours: silence is nobody's fault, and
    /// begins anew afterwards. Nor does the caller say anything then, whatever is heard; what they
    /// were saying is broken off by the hold, and what sounds at its end is none of theirs.
    pub(super) fn set_on_hold(&mut self, on_hold: bool, now: Instant) {
        if on_hold != self.on_hold && !self.phase.is_ending() {
            self.on_hold = on_hold;
            self.speech.set_on_hold(on_hold, now, &mut self.out);
            self.forget_caller(now);
            self.silence.restart(now);
        }
    }

    pub(super) fn media_is_silent(&mut self, now: Instant) {
        if self.config.end_on_no_media && !self.on_hold {
            self.hang_up(EndCause::NoMedia.into(), false, now);
        }
    }

    pub(super) fn max_duration_reached(&mut self, now: Instant) {
        self.hang_up(EndCause::MaxDuration.into(), false, now);
    }

    /// Ends the call: at once, or when what is speaking or queued was heard. The first reason given
    /// is the one that counts.
    pub(super) fn hang_up(&mut self, reason: EndReason, drain: bool, now: Instant) {
        match &self.phase {
            Phase::Closing { .. } | Phase::Closed { .. } => {}
            Phase::HangingUp { .. } if drain => {}
            Phase::HangingUp { .. } => self.hang_up_now(now),
            Phase::Open if drain && self.speech.is_busy() => {
                self.phase = Phase::HangingUp { reason };
                self.timers
                    .set(Timer::HangUp, now + self.config.hangup_drain);
                // The goodbye is heard to its end: nothing the caller does changes the call any more.
                self.timers.stop(Timer::FalseInterruption);
                self.speech.resume(now, &mut self.out);
                self.stop_taking_input(now);
            }
            Phase::Waiting | Phase::Open => self.begin_closing(reason, true, now),
        }
    }

    /// The hang-up does not wait any longer.
    pub(super) fn hang_up_now(&mut self, now: Instant) {
        if let Phase::HangingUp { reason } = &self.phase {
            let reason = reason.clone();
            self.begin_closing(reason, true, now);
        }
    }

    pub(super) fn close(&mut self, now: Instant) {
        match &self.phase {
            Phase::HangingUp { .. } => self.hang_up_now(now),
            Phase::Waiting | Phase::Open => {
                self.begin_closing(EndCause::SessionClosed.into(), true, now)
            }
            Phase::Closing { .. } | Phase::Closed { .. } => {}
        }
    }

    pub(super) fn line_lost(&mut self, now: Instant) {
        if !self.phase.is_ending() {
            tracing::error!("the leg or its call is lost without a word; the call ends");
            self.begin_closing(EndCause::Fault.into(), true, now);
        }
    }

    fn stop_taking_input(&mut self, now: Instant) {
        self.turn.clear();
        self.callbacks.drop_turns();
        while let Some(press) = self.callbacks.take_digit() {
            self.note_press(press);
        }
        self.hearing.close(&mut self.out);
        self.silence.stop();
        if let Some(collector) = self.collector.take() {
            self.finish_collection(collector.cancel(), now);
        }
    }

    /// The end begins: timers stop, every handle resolves, `on_exit` runs. `call_is_up`: the call is
    /// to be ended, too.
    pub(super) fn begin_closing(&mut self, reason: EndReason, call_is_up: bool, now: Instant) {
        if self.phase.is_ending() {
            return;
        }
        if call_is_up {
            self.out.push(Output::Call(CallRequest::HangUp {
                reason: reason.clone(),
            }));
        }
        self.phase = Phase::Closing {
            reason: reason.clone(),
        };
        self.trigger(Trigger::CloseBegan, now);
        self.timers.stop_all();
        self.caller = None;
        self.stop_taking_input(now);
        self.speech.abandon(now, &mut self.out);
        self.report_ended(now);
        if self.armed {
            self.armed = false;
            self.out.leg(LegCommand::BargeIn(None));
        }
        self.timers
            .set(Timer::Exit, now + self.config.exit_deadline);
        self.run(Callback::Exit(reason));
    }

    pub(super) fn exit_overdue(&mut self, now: Instant) {
        let at = self.at(now);
        tracing::warn!("on_exit took too long and is given up");
        self.event(SessionEvent::CallbackFailed {
            callback: CallbackKind::Exit,
            error: "gave no result within its deadline".into(),
            at,
        });
        self.finish_closing(now);
    }

    /// `on_exit` is done: the players stop, and the session is closed.
    pub(super) fn finish_closing(&mut self, now: Instant) {
        let Phase::Closing { reason } = &self.phase else {
            return;
        };
        let reason = reason.clone();
        self.set_background(None);
        self.set_loopback(false);
        self.timers.stop_all();
        self.trigger(Trigger::CloseEnded, now);
        tracing::info!(%reason, "session closed");
        let at = self.at(now);
        self.event(SessionEvent::Closed {
            reason: reason.clone(),
            at,
        });
        self.phase = Phase::Closed { reason };
    }
}
