//! The receiver over networks of every kind, in virtual time.

mod lossy_network;

use lossy_network::*;
use offhook_media::codec::CodecKind;
use offhook_media::receiver::FrameOrigin;

#[test]
fn over_a_perfect_network_every_sample_plays_once_within_30_ms() {
    for ptime_ms in [10, 20, 30, 40, 60] {
        for phase_us in [0, 1_000, 4_999, 5_000, 9_000] {
            let mut receiver = receiver(CodecKind::Pcmu);
            let packets = voice(20, ptime_ms, Network::default(), 1);
            let heard = run(&mut receiver, &packets, phase_us);
            assert_eq!(
                concealed_share(&heard),
                0.0,
                "{ptime_ms} ms, phase {phase_us}"
            );
            let played: Vec<u64> = heard
                .iter()
                .skip_while(|h| h.origin == FrameOrigin::Silence)
                .map(|h| number_of(&h.samples).expect("unaltered"))
                .collect();
            let expected: Vec<u64> = (0..played.len() as u64).map(|n| n % RANGE).collect();
            assert_eq!(played, expected, "{ptime_ms} ms, phase {phase_us}");
            // 5 ms are the network's.
            let delays = delays_ms(&heard);
            assert!(
                delays.iter().all(|ms| *ms <= 35.0),
                "{ptime_ms} ms, phase {phase_us}"
            );
            let statistics = receiver.statistics();
            assert_eq!(
                (statistics.lost, statistics.late, statistics.refused),
                (0, 0, 0)
            );
            assert_eq!((statistics.stretched_ms, statistics.left_out_ms), (0, 0));
        }
    }
}

#[test]
fn packet_times_that_are_no_multiple_of_ten_play_as_well() {
    for samples in [40_u32, 100, 200, 213, 480, 960] {
        let mut receiver = receiver(CodecKind::Pcmu);
        let packets: Vec<Packet> = (0..8_000 * 10 / samples)
            .map(|n| {
                let bytes = rtp(0, n as u16, n * samples, 7, &vec![0x90; samples as usize]);
                let sent_us = i64::from(n * samples) * 125;
                Packet {
                    sent_us,
                    arrival_us: sent_us,
                    bytes,
                }
            })
            .collect();
        let heard = run(&mut receiver, &packets, 3_000);
        assert_eq!(concealed_share(&heard), 0.0, "{samples} samples a packet");
    }
}

#[test]
fn a_drifting_clock_is_followed_without_a_gap() {
    for drift_ppm in [-200.0, -50.0, 50.0, 200.0] {
        let network = Network {
            drift_ppm,
            ..Network::default()
        };
        let mut receiver = receiver(CodecKind::Pcmu);
        let packets = voice(300, 20, network, 3);
        let heard = run(&mut receiver, &packets, 2_000);
        let statistics = receiver.statistics();
        assert_eq!(statistics.concealed_ms, 0, "{drift_ppm} ppm");
        let moved_ms = statistics.stretched_ms + statistics.left_out_ms;
        assert!(moved_ms <= 80, "{drift_ppm} ppm: moved {moved_ms} ms");
        // The sent time of a block drifts against its number.
        for heard in &heard[1_000..] {
            let Some(number) = number_of(&heard.samples) else {
                continue;
            };
            let block_ms = 10.0 / (1.0 + drift_ppm / 1e6);
            let near = heard.at_us as f64 / 1_000.0 / block_ms;
            let block = (near as u64) - ((near as u64) + RANGE - number) % RANGE;
            let delay_ms = heard.at_us as f64 / 1_000.0 - block as f64 * block_ms;
            assert!(
                (5.0..=60.0).contains(&delay_ms),
                "{drift_ppm} ppm: {delay_ms} ms"
            );
        }
    }
}

#[test]
fn jitter_without_loss_costs_delay_and_hardly_any_audio() {
    for jitter_ms in [10, 20, 40, 70, 100] {
        let network = Network {
            jitter_ms,
            ..Network::default()
        };
        let mut receiver = receiver(CodecKind::Pcmu);
        let heard = run(&mut receiver, &voice(120, 20, network, jitter_ms), 2_000);
        let share = concealed_share(&heard);
        assert!(share < 0.03, "{jitter_ms} ms: {share}");
        let delays = delays_ms(&heard[500..]);
        let longest = delays.iter().copied().fold(0.0, f64::max);
        let bound = 5.0 + (jitter_ms as f64).max(20.0) + 35.0;
        assert!(longest <= bound, "{jitter_ms} ms: {longest}");
    }
}

#[test]
fn what_is_concealed_is_about_what_was_lost() {
    for loss in [0.01, 0.05, 0.1, 0.2] {
        for burst in [1, 3] {
            let network = Network {
                loss,
                burst,
                ..Network::default()
            };
            let mut receiver = receiver(CodecKind::Pcmu);
            let packets = voice(200, 20, network, 11);
            let heard = run(&mut receiver, &packets, 2_000);
            let statistics = receiver.statistics();
            let lost = statistics.lost as f64 / (200.0 * 50.0);
            let share = concealed_share(&heard);
            assert!(
                (share - lost).abs() < 0.01,
                "{loss} {burst}: {share} of {lost}"
            );
            assert!((lost - loss).abs() < 0.3 * loss + 0.005, "{lost} of {loss}");
            let delays = delays_ms(&heard);
            assert!(delays.iter().all(|ms| *ms <= 60.0), "{loss} {burst}");
        }
    }
}

