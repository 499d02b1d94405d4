//! Where a request goes: a SIP URI becomes an ordered list of targets (RFC 3263 section 4).
//!
//! ```text
//! sip:192.0.2.1                                      ► targets
//! sip:host:5070                        A, AAAA       ► targets
//! sip:host;transport=tcp       SRV ►   A, AAAA       ► targets
//! sip:host              NAPTR ► SRV ►  A, AAAA       ► targets ► Blacklist::order
//! ```
//!
//! It owns which questions are asked and what their answers mean. Asking them, following CNAMEs and
//! keeping answers for as long as they last is the daemon's resolver's; trying one target after the
//! other is the call's. A target is final in one sense: who was reached and declined (486, 603)
//! declined for all of them, so [`Blacklist`] has no word for that.
//!
//! `maddr` is not obeyed, here as in responses: a URI means its host.

mod blacklist;
mod domain_name;
mod records;
mod round;
mod service;
mod srv_order;
mod target;

use std::{mem, net::SocketAddr, time::Duration};

use crate::{
    flow::Transport,
    identifiers::Identifiers,
    message::{Host, SipUri},
};
use round::{Round, shorter};
use service::{Choice, Service};
use srv_order::order_of_use;

pub use blacklist::{Blacklist, BlacklistConfig, Failure};
pub use domain_name::DomainName;
pub use records::{Answer, NaptrRecord, Query, Record, SrvRecord};
pub use target::{Families, NotFound, Target, Transports};

/// How many targets one URI can have. A call that failed with so many will not be saved by more.
pub const MAX_TARGETS: usize = 32;

/// How many services of a domain's NAPTR records are looked at: each is a query.
const MAX_SERVICES: usize = 8;

/// One search for the targets of a URI.
///
/// The owner asks what [`poll_query`](Self::poll_query) gives, all at once if it likes, hands every
/// answer to [`handle_answer`](Self::handle_answer) in any order, and polls again, until
/// [`poll_outcome`](Self::poll_outcome) gives something. The outcome depends on the answers and the
/// seed alone, not on the order in which answers came.
#[derive(Debug)]
pub struct Locate {
    server_name: Host,
    families: Families,
    chance: Identifiers,
    stage: Stage,
    round: Round,
    /// Whether any question went without an answer.
    was_left_unanswered: bool,
    /// Whether the domain said of a service that it is not offered.
    was_refused: bool,
    time_to_live: Option<Duration>,
}

/// What the questions of the current round are for.
#[derive(Debug)]
enum Stage {
    /// Which services the domain has, in its own order (NAPTR).
    Services {
        domain: DomainName,
        /// Those to try if it does not say.
        fallback: Vec<Service>,
    },
    /// Which hosts serve each service (SRV).
    Hosts {
        domain: DomainName,
        services: Vec<Service>,
    },
    /// Which addresses the hosts have (A, AAAA).
    Addresses { candidates: Vec<Candidate> },
    /// Nothing is asked any more; the outcome until it is polled.
    Done(Option<Result<Vec<Target>, NotFound>>),
}

/// A host that has yet to get its addresses.
#[derive(Debug)]
struct Candidate {
    transport: Transport,
    host: DomainName,
    port: u16,
}

impl Locate {
    /// Starts a search for the next hop `uri`.
    ///
    /// `wanted` is a transport that somebody demands (a trunk's configuration), which goes before
    /// what the URI says, but never takes the TLS from a `sips:` URI. `supported` and `families` are
    /// what this machine can send by. `seed` decides what SRV weights leave to chance.
    pub fn new(
        uri: &SipUri,
        wanted: Option<Transport>,
        supported: Transports,
        families: Families,
        seed: u64,
    ) -> Self {
        let mut locate = Self {
            server_name: uri.host.clone(),
            families,
            chance: Identifiers::new(seed),
            stage: Stage::Done(None),
            round: Round::default(),
            was_left_unanswered: false,
            was_refused: false,
            time_to_live: None,
        };
        if let Err(not_found) = locate.begin(uri, wanted, supported) {
            locate.finish(Err(not_found));
        }
        locate.advance();
        locate
    }

