//! What rsip's own parser refuses or loses, one test each: the reason the wire is ours.

use super::torture::{answered, refusal, request, response, wire};
use super::{
    MAX_HEADER_BYTES, MAX_HEADERS, MAX_MESSAGE_BYTES, MAX_URI_BYTES, Message, Method,
    ParseErrorKind, Request, Response, StatusCode, Uri, parse_datagram,
};

const INVITE: [&str; 6] = [
    "INVITE sip:agent@127.0.0.1 SIP/2.0",
    "Via: SIP/2.0/UDP 127.0.0.1:5062;branch=z9hG4bK776asdhds;rport",
    "From: \"Alice\" <sip:alice@127.0.0.1>;tag=1928301774",
    "To: <sip:agent@127.0.0.1>",
    "Call-ID: a84b4c76e66710",
    "CSeq: 314159 INVITE",
];

/// The INVITE above with more lines.
fn invite(lines: &[&str], body: &[u8]) -> Vec<u8> {
    wire(&[&INVITE, lines].concat(), body)
}

fn read(lines: &[&str]) -> Request {
    request(&invite(lines, b""))
}

#[test]
fn compact_names_are_their_long_ones() {
    let invite = request(&wire(
        &[
            "INVITE sip:agent@h SIP/2.0",
            "v: SIP/2.0/UDP h;branch=z9hG4bK1",
            "f: <sip:a@h>;tag=1",
            "t: <sip:b@h>",
            "i: id",
            "CSeq: 1 INVITE",
            "m: <sip:a@h>",
            "c: application/sdp",
            "k: timer",
            "l: 3",
        ],
        b"v=0 and more",
    ));
    assert_eq!(invite.headers.call_id(), Some("id"));
    assert_eq!(invite.headers.content_type(), Some("application/sdp"));
    assert_eq!(invite.headers.supported(), ["timer"]);
    assert_eq!(invite.headers.contacts().unwrap().len(), 1);
    assert_eq!(invite.body, b"v=0");
}

#[test]
fn folded_lines_are_joined_by_one_space() {
    let invite = read(&[
        "Subject: I know\t ",
        " \t you're there,",
        "\tpick up",
        "X: 1",
    ]);
    assert_eq!(
        invite.headers.get("Subject"),
        Some("I know you're there, pick up")
    );
    assert_eq!(invite.headers.get("X"), Some("1"));
}

#[test]
fn white_space_may_stand_before_the_colon() {
    assert_eq!(
        read(&["X-Own \t : \t value"]).headers.get("X-Own"),
        Some("value")
    );
}

#[test]
fn ipv6_hosts_are_read() {
    let invite = read(&["Contact: <sip:alice@[2001:db8::1]:5070;transport=udp>"]);
    let contact = &invite.headers.contacts().unwrap()[0].uri;
    assert_eq!(contact.host().unwrap().to_string(), "[2001:db8::1]");
    assert_eq!(
        (contact.port(), contact.transport()),
        (Some(5070), Some("udp"))
    );
}

#[test]
fn tel_and_urn_uris_are_kept_verbatim() {
    for uri in [
        "tel:+1-201-555-0123;phone-context=example.com",
        "urn:service:sos",
    ] {
        let line = format!("INVITE {uri} SIP/2.0");
        let mut lines = INVITE;
        lines[0] = &line;
        let from = format!("From: <{uri}>;tag=1");
        lines[2] = &from;
        let invite = request(&wire(&lines, b""));
        assert!(matches!(invite.uri, Uri::Other(_)));
        assert_eq!(invite.uri.to_string(), uri);
        assert_eq!(invite.headers.from_().unwrap().uri.to_string(), uri);
    }
}

#[test]
fn quoted_parameters_keep_their_separators() {
    let contact = r#"<sip:a@h>;+sip.instance="<urn:uuid:0;1,2>";reg-id=1"#;
    let invite = read(&[&format!("Contact: {contact}, <sip:b@h>")]);
    let contacts = invite.headers.contacts().unwrap();
    assert_eq!(contacts.len(), 2);
    assert_eq!(
        contacts[0]
            .parameters
            .get_unquoted("+sip.instance")
            .unwrap(),
        "<urn:uuid:0;1,2>"
    );
    assert_eq!(contacts[0].parameters.get("reg-id"), Some("1"));
    assert_eq!(invite.headers.get("Contact"), Some(contact));
}

