//! Taking a message of a caller's: the beep, the recording, and what becomes of its file.

use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{info, warn};

use super::conversation::Input;
use super::prompting::tones;
use super::record::RecordMessage;
use super::values::KeptMessage;
use crate::agent_session::{
    LeftMessage, MessageEnd, MessageOptions, PlayOptions, QueueMode, SessionHandle,
};
use crate::provider::Messages;

/// How long a file may take to be whole when its message is over: the writer comes round five times a second.
const WRITTEN_SOON: Duration = Duration::from_secs(2);
/// What callers know to speak after.
const BEEP: (u16, u32) = (1_000, 300);

/// Records it. `None` when the caller is not ours any more, and never was heard.
pub(super) async fn take(
    message: &RecordMessage,
    messages: Option<&dyn Messages>,
    patience: Duration,
    session: &SessionHandle,
) -> Option<Input> {
    let call_id = &session.facts().call_id;
    let Some(messages) = messages else {
        warn!(%call_id, "a message is to be recorded, and nothing keeps it");
        return Some(Input::NotRecorded);
    };
    if message.beep {
        let options = PlayOptions {
            interruptible: false,
            queue: QueueMode::After,
        };
        let beep = tones(session.sample_rate_hz(), &[BEEP]);
        session.play(beep, options).wait().await;
    }
    let Some(new) = messages.begin(call_id, &message.name, session.sample_rate_hz()) else {
        return Some(Input::NotRecorded);
    };
    let options = MessageOptions {
        max: message.max,
        silence: message.silence,
        patience,
        terminator: message.terminator,
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
    if whole.is_none() {
        // The ring is the leg's to drop, which it does at its next tick; then the file is nobody's to write any more.
        let written = timeout(WRITTEN_SOON, written).await;
        whole = written.ok().and_then(Result::ok);
    }
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
        name = message.name,
        file = %kept.file.display(),
        duration_ms = kept.duration_ms(),
        ended_by = kept.end.as_str(),
        "a message was left"
    );
    let left = LeftMessage {
        name: message.name.clone(),
        file: kept.file.display().to_string(),
        duration,
        end: taken.end,
    };
    session.message_left(left).await;
    Some(Input::Recorded(kept))
}
