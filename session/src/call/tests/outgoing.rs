//! Calls of ours, and what can be done with a call that is up.

use std::time::Duration;

use offhook_sip::endpoint::{OutgoingInvite, ReferralNews};
use offhook_sip::message::{NameAddr, Response, Uri};

use super::*;
use crate::call::{TransferPlan, TransferProgress};

/// Ids of usages, as many as are wanted.
fn invites(count: usize) -> Vec<InviteId> {
    let now = std::time::Instant::now();
    let address = "127.0.0.1:5060".parse().expect("an address");
    let flow = Flow {
        transport: Transport::Udp,
        local: address,
        remote: address,
    };
    let uri = Uri::parse("sip:a@127.0.0.1").expect("a URI");
    let name = NameAddr::new(uri.clone());
    let mut endpoint = Endpoint::new(EndpointConfig::default(), 1);
    (0..count)
        .map(|_| {
            let call = OutgoingInvite::new(flow, uri.clone(), name.clone(), name.clone());
            endpoint.invite(call, now).expect("room")
        })
        .collect()
}

fn provision() -> Provision {
    Provision {
        id: CallId::new("0011223344556677"),
        local: local_media(),
        leg: LegSettings {
            voice_activity: false,
            echo_guard: true,
            in_band_digits: InBandDigits::WithoutEvents,
            call_tones: false,
            no_media_timeout: None,
            seed: 42,
        },
        digits_by_info: true,
        digits_out: DigitsOut::Auto,
    }
}

/// A call of ours whose INVITE is out, with its id and one for a successor.
fn calling() -> (Call, InviteId, InviteId) {
    let ids = invites(2);
    let (mut call, offer) = Call::outgoing(provision());
    assert!(String::from_utf8_lossy(&offer.bytes).contains("m=audio 10000"));
    call.placed(ids[0]);
    assert!(drain(&mut call).is_empty());
    (call, ids[0], ids[1])
}

fn response(status: u16, body: &str) -> Response {
    let mut response = Response::new(StatusCode::new(status).expect("a status"));
    response.headers.push("Content-Type", "application/sdp");
    response.body = body.as_bytes().to_vec();
    response
}

fn answered(call: &mut Call, id: InviteId, body: &str) {
    let response = response(200, body);
    call.handle_sip(Event::Answered { id, response });
}

fn called() -> (Call, InviteId, InviteId) {
    let (mut call, id, other) = calling();
    answered(&mut call, id, &offer("0", ""));
    drain(&mut call);
    (call, id, other)
}

fn news(call: &mut Call, id: InviteId, news: ReferralNews) -> Vec<Output> {
    // The number of a referral is the endpoint's; a call has one at a time.
    let referral = referral();
    call.handle_sip(Event::Referral { id, referral, news });
    drain(call)
}

/// A referral's id can be had from an endpoint only.
fn referral() -> offhook_sip::endpoint::ReferralId {
    offhook_sip::endpoint::ReferralId::default()
}

fn plan(wait: bool) -> TransferPlan {
    TransferPlan {
        target: "sip:desk@192.0.2.9".to_owned().into(),
        referred_by: None,
        wait,
        timeout: Duration::from_secs(60),
        headers: Vec::new(),
    }
}

fn progress(outputs: &[Output]) -> Vec<TransferProgress> {
    let told = |output: &Output| match output {
        Output::Transfer(progress) => Some(*progress),
        _ => None,
    };
    outputs.iter().filter_map(told).collect()
}

#[test]
fn wound_59_the_answer_opens_the_leg_and_what_a_1xx_said_does_not() {
    let (mut call, id, _) = calling();
    let early = response(183, &offer("8", ""));
    call.handle_sip(Event::Provisional {
        id,
        status: StatusCode::SESSION_PROGRESS,
        response: early,
        wants_answer: false,
    });
    assert!(matches!(&drain(&mut call)[..], [Output::Ringing(_)]));
    answered(&mut call, id, &offer("0", ""));
    let outputs = drain(&mut call);
    let [
        Output::Open(leg),
        Output::Tell(CallEvent::Answered),
        Output::Tell(CallEvent::Confirmed),
    ] = &outputs[..]
    else {
        panic!("{outputs:?}");
    };
    assert_eq!(leg.codec.kind, CodecKind::Pcmu);
}

