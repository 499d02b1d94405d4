//! INVITEs of different networks, and who calls by each.

use offhook_sip::message::{Message, parse_datagram};

use super::*;

/// An INVITE with these headers besides Via, To and CSeq.
fn invite(headers: &[&str]) -> Request {
    let mut text = "INVITE sip:echo@192.0.2.1 SIP/2.0\r\nv: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n\
                    t: <sip:echo@192.0.2.1>\r\nCSeq: 1 INVITE\r\ni: 1@192.0.2.9\r\nMax-Forwards: 70\r\n"
        .to_owned();
    for header in headers {
        text += header;
        text += "\r\n";
    }
    text += "\r\n";
    match parse_datagram(text.as_bytes()) {
        Ok(Some(Message::Request(request))) => request,
        other => panic!("{other:?}"),
    }
}

const FROM: &str = "From: \"Ann\" <sip:+4930123@carrier.example>;tag=1";

/// Number, name and where they stand.
fn caller(headers: &[&str]) -> (Option<String>, Option<String>, Option<IdentitySource>) {
    let facts = identity_of(&invite(headers));
    let exposed = |text: Option<Pii<String>>| text.map(Pii::into_inner);
    (exposed(facts.number), exposed(facts.name), facts.said_by)
}

fn number(headers: &[&str]) -> Option<String> {
    caller(headers).0
}

#[test]
fn without_any_other_header_from_says_who_calls() {
    assert_eq!(
        caller(&[FROM]),
        (
            Some("+4930123".to_owned()),
            Some("Ann".to_owned()),
            Some(IdentitySource::From)
        )
    );
}

#[test]
fn the_most_trusted_header_says_who_calls() {
    let preferred = "P-Preferred-Identity: <sip:1@carrier.example>";
    let remote =
        "Remote-Party-ID: \"R\" <sip:2@carrier.example>;party=calling;screen=yes;privacy=off";
    let asserted = "P-Asserted-Identity: \"A\" <sip:3@carrier.example>, <tel:+3>";
    assert_eq!(number(&[FROM, preferred]).as_deref(), Some("1"));
    assert_eq!(number(&[FROM, preferred, remote]).as_deref(), Some("2"));
    assert_eq!(
        caller(&[FROM, preferred, remote, asserted]),
        (
            Some("3".to_owned()),
            Some("A".to_owned()),
            Some(IdentitySource::Asserted)
        )
    );
    let called = "Remote-Party-ID: <sip:4@carrier.example>;party=called";
    assert_eq!(number(&[FROM, called]).as_deref(), Some("+4930123"));
    let without_user = "P-Asserted-Identity: <sip:carrier.example>";
    assert_eq!(number(&[FROM, without_user]).as_deref(), Some("+4930123"));
}

#[test]
fn wound_68_the_number_is_found_where_from_has_an_account() {
    let found = caller(&[
        "From: <sip:1234567e0@sipgate.example>;tag=1",
        "P-Preferred-Identity: <sip:+4930123@sipgate.example>",
    ]);
    assert_eq!(found.0.as_deref(), Some("+4930123"));
    assert_eq!(found.2, Some(IdentitySource::Preferred));
}

#[test]
fn wound_69_privacy_is_honoured_whichever_header_carries_the_number() {
    let asserted = "P-Asserted-Identity: \"Ann\" <sip:+4930123@carrier.example>";
    let anonymous = "From: \"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1";
    for headers in [
        &[FROM, "Privacy: id"][..],
        &[FROM, asserted, "Privacy: id"],
        &[anonymous, asserted, "Privacy: id; critical"],
        &[anonymous, asserted],
        &[FROM, asserted, "Privacy: USER"],
        &[FROM, "Remote-Party-ID: <sip:1@c.example>;privacy=full"],
        &[
            FROM,
            "Remote-Party-ID: <sip:1@c.example>;privacy=\"uri-network\"",
        ],
    ] {
        let facts = identity_of(&invite(headers));
        assert!(facts.private, "{headers:?}");
        assert_eq!(
            (facts.number, facts.name, facts.said_by),
            (None, None, None)
        );
    }
    let open = identity_of(&invite(&[FROM, asserted, "Privacy: none"]));
    assert!(!open.private && open.number.is_some());
}

