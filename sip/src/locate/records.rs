//! What is asked of DNS, and what it answers.

use std::{net::IpAddr, time::Duration};

use super::DomainName;

/// A question for the resolver.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Query {
    /// Which services a domain has (RFC 3403).
    Naptr(DomainName),
    /// Which hosts serve one of them (RFC 2782).
    Srv(DomainName),
    /// A host's IPv4 addresses.
    A(DomainName),
    /// A host's IPv6 addresses.
    Aaaa(DomainName),
}

impl Query {
    /// What is asked about.
    pub fn name(&self) -> &DomainName {
        match self {
            Self::Naptr(name) | Self::Srv(name) | Self::A(name) | Self::Aaaa(name) => name,
        }
    }
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Records. Those of a type that was not asked for are passed over.
    Found {
        /// In the order of the answer.
        records: Vec<Record>,
        /// For how long the answer is good.
        time_to_live: Duration,
    },
    /// The name does not exist, or has no such record.
    NoRecords,
    /// Nobody could say: silence, or a server's failure. Asked again, it may be different.
    Failed,
}

/// A record of an answer, as far as locating a server needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A service of a domain.
    Naptr(NaptrRecord),
    /// A host that serves it.
    Srv(SrvRecord),
    /// An address of a host.
    Address(IpAddr),
}

/// A service of a domain (RFC 3403 section 4). Its regular expression is left out: for SIP it is
/// empty (RFC 3263 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NaptrRecord {
    /// Lower ones first.
    pub order: u16,
    /// Among equal `order`, lower ones first.
    pub preference: u16,
    /// What the replacement is: `s` for a name with SRV records.
    pub flags: String,
    /// The service, such as `SIP+D2U`.
    pub services: String,
    /// Where to go on. `None` for the root, which stands for nothing.
    pub replacement: Option<DomainName>,
}

/// A host that serves a service (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrvRecord {
    /// Lower ones first.
    pub priority: u16,
    /// Its share among equal priorities.
    pub weight: u16,
    /// Its port.
    pub port: u16,
    /// The host. `None` for the root: the service is decidedly not available at this domain.
    pub target: Option<DomainName>,
}
