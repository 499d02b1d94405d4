//! The side that is challenged (RFC 3261 sections 22.2 and 22.3, RFC 8760 section 2.4).

use super::auth_value::AuthValue;
use super::authorization::{Authorization, NonceCount, Protection};
use super::challenge::{Challenge, Challenger, Manner, challenges_in};
use super::credentials::Credentials;
use crate::message::{Headers, Method, Request, Response};

/// How often one request is sent with answers, whatever its far ends say. A proxy, a user agent and
/// one nonce that ran out take as many.
const MAX_TRIES: u32 = 3;

/// The realms one usage answers; a further one takes the place of the oldest. No real path has as many.
const MAX_REALMS: usize = 8;

/// Answers challenges for one usage: a call with its dialog, or a registration.
///
/// It keeps the challenge of each realm, proxies and user agents apart, and counts the uses of its
/// nonce. So a later request of the usage is authorised before it is challenged.
///
/// The headers it gives stand for all realms that have asked so far, and replace whatever
/// Authorization and Proxy-Authorization headers the request had.
#[derive(Debug, Default)]
pub struct DigestClient {
    realms: Vec<Realm>,
    tries: Vec<(Method, Tries)>,
}

/// Why a challenge cannot be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswerable {
    /// The response holds no Digest challenge that can be read.
    #[error("no digest challenge")]
    NoChallenge,
    /// Every challenge is for another realm than the credentials.
    #[error("the credentials are for another realm")]
    WrongRealm,
    /// Every challenge names an algorithm or a quality of protection that we do not know.
    #[error("no digest algorithm that we know")]
    NoKnownAlgorithm,
    /// An answer was refused, and it was not its nonce: the name or the password is wrong.
    #[error("the credentials were refused")]
    RefusedAgain,
    /// The request was answered for as often as we are willing to.
    #[error("challenged too often")]
    TooManyTries,
}

/// A challenge that can be answered, and who made it.
#[derive(Debug)]
struct Demand {
    challenger: Challenger,
    challenge: Challenge,
    manner: Manner,
}

/// What a realm asked last, and how often it was told.
#[derive(Debug)]
struct Realm {
    demand: Demand,
    uses: u32,
    /// The client nonce of the nonce's first use. The session algorithms hash that one (RFC 7616
    /// section 3.4.2), but there are servers that take the current one; repeating it suits both.
    session_cnonce: Option<String>,
}

/// The attempts to have one request accepted.
#[derive(Debug, Default)]
struct Tries {
    answered: u32,
    /// An answer was met by another nonce, and nothing said that the old one was stale.
    doubted: bool,
}

impl DigestClient {
    /// A client that was not challenged yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers the challenges of a 401 or 407: the headers for the request's next try.
    ///
    /// `request` is what was challenged, with the headers it was sent with. Of each realm's challenges
    /// the topmost that we know is answered. A realm that refuses an answer is believed when it
    /// repeats the nonce. With a new nonce it gets one more answer, since there are registrars that
    /// leave out `stale`; when it says `stale`, the password was right and it gets another.
    ///
    /// # Errors
    /// When there is nothing to answer, nothing to answer it with, or when it was answered enough.
    pub fn answer(
        &mut self,
        response: &Response,
        request: &Request,
        credentials: &Credentials,
        cnonce: &str,
    ) -> Result<Vec<(&'static str, String)>, Unanswerable> {
        let demands = demands_in(&response.headers, credentials)?;
        let sent = answers_in(&request.headers);
        let tries = self.tries_of(&request.method);
        if sent.is_empty() {
            *tries = Tries::default();
        }
        if tries.answered >= MAX_TRIES {
            return Err(Unanswerable::TooManyTries);
        }
        let mut doubted = tries.doubted;
        for demand in demands.iter().filter(|demand| !demand.challenge.is_stale()) {
            let Some(nonce) = demand.nonce_answered_in(&sent) else {
                continue;
            };
            if tries.doubted || nonce == demand.challenge.nonce {
                return Err(Unanswerable::RefusedAgain);
            }
            doubted = true;
        }
        tries.doubted = doubted;
        tries.answered += 1;
        for demand in demands {
            self.remember(demand);
        }
        let uri = request.uri.to_string();
        Ok(self.headers(&request.method, &uri, &request.body, credentials, cnonce))
    }

    /// The headers for a new request: an answer to every realm that has asked in this usage. None
    /// before the first challenge.
    ///
    /// `uri` is the Request-URI, letter by letter as it will be sent.
    pub fn authorize(
        &mut self,
        method: &Method,
        uri: &str,
        body: &[u8],
        credentials: &Credentials,
        cnonce: &str,
    ) -> Vec<(&'static str, String)> {
        *self.tries_of(method) = Tries::default();
        self.headers(method, uri, body, credentials, cnonce)
    }

