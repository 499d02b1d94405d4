//! Where a webhook is: a URL of the configuration's with places for values.
//!
//! Who is asked is fixed text. Values stand behind the host only, and come out percent-encoded, so that nothing a caller
//! keys in and nothing a model writes changes whom we ask, or adds a segment or a parameter of its own.

use std::fmt::Write;

/// The longest URL, before its values.
const LONGEST: usize = 2_000;

/// A URL with `{name}` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookUrl {
    text: String,
    is_private: bool,
}

impl WebhookUrl {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err("is no http:// or https:// URL".to_owned());
        };
        let is_private = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err("is no http:// or https:// URL".to_owned()),
        };
        if text.len() > LONGEST {
            return Err(format!("is longer than {LONGEST} characters"));
        }
        if let Some(odd) = text
            .chars()
            .find(|symbol| !symbol.is_ascii_graphic() || "\"<>\\^`|".contains(*symbol))
        {
            return Err(format!(
                "has a {odd:?}, which a URL cannot have: write it percent-encoded"
            ));
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains(['{', '}']) {
            return Err("has a {name} in its host: values can only stand behind it".to_owned());
        }
        if authority.contains('@') {
            return Err("has a user in it: give a header instead".to_owned());
        }
        if text.contains('#') {
            return Err("has a fragment (#), which is never sent".to_owned());
        }
        let (host, port) = split_port(authority);
        if !is_host(host) || port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err(format!("has no host and port in {authority:?}"));
        }
        let is_loopback = ["localhost", "[::1]"].contains(&host)
            || host
                .parse::<std::net::Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback());
        let url = Self {
            text: text.to_owned(),
            is_private: is_private || is_loopback,
        };
        let pieces = text.split('{').skip(1);
        if pieces.clone().any(|piece| !piece.contains('}'))
            || text.matches('}').count() != pieces.count()
        {
            return Err("has a brace without its partner".to_owned());
        }
        Ok(url)
    }

    /// As the configuration has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether nobody on the way can read what is sent there: by TLS, or to this machine.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.is_private
    }

    /// The names that it has places for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let pieces = self.text.split('{').skip(1);
        pieces.filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
    }

    /// With values in their places. A value of dots alone is left out: it would be a step in the path, encoded or not.
    #[must_use]
    pub fn fill_in<'v>(&self, value: impl Fn(&str) -> Option<std::borrow::Cow<'v, str>>) -> String {
        let mut pieces = self.text.split('{');
        let mut filled = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let (name, rest) = piece.split_once('}').unwrap_or((piece, ""));
            let value = value(name).unwrap_or_default();
            if !value.bytes().all(|byte| byte == b'.') {
                encode(&value, &mut filled);
            }
            filled.push_str(rest);
        }
        filled
    }
}

/// Whether this is a name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(text: &str) -> bool {
    let in_brackets = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    in_brackets.map_or_else(
        || {
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !text.is_empty() && text.bytes().all(is_part)
        },
        |address| address.parse::<std::net::Ipv6Addr>().is_ok(),
    )
}

/// Host and port, of a bracketed IPv6 address too.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        Some(_) | None => (authority, None),
    }
}

/// Percent-encodes all but the unreserved characters (RFC 3986 section 2.3).
fn encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn filled(url: &str, value: &str) -> String {
        let url = WebhookUrl::parse(url).unwrap();
        url.fill_in(|_| Some(Cow::Owned(value.to_owned())))
    }

    #[test]
    fn a_value_stays_one_segment_and_one_parameter() {
        assert_eq!(
            filled(
                "http://desk.example/by/{number}?x={number}&y=1",
                "a/../b?c&d=#é"
            ),
            "http://desk.example/by/a%2F..%2Fb%3Fc%26d%3D%23%C3%A9?x=a%2F..%2Fb%3Fc%26d%3D%23%C3%A9&y=1"
        );
        assert_eq!(
            filled("http://desk.example/by/{number}/x", ".."),
            "http://desk.example/by//x"
        );
        assert_eq!(filled("https://desk.example", "1"), "https://desk.example");
    }

    #[test]
    fn what_is_no_url_of_ours_is_named() {
        for (url, why) in [
            ("ftp://desk.example/", "is no http:// or https://"),
            ("desk.example", "is no http:// or https://"),
            ("http://{host}/", "{name} in its host"),
            ("http://desk.example:{port}/", "{name} in its host"),
            ("http://desk.example{number}", "{name} in its host"),
            ("http://user:word@desk.example/", "has a user"),
            ("http://desk.example/#top", "fragment"),
            ("http:///path", "no host"),
            ("http://desk.example:x/", "no host and port"),
            ("http://a:b:80/", "no host and port"),
            ("http://[::1/", "no host and port"),
            ("http://[::g]/", "no host and port"),
            ("http://desk,example/", "no host and port"),
            ("http://desk.example/ x", "has a ' '"),
            ("http://desk.example/{number", "without its partner"),
            ("http://desk.example/number}", "without its partner"),
        ] {
            let mistake = WebhookUrl::parse(url).expect_err(url);
            assert!(mistake.contains(why), "{url}: {mistake}");
        }
    }

    #[test]
    fn tls_and_this_machine_are_private() {
        for (url, private) in [
            ("https://desk.example/", true),
            ("http://127.0.0.1:8080/", true),
            ("http://[::1]:8080/", true),
            ("http://localhost/", true),
            ("http://desk.example/", false),
            ("http://127.0.0.1.desk.example/", false),
        ] {
            assert_eq!(
                WebhookUrl::parse(url).unwrap().is_private(),
                private,
                "{url}"
            );
        }
    }
}
