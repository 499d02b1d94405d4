//! Who calls whom, in a call of ours: numbers and addresses as a trunk wants them.

use offhook_sip::message::{NameAddr, SipUri, Uri};

use super::command::NotPlaced;
use crate::config::Outbound;

/// Who calls whom, and where the INVITE goes first.
#[derive(Debug)]
pub(super) struct Addresses {
    /// The Request-URI.
    pub(super) target: Uri,
    pub(super) from: NameAddr,
    pub(super) to: NameAddr,
}

/// What our INVITE says of who calls whom. A `sip:` or `tel:` address is kept as given; a number becomes a
/// user of the trunk's host.
pub(super) fn addresses(
    outbound: &Outbound,
    to: &str,
    from: Option<&str>,
) -> Result<Addresses, NotPlaced> {
    let target = match to.split_once(':') {
        Some((scheme, _)) if is_scheme(scheme) => {
            Uri::parse(to).map_err(|_| NotPlaced::BadAddress("to"))?
        }
        Some(_) | None => number(outbound, to).ok_or(NotPlaced::BadAddress("to"))?,
    };
    let from = match from {
        Some(from)
            if from
                .split_once(':')
                .is_some_and(|(scheme, _)| is_scheme(scheme)) =>
        {
            Uri::parse(from).map_err(|_| NotPlaced::BadAddress("from"))?
        }
        Some(from) => number(outbound, from).ok_or(NotPlaced::BadAddress("from"))?,
        None => of_user(outbound, outbound.from_user.as_deref()),
    };
    Ok(Addresses {
        to: NameAddr::new(target.clone()),
        target,
        from: NameAddr::new(from),
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use offhook_sip::message::Host;

    fn outbound(user_phone: bool, domain: Option<&str>) -> Outbound {
        Outbound {
            address: SipUri::new(Host::parse("192.0.2.1").unwrap(), Some(5090)),
            transport: None,
            domain: domain.map(|domain| Host::parse(domain).unwrap()),
            credentials: None,
            from_user: Some("1000".to_owned()),
            user_phone,
            register: None,
            ring_timeout: std::time::Duration::from_secs(60),
            failover_after: std::time::Duration::from_secs(4),
            options_interval: None,
        }
    }

    #[test]
    fn a_number_is_a_user_of_the_trunk_and_an_address_is_kept() {
        let said = |to: &str| {
            let addresses = addresses(&outbound(false, None), to, None).unwrap();
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
        let addresses = addresses(&outbound, "+15550100", Some("+15550199")).unwrap();
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
    fn what_no_user_can_be_is_refused() {
        for bad in ["", "a b", "a@b", "a\r\nX: y", "<x>"] {
            assert!(
                addresses(&outbound(false, None), bad, None).is_err(),
                "{bad:?}"
            );
            assert!(addresses(&outbound(false, None), "1", Some(bad)).is_err());
        }
    }
}
