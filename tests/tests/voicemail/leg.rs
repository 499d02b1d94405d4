//! From a callee's line to what a leg of ours notices: packets over a network, in virtual time, into the leg that calls
//! have. Voice activity, tones, jitter buffer and concealment are those of the program.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use offhook_media::codec::{Codec, CodecKind, Encoder};
use offhook_media::control::{LegCommand, LegEvent, ListenMode, Listener};
use offhook_media::leg::{InBandDigits, Leg, LegConfig};
use offhook_media::mixer::BusBounds;
use offhook_media::sdp::{Direction, RtcpPath};
use offhook_media::sender::StreamStart;

use crate::callee::Callee;
use crate::sounds::{Line, Random};

/// What a leg noticed, and what it heard.
pub struct Noticed {
    /// What, with the media time at which it was told, in milliseconds since media was live.
    pub events: Vec<(u64, LegEvent)>,
    /// At 8 kHz, from when media was live.
    pub heard: Vec<i16>,
    /// When media was live, in milliseconds since the callee's line began.
    pub live_ms: u64,
}

const PACKET: usize = 160;
const NETWORK_MS: f64 = 5.0;
const JITTER_MS: f64 = 12.0;

/// Runs the line into a leg.
pub fn notice(callee: &Callee, line: &Line) -> Noticed {
    let far_end = SocketAddr::from(([192, 0, 2, 9], 40_000));
    let kind = callee.condition.codec;
    let beginning = Instant::now();
    let mut leg = Leg::new(config(kind, far_end), beginning).unwrap();
    let (ring, mut heard_ring) = rtrb::RingBuffer::new(line.samples.len() + 8_000);
    leg.handle_command(LegCommand::Listen(Some(Listener {
        ring,
        mode: ListenMode::Always,
    })));
    let mut packets = packets(callee, line).into_iter().peekable();
    let mut noticed = Noticed {
        events: Vec::new(),
        heard: Vec::new(),
        live_ms: 0,
    };
    let mut live_ms = None;
    for slot in 0..line.samples.len() as u64 / 80 {
        let now_ms = slot as f64 * 10.0;
        let at = |ms: f64| beginning + Duration::from_secs_f64(ms / 1_000.0);
        while let Some((arrival, bytes)) = packets.next_if(|(arrival, _)| *arrival <= now_ms) {
            leg.handle_datagram(&bytes, far_end, at(arrival));
        }
        let _sent = leg.tick(at(now_ms));
        while let Some(event) = leg.poll_event() {
            if let LegEvent::Live { at_ms } = event {
                live_ms.get_or_insert(at_ms);
            }
            let Some(live_ms) = live_ms else { continue };
            // Known when the tick is over.
            noticed.events.push((slot * 10 + 10 - live_ms, event));
        }
        let before = noticed.heard.len();
        noticed
            .heard
            .extend(std::iter::from_fn(|| heard_ring.pop().ok()));
        if live_ms.is_none() {
            noticed.heard.truncate(before);
        }
    }
    noticed.live_ms = live_ms.expect("media is live");
    noticed
}

/// RFC 3551.
fn payload_type(kind: CodecKind) -> u8 {
    match kind {
        CodecKind::Pcmu => 0,
        CodecKind::Pcma => 8,
        other => panic!("{other:?} has no number of its own"),
    }
}

fn config(kind: CodecKind, far_end: SocketAddr) -> LegConfig {
    LegConfig {
        codec: Codec::new(kind),
        telephone_event: None,
        also_accepted: Vec::new(),
        remote: Some(far_end),
        rtcp: RtcpPath::Multiplexed,
        direction: Direction::SendReceive,
        srtp: None,
        stream: StreamStart {
            ssrc: 1,
            sequence: 1,
            timestamp: 1,
        },
        voice_activity: true,
        echo_guard: true,
        in_band_digits: InBandDigits::Never,
        call_tones: true,
        no_media_timeout: None,
        bounds: BusBounds::default(),
    }
}

/// The packets that arrive, with their arrival in milliseconds, in that order.
fn packets(callee: &Callee, line: &Line) -> Vec<(f64, Vec<u8>)> {
    let codec = Codec::new(callee.condition.codec);
    let mut encoder = Encoder::new(&codec).unwrap();
    let mut random = Random::new(callee.seed ^ 0xBEEF);
    let (loss, burst) = callee.condition.loss;
    let mut losing = 0;
    let mut packets = Vec::new();
    for (number, frame) in line.samples.chunks_exact(PACKET).enumerate() {
        let mut payload = [0; 400];
        let length = encoder.encode(frame, &mut payload).unwrap();
        // It is sent when it is full.
        let arrival = (number + 1) as f64 * 20.0 + NETWORK_MS + random.share() * JITTER_MS;
        if losing == 0 && random.share() < loss / f64::from(burst) {
            losing = burst;
        }
        // The first says when media was live.
        if losing > 0 && number > 0 {
            losing -= 1;
            continue;
        }
        let mut bytes = vec![0x80, payload_type(callee.condition.codec)];
        bytes.extend((number as u16).to_be_bytes());
        bytes.extend((number as u32 * PACKET as u32).to_be_bytes());
        bytes.extend(0xBEEF_u32.to_be_bytes());
        bytes.extend(&payload[..length]);
        packets.push((arrival, bytes));
    }
    packets.sort_by(|one, other| one.0.total_cmp(&other.0));
    packets
}
