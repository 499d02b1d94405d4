//! The flow agent: a conversation written down as a file of steps.
//!
//! ```text
//!   file ── parse ──► Flow ── check ──► FlowAgent ── one a call ──► Conversation (no IO)
//!                     steps              on the session's            input ► actions
//!                                        callbacks
//! ```
//!
//! [`Flow::parse`] reads a file whole and names every mistake; a [`Flow`] that exists can be walked
//! without meeting one. What the recogniser listens for at a step is made from the step's expectations.
//! `docs/flow.md` describes the file.

mod agent;
mod asking;
mod check;
mod colleagues;
mod conversation;
mod drawing;
mod errand;
mod exits;
mod means;
mod mistake;
mod names;
mod parse;
mod prompting;
mod reading;
mod record;
mod sending;
mod table;
mod taking;
mod values;
mod voicemail;
mod webhook;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::Digit;

pub use agent::{FlowAgent, Recordings};
pub use colleagues::Colleagues;
pub use drawing::DrawStyle;
pub use means::FlowMeans;
pub use mistake::FlowMistake;
pub use values::FlowValues;

use crate::grammar::Grammar;
use record::RecordMessage;
use sending::Sending;
use voicemail::Answerers;
use webhook::Webhook;

/// A step's name, as the file gives it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepName(Arc<str>);

impl StepName {
    fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A conversation: its steps, all of them reachable and every name in them known.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    start: StepName,
    steps: BTreeMap<StepName, Step>,
    /// The names that it takes over from a flow that hands a caller over.
    inherits: Vec<String>,
    /// Where it goes when no person answers a call of ours.
    answerers: Option<Answerers>,
    silence_after: Duration,
    retries: u32,
    silence: Prompt,
    no_match: Prompt,
    goodbye: Prompt,
}

impl Flow {
    /// Reads a flow file.
    ///
    /// # Errors
    /// Every mistake in it: keys and steps that do not exist, values that cannot be, steps that cannot
    /// be reached or left, phrases and digits that mean two things.
    pub fn parse(text: &str) -> Result<Self, Vec<FlowMistake>> {
        parse::parse(text)
    }

    /// How long a caller may be silent before the flow asks again.
    #[must_use]
    pub fn silence_after(&self) -> Duration {
        self.silence_after
    }

    /// The same flow with another patience, in place of the file's `silence_s`.
    #[must_use]
    pub fn with_silence_after(self, silence_after: Duration) -> Self {
        Self {
            silence_after,
            ..self
        }
    }

    /// The recordings the flow plays: the paths as the file gives them, each once, in order.
    #[must_use]
    pub fn recordings(&self) -> Vec<&str> {
        let mut files: Vec<&str> = self.prompts().filter_map(Prompt::recording).collect();
        files.sort_unstable();
        files.dedup();
        files
    }

    /// The texts that are the same in every call and have to be synthesised, the first step's first.
    #[must_use]
    pub fn fixed_texts(&self) -> Vec<&str> {
        let first = self
            .steps
            .get(&self.start)
            .into_iter()
            .flat_map(|step| &step.say);
        let mut texts: Vec<&str> = Vec::new();
        for prompt in first.chain(self.prompts()) {
            if let Prompt::Text(text) = prompt
                && !text.contains('{')
                && !texts.contains(&text.as_str())
            {
                texts.push(text);
            }
        }
        texts
    }

    /// Those of them that a caller hears before they are waited for.
    #[must_use]
    pub fn first_texts(&self) -> Vec<&str> {
        let mut texts = Vec::new();
        let mut at = self.steps.get(&self.start);
        while let Some(step) = at {
            if let Some(Prompt::Text(text)) = &step.say
                && !text.contains('{')
            {
                texts.push(text.as_str());
            }
            // No circle is without a step that waits.
            at = match &step.next {
                Next::Then(then) => self.steps.get(then),
                Next::Choose(_)
                | Next::Collect(_)
                | Next::Transfer { .. }
                | Next::Record(_)
                | Next::Ask(_)
                | Next::HandOver(_)
                | Next::HangUp => None,
            };
        }
        texts
    }

    /// Whether any prompt has to be synthesised.
    #[must_use]
    pub fn needs_a_voice(&self) -> bool {
        self.prompts().any(|prompt| prompt.recording().is_none())
    }

    /// Whether any step asks a webhook.
    #[must_use]
    pub fn asks_webhooks(&self) -> bool {
        let mut steps = self.steps.values();
        steps.any(|step| matches!(step.next, Next::Ask(_)))
    }

    /// The agents that it may hand its callers over to, each with the key that names it.
    pub fn hands_over_to(&self) -> impl Iterator<Item = (String, &str)> {
        self.steps
            .iter()
            .filter_map(|(name, step)| match &step.next {
                Next::HandOver(agent) => Some((format!("step.{name}.hand_over"), agent.as_str())),
                Next::Then(_)
                | Next::Choose(_)
                | Next::Collect(_)
                | Next::Transfer { .. }
                | Next::Record(_)
                | Next::Ask(_)
                | Next::HangUp => None,
            })
    }

