//! CANCEL from the caller in each state (RFC 3261 9.2).

use std::time::Duration;

use offhook_sip::{
    endpoint::{EndCause, Event},
    message::StatusCode,
};

use crate::{
    answering::{accepted, established, offered},
    phone::Phone,
    text,
    world::World,
};

#[test]
fn cancel_before_ringing_gets_200_and_the_invite_487() {
    let (mut world, phone, _) = offered("c1");
    world.deliver(&phone.cancel());
    let ok = world.expect("200 CANCEL");
    let terminated = world.expect("487 INVITE");
    assert_eq!(text::tag(&ok, "To"), text::tag(&terminated, "To"));
    let Event::Ended {
        cause: EndCause::Cancelled,
        message: Some(_),
        ..
    } = world.event()
    else {
        panic!()
    };
    world.deliver(&phone.ack_refusal(&terminated));
    world.advance(Duration::from_secs(60));
    world.expect_silence();
    world.expect_nothing_left();
}

#[test]
fn cancel_while_ringing_gets_200_and_the_invite_487() {
    let (mut world, phone, id) = offered("c2");
    world
        .act(|endpoint, now| endpoint.ring(id, StatusCode::RINGING, None, &[], now))
        .unwrap();
    let ringing = world.expect("180 INVITE");
    world.deliver(&phone.cancel());
    let ok = world.expect("200 CANCEL");
    assert_eq!(text::tag(&ok, "To"), text::tag(&ringing, "To"));
    world.expect("487 INVITE");
    assert_eq!(world.ended(), EndCause::Cancelled);
    world.expect_nothing_left();
}

#[test]
fn a_repeated_cancel_gets_the_same_200_and_changes_nothing() {
    let (mut world, phone, _) = offered("c3");
    world.deliver(&phone.cancel());
    let ok = world.expect("200 CANCEL");
    world.sent();
    world.events();
    world.deliver(&phone.cancel());
    assert_eq!(world.expect("200 CANCEL"), ok);
    world.expect_silence();
    world.expect_no_event();
}

#[test]
fn a_cancel_that_crosses_our_200_is_answered_and_the_call_is_up() {
    let (mut world, mut phone, _) = accepted("c4");
    world.deliver(&phone.cancel());
    world.expect("200 CANCEL");
    world.expect_no_event();
    world.deliver(&phone.ack());
    assert!(matches!(world.event(), Event::Confirmed { .. }));
    world.deliver(&phone.request("BYE"));
    world.expect("200 BYE");
    assert_eq!(world.ended(), EndCause::RemoteBye);
    world.expect_nothing_left();
}

#[test]
fn a_cancel_after_a_refusal_is_answered_without_effect() {
    let (mut world, phone, id) = offered("c5");
    world
        .act(|endpoint, now| endpoint.reject(id, StatusCode::BUSY_HERE, &[], now))
        .unwrap();
    let refusal = world.expect("486 INVITE");
    world.events();
    world.deliver(&phone.cancel());
    let ok = world.expect("200 CANCEL");
    assert_eq!(text::tag(&ok, "To"), text::tag(&refusal, "To"));
    world.expect_silence();
    world.expect_no_event();
    world.expect_nothing_left();
}

#[test]
fn a_cancel_of_an_established_call_is_answered_without_effect() {
    let (mut world, phone, _) = established("c6");
    world.deliver(&phone.cancel());
    world.expect("200 CANCEL");
    world.expect_silence();
    world.expect_no_event();
}

#[test]
fn a_cancel_of_nothing_gets_481() {
    let mut world = World::new();
    world.deliver(&Phone::new("c7").cancel());
    let refusal = world.expect("481 CANCEL");
    assert_ne!(text::tag(&refusal, "To"), "");
    world.expect_nothing_left();
}

#[test]
fn a_cancel_that_overtook_its_invite_gets_481_and_the_invite_is_a_call() {
    let mut world = World::new();
    let phone = Phone::new("c8");
    world.deliver(&phone.cancel());
    world.expect("481 CANCEL");
    world.deliver(&phone.invite());
    world.expect("100 INVITE");
    world.incoming();
}

#[test]
fn answering_a_call_that_was_cancelled_is_misuse_and_sends_nothing() {
    let (mut world, phone, id) = offered("c9");
    world.deliver(&phone.cancel());
    world.sent();
    assert!(
        world
            .act(|endpoint, now| endpoint.accept(id, None, &[], now))
            .is_err()
    );
    world.expect_silence();
}
