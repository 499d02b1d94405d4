//! One direction's cipher and proof, with session keys.

use aes::Aes128;
use aes::cipher::{Array, InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::CtrCore;
use ctr::flavors::Ctr128BE;
use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use subtle::ConstantTimeEq;

use super::RTCP_CLEAR;
use super::keys::SessionKeys;
use super::suite::SrtpSuite;

/// The longest tag, in bytes.
const LONGEST_TAG: usize = 16;

/// The packet is not what its sender made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forged;

/// Which packet it is: no two of one key have the same place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// By its source, its number, and how often numbers have rolled over.
    Rtp {
        ssrc: u32,
        rollovers: u32,
        sequence: u16,
    },
    /// By its sender and the word that goes along: its index behind the flag of encryption.
    Rtcp { ssrc: u32, word: u32 },
}

impl Place {
    /// What is proven besides the packet (RFC 3711 sections 4.2 and 3.4).
    fn trailer(self) -> [u8; 4] {
        match self {
            Self::Rtp { rollovers, .. } => rollovers.to_be_bytes(),
            Self::Rtcp { word, .. } => word.to_be_bytes(),
        }
    }

    /// Source and index as the ciphers take them in: four bytes and six.
    fn counted(self) -> ([u8; 4], [u8; 6]) {
        let mut index = [0; 6];
        let ssrc = match self {
            Self::Rtp {
                ssrc,
                rollovers,
                sequence,
            } => {
                index[..4].copy_from_slice(&rollovers.to_be_bytes());
                index[4..].copy_from_slice(&sequence.to_be_bytes());
                ssrc
            }
            Self::Rtcp { ssrc, word } => {
                index[2..].copy_from_slice(&(word & !super::RTCP_ENCRYPTED).to_be_bytes());
                ssrc
            }
        };
        (ssrc.to_be_bytes(), index)
    }

    /// Where the key stream of counter mode begins (RFC 3711 section 4.1.1).
    fn counter(self, salt: &[u8; 14]) -> [u8; 16] {
        let (ssrc, index) = self.counted();
        let mut counter = [0; 16];
        counter[..14].copy_from_slice(salt);
        mix(&mut counter[4..8], &ssrc);
        mix(&mut counter[8..14], &index);
        counter
    }

    /// The nonce of Galois/counter mode (RFC 7714 sections 8.1 and 9.1).
    fn nonce(self, salt: &[u8; 12]) -> Nonce {
        let (ssrc, index) = self.counted();
        let mut nonce = *salt;
        mix(&mut nonce[2..6], &ssrc);
        mix(&mut nonce[6..], &index);
        Nonce::assume_unique_for_key(nonce)
    }
}

fn mix(into: &mut [u8], from: &[u8]) {
    for (into, from) in into.iter_mut().zip(from) {
        *into ^= from;
    }
}

/// What protects the packets of one direction and one protocol.
pub(super) enum Cipher {
    /// Counter mode (RFC 3711 section 4.1.1) and HMAC-SHA1 (section 4.2).
    CounterMode {
        aes: Box<Aes128>,
        salt: [u8; 14],
        authentication: Box<hmac::Key>,
    },
    /// Galois/counter mode (RFC 7714).
    Gcm {
        key: Box<LessSafeKey>,
        salt: [u8; 12],
    },
}

impl Cipher {
    pub(super) fn new(suite: SrtpSuite, keys: &SessionKeys) -> Self {
        let gcm = |algorithm| {
            let key = UnboundKey::new(algorithm, &keys.key[..suite.key_bytes()]);
            let key = LessSafeKey::new(key.expect("a suite's keys have its cipher's length"));
            let mut salt = [0; 12];
            salt.copy_from_slice(&keys.salt[..12]);
            Self::Gcm {
                key: Box::new(key),
                salt,
            }
        };
        match suite {
            SrtpSuite::AeadAes256Gcm => gcm(&aead::AES_256_GCM),
            SrtpSuite::AeadAes128Gcm => gcm(&aead::AES_128_GCM),
            SrtpSuite::AesCm128HmacSha1_80 | SrtpSuite::AesCm128HmacSha1_32 => {
                let mut key = [0; 16];
                key.copy_from_slice(&keys.key[..16]);
                let algorithm = hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY;
                Self::CounterMode {
                    aes: Box::new(Aes128::new(&Array::from(key))),
                    salt: keys.salt,
                    authentication: Box::new(hmac::Key::new(algorithm, &keys.authentication)),
                }
            }
        }
    }

