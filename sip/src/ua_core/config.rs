//! What an endpoint is told once.

use std::{collections::BTreeMap, fmt, net::SocketAddr, time::Duration};

pub use super::session_timer::SessionTimerPolicy;
use crate::flow::{Flow, Transport};
use crate::message::Host;
pub use crate::transaction::Timers;

/// How an endpoint names itself, paces itself and bounds itself.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// The base times of RFC 3261.
    pub timers: Timers,
    /// How long an outgoing INVITE may go without any answer after its last 1xx before it is
    /// cancelled: what timer C (RFC 3261 16.6, more than 3 minutes) is for a proxy.
    pub ring_limit: Duration,
    /// What Via and Contact say instead of a local address: the public address of a machine behind
    /// NAT, or a name. A local address that is not listed stands for itself.
    pub advertised: BTreeMap<SocketAddr, HostPort>,
    /// The stream listener that stands in for a UDP one, by the UDP one's local address: a request too
    /// large for UDP leaves from there (RFC 3261 18.1.1).
    pub stream_for: BTreeMap<SocketAddr, SocketAddr>,
    /// Session timers (RFC 4028); `None` leaves them to the far end and to the audio.
    pub session_timer: Option<SessionTimerPolicy>,
    /// The product name in `User-Agent` and `Server`.
    pub user_agent: String,
    /// The bounds.
    pub limits: Limits,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self {
            timers: Timers::default(),
            ring_limit: Duration::from_secs(200),
            advertised: BTreeMap::new(),
            stream_for: BTreeMap::new(),
            session_timer: None,
            user_agent: concat!("offhook/", env!("CARGO_PKG_VERSION")).to_owned(),
            limits: Limits::default(),
        }
    }
}

impl EndpointConfig {
    /// The host and port a peer reaches `flow.local` by.
    pub(crate) fn advertised(&self, flow: Flow) -> HostPort {
        self.advertised
            .get(&flow.local)
            .cloned()
            .unwrap_or_else(|| HostPort::from(flow.local))
    }

    /// Where a request too large for `flow` goes instead, if there is another way.
    pub(crate) fn stream_instead_of(&self, flow: Flow) -> Option<Flow> {
        if flow.transport.is_reliable() {
            return None;
        }
        let local = *self.stream_for.get(&flow.local)?;
        let transport = Transport::Tcp;
        Some(Flow {
            transport,
            local,
            ..flow
        })
    }

    /// The Contact we give on `flow`: address and, where it matters, transport, since peers have
    /// been seen to fail on any other parameter.
    pub(crate) fn contact(&self, flow: Flow) -> String {
        self.contact_of(flow, "")
    }

    /// The same with a user, unless it is empty.
    pub(crate) fn contact_of(&self, flow: Flow, user: &str) -> String {
        let at = if user.is_empty() { "" } else { "@" };
        let transport = Transport::uri_parameter(flow.transport);
        format!("<sip:{user}{at}{}{transport}>", self.advertised(flow))
    }
}

/// The bounds of an endpoint; each has a stated answer when it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Live transactions. Above it a new INVITE gets a stateless 503 with `Retry-After`; other
    /// requests have a quarter more, so that calls can still be ended.
    pub transactions: usize,
    /// Live INVITE usages. Above it a new INVITE gets a stateless 503 with `Retry-After`, and
    /// [`Endpoint::invite`](crate::endpoint::Endpoint::invite) fails with [`Overloaded`](super::Overloaded).
    pub invites: usize,
    /// Outputs waiting to be polled. Above it arriving datagrams are dropped and counted, and
    /// timers wait: the caller is not draining, and peers retransmit.
    pub outputs: usize,
    /// Timers handled in one call of [`Endpoint::handle_timeout`](crate::endpoint::Endpoint::handle_timeout);
    /// the rest stay due, and the next call takes them.
    pub timers_per_call: usize,
    /// The `Retry-After` of a 503, in whole seconds.
    pub retry_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transactions: 400_000,
            invites: 100_000,
            outputs: 65_536,
            timers_per_call: 1_024,
            retry_after: Duration::from_secs(5),
        }
    }
}

/// A host and a port as they stand in Via and Contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V4(v4) => Host::V4(*v4.ip()),
            SocketAddr::V6(v6) => Host::V6(*v6.ip()),
        };
        Self {
            host,
            port: address.port(),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(formatter, "{name}:{}", self.port),
            Host::V4(address) => write!(formatter, "{address}:{}", self.port),
            Host::V6(address) => write!(formatter, "[{address}]:{}", self.port),
        }
    }
}
