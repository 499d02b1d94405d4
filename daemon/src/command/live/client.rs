//! One request to a running daemon, and its answer.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::address::ControlAddress;

/// How long a daemon may take to answer what it does at once. It gives up after ten seconds itself.
const AT_ONCE: Duration = Duration::from_secs(15);
/// The longest answer that is read.
const LONGEST_ANSWER: usize = 16 << 20;

/// Asks one daemon, one connection a request, as the daemon wants it.
#[derive(Debug)]
pub(super) struct Client {
    address: ControlAddress,
}

/// When an answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// As soon as the request was read.
    AtOnce,
    /// When something has become of a call: however long that takes.
    InItsTime,
}

/// Why there is no answer, or none that was hoped for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// Nobody has the port.
    #[error("nobody listens at {0} (is the daemon running?)")]
    NobodyListens(String),
    /// Whoever it is, is not a daemon that answers.
    #[error("{address} cannot be asked: {why}")]
    NoAnswer {
        /// Who was asked.
        address: String,
        /// What happened instead.
        why: String,
    },
    /// The daemon says no.
    #[error("{detail}")]
    Refused {
        /// Why, for people.
        detail: String,
        /// The problem document, where it is one.
        document: Option<String>,
    },
}

/// What we read of a problem document (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    title: String,
    detail: Option<String>,
}

impl Client {
    pub(super) const fn new(address: ControlAddress) -> Self {
        Self { address }
    }

    /// The body of the answer; empty where the daemon has nothing to say.
    pub(super) async fn get(&self, path: &str) -> Result<String, Failure> {
        self.ask(Method::GET, path, None, Answer::AtOnce).await
    }

    /// The same of an answer that is no text.
    pub(super) async fn get_bytes(&self, path: &str) -> Result<Vec<u8>, Failure> {
        self.ask_for_bytes(Method::GET, path, None, Answer::AtOnce)
            .await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<String, Failure> {
        self.ask(Method::DELETE, path, None, Answer::AtOnce).await
    }

    pub(super) async fn post(
        &self,
        path: &str,
        body: &serde_json::Value,
        answer: Answer,
    ) -> Result<String, Failure> {
        self.ask(Method::POST, path, Some(body.to_string()), answer)
            .await
    }

    /// An answer that cannot be read is not one of a daemon of ours.
    pub(super) fn read<'a, T: Deserialize<'a>>(&self, answer: &'a str) -> Result<T, Failure> {
        serde_json::from_str(answer)
            .map_err(|error| self.no_answer(format!("its answer is not offhook's: {error}")))
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        answer: Answer,
    ) -> Result<String, Failure> {
        let body = self.ask_for_bytes(method, path, body, answer).await?;
        String::from_utf8(body).map_err(|_| self.no_answer("its answer is no text"))
    }

    async fn ask_for_bytes(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        answer: Answer,
    ) -> Result<Vec<u8>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.to_string());
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(body.map_or_else(Body::empty, Body::from))
            .map_err(|error| self.no_answer(error))?;
        let stream = timeout(AT_ONCE, TcpStream::connect(self.address.target()))
            .await
            .map_err(|_| self.no_answer("it does not answer"))?
            .map_err(|error| self.not_connected(&error))?;
        let exchange = exchange(stream, request);
        let answered = match answer {
            Answer::AtOnce => timeout(AT_ONCE, exchange)
                .await
                .map_err(|_| self.no_answer("it does not answer"))?,
            Answer::InItsTime => exchange.await,
        };
        let (status, body) = answered.map_err(|why| self.no_answer(why))?;
        if status.is_success() {
            Ok(body)
        } else {
            let body = String::from_utf8_lossy(&body).into_owned();
            Err(refusal(status, body))
        }
    }

    fn not_connected(&self, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Failure::NobodyListens(self.address.to_string()),
            _ => self.no_answer(error),
        }
    }

    fn no_answer(&self, why: impl ToString) -> Failure {
        Failure::NoAnswer {
            address: self.address.to_string(),
            why: why.to_string(),
        }
    }
}

async fn exchange(
    stream: TcpStream,
    request: Request<Body>,
) -> Result<(StatusCode, Vec<u8>), String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    // It carries both ways; what goes wrong in it is told to whoever waits for the answer.
    tokio::spawn(connection);
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| error.to_string())?;
    let status = response.status();
    let body = axum::body::to_bytes(Body::new(response.into_body()), LONGEST_ANSWER)
        .await
        .map_err(|error| error.to_string())?;
    Ok((status, body.into()))
}

fn refusal(status: StatusCode, body: String) -> Failure {
    match serde_json::from_str::<Problem>(&body) {
        Ok(problem) => Failure::Refused {
            detail: problem.detail.unwrap_or(problem.title),
            document: Some(body),
        },
        Err(_) => Failure::Refused {
            detail: match body.lines().next() {
                Some(line) => format!("{line} ({status})"),
                None => format!("the daemon answers {status}"),
            },
            document: None,
        },
    }
}

/// Text of whoever types the command, as part of a path or a query.
pub(super) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_the_detail_of_its_document_and_else_what_was_answered() {
        let said = |body: &str| refusal(StatusCode::CONFLICT, body.to_owned()).to_string();
        assert_eq!(
            said(r#"{"title":"not now","status":409,"detail":"the call is not up"}"#),
            "the call is not up"
        );
        assert_eq!(said(r#"{"title":"not now"}"#), "not now");
        assert_eq!(said("go away\nplease\n"), "go away (409 Conflict)");
        assert_eq!(said(""), "the daemon answers 409 Conflict");
    }

    #[test]
    fn an_id_stays_one_segment_of_a_path_and_a_number_keeps_its_plus() {
        assert_eq!(escaped("a/../b?c"), "a%2F%2E%2E%2Fb%3Fc");
        assert_eq!(escaped("+1 555"), "%2B1%20555");
    }
}