    /// Whether any step records a message.
    #[must_use]
    pub fn records_messages(&self) -> bool {
        let mut steps = self.steps.values();
        steps.any(|step| matches!(step.next, Next::Record(_)))
    }

    /// What the flow may hear at each step, steps that listen for no phrase left out.
    pub fn grammars(&self) -> impl Iterator<Item = (&StepName, Grammar)> {
        self.steps
            .iter()
            .filter_map(|(name, step)| Some((name, step.grammar()?)))
    }

    /// Where a phrase leads at a step, `None` where the step does not expect it.
    #[must_use]
    pub fn leads_to(&self, step: &StepName, phrase: &str) -> Option<&StepName> {
        let Next::Choose(branches) = &self.steps.get(step)?.next else {
            return None;
        };
        let branch = branches
            .iter()
            .find(|branch| branch.phrases.iter().any(|known| known == phrase))?;
        Some(&branch.then)
    }

    /// A mistake for every word that the recogniser does not know, at the phrase that has it.
    #[must_use]
    pub fn unknown_words(&self, knows: impl Fn(&str) -> bool) -> Vec<FlowMistake> {
        check::unknown_words(self, knows)
    }

    fn prompts(&self) -> impl Iterator<Item = &Prompt> {
        let steps = self.steps.values().flat_map(Step::prompts);
        [&self.silence, &self.no_match, &self.goodbye]
            .into_iter()
            .chain(steps)
    }
}

/// Something the agent says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Prompt {
    /// Synthesised; `{name}` stands for digits that were collected under that name.
    Text(String),
    /// Played from a file.
    Recording {
        /// The path as the flow file gives it.
        file: String,
        /// What is said in it, for the transcript.
        text: Option<String>,
    },
}

impl Prompt {
    fn recording(&self) -> Option<&str> {
        match self {
            Self::Text(_) => None,
            Self::Recording { file, .. } => Some(file),
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Recording { text, .. } => text.as_deref(),
        }
    }
}

/// One step: say something, then listen, collect digits, go on, or hang up.
#[derive(Clone, Debug, PartialEq)]
struct Step {
    say: Option<Prompt>,
    /// Said after a silence or something that was not understood; by default `say` again.
    reprompt: Option<Prompt>,
    next: Next,
    /// Where to go when the caller stays silent through every re-prompt; by default goodbye.
    on_silence: Option<StepName>,
    /// Where to go when nothing was understood through every re-prompt; by default goodbye.
    on_no_match: Option<StepName>,
}

impl Step {
    /// Everything that is said at it, also to others than the caller.
    fn prompts(&self) -> impl Iterator<Item = &Prompt> {
        let sending = match &self.next {
            Next::Transfer { sending, .. } => Some(sending),
            Next::Then(_)
            | Next::Choose(_)
            | Next::Collect(_)
            | Next::Record(_)
            | Next::Ask(_)
            | Next::HandOver(_)
            | Next::HangUp => None,
        };
        let others = sending.into_iter().flat_map(|sending| sending.prompts());
        self.say.iter().chain(&self.reprompt).chain(others)
    }

    /// What to listen for, `None` where no phrase is expected.
    fn grammar(&self) -> Option<Grammar> {
        let Next::Choose(branches) = &self.next else {
            return None;
        };
        let phrases: Vec<String> = branches
            .iter()
            .flat_map(|branch| branch.phrases.iter().cloned())
            .collect();
        (!phrases.is_empty()).then(|| Grammar::new(phrases))
    }

    /// The steps that may follow.
    fn successors(&self) -> impl Iterator<Item = &StepName> {
        self.exits().into_iter().map(|exit| exit.to)
    }
}

/// What follows what a step says.
#[derive(Clone, Debug, PartialEq)]
enum Next {
    /// Another step, at once.
    Then(StepName),
    /// What the caller says or presses decides.
    Choose(Vec<Branch>),
    /// A string of digits is collected.
    Collect(DigitString),
    /// The caller is sent elsewhere. The call ends where that succeeds.
    Transfer {
        /// To whom, and how.
        sending: Box<Sending>,
        /// Where to go when it fails; by default goodbye.
        failed: Option<StepName>,
    },
    /// The caller leaves a message.
    Record(Box<RecordMessage>),
    /// A program of others is asked.
    Ask(Box<Webhook>),
    /// Another agent takes the caller over.
    HandOver(String),
    /// The call ends.
    HangUp,
}

/// One thing the caller may say or press, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Branch {
    /// As [`crate::grammar::phrase`] writes them.
    phrases: Vec<String>,
    digits: Vec<Digit>,
    then: StepName,
    /// The branch's key in the file.
    key: String,
}

/// A string of digits to collect.
#[derive(Clone, Debug, PartialEq, Eq)]
struct DigitString {
    /// What prompts call it.
    name: String,
    min: usize,
    max: usize,
    terminator: Option<Digit>,
    sensitive: bool,
    then: StepName,
}
