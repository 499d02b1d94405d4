//! Transfers for which somebody is called: a softphone, or SIPp, as the third party. The far end gets to talk to them, or
//! is the agent's again.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use offhook_tests::baresip::{Baresip, BaresipSetup, Codec};
use offhook_tests::daemon::{Daemon, DaemonSetup, repository};
use offhook_tests::far_end::FarEnd;
use offhook_tests::phone::Phone;
use offhook_tests::scratch::Scratch;
use offhook_tests::sip_text;
use offhook_tests::sipp::{RunningSipp, SippRun};
use offhook_tests::wait::wait_until;
use offhook_tests::wav::write_spoken;
use serde_json::{Value, json};

/// For some seconds of audio, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// For what happens at once.
const PROMPTLY: Duration = Duration::from_secs(10);

/// What a caller is told whom nobody takes.
const APOLOGY: &str = "I am sorry, nobody has time for you.";

/// A daemon whose calls go out to `third`.
fn daemon(third: SocketAddr) -> Daemon {
    Daemon::start(&setup(third)).expect("a daemon")
}

fn setup(third: SocketAddr) -> DaemonSetup {
    DaemonSetup {
        codecs: vec!["g722", "pcmu"],
        // It brings the voice.
        front_desk: true,
        trunk_keys: format!("address = \"{third}\"\n"),
        ..DaemonSetup::default()
    }
}

/// A far end that plays `story`.
fn third(story: &str) -> RunningSipp {
    third_of_calls(story, 1)
}

fn third_of_calls(story: &str, calls: u32) -> RunningSipp {
    let run = SippRun {
        limit: PATIENCE,
        calls,
        ..SippRun::far_end(&format!("second_leg/{story}"))
    };
    run.start().expect("a far end")
}

fn answering(codec: Codec, murmurs: bool) -> Baresip {
    Baresip::start_with(&BaresipSetup {
        answers: true,
        murmurs,
        ..BaresipSetup::new(codec)
    })
    .expect("a softphone")
}

/// The call of ours that came in.
fn inbound(daemon: &Daemon) -> Value {
    wait_until("the caller's call", PROMPTLY, || {
        let calls = daemon.live_calls().ok()?;
        let up = |call: &&Value| call["direction"] == "inbound" && call["state"] == "talking";
        calls.iter().find(up).cloned()
    })
    .expect("a call")
}

fn id(call: &Value) -> String {
    call["id"].as_str().expect("an id").to_owned()
}

fn transfer(daemon: &Daemon, id: &str, body: &Value) -> (u16, Value) {
    let path = format!("/v1/calls/{id}/transfer");
    daemon.ask("POST", &path, body).expect("an answer")
}

/// Somebody whom the echo has, and the id of their call.
#[track_caller]
fn caller_of(daemon: &Daemon, name: &str) -> (Phone, String) {
    let mut caller = Phone::new(daemon.sip(), "echo", name).expect("a phone");
    caller.call().expect("an answer");
    let id = id(&inbound(daemon));
    (caller, id)
}

/// How much of the last second is audible, in milliseconds.
fn audible_lately(phone: &Baresip) -> Option<usize> {
    let heard = phone.heard()?;
    let length = heard.length_ms();
    (length > 1_000).then(|| heard.audible_between_ms(length - 1_000, length))
}

fn no_call_is_left(daemon: &Daemon) {
    let over = wait_until("the end of every call", PROMPTLY, || {
        daemon.live_calls().ok()?.is_empty().then_some(())
    });
    assert!(over.is_ok(), "{}", daemon.log());
}

