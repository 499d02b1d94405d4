//! What a session may use that is not its own.

use std::fmt;
use std::sync::Arc;

use super::prompt_cache::PromptCache;
use crate::provider::{LanguageModel, SpeechToText, TextToSpeech, TurnDetector};

/// The providers a session may use; shared between calls.
#[derive(Clone, Default)]
pub struct Providers {
    /// The voice. Without one `say` fails with [`super::UtteranceFailure::NoVoice`].
    pub voice: Option<Arc<dyn TextToSpeech>>,
    /// The recogniser. Without one the caller is heard by digits only.
    pub recogniser: Option<Arc<dyn SpeechToText>>,
    /// The language model. Without one replies fail with [`super::UtteranceFailure::NoModel`].
    pub model: Option<Arc<dyn LanguageModel>>,
    /// What tells by the words whether a caller is done. Without one the pause is by rules of our own.
    pub turn_detector: Option<Arc<dyn TurnDetector>>,
    /// Prompts already synthesised.
    pub prompts: Arc<PromptCache>,
}

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Providers")
            .field(
                "voice",
                &self.voice.as_ref().map(|voice| voice.voice().to_owned()),
            )
            .field("recogniser", &self.recogniser.is_some())
            .field(
                "model",
                &self.model.as_ref().map(|model| model.model().to_owned()),
            )
            .field("turn_detector", &self.turn_detector.is_some())
            .finish_non_exhaustive()
    }
}
