//! What every conversation keeps, whatever happened in it.

use std::fmt::Debug;
use std::time::Duration;

use offhook_media::control::{Bus, LegCommand};
use tokio::sync::oneshot;

use super::conversation::Conversation;
use crate::agent_session::core::fixture::Fixture;
use crate::agent_session::core::tests;
use crate::agent_session::event::{CallbackKind, EndCause, SessionEvent};
use crate::agent_session::line::{CallEvent, CallRequest};
use crate::agent_session::state::{AgentState, UserState};
use crate::agent_session::transcript::{EntryKind, Speaker};
use crate::agent_session::utterance::{Outcome, UtteranceId};
use crate::chat::ChatItem;

/// What a caller is told who is recorded; said by the session, and so no part of the conversation.
const CONSENT: &str = "This call is recorded.";

impl Conversation {
    pub(super) fn check(&self, seed: u64) {
        let session = &self.call.session;
        assert_eq!(
            session.refused_transitions, 0,
            "seed {seed}: an illegal transition"
        );
        let deadline = session.poll_timeout();
        assert!(
            deadline.is_none_or(|at| at >= self.call.began),
            "seed {seed}: a deadline before the call"
        );
        if session.closed().is_some() {
            assert_eq!(deadline, None, "seed {seed}: a timer is left");
            assert!(
                matches!(self.call.events.last(), Some(SessionEvent::Closed { .. })),
                "seed {seed}: {:?}",
                self.call.events.iter().rev().take(4).collect::<Vec<_>>()
            );
        }
        self.check_context(seed);
        tests::recording::check_promises(&self.call, seed);
        tests::voicemail::check_promises(&self.call, seed);
        let closed = self
            .call
            .events
            .iter()
            .filter(|event| matches!(event, SessionEvent::Closed { .. }));
        assert!(closed.count() <= 1, "seed {seed}");
        assert!(
            hang_ups(&self.call) <= 1,
            "seed {seed}: the call was ended twice"
        );
    }

    /// The chat context holds what the caller heard, all of it and nothing else, as the transcript does.
    fn check_context(&self, seed: u64) {
        let session = &self.call.session;
        if session.closed().is_none() && !seed.is_multiple_of(16) {
            return;
        }
        let mut told: Vec<&str> = session
            .replies
            .context
            .items()
            .filter_map(|item| match item {
                ChatItem::Assistant { text, .. } => Some(text.expose().as_str()),
                _ => None,
            })
            .collect();
        let lines = session.transcript.entries().iter();
        let mut heard: Vec<&str> = lines
            .filter(|line| line.who == Speaker::Agent && line.kind != EntryKind::Digits)
            .map(|line| line.text.expose().as_str())
            .filter(|text| !CONSENT.starts_with(text))
            .collect();
        told.sort_unstable();
        heard.sort_unstable();
        assert_eq!(told, heard, "seed {seed}");
    }

    /// Hangs up and sees everything resolved.
    pub(super) fn end(mut self, seed: u64, reached: &mut Reached) {
        self.call.call(CallEvent::Ended {
            reason: EndCause::FarEndHungUp.into(),
        });
        self.call.pass_ms(5_000);
        self.check(seed);
        assert!(
            self.call.session.closed().is_some(),
            "seed {seed}: still open"
        );
        for handle in &self.handles {
            assert!(
                handle.done(),
                "seed {seed}: {:?} never resolved",
                handle.id()
            );
        }
        for collection in &mut self.collections {
            let cancelled = collection.try_recv();
            assert!(
                !matches!(cancelled, Err(oneshot::error::TryRecvError::Empty)),
                "seed {seed}: a collection hangs"
            );
        }
        for transfer in &mut self.transfers {
            let outcome = transfer.try_recv();
            assert!(
                !matches!(outcome, Err(oneshot::error::TryRecvError::Empty)),
                "seed {seed}: a transfer hangs"
            );
        }
        assert!(
            self.call.generating.is_empty(),
            "seed {seed}: a reply is still made"
        );
        for message in &mut self.messages {
            let over = message.try_recv();
            assert!(
                !matches!(over, Err(oneshot::error::TryRecvError::Empty)),
                "seed {seed}: a message hangs"
            );
        }
        self.check_states(seed);
        self.call.check_sounds(seed);
        reached.count(&self.call);
    }

    /// What the events say of both sides' states.
    fn check_states(&self, seed: u64) {
        let agent = self.call.events.iter().filter_map(|event| match event {
            SessionEvent::AgentStateChanged {
                state,
                previous,
                at,
            } => Some((*previous, *state, *at)),
            _ => None,
        });
        let caller = self.call.events.iter().filter_map(|event| match event {
            SessionEvent::UserStateChanged {
                state,
                previous,
                at,
            } => Some((*previous, *state, *at)),
            _ => None,
        });
        check_chain(caller, UserState::default(), seed);
        check_chain(agent.clone(), None, seed);
        let agent: Vec<AgentState> = agent.map(|(_, state, _)| state).collect();
        let closing = agent.iter().position(|state| *state == AgentState::Closing);
        assert_eq!(
            (closing, agent.last()),
            (Some(agent.len() - 2), Some(&AgentState::Closed)),
            "seed {seed}: something follows Closing"
        );
    }
}

