//! `[sip]`: where signalling listens and what it calls itself.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::document::{Item, Section};
use super::finding::Findings;

/// Where signalling listens and what it calls itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipConfig {
    /// The UDP addresses, each once; port 0 asks for any.
    pub listen: Vec<SocketAddr>,
    /// What the far ends know us by.
    pub advertise: Advertise,
    /// What somebody hears whom no trunk lists.
    pub strangers: Strangers,
}

/// What somebody hears whom no trunk lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strangers {
    /// Nothing: a scanner does not learn that anybody lives here.
    #[default]
    Silent,
    /// 403, never more bytes than came.
    Forbid,
}

impl FromStr for Strangers {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "silent" => Ok(Self::Silent),
            "forbid" => Ok(Self::Forbid),
            _ => Err("is none of silent, forbid"),
        }
    }
}

/// The addresses that Via, Contact and SDP say, at most one a family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Advertise {
    ipv4: Option<IpAddr>,
    ipv6: Option<IpAddr>,
}

impl Advertise {
    /// What to say for a socket bound to `bound`: the address configured for its family, else its own.
    #[must_use]
    pub fn address_for(&self, bound: IpAddr) -> IpAddr {
        self.configured_for(bound).unwrap_or(bound)
    }

    /// Whether far ends can be told where `bound` is: an unspecified address is no destination.
    pub(super) fn can_reach(&self, bound: IpAddr) -> bool {
        !self.address_for(bound).is_unspecified()
    }

    const fn configured_for(&self, family: IpAddr) -> Option<IpAddr> {
        match family {
            IpAddr::V4(_) => self.ipv4,
            IpAddr::V6(_) => self.ipv6,
        }
    }

    const fn slot(&mut self, family: IpAddr) -> &mut Option<IpAddr> {
        match family {
            IpAddr::V4(_) => &mut self.ipv4,
            IpAddr::V6(_) => &mut self.ipv6,
        }
    }
}

/// A listener as the configuration spells it: `udp:127.0.0.1:5060`, `tls:[::1]:5061`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listener {
    transport: Transport,
    address: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
    Tls,
    Ws,
    Wss,
}

impl FromStr for Listener {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str =
            "should be TRANSPORT:ADDRESS:PORT, as udp:192.0.2.1:5060 or udp:[2001:db8::1]:5060";
        let (transport, address) = text.split_once(':').ok_or(FORM)?;
        let transport = match transport {
            "udp" => Transport::Udp,
            "tcp" => Transport::Tcp,
            "tls" => Transport::Tls,
            "ws" => Transport::Ws,
            "wss" => Transport::Wss,
            _ => return Err("the transport must be udp, tcp, tls, ws or wss"),
        };
        let address = address.parse().map_err(|_| FORM)?;
        Ok(Self { transport, address })
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Ws => "ws",
            Transport::Wss => "wss",
        };
        write!(f, "{transport}:{}", self.address)
    }
}

pub(super) fn read(mut section: Section<'_>, findings: &mut Findings) -> SipConfig {
    let advertise = read_advertise(&mut section, findings);
    let listen = match section.take("listen") {
        Some(item) => read_listen(&item, &advertise, findings),
        None => Vec::new(),
    };
    if let Some(tls) = section.take("tls") {
        if let Some(mut tls_section) = findings.keep(tls.section()) {
            for key in ["certificate", "key_file"] {
                let file = tls_section
                    .require(key)
                    .and_then(|item| item.readable_path());
                findings.keep(file);
            }
            tls_section.finish(findings);
        }
        findings
            .warnings
            .push(tls.finding("TLS is not built yet; the certificate is not used"));
    }
    let strangers = section
        .take("strangers")
        .and_then(|item| findings.keep(item.parse(str::parse)))
        .unwrap_or_default();
    section.finish(findings);
    SipConfig {
        listen,
        advertise,
        strangers,
    }
}

fn read_listen(item: &Item<'_>, advertise: &Advertise, findings: &mut Findings) -> Vec<SocketAddr> {
    let mut listen: Vec<SocketAddr> = Vec::new();
    let mistakes_before = findings.mistakes.len();
    for (item, listener) in item.parse_list(findings, str::parse::<Listener>) {
        let address = listener.address;
        match listener.transport {
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                findings
                    .warnings
                    .push(item.finding(format!("only UDP is built yet; {listener} is not opened")));
            }
            Transport::Udp if address.port() != 0 && listen.contains(&address) => {
                findings
                    .mistakes
                    .push(item.finding(format!("{listener} is listed twice")));
            }
            Transport::Udp if !advertise.can_reach(address.ip()) => {
                let what = format!(
                    "{listener} listens everywhere: set sip.advertise to the address others call"
                );
                findings.mistakes.push(item.finding(what));
            }
            Transport::Udp => listen.push(address),
        }
    }
    if listen.is_empty() && findings.mistakes.len() == mistakes_before {
        findings
            .mistakes
            .push(item.finding("names no address that is opened; list at least one udp: address"));
    }
    listen
}

fn read_advertise(section: &mut Section<'_>, findings: &mut Findings) -> Advertise {
    let mut advertise = Advertise::default();
    if let Some(item) = section.take("advertise") {
        for (item, address) in item.parse_list(findings, parse_address) {
            if advertise.slot(address).replace(address).is_some() {
                findings.mistakes.push(
                    item.finding("is a second address of its family; one is said to far ends"),
                );
            }
        }
    }
    // One address in a variable of its own, for hosts that learn theirs at start; it wins over the list.
    if let Some(item) = section.take("public_address")
        && let Some(address) = findings.keep(item.parse(parse_address))
    {
        *advertise.slot(address) = Some(address);
    }
    advertise
}

/// An address that can be told to somebody.
fn parse_address(text: &str) -> Result<IpAddr, &'static str> {
    let address: IpAddr = text.parse().map_err(|_| "is not an IP address")?;
    if address.is_unspecified() || address.is_multicast() {
        return Err("is no address that a far end can send to");
    }
    Ok(address)
}
