//! How conversations begin and end, over real SIP and RTP: who speaks first, what a cough does, the last word.

use std::time::{Duration, Instant};

use offhook_tests::daemon::{self, Daemon, DaemonSetup};
use offhook_tests::far_end::FarEnd;
use offhook_tests::phone::Phone;
use offhook_tests::sip_text;
use offhook_tests::voice::Voice;
use offhook_tests::wait::wait_until;
use serde_json::json;

/// For what happens at once, on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(10);
/// Synthesis, playing and recognition.
const PATIENCE: Duration = Duration::from_secs(60);
const WITH_STEPS: &str = "info,offhook_session=debug";

/// A daemon whose one trunk leads to `far_end`.
fn calling(far_end: &FarEnd, front_desk: bool) -> Daemon {
    Daemon::start(&DaemonSetup {
        codecs: vec!["pcmu"],
        front_desk,
        trunk_keys: format!("address = \"{}\"", far_end.address()),
        log: WITH_STEPS,
        ..DaemonSetup::default()
    })
    .expect("a daemon")
}

#[track_caller]
fn place(daemon: &Daemon, agent: &str) {
    let body = json!({ "to": "+15550100", "agent": agent, "ring_timeout_s": 2 });
    let (status, answer) = daemon.ask("POST", "/v1/calls", &body).expect("an answer");
    assert_eq!(status, 201, "{answer}");
}

#[test]
fn an_agent_is_silent_until_the_far_end_is_there_and_silence_flows_from_the_answer_on() {
    let far_end = FarEnd::new();
    let daemon = calling(&far_end, false);
    place(&daemon, "tone");
    far_end.takes(&daemon);
    // By the packets' own count: a far end that waits for us is spoken to after a second, which is fifty of them.
    let (packets, audible) = far_end.hears_packets(25);
    assert_eq!((packets, audible), (25, 0));
    far_end.request("ACK", PROMPTLY);
    let there = Instant::now();
    let voice = Voice::start(far_end.rtp()).expect("a voice");
    wait_until("the agent", PROMPTLY, || {
        (voice.heard_since(there) >= Duration::from_millis(200)).then_some(())
    })
    .expect("it speaks");
}

#[test]
fn a_far_end_that_waits_for_the_agent_is_spoken_to_after_a_second() {
    let far_end = FarEnd::new();
    let daemon = calling(&far_end, false);
    place(&daemon, "tone");
    far_end.takes(&daemon);
    let (packets, audible) = far_end.hears_mutely(Duration::from_millis(2_500));
    // A second is silence, and the rest is not.
    assert!((20..=100).contains(&audible), "{audible} of {packets}");
}

#[test]
fn an_answer_that_comes_at_once_with_its_audio_is_not_missed() {
    let far_end = FarEnd::new();
    let daemon = calling(&far_end, false);
    place(&daemon, "tone");
    let there = Instant::now();
    far_end.takes(&daemon);
    // It talks before it is acknowledged.
    let voice = Voice::start(far_end.rtp()).expect("a voice");
    far_end.request("ACK", PROMPTLY);
    wait_until("the agent", PROMPTLY, || {
        (voice.heard_since(there) >= Duration::from_millis(200)).then_some(())
    })
    .expect("it speaks");
}

#[test]
fn who_does_not_answer_is_given_up_with_that_reason_and_no_agent_ever_entered() {
    let far_end = FarEnd::new();
    let daemon = calling(&far_end, true);
    place(&daemon, "front-desk");
    let invite = far_end.request("INVITE", PROMPTLY);
    let ringing = sip_text::answer(&invite, "180 Ringing", "far", "", "");
    far_end.says(&daemon, &ringing);
    let cancel = far_end.request("CANCEL", PROMPTLY);
    far_end.says(&daemon, &sip_text::ok(&cancel));
    let gone = sip_text::answer(&invite, "487 Request Terminated", "far", "", "");
    far_end.says(&daemon, &gone);
    let over = wait_until("the end", PROMPTLY, || {
        daemon
            .log()
            .contains("call ended reason=not_answered")
            .then_some(())
    });
    let log = daemon.log();
    assert!(over.is_ok(), "{over:?}\n{log}");
    assert!(
        !log.contains("step=") && !log.contains("agent=Speaking"),
        "{log}"
    );
}

// --- The front desk ------------------------------------------------------------------------------------

