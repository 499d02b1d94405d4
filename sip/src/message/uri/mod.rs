//! URIs: `sip:` and `sips:` in their parts, every other scheme verbatim (RFC 3261 section 19.1).

mod equivalence;

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use super::host::{Host, HostRef, scan_host_port};
use super::lexer::{Malformed, ends_a_uri, malformed, write_escaped};
use super::parameters::{ParameterScanner, Parameters, Place};
pub(super) use equivalence::unescape;

/// The longest URI that is read, in bytes.
pub const MAX_URI_BYTES: usize = 2 * 1024;

/// A URI.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Uri {
    /// `sip:` or `sips:`.
    Sip(SipUri),
    /// Any other scheme (`tel:`, `urn:`, unknown ones), kept as written.
    Other(OtherUri),
}

/// A `sip:` or `sips:` URI. Text parts stand as on the wire, percent escapes included.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SipUri {
    /// Whether the scheme is `sips`.
    pub secure: bool,
    /// Before the `@`, escaped; RFC 3261 lets it hold parameters of its own.
    pub user: Option<String>,
    /// After the user's colon, escaped.
    pub password: Option<String>,
    /// Where it points.
    pub host: Host,
    /// Its port, when written.
    pub port: Option<u16>,
    /// `;name=value` after the host.
    pub parameters: Parameters,
    /// What stands after `?`, as written.
    pub headers: Option<String>,
}

/// A URI of a scheme that this crate does not take apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OtherUri {
    scheme: String,
    rest: String,
}

impl OtherUri {
    /// Before the colon, as written.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// After the colon, as written: for `tel:`, the number and its parameters.
    pub fn rest(&self) -> &str {
        &self.rest
    }
}

impl SipUri {
    /// A `sip:` URI of a host alone.
    pub fn new(host: impl Into<Host>, port: Option<u16>) -> Self {
        Self {
            secure: false,
            user: None,
            password: None,
            host: host.into(),
            port,
            parameters: Parameters::new(),
            headers: None,
        }
    }

    /// The user with its percent escapes undone; bytes that are not UTF-8 come out as U+FFFD.
    pub fn user_unescaped(&self) -> Option<Cow<'_, str>> {
        self.user.as_deref().map(|user| match unescape(user) {
            Cow::Borrowed(_) => Cow::Borrowed(user),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        })
    }
}

impl From<SipUri> for Uri {
    fn from(uri: SipUri) -> Self {
        Self::Sip(uri)
    }
}

impl Uri {
    /// Reads a URI without angle brackets.
    ///
    /// # Errors
    /// When it is longer than [`MAX_URI_BYTES`], has no scheme, holds white space, control
    /// characters, quotes or angle brackets, or when a `sip:` URI's parts do not follow their grammar.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        UriRef::scan(text)?.to_uri()
    }

    /// The scheme in lower case for `sip` and `sips`, otherwise as written.
    pub fn scheme(&self) -> &str {
        match self {
            Self::Sip(uri) if uri.secure => "sips",
            Self::Sip(_) => "sip",
            Self::Other(uri) => &uri.scheme,
        }
    }

    /// The parts of a `sip:` or `sips:` URI.
    pub fn sip(&self) -> Option<&SipUri> {
        match self {
            Self::Sip(uri) => Some(uri),
            Self::Other(_) => None,
        }
    }

    /// The parts of a `sip:` or `sips:` URI, to change.
    pub fn sip_mut(&mut self) -> Option<&mut SipUri> {
        match self {
            Self::Sip(uri) => Some(uri),
            Self::Other(_) => None,
        }
    }

    /// The user, escaped. `None` for other schemes.
    pub fn user(&self) -> Option<&str> {
        self.sip()?.user.as_deref()
    }

    /// The host. `None` for other schemes.
    pub fn host(&self) -> Option<&Host> {
        Some(&self.sip()?.host)
    }

    /// The port, when written. `None` for other schemes.
    pub fn port(&self) -> Option<u16> {
        self.sip()?.port
    }

    /// The `transport` parameter, when written.
    pub fn transport(&self) -> Option<&str> {
        self.sip()?.parameters.get("transport")
    }

    /// Whether it has the `lr` parameter: the mark of a loose router (RFC 3261 section 16.12.1.1).
    /// `lr=on` and `lr=true` of older proxies count.
    pub fn is_lr(&self) -> bool {
        self.sip().is_some_and(|uri| uri.parameters.contains("lr"))
    }

    /// About how many bytes it takes on the wire.
    pub(super) fn length_hint(&self) -> usize {
        match self {
            Self::Sip(uri) => {
                let parameter = |(name, value): (&str, Option<&str>)| {
                    name.len() + value.map_or(0, str::len) + 2
                };
                64 + uri.user.as_ref().map_or(0, String::len)
                    + uri.password.as_ref().map_or(0, String::len)
                    + match &uri.host {
                        Host::Name(name) => name.len(),
                        Host::V4(_) | Host::V6(_) => 0,
                    }
                    + uri.parameters.iter().map(parameter).sum::<usize>()
                    + uri.headers.as_ref().map_or(0, String::len)
            }
            Self::Other(uri) => uri.scheme.len() + 1 + uri.rest.len(),
        }
    }
}