/// Two softphones that talk through us, at an agent that is a quiet one.
fn bridged(agent: &str) -> (Daemon, Baresip, Baresip) {
    let mut third = answering(Codec::Pcmu, true);
    let daemon = daemon(third.sip());
    let mut caller = Baresip::start(Codec::G722).expect("a softphone");
    caller
        .call("play", daemon.sip(), PROMPTLY)
        .expect("an answer");
    let id = id(&inbound(&daemon));
    let body = json!({
        "target": "sip:softphone@127.0.0.1",
        "mode": "bridge",
        "announce": "A caller for you.",
        "agent": agent,
    });
    let answer = transfer(&daemon, &id, &body);
    assert_eq!(
        answer,
        (200, json!({ "outcome": "bridged" })),
        "{}",
        daemon.log()
    );
    third.answered(PROMPTLY).expect("the third party has it");
    let calls = daemon.live_calls().expect("a list");
    assert!(
        calls.iter().all(|call| call["bridged_with"] != Value::Null),
        "{calls:?}"
    );
    wait_until("the third party's voice", PATIENCE, || {
        audible_lately(&caller).filter(|ms| *ms > 900)
    })
    .expect("it is heard");
    (daemon, caller, third)
}

#[test]
fn a_caller_and_a_softphone_that_is_called_for_them_hear_each_other_and_either_ends_both() {
    let (daemon, mut caller, mut third) = bridged("stand_aside");
    third.hang_up().expect("an end");
    caller.closed_by_far_end(PATIENCE).expect("an end as well");
    no_call_is_left(&daemon);
    daemon.stop().expect("it leaves");

    let (daemon, mut caller, mut third) = bridged("leave");
    daemon.log_telling("the agent leaves the call", 2);
    assert_eq!(daemon.live_calls().expect("a list").len(), 2);
    caller.hang_up().expect("an end");
    third.closed_by_far_end(PATIENCE).expect("an end as well");
    no_call_is_left(&daemon);
    daemon.stop().expect("it leaves");
}

#[test]
fn a_caller_whose_third_party_is_busy_or_does_not_answer_is_the_agents_again() {
    for (story, outcome) in [
        ("busy", json!({ "outcome": "rejected", "sip_status": 486 })),
        ("rings_in_vain", json!({ "outcome": "timed_out" })),
    ] {
        let third = third_of_calls(story, 3);
        let daemon = daemon(third.sip());
        for mode in ["attended", "bridge", "warm"] {
            let (mut caller, id) = caller_of(&daemon, mode);
            let body = json!({ "target": "sip:far-end@127.0.0.1", "mode": mode, "timeout_s": 1 });
            assert_eq!(transfer(&daemon, &id, &body), (200, outcome.clone()));
            let calls = daemon.live_calls().expect("a list");
            assert_eq!(calls.len(), 1, "{calls:?}");
            assert_eq!(calls[0]["bridged_with"], Value::Null);
            // What cannot be tried at all is told apart, and changes nothing.
            let nowhere = json!({ "target": "sip:a@127.0.0.1", "mode": mode, "trunk": "none" });
            assert_eq!(transfer(&daemon, &id, &nowhere).0, 409);
            caller.hang_up().expect("the call was still up");
            no_call_is_left(&daemon);
        }
        third.finish().expect("its end").assert_all(3);
        daemon.stop().expect("it leaves");
    }
}

#[test]
fn a_bridge_with_sipp_ends_with_its_bye_and_with_the_callers() {
    let third_party = third("hangs_up");
    let daemon = daemon(third_party.sip());
    let body =
        json!({ "target": "sip:far-end@127.0.0.1", "mode": "bridge", "meanwhile": "ringing" });
    let (caller, id) = caller_of(&daemon, "one");
    let answer = transfer(&daemon, &id, &body);
    assert_eq!(answer, (200, json!({ "outcome": "bridged" })));
    caller.answer_bye(PROMPTLY).expect("its end as well");
    third_party.finish().expect("its end").assert_all(1);
    no_call_is_left(&daemon);
    daemon.stop().expect("it leaves");

    let third_party = third("answers");
    let daemon = self::daemon(third_party.sip());
    let (mut caller, id) = caller_of(&daemon, "two");
    let answer = transfer(&daemon, &id, &body);
    assert_eq!(answer, (200, json!({ "outcome": "bridged" })));
    caller.hang_up().expect("an end");
    third_party.finish().expect("its end as well").assert_all(1);
    no_call_is_left(&daemon);
    daemon.stop().expect("it leaves");
}

