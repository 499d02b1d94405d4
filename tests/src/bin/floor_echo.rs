//! The floor of the bench: a bare echo. It speaks just enough SIP to answer, opens a UDP socket a call, and sends each
//! datagram back as soon as epoll says it is there. No program that also buffers, decodes, mixes and paces can be
//! cheaper; how close ours comes is what the bench asks.
//!
//! `floor_echo SIP_ADDRESS FIRST_RTP_PORT LAST_RTP_PORT`, until SIGTERM.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::{env, io, mem};

use offhook_tests::sip_text;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let parsed = match &arguments[..] {
        [sip, first, last] => sip
            .parse()
            .ok()
            .zip(first.parse().ok())
            .zip(last.parse().ok()),
        _ => None,
    };
    let Some(((sip, first), last)) = parsed else {
        eprintln!("usage: floor_echo SIP_ADDRESS FIRST_RTP_PORT LAST_RTP_PORT");
        return ExitCode::from(2);
    };
    match Echo::new(sip, first, last).and_then(|mut echo| echo.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor_echo: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Echo {
    sip: UdpSocket,
    epoll: libc::c_int,
    /// The call's socket and our answer, for a repeated INVITE.
    calls_by_id: BTreeMap<String, (UdpSocket, String)>,
    ports: std::ops::RangeInclusive<u16>,
    next_port: u16,
}

impl Echo {
    fn new(sip: SocketAddr, first: u16, last: u16) -> io::Result<Self> {
        let sip = UdpSocket::bind(sip)?;
        // SAFETY: no memory is involved.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        let echo = Self {
            epoll,
            calls_by_id: BTreeMap::new(),
            ports: first..=last,
            next_port: first,
            sip,
        };
        echo.watch(&echo.sip)?;
        println!("ready");
        Ok(echo)
    }

    fn watch(&self, socket: &UdpSocket) -> io::Result<()> {
        let fd = socket.as_raw_fd();
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: fd as u64,
        };
        // SAFETY: `event` outlives the call. A socket that is closed leaves the epoll by itself.
        match unsafe { libc::epoll_ctl(self.epoll, libc::EPOLL_CTL_ADD, fd, &mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; 1_024];
        let sip = self.sip.as_raw_fd();
        loop {
            // SAFETY: the pointer and the length describe `events`.
            let ready = unsafe {
                libc::epoll_wait(
                    self.epoll,
                    events.as_mut_ptr(),
                    events.len() as libc::c_int,
                    -1,
                )
            };
            for event in &events[..usize::try_from(ready).unwrap_or(0)] {
                let fd = event.u64 as libc::c_int;
                if fd == sip {
                    self.take_sip()?
                } else {
                    send_back(fd)
                }
            }
        }
    }

    fn take_sip(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4_096];
        let (length, from) = self.sip.recv_from(&mut buffer)?;
        let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let call_id = sip_text::header(&request, "Call-ID")
            .unwrap_or_default()
            .to_owned();
        let answer = match sip_text::method(&request) {
            Some("INVITE") => self.answer(&request, call_id)?,
            Some("BYE") => {
                self.calls_by_id.remove(&call_id);
                response(&request, "", "")
            }
            Some("OPTIONS") => response(&request, "", ""),
            _ => return Ok(()),
        };
        self.sip.send_to(answer.as_bytes(), from).map(|_| ())
    }

    /// Opens the call's socket and writes the 200.
    fn answer(&mut self, invite: &str, call_id: String) -> io::Result<String> {
        if let Some((_, answer)) = self.calls_by_id.get(&call_id) {
            return Ok(answer.clone());
        }
        let address = self.sip.local_addr()?;
        let (socket, port) = self.socket(address.ip())?;
        self.watch(&socket)?;
        let headers = format!("Contact: <sip:echo@{address}>\r\nContent-Type: application/sdp\r\n");
        let answer = response(
            invite,
            &headers,
            &sip_text::pcmu_offer(SocketAddr::new(address.ip(), port)),
        );
        self.calls_by_id.insert(call_id, (socket, answer.clone()));
        Ok(answer)
    }

    /// The next even port that is free.
    fn socket(&mut self, ip: std::net::IpAddr) -> io::Result<(UdpSocket, u16)> {
        for _ in self.ports.clone().step_by(2) {
            let port = self.next_port & !1;
            self.next_port = if port + 2 > *self.ports.end() {
                *self.ports.start()
            } else {
                port + 2
            };
            if let Ok(socket) = UdpSocket::bind((ip, port)) {
                return Ok((socket, port));
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }
}

/// The whole of the media path: one datagram in, the same out to where it came from.
fn send_back(fd: libc::c_int) {
    let mut datagram = [0_u8; 2_048];
    // SAFETY: a C struct that is valid when zero.
    let mut from: libc::sockaddr_in = unsafe { mem::zeroed() };
    let mut from_size = mem::size_of_val(&from) as libc::socklen_t;
    // SAFETY: buffer and address are ours, with their true sizes.
    let length = unsafe {
        libc::recvfrom(
            fd,
            datagram.as_mut_ptr().cast(),
            datagram.len(),
            libc::MSG_DONTWAIT,
            (&raw mut from).cast(),
            &mut from_size,
        )
    };
    if let Ok(length) = usize::try_from(length) {
        // SAFETY: `length` bytes of the buffer were just filled, and so was the address.
        unsafe {
            libc::sendto(
                fd,
                datagram.as_ptr().cast(),
                length,
                0,
                (&raw const from).cast(),
                from_size,
            )
        };
    }
}

fn response(request: &str, headers: &str, body: &str) -> String {
    let copied: String = ["Via", "From", "Call-ID", "CSeq"]
        .iter()
        .map(|name| sip_text::header_lines(request, name))
        .collect();
    let to = sip_text::header(request, "To").unwrap_or_default();
    let tag = if to.contains("tag=") {
        ""
    } else {
        ";tag=floor"
    };
    format!(
        "SIP/2.0 200 OK\r\n{copied}To: {to}{tag}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
