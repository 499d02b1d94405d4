//! Via: where a request came through, and where its responses go (RFC 3261 section 20.42,
//! RFC 3581 for `rport`).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::host::{Host, HostRef, parse_port, scan_host_port};
use super::lexer::{Malformed, is_token, malformed, trim, write_escaped};
use super::parameters::{ParameterScanner, Parameters, Place};

/// One hop: `SIP/2.0/UDP host:port;parameters`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Via {
    /// The SIP version, `2.0` in every hop that speaks ours.
    pub version: String,
    /// The transport as written: `UDP`, `TCP`, `TLS`, `WS`, `WSS`, or one we do not know.
    pub transport: String,
    /// The sent-by host.
    pub host: Host,
    /// The sent-by port, when written.
    pub port: Option<u16>,
    /// `branch`, `received`, `rport`, `maddr` and others.
    pub parameters: Parameters,
}

impl Via {
    /// Our own hop with a bare `rport`, which asks for answers to the port we sent from.
    pub fn new(transport: &str, host: impl Into<Host>, port: Option<u16>, branch: &str) -> Self {
        let mut parameters = Parameters::new();
        parameters.set("branch", Some(branch));
        parameters.set("rport", None);
        Self {
            version: "2.0".to_owned(),
            transport: transport.to_owned(),
            host: host.into(),
            port,
            parameters,
        }
    }

    /// Reads one hop; lists are split before. White space around the slashes and the colon is taken.
    ///
    /// # Errors
    /// When protocol, sent-by or parameters are malformed.
    pub fn parse(value: &str) -> Result<Self, Malformed> {
        let via = ViaRef::scan(value)?;
        Ok(Self {
            version: via.version.to_owned(),
            transport: via.transport.to_owned(),
            host: via.host.into(),
            port: via.port,
            parameters: Parameters::parse(via.parameters, Place::Header)?,
        })
    }

    /// The `branch` parameter.
    pub fn branch(&self) -> Option<&str> {
        self.parameters
            .get("branch")
            .filter(|branch| !branch.is_empty())
    }

    /// The `received` parameter; an IPv6 address with or without brackets (RFC 5118 section 4.5).
    pub fn received(&self) -> Option<IpAddr> {
        let address = self.parameters.get("received")?;
        let bare = address
            .strip_prefix('[')
            .and_then(|inside| inside.strip_suffix(']'));
        bare.unwrap_or(address).parse().ok()
    }

    /// The `rport` parameter: `None` when absent, `Some(None)` when it stands without a port.
    pub fn rport(&self) -> Option<Option<u16>> {
        let asked = self.parameters.contains("rport");
        asked.then(|| self.parameters.get("rport").and_then(parse_port))
    }

    /// Notes where the request really came from (RFC 3261 section 18.2.1, RFC 3581 section 4):
    /// `rport` gets the port if it was asked for; `received` gets the address if `rport` was asked
    /// for, if sent-by says otherwise, or if somebody has filled it in already.
    pub fn set_received_rport(&mut self, remote: SocketAddr) {
        // A dual-stack socket shows IPv4 peers as mapped addresses.
        let address = remote.ip().to_canonical();
        let asked = self.parameters.contains("rport");
        if asked {
            self.parameters
                .set("rport", Some(&remote.port().to_string()));
        }
        if asked || self.host.ip() != Some(address) || self.parameters.contains("received") {
            self.parameters.set("received", Some(&address.to_string()));
        }
    }
}

impl fmt::Display for Via {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SIP/")?;
        write_escaped(out, &self.version)?;
        out.write_str("/")?;
        write_escaped(out, &self.transport)?;
        write!(out, " {}", self.host)?;
        if let Some(port) = self.port {
            write!(out, ":{port}")?;
        }
        self.parameters.fmt(out)
    }
}

/// A checked hop that still borrows its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct ViaRef<'a> {
    version: &'a str,
    transport: &'a str,
    host: HostRef<'a>,
    port: Option<u16>,
    parameters: &'a str,
}

impl<'a> ViaRef<'a> {
    pub(super) fn scan(value: &'a str) -> Result<Self, Malformed> {
        let via = Self::scan_sent_by(value)?;
        ParameterScanner::new(via.parameters, Place::Header).check()?;
        Ok(via)
    }