#[test]
fn a_caller_who_hangs_up_while_somebody_is_called_for_them_is_called_for_no_more() {
    let third_party = third("rings_in_vain");
    let daemon = daemon(third_party.sip());
    let (mut caller, id) = caller_of(&daemon, "gone");
    let body = json!({ "target": "sip:far-end@127.0.0.1", "mode": "bridge" });
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| transfer(&daemon, &id, &body));
        wait_until("the second leg's ringing", PROMPTLY, || {
            let calls = daemon.live_calls().ok()?;
            calls
                .iter()
                .any(|call| call["state"] == "ringing")
                .then_some(())
        })
        .expect("it rings");
        caller.hang_up().expect("an end");
        assert_eq!(asked.join().expect("an answer").0, 409);
    });
    third_party.finish().expect("its end").assert_all(1);
    no_call_is_left(&daemon);
    daemon.stop().expect("it leaves");
}

/// What a NOTIFY of `caller` says of the call it was asked to make.
fn news(caller: &Phone, refer: &str, sipfrag: &str) -> String {
    let cseq = sip_text::header(refer, "CSeq").expect("a CSeq");
    let number = cseq.split(' ').next().expect("its number");
    caller
        .caller
        .request("NOTIFY", 2, "2", &format!("{sipfrag}\r\n"))
        .replace("application/sdp", "message/sipfrag")
        .replace(
            "Max-Forwards",
            &format!(
                "Event: refer;id={number}\r\nSubscription-State: terminated;reason=noresource\r\nMax-Forwards"
            ),
        )
}

/// The value of Replaces in a Refer-To.
fn replaces(refer: &str) -> String {
    let to = sip_text::header(refer, "Refer-To").expect("a Refer-To");
    let (_, value) = to.split_once("?Replaces=").expect("a dialog to replace");
    value
        .trim_end_matches('>')
        .replace("%3B", ";")
        .replace("%3D", "=")
        .replace("%40", "@")
}

#[test]
fn a_caller_is_sent_into_the_call_to_a_softphone_that_was_told_of_them() {
    let mut third = answering(Codec::Pcmu, false);
    let daemon = daemon(third.sip());
    let (caller, id) = caller_of(&daemon, "attended");
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let body = json!({
                "target": "sip:softphone@127.0.0.1",
                "mode": "attended",
                "announce": "A caller for you. They want to know whether you are there at all.",
                "referred_by": "sip:desk@example.net",
            });
            transfer(&daemon, &id, &body)
        });
        let refer = caller.request("REFER", PATIENCE).expect("a REFER");
        // It comes when the announcement was heard to its end.
        let told = wait_until("the announcement", PROMPTLY, || {
            third.heard().filter(|heard| heard.audible_ms(0) > 1_500)
        });
        assert!(told.is_ok(), "{}", daemon.log());
        assert_eq!(
            sip_text::header(&refer, "Referred-By"),
            Some("<sip:desk@example.net>")
        );
        caller.send(&sip_text::ok(&refer)).expect("sent");
        let mut takes_over = Phone::new(third.sip(), "softphone", "takes-over").expect("a phone");
        let answer = takes_over
            .call_with(&format!("Replaces: {}\r\n", replaces(&refer)))
            .expect("an answer");
        assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
        let news = news(&caller, &refer, "SIP/2.0 200 OK");
        caller.send(&news).expect("sent");
        caller
            .answer_bye(PROMPTLY)
            .expect("its call with us is over");
        assert_eq!(
            asked.join().expect("an answer"),
            (200, json!({ "outcome": "completed" }))
        );
        // The call that told of it is over, and the one that took its place is up.
        third.closed_by_far_end(PROMPTLY).expect("the first of two");
        no_call_is_left(&daemon);
        takes_over.hang_up().expect("it was up");
    });
    daemon.log_telling("call ended reason=transferred", 2);
    daemon.stop().expect("it leaves");
}

