//! Calling: 1xx, early dialogs, 2xx and its copies and forks, refusals, CANCEL.

use std::time::Duration;

use offhook_sip::{
    endpoint::{EndCause, EndpointConfig, Event, InviteId, Limits, OutgoingInvite, Overloaded},
    message::{NameAddr, StatusCode},
};

use crate::{
    phone::Phone,
    text,
    world::{T1, World, sdp},
};

pub(crate) fn address(text: &str) -> NameAddr {
    NameAddr::parse(text).unwrap()
}

pub(crate) fn call(world: &World) -> OutgoingInvite {
    OutgoingInvite {
        extra: vec![("X-Purpose".to_owned(), "test".to_owned())],
        body: sdp("our offer"),
        ..OutgoingInvite::new(
            world.flow,
            address("<sip:callee@203.0.113.9:5070>").uri,
            address("<sip:agent@198.51.100.1>"),
            address("<sip:callee@example.net>"),
        )
    }
}

/// A call of ours, its INVITE, and the phone it is for.
pub(crate) fn calling(name: &str) -> (World, Phone, InviteId, String) {
    calling_with(World::new(), name, |_| {})
}

/// The same with more asked for.
pub(crate) fn calling_with(
    mut world: World,
    name: &str,
    change: impl FnOnce(&mut OutgoingInvite),
) -> (World, Phone, InviteId, String) {
    let mut invitation = call(&world);
    change(&mut invitation);
    let id = world
        .act(|endpoint, now| endpoint.invite(invitation, now))
        .unwrap();
    let invite = world.expect("INVITE");
    (world, Phone::new(name), id, invite)
}

/// A call of ours that was answered.
pub(crate) fn answered(name: &str) -> (World, Phone, InviteId, String) {
    let (mut world, phone, id, invite) = calling(name);
    world.deliver(&phone.answer(&invite));
    world.expect("ACK");
    assert!(matches!(world.event(), Event::Answered { .. }));
    (world, phone, id, invite)
}

#[test]
fn an_invite_says_who_where_and_what() {
    let (_, _, _, invite) = calling("u1");
    assert_eq!(text::request_uri(&invite), "sip:callee@203.0.113.9:5070");
    assert_eq!(text::header(&invite, "To"), "<sip:callee@example.net>");
    assert_eq!(text::header(&invite, "Contact"), "<sip:198.51.100.1:5060>");
    assert_eq!(text::header(&invite, "X-Purpose"), "test");
    assert_eq!(text::header(&invite, "Max-Forwards"), "70");
    assert_eq!(text::body(&invite), "our offer");
    assert!(text::header(&invite, "Via").starts_with("SIP/2.0/UDP 198.51.100.1:5060;rport;"));
    assert!(text::branch(&invite).starts_with("z9hG4bK"));
    assert_eq!(text::tag(&invite, "From").len(), 16);
}

#[test]
fn a_call_rings_is_answered_acked_and_ended() {
    let (mut world, phone, id, invite) = calling("u2");
    world.deliver(&phone.respond(&invite, "100 Trying", "", ""));
    world.expect_no_event();
    world.deliver(&phone.ringing(&invite));
    let Event::Provisional { status, .. } = world.event() else {
        panic!()
    };
    assert_eq!(status, StatusCode::RINGING);
    world.deliver(&phone.answer(&invite));
    let ack = world.expect("ACK");
    assert_eq!(text::request_uri(&ack), "sip:caller@203.0.113.9:5070");
    assert_eq!((text::cseq(&ack), text::tag(&ack, "To")), (1, "far-u2"));
    assert_ne!(text::branch(&ack), text::branch(&invite));
    assert!(matches!(world.event(), Event::Answered { .. }));
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    let bye = world.expect("BYE");
    assert_eq!(text::cseq(&bye), 2);
    world.deliver(&phone.respond(&bye, "200 OK", "", ""));
    assert_eq!(world.ended(), EndCause::LocalBye);
    world.expect_nothing_left();
}

#[test]
fn the_callees_bye_ends_the_call() {
    let (mut world, mut phone, _, invite) = answered("u3");
    phone.call_id = text::header(&invite, "Call-ID").to_owned();
    phone.remote_tag = text::tag(&invite, "From").to_owned();
    world.deliver(&phone.request("BYE"));
    world.expect("200 BYE");
    assert_eq!(world.ended(), EndCause::RemoteBye);
    world.expect_nothing_left();
}

