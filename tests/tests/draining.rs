//! The end of a daemon's life: live calls go on, new ones are refused, and nothing a far end does keeps it from ending.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::phone::Phone;
use offhook_tests::sip_text;
use offhook_tests::voice::Voice;
use offhook_tests::wait::wait_until;

/// For what happens at once, on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(10);

fn daemon_with_drain(drain_s: u32) -> Daemon {
    let setup = DaemonSetup {
        drain_s,
        ..DaemonSetup::default()
    };
    Daemon::start(&setup).expect("a daemon")
}

fn live_call(daemon: &Daemon, call_id: &str) -> Phone {
    let mut phone = Phone::new(daemon.sip(), "echo", call_id).expect("a phone");
    let answer = phone.call().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    phone
}

fn begin_drain(daemon: &mut Daemon) {
    daemon.signal(libc::SIGTERM);
    // Readiness goes first, so that nobody is sent here any more; signalling hears of it a moment later.
    let unready = wait_until("unreadiness", PROMPTLY, || {
        let is_unready = daemon.page_status("/readyz") == Some(503);
        (is_unready && daemon.log().contains("no new calls are taken")).then_some(())
    });
    assert!(unready.is_ok(), "{unready:?}\n{}", daemon.log());
}

#[test]
fn a_live_call_goes_on_through_a_drain_while_a_new_one_is_503_with_retry_after() {
    let mut daemon = daemon_with_drain(60);
    let mut phone = live_call(&daemon, "live");
    let voice = Voice::start(phone.rtp()).expect("a voice");

    begin_drain(&mut daemon);
    assert_eq!(daemon.page_status("/healthz"), Some(200));
    let mut late = Phone::new(daemon.sip(), "echo", "late").expect("a phone");
    let refused = late.call().expect("an answer");
    assert_eq!(sip_text::status(&refused), Some(503), "{refused}");
    let retry_after = sip_text::header(&refused, "Retry-After");
    assert!(
        retry_after.is_some_and(|seconds| seconds.parse::<u32>().is_ok_and(|s| s > 0)),
        "{refused}"
    );
    let watcher = Phone::new(daemon.sip(), "echo", "watcher").expect("a phone");
    watcher.send(&watcher.caller.options()).expect("sent");
    let options = watcher.final_answer("OPTIONS").expect("an answer");
    assert_eq!(sip_text::status(&options), Some(503), "{options}");

    // The live call is still echoed.
    let said = Instant::now();
    let line = offhook_tests::daemon::repository().join("deploy/audio/caller/yes.wav");
    voice.say(&line).expect("a line");
    voice
        .hear_out(said, Duration::from_millis(200), PROMPTLY)
        .expect("an echo");

    let answer = phone.hang_up().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    // Long before its deadline.
    let (status, log) = daemon.wait(PROMPTLY).expect("the daemon ends");
    assert!(status.success(), "{status}: {log}");
}

#[test]
fn a_bye_whose_answer_was_lost_is_answered_again_before_the_daemon_ends() {
    let mut daemon = daemon_with_drain(60);
    let mut phone = live_call(&daemon, "live");
    begin_drain(&mut daemon);
    // The second time as after a lost answer: the same bytes, when the call is over already.
    for _ in 0..2 {
        let answer = phone.hang_up().expect("an answer");
        assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
        let over = wait_until("the end of the call", PROMPTLY, || {
            daemon.log().contains("call ended").then_some(())
        });
        assert!(over.is_ok(), "{}", daemon.log());
    }
    let (status, log) = daemon.wait(PROMPTLY).expect("the daemon ends");
    assert!(status.success(), "{status}: {log}");
}

#[test]
fn at_the_deadline_a_live_call_is_hung_up_with_bye() {
    let mut daemon = daemon_with_drain(1);
    let phone = live_call(&daemon, "live");
    begin_drain(&mut daemon);
    phone.answer_bye(PROMPTLY).expect("a BYE");
    let (status, log) = daemon.wait(PROMPTLY).expect("the daemon ends");
    assert!(status.success(), "{status}: {log}");
    assert!(log.contains("shutdown"), "{log}");
}

#[test]
fn a_far_end_that_answers_no_bye_does_not_keep_the_daemon() {
    let mut daemon = daemon_with_drain(1);
    let _silent = live_call(&daemon, "silent");
    begin_drain(&mut daemon);
    let (status, log) = daemon
        .wait(Duration::from_secs(20))
        .expect("the daemon ends");
    assert!(status.success(), "{status}: {log}");
}

#[test]
fn a_page_asked_for_by_halves_does_not_keep_the_daemon() {
    let mut daemon = daemon_with_drain(1);
    let mut browser = TcpStream::connect(daemon.control()).expect("a connection");
    browser
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localho")
        .expect("half a request");
    // Answered behind it, so the half is there.
    assert_eq!(daemon.page_status("/healthz"), Some(200));
    daemon.signal(libc::SIGTERM);
    let (status, log) = daemon
        .wait(Duration::from_secs(20))
        .expect("the daemon ends");
    assert!(status.success(), "{status}: {log}");
}

#[test]
fn a_second_sigterm_changes_nothing() {
    let mut daemon = daemon_with_drain(60);
    let mut phone = live_call(&daemon, "live");
    begin_drain(&mut daemon);
    daemon.signal(libc::SIGTERM);
    let answer = phone.hang_up().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    let (status, log) = daemon.wait(PROMPTLY).expect("the daemon ends");
    assert!(status.success(), "{status}: {log}");
}
