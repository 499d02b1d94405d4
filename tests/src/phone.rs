//! A telephone for tests that need to hold one call and look at single messages: literal SIP over a blocking socket,
//! every wait with a deadline.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::ports::PortBlock;
use crate::sip_text::{self, Caller};

/// How long a healthy peer on loopback may take for any answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// One caller with a SIP socket and an RTP socket of its own.
#[derive(Debug)]
pub struct Phone {
    /// What it says.
    pub caller: Caller,
    sip: UdpSocket,
    rtp: UdpSocket,
    _ports: PortBlock,
}

impl Phone {
    /// A phone that will call `user` at `target`; `call_id` names its one call.
    ///
    /// # Errors
    /// When no ports are free.
    pub fn new(target: SocketAddr, user: &str, call_id: &str) -> io::Result<Self> {
        let here = [Ipv4Addr::LOCALHOST; 2];
        Self::between(here, target, user, call_id)
    }

    /// The same at addresses of loopback of its own: the first is where it signals from, the second where its audio is.
    ///
    /// # Errors
    /// When no ports are free.
    pub fn between(
        addresses: [Ipv4Addr; 2],
        target: SocketAddr,
        user: &str,
        call_id: &str,
    ) -> io::Result<Self> {
        let ports = PortBlock::take(8)?;
        let sip = UdpSocket::bind((addresses[0], ports.port(1)))?;
        let rtp = UdpSocket::bind((addresses[1], ports.port(2)))?;
        let caller = Caller::new(sip.local_addr()?, target, user, call_id.to_owned());
        Ok(Self {
            caller,
            sip,
            rtp,
            _ports: ports,
        })
    }

    /// Calls, and acknowledges whatever final answer comes. Gives that answer.
    ///
    /// # Errors
    /// When none comes within five seconds.
    pub fn call(&mut self) -> io::Result<String> {
        self.call_with("")
    }

    /// The same, with header lines in the INVITE that others do not have.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn call_with(&mut self, lines: &str) -> io::Result<String> {
        let invite = self.caller.invite(self.rtp.local_addr()?);
        self.place(&invite.replacen("From:", &format!("{lines}From:"), 1))
    }

    /// Calls with an offer of PCMU alone: no telephone-event.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn call_without_events(&mut self) -> io::Result<String> {
        let offer: String = sip_text::pcmu_offer(self.rtp.local_addr()?)
            .replace(" 0 101", " 0")
            .split_inclusive("\r\n")
            .filter(|line| !line.contains(":101 "))
            .collect();
        self.place(&self.caller.request("INVITE", 1, "1", &offer))
    }

    fn place(&mut self, invite: &str) -> io::Result<String> {
        self.send(invite)?;
        let answer = self.final_answer("INVITE")?;
        self.caller.learn(&answer);
        if sip_text::status(&answer).is_some_and(|status| status < 300) {
            self.send(&self.caller.ack())?;
            if let Some(media) = sip_text::media_address(&answer) {
                self.rtp.connect(media)?;
            }
        } else {
            self.caller.contact = None;
            self.caller.route.clear();
            self.send(&self.caller.ack_refusal())?;
        }
        Ok(answer)
    }

    /// Hangs up and gives the answer to the BYE.
    ///
    /// # Errors
    /// When none comes within five seconds.
    pub fn hang_up(&mut self) -> io::Result<String> {
        self.send(&self.caller.bye())?;
        self.final_answer("BYE")
    }

    /// Waits for the far end to hang up, and answers its BYE.
    ///
    /// # Errors
    /// `TimedOut` when no BYE comes within `limit`.
    pub fn answer_bye(&self, limit: Duration) -> io::Result<()> {
        let bye = self.request("BYE", limit)?;
        self.send(&sip_text::ok(&bye))
    }

    /// Waits for a request of the far end's, passing over everything else, and leaves its answer to the caller.
    ///
    /// # Errors
    /// `TimedOut` when none comes within `limit`.
    pub fn request(&self, method: &str, limit: Duration) -> io::Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            let message = self.receive(deadline)?;
            if sip_text::status(&message).is_none() && sip_text::method(&message) == Some(method) {
                return Ok(message);
            }
        }
    }

    /// Sends one SIP message.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn send(&self, message: &str) -> io::Result<()> {
        self.sip
            .send_to(message.as_bytes(), self.caller.target)
            .map(|_| ())
    }

    /// Waits for the final answer to a request of `method`, passing over everything else.
    ///
    /// # Errors
    /// `TimedOut` after five seconds.
    pub fn final_answer(&self, method: &str) -> io::Result<String> {
        loop {
            let answer = self.next_final_answer()?;
            if sip_text::method(&answer) == Some(method) {
                return Ok(answer);
            }
        }
    }

    /// Waits for a final answer to any request, passing over requests and provisional answers.
    ///
    /// # Errors
    /// `TimedOut` after five seconds.
    pub fn next_final_answer(&self) -> io::Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let message = self.receive(deadline)?;
            if sip_text::status(&message).is_some_and(|status| status >= 200) {
                return Ok(message);
            }
        }
    }

    /// Whether nothing of our call has come so far.
    pub fn hears_nothing(&self) -> bool {
        self.receive(Instant::now() + Duration::from_millis(1))
            .is_err()
    }

    /// The next message of our call. Whoever had these ports before may still be sent something.
    fn receive(&self, deadline: Instant) -> io::Result<String> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
        let mut buffer = [0; 8_192];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(late());
            }
            self.sip.set_read_timeout(Some(left))?;
            match self.sip.recv(&mut buffer) {
                Ok(length) => {
                    let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    if sip_text::header(&message, "Call-ID") == Some(&self.caller.call_id) {
                        return Ok(message);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(late()),
                Err(error) => return Err(error),
            }
        }
    }

    /// The socket its audio comes to; connected to the peer's once a call is up.
    pub fn rtp(&self) -> &UdpSocket {
        &self.rtp
    }
}
