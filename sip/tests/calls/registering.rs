//! Registering with a trunk (RFC 3261 10.2, 5626 4.5), and asking by OPTIONS whether it is there.

use std::time::Duration;

use offhook_sip::{
    endpoint::{
        Flow, FlowFailure, Output, RegistrationEvent, RegistrationFailure, RegistrationId,
        RegistrationPlan, Transport,
    },
    message::StatusCode,
};

use crate::{outgoing::address, phone::Phone, text, world::World};

const SECOND: Duration = Duration::from_secs(1);
const CHALLENGE: &str =
    "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"\r\n";

fn plan(world: &World) -> RegistrationPlan {
    RegistrationPlan {
        flows: vec![world.flow],
        registrar: address("<sip:user@carrier.example>").uri,
        address_of_record: address("<sip:1000@carrier.example>"),
        user: "1000".to_owned(),
        expires: Duration::from_secs(600),
        credentials: Some(crate::authentication::credentials()),
        route: Vec::new(),
        extra: Vec::new(),
    }
}

fn registering() -> (World, Phone, RegistrationId, String) {
    let mut world = World::new();
    let plan = plan(&world);
    let id = world
        .act(|endpoint, now| endpoint.register(plan, now))
        .unwrap();
    let register = world.expect("REGISTER");
    (world, Phone::new("reg"), id, register)
}

fn ok(phone: &Phone, register: &str, expires: u32) -> String {
    let contact = text::header(register, "Contact");
    let further = format!("Contact: {contact};expires={expires}\r\n");
    phone.respond(register, "200 OK", &further, "")
}

fn event(world: &mut World) -> RegistrationEvent {
    match world.other() {
        Output::Registration { event, .. } => event,
        other => panic!("Registration expected: {other:?}"),
    }
}

#[test]
fn a_register_names_domain_address_of_record_and_our_contact() {
    let (_, _, _, register) = registering();
    assert_eq!(text::request_uri(&register), "sip:carrier.example");
    assert_eq!(text::header(&register, "To"), "<sip:1000@carrier.example>");
    assert_eq!(
        text::header(&register, "Contact"),
        "<sip:1000@198.51.100.1:5060>"
    );
    assert_eq!(text::header(&register, "Expires"), "600");
}

#[test]
fn a_binding_is_refreshed_before_it_ends_with_the_same_call_id_and_a_higher_cseq() {
    let (mut world, phone, _, first) = registering();
    world.deliver(&ok(&phone, &first, 120));
    let RegistrationEvent::Registered { expires, .. } = event(&mut world) else {
        panic!()
    };
    assert_eq!(expires, 120 * SECOND);
    world.advance(99 * SECOND);
    world.expect_silence();
    world.advance(2 * SECOND);
    let second = world.expect("REGISTER");
    assert_eq!(
        text::header(&second, "Call-ID"),
        text::header(&first, "Call-ID")
    );
    assert_eq!(text::tag(&second, "From"), text::tag(&first, "From"));
    assert_eq!(text::cseq(&second), text::cseq(&first) + 1);
}

#[test]
fn a_challenge_is_answered_and_the_refresh_says_at_once_who_we_are() {
    let (mut world, phone, _, first) = registering();
    world.deliver(&phone.respond(&first, "401 Unauthorized", CHALLENGE, ""));
    let again = world.expect("REGISTER");
    assert!(text::header(&again, "Authorization").contains("nc=00000001"));
    assert_eq!(text::cseq(&again), 2);
    world.deliver(&ok(&phone, &again, 60));
    world.advance(51 * SECOND);
    let refresh = world.expect("REGISTER");
    assert!(text::header(&refresh, "Authorization").contains("nc=00000002"));
}

#[test]
fn wound_35_a_423_is_followed_and_may_be_challenged_once_more() {
    let (mut world, phone, _, first) = registering();
    world.deliver(&phone.respond(&first, "423 Interval Too Brief", "Min-Expires: 660\r\n", ""));
    let longer = world.expect("REGISTER");
    assert_eq!(text::header(&longer, "Expires"), "660");
    world.deliver(&phone.respond(&longer, "401 Unauthorized", CHALLENGE, ""));
    let again = world.expect("REGISTER");
    assert_eq!(text::header(&again, "Expires"), "660");
    world.deliver(&ok(&phone, &again, 660));
    assert!(matches!(
        event(&mut world),
        RegistrationEvent::Registered { .. }
    ));
}

