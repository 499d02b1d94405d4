//! RFC 4475 section 3.1.1: odd, and valid all the same. And those of section 3.3 that the wire
//! layer must let through for others to judge.

use super::{request, response, wire};
use crate::message::{Method, Uri};

const BASE: [&str; 6] = [
    "Via: SIP/2.0/UDP edge.example.com;branch=z9hG4bKbase",
    "From: <sip:caller@example.com>;tag=base-from",
    "To: <sip:callee@example.com>",
    "Call-ID: base@example.com",
    "Max-Forwards: 70",
    "Content-Length: 0",
];

#[test]
fn wsinv_a_short_tortuous_invite_is_read_in_full() {
    let invite = request(&wire(
        &[
            "INVITE sip:agent@desk.example.com;unknownparam SIP/2.0",
            "TO :",
            " sip:agent@desk.example.com ;   tag    = 7361m",
            "from   : \"A \\\\\\\" Caller \\\\\"       <sip:caller@example.com>",
            "  ;",
            "  tag = 98asjd8",
            "MaX-fOrWaRdS: 0068",
            "Call-ID: wsinv.rebuilt@192.0.2.1",
            "Content-Length   : 6",
            "cseq: 0009",
            "  INVITE",
            "Via  : SIP  /   2.0",
            " /UDP",
            "    192.0.2.2;branch=390skdjuw",
            "s :",
            "NewFangledHeader:   newfangled value",
            " continued newfangled value",
            "UnknownHeaderWithUnusualValue: ;;,,;;,;",
            "Content-Type: application/sdp",
            "Route:",
            " <sip:services.example.com;lr;unknownwith=value;unknown-no-value>",
            "v:  SIP  / 2.0  / TCP     spindle.example.com   ;",
            "  branch  =   z9hG4bK9ikj8  ,",
            " SIP  /    2.0   / UDP  192.168.255.111   ; branch=",
            " z9hG4bK30239",
            "m:\"Quoted string \\\"\\\"\" <sip:caller@example.com> ; newparam =",
            "      newvalue ;",
            "  secondparam ; q = 0.33",
        ],
        b"v=0\r\n\t",
    ));
    assert_eq!(invite.method, Method::Invite);
    assert_eq!(invite.headers.to().unwrap().tag(), Some("7361m"));
    let from = invite.headers.from_().unwrap();
    assert_eq!(from.display.as_deref(), Some("A \\\" Caller \\"));
    assert_eq!(from.tag(), Some("98asjd8"));
    assert_eq!(invite.headers.max_forwards(), Some(68));
    assert_eq!(invite.headers.cseq().unwrap().to_string(), "9 INVITE");
    let vias: Vec<String> = invite
        .headers
        .vias()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        vias,
        [
            "SIP/2.0/UDP 192.0.2.2;branch=390skdjuw",
            "SIP/2.0/TCP spindle.example.com;branch=z9hG4bK9ikj8",
            "SIP/2.0/UDP 192.168.255.111;branch=z9hG4bK30239",
        ]
    );
    assert_eq!(invite.headers.get("Subject"), Some(""));
    assert_eq!(
        invite.headers.get("newfangledheader"),
        Some("newfangled value continued newfangled value")
    );
    assert_eq!(
        invite.headers.get("UnknownHeaderWithUnusualValue"),
        Some(";;,,;;,;")
    );
    assert!(invite.headers.routes().unwrap()[0].uri.is_lr());
    let contacts = invite.headers.contacts().unwrap();
    assert_eq!(contacts[0].display.as_deref(), Some("Quoted string \"\""));
    assert_eq!(contacts[0].parameters.get("q"), Some("0.33"));
    assert_eq!(contacts[0].parameters.get("newparam"), Some("newvalue"));
    assert_eq!(invite.body, b"v=0\r\n\t");
}