fn front_desk() -> Daemon {
    Daemon::start(&DaemonSetup {
        front_desk: true,
        log: WITH_STEPS,
        ..DaemonSetup::default()
    })
    .expect("a daemon")
}

/// A caller who has heard the welcome out.
#[track_caller]
fn caller(daemon: &Daemon, name: &str) -> (Phone, Voice) {
    let begun = Instant::now();
    let mut phone = Phone::new(daemon.sip(), "front-desk", name).expect("a phone");
    let answer = phone.call().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    let voice = Voice::start(phone.rtp()).expect("a voice");
    let heard = voice.hear_out(begun, Duration::from_millis(500), PATIENCE);
    assert!(heard.is_ok(), "{heard:?}\n{}", daemon.log());
    (phone, voice)
}

#[track_caller]
fn comes_to(daemon: &Daemon, step: &str) {
    let at = format!("step=\"{step}\"");
    let there = wait_until(&at, PATIENCE, || daemon.log().contains(&at).then_some(()));
    assert!(there.is_ok(), "{there:?}\n{}", daemon.log());
}

#[test]
fn a_cough_behind_a_callers_words_strands_nothing() {
    let daemon = front_desk();
    let (mut phone, voice) = caller(&daemon, "cough");
    let line = daemon::repository().join("deploy/audio/caller/opening_hours.wav");
    voice.say(&line).expect("a line");
    // 100 ms of quiet, and 150 ms of noise, within the pause that ends the turn.
    let mut noise = 0x2545_f491_u32;
    let cough: Vec<i16> = (0..2_000)
        .map(|n| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if n < 800 {
                0
            } else {
                (noise >> 17) as i16 - 16_384
            }
        })
        .collect();
    voice.say_samples(&cough);
    comes_to(&daemon, "more");
    phone.hang_up().expect("an answer");
}

#[test]
fn a_callers_0_is_a_digit_as_any_other_and_a_single_yes_an_answer() {
    let daemon = front_desk();
    let (mut phone, voice) = caller(&daemon, "zero");
    let asked = Instant::now();
    voice.press("0");
    comes_to(&daemon, "operator");
    voice
        .hear_out(asked, Duration::from_millis(500), PATIENCE)
        .expect("a question");
    let line = daemon::repository().join("deploy/audio/caller/yes.wav");
    voice.say(&line).expect("a line");
    comes_to(&daemon, "number");
    phone.hang_up().expect("an answer");
}

#[test]
fn a_goodbye_is_heard_to_its_end_before_the_call_is_hung_up() {
    let daemon = front_desk();
    let (phone, voice) = caller(&daemon, "goodbye");
    let pressed = Instant::now();
    voice.press("9");
    comes_to(&daemon, "goodbye");
    let ended = phone.answer_bye(PATIENCE);
    let bye = Instant::now();
    assert!(ended.is_ok(), "{ended:?}\n{}", daemon.log());
    let heard = voice.heard_since(pressed);
    // *Thank you for calling. Goodbye.* is two seconds, of which this much is loud.
    assert!(heard >= Duration::from_millis(1_000), "{heard:?}");
    assert_eq!(voice.heard_since(bye), Duration::ZERO);
    daemon.log_telling("call ended reason=agent_hung_up", 1);
    let metrics = daemon.page("/metrics").expect("metrics");
    let counted = metrics.lines().find(|line| {
        line.starts_with("offhook_calls_ended_total{") && line.contains("cause=\"agent_hung_up\"")
    });
    assert!(
        counted.is_some_and(|line| line.ends_with(" 1")),
        "{metrics}"
    );
}

#[test]
fn two_hang_ups_that_cross_end_the_call_once_with_one_reason() {
    let daemon = front_desk();
    let (mut phone, voice) = caller(&daemon, "crossing");
    voice.press("9");
    let theirs = phone.request("BYE", PATIENCE).expect("a BYE");
    // Ours is on its way before theirs is answered.
    let answer = phone.hang_up().expect("an answer");
    assert!(
        matches!(sip_text::status(&answer), Some(200 | 481)),
        "{answer}"
    );
    phone.send(&sip_text::ok(&theirs)).expect("sent");
    let over = wait_until("the end", PROMPTLY, || {
        daemon.live_calls().ok()?.is_empty().then_some(())
    });
    assert!(over.is_ok(), "{over:?}\n{}", daemon.log());
    daemon.log_telling("call ended", 1);
    daemon.log_telling("session closed", 1);
}
