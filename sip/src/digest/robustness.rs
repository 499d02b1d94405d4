//! Nothing a header can hold panics, and client and authenticator understand each other.

use proptest::collection::vec;
use proptest::prelude::*;

use super::auth_value::AuthValue;
use super::authorization::Authorization;
use super::{
    Algorithm, Authenticator, Challenge, Challenger, Credentials, DigestClient, Secret, Verdict,
};
use crate::message::{Message, Method, Request, Response, Uri, parse_datagram};

/// A case that fails becomes a test of its own; it is not kept as a seed.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

const WORDS: &str = "Digest Basic realm nonce username uri response algorithm qop nc cnonce stale \
    opaque MD5 SHA-256-sess auth auth-int 00000001 example.com sip:h true é \0 \u{2028}";
const SEPARATORS: [&str; 10] = ["=", "=\"", "\"", "\", ", "\\", ",", ", ", " ", "\t", "\\\""];

/// A complete challenge, and a complete answer.
const COMPLETE: [&str; 2] = [
    "Digest realm=\"example.com\", nonce=\"n\", algorithm=SHA-256, qop=\"auth,auth-int\", opaque=\"\"",
    "Digest username=\"a\", realm=\"example.com\", nonce=\"n\", uri=\"sip:h\", response=\"0\", \
     algorithm=MD5-sess, cnonce=\"c\", qop=auth-int, nc=00000001",
];

/// A complete value with pieces of the grammar put into it, or nothing but such pieces.
fn hostile_value() -> impl Strategy<Value = String> {
    let pieces: Vec<&str> = WORDS.split(' ').chain(SEPARATORS).collect();
    let text = prop::sample::select([&COMPLETE[..], &[""]].concat());
    let changes = vec(
        (any::<prop::sample::Index>(), prop::sample::select(pieces)),
        0..12,
    );
    (text, changes).prop_map(|(text, changes)| {
        let mut text = text.to_owned();
        for (place, piece) in changes {
            let starts = text.char_indices().map(|(at, _)| at);
            let places: Vec<usize> = starts.chain([text.len()]).collect();
            let at = *place.get(&places);
            text.insert_str(at, piece);
        }
        text
    })
}

fn method() -> impl Strategy<Value = Method> {
    prop::sample::select(vec![
        Method::Invite,
        Method::Register,
        Method::Bye,
        Method::Refer,
    ])
}

fn uri() -> impl Strategy<Value = Uri> {
    prop::sample::select(vec![
        "sip:agent@sbc.example.com:6060;transport=udp",
        "sips:a%40b;x=y@[2001:db8::1];ttl=1",
        r"sip:domain\user@h",
        "sip:h",
        "tel:+1201;ext=5",
    ])
    .prop_map(|text| Uri::parse(text).unwrap())
}

fn algorithms() -> impl Strategy<Value = Vec<Algorithm>> {
    let all = [
        Algorithm::Md5,
        Algorithm::Md5Session,
        Algorithm::Sha256,
        Algorithm::Sha256Session,
        Algorithm::Sha512_256,
        Algorithm::Sha512_256Session,
    ];
    vec(prop::sample::select(all.to_vec()), 1..4)
}

/// The request as the far end reads it.
fn over_the_wire(request: &Request) -> Request {
    match parse_datagram(&request.to_bytes()) {
        Ok(Some(Message::Request(request))) => request,
        other => panic!("{other:?}"),
    }
}

fn request(method: Method, uri: Uri, body: Vec<u8>) -> Request {
    let mut request = Request::new(method, uri);
    let cseq = format!("1 {}", request.method);
    for (name, value) in [
        ("Via", "SIP/2.0/UDP h;branch=z9hG4bK1"),
        ("From", "<sip:a@h>;tag=1"),
        ("To", "<sip:b@h>"),
        ("Call-ID", "i"),
        ("CSeq", &cseq),
    ] {
        request.headers.push(name, value);
    }
    request.body = body;
    request
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn any_header_is_read_without_panic(text in hostile_value(), now_ms in any::<u64>()) {
        let _ = Challenge::parse_all(&text);
        let uri = Uri::parse("sip:h").unwrap();
        let mut asked = Request::new(Method::Invite, uri);
        let mut response = Response::new(Challenger::Proxy.status());
        for challenger in [Challenger::UserAgent, Challenger::Proxy] {
            asked.headers.push(challenger.authorization_header(), &*text);
            response.headers.push(challenger.challenge_header(), &*text);
        }
        let secret = Secret::new("p");
        let verdict = Authenticator::new("example.com", b"key").verify(&asked, |_| Some(&secret), now_ms);
        let is_accepted = matches!(verdict, Verdict::Accepted { .. });
        prop_assert!(!is_accepted);
        let credentials = Credentials { username: text, password: secret, realm: None };
        let _ = DigestClient::new().answer(&response, &asked, &credentials, "c");
    }

    #[test]
    fn a_readable_answer_survives_writing(text in hostile_value()) {
        let readable = |text: &str| {
            let values = AuthValue::read_all(text).ok()?;
            Authorization::read(values.first()?).ok()
        };
        let text = format!(
            r#"Digest realm="r", nonce=n, uri=u, response=0, username=x, {text}"#
        );
        if let Some(answer) = readable(&text) {
            prop_assert_eq!(readable(&answer.to_string()), Some(answer));
        }
    }
}

proptest! {
    #![proptest_config(cases(250))]

    #[test]
    fn whatever_the_client_answers_the_authenticator_accepts_once(
        (username, password, realm) in ("\\PC{0,12}", "\\PC{0,12}", "\\PC{0,12}"),
        (cnonce, later_cnonce) in ("\\PC{0,12}", "\\PC{0,12}"),
        key in vec(any::<u8>(), 0..80),
        algorithms in algorithms(),
        (method, uri) in (method(), uri()),
        body in vec(any::<u8>(), 0..20),
        now_ms in any::<u64>(),
    ) {
        let mut authenticator = Authenticator::new(&*realm, &key).with_algorithms(algorithms);
        let mut client = DigestClient::new();
        let credentials = Credentials {
            username: username.clone(),
            password: Secret::new(password),
            realm: Some(realm),
        };
        let lookup = |name: &str| (name == username).then_some(&credentials.password);
        let accepted = Verdict::Accepted { username: username.clone() };

        let asked = request(method.clone(), uri.clone(), body.clone());
        prop_assert_eq!(authenticator.verify(&asked, lookup, now_ms), Verdict::Missing);
        let mut challenge = Response::new(Challenger::UserAgent.status());
        for value in authenticator.challenge(now_ms, false) {
            challenge.headers.push("WWW-Authenticate", value);
        }

        let first = client.answer(&challenge, &asked, &credentials, &cnonce).unwrap();
        let later = client.authorize(&method, &uri.to_string(), &body, &credentials, &later_cnonce);
        for headers in [first, later] {
            let mut answered = asked.clone();
            for (name, value) in headers {
                answered.headers.push(name, value);
            }
            let answered = over_the_wire(&answered);
            prop_assert_eq!(authenticator.verify(&answered, lookup, now_ms), accepted.clone());
            prop_assert_eq!(authenticator.verify(&answered, lookup, now_ms), Verdict::Stale);
        }
    }
}
