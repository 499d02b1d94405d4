//! The header lines, and where the body starts and ends.

use super::error::{Faults, ParseErrorKind};
use super::lines::{Lines, split_line, text_of, unfold};
use super::{MAX_HEADER_BYTES, MAX_HEADERS};
use crate::message::headers::{Headers, long_name};
use crate::message::lexer::split;

/// The headers, what the framing took from them, and the bytes that follow.
pub(super) struct Head<'a> {
    pub(super) headers: Headers,
    content_length: Option<usize>,
    after: &'a [u8],
}

impl<'a> Head<'a> {
    pub(super) fn read(mut lines: Lines<'a>, faults: &mut Faults) -> Self {
        let mut head = Head {
            headers: Headers::with_capacity(20),
            content_length: None,
            after: &[],
        };
        if lines.next_is_folded() {
            faults.note(ParseErrorKind::StartLine, "start line over several lines");
        }
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
                long_name(name),
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

    /// The body: what Content-Length says of what follows, or all of it.
    pub(super) fn body(&self, faults: &mut Faults) -> &'a [u8] {
        let length = self.content_length.unwrap_or(self.after.len());
        self.after.get(..length).unwrap_or_else(|| {
            faults.note(ParseErrorKind::ContentLength, "Content-Length");
            &[]
        })
    }
}

/// What Content-Length says in a whole head; `None` where there is none. Lines and names are those that
/// [`Head::read`] reads, so that whoever cuts a stream and who reads the message agree on its end.
///
/// # Errors
/// When it is no number, or stands there more than once with different ones.
pub(in crate::message) fn stated_length(head: &[u8]) -> Result<Option<usize>, ParseErrorKind> {
    let mut lines = Lines { rest: head };
    // The start line.
    lines.next();
    let mut stated = None;
    while let Some((line, _)) = lines.next() {
        let named = split_line(line);
        let value = unfold(named.map_or(line, |(_, value)| value), &mut lines);
        let is_length =
            named.is_some_and(|(name, _)| long_name(name).eq_ignore_ascii_case("Content-Length"));
        if !is_length {
            continue;
        }
        let length = parse_content_length(&text_of(value)).ok_or(ParseErrorKind::ContentLength)?;
        if stated.is_some_and(|before| before != length) {
            return Err(ParseErrorKind::ContentLength);
        }
        stated = Some(length);
    }
    Ok(stated)
}

/// Headers whose comma lists mean the same as a line each (RFC 3261 section 7.3.1), and which are
/// worked on one by one. Others stay as written.
fn is_split_header(name: &str) -> bool {
    ["Via", "Route", "Record-Route", "Contact"]
        .iter()
        .any(|split| split.eq_ignore_ascii_case(name))
}

/// Digits only; a number beyond `usize` is as wrong as one beyond the datagram.
fn parse_content_length(value: &str) -> Option<usize> {
    value
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| value.parse().ok())?
}
