//! What a session is told about its call and how it shall behave.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::identity::IdentityFacts;
use super::interruption::InterruptionPolicy;
use super::reply::ReplyPolicy;
use super::sounds::SessionSounds;
use super::voicemail::VoicemailSettings;
use crate::pii::Pii;
use crate::provider::{LanguageModel, SpeechToText, TextToSpeech, TurnDetector};

use super::preparation::Preparation;
use super::prompt_cache::PromptCache;
use super::recording::RecordPlan;

/// Names a call in logs, records and the control API.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(Arc<str>);

impl CallId {
    /// Wraps an identifier made elsewhere.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The identifier as written in logs.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who called whom, from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The far end called us.
    Inbound,
    /// We called the far end.
    Outbound,
}

impl Direction {
    /// As written in logs, records and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// What is known of a call from its beginning; it does not change while the call lasts.
#[derive(Clone, Debug)]
pub struct CallFacts {
    /// The call's name in logs and records.
    pub call_id: CallId,
    /// Who called whom.
    pub direction: Direction,
    /// The calling party as signalled.
    pub from: Pii<String>,
    /// The called party as signalled.
    pub to: Pii<String>,
    /// The trunk the call came or goes by, if one is configured for it.
    pub trunk: Option<Arc<str>>,
    /// Who calls, by everything that the call's headers say.
    pub identity: IdentityFacts,
    /// The far end's own headers (`X-…`), at most 32 and 4 KiB.
    pub headers: Vec<(String, Pii<String>)>,
}

/// How one session behaves. Cheap to clone; the defaults are those of the product.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The call.
    pub facts: CallFacts,
    /// Inbound: the latest moment after our answer at which the agent enters, though neither the ACK
    /// nor audio came (default 500 ms).
    pub inbound_gate: Duration,
    /// Outbound: how long after the answer a far end may stay mute before the agent enters anyway
    /// (default 1 s).
    pub media_live_timeout: Duration,
    /// Whether caller speech counts before the agent's first utterance is done (default no).
    pub accept_input_during_enter: bool,
    /// When the caller's speech or digit stops the agent's.
    pub interruption: Arc<InterruptionPolicy>,
    /// Silence after which the agent's `on_wake_up` runs; `None` turns it off (default off).
    pub wake_up: Option<Duration>,
    /// How often `on_wake_up` runs before `on_silence_end` does (default 2).
    pub wake_up_repeat: u32,
    /// What the default `on_silence_end` says before it hangs up (default "Goodbye.").
    pub goodbye: Option<Arc<str>>,
    /// Longest time one sentence may take to synthesise (default 10 s).
    pub synthesis_deadline: Duration,
    /// Longest time one utterance of the caller's may take to be recognised (default 5 s).
    pub recognition_deadline: Duration,
    /// How long a hang-up waits for queued speech to be heard (default 10 s).
    pub hangup_drain: Duration,
    /// How long `on_exit` may take (default 5 s).
    pub exit_deadline: Duration,
    /// How the language model is asked, and when a turn is over.
    pub replies: Arc<ReplyPolicy>,
    /// Longest duration of the call from its answer; `None` for no bound (default).
    pub max_duration: Option<Duration>,
    /// What is heard beside the agent's speech (default nothing).
    pub sounds: Box<SessionSounds>,
    /// Whether the leg's report that no media arrives ends the call (default yes).
    pub end_on_no_media: bool,
    /// Whether the call is recorded (default no); the leg's recorder has to begin with its first mode.
    pub record: RecordPlan,
    /// Of a call of ours: how it is found out who answered, and what is done about a machine (default: it is not).
    pub voicemail: Option<Arc<VoicemailSettings>>,
    /// How the agent prepares itself, where that began before the session; else it begins with the session.
    pub preparation: Option<Preparation>,
}

impl SessionConfig {
    /// The defaults for a call.
    #[must_use]
    pub fn new(facts: CallFacts) -> Self {
        Self {
            facts,
            inbound_gate: Duration::from_millis(500),
            media_live_timeout: Duration::from_secs(1),
            accept_input_during_enter: false,
            interruption: Arc::default(),
            wake_up: None,
            wake_up_repeat: 2,
            goodbye: Some("Goodbye.".into()),
            synthesis_deadline: Duration::from_secs(10),
            recognition_deadline: Duration::from_secs(5),
            hangup_drain: Duration::from_secs(10),
            exit_deadline: Duration::from_secs(5),
            replies: Arc::default(),
            max_duration: None,
            sounds: Box::default(),
            end_on_no_media: true,
            record: RecordPlan::Off,
            voicemail: None,
            preparation: None,
        }
    }
}

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