/// Each change begins where the one before it ended, is one, and is not earlier.
fn check_chain<S: Copy + PartialEq + Debug, T: From<S> + PartialEq + Debug>(
    changes: impl Iterator<Item = (T, S, Duration)>,
    first: T,
    seed: u64,
) {
    let (mut known, mut since) = (first, Duration::ZERO);
    for (previous, state, at) in changes {
        assert_eq!(previous, known, "seed {seed}");
        known = state.into();
        assert_ne!(previous, known, "seed {seed}: a change to the same state");
        assert!(at >= since, "seed {seed}: {at:?} behind {since:?}");
        since = at;
    }
}

/// What happened over all conversations, so that the test is known to go where it matters.
#[derive(Debug, Default)]
pub(super) struct Reached {
    completed: usize,
    interrupted: usize,
    failed: usize,
    turns: usize,
    false_interruptions: usize,
    backchannels: usize,
    wake_ups: usize,
    hang_ups: usize,
    sounds: usize,
    verdicts: usize,
    messages: usize,
    tools: usize,
    hand_offs: usize,
    measured: usize,
}

/// How often the call was asked to end.
fn hang_ups(call: &Fixture) -> usize {
    let requests = call.requests.iter();
    requests
        .filter(|request| matches!(request, CallRequest::HangUp { .. }))
        .count()
}

impl Reached {
    fn count(&mut self, call: &Fixture) {
        for event in &call.events {
            match event {
                SessionEvent::UtteranceDone {
                    id: UtteranceId::VOICEMAIL_MESSAGE,
                    ..
                } => self.messages += 1,
                SessionEvent::UtteranceDone { outcome, .. } => match outcome {
                    Outcome::Completed => self.completed += 1,
                    Outcome::Interrupted { .. } => self.interrupted += 1,
                    Outcome::Failed(_) => self.failed += 1,
                },
                SessionEvent::UserTurn { .. } => self.turns += 1,
                SessionEvent::ToolCalled { .. } => self.tools += 1,
                SessionEvent::HandedOff { .. } => self.hand_offs += 1,
                SessionEvent::TurnMetrics { .. } => self.measured += 1,
                SessionEvent::Answerer { .. } => self.verdicts += 1,
                SessionEvent::FalseInterruption { .. } => self.false_interruptions += 1,
                SessionEvent::BackchannelDetected { .. } => self.backchannels += 1,
                SessionEvent::AgentStateChanged { .. }
                | SessionEvent::UserStateChanged { .. }
                | SessionEvent::AgentStarted { .. }
                | SessionEvent::Digit { .. }
                | SessionEvent::Tone { .. }
                | SessionEvent::Transfer { .. }
                | SessionEvent::RecordingChanged { .. }
                | SessionEvent::CallbackFailed { .. }
                | SessionEvent::ProviderFailed { .. }
                | SessionEvent::Closed { .. } => {}
            }
        }
        let wakes = call
            .callbacks
            .iter()
            .filter(|kind| **kind == CallbackKind::WakeUp);
        self.wake_ups += wakes.count();
        self.hang_ups += hang_ups(call);
        let sounds = call.leg.iter().filter(
            |command| matches!(command, LegCommand::Loop { bus, .. } if *bus == Bus::Thinking),
        );
        self.sounds += sounds.count();
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            completed: self.completed + other.completed,
            interrupted: self.interrupted + other.interrupted,
            failed: self.failed + other.failed,
            turns: self.turns + other.turns,
            false_interruptions: self.false_interruptions + other.false_interruptions,
            backchannels: self.backchannels + other.backchannels,
            wake_ups: self.wake_ups + other.wake_ups,
            hang_ups: self.hang_ups + other.hang_ups,
            sounds: self.sounds + other.sounds,
            verdicts: self.verdicts + other.verdicts,
            messages: self.messages + other.messages,
            tools: self.tools + other.tools,
            hand_offs: self.hand_offs + other.hand_offs,
            measured: self.measured + other.measured,
        }
    }

    pub(super) fn least(&self) -> usize {
        let all = [
            self.completed,
            self.interrupted,
            self.failed,
            self.turns,
            self.false_interruptions,
            self.backchannels,
            self.wake_ups,
            self.hang_ups,
            self.sounds,
            self.verdicts,
            self.messages,
            self.tools,
            self.hand_offs,
            self.measured,
        ];
        all.into_iter().min().unwrap_or(0)
    }
}
