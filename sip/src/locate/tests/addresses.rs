//! Which addresses become targets, and what a search without any says.

use super::*;

#[test]
fn an_address_is_a_target_without_a_question() {
    let mut dns = World::default();
    for (uri, target) in [
        ("sip:192.0.2.1", "UDP 192.0.2.1:5060"),
        ("sip:192.0.2.1;transport=tcp", "TCP 192.0.2.1:5060"),
        ("sip:192.0.2.1;transport=tls", "TLS 192.0.2.1:5061"),
        ("sips:192.0.2.1", "TLS 192.0.2.1:5061"),
        ("sips:[2001:db8::1]:5071", "TLS [2001:db8::1]:5071"),
        ("sip:192.0.2.1:5070", "UDP 192.0.2.1:5070"),
    ] {
        assert_eq!(dns.find(uri), found(&[target]), "{uri}");
    }
    assert_eq!(dns.asked, []);
}

#[test]
fn an_address_that_cannot_be_sent_to_is_unreachable() {
    let mut dns = World::default();
    for uri in [
        "sip:0.0.0.0",
        "sip:224.0.0.1",
        "sip:255.255.255.255",
        "sip:192.0.2.1:0",
        "sip:[ff02::1]",
    ] {
        assert_eq!(dns.find(uri), Err(NotFound::Unreachable), "{uri}");
    }
    let uri = sip_uri("sip:[2001:db8::1]");
    let locate = Locate::new(&uri, None, every_transport(), Families::V4, 1);
    assert_eq!(dns.run(locate), Err(NotFound::Unreachable));
}

#[test]
fn an_explicit_port_asks_for_addresses_alone() {
    let mut dns = World::default()
        .srv("_sip._udp.carrier.example", &[(1, 5060, "other.example")])
        .host("carrier.example", &["192.0.2.1", "2001:db8::1"]);
    assert_eq!(
        dns.find("sip:carrier.example:5070"),
        found(&["UDP [2001:db8::1]:5070", "UDP 192.0.2.1:5070"])
    );
    assert_eq!(
        dns.find("sips:carrier.example:5071;transport=tcp"),
        found(&["TLS [2001:db8::1]:5071", "TLS 192.0.2.1:5071"])
    );
    let is_address = |query: &Query| matches!(query, Query::A(_) | Query::Aaaa(_));
    assert!(dns.asked.iter().all(is_address), "{:?}", dns.asked);
}

#[test]
fn one_host_without_an_answer_does_not_hide_another() {
    let mut dns = World::default()
        .srv(
            "_sip._udp.carrier.example",
            &[(1, 5060, "a.example"), (2, 5060, "b.example")],
        )
        .silent_on(Query::A(name("a.example")))
        .host("b.example", &["192.0.2.2"]);
    assert_eq!(
        dns.find("sip:carrier.example;transport=udp"),
        found(&["UDP 192.0.2.2:5060"])
    );
}

#[test]
fn no_records_and_no_answer_are_told_apart() {
    assert_eq!(
        World::default().find("sip:carrier.example"),
        Err(NotFound::NoRecords)
    );
    let mut dns = World::default().silent_on(Query::Aaaa(name("carrier.example")));
    assert_eq!(
        dns.find("sip:carrier.example:5060"),
        Err(NotFound::Unanswered)
    );
}

#[test]
fn a_host_that_dns_could_not_hold_is_asked_for_nowhere() {
    let mut dns = World::default();
    for uri in ["sip:a..b", "sip:.", &format!("sip:{}", "a".repeat(64))] {
        assert_eq!(dns.find(uri), Err(NotFound::NoSuchName), "{uri}");
    }
    assert_eq!(dns.asked, []);
}

#[test]
fn families_that_we_lack_are_not_asked_for() {
    let mut dns = World::default().host("carrier.example", &["192.0.2.1", "2001:db8::1"]);
    let uri = sip_uri("sip:carrier.example:5060");
    for (families, target) in [
        (Families::V4, "UDP 192.0.2.1:5060"),
        (Families::V6, "UDP [2001:db8::1]:5060"),
    ] {
        dns.asked.clear();
        let locate = Locate::new(&uri, None, every_transport(), families, 1);
        assert_eq!(dns.run(locate).map(as_text), found(&[target]));
        assert_eq!(dns.asked.len(), 1);
    }
}

