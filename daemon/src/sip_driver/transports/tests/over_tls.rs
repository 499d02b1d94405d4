//! Who is spoken with over TLS, and with which certificate.

use std::path::PathBuf;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

const NAME: &str = "edge.example.com";

/// Certificates for `NAME` in files, each its own authority, and what a far end makes of them.
struct Certificates(PathBuf);

impl Certificates {
    fn new(test: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("offhook-streams-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn make(&self, name: &str) {
        let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
        std::fs::write(self.certificate(name), made.cert.pem()).unwrap();
        std::fs::write(self.key(name), made.signing_key.serialize_pem()).unwrap();
    }

    fn certificate(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.pem"))
    }

    fn key(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.key"))
    }

    /// Ours is `ours`; far ends with the certificate `theirs` are believed.
    fn config(&self) -> TlsConfig {
        TlsConfig {
            certificate: self.certificate("ours"),
            key_file: self.key("ours"),
            client_ca_file: None,
            require_client_certificate: false,
            ca_file: Some(self.certificate("theirs")),
            name: None,
        }
    }

    fn settings(&self) -> StreamSettings {
        StreamSettings {
            tls: Some(Tls::load(&self.config()).unwrap()),
            ..settings()
        }
    }

    fn far_acceptor(&self) -> TlsAcceptor {
        let chain = vec![CertificateDer::from_pem_file(self.certificate("theirs")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(self.key("theirs")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// A far end that believes the certificate `name` and no other.
    fn far_connector(&self, name: &str) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(self.certificate(name)).unwrap();
        roots.add(authority).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn far_name() -> ServerName<'static> {
    ServerName::try_from(NAME).unwrap()
}

#[tokio::test]
async fn a_far_end_that_proves_its_name_is_spoken_with_over_tls() {
    let certificates = Certificates::new("right-name");
    certificates.make("ours");
    certificates.make("theirs");
    let (mut ours, local) = listening(certificates.settings());
    let (listener, remote) = far_end().await;
    let flow = Flow {
        transport: Transport::Tls,
        ..over_tcp(local, remote)
    };
    ours.expect_name(remote, NAME.to_owned());
    ours.send(flow, options(1).into_bytes()).unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = certificates.far_acceptor().accept(stream).await.unwrap();
    hears(&mut stream, &options(1)).await;
    says(&mut stream, &options(2)).await;
    assert_eq!(ours.next().await, Came::Message(flow, options(2)));
}

#[tokio::test]
async fn a_far_end_that_proves_another_name_or_none_is_told_nothing() {
    let certificates = Certificates::new("wrong-name");
    certificates.make("ours");
    certificates.make("theirs");
    let (mut ours, local) = listening(certificates.settings());
    for name in [Some("other.example.com"), None] {
        let (listener, remote) = far_end().await;
        let flow = Flow {
            transport: Transport::Tls,
            ..over_tcp(local, remote)
        };
        if let Some(name) = name {
            ours.expect_name(remote, name.to_owned());
        }
        ours.send(flow, options(1).into_bytes()).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = certificates.far_acceptor();
        let accepting = tokio::spawn(async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                is_closed(&mut stream).await;
            }
        });
        assert_eq!(ours.next().await, Came::Closed(flow));
        accepting.await.unwrap();
    }
}

#[tokio::test]
async fn new_certificates_are_for_new_connections_and_bad_ones_for_none() {
    let certificates = Certificates::new("reload");
    certificates.make("ours");
    certificates.make("theirs");
    let (mut ours, local) = listening(certificates.settings());
    let before = certificates.far_connector("ours");
    let stream = TcpStream::connect(local).await.unwrap();
    let connecting = before.connect(far_name(), stream);
    let mut old = ours.beside(connecting).await.unwrap();

    std::fs::write(certificates.key("ours"), "damaged").unwrap();
    let error = ours.reload(&certificates.config()).unwrap_err();
    assert_eq!(error.key, "key_file");
    certificates.make("ours");
    ours.reload(&certificates.config()).unwrap();

    says(&mut old, &options(1)).await;
    assert!(matches!(ours.next().await, Came::Message(..)));
    for (connector, is_believed) in [(before, false), (certificates.far_connector("ours"), true)] {
        let stream = TcpStream::connect(local).await.unwrap();
        let connected = ours.beside(connector.connect(far_name(), stream)).await;
        assert_eq!(connected.is_ok(), is_believed);
    }
}
