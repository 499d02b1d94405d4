//! SIP over TLS, with authorities made for the test: whom the daemon speaks with, and how its certificate is changed.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use offhook_tests::authority::{Authority, Identity};
use offhook_tests::baresip::{Baresip, Codec};
use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::ports::PortBlock;
use offhook_tests::scratch::Scratch;
use offhook_tests::sip_text::{self, Caller};
use offhook_tests::tshark::{faults, fields};
use offhook_tests::wait::wait_until;
use offhook_tests::wire::{self, Wire};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};

/// For what happens at once, on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(10);
/// Who the daemon says it is.
const NAME: &str = "edge.example.com";

type TlsWire = Wire<StreamOwned<ClientConnection, TcpStream>>;

/// The daemon's files, and a daemon with them.
struct Files(Scratch);

impl Files {
    fn new() -> Self {
        Self(Scratch::new("tls").expect("a folder"))
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.file(name);
        fs::write(&path, text).expect("a file");
        path
    }

    fn write_identity(&self, identity: &Identity) {
        self.write("edge.pem", &identity.pem());
        self.write("edge.key", &identity.key_pem());
    }

    fn daemon(&self, more_keys: &str) -> Daemon {
        self.daemon_with(more_keys, DaemonSetup::default())
    }

    fn daemon_with(&self, more_keys: &str, setup: DaemonSetup) -> Daemon {
        let (certificate, key) = (self.0.file("edge.pem"), self.0.file("edge.key"));
        let setup = DaemonSetup {
            tls: Some(format!(
                "{{ certificate = {certificate:?}, key_file = {key:?}{more_keys} }}"
            )),
            ..setup
        };
        Daemon::start(&setup).expect("a daemon")
    }
}

/// Connects as somebody who believes `authority`; the handshake is made with the first message.
fn connect(daemon: &Daemon, authority: &Authority, identity: Option<&Identity>) -> TlsWire {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(authority.der()))
        .expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match identity {
        Some(identity) => {
            let chain = vec![CertificateDer::from(identity.der())];
            let key = PrivatePkcs8KeyDer::from(identity.key_der());
            config
                .with_client_auth_cert(chain, PrivateKeyDer::Pkcs8(key))
                .expect("a certificate")
        }
        None => config.with_no_client_auth(),
    };
    let name = ServerName::try_from(NAME).expect("a name");
    let session = ClientConnection::new(Arc::new(config), name).expect("a session");
    let stream = wire::connect(daemon.tls()).expect("a connection");
    Wire::over(StreamOwned::new(session, stream), "TLS")
}

fn caller(daemon: &Daemon, call_id: &str) -> Caller {
    let local: SocketAddr = "127.0.0.1:9".parse().expect("an address");
    Caller::new(local, daemon.tls(), "echo", call_id.to_owned())
}

/// Whether an OPTIONS is answered by this connection.
fn is_served(daemon: &Daemon, wire: &mut TlsWire, call_id: &str) -> bool {
    let answer = wire
        .send(&caller(daemon, call_id).options())
        .and_then(|()| wire.final_answer(call_id, "OPTIONS"));
    match answer {
        Ok(answer) => {
            assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
            true
        }
        Err(error) => {
            assert_ne!(error.kind(), std::io::ErrorKind::TimedOut, "{error}");
            false
        }
    }
}

#[test]
fn a_call_is_carried_over_tls() {
    let (authority, files) = (Authority::new("one"), Files::new());
    files.write_identity(&authority.sign(NAME));
    let daemon = files.daemon("");
    let ports = PortBlock::take(8).expect("ports");
    let mut wire = connect(&daemon, &authority, None);
    let mut caller = caller(&daemon, "secret");
    let answer = wire.call(&mut caller, ports.address(2)).expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    let here = format!("<sip:{};transport=tls>", daemon.tls());
    assert_eq!(sip_text::header(&answer, "Contact"), Some(&*here));
    wire.send(&caller.bye()).expect("sent");
    let answer = wire.final_answer("secret", "BYE").expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    assert!(!daemon.log().contains("PRIVATE KEY"));
}

