//! UDP sockets as this program wants them.

use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// Binds a non-blocking socket to `address` and to its family alone: an IPv6 wildcard that also took
/// IPv4 would give such callers an address in SDP and Via that they cannot reach, and would keep an IPv4
/// listener beside it from its port.
///
/// # Errors
/// The kernel's.
pub(crate) fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM.nonblocking(),
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_can_listen_on_one_port() {
        let ipv6 = bind("[::]:0".parse().expect("an address")).expect("IPv6");
        let port = ipv6.local_addr().expect("an address").port();
        assert!(bind(SocketAddr::from(([0, 0, 0, 0], port))).is_ok());
    }
}
