//! The daemon at work: starts what a configuration asks for, runs until it is told to stop, drains.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinError;

use crate::config::Config;
use crate::control::{CallDirectory, Control};
use crate::descriptor_limit;
use crate::listeners::Listeners;
use crate::telemetry::Telemetry;
use crate::telemetry::health::Health;
use crate::telemetry::service_manager::ServiceManager;

/// Why the daemon ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The runtime, a thread or a signal handler could not be had.
    #[error("cannot start: {0}")]
    Start(#[source] io::Error),
    /// The HTTP listener failed.
    #[error("the HTTP listener ended: {0}")]
    Control(#[source] io::Error),
}

/// Answers calls until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// See [`ServiceError`].
pub fn run(
    config: Config,
    listeners: Listeners,
    telemetry: &Telemetry,
) -> Result<(), ServiceError> {
    match descriptor_limit::raise() {
        Ok(limit) => {
            if let Some(shortage) = descriptor_limit::shortage(limit, config.limits.calls) {
                tracing::warn!("{shortage}");
            }
        }
        Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised"),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(ServiceError::Start)?;
    runtime.block_on(serve(config, listeners, telemetry))
}

async fn serve(
    config: Config,
    listeners: Listeners,
    telemetry: &Telemetry,
) -> Result<(), ServiceError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServiceError::Start)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServiceError::Start)?;
    // Unheard, it would end the daemon and every call with it.
    let mut hang_up = signal(SignalKind::hangup()).map_err(ServiceError::Start)?;
    let health = Arc::new(Health::new(Instant::now()));
    let calls = Arc::new(CallDirectory::default());
    let manager = ServiceManager::default();

    let control = Control {
        health: Arc::clone(&health),
        calls: Arc::clone(&calls),
        metrics: telemetry.metrics.clone(),
    };
    let control_address = listeners.control_address();
    let (stop_control, control_stopped) = oneshot::channel::<()>();
    let mut control = tokio::spawn(control.serve(listeners.control, async {
        // A dropped sender asks for the stop just as well.
        let _ = control_stopped.await;
    }));

    let _watchdog = manager
        .start_watchdog(Arc::clone(&health))
        .map_err(ServiceError::Start)?;
    manager.ready("answering calls");
    tracing::info!(control = %control_address, "ready");

    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => {
                tracing::warn!("reading the configuration again is not built yet; it stays as it was");
            }
            ended = &mut control => return ended_with(ended),
        }
    }

    health.start_draining();
    manager.stopping("draining");
    tracing::info!(calls = calls.len(), timeout = ?config.drain.timeout, "draining");

    drop(stop_control);
    ended_with(control.await)
}

/// How the HTTP listener's task ended.
fn ended_with(task: Result<io::Result<()>, JoinError>) -> Result<(), ServiceError> {
    let result = task.unwrap_or_else(|panic| Err(io::Error::other(panic)));
    result.map_err(ServiceError::Control)
}
