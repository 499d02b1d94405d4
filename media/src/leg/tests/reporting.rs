//! A leg and a far end that reports by hand.

use super::*;
use crate::rtcp::{Heard, LONGEST_REPORT, Report, ReportBlock, SenderInfo, Source, read};

const THEIRS: Source = Source {
    ssrc: 0xBEEF,
    cname: *b"whoever-that-is-x",
};

fn rtcp_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 9], 40_001))
}

fn apart() -> LegConfig {
    LegConfig {
        rtcp: RtcpPath::Apart { port: 40_001 },
        ..config(CodecKind::Pcmu)
    }
}

fn bytes(report: &Report) -> Vec<u8> {
    let mut buffer = [0; LONGEST_REPORT];
    let length = report.write(&mut buffer);
    buffer[..length].to_vec()
}

/// What the far end says when it received `received` packets of ours.
fn on_us(leg: &Leg, received: u32) -> Report {
    Report {
        us: THEIRS,
        sender_info: Some(SenderInfo {
            ntp: 0x0000_1234_5678_0000,
            rtp_timestamp: 160,
            packets: 1,
            octets: 160,
        }),
        block: Some(ReportBlock {
            ssrc: leg.rtcp.us().ssrc,
            highest_sequence: u32::from(STREAM.sequence) + received - 1,
            ..ReportBlock::default()
        }),
        goodbye: false,
    }
}

impl Scene {
    /// Ticks while the far end speaks, and gives the reports made meanwhile, with where they go.
    fn talk(&mut self, seconds: u64) -> Vec<(Heard, SocketAddr, bool)> {
        let mut reports = Vec::new();
        for tick in 0..seconds * 100 {
            if tick % 2 == 0 {
                self.far_end_says(&[500; 160]);
            }
            self.tick();
            reports.extend(self.report());
        }
        reports
    }

    fn report(&mut self) -> Option<(Heard, SocketAddr, bool)> {
        if !self.leg.is_report_due(self.now) {
            return None;
        }
        let report = self.leg.make_report(self.now)?;
        let heard = read(report.bytes, &THEIRS).unwrap();
        Some((heard, report.to, report.multiplexed))
    }
}

#[test]
fn a_leg_says_what_it_sent_and_what_it_received() {
    let mut scene = Scene::new(apart());
    let reports = scene.talk(30);
    assert!((4..=14).contains(&reports.len()), "{}", reports.len());
    let (heard, to, multiplexed) = reports[reports.len() - 1];
    assert_eq!((to, multiplexed), (rtcp_address(), false));
    assert_eq!(heard.sender, Some(STREAM.ssrc));
    let info = heard.sender_info.unwrap();
    assert_eq!(info.octets, info.packets * 160);
    assert_eq!(info.rtp_timestamp, STREAM.timestamp + info.packets * 160);
    let block = heard.about_us.unwrap();
    assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 0));
    assert!(block.highest_sequence > 1_000);
    assert!(!heard.goodbye);
}

#[test]
fn a_leg_that_only_listens_sends_receiver_reports() {
    let mut scene = Scene::new(LegConfig {
        direction: Direction::ReceiveOnly,
        ..apart()
    });
    let reports = scene.talk(20);
    assert!(
        reports
            .iter()
            .all(|(heard, ..)| heard.sender_info.is_none())
    );
    assert!(reports.iter().all(|(heard, ..)| heard.about_us.is_some()));
}

#[test]
fn reports_go_on_while_the_far_end_is_on_hold_and_say_nothing_of_its_silence() {
    let mut scene = Scene::new(apart());
    scene.talk(10);
    let agreed = agreed(&scene.leg, Direction::SendOnly, Some(far_address()));
    let agreed = Negotiated {
        rtcp: RtcpPath::Apart { port: 40_001 },
        ..agreed
    };
    scene.leg.renegotiate(&agreed, scene.now).unwrap();
    let mut reports = Vec::new();
    for _ in 0..3_000 {
        scene.tick();
        reports.extend(scene.report());
    }
    assert!(reports.len() >= 3);
    let last = reports[reports.len() - 1].0;
    assert!(last.sender_info.is_some() && last.about_us.is_none());
    let report = bytes(&on_us(&scene.leg, 10));
    scene.leg.handle_rtcp(&report, rtcp_address(), scene.now);
    assert_eq!(scene.leg.statistics().rtcp.received, 1);
    assert_eq!(scene.leg.statistics().unwanted, 0);
}

