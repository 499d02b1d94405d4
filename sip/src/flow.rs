//! Where bytes come from and go to, and which address may be believed.

use std::net::{IpAddr, SocketAddr};

use crate::message::{Host, Via};

/// What carries a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Datagrams: the endpoint retransmits.
    Udp,
    /// A stream: the transport retransmits.
    Tcp,
    /// A stream under TLS.
    Tls,
}

impl Transport {
    /// Whether the transport retransmits, so that the endpoint must not.
    pub fn is_reliable(self) -> bool {
        match self {
            Self::Udp => false,
            Self::Tcp | Self::Tls => true,
        }
    }

    /// Its name in a Via header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// The parameter a Contact needs so that the peer uses this transport again.
    pub(crate) fn uri_parameter(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls => ";transport=tls",
        }
    }
}

/// One path between a local and a remote address.
///
/// For UDP it is a pair of sockets. For a transport that connects it names the connection between
/// the two: there is one live connection a flow at most, whoever opened it. `local` is then the
/// *listening* address of that transport, also where we connected from another port: Via and Contact
/// are made from it, because that is where a far end connects to. `remote` is the connection's other
/// end, so a connection that was accepted is reused for requests to the same far end, and a peer that
/// refuses connections from us is still reached. When a connection is gone, the same flow means a
/// new one to the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// What carries it.
    pub transport: Transport,
    /// Our end: the address that listens.
    pub local: SocketAddr,
    /// The far end of the datagrams or of the connection.
    pub remote: SocketAddr,
}

impl Flow {
    /// The same path towards another remote address.
    pub(crate) fn towards(self, remote: SocketAddr) -> Self {
        Self { remote, ..self }
    }

    /// Where a response to a request that came by this flow goes (RFC 3261 18.2.2, RFC 3581).
    ///
    /// Back to the source, which is right whenever `rport` was asked for and behind every NAT. The
    /// one exception is a peer that did not ask and states the very address it sent from with
    /// another port: it listens there. `maddr` is not obeyed, because it would let anyone aim our
    /// responses at a third party.
    pub(crate) fn response_flow(self, top_via: &Via) -> Self {
        if self.transport.is_reliable() || top_via.rport().is_some() {
            return self;
        }
        let stated = match &top_via.host {
            Host::V4(address) => IpAddr::V4(*address),
            Host::V6(address) => IpAddr::V6(*address),
            Host::Name(_) => return self,
        };
        if stated != self.remote.ip() {
            return self;
        }
        self.towards(SocketAddr::new(stated, top_via.port.unwrap_or(5060)))
    }

    /// The same kind of connection to `host`, if that is an address we may believe; for one that is gone.
    pub(crate) fn reopened_to(self, host: &Host, port: Option<u16>) -> Self {
        let named = match host {
            Host::V4(address) => IpAddr::V4(*address),
            Host::V6(address) => IpAddr::V6(*address),
            Host::Name(_) => return self,
        };
        if named.is_ipv4() != self.remote.is_ipv4() || reach(named) < reach(self.remote.ip()) {
            return self;
        }
        let default = match self.transport {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
        };
        self.towards(SocketAddr::new(named, port.unwrap_or(default)))
    }

    /// Where a request whose next hop is `host:port` goes.
    ///
    /// A name stays on the flow that is known to work (resolving is not done here), and so does a
    /// reliable flow: some peers refuse a second connection. An address literal is obeyed unless
    /// it cannot be meant for us: a private or loopback one named by a peer that we reach at a
    /// public address is written from behind its NAT.
    ///
    /// Also says whether the URI was obeyed, so that what else it says counts.
    pub(crate) fn request_flow(self, host: &Host, port: Option<u16>) -> (Self, bool) {
        if self.transport.is_reliable() {
            return (self, false);
        }
        let named = match host {
            Host::V4(address) => IpAddr::V4(*address),
            Host::V6(address) => IpAddr::V6(*address),
            Host::Name(_) => return (self, false),
        };
        if named.is_ipv4() != self.remote.is_ipv4() || reach(named) < reach(self.remote.ip()) {
            return (self, false);
        }
        let remote = SocketAddr::new(named, port.unwrap_or(5060));
        (self.towards(remote), true)
    }
}

/// How far away an address can be meant to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Nowhere,
    ThisMachine,
    ThisNetwork,
    Everywhere,
}

fn reach(address: IpAddr) -> Reach {
    if address.is_unspecified() || address.is_multicast() {
        return Reach::Nowhere;
    }
    if address.is_loopback() {
        return Reach::ThisMachine;
    }
    let local = match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let carrier_grade = first == 100 && (64..128).contains(&second);
            if v4.is_broadcast() {
                return Reach::Nowhere;
            }
            v4.is_private() || v4.is_link_local() || carrier_grade
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    };
    if local {
        Reach::ThisNetwork
    } else {
        Reach::Everywhere
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn flow(remote: &str) -> Flow {
        Flow {
            transport: Transport::Udp,
            local: "198.51.100.1:5060".parse().unwrap(),
            remote: remote.parse().unwrap(),
        }
    }

    #[test]
    fn a_private_next_hop_of_a_public_peer_is_reached_at_its_source() {
        let public = flow("203.0.113.9:5070");
        let private = Host::V4(Ipv4Addr::new(10, 0, 0, 5));
        assert_eq!(public.request_flow(&private, Some(5070)), (public, false));
    }

    #[test]
    fn a_public_next_hop_is_obeyed() {
        let next_hop = Host::V4(Ipv4Addr::new(203, 0, 113, 80));
        let (sent, _) = flow("203.0.113.9:5070").request_flow(&next_hop, None);
        assert_eq!(sent.remote, "203.0.113.80:5060".parse().unwrap());
    }

    #[test]
    fn a_connection_is_kept_whatever_the_next_hop_says() {
        let tls = Flow {
            transport: Transport::Tls,
            ..flow("203.0.113.9:40000")
        };
        let next_hop = Host::V4(Ipv4Addr::new(203, 0, 113, 80));
        assert_eq!(tls.request_flow(&next_hop, Some(5061)).0, tls);
    }
}
