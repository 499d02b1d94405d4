//! An answer of the language model's, as it is asked for.

use std::sync::Arc;
use std::time::Duration;

use super::turn::EndOfTurnPolicy;
use super::utterance::{Resolver, UtteranceId};
use crate::chat::WindowPolicy;
use crate::pii::Pii;

/// How the language model is asked, and when a turn is over; shared between calls.
#[derive(Clone, Debug)]
pub struct ReplyPolicy {
    /// How long the language model may give nothing before its reply has failed (default 10 s).
    pub patience: Duration,
    /// What of a long conversation the language model is told.
    pub window: WindowPolicy,
    /// Whether an answer is begun before the caller's turn is surely over; it is heard only if nothing was added, and
    /// no tool is called before (default no: it costs the model's work twice where something was).
    pub preemptive_generation: bool,
    /// What a caller is told who gets no answer because the model failed; `None` for nothing.
    pub apology: Option<Arc<str>>,
    /// How long to wait for more of a turn, where there is a turn detector.
    pub end_of_turn: EndOfTurnPolicy,
}

impl Default for ReplyPolicy {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(10),
            window: WindowPolicy::default(),
            preemptive_generation: false,
            apology: Some(
                "Sorry, I could not think of an answer. Could you say that again?".into(),
            ),
            end_of_turn: EndOfTurnPolicy::default(),
        }
    }
}

/// How a reply is made.
#[derive(Clone, Debug)]
pub struct ReplyOptions {
    /// What the model is told for this reply alone, at the end of the conversation so far.
    pub instructions: Option<String>,
    /// Whether the caller, `interrupt(false)` or a later `say` may stop it (default true).
    pub interruptible: bool,
}

impl Default for ReplyOptions {
    fn default() -> Self {
        Self {
            instructions: None,
            interruptible: true,
        }
    }
}

impl ReplyOptions {
    /// With instructions for this reply alone.
    #[must_use]
    pub fn with(instructions: impl Into<String>) -> Self {
        Self {
            instructions: Some(instructions.into()),
            ..Self::default()
        }
    }
}

/// A reply as it reaches the session.
#[derive(Debug)]
pub(super) struct NewReply {
    pub(super) id: UtteranceId,
    pub(super) instructions: Option<Pii<String>>,
    pub(super) interruptible: bool,
    /// The session itself answers a turn of the caller's.
    pub(super) to_turn: bool,
    pub(super) resolver: Resolver,
}
