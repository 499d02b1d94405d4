//! The first line: a request line or a status line (RFC 3261 sections 7.1 and 7.2).

use super::error::{Faults, ParseError, ParseErrorKind, unanswered};
use crate::message::uri::{MAX_URI_BYTES, Uri};
use crate::message::{Method, StatusCode};

/// `METHOD SP Request-URI SP SIP-Version`, with exactly these two spaces (RFC 3261 section 7.1).
/// What cannot be read is noted and `None`; a line that does not even end in a SIP version is an error.
pub(super) fn read_request_line(
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
pub(super) fn read_status_line(line: &str) -> Result<(StatusCode, &str), ParseError> {
    let error = |kind, what| Err(unanswered(kind, what));
    let (version, rest) = line.split_once(' ').unwrap_or((line, ""));
    if &version[4..] != "2.0" {
        return error(ParseErrorKind::Version, "SIP version");
    }
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    if reason.contains('\r') {
        return error(ParseErrorKind::StartLine, "reason phrase");
    }
    if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return error(ParseErrorKind::StartLine, "status code");
    }
    match code.parse().ok().and_then(StatusCode::new) {
        Some(status) => Ok((status, reason)),
        None => error(ParseErrorKind::StartLine, "status code"),
    }
}
