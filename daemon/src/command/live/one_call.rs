//! `offhook show`, `hangup`, `hold`, `resume`, `bridge`, `part`, `press` and `recording`: what is done with one live call.

use std::time::Duration;

use clap::Args;
use offhook_session::pii::Pii;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Answer;
use super::table::{clock, facts};
use super::{OneCall, ShownCall, ShownVerdict, Stopped};
use crate::command::Exit;

pub(in crate::command) fn show(call: &OneCall) -> Exit {
    call.asking.ask(async |client| {
        let answer = client.get(&call.path("")).await?;
        let shown: ShownCall = client.read(&answer)?;
        call.asking.print(&answer, || {
            let duration = clock(Duration::from_millis(shown.duration_ms));
            let verdict = shown.voicemail.as_ref().map(ShownVerdict::shown);
            let messages = shown.messages.iter().map(|message| message.file.as_str());
            let messages = messages.collect::<Vec<_>>().join(", ");
            let mut rows = vec![
                ("id", &*shown.id),
                ("direction", &shown.direction),
                ("from", &shown.from),
                ("to", &shown.to),
                ("trunk", &shown.trunk),
                ("agent", &shown.agent),
                ("state", &shown.state),
                ("joined to", shown.bridged_with.as_deref().unwrap_or("-")),
            ];
            // Of calls that go out alone, and of those where it is found out.
            rows.extend(verdict.as_deref().map(|verdict| ("answered by", verdict)));
            rows.extend((!messages.is_empty()).then_some(("messages", &*messages)));
            rows.push(("duration", &duration));
            facts(&rows)
        });
        Ok(())
    })
}

pub(in crate::command) fn hang_up(call: &OneCall) -> Exit {
    call.asking.ask(async |client| {
        let answer = client.delete(&call.path("")).await?;
        call.asking.print(&answer, String::new);
        Ok(())
    })
}

pub(in crate::command) fn hold(call: &OneCall) -> Exit {
    change(call, "/hold", &json!({}))
}

pub(in crate::command) fn resume(call: &OneCall) -> Exit {
    change(call, "/resume", &json!({}))
}

#[derive(Args, Debug)]
pub(in crate::command) struct Bridge {
    #[command(flatten)]
    call: OneCall,
    /// The other call.
    with: String,
    /// Let both agents take part. Without, they neither hear nor speak until the calls part.
    #[arg(long)]
    agents_stay: bool,
    /// Have both agents leave: their sessions are over, the calls go on.
    #[arg(long, conflicts_with = "agents_stay")]
    agents_leave: bool,
}

pub(in crate::command) fn bridge(bridge: &Bridge) -> Exit {
    let agents = match (bridge.agents_stay, bridge.agents_leave) {
        (true, _) => "stay",
        (false, true) => "leave",
        (false, false) => "stand_aside",
    };
    let body = json!({ "with": bridge.with, "agents": agents });
    change(&bridge.call, "/bridge", &body)
}

pub(in crate::command) fn part(call: &OneCall) -> Exit {
    change(call, "/part", &json!({}))
}

/// While it is paused both sides of the recording are silence, of the same length. Pauses are not counted.
#[derive(Args, Debug)]
pub(in crate::command) struct Recording {
    /// What is done.
    #[arg(value_enum)]
    what: RecordingChange,
    #[command(flatten)]
    call: OneCall,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RecordingChange {
    /// Nothing is recorded from now on.
    Pause,
    /// The operator's pause is over; the agent may have paused it too.
    Resume,
}

pub(in crate::command) fn recording(recording: &Recording) -> Exit {
    let paused = match recording.what {
        RecordingChange::Pause => true,
        RecordingChange::Resume => false,
    };
    change(&recording.call, "/recording", &json!({ "paused": paused }))
}

fn change(call: &OneCall, what: &str, body: &Value) -> Exit {
    call.asking.ask(async |client| {
        let path = call.path(what);
        let answer = client.post(&path, body, Answer::AtOnce).await?;
        call.asking.print(&answer, String::new);
        Ok(())
    })
}

#[derive(Args, Debug)]
pub(in crate::command) struct Press {
    #[command(flatten)]
    call: OneCall,
    /// Keys 0-9, *, #, A-D; w waits half a second, a comma two seconds.
    keys: Pii<String>,
    /// How long each key is held, in milliseconds [default: 100]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(40..=1_300))]
    duration: Option<u32>,
    /// Quiet behind each key, in milliseconds [default: 100]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(40..=5_000))]
    gap: Option<u32>,
    /// Mask the keys in the transcript.
    #[arg(long)]
    sensitive: bool,
}

/// What became of keys.
#[derive(Debug, Deserialize)]
struct Pressed {
    outcome: String,
    pressed: Option<usize>,
}

pub(in crate::command) fn press(press: &Press) -> Exit {
    let call = &press.call;
    call.asking.ask(async |client| {
        let body = json!({
            "digits": press.keys.expose(),
            "duration_ms": press.duration,
            "gap_ms": press.gap,
            "sensitive": press.sensitive,
        });
        let path = call.path("/digits");
        let answer = client.post(&path, &body, Answer::InItsTime).await?;
        let pressed: Pressed = client.read(&answer)?;
        call.asking.print(&answer, String::new);
        match pressed.outcome.as_str() {
            "all" => Ok(()),
            _ => Err(Stopped::Unsuccessful(format!(
                "the call ended after {} of the keys",
                pressed.pressed.unwrap_or_default()
            ))),
        }
    })
}
