//! RFC 4475 section 3.1.2 and the refusals of section 3.3.

use super::{answered, dropped, refusal, request, wire};
use crate::message::{ParseErrorKind, StatusCode};

/// A sound OPTIONS whose lines starting with a header's name are replaced.
fn options(changes: &[&str]) -> Vec<u8> {
    let sound = [
        "OPTIONS sip:user@example.com SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.15;branch=z9hG4bKkdjuw2;rport",
        "From: <sip:caller@example.net>;tag=242etr",
        "To: <sip:user@example.com>",
        "Call-ID: rebuilt@example.net",
        "CSeq: 3234 OPTIONS",
        "Max-Forwards: 70",
        "Content-Length: 0",
    ];
    let name_of = |line: &str| line.split([':', ' ']).next().unwrap_or_default().to_owned();
    let mut lines: Vec<&str> = Vec::new();
    for line in sound {
        match changes
            .iter()
            .find(|change| name_of(change) == name_of(line))
        {
            Some(change) => lines.push(change),
            None => lines.push(line),
        }
    }
    let is_new = |change: &&&str| !sound.iter().any(|line| name_of(line) == name_of(change));
    lines.extend(changes.iter().filter(is_new));
    wire(&lines, b"")
}

#[test]
fn the_message_the_others_are_made_from_is_sound() {
    request(&options(&[]));
}

#[test]
fn badinv01_extraneous_separators_are_answered_400_to_what_is_left_of_the_via() {
    let bytes = options(&[
        "Via: SIP/2.0/UDP 192.0.2.15;;,;,,",
        "Contact: <sip:joe@example.com>;;;;",
    ]);
    let answer = answered(&bytes, StatusCode::BAD_REQUEST);
    assert_eq!(answer.headers.get("Via"), Some("SIP/2.0/UDP 192.0.2.15"));
    assert_eq!(answer.headers.call_id(), Some("rebuilt@example.net"));
}

#[test]
fn clerr_a_content_length_beyond_the_datagram_is_answered_400() {
    let bytes = options(&["Content-Length: 9999"]);
    assert_eq!(refusal(&bytes).kind, ParseErrorKind::ContentLength);
    answered(&bytes, StatusCode::BAD_REQUEST);
}

#[test]
fn ncl_a_negative_content_length_is_answered_400() {
    answered(&options(&["Content-Length: -999"]), StatusCode::BAD_REQUEST);
    answered(
        &options(&["Content-Length: 99999999999999999999999999"]),
        StatusCode::BAD_REQUEST,
    );
    answered(&options(&["Content-Length:"]), StatusCode::BAD_REQUEST);
}

#[test]
fn scalar02_an_overlarge_cseq_in_a_request_is_answered_400_and_echoed() {
    let answer = answered(
        &options(&["CSeq: 36893488147419103232 OPTIONS"]),
        StatusCode::BAD_REQUEST,
    );
    assert_eq!(
        answer.headers.get("CSeq"),
        Some("36893488147419103232 OPTIONS")
    );
    answered(&options(&["Max-Forwards: 300"]), StatusCode::BAD_REQUEST);
}

#[test]
fn scalarlg_an_overlarge_cseq_in_a_response_is_dropped() {
    dropped(&wire(
        &[
            "SIP/2.0 503 Service Unavailable",
            "Via: SIP/2.0/TCP host129.example.com;branch=z9hG4bKzzxdiwo34sw;received=192.0.2.129",
            "To: <sip:user@example.com>",
            "From: <sip:other@example.net>;tag=2easdjfejw",
            "CSeq: 9292394834772304023312 OPTIONS",
            "Call-ID: scalarlg.rebuilt",
            "Retry-After: 949302838503028349304023988",
            "Warning: 1812 overture \"In Progress\"",
            "Content-Length: 0",
        ],
        b"",
    ));
}

#[test]
fn quotbal_an_open_quote_is_answered_400() {
    answered(
        &options(&["To: \"Mr. J. User <sip:j.user@example.com>"]),
        StatusCode::BAD_REQUEST,
    );
}

#[test]
fn ltgtruri_a_bracketed_request_uri_is_answered_400() {
    let bytes = options(&["OPTIONS <sip:user@example.com> SIP/2.0"]);
    assert_eq!(refusal(&bytes).kind, ParseErrorKind::StartLine);
    answered(&bytes, StatusCode::BAD_REQUEST);
}

#[test]
fn lwsruri_white_space_in_the_request_uri_is_answered_400() {
    answered(
        &options(&["OPTIONS sip:user@example.com; lr SIP/2.0"]),
        StatusCode::BAD_REQUEST,
    );
}

#[test]
fn lwsstart_several_spaces_in_the_request_line_are_answered_400() {
    answered(
        &options(&["OPTIONS  sip:user@example.com  SIP/2.0"]),
        StatusCode::BAD_REQUEST,
    );
}

/// The RFC lets one ignore the spaces; refusing them keeps one reading of a request line.
#[test]
fn trws_spaces_after_the_sip_version_are_answered_400() {
    answered(
        &options(&["OPTIONS sip:user@example.com SIP/2.0  "]),
        StatusCode::BAD_REQUEST,
    );
}

/// The RFC lets one ignore the headers; a sender that means them would not be understood.
#[test]
fn escruri_headers_in_the_request_uri_are_answered_400() {
    answered(
        &options(&["OPTIONS sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0"]),
        StatusCode::BAD_REQUEST,
    );
}

