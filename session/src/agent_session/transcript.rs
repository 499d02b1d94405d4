//! What was said and pressed, by whom, as the caller heard it.

use crate::pii::Pii;

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The far end.
    Caller,
    /// The agent.
    Agent,
}

/// How it was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Spoken to the end.
    Speech,
    /// Spoken, cut short: the text holds only what was heard.
    InterruptedSpeech,
    /// Pressed on the keypad; masked when the collection was sensitive.
    Digits,
}

/// One line of a transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscriptEntry {
    /// When it was begun to be said, or the last of its keys was pressed, in milliseconds from the session's start.
    pub at_ms: u64,
    /// Who.
    pub who: Speaker,
    /// How.
    pub kind: EntryKind,
    /// What.
    pub text: Pii<String>,
}

/// A call's transcript, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    entries: Vec<TranscriptEntry>,
    dropped: u64,
}

impl Transcript {
    /// Lines kept; in a call that says more, the oldest are dropped and counted.
    pub const BOUND: usize = 2_000;

    /// The lines, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[TranscriptEntry] {
        &self.entries
    }

    /// How many of the oldest lines were dropped to keep the bound.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Adds a line.
    pub(super) fn push(&mut self, entry: TranscriptEntry) {
        if self.entries.len() == Self::BOUND {
            self.entries.remove(0);
            self.dropped += 1;
        }
        self.entries.push(entry);
    }
}
