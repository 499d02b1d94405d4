//! `POST /v1/calls/{id}/recording`: pauses a call's recording, or takes that back.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::{Json, Response};
use serde::Deserialize;

use super::Control;
use super::commands::{done, problem, with_call};
use crate::sip_driver::command::CallControl;

/// What is asked for. Pauses are not counted: one resume takes them all back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordingBody {
    paused: bool,
}

/// 204 when the session was told; both sides are silence in the file from its next turn on, some milliseconds later.
pub(super) async fn pause(
    State(control): State<Control>,
    Path(id): Path<String>,
    body: Result<Json<RecordingBody>, JsonRejection>,
) -> Response {
    match body {
        Ok(Json(body)) => {
            done(with_call(&control, id, CallControl::PauseRecording(body.paused)).await)
        }
        Err(error) => problem(error.status(), "the body cannot be read", error),
    }
}
