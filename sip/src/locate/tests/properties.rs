//! Whatever DNS holds: no panic, an outcome, priorities kept, and each target once.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::message::Uri;

const DOMAIN: &str = "carrier.example";

/// Few names, so that records lead to each other.
fn any_name() -> impl Strategy<Value = Option<DomainName>> {
    let names = vec![
        "a.example",
        "b.example",
        "c.example",
        DOMAIN,
        "_sip._udp.carrier.example",
        "_sip._tcp.carrier.example",
        "_sips._tcp.carrier.example",
        ".",
    ];
    prop::sample::select(names).prop_map(DomainName::parse)
}

fn any_ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0_u8..12).prop_map(|last| IpAddr::from([192, 0, 2, last])),
        (0_u16..6).prop_map(|last| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last])),
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
    ]
}

fn any_srv() -> impl Strategy<Value = SrvRecord> {
    let weight = prop_oneof![Just(0), Just(u16::MAX), any::<u16>()];
    let port = prop_oneof![Just(0), 5060_u16..5064];
    (0_u16..4, weight, port, any_name()).prop_map(|(priority, weight, port, target)| SrvRecord {
        priority,
        weight,
        port,
        target,
    })
}

fn any_naptr() -> impl Strategy<Value = NaptrRecord> {
    let flags = prop::sample::select(vec!["s", "S", "u", "", "\u{e9}"]);
    let services = prop::sample::select(vec!["SIP+D2U", "SIP+D2T", "sips+D2T", "E2U+sip", ""]);
    (0_u16..3, 0_u16..3, flags, services, any_name()).prop_map(
        |(order, preference, flags, services, replacement)| NaptrRecord {
            order,
            preference,
            flags: flags.to_owned(),
            services: services.to_owned(),
            replacement,
        },
    )
}

fn any_record() -> impl Strategy<Value = Record> {
    prop_oneof![
        any_naptr().prop_map(Record::Naptr),
        any_srv().prop_map(Record::Srv),
        any_ip().prop_map(Record::Address),
    ]
}

fn any_answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        1 => Just(Answer::NoRecords),
        1 => Just(Answer::Failed),
        4 => (vec(any_record(), 0..12), any::<u64>()).prop_map(|(records, seconds)| {
            let time_to_live = Duration::from_secs(seconds);
            Answer::Found { records, time_to_live }
        }),
    ]
}

fn any_uri() -> impl Strategy<Value = SipUri> {
    let uris = vec![
        "sip:carrier.example",
        "sips:carrier.example",
        "sip:carrier.example:5070",
        "sip:carrier.example;transport=tcp",
        "sip:carrier.example;transport=tls",
        "sip:192.0.2.1",
    ];
    prop::sample::select(uris).prop_map(|text| Uri::parse(text).unwrap().sip().unwrap().clone())
}

/// Answers every question with `answer_to`, the questions of a round in the order given or from
/// the last to the first.
fn run(
    locate: &mut Locate,
    backwards: bool,
    mut answer_to: impl FnMut(&Query) -> Answer,
) -> Result<Vec<Target>, NotFound> {
    // Three rounds are the most there can be.
    for _ in 0..4 {
        if let Some(outcome) = locate.poll_outcome() {
            return outcome;
        }
        let mut queries: Vec<Query> = std::iter::from_fn(|| locate.poll_query()).collect();
        assert!(queries.len() <= 2 * MAX_TARGETS);
        if backwards {
            queries.reverse();
        }
        for query in queries {
            locate.handle_answer(&query, answer_to(&query));
        }
    }
    panic!("no outcome: {locate:?}");
}

