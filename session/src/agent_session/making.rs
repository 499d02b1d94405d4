//! What a reply is made of, and how its making gets on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::utterance::UtteranceId;
use crate::chat::{ChatItem, ToolCall, WindowPolicy};
use crate::pii::Pii;
use crate::provider::{ModelUsage, ProviderError};
use crate::tool::{HandOff, Tool};

/// What a reply is made of.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) reply: UtteranceId,
    pub(super) instructions: String,
    pub(super) context: Vec<ChatItem>,
    /// Told the model for this reply alone.
    pub(super) further: Option<Pii<String>>,
    pub(super) tools: Vec<Arc<dyn Tool>>,
    pub(super) window: WindowPolicy,
    /// How long the model may be silent.
    pub(super) patience: Duration,
    /// Tools run when this says so: not before it is sure that the reply is wanted.
    pub(super) wanted: watch::Receiver<bool>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("reply", &self.reply)
            .field("items", &self.context.len())
            .field("tools", &self.tools.len())
            .finish_non_exhaustive()
    }
}

/// How the making of a reply gets on.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) reply: UtteranceId,
    pub(super) step: Step,
}

#[derive(Debug)]
pub(super) enum Step {
    /// The first `items` of the context are summed up.
    Summarised { items: usize, summary: String },
    /// Words.
    Text(String),
    /// The model wants tools called; the words before belong together.
    ToolsCalled(Vec<ToolCall>),
    /// One of them is done.
    ToolDone {
        id: String,
        output: Pii<String>,
        is_error: bool,
    },
    /// A tool gave the conversation to another agent; nothing follows.
    HandedOff(HandOff),
    /// What one request of the model took.
    Used(ModelUsage),
    /// All of it is made; nothing follows.
    Made,
    /// The model failed; nothing follows.
    Failed(ProviderError),
}
