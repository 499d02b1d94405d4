//! Who calls whom, in a call of ours: numbers and addresses as a trunk wants them.

use offhook_sip::endpoint::Transport;
use offhook_sip::message::{Host, NameAddr, SipUri, Uri};

use super::command::NotPlaced;
use crate::config::{NumberIn, Outbound};

/// Who calls whom, where the INVITE goes first, and how it says so.
#[derive(Debug)]
pub(super) struct Addresses {
    /// The Request-URI.
    pub(super) target: Uri,
    pub(super) from: NameAddr,
    pub(super) to: NameAddr,
    /// Who calls, whatever From says.
    pub(super) caller: Uri,
    /// What says who calls where From does not, and whom that is to be kept from.
    pub(super) identity: Vec<(String, String)>,
}

/// What our INVITE says of who calls whom. A `sip:` or `tel:` address is kept as given; a number becomes a
/// user of the trunk's host.
pub(super) fn addresses(
    outbound: &Outbound,
    to: &str,
    from: Option<&str>,
    is_private: bool,
) -> Result<Addresses, NotPlaced> {
    let target = address_or_number(outbound, to).ok_or(NotPlaced::BadAddress("to"))?;
    let Caller {
        from,
        caller,
        identity,
    } = caller(outbound, from, is_private)?;
    Ok(Addresses {
        to: NameAddr::new(target.clone()),
        target,
        from,
        caller,
        identity,
    })
}

/// Who calls, and how an INVITE says so.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) from: NameAddr,
    pub(super) caller: Uri,
    pub(super) identity: Vec<(String, String)>,
}

/// Who calls privately is anonymous in From (RFC 3323 4.1.1.3). Only where the trunk has a header for the number is the
/// network told who it is, and asked to keep it (RFC 3325 9.3): a trunk without one may be a telephone.
pub(super) fn caller(
    outbound: &Outbound,
    from: Option<&str>,
    is_private: bool,
) -> Result<Caller, NotPlaced> {
    let own = of_user(outbound, outbound.from_user.as_deref());
    let caller = match from {
        Some(from) => address_or_number(outbound, from).ok_or(NotPlaced::BadAddress("from"))?,
        None => own.clone(),
    };
    let mut identity = Vec::new();
    let header = outbound.number_in.header();
    let header = header.filter(|_| is_private || from.is_some());
    if let Some(header) = header {
        let mut value = NameAddr::new(caller.clone()).to_string();
        if outbound.number_in == NumberIn::RemotePartyId {
            value += ";party=calling";
            value += if is_private { ";privacy=full" } else { "" };
        }
        identity.push((header.to_owned(), value));
    }
    let from = match (is_private, header) {
        (true, _) => anonymous(),
        (false, Some(_)) => NameAddr::new(own),
        (false, None) => NameAddr::new(caller.clone()),
    };
    if is_private {
        identity.push(("Privacy".to_owned(), "id".to_owned()));
    }
    Ok(Caller {
        from,
        caller,
        identity,
    })
}

fn address_or_number(outbound: &Outbound, text: &str) -> Option<Uri> {
    match text.split_once(':') {
        Some((scheme, _)) if is_scheme(scheme) => Uri::parse(text).ok(),
        Some(_) | None => number(outbound, text),
    }
}

fn anonymous() -> NameAddr {
    let mut nobody = SipUri::new(Host::Name("anonymous.invalid".to_owned()), None);
    nobody.user = Some("anonymous".to_owned());
    let mut from = NameAddr::new(Uri::Sip(nobody));
    from.display = Some("Anonymous".to_owned());
    from
}

fn is_scheme(scheme: &str) -> bool {
    ["sip", "sips", "tel"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(scheme))
}

/// A user of the trunk's host; `None` when it has characters that no user can have.
fn number(outbound: &Outbound, user: &str) -> Option<Uri> {
    let uri = of_user(outbound, Some(user));
    let sound = !user.is_empty() && Uri::parse(&uri.to_string()).is_ok_and(|read| read == uri);
    sound.then_some(uri)
}

/// The address of a user of the trunk's host; of the host alone without one.
pub(super) fn of_user(outbound: &Outbound, user: Option<&str>) -> Uri {
    let mut uri: SipUri = outbound.named_host();
    uri.user = user.map(str::to_owned);
    if outbound.user_phone {
        uri.parameters.set("user", Some("phone"));
    }
    Uri::Sip(uri)
}

/// Who an address means, for the operator's eyes.
pub(super) fn user_or_host(uri: &Uri) -> String {
    match uri {
        Uri::Sip(sip) => sip
            .user_unescaped()
            .map_or_else(|| sip.host.to_string(), |user| user.into_owned()),
        Uri::Other(other) => other.rest().to_owned(),
    }
}

