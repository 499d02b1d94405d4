//! The torture messages of RFC 4475 and RFC 5118, rebuilt from what those documents say of them.
//!
//! Only what the wire layer decides is asserted here. Where RFC 4475 leaves a choice between a
//! refusal and a guess, the test says which we took.

mod invalid;
mod ipv6;
mod valid;

use super::{Message, ParseError, Request, Response, StatusCode, parse_datagram};

/// Lines joined by CRLF, an empty line, a body.
pub(super) fn wire(lines: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes = lines.join("\r\n").into_bytes();
    bytes.extend_from_slice(b"\r\n\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// The request these bytes are.
pub(super) fn request(bytes: &[u8]) -> Request {
    match parse_datagram(bytes) {
        Ok(Some(Message::Request(request))) => request,
        other => panic!("not accepted as a request: {other:?}"),
    }
}

/// The response these bytes are.
pub(super) fn response(bytes: &[u8]) -> Response {
    match parse_datagram(bytes) {
        Ok(Some(Message::Response(response))) => response,
        other => panic!("not accepted as a response: {other:?}"),
    }
}

pub(super) fn refusal(bytes: &[u8]) -> ParseError {
    parse_datagram(bytes).expect_err("to be refused")
}

/// The answer to damaged bytes, whose status must be this.
pub(super) fn answered(bytes: &[u8], status: StatusCode) -> Response {
    let error = refusal(bytes);
    let answer = error
        .answer
        .clone()
        .unwrap_or_else(|| panic!("no answer: {error}"));
    assert_eq!((error.status(), answer.status), (status, status), "{error}");
    assert!(
        answer.headers.top_via().is_ok(),
        "an answer knows where to go"
    );
    *answer
}

/// Asserts that damaged bytes get no answer.
pub(super) fn dropped(bytes: &[u8]) {
    let error = refusal(bytes);
    assert_eq!(error.answer, None, "{error}");
}
