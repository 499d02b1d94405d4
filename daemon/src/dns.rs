//! Asks DNS for what [`offhook_sip::locate`] wants to know.
//!
//! It owns the resolver with its cache and its deadlines. What to ask and what the answers mean is decided in `sip`.

use std::iter;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use offhook_session::pii::Pii;
use offhook_sip::locate::{
    Answer, DomainName, Locate, NaptrRecord, NotFound, Query, Record, SrvRecord, Target,
};

/// How long one question may take, repetitions and other servers included. A search has three rounds of
/// questions at most.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long one server may take before it is asked again, or another is.
const TRY: Duration = Duration::from_secs(2);
/// How many answers are kept, each for as long as its records last.
const CACHE_ENTRIES: u64 = 4_096;
/// How long "there is nothing" is believed, whatever the zone says, which may be a day: somebody is adding the
/// records that were missing.
const NEGATIVE_TTL: Duration = Duration::from_secs(60);

/// Why there is no resolver.
#[derive(Debug, thiserror::Error)]
#[error("the DNS resolver cannot be used")]
pub struct DnsUnavailable(#[source] NetError);

/// A resolver. Cheap to share by reference; asking takes `&self`.
#[derive(Debug)]
pub struct Dns {
    resolver: TokioResolver,
}

impl Dns {
    /// A resolver that asks `servers`, or those of the system (`/etc/resolv.conf`) when `None`. Has to be called
    /// within a tokio runtime. The system's `hosts` file goes before either.
    ///
    /// # Errors
    /// When no resolver can be built. A system without a configuration is not one: it has a resolver that finds nothing
    /// in DNS, and a warning says so.
    pub fn new(servers: Option<Vec<SocketAddr>>) -> Result<Self, DnsUnavailable> {
        let mut builder = match servers {
            Some(servers) => {
                let servers = servers.into_iter().map(name_server).collect();
                let config = ResolverConfig::from_parts(None, Vec::new(), servers);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
            // Literal addresses and the hosts file need no server: a host without one can still take calls.
            None => TokioResolver::builder_tokio().unwrap_or_else(|error| {
                tracing::warn!(error = %error, "no DNS server is configured on this host; names in DNS are not found");
                let config = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }),
        };
        set_bounds(builder.options_mut());
        let resolver = builder.build().map_err(DnsUnavailable)?;
        Ok(Self { resolver })
    }

    /// Asks one question. The answer comes within five seconds, and what is remembered at once.
    pub async fn ask(&self, query: Query) -> Answer {
        let (name, record_type) = (absolute(query.name()), type_of(&query));
        let lookup = self.resolver.lookup(name, record_type);
        let reason = match tokio::time::timeout(DEADLINE, lookup).await {
            Ok(Ok(lookup)) => return found(&lookup),
            Ok(Err(error)) if says_there_is_nothing(&error) => return Answer::NoRecords,
            Ok(Err(error)) => error.as_metrics_label(),
            Err(_) => "deadline",
        };
        let name = Pii::new(query.name().as_str());
        tracing::debug!(%name, %record_type, reason, "DNS did not answer");
        Answer::Failed
    }

    /// Searches until there is an outcome: the questions of a round all at once.
    ///
    /// # Errors
    /// Why there is no target.
    pub async fn locate(&self, mut locate: Locate) -> Result<Vec<Target>, NotFound> {
        loop {
            if let Some(outcome) = locate.poll_outcome() {
                return outcome;
            }
            let queries: Vec<Query> = iter::from_fn(|| locate.poll_query()).collect();
            let answers = join_all(queries.iter().cloned().map(|query| self.ask(query))).await;
            for (query, answer) in queries.iter().zip(answers) {
                locate.handle_answer(query, answer);
            }
        }
    }
}

/// A server that is asked by UDP, and by TCP where an answer does not fit.
fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

fn set_bounds(options: &mut ResolverOpts) {
    options.timeout = TRY;
    options.attempts = 2;
    options.cache_size = CACHE_ENTRIES;
    options.negative_max_ttl = Some(NEGATIVE_TTL);
    // The resolver's own choice is any port from 1024 on, and so one of `media.ports` now and then. The kernel's
    // range is checked to lie outside of those.
    options.os_port_selection = true;
}

/// The name from the root, so that no search domain is ever put behind it: a trunk must not turn into a machine of
/// our own network because its name was not found.
fn absolute(name: &DomainName) -> Name {
    let mut absolute = Name::from_ascii(name.as_str()).expect("a DomainName fits into DNS");
    absolute.set_fqdn(true);
    absolute
}

fn type_of(query: &Query) -> RecordType {
    match query {
        Query::Naptr(_) => RecordType::NAPTR,
        Query::Srv(_) => RecordType::SRV,
        Query::A(_) => RecordType::A,
        Query::Aaaa(_) => RecordType::AAAA,
    }
}

/// Whether it is an answer, and not the lack of one.
fn says_there_is_nothing(error: &NetError) -> bool {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(nothing)) => matches!(
            nothing.response_code,
            ResponseCode::NoError | ResponseCode::NXDomain
        ),
        _ => false,
    }
}

fn found(lookup: &Lookup) -> Answer {
    let records: Vec<Record> = lookup
        .answers()
        .iter()
        .filter_map(|record| read(&record.data))
        .collect();
    match records.is_empty() {
        true => Answer::NoRecords,
        false => Answer::Found {
            records,
            time_to_live: lookup
                .valid_until()
                .saturating_duration_since(Instant::now()),
        },
    }
}

/// A record as `sip` wants it; `None` for other types, such as the CNAME on the way.
fn read(data: &RData) -> Option<Record> {
    match data {
        RData::A(ip) => Some(Record::Address(ip.0.into())),
        RData::AAAA(ip) => Some(Record::Address(ip.0.into())),
        RData::SRV(srv) => Some(Record::Srv(SrvRecord {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: domain_name(&srv.target)?,
        })),
        RData::NAPTR(naptr) => Some(Record::Naptr(NaptrRecord {
            order: naptr.order,
            preference: naptr.preference,
            flags: String::from_utf8_lossy(&naptr.flags).into_owned(),
            services: String::from_utf8_lossy(&naptr.services).into_owned(),
            replacement: domain_name(&naptr.replacement)?,
        })),
        _ => None,
    }
}

/// The name within a record: `Some(None)` for the root, and `None` for one that no host can have. The two must not
/// be mixed up, since the root has a meaning of its own.
fn domain_name(name: &Name) -> Option<Option<DomainName>> {
    if name.is_root() {
        return Some(None);
    }
    DomainName::parse(&name.to_ascii()).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_and_a_name_that_no_host_has_are_told_apart() {
        assert_eq!(domain_name(&Name::root()), Some(None));
        let odd = Name::from_labels([&b"a b"[..], &b"example"[..]]).expect("a name");
        assert_eq!(domain_name(&odd), None);
        let host = Name::from_ascii("Edge.Example.").expect("a name");
        assert_eq!(domain_name(&host), Some(DomainName::parse("edge.example")));
    }

    #[tokio::test]
    async fn an_address_is_found_without_any_server() {
        let dns = Dns::new(Some(Vec::new())).expect("a resolver");
        let uri = offhook_sip::message::Uri::parse("sip:192.0.2.1").expect("a URI");
        let locate = Locate::new(
            uri.sip().expect("sip"),
            None,
            [offhook_sip::endpoint::Transport::Udp]
                .into_iter()
                .collect(),
            offhook_sip::locate::Families::V4,
            1,
        );
        assert_eq!(dns.locate(locate).await.map(|targets| targets.len()), Ok(1));
    }
}
