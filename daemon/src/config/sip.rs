//! `[sip]`: where signalling listens and what it calls itself.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use offhook_sip::endpoint::{SessionTimerPolicy, Transport};

use offhook_sip::message::Host;

use super::document::{Item, Section};
use super::finding::Findings;
use crate::tls::{Tls, TlsConfig};

/// What [`SipConfig::connection_idle`] is where nothing else is said: longer than the longest call that
/// `limits.max_duration_s` lets be in the example, whose BYE may be the next that its connection carries.
const CONNECTION_IDLE: Duration = Duration::from_secs(7_800);

/// RFC 4028 section 4.
const SMALLEST_SESSION: Duration = Duration::from_secs(90);

/// Where signalling listens and what it calls itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipConfig {
    /// Where it listens, each once.
    pub listen: Vec<SipAddress>,
    /// What the far ends know us by.
    pub advertise: Advertise,
    /// What TLS is made of; there where an address of `listen` wants it.
    pub tls: Option<TlsConfig>,
    /// A connection that was accepted and carries nothing for so long is closed.
    pub connection_idle: Duration,
    /// Who resolves names; the system's resolvers without any.
    pub dns_servers: Option<Vec<SocketAddr>>,
    /// Session timers; `None` leaves calls to the far end's and to the audio.
    pub session_timer: Option<SessionTimerPolicy>,
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

/// An address with its transport; port 0 asks for any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SipAddress {
    /// What is spoken there.
    pub transport: Transport,
    /// The address.
    pub address: SocketAddr,
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
    scheme: Scheme,
    address: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Udp,
    Tcp,
    Tls,
    Ws,
    Wss,
}

impl Scheme {
    /// What carries it; `None` for what is not built yet.
    const fn transport(self) -> Option<Transport> {
        match self {
            Self::Udp => Some(Transport::Udp),
            Self::Tcp => Some(Transport::Tcp),
            Self::Tls => Some(Transport::Tls),
            Self::Ws | Self::Wss => None,
        }
    }
}

impl FromStr for Listener {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str =
            "should be TRANSPORT:ADDRESS:PORT, as udp:192.0.2.1:5060 or udp:[2001:db8::1]:5060";
        let (scheme, address) = text.split_once(':').ok_or(FORM)?;
        let scheme = match scheme {
            "udp" => Scheme::Udp,
            "tcp" => Scheme::Tcp,
            "tls" => Scheme::Tls,
            "ws" => Scheme::Ws,
            "wss" => Scheme::Wss,
            _ => return Err("the transport must be udp, tcp, tls, ws or wss"),
        };
        let address = address.parse().map_err(|_| FORM)?;
        Ok(Self { scheme, address })
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Udp => "udp",
            Scheme::Tcp => "tcp",
            Scheme::Tls => "tls",
            Scheme::Ws => "ws",
            Scheme::Wss => "wss",
        };
        write!(f, "{scheme}:{}", self.address)
    }
}

/// `session_expires_s` and `min_se_s`; 0 for the first does without.
fn read_session_timer(
    section: &mut Section<'_>,
    findings: &mut Findings,
) -> Option<SessionTimerPolicy> {
    let interval = section
        .take("session_expires_s")
        .and_then(|item| Some((findings.keep(item.seconds(0..=86_400))?, item)));
    let minimum = section.take("min_se_s").and_then(|item| {
        let minimum = findings.keep(item.seconds(2..=86_400))?;
        if minimum < SMALLEST_SESSION {
            let what = "is below the 90 s that RFC 4028 allows: other far ends refuse it, and each refresh \
                        is a request";
            findings.warnings.push(item.finding(what));
        }
        Some(minimum)
    });
    let mut policy = SessionTimerPolicy::default();
    policy.minimum = minimum.unwrap_or(policy.minimum);
    match interval {
        Some((interval, _)) if interval.is_zero() => None,
        Some((interval, item)) => {
            if interval < policy.minimum {
                let least = policy.minimum.as_secs();
                let what = format!("is below min_se_s, which is {least}; 0 does without timers");
                findings.mistakes.push(item.finding(what));
            }
            policy.interval = interval;
            Some(policy)
        }
        None => Some(policy),
    }
}

pub(super) fn read(mut section: Section<'_>, findings: &mut Findings) -> SipConfig {
    let advertise = read_advertise(&mut section, findings);
    let tls_item = section.take("tls");
    let tls = tls_item.as_ref().and_then(|item| read_tls(item, findings));
    let listen = match section.take("listen") {
        Some(item) => {
            let listen = read_listen(&item, &advertise, findings);
            check_tls(&item, &listen, tls_item.as_ref(), findings);
            listen.into_iter().map(|(_, address)| address).collect()
        }
        None => Vec::new(),
    };
    let connection_idle = section
        .take("connection_idle_s")
        .and_then(|item| findings.keep(item.seconds(1..=86_400)))
        .unwrap_or(CONNECTION_IDLE);
    let dns_servers = section.take("dns_servers").map(|item| {
        item.parse_list(findings, str::parse::<SocketAddr>)
            .into_iter()
            .map(|(_, server)| server)
            .collect()
    });
    let session_timer = read_session_timer(&mut section, findings);
    let strangers = section
        .take("strangers")
        .and_then(|item| findings.keep(item.parse(str::parse)))
        .unwrap_or_default();
    section.finish(findings);
    SipConfig {
        dns_servers,
        session_timer,
        strangers,
        listen,
        advertise,
        tls,
        connection_idle,
    }
}