#[test]
fn wrong_credentials_are_tried_again_only_after_the_back_off() {
    let (mut world, phone, _, first) = registering();
    world.deliver(&phone.respond(&first, "401 Unauthorized", CHALLENGE, ""));
    let again = world.expect("REGISTER");
    world.deliver(&phone.respond(&again, "401 Unauthorized", CHALLENGE, ""));
    world.expect_silence();
    let RegistrationEvent::Failed { failure, retry_in } = event(&mut world) else {
        panic!()
    };
    assert_eq!(
        failure,
        RegistrationFailure::Refused(StatusCode::UNAUTHORIZED)
    );
    assert!(retry_in >= 15 * SECOND && retry_in <= 30 * SECOND);
    world.advance(retry_in);
    world.expect("REGISTER");
}

#[test]
fn a_registrar_that_stays_silent_is_asked_less_and_less_often() {
    let (mut world, ..) = registering();
    let mut waits = Vec::new();
    for _ in 0..4 {
        world.advance(32 * SECOND);
        let RegistrationEvent::Failed { retry_in, .. } = event(&mut world) else {
            panic!()
        };
        waits.push(retry_in);
        world.sent();
        world.advance(retry_in);
        world.expect("REGISTER");
    }
    for (index, wait) in waits.iter().enumerate() {
        let upper = 30 * SECOND * 2_u32.pow(u32::try_from(index).unwrap());
        assert!(*wait >= upper / 2 && *wait <= upper, "{waits:?}");
    }
}

#[test]
fn a_flow_that_fails_is_followed_by_the_next_at_once() {
    let mut world = World::new();
    let mut plan = plan(&world);
    let second = Flow {
        remote: "203.0.113.10:5060".parse().unwrap(),
        ..world.flow
    };
    plan.flows.push(second);
    world
        .act(|endpoint, now| endpoint.register(plan, now))
        .unwrap();
    world.expect("REGISTER");
    let flow = world.flow;
    world.act(|endpoint, now| endpoint.handle_transport_error(flow, now));
    assert_eq!(world.next().to, second.remote);
    let RegistrationEvent::FlowFailed { failure, .. } = event(&mut world) else {
        panic!()
    };
    assert_eq!(failure, FlowFailure::TransportFailed);
}

#[test]
fn service_routes_are_told_in_order() {
    let (mut world, phone, _, register) = registering();
    let further = "Service-Route: <sip:a.example;lr>, <sip:b.example;lr>\r\nExpires: 60\r\n";
    world.deliver(&phone.respond(&register, "200 OK", further, ""));
    let RegistrationEvent::Registered { service_route, .. } = event(&mut world) else {
        panic!()
    };
    let hosts: Vec<String> = service_route
        .iter()
        .map(|route| route.uri.host().unwrap().to_string())
        .collect();
    assert_eq!(hosts, ["a.example", "b.example"]);
}

#[test]
fn a_binding_that_is_taken_away_is_asked_for_zero_seconds_and_is_gone() {
    let (mut world, phone, id, register) = registering();
    world.deliver(&ok(&phone, &register, 600));
    world.other();
    world.act(|endpoint, now| endpoint.unregister(id, now));
    let last = world.expect("REGISTER");
    assert_eq!(text::header(&last, "Expires"), "0");
    world.deliver(&phone.respond(&last, "200 OK", "", ""));
    assert_eq!(event(&mut world), RegistrationEvent::Removed);
    world.expect_nothing_left();
}

#[test]
fn wound_65_frequent_refreshes_leave_no_transactions_behind() {
    let (mut world, phone, id, mut register) = registering();
    for _ in 0..2_000 {
        world.deliver(&ok(&phone, &register, 60));
        world.other();
        world.advance(50 * SECOND);
        register = world.expect("REGISTER");
    }
    assert!(world.endpoint.statistics().transactions < 3);
    world.act(|endpoint, now| endpoint.unregister(id, now));
    world.advance(64 * SECOND);
    assert_eq!(world.endpoint.statistics().registrations, 0);
}