    /// Encrypts what follows the first `clear` bytes, in place, and gives the tag that proves it all; a suite with a
    /// shorter one takes its beginning.
    pub(super) fn seal(&self, packet: &mut [u8], clear: usize, place: Place) -> [u8; LONGEST_TAG] {
        let mut tag = [0; LONGEST_TAG];
        match self {
            Self::CounterMode {
                aes,
                salt,
                authentication,
            } => {
                apply_keystream(aes, place.counter(salt), &mut packet[clear..]);
                let proof = prove(authentication, packet, place);
                tag.copy_from_slice(&proof.as_ref()[..LONGEST_TAG]);
            }
            Self::Gcm { key, salt } => {
                let (header, payload) = packet.split_at_mut(clear);
                let mut room = [0; RTCP_CLEAR + 4];
                let associated = Aad::from(associated(header, place, &mut room));
                let nonce = place.nonce(salt);
                // It fails for messages of gigabytes alone, and a tag of zeros proves nothing.
                if let Ok(sealed) = key.seal_in_place_separate_tag(nonce, associated, payload) {
                    tag.copy_from_slice(sealed.as_ref());
                }
            }
        }
        tag
    }

    /// The reverse, in place, if `tag` proves it.
    ///
    /// # Errors
    /// [`Forged`] when it does not; what follows `clear` may be spoilt then.
    pub(super) fn open(
        &self,
        packet: &mut [u8],
        clear: usize,
        place: Place,
        tag: &[u8],
    ) -> Result<(), Forged> {
        match self {
            Self::CounterMode {
                aes,
                salt,
                authentication,
            } => {
                let proof = prove(authentication, packet, place);
                let expected = proof.as_ref().get(..tag.len()).ok_or(Forged)?;
                if tag.is_empty() || !bool::from(expected.ct_eq(tag)) {
                    return Err(Forged);
                }
                apply_keystream(aes, place.counter(salt), &mut packet[clear..]);
            }
            Self::Gcm { key, salt } => {
                let tag = aead::Tag::try_from(tag).map_err(|_| Forged)?;
                let (header, payload) = packet.split_at_mut(clear);
                let mut room = [0; RTCP_CLEAR + 4];
                let associated = Aad::from(associated(header, place, &mut room));
                key.open_in_place_separate_tag(place.nonce(salt), associated, tag, payload, 0..)
                    .map_err(|_| Forged)?;
            }
        }
        Ok(())
    }
}

/// What Galois/counter mode proves without encrypting it: the header, and behind RTCP's the word that goes along (RFC
/// 7714 sections 8.2 and 9.2).
fn associated<'a>(header: &'a [u8], place: Place, room: &'a mut [u8; RTCP_CLEAR + 4]) -> &'a [u8] {
    match place {
        Place::Rtp { .. } => header,
        Place::Rtcp { word, .. } => {
            room[..RTCP_CLEAR].copy_from_slice(&header[..RTCP_CLEAR]);
            room[RTCP_CLEAR..].copy_from_slice(&word.to_be_bytes());
            room
        }
    }
}

fn apply_keystream(aes: &Aes128, counter: [u8; 16], payload: &mut [u8]) {
    let core: CtrCore<&Aes128, Ctr128BE> = CtrCore::inner_iv_init(aes, &Array::from(counter));
    StreamCipherCoreWrapper::from_core(core).apply_keystream(payload);
}

fn prove(key: &hmac::Key, packet: &[u8], place: Place) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(packet);
    context.update(&place.trailer());
    context.sign()
}