#[test]
fn a_call_over_tls_is_captured_as_what_was_inside() {
    let (authority, files) = (Authority::new("one"), Files::new());
    files.write_identity(&authority.sign(NAME));
    let captures = files.0.file("captures");
    let setup = DaemonSetup {
        trunk_keys: "capture = true".to_owned(),
        more: format!("[records]\ncaptures = {captures:?}\n"),
        ..DaemonSetup::default()
    };
    let daemon = files.daemon_with("", setup);
    let ports = PortBlock::take(8).expect("ports");
    let mut wire = connect(&daemon, &authority, None);
    let mut caller = caller(&daemon, "inside");
    wire.call(&mut caller, ports.address(2)).expect("an answer");
    wire.send(&caller.bye()).expect("sent");
    wire.final_answer("inside", "BYE").expect("an answer");
    // Telling the daemon to end writes what there is at once.
    let (_, log) = daemon.stop().expect("an end");
    let file = fs::read_dir(&captures).expect(&log).next().expect(&log);
    let file = file.expect("a file").path();
    assert_eq!(faults(&file).unwrap(), Vec::<Vec<String>>::new());
    let told = fields(
        &file,
        "sip",
        &["sip.Method", "sip.Status-Code", "sip.Via.transport"],
    );
    let told = told.unwrap();
    let told: Vec<String> = told.iter().map(|line| line.concat()).collect();
    assert_eq!(
        told,
        [
            "INVITETLS",
            "100TLS",
            "180TLS",
            "200TLS",
            "ACKTLS",
            "BYETLS",
            "200TLS"
        ]
    );
}

#[test]
fn where_certificates_are_required_only_those_of_the_right_authority_are_served() {
    let (authority, others, files) = (Authority::new("one"), Authority::new("other"), Files::new());
    files.write_identity(&authority.sign(NAME));
    let known = files.write("callers.pem", &others.pem());
    let daemon = files.daemon(&format!(
        ", client_ca_file = {known:?}, require_client_certificate = true"
    ));
    let (right, wrong) = (others.sign("trunk"), authority.sign("trunk"));
    for (identity, expected) in [(Some(&right), true), (Some(&wrong), false), (None, false)] {
        let mut wire = connect(&daemon, &authority, identity);
        assert_eq!(is_served(&daemon, &mut wire, "who"), expected);
    }
}

#[test]
fn where_certificates_may_be_shown_a_caller_without_one_is_served_and_one_with_a_wrong_one_is_not()
{
    let (authority, others, files) = (Authority::new("one"), Authority::new("other"), Files::new());
    files.write_identity(&authority.sign(NAME));
    let known = files.write("callers.pem", &others.pem());
    let daemon = files.daemon(&format!(
        ", client_ca_file = {known:?}, require_client_certificate = false"
    ));
    let wrong = authority.sign("trunk");
    for (identity, expected) in [(None, true), (Some(&wrong), false)] {
        let mut wire = connect(&daemon, &authority, identity);
        assert_eq!(is_served(&daemon, &mut wire, "who"), expected);
    }
}

#[test]
fn a_new_certificate_is_shown_to_new_connections_while_old_ones_go_on() {
    let (before, after, files) = (
        Authority::new("before"),
        Authority::new("after"),
        Files::new(),
    );
    files.write_identity(&before.sign(NAME));
    let mut daemon = files.daemon("");
    let mut old = connect(&daemon, &before, None);
    assert!(is_served(&daemon, &mut old, "old-1"));

    files.write("edge.key", "damaged");
    daemon.signal(libc::SIGHUP);
    let refused = wait_until("a refusal", PROMPTLY, || {
        daemon
            .log()
            .contains("certificates stay as they were")
            .then_some(())
    });
    refused.expect("a refusal");
    assert!(is_served(
        &daemon,
        &mut connect(&daemon, &before, None),
        "kept"
    ));

    files.write_identity(&after.sign(NAME));
    daemon.signal(libc::SIGHUP);
    let read = wait_until("certificates", PROMPTLY, || {
        daemon
            .log()
            .contains("certificates were read again")
            .then_some(())
    });
    read.expect("certificates");
    assert!(is_served(
        &daemon,
        &mut connect(&daemon, &after, None),
        "new"
    ));
    assert!(!is_served(
        &daemon,
        &mut connect(&daemon, &before, None),
        "late"
    ));
    assert!(is_served(&daemon, &mut old, "old-2"));
}