#[test]
fn a_third_party_that_knows_replaces_hangs_up_on_us_by_itself_and_talks_to_the_caller() {
    let third_party = Daemon::start(&DaemonSetup::default()).expect("a third party");
    let daemon = daemon(third_party.sip());
    let (caller, id) = caller_of(&daemon, "rfc-5589");
    let body = json!({ "target": "sip:echo@127.0.0.1", "mode": "attended" });
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| transfer(&daemon, &id, &body));
        let refer = caller.request("REFER", PROMPTLY).expect("a REFER");
        caller.send(&sip_text::ok(&refer)).expect("sent");
        let mut takes_over =
            Phone::new(third_party.sip(), "echo", "in-our-place").expect("a phone");
        let replaces = format!("Replaces: {}\r\nRequire: replaces\r\n", replaces(&refer));
        let answer = takes_over.call_with(&replaces).expect("an answer");
        assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
        // The second leg is over before anybody told us that the transfer is complete.
        daemon.log_telling("call ended reason=far_end_hung_up", 1);
        let news = news(&caller, &refer, "SIP/2.0 200 OK");
        caller.send(&news).expect("sent");
        caller
            .answer_bye(PROMPTLY)
            .expect("its call with us is over");
        assert_eq!(
            asked.join().expect("an answer"),
            (200, json!({ "outcome": "completed" }))
        );
        // One call there all along: only its far end is another.
        assert_eq!(third_party.live_calls().expect("a list").len(), 1);
        takes_over.hang_up().expect("it was up");
    });
    no_call_is_left(&daemon);
    for daemon in [daemon, third_party] {
        daemon.stop().expect("it leaves");
    }
}

#[test]
fn a_third_party_that_hangs_up_on_us_since_somebody_took_our_place_is_no_failure() {
    let third_party = third("hangs_up");
    let daemon = daemon(third_party.sip());
    let (caller, id) = caller_of(&daemon, "replaced");
    let body = json!({ "target": "sip:far-end@127.0.0.1", "mode": "attended" });
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| transfer(&daemon, &id, &body));
        let refer = caller.request("REFER", PROMPTLY).expect("a REFER");
        assert!(
            replaces(&refer).contains(";to-tag=far-1;from-tag="),
            "{refer}"
        );
        caller.send(&sip_text::ok(&refer)).expect("sent");
        third_party
            .finish()
            .expect("its BYE was answered")
            .assert_all(1);
        let news = news(&caller, &refer, "SIP/2.0 200 OK");
        caller.send(&news).expect("sent");
        caller
            .answer_bye(PROMPTLY)
            .expect("its call with us is over");
        assert_eq!(
            asked.join().expect("an answer"),
            (200, json!({ "outcome": "completed" }))
        );
    });
    no_call_is_left(&daemon);
    daemon.stop().expect("it leaves");
}

#[test]
fn a_caller_that_refuses_to_be_sent_elsewhere_is_joined_where_that_was_asked_for() {
    for (mode, if_refused) in [("blind", true), ("attended", true), ("attended", false)] {
        let third_party = third("answers");
        let daemon = daemon(third_party.sip());
        let (mut caller, id) = caller_of(&daemon, mode);
        std::thread::scope(|scope| {
            let body = json!({
                "target": "sip:far-end@127.0.0.1",
                "mode": mode,
                "if_refused": if_refused.then_some("bridge"),
            });
            let asked = scope.spawn({
                let (daemon, id) = (&daemon, &id);
                move || transfer(daemon, id, &body)
            });
            let refer = caller.request("REFER", PROMPTLY).expect("a REFER");
            let refusal = sip_text::ok(&refer).replace("200 OK", "603 Decline");
            caller.send(&refusal).expect("sent");
            let outcome = match if_refused {
                true => json!({ "outcome": "bridged" }),
                false => json!({ "outcome": "rejected", "sip_status": 603 }),
            };
            assert_eq!(asked.join().expect("an answer"), (200, outcome));
        });
        caller.hang_up().expect("the call was still up");
        third_party.finish().expect("its end as well").assert_all(1);
        no_call_is_left(&daemon);
        daemon.stop().expect("it leaves");
    }
}

