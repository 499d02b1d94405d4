//! `POST /v1/calls/{id}/digits`: keys that are pressed towards a far end.

use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use offhook_session::agent_session::{DigitsSent, KeySequence, SendDtmfOptions};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::Control;
use super::commands::{ending, problem, too_many_wait, unread, with_call};
use super::connections::Patience;
use crate::sip_driver::command::CallControl;

/// The body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PressBody {
    digits: String,
    /// How long each is held, 40 to 1,300 ms.
    duration_ms: Option<u32>,
    /// Quiet behind each, 40 to 5,000 ms.
    gap_ms: Option<u32>,
    /// Whether the transcript masks them.
    #[serde(default)]
    sensitive: bool,
}

/// What became of them.
#[derive(Debug, Serialize)]
struct PressAnswer {
    outcome: &'static str,
    /// Where the call ended before: how many were pressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pressed: Option<usize>,
}

/// Answers when the last key was let go.
pub(super) async fn press(
    State(control): State<Control>,
    Extension(patience): Extension<Patience>,
    Path(id): Path<String>,
    body: Result<Json<PressBody>, JsonRejection>,
) -> Response {
    let body = match body {
        Ok(Json(body)) => body,
        Err(error) => return unread(&error),
    };
    let keys: KeySequence = match body.digits.parse() {
        Ok(keys) => keys,
        Err(error) => {
            let detail = format!("digits: {error}");
            return problem(
                StatusCode::BAD_REQUEST,
                "the keys cannot be pressed",
                detail,
            );
        }
    };
    let default = SendDtmfOptions::default();
    let time = |milliseconds: Option<u32>, default| {
        milliseconds.map_or(default, |ms| Duration::from_millis(u64::from(ms)))
    };
    let options = SendDtmfOptions {
        duration: time(body.duration_ms, default.duration),
        gap: time(body.gap_ms, default.gap),
        sensitive: body.sensitive,
    };
    let Some(_waiting) = patience.ask() else {
        return too_many_wait();
    };
    let (reply, sent) = oneshot::channel();
    if let Err(problem) = with_call(&control, id, CallControl::Press(keys, options, reply)).await {
        return problem;
    }
    let (outcome, pressed) = match sent.await {
        Ok(DigitsSent::All) => ("all", None),
        Ok(DigitsSent::CutShort { pressed }) => ("cut_short", Some(pressed)),
        Ok(DigitsSent::Refused) => {
            let what = "the call ends, or too many keys wait already";
            return problem(StatusCode::CONFLICT, "not now", what);
        }
        Err(_) => return ending(),
    };
    Json(PressAnswer { outcome, pressed }).into_response()
}
