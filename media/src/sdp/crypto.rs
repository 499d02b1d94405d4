//! Keys for SRTP in the description itself (SDES, RFC 4568).

use std::fmt;

use ring::hmac;
use sdp_types::{Attribute, Media};

use crate::srtp::{MasterKey, SrtpSuite};

/// Random bytes that one key is made of.
pub const RANDOM_BYTES: usize = 46;

/// Our side of SRTP for one leg: the keys we send with, one for each suite, in our order of preference. They stay the
/// same for the dialog's life: a far end that refreshes its session expects numbers and key to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalSrtp {
    /// Whether audio in the clear is refused.
    pub required: bool,
    /// Whether our own offers are of SRTP. An offer is of one or the other: RFC 4568 knows no choice between them.
    pub offered: bool,
    keys: Vec<MasterKey>,
    secret: Secret,
}

/// What the keys for the next far end are made from; nobody is told.
#[derive(Clone, PartialEq, Eq)]
struct Secret([u8; RANDOM_BYTES]);

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(…)")
    }
}

impl Secret {
    /// Bytes that tell nothing of the secret, nor of each other.
    fn derive(&self, number: u8) -> [u8; RANDOM_BYTES] {
        let key = hmac::Key::new(hmac::HMAC_SHA512, &self.0);
        let tag = hmac::sign(&key, &[number]);
        let mut bytes = [0; RANDOM_BYTES];
        bytes.copy_from_slice(&tag.as_ref()[..RANDOM_BYTES]);
        bytes
    }
}

impl LocalSrtp {
    /// With keys of these random bytes, which must be a cryptographic source's.
    #[must_use]
    pub fn new(
        required: bool,
        offered: bool,
        random: &[[u8; RANDOM_BYTES]; SrtpSuite::ALL.len() + 1],
    ) -> Self {
        let [secret, random @ ..] = random;
        let keys = SrtpSuite::ALL
            .into_iter()
            .zip(random)
            .map(|(suite, random)| MasterKey::from_random(suite, random))
            .collect();
        Self {
            required,
            offered,
            keys,
            secret: Secret(*secret),
        }
    }

    /// The same for another far end: whoever had the keys so far knows none of these.
    #[must_use]
    pub fn renewed(&self) -> Self {
        let mut number = 0;
        let random = std::array::from_fn(|_| {
            number += 1;
            self.secret.derive(number)
        });
        Self::new(self.required, self.offered, &random)
    }

    fn key(&self, suite: SrtpSuite) -> Option<&MasterKey> {
        self.keys.iter().find(|key| key.suite() == suite)
    }

    /// The lines of our offer: all suites, numbered from 1.
    pub(super) fn offer(&self) -> Vec<Line> {
        let numbered = self.keys.iter().zip(1..);
        numbered
            .map(|(key, tag)| Line {
                tag,
                key: key.clone(),
            })
            .collect()
    }

    /// Chooses from the lines of an offer: the first that we know, since the order is the offerer's (RFC 4568 5.1.2).
    /// Our line of the answer, and their key.
    pub(super) fn choose(&self, offer: &Media) -> Option<(Line, MasterKey)> {
        lines(offer).find_map(|theirs| {
            let key = self.key(theirs.key.suite())?.clone();
            let tag = theirs.tag;
            Some((Line { tag, key }, theirs.key))
        })
    }

    /// The keys that an answer to [`offer`](Self::offer) settles on, ours and theirs: its one line has the tag and the
    /// suite of one of ours.
    pub(super) fn settle(&self, answer: &Media) -> Option<(MasterKey, MasterKey)> {
        let offered = self.offer();
        lines(answer).find_map(|theirs| {
            let ours = offered.iter().find(|ours| ours.tag == theirs.tag)?;
            let same = ours.key.suite() == theirs.key.suite();
            same.then(|| (ours.key.clone(), theirs.key))
        })
    }
}

/// One `a=crypto` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) tag: u32,
    pub(super) key: MasterKey,
}

impl Line {
    /// Reads its value. `None` for what we do not know: such lines are passed over, as are keys with an identifier in
    /// every packet (MKI), and parameters that change how packets are protected.
    fn read(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let tag = words.next().filter(|tag| tag.len() <= 9)?.parse().ok()?;
        let suite = SrtpSuite::named(words.next()?)?;
        let method = words.next()?;
        let (name, inline) = method.split_once(':')?;
        // Several keys would be told apart by their identifiers.
        if !name.eq_ignore_ascii_case("inline") || inline.contains(';') {
            return None;
        }
        let mut parts = inline.split('|');
        let key = MasterKey::from_base64(suite, parts.next()?).ok()?;
        // A lifetime may follow, longer than any call; an identifier has a colon.
        if parts.any(|part| part.contains(':')) {
            return None;
        }
        let harmless = |word: &str| word.len() > 4 && word[..4].eq_ignore_ascii_case("WSH=");
        words.all(harmless).then_some(Self { tag, key })
    }

