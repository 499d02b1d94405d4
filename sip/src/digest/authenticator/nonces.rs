//! Nonces that certify themselves: the time, a number, and a keyed code over both. Nothing is kept for
//! one that was given out, so a flood of requests that are challenged costs no memory.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::digest::algorithm::hexadecimal;

/// Half of the code's 256 bits: what cannot be guessed in a nonce's life need not be longer.
const CODE_BYTES: usize = 16;
const NUMBER_DIGITS: usize = 16;
const NONCE_DIGITS: usize = 2 * NUMBER_DIGITS + 2 * CODE_BYTES;

/// Which nonce, in the order they were given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NonceId {
    pub(super) issued_ms: u64,
    /// Tells apart the nonces of one millisecond.
    pub(super) number: u64,
}

/// Gives out nonces and knows them again.
pub(super) struct Nonces {
    code: Hmac<Sha256>,
    given_out: u64,
}

impl Nonces {
    /// `key` is secret and of any length. A nonce of another realm is not known here, though its key
    /// be the same.
    pub(super) fn new(key: &[u8], realm: &str) -> Self {
        let mut code = Hmac::new_from_slice(key).expect("HMAC takes a key of any length");
        code.update(b"nonce of ");
        code.update(realm.as_bytes());
        Self { code, given_out: 0 }
    }

    pub(super) fn give_out(&mut self, now_ms: u64) -> String {
        self.given_out += 1;
        self.write(NonceId {
            issued_ms: now_ms,
            number: self.given_out,
        })
    }

    /// The nonce's identity; `None` when we did not give it out.
    pub(super) fn read(&self, nonce: &str) -> Option<NonceId> {
        let is_digit = |byte: u8| byte.is_ascii_hexdigit();
        if nonce.len() != NONCE_DIGITS || !nonce.bytes().all(is_digit) {
            return None;
        }
        let number = |at: usize| u64::from_str_radix(&nonce[at..at + NUMBER_DIGITS], 16).ok();
        let id = NonceId {
            issued_ms: number(0)?,
            number: number(NUMBER_DIGITS)?,
        };
        let ours = self.write(id);
        bool::from(ours.as_bytes().ct_eq(nonce.as_bytes())).then_some(id)
    }

    fn write(&self, id: NonceId) -> String {
        let NonceId { issued_ms, number } = id;
        let mut code = self.code.clone();
        // A fixed length at the end keeps it apart from the realm before it.
        code.update(&issued_ms.to_be_bytes());
        code.update(&number.to_be_bytes());
        let code = code.finalize().into_bytes();
        let code = hexadecimal(&code[..CODE_BYTES]);
        format!("{issued_ms:016x}{number:016x}{code}")
    }
}

impl fmt::Debug for Nonces {
    /// Without the key.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Nonces")
            .field("given_out", &self.given_out)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_known_by_whoever_gave_it_out_and_nobody_else() {
        let mut nonces = Nonces::new(b"key", "realm");
        let (first, second) = (nonces.give_out(7), nonces.give_out(7));
        assert_ne!(first, second);
        let id = nonces.read(&first).unwrap();
        assert_eq!(id.issued_ms, 7);
        assert!(id < nonces.read(&second).unwrap());
        assert_eq!(Nonces::new(b"key", "other").read(&first), None);
        assert_eq!(Nonces::new(b"kez", "realm").read(&first), None);
    }

    #[test]
    fn no_changed_digit_passes() {
        let mut nonces = Nonces::new(b"key", "realm");
        let nonce = nonces.give_out(0x0123_4567_89ab_cdef);
        for at in 0..nonce.len() {
            let digit = if &nonce[at..=at] == "0" { "1" } else { "0" };
            let mut changed = nonce.clone();
            changed.replace_range(at..=at, digit);
            assert_eq!(nonces.read(&changed), None, "{changed}");
        }
        for text in ["", "0", &nonce[1..], &nonce.to_uppercase(), &"é".repeat(32)] {
            assert_eq!(nonces.read(text), None, "{text}");
        }
    }
}
