//! The kernel's side of the load: sockets whose datagrams carry the time the kernel received them, one epoll over all
//! of them, and a sleep that ends when it was asked to.
//!
//! A gap measured here does not contain our own lateness in reading: the stamp is made when the peer's packet enters
//! our socket's queue. So the load program may look at its sockets in batches and leave the processor to the peer.

use std::io;
use std::mem;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Largest datagram read, in bytes; SIP answers are the longest we meet.
pub(crate) const DATAGRAM: usize = 4096;
/// Datagrams taken from one socket by one system call.
const BATCH: usize = 8;
/// Room for one `SCM_TIMESTAMPNS` control message.
const CONTROL: usize = 64;
/// Receive buffer of each media socket: a quarter of a second of PCMU, bookkeeping included.
const RECEIVE_BUFFER: libc::c_int = 64 * 1024;

/// Binds a non-blocking UDP socket whose datagrams are stamped by the kernel on arrival.
pub(crate) fn stamped_socket(local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(local)?;
    socket.set_nonblocking(true)?;
    set_option(&socket, libc::SO_TIMESTAMPNS, 1)?;
    set_option(&socket, libc::SO_RCVBUF, RECEIVE_BUFFER)?;
    Ok(socket)
}

/// Asks for a receive buffer of so many bytes; the kernel doubles it, and caps it at `net.core.rmem_max`.
pub(crate) fn set_receive_buffer(socket: &UdpSocket, bytes: usize) -> io::Result<()> {
    set_option(socket, libc::SO_RCVBUF, bytes as libc::c_int)
}

fn set_option(socket: &UdpSocket, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let size = mem::size_of_val(&value) as libc::socklen_t;
    // SAFETY: the pointer and its length describe `value`, which outlives the call.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            size,
        )
    };
    checked(outcome).map(|_| ())
}

fn checked(outcome: libc::c_int) -> io::Result<libc::c_int> {
    if outcome < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(outcome)
    }
}

/// Which sockets have something to read, level-triggered.
#[derive(Debug)]
pub(crate) struct Poll {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Poll {
    /// An epoll that reports up to `most` sockets at a time.
    pub(crate) fn new(most: usize) -> io::Result<Self> {
        // SAFETY: no memory is involved; the returned descriptor is ours alone.
        let epoll =
            unsafe { OwnedFd::from_raw_fd(checked(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        Ok(Self {
            epoll,
            events: vec![libc::epoll_event { events: 0, u64: 0 }; most.max(1)],
        })
    }

    /// Watches `socket`; it is reported as `name`.
    pub(crate) fn watch(&self, socket: &UdpSocket, name: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: name,
        };
        // SAFETY: `event` outlives the call; the kernel copies it.
        let outcome = unsafe {
            libc::epoll_ctl(
                self.epoll.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                socket.as_raw_fd(),
                &mut event,
            )
        };
        checked(outcome).map(|_| ())
    }

    /// The names of the sockets that have something now (`wait` zero) or first have something within `wait`.
    pub(crate) fn ready(&mut self, wait: Duration) -> io::Result<impl Iterator<Item = u64> + '_> {
        let most = self.events.len() as libc::c_int;
        // SAFETY: the pointer and `most` describe `self.events`.
        let found = unsafe {
            libc::epoll_wait(
                self.epoll.as_raw_fd(),
                self.events.as_mut_ptr(),
                most,
                wait.as_millis() as libc::c_int,
            )
        };
        let found = match checked(found) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            found => found? as usize,
        };
        Ok(self.events[..found].iter().map(|event| event.u64))
    }
}

/// Buffers for taking several stamped datagrams from a socket in one system call.
pub(crate) struct Reader {
    datagrams: Box<[[u8; DATAGRAM]; BATCH]>,
    controls: Box<[[u64; CONTROL / 8]; BATCH]>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            datagrams: Box::new([[0; DATAGRAM]; BATCH]),
            controls: Box::new([[0; CONTROL / 8]; BATCH]),
        }
    }

    /// Reads what is queued on `socket`, at most eight datagrams (the rest is reported again by epoll), and gives each
    /// to `take` with the time of its arrival in nanoseconds of the real-time clock.
    pub(crate) fn read(
        &mut self,
        socket: &UdpSocket,
        mut take: impl FnMut(&[u8], u64),
    ) -> io::Result<()> {
        // SAFETY: these C structs are valid when zero, and every pointer in them is set below before use.
        let mut vectors: [libc::iovec; BATCH] = unsafe { mem::zeroed() };
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        for n in 0..BATCH {
            vectors[n] = libc::iovec {
                iov_base: self.datagrams[n].as_mut_ptr().cast(),
                iov_len: DATAGRAM,
            };
            headers[n].msg_hdr.msg_iov = &mut vectors[n];
            headers[n].msg_hdr.msg_iovlen = 1;
            headers[n].msg_hdr.msg_control = self.controls[n].as_mut_ptr().cast();
            headers[n].msg_hdr.msg_controllen = CONTROL;
        }
        // SAFETY: headers, vectors and the buffers they point to live until the end of this function.
        let read = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let read = match checked(read) {
            // A refused send (ICMP) is reported on the next read: the peer has closed its port, which shows as loss.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused
                ) =>
            {
                0
            }
            read => read? as usize,
        };
        for (header, datagram) in headers[..read].iter().zip(self.datagrams.iter()) {
            take(
                &datagram[..header.msg_len as usize],
                arrival_ns(&header.msg_hdr),
            );
        }
        Ok(())
    }
}