#[test]
fn an_answer_that_cannot_be_used_is_ended_with_its_reason() {
    let (mut call, id, _) = calling();
    answered(&mut call, id, &offer("9", ""));
    let outputs = drain(&mut call);
    let [
        Output::CloseLeg,
        Output::Sip(_, SipCommand::Bye { headers }),
    ] = &outputs[..]
    else {
        panic!("{outputs:?}");
    };
    assert!(headers[0].1.contains("cause=488"), "{headers:?}");
}

#[test]
fn a_call_that_is_refused_or_given_up_is_over_and_never_had_a_session() {
    let (mut call, _, _) = calling();
    end(&mut call, DialogEnd::Rejected(StatusCode::BUSY_HERE));
    let outputs = drain(&mut call);
    assert!(
        matches!(&outputs[..], [Output::CloseLeg, Output::Over(reason)] if reason.sip_status == Some(486))
    );

    let (mut call, id, _) = calling();
    call.hang_up(EndCause::NotAnswered.into());
    let outputs = drain(&mut call);
    assert!(
        matches!(&outputs[..], [Output::Sip(cancelled, SipCommand::Cancel), Output::CloseLeg, Output::Over(_)] if *cancelled == id),
        "{outputs:?}"
    );
}

#[test]
fn a_call_whose_way_is_not_found_or_not_wanted_any_more_is_over() {
    let (mut call, _) = Call::outgoing(provision());
    call.not_placed(EndReason::with_status(EndCause::SignallingLost, 502));
    assert!(matches!(drain(&mut call).last(), Some(Output::Over(_))));

    let (mut call, _) = Call::outgoing(provision());
    call.hang_up(EndCause::OperatorHungUp.into());
    assert!(matches!(drain(&mut call).last(), Some(Output::Over(_))));
}

#[test]
fn a_redirection_is_handed_on() {
    let (mut call, id, _) = calling();
    let contacts = vec![Uri::parse("sip:b@192.0.2.2").expect("a URI")];
    let status = StatusCode::MOVED_TEMPORARILY;
    call.handle_sip(Event::Redirected {
        id,
        contacts,
        status,
    });
    assert!(matches!(&drain(&mut call)[..], [Output::Follow(_, contacts)] if contacts.len() == 1));
}

#[test]
fn a_far_end_is_held_by_sendonly_and_taken_off_by_sendrecv_with_one_offer_at_a_time() {
    let (mut call, id, _) = called();
    assert!(call.hold(true));
    let outputs = drain(&mut call);
    let [Output::Sip(_, SipCommand::Reoffer(body))] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert!(String::from_utf8_lossy(&body.bytes).contains("a=sendonly"));
    assert!(!call.hold(false), "an offer is open");
    let response = response(200, &offer("0", "a=recvonly\r\n"));
    call.handle_sip(Event::ReofferAnswered { id, response });
    let outputs = drain(&mut call);
    assert!(
        matches!(&outputs[..], [Output::Renegotiate(_), Output::Hold(true)]),
        "{outputs:?}"
    );
    assert!(call.hold(false));
    let outputs = drain(&mut call);
    let [Output::Sip(_, SipCommand::Reoffer(body))] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert!(String::from_utf8_lossy(&body.bytes).contains("a=sendrecv"));
}

#[test]
fn a_refused_hold_is_none() {
    let (mut call, id, _) = called();
    call.hold(true);
    drain(&mut call);
    let status = StatusCode::NOT_ACCEPTABLE_HERE;
    call.handle_sip(Event::ReofferRefused { id, status });
    assert!(drain(&mut call).is_empty());
    assert!(call.hold(true), "it can be tried again");
}

