//! Two legs that talk over a network in virtual time: what each says of the other agrees with what the network did.

mod lossy_network;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lossy_network::{Seeded, beginning};
use offhook_media::codec::{Codec, CodecKind};
use offhook_media::leg::{InBandDigits, Leg, LegConfig, LegStatistics};
use offhook_media::mixer::BusBounds;
use offhook_media::sdp::{Direction, RtcpPath};
use offhook_media::sender::StreamStart;

/// One direction of a network.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    delay_ms: u64,
    /// Extra delay, even from 0 to this.
    jitter_ms: u64,
    loss: f64,
    /// Losses come in runs of this many.
    burst: u32,
    losing: u32,
    sent: u64,
    dropped: u64,
}

impl Way {
    fn new(delay_ms: u64, jitter_ms: u64, loss: f64, burst: u32) -> Self {
        Self {
            delay_ms,
            jitter_ms,
            loss,
            burst,
            ..Self::default()
        }
    }

    /// When a packet sent `at` arrives; `None` for never.
    fn carry(&mut self, at: Instant, is_rtp: bool, random: &mut Seeded) -> Option<Instant> {
        if is_rtp {
            self.sent += 1;
            if self.losing == 0 && random.share() < self.loss / f64::from(self.burst) {
                self.losing = self.burst;
            }
            if self.losing > 0 {
                self.losing -= 1;
                self.dropped += 1;
                return None;
            }
        } else if random.share() < self.loss {
            return None;
        }
        let extra_us = random.share() * self.jitter_ms as f64 * 1_000.0;
        Some(at + Duration::from_millis(self.delay_ms) + Duration::from_micros(extra_us as u64))
    }

    fn loss_share(&self) -> f64 {
        self.dropped as f64 / self.sent as f64
    }
}

struct Side {
    leg: Leg,
    rtp: SocketAddr,
    rtcp: SocketAddr,
    /// What is on its way here: arrival and number, then whence, whether by RTP's port, and the bytes.
    arriving: BTreeMap<(Instant, u64), (SocketAddr, bool, Vec<u8>)>,
    carried: u64,
}

impl Side {
    fn new(number: u8, path: RtcpPath, now: Instant) -> Self {
        let rtp = address(number, 40_000);
        let port = match path {
            RtcpPath::Multiplexed => rtp.port(),
            RtcpPath::Apart { port } => port,
        };
        let config = LegConfig {
            codec: Codec::new(CodecKind::Pcmu),
            telephone_event: None,
            also_accepted: Vec::new(),
            remote: Some(address(3 - number, 40_000)),
            rtcp: path,
            direction: Direction::SendReceive,
            srtp: None,
            stream: StreamStart {
                ssrc: 0x1000 * u32::from(number),
                sequence: 65_000,
                timestamp: 77,
            },
            voice_activity: false,
            echo_guard: true,
            in_band_digits: InBandDigits::Never,
            call_tones: false,
            no_media_timeout: None,
            bounds: BusBounds::default(),
        };
        Self {
            leg: Leg::new(config, now).unwrap(),
            rtp,
            rtcp: address(number, port),
            arriving: BTreeMap::new(),
            carried: 0,
        }
    }

    fn receive(&mut self, now: Instant) {
        while let Some(entry) = self.arriving.first_entry() {
            let (arrival, _) = *entry.key();
            if arrival > now {
                return;
            }
            let (from, by_rtp, bytes) = entry.remove();
            if by_rtp {
                self.leg.handle_datagram(&bytes, from, arrival);
            } else {
                self.leg.handle_rtcp(&bytes, from, arrival);
            }
        }
    }
}

fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], port))
}

