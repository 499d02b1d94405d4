//! Being called: ringing, the 2xx and its ACK.

use std::time::Duration;

use offhook_sip::{
    endpoint::{EndCause, Event, InviteId, Misuse},
    message::StatusCode,
};

use crate::{
    phone::Phone,
    text,
    world::{T1, World, sdp},
};

/// A call that is offered and unanswered.
pub(crate) fn offered(call_id: &str) -> (World, Phone, InviteId) {
    let mut world = World::new();
    let phone = Phone::new(call_id);
    world.deliver(&phone.invite());
    world.expect("100 INVITE");
    let id = world.incoming();
    (world, phone, id)
}

/// A call that is accepted but whose ACK has not come.
pub(crate) fn accepted(call_id: &str) -> (World, Phone, InviteId) {
    let (mut world, mut phone, id) = offered(call_id);
    world
        .act(|endpoint, now| endpoint.accept(id, sdp("answer"), &[], now))
        .unwrap();
    phone.hear(&world.expect("200 INVITE"));
    (world, phone, id)
}

/// A call that is up.
pub(crate) fn established(call_id: &str) -> (World, Phone, InviteId) {
    let (mut world, phone, id) = accepted(call_id);
    world.deliver(&phone.ack());
    assert!(matches!(world.event(), Event::Confirmed { .. }));
    (world, phone, id)
}

#[test]
fn an_invite_gets_100_at_once_and_is_offered_with_its_source() {
    let mut world = World::new();
    world.deliver(&Phone::new("a1").invite());
    let trying = world.expect("100 INVITE");
    assert_eq!(text::tag(&trying, "To"), "");
    let Event::Incoming { request, flow, .. } = world.event() else {
        panic!()
    };
    assert_eq!(flow, world.flow);
    assert_eq!(request.headers.call_id(), Some("a1"));
}

#[test]
fn a_call_is_rung_answered_and_confirmed_by_its_ack() {
    let (mut world, mut phone, id) = offered("a2");
    world
        .act(|endpoint, now| endpoint.ring(id, StatusCode::RINGING, None, &[], now))
        .unwrap();
    let ringing = world.expect("180 INVITE");
    world
        .act(|endpoint, now| endpoint.accept(id, sdp("answer"), &[], now))
        .unwrap();
    let ok = world.expect("200 INVITE");
    assert_eq!(text::body(&ok), "answer");
    assert_eq!(text::header(&ok, "Content-Type"), "application/sdp");
    assert_eq!(text::tag(&ok, "To"), text::tag(&ringing, "To"));
    assert_eq!(text::header(&ok, "Contact"), "<sip:198.51.100.1:5060>");
    assert_eq!(
        text::header(&ok, "Allow"),
        "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, PRACK, UPDATE, REFER, NOTIFY"
    );
    phone.hear(&ok);
    world.deliver(&phone.ack());
    assert!(matches!(world.event(), Event::Confirmed { .. }));
    world.advance(Duration::from_secs(120));
    world.expect_silence();
}

#[test]
fn early_media_is_a_183_with_a_body_and_the_callers_headers() {
    let (mut world, _, id) = offered("a3");
    let extra = [("X-Reason", "tune")];
    world
        .act(|e, now| e.ring(id, StatusCode::SESSION_PROGRESS, sdp("early"), &extra, now))
        .unwrap();
    let progress = world.expect("183 INVITE");
    assert_eq!(
        (text::body(&progress), text::header(&progress, "X-Reason")),
        ("early", "tune")
    );
}

#[test]
fn ringing_is_repeated_each_minute_until_the_answer() {
    let (mut world, mut phone, id) = offered("a4");
    world
        .act(|endpoint, now| endpoint.ring(id, StatusCode::RINGING, None, &[], now))
        .unwrap();
    world
        .act(|e, now| e.ring(id, StatusCode::SESSION_PROGRESS, None, &[], now))
        .unwrap();
    world.sent();
    world.advance(Duration::from_secs(130));
    assert_eq!(world.summaries(), ["183 INVITE", "183 INVITE"]);
    world
        .act(|endpoint, now| endpoint.accept(id, None, &[], now))
        .unwrap();
    phone.hear(&world.expect("200 INVITE"));
    world.deliver(&phone.ack());
    world.advance(Duration::from_secs(130));
    world.expect_silence();
}

#[test]
fn a_lost_200_is_repeated_doubling_from_t1_to_t2() {
    let (mut world, phone, _) = accepted("a5");
    world.advance(Duration::from_millis(15_600));
    let at: Vec<u128> = world
        .sent()
        .iter()
        .map(|sent| sent.at.as_millis())
        .collect();
    assert_eq!(at, [500, 1_500, 3_500, 7_500, 11_500, 15_500]);
    world.deliver(&phone.ack());
    assert!(matches!(world.event(), Event::Confirmed { .. }));
    world.advance(Duration::from_secs(60));
    world.expect_silence();
}

