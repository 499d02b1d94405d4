//! When two URIs are the same (RFC 3261 section 19.1.4).

use std::borrow::Cow;

use super::Uri;
use crate::message::parameters::Parameters;

impl Uri {
    /// Whether both are the same by RFC 3261 section 19.1.4. Other schemes are the same when their
    /// text is, but for the scheme's case.
    pub fn equivalent(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sip(one), Self::Sip(two)) => {
                one.secure == two.secure
                    && same_escaped(one.user.as_deref(), two.user.as_deref())
                    && same_escaped(one.password.as_deref(), two.password.as_deref())
                    && one.host.equivalent(&two.host)
                    && one.port == two.port
                    && parameters_equivalent(&one.parameters, &two.parameters)
                    && headers_equivalent(one.headers.as_deref(), two.headers.as_deref())
            }
            (Self::Other(one), Self::Other(two)) => {
                one.scheme.eq_ignore_ascii_case(&two.scheme) && one.rest == two.rest
            }
            (Self::Sip(_), Self::Other(_)) | (Self::Other(_), Self::Sip(_)) => false,
        }
    }
}

/// Undoes percent escapes; a `%` that starts none stays.
pub(in crate::message) fn unescape(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        match (byte, digit(after.first()), digit(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(
                    u8::try_from(high * 16 + low).expect("two hexadecimal digits are a byte"),
                );
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    Cow::Owned(bytes)
}

fn same_escaped(one: Option<&str>, two: Option<&str>) -> bool {
    one.map(unescape) == two.map(unescape)
}

fn parameters_equivalent(one: &Parameters, two: &Parameters) -> bool {
    // In one URI only, these make a difference; any other parameter is then ignored.
    const DECIDING: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];
    DECIDING
        .iter()
        .all(|name| one.contains(name) == two.contains(name))
        && one
            .iter()
            .filter(|(name, _)| two.contains(name))
            .all(|(name, value)| {
                let value = value.map(|value| unescape(value).to_ascii_lowercase());
                value
                    == two
                        .get(name)
                        .map(|value| unescape(value).to_ascii_lowercase())
            })
}

fn headers_equivalent(one: Option<&str>, two: Option<&str>) -> bool {
    let sorted = |headers: Option<&str>| {
        let mut headers: Vec<(Vec<u8>, Vec<u8>)> = headers
            .unwrap_or_default()
            .split('&')
            .map(|header| header.split_once('=').unwrap_or((header, "")))
            .map(|(name, value)| {
                (
                    unescape(name).to_ascii_lowercase(),
                    unescape(value).into_owned(),
                )
            })
            .collect();
        headers.sort_unstable();
        headers
    };
    one == two || sorted(one) == sorted(two)
}
