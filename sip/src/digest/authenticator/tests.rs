use super::*;
use crate::digest::{Credentials, DigestClient};
use crate::message::{Method, Response};

const KEY: &[u8] = b"thirty-two bytes nobody can guess";
const URI: &str = "sip:agent@example.com";

/// An authenticator with one user, and that user's client.
struct Scene {
    authenticator: Authenticator,
    client: DigestClient,
    credentials: Credentials,
    now_ms: u64,
}

impl Scene {
    fn new() -> Self {
        Self {
            authenticator: Authenticator::new("example.com", KEY),
            client: DigestClient::new(),
            credentials: credentials("alice", "secret"),
            now_ms: 1_000_000,
        }
    }

    fn verify(&mut self, request: &Request) -> Verdict {
        let secret = Secret::new("secret");
        let lookup = |name: &str| (name == "alice").then_some(&secret);
        self.authenticator.verify(request, lookup, self.now_ms)
    }

    fn challenge(&mut self) -> Response {
        let mut response = Response::new(Challenger::UserAgent.status());
        for value in self.authenticator.challenge(self.now_ms, false) {
            response.headers.push("WWW-Authenticate", value);
        }
        response
    }

    /// A request that answers a new challenge.
    fn answered(&mut self) -> Request {
        let (challenge, mut request) = (self.challenge(), request());
        let answer = self
            .client
            .answer(&challenge, &request, &self.credentials, "c");
        for (name, value) in answer.unwrap() {
            request.headers.push(name, value);
        }
        request
    }

    /// A further request with the same nonce.
    fn authorized(&mut self) -> Request {
        let mut request = request();
        let headers = self
            .client
            .authorize(&Method::Invite, URI, b"", &self.credentials, "c");
        for (name, value) in headers {
            request.headers.push(name, value);
        }
        request
    }
}

fn credentials(username: &str, password: &str) -> Credentials {
    Credentials {
        username: username.to_owned(),
        password: Secret::new(password),
        realm: None,
    }
}

fn request() -> Request {
    Request::new(Method::Invite, Uri::parse(URI).unwrap())
}

fn accepted() -> Verdict {
    Verdict::Accepted {
        username: "alice".to_owned(),
    }
}

/// Changes the request's answer.
fn change(request: &mut Request, from: &str, to: &str) {
    let value = request.headers.get("Authorization").unwrap();
    let changed = value.replace(from, to);
    assert_ne!(value, changed);
    request.headers.set("Authorization", changed);
}