#[test]
fn the_invite_is_repeated_and_given_up_after_64_t1() {
    let (mut world, _, _, _) = calling("u4");
    world.advance(64 * T1);
    assert_eq!(world.summaries(), ["INVITE"; 6]);
    assert!(matches!(world.event(), Event::FlowFailed { .. }));
    assert_eq!(world.ended(), EndCause::NoAnswer);
    world.expect_nothing_left();
}

#[test]
fn a_repeated_200_gets_the_same_ack_again_also_after_the_call() {
    let (mut world, phone, id, invite) = calling("u5");
    world.deliver(&phone.answer(&invite));
    let ack = world.expect("ACK");
    world.deliver(&phone.answer(&invite));
    assert_eq!(world.expect("ACK"), ack);
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    let bye = world.expect("BYE");
    world.deliver(&phone.respond(&bye, "200 OK", "", ""));
    world.deliver(&phone.answer(&invite));
    assert_eq!(world.expect("ACK"), ack);
    world.expect_nothing_left();
}

#[test]
fn a_200_of_another_fork_is_acked_and_ended_with_bye() {
    let (mut world, first, _, invite) = answered("u6");
    let second = Phone {
        tag: "other-fork".to_owned(),
        ..first
    };
    world.deliver(&second.answer(&invite));
    let ack = world.expect("ACK");
    let bye = world.expect("BYE");
    assert_eq!(
        (text::tag(&ack, "To"), text::tag(&bye, "To")),
        ("other-fork", "other-fork")
    );
    assert_eq!(text::cseq(&bye), 2);
    world.deliver(&second.answer(&invite));
    assert_eq!(world.expect("ACK"), ack);
    world.expect_silence();
    world.expect_no_event();
}

#[test]
fn the_dialog_is_the_one_of_the_2xx_and_not_of_the_180() {
    let (mut world, phone, id, invite) = calling("u7");
    let ringer = Phone {
        tag: "ringer".to_owned(),
        ..phone.clone()
    };
    world.deliver(&ringer.ringing(&invite));
    world.deliver(&phone.answer(&invite));
    assert_eq!(text::tag(&world.expect("ACK"), "To"), "far-u7");
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    assert_eq!(text::tag(&world.expect("BYE"), "To"), "far-u7");
    assert_eq!(world.endpoint.statistics().dialogs, 1);
}

#[test]
fn a_refusal_is_acked_on_the_invites_own_hop_and_ends_the_call() {
    let (mut world, phone, _, invite) = calling("u8");
    let refusal = phone.respond(&invite, "486 Busy Here", "", "");
    world.deliver(&refusal);
    let ack = world.expect("ACK");
    assert_eq!(text::branch(&ack), text::branch(&invite));
    assert_eq!(text::request_uri(&ack), text::request_uri(&invite));
    assert_eq!(text::tag(&ack, "To"), "far-u8");
    assert_eq!(world.ended(), EndCause::Rejected(StatusCode::BUSY_HERE));
    world.deliver(&refusal);
    assert_eq!(world.expect("ACK"), ack);
    world.expect_no_event();
    world.expect_nothing_left();
}

#[test]
fn a_cancel_is_held_until_a_1xx_and_ends_with_487() {
    let (mut world, phone, id, invite) = calling("u9");
    world
        .act(|endpoint, now| endpoint.cancel(id, &[], now))
        .unwrap();
    world.expect_silence();
    world.deliver(&phone.respond(&invite, "100 Trying", "", ""));
    let cancel = world.expect("CANCEL");
    assert_eq!(text::branch(&cancel), text::branch(&invite));
    assert_eq!(text::request_uri(&cancel), text::request_uri(&invite));
    assert_eq!(text::header(&cancel, "CSeq"), "1 CANCEL");
    world
        .act(|endpoint, now| endpoint.cancel(id, &[], now))
        .unwrap();
    world.expect_silence();
    world.deliver(&phone.respond(&cancel, "200 OK", "", ""));
    world.deliver(&phone.respond(&invite, "487 Request Terminated", "", ""));
    world.expect("ACK");
    assert_eq!(world.ended(), EndCause::Cancelled);
    world.expect_nothing_left();
}

#[test]
fn a_late_200_after_cancel_is_acked_and_ended_with_bye() {
    let (mut world, phone, id, invite) = calling("u10");
    world.deliver(&phone.ringing(&invite));
    world.events();
    world
        .act(|endpoint, now| endpoint.cancel(id, &[], now))
        .unwrap();
    world.expect("CANCEL");
    world.deliver(&phone.answer(&invite));
    world.expect("ACK");
    let bye = world.expect("BYE");
    assert_eq!(world.ended(), EndCause::Cancelled);
    world.deliver(&phone.answer(&invite));
    world.expect("ACK");
    world.deliver(&phone.respond(&bye, "200 OK", "", ""));
    world.expect_silence();
    world.expect_no_event();
    world.expect_nothing_left();
}

