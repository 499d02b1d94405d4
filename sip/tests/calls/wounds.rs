//! What real far ends do: each test is named by the number of its entry in our list of field
//! reports, and plays the far end byte for byte.

use std::time::Duration;

use offhook_sip::{
    endpoint::{
        EndCause, EndpointConfig, Event, Flow, InviteId, OutgoingRefer, ReferralNews, Transport,
    },
    message::StatusCode,
};

use crate::{
    answering::{established, offered},
    outgoing::{calling, calling_with},
    phone::Phone,
    text,
    world::{T1, World, sdp},
};

#[test]
fn wound_01_a_private_contact_behind_loose_routes_is_the_request_uri_and_the_top_route_the_way() {
    let (mut world, mut phone, id, invite) = calling("w1");
    phone.contact = "<sip:+15550100@10.13.37.5:5070;transport=udp>".to_owned();
    let routes = "Record-Route: <sip:10.255.0.1;lr;ftag=x>\r\n\
                  Record-Route: <sip:192.76.120.10;lr;ftag=x>\r\n";
    let ok = phone
        .answer(&invite)
        .replacen("Contact:", &format!("{routes}Contact:"), 1);
    world.deliver(&ok);
    let ack = world.next();
    assert_eq!(
        text::request_uri(&ack.text),
        "sip:+15550100@10.13.37.5:5070;transport=udp"
    );
    let expected = [
        "<sip:192.76.120.10;lr;ftag=x>",
        "<sip:10.255.0.1;lr;ftag=x>",
    ];
    assert_eq!(text::headers(&ack.text, "Route"), expected);
    assert_eq!(ack.to, "192.76.120.10:5060".parse().unwrap());
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    let bye = world.next();
    assert_eq!(
        text::request_uri(&bye.text),
        "sip:+15550100@10.13.37.5:5070;transport=udp"
    );
    assert_eq!(bye.to, ack.to);
}

#[test]
fn wound_02_a_contact_with_odd_parameters_is_echoed_untouched() {
    let (mut world, mut phone, _, invite) = calling("w2");
    phone.contact = "<sip:172.25.10.2:5060;transport=udp;x-gw=A%20b;ob>".to_owned();
    world.deliver(&phone.answer(&invite));
    let ack = world.next();
    assert_eq!(
        text::request_uri(&ack.text),
        "sip:172.25.10.2:5060;transport=udp;x-gw=A%20b;ob"
    );
    assert_eq!(ack.to, world.flow.remote);
}

#[test]
fn wound_04_a_route_without_lr_becomes_the_request_uri_and_record_routes_are_copied() {
    let mut world = World::new();
    let mut phone = Phone::new("w4");
    phone.contact = "<sip:caller@127.0.0.1:5062>".to_owned();
    phone.extra = "Record-Route: <sip:203.0.113.9:5070;lrx>\r\n".to_owned();
    world.deliver(&phone.invite());
    world.expect("100 INVITE");
    let id = world.incoming();
    world
        .act(|endpoint, now| endpoint.ring(id, StatusCode::RINGING, None, &[], now))
        .unwrap();
    let ringing = world.expect("180 INVITE");
    assert_eq!(
        text::header(&ringing, "Record-Route"),
        "<sip:203.0.113.9:5070;lrx>"
    );
    world
        .act(|endpoint, now| endpoint.accept(id, None, &[], now))
        .unwrap();
    phone.hear(&world.expect("200 INVITE"));
    world.deliver(&phone.ack());
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    let bye = world.next();
    assert_eq!(text::request_uri(&bye.text), "sip:203.0.113.9:5070;lrx");
    assert_eq!(
        text::header(&bye.text, "Route"),
        "<sip:caller@127.0.0.1:5062>"
    );
    assert_eq!(bye.to, "203.0.113.9:5070".parse().unwrap());
}