#[test]
fn intmeth_the_wide_range_of_valid_characters_is_kept() {
    let odd = request(&wire(
        &[
            "!odd-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*\
             :&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0",
            "Via: SIP/2.0/UDP host1.example.com;branch=z9hG4bK-.!%66*_+`'~",
            "To: \"BEL:\\\u{7} NUL:\\\0 DEL:\\\u{7f}\" <sip:1_unusual.URI~(to-be!sure)@example.com>",
            "From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>\
             ;fromParam''~+*_!.-%=\"\u{440}\u{430}\u{431}\u{43e}\u{442}\";tag=_token~1'+`*%!-.",
            "Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
            "CSeq: 139122385 !odd-Method0123456789_*+`.%indeed'~",
            "Max-Forwards: 255",
            "extensionHeader-!.%*+_`'~: \u{fffd}\u{5927}\u{505c}\u{96fb}",
            "Content-Length: 0",
        ],
        b"",
    ));
    assert_eq!(odd.method.as_str(), "!odd-Method0123456789_*+`.%indeed'~");
    assert!(!odd.method.is_known());
    let uri = odd.uri.sip().unwrap();
    assert_eq!(
        uri.user.as_deref(),
        Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*")
    );
    assert_eq!(
        uri.password.as_deref(),
        Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)")
    );
    assert_eq!(
        odd.headers.to().unwrap().display.as_deref(),
        Some("BEL:\u{7} NUL:\0 DEL:\u{7f}")
    );
    let from = odd.headers.from_().unwrap();
    assert_eq!(
        from.display.as_deref(),
        Some("token1~` token2'+_ token3*%!.-")
    );
    assert_eq!(from.tag(), Some("_token~1'+`*%!-."));
    assert_eq!(
        from.parameters.get_unquoted("fromParam''~+*_!.-%").unwrap(),
        "работ"
    );
    assert_eq!(
        odd.headers.call_id(),
        Some("intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{")
    );
    assert_eq!(
        odd.headers.get("EXTENSIONHEADER-!.%*+_`'~"),
        Some("\u{fffd}大停電")
    );
}

#[test]
fn esc01_an_escaped_at_sign_belongs_to_the_user() {
    let invite = request(&wire(
        &[
            &[
                "INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0",
                "CSeq: 1 INVITE",
            ][..],
            &BASE,
        ]
        .concat(),
        b"",
    ));
    let uri = invite.uri.sip().unwrap();
    assert_eq!(uri.user_unescaped().unwrap(), "sips:user@example.com");
    assert_eq!(uri.host.to_string(), "example.net");
    assert_eq!(
        invite.uri.to_string(),
        "sip:sips%3Auser%40example.com@example.net"
    );
}

#[test]
fn escnull_escaped_nulls_stay_part_of_the_user() {
    let mut lines = vec![
        "REGISTER sip:example.com SIP/2.0",
        "CSeq: 14398234 REGISTER",
        "Contact: <sip:%00@host5.example.com>, <sip:%00%00@host5.example.com>",
    ];
    lines.extend(BASE);
    let contacts = request(&wire(&lines, b"")).headers.contacts().unwrap();
    assert_eq!(
        contacts[1].uri.sip().unwrap().user_unescaped().unwrap(),
        "\0\0"
    );
    assert!(!contacts[0].uri.equivalent(&contacts[1].uri));
}