#[test]
fn a_connection_that_does_not_agree_on_tls_is_closed() {
    let (authority, files) = (Authority::new("one"), Files::new());
    files.write_identity(&authority.sign(NAME));
    let daemon = files.daemon("");
    let mut plain = Wire::over(wire::connect(daemon.tls()).expect("a connection"), "TLS");
    plain
        .send(&caller(&daemon, "plain").options())
        .expect("sent");
    // By an alert, or without one, and never with SIP.
    assert!(plain.receive().is_err());
    // Says nothing at all: closed at the deadline of the handshake.
    let silent = wire::connect(daemon.tls()).expect("a connection");
    silent.set_read_timeout(Some(PROMPTLY)).expect("a deadline");
    assert!(matches!(
        Wire::over(silent, "TLS").closed_in_silence(),
        Ok(true)
    ));
    let mut wire = connect(&daemon, &authority, None);
    assert!(is_served(&daemon, &mut wire, "next"));
}

#[test]
fn wound_05_a_bye_of_ours_comes_by_the_connection_that_was_accepted_although_its_route_has_another_port()
 {
    let (authority, files) = (Authority::new("one"), Files::new());
    files.write_identity(&authority.sign(NAME));
    let mut daemon = files.daemon("");
    let ports = PortBlock::take(8).expect("ports");
    let mut wire = connect(&daemon, &authority, None);
    let mut caller = caller(&daemon, "ours");
    // The carrier's other port, where it takes no connections.
    let route = "Record-Route: <sip:127.0.0.1:9;transport=tls;lr>\r\nMax-Forwards";
    let invite = caller.invite(ports.address(2));
    wire.send(&invite.replacen("Max-Forwards", route, 1))
        .expect("sent");
    let answer = wire.final_answer("ours", "INVITE").expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    caller.learn(&answer);
    wire.send(&caller.ack()).expect("sent");
    let calls = daemon.live_calls().expect("calls");
    let id = calls[0]["id"].as_str().expect("an id");
    daemon.control_call(id, "hang up").expect("an end");
    let bye = wire.request("BYE").expect("a BYE");
    let route = sip_text::header(&bye, "Route");
    assert_eq!(route, Some("<sip:127.0.0.1:9;transport=tls;lr>"), "{bye}");
    wire.write(sip_text::ok(&bye)).expect("written");
    let over = wait_until("the end of the call", PROMPTLY, || {
        daemon.live_calls().ok()?.is_empty().then_some(())
    });
    assert!(over.is_ok(), "{over:?}\n{}", daemon.log());
    daemon.signal(libc::SIGKILL);
}

/// A far end that is called over TLS, and lets nobody in without a certificate that `callers` signed.
struct DemandingFarEnd {
    listener: TcpListener,
    config: Arc<ServerConfig>,
    _ports: PortBlock,
}

impl DemandingFarEnd {
    fn new(authority: &Authority, callers: &Authority) -> Self {
        let ports = PortBlock::take(8).expect("ports");
        let listener = TcpListener::bind(ports.address(1)).expect("a listener");
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from(callers.der()))
            .expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .expect("a verifier");
        let identity = authority.sign("127.0.0.1");
        let key = PrivatePkcs8KeyDer::from(identity.key_der());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![CertificateDer::from(identity.der())],
                PrivateKeyDer::Pkcs8(key),
            )
            .expect("a certificate");
        Self {
            listener,
            config: Arc::new(config),
            _ports: ports,
        }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("an address")
    }

    /// The next connection; the handshake is made with its first message.
    fn accept(&self) -> Wire<StreamOwned<ServerConnection, TcpStream>> {
        self.listener.set_nonblocking(true).expect("a listener");
        let accepted = wait_until("a connection", PROMPTLY, || self.listener.accept().ok());
        let (stream, _) = accepted.expect("a connection");
        stream.set_nonblocking(false).expect("a stream");
        stream.set_read_timeout(Some(PROMPTLY)).expect("a deadline");
        let session = ServerConnection::new(Arc::clone(&self.config)).expect("a session");
        Wire::over(StreamOwned::new(session, stream), "TLS")
    }
}

/// A daemon that is named, shows `identity` and has `far_end` as its trunk.
fn daemon_calling(
    files: &Files,
    far_end: &DemandingFarEnd,
    authority: &Authority,
    identity: &Identity,
) -> Daemon {
    files.write_identity(identity);
    let believed = files.write("authority.pem", &authority.pem());
    let (certificate, key) = (files.0.file("edge.pem"), files.0.file("edge.key"));
    Daemon::start(&DaemonSetup {
        tls: Some(format!(
            "{{ certificate = {certificate:?}, key_file = {key:?}, ca_file = {believed:?}, name = {NAME:?} }}"
        )),
        trunk_keys: format!(
            "address = \"{}\"\ntransport = \"tls\"\nfailover_after_s = 1\n",
            far_end.address()
        ),
        ..DaemonSetup::default()
    })
    .expect("a daemon")
}

