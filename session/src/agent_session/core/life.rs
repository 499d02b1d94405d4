//! How the conversation begins and ends: the gate, the hang-up, the close.
//!
//! ```text
//! Waiting ── gate ──► Open ── hangup ──► HangingUp ── drained, 10 s ──┐
//!    └──────── BYE, CANCEL, close, hangup_now, fault ─────────────────┴► Closing ── on_exit, 5 s ──► Closed
//! ```
//!
//! A call of ours may stay Waiting until it is clear who answered, and go from there to Asking or LeavingMessage and to
//! its end (see `answering`).
//! [`super::leaving`] has the way out by which only the agent goes.
//!
//! Where the caller has to be told that the call is recorded, Announcing is between Waiting and Open.

use std::time::Duration;

use offhook_media::control::LegCommand;
use tokio::time::Instant;

use super::super::event::{CallbackKind, EndCause, EndReason, SessionEvent};
use super::super::facts::Direction;
use super::super::line::CallRequest;
use super::super::output::{Callback, Output};
use super::super::recording::RecordPlan;
use super::super::state::Trigger;
use super::super::transfer::AgentInBridge;
use super::super::transfer::TransferOutcome;
use super::super::utterance::Outcome;
use super::{Session, Timer};

/// Between the last frame that a machine is to record and the end of the call. Some throw away what their jitter buffer
/// holds when the call ends, and with it the last word.
pub(super) const MACHINE_TAIL: Duration = Duration::from_millis(500);

/// Where the conversation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The gate is shut.
    Waiting,
    /// The gate is open and the consent prompt is being said; the agent enters after it.
    Announcing,
    /// The agent has entered.
    Open,
    /// Something else than a person answered, and `on_voicemail` decides.
    Asking,
    /// A machine is left a message.
    LeavingMessage,
    /// What is speaking or queued drains, then the call ends.
    HangingUp { reason: EndReason },
    /// The agent has left; the call goes on with its two far ends. `exiting`: `on_exit` still runs.
    Left { exiting: bool },
    /// `on_exit` runs.
    Closing { reason: EndReason },
    /// Over.
    Closed { reason: EndReason },
}

impl Phase {
    /// Whether the end has begun: nothing but the end itself is handled.
    pub(super) fn is_ending(&self) -> bool {
        match self {
            Self::Waiting
            | Self::Announcing
            | Self::Open
            | Self::Asking
            | Self::LeavingMessage
            | Self::HangingUp { .. } => false,
            Self::Left { .. } | Self::Closing { .. } | Self::Closed { .. } => true,
        }
    }

    /// Whether a new utterance is taken.
    pub(super) fn accepts_speech(&self) -> bool {
        match self {
            Self::Waiting | Self::Announcing | Self::Open | Self::Asking => true,
            Self::LeavingMessage
            | Self::HangingUp { .. }
            | Self::Left { .. }
            | Self::Closing { .. }
            | Self::Closed { .. } => false,
        }
    }

    /// Whether what is said is part of the conversation with the caller.
    pub(super) fn is_conversation(&self) -> bool {
        match self {
            Self::Waiting | Self::Open | Self::HangingUp { .. } => true,
            Self::Announcing
            | Self::Asking
            | Self::LeavingMessage
            | Self::Left { .. }
            | Self::Closing { .. }
            | Self::Closed { .. } => false,
        }
    }

    /// Whether it is a machine that is spoken to.
    pub(super) fn is_with_a_machine(&self) -> bool {
        match self {
            Self::Asking | Self::LeavingMessage => true,
            Self::Waiting
            | Self::Announcing
            | Self::Open
            | Self::HangingUp { .. }
            | Self::Left { .. }
            | Self::Closing { .. }
            | Self::Closed { .. } => false,
        }
    }