#[test]
fn wound_70_compact_mixed_and_unknown_headers_hide_no_caller() {
    let found = number(&[
        "f: <sip:+13125550100@sip.carrier.example>;tag=1",
        "m: <sip:+13125550100@192.0.2.9>",
        "P-Charging-Vector: icid-value=\"a1;b=2\";icid-generated-at=192.0.2.9;orig-ioi=c.example",
        "P-Asserted-Identity: <sip:+13125550111;cpc=ordinary@sip.carrier.example;user=phone>",
        "l: 0",
    ]);
    assert_eq!(found.as_deref(), Some("+13125550111"));
}

#[test]
fn who_sent_the_call_on_is_told_the_last_one_first() {
    let numbers = |headers: &[&str]| {
        let facts = identity_of(&invite(headers));
        facts
            .diverted_by
            .into_iter()
            .map(|diverted| (diverted.number.into_inner(), diverted.reason))
            .collect::<Vec<_>>()
    };
    let diversion = "Diversion: <sip:+492@c.example>;reason=no-answer;counter=1, <tel:+491>;reason=\"user-busy\"";
    assert_eq!(
        numbers(&[FROM, diversion]),
        [
            ("+492".to_owned(), Some("no-answer".to_owned())),
            ("+491".to_owned(), Some("user-busy".to_owned()))
        ]
    );
    let history = "History-Info: <sip:+491@c.example>;index=1, \
                   <sip:+492@c.example?Privacy=history>;index=1.1, <sip:+493@c.example>;index=1.2, \
                   <sip:echo@192.0.2.1>;index=1.3";
    let found: Vec<String> = numbers(&[FROM, history])
        .into_iter()
        .map(|(number, _)| number)
        .collect();
    assert_eq!(found, ["+493", "+491"]);
    assert!(numbers(&[FROM, history, "Privacy: history"]).is_empty());
    let many = format!("Diversion: {}", vec!["<tel:+49>"; 60].join(","));
    assert_eq!(numbers(&[FROM, &many]).len(), DIVERSIONS);
}

#[test]
fn a_signature_is_told_and_believed_by_nobody() {
    let signed = identity_of(&invite(&[
        FROM,
        "Identity: eyJ.x.y;info=<https://c.example/k>;alg=ES256",
    ]));
    assert!(signed.signed);
    assert!(!identity_of(&invite(&[FROM])).signed);
}

#[test]
fn the_far_ends_own_headers_are_passed_on_within_bounds() {
    let own = custom_headers(&invite(&[
        FROM,
        "X-Customer: 17",
        "x-queue: sales",
        "Subject: no",
    ]));
    let own: Vec<(&str, &str)> = own
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose().as_str()))
        .collect();
    assert_eq!(own, [("X-Customer", "17"), ("x-queue", "sales")]);
    let many: Vec<String> = (0..100).map(|n| format!("X-{n}: value")).collect();
    let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
    many.push(FROM);
    assert_eq!(custom_headers(&invite(&many)).len(), 32);
    let long = format!("X-Long: {}", "x".repeat(3_000));
    assert_eq!(
        custom_headers(&invite(&[FROM, &long, &long, "X-Late: 1"])).len(),
        1
    );
}

#[test]
fn a_log_learns_nothing_of_who_calls() {
    let facts = identity_of(&invite(&[FROM, "Diversion: <tel:+491234>"]));
    let own = custom_headers(&invite(&[FROM, "X-Secret: 4711"]));
    let logged = format!("{facts:?}{own:?}");
    assert!(
        !["4930123", "Ann", "491234", "4711"]
            .iter()
            .any(|secret| logged.contains(secret)),
        "{logged}"
    );
}

#[test]
fn a_number_is_the_same_however_its_address_is_written() {
    let user = |text| user_of(&Uri::parse(text).unwrap());
    assert_eq!(user("sip:+4930123@192.0.2.1"), "+4930123");
    assert_eq!(user("sip:%2B4930123@192.0.2.1"), "+4930123");
    assert_eq!(user("sip:+4930123;npdi@192.0.2.1"), "+4930123");
    assert_eq!(user("tel:+4930123;phone-context=example.com"), "+4930123");
    assert_eq!(user("sip:192.0.2.1"), "");
    assert_eq!(user("urn:service:sos"), "");
}
