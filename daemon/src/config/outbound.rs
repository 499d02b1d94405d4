//! How calls go out by a trunk: the keys of `[trunk.NAME]` from `address` on.

use std::time::Duration;

use offhook_sip::digest::{Credentials, Secret};
use offhook_sip::endpoint::Transport;
use offhook_sip::message::{Host, SipUri, Uri};

use super::document::{Item, Section};
use super::finding::Findings;

/// How long a far end may ring, where the trunk does not say.
const RING_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one target may say nothing before the next is tried, where the trunk does not say.
const FAILOVER_AFTER: Duration = Duration::from_secs(4);
/// For how long a registration is asked for, where the trunk does not say.
const REGISTER_FOR: Duration = Duration::from_secs(600);

/// How calls go out by a trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// Where requests go: an address, or a name with NAPTR, SRV or address records.
    pub address: SipUri,
    /// By which transport; what DNS prefers, or UDP, without one.
    pub transport: Option<Transport>,
    /// The host in the Request-URI, To and From of our calls; that of `address` without one.
    pub domain: Option<Host>,
    /// What challenges are answered with.
    pub credentials: Option<Credentials>,
    /// The user in From; the user name of the credentials without one.
    pub from_user: Option<String>,
    /// Where the number goes that a call of ours comes from.
    pub number_in: NumberIn,
    /// Whether numbers are marked `user=phone`, in the Request-URI, From and To.
    pub user_phone: bool,
    /// For how long to register; `None` does not.
    pub register: Option<Duration>,
    /// How long the far end may ring.
    pub ring_timeout: Duration,
    /// How long one target may say nothing at all before the next is tried.
    pub failover_after: Duration,
    /// Whether it is found out who answered calls by it, where their agents want that.
    pub voicemail: bool,
    /// How often the trunk is asked by OPTIONS whether it is there; `None` does not.
    pub options_interval: Option<Duration>,
}

/// Which header of our INVITE says what number calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NumberIn {
    /// From itself.
    #[default]
    From,
    /// `P-Asserted-Identity` (RFC 3325 9.1); From has the trunk's own user.
    PAssertedIdentity,
    /// `P-Preferred-Identity` (RFC 3325 9.2); From has the trunk's own user.
    PPreferredIdentity,
    /// `Remote-Party-ID`, which never became a standard; From has the trunk's own user.
    RemotePartyId,
}

impl NumberIn {
    const ALL: [(&str, Self); 4] = [
        ("from", Self::From),
        ("p-asserted-identity", Self::PAssertedIdentity),
        ("p-preferred-identity", Self::PPreferredIdentity),
        ("remote-party-id", Self::RemotePartyId),
    ];

    fn parse(text: &str) -> Result<Self, &'static str> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, header)| *header)
            .ok_or("is none of from, p-asserted-identity, p-preferred-identity, remote-party-id")
    }

    /// The header's name; none for From.
    #[must_use]
    pub fn header(self) -> Option<&'static str> {
        match self {
            Self::From => None,
            Self::PAssertedIdentity => Some("P-Asserted-Identity"),
            Self::PPreferredIdentity => Some("P-Preferred-Identity"),
            Self::RemotePartyId => Some("Remote-Party-ID"),
        }
    }
}

impl Outbound {
    /// The host that our calls name.
    #[must_use]
    pub fn named_host(&self) -> SipUri {
        match &self.domain {
            Some(domain) => SipUri::new(domain.clone(), None),
            None => SipUri::new(self.address.host.clone(), self.address.port),
        }
    }
}

