//! Who may speak to the daemon, seen from outside.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::phone::Phone;
use offhook_tests::sip_text::{self, Caller};
use offhook_tests::wait::wait_until;

/// The first final answer to an OPTIONS from this socket, if one comes soon.
fn options(
    socket: &UdpSocket,
    daemon: &Daemon,
    call_id: &str,
    patience: Duration,
) -> io::Result<String> {
    let caller = Caller::new(
        socket.local_addr()?,
        daemon.sip(),
        "echo",
        call_id.to_owned(),
    );
    socket.send_to(caller.options().as_bytes(), daemon.sip())?;
    socket.set_read_timeout(Some(patience))?;
    let mut buffer = [0; 8_192];
    loop {
        let length = socket.recv(&mut buffer)?;
        let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if sip_text::header(&answer, "Call-ID") == Some(call_id) {
            return Ok(answer);
        }
    }
}

fn counted(daemon: &Daemon, line: &str) -> Option<u64> {
    let metrics = daemon.page("/metrics").ok()?;
    metrics
        .lines()
        .find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
}

#[test]
fn a_source_of_garbage_is_banned_and_the_others_are_not() {
    let daemon = Daemon::start(&DaemonSetup::default()).expect("a daemon");
    let bad = UdpSocket::bind("127.0.0.2:0").expect("a socket");
    let before = options(&bad, &daemon, "before", Duration::from_secs(5)).expect("an answer");
    assert_eq!(sip_text::status(&before), Some(200));
    for _ in 0..1_500 {
        bad.send_to(b"no such thing as SIP\r\n\r\n", daemon.sip())
            .expect("send");
    }
    wait_until("a ban", Duration::from_secs(5), || {
        counted(&daemon, "offhook_sip_bans_total").filter(|bans| *bans == 1)
    })
    .expect("a ban");
    let after = options(&bad, &daemon, "after", Duration::from_millis(300));
    assert!(after.is_err(), "{after:?}");
    let mut phone = Phone::new(daemon.sip(), "echo", "good").expect("a phone");
    assert_eq!(
        sip_text::status(&phone.call().expect("an answer")),
        Some(200)
    );
    assert_eq!(
        sip_text::status(&phone.hang_up().expect("an answer")),
        Some(200)
    );
    wait_until("the count", Duration::from_secs(5), || {
        counted(&daemon, "offhook_sip_dropped_total{reason=\"banned\"}")
            .filter(|dropped| *dropped > 0)
    })
    .expect("what is dropped is counted");
}

#[test]
fn strangers_hear_403_where_that_is_configured_and_nothing_where_it_is_not() {
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let setup = DaemonSetup {
        inbound_from: vec!["192.0.2.1"],
        sip_keys: "strangers = \"forbid\"".to_owned(),
        ..DaemonSetup::default()
    };
    let daemon = Daemon::start(&setup).expect("a daemon");
    let answer =
        options(&stranger, &daemon, "forbidden", Duration::from_secs(5)).expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(403));

    let silent = DaemonSetup {
        sip_keys: String::new(),
        ..setup
    };
    let daemon = Daemon::start(&silent).expect("a daemon");
    assert!(options(&stranger, &daemon, "silent", Duration::from_millis(300)).is_err());
    wait_until("the count", Duration::from_secs(5), || {
        counted(&daemon, "offhook_sip_dropped_total{reason=\"stranger\"}")
            .filter(|dropped| *dropped == 1)
    })
    .expect("what is dropped is counted");
}

#[test]
fn wound_64_a_trunk_over_its_rate_hears_503_for_new_calls_and_ends_the_ones_it_has() {
    let daemon = Daemon::start(&DaemonSetup {
        limit_keys: "messages_per_second_per_source = 40",
        ..DaemonSetup::default()
    })
    .expect("a daemon");
    let mut phone = Phone::new(daemon.sip(), "echo", "up").expect("a phone");
    assert_eq!(
        sip_text::status(&phone.call().expect("an answer")),
        Some(200)
    );
    let flood = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let media = flood.local_addr().expect("an address");
    for n in 0..90 {
        let mut caller = Caller::new(media, daemon.sip(), "echo", format!("ping-{n}"));
        caller.number = "flood".to_owned();
        flood
            .send_to(caller.options().as_bytes(), daemon.sip())
            .expect("send");
    }
    let mut late = Phone::new(daemon.sip(), "echo", "late").expect("a phone");
    let refusal = late.call().expect("an answer");
    assert_eq!(sip_text::status(&refusal), Some(503), "{refusal}");
    assert!(sip_text::header(&refusal, "Retry-After").is_some());
    assert_eq!(
        sip_text::status(&phone.hang_up().expect("an answer")),
        Some(200)
    );
}
