//! `POST /v1/calls/{id}/transfer`: the far end is sent elsewhere, or somebody is called for it.

use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use offhook_session::agent_session::{
    CallId, Meanwhile, SecondLegPlan, TransferMode, TransferOutcome, TransferRequest, WarmEnd,
    Words,
};
use offhook_session::call::{TransferPlan, is_transfer_target};
use offhook_session::pii::Pii;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::Control;
use super::bridge::Agents;
use super::commands::{headers_of, problem, too_many_wait, unread, with_call};
use super::connections::Patience;
use crate::sip_driver::command::{CallControl, NotControlled};

/// How long a transfer may take, where nobody says.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Why a transfer with a second leg was not tried, as far as the session says.
const NOT_TRIED: &str = "nobody was called: the call is over, joined to another or in another transfer, its agent does \
     not talk with its far end yet, or calls go out by no such trunk";

/// The body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TransferBody {
    target: Option<String>,
    /// Another call, whose far end it is sent to in its place.
    into: Option<String>,
    #[serde(default)]
    mode: Mode,
    referred_by: Option<String>,
    #[serde(default = "yes")]
    wait: bool,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    timeout_s: Option<u32>,
    /// What is done where the far end refuses REFER.
    if_refused: Option<IfRefused>,
    /// The trunk that whoever is called is called by.
    trunk: Option<String>,
    /// Said to them.
    announce: Option<String>,
    /// Asked of them, in a warm transfer.
    ask: Option<String>,
    /// Said to the far end that comes back; nothing where it is empty.
    apology: Option<String>,
    /// What the far end hears while they are called.
    #[serde(default)]
    meanwhile: Heard,
    /// What becomes of the agent when the calls are joined.
    #[serde(default)]
    agent: Agents,
    /// How a warm transfer goes on.
    #[serde(default)]
    finish: Finish,
}

const fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Blind,
    Attended,
    Bridge,
    Warm,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum IfRefused {
    Bridge,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Heard {
    #[default]
    Music,
    Ringing,
    Agent,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Finish {
    #[default]
    Bridge,
    Attended,
}

impl TransferBody {
    fn timeout(&self) -> Duration {
        self.timeout_s.map_or(TIMEOUT, |seconds| {
            Duration::from_secs(u64::from(seconds.clamp(1, 600)))
        })
    }

    fn has_second_leg(&self) -> bool {
        self.mode != Mode::Blind || self.if_refused.is_some()
    }

    fn request(self, target: String, headers: Vec<(String, String)>) -> TransferRequest {
        let mode = match (self.mode, self.finish) {
            (Mode::Blind, _) => TransferMode::Blind,
            (Mode::Attended, _) => TransferMode::Attended,
            (Mode::Bridge, _) => TransferMode::Bridge,
            (Mode::Warm, Finish::Bridge) => TransferMode::Warm(WarmEnd::Bridge),
            (Mode::Warm, Finish::Attended) => TransferMode::Warm(WarmEnd::Attended),
        };
        let timeout = self.timeout();
        let defaults = TransferRequest::by(mode, target);
        TransferRequest {
            wait: self.wait,
            timeout,
            referred_by: self.referred_by.map(Pii::new),
            headers,
            bridge_if_refused: self.if_refused.is_some(),
            apology: match self.apology {
                Some(text) if text.is_empty() => None,
                Some(text) => Some(Words::spoken(text)),
                None => defaults.apology,
            },
            second_leg: SecondLegPlan {
                trunk: self.trunk.map(Into::into),
                words: self.announce.map(Words::spoken),
                question: self.ask.map_or(defaults.second_leg.question, Words::spoken),
                meanwhile: match self.meanwhile {
                    Heard::Music => Meanwhile::Music,
                    Heard::Ringing => Meanwhile::Ringing,
                    Heard::Agent => Meanwhile::Agent,
                },
                agent: self.agent.into(),
            },
            target: defaults.target,
            mode: defaults.mode,
        }
    }
}

/// The answer: what became of it.
#[derive(Debug, Serialize)]
struct TransferAnswer {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sip_status: Option<u16>,
}

fn nowhere(what: &str) -> Response {
    let title = "the call cannot be sent there";
    problem(StatusCode::BAD_REQUEST, title, what)
}

pub(super) async fn transfer(
    State(control): State<Control>,
    Extension(patience): Extension<Patience>,
    Path(id): Path<String>,
    body: Result<Json<TransferBody>, JsonRejection>,
) -> Response {
    let mut body = match body {
        Ok(Json(body)) => body,
        Err(error) => return unread(&error),
    };
    let headers = match headers_of(std::mem::take(&mut body.headers)) {
        Ok(headers) => headers,
        Err(what) => return nowhere(&what),
    };
    let target = match (body.target.take(), body.into.take()) {
        (Some(target), None) if is_transfer_target(&target) => Ok(target),
        (Some(_), None) => return nowhere("the target is no sip:, sips: or tel: address"),
        (None, Some(_)) if body.has_second_leg() => {
            return nowhere(
                "who is sent into another call calls nobody: leave out mode and if_refused",
            );
        }
        (None, Some(other)) => Err(CallId::new(other)),
        (None, None) | (Some(_), Some(_)) => {
            return nowhere("name a target, or another call as into");
        }
    };
    let has_to_be_said =
        body.has_second_leg() && (body.announce.is_some() || body.mode == Mode::Warm);
    if has_to_be_said && !control.config.has_a_voice() {
        let what = "nothing can be said to whoever is called: no agent here has a voice";
        return problem(StatusCode::CONFLICT, "the call cannot be announced", what);
    }
    let Some(_waiting) = patience.ask() else {
        return too_many_wait();
    };
    let has_second_leg = body.has_second_leg();
    let outcome = match target {
        Ok(target) if has_second_leg => {
            let (reply, outcome) = oneshot::channel();
            let request = Box::new(body.request(target, headers));
            let asked = with_call(&control, id, CallControl::Consult(request, reply)).await;
            match asked {
                Ok(()) => outcome.await.ok(),
                Err(problem) => return problem,
            }
        }
        target => match refer(&control, id, target, body, headers).await {
            Ok(outcome) => outcome,
            Err(problem) => return problem,
        },
    };
    match outcome {
        Some(TransferOutcome::Impossible) | None if has_second_leg => {
            problem(StatusCode::CONFLICT, "not now", NOT_TRIED)
        }
        Some(TransferOutcome::Impossible) | None => {
            problem(StatusCode::CONFLICT, "not now", NotControlled::WrongState)
        }
        Some(outcome) => Json(TransferAnswer {
            outcome: outcome.as_str(),
            sip_status: outcome.sip_status(),
        })
        .into_response(),
    }
}

/// Has the far end sent to a target, or into another call, and waits for what it says of that.
async fn refer(
    control: &Control,
    id: String,
    target: Result<String, CallId>,
    body: TransferBody,
    headers: Vec<(String, String)>,
) -> Result<Option<TransferOutcome>, Response> {
    let mut plan = TransferPlan {
        target: Pii::new(String::new()),
        timeout: body.timeout(),
        referred_by: body.referred_by.map(Pii::new),
        wait: body.wait,
        headers,
    };
    let (watcher, outcome) = oneshot::channel();
    let command = match target {
        Err(other) => CallControl::TransferInto(other, plan, watcher),
        Ok(target) => {
            plan.target = Pii::new(target);
            CallControl::Transfer(plan, watcher)
        }
    };
    with_call(control, id, command).await?;
    Ok(outcome.await.ok())
}