/// Where an INVITE that was redirected goes, and by which transport where one is demanded: a number goes to the trunk,
/// and what goes to a trunk by TLS stays with TLS, since keys of the audio are in it (RFC 4568 section 7).
pub(super) fn way_onward(
    target: &Uri,
    outbound: Option<&Outbound>,
) -> Option<(SipUri, Option<Transport>)> {
    let transport = outbound.and_then(|outbound| outbound.transport);
    match target {
        Uri::Sip(sip) => {
            let kept = transport.filter(|transport| *transport == Transport::Tls);
            Some((sip.clone(), kept))
        }
        Uri::Other(_) => Some((outbound?.address.clone(), transport)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbound(user_phone: bool, domain: Option<&str>) -> Outbound {
        Outbound {
            address: SipUri::new(Host::parse("192.0.2.1").unwrap(), Some(5090)),
            transport: None,
            domain: domain.map(|domain| Host::parse(domain).unwrap()),
            credentials: None,
            from_user: Some("1000".to_owned()),
            number_in: NumberIn::From,
            user_phone,
            register: None,
            ring_timeout: std::time::Duration::from_secs(60),
            failover_after: std::time::Duration::from_secs(4),
            voicemail: true,
            options_interval: None,
        }
    }

    #[test]
    fn a_number_is_a_user_of_the_trunk_and_an_address_is_kept() {
        let said = |to: &str| {
            let addresses = addresses(&outbound(false, None), to, None, false).unwrap();
            (addresses.target.to_string(), addresses.from.to_string())
        };
        let ours = "<sip:1000@192.0.2.1:5090>".to_owned();
        assert_eq!(
            said("+15550100"),
            ("sip:+15550100@192.0.2.1:5090".to_owned(), ours.clone())
        );
        assert_eq!(
            said("sip:desk@example.net;transport=tcp"),
            (
                "sip:desk@example.net;transport=tcp".to_owned(),
                ours.clone()
            )
        );
        assert_eq!(said("tel:+15550100"), ("tel:+15550100".to_owned(), ours));
    }

    #[test]
    fn wound_67_numbers_are_marked_user_phone_in_all_three_places_where_the_trunk_wants_it() {
        let outbound = outbound(true, Some("carrier.example"));
        let addresses = addresses(&outbound, "+15550100", Some("+15550199"), false).unwrap();
        assert_eq!(
            addresses.target.to_string(),
            "sip:+15550100@carrier.example;user=phone"
        );
        assert_eq!(
            addresses.to.to_string(),
            "<sip:+15550100@carrier.example;user=phone>"
        );
        assert_eq!(
            addresses.from.to_string(),
            "<sip:+15550199@carrier.example;user=phone>"
        );
    }

    #[test]
    fn wound_68_the_number_goes_where_the_trunk_wants_it_and_from_has_the_trunks_user() {
        let said = |number_in, from: Option<&str>| {
            let outbound = Outbound {
                number_in,
                ..outbound(false, Some("carrier.example"))
            };
            let addresses = addresses(&outbound, "+15550100", from, false).unwrap();
            (addresses.from.to_string(), addresses.identity)
        };
        let own = "<sip:1000@carrier.example>".to_owned();
        let number = "<sip:+15550199@carrier.example>";
        let header = |name: &str, more: &str| vec![(name.to_owned(), format!("{number}{more}"))];
        let given = Some("+15550199");
        assert_eq!(said(NumberIn::From, given), (number.to_owned(), vec![]));
        for (number_in, headers) in [
            (
                NumberIn::PAssertedIdentity,
                header("P-Asserted-Identity", ""),
            ),
            (
                NumberIn::PPreferredIdentity,
                header("P-Preferred-Identity", ""),
            ),
            (
                NumberIn::RemotePartyId,
                header("Remote-Party-ID", ";party=calling"),
            ),
        ] {
            assert_eq!(said(number_in, given), (own.clone(), headers));
            assert_eq!(said(number_in, None), (own.clone(), vec![]));
        }
    }

    #[test]
    fn wound_69_who_calls_privately_is_anonymous_in_from_and_known_to_the_network_alone() {
        let said = |number_in| {
            let outbound = Outbound {
                number_in,
                ..outbound(false, None)
            };
            let private = addresses(&outbound, "+15550100", Some("+15550199"), true).unwrap();
            assert_eq!(
                private.from.to_string(),
                "\"Anonymous\" <sip:anonymous@anonymous.invalid>"
            );
            assert_eq!(user_or_host(&private.caller), "+15550199");
            private.identity
        };
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let number = "<sip:+15550199@192.0.2.1:5090>";
        let privacy = header("Privacy", "id");
        assert_eq!(
            said(NumberIn::From),
            std::slice::from_ref(&privacy),
            "a trunk without a header for it may be a telephone"
        );
        assert_eq!(
            said(NumberIn::PPreferredIdentity),
            [header("P-Preferred-Identity", number), privacy.clone()]
        );
        let party = format!("{number};party=calling;privacy=full");
        assert_eq!(
            said(NumberIn::RemotePartyId),
            [header("Remote-Party-ID", &party), privacy]
        );
    }

    #[test]
    fn what_no_user_can_be_is_refused() {
        for bad in ["", "a b", "a@b", "a\r\nX: y", "<x>"] {
            assert!(
                addresses(&outbound(false, None), bad, None, false).is_err(),
                "{bad:?}"
            );
            assert!(addresses(&outbound(false, None), "1", Some(bad), false).is_err());
        }
    }

    #[test]
    fn what_goes_to_a_trunk_by_tls_stays_with_tls_where_it_is_redirected() {
        for (transport, kept) in [
            (Some(Transport::Tls), Some(Transport::Tls)),
            (Some(Transport::Udp), None),
            (None, None),
        ] {
            let trunk = Outbound {
                transport,
                ..outbound(false, None)
            };
            let contact = Uri::parse("sip:+4930@192.0.2.9;transport=udp").unwrap();
            let (uri, wanted) = way_onward(&contact, Some(&trunk)).unwrap();
            assert_eq!(
                (uri.host.to_string(), wanted),
                ("192.0.2.9".to_owned(), kept)
            );
            let number = Uri::parse("tel:+4930").unwrap();
            let onward = way_onward(&number, Some(&trunk));
            assert_eq!(onward, Some((trunk.address, transport)));
            assert_eq!(way_onward(&number, None), None);
        }
    }
}
