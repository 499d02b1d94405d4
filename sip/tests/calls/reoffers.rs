//! re-INVITE from either side, and its races (RFC 3261 14).

use std::time::Duration;

use offhook_sip::{
    endpoint::{Body, EndCause, Event, InviteId},
    message::StatusCode,
};

use crate::{
    answering::{accepted, established},
    phone::Phone,
    text,
    world::{T1, World, sdp},
};

fn offer() -> Body {
    sdp("new offer").unwrap()
}

/// A call in which the far end has sent a re-INVITE that waits for its answer.
fn reoffered(call_id: &str) -> (World, Phone, InviteId) {
    let (mut world, mut phone, id) = established(call_id);
    world.deliver(&phone.reinvite());
    world.expect("100 INVITE");
    assert!(matches!(world.event(), Event::Reoffer { .. }));
    (world, phone, id)
}

#[test]
fn an_accepted_reinvite_is_answered_until_its_ack_and_moves_the_target() {
    let (mut world, mut phone, id) = established("o1");
    phone.contact = "<sip:moved@203.0.113.9:5080>".to_owned();
    world.deliver(&phone.reinvite());
    world.expect("100 INVITE");
    let Event::Reoffer { request, .. } = world.event() else {
        panic!()
    };
    assert_eq!(request.body, crate::phone::OFFER.as_bytes());
    world
        .act(|endpoint, now| endpoint.accept_reoffer(id, sdp("again"), now))
        .unwrap();
    assert_eq!(text::body(&world.expect("200 INVITE")), "again");
    world.advance(T1);
    world.expect("200 INVITE");
    world.deliver(&phone.ack());
    assert!(matches!(world.event(), Event::ReofferConfirmed { .. }));
    world.advance(Duration::from_secs(40));
    world.expect_silence();
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    assert_eq!(
        text::request_uri(&world.expect("BYE")),
        "sip:moved@203.0.113.9:5080"
    );
}

#[test]
fn a_refused_reinvite_leaves_the_call_and_its_target() {
    let (mut world, mut phone, id) = established("o2");
    phone.contact = "<sip:moved@203.0.113.9:5080>".to_owned();
    world.deliver(&phone.reinvite());
    world.sent();
    world.events();
    let refuse = StatusCode::NOT_ACCEPTABLE_HERE;
    let warning = [("Warning", "304 198.51.100.1 \"no common codec\"")];
    world
        .act(|endpoint, now| endpoint.reject_reoffer(id, refuse, &warning, now))
        .unwrap();
    let refusal = world.expect("488 INVITE");
    world.deliver(&phone.ack_refusal(&refusal));
    world.expect_no_event();
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    assert_eq!(
        text::request_uri(&world.expect("BYE")),
        "sip:caller@203.0.113.9:5070"
    );
}

#[test]
fn a_second_reinvite_before_the_answer_of_the_first_gets_500_with_retry_after() {
    let (mut world, mut phone, _) = reoffered("o3");
    world.deliver(&phone.reinvite());
    let refusal = world.expect("500 INVITE");
    let wait: u32 = text::header(&refusal, "Retry-After").parse().unwrap();
    assert!(wait <= 10);
    world.expect_no_event();
}

#[test]
fn a_reinvite_that_meets_ours_gets_491() {
    let (mut world, mut phone, id) = established("o4");
    world
        .act(|endpoint, now| endpoint.reoffer(id, offer(), now))
        .unwrap();
    world.expect("INVITE");
    world.deliver(&phone.reinvite());
    world.expect("491 INVITE");
    world.expect_no_event();
}

#[test]
fn a_reinvite_before_the_ack_of_our_200_gets_491() {
    let (mut world, mut phone, _) = accepted("o5");
    world.deliver(&phone.reinvite());
    world.expect("491 INVITE");
    world.expect_no_event();
}

#[test]
fn a_reinvite_that_is_cancelled_gets_487_and_the_call_stays() {
    let (mut world, phone, id) = reoffered("o6");
    world.deliver(&phone.cancel());
    world.expect("200 CANCEL");
    world.expect("487 INVITE");
    assert!(matches!(world.event(), Event::ReofferCancelled { .. }));
    assert!(
        world
            .act(|endpoint, now| endpoint.accept_reoffer(id, None, now))
            .is_err()
    );
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    world.expect("BYE");
}

#[test]
fn a_bye_answers_the_open_reinvite_with_487() {
    let (mut world, mut phone, _) = reoffered("o7");
    world.deliver(&phone.request("BYE"));
    world.expect("200 BYE");
    world.expect("487 INVITE");
    assert_eq!(world.ended(), EndCause::RemoteBye);
    world.expect_nothing_left();
}

#[test]
fn our_bye_answers_the_open_reinvite_with_487() {
    let (mut world, _, id) = reoffered("o8");
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    world.expect("487 INVITE");
    world.expect("BYE");
    world.expect_nothing_left();
}

