//! The UDP sockets of the signalling task, read together.

use std::net::SocketAddr;
use std::task::{Context, Poll};

use offhook_sip::endpoint::{Flow, Transport};
use tokio::net::UdpSocket;

use super::SendError;

/// The largest UDP payload there is.
const DATAGRAM_BYTES: usize = 65_535;

/// How many datagrams are taken before timers and commands get their turn.
const READ_BATCH: usize = 64;

/// Every UDP socket that SIP listens on.
#[derive(Debug)]
pub(super) struct Datagrams {
    sockets: Vec<(UdpSocket, SocketAddr)>,
    buffer: Box<[u8]>,
}

impl Datagrams {
    pub(super) fn none() -> Self {
        Self {
            sockets: Vec::new(),
            buffer: vec![0; DATAGRAM_BYTES].into_boxed_slice(),
        }
    }

    /// Takes over a bound, non-blocking socket.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub(super) fn add(&mut self, bound: std::net::UdpSocket) -> std::io::Result<()> {
        let local = bound.local_addr()?;
        let socket = UdpSocket::from_std(bound)?;
        grow_receive_buffer(&socket);
        self.sockets.push((socket, local));
        Ok(())
    }

    /// The bound addresses.
    pub(super) fn local_addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.sockets.iter().map(|(_, local)| *local)
    }

    /// Whether a socket has something to read; if none has, whoever asks is woken when one does.
    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        let ready = self
            .sockets
            .iter()
            .any(|(socket, _)| socket.poll_recv_ready(context).is_ready());
        if ready {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Hands over what waits, at most a batch from each socket. Answers whether all are empty now.
    pub(super) fn read(&mut self, mut take: impl FnMut(Flow, &[u8])) -> bool {
        let mut emptied = 0;
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
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                        emptied += 1;
                        break;
                    }
                    // An ICMP refusal of something sent before: the transaction's timers notice.
                    Err(_) => {}
                }
            }
        }
        emptied == self.sockets.len()
    }

    /// Sends a datagram from the socket that `flow` names. What a full socket buffer loses is
    /// retransmitted by its transaction, as on any lossy network.
    ///
    /// # Errors
    /// See [`SendError`].
    pub(super) fn send(&self, flow: Flow, bytes: &[u8]) -> Result<(), SendError> {
        let socket = self.sockets.iter().find(|(_, local)| *local == flow.local);
        let (socket, _) = socket.ok_or(SendError::NoListener)?;
        match socket.try_send_to(bytes, flow.remote) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                Err(SendError::SocketFull)
            }
            Err(error) => Err(SendError::Kernel(error)),
        }
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
