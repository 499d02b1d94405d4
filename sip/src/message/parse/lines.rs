//! Lines out of bytes: line ends, folding, and text out of what may not be UTF-8.

use std::borrow::Cow;

use crate::message::lexer::{is_token, trim};

/// Lines with their CRLF taken off. A lone LF ends a line too: senders get this wrong, and taking
/// it for anything else would let one header hide another.
pub(super) struct Lines<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Lines<'a> {
    /// Whether the next line continues the one before (RFC 3261 section 7.3.1).
    pub(super) fn next_is_folded(&self) -> bool {
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

/// A header line's name and value: the colon may have white space on both sides.
pub(super) fn split_line(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = trim(std::str::from_utf8(&line[..colon]).ok()?);
    is_token(name).then_some((name, &line[colon + 1..]))
}

/// Without spaces and tabs at both ends; any other white space is content.
fn trim_bytes(mut line: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = line {
        line = rest;
    }
    line
}

/// Joins continuation lines, each fold becoming one space.
pub(super) fn unfold<'a>(first: &'a [u8], lines: &mut Lines<'a>) -> Cow<'a, [u8]> {
    let mut value = Cow::Borrowed(trim_bytes(first));
    while lines.next_is_folded() {
        let Some((line, _)) = lines.next() else { break };
        let line = trim_bytes(line);
        let joined = value.to_mut();
        if !joined.is_empty() && !line.is_empty() {
            joined.push(b' ');
        }
        joined.extend_from_slice(line);
    }
    value
}

/// Bytes as text. SIP is UTF-8; what is not is taken for Latin-1, which old exchanges write names in.
pub(super) fn text_of(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
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