impl FromStr for Uri {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        Self::parse(text)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sip(uri) => uri.fmt(out),
            Self::Other(OtherUri { scheme, rest }) => write!(out, "{scheme}:{rest}"),
        }
    }
}

impl fmt::Display for SipUri {
    /// Writes the URI. A character that could end it (white space, a control character, a quote,
    /// an angle bracket) in a part that somebody set is written as a percent escape.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.secure { "sips:" } else { "sip:" })?;
        if let Some(user) = &self.user {
            write_escaped(out, user)?;
            if let Some(password) = &self.password {
                out.write_char(':')?;
                write_escaped(out, password)?;
            }
            out.write_char('@')?;
        }
        self.host.fmt(out)?;
        if let Some(port) = self.port {
            write!(out, ":{port}")?;
        }
        for (name, value) in self.parameters.iter() {
            out.write_char(';')?;
            write_escaped(out, name)?;
            if let Some(value) = value {
                out.write_char('=')?;
                write_escaped(out, value)?;
            }
        }
        if let Some(headers) = &self.headers {
            out.write_char('?')?;
            write_escaped(out, headers)?;
        }
        Ok(())
    }
}

/// A checked URI that still borrows its text.
#[derive(Debug, Clone, Copy)]
pub(super) enum UriRef<'a> {
    Sip {
        secure: bool,
        user: Option<&'a str>,
        password: Option<&'a str>,
        host: HostRef<'a>,
        port: Option<u16>,
        parameters: &'a str,
        headers: Option<&'a str>,
    },
    Other {
        scheme: &'a str,
        rest: &'a str,
    },
}

impl<'a> UriRef<'a> {
    pub(super) fn scan(text: &'a str) -> Result<Self, Malformed> {
        if text.len() > MAX_URI_BYTES {
            return Err(malformed("URI length"));
        }
        if text.bytes().any(ends_a_uri) {
            return Err(malformed("URI"));
        }
        let (scheme, rest) = text.split_once(':').ok_or(malformed("URI scheme"))?;
        let secure = match scheme {
            _ if scheme.eq_ignore_ascii_case("sip") => false,
            _ if scheme.eq_ignore_ascii_case("sips") => true,
            _ if is_scheme(scheme) && !rest.is_empty() => return Ok(Self::Other { scheme, rest }),
            _ => return Err(malformed("URI scheme")),
        };
        // A user may hold `;` and `?`, so it is what stands before the `@` that decides.
        let (user, rest) = match rest.split_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let (user, password) = match user.and_then(|user| user.split_once(':')) {
            Some((user, password)) => (Some(user), Some(password)),
            None => (user, None),
        };
        let (rest, headers) = match rest.split_once('?') {
            Some((rest, headers)) => (rest, Some(headers)),
            None => (rest, None),
        };
        let (host_port, parameters) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
        let (host, port) = scan_host_port(host_port)?;
        ParameterScanner::new(parameters, Place::Uri).check()?;
        Ok(Self::Sip {
            secure,
            user,
            password,
            host,
            port,
            parameters,
            headers,
        })
    }

    pub(super) fn to_uri(self) -> Result<Uri, Malformed> {
        Ok(match self {
            Self::Sip {
                secure,
                user,
                password,
                host,
                port,
                parameters,
                headers,
            } => Uri::Sip(SipUri {
                secure,
                user: user.map(str::to_owned),
                password: password.map(str::to_owned),
                host: host.into(),
                port,
                parameters: Parameters::parse(parameters, Place::Uri)?,
                headers: headers.map(str::to_owned),
            }),
            Self::Other { scheme, rest } => Uri::Other(OtherUri {
                scheme: scheme.to_owned(),
                rest: rest.to_owned(),
            }),
        })
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|character: char| character.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

#[cfg(test)]
mod tests;
