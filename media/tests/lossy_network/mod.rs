//! A far end and a network in virtual time: packets with their arrivals, made from a seed, and a receiver
//! that is pulled every 10 ms.
//!
//! The far end's audio tells the time: every 10 ms hold two levels that name their number, so a frame that
//! comes out says how long ago it was sent.
#![allow(dead_code, reason = "each test file uses its part")]

use std::time::{Duration, Instant};

use offhook_media::codec::{Codec, CodecKind};
use offhook_media::receiver::{FrameOrigin, Receiver, ReceiverConfig};
use rtp_rs::RtpPacketBuilder;

/// Levels that name a number, in µ-law: 13 quiet ones and 13 loud ones.
const QUIET: u8 = 0xFF;
const LOUD: u8 = 0xBF;
const LEVELS: u64 = 13;
/// Blocks are told apart over this many: 1.69 s.
pub(crate) const RANGE: u64 = LEVELS * LEVELS;

/// A small generator of even quality; the seed is the test's.
pub(crate) struct Seeded(u64);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// From 0 up to 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// What the network does.
#[derive(Clone, Copy, Default)]
pub(crate) struct Network {
    pub(crate) loss: f64,
    /// Losses come in runs of this many.
    pub(crate) burst: u32,
    pub(crate) duplicates: f64,
    /// Extra delay, even from 0 to this.
    pub(crate) jitter_ms: u64,
    /// This share of packets is held back by 30 ms.
    pub(crate) held_back: f64,
    /// The far end's clock runs fast by this.
    pub(crate) drift_ppm: f64,
}

/// One packet on its way.
pub(crate) struct Packet {
    pub(crate) sent_us: i64,
    pub(crate) arrival_us: i64,
    pub(crate) bytes: Vec<u8>,
}

/// The 80 µ-law bytes of the 10 ms block numbered `block`: 1 s loud, then half a second quiet.
pub(crate) fn block(block: u64) -> [u8; 80] {
    let top = if block % 150 < 100 { LOUD } else { QUIET };
    let number = block % RANGE;
    let mut bytes = [top - (number / LEVELS) as u8; 80];
    bytes[40..].fill(top - (number % LEVELS) as u8);
    bytes
}

/// The number a frame names, modulo [`RANGE`]; `None` for one that was invented or blended.
pub(crate) fn number_of(frame: &[i16]) -> Option<u64> {
    let level = |samples: &[i16]| {
        let same = samples.iter().all(|sample| *sample == samples[0]);
        let index = (0..LEVELS as u8).find(|index| {
            [LOUD, QUIET]
                .iter()
                .any(|top| level_of(top - index) == samples[0])
        });
        index.filter(|_| same)
    };
    let (high, low) = frame.split_at(40);
    Some(u64::from(level(high)?) * LEVELS + u64::from(level(low)?))
}

/// µ-law by its definition, apart from the crate's tables.
fn level_of(code: u8) -> i16 {
    let code = !code;
    let magnitude = ((i16::from(code & 0x0F) * 2 + 33) << ((code >> 4) & 7)) - 33;
    if code & 0x80 == 0 {
        magnitude * 4
    } else {
        -magnitude * 4
    }
}

pub(crate) fn rtp(
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    payload: &[u8],
) -> Vec<u8> {
    RtpPacketBuilder::new()
        .payload_type(payload_type)
        .sequence(sequence.into())
        .timestamp(timestamp)
        .ssrc(ssrc)
        .payload(payload)
        .build()
        .unwrap()
}

