//! REFER both ways (RFC 3515, 4488, 6665): what was asked, what was told, and calls that end meanwhile.

use std::time::Duration;

use offhook_sip::{
    endpoint::{EndCause, Event, InviteId, OutgoingRefer, ReferralNews},
    message::StatusCode,
};

use crate::{answering::established, phone::Phone, text, world::World};

const TIMEOUT: Duration = Duration::from_secs(60);

fn refer(world: &mut World, id: InviteId, wants_news: bool) -> String {
    let refer = OutgoingRefer {
        refer_to: "sip:desk@203.0.113.50;user=phone".to_owned(),
        referred_by: Some("sip:agent@198.51.100.1".to_owned()),
        wants_news,
        timeout: TIMEOUT,
        extra: Vec::new(),
    };
    world
        .act(|endpoint, now| endpoint.refer(id, &refer, now))
        .unwrap();
    world.expect("REFER")
}

fn notify(phone: &mut Phone, state: &str, fragment: &str) -> String {
    let headers =
        format!("Event: refer\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag\r\n");
    phone.request_with("NOTIFY", &headers, fragment)
}

fn news(world: &mut World) -> ReferralNews {
    match world.event() {
        Event::Referral { news, .. } => news,
        other => panic!("Referral expected: {other:?}"),
    }
}

fn referred(world: &mut World, phone: &mut Phone, headers: &str) {
    world.deliver(&phone.request_with("REFER", headers, ""));
}

#[test]
fn wound_58_refer_to_and_referred_by_stand_between_brackets_without_a_name() {
    let (mut world, _, id) = established("ref");
    let refer = refer(&mut world, id, true);
    assert_eq!(
        text::header(&refer, "Refer-To"),
        "<sip:desk@203.0.113.50;user=phone>"
    );
    assert_eq!(
        text::header(&refer, "Referred-By"),
        "<sip:agent@198.51.100.1>"
    );
    assert!(text::headers(&refer, "Refer-Sub").is_empty());
}

#[test]
fn a_transfer_tells_accepted_progress_and_completed() {
    let (mut world, mut phone, id) = established("ref");
    let refer = refer(&mut world, id, true);
    world.deliver(&phone.respond(&refer, "202 Accepted", "", ""));
    assert_eq!(news(&mut world), ReferralNews::Accepted);
    world.deliver(&notify(
        &mut phone,
        "active;expires=60",
        "SIP/2.0 100 Trying\r\n",
    ));
    world.expect("200 NOTIFY");
    assert_eq!(news(&mut world), ReferralNews::Progress(StatusCode::TRYING));
    world.deliver(&notify(
        &mut phone,
        "active;expires=50",
        "SIP/2.0 180 Ringing\r\n",
    ));
    world.expect("200 NOTIFY");
    assert_eq!(
        news(&mut world),
        ReferralNews::Progress(StatusCode::RINGING)
    );
    world.deliver(&notify(
        &mut phone,
        "terminated;reason=noresource",
        "SIP/2.0 200 OK\r\n",
    ));
    world.expect("200 NOTIFY");
    assert_eq!(news(&mut world), ReferralNews::Completed(StatusCode::OK));
    world.expect_no_event();
    world.advance(TIMEOUT);
    world.expect_no_event();
}

#[test]
fn wound_54_a_403_in_the_last_news_is_the_outcome_although_the_refer_was_accepted() {
    let (mut world, mut phone, id) = established("ref");
    let refer = refer(&mut world, id, true);
    world.deliver(&phone.respond(&refer, "202 Accepted", "", ""));
    world.deliver(&notify(
        &mut phone,
        "terminated",
        "SIP/2.0 403 Forbidden\r\n",
    ));
    assert_eq!(news(&mut world), ReferralNews::Accepted);
    assert_eq!(
        news(&mut world),
        ReferralNews::Failed(StatusCode::FORBIDDEN)
    );
}

#[test]
fn a_refused_refer_and_one_without_an_answer_say_so() {
    let (mut world, phone, id) = established("ref");
    let sent = refer(&mut world, id, true);
    world.deliver(&phone.respond(&sent, "603 Decline", "", ""));
    assert_eq!(news(&mut world), ReferralNews::Refused(StatusCode::DECLINE));

    let (mut world, _, id) = established("ref2");
    refer(&mut world, id, true);
    world.advance(Duration::from_secs(32));
    let timeout = ReferralNews::Refused(StatusCode::REQUEST_TIMEOUT);
    assert_eq!(news(&mut world), timeout);
    world.expect_no_event();
}

