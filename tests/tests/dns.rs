//! A SIP URI becomes targets by a real DNS server: records in, ordered targets out.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use offhook::dns::Dns;
use offhook_sip::endpoint::Transport;
use offhook_sip::locate::{Families, Locate, NotFound};
use offhook_sip::message::Uri;
use offhook_tests::dns_server::{DnsRecord, DnsServer};
use offhook_tests::wait::wait_until;

fn resolver(servers: &[SocketAddr]) -> Dns {
    Dns::new(Some(servers.to_vec())).expect("a resolver")
}

/// The targets of `uri` as text, by every transport and family.
async fn find(dns: &Dns, uri: &str) -> Result<Vec<String>, NotFound> {
    let uri = Uri::parse(uri).expect("a URI");
    let transports = [Transport::Udp, Transport::Tcp, Transport::Tls];
    let locate = Locate::new(
        uri.sip().expect("sip"),
        None,
        transports.into_iter().collect(),
        Families::Both,
        1,
    );
    let targets = dns.locate(locate).await?;
    let text = |target: &offhook_sip::locate::Target| {
        format!("{} {}", target.transport.as_str(), target.address)
    };
    Ok(targets.iter().map(text).collect())
}

fn found(targets: &[&str]) -> Result<Vec<String>, NotFound> {
    Ok(targets.iter().map(|&target| target.to_owned()).collect())
}

#[tokio::test]
async fn naptr_leads_to_srv_and_srv_to_the_addresses_of_both_families_in_order() {
    let server = DnsServer::start().expect("a server");
    server.set(
        "carrier.test",
        &[
            DnsRecord::naptr(20, 1, "SIP+D2U", "udp.carrier.test"),
            DnsRecord::naptr(10, 1, "SIPS+D2T", "tls.carrier.test"),
            DnsRecord::naptr(5, 1, "E2U+sip", "."),
        ],
    );
    server.set(
        "udp.carrier.test",
        &[
            DnsRecord::srv(20, 0, 5070, "b.carrier.test"),
            DnsRecord::srv(10, 0, 5060, "a.carrier.test"),
        ],
    );
    server.set(
        "tls.carrier.test",
        &[DnsRecord::srv(1, 1, 5061, "a.carrier.test")],
    );
    server.set(
        "a.carrier.test",
        &[
            DnsRecord::address("192.0.2.1"),
            DnsRecord::address("2001:db8::1"),
        ],
    );
    server.set("b.carrier.test", &[DnsRecord::address("192.0.2.2")]);
    let dns = resolver(&[server.address()]);
    assert_eq!(
        find(&dns, "sip:carrier.test").await,
        found(&[
            "TLS [2001:db8::1]:5061",
            "TLS 192.0.2.1:5061",
            "UDP [2001:db8::1]:5060",
            "UDP 192.0.2.1:5060",
            "UDP 192.0.2.2:5070",
        ])
    );
}

#[tokio::test]
async fn a_carrier_with_srv_and_addresses_under_one_name_is_reached_by_srv() {
    let server = DnsServer::start().expect("a server");
    server.set("carrier.test", &[DnsRecord::address("192.0.2.80")]);
    server.set(
        "_sip._udp.carrier.test",
        &[DnsRecord::srv(1, 1, 5060, "edge.carrier.test")],
    );
    server.set(
        "edge.carrier.test",
        &[DnsRecord::Cname("real.carrier.test".to_owned())],
    );
    server.set("real.carrier.test", &[DnsRecord::address("192.0.2.1")]);
    let dns = resolver(&[server.address()]);
    assert_eq!(
        find(&dns, "sip:carrier.test").await,
        found(&["UDP 192.0.2.1:5060"])
    );
    assert_eq!(
        find(&dns, "sip:carrier.test:5060").await,
        found(&["UDP 192.0.2.80:5060"])
    );
}

#[tokio::test]
async fn a_name_that_does_not_exist_and_a_service_that_is_not_offered_are_told_apart() {
    let server = DnsServer::start().expect("a server");
    server.set("_sip._udp.closed.test", &[DnsRecord::srv(0, 0, 0, ".")]);
    let dns = resolver(&[server.address()]);
    assert_eq!(
        find(&dns, "sip:closed.test").await,
        Err(NotFound::NotOffered)
    );
    assert_eq!(
        find(&dns, "sip:nobody.test").await,
        Err(NotFound::NoRecords)
    );
}

#[tokio::test]
async fn a_name_on_its_own_is_looked_up_as_it_stands() {
    let server = DnsServer::start().expect("a server");
    server.set("pbx", &[DnsRecord::address("192.0.2.1")]);
    let dns = resolver(&[server.address()]);
    assert_eq!(find(&dns, "sip:pbx").await, found(&["UDP 192.0.2.1:5060"]));
}

/// Time is paused: it goes on by itself as soon as everybody waits, so silence costs the test nothing.
#[tokio::test(start_paused = true)]
async fn silence_ends_at_the_deadline_as_no_answer() {
    let server = DnsServer::start().expect("a server");
    server.silence("silent.test");
    let dns = resolver(&[server.address()]);
    let before = tokio::time::Instant::now();
    assert_eq!(
        find(&dns, "sip:silent.test:5060").await,
        Err(NotFound::Unanswered)
    );
    assert!(
        before.elapsed() <= Duration::from_secs(6),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test]
async fn a_server_that_is_down_is_passed_over() {
    let server = DnsServer::start().expect("a server");
    server.set("carrier.test", &[DnsRecord::address("192.0.2.1")]);
    let closed = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let dns = resolver(&[closed.expect("an address"), server.address()]);
    assert_eq!(
        find(&dns, "sip:carrier.test:5060").await,
        found(&["UDP 192.0.2.1:5060"])
    );
}

#[tokio::test]
async fn an_answer_is_asked_for_once_while_it_lasts() {
    let server = DnsServer::start().expect("a server");
    server.set(
        "carrier.test",
        &[
            DnsRecord::address("192.0.2.1"),
            DnsRecord::address("2001:db8::1"),
        ],
    );
    let dns = resolver(&[server.address()]);
    for _ in 0..3 {
        assert!(find(&dns, "sip:carrier.test:5060").await.is_ok());
    }
    // A and AAAA.
    assert_eq!(server.queries("carrier.test"), 2);
}

#[test]
fn a_record_that_changed_is_seen_when_the_old_one_has_run_out() {
    let server = DnsServer::start().expect("a server");
    server.set_for("carrier.test", 1, &[DnsRecord::address("192.0.2.1")]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let dns = resolver(&[server.address()]);
    let find = || runtime.block_on(find(&dns, "sip:carrier.test:5060"));
    assert_eq!(find(), found(&["UDP 192.0.2.1:5060"]));
    server.set("carrier.test", &[DnsRecord::address("192.0.2.2")]);
    let moved = wait_until("the new address", Duration::from_secs(10), || {
        (find() == found(&["UDP 192.0.2.2:5060"])).then_some(())
    });
    assert_eq!(moved, Ok(()));
}
