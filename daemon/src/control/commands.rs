//! What the HTTP listener can have done: calls made, ended, held and sent elsewhere; and how trunks are.
//!
//! | path | what it does |
//! |---|---|
//! | `POST /v1/calls` | calls somebody; `wait` says how long the answer takes |
//! | `DELETE /v1/calls/{id}` | ends a call |
//! | `POST /v1/calls/{id}/hangup` | the same, with headers for the BYE |
//! | `POST /v1/calls/{id}/hold`, `/resume` | holds the far end, or takes it off hold |
//! | `POST /v1/calls/{id}/bridge`, `/part` | joins the call to another, parts them, see `bridge` |
//! | `POST /v1/calls/{id}/digits` | presses keys towards the far end, see `keys` |
//! | `POST /v1/calls/{id}/transfer` | sends the far end elsewhere, and answers with what became of it, see `transfers` |
//! | `POST /v1/calls/{id}/capture` | begins or stops to note everything it sends and receives (see `capture`) |
//! | `GET /v1/trunks` | how the trunks are |
//! | `GET /v1/route` | which trunk and agent a call would get |
//!
//! Bodies are JSON and said to be so: a web page cannot make a browser send that to another origin without
//! asking first, and nobody here says yes. Errors are problem documents (RFC 9457).

use std::net::IpAddr;
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use offhook_session::agent_session::{CallId, EndReason};
use offhook_session::call::admission::Refusal;
use offhook_session::pii::Pii;
use offhook_sip::endpoint::is_settable_header;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::Control;
use super::connections::Patience;
use super::voicemail::VoicemailBody;
use crate::config::{AgentName, TrunkName};
use crate::sip_driver::command::{CallControl, Command, NewCall, NotControlled, NotPlaced};
use crate::voicemail::CallVoicemail;

/// A problem document.
#[derive(Debug, Serialize)]
struct Problem {
    title: &'static str,
    status: u16,
    detail: String,
}

pub(super) fn problem(status: StatusCode, title: &'static str, detail: impl ToString) -> Response {
    let body = Problem {
        title,
        status: status.as_u16(),
        detail: detail.to_string(),
    };
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, kind, Json(body)).into_response()
}

/// The signalling task is gone: the daemon ends.
pub(super) fn ending() -> Response {
    problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "the daemon is ending",
        "it is ending and takes no more commands",
    )
}

/// The body of `POST /v1/calls`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CallBody {
    to: String,
    from: Option<String>,
    #[serde(default)]
    private: bool,
    trunk: Option<String>,
    agent: String,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    ring_timeout_s: Option<u32>,
    voicemail: Option<VoicemailBody>,
    #[serde(default)]
    wait: Wait,
}

/// When `POST /v1/calls` answers.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Wait {
    /// When the call has begun.
    #[default]
    Begun,
    /// When it is answered, or over.
    Answered,
    /// When it is over.
    Ended,
}

/// Headers to be set, if they can be.
pub(super) fn headers_of(
    headers: std::collections::BTreeMap<String, String>,
) -> Result<Vec<(String, String)>, String> {
    match headers.keys().find(|name| !is_settable_header(name)) {
        Some(name) => Err(format!("headers: {name} cannot be set")),
        None => Ok(headers.into_iter().collect()),
    }
}

/// The answer to `POST /v1/calls`.
#[derive(Debug, Serialize)]
struct CallAnswer {
    id: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sip_status: Option<u16>,
    /// Of a call that is over: whether it was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<bool>,
}

impl CallAnswer {
    fn begun(id: &CallId, state: &'static str) -> Self {
        Self {
            id: id.as_str().to_owned(),
            state,
            reason: None,
            sip_status: None,
            answered: None,
        }
    }

    fn ended(id: &CallId, reason: Option<&EndReason>, answered: bool) -> Self {
        Self {
            answered: Some(answered),
            reason: reason.map(|reason| reason.cause.as_str()),
            sip_status: reason.and_then(|reason| reason.sip_status),
            ..Self::begun(id, "ended")
        }
    }
}

