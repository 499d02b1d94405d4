//! `[agent.NAME]`: who answers.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use offhook_session::flow::{Flow, FlowMistake};

use super::Host;
use super::asset::Asset;
use super::document::{Item, Section};
use super::finding::{Finding, Findings};
use super::names::AgentName;
use crate::speech_worker::dictionary::Dictionary;

/// Who answers a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// The name of its table.
    pub name: AgentName,
    /// What it does.
    pub kind: AgentKind,
    /// Whether its calls are recorded to `records.recordings`.
    pub record: bool,
    /// Header fields of our 18x and 200 to calls that it answers.
    pub answer_headers: Vec<(String, String)>,
}

/// What an agent does.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentKind {
    /// Follows a file of steps.
    Flow {
        /// What the file holds.
        flow: Arc<Flow>,
        /// The recordings it plays, by the paths it gives them.
        recordings: BTreeMap<String, Asset>,
    },
    /// Plays the caller back to the caller.
    Echo {
        /// Whether the caller's speech is told from noise although nothing asks for it.
        voice_activity: bool,
    },
    /// Plays a file in a loop.
    Play {
        /// A WAV file; its header was read.
        file: Asset,
        /// Whether the caller's speech is told from noise although nothing asks for it.
        voice_activity: bool,
    },
}

/// `None` when it cannot be made; every reason is noted.
pub(super) fn read(
    name: AgentName,
    mut section: Section<'_>,
    host: &Host,
    findings: &mut Findings,
) -> Option<Agent> {
    let kind = findings.keep(
        section
            .require("kind")
            .and_then(|item| Ok((item.text()?, item))),
    );
    let kind = match kind.as_ref().map(|(kind, item)| (kind.as_str(), item)) {
        Some(("flow", _)) => read_flow(&mut section, host, findings),
        Some(("echo", _)) => {
            let voice_activity = read_switch(&mut section, "voice_activity", findings);
            Some(AgentKind::Echo { voice_activity })
        }
        Some(("play", _)) => {
            let voice_activity = read_switch(&mut section, "voice_activity", findings);
            let file = section.require("file").and_then(|item| recording(&item));
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
    let record = read_switch(&mut section, "record", findings);
    let answer_headers = read_headers(&mut section, findings);
    section.finish(findings);
    kind.map(|kind| Agent {
        name,
        kind,
        record,
        answer_headers,
    })
}

fn read_flow(section: &mut Section<'_>, host: &Host, findings: &mut Findings) -> Option<AgentKind> {
    let wake_up = section
        .take("wake_up_s")
        .and_then(|item| findings.keep(item.seconds(1..=3600)));
    let item = findings.keep(section.require("flow"))?;
    let path = findings.keep(item.path())?;
    let file = Asset::find(&path);
    let text = findings.keep(read_text(&item, &file))?;
    let mistaken =
        |mistake: FlowMistake| item.finding(format!("{}: {mistake}", file.name().display()));
    let flow = match Flow::parse(&text) {
        Ok(flow) => match wake_up {
            Some(after) => flow.with_silence_after(after),
            None => flow,
        },
        Err(mistakes) => {
            findings.mistakes.extend(mistakes.into_iter().map(mistaken));
            return None;
        }
    };
    match Dictionary::read(&host.recogniser_model) {
        Ok(dictionary) => {
            let unknown = flow.unknown_words(|word| dictionary.knows(word));
            findings.mistakes.extend(unknown.into_iter().map(mistaken));
        }
        Err(error) if flow.grammars().next().is_some() => {
            findings.warnings.push(item.finding(format!(
                "the words of its phrases cannot be checked, nor will they be heard: {}: {error} \
             (Debian's pocketsphinx-en-us brings it)",
                host.recogniser_model.display()
            )))
        }
        Err(_) => {}
    }
    let mut recordings = BTreeMap::new();
    for name in flow.recordings() {
        // Named by the flow file, so found from where that is.
        let asset = Asset::find(&path.parent().unwrap_or(Path::new("")).join(name));
        if let Some(asset) = findings.keep(playable(&item, asset)) {
            recordings.insert(name.to_owned(), asset);
        }
    }
    Some(AgentKind::Flow {
        flow: Arc::new(flow),
        recordings,
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

/// A key that switches something on; off where it is not given.
fn read_switch(section: &mut Section<'_>, key: &'static str, findings: &mut Findings) -> bool {
    let given = section
        .take(key)
        .and_then(|item| findings.keep(item.boolean()));
    given.unwrap_or(false)
}

fn read_text(item: &Item<'_>, file: &Asset) -> Result<String, Finding> {
    let bytes = file
        .read()
        .map_err(|error| unreadable(item, file.name(), &error))?;
    String::from_utf8(bytes.into_owned()).map_err(|error| unreadable(item, file.name(), &error))
}

/// A WAV file that can be played.
pub(super) fn recording(item: &Item<'_>) -> Result<Asset, Finding> {
    playable(item, Asset::find(&item.path()?))
}

/// A file that is WAV and of the one form that is played.
fn playable(item: &Item<'_>, file: Asset) -> Result<Asset, Finding> {
    let bytes = file
        .read()
        .map_err(|error| unreadable(item, file.name(), &error))?;
    let wav = hound::WavReader::new(Cursor::new(bytes))
        .map_err(|error| unreadable(item, file.name(), &error))?;
    let spec = wav.spec();
    if spec.sample_format != hound::SampleFormat::Int
        || spec.bits_per_sample != 16
        || spec.channels != 1
    {
        let what = format!("{} is not mono with 16-bit samples", file.name().display());
        return Err(item.finding(what));
    }
    if wav.duration() == 0 {
        return Err(item.finding(format!("{} is empty", file.name().display())));
    }
    Ok(file)
}

fn unreadable(item: &Item<'_>, path: &Path, error: &dyn std::error::Error) -> Finding {
    item.finding(format!("{} cannot be read: {error}", path.display()))
}