#[test]
fn received_with_ipv6_leaves_the_branch_alone() {
    let mut lines = INVITE;
    lines[1] =
        "Via: SIP/2.0/UDP [2001:db8::1]:5062;received=2001:db8::9;branch=z9hG4bKkept;rport=5066";
    let via = request(&wire(&lines, b"")).headers.top_via().unwrap();
    assert_eq!(via.branch(), Some("z9hG4bKkept"));
    assert_eq!(via.received(), Some("2001:db8::9".parse().unwrap()));
    assert_eq!(via.rport(), Some(Some(5066)));
}

#[test]
fn a_space_before_the_branch_is_no_part_of_it() {
    let mut lines = INVITE;
    lines[1] = "Via: SIP/2.0/UDP 127.0.0.1:5062 ; branch = z9hG4bKspaced ;rport";
    let via = request(&wire(&lines, b"")).headers.top_via().unwrap();
    assert_eq!(
        (via.branch(), via.port),
        (Some("z9hG4bKspaced"), Some(5062))
    );
}

#[test]
fn comma_lists_and_repeated_lines_are_the_same() {
    let one = read(&[
        "Record-Route: <sip:p1;lr>, \"P, 2\" <sip:p2;lr>",
        "Route: <sip:r1;lr> ,<sip:r2;lr>",
        "Allow: INVITE, ACK",
        "Require: a,b",
        "Supported: c , d",
    ]);
    let many = read(&[
        "Record-Route: <sip:p1;lr>",
        "Record-Route: \"P, 2\" <sip:p2;lr>",
        "Route: <sip:r1;lr>",
        "Route: <sip:r2;lr>",
        "Allow: INVITE",
        "Allow: ACK",
        "Require: a",
        "Require: b",
        "Supported: c",
        "k: d",
    ]);
    for invite in [one, many] {
        assert_eq!(
            invite.headers.record_routes().unwrap()[1]
                .display
                .as_deref(),
            Some("P, 2")
        );
        assert_eq!(
            invite.headers.routes().unwrap()[1].uri.to_string(),
            "sip:r2;lr"
        );
        assert_eq!(
            invite.headers.tokens("Allow").collect::<Vec<_>>(),
            ["INVITE", "ACK"]
        );
        assert_eq!(invite.headers.require(), ["a", "b"]);
        assert_eq!(invite.headers.supported(), ["c", "d"]);
    }
}

#[test]
fn several_vias_in_one_line_are_several() {
    let mut lines = INVITE;
    lines[1] = "Via: SIP/2.0/UDP a;branch=z9hG4bK1;x=\"p,q\", SIP/2.0/TCP b:5061;branch=z9hG4bK2";
    let invite = request(&wire(&lines, b""));
    let vias = invite.headers.vias().unwrap();
    assert_eq!(vias.len(), 2);
    assert_eq!((&*vias[1].transport, vias[1].port), ("TCP", Some(5061)));
}

#[test]
fn unknown_methods_are_kept() {
    let mut lines = INVITE;
    lines[0] = "PING sip:agent@127.0.0.1 SIP/2.0";
    lines[5] = "CSeq: 1 PING";
    let ping = request(&wire(&lines, b""));
    assert!(matches!(ping.method, Method::Extension(_)));
    assert!(
        ping.to_bytes()
            .starts_with(b"PING sip:agent@127.0.0.1 SIP/2.0\r\n")
    );
    assert_eq!(ping.headers.cseq().unwrap().method, ping.method);
}

#[test]
fn a_digest_with_sha_256_is_kept_verbatim() {
    let challenge = r#"Digest realm="a, b", algorithm=SHA-256, qop="auth,auth-int", nonce="x""#;
    let invite = read(&[
        &format!("Proxy-Authenticate: {challenge}"),
        &format!("WWW-Authenticate: {challenge}"),
    ]);
    assert_eq!(invite.headers.get("Proxy-Authenticate"), Some(challenge));
    assert_eq!(invite.headers.get("www-authenticate"), Some(challenge));
}