/// The RFC lets one refuse or ignore it. Nothing here uses Date, and a call is worth more than its date.
#[test]
fn baddate_a_date_outside_gmt_is_ignored() {
    let date = "Fri, 01 Jan 2010 16:00:00 EST";
    let request = request(&options(&[&format!("Date: {date}")]));
    assert_eq!(request.headers.get("Date"), Some(date));
}

#[test]
fn regbadct_a_contact_with_headers_but_no_brackets_is_answered_400() {
    answered(
        &options(&["Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E"]),
        StatusCode::BAD_REQUEST,
    );
}

/// The RFC lets one guess; we do not.
#[test]
fn badaspec_spaces_within_the_brackets_are_answered_400() {
    answered(
        &options(&["To: \"Watson, Thomas\" < sip:t.watson@example.org >"]),
        StatusCode::BAD_REQUEST,
    );
}

/// The RFC lets one guess; a comma there may as well start a second value.
#[test]
fn baddn_a_comma_in_an_unquoted_display_name_is_answered_400() {
    answered(
        &options(&["From: Bell, Alexander <sip:a.g.bell@example.com>;tag=43"]),
        StatusCode::BAD_REQUEST,
    );
}

#[test]
fn badvers_an_unknown_protocol_version_is_answered_505() {
    answered(
        &options(&[
            "OPTIONS sip:t.watson@example.org SIP/7.0",
            "Via: SIP/7.0/UDP c.example.com;branch=z9hG4bKkdjuw",
        ]),
        StatusCode::VERSION_NOT_SUPPORTED,
    );
}

#[test]
fn mismatch01_a_cseq_that_names_another_method_is_answered_400() {
    let bytes = options(&["CSeq: 8 INVITE"]);
    assert_eq!(refusal(&bytes).kind, ParseErrorKind::MethodMismatch);
    answered(&bytes, StatusCode::BAD_REQUEST);
}

/// 501 would do as well.
#[test]
fn mismatch02_the_same_with_an_unknown_method_is_answered_400() {
    let bytes = String::from_utf8(options(&["CSeq: 8 INVITE"])).unwrap();
    answered(
        bytes.replacen("OPTIONS", "NEWMETHOD", 1).as_bytes(),
        StatusCode::BAD_REQUEST,
    );
}

#[test]
fn bigcode_a_status_code_beyond_its_range_is_dropped() {
    for code in ["4294967301", "099", "700", "20", "2 0", "-20", "+20"] {
        dropped(&wire(
            &[
                &format!("SIP/2.0 {code} better not break the receiver"),
                "Via: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe",
                "Call-ID: bigcode.rebuilt@203.0.113.14",
                "CSeq: 353494 INVITE",
                "From: <sip:user@example.com>;tag=39ansfi3",
                "To: <sip:user@example.edu>;tag=902jndnke3",
                "Content-Length: 0",
            ],
            b"",
        ));
    }
}

#[test]
fn insuf_missing_headers_are_answered_400_with_what_there_is() {
    let answer = answered(
        &wire(
            &[
                "INVITE sip:user@example.com SIP/2.0",
                "CSeq: 193942 INVITE",
                "Via: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf",
                "Content-Length: 0",
            ],
            b"",
        ),
        StatusCode::BAD_REQUEST,
    );
    assert_eq!(answer.headers.get("CSeq"), Some("193942 INVITE"));
    assert!(!answer.headers.contains("From"));
}

#[test]
fn unkscm_and_novelsc_unknown_schemes_in_the_request_uri_are_answered_416() {
    for uri in [
        "nobodyKnowsThisScheme:totallyopaquecontent",
        "soap.beep://192.0.2.103:3002",
    ] {
        answered(
            &options(&[&format!("OPTIONS {uri} SIP/2.0")]),
            StatusCode::UNSUPPORTED_URI_SCHEME,
        );
    }
    request(&options(&["OPTIONS tel:+358-555-1234567 SIP/2.0"]));
}

#[test]
fn multi01_repeated_single_value_headers_are_answered_400() {
    for (name, value) in [
        ("From", "<sip:other@example.net>;tag=2"),
        ("To", "<sip:other@example.net>"),
        ("i", "other@example.net"),
        ("CSeq", "59 OPTIONS"),
        ("Max-Forwards", "5"),
    ] {
        let mut bytes = options(&[]);
        bytes.truncate(bytes.len() - 2);
        bytes.extend_from_slice(format!("{name}: {value}\r\n\r\n").as_bytes());
        assert_eq!(
            refusal(&bytes).kind,
            ParseErrorKind::RepeatedHeader,
            "{name}"
        );
        answered(&bytes, StatusCode::BAD_REQUEST);
    }
}

#[test]
fn mcl01_two_content_lengths_are_answered_400() {
    answered(&options(&["l: 0"]), StatusCode::BAD_REQUEST);
    answered(
        &options(&["Content-Length: 0\r\nContent-Length: 4"]),
        StatusCode::BAD_REQUEST,
    );
}

#[test]
fn an_ack_is_never_answered_however_damaged() {
    let bytes = String::from_utf8(options(&["Content-Length: 9999"])).unwrap();
    dropped(bytes.replace("OPTIONS", "ACK").as_bytes());
    dropped(&options(&[
        "OPTIONS <sip:user@example.com> SIP/2.0",
        "CSeq: 1 ACK",
    ]));
    dropped(bytes.replacen("OPTIONS", "ACK", 1).as_bytes());
}

#[test]
fn a_request_without_a_readable_via_is_dropped() {
    dropped(&options(&["Via: nonsense"]));
    let bytes = String::from_utf8(options(&[])).unwrap();
    dropped(bytes.replace("Via:", "X-Via:").as_bytes());
}
