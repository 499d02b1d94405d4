//! Webhooks over HTTP/1.1: one connection a request, TLS where the URL says so.
//!
//! ```text
//! ask ─► a place (64) ─► look-up ─► connection ─► TLS ─► request ─► answer, 64 KiB at most
//!            └ none: it fails at once            └──── one deadline over all of it ────┘
//! ```
//!
//! Nothing of a request or an answer reaches an error's words: they may hold what belongs to people.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode, Uri, header};
use futures_util::StreamExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use metrics::counter;
use offhook_session::provider::{ProviderError, WebhookRequest, Webhooks};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::telemetry::metrics::WEBHOOKS;
use crate::tls;

/// How long one address of several may take to be connected to.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(1);
/// How many webhooks are asked at once.
const AT_ONCE: usize = 64;
/// The longest body that is read.
const LONGEST_ANSWER: usize = 64 << 10;
/// The longest head that is read.
const LONGEST_HEAD: usize = 16 << 10;

/// Asks webhooks, for all calls.
#[derive(Clone)]
pub struct HttpWebhooks {
    places: Arc<Semaphore>,
    tls: TlsConnector,
}

impl std::fmt::Debug for HttpWebhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpWebhooks").finish_non_exhaustive()
    }
}

/// Where a request goes.
struct Target {
    is_tls: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
}

impl HttpWebhooks {
    /// Believes the authorities that this machine believes.
    #[must_use]
    pub fn new() -> Self {
        Self::with_connector(tls::anonymous_connector(tls::system_authorities()))
    }

    fn with_connector(tls: TlsConnector) -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE)),
            tls,
        }
    }

    async fn exchange(
        &self,
        request: WebhookRequest,
        place: OwnedSemaphorePermit,
    ) -> Result<Vec<u8>, ProviderError> {
        let (target, request) = prepare(request)?;
        let (addresses, _place) = look_up(&target, place).await?;
        let stream = connect(&addresses).await?;
        if !target.is_tls {
            return send(stream, request).await;
        }
        let name = ServerName::try_from(target.host)
            .map_err(|_| ProviderError::Refused("the host is no name for TLS".into()))?;
        let stream = self.tls.connect(name, stream).await.map_err(unreachable)?;
        send(stream, request).await
    }
}

impl Default for HttpWebhooks {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Webhooks for HttpWebhooks {
    async fn ask(&self, request: WebhookRequest) -> Result<Vec<u8>, ProviderError> {
        let deadline = request.deadline;
        let answer = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => timeout(deadline, self.exchange(request, place))
                .await
                .unwrap_or(Err(ProviderError::TimedOut(deadline))),
            Err(_) => Err(ProviderError::Overloaded(AT_ONCE)),
        };
        let outcome = match &answer {
            Ok(_) => "answered",
            Err(ProviderError::TimedOut(_)) => "timed_out",
            Err(ProviderError::Overloaded(_)) => "overloaded",
            Err(ProviderError::Refused(_)) => "refused",
            Err(ProviderError::Unavailable(_) | ProviderError::Died(_)) => "unavailable",
        };
        counter!(WEBHOOKS, "outcome" => outcome).increment(1);
        answer
    }
}