#[test]
fn headers_of_a_uri_after_its_parameters_are_kept() {
    let refer_to = "<sip:bob@h;method=INVITE?Replaces=1%3Bto-tag%3D2&X=1>";
    let invite = read(&[
        &format!("Refer-To: {refer_to}"),
        &format!("Contact: {refer_to}"),
    ]);
    let contact = &invite.headers.contacts().unwrap()[0];
    assert_eq!(
        contact.uri.sip().unwrap().headers.as_deref(),
        Some("Replaces=1%3Bto-tag%3D2&X=1")
    );
    assert_eq!(contact.to_string(), refer_to);
}

#[test]
fn content_length_bounds_the_body_and_without_it_the_datagram_does() {
    assert_eq!(
        request(&invite(&["Content-Length: 4"], b"bodyrest")).body,
        b"body"
    );
    assert_eq!(request(&invite(&[], b"bodyrest")).body, b"bodyrest");
    answered(
        &invite(&["Content-Length: 9"], b"bodyrest"),
        StatusCode::BAD_REQUEST,
    );
}

#[test]
fn binary_bodies_stay_as_they_are_both_ways() {
    let body: Vec<u8> = (0..=255).chain([0xff, 0xfe, b'\r', b'\n', 0]).collect();
    let read = request(&invite(&["Content-Type: application/octet-stream"], &body));
    assert_eq!(read.body, body);
    assert_eq!(
        parse_datagram(&read.to_bytes()),
        Ok(Some(Message::Request(read)))
    );
}

#[test]
fn line_breaks_before_a_message_are_skipped_and_alone_are_a_keep_alive() {
    for keep_alive in [&b"\r\n\r\n"[..], b"\r\n", b"", b"\0", b"\0\0\0\0", b"\n"] {
        assert_eq!(parse_datagram(keep_alive), Ok(None));
    }
    let mut bytes = b"\r\n\r\n".to_vec();
    bytes.extend(invite(&[], b""));
    request(&bytes);
}

#[test]
fn latin_1_in_a_name_does_not_cost_the_call() {
    let mut bytes = invite(&["X-Name: "], b"");
    let end = bytes.len() - 4;
    bytes.splice(end..end, *b"Jos\xe9");
    assert_eq!(request(&bytes).headers.get("X-Name"), Some("José"));
}

#[test]
fn lines_that_end_in_a_bare_line_feed_are_lines() {
    let text = String::from_utf8(invite(&["X: 1"], b""))
        .unwrap()
        .replace('\r', "");
    assert_eq!(request(text.as_bytes()).headers.get("X"), Some("1"));
}

#[test]
fn a_bare_carriage_return_hides_no_header() {
    answered(&invite(&["X: 1\rEvil: yes"], b""), StatusCode::BAD_REQUEST);
}

#[test]
fn a_carriage_return_in_a_reason_phrase_is_refused() {
    let whole = Response::to_request(&read(&[]), StatusCode::OK).to_bytes();
    let text = String::from_utf8(whole).unwrap();
    for reason in ["OK\r", "O\rK", "OK\r\t"] {
        let error = refusal(text.replacen("OK", reason, 1).as_bytes());
        assert_eq!(
            (error.kind, error.answer),
            (ParseErrorKind::StartLine, None)
        );
    }
}

#[test]
fn a_head_that_does_not_end_is_answered_with_what_was_there() {
    let whole = invite(&["X: 1"], b"");
    let error = refusal(&whole[..whole.len() - 2]);
    assert_eq!(error.kind, ParseErrorKind::Incomplete);
    assert!(error.answer.is_some());
}

#[test]
fn what_is_not_sip_is_never_answered() {
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"[..],
        b"\x80\x00\x12\x34rtp",
        b"\x00\x01\x00\x00\x21\x12\xa4\x42",
        b"INVITE\r\n\r\n",
        b"jaK",
    ] {
        let error = refusal(bytes);
        assert_eq!((error.kind, error.answer), (ParseErrorKind::NotSip, None));
    }
}

