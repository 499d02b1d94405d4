//! The gate in virtual time.

use super::*;

const TRUNK: &str = "203.0.113.9:5060";
const STRANGER: &str = "198.51.100.66:5060";
const SECOND: Duration = Duration::from_secs(1);

fn source(transport: Transport, remote: &str) -> Source {
    Source::of(Flow {
        transport,
        local: "192.0.2.1:5060".parse().unwrap(),
        remote: remote.parse().unwrap(),
    })
}

fn udp(remote: &str) -> Source {
    source(Transport::Udp, remote)
}

fn gate(strangers: Strangers) -> (Gate, Instant) {
    let rules = Rules {
        strangers,
        messages_per_second: 4_000,
        ban_after: 100,
    };
    let trunks = ["203.0.113.0/24", "2001:db8::/32"].map(|block| block.parse().unwrap());
    (Gate::new(rules, trunks), Instant::now())
}

/// How many of `count` messages at once have this verdict.
fn admitted(gate: &mut Gate, kind: Kind, count: usize, now: Instant) -> [usize; 3] {
    let mut found = [0; 3];
    for _ in 0..count {
        match gate.admit(udp(TRUNK), kind, now) {
            Verdict::Pass => found[0] += 1,
            Verdict::RefuseCall => found[1] += 1,
            Verdict::Drop => found[2] += 1,
            Verdict::Forbid => panic!("a trunk is not forbidden"),
        }
    }
    found
}

/// Sends bad messages until a ban begins; how many, and the ban.
fn misbehave(gate: &mut Gate, source: Source, now: Instant) -> (usize, Duration) {
    (1..10_000)
        .find_map(|sent| {
            gate.admit(source, Kind::Other, now);
            Some((sent, gate.note_bad(source, now)?))
        })
        .expect("a ban")
}

#[test]
fn strangers_hear_nothing_and_take_no_place() {
    let (mut gate, now) = gate(Strangers::Silent);
    for host in 0..=255 {
        let stranger = udp(&format!("198.51.100.{host}:5060"));
        assert_eq!(gate.admit(stranger, Kind::Invite, now), Verdict::Drop);
        assert_eq!(gate.note_bad(stranger, now), None);
        assert!(!gate.welcomes(stranger, now));
    }
    assert_eq!(gate.statistics().strangers, 256);
    assert_eq!(gate.admit(udp(TRUNK), Kind::Invite, now), Verdict::Pass);
    assert!(gate.welcomes(source(Transport::Tcp, TRUNK), now));
}

#[test]
fn strangers_that_are_answered_are_banned_for_insisting_and_with_them_their_network() {
    let (mut gate, now) = gate(Strangers::Forbid);
    let knock = |gate: &mut Gate, from: &str, now| {
        let verdict = gate.admit(udp(from), Kind::Other, now);
        if verdict == Verdict::Forbid {
            gate.note_bad(udp(from), now);
        }
        verdict
    };
    let mut at = now;
    let tries = 300;
    let answered = (0..tries)
        .filter(|_| {
            at += Duration::from_millis(10);
            knock(&mut gate, STRANGER, at) == Verdict::Forbid
        })
        .count();
    assert!(
        (45..=51).contains(&answered),
        "10 a second after a burst of 20: {answered}"
    );
    while gate.statistics().bans == 0 {
        at += Duration::from_millis(10);
        knock(&mut gate, STRANGER, at);
    }
    assert!(at - now < Duration::from_secs(10));
    assert_eq!(knock(&mut gate, STRANGER, at + SECOND), Verdict::Drop);
    assert_eq!(gate.statistics().banned, 1);
    for host in 0..300 {
        at += Duration::from_millis(90);
        knock(&mut gate, &format!("[2001:db9::{host:x}]:5060"), at);
    }
    assert_eq!(gate.statistics().bans, 2);
    assert_eq!(
        knock(&mut gate, "[2001:db9:0:1::1]:5060", at),
        Verdict::Forbid
    );
    assert!(!gate.welcomes(udp(STRANGER), now));
}

#[test]
fn wound_64_a_trunk_sends_thousands_a_second_then_hears_503_then_nothing() {
    let (mut gate, now) = gate(Strangers::Silent);
    let found = admitted(&mut gate, Kind::Invite, 20_000, now);
    assert_eq!(found, [8_000, 1_000, 11_000]);
    // What ends calls is let through when nothing else is.
    assert_eq!(
        admitted(&mut gate, Kind::InCall, 3_000, now),
        [2_000, 0, 1_000]
    );
    assert_eq!(admitted(&mut gate, Kind::Other, 10, now), [0, 0, 10]);
    // A second later there is a second's worth again.
    let later = now + SECOND;
    assert_eq!(
        admitted(&mut gate, Kind::Invite, 4_000, later),
        [4_000, 0, 0]
    );
    let statistics = gate.statistics();
    assert_eq!((statistics.shed, statistics.over_rate), (1_000, 12_010));
}