/// A warm transfer of a caller, whose line is quiet, to a softphone that `says` something or is quiet, and what becomes
/// of it while the third party does as it likes.
fn warm(
    says: Option<&Path>,
    finish: &str,
    acts: impl FnOnce(&mut Baresip) + Send,
) -> (Daemon, Baresip, Baresip, Value) {
    let mut third = Baresip::start_with(&BaresipSetup {
        answers: true,
        says,
        ..BaresipSetup::new(Codec::Pcmu)
    })
    .expect("a softphone");
    let daemon = daemon(third.sip());
    let mut caller = Baresip::start(Codec::G722).expect("a softphone");
    caller
        .call("echo", daemon.sip(), PROMPTLY)
        .expect("an answer");
    let id = id(&inbound(&daemon));
    let body = json!({
        "target": "sip:softphone@127.0.0.1",
        "mode": "warm",
        "finish": finish,
        "announce": "A caller wants to know about the opening hours.",
        "ask": "Yes or no?",
        "apology": APOLOGY,
        "agent": "leave",
    });
    let outcome = std::thread::scope(|scope| {
        let asked = scope.spawn(|| transfer(&daemon, &id, &body));
        third.answered(PATIENCE).expect("a call");
        acts(&mut third);
        let (status, answer) = asked.join().expect("an answer");
        assert_eq!(status, 200, "{answer}\n{}", daemon.log());
        answer
    });
    (daemon, caller, third, outcome)
}

/// Waits until all of the announcement and something of the question was heard.
fn is_asked(third: &Baresip) {
    wait_until("the question", PATIENCE, || {
        third.heard().filter(|heard| heard.audible_ms(0) > 2_500)
    })
    .expect("it is told and asked");
}

#[test]
fn who_takes_a_call_by_a_key_talks_to_the_caller_and_who_declines_it_does_not() {
    let (daemon, mut caller, mut third, outcome) = warm(None, "bridge", |third| {
        is_asked(third);
        third.press('1').expect("a key");
    });
    assert_eq!(outcome["outcome"], "bridged", "{}", daemon.log());
    third.hang_up().expect("an end");
    caller.closed_by_far_end(PATIENCE).expect("an end as well");
    no_call_is_left(&daemon);
    daemon.stop().expect("it leaves");

    let (daemon, mut caller, mut third, outcome) = warm(None, "bridge", |third| {
        is_asked(third);
        third.press('2').expect("a key");
    });
    assert_eq!(outcome["outcome"], "declined", "{}", daemon.log());
    third.closed_by_far_end(PROMPTLY).expect("no call any more");
    let folder = Scratch::new("apology").expect("a folder");
    let apology = folder.file("apology.wav");
    write_spoken(&apology, 16_000, APOLOGY);
    // The agent echoes a quiet line.
    wait_until("quiet behind the apology", PATIENCE, || {
        caller.heard().filter(|heard| heard.quiet_since_ms() >= 500)
    })
    .expect("it ends");
    let likeness = caller.likeness_of_line(&apology).expect("long enough");
    println!("{likeness} of the apology");
    assert!(likeness > 0.8, "{likeness}\n{}", daemon.log());
    assert_eq!(daemon.live_calls().expect("a list").len(), 1);
    caller.hang_up().expect("the call was still up");
    daemon.stop().expect("it leaves");
}

