//! Streams that pause, jump, restart and change: what far ends do in mid-call.

mod lossy_network;

use std::time::Duration;

use lossy_network::*;
use offhook_media::codec::{Codec, CodecKind, Encoder, PayloadType, samples_in};
use offhook_media::receiver::{FrameOrigin, PacketError, Receiver, ReceiverConfig};

const SSRC: u32 = 0x1234;

/// Twenty milliseconds of PCMU whose audio names the blocks from `block`.
fn payload(first_block: u64) -> Vec<u8> {
    (first_block..first_block + 2).flat_map(block).collect()
}

/// Packets `range`, each sent on time; `header` gives type, sequence number, timestamp and source.
fn stream(range: std::ops::Range<u64>, header: impl Fn(u64) -> (u8, u16, u32, u32)) -> Vec<Packet> {
    range
        .map(|n| {
            let (payload_type, sequence, timestamp, ssrc) = header(n);
            let bytes = rtp(payload_type, sequence, timestamp, ssrc, &payload(n * 2));
            let sent_us = n as i64 * 20_000;
            Packet {
                sent_us,
                arrival_us: sent_us,
                bytes,
            }
        })
        .collect()
}

fn plain(n: u64) -> (u8, u16, u32, u32) {
    (0, n as u16, n as u32 * 160, SSRC)
}

fn invented(heard: &[Heard]) -> usize {
    heard
        .iter()
        .skip_while(|h| h.origin == FrameOrigin::Silence)
        .filter(|h| h.origin != FrameOrigin::Played)
        .count()
}

#[test]
fn wound_49_a_new_source_goes_on_without_a_gap() {
    let mut packets = stream(0..100, plain);
    packets.extend(stream(100..200, |n| {
        (0, 40_000 + n as u16, 9_000_000 + n as u32 * 160, 77)
    }));
    let mut receiver = receiver(CodecKind::Pcmu);
    let heard = run(&mut receiver, &packets, 3_000);
    assert_eq!(invented(&heard), 0);
    assert_eq!(receiver.statistics().lost, 0);
}

#[test]
fn a_straggler_of_the_source_before_changes_nothing() {
    let heard = |straggles: bool| {
        let mut packets = stream(0..100, plain);
        packets.extend(stream(100..200, |n| {
            (0, 40_000 + n as u16, 9_000_000 + n as u32 * 160, 77)
        }));
        if straggles {
            // Held up behind the new source's first.
            packets[99].arrival_us = packets[100].arrival_us + 1_000;
            packets.swap(99, 100);
        } else {
            packets.remove(99);
        }
        let mut receiver = receiver(CodecKind::Pcmu);
        let heard = run(&mut receiver, &packets, 3_000);
        let stream = receiver.stream().unwrap();
        let since = u64::from(stream.highest_sequence) - 40_100 + 1;
        assert_eq!(
            (stream.ssrc, stream.expected, stream.received),
            (77, since, since)
        );
        assert_eq!(receiver.statistics().lost, 0);
        (invented(&heard), receiver.statistics().late)
    };
    let (without, _) = heard(false);
    assert_eq!(heard(true), (without, 1));
}

#[test]
fn wound_51_a_restarted_numbering_costs_one_packet() {
    let mut packets = stream(0..100, plain);
    packets.extend(stream(100..200, |n| {
        (0, 30_000 + n as u16, n as u32 * 160, SSRC)
    }));
    let mut receiver = receiver(CodecKind::Pcmu);
    let heard = run(&mut receiver, &packets, 3_000);
    assert!(invented(&heard) <= 2);
    assert_eq!(receiver.statistics().refused, 1);
}

#[test]
fn a_jump_of_the_timestamps_is_no_delay() {
    for jump in [8_000_i64 * 30, -8_000 * 30, 1 << 30, -(1 << 30)] {
        let mut packets = stream(0..100, plain);
        packets.extend(stream(100..300, |n| {
            (0, n as u16, (n as i64 * 160 + jump) as u32, SSRC)
        }));
        let mut receiver = receiver(CodecKind::Pcmu);
        let heard = run(&mut receiver, &packets, 3_000);
        assert!(invented(&heard) <= 4, "{jump}: {}", invented(&heard));
        let delays = delays_ms(&heard);
        assert!(delays.iter().all(|ms| *ms <= 60.0), "{jump}");
    }
}

