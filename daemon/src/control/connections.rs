//! The listener's connections: how many at once, and for how long.
//!
//! Whoever reaches the listener can open connections and leave them, or ask and read by halves. So there are
//! [`CONNECTIONS`] at most, one more is closed as soon as it is accepted, and each serves one request within
//! [`REQUEST_TIME`]. Only an answer that waits for a call may take longer, and of those there are
//! [`WAITING`] at most, so that the others are still answered.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Most connections at once.
pub(super) const CONNECTIONS: usize = 64;
/// From a connection's first moment to the last byte of its answer.
pub(super) const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Most answers at once that wait for something of a call.
pub(super) const WAITING: usize = 32;
/// Where the kernel has no descriptor to spare, asking again at once would only burn the processor.
const AFTER_AN_ERROR: Duration = Duration::from_millis(100);

/// Answers requests until `stop` is done; those that began before are finished.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) if connections.len() < CONNECTIONS => {
                connections.spawn(answer(stream, router.clone()));
            }
            Ok(_) => tracing::debug!("an HTTP connection is closed: {CONNECTIONS} are open"),
            Err(error) => {
                tracing::debug!(%error, "an HTTP connection could not be accepted");
                sleep(AFTER_AN_ERROR).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Answers one request. What goes wrong is the asker's to notice.
async fn answer(stream: TcpStream, router: Router) {
    let patience = Patience::default();
    let router = router.layer(Extension(patience.clone()));
    let conversation = http1::Builder::new()
        // The time is counted for a connection, so it has one request.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut conversation = pin!(conversation);
    while timeout(REQUEST_TIME, conversation.as_mut()).await.is_err() {
        if !patience.is_asked_for() {
            return;
        }
    }
}

/// Whether the answer on a connection waits for something that takes its time.
#[derive(Clone, Debug, Default)]
pub(super) struct Patience(Arc<AtomicBool>);

impl Patience {
    /// Asks for it, until what is returned is dropped. `None` when too many wait already.
    pub(super) fn ask(&self) -> Option<Waiting> {
        static WAITERS: Semaphore = Semaphore::const_new(WAITING);
        let permit = WAITERS.try_acquire().ok()?;
        self.0.store(true, Ordering::Relaxed);
        Some(Waiting {
            patience: self.clone(),
            _permit: permit,
        })
    }

    fn is_asked_for(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// An answer that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    patience: Patience,
    _permit: SemaphorePermit<'static>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.patience.0.store(false, Ordering::Relaxed);
    }
}
