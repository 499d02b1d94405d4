//! Which hosts serve a service: SRV records, and what it means when there are none.

use super::*;

#[test]
fn wound_39_a_host_without_a_port_is_looked_for_by_srv_before_its_own_addresses() {
    let mut dns = World::default()
        .srv("_sip._udp.carrier.example", &[(1, 5080, "edge.example")])
        .host("carrier.example", &["192.0.2.80"])
        .host("edge.example", &["192.0.2.1"]);
    assert_eq!(
        dns.find("sip:carrier.example"),
        found(&["UDP 192.0.2.1:5080"])
    );
    assert!(!dns.asked.contains(&Query::A(name("carrier.example"))));
}

#[test]
fn a_host_without_srv_has_its_addresses_at_the_default_port() {
    let mut dns = World::default().host("carrier.example", &["192.0.2.1"]);
    assert_eq!(
        dns.find("sip:carrier.example"),
        found(&["UDP 192.0.2.1:5060"])
    );
    assert_eq!(
        dns.find("sips:carrier.example"),
        found(&["TLS 192.0.2.1:5061"])
    );
    assert_eq!(
        dns.find("sip:carrier.example;transport=tcp"),
        found(&["TCP 192.0.2.1:5060"])
    );
}

#[test]
fn srv_hosts_come_in_the_order_of_their_priorities_with_all_their_addresses() {
    let mut dns = World::default()
        .srv(
            "_sip._udp.carrier.example",
            &[(20, 5062, "b.example"), (10, 5061, "a.example")],
        )
        .host("a.example", &["192.0.2.1", "192.0.2.2", "2001:db8::1"])
        .host("b.example", &["192.0.2.3"]);
    assert_eq!(
        dns.find("sip:carrier.example;transport=udp"),
        found(&[
            "UDP [2001:db8::1]:5061",
            "UDP 192.0.2.1:5061",
            "UDP 192.0.2.2:5061",
            "UDP 192.0.2.3:5062",
        ])
    );
}

#[test]
fn a_service_that_is_not_offered_is_not_looked_for_at_the_domain_itself() {
    let mut dns = World::default()
        .srv("_sip._udp.carrier.example", &[(0, 0, ".")])
        .host("carrier.example", &["192.0.2.1"]);
    assert_eq!(dns.find("sip:carrier.example"), Err(NotFound::NotOffered));
    let mut dns = dns
        .srv("_sip._tcp.carrier.example", &[(0, 5060, "edge.example")])
        .host("edge.example", &["192.0.2.2"]);
    assert_eq!(
        dns.find("sip:carrier.example"),
        found(&["TCP 192.0.2.2:5060"])
    );
}

#[test]
fn without_an_answer_about_srv_the_domains_own_addresses_are_not_guessed() {
    let mut dns = World::default()
        .silent_on(Query::Srv(name("_sip._udp.carrier.example")))
        .host("carrier.example", &["192.0.2.80"]);
    assert_eq!(dns.find("sip:carrier.example"), Err(NotFound::Unanswered));
}

#[test]
fn one_service_without_an_answer_does_not_hide_another() {
    let mut dns = World::default()
        .silent_on(Query::Srv(name("_sip._udp.carrier.example")))
        .srv("_sip._tcp.carrier.example", &[(1, 5060, "edge.example")])
        .host("edge.example", &["192.0.2.1"]);
    assert_eq!(
        dns.find("sip:carrier.example"),
        found(&["TCP 192.0.2.1:5060"])
    );
}

#[test]
fn the_certificate_has_to_name_the_uris_host_whatever_dns_says() {
    let mut dns = World::default()
        .srv(
            "_sips._tcp.carrier.example",
            &[(1, 5061, "elsewhere.example")],
        )
        .host("elsewhere.example", &["192.0.2.1"]);
    let targets = dns.run(locate("sips:Carrier.example")).unwrap();
    assert_eq!(
        targets[0].server_name,
        Host::Name("Carrier.example".to_owned())
    );
}