fn is_twice(targets: &[Target]) -> bool {
    let place = |target: &Target| (target.transport, target.address);
    let mut places: Vec<_> = targets.iter().map(place).collect();
    places.sort_unstable();
    places.windows(2).any(|pair| pair[0] == pair[1])
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_dns_answers_there_is_an_outcome_within_bounds_that_arrival_order_does_not_change(
        uri in any_uri(),
        answers in vec(any_answer(), 1..12),
        seed: u64,
    ) {
        let outcome = |backwards| {
            let mut locate = Locate::new(&uri, None, every_transport(), Families::Both, seed);
            let mut given = BTreeMap::new();
            run(&mut locate, backwards, |query| {
                // The same question has the same answer, whichever comes first.
                let key = format!("{query:?}");
                let place = key.bytes().fold(0, |sum, byte| (sum * 31 + usize::from(byte)) % 65_521);
                given.entry(key).or_insert(answers[place % answers.len()].clone()).clone()
            })
        };
        let forwards = outcome(false);
        prop_assert_eq!(&forwards, &outcome(true));
        if let Ok(targets) = forwards {
            prop_assert!(!targets.is_empty() && targets.len() <= MAX_TARGETS);
            prop_assert!(!is_twice(&targets));
            prop_assert!(!uri.secure || targets.iter().all(|target| target.transport == Transport::Tls));
        }
    }

    #[test]
    fn every_host_that_can_be_reached_is_a_target_once_and_in_the_order_of_priorities(
        // Each record has a port of its own, by which its target is known again.
        services in vec(vec((0_u16..4, any::<u16>(), 0_usize..4), 0..5), 3),
        hosts in vec(vec(1_u8..255, 0..3), 4),
        seed: u64,
    ) {
        let labels = ["_sip._udp", "_sip._tcp", "_sips._tcp"];
        let host = |number: usize| DomainName::parse(&format!("h{number}.example")).unwrap();
        let mut next_port = 1_000;
        let mut expected: Vec<(Transport, SocketAddr)> = Vec::new();
        let mut rank_by_port: BTreeMap<u16, (usize, u16)> = BTreeMap::new();
        let mut dns: BTreeMap<String, Vec<Record>> = BTreeMap::new();
        for (number, lasts) in hosts.iter().enumerate() {
            let mut lasts = lasts.clone();
            lasts.dedup();
            let address = |last: &u8| Record::Address(IpAddr::from([192, 0, 2, *last]));
            dns.insert(format!("{:?}", Query::A(host(number))), lasts.iter().map(address).collect());
        }
        for (service, records) in services.iter().enumerate() {
            let transport = [Transport::Udp, Transport::Tcp, Transport::Tls][service];
            let mut srvs = Vec::new();
            for (priority, weight, number) in records {
                next_port += 1;
                rank_by_port.insert(next_port, (service, *priority));
                for last in &hosts[*number] {
                    expected.push((transport, SocketAddr::from(([192, 0, 2, *last], next_port))));
                }
                srvs.push(Record::Srv(SrvRecord {
                    priority: *priority,
                    weight: *weight,
                    port: next_port,
                    target: Some(host(*number)),
                }));
            }
            let name = DomainName::parse(&format!("{}.{DOMAIN}", labels[service])).unwrap();
            dns.insert(format!("{:?}", Query::Srv(name)), srvs);
        }
        let uri = Uri::parse(&format!("sip:{DOMAIN}")).unwrap().sip().unwrap().clone();
        let mut locate = Locate::new(&uri, None, every_transport(), Families::V4, seed);
        let outcome = run(&mut locate, false, |query| match dns.get(&format!("{query:?}")) {
            Some(records) if !records.is_empty() => Answer::Found {
                records: records.clone(),
                time_to_live: Duration::from_secs(1),
            },
            Some(_) | None => Answer::NoRecords,
        });
        expected.sort_unstable();
        expected.dedup();
        let targets = match outcome {
            Ok(targets) => targets,
            Err(not_found) => {
                prop_assert_eq!(not_found, NotFound::NoRecords);
                Vec::new()
            }
        };
        let ranks: Vec<_> = targets.iter().map(|target| rank_by_port[&target.address.port()]).collect();
        prop_assert!(ranks.is_sorted(), "{:?}", ranks);
        let mut found: Vec<_> = targets.iter().map(|target| (target.transport, target.address)).collect();
        found.sort_unstable();
        prop_assert_eq!(found, expected);
    }
}
