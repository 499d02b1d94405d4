//! `[agent.NAME]`: who answers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use offhook_session::agent_session::InterruptionPolicy;
use offhook_session::flow::Flow;

use super::Host;
use super::document::{Item, Section};
use super::finding::Findings;
use super::flow_file::FlowFile;
use super::interruption;
use super::names::AgentName;
use super::sound::{Sound, playable, read_sound, recording};
use super::voicemail::{self, MachinePolicy, Voicemail};
use crate::asset::Asset;
use crate::audio_file::{AudioFile, AudioFiles};

/// Who answers a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// The name of its table.
    pub name: AgentName,
    /// What it does.
    pub kind: AgentKind,
    /// What is heard beside it, in a loop.
    pub background: Option<Sound>,
    /// Whether its calls are recorded to `records.recordings`.
    pub record: bool,
    /// Whether tones of networks and machines are listened for in its calls.
    pub tones: bool,
    /// When a caller who talks over it stops it.
    pub interruption: Arc<InterruptionPolicy>,
    /// How it is found out who answered its calls; `None` where no table says.
    pub voicemail: Option<Voicemail>,
    /// What its callers are told before they are recorded.
    pub record_consent: Option<Consent>,
    /// Whether its own voice, where the far end returns it, is kept from being taken for the caller's.
    pub echo_guard: bool,
    /// Whether everything that its calls send and receive is kept and saved (see `captures`).
    pub capture: bool,
    /// Header fields of our 18x and 200 to calls that it answers.
    pub answer_headers: Vec<(String, String)>,
}

impl Agent {
    /// Whether it may have to speak a text.
    #[must_use]
    pub fn needs_a_voice(&self) -> bool {
        let by_kind = match self.kind {
            AgentKind::Flow { .. } => true,
            AgentKind::Echo { .. } | AgentKind::Play { .. } => false,
        };
        // Who answers calls of its may have to be told a message, and is told apart by what they say.
        by_kind || self.spoken_consent().is_some() || self.voicemail.is_some()
    }

    /// Whether anything that is said in its calls is written to a file.
    #[must_use]
    pub fn keeps_audio(&self) -> bool {
        let takes_messages = match &self.kind {
            AgentKind::Flow { flow, .. } => flow.records_messages(),
            AgentKind::Echo { .. } | AgentKind::Play { .. } => false,
        };
        self.record || takes_messages
    }

    /// What its callers are told about the recording by the voice, where that is not a file.
    #[must_use]
    pub fn spoken_consent(&self) -> Option<&str> {
        let consent = self.record_consent.as_ref().filter(|_| self.record)?;
        consent.file.is_none().then_some(&*consent.text)
    }
}

/// What callers are told before they are recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Consent {
    /// What is said, and what the transcript shows.
    pub text: String,
    /// A file of it; without one the text is spoken.
    pub file: Option<AudioFile>,
}

/// What an agent does.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentKind {
    /// Follows a file of steps.
    Flow {
        /// What the file holds.
        flow: Arc<Flow>,
        /// The recordings it plays, by the paths it gives them.
        recordings: BTreeMap<String, AudioFile>,
        /// What is heard, in a loop, while it thinks.
        thinking: Option<Sound>,
    },
    /// Plays the caller back to the caller.
    Echo {
        /// Whether the caller's speech is told from noise although nothing asks for it.
        voice_activity: bool,
    },
    /// Plays a file in a loop.
    Play {
        /// What it plays.
        file: AudioFile,
        /// Whether the caller's speech is told from noise although nothing asks for it.
        voice_activity: bool,
    },
}

impl AgentKind {
    /// Whether it says by itself what is done about machines that answer its calls.
    fn decides_about_machines(&self) -> bool {
        match self {
            Self::Flow { flow, .. } => flow.decides_about_machines(),
            Self::Echo { .. } | Self::Play { .. } => false,
        }
    }
}

/// What an agent may count on.
pub(super) struct Around<'a> {
    pub(super) host: &'a Host,
    /// There is a folder for recordings.
    pub(super) records_somewhere: bool,
    /// The names of all agents.
    pub(super) agents: &'a BTreeSet<&'a str>,
}

/// `None` when it cannot be made; every reason is noted.
pub(super) fn read(
    name: AgentName,
    mut section: Section<'_>,
    around: &Around<'_>,
    files: &mut AudioFiles,
    findings: &mut Findings,
) -> Option<Agent> {
    let kind = findings.keep(
        section
            .require("kind")
            .and_then(|item| Ok((item.text()?, item))),
    );
    let kind = match kind.as_ref().map(|(kind, item)| (kind.as_str(), item)) {
        Some(("flow", _)) => read_flow(&mut section, around, files, findings),
        Some(("echo", _)) => {
            let voice_activity = section.switch("voice_activity", false, findings);
            Some(AgentKind::Echo { voice_activity })
        }
        Some(("play", _)) => {
            let voice_activity = section.switch("voice_activity", false, findings);
            let file = section
                .require("file")
                .and_then(|item| recording(&item, files));
            findings.keep(file).map(|file| AgentKind::Play {
                file,
                voice_activity,
            })
        }
        Some((kind @ ("llm" | "remote"), item)) => {
            let what = format!(
                "agents of the kind {kind} are not built yet; there are flow, echo and play"
            );
            findings.mistakes.push(item.finding(what));
            return None;
        }
        Some((kind, item)) => {
            findings
                .mistakes
                .push(item.finding(format!("\"{kind}\" is none of flow, echo, play")));
            return None;
        }
        // Which keys it may have depends on its kind.
        None => return None,
    };
    let background = read_sound(&mut section, "background", files, findings);
    let record = read_record(&mut section, around.records_somewhere, findings);
    let record_consent = read_consent(&mut section, record, files, findings);
    let tones = section.switch("tones", false, findings);
    let interruption = interruption::read(&mut section, findings);
    let decides = kind.as_ref().is_some_and(AgentKind::decides_about_machines);
    let policy = match decides {
        true => MachinePolicy::Callback,
        false => MachinePolicy::default(),
    };
    let voicemail = voicemail::read(&mut section, files, policy, findings);
    let voicemail = voicemail.or_else(|| decides.then(Voicemail::by_agent));
    let echo_guard = section.switch("echo_guard", true, findings);
    let capture = section.switch("capture", false, findings);
    let answer_headers = read_headers(&mut section, findings);
    section.finish(findings);
    kind.map(|kind| Agent {
        name,
        kind,
        background,
        record,
        tones,
        interruption,
        voicemail,
        record_consent,
        echo_guard,
        capture,
        answer_headers,
    })
}