pub(super) async fn place_call(
    State(control): State<Control>,
    Extension(patience): Extension<Patience>,
    body: Result<Json<CallBody>, JsonRejection>,
) -> Response {
    let body = match body {
        Ok(Json(body)) => body,
        Err(error) => return unread(&error),
    };
    let wait = body.wait;
    let waiting = match wait {
        Wait::Begun => None,
        Wait::Answered | Wait::Ended => match patience.ask() {
            Some(waiting) => Some(waiting),
            None => return too_many_wait(),
        },
    };
    let (answered, mut is_answered) = oneshot::channel();
    let (ended, is_ended) = oneshot::channel();
    let new = match new_call(body, answered, ended) {
        Ok(new) => new,
        Err(what) => return problem(StatusCode::BAD_REQUEST, "the call cannot be made", what),
    };
    let has_a_text = matches!(
        &new.voicemail,
        Some(CallVoicemail::On { text: Some(_), .. })
    );
    if has_a_text && !control.config.has_a_voice() {
        let what = "nothing can be said to a machine: no agent here has a voice";
        return problem(StatusCode::CONFLICT, "the message cannot be left", what);
    }
    let (reply, placed) = oneshot::channel();
    let command = Command::Place(Box::new(new), reply);
    if control.commands.send(command).await.is_err() {
        return ending();
    }
    let id = match placed.await {
        Ok(Ok(id)) => id,
        Ok(Err(error)) => return problem(status_of(&error), "the call was not begun", error),
        Err(_) => return ending(),
    };
    let answer = match wait {
        Wait::Begun => CallAnswer::begun(&id, "calling"),
        Wait::Answered => match (&mut is_answered).await {
            Ok(()) => CallAnswer::begun(&id, "talking"),
            // Its sender is dropped when the call is over.
            Err(_) => CallAnswer::ended(&id, is_ended.await.ok().as_ref(), false),
        },
        Wait::Ended => {
            let reason = is_ended.await.ok();
            CallAnswer::ended(&id, reason.as_ref(), is_answered.try_recv().is_ok())
        }
    };
    drop(waiting);
    (StatusCode::CREATED, Json(answer)).into_response()
}

pub(super) fn too_many_wait() -> Response {
    let what = "too many answers wait for calls already; ask without wait";
    problem(StatusCode::SERVICE_UNAVAILABLE, "not now", what)
}

fn new_call(
    body: CallBody,
    answered: oneshot::Sender<()>,
    ended: oneshot::Sender<EndReason>,
) -> Result<NewCall, String> {
    let agent: AgentName = body
        .agent
        .parse()
        .map_err(|error| format!("agent: {error}"))?;
    let trunk: Option<TrunkName> = match body.trunk {
        Some(trunk) => Some(trunk.parse().map_err(|error| format!("trunk: {error}"))?),
        None => None,
    };
    let voicemail = body.voicemail.map(VoicemailBody::of_call).transpose()?;
    Ok(NewCall {
        to: Pii::new(body.to),
        from: body.from.map(Pii::new),
        is_private: body.private,
        trunk,
        agent,
        headers: headers_of(body.headers)?,
        voicemail,
        ring_timeout: body
            .ring_timeout_s
            .map(|seconds| Duration::from_secs(u64::from(seconds.clamp(1, 600)))),
        answered: Some(answered),
        ended: Some(ended),
    })
}

fn status_of(error: &NotPlaced) -> StatusCode {
    match error {
        NotPlaced::UnknownTrunk(_)
        | NotPlaced::WhichTrunk
        | NotPlaced::UnknownAgent(_)
        | NotPlaced::NoMessage
        | NotPlaced::BadAddress(_) => StatusCode::BAD_REQUEST,
        NotPlaced::Refused(Refusal::NumberNotAllowed) => StatusCode::FORBIDDEN,
        NotPlaced::Refused(_) | NotPlaced::TrunkDown(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Asks for something to be done with a call; 204 when it was.
pub(super) async fn with_call(
    control: &Control,
    id: String,
    what: CallControl,
) -> Result<(), Response> {
    let (reply, done) = oneshot::channel();
    let command = Command::Control(CallId::new(id), what, reply);
    if control.commands.send(command).await.is_err() {
        return Err(ending());
    }
    match done.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error @ NotControlled::UnknownCall)) => {
            Err(problem(StatusCode::NOT_FOUND, "no such call", error))
        }
        Ok(Err(
            error @ (NotControlled::WrongState
            | NotControlled::NoReplaces
            | NotControlled::NotRecorded),
        )) => Err(problem(StatusCode::CONFLICT, "not now", error)),
        Ok(Err(error @ NotControlled::TooManyCaptures)) => {
            Err(problem(StatusCode::SERVICE_UNAVAILABLE, "not now", error))
        }
        Err(_) => Err(ending()),
    }
}

