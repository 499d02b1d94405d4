//! SRTP and SRTCP: packets of a known key, whole, altered, repeated and made up.
//!
//! A key that both sides know is no secret from a fuzzer that watches comparisons; the proofs are compared without
//! branches, so it learns nothing from them.

use std::time::{Duration, Instant};

use offhook_media::leg::{Leg, LegConfig};
use offhook_media::rtcp::is_rtcp;
use offhook_media::sdp::{Direction, Negotiated, RtcpPath};
use offhook_media::sender::StreamStart;
use offhook_media::srtp::{
    MAXIMUM_OVERHEAD, MasterKey, SrtpKeys, SrtpReceiver, SrtpSender, SrtpSuite, Unproven,
};

use crate::far_end;
use crate::rtp::{codec, packet};
use crate::script::Script;

const SSRC: u32 = 0xBEEE;

/// The first byte says which suite, and whether a leg stands behind it.
pub fn srtp(input: &[u8]) {
    let mut script = Script::new(input);
    let Some(flags) = script.byte() else {
        return;
    };
    let suite = SrtpSuite::ALL[usize::from(flags & 0x03)];
    match flags & 0x80 {
        0 => drop(alone(suite, script)),
        _ => drop(around_a_leg(suite, script)),
    }
}

fn key(suite: SrtpSuite, seed: u8) -> MasterKey {
    let random = std::array::from_fn(|index| (index as u8).wrapping_mul(7) ^ seed);
    MasterKey::from_random(suite, &random)
}

/// Both sides of one direction.
struct Line {
    sender: SrtpSender,
    receiver: SrtpReceiver,
    /// The last packets that were opened.
    opened: Vec<(bool, Vec<u8>)>,
    sequence: u16,
}

impl Line {
    /// Protects; `None` where the bytes are no packet.
    fn protected(&mut self, plain: &[u8], is_report: bool) -> Option<Vec<u8>> {
        let mut buffer = plain.to_vec();
        buffer.resize(plain.len() + MAXIMUM_OVERHEAD, 0xEE);
        let protect = match is_report {
            true => SrtpSender::protect_rtcp,
            false => SrtpSender::protect_rtp,
        };
        let length = protect(&mut self.sender, &mut buffer, plain.len())
            .expect("a key lasts longer than a script")?;
        assert!((plain.len() + 4..=plain.len() + MAXIMUM_OVERHEAD).contains(&length));
        buffer.truncate(length);
        Some(buffer)
    }

    fn open(&mut self, packet: &[u8], is_report: bool) -> Result<Vec<u8>, Unproven> {
        let mut buffer = packet.to_vec();
        let length = match is_report {
            true => self.receiver.open_rtcp(&mut buffer)?,
            false => self.receiver.open_rtp(&mut buffer)?,
        };
        assert!(length < packet.len());
        buffer.truncate(length);
        Ok(buffer)
    }
}

/// A packet opens to what it was, once; an altered one never, and it leaves no trace.
fn alone(suite: SrtpSuite, mut script: Script<'_>) -> Option<()> {
    let mut line = Line {
        sender: SrtpSender::new(&key(suite, 1)),
        receiver: SrtpReceiver::new(&key(suite, 1)),
        opened: Vec::new(),
        sequence: script.word()?,
    };
    loop {
        let step = script.byte()?;
        let is_report = step & 0x04 != 0;
        match step & 0x03 {
            0 => {
                let bytes = script.piece()?;
                let opened = line.open(bytes, is_report);
                assert!(
                    opened.is_err() || line.opened.iter().any(|(_, packet)| packet == bytes),
                    "made up and believed"
                );
            }
            1 => {
                let old = usize::from(step >> 3);
                if let Some((is_report, packet)) = line.opened.iter().rev().nth(old).cloned() {
                    let again = line.open(&packet, is_report);
                    assert_eq!(again, Err(Unproven::Replayed));
                }
            }
            kind => {
                line.sequence = line.sequence.wrapping_add(1 + u16::from(step >> 3));
                let payload = script.piece()?;
                let plain = plain(step, line.sequence, payload, is_report);
                let Some(packet) = line.protected(&plain, is_report) else {
                    continue;
                };
                if kind == 3 {
                    let altered = altered(&packet, &mut script)?;
                    if altered != packet {
                        assert!(
                            line.open(&altered, is_report).is_err(),
                            "altered and believed"
                        );
                    }
                }
                assert_eq!(line.open(&packet, is_report), Ok(plain));
                line.opened.push((is_report, packet));
            }
        }
    }
}

