//! Another codec in mid-call, by a re-INVITE: a sender and a receiver change while a tone goes on, and what is heard
//! neither clicks nor stops.

mod lossy_network;

use lossy_network::{at, beginning};
use offhook_media::codec::{Codec, CodecKind, PayloadType};
use offhook_media::mixer::MixedFrame;
use offhook_media::receiver::{FrameOrigin, Receiver, ReceiverConfig};
use offhook_media::sender::{Filled, Sender, StreamStart};

const CHANGES: [(CodecKind, CodecKind); 10] = [
    (CodecKind::Opus, CodecKind::G722),
    (CodecKind::G722, CodecKind::Opus),
    (CodecKind::G722, CodecKind::L16Wideband),
    (CodecKind::L16Wideband, CodecKind::G722),
    (CodecKind::Opus, CodecKind::L16Wideband),
    (CodecKind::L16Wideband, CodecKind::Opus),
    (CodecKind::Pcmu, CodecKind::Pcma),
    (CodecKind::Pcma, CodecKind::Pcmu),
    (CodecKind::Pcmu, CodecKind::L16Narrowband),
    (CodecKind::L16Narrowband, CodecKind::Pcma),
];

/// The far end's own number for `codec`, and ours for it: they differ.
fn numbered(kind: CodecKind, ptime_ms: u8) -> Codec {
    let dynamic = if kind == CodecKind::L16Narrowband || kind == CodecKind::L16Wideband {
        100
    } else {
        96
    };
    Codec {
        payload_type_send: kind
            .static_payload_type()
            .unwrap_or(PayloadType::new(dynamic).unwrap()),
        payload_type_receive: kind
            .static_payload_type()
            .unwrap_or(PayloadType::new(dynamic + 20).unwrap()),
        ptime_ms,
        ..Codec::new(kind)
    }
}

/// The codec as the other side sees it.
fn mirrored(codec: Codec) -> Codec {
    Codec {
        payload_type_send: codec.payload_type_receive,
        payload_type_receive: codec.payload_type_send,
        ..codec
    }
}

struct Heard {
    samples: Vec<i16>,
    origins: Vec<FrameOrigin>,
    /// What the packets' headers said: type, sequence number, timestamp.
    headers: Vec<(u8, u16, u32)>,
}

/// A tone of two seconds over a network of 12 ms. The receiver changes at tick 100, the sender `later` ticks after it.
fn call(before: Codec, after: Codec, later: usize) -> Heard {
    let rate = before.sample_rate_hz() as f32;
    let start = StreamStart {
        ssrc: 9,
        sequence: 3,
        timestamp: 1_000,
    };
    let mut sender = Sender::new(&before, start).unwrap();
    let mut receiver = Receiver::new(ReceiverConfig::new(mirrored(before), None)).unwrap();
    let beginning = beginning();
    let mut frame = vec![0; before.samples_per_tick()];
    let mut heard = Heard {
        samples: Vec::new(),
        origins: Vec::new(),
        headers: Vec::new(),
    };
    let mut under_way = Vec::new();
    for tick in 0..200 {
        if tick == 100 {
            let config = ReceiverConfig::new(mirrored(after), None);
            receiver.renegotiate(config).unwrap();
        }
        if tick == 100 + later {
            sender.switch_to(&after).unwrap();
        }
        let first = tick * before.samples_per_tick();
        for (n, sample) in (first..).zip(sender.slot()) {
            *sample = ((n as f32 * 300.0 * std::f32::consts::TAU / rate).sin() * 8_000.0) as i16;
        }
        if sender.push(MixedFrame::Audio) == Filled::Complete {
            let packet = sender.datagram().to_vec();
            let word = |n: usize| u16::from_be_bytes([packet[n], packet[n + 1]]);
            let timestamp = u32::from(word(4)) << 16 | u32::from(word(6));
            heard.headers.push((packet[1] & 0x7F, word(2), timestamp));
            under_way.push((tick as i64 * 10_000 + 12_000, packet));
        }
        let now_us = tick as i64 * 10_000 + 5_000;
        under_way.retain(|(arrival_us, packet)| {
            let is_there = *arrival_us <= now_us;
            if is_there {
                let arrival = at(beginning, *arrival_us);
                receiver.handle_packet(packet, arrival).unwrap();
            }
            !is_there
        });
        heard
            .origins
            .push(receiver.pull(&mut frame, at(beginning, now_us)));
        heard.samples.extend_from_slice(&frame);
    }
    heard
}

