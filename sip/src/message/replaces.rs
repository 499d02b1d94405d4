//! `Replaces` (RFC 3891): which dialog a new INVITE takes the place of.

use std::borrow::Cow;
use std::fmt;

use super::lexer::{Malformed, malformed, trim};
use super::uri::unescape;

/// The longest value that is read.
const MAX_BYTES: usize = 1_024;

/// A dialog, named as somebody outside of it names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// Its Call-ID.
    pub call_id: String,
    /// The tag of whoever receives the INVITE with this header.
    pub to_tag: String,
    /// The tag of the other end.
    pub from_tag: String,
    /// Whether only a dialog that is not answered yet may be replaced.
    pub early_only: bool,
}

impl Replaces {
    /// Reads a header value.
    ///
    /// # Errors
    /// When the Call-ID or a tag is missing, or a tag is there twice.
    pub fn parse(value: &str) -> Result<Self, Malformed> {
        const WHAT: Malformed = malformed("Replaces");
        if value.len() > MAX_BYTES {
            return Err(WHAT);
        }
        // A Call-ID may hold a quotation mark that opens nothing, and no part of ours may hold a semicolon.
        let mut parts = value.split(';');
        let call_id = parts.next().map(trim).unwrap_or_default();
        if call_id.is_empty() || call_id.contains([' ', ',']) {
            return Err(WHAT);
        }
        let (mut to_tag, mut from_tag, mut early_only) = (None, None, false);
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (trim(name), trim(value)),
                None => (trim(part), ""),
            };
            let slot = if name.eq_ignore_ascii_case("to-tag") {
                &mut to_tag
            } else if name.eq_ignore_ascii_case("from-tag") {
                &mut from_tag
            } else {
                early_only |= name.eq_ignore_ascii_case("early-only");
                continue;
            };
            if slot.replace(value.to_owned()).is_some() {
                return Err(WHAT);
            }
        }
        // More than a token may be (RFC 3261 section 25.1), less than could be taken for something else.
        let is_tag = |tag: &String| {
            let may_stand = |symbol: char| symbol.is_ascii_graphic() && !"\",".contains(symbol);
            !tag.is_empty() && tag.chars().all(may_stand)
        };
        let present = |tag: Option<String>| tag.filter(is_tag).ok_or(WHAT);
        Ok(Self {
            call_id: call_id.to_owned(),
            to_tag: present(to_tag)?,
            from_tag: present(from_tag)?,
            early_only,
        })
    }

    /// What the headers of a URI (after its `?`) ask for, as in a Refer-To of an attended transfer.
    ///
    /// # Errors
    /// When there is a Replaces among them that cannot be read.
    pub fn in_uri_headers(headers: &str) -> Result<Option<Self>, Malformed> {
        let replaces = headers
            .split('&')
            .filter_map(|header| header.split_once('='))
            .find(|(name, _)| name.eq_ignore_ascii_case("Replaces"));
        let Some((_, value)) = replaces else {
            return Ok(None);
        };
        let value = match unescape(value) {
            Cow::Borrowed(_) => Cow::Borrowed(value),
            Cow::Owned(bytes) => {
                Cow::Owned(String::from_utf8(bytes).map_err(|_| malformed("Replaces"))?)
            }
        };
        Self::parse(&value).map(Some)
    }

    /// The value escaped, as it stands behind `?Replaces=` in a URI.
    #[must_use]
    pub fn as_uri_header(&self) -> String {
        let mut escaped = String::new();
        for byte in self.to_string().bytes() {
            // RFC 3261 section 25.1: what an `hvalue` may hold unescaped.
            let plain = byte.is_ascii_alphanumeric() || b"[]/?:+$-_.!~*'()".contains(&byte);
            if plain {
                escaped.push(char::from(byte));
            } else {
                escaped.push_str(&format!("%{byte:02X}"));
            }
        }
        escaped
    }
}

impl fmt::Display for Replaces {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            call_id,
            to_tag,
            from_tag,
            early_only,
        } = self;
        write!(out, "{call_id};to-tag={to_tag};from-tag={from_tag}")?;
        if *early_only {
            out.write_str(";early-only")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaces() -> Replaces {
        Replaces {
            call_id: "98732@sip.example.com".to_owned(),
            to_tag: "7743".to_owned(),
            from_tag: "6472".to_owned(),
            early_only: false,
        }
    }

    #[test]
    fn a_value_reads_back_in_any_order_and_case() {
        let read = Replaces::parse("98732@sip.example.com ;From-Tag=6472; to-tag=7743;x=1");
        assert_eq!(read, Ok(replaces()));
        assert_eq!(Replaces::parse(&replaces().to_string()), Ok(replaces()));
        let early = Replaces::parse("a;to-tag=b;from-tag=c;early-only").unwrap();
        assert!(early.early_only);
        // RFC 3261 section 25.1: a Call-ID is a word, in which a quotation mark may stand.
        let quoted = Replaces::parse("a\"b@c;to-tag=b;from-tag=c").unwrap();
        assert_eq!(quoted.call_id, "a\"b@c");
        let written = Replaces::in_uri_headers(&format!("Replaces={}", quoted.as_uri_header()));
        assert_eq!(written, Ok(Some(quoted)));
    }

    #[test]
    fn a_missing_or_repeated_tag_is_malformed() {
        for value in [
            "",
            "a",
            "a;to-tag=b",
            "a;to-tag=b;from-tag=",
            "a;to-tag=b;to-tag=c;from-tag=d",
            "a;to-tag=\"b;from-tag=c",
            "a;to-tag=b c;from-tag=d",
        ] {
            assert!(Replaces::parse(value).is_err(), "{value}");
        }
    }

    #[test]
    fn it_travels_in_a_uri_and_back() {
        let escaped = replaces().as_uri_header();
        assert_eq!(
            escaped,
            "98732%40sip.example.com%3Bto-tag%3D7743%3Bfrom-tag%3D6472"
        );
        let headers = format!("Subject=x&Replaces={escaped}");
        assert_eq!(Replaces::in_uri_headers(&headers), Ok(Some(replaces())));
        assert_eq!(Replaces::in_uri_headers("Subject=x"), Ok(None));
        assert!(Replaces::in_uri_headers("Replaces=%00").is_err());
    }
}
