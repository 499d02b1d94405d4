//! Where a running daemon is asked.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use axum::http::uri::Authority;

/// Where the control API listens unless somebody says otherwise.
const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8060);

/// A host and a port. Also what the Host header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ControlAddress {
    /// A name, or an address; one of IPv6 in brackets.
    host: String,
    port: u16,
}

impl ControlAddress {
    /// As the system's resolver takes it.
    pub(super) fn target(&self) -> (&str, u16) {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        (host, self.port)
    }
}

impl Default for ControlAddress {
    fn default() -> Self {
        DEFAULT.into()
    }
}

/// Who listens on every address is asked on this machine's own.
impl From<SocketAddr> for ControlAddress {
    fn from(listening: SocketAddr) -> Self {
        let ip = match listening.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        let host = match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        Self {
            host,
            port: listening.port(),
        }
    }
}

/// Why a text is no address of a control API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("should be a host, or host:port, as 127.0.0.1:8060, [::1]:8060 or offhook.example.net")]
pub(super) struct NoAddress;

impl FromStr for ControlAddress {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let authority: Authority = text.parse().map_err(|_| NoAddress)?;
        let host = authority.host();
        let after = text.strip_prefix(host).ok_or(NoAddress)?;
        let port = match after.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| NoAddress)?,
            None if after.is_empty() => DEFAULT.port(),
            None => return Err(NoAddress),
        };
        if host.is_empty() || port == 0 {
            return Err(NoAddress);
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for ControlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_may_be_left_out_and_brackets_are_not_for_the_resolver() {
        for (text, shown, target) in [
            ("127.0.0.1:9000", "127.0.0.1:9000", ("127.0.0.1", 9000)),
            ("127.0.0.1", "127.0.0.1:8060", ("127.0.0.1", 8060)),
            ("[::1]:9000", "[::1]:9000", ("::1", 9000)),
            ("[::1]", "[::1]:8060", ("::1", 8060)),
            ("desk.example", "desk.example:8060", ("desk.example", 8060)),
        ] {
            let address: ControlAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(address.target(), target);
        }
    }

    #[test]
    fn what_is_more_or_less_than_a_host_and_a_port_is_refused() {
        for wrong in [
            "",
            ":8060",
            "here:",
            "here:0",
            "here:port",
            "here:99999",
            "me@here",
            "http://here",
            "here/v1",
            "::1",
        ] {
            assert!(wrong.parse::<ControlAddress>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn who_listens_everywhere_is_asked_on_loopback() {
        let asked = |listening: &str| {
            ControlAddress::from(listening.parse::<SocketAddr>().unwrap()).to_string()
        };
        assert_eq!(asked("0.0.0.0:8060"), "127.0.0.1:8060");
        assert_eq!(asked("[::]:8060"), "[::1]:8060");
        assert_eq!(asked("192.0.2.1:80"), "192.0.2.1:80");
    }
}
