//! What a session does about a machine that answers a call of ours: its settings, and what an agent may decide.
//!
//! [`crate::voicemail`] tells who answered; what follows is the core's `answering`.

use std::sync::Arc;
use std::time::Duration;

use super::utterance::{NewUtterance, QueueMode, Resolver, Source, UtteranceId};
use crate::pii::Pii;
use crate::provider::Audio;
use crate::voicemail::Evidence;

/// How a session finds out who answered, and what it does then. It concerns calls of ours, and each once.
#[derive(Clone, Debug)]
pub struct VoicemailSettings {
    /// When the verdict comes at the latest, from the moment when media is live (default 4 s).
    pub max_decision: Duration,
    /// What is done about a machine that takes messages (default hang up).
    pub policy: VoicemailPolicy,
    /// Whether the agent enters at once, and not when the verdict is there (default no).
    pub speak_while_detecting: bool,
}

impl Default for VoicemailSettings {
    fn default() -> Self {
        Self {
            max_decision: Duration::from_secs(4),
            policy: VoicemailPolicy::Act(VoicemailAction::HangUp),
            speak_while_detecting: false,
        }
    }
}

/// Who says what is done about a machine that takes messages.
#[derive(Clone, Debug)]
pub enum VoicemailPolicy {
    /// This is done.
    Act(VoicemailAction),
    /// The agent's `on_voicemail` decides.
    Callback,
}

/// What is done about a far end that is no person.
#[derive(Clone, Debug)]
pub enum VoicemailAction {
    /// The call ends.
    HangUp,
    /// When the machine records, a message is spoken to it, and then the call ends.
    LeaveMessage(VoicemailMessage),
    /// The agent talks to it as to a person.
    Continue,
}

/// A message for a machine.
#[derive(Clone, Debug)]
pub enum VoicemailMessage {
    /// A text for the session's voice.
    Text(Pii<Arc<str>>),
    /// A recording, of any rate.
    Audio(Audio),
}

impl VoicemailMessage {
    /// A text for the session's voice.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(Pii::new(text.into()))
    }

    /// It as an utterance that nothing stops.
    pub(super) fn utterance(self) -> NewUtterance {
        let (text, source) = match self {
            Self::Text(text) => (
                Some(Pii::new(text.expose().as_ref().to_owned())),
                Source::Text,
            ),
            Self::Audio(audio) => (None, Source::Audio(audio)),
        };
        let (resolver, _nobody_waits) = Resolver::pair(UtteranceId::VOICEMAIL_MESSAGE);
        NewUtterance {
            id: UtteranceId::VOICEMAIL_MESSAGE,
            add_to_transcript: text.is_some(),
            add_to_chat_context: true,
            part_of: None,
            text,
            source,
            interruptible: false,
            queue: QueueMode::Replace,
            resolver,
        }
    }
}

/// What spoke for a verdict, as logs and the API show it.
#[must_use]
pub fn evidence_text(evidence: &Evidence) -> String {
    match evidence {
        Evidence::Cadence { voiced, pieces } => {
            format!("cadence of {} ms in {pieces}", voiced.as_millis())
        }
        Evidence::Phrase(phrase) => format!("phrase '{phrase}'"),
        Evidence::Tone(tone) => format!("tone {}", tone.kind.as_str()),
        Evidence::Quiet(quiet) => format!("quiet for {} ms", quiet.as_millis()),
        Evidence::Deadline => "deadline".to_owned(),
        Evidence::Model => "model".to_owned(),
    }
}
