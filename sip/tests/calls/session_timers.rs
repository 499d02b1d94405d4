//! Session timers (RFC 4028): both refreshers, 422 both ways, and the end when nobody refreshes.

use std::time::Duration;

use offhook_sip::endpoint::{EndCause, EndpointConfig, Event, InviteId, SessionTimerPolicy};

use crate::{
    outgoing::calling_with,
    phone::Phone,
    text,
    world::{World, sdp},
};

const SECOND: Duration = Duration::from_secs(1);

fn world() -> World {
    World::with_config(EndpointConfig {
        session_timer: Some(SessionTimerPolicy::default()),
        ..EndpointConfig::default()
    })
}

/// A call from a phone whose INVITE has these header lines, answered and confirmed; with our 200.
fn taken(lines: &str) -> (World, Phone, InviteId, String) {
    let mut world = world();
    let (phone, id, ok) = taken_in(&mut world, "timer", lines);
    (world, phone, id, ok)
}

fn taken_in(world: &mut World, call_id: &str, lines: &str) -> (Phone, InviteId, String) {
    let mut phone = Phone::new(call_id);
    phone.extra = lines.to_owned();
    world.deliver(&phone.invite());
    world.expect("100 INVITE");
    let id = world.incoming();
    world
        .act(|endpoint, now| endpoint.accept(id, sdp("answer"), &[], now))
        .unwrap();
    let ok = world.expect("200 INVITE");
    phone.hear(&ok);
    world.deliver(&phone.ack());
    assert!(matches!(world.event(), Event::Confirmed { .. }));
    (phone, id, ok)
}

/// A call of ours, answered with these header lines.
fn made(lines: &str) -> (World, Phone, InviteId) {
    let (mut world, phone, id, invite) = calling_with(world(), "timer", |_| {});
    assert_eq!(text::header(&invite, "Session-Expires"), "1800");
    let further = format!("Contact: <sip:callee@203.0.113.9:5070>\r\n{lines}");
    world.deliver(&phone.respond(&invite, "200 OK", &further, "answer"));
    world.expect("ACK");
    assert!(matches!(world.event(), Event::Answered { .. }));
    (world, phone, id)
}

#[test]
fn wound_29_their_timer_is_echoed_and_their_refreshes_keep_the_call() {
    let lines = "Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\nMin-SE: 900\r\n";
    let (mut world, mut phone, _, ok) = taken(lines);
    assert_eq!(text::header(&ok, "Session-Expires"), "1800;refresher=uac");
    assert_eq!(text::header(&ok, "Require"), "timer");
    world.advance(900 * SECOND);
    world.deliver(&phone.request_with("UPDATE", lines, ""));
    let refreshed = world.expect("200 UPDATE");
    assert_eq!(
        text::header(&refreshed, "Session-Expires"),
        "1800;refresher=uac"
    );
    world.advance(1700 * SECOND);
    world.expect_silence();
    world.expect_no_event();
}

#[test]
fn a_session_that_they_do_not_refresh_ends_with_bye_a_little_before_its_time() {
    let lines = "Supported: timer\r\nSession-Expires: 600;refresher=uac\r\n";
    let (mut world, ..) = taken(lines);
    world.advance(567 * SECOND);
    world.expect_no_event();
    world.advance(2 * SECOND);
    world.expect("BYE");
    assert_eq!(world.ended(), EndCause::SessionExpired);
    world.expect_nothing_left();
}

#[test]
fn a_too_short_interval_is_422_with_our_minimum() {
    let mut world = world();
    let mut phone = Phone::new("timer");
    phone.extra = "Supported: timer\r\nSession-Expires: 30\r\n".to_owned();
    world.deliver(&phone.invite());
    let refusal = world.expect("422 INVITE");
    assert_eq!(text::header(&refusal, "Min-SE"), "90");
    world.expect_no_event();
    world.deliver(&phone.ack_refusal(&refusal));
    world.expect_nothing_left();
}

#[test]
fn wound_30_a_callee_that_leaves_it_to_us_is_refreshed_at_half_time_by_update() {
    let (mut world, phone, _) = made(
        "Session-Expires: 600;refresher=uac\r\nAllow: INVITE, UPDATE, BYE\r\nRequire: timer\r\n",
    );
    world.advance(300 * SECOND);
    let update = world.expect("UPDATE");
    assert_eq!(
        text::header(&update, "Session-Expires"),
        "600;refresher=uac"
    );
    assert_eq!(text::body(&update), "");
    let further = "Session-Expires: 600;refresher=uac\r\n";
    world.deliver(&phone.respond(&update, "200 OK", further, ""));
    world.advance(299 * SECOND);
    world.expect_silence();
    world.advance(2 * SECOND);
    world.expect("UPDATE");
}

