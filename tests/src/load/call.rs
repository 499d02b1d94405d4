//! One call of the load: its SIP state, its frames out, its count of what came back.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use offhook_media::srtp::SrtpSender;

use super::format::Format;
use super::sockets::real_time_ns;
use super::talker::{Talker, is_audible};
use super::{FRAME_NS, Window};
use crate::sip_text::{self, Caller};

/// An unanswered request is repeated this often. RFC 3261's doubling is not needed for the few that loopback loses.
const RESEND_NS: u64 = 500_000_000;
/// The longest packet we send: a frame, and what protects it.
const PACKET: usize = 600;
/// The fixed part of an RTP packet (RFC 3550 5.1).
const RTP_HEADER: usize = 12;

/// Where a call stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Inviting { resend_ns: u64 },
    Up { next_send_ns: u64 },
    Leaving { resend_ns: u64 },
    Over,
    Failed(String),
}

impl State {
    /// Answered or given up: set-up need not wait for it.
    pub(super) fn is_settled(&self) -> bool {
        match self {
            Self::Waiting | Self::Inviting { .. } => false,
            Self::Up { .. } | Self::Leaving { .. } | Self::Over | Self::Failed(_) => true,
        }
    }

    /// Ended, one way or the other.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Waiting | Self::Inviting { .. } | Self::Up { .. } | Self::Leaving { .. } => false,
            Self::Over | Self::Failed(_) => true,
        }
    }
}

#[derive(Debug)]
pub(super) struct LoadCall {
    pub(super) state: State,
    pub(super) was_up: bool,
    pub(super) remote_media: Option<SocketAddr>,
    pub(super) rtp: UdpSocket,
    pub(super) counts: Counts,
    _rtcp: UdpSocket,
    caller: Caller,
    index: usize,
    phase_ns: u64,
    frames_sent: usize,
    format: Format,
    protection: Option<SrtpSender>,
    packet: Box<[u8; PACKET]>,
}

impl LoadCall {
    /// Call `index` of `of`: its phase is its share of a frame, so that all together send evenly.
    pub(super) fn new(
        caller: Caller,
        rtp: UdpSocket,
        rtcp: UdpSocket,
        format: Format,
        index: usize,
        of: usize,
    ) -> Self {
        let mut packet = Box::new([0; PACKET]);
        packet[0] = 0x80;
        packet[8..12].copy_from_slice(&(0x0ff0_0000 | index as u32).to_be_bytes());
        Self {
            state: State::Waiting,
            was_up: false,
            remote_media: None,
            rtp,
            counts: Counts::default(),
            _rtcp: rtcp,
            caller,
            index,
            phase_ns: FRAME_NS * index as u64 / of as u64,
            frames_sent: 0,
            format,
            protection: format.protection(index),
            packet,
        }
    }

    pub(super) fn invite(&mut self, sip: &UdpSocket, now_ns: u64) -> io::Result<()> {
        self.state = State::Inviting { resend_ns: now_ns };
        self.resend(sip, now_ns)
    }

    /// Hangs up if the call is up.
    pub(super) fn bye(&mut self, sip: &UdpSocket, now_ns: u64) -> io::Result<()> {
        if let State::Up { .. } = self.state {
            self.state = State::Leaving { resend_ns: now_ns };
            self.resend(sip, now_ns)?;
        }
        Ok(())
    }

    /// Sends (again) the request that waits for an answer.
    pub(super) fn resend(&mut self, sip: &UdpSocket, now_ns: u64) -> io::Result<()> {
        let (request, resend_ns) = match &mut self.state {
            State::Inviting { resend_ns } => {
                let offer = self.format.offer(self.rtp.local_addr()?, self.index);
                (self.caller.request("INVITE", 1, "1", &offer), resend_ns)
            }
            State::Leaving { resend_ns } => (self.caller.bye(), resend_ns),
            State::Waiting | State::Up { .. } | State::Over | State::Failed(_) => return Ok(()),
        };
        *resend_ns = now_ns + RESEND_NS;
        sip.send_to(request.as_bytes(), self.caller.target)
            .map(|_| ())
    }

    /// Marks a call that is still waiting for something as failed.
    pub(super) fn give_up(&mut self, reason: &str) {
        match self.state {
            State::Waiting | State::Inviting { .. } | State::Leaving { .. } => {
                self.state = State::Failed(reason.to_owned());
            }
            State::Up { .. } | State::Over | State::Failed(_) => {}
        }
    }

