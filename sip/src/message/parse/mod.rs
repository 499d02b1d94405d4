//! Bytes to a message: framing, unfolding, start line, headers, and the checks RFC 3261 wants made
//! before anything looks at the meaning.
//!
//! ```text
//! datagram → skip line breaks → start line → header lines (unfold, name, split lists) → checks → body
//!                                   └───────────────┴── the first fault is noted ──┴────────┘
//! ```
//!
//! A fault does not stop the reading, so that a damaged request can still be answered with what
//! was readable (RFC 4475). Malformed responses and ACKs are never answered.

mod checks;
mod error;
mod head;
mod lines;
mod start_line;

pub use error::{ParseError, ParseErrorKind};
pub(super) use head::stated_length;

use super::method::Method;
use super::{Message, Request, Response};
use error::{Faults, unanswered};
use head::Head;
use lines::{Lines, text_of};
use start_line::{read_request_line, read_status_line};

/// The largest message that is read, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// The most headers a message may have; members of a split list count each.
pub const MAX_HEADERS: usize = 128;
/// The longest header line, unfolded, in bytes.
pub const MAX_HEADER_BYTES: usize = 8 * 1024;

/// Reads one datagram, or one message cut from a stream. `Ok(None)` is a keep-alive: nothing but line breaks (RFC 5626 section 3.5.1)
/// or NUL bytes, which some phones send instead.
///
/// Without Content-Length the rest of the datagram is the body; bytes after the body are discarded
/// (RFC 3261 section 18.3).
///
/// # Errors
/// When the bytes are no SIP message, or one that RFC 3261 wants refused.
pub fn parse_datagram(bytes: &[u8]) -> Result<Option<Message>, ParseError> {
    let Some(start) = bytes
        .iter()
        .position(|byte| !matches!(byte, b'\r' | b'\n' | 0))
    else {
        return Ok(None);
    };
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(unanswered(ParseErrorKind::MessageTooLarge, "message"));
    }
    let mut lines = Lines {
        rest: &bytes[start..],
    };
    let line = lines.next().map_or(&[][..], |(line, _)| line);
    let line = text_of(line.into());
    match line.get(..4) {
        Some(name) if name.eq_ignore_ascii_case("SIP/") => parse_response(&line, lines),
        Some(_) | None => parse_request(&line, lines),
    }
    .map(Some)
}

fn parse_request(line: &str, lines: Lines<'_>) -> Result<Message, ParseError> {
    let mut faults = Faults::default();
    let (method, uri) = read_request_line(line, &mut faults)?;
    let head = Head::read(lines, &mut faults);
    let cseq = head.check_identity(&mut faults);
    head.check_request(&mut faults);
    // A method that cannot be read has been noted; an unequal one is a fault of its own.
    if let (Some(cseq), Some(method)) = (&cseq, &method)
        && cseq.method != *method
    {
        faults.note(ParseErrorKind::MethodMismatch, "CSeq");
    }
    let body = head.body(&mut faults);
    match (faults.first, method, uri) {
        (None, Some(method), Some(uri)) => {
            let body = body.to_vec();
            Ok(Message::Request(Request {
                method,
                uri,
                headers: head.headers,
                body,
            }))
        }
        (fault, method, _) => {
            let (kind, what) = fault.unwrap_or((ParseErrorKind::StartLine, "request line"));
            let is_ack =
                method == Some(Method::Ack) || cseq.is_some_and(|cseq| cseq.method == Method::Ack);
            let answer = if is_ack {
                None
            } else {
                head.answer(kind.status())
            };
            Err(ParseError { kind, what, answer })
        }
    }
}

fn parse_response(line: &str, lines: Lines<'_>) -> Result<Message, ParseError> {
    let (status, reason) = read_status_line(line)?;
    let mut faults = Faults::default();
    let head = Head::read(lines, &mut faults);
    head.check_identity(&mut faults);
    let body = head.body(&mut faults);
    match faults.first {
        Some((kind, what)) => Err(unanswered(kind, what)),
        None => {
            let (reason, body) = (reason.to_owned(), body.to_vec());
            Ok(Message::Response(Response {
                status,
                reason,
                headers: head.headers,
                body,
            }))
        }
    }
}
