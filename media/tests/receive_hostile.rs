//! Bytes from a network never panic and never stop the audio.

mod lossy_network;

use std::time::Duration;

use lossy_network::*;
use offhook_media::codec::{Codec, CodecKind, PayloadType};
use offhook_media::receiver::{FrameOrigin, Receiver, ReceiverConfig};
use offhook_media::telephone_event::TelephoneEvent;
use proptest::prelude::*;

fn any_receiver(kind: CodecKind) -> Receiver {
    let number = PayloadType::new(101).unwrap();
    let event = TelephoneEvent {
        payload_type_send: number,
        payload_type_receive: number,
        clock_rate_hz: 8_000,
    };
    Receiver::new(ReceiverConfig::new(Codec::new(kind), Some(event))).unwrap()
}

fn kinds() -> impl Strategy<Value = CodecKind> {
    prop_oneof![
        Just(CodecKind::Pcmu),
        Just(CodecKind::Pcma),
        Just(CodecKind::Opus)
    ]
}

proptest! {
    #[test]
    fn random_bytes_are_survived(
        kind in kinds(),
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..40),
    ) {
        let mut receiver = any_receiver(kind);
        let now = beginning();
        let mut frame = vec![0; if kind == CodecKind::Opus { 160 } else { 80 }];
        for (n, datagram) in (0..).zip(&datagrams) {
            let now = now + Duration::from_millis(n * 7);
            let _ = receiver.handle_packet(datagram, now);
            receiver.pull(&mut frame, now);
            receiver.poll_digit();
        }
    }

    #[test]
    fn valid_headers_with_any_numbers_times_and_payloads_are_survived(
        kind in kinds(),
        packets in prop::collection::vec(
            (
                prop_oneof![Just(0_u8), Just(8), Just(13), Just(96), Just(101)],
                any::<u16>(),
                any::<u32>(),
                0_u32..3,
                prop::collection::vec(any::<u8>(), 0..300),
                0_u64..3_000,
                any::<bool>(),
            ),
            0..60,
        ),
    ) {
        let mut receiver = any_receiver(kind);
        let mut now = beginning();
        let mut frame = vec![0; if kind == CodecKind::Opus { 160 } else { 80 }];
        for (payload_type, sequence, timestamp, ssrc, payload, wait_ms, back) in packets {
            let wait = Duration::from_millis(wait_ms);
            now = if back { now - wait / 4 } else { now + wait };
            let _ = receiver.handle_packet(&rtp(payload_type, sequence, timestamp, ssrc, &payload), now);
            for tick in 0..3 {
                receiver.pull(&mut frame, now + Duration::from_millis(tick * 10));
            }
            let _ = receiver.statistics();
        }
    }

    #[test]
    fn a_stream_recovers_from_whatever_was_injected(
        datagrams in prop::collection::vec(
            (any::<u16>(), any::<u32>(), prop::collection::vec(any::<u8>(), 1..200)),
            1..10,
        ),
    ) {
        // Same source, as only an attacker on the path or a broken far end could send.
        let mut packets = voice(12, 20, Network::default(), 1);
        for (n, (sequence, timestamp, payload)) in (0..).zip(&datagrams) {
            let bytes = rtp(0, *sequence, *timestamp, 0x1234, payload);
            let arrival_us = 2_000_000 + n * 13_000;
            packets.push(Packet { sent_us: arrival_us, arrival_us, bytes });
        }
        packets.sort_by_key(|packet| packet.arrival_us);
        let mut receiver = any_receiver(CodecKind::Pcmu);
        let heard = run(&mut receiver, &packets, 3_000);
        let last: Vec<_> = heard.iter().filter(|h| h.at_us > 10_500_000).collect();
        // Where a part of a frame was injected, all that follow lie across two of the numbered blocks, so that their
        // numbers cannot be read: that they play is what counts.
        let played = last.iter().filter(|h| h.origin == FrameOrigin::Played).count();
        prop_assert!(played > last.len() * 9 / 10, "{played} of {}", last.len());
    }
}
