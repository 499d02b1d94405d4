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

use std::borrow::Cow;
use std::fmt;

use super::cseq::CSeq;
use super::headers::{Headers, canonical_name};
use super::lexer::{is_token, split, trim};
use super::method::Method;
use super::name_addr::NameAddrRef;
use super::status::StatusCode;
use super::uri::{MAX_URI_BYTES, Uri};
use super::via::ViaRef;
use super::{Message, Request, Response};

/// The largest message that is read, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// The most headers a message may have; members of a split list count each.
pub const MAX_HEADERS: usize = 128;
/// The longest header line, unfolded, in bytes.
pub const MAX_HEADER_BYTES: usize = 8 * 1024;

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
    /// Larger than [`MAX_MESSAGE_BYTES`].
    MessageTooLarge,
    /// The request or status line is malformed.
    StartLine,
    /// A SIP version other than 2.0.
    Version,
    /// The Request-URI is longer than [`MAX_URI_BYTES`].
    UriTooLong,
    /// The Request-URI has a scheme other than `sip`, `sips`, `tel` and `urn`.
    UriScheme,
    /// The bytes end within the headers.
    Incomplete,
    /// More than [`MAX_HEADERS`] headers.
    TooManyHeaders,
    /// A header line longer than [`MAX_HEADER_BYTES`].
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

/// Reads one datagram. `Ok(None)` is a keep-alive: nothing but line breaks (RFC 5626 section 3.5.1)
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

fn unanswered(kind: ParseErrorKind, what: &'static str) -> ParseError {
    ParseError {
        kind,
        what,
        answer: None,
    }
}

/// The first fault wins: it is nearest to the start, and later ones often follow from it.
#[derive(Default)]
struct Faults {
    first: Option<(ParseErrorKind, &'static str)>,
}

impl Faults {
    fn note(&mut self, kind: ParseErrorKind, what: &'static str) {
        self.first.get_or_insert((kind, what));
    }
}

/// `METHOD SP Request-URI SP SIP-Version`, with exactly these two spaces (RFC 3261 section 7.1).
/// What cannot be read is noted and `None`; a line that does not even end in a SIP version is an error.
fn read_request_line(
    line: &str,
    faults: &mut Faults,
) -> Result<(Option<Method>, Option<Uri>), ParseError> {
    let not_sip = || unanswered(ParseErrorKind::NotSip, "start line");
    let (before, version) = line
        .trim_end()
        .rsplit_once([' ', '\t'])
        .ok_or_else(not_sip)?;
    let (method, uri) = before.split_once(' ').ok_or_else(not_sip)?;
    let number = version
        .get(4..)
        .filter(|_| version[..4].eq_ignore_ascii_case("SIP/"));
    match number.ok_or_else(not_sip)? {
        "2.0" => {}
        number if is_version_number(number) => faults.note(ParseErrorKind::Version, "SIP version"),
        _ => faults.note(ParseErrorKind::StartLine, "SIP version"),
    }
    if line.len() != line.trim_end().len() {
        faults.note(
            ParseErrorKind::StartLine,
            "white space after the SIP version",
        );
    }
    let method = method.parse().ok();
    if method.is_none() {
        faults.note(ParseErrorKind::StartLine, "method");
    }
    if uri.len() > MAX_URI_BYTES {
        faults.note(ParseErrorKind::UriTooLong, "Request-URI");
    }
    let uri = Uri::parse(uri).ok();
    match &uri {
        None => faults.note(ParseErrorKind::StartLine, "Request-URI"),
        Some(Uri::Sip(uri)) if uri.headers.is_some() => {
            // RFC 3261 section 19.1.1: no headers in a Request-URI.
            faults.note(ParseErrorKind::StartLine, "headers in the Request-URI");
        }
        Some(Uri::Sip(_)) => {}
        Some(Uri::Other(uri)) => {
            let known = ["tel", "urn"]
                .iter()
                .any(|known| uri.scheme().eq_ignore_ascii_case(known));
            if !known {
                faults.note(ParseErrorKind::UriScheme, "Request-URI");
            }
        }
    }
    Ok((method, uri))
}

fn is_version_number(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.')
        .is_some_and(|(major, minor)| is_number(major) && is_number(minor))
}

/// `SIP/2.0 SP status SP reason`; the reason and its space may be missing.
fn read_status_line(line: &str) -> Result<(StatusCode, &str), ParseError> {
    let error = |kind, what| Err(unanswered(kind, what));
    let (version, rest) = line.split_once(' ').unwrap_or((line, ""));
    if &version[4..] != "2.0" {
        return error(ParseErrorKind::Version, "SIP version");
    }
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return error(ParseErrorKind::StartLine, "status code");
    }
    match code.parse().ok().and_then(StatusCode::new) {
        Some(status) => Ok((status, reason)),
        None => error(ParseErrorKind::StartLine, "status code"),
    }
}

