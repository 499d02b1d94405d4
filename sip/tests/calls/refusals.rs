//! What is refused, how, and what is never answered.

use std::time::Duration;

use offhook_sip::{
    endpoint::{EndCause, EndpointConfig, Event, Limits, Output, Reception},
    message::StatusCode,
};

use crate::{
    answering::{established, offered},
    phone::Phone,
    text,
    world::{T1, World},
};

/// Sends one request outside a dialog and returns its only answer.
fn answer_to(world: &mut World, request: &str) -> String {
    world.deliver(request);
    let answer = world.next().text;
    world.expect_silence();
    answer
}

/// A request outside a dialog.
fn outside(method: &str, call_id: &str) -> String {
    Phone::new(call_id).request(method)
}

#[test]
fn known_methods_we_do_not_serve_get_405_with_allow() {
    for method in ["REGISTER", "SUBSCRIBE", "PUBLISH", "MESSAGE"] {
        let mut world = World::new();
        let answer = answer_to(&mut world, &outside(method, "r1"));
        assert_eq!(text::summary(&answer), format!("405 {method}"));
        assert_eq!(
            text::header(&answer, "Allow"),
            "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, PRACK, UPDATE, REFER, NOTIFY"
        );
        assert_ne!(text::tag(&answer, "To"), "");
        world.expect_nothing_left();
    }
}

#[test]
fn what_belongs_into_a_call_is_refused_outside_of_one() {
    for (method, status) in [
        ("UPDATE", 481),
        ("PRACK", 481),
        ("NOTIFY", 481),
        ("REFER", 403),
    ] {
        let mut world = World::new();
        let answer = answer_to(&mut world, &outside(method, "r1"));
        assert_eq!(text::summary(&answer), format!("{status} {method}"));
        world.expect_nothing_left();
    }
}

#[test]
fn an_unknown_method_gets_501() {
    let mut world = World::new();
    let answer = answer_to(&mut world, &outside("TELEPORT", "r2"));
    assert_eq!(text::summary(&answer), "501 TELEPORT");
}

#[test]
fn an_unknown_method_inside_a_call_gets_501_and_the_call_stays() {
    let (mut world, mut phone, _) = established("r3");
    let request = phone.request("TELEPORT");
    assert_eq!(text::status(&answer_to(&mut world, &request)), 501);
    world.expect_no_event();
}

#[test]
fn required_extensions_get_420_and_are_named() {
    let mut world = World::new();
    let mut phone = Phone::new("r4");
    phone.extra = "Require: 100rel, x-magic\r\nRequire: timer, precondition\r\n".to_owned();
    let answer = answer_to(&mut world, &phone.invite());
    assert_eq!(text::summary(&answer), "420 INVITE");
    assert_eq!(
        text::header(&answer, "Unsupported"),
        "x-magic, precondition"
    );
    world.expect_no_event();
}

#[test]
fn require_in_an_ack_or_a_cancel_is_not_looked_at() {
    let (mut world, phone, _) = offered("r5");
    let cancel = phone
        .cancel()
        .replace("Max-Forwards", "Require: x-magic\r\nMax-Forwards");
    world.deliver(&cancel);
    world.expect("200 CANCEL");
}

#[test]
fn a_body_in_an_encoding_we_lack_gets_415() {
    let mut world = World::new();
    let mut phone = Phone::new("r6");
    phone.extra = "Content-Encoding: gzip\r\n".to_owned();
    let answer = answer_to(&mut world, &phone.invite());
    assert_eq!(text::summary(&answer), "415 INVITE");
    assert_eq!(text::header(&answer, "Accept-Encoding"), "identity");
}

#[test]
fn a_request_uri_of_another_scheme_gets_416() {
    let mut world = World::new();
    let request = outside("OPTIONS", "r7").replace(
        "OPTIONS sip:agent@198.51.100.1:5060",
        "OPTIONS soap:agent@198.51.100.1",
    );
    assert_eq!(text::status(&answer_to(&mut world, &request)), 416);
}

