//! What a recogniser, a voice, a language model and a turn detector implement.
//!
//! A session never waits for a provider inside its actor: each request runs as a task of its own with
//! a deadline, and a failure comes back as a value.

mod language_model;
mod messages;
mod turn_detector;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

pub use language_model::{LanguageModel, ModelChunk, ModelRequest, ModelUsage};
pub use messages::{Messages, NewMessage};
pub use turn_detector::TurnDetector;
pub use webhook::{WebhookMethod, WebhookRequest, Webhooks};

use async_trait::async_trait;

use crate::grammar::Grammar;

/// A finished piece of mono audio with its rate.
#[derive(Clone, PartialEq, Eq)]
pub struct Audio {
    /// Samples a second.
    pub sample_rate_hz: u32,
    /// Mono 16-bit samples.
    pub samples: Arc<[i16]>,
}

impl Audio {
    /// How long it lasts.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_micros(
            self.samples.len() as u64 * 1_000_000 / u64::from(self.sample_rate_hz.max(1)),
        )
    }
}

impl std::fmt::Debug for Audio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audio")
            .field("sample_rate_hz", &self.sample_rate_hz)
            .field("duration", &self.duration())
            .finish()
    }
}

/// Why a provider gave no result.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProviderError {
    /// The provider is not there: a library is missing, a process cannot be started.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The request outlived its deadline and was given up.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The provider ended while it worked on the request.
    #[error("ended while working: {0}")]
    Died(String),
    /// More requests wait than the provider's queue holds.
    #[error("too many requests wait ({0})")]
    Overloaded(usize),
    /// The request itself was wrong.
    #[error("refused: {0}")]
    Refused(String),
}

/// Speech from text.
#[async_trait]
pub trait TextToSpeech: Send + Sync + 'static {
    /// A name for the voice, part of the key under which prompts are cached.
    fn voice(&self) -> &str;

    /// The whole text as audio at the voice's own rate.
    ///
    /// # Errors
    /// When the provider fails; the caller decides what is said instead.
    async fn synthesise(&self, text: &str) -> Result<Audio, ProviderError>;
}

/// What a recogniser made of one utterance.
#[derive(Clone, Debug, PartialEq)]
pub enum Recognition {
    /// A phrase of the grammar, as the grammar spells it.
    Phrase {
        /// The words.
        text: String,
        /// 0 to 1.
        confidence: f32,
    },
    /// Speech, but nothing the grammar holds.
    OutOfGrammar,
}

/// Text from speech, one whole utterance at a time.
#[async_trait]
pub trait SpeechToText: Send + Sync + 'static {
    /// What was said in `utterance`, of what `grammar` allows.
    ///
    /// # Errors
    /// When the provider fails.
    async fn recognise(
        &self,
        utterance: Audio,
        grammar: &Grammar,
    ) -> Result<Recognition, ProviderError>;

    /// Which of `phrases` were said in `heard`, among other words; none where the recogniser cannot tell.
    ///
    /// # Errors
    /// When the provider fails.
    async fn spot(
        &self,
        _heard: Audio,
        _phrases: &'static [&'static str],
    ) -> Result<Vec<&'static str>, ProviderError> {
        Ok(Vec::new())
    }
}