/// The request as hyper sends it.
fn prepare(request: WebhookRequest) -> Result<(Target, Request<Body>), ProviderError> {
    let malformed = || ProviderError::Refused("the URL is none".into());
    let url: Uri = request.url.expose().parse().map_err(|_| malformed())?;
    let is_tls = match url.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        Some(_) | None => return Err(malformed()),
    };
    let authority = url.authority().ok_or_else(malformed)?;
    let host = authority.host();
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let target = Target {
        is_tls,
        host: host.to_owned(),
        port: authority
            .port_u16()
            .unwrap_or(if is_tls { 443 } else { 80 }),
    };
    // A query alone has no slash before it.
    let path = match url.path_and_query().map_or("/", |path| path.as_str()) {
        path if path.starts_with('/') => path.to_owned(),
        query => format!("/{query}"),
    };
    let mut built = Request::builder()
        .method(request.method.as_str())
        .uri(path)
        .header(header::HOST, authority.as_str())
        .header(header::CONNECTION, "close");
    let sets = |name: &str| {
        let mut headers = request.headers.iter();
        headers.any(|(given, _)| given.eq_ignore_ascii_case(name))
    };
    if !sets("accept") {
        built = built.header(header::ACCEPT, "application/json");
    }
    if !sets("user-agent") {
        let us = concat!("offhook/", env!("CARGO_PKG_VERSION"));
        built = built.header(header::USER_AGENT, us);
    }
    for (name, value) in request.headers.iter() {
        built = built.header(name, value);
    }
    let body = match request.body {
        Some(body) => {
            built = built.header(header::CONTENT_TYPE, "application/json");
            Body::from(body.into_inner())
        }
        None => Body::empty(),
    };
    let request = built
        .body(body)
        .map_err(|_| ProviderError::Refused("the path or a header field is none".into()))?;
    Ok((target, request))
}

/// The system looks a name up in its own time, whoever still waits. The place goes with it, so that no more look-ups
/// hang than there are places.
async fn look_up(
    target: &Target,
    place: OwnedSemaphorePermit,
) -> Result<(Vec<SocketAddr>, OwnedSemaphorePermit), ProviderError> {
    let name = (target.host.clone(), target.port);
    let looking = tokio::spawn(async move {
        let found = tokio::net::lookup_host(name).await;
        (found.map(Iterator::collect), place)
    });
    let (found, place) = looking
        .await
        .map_err(|_| ProviderError::Died("the look-up ended by a fault".into()))?;
    Ok((found.map_err(unreachable)?, place))
}

/// An address that does not answer costs a second, unless it is the last: the others have their turn.
async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, ProviderError> {
    let Some((last, others)) = addresses.split_last() else {
        return Err(unreachable(io::ErrorKind::NotFound.into()));
    };
    for address in others {
        if let Ok(Ok(stream)) = timeout(ADDRESS_PATIENCE, TcpStream::connect(address)).await {
            return Ok(stream);
        }
    }
    TcpStream::connect(last).await.map_err(unreachable)
}

fn unreachable(error: io::Error) -> ProviderError {
    ProviderError::Unavailable(error.to_string())
}

/// Ends a connection with whoever waits for its answer.
struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Body>,
) -> Result<Vec<u8>, ProviderError> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(LONGEST_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // It carries both ways; what goes wrong in it is told to whoever waits for the answer.
    let _connection = Connection(tokio::spawn(connection).abort_handle());
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    if status.is_redirection() {
        let what = format!("status {}; redirections are not followed", status.as_u16());
        return Err(ProviderError::Refused(what));
    }
    if !status.is_success() {
        return Err(refused(status));
    }
    read(response.into_body()).await
}

async fn read(body: Incoming) -> Result<Vec<u8>, ProviderError> {
    let mut pieces = Body::new(body).into_data_stream();
    let mut answer = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece: Bytes =
            piece.map_err(|_| ProviderError::Died("the answer breaks off".into()))?;
        if answer.len() + piece.len() > LONGEST_ANSWER {
            let what = format!("the answer is longer than {LONGEST_ANSWER} bytes");
            return Err(ProviderError::Refused(what));
        }
        answer.extend_from_slice(&piece);
    }
    Ok(answer)
}

/// Hyper's own words: they tell what is wrong with the bytes, not what the bytes are.
fn broken(error: hyper::Error) -> ProviderError {
    ProviderError::Died(error.to_string())
}

fn refused(status: StatusCode) -> ProviderError {
    ProviderError::Refused(format!("status {}", status.as_u16()))
}

#[cfg(test)]
mod tests;
