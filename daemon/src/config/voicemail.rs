//! `[agent.NAME.voicemail]`: how it is found out who answered the agent's calls, and what is done about a machine.

use std::time::Duration;

use offhook_session::agent_session::VoicemailSettings;
use serde::Deserialize;

use super::document::{Item, Section};
use super::finding::{Finding, Findings};
use super::sound::recording;
use crate::audio_file::{AudioFile, AudioFiles};

/// How it is found out who answered an agent's calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Voicemail {
    /// Whether it is, where a call does not say.
    pub enabled: bool,
    /// What is done about a machine that takes messages, where a call does not say.
    pub policy: MachinePolicy,
    /// The message that is left, where a call has no text of its own.
    pub message: Option<Message>,
    /// When the verdict comes at the latest, from the moment when media is live.
    pub max_decision: Duration,
    /// Whether the agent enters at once.
    pub speak_while_detecting: bool,
}

/// What is done about a machine that takes messages.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum MachinePolicy {
    /// The call ends.
    #[default]
    Hangup,
    /// A message is left.
    LeaveMessage,
    /// The agent talks to it as to a person.
    Continue,
    /// The agent decides.
    Callback,
}

impl MachinePolicy {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "hangup" => Ok(Self::Hangup),
            "leave_message" => Ok(Self::LeaveMessage),
            "continue" => Ok(Self::Continue),
            "callback" => Ok(Self::Callback),
            _ => Err("is none of hangup, leave_message, continue, callback"),
        }
    }
}

/// A message for machines.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Spoken by the voice.
    Text(String),
    /// Played.
    File(AudioFile),
}

impl Voicemail {
    /// Where no table says, and the agent itself decides about machines.
    pub(super) fn by_agent() -> Self {
        let default = VoicemailSettings::default();
        Self {
            enabled: true,
            policy: MachinePolicy::Callback,
            message: None,
            max_decision: default.max_decision,
            speak_while_detecting: default.speak_while_detecting,
        }
    }

    /// The message as far as the voice speaks it.
    #[must_use]
    pub fn spoken_message(&self) -> Option<&str> {
        match &self.message {
            Some(Message::Text(text)) => Some(text),
            Some(Message::File(_)) | None => None,
        }
    }
}

/// The table, where there is one; it is not found out then otherwise. `default_policy`: where it does not say.
pub(super) fn read(
    section: &mut Section<'_>,
    files: &mut AudioFiles,
    default_policy: MachinePolicy,
    findings: &mut Findings,
) -> Option<Voicemail> {
    let item = section.take("voicemail")?;
    let mut table = findings.keep(item.section())?;
    let default = VoicemailSettings::default();
    let enabled = table.switch("enabled", true, findings);
    let policy = table
        .take("policy")
        .and_then(|item| findings.keep(item.parse(MachinePolicy::parse)))
        .unwrap_or(default_policy);
    let max_decision = table
        .take("max_decision_s")
        .and_then(|item| findings.keep(item.seconds(1..=20)));
    let speak_while_detecting = table.switch(
        "speak_while_detecting",
        default.speak_while_detecting,
        findings,
    );
    let text = table.take("text");
    let file = table.take("file");
    let is_given = text.is_some() || file.is_some();
    let message = match (text, file) {
        (Some(_), Some(file)) => {
            let what = "is one message too many: there is a text beside it";
            findings.mistakes.push(file.finding(what));
            None
        }
        (Some(text), None) => findings.keep(words(&text)).map(Message::Text),
        (None, Some(file)) => findings.keep(recording(&file, files)).map(Message::File),
        (None, None) => None,
    };
    if policy == MachinePolicy::LeaveMessage && !is_given {
        let what = "needs a text or a file, the message that is left";
        findings.mistakes.push(item.finding(what));
    }
    table.finish(findings);
    Some(Voicemail {
        enabled,
        policy,
        message,
        max_decision: max_decision.unwrap_or(default.max_decision),
        speak_while_detecting,
    })
}

fn words(item: &Item<'_>) -> Result<String, Finding> {
    let text = item.text()?;
    if text.trim().is_empty() {
        return Err(item.finding("says nothing"));
    }
    Ok(text)
}
