//! What leaves a leg and when.

use super::*;

/// The best signal-to-noise ratio, in dB, of `heard` against `said` over delays up to `most`.
fn best_match(said: &[i16], heard: &[i16], most: usize) -> (usize, f64) {
    let length = said.len() - 2 * most;
    let ratio = |delay: usize| {
        let signal: f64 = said[..length].iter().map(|s| f64::from(*s).powi(2)).sum();
        let noise: f64 = said[..length]
            .iter()
            .zip(&heard[delay..])
            .map(|(s, h)| (f64::from(*s) - f64::from(*h)).powi(2))
            .sum();
        10.0 * (signal / noise.max(1.0)).log10()
    };
    (0..most)
        .map(|delay| (delay, ratio(delay)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap()
}

#[test]
fn an_echoing_leg_returns_what_it_heard() {
    for (kind, least) in [(CodecKind::Pcmu, 30.0), (CodecKind::Pcma, 30.0)] {
        let mut scene = Scene::new(config(kind));
        scene.leg.handle_command(LegCommand::Loopback(true));
        // Not a period of anything, so that only the right delay matches.
        let mut said = tone(443.0, 8000, 6000.0, 16_000);
        for (index, sample) in said.iter_mut().enumerate() {
            *sample = (i32::from(*sample) * (index as i32 % 5000) / 5000) as i16;
        }
        for frame in said.chunks(160) {
            scene.far_end_says(frame);
            scene.ticks(2);
        }
        let (delay, ratio) = best_match(&said, &scene.heard_by_far_end(), 800);
        println!(
            "{}: echo after {} ms at {ratio:.1} dB",
            kind.name(),
            delay / 8
        );
        assert!(ratio > least, "{ratio:.1} dB at {delay}");
        assert!(delay <= 640, "{delay}");
        assert_eq!(scene.events[0], LegEvent::Live { at_ms: 0 });
    }
}

#[test]
fn an_idle_leg_sends_silence_every_packet_time_with_one_marker_and_no_gap_in_its_numbers() {
    let mut scene = Scene::new(config(CodecKind::Pcmu));
    scene.ticks(100);
    assert_eq!(scene.sent.len(), 50);
    for (index, packet) in scene.packets().enumerate() {
        assert_eq!(u16::from(packet.sequence_number()), 100 + index as u16);
        assert_eq!(packet.timestamp(), 5000 + 160 * index as u32);
        assert_eq!((packet.mark(), packet.ssrc()), (index == 0, 0xA11CE));
        assert!(packet.payload().iter().all(|byte| *byte == 0xFF));
    }
}

#[test]
fn an_utterance_is_reported_with_the_packets_that_hold_its_first_and_last_sample() {
    let mut scene = Scene::new(config(CodecKind::Pcmu));
    scene.ticks(3);
    scene.play(1, vec![8000; 330], true);
    scene.ticks(20);
    // Queued in the middle of a packet: it begins in the second half of the one sent at 30 ms.
    assert_eq!(
        scene.events,
        [
            LegEvent::Started {
                epoch: Epoch(1),
                at_ms: 30
            },
            LegEvent::Drained {
                epoch: Epoch(1),
                at_ms: 70
            },
        ]
    );
    let heard = scene.heard_by_far_end();
    let first = heard.iter().position(|sample| *sample != 0).unwrap();
    let last = heard.iter().rposition(|sample| *sample != 0).unwrap();
    assert_eq!((first, last), (3 * 80, 3 * 80 + 329));
}

#[test]
fn two_utterances_in_a_row_are_drained_apart() {
    let mut scene = Scene::new(config(CodecKind::Pcmu));
    scene.play(1, vec![8000; 40], true);
    scene.play(2, vec![8000; 40], true);
    scene.ticks(6);
    assert_eq!(
        scene.events,
        [
            LegEvent::Started {
                epoch: Epoch(1),
                at_ms: 10
            },
            LegEvent::Drained {
                epoch: Epoch(1),
                at_ms: 10
            },
            LegEvent::Started {
                epoch: Epoch(2),
                at_ms: 10
            },
            LegEvent::Drained {
                epoch: Epoch(2),
                at_ms: 30
            },
        ]
    );
}

#[test]
fn a_flush_fades_within_its_time_and_late_chunks_of_the_old_epoch_are_never_heard() {
    let mut scene = Scene::new(config(CodecKind::Pcmu));
    scene.play(1, vec![8000; 8000], false);
    scene.ticks(10);
    scene.flush(1, 20);
    scene.play(1, vec![-8000; 8000], true);
    scene.play(2, vec![2000; 160], true);
    scene.ticks(20);
    assert!(scene.events.contains(&LegEvent::Flushed {
        bus: Bus::Speech,
        through: Epoch(1),
        cut: Some(Epoch(1)),
        played_ms: 100
    }));
    assert!(!scene.events.iter().any(|e| matches!(
        e,
        LegEvent::Drained {
            epoch: Epoch(1),
            ..
        }
    )));
    let heard = scene.heard_by_far_end();
    assert!(
        heard.iter().all(|sample| *sample >= 0),
        "nothing of the late chunk"
    );
    let (fade, after) = heard[800..].split_at(160);
    assert!(
        fade.windows(2)
            .all(|pair| pair[1] <= pair[0] && pair[0] - pair[1] <= 520),
        "no step but those of the law itself: {fade:?}"
    );
    assert!(
        after.iter().all(|sample| *sample <= 2100),
        "nothing after the fade"
    );
}

#[test]
fn a_late_tick_sends_one_packet_and_the_missed_slots_move_the_timestamp_but_cost_no_speech() {
    let mut scene = Scene::new(config(CodecKind::Pcmu));
    let said: Vec<i16> = (0..1600)
        .map(|index| if index % 80 < 40 { 4000 } else { -4000 })
        .collect();
    scene.play(1, said.clone(), true);
    scene.ticks(4);
    scene.now += Duration::from_millis(55);
    scene.ticks(30);
    let timestamps: Vec<u32> = scene.packets().map(|packet| packet.timestamp()).collect();
    assert_eq!(
        timestamps[..4],
        [5000, 5160, 5160 + 160 + 320, 5160 + 160 + 320 + 160]
    );
    let sequences: Vec<u16> = scene
        .packets()
        .map(|p| u16::from(p.sequence_number()))
        .collect();
    assert!(sequences.windows(2).all(|pair| pair[1] == pair[0] + 1));
    assert_eq!(scene.leg.statistics().missed_slots, 4);
    let heard = scene.heard_by_far_end();
    for (said, heard) in said.iter().zip(&heard) {
        assert!(
            (i32::from(*said) - i32::from(*heard)).abs() < 200,
            "no sample was skipped"
        );
    }
}

#[test]
fn wound_48_the_timestamps_keep_to_the_clock_over_many_late_ticks() {
    let mut scene = Scene::new(config(CodecKind::Pcmu));
    let start = scene.now;
    for round in 0..500u64 {
        scene.tick();
        scene.now += Duration::from_millis(round * 13 % 37);
    }
    let elapsed = scene.now.duration_since(start).as_millis() as i64;
    let last = scene.packets().last().unwrap().timestamp();
    let sent_ms = i64::from(last - 5000) / 8 + 20;
    assert!((elapsed - sent_ms).abs() <= 60, "{sent_ms} of {elapsed} ms");
}

#[test]
fn strangers_are_counted_and_not_heard() {
    let mut scene = Scene::new(config(CodecKind::Pcmu));
    scene.leg.handle_command(LegCommand::Loopback(true));
    for _ in 0..50 {
        scene.far_end_sends(far_address(), 0xBEEF, &[0xFF; 160]);
        scene.sequence -= 1;
        scene.timestamp -= 160;
        scene.far_end_sends(
            SocketAddr::from(([203, 0, 113, 1], 9)),
            0xDEAD,
            &[0x10; 160],
        );
        scene
            .leg
            .handle_datagram(b"\x16\x03\x01 not RTP", far_address(), scene.now);
        scene.ticks(2);
    }
    assert!(
        scene
            .heard_by_far_end()
            .iter()
            .all(|sample| sample.abs() < 10)
    );
    assert_eq!(scene.leg.statistics().from_elsewhere, 100);
    assert_eq!(scene.leg.statistics().receiver.received, 50);
}

#[test]
fn wound_46_packets_go_where_the_far_ends_own_come_from() {
    let mut scene = Scene::new(config(CodecKind::Pcmu));
    let behind_nat = SocketAddr::from(([198, 51, 100, 7], 61_000));
    for _ in 0..4 {
        scene.far_end_sends(behind_nat, 0xBEEF, &[0xFF; 160]);
        scene.ticks(2);
    }
    assert_eq!(scene.leg.statistics().remote, Some(behind_nat));
    assert!(
        scene
            .events
            .iter()
            .any(|event| matches!(event, LegEvent::Live { .. }))
    );
}

#[test]
fn without_an_address_nothing_is_sent_and_speech_waits_for_one() {
    let mut scene = Scene::new(LegConfig {
        remote: None,
        ..config(CodecKind::Pcmu)
    });
    scene.play(1, vec![5000; 160], true);
    scene.ticks(10);
    assert!(scene.sent.is_empty() && scene.events.is_empty());
    for _ in 0..3 {
        scene.far_end_sends(far_address(), 0xBEEF, &[0xFF; 160]);
    }
    scene.ticks(4);
    assert!(scene.events.contains(&LegEvent::Drained {
        epoch: Epoch(1),
        at_ms: 110
    }));
    assert_eq!(
        scene.packets().next().unwrap().timestamp(),
        5000 + 10 * 80,
        "the clock went on"
    );
}

#[test]
fn on_hold_speech_waits_and_goes_on_afterwards_in_the_same_stream() {
    let mut scene = Scene::new(config(CodecKind::Pcmu));
    scene.play(1, vec![5000; 800], true);
    scene.ticks(4);
    let hold = agreed(&scene.leg, Direction::Inactive, Some(far_address()));
    scene.leg.renegotiate(&hold, scene.now).unwrap();
    scene.far_end_says(&[0; 160]);
    scene.ticks(100);
    assert_eq!(scene.sent.len(), 2);
    assert_eq!(scene.leg.statistics().unwanted, 1);
    let resume = agreed(&scene.leg, Direction::SendReceive, Some(far_address()));
    scene.leg.renegotiate(&resume, scene.now).unwrap();
    scene.ticks(10);
    let third = scene.packets().nth(2).unwrap();
    assert_eq!(u16::from(third.sequence_number()), 102);
    assert_eq!(third.timestamp(), 5000 + 320 + 100 * 80);
    assert!(scene.events.contains(&LegEvent::Drained {
        epoch: Epoch(1),
        at_ms: 1090
    }));
}

#[test]
fn what_comes_through_a_hold_is_neither_heard_nor_missed_nor_says_where_the_far_end_is() {
    let mut scene = Scene::new(config(CodecKind::Pcmu));
    let (ring, mut reader) = rtrb::RingBuffer::new(80_000);
    let mode = ListenMode::Always;
    let listen = LegCommand::Listen(Some(Listener { ring, mode }));
    scene.leg.handle_command(listen);
    for _ in 0..10 {
        scene.far_end_says(&[4000; 160]);
        scene.ticks(2);
    }
    let hold = agreed(&scene.leg, Direction::SendOnly, Some(far_address()));
    scene.leg.renegotiate(&hold, scene.now).unwrap();
    let elsewhere = SocketAddr::from(([192, 0, 2, 9], 40_002));
    for index in 0..200 {
        // Another source from the middle on, as hold music has.
        let (from, ssrc) = match index {
            0..100 => (far_address(), 0xBEEF),
            100..150 => (far_address(), 0xCAFE),
            _ => (elsewhere, 0xCAFE),
        };
        scene.far_end_sends(from, ssrc, &[0x10; 160]);
        scene.ticks(2);
    }
    assert_eq!(scene.leg.statistics().unwanted, 200);
    assert_eq!(scene.leg.statistics().remote, Some(far_address()));
    let resume = agreed(&scene.leg, Direction::SendReceive, Some(far_address()));
    scene.leg.renegotiate(&resume, scene.now).unwrap();
    while reader.pop().is_ok() {}
    scene.sequence -= 50;
    for _ in 0..50 {
        scene.far_end_says(&[-4000; 160]);
        scene.ticks(2);
    }
    let receiver = scene.leg.statistics().receiver;
    assert_eq!((receiver.received, receiver.lost), (60, 0));
    let heard: Vec<i16> = std::iter::from_fn(|| reader.pop().ok()).collect();
    let quiet = heard.iter().filter(|sample| sample.abs() < 3_500).count();
    assert!(quiet <= 8 * 150, "{quiet} samples");
    // What had waited when the hold began may be heard, and nothing of the hold.
    let loudest = heard.iter().map(|sample| sample.unsigned_abs()).max();
    assert!(
        loudest.is_some_and(|loudest| loudest < 4_500),
        "{loudest:?}"
    );
}

#[test]
fn a_far_end_that_was_replaced_is_neither_heard_nor_sent_to() {
    let mut scene = Scene::new(config(CodecKind::Pcmu));
    for _ in 0..10 {
        scene.far_end_says(&[4000; 160]);
        scene.ticks(2);
    }
    let successor = SocketAddr::from(([192, 0, 2, 10], 41_000));
    let mut other = agreed(&scene.leg, Direction::SendReceive, Some(successor));
    other.another_far_end = true;
    scene.leg.renegotiate(&other, scene.now).unwrap();
    // What it had sent before is played to its end.
    scene.ticks(20);
    scene.leg.handle_command(LegCommand::Loopback(true));
    scene.sent.clear();
    // It has not had our BYE yet.
    for _ in 0..60 {
        scene.far_end_says(&[4000; 160]);
        scene.ticks(2);
        let statistics = scene.leg.statistics();
        assert_eq!(statistics.receiver.received, 10);
        assert_eq!(statistics.remote, Some(successor));
    }
    assert_eq!(scene.leg.statistics().from_elsewhere, 60);
    assert!(scene.heard_by_far_end().iter().all(|s| s.abs() < 10));
    for _ in 0..10 {
        scene.far_end_sends(successor, 0xCAFE, &[0x10; 160]);
        scene.far_end_says(&[4000; 160]);
        scene.ticks(2);
    }
    let statistics = scene.leg.statistics();
    assert_eq!(statistics.receiver.received, 20);
    assert_eq!(statistics.remote, Some(successor));
}

#[test]
fn a_re_invite_may_change_law_and_packet_time() {
    let mut scene = Scene::new(config(CodecKind::Pcmu));
    scene.ticks(4);
    let mut other = agreed(&scene.leg, Direction::SendReceive, Some(far_address()));
    other.codec = Codec {
        ptime_ms: 40,
        ..Codec::new(CodecKind::Pcma)
    };
    scene.leg.renegotiate(&other, scene.now).unwrap();
    scene.ticks(4);
    let packet = scene.packets().nth(2).unwrap();
    assert_eq!((packet.payload_type(), packet.payload().len()), (8, 320));
    assert_eq!(
        (u16::from(packet.sequence_number()), packet.timestamp()),
        (102, 5320)
    );
}

#[test]
fn silence_of_the_far_end_is_reported_each_time_that_it_has_lasted_so_long() {
    let timeout = Some(Duration::from_secs(1));
    let mut scene = Scene::new(LegConfig {
        no_media_timeout: timeout,
        ..config(CodecKind::Pcmu)
    });
    scene.ticks(250);
    let silent = |at_ms| LegEvent::Silent { at_ms };
    assert_eq!(scene.events, [silent(1000), silent(2000)]);
    scene.far_end_says(&[0; 160]);
    scene.ticks(150);
    assert_eq!(
        scene.events[2..],
        [LegEvent::Live { at_ms: 2500 }, silent(3500)]
    );
}

#[test]
fn on_hold_nobody_waits_for_media() {
    let timeout = Some(Duration::from_secs(1));
    let mut scene = Scene::new(LegConfig {
        no_media_timeout: timeout,
        direction: Direction::SendOnly,
        ..config(CodecKind::Pcmu)
    });
    scene.ticks(300);
    assert_eq!(scene.events, []);
}

#[test]
fn an_always_listener_gets_the_callers_samples_in_announced_batches() {
    let mut scene = Scene::new(config(CodecKind::Pcmu));
    let (ring, mut reader) = rtrb::RingBuffer::new(80_000);
    let listener = Listener {
        ring,
        mode: ListenMode::Always,
    };
    scene.leg.handle_command(LegCommand::Listen(Some(listener)));
    for _ in 0..50 {
        scene.far_end_says(&[6000; 160]);
        scene.ticks(2);
    }
    let announced: u32 = scene
        .events
        .iter()
        .map(|event| match event {
            LegEvent::Heard { samples } => *samples,
            _ => 0,
        })
        .sum();
    assert_eq!(announced, 8000);
    assert_eq!(
        scene
            .events
            .iter()
            .filter(|e| matches!(e, LegEvent::Heard { .. }))
            .count(),
        10
    );
    let samples: Vec<i16> = std::iter::from_fn(|| reader.pop().ok()).collect();
    assert_eq!(samples.len(), 8000);
    assert!(samples.iter().filter(|sample| **sample > 5800).count() > 7000);
}

#[test]
fn a_listener_whose_reader_left_is_let_go() {
    let mut scene = Scene::new(config(CodecKind::Pcmu));
    let (ring, reader) = rtrb::RingBuffer::new(800);
    let listener = Listener {
        ring,
        mode: ListenMode::Always,
    };
    scene.leg.handle_command(LegCommand::Listen(Some(listener)));
    drop(reader);
    scene.ticks(2);
    assert!(scene.leg.listener.is_none());
}

#[test]
fn the_recorder_hears_the_caller_left_and_the_agent_right_on_one_clock() {
    let mut scene = Scene::new(config(CodecKind::Pcmu));
    let (ring, mut reader) = rtrb::RingBuffer::new(80_000);
    scene.leg.attach_recorder(ring, RecordMode::Both);
    scene.ticks(10);
    scene.play(1, vec![7000; 800], true);
    for _ in 0..20 {
        scene.far_end_says(&[-3000; 160]);
        scene.ticks(2);
    }
    scene.now += Duration::from_millis(40);
    scene.ticks(1);
    let samples: Vec<i16> = std::iter::from_fn(|| reader.pop().ok()).collect();
    assert_eq!(
        samples.len() / 2,
        (10 + 40 + 4 + 1) * 80,
        "every slot, the missed ones too"
    );
    let right: Vec<i16> = samples.iter().skip(1).step_by(2).copied().collect();
    assert_eq!(right[..800], [0; 800]);
    assert_eq!(right[800..1600], [7000; 800]);
    assert!(right[1600..].iter().all(|sample| *sample == 0));
    let left: Vec<i16> = samples.iter().step_by(2).copied().collect();
    assert_eq!(left[..800], [0; 800]);
    assert!(
        left[2400..3600]
            .iter()
            .all(|sample| (-3100..-2900).contains(sample))
    );
}

#[test]
fn every_packet_time_is_kept() {
    for ptime_ms in [10u8, 20, 30, 40, 50, 60] {
        let codec = Codec {
            ptime_ms,
            ..Codec::new(CodecKind::Pcmu)
        };
        let mut scene = Scene::new(LegConfig {
            codec,
            ..config(CodecKind::Pcmu)
        });
        scene.play(1, vec![1000; 4800], true);
        scene.ticks(60);
        assert_eq!(scene.sent.len(), 600 / usize::from(ptime_ms));
        assert!(
            scene
                .packets()
                .all(|packet| packet.payload().len() == 8 * usize::from(ptime_ms))
        );
        assert!(scene.events.contains(&LegEvent::Drained {
            epoch: Epoch(1),
            at_ms: 590
        }));
    }
}

#[test]
fn opus_speech_arrives_as_it_was() {
    let mut scene = Scene::new(config(CodecKind::Opus));
    let said = tone(500.0, 16_000, 8000.0, 16_000);
    let samples: Arc<[i16]> = said.clone().into();
    let chunk = Chunk {
        epoch: Epoch(1),
        samples,
        last: true,
    };
    scene.leg.handle_command(LegCommand::Play {
        bus: Bus::Speech,
        chunk,
    });
    scene.ticks(110);
    assert!(scene.packets().all(|packet| packet.payload_type() == 96));
    assert!(
        scene
            .packets()
            .zip(0u32..)
            .all(|(p, index)| p.timestamp() == 5000 + 960 * index)
    );
    let heard = scene.heard_by_far_end();
    let power = heard[4800..12_800]
        .iter()
        .map(|s| f64::from(*s).powi(2))
        .sum::<f64>()
        / 8000.0;
    assert!((4500.0..6500.0).contains(&power.sqrt()), "{}", power.sqrt());
}

#[test]
fn wound_28_a_re_invite_keeps_the_counts_and_the_other_payload_types() {
    let pcma = PayloadType::new(8).unwrap();
    let also_accepted = vec![(pcma, CodecKind::Pcma)];
    let mut scene = Scene::new(LegConfig {
        also_accepted,
        ..config(CodecKind::Pcmu)
    });
    scene.leg.handle_command(LegCommand::Loopback(true));
    for _ in 0..5 {
        scene.far_end_says(&[0; 160]);
        scene.ticks(2);
    }
    let again = agreed(&scene.leg, Direction::SendReceive, Some(far_address()));
    scene.leg.renegotiate(&again, scene.now).unwrap();
    scene.codec.payload_type_receive = pcma;
    scene.encoder = Encoder::new(&Codec::new(CodecKind::Pcma)).unwrap();
    for _ in 0..10 {
        scene.far_end_says(&[4000; 160]);
        scene.ticks(2);
    }
    assert_eq!(scene.leg.statistics().receiver.received, 15);
    assert_eq!(scene.leg.statistics().receiver.refused, 0);
    let heard = scene.heard_by_far_end();
    assert!(
        heard
            .iter()
            .filter(|sample| (3800..4200).contains(*sample))
            .count()
            > 800
    );
}

#[test]
fn a_far_end_that_sends_the_other_law_from_its_first_packet_is_heard() {
    let pcma = PayloadType::new(8).unwrap();
    let mut scene = Scene::new(config(CodecKind::Pcmu));
    scene.codec.payload_type_receive = pcma;
    scene.encoder = Encoder::new(&Codec::new(CodecKind::Pcma)).unwrap();
    for _ in 0..10 {
        scene.far_end_says(&[4000; 160]);
        scene.ticks(2);
    }
    let statistics = scene.leg.statistics();
    assert_eq!(
        (statistics.receiver.received, statistics.from_elsewhere),
        (10, 0)
    );
}

#[test]
fn a_flush_may_fade_for_as_long_as_400_ms() {
    for fade_ms in [0_usize, 100, 400] {
        let mut scene = Scene::new(config(CodecKind::L16Narrowband));
        scene.play(1, vec![8000; 16_000], false);
        scene.ticks(10);
        scene.flush(1, fade_ms as u32);
        scene.ticks(60);
        let heard = scene.heard_by_far_end();
        let (fade, after) = heard[800..].split_at(fade_ms * 8);
        assert!(
            fade.windows(2).all(|pair| pair[1] <= pair[0]),
            "{fade_ms} ms"
        );
        // Half of it is left in the middle.
        if let Some(middle) = fade.get(fade_ms * 4) {
            assert!((3_800..=4_200).contains(middle), "{fade_ms} ms: {middle}");
        }
        assert!(after.iter().all(|sample| *sample == 0), "{fade_ms} ms");
    }
}