/// In milliseconds, before anything was played and after: within two seconds it is played as if nothing had been.
#[test]
fn a_small_step_back_of_the_timestamps_is_no_delay_for_long() {
    for (first, back) in [100_u64, 210, 390, 400, 450, 600, 785, 990]
        .into_iter()
        .flat_map(|back| [(1, back), (100, back)])
    {
        let mut packets = stream(0..first, plain);
        packets.extend(stream(first..first + 200, |n| {
            let timestamp = (n as i64 * 160) - (back as i64 * 8);
            (0, (170 + n) as u16, timestamp as u32, SSRC)
        }));
        let mut receiver = receiver(CodecKind::Pcmu);
        let ends_ms = (first + 200) * 20;
        let heard = run(&mut receiver, &packets, ends_ms as i64);
        let settled = &heard[(first as usize * 2 + 200)..(ends_ms as usize / 10 - 10)];
        let played = settled.iter().filter(|h| h.origin == FrameOrigin::Played);
        assert!(
            played.count() + 4 > settled.len(),
            "{back} ms behind {first} packets"
        );
    }
}

#[test]
fn one_packet_with_a_wild_timestamp_does_no_harm() {
    let mut packets = stream(0..200, plain);
    packets[100].bytes = rtp(0, 110, 5_000_000, SSRC, &payload(200));
    let mut receiver = receiver(CodecKind::Pcmu);
    let heard = run(&mut receiver, &packets, 3_000);
    assert!(invented(&heard) <= 4, "{}", invented(&heard));
    assert!(delays_ms(&heard).iter().all(|ms| *ms <= 60.0));
}

#[test]
fn wound_50_a_far_end_that_sends_nothing_in_silence_is_heard_whole_when_it_speaks() {
    // Half a second of speech every two seconds, timestamps going on, numbers without a gap.
    let spoken = |n: &u64| n % 100 < 25;
    let packets: Vec<Packet> = (0..1_000)
        .filter(spoken)
        .enumerate()
        .flat_map(|(sequence, n)| stream(n..n + 1, |n| (0, sequence as u16, n as u32 * 160, SSRC)))
        .collect();
    let mut receiver = receiver(CodecKind::Pcmu);
    let heard = run(&mut receiver, &packets, 3_000);
    let blocks: Vec<u64> = heard
        .iter()
        .filter(|h| h.origin == FrameOrigin::Played)
        .map(|h| (h.at_us as u64 - 20_000) / 10_000)
        .collect();
    // Ten spurts of 50 frames each, the last one cut by the end of the run.
    assert!(blocks.len() >= 10 * 50 - 10, "{}", blocks.len());
    let silent = heard
        .iter()
        .filter(|h| h.origin == FrameOrigin::Silence)
        .count();
    assert!(silent >= 9 * 140, "{silent}");
    let statistics = receiver.statistics();
    assert_eq!((statistics.lost, statistics.late), (0, 0));
    assert!(delays_ms(&heard).iter().all(|ms| *ms <= 40.0));
}

#[test]
fn comfort_noise_announces_a_pause_so_nothing_is_concealed() {
    let mut packets = stream(0..50, plain);
    packets.push(Packet {
        sent_us: 1_000_000,
        arrival_us: 1_000_000,
        bytes: rtp(13, 50, 50 * 160, SSRC, &[60]),
    });
    packets.extend(stream(100..150, |n| {
        (0, n as u16 - 49, n as u32 * 160, SSRC)
    }));
    let mut receiver = receiver(CodecKind::Pcmu);
    let heard = run(&mut receiver, &packets, 3_000);
    let statistics = receiver.statistics();
    assert_eq!((statistics.concealed_ms, statistics.lost), (0, 0));
    assert!(heard.iter().all(|h| h.origin != FrameOrigin::Concealed));
}

#[test]
fn the_far_end_may_change_between_the_laws_in_mid_stream() {
    let mut packets = stream(0..50, plain);
    packets.extend(stream(50..100, |n| (8, n as u16, n as u32 * 160, SSRC)));
    let mut receiver = receiver(CodecKind::Pcmu);
    let heard = run(&mut receiver, &packets, 3_000);
    assert_eq!(invented(&heard), 0);
    // The same bytes mean other levels in A-law.
    assert!(
        heard[20..80]
            .iter()
            .all(|h| number_of(&h.samples).is_some())
    );
    assert!(heard[120..].iter().all(|h| number_of(&h.samples).is_none()));
}

