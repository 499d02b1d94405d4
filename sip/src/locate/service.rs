//! Which transports a URI allows, and which services of a domain carry them (RFC 3263 section 4.1).

use super::{DomainName, NaptrRecord, NotFound, Record, Transports};
use crate::{flow::Transport, message::SipUri};

/// The transports that a URI leaves us.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Exactly this one: the URI names it, or somebody demands it.
    Given(Transport),
    /// Any of these, what we would take if the domain has no wish coming first. Never empty.
    Open(Vec<Transport>),
}

/// A transport at a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) transport: Transport,
    /// The name with its SRV records. `None` where the domain's name leaves no room for it.
    pub(super) hosts: Option<DomainName>,
}

impl Choice {
    pub(super) fn of(
        uri: &SipUri,
        wanted: Option<Transport>,
        supported: Transports,
    ) -> Result<Self, NotFound> {
        let named = match uri.parameters.get("transport") {
            Some(text) => Some(transport_named(text).ok_or(NotFound::NoTransport)?),
            None => None,
        };
        let given = match (uri.secure, wanted, named) {
            (true, Some(Transport::Udp | Transport::Tcp), _) => return Err(NotFound::NoTransport),
            (true, Some(Transport::Tls), _) => Some(Transport::Tls),
            // In a `sips:` URI the parameter names what TLS runs on (RFC 3261 26.2.2).
            (true, None, Some(Transport::Udp)) => return Err(NotFound::NoTransport),
            (true, None, Some(Transport::Tcp | Transport::Tls)) => Some(Transport::Tls),
            (true, None, None) => None,
            (false, wanted, named) => wanted.or(named),
        };
        let is_supported = |transport: &Transport| supported.contains(*transport);
        if let Some(transport) = given {
            return match is_supported(&transport) {
                true => Ok(Self::Given(transport)),
                false => Err(NotFound::NoTransport),
            };
        }
        let open: &[Transport] = match uri.secure {
            true => &[Transport::Tls],
            // UDP is what a peer without records listens to (RFC 3263 4.1).
            false => &[Transport::Udp, Transport::Tcp, Transport::Tls],
        };
        let open: Vec<Transport> = open.iter().copied().filter(is_supported).collect();
        match open.is_empty() {
            true => Err(NotFound::NoTransport),
            false => Ok(Self::Open(open)),
        }
    }

    /// What is used where DNS has no say: for an address, and for an explicit port.
    pub(super) fn default_transport(&self) -> Transport {
        match self {
            Self::Given(transport) => *transport,
            Self::Open(transports) => *transports.first().expect("a choice is never empty"),
        }
    }

    /// The services of `domain`, by the names they have when no NAPTR record gives another.
    pub(super) fn services(&self, domain: &DomainName) -> Vec<Service> {
        let transports = match self {
            Self::Given(transport) => std::slice::from_ref(transport),
            Self::Open(transports) => transports,
        };
        let service = |transport: &Transport| Service {
            transport: *transport,
            hosts: domain.below(service_labels(*transport)),
        };
        transports.iter().map(service).collect()
    }
}

/// The services that NAPTR records offer by one of the transports of `possible`, in the domain's
/// order: by order, then by preference (RFC 3403 4.1).
pub(super) fn offered(records: &[Record], possible: &[Service]) -> Vec<Service> {
    let mut usable: Vec<(&NaptrRecord, Service)> = records
        .iter()
        .filter_map(|record| match record {
            Record::Naptr(naptr) => Some((naptr, service_of(naptr)?)),
            Record::Srv(_) | Record::Address(_) => None,
        })
        .filter(|(_, service)| {
            let transport = service.transport;
            possible
                .iter()
                .any(|possible| possible.transport == transport)
        })
        .collect();
    usable.sort_by_key(|(naptr, _)| (naptr.order, naptr.preference));
    usable.into_iter().map(|(_, service)| service).collect()
}

/// The service a NAPTR record is about, if it is one of SIP with SRV records.
fn service_of(naptr: &NaptrRecord) -> Option<Service> {
    if !naptr.flags.eq_ignore_ascii_case("s") {
        return None;
    }
    let transport = match naptr.services.to_ascii_uppercase().as_str() {
        "SIP+D2U" => Transport::Udp,
        "SIP+D2T" => Transport::Tcp,
        "SIPS+D2T" => Transport::Tls,
        _ => return None,
    };
    let hosts = Some(naptr.replacement.clone()?);
    Some(Service { transport, hosts })
}

fn service_labels(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    }
}

fn transport_named(text: &str) -> Option<Transport> {
    [Transport::Udp, Transport::Tcp, Transport::Tls]
        .into_iter()
        .find(|transport| transport.as_str().eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Uri;

    fn choice(uri: &str, wanted: Option<Transport>, supported: &[Transport]) -> Option<Choice> {
        let uri = Uri::parse(uri).unwrap();
        Choice::of(
            uri.sip().unwrap(),
            wanted,
            supported.iter().copied().collect(),
        )
        .ok()
    }

    const ALL: [Transport; 3] = [Transport::Tls, Transport::Tcp, Transport::Udp];

    #[test]
    fn a_sips_uri_leaves_tls_alone_whatever_else_is_said() {
        let tls = Some(Choice::Given(Transport::Tls));
        let open = Some(Choice::Open(vec![Transport::Tls]));
        assert_eq!(choice("sips:h", None, &ALL), open);
        assert_eq!(choice("sips:h;transport=tcp", None, &ALL), tls);
        assert_eq!(choice("sips:h;transport=TLS", None, &ALL), tls);
        assert_eq!(choice("sips:h", Some(Transport::Tls), &ALL), tls);
        assert_eq!(choice("sips:h;transport=udp", None, &ALL), None);
        assert_eq!(choice("sips:h", Some(Transport::Tcp), &ALL), None);
        assert_eq!(
            choice("sips:h", None, &[Transport::Udp, Transport::Tcp]),
            None
        );
    }

    #[test]
    fn a_demanded_transport_goes_before_the_one_the_uri_names() {
        let given = |transport| Some(Choice::Given(transport));
        assert_eq!(
            choice("sip:h;transport=udp", Some(Transport::Tls), &ALL),
            given(Transport::Tls)
        );
        assert_eq!(
            choice("sip:h;transport=tcp", None, &ALL),
            given(Transport::Tcp)
        );
    }

    #[test]
    fn a_transport_that_we_lack_or_do_not_know_leaves_no_choice() {
        assert_eq!(choice("sip:h;transport=sctp", None, &ALL), None);
        assert_eq!(choice("sip:h;transport", None, &[]), None);
        assert_eq!(choice("sip:h;transport=tcp", None, &[Transport::Udp]), None);
        assert_eq!(
            choice("sip:h", Some(Transport::Tcp), &[Transport::Udp]),
            None
        );
    }

    #[test]
    fn without_a_wish_udp_comes_first_and_else_what_there_is() {
        let open = |transports: &[Transport]| Some(Choice::Open(transports.to_vec()));
        let in_order = [Transport::Udp, Transport::Tcp, Transport::Tls];
        assert_eq!(choice("sip:h", None, &ALL), open(&in_order));
        assert_eq!(
            choice("sip:h", None, &[Transport::Tls]),
            open(&[Transport::Tls])
        );
    }
}