#[test]
fn esc02_a_percent_sign_in_a_method_or_a_name_is_no_escape() {
    let unknown = request(&wire(
        &[
            "RE%47IST%45R sip:registrar.example.com SIP/2.0",
            "To: \"%Z%45\" <sip:resource@example.com>",
            "From: \"%Z%45\" <sip:resource@example.com>;tag=f232jadfj23",
            "Call-ID: esc02.rebuilt@host.example.com",
            "Via: SIP/2.0/TCP host.example.com;branch=z9hG4bK209%fzsnel234",
            "CSeq: 29344 RE%47IST%45R",
            "Max-Forwards: 70",
            "Contact: <sip:alias1@host1.example.com>",
            "C%6Fntact: <sip:alias2@host2.example.com>",
            "Contact: <sip:alias3@host3.example.com>",
            "l: 0",
        ],
        b"",
    ));
    assert_eq!(unknown.method.as_str(), "RE%47IST%45R");
    assert_eq!(
        unknown.headers.to().unwrap().display.as_deref(),
        Some("%Z%45")
    );
    assert_eq!(unknown.headers.contacts().unwrap().len(), 2);
    assert_eq!(
        unknown.headers.get("C%6Fntact"),
        Some("<sip:alias2@host2.example.com>")
    );
    assert_eq!(
        unknown.headers.top_via().unwrap().branch(),
        Some("z9hG4bK209%fzsnel234")
    );
}

#[test]
fn lwsdisp_a_display_name_may_touch_its_bracket() {
    let options = request(&wire(
        &[
            "OPTIONS sip:user@example.com SIP/2.0",
            "To: sip:user@example.com",
            "From: caller<sip:caller@example.com>;tag=323",
            "Max-Forwards: 70",
            "Call-ID: lwsdisp.rebuilt@funky.example.com",
            "CSeq: 60 OPTIONS",
            "Via: SIP/2.0/UDP funky.example.com;branch=z9hG4bKkdjuw",
            "l: 0",
        ],
        b"",
    ));
    assert_eq!(
        options.headers.from_().unwrap().display.as_deref(),
        Some("caller")
    );
}

#[test]
fn longreq_long_values_everywhere_are_read_whole() {
    let name = "I have a user name of extraordinary".to_owned() + &" extra-long".repeat(60);
    let parameter = "longparam".repeat(40);
    let token = "really".repeat(50);
    let hops: Vec<String> = (0..34)
        .map(|hop| format!("Via: SIP/2.0/TCP sip{hop}.example.com;branch=z9hG4bK{token}{hop}"))
        .collect();
    let to =
        format!("To: \"{name}\" <sip:user@example.com:6000;unknownparam1={token};{parameter}>");
    let from = format!(
        "F: sip:{}@example.net;tag=12{token}424;unknown{token}Name=value;{parameter}",
        "amazing".repeat(30)
    );
    let header = format!(
        "Unknown-{token}-Header: unknown-{}-value; unknown-{token}-parameter",
        "x".repeat(3000)
    );
    let call_id = format!("Call-ID: longreq.one{token}longcallid");
    let contact = format!("Contact: <sip:{token}@host5.example.net>");
    let mut lines = vec![
        "INVITE sip:user@example.com SIP/2.0",
        &to,
        &from,
        &header,
        &call_id,
        "CSeq: 3882340 INVITE",
        &contact,
    ];
    lines.extend(hops.iter().map(String::as_str));
    let invite = request(&wire(&lines, b""));
    assert_eq!(invite.headers.vias().unwrap().len(), 34);
    assert_eq!(invite.headers.to().unwrap().display, Some(name));
    assert_eq!(
        invite.headers.from_().unwrap().tag(),
        Some(&*format!("12{token}424"))
    );
}

#[test]
fn dblreq_what_follows_the_body_in_a_datagram_is_discarded() {
    let mut bytes = wire(
        &[
            &["REGISTER sip:example.com SIP/2.0", "CSeq: 8 REGISTER"][..],
            &BASE,
        ]
        .concat(),
        b"",
    );
    bytes.extend(wire(
        &[
            &["INVITE sip:joe@example.com SIP/2.0", "CSeq: 8 INVITE"][..],
            &BASE,
        ]
        .concat(),
        b"",
    ));
    let register = request(&bytes);
    assert_eq!(register.method, Method::Register);
    assert!(register.body.is_empty());
}