#[test]
fn a_negotiated_number_of_either_side_is_taken_and_others_are_refused() {
    let mut codec = Codec::new(CodecKind::Opus);
    codec.payload_type_send = PayloadType::new(122).unwrap();
    codec.payload_type_receive = PayloadType::new(121).unwrap();
    let mut encoder = Encoder::new(&codec).unwrap();
    let mut packet = [0; 400];
    let length = encoder.encode(&[0; 320], &mut packet).unwrap();
    let mut receiver = Receiver::new(ReceiverConfig::new(codec, None)).unwrap();
    let now = beginning();
    for (sequence, number) in [(1, 121), (2, 122)] {
        let bytes = rtp(number, sequence, 960, 1, &packet[..length]);
        assert_eq!(receiver.handle_packet(&bytes, now), Ok(()));
    }
    let bytes = rtp(0, 3, 960, 1, &[0xFF; 160]);
    assert_eq!(
        receiver.handle_packet(&bytes, now),
        Err(PacketError::UnknownPayloadType(0))
    );
    assert_eq!(receiver.statistics().refused, 1);
}

#[test]
fn before_the_first_packet_there_is_silence_and_after_the_last_it_returns() {
    let mut receiver = receiver(CodecKind::Pcmu);
    let now = beginning();
    let mut frame = [7; 80];
    assert_eq!(receiver.pull(&mut frame, now), FrameOrigin::Silence);
    assert_eq!(frame, [0; 80]);
    assert!(!receiver.live());
    for n in 0..10 {
        let packet = &stream(n..n + 1, plain)[0];
        receiver
            .handle_packet(&packet.bytes, at(now, packet.arrival_us))
            .unwrap();
    }
    assert!(receiver.live());
    let mut origins = Vec::new();
    for tick in 0..60 {
        origins.push(receiver.pull(&mut frame, now + Duration::from_millis(200 + tick * 10)));
    }
    assert_eq!(origins.last(), Some(&FrameOrigin::Silence));
    assert_eq!(frame, [0; 80]);
    assert!(receiver.statistics().concealed_ms <= 60);
}

#[test]
fn a_renegotiation_within_g711_is_not_heard() {
    let mut packets = stream(0..100, plain);
    packets.extend(stream(100..200, |n| (8, n as u16, n as u32 * 160, SSRC)));
    let mut receiver = receiver(CodecKind::Pcmu);
    let now = beginning();
    let mut frame = [0; 80];
    let mut waiting = packets.iter().peekable();
    let mut played = 0;
    for tick in 0..380 {
        let at_us = tick * 10_000 + 3_000;
        while let Some(packet) = waiting.next_if(|p| p.arrival_us <= at_us) {
            receiver
                .handle_packet(&packet.bytes, at(now, packet.arrival_us))
                .unwrap();
        }
        if tick == 200 {
            let codec = Codec::new(CodecKind::Pcmu);
            receiver
                .renegotiate(ReceiverConfig::new(codec, None))
                .unwrap();
        }
        if receiver.pull(&mut frame, at(now, at_us)) == FrameOrigin::Played {
            played += 1;
        }
    }
    assert!(played >= 377, "{played}");
}

#[test]
fn a_renegotiation_to_another_codec_begins_anew() {
    let mut receiver = receiver(CodecKind::Pcmu);
    let now = beginning();
    for packet in stream(0..10, plain) {
        receiver
            .handle_packet(&packet.bytes, at(now, packet.arrival_us))
            .unwrap();
    }
    let codec = Codec::new(CodecKind::Opus);
    receiver
        .renegotiate(ReceiverConfig::new(codec, None))
        .unwrap();
    let mut encoder = Encoder::new(&codec).unwrap();
    let mut packet = [0; 400];
    let mut frame = [0; 160];
    let mut played = 0;
    for n in 0..50_u32 {
        let length = encoder.encode(&[100; 320], &mut packet).unwrap();
        let bytes = rtp(96, 10 + n as u16, n * 960, SSRC, &packet[..length]);
        let now = now + Duration::from_millis(1_000 + u64::from(n) * 20);
        receiver.handle_packet(&bytes, now).unwrap();
        for half in [0, 10] {
            let origin = receiver.pull(&mut frame, now + Duration::from_millis(half));
            played += usize::from(origin == FrameOrigin::Played);
        }
    }
    assert!(played >= 96, "{played}");
    assert_eq!(receiver.statistics().received, 60);
}

