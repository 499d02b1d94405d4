//! RTP: datagrams to a leg from the far end and from strangers, and to a receiver alone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use offhook_media::bridge::{BridgeEnd, bridge};
use offhook_media::codec::{Codec, CodecKind, PayloadType};
use offhook_media::control::{Digit, LegCommand};
use offhook_media::leg::{InBandDigits, Leg, LegConfig};
use offhook_media::mixer::BusBounds;
use offhook_media::receiver::{FrameOrigin, Receiver, ReceiverConfig};
use offhook_media::sdp::{Direction, Negotiated, RtcpPath};
use offhook_media::sender::StreamStart;
use offhook_media::telephone_event::TelephoneEvent;
use rtp_rs::RtpReader;

use crate::script::Script;
use crate::{far_end, stranger};

/// The most events a leg keeps for its session.
const EVENTS: usize = 128;
/// The largest datagram a leg sends.
const LARGEST_DATAGRAM: usize = 1_500;
/// The longest playout delay that is ever aimed at, in milliseconds.
const LONGEST_DELAY_MS: u32 = 200;

/// The first byte says which codec and what kind of leg; its upper bit, that it is about a receiver alone.
pub fn rtp(input: &[u8]) {
    let mut script = Script::new(input);
    let Some(flags) = script.byte() else {
        return;
    };
    match flags & 0x80 {
        0 => drop(leg_among_strangers(flags, script)),
        _ => {
            let mut receiver = Receiver::new(ReceiverConfig::new(codec(flags), digits(flags)))
                .expect("there is memory");
            let now = Instant::now();
            let now = receive(&mut receiver, script, flags, now);
            hears_the_far_end_again(&mut receiver, flags, now);
        }
    }
}

pub(crate) fn codec(flags: u8) -> Codec {
    Codec::new(CodecKind::ALL[usize::from(flags & 0x07) % CodecKind::ALL.len()])
}

fn digits(flags: u8) -> Option<TelephoneEvent> {
    let payload_type = PayloadType::new(101)?;
    (flags & 0x08 != 0).then_some(TelephoneEvent {
        payload_type_send: payload_type,
        payload_type_receive: payload_type,
        clock_rate_hz: codec(flags).clock_rate_hz(),
    })
}

pub(crate) fn leg(flags: u8, now: Instant) -> Leg {
    let config = LegConfig {
        codec: codec(flags),
        telephone_event: digits(flags),
        also_accepted: Vec::new(),
        remote: Some(far_end()),
        rtcp: rtcp_path(flags),
        direction: Direction::SendReceive,
        srtp: None,
        stream: StreamStart {
            ssrc: 0xA11CE,
            sequence: 65_500,
            timestamp: u32::MAX - 1_000,
        },
        voice_activity: flags & 0x20 != 0,
        echo_guard: flags & 0x40 != 0,
        in_band_digits: match flags & 0x40 {
            0 => InBandDigits::Never,
            _ => InBandDigits::Always,
        },
        call_tones: flags & 0x40 != 0,
        no_media_timeout: None,
        bounds: BusBounds::default(),
    };
    Leg::new(config, now).expect("there is memory")
}

fn rtcp_path(flags: u8) -> RtcpPath {
    match flags & 0x10 {
        0 => RtcpPath::Multiplexed,
        _ => RtcpPath::Apart { port: 40_001 },
    }
}