#[test]
fn rtcp_alone_does_not_keep_a_call_alive() {
    let mut scene = Scene::new(LegConfig {
        no_media_timeout: Some(Duration::from_secs(5)),
        ..apart()
    });
    scene.talk(1);
    for tick in 0..600 {
        if tick % 100 == 0 {
            let report = bytes(&on_us(&scene.leg, 10));
            scene.leg.handle_rtcp(&report, rtcp_address(), scene.now);
        }
        scene.tick();
    }
    let silent = |event: &LegEvent| matches!(event, LegEvent::Silent { .. });
    assert_eq!(scene.events.iter().filter(|event| silent(event)).count(), 1);
    let heard = scene.leg.statistics().rtcp.last_heard.unwrap();
    assert!(scene.now - heard <= Duration::from_secs(1));
}

#[test]
fn rtcp_on_the_port_of_rtp_is_understood_whatever_was_agreed_on() {
    for config in [apart(), config(CodecKind::Pcmu)] {
        let mut scene = Scene::new(config);
        scene.talk(1);
        let report = bytes(&on_us(&scene.leg, 10));
        scene.leg.handle_datagram(&report, far_address(), scene.now);
        let statistics = scene.leg.statistics();
        assert_eq!(statistics.rtcp.on_us.unwrap().expected, 0);
        assert_eq!(
            (statistics.from_elsewhere, statistics.receiver.refused),
            (0, 0)
        );
    }
}

#[test]
fn loss_towards_a_receiver_that_joined_late_is_of_what_it_was_sent() {
    let mut scene = Scene::new(apart());
    scene.talk(30);
    let tell = |scene: &mut Scene, reporter, received, cumulative_lost, fraction_lost| {
        let report = on_us(&scene.leg, received);
        let block = ReportBlock {
            cumulative_lost,
            fraction_lost,
            ..report.block.unwrap()
        };
        let report = Report {
            us: Source {
                ssrc: reporter,
                ..THEIRS
            },
            block: Some(block),
            ..report
        };
        let now = scene.now;
        scene.leg.handle_rtcp(&bytes(&report), rtcp_address(), now);
        scene.leg.statistics()
    };
    // It was there for the last second of the thirty only.
    tell(&mut scene, 0xBEEF, 1_500, 0, 0);
    let statistics = tell(&mut scene, 0xBEEF, 1_700, 100, 128);
    let on_us = statistics.rtcp.on_us.unwrap();
    assert_eq!((on_us.expected, on_us.lost), (200, 100));
    assert_eq!(on_us.loss(), 0.5);
    assert_eq!(statistics.quality.sent, statistics.quality.sent_live);
    // Somebody else in its place has lost nothing.
    tell(&mut scene, 0xCAFE, 1_800, 0, 0);
    let statistics = tell(&mut scene, 0xCAFE, 2_000, 0, 0);
    assert_eq!(statistics.rtcp.on_us.unwrap().loss(), 0.0);
}

#[test]
fn who_is_not_the_far_end_is_not_believed() {
    let mut scene = Scene::new(apart());
    scene.talk(1);
    let report = bytes(&on_us(&scene.leg, 10));
    let stranger = SocketAddr::from(([198, 51, 100, 1], 40_001));
    scene.leg.handle_rtcp(&report, stranger, scene.now);
    // The far end's address, but a port of somebody else's call there: neither stream is ours.
    let other = Report {
        us: Source { ssrc: 1, ..THEIRS },
        block: None,
        ..on_us(&scene.leg, 1)
    };
    let neighbour = SocketAddr::from(([192, 0, 2, 9], 40_777));
    scene.leg.handle_rtcp(&bytes(&other), neighbour, scene.now);
    scene
        .leg
        .handle_rtcp(b"no RTCP at all", rtcp_address(), scene.now);
    let rtcp = scene.leg.statistics().rtcp;
    assert_eq!((rtcp.received, rtcp.refused), (0, 3));
    assert_eq!(scene.talk(10)[0].1, rtcp_address());
}

#[test]
fn the_last_reports_of_a_far_end_that_was_replaced_are_nobodys() {
    let mut scene = Scene::new(apart());
    scene.talk(1);
    let report = bytes(&on_us(&scene.leg, 10));
    let successor = SocketAddr::from(([192, 0, 2, 9], 41_000));
    let agreed = Negotiated {
        rtcp: RtcpPath::Apart { port: 41_001 },
        another_far_end: true,
        ..agreed(&scene.leg, Direction::SendReceive, Some(successor))
    };
    scene.leg.renegotiate(&agreed, scene.now).unwrap();
    scene.leg.handle_rtcp(&report, rtcp_address(), scene.now);
    let rtcp = scene.leg.statistics().rtcp;
    assert_eq!((rtcp.received, rtcp.refused), (0, 1));
    let declared = SocketAddr::from(([192, 0, 2, 9], 41_001));
    assert_eq!(scene.talk(10)[0].1, declared);
}