    /// The next question to ask. `None` means: wait for answers, or poll the outcome.
    pub fn poll_query(&mut self) -> Option<Query> {
        self.round.poll()
    }

    /// Takes the answer to a question. One to a question that was not asked, or was answered
    /// already, changes nothing.
    pub fn handle_answer(&mut self, query: &Query, answer: Answer) {
        self.round.take_answer(query, answer);
        self.advance();
    }

    /// What was found, once: at least one target, in the order in which to try them.
    pub fn poll_outcome(&mut self) -> Option<Result<Vec<Target>, NotFound>> {
        match &mut self.stage {
            Stage::Services { .. } | Stage::Hosts { .. } | Stage::Addresses { .. } => None,
            Stage::Done(outcome) => outcome.take(),
        }
    }

    /// For how long the outcome may be kept: that of the record which lasts shortest. `None` when
    /// no record was used.
    pub fn time_to_live(&self) -> Option<Duration> {
        self.time_to_live
    }

    /// Decides the first questions by the URI alone.
    fn begin(
        &mut self,
        uri: &SipUri,
        wanted: Option<Transport>,
        supported: Transports,
    ) -> Result<(), NotFound> {
        let choice = Choice::of(uri, wanted, supported)?;
        let transport = choice.default_transport();
        let port = uri.port.unwrap_or(default_port(transport));
        let name = match &uri.host {
            Host::V4(address) => return self.take_literal(transport, (*address, port).into()),
            Host::V6(address) => return self.take_literal(transport, (*address, port).into()),
            Host::Name(name) => name,
        };
        let domain = DomainName::parse(name).ok_or(NotFound::NoSuchName)?;
        if uri.port.is_some() {
            self.ask_addresses(vec![Candidate {
                transport,
                host: domain,
                port,
            }]);
            return Ok(());
        }
        // A name without a port may have both SRV and address records, and they may differ: the
        // addresses can be the carrier's web site (wound 39). So they are asked for last.
        match choice {
            Choice::Given(_) => self.ask_hosts(domain.clone(), choice.services(&domain)),
            Choice::Open(_) => {
                self.round = Round::new([Query::Naptr(domain.clone())]);
                let fallback = choice.services(&domain);
                self.stage = Stage::Services { domain, fallback };
            }
        }
        Ok(())
    }

    /// A host that is an address is the one target.
    fn take_literal(&mut self, transport: Transport, address: SocketAddr) -> Result<(), NotFound> {
        if !self.families.contains(address.ip()) || !target::is_usable(address) {
            return Err(NotFound::Unreachable);
        }
        let target = self.target(transport, address);
        self.finish(Ok(vec![target]));
        Ok(())
    }

    /// Goes from stage to stage as far as the answers carry.
    fn advance(&mut self) {
        while self.round.is_complete() {
            let round = mem::take(&mut self.round);
            self.was_left_unanswered |= round.was_left_unanswered();
            self.time_to_live = shorter(self.time_to_live, round.time_to_live());
            match mem::replace(&mut self.stage, Stage::Done(None)) {
                Stage::Services { domain, fallback } => {
                    self.services_are_known(&round, domain, fallback);
                }
                Stage::Hosts { domain, services } => {
                    self.hosts_are_known(&round, domain, &services);
                }
                Stage::Addresses { candidates } => self.addresses_are_known(&round, &candidates),
                Stage::Done(outcome) => {
                    self.stage = Stage::Done(outcome);
                    return;
                }
            }
        }
    }