/// The kernel's time stamp among a datagram's control messages; 0 when there is none.
fn arrival_ns(header: &libc::msghdr) -> u64 {
    // SAFETY: `header` was filled by the kernel, its control buffer is alive and aligned for `cmsghdr`.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !control.is_null() {
        // SAFETY: not null, so the macros have found a whole control message inside the buffer.
        let message = unsafe { &*control };
        if (message.cmsg_level, message.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
            // SAFETY: a message of this type carries one timespec.
            let time = unsafe {
                libc::CMSG_DATA(control)
                    .cast::<libc::timespec>()
                    .read_unaligned()
            };
            return time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
        }
        // SAFETY: both pointers belong to the buffer described by `header`.
        control = unsafe { libc::CMSG_NXTHDR(header, control) };
    }
    0
}

/// The monotonic clock in nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// The real-time clock in nanoseconds, which datagrams are stamped by.
pub(crate) fn real_time_ns() -> u64 {
    clock_ns(libc::CLOCK_REALTIME)
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place to write to, and both clocks always exist.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Sleeps until the monotonic clock shows `deadline_ns`; returns at once when it is past.
pub(crate) fn sleep_until_ns(deadline_ns: u64) {
    let deadline = libc::timespec {
        tv_sec: (deadline_ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (deadline_ns % 1_000_000_000) as libc::c_long,
    };
    // SAFETY: `deadline` outlives the call. An interruption ends the sleep early; the caller looks at the clock again.
    unsafe {
        libc::clock_nanosleep(
            libc::CLOCK_MONOTONIC,
            libc::TIMER_ABSTIME,
            &deadline,
            std::ptr::null_mut(),
        )
    };
}

/// Lets this thread's timers end within a microsecond of their time instead of the usual fifty.
pub(crate) fn sharpen_timers() {
    // SAFETY: no memory is involved; a refusal only leaves the timers as they were.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000_u64, 0, 0, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_carries_the_time_the_kernel_received_it() {
        let ours = stamped_socket("127.0.0.1:0".parse().expect("address")).expect("socket");
        let mut poll = Poll::new(4).expect("epoll");
        poll.watch(&ours, 7).expect("watched");
        let peer = UdpSocket::bind("127.0.0.1:0").expect("socket");
        for word in [b"one", b"two"] {
            peer.send_to(word, ours.local_addr().expect("address"))
                .expect("sent");
        }
        assert_eq!(
            poll.ready(Duration::from_secs(1))
                .expect("events")
                .collect::<Vec<_>>(),
            [7]
        );
        let mut read = Vec::new();
        Reader::new()
            .read(&ours, |bytes, at| read.push((bytes.to_vec(), at)))
            .expect("read");
        assert_eq!(
            read.iter()
                .map(|(bytes, _)| bytes.as_slice())
                .collect::<Vec<_>>(),
            [b"one", b"two"]
        );
        assert!(read[0].1 > 0 && read[0].1 <= read[1].1);
    }
}
