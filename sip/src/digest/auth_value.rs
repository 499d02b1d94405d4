//! The form that WWW-Authenticate, Authorization and their proxy twins share: a scheme, and
//! parameters with commas between them (RFC 3261 section 25.1, RFC 7235 section 2.1).

use std::borrow::Cow;

use crate::message::{Malformed, is_token_byte, quoted_string, unescape_quoted, write_quoted};

const DIGEST: &str = "Digest";

/// A scheme and its parameters.
#[derive(Debug)]
pub(super) struct AuthValue<'a> {
    scheme: &'a str,
    parameters: Vec<(&'a str, Cow<'a, str>)>,
}

impl<'a> AuthValue<'a> {
    /// Reads a header's value. A comma separates parameters; one before a scheme starts a further
    /// value, which HTTP allows, SIP does not, and some servers send.
    pub(super) fn read_all(text: &'a str) -> Result<Vec<Self>, Malformed> {
        let mut values: Vec<Self> = Vec::new();
        let mut rest = skip_separators(text);
        while !rest.is_empty() {
            match (read_piece(rest), values.last_mut()) {
                (Some((Piece::Scheme(scheme), after)), _) => {
                    values.push(Self {
                        scheme,
                        parameters: Vec::new(),
                    });
                    rest = skip_separators(after);
                }
                (Some((Piece::Parameter(name, value), after)), Some(last)) => {
                    last.parameters.push((name, value));
                    rest = skip_separators(after);
                }
                // Another scheme's credentials may have any form (`Basic YTpi/w==`): nobody reads them.
                (None, Some(last)) if !last.is_digest() => break,
                (None, _) | (Some((Piece::Parameter(..), _)), None) => {
                    return Err(Malformed {
                        what: "authentication parameters",
                    });
                }
            }
        }
        Ok(values)
    }

    pub(super) fn is_digest(&self) -> bool {
        self.scheme.eq_ignore_ascii_case(DIGEST)
    }

    /// A parameter's value without quotes and escapes; the first, where a name stands twice.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| &**value)
    }

    /// The same, where a value without it says nothing.
    pub(super) fn require(&self, name: &'static str) -> Result<&str, Malformed> {
        self.get(name).ok_or(Malformed { what: name })
    }
}

enum Piece<'a> {
    Scheme(&'a str),
    Parameter(&'a str, Cow<'a, str>),
}

/// Reads one piece, and what follows it. Where a value may or must be quoted, peers disagree, so
/// both are taken, and an unquoted one may hold what no token can (`nonce=abc==`).
fn read_piece(text: &str) -> Option<(Piece<'_>, &str)> {
    let end = text
        .bytes()
        .position(|byte| !is_token_byte(byte))
        .unwrap_or(text.len());
    let (name, after_name) = text.split_at(end);
    if name.is_empty() {
        return None;
    }
    let after_gap = skip_white_space(after_name);
    let Some(value) = after_gap.strip_prefix('=') else {
        let ends = after_name.is_empty() || after_name.starts_with([' ', '\t', ',']);
        return ends.then_some((Piece::Scheme(name), after_gap));
    };
    let value = skip_white_space(value);
    if value.starts_with('"') {
        let (inside, after) = quoted_string(value)?;
        return Some((Piece::Parameter(name, unescape_quoted(inside)), after));
    }
    let end = value.find([',', ' ', '\t', '"']).unwrap_or(value.len());
    let (value, after) = value.split_at(end);
    Some((Piece::Parameter(name, Cow::Borrowed(value)), after))
}

fn skip_white_space(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

fn skip_separators(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', ','])
}

/// Writes a value of the Digest scheme.
#[derive(Debug)]
pub(super) struct DigestWriter(String);

impl DigestWriter {
    pub(super) fn new() -> Self {
        Self(DIGEST.to_owned())
    }

    /// Adds a parameter whose value is quoted.
    pub(super) fn quoted(mut self, name: &str, value: &str) -> Self {
        self.start(name);
        write_quoted(&mut self.0, value).expect("a String takes every write");
        self
    }

    /// Adds a parameter whose value stands by itself: one of our own words or numbers.
    pub(super) fn plain(mut self, name: &str, value: &str) -> Self {
        self.start(name);
        self.0.push_str(value);
        self
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    fn start(&mut self, name: &str) {
        let separator = if self.0 == DIGEST { " " } else { ", " };
        self.0.extend([separator, name, "="]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> AuthValue<'_> {
        let mut values = AuthValue::read_all(text).unwrap();
        assert_eq!(values.len(), 1, "{text}");
        values.remove(0)
    }

    #[test]
    fn quotes_and_white_space_stand_where_peers_put_them() {
        let value = only(
            "  dIGEST  Realm = \"a, b=\\\"c\\\"\" ,nonce=abc==,\tqop=\"auth,auth-int\",,stale=TRUE ",
        );
        assert!(value.is_digest());
        assert_eq!(value.get("realm"), Some("a, b=\"c\""));
        assert_eq!(value.get("NONCE"), Some("abc=="));
        assert_eq!(value.get("qop"), Some("auth,auth-int"));
        assert_eq!(value.get("stale"), Some("TRUE"));
        assert_eq!(value.get("opaque"), None);
    }

    #[test]
    fn a_missing_comma_is_forgiven_and_the_first_of_two_counts() {
        let value = only(r#"Digest realm="a" nonce="b" realm="c""#);
        assert_eq!(
            (value.get("realm"), value.get("nonce")),
            (Some("a"), Some("b"))
        );
    }

    #[test]
    fn a_scheme_after_a_comma_starts_a_further_value() {
        let values =
            AuthValue::read_all(r#"Basic realm="x", Digest realm="a", nonce=n, Digest realm="b""#)
                .unwrap();
        let realms: Vec<_> = values.iter().map(|value| value.get("realm")).collect();
        assert_eq!(realms, [Some("x"), Some("a"), Some("b")]);
    }

    #[test]
    fn another_scheme_may_hold_anything() {
        for text in [
            "Basic YTpi/w==",
            "Negotiate \"",
            "NTLM TlRM+//=",
            "Bearer a.b.c",
        ] {
            let values = AuthValue::read_all(text).unwrap();
            assert!(!values.iter().any(AuthValue::is_digest), "{text}");
        }
        assert!(AuthValue::read_all("").unwrap().is_empty());
    }

    #[test]
    fn what_is_open_or_nameless_is_refused() {
        for text in [
            r#"Digest realm="open"#,
            "realm=\"a\"",
            "Digest =x",
            "Digest realm=a\"b\"",
            "\"Digest\"",
            "Digest @",
        ] {
            assert!(AuthValue::read_all(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let text = DigestWriter::new()
            .quoted("username", r#"O"Neil \ Söhne"#)
            .plain("nc", "00000001")
            .finish();
        assert_eq!(text, r#"Digest username="O\"Neil \\ Söhne", nc=00000001"#);
        let value = only(&text);
        assert_eq!(value.get("username"), Some(r#"O"Neil \ Söhne"#));
        assert_eq!(value.get("nc"), Some("00000001"));
    }
}
