//! An RTP socket: a UDP socket whose datagrams come with the kernel's receive time, read in batches.
//!
//! The only unsafe code of the media path. `recvmmsg` fills buffers that belong to the thread's
//! [`ReceiveBatch`]; nothing is allocated after it was made.

use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use crate::udp;

/// The largest datagram that is read whole; longer ones are cut and fail to parse. An RTP packet with
/// 60 ms of anything we speak is far shorter.
const DATAGRAM_BYTES: usize = 2_048;

/// How many datagrams one call takes from one socket.
const BATCH: usize = 8;

/// How many batches one socket may have in one turn: a far end sends one datagram or two, and who sends
/// more shall not keep the thread from its other legs.
const MOST_BATCHES: usize = 8;

/// Room for one `timespec` control message, with its header, aligned.
const CONTROL_WORDS: usize = 8;

/// A bound UDP socket for one leg.
#[derive(Debug)]
pub struct RtpSocket {
    socket: UdpSocket,
    local: SocketAddr,
}

impl RtpSocket {
    /// Binds `address`, non-blocking, with kernel receive times.
    ///
    /// # Errors
    /// The kernel's.
    pub fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let socket = udp::bind(address)?;
        let on: libc::c_int = 1;
        // SAFETY: the descriptor is open, and the pointer and length describe one `c_int`.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_TIMESTAMPNS,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        if result != 0 {
            return Err(std::io::Error::last_os_error());
        }
        let local = socket.local_addr()?;
        Ok(Self { socket, local })
    }

    /// The bound address.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sends one datagram; a full socket buffer loses it, as a network would.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn send(&self, datagram: &[u8], to: SocketAddr) -> std::io::Result<()> {
        self.socket.send_to(datagram, to).map(|_| ())
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Wall clock and monotonic clock read together, to turn one into the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockPair {
    instant: Instant,
    wall: Duration,
}

impl ClockPair {
    pub(super) fn read() -> Self {
        let wall = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            instant: Instant::now(),
            wall,
        }
    }

    /// The instant of a kernel receive time. One that is not within the last ten seconds (the wall
    /// clock was set meanwhile) counts as now.
    fn instant_of(self, wall: Duration) -> Instant {
        match self.wall.checked_sub(wall) {
            Some(age) if age < Duration::from_secs(10) => {
                self.instant.checked_sub(age).unwrap_or(self.instant)
            }
            Some(_) | None => self.instant,
        }
    }
}

/// Buffers for one `recvmmsg`, made once a thread.
pub(super) struct ReceiveBatch {
    datagrams: Box<[[u8; DATAGRAM_BYTES]; BATCH]>,
    names: Box<[MaybeUninit<libc::sockaddr_storage>; BATCH]>,
    controls: Box<[[u64; CONTROL_WORDS]; BATCH]>,
}

impl ReceiveBatch {
    pub(super) fn new() -> Self {
        Self {
            datagrams: Box::new([[0; DATAGRAM_BYTES]; BATCH]),
            names: Box::new([MaybeUninit::uninit(); BATCH]),
            controls: Box::new([[0; CONTROL_WORDS]; BATCH]),
        }
    }

    /// Reads what waits in `socket`, 64 datagrams at most, and hands over each with its source and its
    /// arrival. Answers how many there were, and whether the socket is empty now.
    pub(super) fn receive(
        &mut self,
        socket: &RtpSocket,
        clocks: ClockPair,
        mut take: impl FnMut(&[u8], SocketAddr, Instant),
    ) -> (u64, bool) {
        let mut total = 0;
        for _ in 0..MOST_BATCHES {
            let count = self.receive_once(socket, clocks, &mut take);
            total += count as u64;
            if count < BATCH {
                return (total, true);
            }
        }
        (total, false)
    }