#[test]
fn wound_07_a_bare_rport_is_filled_and_every_refusal_has_a_to_tag() {
    for code in [403, 404, 488] {
        let (mut world, _, id) = offered("w7");
        let status = StatusCode::new(code).unwrap();
        world
            .act(|endpoint, now| endpoint.reject(id, status, &[], now))
            .unwrap();
        let refusal = world.next().text;
        assert_ne!(text::tag(&refusal, "To"), "");
        let via = text::header(&refusal, "Via");
        assert_eq!(text::parameter(via, "rport"), "5070");
        assert_eq!(text::parameter(via, "received"), "203.0.113.9");
    }
}

#[test]
fn wound_07_a_bye_to_an_empty_request_uri_user_is_ours_by_its_tags() {
    let (mut world, mut phone, _) = established("w7b");
    let bye = phone
        .request("BYE")
        .replace("BYE sip:agent@198.51.100.1:5060", "BYE sip:198.51.100.1");
    world.deliver(&bye);
    world.expect("200 BYE");
    assert_eq!(world.ended(), EndCause::RemoteBye);
}

#[test]
fn wound_09_one_rising_cseq_serves_reinvite_info_and_bye_and_theirs_is_counted_apart() {
    let (mut world, mut phone, id) = established("w9");
    phone.cseq = 4_000;
    world.deliver(&phone.request("OPTIONS"));
    world.expect("200 OPTIONS");
    let body = crate::world::sdp("hold").unwrap();
    world
        .act(|endpoint, now| endpoint.reoffer(id, body.clone(), now))
        .unwrap();
    let invite = world.expect("INVITE");
    world.deliver(&phone.answer(&invite));
    let ack = world.expect("ACK");
    world
        .act(|endpoint, now| endpoint.info(id, body, now))
        .unwrap();
    let info = world.expect("INFO");
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    let bye = world.expect("BYE");
    let numbers = [invite, ack, info, bye].map(|message| text::cseq(&message));
    assert_eq!(numbers, [1, 1, 2, 3]);
}

#[test]
fn wound_10_a_copy_with_a_new_branch_gets_482_only_while_the_first_runs() {
    let (mut world, phone, id) = offered("w10");
    world.deliver(&phone.invite_with_branch("z9hG4bK-other-path"));
    let merged = world.expect("482 INVITE");
    assert_ne!(text::tag(&merged, "To"), "");
    world.expect_no_event();
    world
        .act(|endpoint, now| endpoint.reject(id, StatusCode::BUSY_HERE, &[], now))
        .unwrap();
    let refusal = world.expect("486 INVITE");
    world.events();
    world.deliver(&phone.invite_with_branch("z9hG4bK-third-path"));
    world.expect("482 INVITE");
    world.deliver(&phone.ack_refusal(&refusal));
    world.deliver(&phone.invite_with_branch("z9hG4bK-second-try"));
    world.expect("100 INVITE");
    world.incoming();
}

#[test]
fn wound_10_a_copy_of_an_answered_invite_gets_482_until_that_call_is_over() {
    let (mut world, mut phone, _) = established("w10b");
    let first = Phone::new("w10b");
    world.deliver(&first.invite_with_branch("z9hG4bK-other-path"));
    world.expect("482 INVITE");
    world.deliver(&phone.request("BYE"));
    world.expect("200 BYE");
    world.events();
    world.deliver(&first.invite_with_branch("z9hG4bK-next-in-hunt-group"));
    world.expect("100 INVITE");
    world.incoming();
}

#[test]
fn wound_11_our_contact_has_no_parameters() {
    let (mut world, _, id) = offered("w11");
    world
        .act(|endpoint, now| endpoint.accept(id, None, &[], now))
        .unwrap();
    assert_eq!(
        text::header(&world.expect("200 INVITE"), "Contact"),
        "<sip:198.51.100.1:5060>"
    );
}

#[test]
fn wound_40_a_decline_is_the_last_word_and_nobody_is_rung_again() {
    for (line, status) in [
        ("486 Busy Here", StatusCode::BUSY_HERE),
        ("603 Decline", StatusCode::DECLINE),
    ] {
        let (mut world, phone, _, invite) = calling("w40");
        world.deliver(&phone.respond(&invite, line, "", ""));
        assert_eq!(world.summaries(), ["ACK"]);
        assert_eq!(world.ended(), EndCause::Rejected(status));
        world.advance(Duration::from_secs(120));
        world.expect_silence();
        world.expect_nothing_left();
    }
}