#[test]
fn a_200_while_the_cancel_is_held_is_acked_and_ended_with_bye() {
    let (mut world, phone, id, invite) = calling("u11");
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    world.deliver(&phone.answer(&invite));
    assert_eq!(world.summaries(), ["ACK", "BYE"]);
    assert_eq!(world.ended(), EndCause::Cancelled);
}

#[test]
fn a_cancel_without_final_response_is_over_after_64_t1() {
    let (mut world, phone, id, invite) = calling("u12");
    world.deliver(&phone.ringing(&invite));
    world.events();
    world
        .act(|endpoint, now| endpoint.cancel(id, &[], now))
        .unwrap();
    let cancel = world.expect("CANCEL");
    world.deliver(&phone.respond(&cancel, "200 OK", "", ""));
    world.advance(64 * T1);
    assert_eq!(world.ended(), EndCause::Cancelled);
    world.expect_nothing_left();
}

#[test]
fn a_phone_that_rings_for_ever_is_cancelled_at_the_ring_limit() {
    let (mut world, phone, _, invite) = calling("u13");
    world.deliver(&phone.ringing(&invite));
    world.advance(Duration::from_secs(150));
    world.deliver(&phone.ringing(&invite));
    world.advance(Duration::from_secs(199));
    world.expect_silence();
    world.advance(Duration::from_secs(1));
    world.expect("CANCEL");
}

#[test]
fn an_invite_that_cannot_be_delivered_fails_at_once() {
    let (mut world, _, _, _) = calling("u14");
    let flow = world.flow;
    world.act(|endpoint, now| endpoint.handle_transport_error(flow, now));
    assert!(matches!(world.event(), Event::FlowFailed { .. }));
    assert_eq!(world.ended(), EndCause::TransportFailed);
    world.expect_nothing_left();
}

#[test]
fn over_the_cap_no_call_is_made() {
    let limits = Limits {
        invites: 0,
        ..Limits::default()
    };
    let mut world = World::with_config(EndpointConfig {
        limits,
        ..EndpointConfig::default()
    });
    let invitation = call(&world);
    let refused = world.act(|endpoint, now| endpoint.invite(invitation, now));
    assert_eq!(refused, Err(Overloaded));
    world.expect_silence();
}

#[test]
fn a_preloaded_route_is_in_the_invite_its_ack_and_its_cancel() {
    let mut world = World::new();
    let invitation = OutgoingInvite {
        route: vec![address("<sip:203.0.113.9:5070;lr>")],
        ..call(&world)
    };
    let id = world
        .act(|endpoint, now| endpoint.invite(invitation, now))
        .unwrap();
    let invite = world.expect("INVITE");
    let phone = Phone::new("u15");
    world.deliver(&phone.ringing(&invite));
    world
        .act(|endpoint, now| endpoint.cancel(id, &[], now))
        .unwrap();
    let cancel = world.expect("CANCEL");
    world.deliver(&phone.respond(&invite, "487 Request Terminated", "", ""));
    let ack = world.expect("ACK");
    for message in [&invite, &cancel, &ack] {
        assert_eq!(text::header(message, "Route"), "<sip:203.0.113.9:5070;lr>");
    }
}

#[test]
fn info_goes_out_in_the_dialog_with_the_next_cseq() {
    let (mut world, phone, id, _) = answered("u16");
    let digit = offhook_sip::endpoint::Body {
        content_type: "application/dtmf-relay".to_owned(),
        bytes: b"Signal=5\r\nDuration=160\r\n".to_vec(),
    };
    world
        .act(|endpoint, now| endpoint.info(id, digit, now))
        .unwrap();
    let info = world.expect("INFO");
    assert_eq!((text::cseq(&info), text::tag(&info, "To")), (2, "far-u16"));
    world.deliver(&phone.respond(&info, "415 Unsupported Media Type", "", ""));
    let event = world.event();
    assert!(
        matches!(&event, Event::InfoAnswered { status, .. } if status.as_u16() == 415),
        "{event:?}"
    );
}

#[test]
fn a_200_without_contact_is_acked_where_the_invite_went() {
    let (mut world, phone, _, invite) = calling("u17");
    let ok = phone
        .answer(&invite)
        .replace("Contact: <sip:caller@203.0.113.9:5070>\r\n", "");
    world.deliver(&ok);
    assert_eq!(
        text::request_uri(&world.expect("ACK")),
        text::request_uri(&invite)
    );
    assert!(matches!(world.event(), Event::Answered { .. }));
}