#[test]
fn a_transfer_whose_outcome_nobody_tells_times_out() {
    let (mut world, phone, id) = established("ref");
    let sent = refer(&mut world, id, true);
    world.deliver(&phone.respond(&sent, "202 Accepted", "", ""));
    assert_eq!(news(&mut world), ReferralNews::Accepted);
    world.advance(TIMEOUT);
    assert_eq!(news(&mut world), ReferralNews::TimedOut);
}

#[test]
fn wound_55_news_that_ends_on_100_fails_promptly() {
    let (mut world, mut phone, id) = established("ref");
    let sent = refer(&mut world, id, true);
    world.deliver(&phone.respond(&sent, "202 Accepted", "", ""));
    world.deliver(&notify(
        &mut phone,
        "terminated;reason=timeout",
        "SIP/2.0 100 Trying\r\n",
    ));
    assert_eq!(news(&mut world), ReferralNews::Accepted);
    assert_eq!(news(&mut world), ReferralNews::Progress(StatusCode::TRYING));
    assert_eq!(news(&mut world), ReferralNews::EndedEarly);
}

#[test]
fn news_that_trails_one_outcome_is_not_that_of_the_next_refer() {
    let (mut world, mut phone, id) = established("ref");
    let first = refer(&mut world, id, true);
    world.deliver(&phone.respond(&first, "202 Accepted", "", ""));
    world.deliver(&notify(&mut phone, "active", "SIP/2.0 603 Decline\r\n"));
    world.sent();
    world.events();
    let second = refer(&mut world, id, true);
    world.deliver(&phone.respond(&second, "202 Accepted", "", ""));
    world.events();
    let trailing = phone.request_with(
        "NOTIFY",
        &format!(
            "Event: refer;id={}\r\nSubscription-State: terminated\r\n",
            text::cseq(&first)
        ),
        "SIP/2.0 603 Decline\r\n",
    );
    world.deliver(&trailing);
    world.expect("200 NOTIFY");
    world.expect_no_event();
}

#[test]
fn a_refer_that_meets_the_last_news_of_the_one_before_is_told_to_come_back() {
    let (mut world, mut phone, id) = established("in");
    referred(&mut world, &mut phone, "Refer-To: <sip:a@203.0.113.1>\r\n");
    world.events();
    world
        .act(|endpoint, now| endpoint.accept_refer(id, now))
        .unwrap();
    world
        .act(|endpoint, now| endpoint.notify_refer(id, StatusCode::OK, now))
        .unwrap();
    world.sent();
    referred(&mut world, &mut phone, "Refer-To: <sip:b@203.0.113.1>\r\n");
    world.expect("500 REFER");
}

#[test]
fn wound_55_news_that_trails_our_bye_is_answered_200_and_told() {
    let (mut world, mut phone, id) = established("ref");
    let sent = refer(&mut world, id, true);
    world.deliver(&phone.respond(&sent, "202 Accepted", "", ""));
    world.events();
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    let bye = world.expect("BYE");
    world.deliver(&phone.respond(&bye, "200 OK", "", ""));
    assert_eq!(world.ended(), EndCause::LocalBye);
    world.deliver(&notify(&mut phone, "terminated", "SIP/2.0 200 OK\r\n"));
    world.expect("200 NOTIFY");
    assert_eq!(news(&mut world), ReferralNews::Completed(StatusCode::OK));
    // What is about nothing of ours is not welcome.
    world.deliver(&notify(&mut phone, "terminated", "SIP/2.0 200 OK\r\n"));
    world.expect("481 NOTIFY");
    world.expect_nothing_left();
}

#[test]
fn a_refer_without_news_asks_for_none_and_is_over_with_its_202() {
    let (mut world, phone, id) = established("ref");
    let sent = refer(&mut world, id, false);
    assert_eq!(text::header(&sent, "Refer-Sub"), "false");
    world.deliver(&phone.respond(&sent, "202 Accepted", "Refer-Sub: false\r\n", ""));
    assert_eq!(news(&mut world), ReferralNews::AcceptedWithoutNews);
    world.advance(TIMEOUT);
    world.expect_no_event();
}

#[test]
fn a_far_end_is_sent_to_the_far_end_of_another_call_with_what_names_that_call_there() {
    let (mut world, phone, id) = established("first");
    let target = world.endpoint.replacement_of(id).expect("the call is up");
    assert_eq!(
        target.to_string(),
        format!(
            "sip:caller@203.0.113.9:5070?Replaces=first%3Bto-tag%3Dfar-first%3Bfrom-tag%3D{}",
            phone.remote_tag
        )
    );
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    world.expect("BYE");
    assert_eq!(world.endpoint.replacement_of(id), None);
}