#[test]
fn semiuri_semicolons_in_the_user_are_no_parameters() {
    let options = request(&wire(
        &[
            &[
                "OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0",
                "CSeq: 8 OPTIONS",
            ][..],
            &BASE,
        ]
        .concat(),
        b"",
    ));
    let uri = options.uri.sip().unwrap();
    assert_eq!(uri.user.as_deref(), Some("user;par=u%40example.net"));
    assert!(uri.parameters.is_empty());
}

#[test]
fn transports_known_and_unknown_are_kept_as_written() {
    let options = request(&wire(
        &[
            "OPTIONS sip:user@example.com SIP/2.0",
            "To: sip:user@example.com",
            "From: <sip:caller@example.com>;tag=323",
            "Call-ID: transports.rebuilt@host.example.com",
            "Accept: application/sdp",
            "CSeq: 60 OPTIONS",
            "Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bKkdjuw",
            "Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf",
            "Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj",
            "Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en",
            "Via: SIP/2.0/TCP t5.example.com;branch=z9hG4bK0a9idfnee",
            "l: 0",
        ],
        b"",
    ));
    let vias = options.headers.vias().unwrap();
    let transports: Vec<&str> = vias.iter().map(|via| &*via.transport).collect();
    assert_eq!(transports, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
}

#[test]
fn mpart01_a_multipart_body_with_a_binary_part_keeps_every_byte() {
    let mut body =
        b"--7a9cbec0\r\nContent-Type: text/plain\r\n\r\nHello\r\n--7a9cbec0\r\n\r\n".to_vec();
    body.extend(0..=255);
    body.extend_from_slice(b"\r\n--7a9cbec0--\r\n");
    let length = format!("Content-Length: {}", body.len());
    let message = request(&wire(
        &[
            "MESSAGE sip:kumiko@example.org SIP/2.0",
            "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-;rport",
            "Max-Forwards: 70",
            "Route: <sip:127.0.0.1:5080>",
            "From: <sip:fluffy@example.com>;tag=2fb0dcc9",
            "To: <sip:kumiko@example.org>",
            "Call-ID: mpart01.rebuilt",
            "CSeq: 1 MESSAGE",
            "Content-Type: multipart/mixed;boundary=7a9cbec0",
            &length,
        ],
        &body,
    ));
    assert_eq!(message.body, body);
    assert!(message.to_bytes().ends_with(&body));
}

const RESPONSE: [&str; 6] = [
    "Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923",
    "Call-ID: reason.rebuilt@192.0.2.198",
    "CSeq: 35 INVITE",
    "From: sip:user@example.com;tag=11141343",
    "To: sip:user@example.edu;tag=2229",
    "Content-Length: 0",
];

#[test]
fn unreason_a_reason_phrase_may_hold_any_utf8() {
    let line = "SIP/2.0 200 = 2**3 * 5**2 \u{43d}\u{43e} \u{441}\u{442}\u{43e} - \u{43f}\u{440}\u{43e}\u{441}\u{442}\u{43e}\u{435}";
    let ok = response(&wire(&[&[line][..], &RESPONSE].concat(), b""));
    assert_eq!(ok.reason, "= 2**3 * 5**2 но сто - простое");
}

#[test]
fn noreason_a_reason_phrase_may_be_empty_and_even_its_space_missing() {
    for line in ["SIP/2.0 100 ", "SIP/2.0 100"] {
        let trying = response(&wire(&[&[line][..], &RESPONSE].concat(), b""));
        assert_eq!((trying.status.as_u16(), &*trying.reason), (100, ""));
        assert!(trying.to_bytes().starts_with(b"SIP/2.0 100 \r\n"));
    }
}

#[test]
fn badbranch_a_branch_that_is_only_the_magic_cookie_is_for_transactions_to_judge() {
    let mut lines = vec!["OPTIONS sip:user@example.com SIP/2.0", "CSeq: 8 OPTIONS"];
    lines.extend(BASE);
    lines[2] = "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK";
    assert_eq!(
        request(&wire(&lines, b""))
            .headers
            .top_via()
            .unwrap()
            .branch(),
        Some("z9hG4bK")
    );
}

#[test]
fn unksm2_unknown_schemes_in_headers_are_accepted() {
    let register = request(&wire(
        &[
            "REGISTER sip:example.com SIP/2.0",
            "To: isbn:2983792873",
            "From: <http://www.example.com>;tag=3234233",
            "Call-ID: unksm2.rebuilt@example.com",
            "CSeq: 234902 REGISTER",
            "Max-Forwards: 70",
            "Via: SIP/2.0/UDP 192.0.2.21:5060;branch=z9hG4bKkdjuw",
            "Contact: <name:John_Smith>",
            "l: 0",
        ],
        b"",
    ));
    assert_eq!(register.headers.to().unwrap().uri.scheme(), "isbn");
    assert_eq!(
        register.headers.from_().unwrap().uri.to_string(),
        "http://www.example.com"
    );
    assert!(matches!(
        register.headers.contacts().unwrap()[0].uri,
        Uri::Other(_)
    ));
}

#[test]
fn regescrt_escaped_headers_in_a_bracketed_contact_stay() {
    let contact = "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>";
    let line = format!("Contact: {contact}");
    let mut lines = vec![
        "REGISTER sip:example.com SIP/2.0",
        "CSeq: 14398234 REGISTER",
        &line,
    ];
    lines.extend(BASE);
    let register = request(&wire(&lines, b""));
    assert_eq!(register.headers.contacts().unwrap()[0].to_string(), contact);
}

#[test]
fn cparam_contact_parameters_belong_where_the_brackets_put_them() {
    for (contact, of_header, of_uri) in [
        ("sip:+19725552222@gw1.example.net;unknownparam", true, false),
        (
            "<sip:+19725552222@gw1.example.net;unknownparam>",
            false,
            true,
        ),
    ] {
        let line = format!("Contact: {contact}");
        let mut lines = vec![
            "REGISTER sip:example.com SIP/2.0",
            "CSeq: 8 REGISTER",
            &line,
        ];
        lines.extend(BASE);
        let contacts = request(&wire(&lines, b"")).headers.contacts().unwrap();
        assert_eq!(contacts[0].parameters.contains("unknownparam"), of_header);
        assert_eq!(
            contacts[0]
                .uri
                .sip()
                .unwrap()
                .parameters
                .contains("unknownparam"),
            of_uri
        );
    }
}

#[test]
fn inv2543_a_request_in_the_style_of_rfc_2543_is_accepted() {
    let invite = request(&wire(
        &[
            "INVITE sip:UserB@example.com SIP/2.0",
            "Via: SIP/2.0/UDP iftgw.example.com",
            "From: <sip:+13035551111@ift.client.example.net;user=phone>",
            "Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>",
            "To: sip:+16505552222@ss1.example.net;user=phone",
            "Call-ID: inv2543.1717@ift.client.example.com",
            "CSeq: 56 INVITE",
            "Content-Type: application/sdp",
        ],
        b"v=0\r\n",
    ));
    assert_eq!(invite.headers.top_via().unwrap().branch(), None);
    assert_eq!(invite.headers.from_().unwrap().tag(), None);
    assert_eq!(invite.body, b"v=0\r\n");
}

#[test]
fn zeromf_and_bext01_are_well_formed_and_left_to_the_endpoint() {
    let mut lines = vec![
        "OPTIONS sip:user@example.com SIP/2.0",
        "CSeq: 39234321 OPTIONS",
        "Require: nothingSupportsThis, nothingSupportsThisEither",
        "Proxy-Require: noProxiesSupportThis",
    ];
    lines.extend(BASE);
    lines[8] = "Max-Forwards: 0";
    let options = request(&wire(&lines, b""));
    assert_eq!(options.headers.max_forwards(), Some(0));
    assert_eq!(
        options.headers.require(),
        ["nothingSupportsThis", "nothingSupportsThisEither"]
    );
}
