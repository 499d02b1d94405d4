//! Digits among audio, over networks that lose.

mod lossy_network;

use lossy_network::*;
use offhook_media::codec::{Codec, CodecKind, PayloadType};
use offhook_media::control::Digit;
use offhook_media::receiver::{FrameOrigin, Receiver, ReceiverConfig};
use offhook_media::telephone_event::TelephoneEvent;

const EVENT: u8 = 101;
const SSRC: u32 = 0x1234;

fn receiver_with_digits(clock_rate_hz: u32) -> Receiver {
    let number = PayloadType::new(EVENT).unwrap();
    let event = TelephoneEvent {
        payload_type_send: number,
        payload_type_receive: number,
        clock_rate_hz,
    };
    Receiver::new(ReceiverConfig::new(
        Codec::new(CodecKind::Pcmu),
        Some(event),
    ))
    .unwrap()
}

/// Audio with a press of 100 ms in place of it every 200 ms: what most gateways send. The End is sent
/// three times.
fn keypad(keys: &str, marker: bool) -> Vec<Packet> {
    let mut packets = Vec::new();
    let mut sequence = 0_u16;
    let mut send = |sent_ms: i64, payload_type: u8, timestamp: u32, payload: &[u8]| {
        let mut bytes = rtp(payload_type, sequence, timestamp, SSRC, payload);
        if marker && payload_type == EVENT && payload[2..] == [0, 160] {
            bytes[1] |= 0x80;
        }
        sequence = sequence.wrapping_add(1);
        packets.push(Packet {
            sent_us: sent_ms * 1_000,
            arrival_us: sent_ms * 1_000,
            bytes,
        });
    };
    for (index, key) in (0_u64..).zip(keys.chars()) {
        let event = Digit::from_char(key).unwrap().event();
        let start_ms = index * 200;
        for n in 0..5_u16 {
            let [high, low] = ((n + 1) * 160).to_be_bytes();
            let timestamp = start_ms as u32 * 8;
            let sent_ms = (start_ms + u64::from(n) * 20) as i64;
            send(sent_ms, EVENT, timestamp, &[event, 10, high, low]);
            if n == 4 {
                for _ in 0..3 {
                    send(sent_ms, EVENT, timestamp, &[event, 0x8A, high, low]);
                }
            }
        }
        for n in 5..10 {
            let ms = start_ms + n * 20;
            let payload: Vec<u8> = (ms / 10..ms / 10 + 2).flat_map(block).collect();
            send(ms as i64, 0, ms as u32 * 8, &payload);
        }
    }
    packets
}

fn keys(receiver: &mut Receiver) -> String {
    std::iter::from_fn(|| receiver.poll_digit())
        .map(|digit| digit.digit.as_char())
        .collect()
}

fn run_polled(receiver: &mut Receiver, packets: &[Packet]) -> (String, Vec<FrameOrigin>) {
    let mut heard = String::new();
    let mut origins = Vec::new();
    let beginning = beginning();
    let mut waiting = packets.iter().peekable();
    let mut frame = [0; 80];
    for tick in 0..packets.last().unwrap().arrival_us / 10_000 {
        let at_us = tick * 10_000 + 3_000;
        while let Some(packet) = waiting.next_if(|packet| packet.arrival_us <= at_us) {
            receiver
                .handle_packet(&packet.bytes, at(beginning, packet.arrival_us))
                .unwrap();
        }
        origins.push(receiver.pull(&mut frame, at(beginning, at_us)));
        heard.push_str(&keys(receiver));
    }
    for packet in waiting {
        receiver
            .handle_packet(&packet.bytes, at(beginning, packet.arrival_us))
            .unwrap();
    }
    heard.push_str(&keys(receiver));
    (heard, origins)
}

const DIALLED: &str = "0123456789*#ABCD5555500112233445566778899*#";

#[test]
fn each_press_is_reported_once_and_in_order_with_and_without_markers() {
    for marker in [true, false] {
        let mut receiver = receiver_with_digits(8_000);
        let (heard, _) = run_polled(&mut receiver, &keypad(DIALLED, marker));
        assert_eq!(heard, DIALLED);
    }
}

#[test]
fn each_press_is_reported_once_under_thirty_percent_loss() {
    for seed in 0..30 {
        let mut random = Seeded::new(seed);
        let mut packets = keypad(DIALLED, true);
        packets.retain(|_| random.share() >= 0.3);
        let mut receiver = receiver_with_digits(8_000);
        let (heard, _) = run_polled(&mut receiver, &packets);
        assert_eq!(heard, DIALLED, "seed {seed}");
    }
}

#[test]
fn each_press_is_reported_once_over_jitter_and_duplicates() {
    for seed in 0..10 {
        let mut random = Seeded::new(seed);
        let mut packets = keypad(DIALLED, true);
        let copies: Vec<Packet> = packets
            .iter()
            .map(|p| Packet {
                bytes: p.bytes.clone(),
                ..*p
            })
            .collect();
        packets.extend(copies);
        for packet in &mut packets {
            packet.arrival_us += (random.share() * 60_000.0) as i64;
        }
        packets.sort_by_key(|packet| packet.arrival_us);
        let mut receiver = receiver_with_digits(8_000);
        let (heard, _) = run_polled(&mut receiver, &packets);
        assert_eq!(heard, DIALLED, "seed {seed}");
    }
}

#[test]
fn presses_in_place_of_audio_are_no_losses() {
    let mut receiver = receiver_with_digits(8_000);
    let (_, origins) = run_polled(&mut receiver, &keypad(DIALLED, true));
    let statistics = receiver.statistics();
    assert_eq!(
        (statistics.lost, statistics.late, statistics.refused),
        (0, 0, 0)
    );
    assert_eq!(statistics.concealed_ms, 0);
    assert_eq!(statistics.delay_target_ms, 20);
    let played = origins
        .iter()
        .filter(|origin| **origin == FrameOrigin::Played)
        .count();
    assert!(played >= DIALLED.len() * 10 - 10, "{played}");
}

#[test]
fn digits_of_a_source_of_their_own_leave_the_audio_alone() {
    let mut receiver = receiver_with_digits(8_000);
    let mut packets = voice(4, 20, Network::default(), 1);
    for mut digit in keypad("12345", true) {
        if digit.bytes[1] & 0x7F == EVENT {
            digit.bytes[8..12].copy_from_slice(&[9, 9, 9, 9]);
            packets.push(digit);
        }
    }
    packets.sort_by_key(|packet| packet.arrival_us);
    let (heard, origins) = run_polled(&mut receiver, &packets);
    assert_eq!(heard, "12345");
    let invented = origins
        .iter()
        .filter(|o| **o == FrameOrigin::Concealed)
        .count();
    assert!(invented <= 7, "{invented}");
    assert_eq!(receiver.statistics().lost, 0);
}

#[test]
fn a_digit_arrives_with_its_first_packet() {
    let mut receiver = receiver_with_digits(8_000);
    let now = beginning();
    receiver
        .handle_packet(&keypad("7", true)[0].bytes, now)
        .unwrap();
    let digit = receiver.poll_digit().unwrap();
    assert_eq!((digit.digit.as_char(), digit.arrival), ('7', now));
}