#[test]
fn wound_29_a_refresh_repeats_what_stands_with_the_same_version() {
    let (mut call, id, _) = called();
    let refresh = |call: &mut Call| {
        call.handle_sip(Event::RefreshDue { id });
        let outputs = drain(call);
        let [Output::Sip(_, SipCommand::Reoffer(body))] = &outputs[..] else {
            panic!("{outputs:?}");
        };
        let body = body.bytes.clone();
        let response = response(200, &offer("0", ""));
        call.handle_sip(Event::ReofferAnswered { id, response });
        drain(call);
        body
    };
    let first = refresh(&mut call);
    assert_eq!(first, refresh(&mut call));
    assert!(String::from_utf8_lossy(&first).contains(" 1 IN IP4"));
}

#[test]
fn a_transfer_that_completes_ends_the_call_and_one_that_fails_does_not() {
    let (mut call, id, _) = called();
    call.transfer(plan(true));
    assert!(matches!(
        &drain(&mut call)[..],
        [Output::Sip(_, SipCommand::Refer(refer))] if refer.wants_news
    ));
    let told = news(&mut call, id, ReferralNews::Accepted);
    assert_eq!(progress(&told), [TransferProgress::Accepted]);
    let busy = StatusCode::BUSY_HERE;
    let told = news(&mut call, id, ReferralNews::Failed(busy));
    assert_eq!(progress(&told), [TransferProgress::Rejected(busy)]);
    let ends = |output: &Output| matches!(output, Output::Sip(..) | Output::CloseLeg);
    assert!(!told.iter().any(ends), "the call goes on: {told:?}");

    call.transfer(plan(true));
    drain(&mut call);
    let told = news(&mut call, id, ReferralNews::Completed(StatusCode::OK));
    assert_eq!(progress(&told), [TransferProgress::Completed]);
    assert!(matches!(
        told.last(),
        Some(Output::Sip(_, SipCommand::Bye { .. }))
    ));
}

#[test]
fn a_transfer_without_waiting_is_complete_when_it_is_accepted() {
    let (mut call, id, _) = called();
    call.transfer(plan(false));
    drain(&mut call);
    let told = news(&mut call, id, ReferralNews::AcceptedWithoutNews);
    assert_eq!(progress(&told), [TransferProgress::Completed]);
    assert!(matches!(
        told.last(),
        Some(Output::Sip(_, SipCommand::Bye { .. }))
    ));
}

#[test]
fn a_far_end_that_hangs_up_before_the_outcome_has_gone_if_it_had_accepted() {
    for (accepted, outcome) in [
        (true, TransferProgress::Completed),
        (false, TransferProgress::TimedOut),
    ] {
        let (mut call, id, _) = called();
        call.transfer(plan(true));
        drain(&mut call);
        if accepted {
            news(&mut call, id, ReferralNews::Accepted);
        }
        end(&mut call, DialogEnd::RemoteBye);
        assert_eq!(progress(&drain(&mut call)), [outcome]);
    }
}

#[test]
fn a_second_transfer_meanwhile_is_impossible() {
    let (mut call, _, _) = called();
    call.transfer(plan(true));
    drain(&mut call);
    call.transfer(plan(true));
    assert_eq!(progress(&drain(&mut call)), [TransferProgress::Impossible]);
}

fn referred(call: &mut Call, id: InviteId) -> Vec<Output> {
    call.handle_sip(Event::Referred {
        id,
        refer_to: Uri::parse("sip:desk@192.0.2.9").expect("a URI"),
        replaces: None,
        request: request("REFER", ""),
    });
    drain(call)
}

