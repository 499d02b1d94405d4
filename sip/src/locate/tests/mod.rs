//! The rules of RFC 3263, each against a small DNS in memory.

mod addresses;
mod hosts;
mod properties;
mod services;

use std::time::Duration;

use super::*;
use crate::message::Uri;

/// What DNS holds, and everything it was asked.
#[derive(Default)]
struct World {
    found: Vec<(Query, Vec<Record>)>,
    silent: Vec<Query>,
    asked: Vec<Query>,
}

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

impl World {
    fn with(mut self, query: Query, records: Vec<Record>) -> Self {
        self.found.push((query, records));
        self
    }

    /// `records` of (order, preference, service, replacement).
    fn naptr(self, domain: &str, records: &[(u16, u16, &str, &str)]) -> Self {
        let record = |&(order, preference, services, replacement): &(u16, u16, &str, &str)| {
            Record::Naptr(NaptrRecord {
                order,
                preference,
                flags: "s".to_owned(),
                services: services.to_owned(),
                replacement: DomainName::parse(replacement),
            })
        };
        let records = records.iter().map(record).collect();
        self.with(Query::Naptr(name(domain)), records)
    }

    /// `records` of (priority, port, host); all of weight 0.
    fn srv(self, service: &str, records: &[(u16, u16, &str)]) -> Self {
        let record = |&(priority, port, host): &(u16, u16, &str)| {
            Record::Srv(SrvRecord {
                priority,
                weight: 0,
                port,
                target: DomainName::parse(host),
            })
        };
        let records = records.iter().map(record).collect();
        self.with(Query::Srv(name(service)), records)
    }

    fn host(self, host: &str, addresses: &[&str]) -> Self {
        let of = |is_v4: bool| -> Vec<Record> {
            let parsed = addresses.iter().map(|text| text.parse().unwrap());
            let right = parsed.filter(|ip: &std::net::IpAddr| ip.is_ipv4() == is_v4);
            right.map(Record::Address).collect()
        };
        let (v4, v6) = (of(true), of(false));
        self.with(Query::A(name(host)), v4)
            .with(Query::Aaaa(name(host)), v6)
    }

    fn silent_on(mut self, query: Query) -> Self {
        self.silent.push(query);
        self
    }

    fn answer(&self, query: &Query) -> Answer {
        if self.silent.contains(query) {
            return Answer::Failed;
        }
        match self.found.iter().find(|(known, _)| known == query) {
            Some((_, records)) => Answer::Found {
                records: records.clone(),
                time_to_live: Duration::from_secs(60),
            },
            None => Answer::NoRecords,
        }
    }

    /// Answers until there is an outcome.
    fn run(&mut self, mut locate: Locate) -> Result<Vec<Target>, NotFound> {
        loop {
            if let Some(outcome) = locate.poll_outcome() {
                return outcome;
            }
            let query = locate.poll_query().expect("a question or an outcome");
            let answer = self.answer(&query);
            self.asked.push(query.clone());
            locate.handle_answer(&query, answer);
        }
    }

    /// The targets of `uri` as text, by every transport and family.
    fn find(&mut self, uri: &str) -> Result<Vec<String>, NotFound> {
        self.run(locate(uri)).map(as_text)
    }
}

fn sip_uri(text: &str) -> SipUri {
    Uri::parse(text).unwrap().sip().unwrap().clone()
}

fn every_transport() -> Transports {
    [Transport::Udp, Transport::Tcp, Transport::Tls]
        .into_iter()
        .collect()
}

fn locate(uri: &str) -> Locate {
    Locate::new(&sip_uri(uri), None, every_transport(), Families::Both, 1)
}

fn as_text(targets: Vec<Target>) -> Vec<String> {
    let text = |target: Target| format!("{} {}", target.transport.as_str(), target.address);
    targets.into_iter().map(text).collect()
}

fn found(targets: &[&str]) -> Result<Vec<String>, NotFound> {
    Ok(targets.iter().map(|&target| target.to_owned()).collect())
}
