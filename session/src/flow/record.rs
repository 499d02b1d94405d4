//! The step that records a message, as it reads.

use std::time::Duration;

use offhook_media::control::Digit;

use super::StepName;
use super::reading::read_terminator;
use super::table::Reader;
use super::values::is_name;

/// A message to be recorded, and where that leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordMessage {
    /// What webhooks call it.
    pub(super) name: String,
    pub(super) max: Duration,
    pub(super) silence: Duration,
    pub(super) beep: bool,
    pub(super) terminator: Option<Digit>,
    pub(super) then: StepName,
    /// Where to go without a message; by default goodbye.
    pub(super) failed: Option<StepName>,
}

impl RecordMessage {
    /// Reads `record = { … }`.
    pub(super) fn read(
        mut table: Reader<'_>,
        then: Option<StepName>,
        failed: Option<StepName>,
    ) -> Self {
        let name = table.text("name").unwrap_or_else(|| "message".to_owned());
        if !is_name(&name) || name.len() > 32 {
            let what = format!("{name:?}: a name is 1 to 32 lower-case letters and _");
            table.mistake("name", what);
        }
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let max = seconds(table.number("max_s", 1, 600).unwrap_or(120));
        let silence = seconds(table.number("silence_s", 1, 60).unwrap_or(3));
        let beep = table.flag("beep").unwrap_or(true);
        let terminator = read_terminator(&mut table);
        table.finish();
        Self {
            name,
            max,
            silence,
            beep,
            terminator,
            then: then.unwrap_or_else(|| StepName::new("")),
            failed,
        }
    }
}