#[test]
fn wound_60_a_hangup_before_any_100_waits_and_a_200_that_crosses_the_cancel_is_ended() {
    let (mut world, phone, id, invite) = calling("w60");
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    world.advance(T1);
    assert_eq!(world.summaries(), ["INVITE"]);
    world.deliver(&phone.respond(&invite, "100 Trying", "", ""));
    world.expect("CANCEL");
    world.advance(Duration::from_millis(59));
    world.deliver(&phone.answer(&invite));
    world.expect("ACK");
    let bye = world.expect("BYE");
    assert_eq!(world.ended(), EndCause::Cancelled);
    world.deliver(&phone.respond(&bye, "200 OK", "", ""));
    world.expect_nothing_left();
}

#[test]
fn wound_61_100_and_180_leave_before_any_time_passes() {
    let mut world = World::new();
    world.deliver(&Phone::new("w61").invite());
    let id = world.incoming();
    world
        .act(|endpoint, now| endpoint.ring(id, StatusCode::RINGING, None, &[], now))
        .unwrap();
    let at: Vec<Duration> = world.sent().iter().map(|sent| sent.at).collect();
    assert_eq!(at, [Duration::ZERO, Duration::ZERO]);
}

#[test]
fn wound_70_compact_and_full_names_mix_and_unknown_headers_ride_along() {
    let mut world = World::new();
    let invite = Phone::new("w70")
        .invite()
        .replace("Via:", "v:")
        .replace("From:", "f:")
        .replace("Call-ID:", "i:")
        .replace("Contact:", "m:")
        .replace(
            "Max-Forwards",
            "P-Charging-Vector: icid-value=1\r\nMax-Forwards",
        );
    world.deliver(&invite);
    world.expect("100 INVITE");
    let Event::Incoming { request, .. } = world.event() else {
        panic!()
    };
    assert_eq!(
        request.headers.get("P-Charging-Vector"),
        Some("icid-value=1")
    );
}

#[test]
fn wound_03_a_connection_is_kept_whatever_transport_the_contact_names_and_the_top_route_decides() {
    let mut world = World::new();
    world.flow.transport = Transport::Tcp;
    let (mut world, mut phone, id, invite) = calling_with(world, "w3", |_| {});
    phone.contact = "<sip:callee@203.0.113.77:5061;transport=tls>".to_owned();
    let ok = phone.answer(&invite).replacen(
        "Contact:",
        "Record-Route: <sip:203.0.113.9:5070;transport=tcp;lr>\r\nContact:",
        1,
    );
    world.deliver(&ok);
    let ack = world.next();
    assert_eq!((ack.to, ack.transport), (world.flow.remote, Transport::Tcp));
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    let bye = world.next();
    assert_eq!((bye.to, bye.transport), (world.flow.remote, Transport::Tcp));
    assert_eq!(
        text::request_uri(&bye.text),
        "sip:callee@203.0.113.77:5061;transport=tls"
    );
}

/// An endpoint that listens on TCP beside UDP.
fn world_with_a_stream() -> World {
    let local = World::new().flow.local;
    World::with_config(EndpointConfig {
        stream_for: [(local, local)].into(),
        ..EndpointConfig::default()
    })
}

#[test]
fn wound_03_a_top_route_that_names_tcp_is_reached_by_tcp() {
    let (mut world, phone, _, invite) = calling_with(world_with_a_stream(), "w3b", |_| {});
    let ok = phone.answer(&invite).replacen(
        "Contact:",
        "Record-Route: <sip:203.0.113.9:5080;transport=tcp;lr>\r\nContact:",
        1,
    );
    world.deliver(&ok);
    let ack = world.next();
    assert_eq!(ack.transport, Transport::Tcp);
    assert_eq!(ack.to, "203.0.113.9:5080".parse().unwrap());
    assert!(text::header(&ack.text, "Via").starts_with("SIP/2.0/TCP "));
}

