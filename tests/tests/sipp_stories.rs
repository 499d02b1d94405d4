//! SIPp tells the daemon the stories of `tests/sipp`: what gets lost, what crosses, what nobody should have sent. SIPp
//! checks each message it gets against its scenario; what it cannot check is counted here in its trace.

use std::time::Duration;

use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::phone::Phone;
use offhook_tests::sip_text;
use offhook_tests::sipp::{SippOutcome, SippRun};
use offhook_tests::wait::wait_until;

/// Tells `scenario` to the agent `user` of a fresh daemon, ten calls side by side, and expects all to go as told and
/// the daemon to be there afterwards without a live call.
fn tell(scenario: &str, user: &str) -> SippOutcome {
    let mut daemon = Daemon::start(&DaemonSetup::default()).expect("a daemon");
    let run = SippRun {
        calls: 10,
        calls_per_second: 20,
        ..SippRun::story(scenario, daemon.sip(), user)
    };
    let outcome = run.run().expect("a run of SIPp");
    outcome.assert_all(10);
    assert!(daemon.is_alive(), "{}", daemon.log());
    next_call_works(&daemon);
    outcome
}

fn next_call_works(daemon: &Daemon) {
    let mut phone = Phone::new(daemon.sip(), "echo", "afterwards").expect("a phone");
    let answer = phone.call().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    let answer = phone.hang_up().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
}

#[test]
fn an_ordinary_call_is_answered_by_echo_and_by_play() {
    tell("call", "echo");
    tell("call", "play");
}

#[test]
fn sipps_own_caller_is_answered_by_every_agent() {
    let setup = DaemonSetup {
        front_desk: true,
        ..DaemonSetup::default()
    };
    let daemon = Daemon::start(&setup).expect("a daemon");
    for agent in ["echo", "play", "front-desk"] {
        let run = SippRun {
            scenario: "builtin:uac".to_owned(),
            calls: 10,
            calls_per_second: 20,
            // Long enough that the agent is at work when the BYE comes.
            more: ["-d", "500"].map(str::to_owned).to_vec(),
            ..SippRun::story("", daemon.sip(), agent)
        };
        run.run().expect("a run of SIPp").assert_all(10);
    }
    next_call_works(&daemon);
}

#[test]
fn a_lost_200_is_repeated_until_it_arrives() {
    tell("lost_200", "echo");
}

#[test]
fn a_200_is_repeated_while_its_ack_is_lost_and_the_late_ack_still_counts() {
    let outcome = tell("lost_ack", "echo");
    // The first, and those after 0.5 s and 1.5 s: each of ten calls gets three.
    assert_eq!(outcome.received("SIP/2.0 200", "INVITE"), 30);
}

#[test]
fn a_repeated_bye_gets_the_answer_of_the_first() {
    let outcome = tell("lost_bye", "echo");
    assert_eq!(outcome.received("SIP/2.0 481", "BYE"), 0);
}

#[test]
fn a_cancel_right_behind_the_invite_ends_the_call_or_crosses_its_answer() {
    let daemon = Daemon::start(&DaemonSetup::default()).expect("a daemon");
    for n in 0..20 {
        let phone = Phone::new(daemon.sip(), "echo", &format!("crossing-{n}")).expect("a phone");
        end_a_crossed_call(phone);
    }
    next_call_works(&daemon);
}

/// Sends INVITE and CANCEL back to back. The CANCEL's 200 and the INVITE's end come in either order.
fn end_a_crossed_call(mut phone: Phone) {
    let media = phone.rtp().local_addr().expect("an address");
    phone.send(&phone.caller.invite(media)).expect("sent");
    phone.send(&phone.caller.cancel()).expect("sent");
    let (mut of_cancel, mut of_invite) = (None, None);
    while of_cancel.is_none() || of_invite.is_none() {
        let answer = phone
            .next_final_answer()
            .expect("answers to INVITE and CANCEL");
        match sip_text::method(&answer) {
            Some("CANCEL") => of_cancel = Some(answer),
            _ => of_invite = Some(answer),
        }
    }
    assert_eq!(
        of_cancel.as_deref().and_then(sip_text::status),
        Some(200),
        "{of_cancel:?}"
    );
    let of_invite = of_invite.expect("looped until there was one");
    match sip_text::status(&of_invite) {
        Some(487) => {
            phone.caller.to = sip_text::header(&of_invite, "To").map(str::to_owned);
            phone.send(&phone.caller.ack_refusal()).expect("sent");
        }
        Some(200) => {
            phone.caller.learn(&of_invite);
            phone.send(&phone.caller.ack()).expect("sent");
            let answer = phone.hang_up().expect("an answer");
            assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
        }
        other => panic!("INVITE ended with {other:?}"),
    }
}

#[test]
fn a_cancel_after_100_ends_the_call_or_crosses_its_answer() {
    tell("cancel_after_100", "echo");
}

#[test]
fn a_cancel_after_180_ends_the_call_or_crosses_its_answer() {
    tell("cancel_after_180", "echo");
}

#[test]
fn a_cancel_after_200_changes_nothing() {
    tell("cancel_after_200", "echo");
}

#[test]
fn a_cancel_of_nothing_is_481() {
    tell("cancel_of_nothing", "echo");
}

#[test]
fn a_call_is_put_on_hold_and_taken_back() {
    tell("hold_and_resume", "echo");
}

#[test]
fn an_unknown_method_is_501() {
    tell("unknown_method", "echo");
}

#[test]
fn a_registration_is_405_with_allow() {
    tell("register", "echo");
}

#[test]
fn options_says_what_is_allowed() {
    tell("options", "echo");
}

#[test]
fn an_offer_without_a_codec_of_ours_is_488() {
    tell("unacceptable_offer", "echo");
}

#[test]
fn a_user_without_a_route_is_404() {
    tell("nobody_there", "nobody");
}

#[test]
fn a_bye_without_a_dialog_is_481() {
    tell("unknown_dialog", "echo");
}

#[test]
fn a_call_past_the_cap_is_503_with_retry_after_and_the_next_one_is_taken_when_there_is_room() {
    let daemon = Daemon::start(&DaemonSetup {
        calls: 1,
        ..DaemonSetup::default()
    })
    .expect("a daemon");
    let mut phone = Phone::new(daemon.sip(), "echo", "the-only-one").expect("a phone");
    let answer = phone.call().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    SippRun::story("past_the_cap", daemon.sip(), "echo")
        .run()
        .expect("a run of SIPp")
        .assert_all(1);
    assert_eq!(
        phone.hang_up().ok().as_deref().and_then(sip_text::status),
        Some(200)
    );
    let mut tries = 0;
    let taken = wait_until("room for a call", Duration::from_secs(5), || {
        tries += 1;
        let mut phone = Phone::new(daemon.sip(), "echo", &format!("next-{tries}")).ok()?;
        let answer = phone.call().ok()?;
        (sip_text::status(&answer) == Some(200)).then(|| phone.hang_up())
    });
    assert!(taken.is_ok(), "{taken:?}\n{}", daemon.log());
}

#[test]
fn a_thousand_short_calls_at_a_hundred_a_second_all_succeed() {
    let setup = DaemonSetup {
        calls: 500,
        ..DaemonSetup::default()
    };
    let daemon = Daemon::start(&setup).expect("a daemon");
    let mut run = SippRun::story("", daemon.sip(), "echo");
    run.scenario = "builtin:uac".to_owned();
    let run = SippRun {
        calls: 1_000,
        calls_per_second: 100,
        at_once: 400,
        ..run
    };
    run.run().expect("a run of SIPp").assert_all(1_000);
    next_call_works(&daemon);
}