#[test]
fn their_refer_is_handed_up_accepted_and_told_to_the_end() {
    let (mut world, mut phone, id) = established("in");
    let to =
        "Refer-To: \"Desk\" <sip:desk@203.0.113.50?Replaces=c%3Bto-tag%3Da%3Bfrom-tag%3Db>\r\n";
    referred(&mut world, &mut phone, to);
    let number = phone.cseq;
    let Event::Referred {
        refer_to, replaces, ..
    } = world.event()
    else {
        panic!()
    };
    assert_eq!(refer_to.to_string(), "sip:desk@203.0.113.50");
    assert_eq!(replaces.unwrap().call_id, "c");
    world
        .act(|endpoint, now| endpoint.accept_refer(id, now))
        .unwrap();
    world.expect("202 REFER");
    let trying = world.expect("NOTIFY");
    assert_eq!(text::body(&trying), "SIP/2.0 100 Trying\r\n");
    assert_eq!(text::header(&trying, "Event"), format!("refer;id={number}"));
    assert!(text::header(&trying, "Subscription-State").starts_with("active;expires="));
    world.deliver(&phone.respond(&trying, "200 OK", "", ""));
    world
        .act(|endpoint, now| endpoint.notify_refer(id, StatusCode::OK, now))
        .unwrap();
    let last = world.expect("NOTIFY");
    assert_eq!(
        text::header(&last, "Subscription-State"),
        "terminated;reason=noresource"
    );
    assert_eq!(text::body(&last), "SIP/2.0 200 OK\r\n");
}

#[test]
fn wound_56_our_bye_waits_until_the_last_notify_is_answered() {
    let (mut world, mut phone, id) = established("in");
    referred(&mut world, &mut phone, "Refer-To: <tel:+15550100>\r\n");
    world.event();
    world
        .act(|endpoint, now| endpoint.accept_refer(id, now))
        .unwrap();
    world.sent();
    world
        .act(|endpoint, now| endpoint.notify_refer(id, StatusCode::OK, now))
        .unwrap();
    let last = world.expect("NOTIFY");
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    world.expect_silence();
    world.deliver(&phone.respond(&last, "200 OK", "", ""));
    world.expect("BYE");
}

#[test]
fn a_notify_that_nobody_answers_does_not_keep_the_call() {
    let (mut world, mut phone, id) = established("in");
    referred(&mut world, &mut phone, "Refer-To: <tel:+15550100>\r\n");
    world.event();
    world
        .act(|endpoint, now| endpoint.accept_refer(id, now))
        .unwrap();
    world
        .act(|endpoint, now| endpoint.notify_refer(id, StatusCode::OK, now))
        .unwrap();
    world
        .act(|endpoint, now| endpoint.bye(id, &[], now))
        .unwrap();
    world.advance(Duration::from_secs(80));
    assert_eq!(world.ended(), EndCause::NoAnswer);
    world.sent();
    world.expect_nothing_left();
}

#[test]
fn a_refer_without_one_readable_target_is_400_and_a_second_meanwhile_500() {
    let (mut world, mut phone, id) = established("in");
    for bad in [
        "",
        "Refer-To: <sip:a@b>\r\nRefer-To: <sip:c@d>\r\n",
        "Refer-To: <<>\r\n",
    ] {
        referred(&mut world, &mut phone, bad);
        world.expect("400 REFER");
    }
    referred(&mut world, &mut phone, "Refer-To: <sip:a@203.0.113.1>\r\n");
    world.event();
    referred(&mut world, &mut phone, "Refer-To: <sip:b@203.0.113.1>\r\n");
    world.expect("500 REFER");
    world
        .act(|endpoint, now| endpoint.reject_refer(id, StatusCode::DECLINE, now))
        .unwrap();
    world.expect("603 REFER");
    world.expect_silence();
}

#[test]
fn a_refer_without_news_is_told_none() {
    let (mut world, mut phone, id) = established("in");
    referred(
        &mut world,
        &mut phone,
        "Refer-To: <sip:a@203.0.113.1>\r\nRefer-Sub: false\r\n",
    );
    world.event();
    world
        .act(|endpoint, now| endpoint.accept_refer(id, now))
        .unwrap();
    assert_eq!(
        text::header(&world.expect("202 REFER"), "Refer-Sub"),
        "false"
    );
    world
        .act(|endpoint, now| endpoint.notify_refer(id, StatusCode::OK, now))
        .unwrap();
    world.expect_silence();
}

#[test]
fn wound_56_a_bye_after_their_refer_ends_the_call_and_leaves_nothing_open() {
    let (mut world, mut phone, _) = established("in");
    referred(&mut world, &mut phone, "Refer-To: <sip:a@203.0.113.1>\r\n");
    world.event();
    world.deliver(&phone.request("BYE"));
    assert_eq!(world.summaries(), ["200 BYE", "603 REFER"]);
    assert_eq!(world.ended(), EndCause::RemoteBye);
    world.expect_nothing_left();
}