/// Lines with their CRLF taken off. A lone LF ends a line too: senders get this wrong, and taking
/// it for anything else would let one header hide another.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    /// Whether the next line continues the one before (RFC 3261 section 7.3.1).
    fn next_is_folded(&self) -> bool {
        matches!(self.rest.first(), Some(b' ' | b'\t'))
    }
}

impl<'a> Iterator for Lines<'a> {
    /// The line, and whether its end was there.
    type Item = (&'a [u8], bool);

    fn next(&mut self) -> Option<(&'a [u8], bool)> {
        if self.rest.is_empty() {
            return None;
        }
        let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') else {
            return Some((std::mem::take(&mut self.rest), false));
        };
        let (line, rest) = (&self.rest[..end], &self.rest[end + 1..]);
        self.rest = rest;
        Some((line.strip_suffix(b"\r").unwrap_or(line), true))
    }
}

/// The headers, what the framing took from them, and the bytes that follow.
struct Head<'a> {
    headers: Headers,
    content_length: Option<usize>,
    after: &'a [u8],
}

impl<'a> Head<'a> {
    fn read(mut lines: Lines<'a>, faults: &mut Faults) -> Self {
        let mut head = Head {
            headers: Headers::with_capacity(20),
            content_length: None,
            after: &[],
        };
        let mut count = 0;
        loop {
            let Some((line, whole)) = lines.next() else {
                faults.note(ParseErrorKind::Incomplete, "headers");
                return head;
            };
            if line.is_empty() && whole {
                head.after = lines.rest;
                return head;
            }
            let value_of_line = split_line(line);
            let unfolded = unfold(value_of_line.map_or(line, |(_, value)| value), &mut lines);
            let Some((name, _)) = value_of_line else {
                faults.note(ParseErrorKind::Header, "header name");
                continue;
            };
            if unfolded.len() > MAX_HEADER_BYTES {
                faults.note(ParseErrorKind::HeaderTooLong, "header");
                continue;
            }
            if unfolded.contains(&b'\r') {
                // Somebody after us may take it for the end of the line.
                faults.note(ParseErrorKind::Header, "line break within a header");
                continue;
            }
            let room = MAX_HEADERS - count;
            match head.add(
                canonical_name(name),
                text_of(unfolded).into_owned(),
                room,
                faults,
            ) {
                Some(added) => count += added,
                None => {
                    faults.note(ParseErrorKind::TooManyHeaders, "headers");
                    return head;
                }
            }
        }
    }

    /// Takes one header in and says how many it became; `None` when there is no room.
    fn add(
        &mut self,
        name: &str,
        value: String,
        room: usize,
        faults: &mut Faults,
    ) -> Option<usize> {
        if room == 0 {
            return None;
        }
        if name.eq_ignore_ascii_case("Content-Length") {
            match parse_content_length(&value) {
                _ if self.content_length.is_some() => {
                    faults.note(ParseErrorKind::RepeatedHeader, "Content-Length");
                }
                Some(length) => self.content_length = Some(length),
                None => faults.note(ParseErrorKind::ContentLength, "Content-Length"),
            }
            return Some(1);
        }
        if !value.contains(',') || !is_split_header(name) {
            self.headers.push_read(name, value);
            return Some(1);
        }
        let mut added = 0;
        for member in split(&value, b',') {
            if added == room {
                return None;
            }
            self.headers.push_read(name, member.to_owned());
            added += 1;
        }
        Some(added)
    }

    /// What every message has, once: RFC 3261 section 8.1.1. Gives CSeq for what is checked against it.
    fn check_identity(&self, faults: &mut Faults) -> Option<CSeq> {
        let mut vias = self.headers.get_all("Via").peekable();
        if vias.peek().is_none() {
            faults.note(ParseErrorKind::MissingHeader, "Via");
        }
        if vias.any(|via| ViaRef::scan(via).is_err()) {
            faults.note(ParseErrorKind::Header, "Via");
        }
        for name in ["From", "To"] {
            if self
                .once(name, faults)
                .is_some_and(|value| NameAddrRef::scan(value).is_err())
            {
                faults.note(
                    ParseErrorKind::Header,
                    if name == "To" { "To" } else { "From" },
                );
            }
        }
        if self
            .once("Call-ID", faults)
            .is_some_and(|value| !is_call_id(value))
        {
            faults.note(ParseErrorKind::Header, "Call-ID");
        }
        let cseq = self.once("CSeq", faults).map(CSeq::parse)?.ok();
        if cseq.is_none() {
            faults.note(ParseErrorKind::Header, "CSeq");
        }
        cseq
    }

