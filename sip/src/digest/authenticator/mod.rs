//! The side that challenges (RFC 3261 section 22.1 and 22.2, RFC 8760 section 2.3).

mod nonces;
mod replay_guard;

use subtle::ConstantTimeEq;

use super::algorithm::Algorithm;
use super::auth_value::{AuthValue, DigestWriter};
use super::authorization::Authorization;
use super::challenge::Challenger;
use super::credentials::Secret;
use crate::message::{Malformed, Request, Uri};
use nonces::Nonces;
use replay_guard::ReplayGuard;

/// How long a nonce is good for, unless said otherwise: a call's set-up, and a replay is refused anyway.
const NONCE_LIFETIME_MS: u64 = 5 * 60 * 1000;

/// Nonces whose counts are kept, some 3 MB of them. Beyond, the oldest count as run out.
const MAX_NONCES: usize = 65_536;

/// Challenges requests and verifies the answers, as a user agent server (401).
///
/// An ACK and a CANCEL are not for it: both repeat what was sent before (RFC 3261 section 22.1).
#[derive(Debug)]
pub struct Authenticator {
    realm: String,
    /// What is offered and taken, the preferred one first.
    algorithms: Vec<Algorithm>,
    nonces: Nonces,
    nonce_lifetime_ms: u64,
    replay_guard: ReplayGuard,
    /// Hashed where there is no such user.
    nobodys_password: Secret,
}

/// What a request's answer is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There is no answer for our realm: challenge.
    Missing,
    /// The answer does not follow its grammar: a 400.
    Malformed,
    /// The password is right, but the nonce ran out, its count was used before, or we did not give it
    /// out, perhaps before a restart: challenge with `stale`.
    Stale,
    /// The user is unknown, the password is wrong, or the answer is for something else: challenge
    /// again, or refuse.
    Refused,
    /// The request is from this user.
    Accepted {
        /// The user's name.
        username: String,
    },
}

impl Authenticator {
    /// One for a realm, offering SHA-256 and then MD5. `key` is secret: 32 random bytes. With the same
    /// key after a restart, nonces stay good.
    pub fn new(realm: impl Into<String>, key: &[u8]) -> Self {
        let realm = realm.into();
        Self {
            algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
            nonces: Nonces::new(key, &realm),
            nonce_lifetime_ms: NONCE_LIFETIME_MS,
            replay_guard: ReplayGuard::new(MAX_NONCES),
            nobodys_password: Secret::new("an ordinary password"),
            realm,
        }
    }

    /// The same, offering and taking these algorithms alone, the preferred one first.
    #[must_use]
    pub fn with_algorithms(mut self, algorithms: impl Into<Vec<Algorithm>>) -> Self {
        self.algorithms = algorithms.into();
        self
    }

    /// The same with nonces that are good for so long.
    #[must_use]
    pub fn with_nonce_lifetime_ms(mut self, nonce_lifetime_ms: u64) -> Self {
        self.nonce_lifetime_ms = nonce_lifetime_ms;
        self
    }

    /// A challenge: the values of as many WWW-Authenticate headers, in this order. `stale` says that
    /// the password was right.
    pub fn challenge(&mut self, now_ms: u64, stale: bool) -> Vec<String> {
        let nonce = self.nonces.give_out(now_ms);
        let value = |algorithm: &Algorithm| {
            let value = DigestWriter::new()
                .quoted("realm", &self.realm)
                .quoted("nonce", &nonce)
                .plain("algorithm", algorithm.as_str())
                .quoted("qop", "auth");
            let value = match stale {
                true => value.plain("stale", "true"),
                false => value,
            };
            value.finish()
        };
        self.algorithms.iter().map(value).collect()
    }

    /// Judges a request by its Authorization header. An accepted one is accepted once: repetitions on
    /// the wire are the transaction's, which sees them before.
    ///
    /// `lookup` finds a user's password. A user it does not know costs the same work as a wrong
    /// password and gets the same verdict, so nobody learns which names exist.
    pub fn verify<'s>(
        &mut self,
        request: &Request,
        lookup: impl FnOnce(&str) -> Option<&'s Secret>,
        now_ms: u64,
    ) -> Verdict {
        let answer = match self.answer_in(request) {
            Ok(Some(answer)) => answer,
            Ok(None) => return Verdict::Missing,
            Err(Malformed { .. }) => return Verdict::Malformed,
        };
        // Every challenge has a quality of protection, and who gets one must count (RFC 3261 section
        // 22.4); without a count there is no telling a replay.
        let Some(protection) = &answer.protection else {
            return Verdict::Malformed;
        };
        let password = lookup(&answer.username);
        let right = answer.response_by(
            password.unwrap_or(&self.nobodys_password),
            &request.method,
            &request.body,
        );
        let is_right = bool::from(right.as_bytes().ct_eq(answer.response.as_bytes()));
        let is_offered = self.algorithms.contains(&answer.algorithm.algorithm);
        if !(is_right && password.is_some() && is_offered && is_for(&answer.uri, &request.uri)) {
            return Verdict::Refused;
        }
        let good_since_ms = now_ms.saturating_sub(self.nonce_lifetime_ms);
        self.replay_guard.forget_before(good_since_ms);
        let is_fresh = self.nonces.read(&answer.nonce).is_some_and(|nonce| {
            nonce.issued_ms >= good_since_ms
                && self
                    .replay_guard
                    .admit(nonce, protection.nonce_count.number)
        });
        match is_fresh {
            true => Verdict::Accepted {
                username: answer.username,
            },
            false => Verdict::Stale,
        }
    }

    /// The request's answer to our realm; what is for other realms is not ours to judge.
    fn answer_in(&self, request: &Request) -> Result<Option<Authorization>, Malformed> {
        let mut unreadable = None;
        let header = Challenger::UserAgent.authorization_header();
        for text in request.headers.get_all(header) {
            let values = match AuthValue::read_all(text) {
                Ok(values) => values,
                Err(error) => {
                    unreadable = Some(error);
                    continue;
                }
            };
            let is_other = |realm| realm != self.realm;
            let ours = values
                .iter()
                .find(|value| value.is_digest() && !value.get("realm").is_some_and(is_other));
            if let Some(value) = ours {
                return Authorization::read(value).map(Some);
            }
        }
        unreadable.map_or(Ok(None), Err)
    }
}

/// Whether a digest-uri means this request. Border controllers rewrite a Request-URI's host, port and
/// parameters on its way; the user is what says who is called. Nothing is lost by it: the digest
/// covers what its maker asked for, and its count is good for one request.
fn is_for(digest_uri: &str, request_uri: &Uri) -> bool {
    let Ok(digest_uri) = Uri::parse(digest_uri) else {
        return digest_uri == request_uri.to_string();
    };
    match (digest_uri.sip(), request_uri.sip()) {
        (Some(one), Some(two)) => one.user_unescaped() == two.user_unescaped(),
        _ => digest_uri.equivalent(request_uri),
    }
}

#[cfg(test)]
mod tests;