#[test]
fn a_request_in_an_unknown_dialog_gets_481() {
    for method in ["BYE", "INFO", "OPTIONS", "INVITE"] {
        let mut world = World::new();
        let mut phone = Phone::new("r8");
        phone.remote_tag = "nobody".to_owned();
        let request = if method == "INVITE" {
            phone.invite()
        } else {
            phone.request(method)
        };
        let answer = answer_to(&mut world, &request);
        assert_eq!(text::summary(&answer), format!("481 {method}"));
        assert_eq!(text::tag(&answer, "To"), "nobody");
        world.expect_no_event();
    }
}

#[test]
fn a_bye_outside_any_dialog_gets_481_with_a_to_tag() {
    let mut world = World::new();
    let answer = answer_to(&mut world, &outside("BYE", "r9"));
    assert_eq!(text::summary(&answer), "481 BYE");
    assert_ne!(text::tag(&answer, "To"), "");
}

#[test]
fn a_stray_ack_is_absorbed() {
    let mut world = World::new();
    world.deliver(&Phone::new("r10").ack());
    world.expect_silence();
    assert_eq!(world.endpoint.statistics().stray_acks, 1);
    world.expect_nothing_left();
}

#[test]
fn a_stray_response_is_dropped_and_counted() {
    let mut world = World::new();
    let invite = Phone::new("r11").invite();
    world.deliver(&Phone::new("r11").answer(&invite));
    world.expect_silence();
    assert_eq!(world.endpoint.statistics().stray_responses, 1);
}

#[test]
fn an_older_cseq_inside_a_call_gets_500() {
    let (mut world, mut phone, _) = established("r12");
    let late = phone.request("INFO");
    let bye_first = phone.request("OPTIONS");
    assert_eq!(text::status(&answer_to(&mut world, &bye_first)), 200);
    let answer = answer_to(&mut world, &late);
    assert_eq!(text::summary(&answer), "500 INFO");
    world.expect_no_event();
}

#[test]
fn a_retransmitted_request_inside_a_call_is_answered_again_and_said_once() {
    let (mut world, mut phone, _) = established("r13");
    let headers = "Content-Type: application/dtmf-relay\r\n";
    let info = phone.request_with("INFO", headers, "Signal=5\r\nDuration=160\r\n");
    let first = answer_to(&mut world, &info);
    world.deliver(&phone.request("OPTIONS"));
    world.sent();
    assert_eq!(answer_to(&mut world, &info), first);
    assert_eq!(world.events().len(), 1);
}

#[test]
fn info_of_other_types_gets_415_with_accept() {
    let (mut world, mut phone, _) = established("r14");
    let info = phone.request_with("INFO", "Content-Type: text/plain\r\n", "hello");
    let answer = answer_to(&mut world, &info);
    assert_eq!(text::summary(&answer), "415 INFO");
    assert_eq!(
        text::header(&answer, "Accept"),
        "application/dtmf-relay, application/dtmf"
    );
    world.expect_no_event();
}

#[test]
fn options_is_answered_with_what_we_can_do_in_and_out_of_a_call() {
    let (mut world, mut phone, _) = established("r15");
    for request in [phone.request("OPTIONS"), outside("OPTIONS", "r16")] {
        let answer = answer_to(&mut world, &request);
        assert_eq!(text::summary(&answer), "200 OPTIONS");
        assert_eq!(
            text::header(&answer, "Allow"),
            "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, PRACK, UPDATE, REFER, NOTIFY"
        );
        assert_eq!(
            text::header(&answer, "Supported"),
            "100rel, timer, replaces, norefersub"
        );
        assert_eq!(text::header(&answer, "Accept"), "application/sdp");
    }
}

#[test]
fn options_gets_503_with_retry_after_while_draining() {
    let mut world = World::new();
    world.endpoint.set_draining(true);
    let answer = answer_to(&mut world, &outside("OPTIONS", "r17"));
    assert_eq!(text::summary(&answer), "503 OPTIONS");
    assert_eq!(text::header(&answer, "Retry-After"), "5");
}

#[test]
fn an_invite_without_contact_gets_400() {
    let mut world = World::new();
    let mut phone = Phone::new("r18");
    phone.contact = "<sip:a@203.0.113.9>, <sip:b@203.0.113.9>".to_owned();
    let two = answer_to(&mut world, &phone.invite());
    assert_eq!(text::summary(&two), "400 INVITE");
    let none = Phone::new("r19").invite();
    let none = none.replace("Contact: <sip:caller@203.0.113.9:5070>\r\n", "");
    assert_eq!(text::status(&answer_to(&mut world, &none)), 400);
}

