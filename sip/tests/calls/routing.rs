//! Where messages go and which paths they name.

use std::net::SocketAddr;

use offhook_sip::{
    endpoint::{EndpointConfig, HostPort},
    message::{Host, StatusCode},
};

use crate::{
    answering::offered,
    phone::Phone,
    text,
    world::{World, sdp},
};

const SOURCE: &str = "192.0.2.44:61000";

fn source() -> SocketAddr {
    SOURCE.parse().unwrap()
}

#[test]
fn a_response_goes_to_the_source_and_says_what_it_was() {
    let mut world = World::new();
    world.deliver_from(source(), &Phone::new("p1").invite());
    let trying = world.next();
    assert_eq!(trying.to, source());
    let via = text::header(&trying.text, "Via");
    assert_eq!(text::parameter(via, "received"), "192.0.2.44");
    assert_eq!(text::parameter(via, "rport"), "61000");
}

#[test]
fn without_rport_the_stated_port_is_used_when_the_stated_address_is_true() {
    let mut world = World::new();
    let invite = Phone::new("p2").invite().replace(";rport", "");
    world.deliver_from("203.0.113.9:61000".parse().unwrap(), &invite);
    assert_eq!(world.next().to, world.flow.remote);
}

#[test]
fn without_rport_a_stated_address_that_is_not_the_source_is_not_believed() {
    let mut world = World::new();
    let invite = Phone::new("p3").invite().replace(";rport", "");
    world.deliver_from(source(), &invite);
    assert_eq!(world.next().to, source());
}

#[test]
fn maddr_does_not_aim_our_responses() {
    let mut world = World::new();
    let invite = Phone::new("p4")
        .invite()
        .replace(";rport", ";rport;maddr=192.0.2.99");
    world.deliver(&invite);
    assert_eq!(world.next().to, world.flow.remote);
}

#[test]
fn all_vias_come_back_in_order() {
    let mut world = World::new();
    let invite = Phone::new("p5").invite().replace(
        "Max-Forwards",
        "Via: SIP/2.0/TCP 10.1.1.1:5060;branch=z9hG4bKbelow\r\nMax-Forwards",
    );
    world.deliver(&invite);
    let trying = world.expect("100 INVITE");
    let vias = text::headers(&trying, "Via");
    assert_eq!(vias[1], "SIP/2.0/TCP 10.1.1.1:5060;branch=z9hG4bKbelow");
}

#[test]
fn the_advertised_address_stands_in_via_and_contact() {
    let config = EndpointConfig {
        advertised: [(
            "198.51.100.1:5060".parse().unwrap(),
            HostPort {
                host: Host::Name("edge.example.com".to_owned()),
                port: 5080,
            },
        )]
        .into(),
        ..EndpointConfig::default()
    };
    let mut world = World::with_config(config);
    let mut phone = Phone::new("p6");
    world.deliver(&phone.invite());
    world.expect("100 INVITE");
    let id = world.incoming();
    world
        .act(|endpoint, now| endpoint.accept(id, sdp("x"), &[], now))
        .unwrap();
    let ok = world.expect("200 INVITE");
    assert_eq!(text::header(&ok, "Contact"), "<sip:edge.example.com:5080>");
    phone.hear(&ok);
    world.deliver(&phone.ack());
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    let bye = world.expect("BYE");
    assert!(text::header(&bye, "Via").starts_with("SIP/2.0/UDP edge.example.com:5080;rport;"));
}

#[test]
fn a_request_in_the_dialog_goes_to_the_contact() {
    let mut world = World::new();
    let mut phone = Phone::new("p7");
    phone.contact = "<sip:caller@203.0.113.200:5099>".to_owned();
    world.deliver(&phone.invite());
    world.expect("100 INVITE");
    let id = world.incoming();
    world
        .act(|endpoint, now| endpoint.accept(id, None, &[], now))
        .unwrap();
    phone.hear(&world.expect("200 INVITE"));
    world.deliver(&phone.ack());
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    let bye = world.next();
    assert_eq!(bye.to, "203.0.113.200:5099".parse().unwrap());
}

#[test]
fn a_private_contact_of_a_public_peer_is_named_but_not_sent_to() {
    let mut world = World::new();
    let mut phone = Phone::new("p8");
    phone.contact = "<sip:caller@192.168.1.20:5060>".to_owned();
    world.deliver(&phone.invite());
    world.expect("100 INVITE");
    let id = world.incoming();
    world
        .act(|endpoint, now| endpoint.accept(id, None, &[], now))
        .unwrap();
    phone.hear(&world.expect("200 INVITE"));
    world.deliver(&phone.ack());
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    let bye = world.next();
    assert_eq!(text::request_uri(&bye.text), "sip:caller@192.168.1.20:5060");
    assert_eq!(bye.to, world.flow.remote);
}

#[test]
fn record_route_stands_in_18x_and_2xx_and_not_in_refusals() {
    let routes = "Record-Route: <sip:192.0.2.1;lr>, <sip:192.0.2.2;lr>\r\n";
    let mut world = World::new();
    let mut phone = Phone::new("p9");
    phone.extra = routes.to_owned();
    world.deliver(&phone.invite());
    world.expect("100 INVITE");
    let id = world.incoming();
    world
        .act(|endpoint, now| endpoint.ring(id, StatusCode::RINGING, None, &[], now))
        .unwrap();
    let ringing = world.expect("180 INVITE");
    world
        .act(|endpoint, now| endpoint.accept(id, None, &[], now))
        .unwrap();
    let ok = world.expect("200 INVITE");
    for response in [ringing, ok] {
        let values = text::headers(&response, "Record-Route").join(", ");
        assert_eq!(values, "<sip:192.0.2.1;lr>, <sip:192.0.2.2;lr>");
    }
    let (mut world, _, id) = offered("p10");
    world
        .act(|endpoint, now| endpoint.reject(id, StatusCode::BUSY_HERE, &[], now))
        .unwrap();
    assert_eq!(
        text::headers(&world.expect("486 INVITE"), "Record-Route").len(),
        0
    );
}