fn read_record(
    section: &mut Section<'_>,
    records_somewhere: bool,
    findings: &mut Findings,
) -> bool {
    let Some(item) = section.take("record") else {
        return false;
    };
    let record = findings.keep(item.boolean()).unwrap_or(false);
    if record && !records_somewhere {
        // Nobody should believe that calls are recorded and find out when a recording is wanted.
        let what = "needs records.recordings, the folder that recordings are written to";
        findings.mistakes.push(item.finding(what));
    }
    record
}

/// `record_consent = "text"`, or `{ file = "path", text = "what it says" }`: the transcript is to show what was said
/// in either case.
fn read_consent(
    section: &mut Section<'_>,
    recorded: bool,
    files: &mut AudioFiles,
    findings: &mut Findings,
) -> Option<Consent> {
    let item = section.take("record_consent")?;
    if !recorded {
        let what = "is not said: the agent's calls are not recorded without record = true";
        findings.warnings.push(item.finding(what));
    }
    let words = |item: &Item<'_>| {
        let text = item.text()?;
        if text.trim().is_empty() {
            return Err(item.finding("says nothing"));
        }
        Ok(text)
    };
    let Ok(mut table) = item.section() else {
        let text = findings.keep(words(&item))?;
        return Some(Consent { text, file: None });
    };
    let text = findings.keep(table.require("text").and_then(|item| words(&item)));
    let file = findings.keep(
        table
            .require("file")
            .and_then(|item| recording(&item, files)),
    );
    table.finish(findings);
    Some(Consent {
        text: text?,
        file: Some(file?),
    })
}

fn read_flow(
    section: &mut Section<'_>,
    around: &Around<'_>,
    files: &mut AudioFiles,
    findings: &mut Findings,
) -> Option<AgentKind> {
    let thinking = read_sound(section, "thinking", files, findings);
    let wake_up = section
        .take("wake_up_s")
        .and_then(|item| findings.keep(item.seconds(1..=3600)));
    let item = findings.keep(section.require("flow"))?;
    let path = findings.keep(item.path())?;
    let read = match FlowFile::read(&path, &around.host.recogniser_model) {
        Ok(read) => read,
        Err(mistakes) => {
            let mistakes = mistakes.into_iter().map(|what| item.finding(what));
            findings.mistakes.extend(mistakes);
            return None;
        }
    };
    let unknown = read.unknown_words.into_iter();
    findings
        .mistakes
        .extend(unknown.map(|what| item.finding(what)));
    let warnings = read.warnings.into_iter().map(|what| item.finding(what));
    findings.warnings.extend(warnings);
    let flow = match wake_up {
        Some(after) => read.flow.with_silence_after(after),
        None => read.flow,
    };
    if flow.records_messages() && !around.records_somewhere {
        let what = "has a step with record, which needs records.recordings, the folder that messages are written to";
        findings.mistakes.push(item.finding(what));
    }
    for (key, agent) in flow.hands_over_to() {
        if !around.agents.contains(agent) {
            let file = path.display();
            let what = format!("{file}: {key}: there is no agent {agent:?}");
            findings.mistakes.push(item.finding(what));
        }
    }
    let mut recordings = BTreeMap::new();
    for name in flow.recordings() {
        // Named by the flow file, so found from where that is.
        let asset = Asset::find(&path.parent().unwrap_or(Path::new("")).join(name));
        if let Some(file) = findings.keep(playable(&item, &asset, files)) {
            recordings.insert(name.to_owned(), file);
        }
    }
    Some(AgentKind::Flow {
        flow: Arc::new(flow),
        recordings,
        thinking,
    })
}

/// `answer_headers = { "X-Desk" = "front" }`.
fn read_headers(section: &mut Section<'_>, findings: &mut Findings) -> Vec<(String, String)> {
    let Some(item) = section.take("answer_headers") else {
        return Vec::new();
    };
    let Some(table) = findings.keep(item.section()) else {
        return Vec::new();
    };
    let mut headers = Vec::new();
    for (name, item) in table.into_entries() {
        if !name.to_ascii_uppercase().starts_with("X-") {
            let what = "only headers of one's own, that begin with X-, can be set";
            findings.mistakes.push(item.finding(what));
        } else if let Some(value) = findings.keep(item.text()) {
            headers.push((name.to_owned(), value));
        }
    }
    headers
}