#[test]
fn a_callee_without_update_is_refreshed_by_a_reinvite_with_what_stands() {
    let (mut world, phone, id) =
        made("Session-Expires: 600;refresher=uac\r\nAllow: INVITE, BYE\r\n");
    world.advance(300 * SECOND);
    assert!(matches!(world.event(), Event::RefreshDue { .. }));
    let body = sdp("what stands").unwrap();
    world
        .act(|endpoint, now| endpoint.reoffer(id, body, now))
        .unwrap();
    let reinvite = world.expect("INVITE");
    assert_eq!(
        text::header(&reinvite, "Session-Expires"),
        "600;refresher=uac"
    );
    let further =
        "Contact: <sip:callee@203.0.113.9:5070>\r\nSession-Expires: 600;refresher=uac\r\n";
    world.deliver(&phone.respond(&reinvite, "200 OK", further, "answer"));
    world.expect("ACK");
    world.events();
    world.advance(299 * SECOND);
    world.expect_no_event();
    world.advance(2 * SECOND);
    assert!(matches!(world.event(), Event::RefreshDue { .. }));
}

#[test]
fn wound_30_a_422_to_our_invite_is_followed_by_one_with_the_raised_interval_and_the_next_cseq() {
    let (mut world, phone, _, invite) = calling_with(world(), "timer", |_| {});
    world.deliver(&phone.respond(&invite, "422 Too Small", "Min-SE: 3600\r\n", ""));
    world.expect("ACK");
    let again = world.expect("INVITE");
    assert_eq!(text::header(&again, "Session-Expires"), "3600");
    assert_eq!(text::header(&again, "Min-SE"), "3600");
    assert_eq!(text::cseq(&again), 2);
    // The same demand again is a refusal.
    world.deliver(&phone.respond(&again, "422 Too Small", "Min-SE: 3600\r\n", ""));
    world.expect("ACK");
    assert!(matches!(world.ended(), EndCause::Rejected(_)));
}

#[test]
fn a_refresh_that_finds_no_dialog_or_no_answer_ends_the_call() {
    let lines = "Session-Expires: 600;refresher=uac\r\nAllow: UPDATE\r\n";
    let (mut world, phone, _) = made(lines);
    world.advance(300 * SECOND);
    let update = world.expect("UPDATE");
    world.deliver(&phone.respond(&update, "481 Gone", "", ""));
    world.expect("BYE");
    assert!(matches!(world.ended(), EndCause::Rejected(_)));

    let (mut world, ..) = made(lines);
    world.advance(333 * SECOND);
    assert_eq!(world.ended(), EndCause::NoAnswer);
    world.sent();
    world.expect_nothing_left();
}

#[test]
fn a_refresh_that_fails_otherwise_is_tried_again_until_the_session_is_over() {
    let (mut world, phone, _) = made("Session-Expires: 600;refresher=uac\r\nAllow: UPDATE\r\n");
    let mut refreshes = 0;
    for _ in 0..700 {
        world.advance(SECOND);
        for sent in world.sent() {
            if text::method(&sent.text) == "UPDATE" {
                refreshes += 1;
                world.deliver(&phone.respond(&sent.text, "500 Server Error", "", ""));
            }
        }
        if !world.events().is_empty() {
            break;
        }
    }
    assert!((3..20).contains(&refreshes), "{refreshes}");
    world.expect_nothing_left();
}

#[test]
fn a_callee_without_the_extension_has_no_timer() {
    let (mut world, ..) = made("");
    world.advance(7200 * SECOND);
    world.expect_silence();
    world.expect_no_event();
}

#[test]
fn the_timers_of_ended_sessions_do_not_heap_up_until_they_would_fire() {
    let lines = "Supported: timer\r\nSession-Expires: 86400;refresher=uac\r\n";
    let mut world = world();
    taken_in(&mut world, "stays", lines);
    let mut most = 0;
    for n in 0..6_000 {
        let (mut phone, ..) = taken_in(&mut world, &format!("ends-{n}"), lines);
        world.deliver(&phone.request("BYE"));
        world.expect("200 BYE");
        assert_eq!(world.ended(), EndCause::RemoteBye);
        world.advance(SECOND);
        most = most.max(world.endpoint.statistics().timers);
    }
    assert!(most <= 4_200, "{most} timers");
    // Who is still there keeps its own.
    world.advance(86_000 * SECOND);
    world.expect("BYE");
    assert_eq!(world.ended(), EndCause::SessionExpired);
}

#[test]
fn a_refresh_of_theirs_that_is_answered_without_an_interval_turns_the_timer_off() {
    let lines = "Supported: timer\r\nSession-Expires: 600;refresher=uac\r\n";
    for method in ["UPDATE", "INVITE"] {
        let (mut world, mut phone, id, _) = taken(lines);
        world.advance(300 * SECOND);
        // It came to us by another server now, which knows nothing of session timers.
        let accepted = if method == "UPDATE" {
            world.deliver(&phone.request_with("UPDATE", "", ""));
            world.expect("200 UPDATE")
        } else {
            phone.extra.clear();
            world.deliver(&phone.reinvite());
            world.expect("100 INVITE");
            world.event();
            world
                .act(|endpoint, now| endpoint.accept_reoffer(id, sdp("answer"), now))
                .unwrap();
            let accepted = world.expect("200 INVITE");
            world.deliver(&phone.ack());
            world.event();
            accepted
        };
        assert!(text::headers(&accepted, "Session-Expires").is_empty());
        world.advance(7200 * SECOND);
        world.expect_silence();
        world.expect_no_event();
    }
}
