//! What can be wrong with a message, and what is answered.

use std::fmt;

use crate::message::{Response, StatusCode};

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {what}")]
pub struct ParseError {
    /// What kind of fault.
    pub kind: ParseErrorKind,
    /// Which element is at fault; never its content.
    pub what: &'static str,
    /// The answer to a damaged request, with [`kind`](Self::kind)'s status and whatever of Via,
    /// From, To, Call-ID and CSeq was there, as it was written; the To tag is the caller's to add.
    /// `None` when nothing may be answered: a response, an ACK, no readable Via, or not SIP at all.
    pub answer: Option<Box<Response>>,
}

/// The kinds of fault in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParseErrorKind {
    /// Not SIP at all.
    NotSip,
    /// Larger than [`MAX_MESSAGE_BYTES`](crate::message::MAX_MESSAGE_BYTES).
    MessageTooLarge,
    /// The request or status line is malformed.
    StartLine,
    /// A SIP version other than 2.0.
    Version,
    /// The Request-URI is longer than [`MAX_URI_BYTES`](crate::message::MAX_URI_BYTES).
    UriTooLong,
    /// The Request-URI has a scheme other than `sip`, `sips`, `tel` and `urn`.
    UriScheme,
    /// The bytes end within the headers.
    Incomplete,
    /// More than [`MAX_HEADERS`](crate::message::MAX_HEADERS) headers.
    TooManyHeaders,
    /// A header line longer than [`MAX_HEADER_BYTES`](crate::message::MAX_HEADER_BYTES).
    HeaderTooLong,
    /// A header that does not follow its grammar.
    Header,
    /// A header that every message has is not there.
    MissingHeader,
    /// A header that may stand once stands more often.
    RepeatedHeader,
    /// CSeq names another method than the request line.
    MethodMismatch,
    /// Content-Length is no number, or says more than there is.
    ContentLength,
}

impl ParseErrorKind {
    /// The status a request with this fault is answered with.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::MessageTooLarge => StatusCode::MESSAGE_TOO_LARGE,
            Self::Version => StatusCode::VERSION_NOT_SUPPORTED,
            Self::UriTooLong => StatusCode::REQUEST_URI_TOO_LONG,
            Self::UriScheme => StatusCode::UNSUPPORTED_URI_SCHEME,
            Self::NotSip
            | Self::StartLine
            | Self::Incomplete
            | Self::TooManyHeaders
            | Self::HeaderTooLong
            | Self::Header
            | Self::MissingHeader
            | Self::RepeatedHeader
            | Self::MethodMismatch
            | Self::ContentLength => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for ParseErrorKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NotSip => "not SIP",
            Self::MessageTooLarge => "message too large",
            Self::StartLine => "malformed start line",
            Self::Version => "unknown SIP version",
            Self::UriTooLong => "Request-URI too long",
            Self::UriScheme => "unsupported URI scheme",
            Self::Incomplete => "incomplete message",
            Self::TooManyHeaders => "too many headers",
            Self::HeaderTooLong => "header line too long",
            Self::Header => "malformed header",
            Self::MissingHeader => "missing header",
            Self::RepeatedHeader => "repeated header",
            Self::MethodMismatch => "CSeq and request line disagree",
            Self::ContentLength => "wrong Content-Length",
        })
    }
}

impl ParseError {
    /// The status a request with this fault is answered with.
    pub const fn status(&self) -> StatusCode {
        self.kind.status()
    }
}

pub(super) fn unanswered(kind: ParseErrorKind, what: &'static str) -> ParseError {
    ParseError {
        kind,
        what,
        answer: None,
    }
}

/// The first fault wins: it is nearest to the start, and later ones often follow from it.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) first: Option<(ParseErrorKind, &'static str)>,
}

impl Faults {
    pub(super) fn note(&mut self, kind: ParseErrorKind, what: &'static str) {
        self.first.get_or_insert((kind, what));
    }
}
