//! A leg with SRTP around it.

use super::*;
use crate::srtp::{MasterKey, SrtpKeys, SrtpReceiver, SrtpSender, SrtpSuite};

fn key(seed: u8) -> MasterKey {
    MasterKey::from_random(SrtpSuite::AesCm128HmacSha1_80, &[seed; 46])
}

fn keys(ours: u8, theirs: u8) -> SrtpKeys {
    SrtpKeys {
        ours: key(ours),
        theirs: key(theirs),
    }
}

fn protected() -> LegConfig {
    LegConfig {
        srtp: Some(keys(1, 2)),
        ..config(CodecKind::Pcmu)
    }
}

/// What another re-INVITE agrees on, with the same keys.
fn direct(scene: &mut Scene, direction: Direction) {
    let agreed = Negotiated {
        srtp: Some(keys(1, 2)),
        ..agreed(&scene.leg, direction, Some(far_address()))
    };
    scene.leg.renegotiate(&agreed, scene.now).unwrap();
}

/// The far end's packets on their way, protected by its key.
fn send_protected(scene: &mut Scene, sender: &mut SrtpSender, from: SocketAddr) {
    let packet = RtpPacketBuilder::new()
        .payload_type(0)
        .ssrc(0xBEEF)
        .sequence(Seq::from(scene.sequence))
        .timestamp(scene.timestamp)
        .payload(&[0x10; 160])
        .build()
        .unwrap();
    scene.sequence = scene.sequence.wrapping_add(1);
    scene.timestamp = scene.timestamp.wrapping_add(160);
    let mut buffer = packet.clone();
    buffer.resize(packet.len() + 20, 0);
    let length = sender
        .protect_rtp(&mut buffer, packet.len())
        .unwrap()
        .unwrap();
    scene
        .leg
        .handle_datagram(&buffer[..length], from, scene.now);
}

#[test]
fn what_a_leg_sends_is_opened_by_its_key_alone_and_what_it_hears_is_proven() {
    let mut scene = Scene::new(protected());
    let mut theirs = SrtpSender::new(&key(2));
    for _ in 0..10 {
        send_protected(&mut scene, &mut theirs, far_address());
        scene.ticks(2);
    }
    assert_eq!(scene.leg.statistics().receiver.received, 10);
    assert_eq!(scene.leg.statistics().unproven, 0);
    let (mut right, mut wrong) = (SrtpReceiver::new(&key(1)), SrtpReceiver::new(&key(3)));
    assert!(scene.sent.len() >= 9);
    for sent in &scene.sent {
        assert_eq!(sent.len(), 12 + 160 + 10);
        assert!(wrong.open_rtp(&mut sent.clone()).is_err());
        assert_eq!(right.open_rtp(&mut sent.clone()), Ok(172));
    }
}

#[test]
fn who_cannot_prove_it_is_not_heard_and_does_not_move_the_audio() {
    let mut scene = Scene::new(protected());
    let thief = SocketAddr::from(([203, 0, 113, 66], 6_666));
    let mut wrong = SrtpSender::new(&key(9));
    for _ in 0..20 {
        send_protected(&mut scene, &mut wrong, thief);
        // In the clear, too.
        scene.far_end_sends(thief, 0xBEEF, &[0; 160]);
        scene.far_end_sends(far_address(), 0xBEEF, &[0; 160]);
        scene.ticks(2);
    }
    let statistics = scene.leg.statistics();
    assert_eq!((statistics.unproven, statistics.receiver.received), (60, 0));
    assert_eq!(statistics.remote, Some(far_address()));
    assert!(
        !scene
            .events
            .iter()
            .any(|event| matches!(event, LegEvent::Live { .. }))
    );
}

#[test]
fn wound_51_a_key_that_stays_goes_on_with_its_numbers_and_a_new_one_begins_anew() {
    let mut scene = Scene::new(protected());
    let mut theirs = SrtpSender::new(&key(2));
    let mut receiver = SrtpReceiver::new(&key(1));
    let hear = |scene: &mut Scene, theirs: &mut SrtpSender, ours: &mut SrtpReceiver| {
        scene.sent.clear();
        for _ in 0..5 {
            send_protected(scene, theirs, far_address());
            scene.ticks(2);
        }
        assert!(!scene.sent.is_empty());
        scene
            .sent
            .iter()
            .all(|sent| ours.open_rtp(&mut sent.clone()).is_ok())
    };
    let agree = |scene: &mut Scene, srtp| {
        let direction = Direction::SendReceive;
        let agreed = Negotiated {
            srtp,
            ..agreed(&scene.leg, direction, Some(far_address()))
        };
        let now = scene.now;
        scene.leg.renegotiate(&agreed, now).unwrap();
    };
    assert!(hear(&mut scene, &mut theirs, &mut receiver));
    agree(&mut scene, Some(keys(1, 2)));
    assert!(hear(&mut scene, &mut theirs, &mut receiver), "a refresh");
    assert_eq!(scene.leg.statistics().unproven, 0);

    agree(&mut scene, Some(keys(1, 4)));
    let mut rekeyed = SrtpSender::new(&key(4));
    assert!(
        hear(&mut scene, &mut rekeyed, &mut receiver),
        "their key is new"
    );
    assert_eq!(scene.leg.statistics().unproven, 0);
    assert_eq!(scene.leg.statistics().receiver.received, 15);

    agree(&mut scene, None);
    scene.sent.clear();
    scene.ticks(4);
    assert!(
        scene.sent.iter().all(|sent| sent.len() == 172),
        "in the clear"
    );
}

