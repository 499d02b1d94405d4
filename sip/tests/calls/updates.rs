//! UPDATE from the far end (RFC 3311): with an offer, without, early, and when offers meet.

use offhook_sip::{
    endpoint::{Event, InviteId},
    message::{Method, StatusCode},
};

use crate::{
    answering::{established, offered},
    phone::Phone,
    text,
    world::{World, sdp},
};

const SDP: &str = "Content-Type: application/sdp\r\n";

fn update(phone: &mut Phone, headers: &str, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { SDP };
    phone.request_with("UPDATE", &format!("{headers}{kind}"), body)
}

fn reoffer(world: &mut World, id: InviteId) -> String {
    world
        .act(|endpoint, now| endpoint.reoffer(id, sdp("ours").unwrap(), now))
        .unwrap();
    world.expect("INVITE")
}

#[test]
fn an_update_with_an_offer_is_handed_up_and_answered_in_its_200_without_an_ack() {
    let (mut world, mut phone, id) = established("up1");
    world.deliver(&update(&mut phone, "", "their offer"));
    world.expect_silence();
    let Event::Reoffer { request, .. } = world.event() else {
        panic!()
    };
    assert_eq!(
        (request.method, request.body),
        (Method::Update, b"their offer".to_vec())
    );
    world
        .act(|endpoint, now| endpoint.accept_reoffer(id, sdp("answer"), now))
        .unwrap();
    let ok = world.expect("200 UPDATE");
    assert_eq!(text::body(&ok), "answer");
    assert_eq!(text::headers(&ok, "Contact").len(), 1);
    world.advance(std::time::Duration::from_secs(60));
    world.expect_silence();
    world.expect_no_event();
}

#[test]
fn a_refused_update_leaves_the_call_as_it_was() {
    let (mut world, mut phone, id) = established("up2");
    world.deliver(&update(&mut phone, "", "their offer"));
    world.event();
    let status = StatusCode::NOT_ACCEPTABLE_HERE;
    world
        .act(|endpoint, now| endpoint.reject_reoffer(id, status, &[], now))
        .unwrap();
    world.expect("488 UPDATE");
    world.expect_no_event();
}

#[test]
fn wound_31_an_update_without_an_offer_is_answered_at_once_whatever_is_open() {
    let (mut world, mut phone, id) = established("up3");
    world.deliver(&update(&mut phone, "", ""));
    world.expect("200 UPDATE");
    reoffer(&mut world, id);
    world.deliver(&update(&mut phone, "", ""));
    world.expect("200 UPDATE");
    world.expect_no_event();
}

#[test]
fn an_update_moves_the_far_ends_contact() {
    let (mut world, mut phone, id) = established("up4");
    world.deliver(&update(
        &mut phone,
        "Contact: <sip:moved@203.0.113.9:5090>\r\n",
        "",
    ));
    world.expect("200 UPDATE");
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    let bye = world.next().text;
    assert_eq!(text::request_uri(&bye), "sip:moved@203.0.113.9:5090");
}

#[test]
fn an_offer_that_meets_ours_is_491_and_one_that_meets_theirs_is_500_with_a_wait() {
    let (mut world, mut phone, id) = established("up5");
    reoffer(&mut world, id);
    world.deliver(&update(&mut phone, "", "offer"));
    world.expect("491 UPDATE");

    let (mut world, mut phone, _) = established("up6");
    world.deliver(&update(&mut phone, "", "offer"));
    world.deliver(&update(&mut phone, "", "another"));
    let refusal = world.expect("500 UPDATE");
    let wait: u32 = text::header(&refusal, "Retry-After").parse().unwrap();
    assert!(wait <= 10);
}

#[test]
fn before_the_answer_an_update_with_an_offer_meets_the_invites_and_comes_back_later() {
    let (mut world, mut phone, id) = offered("up7");
    world
        .act(|endpoint, now| endpoint.ring(id, StatusCode::RINGING, None, &[], now))
        .unwrap();
    phone.hear(&world.expect("180 INVITE"));
    world.deliver(&update(&mut phone, "", "offer"));
    world.expect("500 UPDATE");
    world.deliver(&update(&mut phone, "", ""));
    world.expect("200 UPDATE");
}
