//! Who answered a call of ours: a person, a machine, or something else.
//!
//! ```text
//! voice activity ─┐
//! levels ─────────┼─► cadence ─┐
//! words ──────────┼─► phrases ─┼─► verdict (once) ─► of a machine: when a message may begin (once)
//! tones ──────────┴─► tones ───┘
//! ```
//!
//! [`VoicemailDetector`] has no clock, task or audio of its own: it is given what was noticed, with the time since media
//! was live, and is as good on a recording as on a call. `docs/voicemail.md` says how good that is.

mod cadence;
mod detector;
mod levels;
mod message_start;
mod phrases;
mod spotting;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use detector::VoicemailDetector;
use offhook_media::control::{CallTone, Confidence};

/// Who, or what, answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FarEnd {
    /// A person.
    Human,
    /// A machine that greets, or a network's announcement in its place; its beep may follow.
    MachineGreeting,
    /// A machine that has beeped, and records.
    MachineBeep,
    /// An assistant that asks who calls and why, for a person who listens.
    CallScreening,
    /// A menu.
    Ivr,
    /// A fax machine or a modem.
    Fax,
    /// Nothing was heard until the deadline.
    Silence,
    /// Something was heard, and nothing speaks for one of the others.
    Unknown,
}

impl FarEnd {
    /// As written in logs, records and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::MachineGreeting => "machine_greeting",
            Self::MachineBeep => "machine_beep",
            Self::CallScreening => "call_screening",
            Self::Ivr => "ivr",
            Self::Fax => "fax",
            Self::Silence => "silence",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it is a machine that takes messages.
    #[must_use]
    pub const fn is_voicemail(self) -> bool {
        match self {
            Self::MachineGreeting | Self::MachineBeep => true,
            Self::Human
            | Self::CallScreening
            | Self::Ivr
            | Self::Fax
            | Self::Silence
            | Self::Unknown => false,
        }
    }
}

/// What spoke for a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// How long the greeting was voiced, and in how many pieces.
    Cadence {
        /// The sum of its voiced pieces.
        voiced: Duration,
        /// How many there were.
        pieces: u32,
    },
    /// A phrase that was understood, one of those that the detector lists.
    Phrase(&'static str),
    /// A tone.
    Tone(CallTone),
    /// Nothing was heard any more for so long.
    Quiet(Duration),
    /// The time was up.
    Deadline,
    /// What a language model said.
    Model,
}

/// Who answered, as far as one can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoicemailVerdict {
    /// Who.
    pub far_end: FarEnd,
    /// How sure that is.
    pub confidence: Confidence,
    /// What spoke for it.
    pub evidence: Vec<Evidence>,
    /// When it was clear, since media was live.
    pub at: Duration,
}

/// What the detector has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoicemailEvent {
    /// It wants to know which of [`phrases()`] the far end has said until now: [`VoicemailDetector::handle_phrases`].
    Spot,
    /// Who answered; once.
    Verdict(VoicemailVerdict),
    /// The machine records now; once, after a verdict that it is one.
    MessageMayBegin {
        /// Whether it beeped; otherwise it has been quiet for so long that it must record.
        beeped: bool,
    },
}

/// The phrases that speak for one of them or another, for a recogniser that spots them.
#[must_use]
pub const fn phrases() -> &'static [&'static str] {
    &phrases::PHRASES
}
