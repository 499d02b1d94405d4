//! 3xx to our INVITE (RFC 3261 8.1.3.4): handed up, followed or given up, bounded.

use std::time::Duration;

use offhook_sip::{
    endpoint::{EndCause, Event, InviteId},
    message::{StatusCode, Uri},
};

use crate::{outgoing::calling_with, phone::Phone, text, world::World};

fn calling(redirections: u8) -> (World, Phone, InviteId, String) {
    calling_with(World::new(), "redir", |call| {
        call.redirections = redirections
    })
}

fn moved(phone: &Phone, invite: &str, contacts: &str) -> String {
    phone.respond(invite, "302 Moved Temporarily", contacts, "")
}

fn contacts(world: &mut World) -> Vec<String> {
    match world.event() {
        Event::Redirected { contacts, .. } => contacts.iter().map(Uri::to_string).collect(),
        other => panic!("Redirected expected: {other:?}"),
    }
}

#[test]
fn a_redirection_is_acked_and_its_contacts_are_told_best_first() {
    let (mut world, phone, _, invite) = calling(5);
    let list = "Contact: <sip:low@203.0.113.20>;q=0.2, <sip:high@203.0.113.21>;q=0.9\r\n\
                Contact: <mailto:a@example.net>\r\n";
    world.deliver(&moved(&phone, &invite, list));
    world.expect("ACK");
    world.expect_silence();
    assert_eq!(
        contacts(&mut world),
        ["sip:high@203.0.113.21", "sip:low@203.0.113.20"]
    );
}

#[test]
fn a_followed_redirection_is_the_same_call_to_another_target() {
    let (mut world, phone, id, invite) = calling(5);
    world.deliver(&moved(
        &phone,
        &invite,
        "Contact: <sip:new@203.0.113.20?Subject=x>\r\n",
    ));
    world.expect("ACK");
    world.events();
    let target = Uri::parse("sip:new@203.0.113.20?Subject=x").unwrap();
    let mut flow = world.flow;
    flow.remote = "203.0.113.20:5060".parse().unwrap();
    world
        .act(|endpoint, now| endpoint.follow(id, target, vec![flow], now))
        .unwrap();
    let sent = world.next();
    assert_eq!(sent.to, flow.remote);
    let again = sent.text;
    assert_eq!(text::request_uri(&again), "sip:new@203.0.113.20");
    assert_eq!(
        text::header(&again, "Call-ID"),
        text::header(&invite, "Call-ID")
    );
    assert_eq!(text::header(&again, "To"), text::header(&invite, "To"));
    assert_eq!(text::cseq(&again), 2);
    world.deliver(&phone.answer(&again));
    world.expect("ACK");
    assert!(matches!(world.event(), Event::Answered { .. }));
}

#[test]
fn who_calls_is_not_told_to_whoever_a_redirection_names() {
    let asked = |target: &str| {
        let (mut world, phone, id, invite) = calling_with(World::new(), "redir", |call| {
            call.redirections = 5;
            let number = "<sip:+15550199@carrier.example>";
            call.identity = vec![("P-Asserted-Identity".to_owned(), number.to_owned())];
            call.extra = vec![("X-Campaign".to_owned(), "7".to_owned())];
        });
        assert!(invite.contains("P-Asserted-Identity: <sip:+15550199@"));
        let list = format!("Contact: <{target}>\r\n");
        world.deliver(&moved(&phone, &invite, &list));
        world.expect("ACK");
        contacts(&mut world);
        let flow = world.flow;
        world
            .act(|endpoint, now| endpoint.follow(id, Uri::parse(target).unwrap(), vec![flow], now))
            .unwrap();
        world.expect("INVITE")
    };
    let same = asked("sip:other@203.0.113.9");
    assert!(same.contains("P-Asserted-Identity: "), "{same}");
    let elsewhere = asked("sip:callee@203.0.113.21");
    assert!(!elsewhere.contains("P-Asserted-Identity"), "{elsewhere}");
    assert!(elsewhere.contains("X-Campaign: 7"), "{elsewhere}");
}

#[test]
fn our_password_is_not_for_whoever_a_redirection_names() {
    let (mut world, phone, id, invite) = calling_with(World::new(), "redir", |call| {
        call.redirections = 1;
        call.credentials = Some(crate::authentication::credentials());
    });
    world.deliver(&moved(&phone, &invite, "Contact: <sip:b@203.0.113.66>\r\n"));
    world.sent();
    world.events();
    let (target, flow) = (Uri::parse("sip:b@203.0.113.66").unwrap(), world.flow);
    world
        .act(|endpoint, now| endpoint.follow(id, target, vec![flow], now))
        .unwrap();
    let again = world.expect("INVITE");
    let challenge = "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n\"\r\n";
    world.deliver(&phone.respond(&again, "401 Unauthorized", challenge, ""));
    world.expect("ACK");
    assert_eq!(world.ended(), EndCause::Rejected(StatusCode::UNAUTHORIZED));
}

#[test]
fn a_target_is_visited_once_and_the_number_of_redirections_is_bounded() {
    let (mut world, phone, id, invite) = calling(1);
    let back = "Contact: <sip:callee@203.0.113.9:5070>\r\n";
    world.deliver(&moved(&phone, &invite, back));
    world.expect("ACK");
    assert_eq!(
        world.ended(),
        EndCause::Rejected(StatusCode::MOVED_TEMPORARILY)
    );

    let (mut other, phone, other_id, invite) = calling(1);
    other.deliver(&moved(&phone, &invite, "Contact: <sip:b@203.0.113.20>\r\n"));
    other.events();
    other.sent();
    let (target, flow) = (Uri::parse("sip:b@203.0.113.20").unwrap(), other.flow);
    other
        .act(|endpoint, now| endpoint.follow(other_id, target, vec![flow], now))
        .unwrap();
    let again = other.expect("INVITE");
    other.deliver(&moved(&phone, &again, "Contact: <sip:c@203.0.113.21>\r\n"));
    assert_eq!(
        other.ended(),
        EndCause::Rejected(StatusCode::MOVED_TEMPORARILY)
    );
    let _ = id;
}

#[test]
fn nobody_who_follows_ends_the_call_in_time_and_giving_up_ends_it_at_once() {
    let (mut world, phone, _, invite) = calling(1);
    world.deliver(&moved(&phone, &invite, "Contact: <sip:b@203.0.113.20>\r\n"));
    world.events();
    world.advance(Duration::from_secs(32));
    assert_eq!(
        world.ended(),
        EndCause::Rejected(StatusCode::MOVED_TEMPORARILY)
    );
    world.expect_nothing_left();

    let (mut world, phone, id, invite) = calling(1);
    world.deliver(&moved(&phone, &invite, "Contact: <sip:b@203.0.113.20>\r\n"));
    world.events();
    world
        .act(|endpoint, now| endpoint.cancel(id, &[], now))
        .unwrap();
    assert_eq!(world.ended(), EndCause::Cancelled);
    world.sent();
    world.expect_nothing_left();
}