#[test]
fn addresses_that_name_nobody_and_repetitions_are_left_out() {
    let mut dns = World::default()
        .srv(
            "_sip._udp.carrier.example",
            &[
                (1, 5060, "a.example"),
                (2, 5060, "b.example"),
                (3, 0, "a.example"),
            ],
        )
        .host(
            "a.example",
            &[
                "0.0.0.0",
                "192.0.2.1",
                "224.0.0.1",
                "::",
                "ff02::1",
                "192.0.2.1",
            ],
        )
        .host("b.example", &["192.0.2.1", "192.0.2.2"]);
    assert_eq!(
        dns.find("sip:carrier.example;transport=udp"),
        found(&["UDP 192.0.2.1:5060", "UDP 192.0.2.2:5060"])
    );
}

#[test]
fn an_address_record_of_the_other_family_does_not_count() {
    let stray = vec![Record::Address("2001:db8::1".parse().unwrap())];
    let mut dns = World::default().with(Query::A(name("carrier.example")), stray);
    assert_eq!(
        dns.find("sip:carrier.example:5060"),
        Err(NotFound::NoRecords)
    );
}

#[test]
fn no_more_than_32_targets_are_given_and_the_first_hosts_have_them() {
    let many: Vec<String> = (1..=100).map(|last| format!("192.0.2.{last}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut dns = World::default().host("carrier.example", &many);
    let targets = dns.find("sip:carrier.example:5060").unwrap();
    assert_eq!(targets.len(), MAX_TARGETS);
    assert_eq!(targets[31], "UDP 192.0.2.32:5060");

    let hosts: Vec<String> = (0..100).map(|host| format!("h{host}.example")).collect();
    let records: Vec<(u16, u16, &str)> = (0_u16..)
        .zip(&hosts)
        .map(|(priority, host)| (priority, 5060, host.as_str()))
        .collect();
    let mut dns = World::default().srv("_sip._udp.carrier.example", &records);
    assert_eq!(dns.find("sip:carrier.example"), Err(NotFound::NoRecords));
    assert!(
        dns.asked.len() <= 1 + 3 + 2 * MAX_TARGETS,
        "{}",
        dns.asked.len()
    );
    assert!(dns.asked.contains(&Query::A(name("h31.example"))));
}

#[test]
fn answers_that_nobody_asked_for_or_that_come_twice_change_nothing() {
    let dns = World::default().host("carrier.example", &["192.0.2.1"]);
    let mut locate = locate("sip:carrier.example:5060");
    let (v6, v4) = (locate.poll_query().unwrap(), locate.poll_query().unwrap());
    assert_eq!(locate.poll_query(), None);
    locate.handle_answer(&Query::A(name("other.example")), Answer::Failed);
    locate.handle_answer(&v4, dns.answer(&v4));
    locate.handle_answer(&v4, Answer::Failed);
    assert_eq!(locate.poll_outcome(), None);
    locate.handle_answer(&v6, Answer::NoRecords);
    let outcome = locate.poll_outcome().unwrap();
    assert_eq!(outcome.map(as_text), found(&["UDP 192.0.2.1:5060"]));
    locate.handle_answer(&v4, Answer::Failed);
    assert_eq!((locate.poll_query(), locate.poll_outcome()), (None, None));
}

#[test]
fn the_outcome_lasts_as_long_as_the_answer_that_lasts_shortest() {
    let mut locate = locate("sip:carrier.example:5060");
    for (seconds, address) in [(300, "2001:db8::1"), (20, "192.0.2.1")] {
        let query = locate.poll_query().unwrap();
        let answer = Answer::Found {
            records: vec![Record::Address(address.parse().unwrap())],
            time_to_live: Duration::from_secs(seconds),
        };
        locate.handle_answer(&query, answer);
    }
    assert!(locate.poll_outcome().unwrap().is_ok());
    assert_eq!(locate.time_to_live(), Some(Duration::from_secs(20)));
}
