//! A leg's RTCP: whose packets are taken, and where ours go.
//!
//! RTCP has no lock of its own. It belongs to the far end when it comes from RTP's address, which has proved itself; the
//! port may be another. What a far end says must besides be about its stream or ours, both of which a stranger would
//! have to guess.
//!
//! RTCP does not keep a call alive: a far end that reports and says nothing is as silent as one that is gone.

use std::net::SocketAddr;
use std::time::Instant;

use super::Leg;
use super::protection::Protection;
use crate::rtcp::{self, Facts};
use crate::sdp::RtcpPath;

/// A sequence number of ours so far back may still be on its way: ten seconds of the shortest packets.
const STILL_ON_ITS_WAY: u16 = 1_000;

/// An RTCP packet to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtcpDatagram<'a> {
    /// The compound packet.
    pub bytes: &'a [u8],
    /// Where it goes.
    pub to: SocketAddr,
    /// Whether it leaves by RTP's socket.
    pub multiplexed: bool,
}

impl Leg {
    /// Takes a datagram from the leg's RTCP socket.
    pub fn handle_rtcp(&mut self, bytes: &[u8], from: SocketAddr, arrival: Instant) {
        let destination = self.far_end.destination();
        if destination.is_none_or(|address| address.ip() != from.ip()) {
            self.rtcp.refuse();
            return;
        }
        let bytes = match &mut self.protection {
            Some(protection) => match protection.open_report(bytes) {
                Some(opened) => opened,
                None => return,
            },
            None => bytes,
        };
        let Ok(heard) = rtcp::read(bytes, self.rtcp.us()) else {
            self.rtcp.refuse();
            return;
        };
        // The far end before this one may be at the same address (a border controller's), and says goodbye.
        let is_departeds = |sender| self.far_end.has_departed(sender);
        if heard.sender.is_some_and(is_departeds) {
            self.rtcp.refuse();
            return;
        }
        let stream = self.inbound.receiver.stream().map(|stream| stream.ssrc);
        let expected = Some(from) == self.rtcp_destination();
        let proven = heard.about_us.is_some() || (stream.is_some() && heard.sender == stream);
        if !expected && !proven {
            self.rtcp.refuse();
            return;
        }
        if proven && destination != Some(from) {
            self.rtcp_source = Some(from);
        }
        let clock_rate_hz = self.codec.clock_rate_hz();
        self.rtcp.handle(&heard, stream, clock_rate_hz, arrival);
    }

    /// Whether an RTCP packet is due; to be asked after a tick. Costs one comparison while none is.
    pub fn is_report_due(&mut self, now: Instant) -> bool {
        self.rtcp.is_due(now)
    }

    /// Makes the RTCP packet that is due, whenever that may be; `None` where nobody is known who could have it.
    pub fn make_report(&mut self, now: Instant) -> Option<RtcpDatagram<'_>> {
        let facts = self.facts();
        let Some(to) = self.rtcp_destination() else {
            self.rtcp.pass_over(&facts, now);
            return None;
        };
        let before = self.rtcp.us().ssrc;
        let length = self.rtcp.report(&facts, now);
        let ssrc = self.rtcp.us().ssrc;
        if ssrc != before {
            self.sender.change_ssrc(ssrc);
        }
        let bytes = protected(&mut self.protection, self.rtcp.written(length))?;
        Some(RtcpDatagram {
            bytes,
            to,
            multiplexed: self.rtcp_path == RtcpPath::Multiplexed,
        })
    }

    /// The leg's last packet, with BYE (RFC 3550 section 6.3.7); `None` where nothing was ever sent.
    pub fn goodbye(&mut self, now: Instant) -> Option<RtcpDatagram<'_>> {
        let to = self.rtcp_destination()?;
        let facts = self.facts();
        let bytes = self.rtcp.goodbye(&facts, now)?;
        let bytes = protected(&mut self.protection, bytes)?;
        Some(RtcpDatagram {
            bytes,
            to,
            multiplexed: self.rtcp_path == RtcpPath::Multiplexed,
        })
    }

    pub(super) fn facts(&self) -> Facts {
        Facts {
            codec: self.codec,
            position: self.sender.position(),
            sent: self.sender.sent(),
            stream: self.inbound.receiver.stream(),
            receiver: self.inbound.receiver.statistics(),
        }
    }

    /// Where RTCP goes. On a port of its own to where the far end's comes from; before any came, to where SDP says,
    /// unless RTP showed that the address in SDP is not the far end's.
    fn rtcp_destination(&self) -> Option<SocketAddr> {
        let rtp = self.far_end.destination()?;
        match self.rtcp_path {
            RtcpPath::Multiplexed => Some(rtp),
            RtcpPath::Apart { port } => {
                let learnt = self.rtcp_source.filter(|source| source.ip() == rtp.ip());
                let declared = self.far_end.is_as_declared();
                learnt.or(declared.then(|| SocketAddr::new(rtp.ip(), port)))
            }
        }
    }

    /// RTP came with our SSRC. Where its number is one that we sent lately, it is our own packet: there are far ends
    /// that send back what they get, and they are to go on undisturbed.
    pub(super) fn note_our_ssrc(&mut self, sequence: u16, now: Instant) {
        let back = self.sender.position().sequence.wrapping_sub(sequence);
        if back == 0 || back > STILL_ON_ITS_WAY {
            self.rtcp.collide(now);
        }
    }
}

fn protected<'a>(protection: &'a mut Option<Protection>, report: &'a [u8]) -> Option<&'a [u8]> {
    match protection {
        Some(protection) => protection.seal_report(report),
        None => Some(report),
    }
}