#[test]
fn a_challenge_offers_sha_256_before_md5_under_one_nonce() {
    let mut authenticator = Authenticator::new(r#"a "realm""#, KEY);
    let values = authenticator.challenge(0, true);
    let nonce = values[0].split("nonce=").nth(1).unwrap().get(..66).unwrap();
    assert_eq!(
        values,
        ["SHA-256", "MD5"].map(|algorithm| format!(
            r#"Digest realm="a \"realm\"", nonce={nonce}, algorithm={algorithm}, qop="auth", stale=true"#
        ))
    );
    assert!(!authenticator.challenge(0, false)[0].contains("stale"));
}

#[test]
fn a_right_answer_is_accepted_once() {
    let mut scene = Scene::new();
    assert_eq!(scene.verify(&request()), Verdict::Missing);
    let first = scene.answered();
    assert_eq!(scene.verify(&first), accepted());
    assert_eq!(scene.verify(&first), Verdict::Stale, "a replay");
    let second = scene.authorized();
    assert_eq!(scene.verify(&second), accepted());
    assert_eq!(scene.verify(&second), Verdict::Stale, "a replay");
}

#[test]
fn requests_may_overtake_each_other() {
    let mut scene = Scene::new();
    let (first, second, third) = (scene.answered(), scene.authorized(), scene.authorized());
    for request in [&third, &first, &second] {
        assert_eq!(scene.verify(request), accepted());
    }
}

#[test]
fn a_nonce_runs_out_and_only_who_knows_the_password_is_told() {
    let mut scene = Scene::new();
    let (in_time, late) = (scene.answered(), scene.answered());
    scene.credentials = credentials("alice", "wrong");
    let wrong = scene.answered();
    scene.now_ms += NONCE_LIFETIME_MS;
    assert_eq!(scene.verify(&in_time), accepted());
    scene.now_ms += 1;
    assert_eq!(scene.verify(&late), Verdict::Stale);
    assert_eq!(scene.verify(&wrong), Verdict::Refused);
}

#[test]
fn a_nonce_from_before_a_restart_is_stale_unless_the_key_was_kept() {
    let mut scene = Scene::new();
    let request = scene.answered();
    scene.authenticator = Authenticator::new("example.com", b"another key");
    assert_eq!(scene.verify(&request), Verdict::Stale);
    scene.authenticator = Authenticator::new("example.com", KEY);
    assert_eq!(scene.verify(&request), accepted());
}

#[test]
fn a_full_replay_guard_answers_stale() {
    let mut scene = Scene::new();
    scene.authenticator.replay_guard = ReplayGuard::new(1);
    let first = scene.answered();
    let second = scene.answered();
    assert_eq!(scene.verify(&second), accepted());
    assert_eq!(scene.verify(&first), Verdict::Stale);
}

#[test]
fn unknown_users_and_wrong_passwords_get_one_verdict() {
    for wrong in [
        credentials("alice", "wrong"),
        credentials("bob", "secret"),
        credentials("bob", "an ordinary password"),
        credentials("Alice", "secret"),
    ] {
        let mut scene = Scene::new();
        scene.credentials = wrong;
        let request = scene.answered();
        assert_eq!(scene.verify(&request), Verdict::Refused);
    }
}

#[test]
fn an_answer_for_something_else_is_refused() {
    let mut scene = Scene::new();
    let mut method = scene.answered();
    method.method = Method::Bye;
    let mut user = scene.answered();
    user.uri = Uri::parse("sip:other@example.com").unwrap();
    let mut count = scene.answered();
    change(&mut count, "nc=0000000", "nc=1000000");
    let mut cnonce = scene.answered();
    change(&mut cnonce, r#"cnonce="c""#, r#"cnonce="d""#);
    let mut response = scene.answered();
    change(&mut response, r#"response=""#, r#"response="0"#);
    let mut algorithm = scene.answered();
    change(&mut algorithm, "algorithm=SHA-256", "algorithm=MD5");
    for request in [method, user, count, cnonce, response, algorithm] {
        assert_eq!(scene.verify(&request), Verdict::Refused);
    }
}

#[test]
fn a_rewritten_request_uri_is_still_the_same_user() {
    for uri in [
        URI,
        "sip:agent@192.0.2.1:5070;transport=udp",
        "sip:%61gent@h;lr",
    ] {
        let mut scene = Scene::new();
        let mut request = scene.answered();
        request.uri = Uri::parse(uri).unwrap();
        assert_eq!(scene.verify(&request), accepted(), "{uri}");
    }
    let agent = Uri::parse(URI).unwrap();
    assert!(!is_for("sip:example.com", &agent) && !is_for("tel:+1", &agent) && !is_for("", &agent));
    let number = Uri::parse("tel:+1").unwrap();
    assert!(is_for("TEL:+1", &number) && !is_for("tel:+2", &number));
}

#[test]
fn an_algorithm_that_is_not_offered_is_refused() {
    let mut scene = Scene::new();
    scene.authenticator = scene.authenticator.with_algorithms([Algorithm::Md5]);
    let md5 = scene.answered();
    assert_eq!(scene.verify(&md5), accepted());
    scene.authenticator = scene.authenticator.with_algorithms([Algorithm::Sha256]);
    let md5 = scene.authorized();
    assert_eq!(scene.verify(&md5), Verdict::Refused);
}

#[test]
fn answers_to_others_are_not_ours_to_judge() {
    let mut scene = Scene::new();
    let mut request = request();
    request.headers.push("Authorization", "Basic YTpi/w==");
    request
        .headers
        .push("Authorization", r#"Digest realm="other", username="x""#);
    request
        .headers
        .push("Proxy-Authorization", r#"Digest realm="example.com""#);
    assert_eq!(scene.verify(&request), Verdict::Missing);
    let ours = scene.answered();
    let ours = ours.headers.get("Authorization").unwrap();
    request.headers.push("Authorization", ours);
    assert_eq!(scene.verify(&request), accepted());
}

#[test]
fn a_broken_answer_is_malformed() {
    let mut scene = Scene::new();
    for (from, to) in [
        (r#"username="alice", "#, ""),
        (r#"realm="example.com", "#, ""),
        ("qop=auth, ", ""),
        ("nc=00000001", "nc=1"),
        (r#"nonce=""#, "nonce="),
    ] {
        scene.client = DigestClient::new();
        let mut request = scene.answered();
        change(&mut request, from, to);
        assert_eq!(scene.verify(&request), Verdict::Malformed, "{from}");
    }
}

#[test]
fn an_answer_that_covers_the_body_is_taken_though_less_was_asked_for() {
    let mut scene = Scene::new();
    let mut challenge = Response::new(Challenger::UserAgent.status());
    let value = scene.authenticator.challenge(scene.now_ms, false).remove(0);
    challenge.headers.push(
        "WWW-Authenticate",
        value.replace(r#"qop="auth""#, "qop=auth-int"),
    );
    let mut request = request();
    request.body = b"v=0\r\n".to_vec();
    let answer = scene
        .client
        .answer(&challenge, &request, &scene.credentials, "c");
    let (name, value) = answer.unwrap().remove(0);
    request.headers.push(name, value);
    let mut tampered = request.clone();
    tampered.body.clear();
    assert_eq!(scene.verify(&tampered), Verdict::Refused);
    assert_eq!(scene.verify(&request), accepted());
}