    /// What a request must not get wrong besides.
    fn check_request(&self, faults: &mut Faults) {
        for name in ["Max-Forwards", "Content-Type"] {
            if self.headers.get_all(name).nth(1).is_some() {
                faults.note(ParseErrorKind::RepeatedHeader, name);
            }
        }
        if self.headers.contains("Max-Forwards") && self.headers.max_forwards().is_none() {
            faults.note(ParseErrorKind::Header, "Max-Forwards");
        }
        for name in ["Contact", "Route", "Record-Route"] {
            let is_wrong =
                |value| NameAddrRef::scan(value).is_err() && !(name == "Contact" && value == "*");
            if self.headers.get_all(name).any(is_wrong) {
                faults.note(ParseErrorKind::Header, name);
            }
        }
    }

    fn once(&self, name: &'static str, faults: &mut Faults) -> Option<&str> {
        let mut values = self.headers.get_all(name);
        let value = values.next();
        if value.is_none() {
            faults.note(ParseErrorKind::MissingHeader, name);
        }
        if values.next().is_some() {
            faults.note(ParseErrorKind::RepeatedHeader, name);
        }
        value
    }

    fn body(&self, faults: &mut Faults) -> &'a [u8] {
        let length = self.content_length.unwrap_or(self.after.len());
        self.after.get(..length).unwrap_or_else(|| {
            faults.note(ParseErrorKind::ContentLength, "Content-Length");
            &[]
        })
    }

    /// The answer to a damaged request, if its topmost Via says where to.
    fn answer(&self, status: StatusCode) -> Option<Box<Response>> {
        let mut response = Response::new(status);
        for (index, via) in self.headers.get_all("Via").enumerate() {
            let readable = match ViaRef::scan(via) {
                Ok(_) => Some(via),
                Err(_) => ViaRef::salvage(via),
            };
            match readable {
                Some(via) => response.headers.push_read("Via", via.to_owned()),
                None if index == 0 => return None,
                None => {}
            }
        }
        for name in ["From", "To", "Call-ID", "CSeq"] {
            if let Some(value) = self.headers.get(name) {
                response.headers.push_read(name, value.to_owned());
            }
        }
        response.headers.contains("Via").then(|| Box::new(response))
    }
}

/// A header line's name and value: the colon may have white space on both sides.
fn split_line(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = trim(std::str::from_utf8(&line[..colon]).ok()?);
    is_token(name).then_some((name, &line[colon + 1..]))
}

/// Joins continuation lines, each fold becoming one space.
fn unfold<'a>(first: &'a [u8], lines: &mut Lines<'a>) -> Cow<'a, [u8]> {
    let mut value = Cow::Borrowed(first.trim_ascii());
    while lines.next_is_folded() {
        let Some((line, _)) = lines.next() else { break };
        let line = line.trim_ascii();
        let joined = value.to_mut();
        if !joined.is_empty() && !line.is_empty() {
            joined.push(b' ');
        }
        joined.extend_from_slice(line);
    }
    value
}

/// Bytes as text. SIP is UTF-8; what is not is taken for Latin-1, which old exchanges write names in.
fn text_of(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    let latin = |bytes: &[u8]| Cow::Owned(bytes.iter().copied().map(char::from).collect());
    match bytes {
        Cow::Borrowed(bytes) => {
            std::str::from_utf8(bytes).map_or_else(|_| latin(bytes), Cow::Borrowed)
        }
        Cow::Owned(bytes) => {
            String::from_utf8(bytes).map_or_else(|error| latin(error.as_bytes()), Cow::Owned)
        }
    }
}

/// Headers whose comma lists mean the same as a line each (RFC 3261 section 7.3.1), and which are
/// worked on one by one. Others stay as written.
fn is_split_header(name: &str) -> bool {
    ["Via", "Route", "Record-Route", "Contact"]
        .iter()
        .any(|split| split.eq_ignore_ascii_case(name))
}

fn is_call_id(value: &str) -> bool {
    !value.is_empty()
        && !value
            .bytes()
            .any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control())
}

/// Digits only; a number beyond `usize` is as wrong as one beyond the datagram.
fn parse_content_length(value: &str) -> Option<usize> {
    value
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| value.parse().ok())?
}