/// Carries what `from` sends in one tick to `to`.
fn turn(from: &mut Side, to: &mut Side, way: &mut Way, now: Instant, random: &mut Seeded) {
    from.receive(now);
    let mut sent = Vec::new();
    if let Some((bytes, _)) = from.leg.tick(now) {
        sent.push((from.rtp, true, bytes.to_vec()));
    }
    if from.leg.is_report_due(now)
        && let Some(report) = from.leg.make_report(now)
    {
        assert_eq!(report.to, to.rtcp);
        let source = if report.multiplexed {
            from.rtp
        } else {
            from.rtcp
        };
        sent.push((source, report.multiplexed, report.bytes.to_vec()));
    }
    while from.leg.poll_event().is_some() {}
    for (source, by_rtp, bytes) in sent {
        let is_rtp = !offhook_media::rtcp::is_rtcp(&bytes);
        if let Some(arrival) = way.carry(now, is_rtp, random) {
            to.carried += 1;
            to.arriving
                .insert((arrival, to.carried), (source, by_rtp, bytes));
        }
    }
}

/// `seconds` of a call over `there` (from the first side to the second) and `back`.
fn call(
    seconds: u64,
    path: RtcpPath,
    mut there: Way,
    mut back: Way,
    seed: u64,
) -> (Side, Side, Way, Way) {
    let start = beginning();
    let mut random = Seeded::new(seed);
    let (mut first, mut second) = (Side::new(1, path, start), Side::new(2, path, start));
    for tick in 0..seconds * 100 {
        let now = start + Duration::from_millis(tick * 10);
        turn(&mut first, &mut second, &mut there, now, &mut random);
        turn(&mut second, &mut first, &mut back, now, &mut random);
    }
    let end = start + Duration::from_secs(seconds);
    say_goodbye(&mut first, &mut second, &there, end);
    // When the first one's has come.
    let later = end + Duration::from_secs(1);
    say_goodbye(&mut second, &mut first, &back, later);
    (first, second, there, back)
}

fn say_goodbye(from: &mut Side, to: &mut Side, way: &Way, at: Instant) {
    let report = from.leg.goodbye(at).unwrap();
    let source = if report.multiplexed {
        from.rtp
    } else {
        from.rtcp
    };
    let arrival = at + Duration::from_millis(way.delay_ms);
    to.leg.handle_rtcp(report.bytes, source, arrival);
}

/// Checks what `here` says of a call whose packets came to it by `to_here` and left it by `from_here`.
fn check(here: &LegStatistics, to_here: &Way, from_here: &Way, label: &str) {
    let receiver = &here.receiver;
    let lost = receiver.lost as f64 / (receiver.lost + receiver.received) as f64;
    assert!(
        (lost - to_here.loss_share()).abs() < 0.005,
        "{label}: hears {lost}, {to_here:?}"
    );
    // Even jitter of J moves neighbours by J / 3 on the average.
    let near = |jitter_us: u32, way: &Way| {
        let expected = way.jitter_ms as f64 * 1_000.0 / 3.0;
        (f64::from(jitter_us) - expected).abs() <= expected * 0.5 + 1.0
    };
    assert!(near(receiver.jitter_us, to_here), "{label}: {receiver:?}");

    let rtcp = &here.rtcp;
    let on_us = rtcp.on_us.unwrap();
    let told = on_us.loss();
    assert!(
        (told - from_here.loss_share()).abs() < 0.01,
        "{label}: told {told}, {from_here:?}"
    );
    assert!(near(on_us.jitter_us, from_here), "{label}: {on_us:?}");
    assert_eq!(rtcp.refused, 0, "{label}");

    let round_trip_us = rtcp.round_trip.unwrap().as_micros() as u64;
    let least = (to_here.delay_ms + from_here.delay_ms) * 1_000;
    let most = least + (to_here.jitter_ms + from_here.jitter_ms) * 1_000;
    // Times are in 65,536ths of a second.
    let bounds = least.saturating_sub(50)..=most + 50;
    assert!(
        bounds.contains(&round_trip_us),
        "{label}: {round_trip_us} us, not in {bounds:?}"
    );
    println!(
        "{label}: lost {:.2} % (network {:.2} %), jitter {:.1} ms, told lost {:.2} % (network {:.2} %), \
         jitter {:.1} ms, round trip {:.1} ms ({}..{}), MOS heard {:.2}, sent {:.2}",
        lost * 100.0,
        to_here.loss_share() * 100.0,
        f64::from(receiver.jitter_us) / 1e3,
        told * 100.0,
        from_here.loss_share() * 100.0,
        f64::from(on_us.jitter_us) / 1e3,
        round_trip_us as f64 / 1e3,
        least / 1_000,
        most / 1_000,
        here.quality.heard.unwrap().score(),
        here.quality.sent.unwrap().score(),
    );
}

