//! What a flow does when no person answers a call of ours: `[voicemail]`, which names a step for each that it may be.

use super::table::Reader;
use super::{Flow, Next, Prompt, StepName};
use crate::voicemail::FarEnd;

/// Where a flow goes when no person answers; nowhere is a hang-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answerers {
    machine: Option<StepName>,
    screening: Option<StepName>,
    ivr: Option<StepName>,
}

impl Answerers {
    /// Reads the table.
    pub(super) fn read(mut table: Reader<'_>) -> Self {
        let mut step = |key: &str| table.text(key).map(|name| StepName::new(&name));
        let answerers = Self {
            machine: step("on_machine"),
            screening: step("on_screening"),
            ivr: step("on_ivr"),
        };
        if answerers.steps().next().is_none() {
            table.mistake_here("names no step: give it on_machine, on_screening or on_ivr");
        }
        table.finish();
        answerers
    }

    /// The steps that it names, each with its key and what it is for.
    pub(super) fn steps(&self) -> impl Iterator<Item = (&'static str, &'static str, &StepName)> {
        [
            ("on_machine", "a machine", &self.machine),
            ("on_screening", "call screening", &self.screening),
            ("on_ivr", "a menu", &self.ivr),
        ]
        .into_iter()
        .filter_map(|(key, who, step)| Some((key, who, step.as_ref()?)))
    }

    fn step_for(&self, far_end: FarEnd) -> Option<&StepName> {
        match far_end {
            FarEnd::MachineGreeting | FarEnd::MachineBeep => self.machine.as_ref(),
            FarEnd::CallScreening => self.screening.as_ref(),
            FarEnd::Ivr => self.ivr.as_ref(),
            // These are talked to as usual, or not at all; nobody asks about them.
            FarEnd::Fax | FarEnd::Human | FarEnd::Silence | FarEnd::Unknown => None,
        }
    }
}

/// What is done about whoever answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<'a> {
    HangUp,
    /// This is said when the machine records, and then the call ends.
    Leave(&'a Prompt),
    /// The conversation goes on there.
    GoTo(&'a StepName),
}

impl Flow {
    /// Whether it says what is done when no person answers.
    #[must_use]
    pub fn decides_about_machines(&self) -> bool {
        self.answerers.is_some()
    }

    pub(super) fn answer(&self, far_end: FarEnd) -> Answer<'_> {
        let step = self
            .answerers
            .as_ref()
            .and_then(|answerers| answerers.step_for(far_end));
        let Some(name) = step else {
            return Answer::HangUp;
        };
        let step = self.steps.get(name);
        match step.map(|step| (&step.say, &step.next)) {
            // What is said before a hang-up is a message, and a message waits for the beep.
            Some((Some(say), Next::HangUp)) if far_end.is_voicemail() => Answer::Leave(say),
            Some(_) | None => Answer::GoTo(name),
        }
    }
}
