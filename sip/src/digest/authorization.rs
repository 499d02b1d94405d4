//! An answer to a challenge, and the one calculation both sides share (RFC 7616 section 3.4).

use std::fmt;

use super::algorithm::{NamedAlgorithm, Qop};
use super::auth_value::{AuthValue, DigestWriter};
use super::credentials::Secret;
use crate::message::{Malformed, Method};

/// The value of Authorization or Proxy-Authorization, quotes and escapes removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authorization {
    pub(super) username: String,
    pub(super) realm: String,
    pub(super) nonce: String,
    /// The digest-uri.
    pub(super) uri: String,
    pub(super) algorithm: NamedAlgorithm,
    /// `None` in answers to a challenge without a quality of protection.
    pub(super) protection: Option<Protection>,
    /// There with a protection, and with the session algorithms.
    pub(super) cnonce: Option<String>,
    pub(super) opaque: Option<String>,
    /// The proof, in lower-case hexadecimal digits.
    pub(super) response: String,
}

/// A quality of protection, with what it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Protection {
    pub(super) qop: Qop,
    pub(super) nonce_count: NonceCount,
}

/// How often a nonce was used. The eight digits are hashed as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NonceCount {
    pub(super) number: u32,
    digits: String,
}

impl NonceCount {
    pub(super) fn new(number: u32) -> Self {
        Self {
            number,
            digits: format!("{number:08x}"),
        }
    }

    fn read(digits: &str) -> Result<Self, Malformed> {
        let error = Malformed { what: "nc" };
        if digits.len() != 8 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(error);
        }
        Ok(Self {
            number: u32::from_str_radix(digits, 16).map_err(|_| error)?,
            digits: digits.to_owned(),
        })
    }
}

impl Authorization {
    /// Reads a value of the Digest scheme.
    pub(super) fn read(value: &AuthValue<'_>) -> Result<Self, Malformed> {
        let algorithm = NamedAlgorithm::read(value.get("algorithm"));
        let qop = value.get("qop").filter(|qop| !qop.is_empty());
        let protection = match qop {
            None => None,
            Some(qop) => Some(Protection {
                qop: Qop::from_name(qop).ok_or(Malformed { what: "qop" })?,
                nonce_count: NonceCount::read(value.require("nc")?)?,
            }),
        };
        if protection.is_some() {
            value.require("cnonce")?;
        }
        let owned = |name| value.require(name).map(str::to_owned);
        Ok(Self {
            username: owned("username")?,
            realm: owned("realm")?,
            nonce: owned("nonce")?,
            uri: owned("uri")?,
            algorithm: algorithm.ok_or(Malformed { what: "algorithm" })?,
            protection,
            cnonce: value.get("cnonce").map(str::to_owned),
            opaque: value.get("opaque").map(str::to_owned),
            response: value.require("response")?.to_ascii_lowercase(),
        })
    }

    /// The response that whoever knows the password would have given to all the other parameters, for
    /// a request of this method and body.
    pub(super) fn response_by(&self, password: &Secret, method: &Method, body: &[u8]) -> String {
        let algorithm = self.algorithm.algorithm;
        let nonce = self.nonce.as_bytes();
        let uri = self.uri.as_bytes();
        let cnonce = self.cnonce.as_deref().unwrap_or_default().as_bytes();
        let method = method.as_str().as_bytes();

        let user = [
            self.username.as_bytes(),
            self.realm.as_bytes(),
            password.as_bytes(),
        ];
        let mut who = algorithm.hash(&user);
        if algorithm.is_session() {
            who = algorithm.hash(&[who.as_bytes(), nonce, cnonce]);
        }
        let who = who.as_bytes();
        let Some(Protection { qop, nonce_count }) = &self.protection else {
            let what = algorithm.hash(&[method, uri]);
            return algorithm.hash(&[who, nonce, what.as_bytes()]);
        };
        let what = match qop {
            Qop::Auth => algorithm.hash(&[method, uri]),
            Qop::AuthInt => algorithm.hash(&[method, uri, algorithm.hash(&[body]).as_bytes()]),
        };
        algorithm.hash(&[
            who,
            nonce,
            nonce_count.digits.as_bytes(),
            cnonce,
            qop.as_str().as_bytes(),
            what.as_bytes(),
        ])
    }
}

impl fmt::Display for Authorization {
    /// Writes the value, quoted where RFC 3261 section 25.1 has quotes and nowhere else: there are
    /// servers that take them for a part of `algorithm`, `qop` and `nc`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = DigestWriter::new()
            .quoted("username", &self.username)
            .quoted("realm", &self.realm)
            .quoted("nonce", &self.nonce)
            .quoted("uri", &self.uri)
            .quoted("response", &self.response);
        if let Some(name) = &self.algorithm.name {
            value = value.plain("algorithm", name);
        }
        if let Some(cnonce) = &self.cnonce {
            value = value.quoted("cnonce", cnonce);
        }
        if let Some(opaque) = &self.opaque {
            value = value.quoted("opaque", opaque);
        }
        if let Some(Protection { qop, nonce_count }) = &self.protection {
            value = value
                .plain("qop", qop.as_str())
                .plain("nc", &nonce_count.digits);
        }
        out.write_str(&value.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: &str = r#"Digest username="a\"b", realm="r", nonce="n", uri="sip:h", response="ABC", algorithm=MD5, cnonce="c", opaque="o", qop=auth, nc=0000000A"#;

    fn read(text: &str) -> Result<Authorization, Malformed> {
        Authorization::read(&AuthValue::read_all(text)?[0])
    }

    #[test]
    fn an_answer_reads_back_as_it_was_written() {
        let complete = read(COMPLETE).unwrap();
        assert_eq!(complete.username, r#"a"b"#);
        assert_eq!(complete.response, "abc");
        assert_eq!(complete.protection.as_ref().unwrap().nonce_count.number, 10);
        assert_eq!(complete.to_string(), COMPLETE.replace("ABC", "abc"));
        let old =
            read(r#"Digest username="a", realm="r", nonce="n", uri="u", response="d""#).unwrap();
        assert_eq!(old.protection, None);
        assert_eq!(read(&old.to_string()), Ok(old));
    }

    #[test]
    fn an_answer_that_lacks_or_breaks_a_part_is_malformed() {
        for (part, without) in [
            (r#"username="a\"b", "#, ""),
            (r#"realm="r", "#, ""),
            (r#"nonce="n", "#, ""),
            (r#"uri="sip:h", "#, ""),
            (r#"response="ABC", "#, ""),
            (r#"cnonce="c", "#, ""),
            (", nc=0000000A", ""),
            ("nc=0000000A", "nc=A"),
            ("nc=0000000A", "nc=+000000A"),
            ("nc=0000000A", "nc=00000000A"),
            ("qop=auth", "qop=auth-conf"),
            ("algorithm=MD5", "algorithm=MD6"),
        ] {
            let text = COMPLETE.replace(part, without);
            assert_ne!(text, COMPLETE);
            assert!(read(&text).is_err(), "{text}");
        }
    }
}