#[test]
fn who_takes_a_call_by_saying_yes_talks_to_the_caller() {
    let folder = Scratch::new("says-yes").expect("a folder");
    let says = folder.file("says.wav");
    let yes = repository().join("deploy/audio/caller/yes.wav");
    // Nine seconds in, which is behind the announcement and the question; and again later.
    let made = Command::new("sox")
        .arg(yes)
        .args(["-r", "8000", "-c", "1"])
        .arg(&says)
        .args(["pad", "9", "5", "repeat", "3"])
        .status();
    assert!(made.is_ok_and(|status| status.success()), "sox");
    let (daemon, mut caller, mut third, outcome) = warm(Some(&says), "bridge", |_| {});
    assert_eq!(outcome["outcome"], "bridged", "{}", daemon.log());
    caller.hang_up().expect("an end");
    third.closed_by_far_end(PATIENCE).expect("an end as well");
    daemon.stop().expect("it leaves");
}

#[test]
fn a_second_leg_is_called_within_the_limits_of_every_call_out() {
    let third_party = third("busy");
    let mut setup = setup(third_party.sip());
    setup.trunk_keys += "allowed_prefixes = [\"+49\"]\n";
    let daemon = Daemon::start(&setup).expect("a daemon");
    let (mut caller, id) = caller_of(&daemon, "limits");
    let to = |target: &str| transfer(&daemon, &id, &json!({ "target": target, "mode": "bridge" }));
    for target in ["tel:+15550100", "sip:+15550100@example.net"] {
        assert_eq!(to(target), (200, json!({ "outcome": "not_admitted" })));
    }
    assert_eq!(to("tel:+4930123").1["outcome"], "rejected");
    third_party.finish().expect("its end").assert_all(1);
    caller.hang_up().expect("the call was still up");
    daemon.stop().expect("it leaves");
}

#[test]
fn nobody_is_called_for_a_transfer_that_could_not_come_together() {
    // Nobody answers there, and nobody has to.
    let far_end = FarEnd::new();
    let mut setup = setup(far_end.address());
    setup.trunk_keys += "replaces = false\n";
    let daemon = Daemon::start(&setup).expect("a daemon");
    let (mut caller, id) = caller_of(&daemon, "in-vain");
    let to = |mode: &str| {
        let body = json!({ "target": "sip:far-end@127.0.0.1", "mode": mode });
        transfer(&daemon, &id, &body).0
    };
    assert_eq!(to("attended"), 409);
    // What is held hears music, and could not be joined to anybody.
    daemon.control_call(&id, "hold").expect("held");
    let reinvite = caller.request("INVITE", PROMPTLY).expect("a hold");
    let media = caller.rtp().local_addr().expect("an address");
    caller
        .send(&sip_text::answer(
            &reinvite,
            "200 OK",
            "held",
            "",
            &sip_text::pcmu_offer(media),
        ))
        .expect("sent");
    caller.request("ACK", PROMPTLY).expect("an ACK");
    assert_eq!(to("bridge"), 409);
    assert_eq!(daemon.live_calls().expect("a list").len(), 1);
    caller.hang_up().expect("the call was still up");
    daemon.stop().expect("it leaves");
}

