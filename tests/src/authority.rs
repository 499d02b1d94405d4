//! Who vouches for whom over TLS: authorities made for one test, and the certificates they sign.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P256_SHA256,
};

/// An authority, and what it signs.
#[derive(Debug)]
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Identity {
    certificate: Certificate,
    key: KeyPair,
}

impl Authority {
    /// An authority that nobody knows yet.
    ///
    /// # Panics
    /// When no key can be made, as for all here.
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let mut about = CertificateParams::new(Vec::new()).expect("no names");
        about.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        about.distinguished_name.push(DnType::CommonName, name);
        let certificate = about.self_signed(&key).expect("a certificate");
        Self {
            certificate,
            issuer: Issuer::new(about, key),
        }
    }

    /// A certificate for a host's name or address, or for whoever a client says it is.
    ///
    /// # Panics
    /// When no key can be made.
    pub fn sign(&self, name: &str) -> Identity {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let about = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = about.signed_by(&key, &self.issuer).expect("a certificate");
        Identity { certificate, key }
    }

    /// Its certificate as a file has it.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// Its certificate as the wire has it.
    pub fn der(&self) -> Vec<u8> {
        self.certificate.der().to_vec()
    }
}

impl Identity {
    /// The certificate as a file has it.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// The certificate as the wire has it.
    pub fn der(&self) -> Vec<u8> {
        self.certificate.der().to_vec()
    }

    /// The key as a file has it.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The key, in PKCS #8.
    pub fn key_der(&self) -> Vec<u8> {
        self.key.serialize_der()
    }
}
