//! Session timers (RFC 4028) over real sockets and in real time: sessions of four seconds, which the configuration
//! allows with a warning. What depends on no clock of the machine is in `sip/tests/calls/session_timers.rs`.

use std::time::{Duration, Instant};

use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::phone::Phone;
use offhook_tests::sip_text;
use offhook_tests::sipp::SippRun;
use offhook_tests::wait::wait_until;

/// How long a session lasts that nobody refreshes.
const SESSION: Duration = Duration::from_secs(4);
/// When it is to be refreshed.
const HALF: Duration = Duration::from_secs(2);
/// What a busy machine may be late by, still before the session is over.
const LATE: Duration = Duration::from_millis(1_500);
/// For what happens at once, on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(10);

fn setup() -> DaemonSetup {
    DaemonSetup {
        sip_keys: "session_expires_s = 4\nmin_se_s = 4\n".to_owned(),
        ..DaemonSetup::default()
    }
}

fn over(mut daemon: Daemon, reason: &str) {
    let over = wait_until("the end of the call", PROMPTLY, || {
        let is_over = daemon.live_calls().ok()?.is_empty();
        (is_over && daemon.log().contains("call ended")).then_some(())
    });
    let log = daemon.log();
    assert!(over.is_ok(), "{over:?}\n{log}");
    assert!(log.contains(&format!("reason={reason}")), "{log}");
    daemon.signal(libc::SIGKILL);
}

#[test]
fn a_session_that_is_ours_to_refresh_is_refreshed_by_update_at_each_half_time_and_goes_on() {
    let daemon = Daemon::start(&setup()).expect("a daemon");
    let mut phone = Phone::new(daemon.sip(), "echo", "ours").expect("a phone");
    let lines = "Supported: timer\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE\r\n\
                 Session-Expires: 4;refresher=uas\r\nMin-SE: 4\r\n";
    let answer = phone.call_with(lines).expect("an answer");
    let agreed = sip_text::header(&answer, "Session-Expires");
    assert_eq!(agreed, Some("4;refresher=uas"), "{answer}");
    let begun = Instant::now();
    let mut since = begun;
    while begun.elapsed() < SESSION + HALF {
        let update = phone.request("UPDATE", SESSION).expect("a refresh");
        let waited = since.elapsed();
        since = Instant::now();
        assert!(
            waited > HALF / 2 && waited < HALF + LATE,
            "after {waited:?}"
        );
        let wish = ["Session-Expires", "Min-SE"].map(|name| sip_text::header(&update, name));
        assert_eq!(wish, [Some("4;refresher=uac"), Some("4")], "{update}");
        let timer = "Require: timer\r\nSession-Expires: 4;refresher=uac\r\nContent-Length";
        let ok = sip_text::ok(&update).replacen("Content-Length", timer, 1);
        phone.send(&ok).expect("sent");
    }
    assert_eq!(daemon.live_calls().expect("calls").len(), 1);
    let bye = phone.caller.request("BYE", 2, "bye", "");
    phone.send(&bye).expect("sent");
    let answer = phone.final_answer("BYE").expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    over(daemon, "far_end_hung_up");
}

#[test]
fn a_far_end_without_update_is_refreshed_by_reinvites_with_what_stands() {
    let mut run = SippRun::far_end("trunk/refreshed_by_reinvites");
    run.limit = Duration::from_secs(30);
    let far_end = run.start().expect("a far end");
    let daemon = Daemon::start(&DaemonSetup {
        trunk_keys: format!("address = \"{}\"", far_end.sip()),
        ..setup()
    })
    .expect("a daemon");
    let begun = Instant::now();
    daemon.place("100", "echo", "answered").expect("a call");
    let outcome = far_end.finish();
    let outcome = outcome.unwrap_or_else(|why| panic!("{why}\n{}", daemon.log()));
    outcome.assert_all(1);
    assert!(begun.elapsed() >= 3 * HALF, "{:?}", begun.elapsed());
    over(daemon, "far_end_hung_up");
}

#[test]
fn a_session_that_the_far_end_never_refreshes_is_ended_with_bye_before_its_time() {
    let daemon = Daemon::start(&setup()).expect("a daemon");
    let mut phone = Phone::new(daemon.sip(), "echo", "theirs").expect("a phone");
    let lines = "Supported: timer\r\nSession-Expires: 4;refresher=uac\r\nMin-SE: 4\r\n";
    let answer = phone.call_with(lines).expect("an answer");
    let answered = Instant::now();
    let agreed = sip_text::header(&answer, "Session-Expires");
    assert_eq!(agreed, Some("4;refresher=uac"), "{answer}");
    phone.answer_bye(SESSION + LATE).expect("a BYE");
    let waited = answered.elapsed();
    assert!(waited > HALF && waited < SESSION + LATE, "after {waited:?}");
    over(daemon, "signalling_lost");
}

#[test]
fn a_session_that_the_far_end_does_refresh_outlives_its_first_interval() {
    let daemon = Daemon::start(&setup()).expect("a daemon");
    let mut phone = Phone::new(daemon.sip(), "echo", "refreshed").expect("a phone");
    let timer = "Supported: timer\r\nSession-Expires: 4;refresher=uac\r\nMin-SE: 4\r\n";
    phone.call_with(timer).expect("an answer");
    let begun = Instant::now();
    let mut sequence = 2;
    while begun.elapsed() < SESSION + HALF {
        // Nothing of the far end's comes while the session is kept.
        let nothing = phone.request("BYE", HALF / 2);
        let nothing = nothing.map_err(|error| error.kind());
        assert_eq!(nothing, Err(std::io::ErrorKind::TimedOut));
        let update = phone
            .caller
            .request("UPDATE", sequence, &sequence.to_string(), "");
        let update = update.replacen("From:", &format!("{timer}From:"), 1);
        phone.send(&update).expect("sent");
        let answer = phone.final_answer("UPDATE").expect("an answer");
        assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
        sequence += 1;
    }
    let answered = Instant::now();
    phone.answer_bye(SESSION + LATE).expect("a BYE");
    assert!(answered.elapsed() > HALF, "{:?}", answered.elapsed());
    over(daemon, "signalling_lost");
}

#[test]
fn a_session_that_is_too_short_is_refused_with_the_shortest_there_is() {
    let daemon = Daemon::start(&setup()).expect("a daemon");
    let mut phone = Phone::new(daemon.sip(), "echo", "short").expect("a phone");
    let lines = "Supported: timer\r\nSession-Expires: 3\r\nMin-SE: 2\r\n";
    let answer = phone.call_with(lines).expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(422), "{answer}");
    assert_eq!(sip_text::header(&answer, "Min-SE"), Some("4"), "{answer}");
}
