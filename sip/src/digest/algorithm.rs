//! Which hash a digest is made with, and what it covers (RFC 7616 sections 3.3 and 3.4, RFC 8760).

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

/// A digest algorithm. The *session* ones hash a first client nonce into the password's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `MD5`, which is also meant where none is named.
    Md5,
    /// `MD5-sess`.
    Md5Session,
    /// `SHA-256`.
    Sha256,
    /// `SHA-256-sess`.
    Sha256Session,
    /// `SHA-512-256`: SHA-512/256, which is not SHA-512 cut short.
    Sha512_256,
    /// `SHA-512-256-sess`.
    Sha512_256Session,
}

impl Algorithm {
    const ALL: [Self; 6] = [
        Self::Md5,
        Self::Md5Session,
        Self::Sha256,
        Self::Sha256Session,
        Self::Sha512_256,
        Self::Sha512_256Session,
    ];

    /// The name as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Session => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Session => "SHA-256-sess",
            Self::Sha512_256 => "SHA-512-256",
            Self::Sha512_256Session => "SHA-512-256-sess",
        }
    }

    /// The algorithm of a name, in any case; `None` for one we do not know.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(name))
    }

    pub(super) const fn is_session(self) -> bool {
        match self {
            Self::Md5Session | Self::Sha256Session | Self::Sha512_256Session => true,
            Self::Md5 | Self::Sha256 | Self::Sha512_256 => false,
        }
    }

    /// The hash of the parts with colons between them, in hexadecimal digits.
    pub(super) fn hash(self, parts: &[&[u8]]) -> String {
        match self {
            Self::Md5 | Self::Md5Session => hash_joined::<Md5>(parts),
            Self::Sha256 | Self::Sha256Session => hash_joined::<Sha256>(parts),
            Self::Sha512_256 | Self::Sha512_256Session => hash_joined::<Sha512_256>(parts),
        }
    }
}

fn hash_joined<Hash: Digest>(parts: &[&[u8]]) -> String {
    let mut hash = Hash::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hash.update(b":");
        }
        hash.update(part);
    }
    hexadecimal(&hash.finalize())
}

/// Two lower-case digits a byte.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| DIGITS[usize::from(nibble)])
        .collect()
}

/// An algorithm as a header names it. An answer repeats the challenge's spelling, and names none
/// where the challenge named none: there are servers that compare text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedAlgorithm {
    pub(super) algorithm: Algorithm,
    pub(super) name: Option<String>,
}

impl NamedAlgorithm {
    /// `None` when the name is of no algorithm we know.
    pub(super) fn read(name: Option<&str>) -> Option<Self> {
        let algorithm = match name {
            Some(name) => Algorithm::from_name(name)?,
            None => Algorithm::Md5,
        };
        Some(Self {
            algorithm,
            name: name.map(str::to_owned),
        })
    }
}

/// What a digest covers: its quality of protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Qop {
    /// Method and URI.
    Auth,
    /// The body as well.
    AuthInt,
}

impl Qop {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Auth, Self::AuthInt]
            .into_iter()
            .find(|qop| qop.as_str().eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_reads_back_from_its_name_in_any_case() {
        for algorithm in Algorithm::ALL {
            let name = algorithm.as_str();
            assert_eq!(Algorithm::from_name(name), Some(algorithm));
            assert_eq!(Algorithm::from_name(&name.to_lowercase()), Some(algorithm));
        }
        for name in ["", "SHA-512", "SHA256", "AKAv1-MD5", "MD5-sess "] {
            assert_eq!(Algorithm::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn no_name_means_md5_and_an_unknown_one_means_none() {
        let unnamed = NamedAlgorithm::read(None).unwrap();
        assert_eq!((unnamed.algorithm, unnamed.name), (Algorithm::Md5, None));
        assert_eq!(NamedAlgorithm::read(Some("AKAv1-MD5")), None);
    }

    #[test]
    fn a_hash_joins_its_parts_by_colons() {
        assert_eq!(
            Algorithm::Md5.hash(&[b"a", b"", b"b"]),
            Algorithm::Md5.hash(&[b"a::b"])
        );
        assert_eq!(
            Algorithm::Md5.hash(&[b""]),
            "d41d8cd98f00b204e9800998ecf8427e"
        );
    }
}
