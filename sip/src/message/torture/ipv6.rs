//! RFC 5118: IPv6 in every place an address may stand.

use super::{answered, request, wire};
use crate::message::{Host, Request, StatusCode};

fn register(uri: &str, via: &str, contact: &str) -> Vec<u8> {
    wire(
        &[
            &format!("REGISTER {uri} SIP/2.0"),
            "To: sip:user@example.com",
            "From: sip:user@example.com;tag=81x2",
            &format!("Via: {via}"),
            "Call-ID: SSG9559905523997077@example.com",
            "Max-Forwards: 70",
            &format!("Contact: \"Caller\" <{contact}>"),
            "CSeq: 98176 REGISTER",
            "Content-Length: 0",
        ],
        b"",
    )
}

fn register_to(uri: &str) -> Request {
    let via = "SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111";
    request(&register(uri, via, "sip:caller@[2001:db8::1]"))
}

#[test]
fn section_4_1_a_reference_in_brackets_is_valid_everywhere() {
    let register = register_to("sip:[2001:db8::10]");
    assert_eq!(
        register.uri.host(),
        Some(&Host::V6("2001:db8::10".parse().unwrap()))
    );
    assert_eq!(register.headers.top_via().unwrap().port, Some(6050));
    assert_eq!(
        register.headers.contacts().unwrap()[0].uri.to_string(),
        "sip:caller@[2001:db8::1]"
    );
}

#[test]
fn section_4_2_a_reference_without_brackets_is_answered_400() {
    let via = "SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111";
    answered(
        &register("sip:2001:db8::10", via, "sip:caller@[2001:db8::1]"),
        StatusCode::BAD_REQUEST,
    );
}

#[test]
fn section_4_3_a_number_inside_the_brackets_is_part_of_the_address() {
    let register = register_to("sip:[2001:db8::10:5070]");
    assert_eq!(
        register.uri.host(),
        Some(&Host::V6("2001:db8::10:5070".parse().unwrap()))
    );
    assert_eq!(register.uri.port(), None);
}

#[test]
fn section_4_4_a_number_outside_the_brackets_is_the_port() {
    let register = register_to("sip:[2001:db8::10]:5070");
    assert_eq!(
        register.uri.host(),
        Some(&Host::V6("2001:db8::10".parse().unwrap()))
    );
    assert_eq!(register.uri.port(), Some(5070));
}

#[test]
fn section_4_5_received_is_taken_with_and_without_brackets() {
    for received in ["[2001:db8::9:255]", "2001:db8::9:255"] {
        let via = format!("SIP/2.0/UDP [2001:db8::9:1];received={received};branch=z9hG4bKas3-111");
        let request = request(&register(
            "sip:[2001:db8::10]",
            &via,
            "sip:caller@[2001:db8::1]",
        ));
        let via = request.headers.top_via().unwrap();
        assert_eq!(via.received(), Some("2001:db8::9:255".parse().unwrap()));
        assert_eq!(via.branch(), Some("z9hG4bKas3-111"));
    }
}

#[test]
fn section_4_7_both_families_stand_side_by_side() {
    let bye = request(&wire(
        &[
            "BYE sip:user@host.example.net SIP/2.0",
            "Via: SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111",
            "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144",
            "Via: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200",
            "Call-ID: 997077@lau.example.net",
            "Max-Forwards: 70",
            "CSeq: 89187 BYE",
            "To: sip:user@example.net;tag=9817--94",
            "From: sip:user@example.com;tag=81x2",
            "Content-Length: 0",
        ],
        b"",
    ));
    let vias = bye.headers.vias().unwrap();
    assert_eq!(vias[1].host, Host::V4("192.0.2.1".parse().unwrap()));
    assert_eq!(vias[2].received(), Some("192.0.2.200".parse().unwrap()));
}

#[test]
fn section_4_9_mapped_addresses_are_addresses() {
    let register = register_to("sip:user@[::ffff:192.0.2.10]");
    assert_eq!(
        register.uri.host(),
        Some(&Host::V6("::ffff:192.0.2.10".parse().unwrap()))
    );
    assert_eq!(register.uri.to_string(), "sip:user@[::ffff:192.0.2.10]");
}

#[test]
fn section_4_10_the_third_colon_of_an_old_grammar_is_forgiven_and_not_sent_on() {
    let register = register_to("sip:user@[2001:db8:::192.0.2.1]");
    assert_eq!(
        register.uri.host(),
        Some(&Host::V6("2001:db8::192.0.2.1".parse().unwrap()))
    );
    assert!(!register.uri.to_string().contains(":::"));
}
