//! Which services a domain has: NAPTR records, given transports, and what is guessed without either.

use super::*;

#[test]
fn a_given_transport_skips_naptr_and_asks_for_its_own_service() {
    let mut dns = World::default()
        .srv("_sip._tcp.carrier.example", &[(1, 5060, "edge.example")])
        .srv("_sips._tcp.carrier.example", &[(1, 5061, "edge.example")])
        .host("edge.example", &["192.0.2.1"]);
    assert_eq!(
        dns.find("sip:carrier.example;transport=tcp"),
        found(&["TCP 192.0.2.1:5060"])
    );
    assert_eq!(dns.asked[0], Query::Srv(name("_sip._tcp.carrier.example")));
    let uri = sip_uri("sip:carrier.example");
    let demanded = Locate::new(
        &uri,
        Some(Transport::Tls),
        every_transport(),
        Families::V4,
        1,
    );
    assert_eq!(
        dns.run(demanded).map(as_text),
        found(&["TLS 192.0.2.1:5061"])
    );
    assert!(!dns.asked.contains(&Query::Naptr(name("carrier.example"))));
}

#[test]
fn naptr_orders_services_by_order_and_then_by_preference() {
    let mut dns = World::default()
        .naptr(
            "carrier.example",
            &[
                (20, 1, "SIP+D2U", "udp.example"),
                (10, 20, "SIP+D2T", "tcp.example"),
                (10, 10, "sips+d2t", "tls.example"),
            ],
        )
        .srv("udp.example", &[(1, 1001, "edge.example")])
        .srv("tcp.example", &[(1, 1002, "edge.example")])
        .srv("tls.example", &[(1, 1003, "edge.example")])
        .host("edge.example", &["192.0.2.1"]);
    assert_eq!(
        dns.find("sip:carrier.example"),
        found(&[
            "TLS 192.0.2.1:1003",
            "TCP 192.0.2.1:1002",
            "UDP 192.0.2.1:1001"
        ])
    );
}

#[test]
fn naptr_records_that_are_not_supported_are_skipped() {
    let records = [
        (1, 1, "SIP+D2S", "sctp.example"),
        (2, 1, "SIP+D2W", "ws.example"),
        (3, 1, "E2U+sip", "enum.example"),
        (4, 1, "SIPS+D2T", "tls.example"),
        (5, 1, "SIP+D2T", "."),
        (6, 1, "SIP+D2U", "udp.example"),
    ];
    let mut dns = World::default()
        .naptr("carrier.example", &records)
        .srv("udp.example", &[(1, 5060, "edge.example")])
        .srv("tls.example", &[(1, 5061, "edge.example")])
        .host("edge.example", &["192.0.2.1"]);
    let uri = sip_uri("sip:carrier.example");
    let supported = [Transport::Udp, Transport::Tcp].into_iter().collect();
    let locate = Locate::new(&uri, None, supported, Families::V4, 1);
    assert_eq!(dns.run(locate).map(as_text), found(&["UDP 192.0.2.1:5060"]));
    assert_eq!(
        dns.find("sips:carrier.example"),
        found(&["TLS 192.0.2.1:5061"])
    );
}

#[test]
fn a_naptr_record_that_leads_to_no_srv_name_is_skipped() {
    let terminal = |flags: &str| {
        Record::Naptr(NaptrRecord {
            order: 1,
            preference: 1,
            flags: flags.to_owned(),
            services: "SIP+D2T".to_owned(),
            replacement: DomainName::parse("tcp.example"),
        })
    };
    let records = ["", "a", "u", "p", "ss"].map(terminal).to_vec();
    let mut dns = World::default()
        .with(Query::Naptr(name("carrier.example")), records)
        .srv("tcp.example", &[(1, 1, "edge.example")])
        .srv("_sip._udp.carrier.example", &[(1, 5060, "edge.example")])
        .host("edge.example", &["192.0.2.1"]);
    assert_eq!(
        dns.find("sip:carrier.example"),
        found(&["UDP 192.0.2.1:5060"])
    );
}

#[test]
fn a_resolver_that_chokes_on_naptr_does_not_keep_srv_from_being_found() {
    let mut dns = World::default()
        .silent_on(Query::Naptr(name("carrier.example")))
        .srv("_sip._tcp.carrier.example", &[(1, 5060, "edge.example")])
        .host("edge.example", &["192.0.2.1"]);
    assert_eq!(
        dns.find("sip:carrier.example"),
        found(&["TCP 192.0.2.1:5060"])
    );
}

#[test]
fn naptr_that_names_a_service_without_srv_has_the_domain_itself_by_that_transport() {
    let mut dns = World::default()
        .naptr("carrier.example", &[(1, 1, "SIP+D2T", "tcp.example")])
        .host("carrier.example", &["192.0.2.1"]);
    assert_eq!(
        dns.find("sip:carrier.example"),
        found(&["TCP 192.0.2.1:5060"])
    );
}

#[test]
fn a_name_with_no_room_for_a_service_before_it_is_looked_for_by_itself() {
    let long = [
        "a".repeat(63),
        "b".repeat(63),
        "c".repeat(63),
        "d".repeat(60),
    ]
    .join(".");
    let mut dns = World::default().host(&long, &["192.0.2.1"]);
    assert_eq!(
        dns.find(&format!("sip:{long}")),
        found(&["UDP 192.0.2.1:5060"])
    );
}

#[test]
fn a_domain_with_very_many_services_has_few_of_them_asked_for() {
    let services: Vec<String> = (0..100)
        .map(|service| format!("s{service}.example"))
        .collect();
    let records: Vec<(u16, u16, &str, &str)> = (0_u16..)
        .zip(&services)
        .map(|(order, service)| (order, 0, "SIP+D2U", service.as_str()))
        .collect();
    let mut dns = World::default().naptr("carrier.example", &records);
    assert_eq!(dns.find("sip:carrier.example"), Err(NotFound::NoRecords));
    assert_eq!(dns.asked.len(), 1 + MAX_SERVICES + 2);
}
