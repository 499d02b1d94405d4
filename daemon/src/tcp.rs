//! TCP sockets of SIP as this program wants them.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections that may wait to be accepted: a trunk that comes back after a fault brings its phones.
const BACKLOG: i32 = 1_024;

/// Bytes that the far end's machine does not acknowledge for so long mean that it is gone: as long as
/// SIP itself waits for an answer (64*T1). The kernel alone would try for a quarter of an hour.
const UNACKNOWLEDGED: Duration = Duration::from_secs(32);

/// Listens without blocking on `address` and its family alone; see [`udp::bind`](crate::udp::bind).
///
/// # Errors
/// The kernel's.
pub(crate) fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The connections of a daemon that has just ended do not keep the next one from its port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Sets a connection up for signalling: messages leave at once, and a far end that is gone is noticed.
///
/// # Errors
/// The kernel's.
pub(crate) fn prepare(stream: &tokio::net::TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_listener_does_not_get_the_port_of_the_first() {
        let first = listen("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let taken = first.local_addr().expect("an address");
        let error = listen(taken).expect_err("it is taken");
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    }
}