#[test]
fn reports_follow_a_far_end_whose_port_is_not_the_one_it_named() {
    let mut scene = Scene::new(apart());
    scene.talk(1);
    let translated = SocketAddr::from(([192, 0, 2, 9], 61_000));
    let report = bytes(&on_us(&scene.leg, 10));
    scene.leg.handle_rtcp(&report, translated, scene.now);
    assert_eq!(scene.talk(10)[0].1, translated);
}

#[test]
fn a_private_address_in_sdp_gets_no_reports_once_rtp_shows_another() {
    let mut scene = Scene::new(LegConfig {
        remote: Some(SocketAddr::from(([10, 0, 0, 7], 40_000))),
        ..apart()
    });
    assert_eq!(scene.talk(10), []);
    let report = bytes(&on_us(&scene.leg, 10));
    let translated = SocketAddr::from(([192, 0, 2, 9], 61_000));
    scene.leg.handle_rtcp(&report, translated, scene.now);
    assert_eq!(scene.talk(10)[0].1, translated);
}

#[test]
fn the_last_word_is_bye_and_who_never_spoke_says_none() {
    let mut scene = Scene::new(apart());
    assert_eq!(scene.leg.goodbye(scene.now), None);
    scene.talk(1);
    let goodbye = scene.leg.goodbye(scene.now).unwrap();
    assert!(read(goodbye.bytes, &THEIRS).unwrap().goodbye);
}

#[test]
fn an_ssrc_that_two_use_is_given_up_with_bye_and_another_taken() {
    let mut scene = Scene::new(apart());
    scene.talk(10);
    let impostor = Report {
        us: Source {
            ssrc: STREAM.ssrc,
            ..THEIRS
        },
        ..on_us(&scene.leg, 10)
    };
    scene
        .leg
        .handle_rtcp(&bytes(&impostor), rtcp_address(), scene.now);
    let (heard, ..) = scene.report().expect("at once");
    assert_eq!((heard.sender, heard.goodbye), (Some(STREAM.ssrc), true));
    scene.sent.clear();
    let reports = scene.talk(10);
    let ssrc = scene.leg.rtcp.us().ssrc;
    assert_ne!(ssrc, STREAM.ssrc);
    assert!(scene.packets().all(|packet| packet.ssrc() == ssrc));
    let (heard, ..) = reports[reports.len() - 1];
    assert_eq!((heard.sender, heard.goodbye), (Some(ssrc), false));
    assert!(heard.sender_info.unwrap().packets <= 500);
    assert_eq!(scene.leg.statistics().rtcp.collisions, 1);
}

#[test]
fn what_a_far_end_sends_back_of_ours_is_no_collision() {
    let mut scene = Scene::new(apart());
    for _ in 0..500 {
        scene.tick();
        for packet in std::mem::take(&mut scene.sent) {
            scene.leg.handle_datagram(&packet, far_address(), scene.now);
        }
    }
    let report = scene.leg.goodbye(scene.now).unwrap().bytes.to_vec();
    scene.leg.handle_rtcp(&report, rtcp_address(), scene.now);
    let statistics = scene.leg.statistics();
    assert_eq!(statistics.rtcp.collisions, 0);
    assert_eq!(statistics.rtcp.refused, 1, "our own report");
    assert_eq!(scene.leg.rtcp.us().ssrc, STREAM.ssrc);
    assert!(statistics.receiver.received >= 249);

    scene.sequence = 40_000;
    scene.far_end_sends(far_address(), STREAM.ssrc, &[0xFF; 160]);
    let (heard, ..) = scene
        .report()
        .expect("a number we never sent is somebody else's");
    assert!(heard.goodbye);
}

#[test]
fn another_source_at_the_far_end_is_reported_anew() {
    let mut scene = Scene::new(apart());
    scene.talk(10);
    let mut reports = Vec::new();
    for tick in 0..2_000 {
        if tick % 2 == 0 {
            scene.far_end_sends(far_address(), 0xCAFE, &[0xFF; 160]);
        }
        scene.tick();
        reports.extend(scene.report());
    }
    // The reader above looks for blocks about the first source: there are none any more.
    assert!(reports.len() >= 2);
    assert!(
        reports[1..]
            .iter()
            .all(|(heard, ..)| heard.about_us.is_none())
    );
    let stream = scene.leg.inbound.receiver.stream().unwrap();
    assert_eq!(
        (stream.ssrc, stream.expected, stream.received),
        (0xCAFE, 1_000, 1_000)
    );
}