/// Reads the keys; `None` where there is no address, and a warning for each key that then has no use.
pub(super) fn read(section: &mut Section<'_>, findings: &mut Findings) -> Option<Outbound> {
    let given = section.take("address");
    let is_given = given.is_some();
    let address = given.and_then(|item| findings.keep(item.parse(parse_address)));
    let transport = section
        .take("transport")
        .and_then(|item| findings.keep(item.parse(parse_transport)));
    let domain = section
        .take("domain")
        .and_then(|item| findings.keep(item.parse(Host::parse)));
    let username = section
        .take("username")
        .and_then(|item| Some((findings.keep(item.text())?, item)));
    let password = section
        .take("password_file")
        .and_then(|item| findings.keep(read_secret(&item)));
    let realm = section
        .take("realm")
        .and_then(|item| findings.keep(item.text()));
    let from_user = section
        .take("from_user")
        .and_then(|item| findings.keep(item.text()));
    let number_in = section
        .take("number_in")
        .and_then(|item| findings.keep(item.parse(NumberIn::parse)))
        .unwrap_or_default();
    let user_phone = flag(section, "user_phone", findings);
    let voicemail = section
        .take("voicemail")
        .and_then(|item| Some((findings.keep(item.boolean())?, item)));
    let register = section
        .take("register")
        .and_then(|item| Some((findings.keep(item.boolean())?, item)));
    let register_for = seconds(section, "register_for_s", 60..=86_400, findings);
    let ring_timeout = seconds(section, "ring_timeout_s", 1..=600, findings);
    let failover_after = seconds(section, "failover_after_s", 1..=32, findings);
    let options_interval = seconds(section, "options_interval_s", 0..=86_400, findings);

    let credentials = match (username, password) {
        (Some((username, _)), Some(password)) => Some(Credentials {
            username,
            password,
            realm,
        }),
        (Some((_, item)), None) => {
            if address.is_some() {
                let what = "has no password_file beside it, so challenges cannot be answered";
                findings.warnings.push(item.finding(what));
            }
            None
        }
        (None, _) => None,
    };
    let wants_registration = register.as_ref().is_some_and(|(wanted, _)| *wanted);
    let Some(address) = address else {
        if !is_given {
            warn_of_useless(section, findings);
            let useless = voicemail.map(|(_, item)| item.finding(USELESS));
            findings.warnings.extend(useless);
        }
        if let Some((true, item)) = register {
            let what = "has no address beside it to register with";
            findings.mistakes.push(item.finding(what));
        }
        return None;
    };
    if let (true, Some((_, item)), None, None) =
        (wants_registration, &register, &credentials, &from_user)
    {
        let what = "needs a username (or from_user) to register";
        findings.mistakes.push(item.finding(what));
    }
    let from_user = from_user.or_else(|| Some(credentials.as_ref()?.username.clone()));
    if number_in != NumberIn::From && from_user.is_none() {
        let what = "number_in: needs a username or from_user beside it, since From has the trunk's own user then";
        findings.mistakes.push(section.finding(what));
    }
    Some(Outbound {
        address,
        transport,
        domain,
        from_user,
        credentials,
        number_in,
        user_phone,
        register: wants_registration.then_some(register_for.unwrap_or(REGISTER_FOR)),
        ring_timeout: ring_timeout.unwrap_or(RING_TIMEOUT),
        failover_after: failover_after.unwrap_or(FAILOVER_AFTER),
        voicemail: voicemail.is_none_or(|(wanted, _)| wanted),
        options_interval: options_interval.filter(|interval| !interval.is_zero()),
    })
}

const USELESS: &str = "has no use without an address beside it: no calls go out by this trunk";

/// Keys that mean nothing where no call goes out. Of `register` that is a mistake, not a warning.
fn warn_of_useless(section: &mut Section<'_>, findings: &mut Findings) {
    const KEYS: [&str; 12] = [
        "transport",
        "domain",
        "username",
        "password_file",
        "realm",
        "from_user",
        "number_in",
        "user_phone",
        "register_for_s",
        "ring_timeout_s",
        "failover_after_s",
        "options_interval_s",
    ];
    for item in KEYS.into_iter().filter_map(|key| section.take(key)) {
        findings.warnings.push(item.finding(USELESS));
    }
}

fn flag(section: &mut Section<'_>, key: &'static str, findings: &mut Findings) -> bool {
    section
        .take(key)
        .and_then(|item| findings.keep(item.boolean()))
        .unwrap_or_default()
}

fn seconds(
    section: &mut Section<'_>,
    key: &'static str,
    range: std::ops::RangeInclusive<u32>,
    findings: &mut Findings,
) -> Option<Duration> {
    let item = section.take(key)?;
    findings.keep(item.seconds(range))
}

/// `host`, `host:port`, `[address]:port`.
fn parse_address(text: &str) -> Result<SipUri, &'static str> {
    const FORM: &str = "should be a host, or host:port, as sip.carrier.example, 192.0.2.1:5060 or [2001:db8::1]:5060";
    let uri = Uri::parse(&format!("sip:{text}")).map_err(|_| FORM)?;
    let Uri::Sip(sip) = uri else { return Err(FORM) };
    let plain = sip.user.is_none() && sip.headers.is_none() && sip.parameters.is_empty();
    if plain { Ok(sip) } else { Err(FORM) }
}

fn parse_transport(text: &str) -> Result<Transport, &'static str> {
    match text {
        "udp" => Ok(Transport::Udp),
        "tcp" => Ok(Transport::Tcp),
        "tls" => Ok(Transport::Tls),
        _ => Err("is none of udp, tcp, tls"),
    }
}

/// The first line of a file; what ends the line is not part of it.
pub(super) fn read_secret(item: &Item<'_>) -> Result<Secret, super::finding::Finding> {
    let path = item.readable_path()?;
    let text = std::fs::read_to_string(&path)
        .map_err(|error| item.finding(format!("{} cannot be read: {error}", path.display())))?;
    match text.lines().next().unwrap_or_default() {
        "" => Err(item.finding(format!("{} begins with an empty line", path.display()))),
        line => Ok(Secret::new(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_with_or_without_a_port() {
        let shown = |text| parse_address(text).map(|uri| Uri::from(uri).to_string());
        assert_eq!(
            shown("carrier.example").as_deref(),
            Ok("sip:carrier.example")
        );
        assert_eq!(shown("192.0.2.1:5090").as_deref(), Ok("sip:192.0.2.1:5090"));
        assert_eq!(
            shown("[2001:db8::1]:5060").as_deref(),
            Ok("sip:[2001:db8::1]:5060")
        );
        for bad in ["", "a b", "user@host", "host;transport=tcp", "host:port"] {
            assert!(parse_address(bad).is_err(), "{bad}");
        }
    }
}
