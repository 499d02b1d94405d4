//! `offhook show`, `hangup`, `hold`, `resume` and `transfer`: what is done with one live call.

use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::client::Answer;
use super::table::{clock, facts};
use super::{OneCall, ShownCall, Stopped};
use crate::command::Exit;

pub(in crate::command) fn show(call: &OneCall) -> Exit {
    call.asking.ask(async |client| {
        let answer = client.get(&call.path("")).await?;
        let shown: ShownCall = client.read(&answer)?;
        call.asking.print(&answer, || {
            facts(&[
                ("id", &shown.id),
                ("direction", &shown.direction),
                ("from", &shown.from),
                ("to", &shown.to),
                ("trunk", &shown.trunk),
                ("agent", &shown.agent),
                ("state", &shown.state),
                ("duration", &clock(Duration::from_millis(shown.duration_ms))),
            ])
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
    change(call, "/hold")
}

pub(in crate::command) fn resume(call: &OneCall) -> Exit {
    change(call, "/resume")
}

fn change(call: &OneCall, what: &str) -> Exit {
    call.asking.ask(async |client| {
        let path = call.path(what);
        let answer = client.post(&path, &json!({}), Answer::AtOnce).await?;
        call.asking.print(&answer, String::new);
        Ok(())
    })
}

#[derive(Args, Debug)]
pub(in crate::command) struct Transfer {
    #[command(flatten)]
    call: OneCall,
    /// Where the far end is sent: a sip:, sips: or tel: address.
    target: String,
    /// Be content when the far end accepts, whether or not it then reaches anybody.
    #[arg(long)]
    no_wait: bool,
    /// How long the outcome may take [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=600))]
    timeout: Option<u32>,
}

/// What became of a transfer.
#[derive(Debug, Deserialize)]
struct Outcome {
    outcome: String,
    sip_status: Option<u16>,
}

impl Outcome {
    /// `completed`, `rejected (603)`.
    fn shown(&self) -> String {
        let outcome = self.outcome.replace('_', " ");
        match self.sip_status {
            Some(status) => format!("{outcome} ({status})"),
            None => outcome,
        }
    }
}

pub(in crate::command) fn transfer(transfer: &Transfer) -> Exit {
    let call = &transfer.call;
    call.asking.ask(async |client| {
        let body = json!({
            "target": transfer.target,
            "wait": !transfer.no_wait,
            "timeout_s": transfer.timeout,
        });
        let path = call.path("/transfer");
        let answer = client.post(&path, &body, Answer::InItsTime).await?;
        let outcome: Outcome = client.read(&answer)?;
        let shown = outcome.shown();
        call.asking.print(&answer, || format!("{shown}\n"));
        match outcome.outcome.as_str() {
            "completed" => Ok(()),
            _ => Err(Stopped::Unsuccessful(format!(
                "the transfer did not succeed: {shown}"
            ))),
        }
    })
}
