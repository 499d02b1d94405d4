//! INVITE with Replaces (RFC 3891): whose place it takes, and what it may not do.

use offhook_sip::endpoint::{Event, InviteId};

use crate::{answering::established, outgoing::calling, phone::Phone, world::World};

/// The INVITE of a third party that names the call of `phone`.
fn replacing(phone: &Phone, more: &str) -> String {
    let mut third = Phone::new("third");
    third.extra = format!(
        "Replaces: {};to-tag={};from-tag={}{more}\r\n",
        phone.call_id, phone.remote_tag, phone.tag
    );
    third.invite()
}

fn replaces(world: &mut World) -> Option<InviteId> {
    world
        .events()
        .iter()
        .find_map(|event| match event {
            Event::Incoming { replaces, .. } => Some(*replaces),
            _ => None,
        })
        .expect("a new call")
}

#[test]
fn an_invite_that_names_an_answered_call_takes_its_place() {
    let (mut world, phone, id) = established("old");
    world.deliver(&replacing(&phone, ""));
    world.expect("100 INVITE");
    assert_eq!(replaces(&mut world), Some(id));
}

#[test]
fn early_only_does_not_take_an_answered_call() {
    let (mut world, phone, _) = established("old");
    world.deliver(&replacing(&phone, ";early-only"));
    world.expect("486 INVITE");
    world.expect_no_event();
}

#[test]
fn what_fits_no_call_is_481_and_what_cannot_be_read_is_400() {
    let (mut world, mut phone, _) = established("old");
    phone.tag = "other".to_owned();
    world.deliver(&replacing(&phone, ""));
    world.expect("481 INVITE");

    let (mut world, phone, _) = established("old");
    world.deliver(&replacing(&phone, ";to-tag=again"));
    world.expect("400 INVITE");
}

#[test]
fn a_call_of_ours_that_rings_can_be_taken_and_one_that_rings_here_cannot() {
    let (mut world, mut phone, id, invite) = calling("out");
    world.deliver(&phone.ringing(&invite));
    world.events();
    phone.call_id = crate::text::header(&invite, "Call-ID").to_owned();
    phone.remote_tag = crate::text::tag(&invite, "From").to_owned();
    world.deliver(&replacing(&phone, ";early-only"));
    world.expect("100 INVITE");
    assert_eq!(replaces(&mut world), Some(id));

    let (mut world, mut phone, id) = crate::answering::offered("in");
    let ringing = offhook_sip::message::StatusCode::RINGING;
    world
        .act(|endpoint, now| endpoint.ring(id, ringing, None, &[], now))
        .unwrap();
    phone.hear(&world.expect("180 INVITE"));
    world.deliver(&replacing(&phone, ""));
    world.expect("481 INVITE");
}