#[test]
fn duplicates_and_reordering_are_counted_and_not_heard() {
    let network = Network {
        duplicates: 0.1,
        held_back: 0.2,
        ..Network::default()
    };
    let mut receiver = receiver(CodecKind::Pcmu);
    let heard = run(&mut receiver, &voice(60, 20, network, 5), 2_000);
    let statistics = receiver.statistics();
    assert!(statistics.duplicate > 200, "{statistics:?}");
    assert!(statistics.reordered > 200, "{statistics:?}");
    // At the end one may still be on its way.
    assert!(statistics.lost <= 1, "{statistics:?}");
    let share = concealed_share(&heard[100..]);
    assert!(share < 0.005, "{share}");
}

#[test]
fn everything_at_once_stays_bounded() {
    for seed in 0..20 {
        let network = Network {
            loss: 0.1,
            burst: 2,
            duplicates: 0.05,
            jitter_ms: 60,
            held_back: 0.05,
            drift_ppm: 100.0,
        };
        let mut receiver = receiver(CodecKind::Pcmu);
        let heard = run(&mut receiver, &voice(60, 20, network, seed), 2_000);
        let share = concealed_share(&heard);
        assert!(share < 0.17, "seed {seed}: {share}");
        let delays = delays_ms(&heard[500..]);
        let longest = delays.iter().copied().fold(0.0, f64::max);
        assert!(longest < 160.0, "seed {seed}: {longest}");
    }
}

#[test]
fn a_stall_of_the_network_is_forgotten_within_seconds() {
    for stall_ms in [60, 150, 400, 2_000] {
        let mut packets = voice(40, 20, Network::default(), 1);
        let (from, to) = (10_000_000, 10_000_000 + stall_ms * 1_000);
        for packet in &mut packets {
            if (from..to).contains(&packet.arrival_us) {
                packet.arrival_us = to;
            }
        }
        let mut receiver = receiver(CodecKind::Pcmu);
        let heard = run(&mut receiver, &packets, 2_000);
        let after: Vec<_> = heard.iter().filter(|h| h.at_us > to).collect();
        let longest = after
            .iter()
            .filter_map(|h| h.delay_ms())
            .fold(0.0, f64::max);
        assert!(longest < 480.0, "{stall_ms} ms: {longest}");
        let settled: Vec<_> = after.iter().filter(|h| h.at_us > to + 15_000_000).collect();
        assert!(
            settled.iter().all(|h| h.origin == FrameOrigin::Played),
            "{stall_ms} ms"
        );
        let longest = settled
            .iter()
            .filter_map(|h| h.delay_ms())
            .fold(0.0, f64::max);
        assert!(longest <= 60.0, "{stall_ms} ms: {longest}");
    }
}

#[test]
fn a_path_that_becomes_longer_is_followed_at_once() {
    for step_ms in [40, 100, 300, 700] {
        let mut packets = voice(40, 20, Network::default(), 1);
        for packet in &mut packets {
            if packet.sent_us >= 10_000_000 {
                packet.arrival_us += step_ms * 1_000;
            }
        }
        let mut receiver = receiver(CodecKind::Pcmu);
        let heard = run(&mut receiver, &packets, 2_000);
        let moved_us = 10_000_000 + step_ms * 1_000;
        let after: Vec<_> = heard
            .iter()
            .filter(|h| h.at_us > moved_us + 250_000)
            .collect();
        // Once more when the old path leaves the window, and with it the cushion it had.
        let invented = after
            .iter()
            .filter(|h| h.origin != FrameOrigin::Played)
            .count();
        assert!(invented <= 2, "{step_ms} ms: {invented}");
        let delays: Vec<f64> = after.iter().filter_map(|h| h.delay_ms()).collect();
        let expected = step_ms as f64 + 5.0..=step_ms as f64 + 70.0;
        assert!(
            delays.iter().all(|ms| expected.contains(ms)),
            "{step_ms} ms: {:?}",
            &delays[..50]
        );
    }
}

#[test]
fn late_ticks_of_the_media_thread_do_not_move_playout() {
    let packets = voice(30, 20, Network::default(), 1);
    let mut receiver = receiver(CodecKind::Pcmu);
    let beginning = beginning();
    let mut waiting = packets.iter().peekable();
    let mut random = Seeded::new(9);
    let mut frame = [0; 80];
    for tick in 0..2_900 {
        let due_us = tick * 10_000;
        let at_us = due_us + (random.share() * 8_000.0) as i64;
        while let Some(packet) = waiting.next_if(|packet| packet.arrival_us <= at_us) {
            receiver
                .handle_packet(&packet.bytes, at(beginning, packet.arrival_us))
                .unwrap();
        }
        receiver.pull(&mut frame, at(beginning, at_us));
    }
    let statistics = receiver.statistics();
    assert_eq!(statistics.concealed_ms, 0, "{statistics:?}");
    assert_eq!(
        (statistics.stretched_ms, statistics.left_out_ms),
        (0, 0),
        "{statistics:?}"
    );
}
