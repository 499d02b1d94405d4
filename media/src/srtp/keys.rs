//! Master keys, and what is derived from them (RFC 3711 section 4.3).

use std::fmt;

use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes256};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::suite::SrtpSuite;

/// The longest master key with its salt.
const MAXIMUM_BYTES: usize = 46;
/// Bytes of an authentication key of HMAC-SHA1 (RFC 3711 section 5.2).
const AUTHENTICATION_BYTES: usize = 20;

/// The text holds no key of its suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key of the suite's length")]
pub struct BadKey;

/// A master key with its salt, for one direction. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    suite: SrtpSuite,
    bytes: [u8; MAXIMUM_BYTES],
}

impl MasterKey {
    /// Of random bytes, as many as the suite takes.
    #[must_use]
    pub fn from_random(suite: SrtpSuite, random: &[u8; MAXIMUM_BYTES]) -> Self {
        let mut bytes = *random;
        bytes[suite.key_bytes() + suite.salt_bytes()..].fill(0);
        Self { suite, bytes }
    }

    /// Reads what follows `inline:` in SDP: key and salt in base64 (RFC 4568 section 6.1).
    ///
    /// # Errors
    /// When it is no base64, or not as long as the suite wants.
    pub fn from_base64(suite: SrtpSuite, text: &str) -> Result<Self, BadKey> {
        let length = suite.key_bytes() + suite.salt_bytes();
        // Some devices leave out the padding at the end.
        let unpadded = text.trim_end_matches('=');
        let mut padded = unpadded.to_owned();
        while !padded.len().is_multiple_of(4) {
            padded.push('=');
        }
        let decoded = BASE64_STANDARD.decode(padded).map_err(|_| BadKey)?;
        if decoded.len() != length {
            return Err(BadKey);
        }
        let mut bytes = [0; MAXIMUM_BYTES];
        bytes[..length].copy_from_slice(&decoded);
        Ok(Self { suite, bytes })
    }

    /// As it stands behind `inline:` in SDP. For the far end's eyes only.
    #[must_use]
    pub fn to_base64(&self) -> String {
        let length = self.suite.key_bytes() + self.suite.salt_bytes();
        BASE64_STANDARD.encode(&self.bytes[..length])
    }

    /// The suite it is for.
    #[must_use]
    pub const fn suite(&self) -> SrtpSuite {
        self.suite
    }

    fn key(&self) -> &[u8] {
        &self.bytes[..self.suite.key_bytes()]
    }

    /// The salt, filled up to what counter mode wants with zeros at its end (RFC 7714 section 11).
    fn salt(&self) -> [u8; 14] {
        let from = self.suite.key_bytes();
        let mut salt = [0; 14];
        let bytes = &self.bytes[from..from + self.suite.salt_bytes()];
        salt[..bytes.len()].copy_from_slice(bytes);
        salt
    }

    /// The session keys for RTP.
    pub(super) fn rtp(&self) -> SessionKeys {
        self.session(0)
    }

    /// The session keys for RTCP.
    pub(super) fn rtcp(&self) -> SessionKeys {
        self.session(3)
    }

    /// `first_label`: RFC 3711 section 4.3.1 has three labels in a row for RTP, and three for RTCP.
    fn session(&self, first_label: u8) -> SessionKeys {
        let mut keys = SessionKeys {
            key: [0; 32],
            authentication: [0; AUTHENTICATION_BYTES],
            salt: [0; 14],
        };
        self.derive(first_label, &mut keys.key[..self.suite.key_bytes()]);
        self.derive(first_label + 1, &mut keys.authentication);
        self.derive(first_label + 2, &mut keys.salt[..self.suite.salt_bytes()]);
        keys
    }

    /// The pseudo-random function of RFC 3711 section 4.3.3, with a key derivation rate of zero.
    fn derive(&self, label: u8, out: &mut [u8]) {
        let mut block = [0; 16];
        block[..14].copy_from_slice(&self.salt());
        block[7] ^= label;
        for (counter, chunk) in out.chunks_mut(16).enumerate() {
            // The longest output has three blocks.
            block[15] = counter as u8;
            let mut encrypted = Array::from(block);
            match self.key() {
                key if key.len() == 32 => {
                    Aes256::new_from_slice(key).map(|aes| aes.encrypt_block(&mut encrypted))
                }
                key => Aes128::new_from_slice(key).map(|aes| aes.encrypt_block(&mut encrypted)),
            }
            .expect("a suite's keys have a cipher's length");
            chunk.copy_from_slice(&encrypted[..chunk.len()]);
        }
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "MasterKey({}, …)", self.suite)
    }
}

/// What packets are protected with.
pub(super) struct SessionKeys {
    /// The suite's number of bytes count.
    pub(super) key: [u8; 32],
    pub(super) authentication: [u8; AUTHENTICATION_BYTES],
    /// The suite's number of bytes count; the rest is zero.
    pub(super) salt: [u8; 14],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pairs = digits
            .chunks(2)
            .map(|pair| std::str::from_utf8(pair).unwrap());
        pairs
            .map(|pair| u8::from_str_radix(pair, 16).unwrap())
            .collect()
    }

    #[test]
    fn session_keys_are_those_of_rfc_3711_b_3() {
        let mut bytes = [0; MAXIMUM_BYTES];
        let master = hex("E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
        bytes[..30].copy_from_slice(&master);
        let keys = MasterKey::from_random(SrtpSuite::AesCm128HmacSha1_80, &bytes).rtp();
        assert_eq!(keys.key[..16], hex("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(keys.salt[..], hex("30CBBC08863D8C85D49DB34A9AE1"));
        assert_eq!(
            keys.authentication[..],
            hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4")
        );
    }

    #[test]
    fn a_key_goes_through_base64_with_and_without_padding_and_is_never_shown() {
        let random = std::array::from_fn(|index| index as u8);
        for suite in SrtpSuite::ALL {
            let key = MasterKey::from_random(suite, &random);
            let text = key.to_base64();
            assert_eq!(MasterKey::from_base64(suite, &text).as_ref(), Ok(&key));
            let unpadded = text.trim_end_matches('=');
            assert_eq!(MasterKey::from_base64(suite, unpadded).as_ref(), Ok(&key));
            assert_eq!(MasterKey::from_base64(suite, &text[..8]), Err(BadKey));
            assert_eq!(MasterKey::from_base64(suite, "§"), Err(BadKey));
            assert_eq!(format!("{key:?}"), format!("MasterKey({suite}, …)"));
        }
    }
}
