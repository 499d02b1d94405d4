//! Whom the daemon calls: SIP and RTP by hand.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::daemon::Daemon;
use crate::load::talker::is_audible;
use crate::ports::PortBlock;
use crate::sip_text;
use crate::voice::Voice;

/// Without sources or an extension, as ours are.
const RTP_HEADER: usize = 12;
/// For what happens at once, on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(10);

/// A far end at an address of its own, of one call.
#[derive(Debug)]
pub struct FarEnd {
    sip: UdpSocket,
    rtp: UdpSocket,
    ports: PortBlock,
}

impl FarEnd {
    /// One that waits for a call.
    ///
    /// # Panics
    /// When there are no ports.
    #[must_use]
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let ports = PortBlock::take(8).expect("ports");
        let bind = |n| UdpSocket::bind(ports.address(n)).expect("a socket");
        Self {
            sip: bind(1),
            rtp: bind(2),
            ports,
        }
    }

    /// Where it is called.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.ports.address(1)
    }

    /// Its audio, once [`Self::takes`] has told it where to.
    #[must_use]
    pub fn rtp(&self) -> &UdpSocket {
        &self.rtp
    }

    /// The first packets of audio, at most `count`: how many came within ten seconds, and how many of them can be heard,
    /// while it sends nothing itself.
    ///
    /// # Panics
    /// When the socket cannot be read.
    #[must_use]
    pub fn hears_packets(&self, count: usize) -> (usize, usize) {
        let mut buffer = [0; 2_048];
        let (mut packets, mut audible) = (0, 0);
        self.rtp
            .set_read_timeout(Some(PROMPTLY))
            .expect("a deadline");
        while packets < count {
            let Ok(length) = self.rtp.recv(&mut buffer) else {
                break;
            };
            packets += 1;
            let payload = buffer.get(RTP_HEADER..length).unwrap_or_default();
            audible += usize::from(is_audible(payload));
        }
        (packets, audible)
    }

    /// How many packets of audio come in this time, and how many of them can be heard, while it sends nothing itself.
    ///
    /// # Panics
    /// When the socket cannot be read.
    #[must_use]
    pub fn hears_mutely(&self, time: Duration) -> (usize, usize) {
        let deadline = Instant::now() + time;
        let mut buffer = [0; 2_048];
        let (mut packets, mut audible) = (0, 0);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return (packets, audible);
            }
            self.rtp.set_read_timeout(Some(left)).expect("a deadline");
            if let Ok(length) = self.rtp.recv(&mut buffer) {
                packets += 1;
                let payload = buffer.get(RTP_HEADER..length).unwrap_or_default();
                audible += usize::from(is_audible(payload));
            }
        }
    }

    /// The next request of `method`, passing over everything else.
    ///
    /// # Panics
    /// When none comes within `limit`.
    #[track_caller]
    pub fn request(&self, method: &str, limit: Duration) -> String {
        let message = self.message(limit, |message| {
            sip_text::status(message).is_none() && sip_text::method(message) == Some(method)
        });
        message.unwrap_or_else(|| panic!("{method} did not come"))
    }

    /// The next response to a request of ours.
    #[must_use]
    pub fn response(&self, limit: Duration) -> Option<String> {
        self.message(limit, |message| sip_text::status(message).is_some())
    }

    fn message(&self, limit: Duration, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let deadline = Instant::now() + limit;
        let mut buffer = [0; 8_192];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.sip.set_read_timeout(Some(left)).expect("a deadline");
            let Ok(length) = self.sip.recv(&mut buffer) else {
                continue;
            };
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if wanted(&message) {
                return Some(message);
            }
        }
    }

    /// Answers the daemon's call, and begins to send and to listen.
    ///
    /// # Panics
    /// When there is no call.
    #[track_caller]
    pub fn answers(&self, daemon: &Daemon) -> Voice {
        self.takes(daemon);
        self.request("ACK", PROMPTLY);
        Voice::start(&self.rtp).expect("a voice")
    }

    /// Answers the daemon's call, and no more: it sends nothing. Gives the 200.
    ///
    /// # Panics
    /// When there is no call.
    #[track_caller]
    pub fn takes(&self, daemon: &Daemon) -> String {
        let invite = self.request("INVITE", PROMPTLY);
        let media = sip_text::media_address(&invite).expect("an offer");
        self.rtp.connect(media).expect("connected");
        let sdp = sip_text::pcmu_offer(self.ports.address(2));
        let contact = format!("Contact: <sip:far-end@{}>\r\n", self.address());
        let answer = sip_text::answer(&invite, "200 OK", "far", &contact, &sdp);
        self.says(daemon, &answer);
        answer
    }

    /// Waits until the daemon hangs up, and gives the moment.
    ///
    /// # Panics
    /// When it does not within `limit`.
    #[track_caller]
    pub fn is_hung_up_on(&self, daemon: &Daemon, limit: Duration) -> Instant {
        let bye = self.request("BYE", limit);
        let at = Instant::now();
        self.says(daemon, &sip_text::ok(&bye));
        at
    }

    /// Sends a message.
    ///
    /// # Panics
    /// When the kernel does not take it.
    pub fn says(&self, daemon: &Daemon, message: &str) {
        let sent = self.sip.send_to(message.as_bytes(), daemon.sip());
        sent.expect("sent");
    }
}
