//! The wire layer: bytes to messages and back (RFC 3261 sections 7, 18.3, 19.1, 20 and 25).
//!
//! ```text
//! stream   → framing (where a message begins and ends) ┐
//! datagram ────────────────────────────────────────────┴► parse (unfolding, start line, headers, checks) → Message
//!            lexer ◄ host, parameters ◄ uri, via ◄ name_addr
//! Message  → write (one buffer, Content-Length computed) → bytes
//! ```
//!
//! It owns the grammar and its limits. What a message means (transactions, dialogs, whether a
//! method or an extension is supported) is left to others. Header values are text until somebody
//! asks for them typed; what RFC 3261 wants refused is checked while reading, without allocating.
//!
//! rsip gives the vocabulary (header kinds and the header list, methods, status codes). Its parser
//! is not used: it refuses or loses too much of what real peers send. No other module names it.

mod cseq;
mod fragment;
mod framing;
mod headers;
mod host;
mod lexer;
mod method;
mod name_addr;
mod parameters;
mod parse;
mod replaces;
mod status;
mod uri;
mod via;
mod write;

pub use cseq::CSeq;
pub use fragment::{MESSAGE_SIPFRAG, fragment_of, status_in_fragment};
pub use framing::{Frame, FramingError, StreamFramer};
pub use headers::Headers;
pub use host::Host;
pub use lexer::Malformed;
pub(crate) use lexer::{is_token, is_token_byte, quoted_string, unescape_quoted, write_quoted};
pub use method::{Method, Token};
pub use name_addr::NameAddr;
pub use parameters::Parameters;
pub use parse::{
    MAX_HEADER_BYTES, MAX_HEADERS, MAX_MESSAGE_BYTES, ParseError, ParseErrorKind, parse_datagram,
};
pub use replaces::Replaces;
pub use status::{StatusClass, StatusCode};
pub use uri::{MAX_URI_BYTES, OtherUri, SipUri, Uri};
pub use via::Via;

/// A SIP message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

/// A request: `METHOD uri SIP/2.0`, headers, body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// The Request-URI.
    pub uri: Uri,
    /// Its headers.
    pub headers: Headers,
    /// Its body, uninterpreted.
    pub body: Vec<u8>,
}

/// A response: `SIP/2.0 status reason`, headers, body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// What became of the request.
    pub status: StatusCode,
    /// The reason phrase; may be empty.
    pub reason: String,
    /// Its headers.
    pub headers: Headers,
    /// Its body, uninterpreted.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: Method, uri: impl Into<Uri>) -> Self {
        Self {
            method,
            uri: uri.into(),
            headers: Headers::new(),
            body: Vec::new(),
        }
    }
}

impl Response {
    /// A response with its status's own reason phrase, without headers and body.
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            reason: status.default_reason().to_owned(),
            headers: Headers::new(),
            body: Vec::new(),
        }
    }

    /// A response to a request, with what RFC 3261 section 8.2.6.2 copies: every Via in order, From,
    /// To (its tag is the caller's to add), Call-ID and CSeq;
    /// into a 100, Timestamp as well (section 8.2.6.1).
    pub fn to_request(request: &Request, status: StatusCode) -> Self {
        let mut response = Self::new(status);
        let mut copy = |name| {
            for value in request.headers.get_all(name) {
                response.headers.push_read(name, value.to_owned());
            }
        };
        ["Via", "From", "To", "Call-ID", "CSeq"]
            .into_iter()
            .for_each(&mut copy);
        if status == StatusCode::TRYING {
            copy("Timestamp");
        }
        response
    }
}

#[cfg(test)]
mod losses;
#[cfg(test)]
mod robustness;
#[cfg(test)]
mod torture;
