//! Packets of 10 to 60 ms, both ways, by every codec.

mod lossy_network;

use std::time::Duration;

use lossy_network::{at, beginning, rtp};
use offhook_media::codec::{Codec, CodecKind, Encoder};
use offhook_media::leg::{InBandDigits, Leg, LegConfig};
use offhook_media::mixer::BusBounds;
use offhook_media::receiver::{FrameOrigin, Receiver, ReceiverConfig};
use offhook_media::sdp::{Direction, RtcpPath};
use offhook_media::sender::StreamStart;

/// Each codec with each packet time it may have.
fn every_codec_and_packet_time() -> impl Iterator<Item = Codec> {
    CodecKind::ALL.into_iter().flat_map(|kind| {
        let times = [10, 20, 30, 40, 50, 60];
        let permitted = times
            .into_iter()
            .filter(move |ms| kind.permitted_ptime_ms(u32::from(*ms)) == *ms);
        permitted.map(move |ptime_ms| Codec {
            ptime_ms,
            ..Codec::new(kind)
        })
    })
}

/// Not 20 and 40 ms in turn, as stacks do whose clock has 20 ms.
#[test]
fn wound_21_packets_of_every_time_leave_evenly_spaced() {
    for codec in every_codec_and_packet_time() {
        let mut now = beginning();
        let config = LegConfig {
            codec,
            telephone_event: None,
            also_accepted: Vec::new(),
            remote: Some(([192, 0, 2, 9], 40_000).into()),
            direction: Direction::SendReceive,
            srtp: None,
            rtcp: RtcpPath::Multiplexed,
            stream: StreamStart {
                ssrc: 1,
                sequence: 2,
                timestamp: 3,
            },
            voice_activity: false,
            echo_guard: true,
            in_band_digits: InBandDigits::Never,
            call_tones: false,
            no_media_timeout: None,
            bounds: BusBounds::default(),
        };
        let mut leg = Leg::new(config, now).unwrap();
        let mut sent = Vec::new();
        for tick in 0..120 {
            if let Some((packet, _)) = leg.tick(now) {
                let timestamp = u32::from_be_bytes(packet[4..8].try_into().unwrap());
                sent.push((tick, timestamp));
            }
            now += Duration::from_millis(10);
        }
        let ptime_ms = u32::from(codec.ptime_ms);
        assert_eq!(sent.len() as u32, 1_200 / ptime_ms, "{codec:?}");
        for pair in sent.windows(2) {
            assert_eq!((pair[1].0 - pair[0].0) * 10, ptime_ms, "{codec:?}");
            assert_eq!(pair[1].1 - pair[0].1, codec.timestamp_step(), "{codec:?}");
        }
    }
}

#[test]
fn packets_of_every_time_are_played_whole() {
    for codec in every_codec_and_packet_time() {
        let mut encoder = Encoder::new(&codec).unwrap();
        let mut receiver = Receiver::new(ReceiverConfig::new(codec, None)).unwrap();
        let beginning = beginning();
        let mut payload = vec![0; codec.kind.maximum_payload_bytes()];
        let mut frame = vec![0; codec.samples_per_tick()];
        let mut origins = Vec::new();
        for n in 0..100_u32 {
            let sound: Vec<i16> = (0..codec.samples_per_frame())
                .map(|sample| ((sample as f32 * 0.2).sin() * 5_000.0) as i16)
                .collect();
            let length = encoder.encode(&sound, &mut payload).unwrap();
            let number = codec.payload_type_receive.get();
            let bytes = rtp(
                number,
                n as u16,
                n * codec.timestamp_step(),
                7,
                &payload[..length],
            );
            let sent_us = i64::from(n) * i64::from(codec.ptime_ms) * 1_000;
            receiver
                .handle_packet(&bytes, at(beginning, sent_us))
                .unwrap();
            for tick in 0..i64::from(codec.ptime_ms) / 10 {
                let now_us = sent_us + tick * 10_000 + 3_000;
                origins.push(receiver.pull(&mut frame, at(beginning, now_us)));
            }
        }
        let begun = origins
            .iter()
            .position(|origin| *origin == FrameOrigin::Played)
            .unwrap();
        assert!(begun <= 4, "{codec:?} begins at tick {begun}");
        let invented = origins[begun..]
            .iter()
            .filter(|origin| **origin != FrameOrigin::Played);
        assert_eq!(invented.count(), 0, "{codec:?}");
        let statistics = receiver.statistics();
        assert_eq!(
            (statistics.lost, statistics.late, statistics.refused),
            (0, 0, 0)
        );
        assert_eq!(
            (statistics.stretched_ms, statistics.left_out_ms),
            (0, 0),
            "{codec:?}"
        );
    }
}
