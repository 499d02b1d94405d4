//! BYE from either side, and its races.

use std::time::Duration;

use offhook_sip::endpoint::{EndCause, Event, Flow, Transport};

use crate::{
    answering::{accepted, established, offered},
    text,
    world::{T1, sdp},
};

#[test]
fn the_callers_bye_is_answered_and_ends_the_call_once() {
    let (mut world, mut phone, _) = established("e1");
    let bye = phone.request("BYE");
    world.deliver(&bye);
    world.expect("200 BYE");
    let Event::Ended {
        cause: EndCause::RemoteBye,
        message: Some(_),
        ..
    } = world.event()
    else {
        panic!()
    };
    world.expect_nothing_left();
}

#[test]
fn a_lost_200_to_bye_is_sent_again_to_the_repeated_bye() {
    let (mut world, mut phone, _) = established("e2");
    let bye = phone.request("BYE");
    world.deliver(&bye);
    let first = world.expect("200 BYE");
    world.events();
    world.advance(T1);
    world.deliver(&bye);
    assert_eq!(world.expect("200 BYE"), first);
    world.expect_no_event();
}

#[test]
fn our_bye_is_repeated_until_answered_and_then_the_call_has_ended() {
    let (mut world, phone, id) = established("e3");
    let extra = [("Reason", "Q.850;cause=16")];
    world
        .act(|endpoint, now| endpoint.bye(id, &extra, now))
        .unwrap();
    let bye = world.expect("BYE");
    assert_eq!(text::header(&bye, "Reason"), "Q.850;cause=16");
    assert_eq!(text::request_uri(&bye), "sip:caller@203.0.113.9:5070");
    world.advance(3 * T1);
    assert_eq!(world.summaries(), ["BYE", "BYE"]);
    world.expect_no_event();
    world.deliver(&phone.respond(&bye, "200 OK", "", ""));
    assert_eq!(world.ended(), EndCause::LocalBye);
    world.deliver(&phone.respond(&bye, "200 OK", "", ""));
    world.expect_no_event();
    world.expect_nothing_left();
}

#[test]
fn a_bye_that_nobody_answers_ends_the_call_after_timer_f() {
    let (mut world, _, id) = established("e4");
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    world.advance(64 * T1);
    assert_eq!(world.ended(), EndCause::NoAnswer);
    world.expect_nothing_left();
}

#[test]
fn a_second_bye_command_is_no_error_and_sends_nothing() {
    let (mut world, _, id) = established("e5");
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    world.expect("BYE");
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    world.expect_silence();
}

#[test]
fn byes_that_cross_are_both_answered_and_the_call_ends_once() {
    let (mut world, mut phone, id) = established("e6");
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    let ours = world.expect("BYE");
    world.deliver(&phone.request("BYE"));
    world.expect("200 BYE");
    assert_eq!(world.ended(), EndCause::LocalBye);
    world.deliver(&phone.respond(&ours, "481 Gone", "", ""));
    world.expect_no_event();
    world.expect_nothing_left();
}

#[test]
fn a_callees_bye_waits_for_the_ack() {
    let (mut world, phone, id) = accepted("e7");
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    world.expect_silence();
    world.deliver(&phone.ack());
    world.expect("BYE");
    assert!(matches!(world.event(), Event::Confirmed { .. }));
}

#[test]
fn a_callees_bye_without_ack_goes_out_after_64_t1() {
    let (mut world, _, id) = accepted("e8");
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    world.advance(64 * T1 - Duration::from_millis(1));
    assert!(
        world
            .summaries()
            .iter()
            .all(|summary| summary == "200 INVITE")
    );
    world.advance(Duration::from_millis(1));
    world.expect("BYE");
    assert_eq!(world.ended(), EndCause::AckTimeout);
}

#[test]
fn the_callers_bye_may_overtake_its_ack() {
    let (mut world, mut phone, _) = accepted("e9");
    let ack = phone.ack();
    world.deliver(&phone.request("BYE"));
    world.expect("200 BYE");
    assert_eq!(world.ended(), EndCause::RemoteBye);
    world.deliver(&ack);
    world.advance(Duration::from_secs(60));
    world.expect_silence();
    world.expect_no_event();
    world.expect_nothing_left();
}

#[test]
fn a_callers_bye_in_the_early_dialog_is_answered_and_its_invite_487() {
    let (mut world, mut phone, id) = offered("e10");
    world
        .act(|e, now| {
            e.ring(
                id,
                offhook_sip::message::StatusCode::RINGING,
                sdp("x"),
                &[],
                now,
            )
        })
        .unwrap();
    phone.hear(&world.expect("180 INVITE"));
    world.deliver(&phone.request("BYE"));
    world.expect("200 BYE");
    world.expect("487 INVITE");
    assert_eq!(world.ended(), EndCause::RemoteBye);
    world.expect_nothing_left();
}

#[test]
fn a_bye_that_cannot_be_delivered_ends_the_call_at_once() {
    let (mut world, _, id) = established("e11");
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    let flow = world.flow;
    world.act(|endpoint, now| endpoint.handle_transport_error(flow, now));
    assert_eq!(world.ended(), EndCause::TransportFailed);
}

#[test]
fn a_transport_error_leaves_an_established_call_alone() {
    let (mut world, _, _) = established("e12");
    let flow = world.flow;
    world.act(|endpoint, now| endpoint.handle_transport_error(flow, now));
    world.expect_no_event();
    world.expect_silence();
}

#[test]
fn a_transport_error_fails_only_what_that_transport_carries() {
    let (mut world, _, id) = established("e13");
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    let tcp = Flow {
        transport: Transport::Tcp,
        ..world.flow
    };
    world.act(|endpoint, now| endpoint.handle_transport_error(tcp, now));
    world.expect_no_event();
}
