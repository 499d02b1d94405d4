//! Challenges to our requests (RFC 3261 22, 8760): who asks, what is sent again, and when it is final.

use offhook_sip::{
    digest::{Credentials, Secret},
    endpoint::{
        EndCause, EndpointConfig, Event, InviteId, OutgoingRefer, ReferralNews, SessionTimerPolicy,
    },
    message::StatusCode,
};
use std::time::Duration;

use crate::{
    answering::offered,
    outgoing::calling_with,
    phone::Phone,
    text,
    world::{World, sdp},
};

pub(crate) const CHALLENGE: &str =
    "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n1\", algorithm=SHA-256, qop=\"auth\"\r\n";

pub(crate) fn credentials() -> Credentials {
    Credentials {
        username: "1000".to_owned(),
        password: Secret::new("secret"),
        realm: None,
    }
}

fn calling() -> (World, Phone, InviteId, String) {
    calling_with(World::new(), "auth", |call| {
        call.credentials = Some(credentials());
    })
}

/// A call that was challenged once and then answered.
fn answered() -> (World, Phone, InviteId) {
    let (mut world, phone, id, invite) = calling();
    world.deliver(&phone.respond(&invite, "401 Unauthorized", CHALLENGE, ""));
    world.expect("ACK");
    let again = world.expect("INVITE");
    world.deliver(&phone.answer(&again));
    world.expect("ACK");
    assert!(matches!(world.event(), Event::Answered { .. }));
    (world, phone, id)
}

#[test]
fn a_challenged_invite_is_acked_and_sent_again_as_the_next_request_of_the_same_call() {
    let (mut world, phone, _, invite) = calling();
    assert!(text::headers(&invite, "Authorization").is_empty());
    world.deliver(&phone.respond(&invite, "401 Unauthorized", CHALLENGE, ""));
    let ack = world.expect("ACK");
    assert_eq!(text::branch(&ack), text::branch(&invite));
    let again = world.expect("INVITE");
    for same in ["Call-ID", "From", "To"] {
        assert_eq!(text::header(&again, same), text::header(&invite, same));
    }
    assert_eq!(text::cseq(&again), 2);
    assert_ne!(text::branch(&again), text::branch(&invite));
    assert_eq!(text::body(&again), "our offer");
    let authorization = text::header(&again, "Authorization");
    assert!(
        authorization.contains("username=\"1000\""),
        "{authorization}"
    );
    assert!(authorization.contains("uri=\"sip:callee@203.0.113.9:5070\""));
    world.expect_no_event();
}

#[test]
fn a_proxys_challenge_is_answered_to_the_proxy_and_the_ack_of_the_2xx_carries_it() {
    let (mut world, phone, _, invite) = calling();
    let challenge = CHALLENGE.replace("WWW-Authenticate", "Proxy-Authenticate");
    world.deliver(&phone.respond(&invite, "407 Proxy Authentication Required", &challenge, ""));
    world.expect("ACK");
    let again = world.expect("INVITE");
    let answer = text::header(&again, "Proxy-Authorization").to_owned();
    world.deliver(&phone.answer(&again));
    let ack = world.expect("ACK");
    assert_eq!(text::header(&ack, "Proxy-Authorization"), answer);
}

#[test]
fn a_callee_behind_a_proxy_may_challenge_after_it_and_both_answers_are_sent() {
    let (mut world, phone, _, invite) = calling();
    let proxy = CHALLENGE
        .replace("WWW-Authenticate", "Proxy-Authenticate")
        .replace("carrier", "proxy");
    world.deliver(&phone.respond(&invite, "407 Proxy Authentication Required", &proxy, ""));
    world.expect("ACK");
    let again = world.expect("INVITE");
    world.deliver(&phone.respond(&again, "401 Unauthorized", CHALLENGE, ""));
    world.expect("ACK");
    let both = world.expect("INVITE");
    assert_eq!(text::headers(&both, "Proxy-Authorization").len(), 1);
    assert_eq!(text::headers(&both, "Authorization").len(), 1);
    assert_eq!(text::cseq(&both), 3);
}