#[test]
fn wound_41_a_far_end_that_demands_a_certificate_and_a_name_in_contact_has_both() {
    let (authority, callers, files) = (Authority::new("one"), Authority::new("two"), Files::new());
    let far_end = DemandingFarEnd::new(&authority, &callers);
    let mut daemon = daemon_calling(&files, &far_end, &authority, &callers.sign(NAME));
    let ports = PortBlock::take(8).expect("ports");
    daemon.place("100", "echo", "begun").expect("a call");
    let mut wire = far_end.accept();
    let invite = wire.request("INVITE").expect("an INVITE");
    let here = format!("{NAME}:{}", daemon.tls().port());
    let contact = format!("<sip:{here};transport=tls>");
    assert_eq!(sip_text::header(&invite, "Contact"), Some(&*contact));
    let via = sip_text::header(&invite, "Via").expect("a Via");
    assert!(via.starts_with(&format!("SIP/2.0/TLS {here};")), "{invite}");
    assert!(!invite.contains("sips:"), "{invite}");

    let lines = format!(
        "Contact: <sip:far-end@{};transport=tls>\r\n",
        far_end.address()
    );
    let sdp = sip_text::pcmu_offer(ports.address(2));
    let answer = sip_text::answer(&invite, "200 OK", "far", &lines, &sdp);
    wire.write(answer).expect("written");
    let ack = wire.request("ACK").expect("an ACK");
    assert!(ack.contains(&format!("SIP/2.0/TLS {here};")), "{ack}");
    let calls = daemon.live_calls().expect("calls");
    let id = calls[0]["id"].as_str().expect("an id");
    daemon.control_call(id, "hang up").expect("an end");
    let bye = wire.request("BYE").expect("a BYE");
    assert!(bye.contains(&format!("SIP/2.0/TLS {here};")), "{bye}");
    wire.write(sip_text::ok(&bye)).expect("written");
    let over = wait_until("the end of the call", PROMPTLY, || {
        daemon.live_calls().ok()?.is_empty().then_some(())
    });
    assert!(over.is_ok(), "{over:?}\n{}", daemon.log());
    daemon.signal(libc::SIGKILL);
}

#[test]
fn wound_41_a_far_end_that_takes_our_certificate_for_wrong_ends_the_call_and_says_so_in_the_log() {
    let (authority, callers, files) = (Authority::new("one"), Authority::new("two"), Files::new());
    let far_end = DemandingFarEnd::new(&authority, &callers);
    let mut daemon = daemon_calling(&files, &far_end, &authority, &authority.sign(NAME));
    daemon.place("100", "echo", "begun").expect("a call");
    let mut wire = far_end.accept();
    let refused = wire.request("INVITE").expect_err("an INVITE");
    assert_ne!(refused.kind(), std::io::ErrorKind::TimedOut, "{refused}");
    let told = wait_until("the end of the call, and why", PROMPTLY, || {
        let log = daemon.log();
        let why = log.contains("TLS with a far end failed") && log.contains("received fatal alert");
        (why && log.contains("call ended")).then_some(())
    });
    assert!(told.is_ok(), "{told:?}\n{}", daemon.log());
    daemon.signal(libc::SIGKILL);
}

#[test]
fn a_softphone_that_checks_certificates_calls_over_tls_and_hears_the_tone() {
    let (authority, files) = (Authority::new("one"), Files::new());
    // It calls an address, so that is whom the certificate has to name.
    files.write_identity(&authority.sign("127.0.0.1"));
    let believed = files.write("authority.pem", &authority.pem());
    let mut daemon = files.daemon("");
    let mut phone = Baresip::start_believing(Codec::Pcmu, Some(&believed)).expect("a softphone");
    let uri = format!("sip:play@{};transport=tls", daemon.tls());
    phone.call_uri(&uri, PROMPTLY).expect("an answer");
    let heard = wait_until("half a second of the tone", PROMPTLY, || {
        let heard = phone.heard()?;
        (heard.audible_ms(0) >= 500).then_some(())
    });
    assert!(
        heard.is_ok(),
        "{heard:?}\n{}\n{}",
        phone.log(),
        daemon.log()
    );
    let connections = daemon.page("/metrics").expect("metrics");
    assert!(
        connections.contains("offhook_sip_connections 1"),
        "{connections}"
    );
    phone.hang_up().expect("an end");
    daemon.signal(libc::SIGKILL);
}