#[test]
fn a_damaged_request_is_refused_at_its_source_with_a_to_tag() {
    let mut world = World::new();
    let damaged = Phone::new("r20")
        .invite()
        .replace("CSeq: 1 INVITE", "CSeq: 1 BYE");
    let answer = answer_to(&mut world, &damaged);
    assert_eq!(text::status(&answer), 400);
    assert_ne!(text::tag(&answer, "To"), "");
    assert_eq!(
        text::parameter(text::header(&answer, "Via"), "rport"),
        "5070"
    );
    world.expect_no_event();
    assert_eq!(world.endpoint.statistics().parse_errors, 1);
    world.expect_nothing_left();
}

#[test]
fn another_sip_version_gets_505() {
    let mut world = World::new();
    let request = outside("OPTIONS", "r21").replacen("SIP/2.0\r\n", "SIP/7.0\r\n", 1);
    assert_eq!(text::status(&answer_to(&mut world, &request)), 505);
}

#[test]
fn noise_and_keep_alives_are_dropped() {
    let mut world = World::new();
    for noise in [
        "",
        "\r\n\r\n",
        "hello",
        "GET / HTTP/1.1\r\n\r\n",
        "SIP/2.0 200 OK\r\n\r\n",
    ] {
        world.deliver(noise);
    }
    world.expect_silence();
    world.expect_no_event();
}

#[test]
fn a_call_over_the_cap_gets_503_with_retry_after_and_nothing_is_kept() {
    let config = EndpointConfig {
        limits: Limits {
            invites: 1,
            ..Limits::default()
        },
        ..EndpointConfig::default()
    };
    let mut world = World::with_config(config);
    world.deliver(&Phone::new("r22").invite());
    world.expect("100 INVITE");
    let id = world.incoming();
    let before = world.endpoint.statistics().transactions;
    let second = Phone::new("r23");
    let refusal = answer_to(&mut world, &second.invite());
    assert_eq!(text::summary(&refusal), "503 INVITE");
    assert_eq!(text::header(&refusal, "Retry-After"), "5");
    assert_eq!(answer_to(&mut world, &second.invite()), refusal);
    world.deliver(&second.ack_refusal(&refusal));
    world.expect_silence();
    assert_eq!(world.endpoint.statistics().transactions, before);
    assert_eq!(world.endpoint.statistics().overloaded, 2);
    world
        .act(|endpoint, now| endpoint.reject(id, StatusCode::BUSY_HERE, &[], now))
        .unwrap();
    world.sent();
    world.events();
    world.deliver(&Phone::new("r24").invite());
    world.expect("100 INVITE");
}

#[test]
fn over_the_transaction_cap_a_call_can_still_be_ended() {
    let config = EndpointConfig {
        limits: Limits {
            transactions: 4,
            ..Limits::default()
        },
        ..EndpointConfig::default()
    };
    let mut world = World::with_config(config);
    let mut phone = Phone::new("r25");
    world.deliver(&phone.invite());
    let id = world.incoming();
    world
        .act(|endpoint, now| endpoint.accept(id, None, &[], now))
        .unwrap();
    world.expect("100 INVITE");
    phone.hear(&world.expect("200 INVITE"));
    world.deliver(&phone.ack());
    for call in ["r26", "r27", "r28"] {
        world.deliver(&Phone::new(call).invite());
        world.expect("100 INVITE");
    }
    world.deliver(&Phone::new("r29").invite());
    world.expect("503 INVITE");
    world.deliver(&phone.request("BYE"));
    world.expect("200 BYE");
}

#[test]
fn a_caller_that_does_not_drain_loses_datagrams_and_no_events() {
    let config = EndpointConfig {
        limits: Limits {
            outputs: 2,
            ..Limits::default()
        },
        ..EndpointConfig::default()
    };
    let mut world = World::with_config(config);
    let (flow, now) = (world.flow, world.now);
    for call in ["r30", "r31", "r32"] {
        let invite = Phone::new(call).invite();
        world.endpoint.handle_datagram(flow, invite.as_bytes(), now);
    }
    assert_eq!(world.endpoint.statistics().backlog_drops, 2);
    world.advance(Duration::ZERO);
    world.act(|_, _| ());
    assert_eq!(world.events().len(), 1);
}

