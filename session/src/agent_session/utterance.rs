//! One thing the agent says or plays: how it is asked for, the handle that follows it, how it ended.

use tokio::sync::watch;

use crate::pii::Pii;
use crate::provider::{Audio, ProviderError};

/// Names an utterance within its session; later ones are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtteranceId(pub u64);

impl UtteranceId {
    /// The consent prompt's, before all that an agent says.
    pub const CONSENT: Self = Self(0);
    /// The message's that is left on a machine, after all that an agent says.
    pub const VOICEMAIL_MESSAGE: Self = Self(u64::MAX);
    /// The first of those that a handle gives.
    pub(super) const FIRST: Self = Self(1);
    /// The first of those that the session itself says: answers to turns, and the parts of answers.
    pub(super) const FIRST_OWN: Self = Self(1 << 62);
}

/// Where a new utterance goes when another is speaking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueMode {
    /// Stop what speaks or waits and may be interrupted; go behind what may not.
    #[default]
    Replace,
    /// Go behind everything that speaks or waits.
    After,
}

/// How a text is said.
#[derive(Clone, Debug)]
pub struct SayOptions {
    /// Whether the caller, `interrupt(false)` or a later `say` may stop it (default true).
    pub interruptible: bool,
    /// Whether the transcript holds it (default true).
    pub add_to_transcript: bool,
    /// Whether the chat context holds it (default true).
    pub add_to_chat_context: bool,
    /// A recording of the text, played instead of synthesising it.
    pub audio: Option<Audio>,
    /// What happens when another utterance is speaking (default replace).
    pub queue: QueueMode,
}

impl Default for SayOptions {
    fn default() -> Self {
        Self {
            interruptible: true,
            add_to_transcript: true,
            add_to_chat_context: true,
            audio: None,
            queue: QueueMode::Replace,
        }
    }
}

impl SayOptions {
    /// Behind everything that speaks or waits.
    #[must_use]
    pub fn after() -> Self {
        Self {
            queue: QueueMode::After,
            ..Self::default()
        }
    }

    /// Neither the caller nor a later `say` stops it.
    #[must_use]
    pub fn uninterruptible() -> Self {
        Self {
            interruptible: false,
            ..Self::default()
        }
    }
}

/// How audio without a text is played on the speech bus.
#[derive(Clone, Debug)]
pub struct PlayOptions {
    /// Whether it may be stopped (default true).
    pub interruptible: bool,
    /// What happens when another utterance is speaking (default replace).
    pub queue: QueueMode,
}

impl Default for PlayOptions {
    fn default() -> Self {
        Self {
            interruptible: true,
            queue: QueueMode::Replace,
        }
    }
}

/// Why an utterance was not spoken to its end, though nobody interrupted it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UtteranceFailure {
    /// The voice failed; what was already synthesised was played.
    #[error("the voice failed: {0}")]
    Voice(#[from] ProviderError),
    /// The session has no voice.
    #[error("no voice is configured")]
    NoVoice,
    /// Too many utterances wait already.
    #[error("too many utterances wait")]
    QueueFull,
    /// The leg refused the audio: its bus was full.
    #[error("the leg refused the audio")]
    Refused,
    /// The leg did not play the audio in time.
    #[error("the audio was not played in time")]
    NotPlayed,
    /// The call is ending or over.
    #[error("the call is ending")]
    SessionEnding,
    /// The session has no language model.
    #[error("no language model is configured")]
    NoModel,
    /// The language model failed; what it had given was said.
    #[error("the language model failed: {0}")]
    Model(ProviderError),
    /// A tool waits for an answer that comes after the one it is part of. That answer comes nevertheless.
    #[error("waiting for it here would be waiting for oneself")]
    WouldDeadlock,
}

/// How an utterance ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Its last frame was sent to the caller.
    Completed,
    /// It was cut short.
    Interrupted {
        /// What the caller heard of the text, cut at the last whole word.
        heard_text: Pii<String>,
        /// How much was sent, in milliseconds.
        heard_ms: u64,
    },
    /// It failed.
    Failed(UtteranceFailure),
}

/// Follows one utterance. Always resolves, also when the call ends. Dropping it changes nothing.
#[derive(Clone, Debug)]
pub struct UtteranceHandle {
    id: UtteranceId,
    outcome: watch::Receiver<Option<Outcome>>,
    /// It is held by a tool whose end it waits for.
    deadlocks: bool,
}

impl UtteranceHandle {
    /// Its name in events.
    #[must_use]
    pub fn id(&self) -> UtteranceId {
        self.id
    }

    /// Whether it is resolved.
    #[must_use]
    pub fn done(&self) -> bool {
        self.outcome().is_some()
    }

    /// Whether it was cut short.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        matches!(self.outcome(), Some(Outcome::Interrupted { .. }))
    }

    /// How it ended, `None` while it has not.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        let outcome = self.outcome.borrow().clone();
        match outcome {
            None if self.outcome.has_changed().is_err() => {
                Some(Outcome::Failed(UtteranceFailure::SessionEnding))
            }
            outcome => outcome,
        }
    }

    /// Waits until the last frame was sent to the caller, or the utterance was cut or failed. In a tool, waiting for a
    /// reply that it asked for itself is [`UtteranceFailure::WouldDeadlock`] at once.
    pub async fn wait(&self) -> Outcome {
        if self.deadlocks && !self.done() {
            return Outcome::Failed(UtteranceFailure::WouldDeadlock);
        }
        let mut outcome = self.outcome.clone();
        match outcome.wait_for(Option::is_some).await {
            Ok(resolved) => resolved
                .clone()
                .expect("wait_for only returns resolved values"),
            Err(_) => Outcome::Failed(UtteranceFailure::SessionEnding),
        }
    }
}

impl UtteranceHandle {
    /// The same for a tool that would wait for its own end.
    pub(super) fn deadlocking(self) -> Self {
        Self {
            deadlocks: true,
            ..self
        }
    }
}

/// The session's half of a handle.
#[derive(Debug)]
pub(super) struct Resolver(watch::Sender<Option<Outcome>>);

impl Resolver {
    /// A handle and what resolves it.
    pub(super) fn pair(id: UtteranceId) -> (Self, UtteranceHandle) {
        let (sender, outcome) = watch::channel(None);
        let handle = UtteranceHandle {
            id,
            outcome,
            deadlocks: false,
        };
        (Self(sender), handle)
    }

    /// Resolves the handle; consumes itself, so no utterance ends twice.
    pub(super) fn resolve(self, outcome: Outcome) {
        self.0.send_replace(Some(outcome));
    }
}

/// Where an utterance's samples come from.
#[derive(Debug)]
pub(super) enum Source {
    /// Synthesise the text.
    Text,
    /// Synthesise a text that still comes.
    Stream {
        /// Whether all of it is there.
        complete: bool,
    },
    /// Ready audio, at the leg's rate or another.
    Audio(Audio),
}

/// An utterance as it reaches the session.
#[derive(Debug)]
pub(super) struct NewUtterance {
    pub(super) id: UtteranceId,
    pub(super) text: Option<Pii<String>>,
    pub(super) source: Source,
    pub(super) interruptible: bool,
    pub(super) add_to_transcript: bool,
    pub(super) add_to_chat_context: bool,
    pub(super) queue: QueueMode,
    /// The reply that it is part of.
    pub(super) part_of: Option<UtteranceId>,
    pub(super) resolver: Resolver,
}