#[test]
fn who_a_far_end_refers_us_to_takes_its_place_when_it_answers() {
    let (mut call, first, second) = called();
    let outputs = referred(&mut call, first);
    assert!(matches!(&outputs[..], [Output::Succeed(_)]), "{outputs:?}");
    call.succession_placed(second);
    assert!(matches!(
        &drain(&mut call)[..],
        [
            Output::Tell(CallEvent::SuccessorCalled),
            Output::Sip(id, SipCommand::AcceptRefer),
        ] if *id == first
    ));
    answered(&mut call, second, &offer("0", ""));
    let outputs = drain(&mut call);
    let [
        Output::Tell(CallEvent::SuccessorSettled),
        Output::Tell(CallEvent::Succeeded),
        Output::Renegotiate(agreed),
        Output::Sip(told, SipCommand::NotifyRefer(StatusCode::OK)),
        Output::Sip(left, SipCommand::Bye { .. }),
    ] = &outputs[..]
    else {
        panic!("{outputs:?}");
    };
    assert_eq!((*told, *left), (first, first));
    assert!(agreed.another_far_end);
    assert_eq!(call.invite(), Some(second));
    // The first far end's last word changes nothing.
    call.handle_sip(Event::Ended {
        id: first,
        cause: DialogEnd::LocalBye,
        message: None,
    });
    assert!(drain(&mut call).is_empty());
}

#[test]
fn wound_56_a_far_end_that_leaves_after_its_refer_leaves_the_call_to_its_successor() {
    let (mut call, first, second) = called();
    referred(&mut call, first);
    call.succession_placed(second);
    drain(&mut call);
    call.handle_sip(Event::Ended {
        id: first,
        cause: DialogEnd::RemoteBye,
        message: None,
    });
    assert!(drain(&mut call).is_empty(), "the call waits");
    answered(&mut call, second, &offer("0", ""));
    assert!(matches!(
        &drain(&mut call)[..],
        [
            Output::Tell(CallEvent::SuccessorSettled),
            Output::Tell(CallEvent::Succeeded),
            Output::Renegotiate(agreed),
        ] if agreed.another_far_end
    ));
}

#[test]
fn a_successor_that_is_placed_after_the_calls_end_is_cancelled() {
    let (mut call, first, second) = called();
    referred(&mut call, first);
    call.hang_up(EndCause::AgentHungUp.into());
    drain(&mut call);
    call.succession_placed(second);
    assert!(matches!(
        &drain(&mut call)[..],
        [Output::Sip(id, SipCommand::Cancel)] if *id == second
    ));
}

#[test]
fn an_offer_that_could_not_be_sent_does_not_stand_in_the_way_of_the_next() {
    let (mut call, _, _) = called();
    assert!(call.hold(true));
    drain(&mut call);
    assert!(call.holds_or_asks(true));
    call.reoffer_not_sent();
    assert!(
        call.holds_or_asks(false),
        "who asked is told that it was not"
    );
    assert!(call.hold(true));
}

#[test]
fn a_successor_that_does_not_answer_leaves_things_as_they_were_or_ends_what_is_left() {
    let (mut call, first, second) = called();
    referred(&mut call, first);
    call.succession_placed(second);
    drain(&mut call);
    let busy = DialogEnd::Rejected(StatusCode::BUSY_HERE);
    let ended = |id, cause| Event::Ended {
        id,
        cause,
        message: None,
    };
    call.handle_sip(ended(second, busy));
    assert!(matches!(
        &drain(&mut call)[..],
        [
            Output::Tell(CallEvent::SuccessorSettled),
            Output::Sip(_, SipCommand::NotifyRefer(StatusCode::BUSY_HERE)),
        ]
    ));

    referred(&mut call, first);
    call.succession_placed(second);
    drain(&mut call);
    call.handle_sip(ended(first, DialogEnd::RemoteBye));
    call.handle_sip(ended(second, busy));
    assert!(matches!(
        &drain(&mut call)[..],
        [
            Output::Tell(CallEvent::SuccessorSettled),
            Output::Tell(CallEvent::Ended { .. }),
            Output::CloseLeg,
        ]
    ));
}

