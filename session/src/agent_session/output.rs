//! What leaves the session's core, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use offhook_media::control::{Digit, LegCommand};

use super::event::{CallbackKind, EndReason, SessionEvent};
use super::line::CallRequest;
use super::utterance::UtteranceId;
use crate::agent::UserTurn;
use crate::grammar::Grammar;
use crate::pii::Pii;
use crate::provider::Audio;

/// Something for the actor to do.
#[derive(Debug)]
pub(super) enum Output {
    /// Send a command to the leg.
    Leg(LegCommand),
    /// Ask something of the call.
    Call(CallRequest),
    /// Tell the subscribers.
    Event(SessionEvent),
    /// Run a callback as a task of its own.
    Callback(Callback),
    /// Make the samples of one sentence; one at a time.
    Prepare {
        utterance: UtteranceId,
        sentence: usize,
        work: Preparation,
    },
    /// The preparation under way is not wanted any more.
    CancelPreparation,
    /// Recognise an utterance of the caller's; one at a time.
    Recognise {
        utterance: Audio,
        grammar: Arc<Grammar>,
    },
}

/// How a sentence's samples are made.
#[derive(Debug)]
pub(super) enum Preparation {
    /// Synthesise it.
    Synthesise(Pii<String>),
    /// Convert ready audio to the leg's rate.
    Convert(Audio),
}

/// A callback with what it is given.
#[derive(Debug)]
pub(super) enum Callback {
    Enter,
    UserTurn(UserTurn),
    Dtmf(Digit),
    WakeUp,
    SilenceEnd,
    Exit(EndReason),
}

impl Callback {
    pub(super) fn kind(&self) -> CallbackKind {
        match self {
            Self::Enter => CallbackKind::Enter,
            Self::UserTurn(_) => CallbackKind::UserTurn,
            Self::Dtmf(_) => CallbackKind::Dtmf,
            Self::WakeUp => CallbackKind::WakeUp,
            Self::SilenceEnd => CallbackKind::SilenceEnd,
            Self::Exit(_) => CallbackKind::Exit,
        }
    }
}

/// Outputs not yet taken. Drained after every input, so it stays short.
#[derive(Debug, Default)]
pub(super) struct Outbox(VecDeque<Output>);

impl Outbox {
    pub(super) fn push(&mut self, output: Output) {
        self.0.push_back(output);
    }

    pub(super) fn leg(&mut self, command: LegCommand) {
        self.push(Output::Leg(command));
    }

    pub(super) fn pop(&mut self) -> Option<Output> {
        let output = self.0.pop_front();
        if output.is_none() {
            // A session waits far more than it acts: while it waits it holds no buffer.
            self.0 = VecDeque::new();
        }
        output
    }
}
