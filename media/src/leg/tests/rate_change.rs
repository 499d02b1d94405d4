//! A codec of another sample rate in mid-call: the leg's own rate stays, and a tone goes on both ways.

use super::*;
use crate::control::Digit;
use crate::tones::{DigitDetector, PressMark};

const HERTZ: f64 = 443.0;
const LOUD: f64 = 8_000.0;
/// Packets of 20 ms before the change, between the two, and after.
const PACKETS: usize = 60;

struct Heard {
    agent: Vec<i16>,
    far_end: Vec<(u32, Vec<i16>)>,
}

/// The far end says a tone and the agent too, by `first`, by `second`, and by `first` again. Packets of the codec
/// before are under way when the change is agreed on.
fn call(first: CodecKind, second: CodecKind) -> Heard {
    let mut scene = Scene::new(config(first));
    let rate = scene.leg.sample_rate_hz();
    let (ring, mut listener) = rtrb::RingBuffer::new(rate as usize * 8);
    scene.leg.handle_command(LegCommand::Listen(Some(Listener {
        ring,
        mode: ListenMode::Always,
    })));
    scene.play(1, tone(HERTZ, rate, LOUD, 8 * rate as usize), true);
    let mut said_ms = 0;
    for kind in [first, second, first] {
        let codec = Codec::new(kind);
        let mut other = agreed(&scene.leg, Direction::SendReceive, Some(far_address()));
        other.codec = codec;
        for packet in 0..PACKETS {
            // What was sent before the far end had our answer.
            if packet == 2 {
                scene.codec = codec;
                scene.encoder = Encoder::new(&codec).unwrap();
            }
            if packet == 0 {
                scene.leg.renegotiate(&other, scene.now).unwrap();
                assert_eq!(scene.leg.sample_rate_hz(), rate);
            }
            let far_rate = scene.codec.sample_rate_hz();
            let per_ms = far_rate as usize / 1_000;
            let whole = tone(HERTZ, far_rate, LOUD, (said_ms + 20) * per_ms);
            scene.far_end_says(&whole[said_ms * per_ms..]);
            said_ms += 20;
            scene.ticks(2);
        }
    }
    // Whichever receiver played them.
    let counted = scene.leg.statistics().receiver;
    assert_eq!((counted.received, counted.lost), (3 * PACKETS as u64, 0));
    let stream = scene.leg.inbound.receiver.stream().unwrap();
    assert_eq!(stream.received, stream.expected);
    let chunk = listener.read_chunk(listener.slots()).unwrap();
    let agent = chunk.into_iter().collect();
    // Decoded as a far end would: by the payload type, another decoder for each codec.
    let mut far_end: Vec<(u32, Vec<i16>)> = Vec::new();
    let mut decoder: Option<(u8, Decoder, u32)> = None;
    for packet in scene.packets() {
        let number = packet.payload_type();
        if decoder.as_ref().is_none_or(|(known, ..)| *known != number) {
            let kind = [first, second]
                .into_iter()
                .find(|kind| Codec::new(*kind).payload_type_send.get() == number)
                .unwrap();
            decoder = Some((number, Decoder::new(kind).unwrap(), kind.sample_rate_hz()));
            far_end.push((kind.sample_rate_hz(), Vec::new()));
        }
        let (_, decoder, _) = decoder.as_mut().unwrap();
        let mut out = [0; 2_880];
        let count = decoder.decode(packet.payload(), &mut out).unwrap();
        far_end.last_mut().unwrap().1.extend(&out[..count]);
    }
    Heard { agent, far_end }
}

/// Frames of 10 ms below half the tone, and the largest step as a multiple of the tone's own.
fn holes_and_step(samples: &[i16], rate: u32) -> (usize, f64) {
    let own = LOUD * std::f64::consts::TAU * HERTZ / f64::from(rate);
    let step = samples
        .windows(2)
        .map(|pair| (f64::from(pair[1]) - f64::from(pair[0])).abs())
        .fold(0.0, f64::max);
    let holes = samples
        .chunks(rate as usize / 100)
        .filter(|frame| {
            frame
                .iter()
                .all(|sample| f64::from(sample.unsigned_abs()) < LOUD / 2.0)
        })
        .count();
    (holes, step / own)
}

const PAIRS: [(CodecKind, CodecKind); 4] = [
    (CodecKind::Pcmu, CodecKind::G722),
    (CodecKind::G722, CodecKind::Pcma),
    (CodecKind::Pcmu, CodecKind::Opus),
    (CodecKind::Opus, CodecKind::Pcmu),
];

#[test]
fn what_the_far_end_says_goes_on_through_a_change_of_rate_without_a_click() {
    for (first, second) in PAIRS {
        let heard = call(first, second);
        let rate = first.sample_rate_hz();
        let settled = &heard.agent[rate as usize / 4..];
        let (holes, step) = holes_and_step(settled, rate);
        println!("{first:?} {second:?}: {holes} frames, {step:.2}");
        assert!(holes <= 4, "{first:?} {second:?}: {holes} frames");
        assert!(step < 1.5, "{first:?} {second:?}: {step:.2}");
    }
}

#[test]
fn what_the_agent_says_goes_on_through_a_change_of_rate_without_a_click() {
    for (first, second) in PAIRS {
        let heard = call(first, second);
        assert_eq!(heard.far_end.len(), 3);
        for (index, (rate, samples)) in heard.far_end.iter().enumerate() {
            // A call's first packet is no change. libopus begins anew with a step; receivers blend that over.
            let opus = *rate == 16_000 && [first, second].contains(&CodecKind::Opus);
            let begun = if index == 0 || opus {
                *rate as usize / 25
            } else {
                0
            };
            let (holes, step) = holes_and_step(&samples[begun..], *rate);
            println!("{first:?} {second:?}: {holes} frames, {step:.2}");
            assert!(samples.len() >= (PACKETS - 3) * *rate as usize / 50);
            assert!(holes <= 6, "{first:?} {second:?}: {holes} frames");
            assert!(step < 1.5, "{first:?} {second:?}: {step:.2}");
        }
    }
}

#[test]
fn a_key_that_sounds_after_a_change_of_rate_is_that_key() {
    for (first, second) in [
        (CodecKind::Pcmu, CodecKind::G722),
        (CodecKind::G722, CodecKind::Pcmu),
    ] {
        let mut scene = Scene::new(config(first));
        let mut other = agreed(&scene.leg, Direction::SendReceive, Some(far_address()));
        other.codec = Codec::new(second);
        scene.leg.renegotiate(&other, scene.now).unwrap();
        scene.sent.clear();
        for key in ['5', '#'] {
            scene.leg.handle_command(LegCommand::Press {
                digit: Digit::from_char(key).unwrap(),
                duration_ms: 100,
            });
        }
        scene.ticks(60);
        let rate = second.sample_rate_hz();
        let mut decoder = Decoder::new(second).unwrap();
        let mut detector = DigitDetector::new(rate).unwrap();
        let mut heard = String::new();
        let mut end_ms = 0;
        for packet in scene.packets() {
            let mut out = [0; 960];
            let count = decoder.decode(packet.payload(), &mut out).unwrap();
            for frame in out[..count].chunks(rate as usize / 100) {
                end_ms += 10;
                detector.hear(frame, end_ms, false, |mark| {
                    if let PressMark::Began { digit, .. } = mark {
                        heard.push(digit.as_char());
                    }
                });
            }
        }
        assert_eq!(heard, "5#", "{first:?} {second:?}");
    }
}