/// `seconds` of PCMU in packets of `ptime_ms`, over `network`, sorted by arrival.
pub(crate) fn voice(seconds: u64, ptime_ms: u64, network: Network, seed: u64) -> Vec<Packet> {
    let mut random = Seeded::new(seed);
    let mut packets = Vec::new();
    let mut losing = 0;
    for n in 0..seconds * 1_000 / ptime_ms {
        let blocks = ptime_ms / 10;
        let payload: Vec<u8> = (n * blocks..(n + 1) * blocks).flat_map(block).collect();
        let sequence = (65_000 + n) as u16;
        let timestamp = (u64::from(u32::MAX) - 4_000 + n * ptime_ms * 8) as u32;
        let sent_us = (n * ptime_ms * 1_000) as f64 / (1.0 + network.drift_ppm / 1e6);
        let mut arrive = || {
            let mut arrival = sent_us + 5_000.0;
            arrival += random.share() * network.jitter_ms as f64 * 1_000.0;
            if random.share() < network.held_back {
                arrival += 30_000.0;
            }
            arrival as i64
        };
        let arrivals = [arrive(), arrive()];
        if losing == 0 && random.share() < network.loss / f64::from(network.burst.max(1)) {
            losing = network.burst.max(1);
        }
        let copies = if random.share() < network.duplicates {
            2
        } else {
            1
        };
        if losing > 0 {
            losing -= 1;
            continue;
        }
        let bytes = rtp(0, sequence, timestamp, 0x1234, &payload);
        for arrival_us in arrivals.into_iter().take(copies) {
            packets.push(Packet {
                sent_us: sent_us as i64,
                arrival_us,
                bytes: bytes.clone(),
            });
        }
    }
    packets.sort_by_key(|packet| packet.arrival_us);
    packets
}

/// One pulled frame.
pub(crate) struct Heard {
    pub(crate) at_us: i64,
    pub(crate) origin: FrameOrigin,
    pub(crate) samples: Vec<i16>,
}

impl Heard {
    /// How long ago the audio was sent, in milliseconds, where the frame says it.
    pub(crate) fn delay_ms(&self) -> Option<f64> {
        if self.origin != FrameOrigin::Played {
            return None;
        }
        let number = number_of(&self.samples)? as i64;
        let range = RANGE as i64 * 10_000;
        Some((self.at_us - number * 10_000).rem_euclid(range) as f64 / 1_000.0)
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "where virtual time begins does not matter"
)]
pub(crate) fn beginning() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

pub(crate) fn at(beginning: Instant, microseconds: i64) -> Instant {
    beginning + Duration::from_micros(microseconds.unsigned_abs())
}

pub(crate) fn receiver(kind: CodecKind) -> Receiver {
    Receiver::new(ReceiverConfig::new(Codec::new(kind), None)).unwrap()
}

/// Feeds `packets` and pulls every 10 ms from `phase_us` until 50 ms before the last arrival.
pub(crate) fn run(receiver: &mut Receiver, packets: &[Packet], phase_us: i64) -> Vec<Heard> {
    let beginning = beginning();
    let mut heard = Vec::new();
    let mut waiting = packets.iter().peekable();
    let last = packets.last().map_or(0, |packet| packet.arrival_us) - 50_000;
    let mut at_us = phase_us;
    let mut samples = vec![0; 80];
    while at_us < last {
        while let Some(packet) = waiting.next_if(|packet| packet.arrival_us <= at_us) {
            let _ = receiver.handle_packet(&packet.bytes, at(beginning, packet.arrival_us));
        }
        let origin = receiver.pull(&mut samples, at(beginning, at_us));
        heard.push(Heard {
            at_us,
            origin,
            samples: samples.clone(),
        });
        at_us += 10_000;
    }
    heard
}

/// The share of frames that were invented, once playout began.
pub(crate) fn concealed_share(heard: &[Heard]) -> f64 {
    let begun: Vec<_> = heard
        .iter()
        .skip_while(|h| h.origin == FrameOrigin::Silence)
        .collect();
    let concealed = begun
        .iter()
        .filter(|h| h.origin != FrameOrigin::Played)
        .count();
    concealed as f64 / begun.len() as f64
}

/// The delays of the frames that say them, in order.
pub(crate) fn delays_ms(heard: &[Heard]) -> Vec<f64> {
    heard.iter().filter_map(Heard::delay_ms).collect()
}
