//! Who calls, from an INVITE's headers.
//!
//! ```text
//! P-Asserted-Identity ─► Remote-Party-ID ─► P-Preferred-Identity ─► From      the first with a number
//! Privacy, Remote-Party-ID;privacy, anonymous.invalid ─► nothing is passed on, whichever header has it
//! ```

mod number;
#[cfg(test)]
mod tests;

use offhook_sip::message::{Headers, Host, NameAddr, Request, Uri};

use crate::agent_session::{Diverted, IdentityFacts, IdentitySource};
use crate::pii::Pii;

pub use number::{is_same_number, spellings};

/// The most parties that sent a call on which are passed to the agent.
const DIVERSIONS: usize = 8;
/// The most headers of their own that a far end's call has for the agent.
const CUSTOM_HEADERS: usize = 32;
/// And how long they may be together, names and values.
const CUSTOM_BYTES: usize = 4 * 1024;

/// Who calls. What cannot be read is passed over: a call is worth more than its caller's name.
#[must_use]
pub fn identity_of(request: &Request) -> IdentityFacts {
    let headers = &request.headers;
    let from = headers.from_().ok();
    let private = wants_privacy(headers, from.as_ref());
    let mut facts = IdentityFacts {
        private,
        signed: headers.contains("Identity"),
        diverted_by: diverted_by(headers),
        ..IdentityFacts::default()
    };
    if private {
        return facts;
    }
    if let Some((address, said_by)) = calling_party(headers, from) {
        let (number, name) = (user_of(&address.uri), address.display.unwrap_or_default());
        facts.number = (!number.is_empty()).then(|| Pii::new(number));
        facts.name = (!name.trim().is_empty()).then(|| Pii::new(name));
        facts.said_by = Some(said_by);
    }
    facts
}

/// The far end's own headers (`X-…`), in their order, as many as there is room for.
#[must_use]
pub fn custom_headers(request: &Request) -> Vec<(String, Pii<String>)> {
    let own = request.headers.iter().filter(|(name, _)| {
        name.get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case("X-"))
    });
    let mut bytes = 0;
    own.take_while(|(name, value)| {
        bytes += name.len() + value.len();
        bytes <= CUSTOM_BYTES
    })
    .take(CUSTOM_HEADERS)
    .map(|(name, value)| (name.to_owned(), Pii::new(value.to_owned())))
    .collect()
}

/// Who is meant by an address: the user of a `sip:` URI without its escapes and parameters, the number of a
/// `tel:` one; empty where there is neither.
#[must_use]
pub fn user_of(uri: &Uri) -> String {
    let user = match uri {
        Uri::Sip(sip) => sip.user_unescaped().unwrap_or_default().into_owned(),
        Uri::Other(other) if other.scheme().eq_ignore_ascii_case("tel") => other.rest().to_owned(),
        Uri::Other(_) => String::new(),
    };
    match user.split_once(';') {
        Some((user, _)) => user.to_owned(),
        None => user,
    }
}

/// The most trusted address that has a user.
fn calling_party(headers: &Headers, from: Option<NameAddr>) -> Option<(NameAddr, IdentitySource)> {
    let of_caller = |address: &NameAddr| {
        let party = address.parameters.get("party");
        party.is_none_or(|party| party.eq_ignore_ascii_case("calling"))
    };
    let named = |name, source| {
        addresses(headers, name)
            .filter(of_caller)
            .find(|address| !user_of(&address.uri).is_empty())
            .map(|address| (address, source))
    };
    named("P-Asserted-Identity", IdentitySource::Asserted)
        .or_else(|| named("Remote-Party-ID", IdentitySource::RemoteParty))
        .or_else(|| named("P-Preferred-Identity", IdentitySource::Preferred))
        .or_else(|| from.map(|address| (address, IdentitySource::From)))
}

/// RFC 3323 4.2 and RFC 3325 9.3, and the two ways there were before: a caller who asks for any of them asks
/// for his number to be withheld, wherever it stands.
fn wants_privacy(headers: &Headers, from: Option<&NameAddr>) -> bool {
    let by_header = privacy_values(headers).any(|value| {
        ["id", "user", "header"]
            .iter()
            .any(|wish| value.eq_ignore_ascii_case(wish))
    });
    let by_remote_party = addresses(headers, "Remote-Party-ID").any(|address| {
        let privacy = address.parameters.get_unquoted("privacy");
        privacy.is_some_and(|privacy| {
            privacy
                .split(['-', ','])
                .any(|wish| matches!(wish.to_ascii_lowercase().as_str(), "full" | "uri"))
        })
    });
    let by_from = from.is_some_and(|from| {
        matches!(from.uri.host(), Some(Host::Name(host)) if host.to_string().eq_ignore_ascii_case("anonymous.invalid"))
    });
    by_header || by_remote_party || by_from
}

fn privacy_values(headers: &Headers) -> impl Iterator<Item = &str> {
    headers
        .get_all("Privacy")
        .flat_map(|value| value.split([';', ',']))
        .map(str::trim)
}

/// Diversion (RFC 5806) has the last one first. History-Info (RFC 7044) has the first one first, and as its
/// last entry where the call is now; it may be withheld by itself.
fn diverted_by(headers: &Headers) -> Vec<Diverted> {
    let by_diversion = addresses(headers, "Diversion").map(|address| Diverted {
        reason: address.parameters.get_unquoted("reason").map(Into::into),
        number: Pii::new(user_of(&address.uri)),
    });
    let found: Vec<Diverted> = by_diversion.take(DIVERSIONS).collect();
    let withheld = privacy_values(headers).any(|value| value.eq_ignore_ascii_case("history"));
    if !found.is_empty() || withheld {
        return found;
    }
    let history: Vec<NameAddr> = addresses(headers, "History-Info").collect();
    let before = history
        .iter()
        .rev()
        .skip(1)
        .filter(|entry| !is_withheld(entry));
    before
        .map(|entry| Diverted {
            number: Pii::new(user_of(&entry.uri)),
            reason: None,
        })
        .take(DIVERSIONS)
        .collect()
}

/// An entry of History-Info may say of itself that it is private.
fn is_withheld(entry: &NameAddr) -> bool {
    let headers = entry.uri.sip().and_then(|uri| uri.headers.as_deref());
    headers.is_some_and(|headers| headers.to_ascii_lowercase().contains("privacy=history"))
}

/// The readable values of a header that lists addresses.
fn addresses<'a>(headers: &'a Headers, name: &'a str) -> impl Iterator<Item = NameAddr> + 'a {
    headers
        .tokens(name)
        .filter_map(|value| NameAddr::parse(value).ok())
}