/// A packet of ours, with an extension and contributors where the step says so.
fn plain(step: u8, sequence: u16, payload: &[u8], is_report: bool) -> Vec<u8> {
    if is_report {
        let mut report = vec![0x80, 201, 0, 1];
        report.extend(SSRC.to_be_bytes());
        report.extend(payload);
        return report;
    }
    let mut plain = packet(0, sequence, u32::from(sequence) * 160, SSRC, payload);
    // These count bytes of the payload to the header, where there are enough of them.
    if step & 0x40 != 0 {
        plain[0] |= 0x10;
    }
    if step & 0x80 != 0 {
        plain[0] |= 0x02;
    }
    plain
}

/// Cut off, drawn out, or with other bytes somewhere.
fn altered(packet: &[u8], script: &mut Script<'_>) -> Option<Vec<u8>> {
    let how = script.byte()?;
    let at = usize::from(script.word()?) % packet.len();
    let mut altered = packet.to_vec();
    match how & 0x03 {
        0 => altered[at] ^= script.byte()?,
        1 => altered.truncate(at),
        2 => altered.extend(script.piece()?),
        _ => {
            for (byte, other) in altered[at..].iter_mut().zip(script.piece()?) {
                *byte = *other;
            }
        }
    }
    Some(altered)
}

/// A leg that wants its packets protected believes nothing else: what is not proven is counted and moves nothing.
fn around_a_leg(suite: SrtpSuite, mut script: Script<'_>) -> Option<()> {
    let mut now = Instant::now();
    let negotiated = Negotiated {
        codec: codec(0),
        telephone_event: None,
        remote: Some(far_end()),
        rtcp: RtcpPath::Multiplexed,
        direction: Direction::SendReceive,
        srtp: Some(SrtpKeys {
            ours: key(suite, 2),
            theirs: key(suite, 3),
        }),
        body: Vec::new(),
        another_far_end: false,
    };
    let start = StreamStart {
        ssrc: 0xA11CE,
        sequence: 65_530,
        timestamp: 0,
    };
    let config = LegConfig {
        voice_activity: false,
        ..LegConfig::new(&negotiated, start)
    };
    let mut leg = Leg::new(config, now).expect("there is memory");
    let mut ours = SrtpReceiver::new(&key(suite, 2));
    let mut theirs = SrtpSender::new(&key(suite, 3));
    let mut sequence = 0;
    loop {
        let step = script.byte()?;
        match step & 0x03 {
            0 | 1 => {
                let datagram = script.piece()?;
                // One from a stranger, one from the far end's own address: neither has the key.
                let from = match step & 0x01 {
                    0 => far_end(),
                    _ => crate::stranger(),
                };
                let before = leg.statistics();
                leg.handle_datagram(datagram, from, now);
                let after = leg.statistics();
                assert_eq!(after.remote, Some(far_end()));
                assert_eq!(after.receiver, before.receiver);
                assert_eq!(after.rtcp.received, before.rtcp.received);
                let refused_report = is_rtcp(datagram) && from != far_end();
                assert_eq!(after.unproven - before.unproven, u64::from(!refused_report));
            }
            2 => {
                let plain = packet(0, sequence, u32::from(sequence) * 160, SSRC, &[0x55; 160]);
                sequence = sequence.wrapping_add(1);
                let mut packet = [0; 172 + MAXIMUM_OVERHEAD];
                packet[..plain.len()].copy_from_slice(&plain);
                let length = theirs.protect_rtp(&mut packet, plain.len()).ok()??;
                let before = leg.statistics().receiver.received;
                leg.handle_datagram(&packet[..length], far_end(), now);
                assert_eq!(leg.statistics().receiver.received, before + 1);
            }
            _ => {
                for _ in 0..step >> 2 {
                    if let Some((datagram, _)) = leg.tick(now) {
                        let mut packet = datagram.to_vec();
                        assert!(ours.open_rtp(&mut packet).is_ok());
                    }
                    if leg.is_report_due(now)
                        && let Some(report) = leg.make_report(now)
                    {
                        let mut packet = report.bytes.to_vec();
                        assert!(ours.open_rtcp(&mut packet).is_ok());
                    }
                    while leg.poll_event().is_some() {}
                    now += Duration::from_millis(10);
                }
            }
        }
    }
}