    fn receive_once(
        &mut self,
        socket: &RtpSocket,
        clocks: ClockPair,
        take: &mut impl FnMut(&[u8], SocketAddr, Instant),
    ) -> usize {
        let mut vectors: [libc::iovec; BATCH] = std::array::from_fn(|index| libc::iovec {
            iov_base: self.datagrams[index].as_mut_ptr().cast(),
            iov_len: DATAGRAM_BYTES,
        });
        let mut headers: [libc::mmsghdr; BATCH] = std::array::from_fn(|index| {
            // SAFETY: `mmsghdr` is plain data for which all-zero bytes are a valid value.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_name = self.names[index].as_mut_ptr().cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_hdr.msg_iov = &raw mut vectors[index];
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = self.controls[index].as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = size_of::<[u64; CONTROL_WORDS]>() as _;
            header
        });
        // SAFETY: every header points at buffers of `self` and at `vectors`, all of which outlive the
        // call and are not touched otherwise during it; the count is the array's.
        let result = unsafe {
            libc::recvmmsg(
                socket.descriptor(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        // An error (nothing waits, or an ICMP refusal) reads as nothing received: the next datagram makes
        // the kernel tell again, and a far end that is gone is noticed by its silence.
        let count = usize::try_from(result).unwrap_or(0);
        for (index, header) in headers.iter().enumerate().take(count) {
            let length = (header.msg_len as usize).min(DATAGRAM_BYTES);
            let Some(from) = source_address(&self.names[index], header.msg_hdr.msg_namelen) else {
                continue;
            };
            let arrival = receive_time(&header.msg_hdr)
                .map_or(clocks.instant, |wall| clocks.instant_of(wall));
            take(&self.datagrams[index][..length], from, arrival);
        }
        count
    }
}

/// The source address that the kernel wrote.
fn source_address(
    name: &MaybeUninit<libc::sockaddr_storage>,
    length: libc::socklen_t,
) -> Option<SocketAddr> {
    let length = length as usize;
    if length < size_of::<libc::sa_family_t>() {
        return None;
    }
    let pointer = name.as_ptr();
    // SAFETY: the kernel wrote `length` bytes, which cover the family field.
    let family = unsafe { (*pointer).ss_family };
    match libc::c_int::from(family) {
        libc::AF_INET if length >= size_of::<libc::sockaddr_in>() => {
            // SAFETY: the family and the length say that a whole `sockaddr_in` was written, and
            // `sockaddr_storage` is aligned for it.
            let address = unsafe { &*pointer.cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
            Some(SocketAddr::from((ip, u16::from_be(address.sin_port))))
        }
        libc::AF_INET6 if length >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: as above, for `sockaddr_in6`.
            let address = unsafe { &*pointer.cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
            Some(SocketAddr::from((ip, u16::from_be(address.sin6_port))))
        }
        _ => None,
    }
}

/// The kernel's receive time among the control messages of a received header.
fn receive_time(header: &libc::msghdr) -> Option<Duration> {
    // SAFETY: the kernel filled `msg_control` up to `msg_controllen`, which the CMSG macros respect;
    // the buffer is 8-byte aligned, as `cmsghdr` needs.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            if (*message).cmsg_level == libc::SOL_SOCKET
                && (*message).cmsg_type == libc::SCM_TIMESTAMPNS
            {
                let time: libc::timespec =
                    std::ptr::read_unaligned(libc::CMSG_DATA(message).cast());
                let seconds = u64::try_from(time.tv_sec).ok()?;
                let nanoseconds = u32::try_from(time.tv_nsec).ok()?;
                return Some(Duration::new(seconds, nanoseconds));
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    None
}

/// The set of sockets that have something to read: an edge-triggered epoll instance.
#[derive(Debug)]
pub(super) struct ReadySet {
    epoll: std::os::fd::OwnedFd,
}

/// How many ready sockets one look reports.
pub(super) const READY_BATCH: usize = 256;

impl ReadySet {
    pub(super) fn new() -> std::io::Result<Self> {
        use std::os::fd::FromRawFd;
        // SAFETY: a plain system call; a valid result is a new descriptor that nobody else owns.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if epoll < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: as above.
        let epoll = unsafe { std::os::fd::OwnedFd::from_raw_fd(epoll) };
        Ok(Self { epoll })
    }

    /// Adds a socket under `token`. It leaves the set when it is closed.
    pub(super) fn add(&self, socket: &RtpSocket, token: u64) -> std::io::Result<()> {
        let mut event = libc::epoll_event {
            events: (libc::EPOLLIN | libc::EPOLLET) as u32,
            u64: token,
        };
        // SAFETY: both descriptors are open and `event` outlives the call.
        let result = unsafe {
            libc::epoll_ctl(
                self.epoll.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                socket.descriptor(),
                &raw mut event,
            )
        };
        if result == 0 {
            Ok(())
        } else {
            Err(std::io::Error::last_os_error())
        }
    }

    /// Fills `tokens` with the sockets that became readable since the last look, without waiting.
    pub(super) fn ready(&self, tokens: &mut [u64; READY_BATCH]) -> usize {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; READY_BATCH];
        // SAFETY: `events` has room for as many as are asked for.
        let count = unsafe {
            libc::epoll_wait(
                self.epoll.as_raw_fd(),
                events.as_mut_ptr(),
                READY_BATCH as libc::c_int,
                0,
            )
        };
        let count = usize::try_from(count).unwrap_or(0);
        for (token, event) in tokens.iter_mut().zip(&events[..count]) {
            *token = event.u64;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_come_with_their_source_and_a_kernel_time() {
        let receiver = RtpSocket::bind("127.0.0.1:0".parse().expect("address")).expect("bind");
        let sender = RtpSocket::bind("127.0.0.1:0".parse().expect("address")).expect("bind");
        let ready = ReadySet::new().expect("epoll");
        ready.add(&receiver, 7).expect("add");
        let before = Instant::now();
        for index in 0..20_u8 {
            sender.send(&[index; 172], receiver.local()).expect("send");
        }
        let after = Instant::now();
        let mut tokens = [0; READY_BATCH];
        assert_eq!(ready.ready(&mut tokens), 1);
        assert_eq!(tokens[0], 7);
        let mut batch = ReceiveBatch::new();
        let mut seen = Vec::new();
        let clocks = ClockPair::read();
        let (count, emptied) = batch.receive(&receiver, clocks, |bytes, from, arrival| {
            seen.push((bytes[0], bytes.len(), from, arrival));
        });
        assert_eq!((count, emptied), (20, true));
        let tolerance = Duration::from_millis(2);
        for (index, (first, length, from, arrival)) in seen.into_iter().enumerate() {
            assert_eq!(
                (usize::from(first), length, from),
                (index, 172, sender.local())
            );
            assert!(arrival + tolerance >= before && arrival <= after + tolerance);
        }
        assert_eq!(
            ready.ready(&mut tokens),
            0,
            "edge-triggered: nothing new, nothing told"
        );
    }
}