#[test]
fn a_client_of_rfc_2543_without_branches_is_told_apart_by_its_numbers() {
    let mut world = World::new();
    let plain = |message: String, branch: &str| message.replace(&format!(";branch={branch}"), "");
    let phone = Phone::new("r33");
    let invite = plain(phone.invite(), "z9hG4bK-r33-1");
    world.deliver(&invite);
    world.expect("100 INVITE");
    let id = world.incoming();
    world.deliver(&invite);
    world.expect("100 INVITE");
    world.expect_no_event();
    world
        .act(|endpoint, now| endpoint.reject(id, StatusCode::BUSY_HERE, &[], now))
        .unwrap();
    let refusal = world.expect("486 INVITE");
    world.deliver(&plain(phone.ack_refusal(&refusal), "z9hG4bK-r33-1"));
    world.advance(Duration::from_secs(60));
    world.expect_silence();
    world.expect_nothing_left();
}

#[test]
fn while_shedding_new_calls_get_503_without_state_and_calls_that_are_up_go_on() {
    let (mut world, mut phone, _) = established("r40");
    world.endpoint.set_shedding(true);
    let refusal = answer_to(&mut world, &Phone::new("r41").invite());
    assert_eq!(text::summary(&refusal), "503 INVITE");
    assert_ne!(text::header(&refusal, "Retry-After"), "");
    let again = answer_to(&mut world, &Phone::new("r41").invite());
    assert_eq!(again, refusal);
    world.deliver(&phone.request("BYE"));
    world.expect("200 BYE");
    world.endpoint.set_shedding(false);
    world.deliver(&Phone::new("r42").invite());
    world.expect("100 INVITE");
}

#[test]
fn who_is_forbidden_gets_one_answer_no_longer_than_what_was_sent_and_none_to_noise() {
    let mut world = World::new();
    let flow = world.flow;
    let forbid = |world: &mut World, message: &str| {
        world.act(|endpoint, _| endpoint.forbid(flow, message.as_bytes()))
    };
    let invite = Phone::new("r43").invite();
    assert!(forbid(&mut world, &invite));
    let answer = world.expect("403 INVITE");
    assert!(answer.len() <= invite.len(), "{answer}");
    let short = "OPTIONS sip:a SIP/2.0\r\nv: SIP/2.0/UDP b\r\nf: c:d\r\nt: c:d\r\ni: 1\r\nCSeq: 1 OPTIONS\r\n\r\n";
    for silent in [
        short,
        &Phone::new("r44").request("ACK"),
        "SIP/2.0 200 OK\r\n\r\n",
        "noise",
    ] {
        assert!(!forbid(&mut world, silent), "{silent}");
    }
    world.expect_silence();
    world.expect_nothing_left();
}

#[test]
fn the_caller_learns_what_a_datagram_was_taken_for() {
    let mut world = World::new();
    let flow = world.flow;
    let mut take = |message: &str| {
        world.act(|endpoint, now| endpoint.handle_datagram(flow, message.as_bytes(), now))
    };
    assert_eq!(take("\r\n\r\n"), Reception::Sound);
    assert_eq!(take(&Phone::new("r45").invite()), Reception::Sound);
    assert_eq!(take("noise"), Reception::Damaged);
    assert_eq!(take(&outside("REGISTER", "r46")), Reception::Unservable);
}