#[test]
fn reports_are_protected_as_well_and_what_is_none_is_not_believed() {
    let mut scene = Scene::new(protected());
    let mut theirs = SrtpSender::new(&key(2));
    let mut report = Vec::new();
    while report.is_empty() {
        send_protected(&mut scene, &mut theirs, far_address());
        scene.ticks(2);
        let now = scene.now;
        if scene.leg.is_report_due(now) {
            report = scene
                .leg
                .make_report(now)
                .expect("a far end")
                .bytes
                .to_vec();
        }
    }
    assert_eq!(
        SrtpReceiver::new(&key(1)).open_rtcp(&mut report.clone()),
        Ok(report.len() - 14)
    );
    assert!(
        SrtpReceiver::new(&key(3))
            .open_rtcp(&mut report.clone())
            .is_err()
    );

    // Theirs about their stream: an RR without blocks, in the clear and protected.
    let mut plain = vec![0x80, 201, 0, 1];
    plain.extend(0xBEEF_u32.to_be_bytes());
    plain.extend([0x81, 202, 0, 2]);
    plain.extend(0xBEEF_u32.to_be_bytes());
    plain.extend([1, 1, b'a', 0]);
    let (now, unproven) = (scene.now, scene.leg.statistics().unproven);
    scene.leg.handle_datagram(&plain, far_address(), now);
    assert_eq!(scene.leg.statistics().rtcp.received, 0);
    assert_eq!(scene.leg.statistics().unproven, unproven + 1);
    let length = plain.len();
    plain.resize(length + 20, 0);
    let length = theirs.protect_rtcp(&mut plain, length).unwrap().unwrap();
    scene
        .leg
        .handle_datagram(&plain[..length], far_address(), now);
    assert_eq!(scene.leg.statistics().rtcp.received, 1);
}

#[test]
fn a_far_end_whose_numbers_begin_anew_across_a_roll_over_is_heard_again() {
    let mut scene = Scene::new(protected());
    let mut theirs = SrtpSender::new(&key(2));
    scene.sequence = 60_000;
    for _ in 0..10 {
        send_protected(&mut scene, &mut theirs, far_address());
        scene.ticks(2);
    }
    let elsewhere = SocketAddr::from(([203, 0, 113, 66], 6_666));
    let mut unproven = 0;
    for from in [elsewhere, far_address()] {
        scene.sequence = 100;
        let mut anew = SrtpSender::new(&key(2));
        for _ in 0..60 {
            send_protected(&mut scene, &mut anew, from);
            scene.ticks(2);
        }
        let statistics = scene.leg.statistics();
        unproven += if from == elsewhere { 60 } else { 24 };
        assert_eq!(statistics.unproven, unproven, "{from}");
    }
    let statistics = scene.leg.statistics();
    // Their first one is a jump of the numbering, which the second confirms.
    assert_eq!(statistics.receiver.received, 10 + 60 - 24 - 1);
    assert_eq!(statistics.remote, Some(far_address()));
}

#[test]
fn a_far_end_that_sends_through_a_hold_is_understood_after_it() {
    // In the end its numbers are so far on that the nearest place for them is another.
    for through_hold in [2_000_u64, 33_000] {
        let mut scene = Scene::new(protected());
        let mut theirs = SrtpSender::new(&key(2));
        scene.sequence = 60_000;
        for _ in 0..10 {
            send_protected(&mut scene, &mut theirs, far_address());
            scene.ticks(2);
        }
        direct(&mut scene, Direction::Inactive);
        for _ in 0..through_hold {
            send_protected(&mut scene, &mut theirs, far_address());
            scene.now += Duration::from_millis(20);
        }
        assert_eq!(scene.leg.statistics().receiver.received, 10);
        assert_eq!(scene.leg.statistics().unwanted, through_hold);
        direct(&mut scene, Direction::SendReceive);
        for _ in 0..50 {
            send_protected(&mut scene, &mut theirs, far_address());
            scene.ticks(2);
        }
        let statistics = scene.leg.statistics();
        assert_eq!(statistics.unproven, 0, "{through_hold}");
        let receiver = statistics.receiver;
        assert_eq!(
            (receiver.received, receiver.lost, receiver.late),
            (60, 0, 0),
            "{through_hold}"
        );
        assert!(receiver.concealed_ms <= 60, "{}", receiver.concealed_ms);
        let stream = scene.leg.inbound.receiver.stream().unwrap();
        assert_eq!(stream.expected, through_hold + 60);
        assert_eq!(stream.received, stream.expected);
    }
}