#[test]
fn a_probe_tells_any_final_answer_and_silence() {
    let mut world = World::new();
    let (flow, target) = (world.flow, address("<sip:203.0.113.9:5070>").uri);
    let from = address("<sip:198.51.100.1>");
    let probe = |world: &mut World| {
        world
            .act(|endpoint, now| endpoint.probe(flow, target.clone(), &from, now))
            .unwrap();
        world.expect("OPTIONS")
    };
    let phone = Phone::new("probe");
    let options = probe(&mut world);
    world.deliver(&phone.respond(&options, "404 Not Found", "", ""));
    let Output::Probed { answer, .. } = world.other() else {
        panic!()
    };
    assert_eq!(answer, Ok(StatusCode::NOT_FOUND));
    probe(&mut world);
    world.advance(32 * SECOND);
    let Output::Probed { answer, .. } = world.other() else {
        panic!()
    };
    assert_eq!(answer, Err(FlowFailure::Silent));
    world.sent();
    world.expect_nothing_left();
}

/// A binding that was made by a connection, and its flow.
fn connected() -> (World, Phone, Flow) {
    let mut world = World::new();
    world.flow.transport = Transport::Tcp;
    let plan = plan(&world);
    world
        .act(|endpoint, now| endpoint.register(plan, now))
        .unwrap();
    let register = world.expect("REGISTER");
    let phone = Phone::new("reg");
    world.deliver(&ok(&phone, &register, 600));
    event(&mut world);
    let flow = world.flow;
    (world, phone, flow)
}

#[test]
fn a_binding_whose_connection_is_gone_is_made_anew_at_once() {
    let (mut world, phone, flow) = connected();
    world.advance(SECOND);
    let lost_at = world.now;
    // A response that cannot leave by it says the same again.
    for _ in 0..2 {
        world.act(|endpoint, now| endpoint.handle_transport_error(flow, now));
    }
    world.expect_silence();
    let due = world.endpoint.poll_timeout().unwrap() - lost_at;
    assert!(due >= SECOND / 2 && due <= 3 * SECOND / 2, "{due:?}");
    world.advance(2 * SECOND);
    let again = world.next();
    assert_eq!(text::summary(&again.text), "REGISTER");
    assert_eq!((again.to, again.transport), (flow.remote, flow.transport));
    assert_eq!(text::cseq(&again.text), 2);
    world.deliver(&ok(&phone, &again.text, 600));
    assert!(matches!(
        event(&mut world),
        RegistrationEvent::Registered { .. }
    ));
    // From then on it is refreshed as before.
    world.advance(490 * SECOND);
    world.expect_silence();
    world.advance(20 * SECOND);
    world.expect("REGISTER");
}

#[test]
fn connections_of_others_and_icmp_errors_lead_to_no_register() {
    let (mut world, _, flow) = connected();
    let other = Flow {
        remote: "203.0.113.77:5070".parse().unwrap(),
        ..flow
    };
    let datagrams = Flow {
        transport: Transport::Udp,
        ..flow
    };
    for elsewhere in [other, datagrams] {
        world.act(|endpoint, now| endpoint.handle_transport_error(elsewhere, now));
    }
    world.advance(490 * SECOND);
    world.expect_silence();
}

#[test]
fn a_registrar_that_closes_each_connection_is_asked_less_and_less_often() {
    let (mut world, phone, flow) = connected();
    let mut waits = Vec::new();
    for _ in 0..7 {
        let lost_at = world.now;
        world.act(|endpoint, now| endpoint.handle_transport_error(flow, now));
        let sent = loop {
            let due = world.endpoint.poll_timeout().unwrap();
            world.advance(due - world.now);
            if let Some(sent) = world.sent().pop() {
                break sent;
            }
        };
        waits.push((world.now - lost_at).as_secs());
        world.deliver(&ok(&phone, &sent.text, 600));
    }
    for (wait, least) in waits.iter().zip([0, 15, 30, 60, 120, 240, 480]) {
        assert!((least..=2 * least.max(1)).contains(wait), "{waits:?}");
    }
    // The refresh that is due is never put off.
    assert!(waits[6] <= 500, "{waits:?}");
    // One that stood for some time is missed soon again.
    world.advance(121 * SECOND);
    world.act(|endpoint, now| endpoint.handle_transport_error(flow, now));
    world.advance(2 * SECOND);
    world.expect("REGISTER");
}