#[test]
fn an_invite_with_a_body_that_describes_no_session_gets_415_with_what_would() {
    let with_type = |call_id: &str, header: &str| {
        let phone = Phone::new(call_id).invite();
        let (head, body) = phone.split_once("\r\n\r\n").unwrap();
        let head: Vec<&str> = head
            .lines()
            .filter(|line| !line.starts_with("Content-"))
            .collect();
        let length = format!("Content-Length: {}", body.len().max(4));
        let body = if body.is_empty() { "v=0\n" } else { body };
        format!(
            "{}\r\n{header}\r\n{length}\r\n\r\n{body}",
            head.join("\r\n")
        )
    };
    let mut world = World::new();
    let refusal = answer_to(
        &mut world,
        &with_type("r50", "Content-Type: application/unknownformat"),
    );
    assert_eq!(text::summary(&refusal), "415 INVITE");
    assert_eq!(
        text::header(&refusal, "Accept"),
        "application/sdp, multipart/mixed"
    );
    for (call_id, header) in [
        ("r51", "c: Application/SDP ; charset=x"),
        ("r52", "Content-Type: Multipart/mixed;boundary=x"),
        (
            "r53",
            "Content-Type: application/isup\r\nContent-Disposition: signal; Handling=optional",
        ),
    ] {
        world.deliver(&with_type(call_id, header));
        world.expect("100 INVITE");
    }
}

#[test]
fn wound_70_compact_mixed_and_unknown_headers_are_accepted_and_what_is_damaged_is_a_400_and_counted()
 {
    let mut world = World::new();
    let invite = Phone::new("r60")
        .invite()
        .replace("\r\nVia:", "\r\nv:")
        .replace("\r\nFrom:", "\r\nf:")
        .replace("\r\nCall-ID:", "\r\ni:")
        .replace(
            "\r\nCSeq:",
            "\r\nP-Charging-Vector: icid-value=\"a;b\";orig-ioi=c\r\nCSeq:",
        );
    world.deliver(&invite);
    world.expect("100 INVITE");
    let damaged = Phone::new("r61").invite().replace("CSeq: 1 ", "CSeq: one ");
    let refusal = answer_to(&mut world, &damaged);
    assert!(refusal.starts_with("SIP/2.0 400 "), "{refusal}");
    assert_eq!(world.endpoint.statistics().parse_errors, 1);
}

#[test]
fn a_challenge_is_sent_once_and_nothing_is_kept_for_it() {
    let mut world = World::new();
    let flow = world.flow;
    let phone = Phone::new("r60");
    let challenge = [("WWW-Authenticate", "Digest realm=\"offhook\", nonce=\"n1\"")];
    let mut tags = Vec::new();
    // A copy is one like the first: nobody remembers that.
    for _ in 0..2 {
        let (endpoint, now) = (&mut world.endpoint, world.now);
        endpoint.handle_datagram(flow, phone.invite().as_bytes(), now);
        let Some(Output::Event(Event::Incoming { id, .. })) = endpoint.poll_output() else {
            panic!("Incoming should be the first word")
        };
        world
            .act(|endpoint, now| {
                endpoint.reject_once(id, StatusCode::UNAUTHORIZED, &challenge, now)
            })
            .unwrap();
        let refusal = world.expect("401 INVITE");
        assert!(!text::header(&refusal, "WWW-Authenticate").is_empty());
        tags.push(text::tag(&refusal, "To").to_owned());
        assert_eq!(world.ended(), EndCause::Refused(StatusCode::UNAUTHORIZED));
        let left = world.endpoint.statistics();
        assert_eq!((left.transactions, left.dialogs, left.invites), (0, 0, 0));
        assert_eq!((left.merge_keys, left.timers), (0, 0));
        world.advance(64 * T1);
        world.expect_silence();
        world.deliver(&phone.ack_refusal(&refusal));
        world.expect_silence();
    }
    assert_eq!(tags[0], tags[1]);
    assert_eq!(world.endpoint.statistics().stray_acks, 2);
    world.expect_nothing_left();
}

#[test]
fn a_call_that_was_rung_is_refused_until_its_ack_also_by_who_would_refuse_it_once() {
    let (mut world, phone, id) = offered("r61");
    world
        .act(|endpoint, now| endpoint.ring(id, StatusCode::RINGING, None, &[], now))
        .unwrap();
    let ringing = world.expect("180 INVITE");
    world
        .act(|endpoint, now| endpoint.reject_once(id, StatusCode::UNAUTHORIZED, &[], now))
        .unwrap();
    let refusal = world.expect("401 INVITE");
    assert_eq!(text::tag(&refusal, "To"), text::tag(&ringing, "To"));
    world.advance(T1);
    world.expect("401 INVITE");
    world.deliver(&phone.ack_refusal(&refusal));
    world.expect_nothing_left();
}