#[test]
fn a_200_that_is_never_acked_ends_the_call_with_bye_after_64_t1() {
    let (mut world, phone, _) = accepted("a6");
    world.advance(64 * T1);
    let sent = world.sent();
    let last = sent.last().unwrap();
    assert_eq!((text::method(&last.text), last.at), ("BYE", 64 * T1));
    assert_eq!(world.ended(), EndCause::AckTimeout);
    world.deliver(&phone.respond(&last.text, "200 OK", "", ""));
    world.advance(Duration::from_secs(10));
    world.expect_no_event();
    world.expect_nothing_left();
}

#[test]
fn a_lost_ack_is_made_good_by_the_ack_of_the_repeated_200() {
    let (mut world, phone, _) = accepted("a7");
    world.advance(T1);
    assert_eq!(world.summaries(), ["200 INVITE"]);
    world.deliver(&phone.ack());
    assert!(matches!(world.event(), Event::Confirmed { .. }));
}

#[test]
fn a_repeated_ack_is_absorbed() {
    let (mut world, phone, _) = established("a8");
    world.deliver(&phone.ack());
    world.expect_no_event();
    world.expect_silence();
    assert_eq!(world.endpoint.statistics().stray_acks, 1);
}

#[test]
fn the_ack_hands_over_its_body() {
    let (mut world, phone, _) = accepted("a9");
    let ack = phone.ack().replace(
        "Content-Length: 0\r\n\r\n",
        "Content-Length: 6\r\n\r\nanswer",
    );
    world.deliver(&ack);
    let Event::Confirmed { ack, .. } = world.event() else {
        panic!()
    };
    assert_eq!(ack.body, b"answer");
}

#[test]
fn a_retransmitted_invite_is_absorbed_and_answered_by_what_was_last_said() {
    let (mut world, phone, id) = offered("a10");
    world.deliver(&phone.invite());
    world.expect("100 INVITE");
    world
        .act(|endpoint, now| endpoint.ring(id, StatusCode::RINGING, None, &[], now))
        .unwrap();
    world.sent();
    world.deliver(&phone.invite());
    world.expect("180 INVITE");
    world
        .act(|endpoint, now| endpoint.accept(id, None, &[], now))
        .unwrap();
    world.sent();
    world.deliver(&phone.invite());
    world.expect_silence();
    world.expect_no_event();
    assert_eq!(world.endpoint.statistics().retransmissions_received, 3);
}

#[test]
fn a_refusal_is_repeated_until_its_ack_which_nobody_else_hears_of() {
    let (mut world, phone, id) = offered("a11");
    let extra = [("Retry-After", "30")];
    world
        .act(|e, now| e.reject(id, StatusCode::BUSY_HERE, &extra, now))
        .unwrap();
    let refusal = world.expect("486 INVITE");
    assert_ne!(text::tag(&refusal, "To"), "");
    assert_eq!(text::header(&refusal, "Retry-After"), "30");
    assert_eq!(world.ended(), EndCause::Refused(StatusCode::BUSY_HERE));
    world.advance(3 * T1);
    assert_eq!(world.summaries(), ["486 INVITE", "486 INVITE"]);
    world.deliver(&phone.ack_refusal(&refusal));
    world.expect_no_event();
    world.advance(Duration::from_secs(60));
    world.expect_silence();
    world.expect_nothing_left();
}

#[test]
fn a_refusal_without_ack_is_given_up_by_timer_h_and_counted() {
    let (mut world, _, id) = offered("a12");
    world
        .act(|endpoint, now| endpoint.reject(id, StatusCode::DECLINE, &[], now))
        .unwrap();
    world.expect_nothing_left();
    assert_eq!(world.endpoint.statistics().unacknowledged_refusals, 1);
}

#[test]
fn commands_that_do_not_fit_the_state_send_nothing() {
    let (mut world, _, id) = established("a13");
    let again = world.act(|endpoint, now| endpoint.accept(id, None, &[], now));
    assert!(matches!(again, Err(Misuse::WrongState { .. })));
    let wrong = world.act(|endpoint, now| endpoint.ring(id, StatusCode::OK, None, &[], now));
    assert_eq!(wrong, Err(Misuse::WrongStatus(200)));
    let reserved = world.act(|endpoint, now| endpoint.bye(id, &[("v", "x")], now));
    assert_eq!(reserved, Err(Misuse::ReservedHeader("v".to_owned())));
    world.expect_silence();
}
