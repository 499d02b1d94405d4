//! For how long a registrar took our binding (RFC 3261 10.2.4).

use std::time::Duration;

use crate::message::{NameAddr, Response};

/// The expiry of our binding in a 200. A registrar behind NAT repeats our Contact with the address it saw,
/// and with what it granted: so it is looked for by its address, then by its user, and the only one there
/// is counts in any case. Without any it is `Expires`, then what we asked for.
pub(super) fn granted_expiry(response: &Response, ours: &str, asked: Duration) -> Duration {
    let contacts = response.headers.contacts().unwrap_or_default();
    let ours = NameAddr::parse(ours).ok();
    let same = |contact: &&NameAddr| {
        let uri = ours.as_ref().map(|ours| &ours.uri);
        uri.is_some_and(|uri| uri.equivalent(&contact.uri))
    };
    let same_user = |contact: &&NameAddr| {
        let user = ours.as_ref().and_then(|ours| ours.uri.user());
        user.is_some() && contact.uri.user() == user
    };
    let only = match &contacts[..] {
        [only] => Some(only),
        [] | [_, _, ..] => None,
    };
    let binding = contacts
        .iter()
        .find(same)
        .or(only)
        .or_else(|| contacts.iter().find(same_user));
    let of_binding = binding.and_then(|contact| contact.parameters.get("expires"));
    of_binding
        .or_else(|| response.headers.get("Expires"))
        .and_then(|value| value.trim().parse().ok())
        .map_or(asked, |seconds: u64| {
            Duration::from_secs(seconds.min(86_400))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::StatusCode;

    const OURS: &str = "<sip:1000@198.51.100.1:5060>";
    const ASKED: Duration = Duration::from_secs(180);

    fn granted(headers: &[(&str, &str)]) -> u64 {
        let mut response = Response::new(StatusCode::OK);
        for (name, value) in headers {
            response.headers.push(name, *value);
        }
        granted_expiry(&response, OURS, ASKED).as_secs()
    }

    #[test]
    fn our_binding_is_told_from_others() {
        let two = [
            ("Contact", "<sip:1000@203.0.113.1:5060>;expires=10"),
            ("Contact", "<sip:1000@198.51.100.1:5060>;expires=90"),
        ];
        assert_eq!(granted(&two), 90);
    }

    #[test]
    fn wound_36_a_binding_under_our_public_address_is_ours() {
        let rewritten = [("Contact", "<sip:1000@192.0.2.77:61234;x=1>;expires=120")];
        assert_eq!(granted(&rewritten), 120);
        let among = [
            ("Contact", "<sip:other@192.0.2.77>;expires=10"),
            ("Contact", "<sip:1000@192.0.2.77:61234>;expires=120"),
        ];
        assert_eq!(granted(&among), 120);
    }

    #[test]
    fn without_a_parameter_the_header_counts_and_without_both_what_was_asked_for() {
        let contact = ("Contact", OURS);
        assert_eq!(granted(&[contact, ("Expires", "60")]), 60);
        assert_eq!(granted(&[contact]), 180);
        assert_eq!(granted(&[]), 180);
        assert_eq!(
            granted(&[("Contact", "<sip:1000@198.51.100.1>;expires=x")]),
            180
        );
    }
}