#[test]
fn an_accepted_reinvite_without_ack_ends_the_call_with_bye() {
    let (mut world, _, id) = reoffered("o9");
    world
        .act(|endpoint, now| endpoint.accept_reoffer(id, None, now))
        .unwrap();
    world.advance(64 * T1);
    assert_eq!(world.summaries().last().unwrap(), "BYE");
    assert_eq!(world.ended(), EndCause::AckTimeout);
    world.expect_nothing_left();
}

#[test]
fn our_reinvite_is_acked_when_accepted_and_again_for_each_copy_of_the_200() {
    let (mut world, mut phone, id) = established("o10");
    world
        .act(|endpoint, now| endpoint.reoffer(id, offer(), now))
        .unwrap();
    let invite = world.expect("INVITE");
    assert_eq!(text::body(&invite), "new offer");
    phone.contact = "<sip:moved@203.0.113.9:5080>".to_owned();
    world.deliver(&phone.answer(&invite));
    let ack = world.expect("ACK");
    assert_eq!(text::request_uri(&ack), "sip:moved@203.0.113.9:5080");
    assert_eq!(text::cseq(&ack), text::cseq(&invite));
    assert!(matches!(world.event(), Event::ReofferAnswered { .. }));
    world.deliver(&phone.answer(&invite));
    assert_eq!(world.expect("ACK"), ack);
    world.expect_no_event();
}

#[test]
fn our_reinvite_that_meets_491_is_sent_again_with_the_next_cseq_within_two_seconds() {
    let (mut world, phone, id) = established("o11");
    world
        .act(|endpoint, now| endpoint.reoffer(id, offer(), now))
        .unwrap();
    let first = world.expect("INVITE");
    world.deliver(&phone.respond(&first, "491 Request Pending", "", ""));
    world.expect("ACK");
    world.advance(Duration::from_secs(2));
    let second = world.expect("INVITE");
    assert_eq!(text::cseq(&second), text::cseq(&first) + 1);
    assert_ne!(text::branch(&second), text::branch(&first));
    world.expect_no_event();
}

#[test]
fn our_refused_reinvite_leaves_the_call() {
    let (mut world, phone, id) = established("o12");
    world
        .act(|endpoint, now| endpoint.reoffer(id, offer(), now))
        .unwrap();
    let invite = world.expect("INVITE");
    world.deliver(&phone.respond(&invite, "488 No", "", ""));
    world.expect("ACK");
    let Event::ReofferRefused { status, .. } = world.event() else {
        panic!()
    };
    assert_eq!(status, StatusCode::NOT_ACCEPTABLE_HERE);
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    world.expect("BYE");
}

#[test]
fn our_reinvite_that_is_answered_481_ends_the_call() {
    let (mut world, phone, id) = established("o13");
    world
        .act(|endpoint, now| endpoint.reoffer(id, offer(), now))
        .unwrap();
    let invite = world.expect("INVITE");
    world.deliver(&phone.respond(&invite, "481 Gone", "", ""));
    assert_eq!(world.summaries(), ["ACK", "BYE"]);
    let gone = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
    assert_eq!(world.ended(), EndCause::Rejected(gone));
    world.expect_nothing_left();
}

#[test]
fn our_reinvite_that_nobody_answers_ends_the_call() {
    let (mut world, _, id) = established("o14");
    world
        .act(|endpoint, now| endpoint.reoffer(id, offer(), now))
        .unwrap();
    world.advance(64 * T1);
    assert_eq!(world.summaries().last().unwrap(), "BYE");
    assert_eq!(world.ended(), EndCause::NoAnswer);
    world.expect_nothing_left();
}

#[test]
fn a_200_to_our_reinvite_that_crosses_our_bye_is_acked() {
    let (mut world, phone, id) = established("o15");
    world
        .act(|endpoint, now| endpoint.reoffer(id, offer(), now))
        .unwrap();
    let invite = world.expect("INVITE");
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    world.expect("BYE");
    world.deliver(&phone.answer(&invite));
    world.expect("ACK");
    world.expect_no_event();
}

#[test]
fn only_one_offer_at_a_time_can_be_made() {
    let (mut world, _, id) = established("o16");
    world
        .act(|endpoint, now| endpoint.reoffer(id, offer(), now))
        .unwrap();
    assert!(
        world
            .act(|endpoint, now| endpoint.reoffer(id, offer(), now))
            .is_err()
    );
}

#[test]
fn a_200_to_our_reinvite_that_comes_after_their_bye_is_acked() {
    let (mut world, mut phone, id) = established("o17");
    world
        .act(|endpoint, now| endpoint.reoffer(id, offer(), now))
        .unwrap();
    let invite = world.expect("INVITE");
    world.deliver(&phone.request("BYE"));
    world.expect("200 BYE");
    world.events();
    world.deliver(&phone.answer(&invite));
    let ack = world.expect("ACK");
    assert_eq!(
        (text::cseq(&ack), text::tag(&ack, "To")),
        (text::cseq(&invite), "far-o17")
    );
    world.deliver(&phone.answer(&invite));
    assert_eq!(world.expect("ACK"), ack);
    world.expect_no_event();
    world.expect_nothing_left();
}
