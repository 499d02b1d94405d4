//! What follows from any input, and the one place where the states change.

use offhook_media::control::{BargeInPolicy, LegCommand};
use tokio::time::Instant;

use super::super::event::{CallbackKind, SessionEvent};
use super::super::interruption::InterruptionMode;
use super::super::output::Callback;
use super::super::speech::Ended;
use super::super::state::{AgentState, Trigger, transition};
use super::super::transcript::{EntryKind, Speaker};
use super::super::utterance::Outcome;
use super::{Phase, Session, Timer};

impl Session {
    /// What follows from any input: ended utterances are reported, states that ended by themselves
    /// are left, the reflex and the silence timer follow what is going on, callbacks that waited run.
    pub(super) fn settle(&mut self, now: Instant) {
        self.report_ended(now);
        if self.phase.is_ending() {
            return;
        }
        let busy = self.speech.is_busy();
        if !busy {
            self.settle_quiet_states(now);
            if let Phase::HangingUp { .. } = self.phase {
                return self.hang_up_now(now);
            }
        }
        if self.phase == Phase::Open {
            self.run_waiting_callbacks(now);
        }
        self.arm_barge_in();
        let speaking = self.caller.as_ref().is_some_and(|caller| !caller.long);
        self.silence.suspend(
            self.phase != Phase::Open
                || self.on_hold
                || busy
                || speaking
                || self.hearing.is_recognising()
                || self.turn.is_pending()
                || self.callbacks.is_replying()
                || self.collector.is_some(),
        );
    }

    fn run_waiting_callbacks(&mut self, now: Instant) {
        if let Some(turn) = self.callbacks.next_turn() {
            if self.states.0 != AgentState::Speaking {
                self.timers.stop(Timer::NoTranscript);
                self.trigger(Trigger::ReplyBegins, now);
            }
            self.run(turn);
        }
        if let Some(press) = self.callbacks.next_digit() {
            self.note_press(press);
            self.run(Callback::Dtmf(press.digit));
        }
    }

    /// Nothing is playing or queued: the states say so.
    fn settle_quiet_states(&mut self, now: Instant) {
        match self.states.0 {
            AgentState::Speaking => self.trigger(Trigger::PlaybackDrained, now),
            AgentState::Thinking if !self.callbacks.is_running(CallbackKind::UserTurn) => {
                self.trigger(Trigger::ReplyWasSilent, now);
            }
            AgentState::Starting if self.gate.entered => self.trigger(Trigger::Entered, now),
            AgentState::Starting
            | AgentState::Idle
            | AgentState::Listening
            | AgentState::Thinking
            | AgentState::Closing
            | AgentState::Closed => {}
        }
        if self.gate.entered {
            self.input_open = true;
            self.silence.arm(now);
        }
    }

    pub(super) fn report_ended(&mut self, now: Instant) {
        while let Some(ended) = self.speech.poll_ended() {
            self.utterance_ended(ended, now);
        }
    }

    fn utterance_ended(&mut self, ended: Ended, now: Instant) {
        if let Some(collector) = &mut self.collector {
            collector.utterance_done(ended.id, now);
        }
        let spoke = ended.started_at.is_some();
        if let Some(text) = ended.transcript {
            let kind = match &ended.outcome {
                Outcome::Completed => EntryKind::Speech,
                Outcome::Interrupted { .. } | Outcome::Failed(_) => EntryKind::InterruptedSpeech,
            };
            self.note(Speaker::Agent, kind, text, ended.started_at.unwrap_or(now));
        }
        if spoke && !self.phase.is_ending() {
            // The first utterance is done: the conversation has begun, whatever `on_enter` still does.
            self.input_open = true;
            self.silence.arm(now);
            self.silence.restart(now);
        }
        let at = self.at(now);
        self.event(SessionEvent::UtteranceDone {
            id: ended.id,
            outcome: ended.outcome,
            at,
        });
    }

    /// The reflex is armed while something plays that the caller's voice may interrupt.
    fn arm_barge_in(&mut self) {
        let policy = &self.config.interruption;
        let by_voice = match policy.effective_mode(self.hearing.is_listening()) {
            InterruptionMode::Vad | InterruptionMode::Hybrid => true,
            InterruptionMode::Stt | InterruptionMode::Off => false,
        };
        let armed = by_voice
            && self.means.listens
            && self.phase == Phase::Open
            && !self.on_hold
            && self.speech.is_interruptible();
        if armed != self.armed {
            self.armed = armed;
            let min_speech_ms = u32::try_from(policy.min_duration.as_millis())
                .unwrap_or(u32::MAX)
                .min(5_000);
            self.out.leg(LegCommand::BargeIn(
                armed.then_some(BargeInPolicy { min_speech_ms }),
            ));
        }
    }

    /// Changes the states by the table; what the table refuses is a bug and changes nothing.
    pub(super) fn trigger(&mut self, trigger: Trigger, now: Instant) {
        let (agent_before, user_before) = self.states;
        let Some(after) = transition(trigger, self.states) else {
            self.refused_transitions += 1;
            tracing::error!(?trigger, agent = ?agent_before, user = ?user_before, "illegal transition refused");
            return;
        };
        self.states = after;
        if after != (agent_before, user_before) {
            tracing::debug!(?trigger, agent = ?after.0, user = ?after.1, "states");
        }
        let at = self.at(now);
        let agent = (after.0 != agent_before).then_some(SessionEvent::AgentStateChanged {
            state: after.0,
            previous: Some(agent_before),
            at,
        });
        let user = (after.1 != user_before).then_some(SessionEvent::UserStateChanged {
            state: after.1,
            previous: user_before,
            at,
        });
        let in_order = match trigger {
            Trigger::CallerSpeaks => [user, agent],
            Trigger::Entered
            | Trigger::CallerStops
            | Trigger::NoTranscript
            | Trigger::ReplyBegins
            | Trigger::ReplyWasSilent
            | Trigger::FirstFrame
            | Trigger::PlaybackDrained
            | Trigger::Interrupted
            | Trigger::CloseBegan
            | Trigger::CloseEnded => [agent, user],
        };
        in_order
            .into_iter()
            .flatten()
            .for_each(|event| self.event(event));
    }
}