    /// Handles a SIP message of this call.
    pub(super) fn take_sip(
        &mut self,
        sip: &UdpSocket,
        message: &str,
        now_ns: u64,
        started_ns: u64,
    ) -> io::Result<()> {
        let target = self.caller.target;
        match (sip_text::status(message), sip_text::method(message)) {
            (Some(100..200), _) => Ok(()),
            (Some(200..300), Some("INVITE")) => {
                if let State::Inviting { .. } = self.state {
                    self.caller.learn(message);
                    self.answered(sip_text::media_address(message), now_ns, started_ns)?;
                }
                sip.send_to(self.caller.ack().as_bytes(), target)
                    .map(|_| ())
            }
            (Some(status), Some("INVITE")) => {
                self.caller.to = sip_text::header(message, "To").map(str::to_owned);
                self.state = State::Failed(format!("INVITE answered with {status}"));
                sip.send_to(self.caller.ack_refusal().as_bytes(), target)
                    .map(|_| ())
            }
            (Some(200..300), Some("BYE")) => {
                self.state = State::Over;
                Ok(())
            }
            (Some(status), _) => {
                self.state = State::Failed(format!("BYE answered with {status}"));
                Ok(())
            }
            (None, Some("BYE")) => {
                if let State::Up { .. } = self.state {
                    self.state = State::Failed("ended by the peer".to_owned());
                }
                sip.send_to(ok_for(message).as_bytes(), target).map(|_| ())
            }
            (None, _) => Ok(()),
        }
    }

    fn answered(
        &mut self,
        media: Option<SocketAddr>,
        now_ns: u64,
        started_ns: u64,
    ) -> io::Result<()> {
        let Some(media) = media else {
            self.state = State::Failed("answer without audio".to_owned());
            return Ok(());
        };
        self.rtp.connect(media)?;
        self.remote_media = Some(media);
        self.was_up = true;
        let frames = (now_ns - started_ns) / FRAME_NS + 1;
        self.state = State::Up {
            next_send_ns: started_ns + frames * FRAME_NS + self.phase_ns,
        };
        Ok(())
    }

    /// Sends the frame that is due at `next_send_ns`; when more than one is overdue, the others follow in later slots.
    pub(super) fn send_frame(&mut self, talker: &Talker, now_ns: u64, window: &mut Window) {
        let State::Up { next_send_ns } = &mut self.state else {
            return;
        };
        let due_ns = *next_send_ns;
        *next_send_ns += FRAME_NS;
        let n = self.frames_sent;
        self.frames_sent += 1;
        // Each caller is somewhere else in the loop: 137 has no factor in common with the loop's 500 frames.
        let (payload, is_speech) = talker.frame(self.index * 137, n);
        let is_voice = self.format.is_readable() && is_audible(payload);
        let marker = if n == 0 { 0x80 } else { 0 };
        let number = self.format.codec().payload_type_send.get();
        let timestamp = (n as u32).wrapping_mul(self.format.timestamp_step());
        self.packet[1] = marker | number;
        self.packet[2..4].copy_from_slice(&(n as u16).to_be_bytes());
        self.packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
        let mut length = RTP_HEADER + payload.len();
        self.packet[RTP_HEADER..length].copy_from_slice(payload);
        if let Some(protection) = &mut self.protection {
            let protected = protection.protect_rtp(&mut self.packet[..], length);
            length = protected.ok().flatten().unwrap_or(length);
        }
        let sent = self.rtp.send(&self.packet[..length]).is_ok();
        if window.open {
            window.late.add(now_ns - due_ns);
            window.sent += u64::from(sent);
            window.not_sent += u64::from(!sent);
            window.speech_sent += u64::from(sent && is_speech);
            window.unheeded += u64::from(self.counts.talked_over.note_own(is_speech));
            window.unanswered += u64::from(self.counts.asking.note_own(is_speech, is_voice));
        }
    }

    pub(super) fn forget_counts(&mut self) {
        self.counts = Counts::default();
    }
}

/// The peer's packets of one call, by sequence number and arrival.
#[derive(Debug, Default)]
pub(super) struct Counts {
    last_arrival_ns: Option<u64>,
    first_to_highest: Option<(u64, u64)>,
    received: u64,
    talked_over: TalkedOver,
    asking: Asking,
}

/// Whether and when the peer falls silent because we speak.
#[derive(Debug, Default)]
struct TalkedOver {
    /// When our talkspurt began, by the real-time clock that stamps arrivals, while the peer was talking.
    began_ns: Option<u64>,
    speaking: bool,
    /// When the peer's last packet with sound came.
    last_audible_ns: u64,
}

/// Whether a caller who has finished has been answered.
#[derive(Debug, Default)]
struct Asking {
    speaking: bool,
    /// When our last packet with voice went, by the clock that stamps arrivals.
    last_voice_ns: u64,
    /// The same of a talkspurt that has ended and has no answer yet.
    waits_since_ns: Option<u64>,
}

impl Asking {
    /// Notes a packet of ours; answers whether the talkspurt before it had no answer.
    fn note_own(&mut self, is_speech: bool, is_audible: bool) -> bool {
        let began = is_speech && !self.speaking;
        let ended = self.speaking && !is_speech;
        self.speaking = is_speech;
        if is_speech && is_audible {
            self.last_voice_ns = real_time_ns();
        }
        if ended {
            self.waits_since_ns = Some(self.last_voice_ns);
        }
        began && self.waits_since_ns.take().is_some()
    }

    /// How long the answer took that this packet begins.
    fn note_theirs(&mut self, audible: bool, arrival_ns: u64) -> Option<u64> {
        let since_ns = self.waits_since_ns.take_if(|_| audible)?;
        Some(arrival_ns.saturating_sub(since_ns))
    }
}

