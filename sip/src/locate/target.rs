//! What a search gives, and what it may use.

use std::net::{IpAddr, SocketAddr};

use super::{DomainName, Query};
use crate::{flow::Transport, message::Host};

/// A place to send a request to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// By what.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
    /// Whom a certificate has to name: the URI's host, never a name that came from DNS, which
    /// anybody on the way could have written (RFC 3263 4.1, RFC 5922 7.3).
    pub server_name: Host,
}

/// Why a URI has no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotFound {
    /// The URI, or who called, demands a transport that we do not have.
    #[error("no transport that is allowed is one we have")]
    NoTransport,
    /// Its host is nothing that DNS could hold.
    #[error("the host is not a possible name")]
    NoSuchName,
    /// Its host is an address of a family that we do not have, or no address of one machine.
    #[error("the address cannot be sent to")]
    Unreachable,
    /// The domain says that it does not offer the service (an SRV record with the target `.`).
    #[error("the domain does not offer the service")]
    NotOffered,
    /// DNS says that there are none.
    #[error("DNS has no records that lead to an address")]
    NoRecords,
    /// A question stayed without an answer, so that nobody knows. The only one that may be
    /// different a moment later.
    #[error("DNS did not answer")]
    Unanswered,
}

/// A set of transports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transports {
    udp: bool,
    tcp: bool,
    tls: bool,
}

impl Transports {
    /// Whether `transport` is one of them.
    pub fn contains(self, transport: Transport) -> bool {
        match transport {
            Transport::Udp => self.udp,
            Transport::Tcp => self.tcp,
            Transport::Tls => self.tls,
        }
    }
}

impl FromIterator<Transport> for Transports {
    fn from_iter<Each: IntoIterator<Item = Transport>>(transports: Each) -> Self {
        let mut set = Self::default();
        for transport in transports {
            match transport {
                Transport::Udp => set.udp = true,
                Transport::Tcp => set.tcp = true,
                Transport::Tls => set.tls = true,
            }
        }
        set
    }
}

/// The address families that this machine can send by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
    /// Both.
    Both,
}

impl Families {
    /// Whether `address` is of one of them.
    pub fn contains(self, address: IpAddr) -> bool {
        match self {
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
            Self::Both => true,
        }
    }

    /// What to ask for a host's addresses.
    pub(super) fn queries(self, host: &DomainName) -> Vec<Query> {
        let (v4, v6) = (Query::A(host.clone()), Query::Aaaa(host.clone()));
        match self {
            Self::V4 => vec![v4],
            Self::V6 => vec![v6],
            Self::Both => vec![v6, v4],
        }
    }
}

/// Whether an address can be that of one machine's port. DNS may hold anything.
pub(super) fn is_usable(address: SocketAddr) -> bool {
    let is_broadcast = match address.ip() {
        IpAddr::V4(ip) => ip.is_broadcast(),
        IpAddr::V6(_) => false,
    };
    let names_nobody = address.ip().is_unspecified() || address.ip().is_multicast() || is_broadcast;
    address.port() != 0 && !names_nobody
}