#[test]
fn wound_08_a_request_too_large_for_a_datagram_leaves_by_tcp_and_by_udp_where_that_fails() {
    let large = "x".repeat(1_300);
    let mut world = world_with_a_stream();
    let mut invitation = crate::outgoing::call(&world);
    invitation.body = sdp(&large);
    world
        .act(|endpoint, now| endpoint.invite(invitation, now))
        .unwrap();
    let first = world.next();
    assert_eq!(first.transport, Transport::Tcp);
    assert!(text::header(&first.text, "Via").starts_with("SIP/2.0/TCP "));
    let stream = Flow {
        transport: Transport::Tcp,
        ..world.flow
    };
    world.act(|endpoint, now| endpoint.handle_transport_error(stream, now));
    let second = world.next();
    assert_eq!(second.transport, Transport::Udp);
    assert_eq!(text::body(&second.text), large);
    world.expect_no_event();
}

/// A call that is up, and the stream that stands in for its datagrams.
fn up_beside_a_stream(name: &str) -> (World, Phone, InviteId, Flow) {
    let (mut world, phone, id, invite) = calling_with(world_with_a_stream(), name, |call| {
        call.credentials = Some(crate::authentication::credentials());
    });
    world.deliver(&phone.answer(&invite));
    world.expect("ACK");
    world.event();
    let stream = Flow {
        transport: Transport::Tcp,
        ..world.flow
    };
    (world, phone, id, stream)
}

fn large_refer() -> OutgoingRefer {
    OutgoingRefer {
        refer_to: format!("sip:desk@203.0.113.50;x={}", "x".repeat(1_300)),
        referred_by: None,
        wants_news: true,
        timeout: Duration::from_secs(60),
        extra: Vec::new(),
    }
}

#[test]
fn wound_08_a_request_inside_a_call_goes_by_udp_where_its_stream_fails_and_so_do_those_after_it() {
    let (mut world, phone, id, stream) = up_beside_a_stream("w8b");
    world
        .act(|endpoint, now| endpoint.refer(id, &large_refer(), now))
        .unwrap();
    let first = world.next();
    assert_eq!(first.transport, Transport::Tcp);
    world.act(|endpoint, now| endpoint.handle_transport_error(stream, now));
    let second = world.next();
    assert_eq!(text::summary(&second.text), "REFER");
    assert_eq!(second.transport, Transport::Udp);
    assert!(text::header(&second.text, "Via").starts_with("SIP/2.0/UDP "));
    assert_eq!(text::cseq(&second.text), text::cseq(&first.text) + 1);
    assert_eq!(text::headers(&second.text, "User-Agent").len(), 1);
    world.expect_no_event();
    world.deliver(&phone.respond(&second.text, "202 Accepted", "", ""));
    assert!(matches!(
        world.event(),
        Event::Referral {
            news: ReferralNews::Accepted,
            ..
        }
    ));
    // The stream is not asked again: nobody waits for what is known to fail.
    let body = sdp(&"x".repeat(1_300));
    world
        .act(|endpoint, now| endpoint.reoffer(id, body.unwrap(), now))
        .unwrap();
    assert_eq!(world.next().transport, Transport::Udp);
}

#[test]
fn wound_08_a_large_reinvite_goes_by_udp_where_its_stream_fails() {
    let (mut world, phone, id, stream) = up_beside_a_stream("w8c");
    let large = "x".repeat(1_300);
    let body = sdp(&large).unwrap();
    world
        .act(|endpoint, now| endpoint.reoffer(id, body, now))
        .unwrap();
    assert_eq!(world.next().transport, Transport::Tcp);
    world.act(|endpoint, now| endpoint.handle_transport_error(stream, now));
    let again = world.next();
    assert_eq!(again.transport, Transport::Udp);
    assert_eq!(text::body(&again.text), large);
    world.expect_no_event();
    world.deliver(&phone.answer(&again.text));
    world.expect("ACK");
    assert!(matches!(world.event(), Event::ReofferAnswered { .. }));
}

