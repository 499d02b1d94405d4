//! The HTTP listener.
//!
//! | path | what it is |
//! |---|---|
//! | `/healthz` | 200 while the process answers at all |
//! | `/readyz` | 200 when calls may be sent here; 503 with one reason a line otherwise |
//! | `/metrics` | Prometheus' text format |
//! | `/v1/calls` | the live calls as JSON |
//! | `/v1/calls/{id}` | one of them |
//! | `/` | a page that lists calls and trunks |
//!
//! What can be done is in `commands` and `recording`. Whoever reaches the listener may read and do everything, so it
//! listens on loopback unless the configuration says otherwise, and answers only by names that are its own.

mod bridge;
mod call_directory;
mod capture;
mod commands;
mod connections;
mod host;
mod keys;
mod messages;
mod recording;
mod transfers;
mod voicemail;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use serde::{Deserialize, Serialize};

pub use call_directory::{CallDirectory, CallState, LiveCall};

use tokio::sync::mpsc;

use commands::problem;
use messages::MessageEntry;
use voicemail::VerdictEntry;

use crate::captures::Captures;
use crate::config::Config;
use crate::media_driver::{CallQuality, DirectionQuality};
use crate::sip_driver::command::{Command, NotControlled};
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

const PAGE: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/console.css");
const SCRIPT: &str = include_str!("page/console.js");

/// A page of ours runs our script and nothing else, wherever a string in it came from.
const HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// How many calls one answer lists unless it is asked for fewer.
const CALLS_LISTED: usize = 500;
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// What the listener shows.
#[derive(Clone, Debug)]
pub struct Control {
    /// Whether calls may be sent here.
    pub health: Arc<Health>,
    /// The live calls.
    pub calls: Arc<CallDirectory>,
    /// The metrics.
    pub metrics: Metrics,
    /// What calls are routed by.
    pub config: Arc<Config>,
    /// To the signalling task.
    pub commands: mpsc::Sender<Command>,
    /// What is kept of calls that are captured.
    pub captures: Arc<Captures>,
    /// The names it is reached by, besides addresses and localhost.
    pub names: Arc<[String]>,
}

impl Control {
    /// Answers requests on `listener` until `stop` is done; requests that began before are finished.
    ///
    /// # Errors
    /// When the runtime cannot watch the listener.
    pub async fn serve(
        self,
        listener: std::net::TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let metrics = self.metrics.clone();
        let upkeep = async move {
            let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
            loop {
                ticks.tick().await;
                metrics.upkeep();
            }
        };
        tokio::select! {
            () = connections::serve(listener, self.router(), stop) => {}
            () = upkeep => {}
        }
        Ok(())
    }

    fn router(self) -> Router {
        let check_host = middleware::from_fn_with_state(Arc::clone(&self.names), host::check);
        Router::new()
            .route(
                "/",
                get(|| async { ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], PAGE) }),
            )
            .route(
                "/console.css",
                get(|| async { ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE) }),
            )
            .route(
                "/console.js",
                get(|| async {
                    (
                        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")],
                        SCRIPT,
                    )
                }),
            )
            .route("/healthz", get(|| async { "alive\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .route("/v1/calls", get(list_calls).post(commands::place_call))
            .route("/v1/calls/{id}", get(show_call).delete(commands::hang_up))
            .route("/v1/calls/{id}/hangup", post(commands::hang_up_with))
            .route("/v1/calls/{id}/hold", post(commands::hold))
            .route("/v1/calls/{id}/resume", post(commands::resume))
            .route("/v1/calls/{id}/bridge", post(bridge::join))
            .route("/v1/calls/{id}/part", post(bridge::part))
            .route("/v1/calls/{id}/digits", post(keys::press))
            .route("/v1/calls/{id}/recording", post(recording::pause))
            .route("/v1/calls/{id}/transfer", post(transfers::transfer))
            .route(
                "/v1/calls/{id}/capture",
                get(capture::save).post(capture::set),
            )
            .route("/v1/trunks", get(commands::list_trunks))
            .route("/v1/route", get(commands::test_route))
            .layer(check_host)
            .layer(middleware::map_response(|response: Response| async {
                (HEADERS, response)
            }))
            .with_state(self)
    }
}

async fn readyz(State(control): State<Control>) -> (StatusCode, String) {
    let reasons = control.health.unready(Instant::now());
    if reasons.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let text = reasons.iter().map(|reason| format!("{reason}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, text)
}

async fn metrics(State(control): State<Control>) -> impl IntoResponse {
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        control.metrics.render(),
    )
}

#[derive(Deserialize)]
struct ListQuery {
    limit: Option<usize>,
}

/// The answer to `GET /v1/calls`.
#[derive(Debug, Serialize)]
struct CallList<'a> {
    /// How many calls are up, listed or not.
    count: usize,
    draining: bool,
    /// The oldest first.
    calls: Vec<CallEntry<'a>>,
}

#[derive(Debug, Serialize)]
struct CallEntry<'a> {
    id: &'a str,
    direction: &'static str,
    from: &'a str,
    to: &'a str,
    trunk: &'a str,
    agent: &'a str,
    state: &'static str,
    /// The call that it is joined to.
    #[serde(skip_serializing_if = "Option::is_none")]
    bridged_with: Option<&'a str>,
    /// Who answered, where that is found out and clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    voicemail: Option<VerdictEntry>,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    started_ms: u64,
    /// Milliseconds since the call began.
    duration_ms: u64,
    /// What the caller left, the newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<MessageEntry<'a>>,
    /// How it sounds, by the last report; figures that nobody knows are left out.
    quality: QualityEntry,
}

