//! INVITEs of ours without an offer (RFC 3261 13.2.1): the far end offers, and the ACK or a PRACK answers.

use std::time::Duration;

use offhook_sip::endpoint::{EndCause, Event, InviteId};

use crate::{
    outgoing::calling_with,
    phone::Phone,
    text,
    world::{World, sdp},
};

fn calling() -> (World, Phone, InviteId, String) {
    calling_with(World::new(), "late", |call| call.body = None)
}

#[test]
fn the_ack_waits_for_our_answer_and_carries_it() {
    let (mut world, phone, id, invite) = calling();
    assert_eq!(text::body(&invite), "");
    world.deliver(&phone.answer(&invite));
    world.expect_silence();
    assert!(matches!(world.event(), Event::Answered { .. }));
    // A repeated 2xx while we think is not a fork's.
    world.deliver(&phone.answer(&invite));
    world.expect_silence();
    world
        .act(|endpoint, _| endpoint.confirm(id, sdp("our answer")))
        .unwrap();
    let ack = world.expect("ACK");
    assert_eq!(text::body(&ack), "our answer");
    world.deliver(&phone.answer(&invite));
    assert_eq!(world.expect("ACK"), ack);
    assert!(world.act(|endpoint, _| endpoint.confirm(id, None)).is_err());
}

#[test]
fn a_bye_before_our_answer_is_preceded_by_the_ack() {
    let (mut world, phone, id, invite) = calling();
    world.deliver(&phone.answer(&invite));
    world.events();
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    assert!(!world.expect("ACK").contains("Content-Type"));
    let bye = world.expect("BYE");
    world.deliver(&phone.respond(&bye, "200 OK", "", ""));
    assert_eq!(world.ended(), EndCause::LocalBye);
    world.expect_nothing_left();
}

#[test]
fn an_offer_in_a_reliable_1xx_is_answered_in_the_prack_and_the_2xx_is_acked_at_once() {
    let (mut world, phone, id, invite) = calling();
    let progress = phone.respond(
        &invite,
        "183 Session Progress",
        "Contact: <sip:callee@203.0.113.9:5070>\r\nRequire: 100rel\r\nRSeq: 7\r\n\
         Content-Type: application/sdp\r\n",
        "their offer",
    );
    world.deliver(&progress);
    world.expect_silence();
    let Event::Provisional { wants_answer, .. } = world.event() else {
        panic!()
    };
    assert!(wants_answer);
    let answer = sdp("our answer").unwrap();
    world
        .act(|endpoint, now| endpoint.answer_early(id, answer, now))
        .unwrap();
    let prack = world.expect("PRACK");
    assert_eq!(text::header(&prack, "RAck"), "7 1 INVITE");
    assert_eq!(text::body(&prack), "our answer");
    world.deliver(&phone.respond(&prack, "200 OK", "", ""));
    world.deliver(&phone.respond(
        &invite,
        "200 OK",
        "Contact: <sip:callee@203.0.113.9:5070>\r\n",
        "",
    ));
    let ack = world.expect("ACK");
    assert_eq!((text::cseq(&ack), text::body(&ack)), (1, ""));
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    // One counter for the dialog: the PRACK had 2.
    assert_eq!(text::cseq(&world.expect("BYE")), 3);
    world.advance(Duration::from_secs(1));
}
