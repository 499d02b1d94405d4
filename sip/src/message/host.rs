//! Hosts and ports (RFC 3261 section 25.1 `hostport`, RFC 5118 for IPv6).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::lexer::{Malformed, malformed, trim, write_escaped};

/// The host of a URI or of a Via.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A domain name, as written.
    Name(String),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, written in brackets.
    V6(Ipv6Addr),
}

impl Host {
    /// Reads a host: a name, an IPv4 address, or an IPv6 address in brackets.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        HostRef::scan(text).map(Self::from)
    }

    /// The address, unless it is a name.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::V4(address) => Some(IpAddr::V4(*address)),
            Self::V6(address) => Some(IpAddr::V6(*address)),
        }
    }

    /// Whether both mean the same host: names regardless of case, addresses by value.
    pub fn equivalent(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(one), Self::Name(two)) => one.eq_ignore_ascii_case(two),
            (Self::Name(_) | Self::V4(_) | Self::V6(_), _) => self == other,
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(address),
        }
    }
}

impl From<SocketAddr> for Host {
    /// The address alone; the port is somebody else's field.
    fn from(address: SocketAddr) -> Self {
        address.ip().into()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write_escaped(out, name),
            Self::V4(address) => address.fmt(out),
            Self::V6(address) => write!(out, "[{address}]"),
        }
    }
}

/// A checked host that still borrows its text.
#[derive(Debug, Clone, Copy)]
pub(super) enum HostRef<'a> {
    Name(&'a str),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl<'a> HostRef<'a> {
    pub(super) fn scan(text: &'a str) -> Result<Self, Malformed> {
        if let Some(bracketed) = text.strip_prefix('[') {
            let address = bracketed
                .strip_suffix(']')
                .ok_or(malformed("IPv6 reference"))?;
            return parse_ipv6(address)
                .map(Self::V6)
                .ok_or(malformed("IPv6 reference"));
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::V4(address));
        }
        // Underscores are no part of a host name, yet hosts are named with them.
        let is_name_byte =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        match !text.is_empty() && text.bytes().all(is_name_byte) {
            true => Ok(Self::Name(text)),
            false => Err(malformed("host")),
        }
    }
}

impl From<HostRef<'_>> for Host {
    fn from(host: HostRef<'_>) -> Self {
        match host {
            HostRef::Name(name) => Self::Name(name.to_owned()),
            HostRef::V4(address) => Self::V4(address),
            HostRef::V6(address) => Self::V6(address),
        }
    }
}

/// Reads `host [":" port]`, with white space around the colon as a Via may have it.
pub(super) fn scan_host_port(text: &str) -> Result<(HostRef<'_>, Option<u16>), Malformed> {
    // The colon that ends the host is the first one after an IPv6 reference's bracket.
    let host_end = text.find(']').map_or(0, |bracket| bracket + 1);
    match text[host_end..].find(':') {
        None => Ok((HostRef::scan(trim(text))?, None)),
        Some(colon) => {
            let (host, port) = text.split_at(host_end + colon);
            let port = parse_port(trim(&port[1..])).ok_or(malformed("port"))?;
            Ok((HostRef::scan(trim(host))?, Some(port)))
        }
    }
}

/// Reads a port: digits only, at most 65535.
pub(super) fn parse_port(text: &str) -> Option<u16> {
    // `u16::from_str` would take a leading plus.
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// Reads an IPv6 address without brackets.
fn parse_ipv6(text: &str) -> Option<Ipv6Addr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    // The grammar of RFC 3261 lets a third colon stand before an IPv4 tail; RFC 5118 section 4.10
    // asks to be tolerant of it.
    let (head, tail) = text.split_once(":::")?;
    tail.parse::<Ipv4Addr>().ok()?;
    format!("{head}::{tail}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_port(text: &str) -> Option<(String, Option<u16>)> {
        let (host, port) = scan_host_port(text).ok()?;
        Some((Host::from(host).to_string(), port))
    }

    #[test]
    fn hosts_and_ports_are_told_apart_in_every_form() {
        for (text, host, port) in [
            ("example.com", "example.com", None),
            ("192.0.2.1:5060", "192.0.2.1", Some(5060)),
            ("192.0.2.1 : 5060", "192.0.2.1", Some(5060)),
            ("[2001:db8::1]", "[2001:db8::1]", None),
            ("[2001:db8::1]:5070", "[2001:db8::1]", Some(5070)),
            ("[2001:db8::1:5070]", "[2001:db8::1:5070]", None),
            ("[2001:db8:::192.0.2.1]", "[2001:db8::c000:201]", None),
        ] {
            assert_eq!(host_port(text), Some((host.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_or_port_is_refused() {
        for text in [
            "",
            ":5060",
            "a b",
            "[::1",
            "2001:db8::1",
            "h:",
            "h:+1",
            "h:65536",
            "h:5060x",
            "h@i",
            "[::1]x",
        ] {
            assert_eq!(host_port(text), None, "{text}");
        }
    }
}
