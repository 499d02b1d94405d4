//! What a session is told about its call and how it shall behave.

use std::sync::Arc;
use std::time::Duration;

use super::facts::CallFacts;
use super::interruption::InterruptionPolicy;
use super::preparation::Preparation;
use super::recording::RecordPlan;
use super::reply::ReplyPolicy;
use super::sounds::SessionSounds;
use super::voicemail::VoicemailSettings;

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