#[test]
fn wound_34_the_digest_uri_is_the_request_uri_as_written_and_wrong_credentials_are_final() {
    let (mut world, phone, _, invite) = calling_with(World::new(), "w34", |call| {
        call.credentials = Some(credentials());
        call.target = crate::outgoing::address("<sip:1@sbc.example:6060;transport=udp>").uri;
    });
    world.deliver(&phone.respond(&invite, "401 Unauthorized", CHALLENGE, ""));
    world.expect("ACK");
    let again = world.expect("INVITE");
    assert!(
        text::header(&again, "Authorization")
            .contains("uri=\"sip:1@sbc.example:6060;transport=udp\"")
    );
    world.deliver(&phone.respond(&again, "401 Unauthorized", CHALLENGE, ""));
    world.expect("ACK");
    assert_eq!(world.ended(), EndCause::Rejected(StatusCode::UNAUTHORIZED));
    world.expect_nothing_left();
}

#[test]
fn wound_37_a_new_nonce_is_tried_once_more_and_no_server_is_answered_for_ever() {
    let (mut world, phone, _, mut invite) = calling();
    let mut tries = 0;
    for nonce in 0..20 {
        let challenge = CHALLENGE.replace("n1", &format!("n{nonce}"));
        world.deliver(&phone.respond(&invite, "401 Unauthorized", &challenge, ""));
        world.expect("ACK");
        match world.sent().pop() {
            Some(sent) => invite = sent.text,
            None => break,
        }
        tries += 1;
    }
    assert_eq!(tries, 2);
    assert_eq!(world.ended(), EndCause::Rejected(StatusCode::UNAUTHORIZED));
}

#[test]
fn without_credentials_a_challenge_is_a_refusal() {
    let (mut world, phone, _, invite) = calling_with(World::new(), "auth", |_| {});
    world.deliver(&phone.respond(&invite, "401 Unauthorized", CHALLENGE, ""));
    world.expect("ACK");
    assert_eq!(world.ended(), EndCause::Rejected(StatusCode::UNAUTHORIZED));
}

#[test]
fn wound_37_a_challenged_bye_is_sent_again_with_credentials() {
    let (mut world, phone, id) = answered();
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    let bye = world.expect("BYE");
    let challenge = CHALLENGE.replace("WWW-Authenticate", "Proxy-Authenticate");
    world.deliver(&phone.respond(&bye, "407 Proxy Authentication Required", &challenge, ""));
    let again = world.expect("BYE");
    assert_eq!(text::cseq(&again), text::cseq(&bye) + 1);
    assert_eq!(text::headers(&again, "Via").len(), 1);
    assert_eq!(text::headers(&again, "User-Agent").len(), 1);
    assert!(!text::header(&again, "Proxy-Authorization").is_empty());
    world.expect_no_event();
    world.deliver(&phone.respond(&again, "200 OK", "", ""));
    assert_eq!(world.ended(), EndCause::LocalBye);
    world.expect_nothing_left();
}

#[test]
fn a_challenged_reinvite_is_sent_again_with_credentials() {
    let (mut world, phone, id) = answered();
    let body = sdp("hold").unwrap();
    world
        .act(|endpoint, now| endpoint.reoffer(id, body, now))
        .unwrap();
    let reinvite = world.expect("INVITE");
    let challenge = CHALLENGE.replace("n1", "n2");
    world.deliver(&phone.respond(&reinvite, "401 Unauthorized", &challenge, ""));
    world.expect("ACK");
    let again = world.expect("INVITE");
    assert_eq!(text::body(&again), "hold");
    assert!(text::header(&again, "Authorization").contains("n2"));
    world.deliver(&phone.answer(&again));
    world.expect("ACK");
    assert!(matches!(world.event(), Event::ReofferAnswered { .. }));
}

