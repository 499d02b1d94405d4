//! Bytes from anyone while a call is up: nothing panics, nothing grows, the call is undisturbed.

use std::time::Duration;

use offhook_sip::endpoint::{EndCause, Event, Flow, Output, Transport};

use crate::{
    answering::established, network::Dice, outgoing::calling, phone::Phone, text, world::World,
};

/// Damages a message: bytes changed, cut out, doubled, or its tail lost.
fn damaged(dice: &mut Dice, message: &str) -> Vec<u8> {
    let mut bytes = message.as_bytes().to_vec();
    for _ in 0..=dice.roll(6) {
        if bytes.is_empty() {
            break;
        }
        let at = dice.roll(bytes.len() as u64) as usize;
        match dice.roll(5) {
            0 => bytes[at] = dice.roll(256) as u8,
            1 => bytes[at] = b"\r\n :;,<>\"@=?%[]\0"[dice.roll(16) as usize],
            2 => bytes.truncate(at),
            3 => {
                let end = (at + dice.roll(40) as usize).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                let end = (at + dice.roll(40) as usize).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

/// What a stranger may send who has not seen the call.
fn strangers_messages() -> Vec<String> {
    let mut phone = Phone::new("stranger");
    let invite = phone.invite();
    let mut all = vec![
        phone.cancel(),
        phone.ack(),
        phone.ringing(&invite),
        phone.answer(&invite),
        phone.respond(&invite, "486 Busy Here", "", ""),
    ];
    for method in ["BYE", "INFO", "OPTIONS", "REGISTER", "PRACK", "TELEPORT"] {
        all.push(phone.request(method));
    }
    phone.remote_tag = "guessed".to_owned();
    all.push(phone.reinvite());
    all.push(phone.request("BYE"));
    all.push(invite);
    all
}

/// Delivers bytes and refuses whatever call they make.
fn deliver(world: &mut World, bytes: &[u8], others: &mut Vec<Event>) {
    let stranger = Flow {
        transport: Transport::Udp,
        remote: "192.0.2.66:5060".parse().unwrap(),
        ..world.flow
    };
    world.endpoint.handle_datagram(stranger, bytes, world.now);
    while let Some(output) = world.endpoint.poll_output() {
        match output {
            Output::Transmit { .. } | Output::Event(Event::Ended { .. }) => {}
            Output::Event(Event::Incoming { id, .. }) => {
                let busy = offhook_sip::message::StatusCode::BUSY_HERE;
                world.endpoint.reject(id, busy, &[], world.now).unwrap();
            }
            Output::Event(other) => others.push(other),
            Output::Registration { .. } | Output::Probed { .. } => unreachable!("nobody registers"),
        }
    }
}

#[test]
fn damaged_datagrams_leave_the_call_alone_and_nothing_behind() {
    let (mut world, mut phone, _) = established("h1");
    let messages = strangers_messages();
    let (mut dice, mut others) = (Dice::new(2_026), Vec::new());
    for round in 0..20_000_u64 {
        let message = &messages[dice.roll(messages.len() as u64) as usize];
        let bytes = damaged(&mut dice, message);
        deliver(&mut world, &bytes, &mut others);
        if round % 100 == 0 {
            world.advance(Duration::from_millis(200));
            world.sent();
        }
    }
    assert!(others.is_empty(), "{others:?}");
    world.advance(Duration::from_secs(40));
    world.sent();
    world.events();
    let quiet = world.endpoint.statistics();
    assert_eq!(
        (quiet.invites, quiet.dialogs, quiet.transactions),
        (1, 1, 0)
    );
    world.deliver(&phone.request("BYE"));
    world.expect("200 BYE");
    assert_eq!(world.ended(), EndCause::RemoteBye);
    world.expect_nothing_left();
}

#[test]
fn damaged_responses_to_our_invite_end_at_most_that_call() {
    for seed in 0..2_000 {
        let (mut world, phone, id, invite) = calling("h2");
        let mut dice = Dice::new(seed);
        for answer in [phone.ringing(&invite), phone.answer(&invite)] {
            let bytes = damaged(&mut dice, &answer);
            world
                .endpoint
                .handle_datagram(world.flow, &bytes, world.now);
        }
        // Whatever it made of them, it can be ended and leaves nothing.
        let _ = world.act(|endpoint, now| endpoint.bye(id, &[], now));
        world.advance(Duration::from_secs(300));
        let ends = world
            .events()
            .into_iter()
            .filter(|event| matches!(event, Event::Ended { .. }));
        assert_eq!(ends.count(), 1, "seed {seed}");
        world.expect_nothing_left();
    }
}

#[test]
fn a_guessed_tag_does_not_end_a_call() {
    let (mut world, phone, _) = established("h3");
    let mut forger = phone.clone();
    forger.remote_tag = "0123456789abcdef".to_owned();
    world.deliver(&forger.request("BYE"));
    world.expect("481 BYE");
    let mut impostor = Phone {
        tag: "impostor".to_owned(),
        ..phone
    };
    world.deliver(&impostor.request("BYE"));
    world.expect("481 BYE");
    world.expect_no_event();
}

#[test]
fn a_response_with_a_second_via_is_not_ours() {
    let (mut world, phone, _, invite) = calling("h4");
    let answer = phone.answer(&invite).replacen(
        "From:",
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\nFrom:",
        1,
    );
    world.deliver(&answer);
    world.expect_silence();
    world.expect_no_event();
    assert_eq!(world.endpoint.statistics().stray_responses, 1);
}

#[test]
fn over_tcp_nothing_is_repeated_but_the_2xx_and_the_contact_says_so() {
    let mut world = World::new();
    world.flow.transport = Transport::Tcp;
    let mut phone = Phone::new("h5");
    world.deliver(&phone.invite());
    world.expect("100 INVITE");
    let id = world.incoming();
    world
        .act(|endpoint, now| endpoint.accept(id, None, &[], now))
        .unwrap();
    let ok = world.expect("200 INVITE");
    assert_eq!(
        text::header(&ok, "Contact"),
        "<sip:198.51.100.1:5060;transport=tcp>"
    );
    phone.hear(&ok);
    world.advance(Duration::from_millis(500));
    world.expect("200 INVITE");
    world.deliver(&phone.ack());
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    let bye = world.expect("BYE");
    assert!(text::header(&bye, "Via").starts_with("SIP/2.0/TCP "));
    world.advance(Duration::from_secs(31));
    world.expect_silence();
    world.deliver(&phone.respond(&bye, "200 OK", "", ""));
    world.advance(Duration::ZERO);
    assert_eq!(
        world.endpoint.statistics().transactions,
        1,
        "the INVITE's, until timer L"
    );
}