#[test]
fn a_successor_that_rings_for_too_long_is_given_up_and_the_first_far_end_stays() {
    let (mut call, first, second) = called();
    referred(&mut call, first);
    call.succession_placed(second);
    drain(&mut call);
    call.rang_out(first);
    assert!(drain(&mut call).is_empty(), "it was answered long ago");
    call.rang_out(second);
    let outputs = drain(&mut call);
    assert!(
        matches!(
            &outputs[..],
            [
                Output::Sip(given_up, SipCommand::Cancel),
                Output::Tell(CallEvent::SuccessorSettled),
                Output::Sip(told, SipCommand::NotifyRefer(StatusCode::REQUEST_TIMEOUT)),
            ] if (*given_up, *told) == (second, first)
        ),
        "{outputs:?}"
    );
    assert_eq!(call.invite(), Some(first));
    call.rang_out(second);
    assert!(drain(&mut call).is_empty(), "it is given up already");
}

#[test]
fn an_invite_with_replaces_takes_the_far_ends_place_or_is_refused_without_harm() {
    let (mut call, first, second) = called();
    call.replaced_by(second, &request("INVITE", &offer("9", "")));
    assert!(matches!(
        &drain(&mut call)[..],
        [Output::Sip(id, SipCommand::Reject { .. })] if *id == second
    ));
    assert_eq!(call.invite(), Some(first));
    call.replaced_by(second, &request("INVITE", &offer("0", "")));
    let outputs = drain(&mut call);
    let [
        Output::Sip(accepted, SipCommand::Accept(Some(_))),
        Output::Tell(CallEvent::Succeeded),
        Output::Renegotiate(agreed),
        Output::Sip(left, SipCommand::Bye { .. }),
    ] = &outputs[..]
    else {
        panic!("{outputs:?}");
    };
    assert_eq!((*accepted, *left), (second, first));
    assert!(agreed.another_far_end);
}

#[test]
fn who_takes_a_far_ends_place_takes_it_from_its_successor_too() {
    let (mut call, first, second) = called();
    let third = invites(3)[2];
    referred(&mut call, first);
    call.succession_placed(second);
    drain(&mut call);
    call.replaced_by(third, &request("INVITE", &offer("0", "")));
    let outputs = drain(&mut call);
    assert!(
        matches!(
            &outputs[..],
            [
                Output::Sip(given_up, SipCommand::Cancel),
                Output::Tell(CallEvent::SuccessorSettled),
                Output::Sip(accepted, SipCommand::Accept(Some(_))),
                ..
            ] if (*given_up, *accepted) == (second, third)
        ),
        "{outputs:?}"
    );
    // Its answer comes too late, and is nobody's any more.
    answered(&mut call, second, &offer("0", ""));
    assert!(drain(&mut call).is_empty());
    assert_eq!(call.invite(), Some(third));
}

#[test]
fn a_call_that_waits_for_a_prack_is_refused_when_it_is_ended() {
    let mut invite = request("INVITE", "");
    invite.headers.push("Require", "100rel");
    let mut call = Call::incoming(invites(1)[0], &invite, provision());
    drain(&mut call);
    call.hang_up(EndCause::Shutdown.into());
    assert!(matches!(
        &drain(&mut call)[..],
        [Output::Sip(_, SipCommand::Reject { .. })]
    ));
}

#[test]
fn wound_14_a_caller_that_insists_on_reliable_1xx_gets_our_offer_in_a_183() {
    let mut invite = request("INVITE", "");
    invite.headers.push("Require", "100rel");
    let id = invites(1)[0];
    let mut call = Call::incoming(id, &invite, provision());
    assert!(matches!(
        &drain(&mut call)[..],
        [Output::Sip(_, SipCommand::Progress(_))]
    ));
    let prack = request("PRACK", &offer("0", ""));
    call.handle_sip(Event::Acknowledged { id, prack });
    let outputs = drain(&mut call);
    assert!(
        matches!(
            &outputs[..],
            [
                Output::Open(_),
                Output::Sip(_, SipCommand::Accept(None)),
                Output::Tell(CallEvent::Answered)
            ]
        ),
        "{outputs:?}"
    );
}
