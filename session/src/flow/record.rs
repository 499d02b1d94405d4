//! The step that records a message: how it reads, and how it is done.

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use offhook_media::control::Digit;
use tokio::time::timeout;
use tracing::{info, warn};

use super::StepName;
use super::conversation::Input;
use super::names::is_name;
use super::parse::read_terminator;
use super::prompting::tones;
use super::table::Reader;
use crate::agent_session::{
    LeftMessage, MessageEnd, MessageOptions, PlayOptions, QueueMode, SessionHandle,
};
use crate::provider::Messages;

/// How long a file may take to be whole when its message is over: the writer comes round five times a second.
const WRITTEN_SOON: Duration = Duration::from_secs(2);
/// What callers know to speak after.
const BEEP: (u16, u32) = (1_000, 300);

/// A message to be recorded, and where that leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordMessage {
    /// What webhooks call it.
    pub(super) name: String,
    pub(super) max: Duration,
    silence: Duration,
    beep: bool,
    terminator: Option<Digit>,
    pub(super) then: StepName,
    /// Where to go without a message; by default goodbye.
    pub(super) failed: Option<StepName>,
}

/// A message that was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeptMessage {
    pub(super) file: PathBuf,
    pub(super) duration: Duration,
    pub(super) end: MessageEnd,
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

    /// Records it. `None` when the caller is not ours any more, and never was heard.
    pub(super) async fn take(
        &self,
        messages: Option<&dyn Messages>,
        patience: Duration,
        session: &SessionHandle,
    ) -> Option<Input> {
        let call_id = &session.facts().call_id;
        let Some(messages) = messages else {
            warn!(%call_id, "a message is to be recorded, and nothing keeps it");
            return Some(Input::NotRecorded);
        };
        if self.beep {
            let options = PlayOptions {
                interruptible: false,
                queue: QueueMode::After,
            };
            let beep = tones(session.sample_rate_hz(), &[BEEP]);
            session.play(beep, options).wait().await;
        }
        let Some(new) = messages.begin(call_id, &self.name, session.sample_rate_hz()) else {
            return Some(Input::NotRecorded);
        };
        let options = MessageOptions {
            max: self.max,
            silence: self.silence,
            patience,
            terminator: self.terminator,
        };
        let mut written = new.written;
        let mut whole = None;
        let taken = {
            let mut taken = pin!(session.take_message(new.ring, options));
            tokio::select! {
                biased;
                taken = &mut taken => taken,
                duration = &mut written => match duration {
                    // The leg was faster to drop its ring.
                    Ok(duration) => {
                        whole = Some(duration);
                        taken.await
                    }
                    // Nobody is left talking to a file that cannot be written.
                    Err(_) => {
                        warn!(%call_id, "a message cannot be written");
                        return Some(Input::NotRecorded);
                    }
                },
            }
        };
        let Some(taken) = taken else {
            messages.discard(&new.file);
            return None;
        };
        if !taken.spoke {
            messages.discard(&new.file);
            return match taken.end {
                MessageEnd::Silence | MessageEnd::Maximum => Some(Input::Silent),
                MessageEnd::Key => Some(Input::NotRecorded),
                MessageEnd::Cut => None,
            };
        }
        if whole.is_none() {
            // The ring is the leg's to drop, which it does at its next tick.
            let written = timeout(WRITTEN_SOON, written).await;
            whole = written.ok().and_then(Result::ok);
        }
        let Some(duration) = whole else {
            let file = new.file.display();
            warn!(%call_id, %file, "a message is not written to its end in time, and is told of to nobody");
            return Some(Input::NotRecorded);
        };
        let kept = KeptMessage {
            file: new.file,
            duration,
            end: taken.end,
        };
        info!(
            %call_id,
            name = self.name,
            file = %kept.file.display(),
            duration_ms = kept.duration_ms(),
            ended_by = kept.end.as_str(),
            "a message was left"
        );
        let left = LeftMessage {
            name: self.name.clone(),
            file: kept.file.display().to_string(),
            duration,
            end: taken.end,
        };
        session.message_left(left).await;
        Some(Input::Recorded(kept))
    }
}

impl KeptMessage {
    pub(super) fn duration_ms(&self) -> u64 {
        u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX)
    }
}
