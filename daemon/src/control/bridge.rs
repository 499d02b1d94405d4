//! `POST /v1/calls/{id}/bridge` and `/part`: two calls joined, and parted.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::{Json, Response};
use offhook_session::agent_session::{AgentInBridge, CallId};
use serde::Deserialize;

use super::Control;
use super::commands::{Nothing, done, unread, with_call};
use crate::sip_driver::command::CallControl;

/// The body of `POST /v1/calls/{id}/bridge`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BridgeBody {
    /// The other call.
    with: String,
    #[serde(default)]
    agents: Agents,
}

/// What becomes of the agents of calls that are joined.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Agents {
    /// They hear nothing and say nothing until the calls part.
    #[default]
    StandAside,
    /// They take part.
    Stay,
    /// They leave: their sessions are over, the calls go on.
    Leave,
}

impl From<Agents> for AgentInBridge {
    fn from(agents: Agents) -> Self {
        match agents {
            Agents::StandAside => Self::StandsAside,
            Agents::Stay => Self::Stays,
            Agents::Leave => Self::Leaves,
        }
    }
}

pub(super) async fn join(
    State(control): State<Control>,
    Path(id): Path<String>,
    body: Result<Json<BridgeBody>, JsonRejection>,
) -> Response {
    let body = match body {
        Ok(Json(body)) => body,
        Err(error) => return unread(&error),
    };
    let bridge = CallControl::Bridge(CallId::new(body.with), body.agents.into());
    done(with_call(&control, id, bridge).await)
}

pub(super) async fn part(
    State(control): State<Control>,
    Path(id): Path<String>,
    body: Result<Json<Nothing>, JsonRejection>,
) -> Response {
    match body {
        Ok(_) => done(with_call(&control, id, CallControl::Part).await),
        Err(error) => unread(&error),
    }
}