/// Speech-like sound for Opus: a buzz of 140 Hz through a wandering formant.
fn speech(samples: usize) -> Vec<i16> {
    (0..samples)
        .map(|n| {
            let t = n as f32 / 16_000.0;
            let formant = 500.0 + 200.0 * (t * 3.0 * std::f32::consts::TAU).sin();
            let since_pulse = (t * 140.0).fract() / 140.0;
            let envelope = (-since_pulse * 400.0).exp();
            ((since_pulse * formant * std::f32::consts::TAU).sin() * envelope * 9_000.0) as i16
        })
        .collect()
}

/// Runs Opus over a network that loses what `lost` says, and gives the mean magnitude of the difference
/// to a run without loss.
fn opus_damage(fec: bool, lost: impl Fn(u32) -> bool) -> f64 {
    let mut codec = Codec::new(CodecKind::Opus);
    codec.opus.fec = fec;
    let sound = speech(16_000 * 10);
    let hear = |lost: &dyn Fn(u32) -> bool| -> Vec<i16> {
        let mut encoder = Encoder::new(&codec).unwrap();
        let mut receiver = Receiver::new(ReceiverConfig::new(codec, None)).unwrap();
        let now = beginning();
        let mut packet = [0; 1_400];
        let mut frame = [0; 160];
        let mut heard = Vec::new();
        for (n, samples) in (0_u32..).zip(sound.chunks_exact(320)) {
            let length = encoder.encode(samples, &mut packet).unwrap();
            let now = now + Duration::from_millis(u64::from(n) * 20);
            if !lost(n) {
                let bytes = rtp(96, n as u16, n * 960, SSRC, &packet[..length]);
                receiver.handle_packet(&bytes, now).unwrap();
            }
            for half in [0, 10] {
                receiver.pull(&mut frame, now + Duration::from_millis(half));
                heard.extend_from_slice(&frame);
            }
        }
        heard
    };
    let (whole, damaged) = (hear(&|_| false), hear(&lost));
    let difference: f64 = whole
        .iter()
        .zip(&damaged)
        .map(|(a, b)| f64::from((i32::from(*a) - i32::from(*b)).abs()))
        .sum();
    difference / whole.len() as f64
}

#[test]
fn opus_repairs_single_losses_from_the_next_packet() {
    let lost = |n: u32| n % 10 == 7;
    let (with, without) = (opus_damage(true, lost), opus_damage(false, lost));
    assert!(
        with < without * 0.8,
        "{with} with the copies, {without} without"
    );
}

#[test]
fn an_opus_packet_that_lies_about_its_content_is_survived() {
    let mut receiver = receiver(CodecKind::Opus);
    let now = beginning();
    let mut random = Seeded::new(4);
    let mut frame = [0; 160];
    for n in 0..2_000_u32 {
        let length = 1 + (random.next() % 300) as usize;
        let payload: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        let bytes = rtp(96, n as u16, n * 960, SSRC, &payload);
        let now = now + Duration::from_millis(u64::from(n) * 20);
        let _ = receiver.handle_packet(&bytes, now);
        receiver.pull(&mut frame, now);
        receiver.pull(&mut frame, now + Duration::from_millis(10));
    }
}

#[test]
fn a_payload_says_how_long_it_is_without_being_decoded() {
    let codec = Codec {
        ptime_ms: 60,
        ..Codec::new(CodecKind::Opus)
    };
    let mut packet = [0; 1_400];
    let length = Encoder::new(&codec)
        .unwrap()
        .encode(&speech(960), &mut packet)
        .unwrap();
    assert_eq!(samples_in(CodecKind::Opus, &packet[..length]), 960);
    assert_eq!(samples_in(CodecKind::Opus, &[]), 0);
    assert_eq!(samples_in(CodecKind::Pcma, &[0; 240]), 240);
    assert_eq!(samples_in(CodecKind::G722, &[0; 160]), 320);
    assert_eq!(samples_in(CodecKind::L16Wideband, &[0; 640]), 320);
    assert_eq!(samples_in(CodecKind::L16Narrowband, &[0; 3]), 0);
}
