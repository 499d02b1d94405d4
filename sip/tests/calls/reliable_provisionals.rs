//! Reliable provisional responses (RFC 3262), as server and as client.

use std::time::Duration;

use offhook_sip::{
    endpoint::{EndCause, Event, InviteId},
    message::StatusCode,
};

use crate::{
    outgoing::calling,
    phone::Phone,
    text,
    world::{T1, World, sdp},
};

/// A call offered to us by a phone with this header line.
fn offered(line: &str) -> (World, Phone, InviteId) {
    let mut world = World::new();
    let mut phone = Phone::new("rel");
    phone.extra = format!("{line}\r\n");
    world.deliver(&phone.invite());
    world.expect("100 INVITE");
    let id = world.incoming();
    (world, phone, id)
}

/// The same without an offer.
fn offered_nothing(line: &str) -> (World, Phone, InviteId) {
    let mut world = World::new();
    let mut phone = Phone::new("rel");
    phone.extra = format!("{line}\r\n");
    let invite = phone.invite();
    let (head, _) = invite.split_once("Content-Type").unwrap();
    world.deliver(&format!("{head}Content-Length: 0\r\n\r\n"));
    world.expect("100 INVITE");
    let id = world.incoming();
    (world, phone, id)
}

fn progress(world: &mut World, id: InviteId, body: Option<&str>) -> String {
    let body = body.and_then(sdp);
    world
        .act(|endpoint, now| endpoint.ring(id, StatusCode::SESSION_PROGRESS, body, &[], now))
        .unwrap();
    world.expect("183 INVITE")
}

fn prack(phone: &mut Phone, response: &str, body: &str) -> String {
    let rack = format!("RAck: {} 1 INVITE\r\n", text::header(response, "RSeq"));
    let kind = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    phone.request_with("PRACK", &format!("{rack}{kind}"), body)
}

#[test]
fn a_caller_that_requires_it_gets_every_1xx_reliably_and_wound_33_no_420() {
    let (mut world, mut phone, id) = offered("Require: 100rel");
    world
        .act(|endpoint, now| endpoint.ring(id, StatusCode::RINGING, None, &[], now))
        .unwrap();
    let ringing = world.expect("180 INVITE");
    assert_eq!(text::header(&ringing, "Require"), "100rel");
    let rseq: u32 = text::header(&ringing, "RSeq").parse().unwrap();
    assert!((1..1 << 31).contains(&rseq));
    world.advance(3 * T1);
    assert_eq!(world.summaries(), ["180 INVITE"; 2]);
    phone.hear(&ringing);
    world.deliver(&prack(&mut phone, &ringing, ""));
    world.expect("200 PRACK");
    assert!(matches!(world.event(), Event::Acknowledged { .. }));
    world.advance(32 * T1);
    world.expect_silence();
}

#[test]
fn a_caller_that_only_supports_it_gets_what_has_a_description_reliably() {
    let (mut world, _, id) = offered("Supported: 100rel");
    world
        .act(|endpoint, now| endpoint.ring(id, StatusCode::RINGING, None, &[], now))
        .unwrap();
    assert!(text::headers(&world.expect("180 INVITE"), "RSeq").is_empty());
    assert!(!text::headers(&progress(&mut world, id, Some("x")), "RSeq").is_empty());
}

#[test]
fn the_next_1xx_waits_for_the_prack_and_is_numbered_one_higher() {
    let (mut world, mut phone, id) = offered("Require: 100rel");
    let first = progress(&mut world, id, None);
    world
        .act(|endpoint, now| endpoint.ring(id, StatusCode::RINGING, None, &[], now))
        .unwrap();
    world.expect_silence();
    phone.hear(&first);
    world.deliver(&prack(&mut phone, &first, ""));
    world.expect("200 PRACK");
    let second = world.expect("180 INVITE");
    let number = |text: &str| text::header(text, "RSeq").parse::<u32>().unwrap();
    assert_eq!(number(&second), number(&first) + 1);
}

#[test]
fn a_prack_for_nothing_that_is_open_is_481_and_a_repeated_one_gets_its_200_again() {
    let (mut world, mut phone, id) = offered("Require: 100rel");
    let response = progress(&mut world, id, None);
    phone.hear(&response);
    let stray = phone.request_with("PRACK", "RAck: 1 99 INVITE\r\n", "");
    world.deliver(&stray);
    world.expect("481 PRACK");
    let prack = prack(&mut phone, &response, "");
    world.deliver(&prack);
    world.deliver(&prack);
    assert_eq!(world.summaries(), ["200 PRACK", "200 PRACK"]);
}