#[test]
fn each_limit_has_its_own_clear_error() {
    let large = invite(&[], &vec![b'x'; MAX_MESSAGE_BYTES]);
    assert_eq!(refusal(&large).kind, ParseErrorKind::MessageTooLarge);

    let many = vec!["X: 1"; MAX_HEADERS];
    assert_eq!(
        refusal(&invite(&many, b"")).kind,
        ParseErrorKind::TooManyHeaders
    );
    request(&invite(&many[..MAX_HEADERS - INVITE.len() + 1], b""));
    let listed = format!("Route: {}", vec!["<sip:h>"; MAX_HEADERS].join(","));
    assert_eq!(
        refusal(&invite(&[&listed], b"")).kind,
        ParseErrorKind::TooManyHeaders
    );

    let long = format!("X: {}", "x".repeat(MAX_HEADER_BYTES + 1));
    assert_eq!(
        refusal(&invite(&[&long], b"")).kind,
        ParseErrorKind::HeaderTooLong
    );
    let folded = format!("X: {}", "x\r\n ".repeat(MAX_HEADER_BYTES));
    assert_eq!(
        refusal(&invite(&[&folded], b"")).kind,
        ParseErrorKind::HeaderTooLong
    );

    let line = format!("INVITE sip:{}@h SIP/2.0", "x".repeat(MAX_URI_BYTES));
    let mut lines = INVITE;
    lines[0] = &line;
    answered(&wire(&lines, b""), StatusCode::REQUEST_URI_TOO_LONG);
}

#[test]
fn an_error_names_the_element_and_never_its_content() {
    let error = refusal(&invite(&["Contact: secret < name@h"], b""));
    assert_eq!(error.to_string(), "malformed header: Contact");
}

#[test]
fn a_response_copies_what_rfc_3261_section_8_2_6_2_lists_and_no_more() {
    let invite = read(&[
        "Via: SIP/2.0/UDP far;branch=z9hG4bK2",
        "Record-Route: <sip:p;lr>",
        "Contact: <sip:a@h>",
    ]);
    let ringing = Response::to_request(&invite, StatusCode::RINGING);
    assert_eq!(ringing.reason, "Ringing");
    let names: Vec<&str> = ringing.headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Via", "Via", "From", "To", "Call-ID", "CSeq"]);
    assert_eq!(
        ringing.headers.vias().unwrap(),
        invite.headers.vias().unwrap()
    );
}

#[test]
fn a_100_copies_the_timestamp_and_no_other_response_does() {
    let invite = read(&["Timestamp: 54"]);
    let copied = |status| {
        Response::to_request(&invite, status)
            .headers
            .contains("Timestamp")
    };
    assert!(copied(StatusCode::TRYING) && !copied(StatusCode::OK));
}

#[test]
fn a_start_line_is_one_line() {
    let text = String::from_utf8(invite(&[], b"")).unwrap();
    let folded = text.replacen("\r\n", "\r\n ", 1);
    assert_eq!(refusal(folded.as_bytes()).kind, ParseErrorKind::StartLine);
}

#[test]
fn a_response_is_written_in_order_with_its_length_and_cannot_be_split() {
    let mut busy = Response::new(StatusCode::BUSY_HERE);
    busy.reason = "Busy\r\nEvil: yes".to_owned();
    busy.headers.push("v", "SIP/2.0/UDP h;branch=z9hG4bK1");
    busy.headers.push("From", "<sip:a@h>;tag=1");
    busy.headers.push("Content-Length", "99");
    busy.headers.push("To", "<sip:b@h>;tag=2\r\n\r\nX: y");
    busy.headers.push("Call-ID", "i");
    busy.headers.push("CSeq", "1 INVITE");
    busy.body = b"abc".to_vec();
    let bytes = busy.to_bytes();
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        "SIP/2.0 486 Busy  Evil: yes\r\n\
         Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\
         From: <sip:a@h>;tag=1\r\n\
         To: <sip:b@h>;tag=2    X: y\r\n\
         Call-ID: i\r\n\
         CSeq: 1 INVITE\r\n\
         Content-Length: 3\r\n\r\nabc"
    );
}

#[test]
fn a_message_is_written_into_one_allocation() {
    let invite = request(&invite(
        &["Contact: <sip:alice@[2001:db8::1]:5070>", "X: y"],
        &[7; 900],
    ));
    let written = invite.to_bytes();
    // A buffer that had to grow would have doubled.
    assert!(written.capacity() < written.len() + 400);
    let answer = Response::to_request(&invite, StatusCode::OK).to_bytes();
    assert!(answer.capacity() < answer.len() + 200);
    response(&answer);
}