#[test]
fn a_source_that_sends_garbage_is_banned_for_a_while_and_longer_each_time() {
    let (mut gate, mut now) = gate(Strangers::Silent);
    let mut lengths = Vec::new();
    for _ in 0..8 {
        let (sent, ban) = misbehave(&mut gate, udp(TRUNK), now);
        assert_eq!(sent, 1_000, "a trunk has ten times the patience");
        for kind in [Kind::Invite, Kind::Other] {
            assert_eq!(gate.admit(udp(TRUNK), kind, now), Verdict::Drop);
        }
        assert!(!gate.welcomes(udp(TRUNK), now));
        lengths.push(ban.as_secs());
        now += ban;
        assert_eq!(gate.admit(udp(TRUNK), Kind::Other, now), Verdict::Pass);
        now += SECOND;
    }
    assert_eq!(lengths, [60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
    now += Duration::from_secs(7_200);
    assert_eq!(
        misbehave(&mut gate, udp(TRUNK), now).1,
        Duration::from_secs(60)
    );
}

#[test]
fn what_is_forged_in_a_trunks_name_does_not_end_its_calls() {
    let (mut gate, now) = gate(Strangers::Silent);
    misbehave(&mut gate, udp(TRUNK), now);
    let [passed, _, dropped] = admitted(&mut gate, Kind::InCall, 3_000, now);
    // At the pace at which calls go on under load, and no faster.
    assert!(passed >= 500 && dropped >= 500, "{passed} and {dropped}");
}

#[test]
fn a_busy_trunk_is_not_banned_for_the_less_part_of_what_it_sends() {
    let (mut gate, now) = gate(Strangers::Silent);
    for n in 0..5_000 {
        gate.admit(udp(TRUNK), Kind::InCall, now);
        if n % 2 == 0 {
            gate.admit(udp(TRUNK), Kind::Other, now);
            assert_eq!(gate.note_bad(udp(TRUNK), now), None);
        }
    }
}

#[test]
fn a_little_garbage_for_a_long_time_earns_no_ban() {
    let (mut gate, mut now) = gate(Strangers::Silent);
    for _ in 0..100 {
        for _ in 0..900 {
            gate.admit(udp(TRUNK), Kind::Other, now);
            assert_eq!(gate.note_bad(udp(TRUNK), now), None);
        }
        now += Duration::from_secs(10);
    }
}

#[test]
fn what_is_forged_as_datagrams_does_not_shut_a_trunks_connections() {
    let (mut gate, now) = gate(Strangers::Silent);
    misbehave(&mut gate, udp(TRUNK), now);
    let connection = source(Transport::Tls, TRUNK);
    assert!(gate.welcomes(connection, now));
    assert_eq!(gate.admit(connection, Kind::Invite, now), Verdict::Pass);
}

#[test]
fn bans_can_be_turned_off() {
    let (mut gate, now) = gate(Strangers::Forbid);
    gate.rules.ban_after = 0;
    for _ in 0..5_000 {
        gate.admit(udp(TRUNK), Kind::Other, now);
        assert_eq!(gate.note_bad(udp(TRUNK), now), None);
    }
}

#[test]
fn who_we_write_to_may_answer() {
    let (mut gate, now) = gate(Strangers::Silent);
    let stranger = udp(STRANGER);
    assert_eq!(gate.admit(stranger, Kind::InCall, now), Verdict::Drop);
    gate.correspond("::ffff:198.51.100.66".parse().unwrap());
    assert_eq!(gate.admit(stranger, Kind::InCall, now), Verdict::Pass);
}

#[test]
fn a_messages_first_word_says_what_it_is_for() {
    for (bytes, kind) in [
        (&b"INVITE sip:a SIP/2.0\r\n"[..], Kind::Invite),
        (b"SIP/2.0 200 OK\r\n", Kind::InCall),
        (b"BYE sip:a SIP/2.0\r\n", Kind::InCall),
        (b"OPTIONS sip:a SIP/2.0\r\n", Kind::Other),
        (b"INVITED sip:a SIP/2.0\r\n", Kind::Other),
        (b"\r\n\r\n", Kind::Other),
        (b"", Kind::Other),
    ] {
        assert_eq!(Kind::of(bytes), kind, "{bytes:?}");
    }
}
