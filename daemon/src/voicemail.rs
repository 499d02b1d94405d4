//! How it is found out who answered a call: what the agent's configuration says, and what whoever asked for the call
//! says instead.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use offhook_session::agent::AudioByRate;
use offhook_session::agent_session::{
    VoicemailAction, VoicemailMessage, VoicemailPolicy, VoicemailSettings,
};
use offhook_session::pii::Pii;

use crate::audio_file::AudioFile;
use crate::config::{self, MachinePolicy};

/// What is said of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallVoicemail {
    /// It is not found out.
    Off,
    /// It is; what is left out is as the agent's configuration says.
    On {
        /// What is done about a machine that takes messages.
        policy: Option<MachinePolicy>,
        /// The message that is left.
        text: Option<Pii<String>>,
        /// When the verdict comes at the latest.
        max_decision: Option<Duration>,
        /// Whether the agent enters at once.
        speak_while_detecting: Option<bool>,
    },
}

/// A message is to be left, and there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoMessage;

/// How it is found out who answered one call.
#[derive(Clone, Debug)]
pub(crate) struct ReadyVoicemail {
    policy: MachinePolicy,
    message: Option<ReadyMessage>,
    max_decision: Duration,
    speak_while_detecting: bool,
}

#[derive(Clone, Debug)]
enum ReadyMessage {
    Text(Pii<Arc<str>>),
    Audio(Arc<AudioByRate>),
}

impl ReadyVoicemail {
    /// As an agent's configuration says. `at_rates` makes a file's audio ready.
    pub(crate) fn new(
        voicemail: &config::Voicemail,
        rates: &BTreeSet<u32>,
        at_rates: impl FnOnce(&AudioFile, &BTreeSet<u32>) -> Result<Arc<AudioByRate>, String>,
    ) -> Result<Self, String> {
        let message = match &voicemail.message {
            Some(config::Message::Text(text)) => Some(ReadyMessage::text(text)),
            Some(config::Message::File(file)) => Some(ReadyMessage::Audio(at_rates(file, rates)?)),
            None => None,
        };
        Ok(Self {
            policy: voicemail.policy,
            message,
            max_decision: voicemail.max_decision,
            speak_while_detecting: voicemail.speak_while_detecting,
        })
    }

    /// For a call of which something is said.
    pub(crate) fn for_call(
        agents: Option<&Self>,
        policy: Option<MachinePolicy>,
        text: Option<&Pii<String>>,
        max_decision: Option<Duration>,
        speak_while_detecting: Option<bool>,
    ) -> Result<Self, NoMessage> {
        let default = VoicemailSettings::default();
        let ready = match agents {
            Some(agents) => agents.clone(),
            None => Self {
                policy: MachinePolicy::default(),
                message: None,
                max_decision: default.max_decision,
                speak_while_detecting: default.speak_while_detecting,
            },
        };
        let text = text.map(|text| ReadyMessage::text(text.expose()));
        let ready = Self {
            policy: policy.unwrap_or(ready.policy),
            message: text.or(ready.message),
            max_decision: max_decision.unwrap_or(ready.max_decision),
            speak_while_detecting: speak_while_detecting.unwrap_or(ready.speak_while_detecting),
        };
        match (ready.policy, &ready.message) {
            (MachinePolicy::LeaveMessage, None) => Err(NoMessage),
            (MachinePolicy::LeaveMessage, Some(_))
            | (MachinePolicy::Hangup | MachinePolicy::Continue | MachinePolicy::Callback, _) => {
                Ok(ready)
            }
        }
    }

    /// For a session whose leg has this rate.
    pub(crate) fn at_rate(&self, rate_hz: u32) -> VoicemailSettings {
        let policy = match self.policy {
            MachinePolicy::Hangup => VoicemailPolicy::Act(VoicemailAction::HangUp),
            MachinePolicy::Continue => VoicemailPolicy::Act(VoicemailAction::Continue),
            MachinePolicy::Callback => VoicemailPolicy::Callback,
            MachinePolicy::LeaveMessage => {
                let message = self.message.as_ref();
                let message = message.and_then(|message| message.at_rate(rate_hz));
                VoicemailPolicy::Act(
                    message.map_or(VoicemailAction::HangUp, VoicemailAction::LeaveMessage),
                )
            }
        };
        VoicemailSettings {
            max_decision: self.max_decision,
            policy,
            speak_while_detecting: self.speak_while_detecting,
        }
    }
}

impl ReadyMessage {
    fn text(text: &str) -> Self {
        Self::Text(Pii::new(text.into()))
    }

    /// `None` where a file's audio cannot be had at that rate; it was converted at the start to all that calls have.
    fn at_rate(&self, rate_hz: u32) -> Option<VoicemailMessage> {
        match self {
            Self::Text(text) => Some(VoicemailMessage::Text(text.clone())),
            Self::Audio(audio) => {
                let audio = audio.at_rate(rate_hz);
                audio
                    .inspect_err(|error| tracing::warn!(%error, "the message cannot be played"))
                    .ok()
                    .map(VoicemailMessage::Audio)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_agent(message: Option<&str>) -> ReadyVoicemail {
        ReadyVoicemail {
            policy: MachinePolicy::Hangup,
            message: message.map(ReadyMessage::text),
            max_decision: Duration::from_secs(6),
            speak_while_detecting: true,
        }
    }

    fn said(
        agents: Option<&ReadyVoicemail>,
        policy: Option<MachinePolicy>,
        text: Option<&str>,
    ) -> Result<VoicemailSettings, NoMessage> {
        let text = text.map(|text| Pii::new(text.to_owned()));
        ReadyVoicemail::for_call(agents, policy, text.as_ref(), None, None)
            .map(|ready| ready.at_rate(8_000))
    }

    fn left(settings: &VoicemailSettings) -> Option<&str> {
        match &settings.policy {
            VoicemailPolicy::Act(VoicemailAction::LeaveMessage(VoicemailMessage::Text(text))) => {
                Some(text.expose())
            }
            VoicemailPolicy::Act(_) | VoicemailPolicy::Callback => None,
        }
    }

    #[test]
    fn what_a_call_does_not_say_is_as_its_agent_is_configured() {
        let agents = of_agent(Some("The agent's."));
        let leave = Some(MachinePolicy::LeaveMessage);
        let settings = said(Some(&agents), leave, None).unwrap();
        assert_eq!(left(&settings), Some("The agent's."));
        assert_eq!(settings.max_decision, Duration::from_secs(6));
        assert!(settings.speak_while_detecting);
        let settings = said(Some(&agents), leave, Some("The call's.")).unwrap();
        assert_eq!(left(&settings), Some("The call's."));
        let settings = said(Some(&agents), None, None).unwrap();
        assert!(matches!(
            settings.policy,
            VoicemailPolicy::Act(VoicemailAction::HangUp)
        ));
    }

    #[test]
    fn a_message_that_nobody_gave_is_named_when_the_call_is_asked_for() {
        let leave = Some(MachinePolicy::LeaveMessage);
        assert!(said(None, leave, None).is_err());
        assert!(said(Some(&of_agent(None)), leave, None).is_err());
        let settings = said(None, leave, Some("The call's.")).unwrap();
        assert_eq!(left(&settings), Some("The call's."));
        assert_eq!(settings.max_decision, Duration::from_secs(4));
    }
}