    fn services_are_known(&mut self, round: &Round, domain: DomainName, fallback: Vec<Service>) {
        let records = round.records(&Query::Naptr(domain.clone()));
        let mut services = service::offered(records, &fallback);
        services.truncate(MAX_SERVICES);
        // Few domains have NAPTR records, some resolvers choke on the question, and some records
        // are about other things: the services are guessed in all of these cases.
        if services.is_empty() {
            services = fallback;
        }
        self.ask_hosts(domain, services);
    }

    fn ask_hosts(&mut self, domain: DomainName, services: Vec<Service>) {
        let queries = services
            .iter()
            .filter_map(|service| service.hosts.clone())
            .map(Query::Srv);
        self.round = Round::new(queries);
        self.stage = Stage::Hosts { domain, services };
    }

    fn hosts_are_known(&mut self, round: &Round, domain: DomainName, services: &[Service]) {
        let mut candidates = Vec::new();
        let mut has_records = false;
        for service in services {
            let Some(name) = &service.hosts else { continue };
            let mut offered = Vec::new();
            for record in round.records(&Query::Srv(name.clone())) {
                let Record::Srv(srv) = record else { continue };
                has_records = true;
                match &srv.target {
                    Some(host) if srv.port != 0 => offered.push((srv, host)),
                    Some(_) => {}
                    None => self.was_refused = true,
                }
            }
            let room = MAX_TARGETS - candidates.len();
            for (srv, host) in order_of_use(offered, room, &mut self.chance) {
                candidates.push(Candidate {
                    transport: service.transport,
                    host: host.clone(),
                    port: srv.port,
                });
            }
        }
        if has_records {
            self.ask_addresses(candidates);
            return;
        }
        // "No SRV records" has to be an answer. After a question that failed, the domain's own
        // addresses are only a guess, and what answers there may not be the carrier (wound 39).
        if round.was_left_unanswered() {
            self.finish(Err(NotFound::Unanswered));
            return;
        }
        let Some(service) = services.first() else {
            // A choice holds a transport, and so a service.
            self.finish(Err(NotFound::NoTransport));
            return;
        };
        self.ask_addresses(vec![Candidate {
            transport: service.transport,
            host: domain,
            port: default_port(service.transport),
        }]);
    }

    fn ask_addresses(&mut self, candidates: Vec<Candidate>) {
        let queries = candidates
            .iter()
            .flat_map(|candidate| self.families.queries(&candidate.host));
        self.round = Round::new(queries);
        self.stage = Stage::Addresses { candidates };
    }

    fn addresses_are_known(&mut self, round: &Round, candidates: &[Candidate]) {
        let mut targets: Vec<Target> = Vec::new();
        'candidates: for candidate in candidates {
            for ip in round.addresses(&candidate.host) {
                if targets.len() == MAX_TARGETS {
                    break 'candidates;
                }
                let address = SocketAddr::new(ip, candidate.port);
                let is_listed = targets.iter().any(|target| {
                    target.address == address && target.transport == candidate.transport
                });
                if !is_listed && target::is_usable(address) {
                    targets.push(self.target(candidate.transport, address));
                }
            }
        }
        self.finish(match targets.is_empty() {
            false => Ok(targets),
            true if self.was_left_unanswered => Err(NotFound::Unanswered),
            true if self.was_refused => Err(NotFound::NotOffered),
            true => Err(NotFound::NoRecords),
        });
    }

    fn finish(&mut self, outcome: Result<Vec<Target>, NotFound>) {
        self.round = Round::default();
        self.stage = Stage::Done(Some(outcome));
    }

    fn target(&self, transport: Transport, address: SocketAddr) -> Target {
        Target {
            transport,
            address,
            server_name: self.server_name.clone(),
        }
    }
}

/// The port of a transport that none was given for (RFC 3261 19.1.2).
fn default_port(transport: Transport) -> u16 {
    match transport {
        Transport::Udp | Transport::Tcp => 5060,
        Transport::Tls => 5061,
    }
}

#[cfg(test)]
mod tests;