#[test]
fn a_challenged_refer_is_sent_again_and_its_news_is_found_by_the_new_number() {
    let (mut world, mut phone, id) = answered();
    let refer = OutgoingRefer {
        refer_to: "tel:+15550100".to_owned(),
        referred_by: None,
        wants_news: true,
        timeout: Duration::from_secs(60),
        extra: Vec::new(),
    };
    world
        .act(|endpoint, now| endpoint.refer(id, &refer, now))
        .unwrap();
    let first = world.expect("REFER");
    world.deliver(&phone.respond(&first, "401 Unauthorized", CHALLENGE, ""));
    let again = world.expect("REFER");
    assert_eq!(text::header(&again, "Refer-To"), "<tel:+15550100>");
    world.deliver(&phone.respond(&again, "202 Accepted", "", ""));
    phone.call_id = text::header(&again, "Call-ID").to_owned();
    phone.remote_tag = text::tag(&again, "From").to_owned();
    let notify = phone.request_with(
        "NOTIFY",
        &format!(
            "Event: refer;id={}\r\nSubscription-State: terminated;reason=noresource\r\n",
            text::cseq(&again)
        ),
        "SIP/2.0 200 OK\r\n",
    );
    world.deliver(&notify);
    world.expect("200 NOTIFY");
    let news: Vec<ReferralNews> = world
        .events()
        .iter()
        .map(|event| match event {
            Event::Referral { news, .. } => *news,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        news,
        [
            ReferralNews::Accepted,
            ReferralNews::Completed(StatusCode::OK)
        ]
    );
}

/// A call that came in and is up, for which we have credentials.
fn taken() -> (World, Phone, InviteId) {
    let (mut world, mut phone, id) = offered("auth");
    world
        .act(|endpoint, _| endpoint.set_credentials(id, credentials()))
        .unwrap();
    world
        .act(|endpoint, now| endpoint.accept(id, sdp("answer"), &[], now))
        .unwrap();
    phone.hear(&world.expect("200 INVITE"));
    world.deliver(&phone.ack());
    assert!(matches!(world.event(), Event::Confirmed { .. }));
    (world, phone, id)
}

#[test]
fn wound_37_a_challenged_bye_of_a_call_that_came_in_is_sent_again() {
    let (mut world, phone, id) = taken();
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    let bye = world.expect("BYE");
    let challenge = CHALLENGE.replace("WWW-Authenticate", "Proxy-Authenticate");
    world.deliver(&phone.respond(&bye, "407 Proxy Authentication Required", &challenge, ""));
    let again = world.expect("BYE");
    assert_eq!(text::cseq(&again), text::cseq(&bye) + 1);
    assert!(text::header(&again, "Proxy-Authorization").contains("username=\"1000\""));
    world.expect_no_event();
    world.deliver(&phone.respond(&again, "200 OK", "", ""));
    assert_eq!(world.ended(), EndCause::LocalBye);
    world.expect_nothing_left();
}

#[test]
fn a_challenged_reinvite_of_a_call_that_came_in_is_sent_again() {
    let (mut world, phone, id) = taken();
    let body = sdp("hold").unwrap();
    world
        .act(|endpoint, now| endpoint.reoffer(id, body, now))
        .unwrap();
    let reinvite = world.expect("INVITE");
    world.deliver(&phone.respond(&reinvite, "401 Unauthorized", CHALLENGE, ""));
    world.expect("ACK");
    let again = world.expect("INVITE");
    assert_eq!(text::body(&again), "hold");
    assert!(text::header(&again, "Authorization").contains("username=\"1000\""));
    world.deliver(&phone.answer(&again));
    world.expect("ACK");
    assert!(matches!(world.event(), Event::ReofferAnswered { .. }));
}

#[test]
fn an_invite_raised_by_422_counts_its_nonce_on() {
    let world = World::with_config(EndpointConfig {
        session_timer: Some(SessionTimerPolicy::default()),
        ..EndpointConfig::default()
    });
    let (mut world, phone, _, invite) = calling_with(world, "auth", |call| {
        call.credentials = Some(credentials());
    });
    world.deliver(&phone.respond(&invite, "401 Unauthorized", CHALLENGE, ""));
    world.expect("ACK");
    let again = world.expect("INVITE");
    assert!(text::header(&again, "Authorization").contains("nc=00000001"));
    world.deliver(&phone.respond(&again, "422 Too Small", "Min-SE: 3600\r\n", ""));
    world.expect("ACK");
    let raised = world.expect("INVITE");
    assert_eq!(text::header(&raised, "Session-Expires"), "3600");
    assert!(text::header(&raised, "Authorization").contains("nc=00000002"));
    world.deliver(&phone.answer(&raised));
    world.expect("ACK");
    assert!(matches!(world.event(), Event::Answered { .. }));
}

#[test]
fn a_reinvite_that_meets_491_counts_its_nonce_on() {
    let (mut world, phone, id) = answered();
    let body = sdp("hold").unwrap();
    world
        .act(|endpoint, now| endpoint.reoffer(id, body, now))
        .unwrap();
    let reinvite = world.expect("INVITE");
    let challenge = CHALLENGE.replace("n1", "n2");
    world.deliver(&phone.respond(&reinvite, "401 Unauthorized", &challenge, ""));
    world.expect("ACK");
    let again = world.expect("INVITE");
    assert!(text::header(&again, "Authorization").contains("nc=00000001"));
    world.deliver(&phone.respond(&again, "491 Request Pending", "", ""));
    world.expect("ACK");
    world.advance(Duration::from_secs(4));
    let later = world.next().text;
    assert_eq!(text::body(&later), "hold");
    assert!(text::header(&later, "Authorization").contains("nc=00000002"));
}