#[test]
fn wound_08_what_was_answered_to_a_challenge_is_answered_anew_where_it_is_sent_again() {
    let (mut world, phone, id, stream) = up_beside_a_stream("w8d");
    world
        .act(|endpoint, now| endpoint.refer(id, &large_refer(), now))
        .unwrap();
    let first = world.next().text;
    let challenge = crate::authentication::CHALLENGE;
    world.deliver(&phone.respond(&first, "401 Unauthorized", challenge, ""));
    let second = world.next();
    assert_eq!(second.transport, Transport::Tcp);
    assert!(text::header(&second.text, "Authorization").contains("nc=00000001"));
    world.act(|endpoint, now| endpoint.handle_transport_error(stream, now));
    let third = world.next();
    assert_eq!(third.transport, Transport::Udp);
    assert!(text::header(&third.text, "Authorization").contains("nc=00000002"));
}

#[test]
fn wound_08_without_a_stream_a_large_request_leaves_by_udp_all_the_same() {
    let large = "x".repeat(3_000);
    let (_, _, _, invite) = calling_with(World::new(), "w8", |call| call.body = sdp(&large));
    assert_eq!(text::body(&invite), large);
}

#[test]
fn wound_16_ack_and_bye_follow_the_2xx_whatever_tag_the_180_had() {
    let (mut world, mut phone, id, invite) = calling("w16");
    world.deliver(&phone.ringing(&invite));
    phone.tag = "of-the-200".to_owned();
    world.deliver(&phone.answer(&invite));
    assert_eq!(text::tag(&world.expect("ACK"), "To"), "of-the-200");
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    assert_eq!(text::tag(&world.expect("BYE"), "To"), "of-the-200");
}

#[test]
fn wound_27_a_reinvite_on_a_call_of_ours_is_that_calls_and_no_new_one() {
    let (mut world, mut phone, id, invite) = calling("w27");
    world.deliver(&phone.answer(&invite));
    world.expect("ACK");
    world.events();
    phone.call_id = text::header(&invite, "Call-ID").to_owned();
    phone.remote_tag = text::tag(&invite, "From").to_owned();
    world.deliver(&phone.reinvite());
    world.expect("100 INVITE");
    let event = world.event();
    assert!(matches!(event, Event::Reoffer { .. }), "{event:?}");
    assert_eq!(event.id(), id);
}

#[test]
fn wound_57_what_we_can_do_for_a_transfer_is_said_in_invite_and_answer() {
    let (_, _, _, invite) = calling("w57");
    let (mut world, _, id) = offered("w57b");
    world
        .act(|endpoint, now| endpoint.accept(id, None, &[], now))
        .unwrap();
    for message in [invite, world.expect("200 INVITE")] {
        assert!(text::header(&message, "Supported").contains("replaces"));
        let allow = text::header(&message, "Allow");
        assert!(
            allow.contains("REFER") && allow.contains("NOTIFY"),
            "{allow}"
        );
    }
}

#[test]
fn wound_06_a_call_whose_connection_is_gone_is_ended_by_a_new_one_to_its_contact() {
    let mut world = World::new();
    world.flow.transport = Transport::Tcp;
    world.flow.remote = "203.0.113.9:49152".parse().unwrap();
    let mut phone = Phone::new("w6");
    world.deliver(&phone.invite());
    world.expect("100 INVITE");
    let id = world.incoming();
    world
        .act(|endpoint, now| endpoint.accept(id, sdp("answer"), &[], now))
        .unwrap();
    phone.hear(&world.expect("200 INVITE"));
    world.deliver(&phone.ack());
    world.events();
    let flow = world.flow;
    world.act(|endpoint, now| endpoint.handle_transport_error(flow, now));
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    let bye = world.next();
    assert_eq!(bye.transport, Transport::Tcp);
    assert_eq!(bye.to, "203.0.113.9:5070".parse().unwrap());
}
