//! The UDP sockets of the signalling task, read together.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Poll;

use offhook_sip::endpoint::{Flow, Transport};
use tokio::net::UdpSocket;

/// The largest UDP payload there is.
const DATAGRAM_BYTES: usize = 65_535;

/// How many datagrams are taken before timers and commands get their turn.
const READ_BATCH: usize = 64;

/// Every UDP socket that SIP listens on.
#[derive(Debug)]
pub(crate) struct SipSockets {
    sockets: Vec<(UdpSocket, SocketAddr)>,
    buffer: Box<[u8]>,
}

impl SipSockets {
    /// Takes over bound, non-blocking sockets.
    ///
    /// # Errors
    /// When the runtime cannot watch one.
    pub(crate) fn new(bound: Vec<std::net::UdpSocket>) -> std::io::Result<Self> {
        let mut sockets = Vec::with_capacity(bound.len());
        for socket in bound {
            let local = socket.local_addr()?;
            let socket = UdpSocket::from_std(socket)?;
            grow_receive_buffer(&socket);
            sockets.push((socket, local));
        }
        Ok(Self {
            sockets,
            buffer: vec![0; DATAGRAM_BYTES].into_boxed_slice(),
        })
    }

    /// The bound addresses.
    pub(crate) fn local_addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.sockets.iter().map(|(_, local)| *local)
    }

    /// Waits until a socket has something to read.
    pub(crate) async fn readable(&self) {
        poll_fn(|context| {
            let ready = self
                .sockets
                .iter()
                .any(|(socket, _)| socket.poll_recv_ready(context).is_ready());
            if ready {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Hands over what waits, at most a batch from each socket.
    pub(crate) fn read(&mut self, mut take: impl FnMut(Flow, &[u8])) {
        for (socket, local) in &self.sockets {
            for _ in 0..READ_BATCH {
                match socket.try_recv_from(&mut self.buffer) {
                    Ok((length, remote)) => {
                        let flow = Flow {
                            transport: Transport::Udp,
                            local: *local,
                            remote,
                        };
                        take(flow, &self.buffer[..length]);
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                    // An ICMP refusal of something sent before: the transaction's timers notice.
                    Err(_) => {}
                }
            }
        }
    }

    /// Sends a datagram from the socket that `flow` names. What a full socket buffer loses is
    /// retransmitted by its transaction, as on any lossy network.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn send(&self, flow: Flow, bytes: &[u8]) -> std::io::Result<()> {
        let Some((socket, _)) = self.sockets.iter().find(|(_, local)| *local == flow.local) else {
            return Err(std::io::Error::new(
                std::io::ErrorKind::AddrNotAvailable,
                "no such listening address",
            ));
        };
        socket.try_send_to(bytes, flow.remote).map(|_| ())
    }
}

/// Asks for room for a burst of some thousand messages; the kernel caps it at `net.core.rmem_max`.
fn grow_receive_buffer(socket: &UdpSocket) {
    use std::os::fd::AsRawFd;
    let bytes: libc::c_int = 4 << 20;
    for option in [libc::SO_RCVBUF, libc::SO_RCVBUFFORCE] {
        // SAFETY: the descriptor is open, and the pointer and length describe one `c_int`. A refusal
        // leaves the default in place.
        unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const bytes).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            );
        }
    }
}
