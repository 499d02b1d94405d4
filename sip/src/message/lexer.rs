//! The small grammar that every header shares: tokens, white space, quoted strings, and lists
//! split where a separator stands outside quotes and angle brackets (RFC 3261 section 25.1).
//!
//! Everything works on borrowed text and allocates nothing.

use std::borrow::Cow;
use std::fmt;

/// A piece of a message that does not follow its grammar. Names the element, never its content,
/// so that it can be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed {what}")]
pub struct Malformed {
    /// Which element, in the words of RFC 3261.
    pub what: &'static str,
}

/// The error for `what`.
pub(super) const fn malformed(what: &'static str) -> Malformed {
    Malformed { what }
}

/// Whether a byte may stand in a `token`.
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
        )
}

/// Whether the text is a `token`: one or more token characters.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Without spaces and tabs at both ends. Folding is gone by now, so this is all white space there is.
pub(super) fn trim(text: &str) -> &str {
    // By bytes: of every header several pieces are trimmed.
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let bytes = text.as_bytes();
    let start = bytes.iter().take_while(|byte| is_space(byte)).count();
    let end = bytes.iter().rev().take_while(|byte| is_space(byte)).count();
    text.get(start..bytes.len() - end).unwrap_or_default()
}

/// The quoted string that `text` starts with: what is between the quotes (still escaped) and what
/// follows. `None` when it does not start with a quote or the closing one is missing.
pub(crate) fn quoted_string(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('"')?;
    let mut escaped = false;
    for (index, byte) in inside.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some((&inside[..index], &inside[index + 1..])),
            _ => {}
        }
    }
    None
}

/// Undoes `quoted-pair`: a backslash stands for the character after it.
pub(crate) fn unescape_quoted(inside: &str) -> Cow<'_, str> {
    if !inside.contains('\\') {
        return Cow::Borrowed(inside);
    }
    let mut text = String::with_capacity(inside.len());
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    Cow::Owned(text)
}

/// Writes text as a quoted string. A line break becomes a space: it could end the header.
pub(crate) fn write_quoted(out: &mut impl std::fmt::Write, text: &str) -> std::fmt::Result {
    out.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                out.write_char('\\')?;
                out.write_char(character)?;
            }
            '\r' | '\n' => out.write_char(' ')?,
            other => out.write_char(other)?,
        }
    }
    out.write_char('"')
}

/// Splits at a separator, except inside quoted strings and angle brackets. Pieces are trimmed; an
/// empty text is one empty piece.
pub(super) fn split(text: &str, separator: u8) -> Split<'_> {
    Split {
        rest: Some(text),
        separator,
    }
}

/// See [`split`].
pub(super) struct Split<'a> {
    rest: Option<&'a str>,
    separator: u8,
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        let end = find_outside(rest, |byte| byte == self.separator);
        // The separator is ASCII, so both sides of it are character boundaries.
        self.rest = end.map(|end| &rest[end + 1..]);
        Some(trim(end.map_or(rest, |end| &rest[..end])))
    }
}

/// The index of the first byte that `wanted` accepts outside quotes and angle brackets.
fn find_outside(text: &str, wanted: impl Fn(u8) -> bool) -> Option<usize> {
    #[derive(Clone, Copy)]
    enum Inside {
        Nothing,
        Quotes,
        Escape,
        Angles,
    }
    let mut inside = Inside::Nothing;
    for (index, byte) in text.bytes().enumerate() {
        inside = match (inside, byte) {
            (Inside::Nothing, byte) if wanted(byte) => return Some(index),
            (Inside::Nothing, b'"') => Inside::Quotes,
            (Inside::Nothing, b'<') => Inside::Angles,
            (Inside::Quotes, b'\\') => Inside::Escape,
            (Inside::Quotes, b'"') | (Inside::Angles, b'>') => Inside::Nothing,
            (Inside::Escape, _) => Inside::Quotes,
            (unchanged, _) => unchanged,
        };
    }
    None
}

/// Writes a URI's part; what could end the URI becomes a percent escape. Escapes already there stay.
pub(super) fn write_escaped(out: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let mut rest = text;
    while let Some(index) = rest.bytes().position(ends_a_uri) {
        write!(out, "{}%{:02X}", &rest[..index], rest.as_bytes()[index])?;
        // Such a byte is ASCII, so a character boundary follows it.
        rest = &rest[index + 1..];
    }
    out.write_str(rest)
}

pub(super) const fn ends_a_uri(byte: u8) -> bool {
    byte <= b' ' || matches!(byte, 0x7f | b'<' | b'>' | b'"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<&str> {
        split(text, b',').collect()
    }

    #[test]
    fn a_comma_splits_only_outside_quotes_and_angle_brackets() {
        assert_eq!(
            pieces(r#""Bell, A" <sip:a,b@h> , "\"," <sip:c@h>,x"#),
            [r#""Bell, A" <sip:a,b@h>"#, r#""\"," <sip:c@h>"#, "x"]
        );
    }

    #[test]
    fn an_open_quote_swallows_the_rest() {
        assert_eq!(pieces(r#"a, "b, c"#), ["a", r#""b, c"#]);
    }

    #[test]
    fn empty_pieces_are_seen() {
        assert_eq!(pieces(",a,,"), ["", "a", "", ""]);
    }

    #[test]
    fn a_quoted_string_ends_at_its_own_quote() {
        assert_eq!(quoted_string(r#""a\"b" rest"#), Some((r#"a\"b"#, " rest")));
        assert_eq!(quoted_string(r#""open"#), None);
        assert_eq!(unescape_quoted(r#"a\"b\\"#), r#"a"b\"#);
    }

    #[test]
    fn quoting_and_unquoting_are_inverse() {
        let mut written = String::new();
        write_quoted(&mut written, r#"O"Neil \ Söhne"#).unwrap();
        let (inside, rest) = quoted_string(&written).unwrap();
        assert_eq!((&*unescape_quoted(inside), rest), (r#"O"Neil \ Söhne"#, ""));
    }
}
