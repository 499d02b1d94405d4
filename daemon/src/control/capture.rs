//! Captures over HTTP: begun and stopped, and fetched as a pcap file, also for a while after the call.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use offhook_session::agent_session::CallId;
use serde::Deserialize;

use super::Control;
use super::commands::{done, problem, with_call};
use crate::sip_driver::command::CallControl;

/// How many packets the file lacks: older ones that made room, and those that were lost on their way.
const DROPPED: HeaderName = HeaderName::from_static("offhook-packets-dropped");
/// How many it has.
const PACKETS: HeaderName = HeaderName::from_static("offhook-packets");

/// The body of `POST /v1/calls/{id}/capture`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaptureBody {
    /// Whether to begin, or to stop.
    #[serde(default = "yes")]
    on: bool,
}

const fn yes() -> bool {
    true
}

pub(super) async fn set(
    State(control): State<Control>,
    Path(id): Path<String>,
    body: Result<Json<CaptureBody>, JsonRejection>,
) -> Response {
    match body {
        Ok(Json(body)) => done(with_call(&control, id, CallControl::Capture(body.on)).await),
        Err(error) => problem(error.status(), "the body cannot be read", error),
    }
}

pub(super) async fn save(State(control): State<Control>, Path(id): Path<String>) -> Response {
    match control.captures.save(&CallId::new(id)).await {
        Some(saved) => {
            let headers = [
                (
                    header::CONTENT_TYPE,
                    "application/vnd.tcpdump.pcap".to_owned(),
                ),
                (PACKETS, saved.packets.to_string()),
                (DROPPED, saved.dropped.to_string()),
            ];
            (headers, saved.file).into_response()
        }
        None => problem(
            StatusCode::NOT_FOUND,
            "no capture",
            "nothing is kept of such a call",
        ),
    }
}
