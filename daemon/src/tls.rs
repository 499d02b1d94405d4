//! TLS for SIP: certificates and keys read from files, and what is made of them.
//!
//! ```text
//! TlsConfig (paths) ─► Tls::load ─► acceptor: our certificate, whose certificates we take
//!                                └► connector: whom we believe, our certificate when we are asked
//! ```
//!
//! One certificate speaks for us both ways. A loaded `Tls` never changes; to reload is to load
//! another one and use it for the connections that follow. Keys are read into rustls and go nowhere
//! else: no error and no `Debug` shows one.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use offhook_sip::message::Host;
use rustls::RootCertStore;
use rustls::client::ClientConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// `sip.tls`: the files TLS is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// Our certificate, followed by those between it and its root (PEM).
    pub certificate: PathBuf,
    /// The key of our certificate (PEM: PKCS #8, PKCS #1 or SEC 1, without a passphrase).
    pub key_file: PathBuf,
    /// The authorities whose certificates callers may show (PEM).
    pub client_ca_file: Option<PathBuf>,
    /// Whether a caller without such a certificate is refused.
    pub require_client_certificate: bool,
    /// Authorities that are believed beside the system's when we connect (PEM).
    pub ca_file: Option<PathBuf>,
    /// What Via and Contact say for TLS instead of an address, as some far ends want a name that the
    /// certificate has.
    pub name: Option<Host>,
}

/// A file that TLS cannot be made of, with the key that names it.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {}: {fault}", path.display())]
pub struct TlsError {
    /// The key within `sip.tls`.
    pub key: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub fault: TlsFault,
}

/// What can be wrong with a file. Never with its content.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// It is no PEM.
    #[error("is no PEM file")]
    NotPem,
    /// There is no certificate in it.
    #[error("holds no certificate")]
    NoCertificate,
    /// There is no key in it that can be used.
    #[error("holds no private key (PEM, without a passphrase)")]
    NoKey,
    /// The key is another certificate's.
    #[error("is not the key of the certificate")]
    OtherKey,
    /// rustls does not take it.
    #[error("cannot be used: {0}")]
    Unusable(#[source] rustls::Error),
    /// A list of authorities that callers cannot be checked against.
    #[error("cannot be used: {0}")]
    UnusableAuthorities(#[source] rustls::server::VerifierBuilderError),
}

/// What accepts and opens TLS connections.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads every file that `config` names. Blocks for as long as the files take.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub(crate) fn load(config: &TlsConfig) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let identity = Identity::read(config)?;
        let connector = connector(&provider, config, &identity)?;
        let acceptor = acceptor(&provider, config, identity)?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(acceptor)),
            connector: TlsConnector::from(Arc::new(connector)),
        })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    pub(crate) fn connector(&self) -> TlsConnector {
        self.connector.clone()
    }
}

/// Who we are.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    fn read(config: &TlsConfig) -> Result<Self, TlsError> {
        let chain = certificates("certificate", &config.certificate)?;
        let path = &config.key_file;
        let key = PrivateKeyDer::from_pem_file(path).map_err(|error| {
            let fault = match fault_of(error) {
                TlsFault::NoCertificate => TlsFault::NoKey,
                other => other,
            };
            at("key_file", path, fault)
        })?;
        Ok(Self { chain, key })
    }
}

fn acceptor(
    provider: &Arc<CryptoProvider>,
    config: &TlsConfig,
    identity: Identity,
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable_identity(config, error))?;
    let builder = match &config.client_ca_file {
        Some(path) => builder.with_client_cert_verifier(callers(provider, config, path)?),
        None => builder.with_no_client_auth(),
    };
    builder
        .with_single_cert(identity.chain, identity.key)
        .map_err(|error| unusable_identity(config, error))
}

/// Checks callers' certificates against the authorities in the file `path`.
fn callers(
    provider: &Arc<CryptoProvider>,
    config: &TlsConfig,
    path: &Path,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    add_authorities(&mut roots, "client_ca_file", path)?;
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = match config.require_client_certificate {
        true => builder,
        false => builder.allow_unauthenticated(),
    };
    builder
        .build()
        .map_err(|error| at("client_ca_file", path, TlsFault::UnusableAuthorities(error)))
}

fn connector(
    provider: &Arc<CryptoProvider>,
    config: &TlsConfig,
    identity: &Identity,
) -> Result<ClientConfig, TlsError> {
    let mut roots = system_authorities();
    if let Some(path) = &config.ca_file {
        add_authorities(&mut roots, "ca_file", path)?;
    }
    ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable_identity(config, error))?
        .with_root_certificates(roots)
        .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
        .map_err(|error| unusable_identity(config, error))
}

/// The authorities that this machine believes. A machine without any believes those of `ca_file`, or
/// nobody: that is said when a connection is opened, not here, since most daemons open none.
pub(crate) fn system_authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    if native.certs.is_empty() {
        tracing::debug!("this machine has no certificate authorities");
    }
    roots.add_parsable_certificates(native.certs);
    roots
}