fn largest_step(samples: &[i16]) -> i32 {
    let pairs = samples.windows(2);
    let steps = pairs.map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs());
    steps.max().unwrap()
}

#[test]
fn a_tone_goes_on_over_a_change_of_codec_without_a_click_or_a_gap() {
    for (before, after) in CHANGES {
        for later in [0, 1, 2, 5, 6] {
            let heard = call(numbered(before, 20), numbered(after, 20), later);
            let what = format!("{before:?} to {after:?}, {later} ticks later");
            let tick = heard.samples.len() / 200;
            let (steady, around) = (
                largest_step(&heard.samples[30 * tick..95 * tick])
                    .max(largest_step(&heard.samples[140 * tick..])),
                largest_step(&heard.samples[90 * tick..140 * tick]),
            );
            let begun = heard.origins.iter().position(|o| *o == FrameOrigin::Played);
            let gaps = heard.origins[begun.unwrap()..]
                .iter()
                .filter(|origin| **origin != FrameOrigin::Played)
                .count();
            let quietest = heard.samples[90 * tick..140 * tick]
                .chunks_exact(tick)
                .map(|frame| {
                    let energy: f32 = frame.iter().map(|s| f32::from(*s).powi(2)).sum();
                    (energy / tick as f32).sqrt()
                })
                .fold(f32::MAX, f32::min);
            println!(
                "{what}: steps of {steady}, at the change {around}; {gaps} ticks invented; quietest {quietest:.0}"
            );
            assert!(
                around <= steady * 11 / 10,
                "{what}: {around} after {steady}"
            );
            assert!(gaps <= 2, "{what}: {gaps} ticks are no packet's");
            // The tone has 5,657.
            assert!(quietest > 2_800.0, "{what}: {quietest}");
        }
    }
}

#[test]
fn wound_22_each_side_sends_the_others_numbers_before_and_after_a_change() {
    let (opus, linear) = (
        numbered(CodecKind::Opus, 20),
        numbered(CodecKind::L16Wideband, 20),
    );
    let heard = call(opus, linear, 1);
    let types: Vec<u8> = heard
        .headers
        .iter()
        .map(|(payload_type, ..)| *payload_type)
        .collect();
    assert_eq!(types[..50], [96; 50]);
    assert_eq!(types[50..], [100; 50]);
    let sequences: Vec<u16> = heard
        .headers
        .iter()
        .map(|(_, sequence, _)| *sequence)
        .collect();
    assert_eq!(sequences, (3..103).collect::<Vec<u16>>());
}

/// A change of packet time with half a packet filled: nothing said is left out that has room in the new one.
#[test]
fn a_change_of_packet_time_loses_no_sound_where_the_new_packet_has_room() {
    for (from_ms, to_ms) in [(20, 30), (20, 60), (60, 20), (30, 20), (40, 10)] {
        let before = numbered(CodecKind::Pcmu, from_ms);
        let after = numbered(CodecKind::Pcmu, to_ms);
        for later in 0..6 {
            let heard = call(before, after, later);
            let steps: Vec<u32> = heard
                .headers
                .windows(2)
                .map(|pair| pair[1].2 - pair[0].2)
                .collect();
            // Of a packet that was longer than the new ones, what has no room is left out, in time too.
            let left_out = u32::from(from_ms.saturating_sub(to_ms)) * 8;
            let longest = u32::from(from_ms.max(to_ms)) * 8 + left_out;
            assert!(
                steps.iter().all(|step| *step <= longest),
                "{from_ms} to {to_ms}: {steps:?}"
            );
            let begun = heard.origins.iter().position(|o| *o == FrameOrigin::Played);
            let gaps = heard.origins[begun.unwrap()..]
                .iter()
                .filter(|o| **o != FrameOrigin::Played)
                .count();
            println!("{from_ms} to {to_ms} ms, {later} ticks later: {gaps} ticks invented");
            assert!(
                gaps * 10 <= usize::from(from_ms.max(to_ms)),
                "{from_ms} to {to_ms}: {gaps}"
            );
        }
    }
}
