//! What follows from any input, and the one place where the states change.

use offhook_media::control::{BargeInPolicy, LegCommand};
use tokio::time::Instant;

use super::super::event::{CallbackKind, SessionEvent};
use super::super::interruption::InterruptionMode;
use super::super::output::Callback;
use super::super::speech::Ended;
use super::super::state::{AgentState, Trigger, transition};
use super::super::transcript::{EntryKind, Speaker};
use super::super::utterance::{Outcome, UtteranceId};
use super::{Phase, Session, Timer};

impl Session {
    /// What follows from any input: ended utterances are reported, states that ended by themselves
    /// are left, the reflex and the silence timer follow what is going on, callbacks that waited run.
    pub(super) fn settle(&mut self, now: Instant) {
        self.report_ended(now);
        // A reply knows what was heard before it. One that cannot be made has ended, and the next has the floor.
        while self.follow_replies(now) {
            self.report_ended(now);
        }
        if self.has_left() {
            return self.steer_recording(now);
        }
        if self.phase.is_ending() {
            return;
        }
        self.steer_recording(now);
        self.settle_message(now);
        self.settle_hand_off(now);
        let busy = self.speech.is_busy();
        if !busy {
            self.settle_quiet_states(now);
            if let Phase::HangingUp { .. } = self.phase
                && !self.presser.is_busy()
            {
                self.hang_up_drained(now);
                if self.phase.is_ending() {
                    return;
                }
            }
            self.settle_turn(now);
        } else {
            self.settle_thinking(now);
        }
        if self.phase == Phase::Open {
            self.run_waiting_callbacks(now);
        }
        self.follow_thinking(now);
        self.arm_barge_in();
        let speaking = self.caller.as_ref().is_some_and(|caller| !caller.long);
        self.silence.suspend(
            self.phase != Phase::Open
                || self.on_hold
                || self.bridge.is_some()
                || busy
                || speaking
                || self.hearing.is_recognising()
                || self.turn.is_pending()
                || self.callbacks.is_replying()
                || self.collector.is_some()
                || self.taking_message.is_some()
                || self.presser.is_busy()
                || self.transfer.is_open()
                || self.is_handing_off(),
        );
    }

    /// The recording leaves out what it has to.
    fn steer_recording(&mut self, now: Instant) {
        let collector = self.collector.as_ref();
        let sensitive = collector.is_some_and(|open| open.is_sensitive() && open.is_wanted());
        self.recording.follow(sensitive, now);
        if let Some(mode) = self.recording.poll_change() {
            tracing::info!(mode = mode.as_str(), "recording");
            self.out.leg(LegCommand::Record(mode));
            // Who watches was told that the session is closed, where its agent has left.
            if !self.takes_no_commands() {
                let at = self.at(now);
                self.event(SessionEvent::RecordingChanged { mode, at });
            }
        }
    }

    fn run_waiting_callbacks(&mut self, now: Instant) {
        if self.is_handing_off() {
            return;
        }
        if let Some(turn) = self.callbacks.next_turn() {
            if self.states.0 != AgentState::Speaking {
                self.timers.stop(Timer::NoTranscript);
                self.trigger(Trigger::ReplyBegins, now);
            }
            if let Callback::UserTurn(turn) = &turn {
                self.turn_is_given(turn);
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
        let started_at = ended.times.started_at;
        let spoke = started_at.is_some();
        self.meter_utterance(&ended, now);
        self.replies.ended(&ended);
        if let Some(text) = ended.heard.filter(|_| ended.add_to_transcript) {
            let kind = match &ended.outcome {
                Outcome::Completed => EntryKind::Speech,
                Outcome::Interrupted { .. } | Outcome::Failed(_) => EntryKind::InterruptedSpeech,
            };
            self.note(Speaker::Agent, kind, text, started_at.unwrap_or(now));
        }
        let is_conversation = self.phase.is_conversation();
        if ended.id == UtteranceId::CONSENT {
            self.consent_ended(&ended.outcome, now);
        }
        self.message_ended(ended.id, &ended.outcome, now);
        if spoke && is_conversation {
            // The first utterance is done: the conversation has begun, whatever `on_enter` still does.
            self.input_open = true;
            self.silence.arm(now);
            self.silence.restart(now);
        }
        if ended.is_piece {
            return;
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
            && !self.is_away()
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