/// How a call sounds.
#[derive(Debug, Serialize)]
struct QualityEntry {
    /// The far end's voice, here.
    heard: DirectionEntry,
    /// Ours, there, as the far end's RTCP says.
    sent: DirectionEntry,
    #[serde(skip_serializing_if = "Option::is_none")]
    round_trip_ms: Option<f64>,
    /// RTCP packets of the far end's.
    reports_heard: u32,
}

#[derive(Debug, Serialize)]
struct DirectionEntry {
    /// By the E-model, 1 to 4.5, since the report before.
    #[serde(skip_serializing_if = "Option::is_none")]
    mos: Option<f64>,
    /// The same of the whole call.
    #[serde(skip_serializing_if = "Option::is_none")]
    mos_of_call: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loss_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter_ms: Option<f64>,
}

impl QualityEntry {
    fn of(quality: &CallQuality) -> Self {
        Self {
            heard: DirectionEntry::of(&quality.heard),
            sent: DirectionEntry::of(&quality.sent),
            round_trip_ms: quality.round_trip.map(fractional_ms),
            reports_heard: quality.reports_heard,
        }
    }
}

impl DirectionEntry {
    fn of(quality: &DirectionQuality) -> Self {
        Self {
            mos: quality.mos,
            mos_of_call: quality.mos_of_call,
            loss_percent: quality.loss_percent,
            jitter_ms: quality.jitter.map(fractional_ms),
        }
    }
}

fn fractional_ms(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000.0
}

impl<'a> CallEntry<'a> {
    fn of(call: &'a LiveCall, now: Instant) -> Self {
        let since_1970 = call
            .started_at
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            id: &call.id,
            direction: call.direction.as_str(),
            from: call.from.expose(),
            to: call.to.expose(),
            trunk: &call.trunk,
            agent: &call.agent,
            state: call.state.as_str(),
            bridged_with: call.bridged_with.as_deref(),
            voicemail: call.verdict.as_deref().map(VerdictEntry::of),
            started_ms: milliseconds(since_1970),
            duration_ms: milliseconds(now.saturating_duration_since(call.started)),
            messages: call
                .messages
                .iter()
                .map(|left| MessageEntry::of(left))
                .collect(),
            quality: QualityEntry::of(&call.quality.read()),
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

async fn show_call(State(control): State<Control>, Path(id): Path<String>) -> Response {
    match control.calls.get(&id) {
        Some(call) => Json(CallEntry::of(&call, Instant::now())).into_response(),
        None => problem(
            StatusCode::NOT_FOUND,
            "no such call",
            NotControlled::UnknownCall,
        ),
    }
}

async fn list_calls(
    State(control): State<Control>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Response {
    let query = match query {
        Ok(Query(query)) => query,
        Err(error) => return problem(error.status(), "the query cannot be read", error),
    };
    let most = query.limit.unwrap_or(CALLS_LISTED).min(CALLS_LISTED);
    let (count, calls) = control.calls.oldest(most);
    let now = Instant::now();
    let calls = calls.iter().map(|call| CallEntry::of(call, now)).collect();
    Json(CallList {
        count,
        draining: control.health.is_draining(),
        calls,
    })
    .into_response()
}

#[cfg(test)]
mod tests;
