//! A message that a caller leaves: when it ends, and why.
//!
//! The leg writes it, into a ring whose other end somebody turns into a file; here it is decided how long.

use std::time::Duration;

use offhook_media::control::Digit;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long a message may be.
#[derive(Clone, Debug)]
pub struct MessageOptions {
    /// The longest message (default 2 minutes).
    pub max: Duration,
    /// Silence that ends it, once something was said (default 3 s).
    pub silence: Duration,
    /// How long the caller may take to begin (default 8 s).
    pub patience: Duration,
    /// The key that ends it (default `#`); others do nothing.
    pub terminator: Option<Digit>,
}

impl Default for MessageOptions {
    fn default() -> Self {
        Self {
            max: Duration::from_secs(120),
            silence: Duration::from_secs(3),
            patience: Duration::from_secs(8),
            terminator: Digit::from_char('#'),
        }
    }
}

/// What ended a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageEnd {
    /// The caller fell silent, or said nothing in the first place.
    Silence,
    /// The caller pressed the key.
    Key,
    /// It was as long as it may be.
    Maximum,
    /// The call ended, or somebody else has the caller now.
    Cut,
}

impl MessageEnd {
    /// As written in logs, records and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Silence => "silence",
            Self::Key => "key",
            Self::Maximum => "maximum",
            Self::Cut => "hang_up",
        }
    }
}

/// A message that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageTaken {
    /// What ended it.
    pub end: MessageEnd,
    /// Whether the caller said anything.
    pub spoke: bool,
}

/// A message that was left, and where it is: for what is shown of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftMessage {
    /// What the agent calls it.
    pub name: String,
    /// The file.
    pub file: String,
    /// How long it is.
    pub duration: Duration,
    /// What ended it.
    pub end: MessageEnd,
}

/// A message under way.
#[derive(Debug)]
pub(super) struct TakingMessage {
    options: MessageOptions,
    /// When it is as long as it may be.
    full_at: Instant,
    /// When it ends if the caller says nothing.
    quiet_at: Option<Instant>,
    spoke: bool,
    reply: oneshot::Sender<MessageTaken>,
}

impl TakingMessage {
    /// `speaking`: the caller speaks already.
    pub(super) fn new(
        options: MessageOptions,
        speaking: bool,
        reply: oneshot::Sender<MessageTaken>,
        now: Instant,
    ) -> Self {
        Self {
            full_at: now + options.max,
            quiet_at: (!speaking).then(|| now + options.patience),
            options,
            spoke: speaking,
            reply,
        }
    }

    /// Whether whoever asked still waits.
    pub(super) fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        Some(
            self.quiet_at
                .map_or(self.full_at, |at| at.min(self.full_at)),
        )
    }

    pub(super) fn caller_started(&mut self) {
        self.spoke = true;
        self.quiet_at = None;
    }

    pub(super) fn caller_stopped(&mut self, at: Instant) {
        self.quiet_at = Some(at + self.options.silence);
    }

    /// Whatever the caller was saying is heard no more: by a hold.
    pub(super) fn caller_was_cut_off(&mut self, at: Instant) {
        self.quiet_at.get_or_insert(at + self.options.silence);
    }

    /// What ends it now, if anything does.
    pub(super) fn due(&self, now: Instant) -> Option<MessageEnd> {
        if self.quiet_at.is_some_and(|at| at <= now) {
            return Some(MessageEnd::Silence);
        }
        (self.full_at <= now).then_some(MessageEnd::Maximum)
    }

    pub(super) fn is_ended_by(&self, digit: Digit) -> bool {
        self.options.terminator == Some(digit)
    }

    pub(super) fn finish(self, end: MessageEnd) {
        let spoke = self.spoke;
        // Nobody waits any more: the message was given up, which is no fault.
        let _given_up = self.reply.send(MessageTaken { end, spoke });
    }
}