    fn headers(
        &mut self,
        method: &Method,
        uri: &str,
        body: &[u8],
        credentials: &Credentials,
        cnonce: &str,
    ) -> Vec<(&'static str, String)> {
        self.realms
            .iter_mut()
            .filter(|realm| credentials.are_for(realm.demand.challenge.realm()))
            .map(|realm| {
                let mut answer = realm.answer(credentials, uri, cnonce);
                answer.response = answer.response_by(&credentials.password, method, body);
                let name = realm.demand.challenger.authorization_header();
                (name, answer.to_string())
            })
            .collect()
    }

    fn remember(&mut self, demand: Demand) {
        let known = self
            .realms
            .iter_mut()
            .find(|realm| realm.demand.is_of_realm_of(&demand));
        match known {
            Some(realm) if realm.demand.continues_with(&demand) => realm.demand = demand,
            Some(realm) => *realm = Realm::new(demand),
            None => {
                if self.realms.len() == MAX_REALMS {
                    self.realms.remove(0);
                }
                self.realms.push(Realm::new(demand));
            }
        }
    }

    /// The tries of the latest request of a method: a usage has one of each under way.
    fn tries_of(&mut self, method: &Method) -> &mut Tries {
        let index = match self.tries.iter().position(|(of, _)| of == method) {
            Some(index) => index,
            None => {
                self.tries.push((method.clone(), Tries::default()));
                self.tries.len() - 1
            }
        };
        &mut self.tries[index].1
    }
}

impl Demand {
    fn is_of_realm_of(&self, other: &Self) -> bool {
        self.challenger == other.challenger && self.challenge.realm() == other.challenge.realm()
    }

    /// Whether the other's nonce is this one's, so that its count goes on.
    fn continues_with(&self, other: &Self) -> bool {
        self.challenge.nonce == other.challenge.nonce && self.manner == other.manner
    }

    /// The nonce that a request's answer to this realm was made with.
    fn nonce_answered_in<'a>(&self, sent: &'a [(Challenger, Authorization)]) -> Option<&'a str> {
        sent.iter()
            .find(|(to, answer)| *to == self.challenger && answer.realm == self.challenge.realm())
            .map(|(_, answer)| &*answer.nonce)
    }
}

impl Realm {
    fn new(demand: Demand) -> Self {
        Self {
            demand,
            uses: 0,
            session_cnonce: None,
        }
    }

    /// The next answer, but for its response.
    fn answer(&mut self, credentials: &Credentials, uri: &str, cnonce: &str) -> Authorization {
        self.uses = self.uses.saturating_add(1);
        let Demand {
            challenge, manner, ..
        } = &self.demand;
        let cnonce = if manner.algorithm.algorithm.is_session() {
            let first = self.session_cnonce.get_or_insert_with(|| cnonce.to_owned());
            Some(first.clone())
        } else {
            manner.qop.map(|_| cnonce.to_owned())
        };
        Authorization {
            username: credentials.username.clone(),
            realm: challenge.realm().to_owned(),
            nonce: challenge.nonce.clone(),
            uri: uri.to_owned(),
            algorithm: manner.algorithm.clone(),
            protection: manner.qop.map(|qop| Protection {
                qop,
                nonce_count: NonceCount::new(self.uses),
            }),
            cnonce,
            opaque: challenge.opaque.clone(),
            response: String::new(),
        }
    }
}

/// Of each realm that the credentials are for, the topmost challenge that we know how to answer: the
/// server lists them as it prefers them (RFC 8760 sections 2.3 and 2.4).
fn demands_in(headers: &Headers, credentials: &Credentials) -> Result<Vec<Demand>, Unanswerable> {
    let mut challenges = challenges_in(headers);
    if challenges.is_empty() {
        return Err(Unanswerable::NoChallenge);
    }
    challenges.retain(|(_, challenge)| credentials.are_for(challenge.realm()));
    if challenges.is_empty() {
        return Err(Unanswerable::WrongRealm);
    }
    let mut demands: Vec<Demand> = Vec::new();
    for (challenger, challenge) in challenges {
        let Some(manner) = challenge.manner.clone() else {
            continue;
        };
        let demand = Demand {
            challenger,
            challenge,
            manner,
        };
        if !demands.iter().any(|above| above.is_of_realm_of(&demand)) {
            demands.push(demand);
        }
    }
    match demands.is_empty() {
        true => Err(Unanswerable::NoKnownAlgorithm),
        false => Ok(demands),
    }
}

/// The answers that a request of ours carries.
fn answers_in(headers: &Headers) -> Vec<(Challenger, Authorization)> {
    let mut answers = Vec::new();
    for challenger in Challenger::BOTH {
        for value in headers.get_all(challenger.authorization_header()) {
            let values = AuthValue::read_all(value).unwrap_or_default();
            let readable = values
                .iter()
                .filter(|value| value.is_digest())
                .filter_map(|value| Authorization::read(value).ok());
            answers.extend(readable.map(|answer| (challenger, answer)));
        }
    }
    answers
}

#[cfg(test)]
mod tests;