    /// Everything but the parameters, which may be damaged.
    fn scan_sent_by(value: &'a str) -> Result<Self, Malformed> {
        let error = malformed("Via");
        let (name, rest) = value.split_once('/').ok_or(error)?;
        let (version, rest) = rest.split_once('/').ok_or(error)?;
        let (version, rest) = (trim(version), trim(rest));
        let (transport, rest) = rest.split_once([' ', '\t']).ok_or(error)?;
        if !trim(name).eq_ignore_ascii_case("SIP") || !is_token(version) || !is_token(transport) {
            return Err(error);
        }
        let (sent_by, parameters) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
        let (host, port) = scan_host_port(trim(sent_by)).map_err(|_| malformed("Via sent-by"))?;
        Ok(Self {
            version,
            transport,
            host,
            port,
            parameters,
        })
    }

    /// What of a damaged hop still says where to answer: the text up to its parameters.
    pub(super) fn salvage(value: &'a str) -> Option<&'a str> {
        let readable = trim(value.split(';').next()?);
        Self::scan_sent_by(readable).ok().map(|_| readable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Via {
        Via::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn white_space_stands_almost_anywhere() {
        let via = parse("SIP  /   2.0\t/ UDP    192.0.2.2 : 5070 ; branch = z9hG4bK1 ;rport");
        assert_eq!(
            via.to_string(),
            "SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bK1;rport"
        );
        assert_eq!(via.branch(), Some("z9hG4bK1"));
        assert_eq!(via.rport(), Some(None));
    }

    #[test]
    fn received_is_read_with_ipv6_in_both_forms_and_the_branch_stays() {
        for received in ["2001:db8::9:255", "[2001:db8::9:255]"] {
            let via = parse(&format!(
                "SIP/2.0/UDP [2001:db8::9:1];received={received};branch=z9hG4bKas3"
            ));
            assert_eq!(via.received(), Some("2001:db8::9:255".parse().unwrap()));
            assert_eq!(via.branch(), Some("z9hG4bKas3"));
        }
    }

    #[test]
    fn the_source_is_noted_where_it_is_asked_for_or_differs() {
        let noted = |text: &str, remote: &str| {
            let mut via = parse(text);
            via.set_received_rport(remote.parse().unwrap());
            via.to_string()
        };
        assert_eq!(
            noted("SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bKa", "192.0.2.1:7"),
            "SIP/2.0/UDP 10.0.0.1;rport=7;branch=z9hG4bKa;received=192.0.2.1"
        );
        assert_eq!(
            noted("SIP/2.0/UDP 192.0.2.1", "192.0.2.1:7"),
            "SIP/2.0/UDP 192.0.2.1"
        );
        assert_eq!(
            noted("SIP/2.0/UDP 192.0.2.1", "[::ffff:192.0.2.1]:7"),
            "SIP/2.0/UDP 192.0.2.1"
        );
        assert_eq!(
            noted("SIP/2.0/UDP host", "192.0.2.1:7"),
            "SIP/2.0/UDP host;received=192.0.2.1"
        );
        assert_eq!(
            noted("SIP/2.0/UDP 192.0.2.1;received=192.0.2.66", "192.0.2.1:7"),
            "SIP/2.0/UDP 192.0.2.1;received=192.0.2.1"
        );
        assert_eq!(
            noted("SIP/2.0/UDP [::1]:5060;rport", "[2001:db8::1]:9"),
            "SIP/2.0/UDP [::1]:5060;rport=9;received=2001:db8::1"
        );
    }

    #[test]
    fn what_is_no_hop_is_refused() {
        for text in [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0 host",
            "HTTP/1.1/TCP h",
            "SIP/2.0/UDP h;;branch=1",
            "SIP/2.0/UDP a b",
            "SIP/2.0/UDP ;branch=1",
        ] {
            assert!(Via::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_damaged_hop_still_says_where_to_answer() {
        assert_eq!(
            ViaRef::salvage("SIP/2.0/UDP 192.0.2.15;;,;,,"),
            Some("SIP/2.0/UDP 192.0.2.15")
        );
        assert_eq!(ViaRef::salvage("nonsense;x"), None);
    }
}
