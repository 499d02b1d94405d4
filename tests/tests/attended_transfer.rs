//! An attended transfer: the far end of one call is sent to the far end of another, to step into our place there.

use std::time::Duration;

use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::phone::Phone;
use offhook_tests::sip_text;
use serde_json::{Value, json};

/// For what happens at once, on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(10);

/// A call of `who`, with its tag and its id at the daemon.
fn calls(daemon: &Daemon, who: &str) -> (Phone, String, String) {
    let mut phone = Phone::new(daemon.sip(), "echo", who).expect("a phone");
    phone.caller.number = who.to_owned();
    let answer = phone.call().expect("an answer");
    let to = sip_text::header(&answer, "To").expect("a To");
    let (_, tag) = to.split_once(";tag=").expect("a tag");
    let calls = daemon.live_calls().expect("a list");
    let call = calls.iter().find(|call| call["from"] == who);
    let id = call.and_then(|call| call["id"].as_str()).expect("its call");
    (phone, tag.to_owned(), id.to_owned())
}

fn transfer(daemon: &Daemon, id: &str, body: Value) -> (u16, Value) {
    let path = format!("/v1/calls/{id}/transfer");
    daemon.ask("POST", &path, &body).expect("an answer")
}

#[test]
fn a_far_end_is_sent_into_another_call_and_both_are_over_for_us_when_it_is_there() {
    let daemon = Daemon::start(&DaemonSetup::default()).expect("a daemon");
    let (alice, _, from_alice) = calls(&daemon, "alice");
    let (mut bob, tag, from_bob) = calls(&daemon, "bob");
    let bobs_address = bob.caller.local;

    std::thread::scope(|scope| {
        let asked = scope.spawn(|| transfer(&daemon, &from_alice, json!({ "into": from_bob })));
        let refer = alice.request("REFER", PROMPTLY).expect("a REFER");
        alice.send(&sip_text::ok(&refer)).expect("sent");
        assert_eq!(
            sip_text::header(&refer, "Refer-To"),
            Some(&*format!(
                "<sip:bob@{bobs_address}?Replaces=bob%3Bto-tag%3Dfrom-bob%3Bfrom-tag%3D{tag}>"
            ))
        );
        let cseq = sip_text::header(&refer, "CSeq").expect("a CSeq");
        let number = cseq.split(' ').next().expect("its number");
        let news = alice
            .caller
            .request("NOTIFY", 2, "2", "SIP/2.0 200 OK\r\n")
            .replace("application/sdp", "message/sipfrag")
            .replace(
                "Max-Forwards",
                &format!(
                    "Event: refer;id={number}\r\nSubscription-State: terminated;reason=noresource\r\nMax-Forwards"
                ),
            );
        alice.send(&news).expect("sent");
        alice.answer_bye(PROMPTLY).expect("its call is over");
        let (status, answer) = asked.join().expect("an answer");
        assert_eq!((status, &answer["outcome"]), (200, &json!("completed")));
    });
    // Whoever has been replaced hangs up.
    let answer = bob.hang_up().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200));
    daemon.stop().expect("a clean end");
}

#[test]
fn into_itself_into_nothing_and_to_two_places_at_once_nobody_is_sent() {
    let daemon = Daemon::start(&DaemonSetup::default()).expect("a daemon");
    let (mut alice, _, id) = calls(&daemon, "alice");
    let status = |body| transfer(&daemon, &id, body).0;
    assert_eq!(status(json!({ "into": id })), 404);
    assert_eq!(status(json!({ "into": "0" })), 404);
    assert_eq!(status(json!({ "into": id, "target": "sip:a@b" })), 400);
    assert_eq!(status(json!({})), 400);
    alice.hang_up().expect("the call is still up");
    daemon.stop().expect("a clean end");
}

#[test]
fn where_a_trunk_takes_no_replaces_nobody_is_sent_with_it() {
    let setup = DaemonSetup {
        trunk_keys: "replaces = false".to_owned(),
        ..DaemonSetup::default()
    };
    let daemon = Daemon::start(&setup).expect("a daemon");
    let (mut alice, _, from_alice) = calls(&daemon, "alice");
    let (mut bob, _, from_bob) = calls(&daemon, "bob");
    let (status, _) = transfer(&daemon, &from_alice, json!({ "into": from_bob }));
    assert_eq!(status, 409);
    for phone in [&mut alice, &mut bob] {
        phone.hang_up().expect("the call is still up");
    }
    daemon.stop().expect("a clean end");
}
