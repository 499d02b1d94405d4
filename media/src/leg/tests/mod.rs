//! Legs in virtual time: a far end that sends packets by hand, a clock that moves by ticks.

mod any_order;
mod bridged;
mod hearing_the_caller;
mod own_echo;
mod protected;
mod rate_change;
mod recording;
mod reporting;
mod streams;
mod tones;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rtp_rs::{RtpPacketBuilder, Seq};

use super::*;
use crate::codec::{Decoder, Encoder};
use crate::control::{BargeInPolicy, Chunk, Epoch, ListenMode, Listener};
use crate::mixer::BusBounds;
use crate::sender::StreamStart;
use crate::telephone_event::TelephoneEvent;

/// Where virtual time begins: an `Instant` has to come from somewhere, and this is the one place.
#[allow(clippy::disallowed_methods)]
pub(crate) fn virtual_start() -> Instant {
    Instant::now()
}

const STREAM: StreamStart = StreamStart {
    ssrc: 0xA11CE,
    sequence: 100,
    timestamp: 5000,
};

fn far_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 9], 40_000))
}

fn config(kind: CodecKind) -> LegConfig {
    LegConfig {
        codec: Codec::new(kind),
        telephone_event: None,
        also_accepted: Vec::new(),
        remote: Some(far_address()),
        rtcp: RtcpPath::Multiplexed,
        direction: Direction::SendReceive,
        srtp: None,
        stream: STREAM,
        voice_activity: false,
        echo_guard: true,
        in_band_digits: InBandDigits::Never,
        call_tones: false,
        no_media_timeout: None,
        bounds: BusBounds::default(),
    }
}

/// A leg, its clock, and a far end that speaks the leg's codec.
struct Scene {
    leg: Leg,
    now: Instant,
    sequence: u16,
    timestamp: u32,
    encoder: Encoder,
    codec: Codec,
    sent: Vec<Vec<u8>>,
    events: Vec<LegEvent>,
}

impl Scene {
    fn new(config: LegConfig) -> Self {
        let now = virtual_start();
        let codec = config.codec;
        Self {
            leg: Leg::new(config, now).unwrap(),
            now,
            sequence: 7,
            timestamp: 160,
            encoder: Encoder::new(&codec).unwrap(),
            codec,
            sent: Vec::new(),
            events: Vec::new(),
        }
    }

    /// The far end sends one packet time of samples.
    fn far_end_says(&mut self, samples: &[i16]) {
        let mut payload = [0u8; 1500];
        let length = self.encoder.encode(samples, &mut payload).unwrap();
        self.far_end_sends(far_address(), 0xBEEF, &payload[..length]);
    }

    fn far_end_sends(&mut self, from: SocketAddr, ssrc: u32, payload: &[u8]) {
        let packet = RtpPacketBuilder::new()
            .payload_type(self.codec.payload_type_receive.get())
            .ssrc(ssrc)
            .sequence(Seq::from(self.sequence))
            .timestamp(self.timestamp)
            .payload(payload)
            .build()
            .unwrap();
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(self.codec.timestamp_step());
        self.leg.handle_datagram(&packet, from, self.now);
    }

    fn tick(&mut self) {
        if let Some((datagram, to)) = self.leg.tick(self.now) {
            self.sent.push(datagram.to_vec());
            assert_eq!(Some(to), self.leg.far_end.destination());
        }
        while let Some(event) = self.leg.poll_event() {
            self.events.push(event);
        }
        self.now += Duration::from_millis(10);
    }

    fn ticks(&mut self, count: usize) {
        for _ in 0..count {
            self.tick();
        }
    }

    fn play(&mut self, epoch: u64, samples: Vec<i16>, last: bool) {
        let chunk = Chunk {
            epoch: Epoch(epoch),
            samples: samples.into(),
            last,
        };
        self.leg.handle_command(LegCommand::Play {
            bus: Bus::Speech,
            chunk,
        });
    }

    fn flush(&mut self, through: u64, fade_ms: u32) {
        let through = Epoch(through);
        self.leg.handle_command(LegCommand::Flush {
            bus: Bus::Speech,
            through,
            fade_ms,
        });
    }

    /// Everything sent so far, decoded.
    fn heard_by_far_end(&self) -> Vec<i16> {
        let mut decoder = Decoder::new(self.codec.kind).unwrap();
        let mut samples = Vec::new();
        for datagram in &self.sent {
            let mut out = [0i16; 2880];
            let packet = RtpReader::new(datagram).unwrap();
            let count = decoder.decode(packet.payload(), &mut out).unwrap();
            samples.extend_from_slice(&out[..count]);
        }
        samples
    }

    fn packets(&self) -> impl Iterator<Item = RtpReader<'_>> {
        self.sent
            .iter()
            .map(|datagram| RtpReader::new(datagram).unwrap())
    }
}

fn tone(hertz: f64, rate: u32, amplitude: f64, samples: usize) -> Vec<i16> {
    (0..samples)
        .map(|index| {
            let phase = std::f64::consts::TAU * hertz * index as f64 / f64::from(rate);
            (amplitude * phase.sin()) as i16
        })
        .collect()
}

fn agreed(leg: &Leg, direction: Direction, remote: Option<SocketAddr>) -> Negotiated {
    Negotiated {
        codec: leg.codec,
        telephone_event: None,
        remote,
        rtcp: RtcpPath::Multiplexed,
        direction,
        srtp: None,
        body: Vec::new(),
        another_far_end: false,
    }
}

fn hearing() -> LegConfig {
    LegConfig {
        voice_activity: true,
        ..config(CodecKind::Pcmu)
    }
}