/// A peer without sound for so long has fallen silent; with sound within so long it was talking.
const SILENT_NS: u64 = 200_000_000;

impl TalkedOver {
    /// Notes a packet of ours; answers whether it ends a talkspurt that the peer did not heed.
    fn note_own(&mut self, is_speech: bool) -> bool {
        if is_speech == self.speaking {
            return false;
        }
        let now_ns = real_time_ns();
        self.speaking = is_speech;
        if !is_speech {
            // Who was talking all the while has not been heeded.
            return self.began_ns.take().is_some();
        }
        let talking = now_ns.saturating_sub(self.last_audible_ns) < SILENT_NS;
        self.began_ns = talking.then_some(now_ns);
        false
    }

    /// How long it took, when that is known.
    fn note_theirs(&mut self, audible: bool, arrival_ns: u64) -> Option<u64> {
        if audible {
            self.last_audible_ns = arrival_ns;
            return None;
        }
        self.began_ns
            .filter(|_| arrival_ns.saturating_sub(self.last_audible_ns) >= SILENT_NS)?;
        let began_ns = self.began_ns.take()?;
        Some(self.last_audible_ns.saturating_sub(began_ns))
    }
}

impl Counts {
    pub(super) fn take_rtp(
        &mut self,
        bytes: &[u8],
        arrival_ns: u64,
        format: Format,
        window: &mut Window,
    ) {
        let Some((header, payload)) = bytes.split_at_checked(RTP_HEADER) else {
            return;
        };
        if !window.open || header[0] >> 6 != 2 {
            return;
        }
        if let Some(last_ns) = self.last_arrival_ns.replace(arrival_ns) {
            window.gaps.add(arrival_ns.saturating_sub(last_ns));
        }
        let sequence = u16::from_be_bytes([header[2], header[3]]);
        self.first_to_highest = Some(match self.first_to_highest {
            // Room below for packets that overtook the first one.
            None => (
                0x1_0000 + u64::from(sequence),
                0x1_0000 + u64::from(sequence),
            ),
            Some((first, highest)) => {
                let step = i64::from(sequence.wrapping_sub(highest as u16) as i16);
                (first, highest.max(highest.saturating_add_signed(step)))
            }
        });
        self.received += 1;
        window.received += 1;
        let audible = format.is_readable() && is_audible(payload);
        window.audible += u64::from(audible);
        if let Some(took_ns) = self.talked_over.note_theirs(audible, arrival_ns) {
            window.fell_silent.add(took_ns);
        }
        if let Some(took_ns) = self.asking.note_theirs(audible, arrival_ns) {
            let known_ns = window.answer_waits.as_nanos() as u64;
            window.answered.add(took_ns.saturating_sub(known_ns));
        }
    }

    /// Sequence numbers between the first and the highest that never came.
    pub(super) fn missing(&self) -> u64 {
        self.first_to_highest.map_or(0, |(first, highest)| {
            (highest - first + 1).saturating_sub(self.received)
        })
    }
}

/// 200 for a request, with the headers RFC 3261 8.2.6.2 wants copied.
fn ok_for(request: &str) -> String {
    let copied: String = ["Via", "From", "To", "Call-ID", "CSeq"]
        .iter()
        .map(|name| sip_text::header_lines(request, name))
        .collect();
    format!("SIP/2.0 200 OK\r\n{copied}Content-Length: 0\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16) -> [u8; RTP_HEADER + 1] {
        let [high, low] = sequence.to_be_bytes();
        [0x80, 0, high, low, 0, 0, 0, 0, 0, 0, 0, 1, 0xff]
    }

    #[test]
    fn an_answer_is_the_first_sound_after_the_last_voice_and_none_is_counted_once() {
        let mut asking = Asking::default();
        assert!(!asking.note_own(true, true));
        assert_eq!(asking.note_theirs(true, 0), None, "the caller still speaks");
        assert!(!asking.note_own(false, false));
        let voice_ns = asking.last_voice_ns;
        assert_eq!(asking.note_theirs(false, voice_ns + 1), None);
        assert_eq!(asking.note_theirs(true, voice_ns + 5), Some(5));
        assert_eq!(asking.note_theirs(true, voice_ns + 9), None);
        assert!(!asking.note_own(true, true));
        assert!(!asking.note_own(false, false));
        assert!(asking.note_own(true, true), "nobody answered");
    }

    #[test]
    fn a_missing_packet_is_counted_across_the_wrap_and_a_late_one_is_not_missing() {
        let mut window = Window {
            open: true,
            ..Window::default()
        };
        let mut counts = Counts::default();
        for (n, sequence) in [65_533, 65_534, 0, 65_535, 1, 3].into_iter().enumerate() {
            counts.take_rtp(
                &packet(sequence),
                n as u64 * FRAME_NS,
                Format::Pcmu,
                &mut window,
            );
        }
        assert_eq!(
            (counts.missing(), window.received, window.gaps.total()),
            (1, 6, 5)
        );
    }
}