/// An RTP header, and what follows it.
pub(crate) fn packet(
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    payload: &[u8],
) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend(sequence.to_be_bytes());
    packet.extend(timestamp.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

/// What only the far end knows is its SSRC, so the two have none in common: the lowest bit tells them apart.
fn with_parity(datagram: &[u8], parity: u8) -> Vec<u8> {
    let mut datagram = datagram.to_vec();
    if let Some(byte) = datagram.get_mut(11) {
        *byte = *byte & 0xFE | parity;
    }
    datagram
}

struct Scene {
    leg: Leg,
    now: Instant,
    codec: Codec,
    flags: u8,
    sequence: u16,
    timestamp: u32,
    direction: Direction,
    /// The end of the bridge that the leg does not have.
    other: Option<BridgeEnd>,
    /// Whether the far end has spoken from where SDP says it is: from then on nobody can take its place.
    settled: bool,
}

fn leg_among_strangers(flags: u8, mut script: Script<'_>) -> Option<()> {
    let now = Instant::now();
    let mut scene = Scene {
        leg: leg(flags, now),
        now,
        codec: codec(flags),
        flags,
        sequence: 10,
        timestamp: 0,
        direction: Direction::SendReceive,
        other: None,
        settled: false,
    };
    while let Some(step) = script.byte() {
        match step & 0x07 {
            0 => scene.far_end_sends(&with_parity(script.piece()?, 0)),
            1 => scene.stranger_sends(step, &with_parity(script.piece()?, 1)),
            2 => {
                let (ahead, later) = (script.byte()?, script.word()?);
                scene.sequence = scene.sequence.wrapping_add_signed(i16::from(ahead as i8));
                scene.timestamp = scene.timestamp.wrapping_add(u32::from(later));
                let payload_type = scene.codec.payload_type_receive.get();
                let payload_type = if step & 0x08 != 0 { 101 } else { payload_type };
                let payload = script.piece()?;
                let (sequence, timestamp) = (scene.sequence, scene.timestamp);
                let packet = packet(payload_type, sequence, timestamp, 0xBEEE, payload);
                scene.far_end_sends(&packet);
            }
            3 => (0..script.byte()? & 0x1F).for_each(|_| scene.tick()),
            4 => scene.now += Duration::from_millis(u64::from(script.word()?)),
            5 => scene.renegotiate(script.byte()?),
            6 => {
                let code = script.byte()?;
                if let Some(digit) = Digit::from_event(code & 0x0F) {
                    let duration_ms = u32::from(code) * 4;
                    scene
                        .leg
                        .handle_command(LegCommand::Press { digit, duration_ms });
                }
                scene
                    .leg
                    .handle_command(LegCommand::Loopback(code & 0x80 != 0));
            }
            _ => {
                let from = if step & 0x08 == 0 {
                    far_end()
                } else {
                    stranger()
                };
                let before = scene.leg.statistics();
                scene.leg.handle_rtcp(script.piece()?, from, scene.now);
                if from == stranger() {
                    let after = scene.leg.statistics();
                    assert_eq!(after.remote, before.remote);
                    if scene.settled {
                        assert_eq!(after.rtcp.received, before.rtcp.received);
                    }
                }
            }
        }
        scene.check();
    }
    Some(())
}

impl Scene {
    fn far_end_sends(&mut self, datagram: &[u8]) {
        self.leg.handle_datagram(datagram, far_end(), self.now);
        let expected = RtpReader::new(datagram).is_ok_and(|packet| {
            packet.payload_type() == self.codec.payload_type_receive.get()
                && !offhook_media::rtcp::is_rtcp(datagram)
        });
        self.settled |= expected && self.direction.receives();
    }

    fn stranger_sends(&mut self, step: u8, datagram: &[u8]) {
        // A neighbour behind the far end's NAT is a stranger too; but its RTCP may be about the far end's stream.
        let neighbour = SocketAddr::new(far_end().ip(), 50_000);
        let is_neighbour = step & 0x08 != 0 && !offhook_media::rtcp::is_rtcp(datagram);
        let from = if is_neighbour { neighbour } else { stranger() };
        let before = self.leg.statistics();
        self.leg.handle_datagram(datagram, from, self.now);
        if self.settled {
            let after = self.leg.statistics();
            assert_eq!(after.remote, Some(far_end()));
            assert_eq!(after.receiver, before.receiver);
            assert_eq!(after.rtcp.received, before.rtcp.received);
            let turned_away =
                |it: &offhook_media::leg::LegStatistics| it.from_elsewhere + it.unwanted;
            assert_eq!(
                turned_away(&after) + after.rtcp.refused,
                turned_away(&before) + before.rtcp.refused + 1,
                "it is counted once"
            );
        }
    }

    fn tick(&mut self) {
        let remote = self.leg.statistics().remote;
        if let Some((datagram, to)) = self.leg.tick(self.now) {
            assert_eq!(Some(to), remote);
            assert!(self.direction.sends());
            assert!(datagram.len() <= LARGEST_DATAGRAM);
            let packet = RtpReader::new(datagram).expect("what is sent is RTP");
            let payload_type = packet.payload_type();
            assert!(payload_type == self.codec.payload_type_send.get() || payload_type == 101);
            assert!(!packet.payload().is_empty());
        }
        if self.leg.is_report_due(self.now)
            && let Some(report) = self.leg.make_report(self.now)
        {
            assert_eq!(Some(report.to.ip()), remote.map(|remote| remote.ip()));
            assert!(offhook_media::rtcp::is_rtcp(report.bytes));
        }
        self.drain();
        self.now += Duration::from_millis(10);
    }

    fn drain(&mut self) {
        let events = std::iter::from_fn(|| self.leg.poll_event()).count();
        assert!(events <= EVENTS);
    }

    fn renegotiate(&mut self, how: u8) {
        let kinds = CodecKind::ALL;
        self.codec = Codec::new(kinds[usize::from(how >> 4) % kinds.len()]);
        // Joined to another leg, with its agent or without, or to none.
        let other = bridge(self.leg.sample_rate_hz(), 16_000, how & 0x10 != 0);
        let (end, other) = other.expect("telephones' rates");
        self.other = (how & 0x04 != 0).then_some(other);
        let end = self.other.is_some().then(|| Box::new(end));
        self.leg.handle_command(LegCommand::Bridge(end));
        self.direction = [
            Direction::SendReceive,
            Direction::SendOnly,
            Direction::ReceiveOnly,
            Direction::Inactive,
        ][usize::from(how & 3)];
        let agreed = Negotiated {
            codec: self.codec,
            telephone_event: digits(self.flags),
            remote: (how & 0x08 == 0).then_some(far_end()),
            rtcp: rtcp_path(self.flags),
            direction: self.direction,
            srtp: None,
            body: Vec::new(),
            another_far_end: false,
        };
        let renegotiated = self.leg.renegotiate(&agreed, self.now);
        renegotiated.expect("any codec may follow any other");
    }

    fn check(&mut self) {
        self.drain();
        let statistics = self.leg.statistics();
        assert_eq!(statistics.events_lost, 0);
        assert!(statistics.receiver.delay_target_ms <= LONGEST_DELAY_MS);
        if self.settled {
            assert_eq!(statistics.remote, Some(far_end()));
        }
        for mos in [statistics.quality.heard, statistics.quality.sent]
            .into_iter()
            .flatten()
        {
            assert!((1.0..=4.5).contains(&mos.score()), "{mos:?}");
        }
    }
}

/// Packets and time for a receiver, whose stream's SSRC is 0x1234 where the script does not say otherwise.
fn receive(
    receiver: &mut Receiver,
    mut script: Script<'_>,
    flags: u8,
    mut now: Instant,
) -> Instant {
    let codec = codec(flags);
    let mut frame = vec![0; codec.samples_per_frame() / 2];
    let mut step = || -> Option<()> {
        let kind = script.byte()?;
        match kind & 0x03 {
            0 => {
                let _ = receiver.handle_packet(script.piece()?, now);
            }
            1 => {
                let (sequence, timestamp) = (script.word()?, script.long()?);
                let payload_type = codec.payload_type_receive.get();
                let payload_type = if kind & 0x08 != 0 { 101 } else { payload_type };
                let payload = script.piece()?;
                let packet = packet(payload_type, sequence, timestamp, 0x1234, payload);
                let _ = receiver.handle_packet(&packet, now);
            }
            2 => {
                for _ in 0..script.byte()? & 0x1F {
                    receiver.pull(&mut frame, now);
                    now += Duration::from_millis(10);
                }
            }
            _ => now += Duration::from_millis(u64::from(script.word()?)),
        }
        while receiver.poll_digit().is_some() {}
        assert!(receiver.statistics().delay_target_ms <= LONGEST_DELAY_MS);
        Some(())
    };
    while step().is_some() {}
    now
}

/// Whatever came before: a far end that speaks properly is heard after two seconds, in its old stream (whose numbers and
/// clock have gone on) or in a new one.
fn hears_the_far_end_again(receiver: &mut Receiver, flags: u8, mut now: Instant) {
    let codec = codec(flags);
    let ssrc = if flags & 0x40 == 0 { 0x1234 } else { 0x4321 };
    let payload = payload(codec.kind);
    let mut frame = vec![0; codec.samples_per_frame() / 2];
    let (mut sequence, mut timestamp) = (65_450_u16, u32::MAX - 5_000);
    let mut played = 0;
    for n in 0..200 {
        let payload_type = codec.payload_type_receive.get();
        let packet = packet(payload_type, sequence, timestamp, ssrc, &payload);
        let _ = receiver.handle_packet(&packet, now);
        for _ in 0..2 {
            let origin = receiver.pull(&mut frame, now);
            played += usize::from(n >= 100 && origin == FrameOrigin::Played);
            now += Duration::from_millis(10);
        }
        sequence = sequence.wrapping_add(1);
        timestamp = timestamp.wrapping_add(codec.timestamp_step());
    }
    assert!(played > 180, "{played} of 200 frames are played");
}

/// 20 ms that a decoder takes.
fn payload(kind: CodecKind) -> Vec<u8> {
    match kind {
        CodecKind::Pcmu | CodecKind::Pcma => vec![0x5A; 160],
        CodecKind::G722 => vec![0xFA; 160],
        // A frame of SILK at 16 kHz, 20 ms (RFC 6716 section 3.1), and bytes that any decoder reads as something.
        CodecKind::Opus => [&[0x48][..], &[0x3C; 40]].concat(),
        CodecKind::L16Narrowband => vec![0x11; 320],
        CodecKind::L16Wideband => vec![0x11; 640],
    }
}