#[test]
fn a_prack_that_our_200_overtook_is_answered_200() {
    let (mut world, mut phone, id) = offered("Require: 100rel");
    world
        .act(|endpoint, now| endpoint.ring(id, StatusCode::RINGING, None, &[], now))
        .unwrap();
    let ringing = world.expect("180 INVITE");
    world
        .act(|endpoint, now| endpoint.accept(id, sdp("answer"), &[], now))
        .unwrap();
    world.expect("200 INVITE");
    phone.hear(&ringing);
    let prack = prack(&mut phone, &ringing, "");
    world.deliver(&prack);
    world.expect("200 PRACK");
}

#[test]
fn without_a_prack_the_call_is_refused_after_64_t1() {
    let (mut world, phone, id) = offered("Require: 100rel");
    progress(&mut world, id, None);
    world.advance(64 * T1);
    let sent = world.sent();
    let refusal = &sent.last().unwrap().text;
    assert_eq!(text::summary(refusal), "504 INVITE");
    assert_eq!(world.ended(), EndCause::PrackTimeout);
    world.deliver(&phone.ack_refusal(refusal));
    world.expect_nothing_left();
}

#[test]
fn wound_14_our_offer_in_a_reliable_183_is_answered_by_prack_and_the_200_has_no_description() {
    let (mut world, mut phone, id) = offered_nothing("Supported: 100rel");
    let response = progress(&mut world, id, Some("our offer"));
    // Too early: one exchange at a time.
    world
        .act(|endpoint, now| endpoint.accept(id, None, &[], now))
        .unwrap();
    world.expect_silence();
    phone.hear(&response);
    world.deliver(&prack(&mut phone, &response, "their answer"));
    world.expect("200 PRACK");
    let Event::Acknowledged { prack, .. } = world.event() else {
        panic!()
    };
    assert_eq!(prack.body, b"their answer");
    let ok = world.expect("200 INVITE");
    assert_eq!(text::body(&ok), "");
    world.deliver(&ack(&phone));
    assert!(matches!(world.event(), Event::Confirmed { .. }));
}

#[test]
fn wound_32_the_prack_stops_the_183_and_names_the_cseq_of_the_invite_that_was_sent_last() {
    let (mut world, phone, _, invite) =
        crate::outgoing::calling_with(World::new(), "w32", |call| {
            call.credentials = Some(crate::authentication::credentials());
        });
    let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n";
    world.deliver(&phone.respond(&invite, "401 Unauthorized", challenge, ""));
    world.expect("ACK");
    let again = world.expect("INVITE");
    world.deliver(&reliable(&phone, &again, 5));
    let prack = world.expect("PRACK");
    assert_eq!(text::header(&prack, "RAck"), "5 2 INVITE");
    assert_eq!(text::cseq(&prack), 3);
}

fn reliable(phone: &Phone, invite: &str, rseq: u32) -> String {
    phone.respond(
        invite,
        "183 Session Progress",
        &format!("Contact: <sip:callee@203.0.113.9:5070>\r\nRequire: 100rel\r\nRSeq: {rseq}\r\n"),
        "",
    )
}

#[test]
fn as_caller_each_reliable_1xx_is_acknowledged_once_and_in_order() {
    let (mut world, phone, _, invite) = calling("rel");
    world.deliver(&reliable(&phone, &invite, 10));
    world.expect("PRACK");
    assert!(matches!(world.event(), Event::Provisional { .. }));
    // A copy, and one that overtook another.
    world.deliver(&reliable(&phone, &invite, 10));
    world.deliver(&reliable(&phone, &invite, 12));
    world.expect_silence();
    world.expect_no_event();
    world.deliver(&reliable(&phone, &invite, 11));
    assert_eq!(text::header(&world.expect("PRACK"), "RAck"), "11 1 INVITE");
}

#[test]
fn each_fork_has_numbers_of_its_own() {
    let (mut world, phone, _, invite) = calling("rel");
    let mut other = phone.clone();
    other.tag = "fork".to_owned();
    world.deliver(&reliable(&phone, &invite, 10));
    let first = world.expect("PRACK");
    world.deliver(&reliable(&other, &invite, 3));
    let second = world.expect("PRACK");
    assert_eq!(text::tag(&first, "To"), "far-rel");
    assert_eq!(text::tag(&second, "To"), "fork");
    world.advance(Duration::from_millis(1));
}

/// The ACK of the INVITE, which a PRACK came after.
fn ack(phone: &Phone) -> String {
    let mut invite = phone.clone();
    invite.cseq = 1;
    invite.branches = 1;
    invite.ack()
}