#[test]
fn who_waits_for_somebody_who_is_called_is_neither_held_nor_joined_to_others() {
    let third_party = third("rings_in_vain");
    let daemon = daemon(third_party.sip());
    let (mut caller, first) = caller_of(&daemon, "waits");
    let mut other = Phone::new(daemon.sip(), "echo", "another").expect("a phone");
    other.call().expect("an answer");
    let calls = wait_until("both calls", PROMPTLY, || {
        let calls = daemon.live_calls().ok()?;
        let up = calls.iter().all(|call| call["state"] == "talking");
        (up && calls.len() == 2).then_some(calls)
    });
    let calls = calls.expect("they are up");
    let another = calls.iter().map(id).find(|id| *id != first);
    let another = another.expect("another");
    let body = json!({ "target": "sip:far-end@127.0.0.1", "mode": "warm", "timeout_s": 8 });
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| transfer(&daemon, &first, &body));
        wait_until("the second leg", PROMPTLY, || {
            let calls = daemon.live_calls().ok()?;
            (calls.len() == 3).then_some(())
        })
        .expect("it is called");
        daemon.control_call(&first, "hold").expect_err("not held");
        let path = format!("/v1/calls/{first}/bridge");
        let (status, why) = daemon
            .ask("POST", &path, &json!({ "with": another }))
            .expect("an answer");
        assert_eq!(status, 409, "{why}");
        // A second transfer does not end the first.
        let blind = json!({ "target": "sip:far-end@127.0.0.1" });
        assert_eq!(transfer(&daemon, &first, &blind).0, 409);
        let outcome = asked.join().expect("an answer");
        assert_eq!(outcome, (200, json!({ "outcome": "timed_out" })));
    });
    third_party.finish().expect("its end").assert_all(1);
    caller.hang_up().expect("the call was still up");
    other.hang_up().expect("the call was still up");
    daemon.stop().expect("it leaves");
}

#[test]
fn a_flow_has_its_caller_back_when_nobody_takes_them() {
    let third_party = third("busy");
    let folder = Scratch::new("flow-bridge").expect("a folder");
    let flow = folder.file("menu.toml");
    let steps = "start = \"menu\"\nsilence_s = 60\n[step.menu]\nsay = \"Who?\"\n\
         expect = [{ digits = \"1\", then = \"desk\" }, { digits = \"2\", then = \"bye\" }]\n\
         [step.desk]\nsay = \"One moment.\"\ntransfer = \"sip:desk@127.0.0.1\"\nmode = \"warm\"\n\
         announce = \"A caller.\"\napology = \"They are busy.\"\nfailed = \"menu\"\n\
         [step.bye]\nsay = \"Goodbye.\"\nhangup = true\n";
    std::fs::write(&flow, steps).expect("a file");
    let mut setup = setup(third_party.sip());
    setup.more = format!(
        "[agent.menu]\nkind = \"flow\"\nflow = {flow:?}\n[[route]]\nto = \"menu\"\nagent = \"menu\"\n"
    );
    setup.log = "info,offhook_session=debug";
    let daemon = Daemon::start(&setup).expect("a daemon");
    let mut caller = Baresip::start(Codec::Pcmu).expect("a softphone");
    caller
        .call("menu", daemon.sip(), PROMPTLY)
        .expect("an answer");
    daemon.log_telling("step=\"menu\"", 1);
    caller.press('1').expect("a key");
    third_party.finish().expect("its end").assert_all(1);
    daemon.log_telling("a transfer failed", 1);
    daemon.log_telling("step=\"menu\"", 2);
    caller.press('2').expect("a key");
    caller.closed_by_far_end(PATIENCE).expect("an end");
    daemon.log_telling("call ended reason=agent_hung_up", 1);
    daemon.stop().expect("it leaves");
}

#[test]
fn a_flow_is_prepared_while_the_far_end_rings_and_not_only_when_it_answers() {
    let third_party = third("rings_in_vain");
    let mut setup = setup(third_party.sip());
    setup.log = "info,offhook_session=debug";
    let daemon = Daemon::start(&setup).expect("a daemon");
    let body = json!({
        "to": "100", "agent": "front-desk", "wait": "ended", "ring_timeout_s": 1,
    });
    let answer = daemon.ask("POST", "/v1/calls", &body).expect("an answer");
    assert_eq!(answer.1["answered"], false, "{answer:?}");
    third_party.finish().expect("its end").assert_all(1);
    daemon.log_telling("the agent is prepared", 1);
    daemon.stop().expect("it leaves");
}
