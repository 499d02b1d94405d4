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
mod check;
mod conversation;
mod mistake;
mod parse;
mod table;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::Digit;

pub use agent::{FlowAgent, Recordings};
pub use mistake::FlowMistake;

use crate::grammar::Grammar;

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

    /// Whether any prompt has to be synthesised.
    #[must_use]
    pub fn needs_a_voice(&self) -> bool {
        self.prompts().any(|prompt| prompt.recording().is_none())
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
        let steps = self
            .steps
            .values()
            .flat_map(|step| step.say.iter().chain(&step.reprompt));
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
    /// What to listen for, `None` where no phrase is expected.
    fn grammar(&self) -> Option<Grammar> {
        let Next::Choose(branches) = &self.next else {
            return None;
        };
        let phrases: Vec<String> = branches
            .iter()
            .flat_map(|branch| branch.phrases.iter().cloned())
            .collect();
        (!phrases.is_empty()).then_some(Grammar { phrases })
    }

    /// The steps that may follow.
    fn successors(&self) -> impl Iterator<Item = &StepName> {
        let next: Vec<&StepName> = match &self.next {
            Next::Then(step) => vec![step],
            Next::Choose(branches) => branches.iter().map(|branch| &branch.then).collect(),
            Next::Collect(collection) => vec![&collection.then],
            Next::HangUp => Vec::new(),
        };
        next.into_iter()
            .chain(&self.on_silence)
            .chain(&self.on_no_match)
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
