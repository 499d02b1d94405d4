use super::*;
use crate::digest::Secret;
use crate::message::{StatusCode, Uri};

const URI: &str = "sip:agent@sbc.example.com:6060;transport=udp";

fn alice() -> Credentials {
    Credentials {
        username: "alice".to_owned(),
        password: Secret::new("secret"),
        realm: None,
    }
}

fn request(method: Method) -> Request {
    Request::new(method, Uri::parse(URI).unwrap())
}

fn refusal(challenger: Challenger, challenges: &[&str]) -> Response {
    let mut response = Response::new(challenger.status());
    for challenge in challenges {
        response
            .headers
            .push(challenger.challenge_header(), format!("Digest {challenge}"));
    }
    response
}

fn unauthorized(challenges: &[&str]) -> Response {
    refusal(Challenger::UserAgent, challenges)
}

/// Puts the answers into the request, as whoever sends it again has to.
fn carry(request: &mut Request, headers: Vec<(&'static str, String)>) {
    for challenger in Challenger::BOTH {
        request.headers.remove(challenger.authorization_header());
    }
    for (name, value) in headers {
        request.headers.push(name, value);
    }
}

/// Answers and puts the answer into the request; gives what the answer says.
fn retry(
    client: &mut DigestClient,
    request: &mut Request,
    response: &Response,
) -> Result<Authorization, Unanswerable> {
    let headers = client.answer(response, request, &alice(), "c")?;
    carry(request, headers);
    Ok(answers_in(&request.headers).pop().unwrap().1)
}

fn count(answer: &Authorization) -> u32 {
    answer.protection.as_ref().unwrap().nonce_count.number
}

/// Whether the response is what the password gives for this request.
fn is_right(answer: &Authorization, request: &Request) -> bool {
    answer.response == answer.response_by(&alice().password, &request.method, &request.body)
}

#[test]
fn the_request_uri_is_answered_for_letter_by_letter() {
    let (mut client, mut invite) = (DigestClient::new(), request(Method::Invite));
    let challenge =
        unauthorized(&[r#"realm="r", nonce="n1", opaque="o", algorithm=md5, qop="auth""#]);
    let answer = retry(&mut client, &mut invite, &challenge).unwrap();
    assert_eq!(answer.uri, URI);
    assert!(is_right(&answer, &invite));
    assert_eq!(
        invite.headers.get("Authorization").unwrap(),
        format!(
            "Digest username=\"alice\", realm=\"r\", nonce=\"n1\", uri=\"{URI}\", response=\"{}\", \
             algorithm=md5, cnonce=\"c\", opaque=\"o\", qop=auth, nc=00000001",
            answer.response
        )
    );
}

#[test]
fn a_challenge_older_than_algorithms_and_qop_is_answered_without_them() {
    let (mut client, mut invite) = (DigestClient::new(), request(Method::Invite));
    let challenge = unauthorized(&[r#"realm="r", nonce="n1""#]);
    let answer = retry(&mut client, &mut invite, &challenge).unwrap();
    assert!(is_right(&answer, &invite));
    assert_eq!(
        (answer.protection, answer.cnonce, answer.algorithm.name),
        (None, None, None)
    );
}

#[test]
fn of_a_realms_challenges_the_topmost_known_one_is_answered() {
    let (mut client, mut invite) = (DigestClient::new(), request(Method::Invite));
    let challenge = unauthorized(&[
        r#"realm="r", nonce="n1", algorithm=SHA3-512, qop="auth""#,
        r#"realm="r", nonce="n2", algorithm=SHA-256, qop="auth-conf""#,
        r#"realm="r", nonce="n3", algorithm=SHA-512-256, qop="auth""#,
        r#"realm="r", nonce="n4", algorithm=MD5, qop="auth""#,
    ]);
    let answer = retry(&mut client, &mut invite, &challenge).unwrap();
    assert_eq!(answer.nonce, "n3");
    assert_eq!(invite.headers.get_all("Authorization").count(), 1);
}

#[test]
fn later_requests_are_authorised_before_they_are_challenged_and_the_count_rises() {
    let (mut client, mut invite) = (DigestClient::new(), request(Method::Invite));
    assert!(
        client
            .authorize(&Method::Invite, URI, b"", &alice(), "c")
            .is_empty()
    );
    let challenge = unauthorized(&[r#"realm="r", nonce="n1", qop="auth""#]);
    let first = retry(&mut client, &mut invite, &challenge).unwrap();
    let mut bye = request(Method::Bye);
    carry(
        &mut bye,
        client.authorize(&Method::Bye, URI, b"", &alice(), "other"),
    );
    let (_, second) = answers_in(&bye.headers).pop().unwrap();
    assert_eq!((count(&first), count(&second)), (1, 2));
    assert_eq!(second.cnonce.as_deref(), Some("other"));
    assert!(is_right(&second, &bye));
}

#[test]
fn a_stale_nonce_is_replaced_and_its_count_begins_again() {
    let (mut client, mut register) = (DigestClient::new(), request(Method::Register));
    retry(
        &mut client,
        &mut register,
        &unauthorized(&[r#"realm="r", nonce="n1", qop="auth""#]),
    )
    .unwrap();
    carry(
        &mut register,
        client.authorize(&Method::Register, URI, b"", &alice(), "c"),
    );
    let stale = unauthorized(&[r#"realm="r", nonce="n2", qop="auth", stale=true"#]);
    let answer = retry(&mut client, &mut register, &stale).unwrap();
    assert_eq!((&*answer.nonce, count(&answer)), ("n2", 1));
}

#[test]
fn a_nonce_that_comes_again_goes_on_counting() {
    let mut client = DigestClient::new();
    let challenge = unauthorized(&[r#"realm="r", nonce="n1", qop="auth""#]);
    retry(&mut client, &mut request(Method::Invite), &challenge).unwrap();
    // Challenged although the nonce is known: the BYE was sent without an answer.
    let answer = retry(&mut client, &mut request(Method::Bye), &challenge).unwrap();
    assert_eq!(count(&answer), 2);
}

#[test]
fn the_same_nonce_again_is_a_refusal() {
    let (mut client, mut invite) = (DigestClient::new(), request(Method::Invite));
    let challenge = unauthorized(&[r#"realm="r", nonce="n1", qop="auth""#]);
    retry(&mut client, &mut invite, &challenge).unwrap();
    assert_eq!(
        retry(&mut client, &mut invite, &challenge),
        Err(Unanswerable::RefusedAgain)
    );
}

#[test]
fn a_new_nonce_without_stale_gets_one_more_answer() {
    let (mut client, mut register) = (DigestClient::new(), request(Method::Register));
    let challenge =
        |nonce: &str| unauthorized(&[&format!(r#"realm="r", nonce="{nonce}", qop="auth""#)]);
    retry(&mut client, &mut register, &challenge("n1")).unwrap();
    assert_eq!(
        retry(&mut client, &mut register, &challenge("n2"))
            .unwrap()
            .nonce,
        "n2"
    );
    assert_eq!(
        retry(&mut client, &mut register, &challenge("n3")),
        Err(Unanswerable::RefusedAgain)
    );
    // The next refresh is another request.
    carry(
        &mut register,
        client.authorize(&Method::Register, URI, b"", &alice(), "c"),
    );
    assert_eq!(
        retry(&mut client, &mut register, &challenge("n4"))
            .unwrap()
            .nonce,
        "n4"
    );
}

#[test]
fn a_server_that_always_says_stale_is_given_up() {
    let (mut client, mut invite) = (DigestClient::new(), request(Method::Invite));
    for number in 0..MAX_TRIES {
        let challenge = format!(r#"realm="r", nonce="{number}", qop="auth", stale=true"#);
        retry(&mut client, &mut invite, &unauthorized(&[&challenge])).unwrap();
    }
    let challenge = unauthorized(&[r#"realm="r", nonce="x", qop="auth", stale=true"#]);
    assert_eq!(
        retry(&mut client, &mut invite, &challenge),
        Err(Unanswerable::TooManyTries)
    );
    // One request's tries are not another's.
    assert!(retry(&mut client, &mut request(Method::Bye), &challenge).is_ok());
}

#[test]
fn a_proxy_and_the_user_agent_behind_it_are_both_answered() {
    let (mut client, mut invite) = (DigestClient::new(), request(Method::Invite));
    let by_proxy = refusal(Challenger::Proxy, &[r#"realm="r", nonce="p1", qop="auth""#]);
    retry(&mut client, &mut invite, &by_proxy).unwrap();
    let by_agent = unauthorized(&[r#"realm="r", nonce="a1", qop="auth""#]);
    retry(&mut client, &mut invite, &by_agent).unwrap();
    let answers: Vec<_> = answers_in(&invite.headers)
        .into_iter()
        .map(|(challenger, answer)| (challenger, answer.nonce.clone(), count(&answer)))
        .collect();
    assert_eq!(
        answers,
        [
            (Challenger::UserAgent, "a1".to_owned(), 1),
            (Challenger::Proxy, "p1".to_owned(), 2),
        ]
    );
}

#[test]
fn each_realm_of_a_forked_request_gets_its_answer() {
    let (mut client, mut invite) = (DigestClient::new(), request(Method::Invite));
    let mut both = refusal(
        Challenger::Proxy,
        &[
            r#"realm="one", nonce="1", qop="auth""#,
            r#"realm="two", nonce="2""#,
        ],
    );
    both.headers
        .push("WWW-Authenticate", r#"Digest realm="three", nonce="3""#);
    retry(&mut client, &mut invite, &both).unwrap();
    let realms: Vec<_> = answers_in(&invite.headers)
        .into_iter()
        .map(|(_, answer)| answer.realm)
        .collect();
    assert_eq!(realms, ["three", "one", "two"]);
}

#[test]
fn credentials_for_one_realm_answer_no_other() {
    let (mut client, invite) = (DigestClient::new(), request(Method::Invite));
    let ours = Credentials {
        realm: Some("ours".to_owned()),
        ..alice()
    };
    let theirs = unauthorized(&[r#"realm="theirs", nonce="1""#]);
    assert_eq!(
        client.answer(&theirs, &invite, &ours, "c"),
        Err(Unanswerable::WrongRealm)
    );
    let both = unauthorized(&[r#"realm="theirs", nonce="1""#, r#"realm="ours", nonce="2""#]);
    let headers = client.answer(&both, &invite, &ours, "c").unwrap();
    assert_eq!(headers.len(), 1);
    assert!(headers[0].1.contains(r#"realm="ours""#));
}

#[test]
fn what_cannot_be_answered_says_why() {
    let (mut client, invite) = (DigestClient::new(), request(Method::Invite));
    let mut answer = |response: &Response| client.answer(response, &invite, &alice(), "c");
    let mut basic = Response::new(StatusCode::UNAUTHORIZED);
    basic.headers.push("WWW-Authenticate", r#"Basic realm="r""#);
    assert_eq!(answer(&basic), Err(Unanswerable::NoChallenge));
    assert_eq!(answer(&unauthorized(&[])), Err(Unanswerable::NoChallenge));
    assert_eq!(
        answer(&unauthorized(&[
            r#"realm="r", nonce="n", algorithm=AKAv1-MD5"#
        ])),
        Err(Unanswerable::NoKnownAlgorithm)
    );
    assert_eq!(
        answer(&unauthorized(&[r#"realm="r", nonce="n", qop="token""#])),
        Err(Unanswerable::NoKnownAlgorithm)
    );
}

#[test]
fn a_body_is_covered_when_the_server_asks_for_no_less() {
    let (mut client, mut invite) = (DigestClient::new(), request(Method::Invite));
    invite.body = b"v=0\r\n".to_vec();
    let challenge = unauthorized(&[r#"realm="r", nonce="n", qop="auth-int""#]);
    let answer = retry(&mut client, &mut invite, &challenge).unwrap();
    assert!(is_right(&answer, &invite));
    invite.body.push(b' ');
    assert!(!is_right(&answer, &invite));
}

#[test]
fn a_session_repeats_its_first_client_nonce() {
    let (mut client, mut invite) = (DigestClient::new(), request(Method::Invite));
    let challenge = unauthorized(&[r#"realm="r", nonce="n", algorithm=SHA-256-sess, qop="auth""#]);
    let first = retry(&mut client, &mut invite, &challenge).unwrap();
    let mut bye = request(Method::Bye);
    carry(
        &mut bye,
        client.authorize(&Method::Bye, URI, b"", &alice(), "other"),
    );
    let (_, second) = answers_in(&bye.headers).pop().unwrap();
    assert_eq!(first.cnonce, second.cnonce);
    assert!(is_right(&second, &bye));
    assert_eq!(count(&second), 2);
}

#[test]
fn no_more_realms_are_kept_than_a_path_can_have() {
    let mut client = DigestClient::new();
    for number in 0..3 * MAX_REALMS {
        let challenge = format!(r#"realm="{number}", nonce="n""#);
        let _ = client.answer(
            &unauthorized(&[&challenge]),
            &request(Method::Invite),
            &alice(),
            "c",
        );
    }
    assert_eq!(client.realms.len(), MAX_REALMS);
}
