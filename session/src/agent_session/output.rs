//! What leaves the session's core, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use offhook_media::control::{CallTone, Digit, LegCommand};

use super::event::{CallbackKind, EndReason, SessionEvent};
use super::line::CallRequest;
use super::making::Request;
use super::transfer::TransferOutcome;
use super::utterance::UtteranceId;
use crate::agent::{Agent, UserTurn};
use crate::chat::ChatItem;
use crate::grammar::Grammar;
use crate::pii::Pii;
use crate::provider::Audio;
use crate::voicemail::VoicemailVerdict;

/// Something for the actor to do.
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
    /// Make a reply.
    Generate(Box<Request>),
    /// A reply is not wanted any more.
    CancelGeneration(UtteranceId),
    /// Callbacks are this agent's from now on.
    ChangeAgent(Arc<dyn Agent>),
    /// Ask the turn detector whether the caller is done.
    JudgeTurn {
        /// Names the words that it is about.
        words: u64,
        context: Vec<ChatItem>,
        turn: Pii<String>,
    },
    /// The preparation under way is not wanted any more.
    CancelPreparation,
    /// Look for phrases that tell who answered; one at a time.
    Spot { heard: Audio },
    /// Recognise an utterance of the caller's; one at a time.
    Recognise {
        utterance: Audio,
        grammar: Arc<Grammar>,
    },
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Leg(command) => f.debug_tuple("Leg").field(command).finish(),
            Self::Call(request) => f.debug_tuple("Call").field(request).finish(),
            Self::Event(event) => f.debug_tuple("Event").field(event).finish(),
            Self::Callback(callback) => f.debug_tuple("Callback").field(callback).finish(),
            Self::Prepare { utterance, .. } => f.debug_tuple("Prepare").field(utterance).finish(),
            Self::CancelPreparation => f.write_str("CancelPreparation"),
            Self::Recognise { .. } => f.write_str("Recognise"),
            Self::Generate(request) => f.debug_tuple("Generate").field(request).finish(),
            Self::CancelGeneration(reply) => {
                f.debug_tuple("CancelGeneration").field(reply).finish()
            }
            Self::ChangeAgent(_) => f.write_str("ChangeAgent"),
            Self::Spot { .. } => f.write_str("Spot"),
            Self::JudgeTurn { words, .. } => f.debug_tuple("JudgeTurn").field(words).finish(),
        }
    }
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
    Tone(CallTone),
    WakeUp,
    SilenceEnd,
    Voicemail(VoicemailVerdict),
    Transfer(TransferOutcome),
    Exit(EndReason),
}

impl Callback {
    pub(super) fn kind(&self) -> CallbackKind {
        match self {
            Self::Enter => CallbackKind::Enter,
            Self::UserTurn(_) => CallbackKind::UserTurn,
            Self::Dtmf(_) => CallbackKind::Dtmf,
            Self::Tone(_) => CallbackKind::Tone,
            Self::WakeUp => CallbackKind::WakeUp,
            Self::SilenceEnd => CallbackKind::SilenceEnd,
            Self::Voicemail(_) => CallbackKind::Voicemail,
            Self::Transfer(_) => CallbackKind::Transfer,
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