/// The addresses that are opened, each with the entry that names it.
fn read_listen<'a>(
    item: &Item<'a>,
    advertise: &Advertise,
    findings: &mut Findings,
) -> Vec<(Item<'a>, SipAddress)> {
    let mut listen: Vec<(Item<'a>, SipAddress)> = Vec::new();
    let mistakes_before = findings.mistakes.len();
    for (item, listener) in item.parse_list(findings, str::parse::<Listener>) {
        let address = listener.address;
        let Some(transport) = listener.scheme.transport() else {
            let what = format!("WebSocket is not built yet; {listener} is not opened");
            findings.warnings.push(item.finding(what));
            continue;
        };
        let wanted = SipAddress { transport, address };
        let taken = listen
            .iter()
            .find(|(_, other)| share_a_port(*other, wanted));
        if let Some((_, other)) = taken {
            let what = if *other == wanted {
                format!("{listener} is listed twice")
            } else {
                format!(
                    "{listener} has the port of another entry; give tls one of its own, as 5061"
                )
            };
            findings.mistakes.push(item.finding(what));
        } else if !advertise.can_reach(address.ip()) {
            let what = format!(
                "{listener} listens everywhere: set sip.advertise to the address others call"
            );
            findings.mistakes.push(item.finding(what));
        } else {
            listen.push((item, wanted));
        }
    }
    if listen.is_empty() && findings.mistakes.len() == mistakes_before {
        findings.mistakes.push(item.finding(
            "names no address that is opened; list at least one udp:, tcp: or tls: address",
        ));
    }
    listen
}

/// Whether the kernel gives only one of them its port: TLS runs over TCP.
fn share_a_port(one: SipAddress, other: SipAddress) -> bool {
    one.address == other.address
        && one.address.port() != 0
        && one.transport.is_reliable() == other.transport.is_reliable()
}

/// That TLS has a certificate where it listens, and listens where it has one.
fn check_tls(
    listen_item: &Item<'_>,
    listen: &[(Item<'_>, SipAddress)],
    tls: Option<&Item<'_>>,
    findings: &mut Findings,
) {
    let mut over_tls = listen
        .iter()
        .filter(|(_, address)| address.transport == Transport::Tls);
    match (over_tls.next(), tls) {
        (Some((item, SipAddress { address, .. })), None) => {
            let what = format!("tls:{address} needs a certificate and its key: set sip.tls");
            findings.mistakes.push(item.finding(what));
        }
        (None, Some(tls)) => {
            let name = listen_item.name();
            let what = format!("{name} has no tls: address; the certificate is not used");
            findings.warnings.push(tls.finding(what));
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
}

/// Reads the files as well: one that cannot be used is told now, not when the daemon starts.
fn read_tls(item: &Item<'_>, findings: &mut Findings) -> Option<TlsConfig> {
    let mut section = findings.keep(item.section())?;
    let mut required = |key| {
        let path = section.require(key).and_then(|item| item.readable_path());
        findings.keep(path)
    };
    let (certificate, key_file) = (required("certificate"), required("key_file"));
    let mut optional = |key| {
        let path = section.take(key).map(|item| item.readable_path())?;
        findings.keep(path)
    };
    let (client_ca_file, ca_file) = (optional("client_ca_file"), optional("ca_file"));
    let authorities = section.take("client_ca_file");
    let require_client_certificate = match section.take("require_client_certificate") {
        Some(item) => {
            let required = findings.keep(item.boolean()).unwrap_or_default();
            if required && authorities.is_none() {
                let what = "needs to know whose certificates are good: set client_ca_file";
                findings.mistakes.push(item.finding(what));
            }
            required
        }
        None => authorities.is_some(),
    };
    let name = section
        .take("name")
        .and_then(|item| findings.keep(item.parse(Host::parse)));
    let config = match (certificate, key_file) {
        (Some(certificate), Some(key_file)) => Some(TlsConfig {
            certificate,
            key_file,
            client_ca_file,
            require_client_certificate,
            ca_file,
            name,
        }),
        (Some(_) | None, _) => None,
    };
    if let Some(config) = &config
        && let Err(error) = Tls::load(config)
        && let Some(item) = section.take(error.key)
    {
        let what = format!("{} {}", error.path.display(), error.fault);
        findings.mistakes.push(item.finding(what));
    }
    section.finish(findings);
    config
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
