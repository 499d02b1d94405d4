use super::*;

fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn every_part_of_a_sip_uri_is_read_and_written_back() {
    let text = "sips:alice:secret@[2001:db8::1]:5061;transport=tls;lr?subject=x&to=y";
    let Uri::Sip(parts) = uri(text) else {
        panic!("a sip URI")
    };
    assert!(parts.secure);
    assert_eq!(parts.user.as_deref(), Some("alice"));
    assert_eq!(parts.password.as_deref(), Some("secret"));
    assert_eq!(parts.host, Host::V6("2001:db8::1".parse().unwrap()));
    assert_eq!(parts.port, Some(5061));
    assert_eq!(parts.headers.as_deref(), Some("subject=x&to=y"));
    assert_eq!(parts.to_string(), text);
    assert_eq!(uri(text).transport(), Some("tls"));
    assert!(uri(text).is_lr());
}

#[test]
fn a_user_may_hold_semicolons_question_marks_and_escapes() {
    let parsed = uri("sip:user;par=u%40example.net?x@example.com");
    assert_eq!(parsed.user(), Some("user;par=u%40example.net?x"));
    assert_eq!(
        parsed.sip().unwrap().user_unescaped().unwrap(),
        "user;par=u@example.net?x"
    );
    assert!(parsed.sip().unwrap().parameters.is_empty());
}

#[test]
fn other_schemes_stay_verbatim() {
    for text in [
        "tel:+358-555-1234567;postd=pp22",
        "urn:service:sos.fire",
        "nobodyKnowsThisScheme:totallyopaquecontent",
        "soap.beep://192.0.2.103:3002",
    ] {
        assert_eq!(uri(text).to_string(), text);
        assert!(uri(text).sip().is_none());
    }
    assert_eq!(uri("TEL:1").scheme(), "TEL");
}

#[test]
fn what_is_no_uri_is_refused() {
    for text in [
        "",
        "sip:",
        "sip",
        "alice@example.com",
        "sip:a b@h",
        "<sip:h>",
        "sip:h\r\n",
        "sip:a@b@c",
        "sip:h:port",
        "sip:2001:db8::1",
        "1tel:5",
        "tel:",
        "sip:h;;lr",
        "sip:h;=x",
        "sip:\"a\"@h",
        "sip:h\0",
    ] {
        assert!(Uri::parse(text).is_err(), "{text:?}");
    }
    assert!(Uri::parse(&format!("sip:{}@h", "a".repeat(MAX_URI_BYTES))).is_err());
}

#[test]
fn a_part_set_by_us_cannot_end_the_uri() {
    let mut parts = SipUri::new(Host::Name("h> SIP/2.0\r\n".to_owned()), None);
    parts.user = Some("a\r\nVia: b>".to_owned());
    assert_eq!(
        parts.to_string(),
        "sip:a%0D%0AVia:%20b%3E@h%3E%20SIP/2.0%0D%0A"
    );
}

#[test]
fn equivalence_follows_the_examples_of_rfc_3261_section_19_1_4() {
    for (one, two) in [
        (
            "sip:%61lice@atlanta.com;transport=TCP",
            "sip:alice@AtLanTa.CoM;Transport=tcp",
        ),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:carol@chicago.com;newparam=5",
            "sip:carol@chicago.com;security=on",
        ),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=a",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=a",
        ),
        (
            "sip:a@h?subject=x&priority=urgent",
            "sip:a@h?priority=urgent&subject=x",
        ),
        ("TEL:+1", "tel:+1"),
    ] {
        assert!(uri(one).equivalent(&uri(two)), "{one} {two}");
        assert!(uri(two).equivalent(&uri(one)), "{two} {one}");
    }
    for (one, two) in [
        (
            "SIP:ALICE@AtLanTa.CoM;Transport=udp",
            "sip:alice@AtLanTa.CoM;Transport=UDP",
        ),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        (
            "sip:bob@biloxi.com",
            "sip:bob@biloxi.com:6000;transport=tcp",
        ),
        (
            "sip:carol@chicago.com",
            "sip:carol@chicago.com?Subject=next%20meeting",
        ),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;security=off",
        ),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:a@h", "sips:a@h"),
        ("sip:h", "tel:1"),
    ] {
        assert!(!uri(one).equivalent(&uri(two)), "{one} {two}");
        assert!(!uri(two).equivalent(&uri(one)), "{two} {one}");
    }
}