/// A body that is no JSON, or not said to be, or says something else than it should.
pub(super) fn unread(error: &JsonRejection) -> Response {
    problem(error.status(), "the body cannot be read", error)
}

pub(super) fn done(outcome: Result<(), Response>) -> Response {
    match outcome {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(problem) => problem,
    }
}

pub(super) async fn hang_up(State(control): State<Control>, Path(id): Path<String>) -> Response {
    done(with_call(&control, id, CallControl::HangUp(Vec::new())).await)
}

/// The body of `POST /v1/calls/{id}/hangup`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HangUpBody {
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
}

pub(super) async fn hang_up_with(
    State(control): State<Control>,
    Path(id): Path<String>,
    body: Result<Json<HangUpBody>, JsonRejection>,
) -> Response {
    let body = match body {
        Ok(Json(body)) => body,
        Err(error) => return unread(&error),
    };
    let headers = match headers_of(body.headers) {
        Ok(headers) => headers,
        Err(what) => return problem(StatusCode::BAD_REQUEST, "the call cannot be ended so", what),
    };
    done(with_call(&control, id, CallControl::HangUp(headers)).await)
}

/// A body that says nothing; its type is what keeps web pages of others out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

pub(super) async fn hold(
    State(control): State<Control>,
    Path(id): Path<String>,
    body: Result<Json<Nothing>, JsonRejection>,
) -> Response {
    set_hold(control, id, body, true).await
}

pub(super) async fn resume(
    State(control): State<Control>,
    Path(id): Path<String>,
    body: Result<Json<Nothing>, JsonRejection>,
) -> Response {
    set_hold(control, id, body, false).await
}

async fn set_hold(
    control: Control,
    id: String,
    body: Result<Json<Nothing>, JsonRejection>,
    hold: bool,
) -> Response {
    if let Err(error) = body {
        return unread(&error);
    }
    done(with_call(&control, id, CallControl::Hold(hold)).await)
}

#[derive(Debug, Serialize)]
struct TrunkEntry {
    name: String,
    address: Option<String>,
    calls: usize,
    health: &'static str,
    registration: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    registered_for_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_failure: Option<String>,
}

pub(super) async fn list_trunks(State(control): State<Control>) -> Response {
    use crate::sip_driver::command::RegistrationState;
    let (reply, reports) = oneshot::channel();
    if control.commands.send(Command::Trunks(reply)).await.is_err() {
        return ending();
    }
    let Ok(reports) = reports.await else {
        return ending();
    };
    let entries: Vec<TrunkEntry> = reports
        .into_iter()
        .map(|report| TrunkEntry {
            name: report.name.to_string(),
            address: report.address,
            calls: report.calls,
            health: report.health.as_str(),
            registration: report.registration.as_str(),
            registered_for_s: match &report.registration {
                RegistrationState::Registered { expires } => Some(expires.as_secs()),
                RegistrationState::NotWanted
                | RegistrationState::Trying
                | RegistrationState::Failed { .. } => None,
            },
            registration_failure: match report.registration {
                RegistrationState::Failed { why } => Some(why),
                RegistrationState::NotWanted
                | RegistrationState::Trying
                | RegistrationState::Registered { .. } => None,
            },
        })
        .collect();
    Json(serde_json::json!({ "trunks": entries })).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteQuery {
    /// The user that is called.
    to: String,
    /// The address that the call would come from.
    from: IpAddr,
}

/// What would become of a call, and why.
#[derive(Debug, Serialize)]
struct RouteAnswer {
    trunk: Option<String>,
    agent: Option<String>,
    because: &'static str,
}

pub(super) async fn test_route(
    State(control): State<Control>,
    query: Result<Query<RouteQuery>, QueryRejection>,
) -> Response {
    let query = match query {
        Ok(Query(query)) => query,
        Err(error) => return problem(error.status(), "the query cannot be read", error),
    };
    let config = &control.config;
    let Some(trunk) = config.trunk_for(query.from) else {
        let because = "no trunk's inbound_from holds the address: it gets no answer";
        return Json(RouteAnswer {
            trunk: None,
            agent: None,
            because,
        })
        .into_response();
    };
    let agent = config.route(&trunk.name, &query.to);
    Json(RouteAnswer {
        trunk: Some(trunk.name.to_string()),
        agent: agent.map(ToString::to_string),
        because: if agent.is_some() {
            "the first route that fits"
        } else {
            "no route fits: 404"
        },
    })
    .into_response()
}
