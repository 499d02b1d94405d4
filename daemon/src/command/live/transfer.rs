//! `offhook transfer`: the far end of a call is sent elsewhere, or somebody is called for it.

use clap::{Args, ValueEnum};
use offhook_session::pii::Pii;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::client::Answer;
use super::{OneCall, Stopped};
use crate::command::Exit;

#[derive(Args, Debug)]
pub(in crate::command) struct Transfer {
    #[command(flatten)]
    call: OneCall,
    /// Who is to talk to the far end: a sip:, sips: or tel: address.
    #[arg(required_unless_present = "into", conflicts_with = "into")]
    target: Option<Pii<String>>,
    /// Another call: the far end of the first takes our place in it (RFC 3891).
    #[arg(long, value_name = "CALL", conflicts_with_all = ["mode", "if_refused"])]
    into: Option<String>,
    /// How.
    #[arg(long, value_enum, default_value_t = Mode::Blind)]
    mode: Mode,
    /// Be content when the far end accepts, whether or not it then reaches anybody. Only of a blind transfer.
    #[arg(long)]
    no_wait: bool,
    /// How long whoever is called may ring, and how long the outcome of a REFER may take [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=600))]
    timeout: Option<u32>,
    /// What is done where the far end refuses to be sent elsewhere.
    #[arg(long, value_enum)]
    if_refused: Option<IfRefused>,
    /// The trunk by which they are called [default: the call's own]
    #[arg(long, value_name = "NAME")]
    trunk: Option<String>,
    /// Said to them when they answer.
    #[arg(long, value_name = "TEXT")]
    announce: Option<Pii<String>>,
    /// Asked of them behind it, in a warm transfer; the key 1 or a yes takes the call.
    #[arg(long, value_name = "TEXT")]
    ask: Option<Pii<String>>,
    /// Said to the far end when it comes back [default: of a warm transfer a sentence, else nothing]
    #[arg(long, value_name = "TEXT")]
    apology: Option<Pii<String>>,
    /// What the far end hears meanwhile.
    #[arg(long, value_enum, default_value_t = Meanwhile::Music)]
    meanwhile: Meanwhile,
    /// What becomes of the agent when the calls are joined.
    #[arg(long, value_enum, default_value_t = Agent::StandAside)]
    agent: Agent,
    /// How a warm transfer goes on.
    #[arg(long, value_enum, default_value_t = Finish::Bridge)]
    finish: Finish,
}

#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// The far end is asked to call them.
    Blind,
    /// They are called and told; then the far end is asked to take our place.
    Attended,
    /// They are called, and the calls are joined here.
    Bridge,
    /// They are called, told, and asked whether they take the call.
    Warm,
}

#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
enum IfRefused {
    /// They are called, and the calls are joined here.
    Bridge,
}

#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
enum Meanwhile {
    /// The hold music, or ringing where there is none.
    Music,
    /// Ringing.
    Ringing,
    /// The agent, who goes on.
    Agent,
}

#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
enum Agent {
    /// It neither hears nor speaks until the calls part.
    StandAside,
    /// It takes part.
    Stay,
    /// Its session is over.
    Leave,
}

#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
enum Finish {
    /// The calls are joined here.
    Bridge,
    /// The far end is asked to take our place.
    Attended,
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
        let text = |text: &Option<Pii<String>>| text.as_ref().map(|text| text.expose().clone());
        let body = json!({
            "target": text(&transfer.target),
            "into": transfer.into,
            "mode": transfer.mode,
            "wait": !transfer.no_wait,
            "timeout_s": transfer.timeout,
            "if_refused": transfer.if_refused,
            "trunk": transfer.trunk,
            "announce": text(&transfer.announce),
            "ask": text(&transfer.ask),
            "apology": text(&transfer.apology),
            "meanwhile": transfer.meanwhile,
            "agent": transfer.agent,
            "finish": transfer.finish,
        });
        let path = call.path("/transfer");
        let answer = client.post(&path, &body, Answer::InItsTime).await?;
        let outcome: Outcome = client.read(&answer)?;
        let shown = outcome.shown();
        call.asking.print(&answer, || format!("{shown}\n"));
        match outcome.outcome.as_str() {
            "completed" | "bridged" => Ok(()),
            _ => Err(Stopped::Unsuccessful(format!(
                "the transfer did not succeed: {shown}"
            ))),
        }
    })
}