    pub(super) fn attribute(&self) -> Attribute {
        Attribute::with_value("crypto", self)
    }
}

impl fmt::Display for Line {
    /// With the key: for the far end's eyes only.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (suite, key) = (self.key.suite(), self.key.to_base64());
        write!(out, "{} {suite} inline:{key}", self.tag)
    }
}

fn lines(media: &Media) -> impl Iterator<Item = Line> + '_ {
    media
        .attributes
        .iter()
        .filter(|attribute| attribute.attribute.eq_ignore_ascii_case("crypto"))
        .filter_map(|attribute| Line::read(attribute.value.as_deref()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(seed: u8) -> LocalSrtp {
        let random = std::array::from_fn(|line| [seed ^ line as u8; RANDOM_BYTES]);
        LocalSrtp::new(false, true, &random)
    }

    fn media(lines: &[String]) -> Media {
        let attributes = lines
            .iter()
            .map(|line| Attribute::with_value("crypto", line));
        Media {
            media: "audio".to_owned(),
            port: 4_000,
            num_ports: None,
            proto: "RTP/SAVP".to_owned(),
            fmt: "0".to_owned(),
            media_title: None,
            connections: Vec::new(),
            bandwidths: Vec::new(),
            key: None,
            attributes: attributes.collect(),
        }
    }

    fn shown(lines: &[Line]) -> Vec<String> {
        lines.iter().map(Line::to_string).collect()
    }

    #[test]
    fn two_sides_settle_on_the_first_line_of_the_offer_and_each_others_keys() {
        let (caller, callee) = (local(1), local(2));
        let offer = media(&shown(&caller.offer()));
        let (line, theirs) = callee.choose(&offer).unwrap();
        assert_eq!(line.tag, 1);
        assert_eq!(line.key.suite(), SrtpSuite::AesCm128HmacSha1_80);
        let answer = media(&shown(std::slice::from_ref(&line)));
        let (ours, of_callee) = caller.settle(&answer).unwrap();
        assert_eq!((ours, of_callee), (theirs, line.key));
    }

    #[test]
    fn wound_52_unknown_lines_are_passed_over_and_the_answer_has_the_chosen_tag() {
        let key = local(3).offer()[0].key.to_base64();
        let offer = media(&[
            "1 F8_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj".to_owned(),
            "2 AES_CM_128_HMAC_SHA1_80 inline:short".to_owned(),
            format!("3 AES_CM_128_HMAC_SHA1_80 inline:{key}|2^20|1:4"),
            format!("4 AES_CM_128_HMAC_SHA1_80 inline:{key} UNENCRYPTED_SRTP"),
            "five AES_CM_128_HMAC_SHA1_80".to_owned(),
            format!("6 aes_cm_128_hmac_sha1_32 INLINE:{key}|2^31 WSH=128"),
        ]);
        let (line, _) = local(4).choose(&offer).unwrap();
        assert_eq!(
            (line.tag, line.key.suite()),
            (6, SrtpSuite::AesCm128HmacSha1_32)
        );
        assert_eq!(local(4).choose(&media(&[])), None);
    }

    #[test]
    fn an_answer_with_another_suite_or_a_tag_that_was_not_offered_settles_nothing() {
        let (ours, theirs) = (local(5), local(6));
        let mut line = theirs.offer()[0].clone();
        line.tag = 2;
        assert_eq!(
            ours.settle(&media(&shown(std::slice::from_ref(&line)))),
            None
        );
        line.tag = 9;
        assert_eq!(ours.settle(&media(&shown(&[line]))), None);
    }

    #[test]
    fn another_far_end_gets_keys_that_the_one_before_did_not() {
        let mut side = local(8);
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.extend(shown(&side.offer()));
            side = side.renewed();
        }
        let keys: std::collections::BTreeSet<_> = seen.iter().collect();
        assert_eq!(keys.len(), 3 * SrtpSuite::ALL.len());
        assert_eq!((side.required, side.offered), (false, true));
    }

    #[test]
    fn keys_are_not_shown_when_a_side_is() {
        let (side, key) = (local(7), local(7).offer()[0].key.to_base64());
        assert!(!format!("{side:?}").contains(&key));
    }
}
