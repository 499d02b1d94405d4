//! One call attempt over several flows (RFC 3263 4.3): transport errors, silence, 503.

use std::time::Duration;

use offhook_sip::{
    endpoint::{EndCause, Event, Flow, FlowFailure, InviteId},
    message::StatusCode,
};

use crate::{
    authentication::{CHALLENGE, credentials},
    outgoing::calling_with,
    phone::Phone,
    text,
    world::{T1, World},
};

const SILENCE: Duration = Duration::from_secs(3);

fn second(world: &World) -> Flow {
    Flow {
        remote: "203.0.113.10:5070".parse().unwrap(),
        ..world.flow
    }
}

/// A call with two places to go.
fn calling() -> (World, Phone, InviteId, String) {
    let world = World::new();
    let flows = vec![world.flow, second(&world)];
    calling_with(world, "fail", |call| {
        call.flows = flows;
        call.silence = SILENCE;
    })
}

fn failure(world: &mut World) -> FlowFailure {
    match world.event() {
        Event::FlowFailed { failure, .. } => failure,
        other => panic!("FlowFailed expected: {other:?}"),
    }
}

#[test]
fn wound_38_a_503_is_acked_and_the_next_target_is_tried_in_the_same_attempt() {
    let (mut world, phone, _, invite) = calling();
    world.deliver(&phone.respond(
        &invite,
        "503 Service Unavailable",
        "Retry-After: 30 (busy)\r\n",
        "",
    ));
    let ack = world.next();
    assert_eq!(text::summary(&ack.text), "ACK");
    assert_eq!(ack.to, world.flow.remote);
    let again = world.next();
    assert_eq!(text::summary(&again.text), "INVITE");
    assert_eq!(again.to, second(&world).remote);
    assert_eq!(
        text::header(&again.text, "Call-ID"),
        text::header(&invite, "Call-ID")
    );
    assert_ne!(text::branch(&again.text), text::branch(&invite));
    let retry_after = Some(Duration::from_secs(30));
    assert_eq!(
        failure(&mut world),
        FlowFailure::Unavailable { retry_after }
    );
    world.deliver(&phone.answer(&again.text));
    world.expect("ACK");
    assert!(matches!(world.event(), Event::Answered { .. }));
}

#[test]
fn a_transport_error_leads_to_the_next_target_at_once() {
    let (mut world, ..) = calling();
    let flow = world.flow;
    world.act(|endpoint, now| endpoint.handle_transport_error(flow, now));
    assert_eq!(world.next().to, second(&world).remote);
    assert_eq!(failure(&mut world), FlowFailure::TransportFailed);
}

#[test]
fn a_silent_target_is_left_and_no_more_asked() {
    let (mut world, ..) = calling();
    world.advance(SILENCE);
    let sent = world.sent();
    let last = sent.last().unwrap();
    assert_eq!(last.to, second(&world).remote);
    assert_eq!(failure(&mut world), FlowFailure::Silent);
    world.advance(Duration::from_secs(20));
    let first = world.flow.remote;
    assert!(world.sent().iter().all(|sent| sent.to != first));
}

#[test]
fn a_silent_target_that_rings_after_all_is_cancelled_and_one_that_answers_is_hung_up() {
    let (mut world, phone, _, invite) = calling();
    world.advance(SILENCE);
    world.sent();
    failure(&mut world);
    world.deliver(&phone.ringing(&invite));
    world.deliver(&phone.ringing(&invite));
    let cancel = world.expect("CANCEL");
    assert_eq!(text::branch(&cancel), text::branch(&invite));
    world.expect_silence();
    world.deliver(&phone.answer(&invite));
    assert_eq!(world.summaries(), ["ACK", "BYE"]);
    world.expect_no_event();
}

#[test]
fn the_last_target_has_all_of_timer_b() {
    let (mut world, ..) = calling();
    world.advance(SILENCE + 64 * T1);
    assert_eq!(failure(&mut world), FlowFailure::Silent);
    assert_eq!(failure(&mut world), FlowFailure::Silent);
    assert_eq!(world.ended(), EndCause::NoAnswer);
    world.expect_nothing_left();
}

#[test]
fn a_target_that_only_says_trying_is_not_left() {
    let (mut world, phone, _, invite) = calling();
    world.deliver(&phone.respond(&invite, "100 Trying", "", ""));
    world.advance(Duration::from_secs(30));
    world.expect_no_event();
}

#[test]
fn wound_40_a_callee_who_declines_is_not_rung_through_another_target() {
    for (code, reason) in [
        (486, "Busy Here"),
        (603, "Decline"),
        (480, "Away"),
        (500, "No"),
    ] {
        let (mut world, phone, _, invite) = calling();
        world.deliver(&phone.respond(&invite, &format!("{code} {reason}"), "", ""));
        world.expect("ACK");
        world.expect_silence();
        let status = StatusCode::new(code).unwrap();
        assert_eq!(world.ended(), EndCause::Rejected(status));
    }
}

#[test]
fn a_call_that_is_given_up_tries_no_further_target() {
    let (mut world, phone, id, invite) = calling();
    world
        .act(|endpoint, now| endpoint.cancel(id, &[], now))
        .unwrap();
    world.deliver(&phone.respond(&invite, "503 Service Unavailable", "", ""));
    world.expect("ACK");
    world.expect_silence();
    assert_eq!(
        world.ended(),
        EndCause::Rejected(StatusCode::SERVICE_UNAVAILABLE)
    );
}

#[test]
fn a_connection_that_breaks_while_it_rings_leaves_the_call_ringing() {
    let (mut world, phone, _, invite) = calling();
    world.deliver(&phone.ringing(&invite));
    world.events();
    let flow = world.flow;
    world.act(|endpoint, now| endpoint.handle_transport_error(flow, now));
    world.expect_silence();
    world.expect_no_event();
    world.deliver(&phone.answer(&invite));
    world.expect("ACK");
}

#[test]
fn three_gateways_that_each_challenge_are_each_answered() {
    let world = World::new();
    let third = Flow {
        remote: "203.0.113.11:5070".parse().unwrap(),
        ..world.flow
    };
    let flows = vec![world.flow, second(&world), third];
    let (mut world, phone, _, mut invite) = calling_with(world, "fail", |call| {
        call.flows = flows;
        call.credentials = Some(credentials());
    });
    for gateway in 1..=3 {
        // What one gateway was told is nobody else's business.
        assert!(text::headers(&invite, "Authorization").is_empty());
        let nonce = format!("gateway-{gateway}");
        let challenge = CHALLENGE.replace("n1", &nonce);
        world.deliver(&phone.respond(&invite, "401 Unauthorized", &challenge, ""));
        world.expect("ACK");
        let again = world.expect("INVITE");
        assert!(text::header(&again, "Authorization").contains(&nonce));
        if gateway == 3 {
            world.deliver(&phone.answer(&again));
            world.expect("ACK");
            break;
        }
        world.deliver(&phone.respond(&again, "503 Service Unavailable", "", ""));
        world.expect("ACK");
        invite = world.expect("INVITE");
        failure(&mut world);
    }
    assert!(matches!(world.event(), Event::Answered { .. }));
}
