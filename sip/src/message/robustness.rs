//! Nothing a network can send panics, and what we write we read back.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{
    CSeq, Host, Message, Method, NameAddr, Parameters, Request, Response, SipUri, StatusCode, Uri,
    Via, parse_datagram,
};

/// Cases of the cheap properties, and of those that build whole messages.
const CASES: u32 = 4_000;
const BUILT_CASES: u32 = 250;

/// A case that fails becomes a test of its own; it is not kept as a seed.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

const SEEDS: [&[u8]; 3] = [
    b"INVITE sip:agent@[2001:db8::1]:5060;transport=udp SIP/2.0\r\n\
      v: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK776;rport, SIP / 2.0 / TCP [::1] ;branch=z9hG4bK2\r\n\
      From : \"A, \\\"B\\\"\" <sip:alice@example.com;x=1?h=2>;tag=1928\r\n\
      To: sip:agent@example.com\r\n\
      Call-ID: a84b4c76@host\r\nCSeq: 314159 INVITE\r\nMax-Forwards: 70\r\n\
      Contact: <sip:alice@192.0.2.1>;q=0.5;+sip.instance=\"<urn:uuid:1>\"\r\n\
      Record-Route: <sip:p1;lr>, <sip:p2;lr=on>\r\nSubject: folded\r\n here\r\n\
      Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n",
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1;received=[2001:db8::9];rport=5060\r\n\
      From: <tel:+1201>;tag=1\r\nTo: \"x\" <sip:b@h>;tag=2\r\nCall-ID: i\r\nCSeq: 2 BYE\r\nl: 0\r\n\r\n",
    b"ACK urn:service:sos SIP/2.0\r\nVia: SIP/2.0/WSS h;branch=z9hG4bK1\r\n\
      f: \"open <sip:a@h>;tag=1\r\nt: <sip:b@h>\r\ni: i\r\nCSeq: 2 ACK\r\nl: 4294967296\r\n\r\n",
];