    /// Whether the agent has entered, or never will; or decides about a machine, which it may press keys for.
    pub(super) fn is_past_entry(&self) -> bool {
        match self {
            Self::Waiting | Self::Announcing | Self::LeavingMessage => false,
            Self::Open
            | Self::Asking
            | Self::HangingUp { .. }
            | Self::Left { .. }
            | Self::Closing { .. }
            | Self::Closed { .. } => true,
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
    /// Whether something else than a person answered, as far as is known.
    pub(super) is_machine: bool,
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

    /// The far end can hear: the gate opens, as soon as it is clear that it is somebody to talk to.
    pub(super) fn open_gate(&mut self, now: Instant) {
        if self.phase != Phase::Waiting {
            return;
        }
        self.timers.stop(Timer::Gate);
        // Who answered may be clear at once, and the gate open already.
        if !self.awaits_verdict(now) && self.phase == Phase::Waiting {
            self.admit(now);
        }
    }

    /// The caller is told that the call is recorded, where they have to be, and the agent enters.
    pub(super) fn admit(&mut self, now: Instant) {
        match &self.config.record {
            RecordPlan::AfterConsent(prompt) => {
                self.phase = Phase::Announcing;
                self.speech.say_first(prompt.utterance());
                self.speech.open(now, &mut self.out);
            }
            RecordPlan::Off | RecordPlan::On => self.enter(now),
        }
    }

    /// The consent prompt is over. A caller who did not hear all of it does not know that they are recorded,
    /// so they are not; the call goes on.
    pub(super) fn consent_ended(&mut self, outcome: &Outcome, now: Instant) {
        let was_heard = *outcome == Outcome::Completed;
        self.recording.consent_ended(was_heard);
        if !was_heard && !self.phase.is_ending() && !self.phase.is_with_a_machine() {
            tracing::error!("the consent prompt could not be said: the call is not recorded");
        }
        if self.phase == Phase::Announcing {
            self.enter(now);
        }
    }

    /// Somebody else is there, who was told nothing yet: they are, when the agent has said what it was saying.
    pub(super) fn far_end_succeeded(&mut self, now: Instant) {
        let RecordPlan::AfterConsent(prompt) = &self.config.record else {
            return;
        };
        if self.phase != Phase::Waiting
            && self.recording.owe_consent()
            && self.phase.accepts_speech()
        {
            self.speech.say(prompt.utterance(), now, &mut self.out);
        }
    }

    pub(super) fn enter(&mut self, now: Instant) {
        self.phase = Phase::Open;
        if self.loopback {
            self.out.leg(LegCommand::Loopback(true));
        }
        self.open_sounds();
        self.open_hearing();
        self.run(Callback::Enter);
        self.speech.open(now, &mut self.out);
        self.presser.set_open(!self.on_hold, now);
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
            if self.phase.is_past_entry() {
                self.out.leg(LegCommand::Loopback(on));
            }
        }
    }

    /// On hold the leg is mute and the caller hears nothing of ours: silence is nobody's fault, and
    /// begins anew afterwards. Nor does the caller say anything then, whatever is heard; what they
    /// were saying is broken off by the hold, and what sounds at its end is none of theirs.
    pub(super) fn set_on_hold(&mut self, on_hold: bool, now: Instant) {
        if on_hold != self.on_hold && !self.phase.is_ending() {
            let was_away = self.is_away();
            self.on_hold = on_hold;
            self.presser
                .set_open(!on_hold && self.phase.is_past_entry(), now);
            self.hold_background(now);
            self.presence_changed(was_away, now);
        }
    }

    /// The call is joined to another, or parted from it. An agent that stands aside is as on hold: its leg plays nothing
    /// of its own meanwhile. Whom it was asking for digits, or saying goodbye to, talks to somebody else now.
    pub(super) fn set_bridge(&mut self, bridge: Option<AgentInBridge>, now: Instant) {
        if self.phase.is_ending() {
            return;
        }
        let was_away = self.is_away();
        self.bridge = bridge;
        if bridge.is_some() {
            self.answering_overruled(now);
        }
        self.unpark(now);
        let wants_to_leave = bridge.is_some() && self.transfer.leaves;
        if wants_to_leave || bridge == Some(AgentInBridge::Leaves) {
            return self.begin_leaving(now);
        }
        if self.stands_aside() {
            self.cut_message();
            if let Some(collector) = self.collector.take() {
                self.finish_collection(collector.cancel(), now);
            }
            self.hang_up_now(now);
        }
        self.presence_changed(was_away, now);
        self.silence.restart(now);
    }

    pub(super) fn stands_aside(&self) -> bool {
        match self.bridge {
            Some(AgentInBridge::StandsAside | AgentInBridge::Leaves) => true,
            Some(AgentInBridge::Stays) | None => false,
        }
    }

    /// Whether caller and agent do not hear each other.
    pub(super) fn is_away(&self) -> bool {
        self.on_hold || self.stands_aside() || self.transfer.parked().is_some()
    }

    pub(super) fn presence_changed(&mut self, was_away: bool, now: Instant) {
        let away = self.is_away();
        if away != was_away {
            self.speech.set_on_hold(away, now, &mut self.out);
            self.forget_caller(now);
            self.silence.restart(now);
            self.tell_speech(false, now, now);
        }
    }

    pub(super) fn media_is_silent(&mut self, now: Instant) {
        // Who is on the way to somebody else may send us nothing any more; where that fails, silence is told again.
        let is_leaving = self.successor_rings || self.transfer.is_referred();
        if self.config.end_on_no_media && !self.on_hold && !is_leaving {
            self.hang_up(EndCause::NoMedia.into(), false, now);
        }
    }

    pub(super) fn max_duration_reached(&mut self, now: Instant) {
        self.hang_up(EndCause::MaxDuration.into(), false, now);
    }

    /// Ends the call: at once, or when what is speaking or queued was heard. The first reason given
    /// is the one that counts.
    pub(super) fn hang_up(&mut self, reason: EndReason, drain: bool, now: Instant) {
        let talks = matches!(self.phase, Phase::Open | Phase::Asking);
        let drains = drain && talks && self.goodbye_is_under_way(now);
        match &self.phase {
            Phase::Closing { .. } | Phase::Closed { .. } => {}
            Phase::HangingUp { .. } if drain => {}
            // The call ends with the message anyway; an agent that was cut short for it and now wants to go may wait.
            Phase::LeavingMessage if drain => {}
            Phase::HangingUp { .. } => self.hang_up_now(now),
            Phase::Open | Phase::Asking if drains => {
                self.phase = Phase::HangingUp { reason };
                self.timers
                    .set(Timer::HangUp, now + self.config.hangup_drain);
                // The goodbye is heard to its end: nothing the caller does changes the call any more.
                self.timers.stop(Timer::FalseInterruption);
                self.speech.resume(now, &mut self.out);
                self.stop_taking_input(now);
            }
            Phase::Waiting
            | Phase::Announcing
            | Phase::Open
            | Phase::Asking
            | Phase::LeavingMessage
            | Phase::Left { .. } => {
                self.begin_closing(reason, true, now);
            }
        }
    }

    /// Whether something is being said or pressed that is to come to its end. A reply that is still being made ends with
    /// what there is of it.
    fn goodbye_is_under_way(&mut self, now: Instant) -> bool {
        self.forget_early_reply();
        self.speech.seal(now, &mut self.out);
        self.speech.is_busy() || self.presser.is_busy()
    }

    /// All that was to be heard was sent. A machine is given the time to play it.
    pub(super) fn hang_up_drained(&mut self, now: Instant) {
        if self.gate.is_machine {
            self.timers.set_sooner(Timer::HangUp, now + MACHINE_TAIL);
        } else {
            self.hang_up_now(now);
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
            Phase::Waiting
            | Phase::Announcing
            | Phase::Open
            | Phase::Asking
            | Phase::LeavingMessage => {
                self.begin_closing(EndCause::SessionClosed.into(), true, now)
            }
            Phase::Left { .. } | Phase::Closing { .. } | Phase::Closed { .. } => {}
        }
    }

    pub(super) fn line_lost(&mut self, now: Instant) {
        if !self.phase.is_ending() || self.has_left() {
            tracing::error!("the leg or its call is lost without a word; the call ends");
            self.begin_closing(EndCause::Fault.into(), true, now);
        }
    }

    pub(super) fn stop_taking_input(&mut self, now: Instant) {
        self.end_answering();
        self.turn.clear();
        self.callbacks.drop_turns();
        while let Some(press) = self.callbacks.take_digit() {
            self.note_press(press);
        }
        self.hearing.close(&mut self.out);
        self.silence.stop();
        self.cut_message();
        if let Some(collector) = self.collector.take() {
            self.finish_collection(collector.cancel(), now);
        }
    }

    /// The end begins: timers stop, every handle resolves, `on_exit` runs. `call_is_up`: the call is
    /// to be ended, too.
    pub(super) fn begin_closing(&mut self, reason: EndReason, call_is_up: bool, now: Instant) {
        if let Phase::Left { exiting } = self.phase {
            return self.end_without_agent(exiting, reason, call_is_up, now);
        }
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
        self.recording.stop();
        self.timers.stop_all();
        let transfer = match reason.cause {
            EndCause::Transferred => TransferOutcome::Completed,
            _ => TransferOutcome::Impossible,
        };
        self.dismiss_agent(transfer, reason, now);
    }

    /// The agent's part ends: every handle resolves, and `on_exit` runs.
    pub(super) fn dismiss_agent(
        &mut self,
        transfer: TransferOutcome,
        reason: EndReason,
        now: Instant,
    ) {
        self.trigger(Trigger::CloseBegan, now);
        self.caller = None;
        self.stop_taking_input(now);
        self.forget_early_reply();
        self.speech.abandon(now, &mut self.out);
        self.follow_replies(now);
        self.replies.close();
        self.stop_thinking();
        self.report_ended(now);
        self.close_turn(now);
        for pressed in self.presser.abandon() {
            self.keys_pressed(pressed, now);
        }
        self.transfer.end(transfer);
        if self.armed {
            self.armed = false;
            self.out.leg(LegCommand::BargeIn(None));
        }
        self.timers
            .set(Timer::Exit, now + self.config.exit_deadline);
        // An agent that was about to give the conversation to another is leaving already, or has left.
        match self.hand_off.take() {
            None => self.run(Callback::Exit(reason)),
            Some(hand_off) if hand_off.has_left() => self.finish_closing(now),
            Some(_) => {}
        }
    }

    pub(super) fn exit_overdue(&mut self, now: Instant) {
        let at = self.at(now);
        tracing::warn!("on_exit took too long and is given up");
        self.event(SessionEvent::CallbackFailed {
            callback: CallbackKind::Exit,
            error: "gave no result within its deadline".into(),
            at,
        });
        if self.is_handing_off() {
            return self.old_agent_left();
        }
        self.finish_closing(now);
    }

    /// `on_exit` is done: the players stop, and the session is closed, or goes on without its agent.
    pub(super) fn finish_closing(&mut self, now: Instant) {
        let (reason, after) = match &self.phase {
            Phase::Closing { reason } => {
                let reason = reason.clone();
                (reason.clone(), Phase::Closed { reason })
            }
            Phase::Left { exiting: true } => {
                (EndCause::AgentLeft.into(), Phase::Left { exiting: false })
            }
            Phase::Left { exiting: false }
            | Phase::Waiting
            | Phase::Announcing
            | Phase::Open
            | Phase::Asking
            | Phase::LeavingMessage
            | Phase::HangingUp { .. }
            | Phase::Closed { .. } => return,
        };
        self.sounds.close(&mut self.out);
        self.set_loopback(false);
        if let Phase::Closed { .. } = after {
            self.timers.stop_all();
        }
        self.timers.stop(Timer::Exit);
        self.trigger(Trigger::CloseEnded, now);
        tracing::info!(%reason, "session closed");
        let at = self.at(now);
        self.event(SessionEvent::Closed { reason, at });
        self.phase = after;
    }
}
