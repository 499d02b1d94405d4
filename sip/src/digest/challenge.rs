//! A server's or a proxy's demand to know who asks (RFC 3261 sections 20.27 and 20.44).

use super::algorithm::{Algorithm, NamedAlgorithm, Qop};
use super::auth_value::AuthValue;
use crate::message::{Headers, Malformed, StatusCode};

/// Who challenges, which decides the headers' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Challenger {
    /// A user agent server or a registrar.
    UserAgent,
    /// A proxy on the way.
    Proxy,
}

impl Challenger {
    pub(super) const BOTH: [Self; 2] = [Self::UserAgent, Self::Proxy];

    /// The status it challenges with.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::UserAgent => StatusCode::UNAUTHORIZED,
            Self::Proxy => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        }
    }

    /// The header that holds its challenge.
    pub const fn challenge_header(self) -> &'static str {
        match self {
            Self::UserAgent => "WWW-Authenticate",
            Self::Proxy => "Proxy-Authenticate",
        }
    }

    /// The header that holds the answer.
    pub const fn authorization_header(self) -> &'static str {
        match self {
            Self::UserAgent => "Authorization",
            Self::Proxy => "Proxy-Authorization",
        }
    }
}

/// A challenge of the Digest scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    realm: String,
    pub(super) nonce: String,
    pub(super) opaque: Option<String>,
    stale: bool,
    /// `None` when it cannot be answered: an algorithm or a quality of protection we do not know.
    pub(super) manner: Option<Manner>,
}

/// How a challenge wants to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) algorithm: NamedAlgorithm,
    /// `None` for a server older than qualities of protection (RFC 2069).
    pub(super) qop: Option<Qop>,
}

impl Challenge {
    /// Reads a header's value: the Digest challenges in it, of which SIP allows one. Other schemes are
    /// passed over.
    ///
    /// # Errors
    /// When its grammar is broken, or when a Digest challenge has no realm or nonce.
    pub fn parse_all(value: &str) -> Result<Vec<Self>, Malformed> {
        AuthValue::read_all(value)?
            .iter()
            .filter(|value| value.is_digest())
            .map(Self::read)
            .collect()
    }

    /// What the name and password are for, without quotes and escapes.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// Whether only the nonce was at fault, not the password.
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// The algorithm to answer with; `None` when we cannot answer.
    pub fn algorithm(&self) -> Option<Algorithm> {
        Some(self.manner.as_ref()?.algorithm.algorithm)
    }

    fn read(value: &AuthValue<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            realm: value.require("realm")?.to_owned(),
            nonce: value.require("nonce")?.to_owned(),
            opaque: value.get("opaque").map(str::to_owned),
            stale: value
                .get("stale")
                .is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
            manner: Manner::read(value),
        })
    }
}

impl Manner {
    fn read(value: &AuthValue<'_>) -> Option<Self> {
        let algorithm = NamedAlgorithm::read(value.get("algorithm"))?;
        // An empty list is some devices' way to say that there is none.
        let offered = value.get("qop").filter(|list| !list.trim().is_empty());
        let qop = match offered {
            None => None,
            Some(list) => {
                let offers = |qop| {
                    list.split(',')
                        .any(|name| Qop::from_name(name.trim()) == Some(qop))
                };
                // Of both, the one that survives a border controller rewriting the description.
                let choice = [Qop::Auth, Qop::AuthInt]
                    .into_iter()
                    .find(|qop| offers(*qop));
                Some(choice?)
            }
        };
        Some(Self { algorithm, qop })
    }
}

/// Every Digest challenge in a response, those of user agents first, each kind in its order. What is
/// malformed is passed over, as RFC 8760 section 2.4 wants of what is not understood. Both kinds are
/// looked for in a 401 and in a 407: a forking proxy puts together what its branches were asked
/// (RFC 3261 section 16.7).
pub fn challenges_in(headers: &Headers) -> Vec<(Challenger, Challenge)> {
    let of_kind = |challenger: Challenger| {
        headers
            .get_all(challenger.challenge_header())
            .flat_map(|value| Challenge::parse_all(value).unwrap_or_default())
            .map(move |challenge| (challenger, challenge))
    };
    Challenger::BOTH.into_iter().flat_map(of_kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(text: &str) -> Challenge {
        let mut all = Challenge::parse_all(text).unwrap();
        assert_eq!(all.len(), 1, "{text}");
        all.remove(0)
    }

    fn qop(list: &str) -> Option<Option<Qop>> {
        let text = format!(r#"Digest realm="r", nonce="n", qop="{list}""#);
        challenge(&text).manner.map(|manner| manner.qop)
    }

    #[test]
    fn every_part_of_a_challenge_is_read() {
        let read = challenge(
            r#"Digest realm="atlanta.com", domain="sip:a.com sip:b.com", qop="auth", nonce="f84f1", opaque="", stale=TRUE, algorithm=sha-256"#,
        );
        assert_eq!(read.realm(), "atlanta.com");
        assert_eq!((&*read.nonce, read.opaque.as_deref()), ("f84f1", Some("")));
        assert!(read.is_stale());
        assert_eq!(read.algorithm(), Some(Algorithm::Sha256));
    }

    #[test]
    fn a_challenge_needs_a_realm_and_a_nonce() {
        for text in [r#"Digest realm="r""#, r#"Digest nonce="n""#, "Digest"] {
            assert!(Challenge::parse_all(text).is_err(), "{text}");
        }
        assert_eq!(Challenge::parse_all(r#"Basic realm="r""#), Ok(vec![]));
    }

    #[test]
    fn the_quality_of_protection_is_chosen_among_those_we_know() {
        assert_eq!(qop("auth-int, AUTH"), Some(Some(Qop::Auth)));
        assert_eq!(qop("auth-int"), Some(Some(Qop::AuthInt)));
        assert_eq!(qop("auth-conf,auth"), Some(Some(Qop::Auth)));
        assert_eq!(qop(""), Some(None));
        assert_eq!(qop("auth-conf"), None);
    }

    #[test]
    fn both_kinds_are_found_over_several_lines_and_the_unreadable_is_passed_over() {
        let mut headers = Headers::new();
        headers.push("Proxy-Authenticate", r#"Digest realm="p", nonce="1""#);
        headers.push(
            "WWW-Authenticate",
            r#"Digest realm="a", nonce="2", algorithm=X"#,
        );
        headers.push("WWW-Authenticate", r#"Digest realm="open"#);
        headers.push("www-authenticate", r#"Digest realm="b", nonce="3""#);
        let found: Vec<_> = challenges_in(&headers)
            .into_iter()
            .map(|(challenger, challenge)| (challenger, challenge.realm))
            .collect();
        assert_eq!(
            found,
            [
                (Challenger::UserAgent, "a".to_owned()),
                (Challenger::UserAgent, "b".to_owned()),
                (Challenger::Proxy, "p".to_owned()),
            ]
        );
    }
}
