//! Name and address: `"Display" <uri>;parameters`, the value of From, To, Contact, Route and
//! their kin (RFC 3261 section 20.10).

use std::fmt;

use super::lexer::{Malformed, malformed, quoted_string, trim, unescape_quoted, write_quoted};
use super::parameters::{ParameterScanner, Parameters, Place};
use super::uri::{Uri, UriRef};

/// A URI with an optional display name and the header's parameters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NameAddr {
    /// The display name without quotes and escapes; `None` when there was none.
    pub display: Option<String>,
    /// The address.
    pub uri: Uri,
    /// The header's own parameters, which stand outside the angle brackets.
    pub parameters: Parameters,
}

impl NameAddr {
    /// A bare address.
    pub fn new(uri: impl Into<Uri>) -> Self {
        Self {
            display: None,
            uri: uri.into(),
            parameters: Parameters::new(),
        }
    }

    /// Reads one value; lists are split before. Without angle brackets, parameters belong to the
    /// header, not to the URI.
    ///
    /// # Errors
    /// When quotes or brackets do not close, when the URI is malformed, or when a URI that holds
    /// `?`, `,` or `;` stands without its brackets.
    pub fn parse(value: &str) -> Result<Self, Malformed> {
        NameAddrRef::scan(value)?.to_name_addr()
    }

    /// The `tag` parameter.
    pub fn tag(&self) -> Option<&str> {
        self.parameters.get("tag")
    }

    /// The same with this tag.
    #[must_use]
    pub fn with_tag(mut self, tag: &str) -> Self {
        self.parameters.set("tag", Some(tag));
        self
    }
}

impl fmt::Display for NameAddr {
    /// Always with angle brackets, and with the display name always quoted.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            write_quoted(out, display)?;
            out.write_str(" ")?;
        }
        write!(out, "<{}>{}", self.uri, self.parameters)
    }
}

/// A checked value that still borrows its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct NameAddrRef<'a> {
    display: Option<DisplayName<'a>>,
    uri: UriRef<'a>,
    parameters: &'a str,
}

#[derive(Debug, Clone, Copy)]
enum DisplayName<'a> {
    /// Between quotes, still escaped.
    Quoted(&'a str),
    Tokens(&'a str),
}

impl<'a> NameAddrRef<'a> {
    pub(super) fn scan(value: &'a str) -> Result<Self, Malformed> {
        let value = trim(value);
        let opens = |byte: u8| matches!(byte, b'<' | b'"');
        let (display, rest) = match value.bytes().position(opens) {
            None => return Self::scan_addr_spec(value),
            Some(0) if value.starts_with('"') => {
                let (inside, rest) =
                    quoted_string(value).ok_or(malformed("quoted display name"))?;
                (Some(DisplayName::Quoted(inside)), trim(rest))
            }
            Some(bracket) => {
                let (display, rest) = value.split_at(bracket);
                (display_tokens(trim(display))?, rest)
            }
        };
        let inside = rest.strip_prefix('<').ok_or(malformed("angle brackets"))?;
        let (uri, parameters) = inside.split_once('>').ok_or(malformed("angle brackets"))?;
        Self::with_parameters(display, uri, parameters)
    }

    /// `addr-spec`: the first semicolon ends the URI, since its parameters would need brackets.
    fn scan_addr_spec(value: &'a str) -> Result<Self, Malformed> {
        let (uri, parameters) = value.split_at(value.find(';').unwrap_or(value.len()));
        match uri.contains(['?', ',']) {
            true => Err(malformed("URI without its angle brackets")),
            false => Self::with_parameters(None, trim(uri), parameters),
        }
    }

    fn with_parameters(
        display: Option<DisplayName<'a>>,
        uri: &'a str,
        parameters: &'a str,
    ) -> Result<Self, Malformed> {
        ParameterScanner::new(parameters, Place::Header).check()?;
        Ok(Self {
            display,
            uri: UriRef::scan(uri)?,
            parameters,
        })
    }

    /// The `tag` parameter, as written.
    pub(super) fn tag(self) -> Option<&'a str> {
        ParameterScanner::new(self.parameters, Place::Header)
            .filter_map(Result::ok)
            .find(|(name, _)| name.eq_ignore_ascii_case("tag"))?
            .1
    }

    fn to_name_addr(self) -> Result<NameAddr, Malformed> {
        Ok(NameAddr {
            display: self.display.map(|display| match display {
                DisplayName::Quoted(inside) => unescape_quoted(inside).into_owned(),
                DisplayName::Tokens(tokens) => tokens.to_owned(),
            }),
            uri: self.uri.to_uri()?,
            parameters: Parameters::parse(self.parameters, Place::Header)?,
        })
    }
}

/// A display name without quotes should be tokens. More is let through (phones send parentheses,
/// dots and UTF-8 there), but not what would make the value ambiguous.
fn display_tokens(text: &str) -> Result<Option<DisplayName<'_>>, Malformed> {
    match text {
        "" => Ok(None),
        _ if text.contains([',', ';', '>']) => Err(malformed("display name")),
        _ => Ok(Some(DisplayName::Tokens(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> NameAddr {
        NameAddr::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn quoted_names_lose_their_quotes_and_get_them_back() {
        let parsed = parse(r#"  "J \"Rose\" \\"  <sip:j@example.com;lr>  ; tag = 98 ;x"#);
        assert_eq!(parsed.display.as_deref(), Some(r#"J "Rose" \"#));
        assert_eq!(parsed.tag(), Some("98"));
        assert_eq!(
            parsed.to_string(),
            r#""J \"Rose\" \\" <sip:j@example.com;lr>;tag=98;x"#
        );
        assert_eq!(parse(&parsed.to_string()), parsed);
    }

    #[test]
    fn a_name_may_touch_its_bracket_and_may_be_absent() {
        assert_eq!(
            parse("caller<sip:c@h>;tag=3").display.as_deref(),
            Some("caller")
        );
        assert_eq!(parse("<sip:h>").display, None);
        assert_eq!(parse(r#""" <sip:h>"#).display.as_deref(), Some(""));
        assert_eq!(
            parse(r"DOMAIN\caller <sip:c@h>").display.as_deref(),
            Some(r"DOMAIN\caller")
        );
        assert_eq!(
            parse("Söhne (mobil) <tel:+49>").display.as_deref(),
            Some("Söhne (mobil)")
        );
    }

    #[test]
    fn without_brackets_parameters_belong_to_the_header() {
        let parsed = parse("sip:bob@example.com ;  tag    = 1918181833n");
        assert_eq!(parsed.tag(), Some("1918181833n"));
        assert!(parsed.uri.sip().unwrap().parameters.is_empty());
        assert_eq!(parse("tel:+1;tag=4").tag(), Some("4"));
    }

    #[test]
    fn what_is_ambiguous_or_open_is_refused() {
        for text in [
            r#""Mr. User <sip:u@h>"#,
            "<sip:u@h",
            "sip:u@h>",
            r#""A" < sip:u@h >"#,
            "Bell, Alexander <sip:a@h>;tag=4",
            "sip:u@h?Route=%3Csip:x%3E",
            "sip:u;par@h",
            r#""A" sip:u@h"#,
            r#""A" "B" <sip:u@h>"#,
            "<sip:a@h>, <sip:b@h>",
            "<sip:a@h>;tag=1, <sip:b@h>",
            "<>",
            "",
        ] {
            assert!(NameAddr::parse(text).is_err(), "{text}");
        }
    }
}