/// A change to a message: replace, insert, delete, duplicate a range, cut off.
#[derive(Debug, Clone)]
enum Mutation {
    Replace(usize, u8),
    Insert(usize, u8),
    Delete(usize, usize),
    Duplicate(usize, usize),
    Truncate(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let structural = prop::sample::select(b"\r\n\t :;,<>\"\\@/=[]?%&*0\x009SIP\xff\xc3".to_vec());
    let byte = prop_oneof![structural, any::<u8>()];
    let place = 0..700_usize;
    prop_oneof![
        (place.clone(), byte.clone()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (place.clone(), byte).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        (place.clone(), 1..40_usize).prop_map(|(at, count)| Mutation::Delete(at, count)),
        (place.clone(), 1..80_usize).prop_map(|(at, count)| Mutation::Duplicate(at, count)),
        place.prop_map(Mutation::Truncate),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: Mutation) {
    let length = bytes.len();
    match mutation {
        Mutation::Replace(at, byte) if at < length => bytes[at] = byte,
        Mutation::Insert(at, byte) => bytes.insert(at.min(length), byte),
        Mutation::Delete(at, count) => drop(bytes.drain(at.min(length)..(at + count).min(length))),
        Mutation::Duplicate(at, count) => {
            let copy = bytes[at.min(length)..(at + count).min(length)].to_vec();
            bytes.splice(at.min(length)..at.min(length), copy);
        }
        Mutation::Truncate(at) => bytes.truncate(at),
        Mutation::Replace(..) => {}
    }
}

/// Reads, asks every typed view, and checks that what was read survives writing.
fn digest(bytes: &[u8]) {
    let message = match parse_datagram(bytes) {
        Ok(None) => return,
        Ok(Some(message)) => message,
        Err(error) => {
            let _ = error.to_string();
            if let Some(answer) = error.answer {
                assert_eq!(answer.status, error.kind.status());
                assert!(answer.headers.top_via().is_ok());
                answer.to_bytes();
            }
            return;
        }
    };
    let headers = match &message {
        Message::Request(request) => &request.headers,
        Message::Response(response) => &response.headers,
    };
    assert!(headers.top_via().is_ok() && headers.from_().is_ok() && headers.to().is_ok());
    assert!(headers.cseq().is_ok() && headers.call_id().is_some());
    let _ = (
        headers.contacts(),
        headers.record_routes(),
        headers.routes(),
    );
    let _ = (
        headers.require(),
        headers.supported(),
        headers.max_forwards(),
    );
    assert_eq!(parse_datagram(&message.to_bytes()), Ok(Some(message)));
}

fn token() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9.!%*_+`'~-]{1,12}"
}

fn host() -> impl Strategy<Value = Host> {
    prop_oneof![
        "[a-z][a-z0-9-]{0,8}(\\.[a-z]{2,4})?".prop_map(Host::Name),
        any::<[u8; 4]>().prop_map(|octets| Host::V4(octets.into())),
        any::<[u16; 8]>().prop_map(|segments| Host::V6(segments.into())),
    ]
}

fn parameters() -> impl Strategy<Value = Parameters> {
    let value = prop::option::of(prop_oneof![token(), "[ -~]{0,12}"]);
    vec((token(), value), 0..3).prop_map(|all| {
        let mut parameters = Parameters::new();
        for (name, value) in all {
            parameters.set(&name, value.as_deref());
        }
        parameters
    })
}

fn uri() -> impl Strategy<Value = Uri> {
    let user = prop::option::of("[a-z0-9;?/&+$,%-]{1,10}");
    let sip = (
        any::<bool>(),
        user,
        host(),
        any::<Option<u16>>(),
        vec((token(), token()), 0..3),
    );
    prop_oneof![
        4 => sip.prop_map(|(secure, user, host, port, list)| {
            let mut uri = SipUri { secure, user, ..SipUri::new(host, port) };
            for (name, value) in list {
                uri.parameters.set(&name, Some(&value));
            }
            Uri::Sip(uri)
        }),
        1 => "tel:\\+[0-9]{3,10}(;ext=[0-9]{2})?".prop_map(|text| Uri::parse(&text).unwrap()),
    ]
}

prop_compose! {
    fn name_addr()(
        display in prop::option::of("\\PC{0,10}"),
        uri in uri(),
        parameters in parameters(),
    ) -> NameAddr {
        NameAddr { display, uri, parameters }
    }
}

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![
        Just(Method::Invite),
        Just(Method::Bye),
        Just(Method::Options),
        token().prop_map(|name| name.parse().unwrap()),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..60)
}

prop_compose! {
    fn response()(
        status in 100_u16..700,
        reason in "\\PC{0,12}",
        method in method(),
        number in 0_u32..1 << 31,
        hosts in vec(host(), 1..4),
        (from, to, contact) in (name_addr(), name_addr(), name_addr()),
        extra in vec((token(), "[^\\r\\n]{0,20}"), 0..4),
        body in body(),
    ) -> Response {
        let mut response = Response::new(StatusCode::new(status).unwrap());
        response.reason = reason;
        for host in hosts {
            response.headers.push("Via", Via::new("UDP", host, None, "z9hG4bK1").to_string());
        }
        response.headers.push("From", from.to_string());
        response.headers.push("To", to.to_string());
        response.headers.push("Call-ID", "1@h");
        response.headers.push("CSeq", CSeq { number, method }.to_string());
        response.headers.push("Contact", contact.to_string());
        for (name, value) in extra {
            response.headers.push(&format!("X-{name}"), value);
        }
        response.body = body;
        response
    }
}

prop_compose! {
    fn request()(response in response(), uri in uri()) -> Request {
        Request {
            method: response.headers.cseq().unwrap().method,
            uri,
            headers: response.headers,
            body: response.body,
        }
    }
}

proptest! {
    #![proptest_config(cases(CASES))]

    #[test]
    fn mutated_messages_never_panic(
        seed in 0..SEEDS.len(),
        mutations in vec(mutation(), 0..8),
    ) {
        let mut bytes = SEEDS[seed].to_vec();
        mutations.into_iter().for_each(|mutation| mutate(&mut bytes, mutation));
        digest(&bytes);
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        digest(&bytes);
        digest(&[b"INVITE sip:a@h SIP/2.0\r\nVia:", &bytes[..]].concat());
    }

}

proptest! {
    #![proptest_config(cases(BUILT_CASES))]

    #[test]
    fn random_text_never_panics_a_typed_value(text in "[ -~\\t\\PC]{0,60}") {
        if let Ok(uri) = Uri::parse(&text) {
            prop_assert_eq!(Uri::parse(&uri.to_string()), Ok(uri));
        }
        if let Ok(via) = Via::parse(&text) {
            prop_assert_eq!(Via::parse(&via.to_string()), Ok(via));
        }
        if let Ok(address) = NameAddr::parse(&text) {
            prop_assert_eq!(NameAddr::parse(&address.to_string()), Ok(address));
        }
        let _ = CSeq::parse(&text);
    }

    #[test]
    fn a_typed_value_survives_writing(address in name_addr()) {
        prop_assert_eq!(NameAddr::parse(&address.to_string()), Ok(address));
    }

    #[test]
    fn a_response_survives_writing(response in response()) {
        prop_assert_eq!(parse_datagram(&response.to_bytes()), Ok(Some(Message::Response(response))));
    }

    #[test]
    fn a_request_survives_writing(request in request()) {
        prop_assert_eq!(parse_datagram(&request.to_bytes()), Ok(Some(Message::Request(request))));
    }
}