/// What opens connections to whoever these authorities vouch for, and shows nobody a certificate of ours.
pub(crate) fn anonymous_connector(authorities: RootCertStore) -> TlsConnector {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the suites of TLS 1.2 and 1.3")
        .with_root_certificates(authorities)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

fn add_authorities(
    roots: &mut RootCertStore,
    key: &'static str,
    path: &Path,
) -> Result<(), TlsError> {
    for certificate in certificates(key, path)? {
        roots
            .add(certificate)
            .map_err(|error| at(key, path, TlsFault::Unusable(error)))?;
    }
    Ok(())
}

/// Every certificate in a file, at least one.
fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| at(key, path, fault_of(error)))?;
    if found.is_empty() {
        return Err(at(key, path, TlsFault::NoCertificate));
    }
    Ok(found)
}

fn fault_of(error: pem::Error) -> TlsFault {
    match error {
        pem::Error::Io(error) => TlsFault::Unreadable(error),
        pem::Error::NoItemsFound => TlsFault::NoCertificate,
        // The others quote what they found, which may be a piece of a key.
        _ => TlsFault::NotPem,
    }
}

/// What rustls says of certificate and key together, laid at the door of the file it is about.
fn unusable_identity(config: &TlsConfig, error: rustls::Error) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(_) => at("key_file", &config.key_file, TlsFault::OtherKey),
        rustls::Error::General(_) => at("key_file", &config.key_file, TlsFault::Unusable(error)),
        other => at(
            "certificate",
            &config.certificate,
            TlsFault::Unusable(other),
        ),
    }
}

fn at(key: &'static str, path: &Path, fault: TlsFault) -> TlsError {
    TlsError {
        key,
        path: path.to_owned(),
        fault,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder with a certificate and its key, and a second such pair.
    struct Files(PathBuf);

    impl Files {
        fn new(name: &str) -> Self {
            let folder =
                std::env::temp_dir().join(format!("offhook-tls-{}-{name}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            for pair in ["ours", "other"] {
                let made = rcgen::generate_simple_self_signed(vec!["edge.example.com".to_owned()])
                    .unwrap();
                fs::write(folder.join(format!("{pair}.pem")), made.cert.pem()).unwrap();
                let key = made.signing_key.serialize_pem();
                fs::write(folder.join(format!("{pair}.key")), key).unwrap();
            }
            fs::write(folder.join("text"), "hello").unwrap();
            Self(folder)
        }

        fn config(&self, certificate: &str, key_file: &str) -> TlsConfig {
            TlsConfig {
                certificate: self.0.join(certificate),
                key_file: self.0.join(key_file),
                client_ca_file: None,
                require_client_certificate: false,
                ca_file: None,
                name: None,
            }
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn error_of(config: &TlsConfig) -> String {
        Tls::load(config).expect_err("a mistake").to_string()
    }

    #[test]
    fn a_certificate_with_its_key_and_authorities_is_taken() {
        let files = Files::new("good");
        let mut config = files.config("ours.pem", "ours.key");
        Tls::load(&config).unwrap();
        config.client_ca_file = Some(files.0.join("other.pem"));
        config.require_client_certificate = true;
        config.ca_file = Some(files.0.join("other.pem"));
        Tls::load(&config).unwrap();
    }

    #[test]
    fn every_fault_names_the_key_and_the_file_and_shows_nothing_of_it() {
        let files = Files::new("faults");
        for (certificate, key_file, expected) in [
            (
                "none.pem",
                "ours.key",
                "certificate: PATH/none.pem: cannot be read",
            ),
            (
                "text",
                "ours.key",
                "certificate: PATH/text: holds no certificate",
            ),
            (
                "ours.key",
                "ours.key",
                "certificate: PATH/ours.key: holds no certificate",
            ),
            (
                "ours.pem",
                "none.key",
                "key_file: PATH/none.key: cannot be read",
            ),
            (
                "ours.pem",
                "text",
                "key_file: PATH/text: holds no private key",
            ),
            (
                "ours.pem",
                "ours.pem",
                "key_file: PATH/ours.pem: holds no private key",
            ),
            (
                "ours.pem",
                "other.key",
                "key_file: PATH/other.key: is not the key",
            ),
        ] {
            let said = error_of(&files.config(certificate, key_file));
            let expected = expected.replace("PATH", &files.0.display().to_string());
            assert!(said.starts_with(&expected), "{said} is not {expected}");
            assert!(!said.contains("hello"), "{said}");
        }
        let with_authorities = |path: &str| TlsConfig {
            client_ca_file: Some(files.0.join(path)),
            ..files.config("ours.pem", "ours.key")
        };
        let said = error_of(&with_authorities("text"));
        assert!(said.starts_with("client_ca_file: "), "{said}");
    }

    #[test]
    fn nothing_of_a_key_is_shown() {
        let files = Files::new("debug");
        let tls = Tls::load(&files.config("ours.pem", "ours.key")).unwrap();
        assert_eq!(format!("{tls:?}"), "Tls { .. }");
    }
}