#[test]
fn both_sides_figures_agree_with_what_the_network_did() {
    let ways = [
        ("perfect", Way::new(5, 0, 0.0, 1), Way::new(5, 0, 0.0, 1)),
        ("far", Way::new(150, 0, 0.0, 1), Way::new(80, 0, 0.0, 1)),
        ("jitter", Way::new(20, 12, 0.0, 1), Way::new(20, 45, 0.0, 1)),
        ("loss", Way::new(20, 3, 0.01, 1), Way::new(20, 3, 0.05, 1)),
        ("bursts", Way::new(40, 6, 0.1, 4), Way::new(40, 15, 0.2, 3)),
    ];
    for (label, there, back) in ways {
        for (path, seed) in [
            (RtcpPath::Multiplexed, 1),
            (RtcpPath::Apart { port: 40_001 }, 2),
            (RtcpPath::Apart { port: 51_234 }, 3),
        ] {
            let (first, second, there, back) = call(240, path, there, back, seed);
            let label = format!("{label}, {path:?}, seed {seed}");
            check(
                &first.leg.statistics(),
                &back,
                &there,
                &format!("{label}, first"),
            );
            check(
                &second.leg.statistics(),
                &there,
                &back,
                &format!("{label}, second"),
            );
            for side in [&first, &second] {
                assert!(side.leg.statistics().rtcp.goodbye, "{label}");
            }
        }
    }
}

#[test]
fn reports_go_both_ways_every_five_seconds_or_so() {
    let way = Way::new(10, 0, 0.0, 1);
    let (first, second, ..) = call(300, RtcpPath::Multiplexed, way, way, 4);
    for side in [first, second] {
        let rtcp = side.leg.statistics().rtcp;
        assert!((50..=75).contains(&rtcp.sent), "{rtcp:?}");
        assert!((50..=75).contains(&rtcp.received), "{rtcp:?}");
    }
}

#[test]
fn a_call_sounds_worse_on_a_worse_network_and_each_side_knows_of_both_ways() {
    let score = |there: Way, back: Way| {
        let (first, second, ..) = call(120, RtcpPath::Multiplexed, there, back, 5);
        let [a, b] = [first, second].map(|side| side.leg.statistics().quality);
        // What one hears is what the other is told, but for what each does not know of the other's buffer.
        for (hears, told) in [(a.heard, b.sent), (b.heard, a.sent)] {
            let (hears, told) = (hears.unwrap().score(), told.unwrap().score());
            assert!((hears - told).abs() < 0.3, "{hears} and {told}");
        }
        (a.sent.unwrap().score(), a.heard.unwrap().score())
    };
    let good = Way::new(10, 2, 0.0, 1);
    let (sent, heard) = score(good, good);
    assert!(sent > 4.3 && heard > 4.3, "{sent}, {heard}");
    let (sent, heard) = score(Way::new(10, 2, 0.1, 1), good);
    assert!(sent < 3.7 && heard > 4.3, "{sent}, {heard}");
    let (sent, heard) = score(Way::new(350, 2, 0.0, 1), Way::new(350, 2, 0.0, 1));
    assert!(sent < 3.7 && heard < 3.7, "{sent}, {heard}");
}
