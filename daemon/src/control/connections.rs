//! The listener's connections: how many at once, and for how long.
//!
//! Whoever reaches the listener can open connections and leave them, or ask and read by halves. So there are
//! [`CONNECTIONS`] at most, one more is closed as soon as it is accepted, and each serves one request within
//! [`REQUEST_TIME`].

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Most connections at once.
pub(super) const CONNECTIONS: usize = 64;
/// From a connection's first moment to the last byte of its answer.
pub(super) const REQUEST_TIME: Duration = Duration::from_secs(10);
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
    let conversation = http1::Builder::new()
        // The time is counted for a connection, so it has one request.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let _ = timeout(REQUEST_TIME, conversation).await;
}
