//! Calls without a network: what the endpoint reports goes in, what the driver must do comes out.

mod consultation;
mod outgoing;
mod pressing;

use std::net::{IpAddr, Ipv4Addr};

use offhook_media::codec::CodecKind;
use offhook_media::leg::InBandDigits;
use offhook_media::sdp::{Direction, TelephoneEventRates};
use offhook_sip::endpoint::{
    EndCause as DialogEnd, Endpoint, EndpointConfig, Flow, Output as EndpointOutput, ReferralNews,
    Transport,
};
use offhook_sip::message::{Message, parse_datagram};

use super::*;
use crate::agent_session::{TransferOutcome, TransferRequest, TransferStep};

/// The id that an endpoint gives its first INVITE.
fn first_invite() -> InviteId {
    let now = std::time::Instant::now();
    let address = "127.0.0.1:5060".parse().expect("an address");
    let flow = Flow {
        transport: Transport::Udp,
        local: address,
        remote: address,
    };
    let mut endpoint = Endpoint::new(EndpointConfig::default(), 1);
    endpoint.handle_datagram(flow, &request("INVITE", "").to_bytes(), now);
    let incoming = std::iter::from_fn(|| endpoint.poll_output()).find_map(|output| match output {
        EndpointOutput::Event(Event::Incoming { id, .. }) => Some(id),
        _ => None,
    });
    incoming.expect("an INVITE is reported")
}

fn request(method: &str, body: &str) -> Request {
    let text = format!(
        "{method} sip:echo@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5090;branch=z9hG4bK1\r\n\
         From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:echo@127.0.0.1>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:a@127.0.0.1:5090>\r\nMax-Forwards: 70\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    match parse_datagram(text.as_bytes()) {
        Ok(Some(Message::Request(request))) => request,
        other => panic!("not a request: {other:?}"),
    }
}

fn offer(formats: &str, attributes: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio 4000 RTP/AVP {formats}\r\n{attributes}"
    )
}

fn call_with(body: &str) -> (Call, Vec<Output>) {
    let mut call = undrained_call_with(body);
    let outputs = drain(&mut call);
    (call, outputs)
}

fn undrained_call_with(body: &str) -> Call {
    Call::incoming(first_invite(), &request("INVITE", body), provision())
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

/// A call of ours whose INVITE is out.
fn calling() -> Call {
    let (mut call, _) = Call::outgoing(provision());
    call.placed(first_invite());
    call
}

fn response(status: &str, tag: &str, body: &str) -> Response {
    let text = format!(
        "SIP/2.0 {status}\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1\r\n\
         From: <sip:echo@127.0.0.1>;tag=1\r\nTo: <sip:a@127.0.0.1>;tag={tag}\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:a@127.0.0.1:5090>\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    match parse_datagram(text.as_bytes()) {
        Ok(Some(Message::Response(response))) => response,
        other => panic!("not a response: {other:?}"),
    }
}

fn progress(call: &mut Call, tag: &str, body: &str) {
    call.handle_sip(Event::Provisional {
        id: call.invite().expect("an INVITE"),
        status: StatusCode::SESSION_PROGRESS,
        response: response("183 Session Progress", tag, body),
        wants_answer: false,
    });
}

fn answer(call: &mut Call, tag: &str, body: &str) -> Vec<Output> {
    call.handle_sip(Event::Answered {
        id: call.invite().expect("an INVITE"),
        response: response("200 OK", tag, body),
    });
    drain(call)
}

/// Where the leg that was opened sends.
fn opened_to(outputs: &[Output]) -> Option<u16> {
    outputs.iter().find_map(|output| match output {
        Output::Open(leg) => Some(leg.remote?.port()),
        _ => None,
    })
}

#[test]
fn a_200_without_a_description_leaves_it_at_what_its_own_dialog_answered_before() {
    let mut call = calling();
    progress(&mut call, "one", &offer("0", ""));
    let other = offer("0", "").replace("4000", "4004");
    progress(&mut call, "two", &other);
    assert_eq!(opened_to(&answer(&mut call, "one", "")), Some(4_000));

    let mut call = calling();
    progress(&mut call, "one", &offer("0", ""));
    let outputs = answer(&mut call, "two", "");
    assert_eq!(opened_to(&outputs), None, "{outputs:?}");
}

#[test]
fn wound_17_a_200_with_another_answer_than_the_183_is_the_last_word() {
    let mut call = calling();
    progress(&mut call, "one", &offer("0", ""));
    let other = offer("0", "").replace("4000", "4004");
    assert_eq!(opened_to(&answer(&mut call, "one", &other)), Some(4_004));
}

fn local_media() -> LocalMedia {
    LocalMedia {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 10_000,
        codecs: vec![CodecKind::Opus, CodecKind::Pcmu, CodecKind::Pcma],
        telephone_event: Some(TelephoneEventRates::EachClock),
        ptime_ms: 20,
        srtp: None,
        direction: Direction::SendReceive,
        session_id: 1,
        session_version: 1,
    }
}

fn drain(call: &mut Call) -> Vec<Output> {
    std::iter::from_fn(|| call.poll_output()).collect()
}

fn talking() -> Call {
    let (mut call, _) = call_with(&offer("0 101", "a=rtpmap:101 telephone-event/8000\r\n"));
    confirm(&mut call, request("ACK", ""));
    drain(&mut call);
    call
}

fn confirm(call: &mut Call, ack: Request) {
    call.handle_sip(Event::Confirmed {
        id: call.invite().expect("a dialog"),
        ack,
    });
}

fn reoffer(call: &mut Call, request: Request) {
    call.handle_sip(Event::Reoffer {
        id: call.invite().expect("a dialog"),
        request,
    });
}

fn end(call: &mut Call, cause: DialogEnd) {
    call.handle_sip(Event::Ended {
        id: call.invite().expect("a dialog"),
        cause,
        message: None,
    });
}

fn transferring(call: &mut Call) {
    call.transfer(TransferPlan {
        target: "tel:+15550100".to_owned().into(),
        referred_by: None,
        wait: true,
        timeout: std::time::Duration::from_secs(60),
        headers: Vec::new(),
    });
}

#[test]
fn a_transfer_that_was_never_accepted_is_not_complete_because_one_before_it_was_accepted() {
    let mut call = talking();
    transferring(&mut call);
    call.on_referral_news(ReferralNews::Accepted);
    call.on_referral_news(ReferralNews::Failed(StatusCode::FORBIDDEN));
    transferring(&mut call);
    end(&mut call, DialogEnd::RemoteBye);
    let outputs = drain(&mut call);
    let told = outputs.iter().filter_map(|output| match output {
        Output::Transfer(progress) => Some(*progress),
        _ => None,
    });
    let expected = [
        TransferProgress::Accepted,
        TransferProgress::Rejected(StatusCode::FORBIDDEN),
        TransferProgress::TimedOut,
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[test]
fn a_session_sends_the_far_end_elsewhere_hears_how_it_gets_on_and_nothing_is_sent_to_what_is_no_address()
 {
    let mut call = talking();
    let mut bad = TransferRequest::to("sip:a@b>\r\nX: y");
    call.handle_session(CallRequest::Transfer(Box::new(bad.clone())));
    bad.target = "sip:a@example.net".to_owned().into();
    bad.headers = vec![("Via".to_owned(), "x".to_owned())];
    call.handle_session(CallRequest::Transfer(Box::new(bad)));
    let outputs = drain(&mut call);
    let impossible = TransferStep::Over(TransferOutcome::Impossible);
    assert_eq!(steps(&outputs), [impossible, impossible]);
    assert!(
        !outputs
            .iter()
            .any(|output| matches!(output, Output::Sip(..)))
    );

    let mut request = TransferRequest::to("tel:+15550100");
    request.headers = vec![("X-Ticket".to_owned(), "47".to_owned())];
    let headers = request.headers.clone();
    call.handle_session(CallRequest::Transfer(Box::new(request)));
    let outputs = drain(&mut call);
    let [Output::Sip(_, SipCommand::Refer(refer))] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!(
        (&*refer.refer_to, &refer.extra),
        ("tel:+15550100", &headers)
    );
    call.on_referral_news(ReferralNews::Accepted);
    call.on_referral_news(ReferralNews::Failed(StatusCode::BUSY_HERE));
    assert_eq!(
        steps(&drain(&mut call)),
        [
            TransferStep::Accepted,
            TransferStep::Over(TransferOutcome::Rejected(486))
        ]
    );
}

/// What the session is told of a transfer.
fn steps(outputs: &[Output]) -> Vec<TransferStep> {
    let steps = outputs.iter().filter_map(|output| match output {
        Output::Tell(CallEvent::Transfer(step)) => Some(*step),
        _ => None,
    });
    steps.collect()
}

#[test]
fn an_offer_in_common_is_answered_with_the_leg_already_open() {
    let (_, outputs) = call_with(&offer("0 8", ""));
    let [
        Output::Sip(_, SipCommand::Ring),
        Output::Open(leg),
        Output::Sip(_, SipCommand::Accept(Some(answer))),
        Output::Tell(CallEvent::Answered),
    ] = &outputs[..]
    else {
        panic!("{outputs:?}");
    };
    assert_eq!(leg.codec.kind, CodecKind::Pcmu);
    assert_eq!(leg.remote, Some("127.0.0.1:4000".parse().unwrap()));
    assert!(String::from_utf8_lossy(&answer.bytes).contains("m=audio 10000 RTP/AVP 0"));
}

#[test]
fn an_offer_with_nothing_in_common_is_refused_with_488_and_a_warning() {
    let (mut call, outputs) = call_with(&offer("4 18", ""));
    let [Output::Sip(_, SipCommand::Reject { status, headers })] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!(status.as_u16(), 488);
    assert!(
        headers
            .iter()
            .any(|(name, value)| *name == "Warning" && value.starts_with("305 offhook ")),
        "{headers:?}"
    );
    end(&mut call, DialogEnd::Refused(*status));
    let [Output::CloseLeg, Output::Over(reason)] = &drain(&mut call)[..] else {
        panic!()
    };
    assert_eq!(*reason, EndReason::with_status(EndCause::Rejected, 488));
}

#[test]
fn a_body_that_is_no_session_description_is_a_400() {
    let (_, outputs) = call_with("this is not one");
    assert!(
        matches!(&outputs[..], [Output::Sip(_, SipCommand::Reject { status, .. })] if status.as_u16() == 400),
        "{outputs:?}"
    );
}

#[test]
fn wound_13_an_invite_without_an_offer_is_given_ours_and_the_leg_opens_with_the_answer_in_the_ack()
{
    let (mut call, outputs) = call_with("");
    let [
        Output::Sip(_, SipCommand::Ring),
        Output::Sip(_, SipCommand::Accept(Some(ours))),
    ] = &outputs[..]
    else {
        panic!("{outputs:?}")
    };
    assert!(String::from_utf8_lossy(&ours.bytes).contains("m=audio 10000 RTP/AVP"));
    confirm(&mut call, request("ACK", &offer("0", "")));
    let outputs = drain(&mut call);
    assert!(
        matches!(
            &outputs[..],
            [Output::Open(leg), Output::Tell(CallEvent::Answered), Output::Tell(CallEvent::Confirmed)]
                if leg.codec.kind == CodecKind::Pcmu
        ),
        "{outputs:?}"
    );
}

#[test]
fn an_ack_without_the_answer_it_owes_ends_the_call() {
    let (mut call, _) = call_with("");
    confirm(&mut call, request("ACK", ""));
    let outputs = drain(&mut call);
    assert!(
        matches!(
            &outputs[..],
            [Output::CloseLeg, Output::Sip(_, SipCommand::Bye { .. })]
        ),
        "{outputs:?}"
    );
}

#[test]
fn a_hold_is_answered_with_recvonly_and_the_leg_told() {
    let mut call = talking();
    reoffer(&mut call, request("INVITE", &offer("0", "a=sendonly\r\n")));
    let outputs = drain(&mut call);
    let [
        Output::Sip(_, SipCommand::AcceptReoffer(answer)),
        Output::Renegotiate(agreed),
        Output::Tell(CallEvent::Held),
    ] = &outputs[..]
    else {
        panic!("{outputs:?}");
    };
    assert!(String::from_utf8_lossy(&answer.bytes).contains("a=recvonly"));
    assert_eq!(agreed.direction, Direction::ReceiveOnly);
    reoffer(&mut call, request("INVITE", &offer("0", "")));
    let outputs = drain(&mut call);
    assert!(
        matches!(
            &outputs[..],
            [
                Output::Sip(_, SipCommand::AcceptReoffer(_)),
                Output::Renegotiate(_),
                Output::Tell(CallEvent::Resumed)
            ]
        ),
        "{outputs:?}"
    );
}

#[test]
fn a_reinvite_without_an_offer_is_given_ours_and_the_answer_comes_with_its_ack() {
    let mut call = talking();
    reoffer(&mut call, request("INVITE", ""));
    let outputs = drain(&mut call);
    let [Output::Sip(_, SipCommand::AcceptReoffer(ours))] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert!(String::from_utf8_lossy(&ours.bytes).contains("m=audio 10000 RTP/AVP"));
    let ack = request("ACK", &offer("8", "").replace("4000", "4002"));
    call.handle_sip(Event::ReofferConfirmed {
        id: call.invite().expect("a dialog"),
        ack,
    });
    let outputs = drain(&mut call);
    let [Output::Renegotiate(agreed)] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!(
        (agreed.codec.kind, agreed.remote),
        (CodecKind::Pcma, Some("127.0.0.1:4002".parse().unwrap()))
    );
}

#[test]
fn a_reinvite_that_cannot_be_met_is_refused_and_the_call_goes_on() {
    let mut call = talking();
    reoffer(&mut call, request("INVITE", &offer("18", "")));
    let outputs = drain(&mut call);
    assert!(
        matches!(&outputs[..], [Output::Sip(_, SipCommand::RejectReoffer { status, .. })] if status.as_u16() == 488),
        "{outputs:?}"
    );
}

fn codec_agreed_on(outputs: &[Output]) -> Option<CodecKind> {
    outputs.iter().find_map(|output| match output {
        Output::Renegotiate(agreed) => Some(agreed.codec.kind),
        _ => None,
    })
}

#[test]
fn a_reinvite_may_change_to_a_codec_of_another_rate_and_the_one_in_use_stays_where_it_can() {
    const ALL: &str = "a=rtpmap:96 opus/48000/2\r\n";
    let mut call = talking();
    for (formats, expected) in [
        ("96 0 8", CodecKind::Pcmu),
        ("96", CodecKind::Opus),
        ("0 8 96", CodecKind::Opus),
        ("8", CodecKind::Pcma),
    ] {
        reoffer(&mut call, request("INVITE", &offer(formats, ALL)));
        let outputs = drain(&mut call);
        assert_eq!(codec_agreed_on(&outputs), Some(expected), "{formats}");
    }
}

#[test]
fn the_agents_hang_up_sends_bye_and_the_call_is_over_when_both_sides_have_ended() {
    let mut call = talking();
    call.handle_session(CallRequest::HangUp {
        reason: EndCause::AgentHungUp.into(),
    });
    let outputs = drain(&mut call);
    assert!(
        matches!(
            &outputs[..],
            [
                Output::Tell(CallEvent::Ended { .. }),
                Output::CloseLeg,
                Output::Sip(_, SipCommand::Bye { .. })
            ]
        ),
        "{outputs:?}"
    );
    end(&mut call, DialogEnd::LocalBye);
    let outputs = drain(&mut call);
    assert!(matches!(&outputs[..], [Output::CloseLeg]), "{outputs:?}");
    call.session_closed();
    let outputs = drain(&mut call);
    assert!(
        matches!(&outputs[..], [Output::Over(reason)] if reason.cause == EndCause::AgentHungUp),
        "{outputs:?}"
    );
}

#[test]
fn two_hang_ups_that_cross_end_the_call_once_with_the_first_reason() {
    let mut call = talking();
    call.handle_session(CallRequest::HangUp {
        reason: EndCause::AgentHungUp.into(),
    });
    call.hang_up(EndCause::OperatorHungUp.into());
    end(&mut call, DialogEnd::RemoteBye);
    end(&mut call, DialogEnd::RemoteBye);
    call.session_closed();
    call.session_closed();
    let outputs = drain(&mut call);
    let byes = outputs
        .iter()
        .filter(|output| matches!(output, Output::Sip(_, SipCommand::Bye { .. })))
        .count();
    let ends: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Over(reason) => Some(reason.cause),
            _ => None,
        })
        .collect();
    assert_eq!((byes, &ends[..]), (1, &[EndCause::AgentHungUp][..]));
}

#[test]
fn a_cancel_that_crosses_our_answer_ends_the_session_that_had_begun() {
    let (mut call, _) = call_with(&offer("0", ""));
    end(&mut call, DialogEnd::Cancelled);
    let outputs = drain(&mut call);
    assert!(
        matches!(&outputs[..], [Output::Tell(CallEvent::Ended { reason }), Output::CloseLeg]
            if *reason == EndReason::with_status(EndCause::Cancelled, 487)),
        "{outputs:?}"
    );
}

#[test]
fn a_session_that_ends_by_itself_does_not_leave_the_caller_in_silence() {
    let mut call = talking();
    call.session_closed();
    assert!(matches!(
        &drain(&mut call)[..],
        [Output::CloseLeg, Output::Sip(_, SipCommand::Bye { .. })]
    ));
    end(&mut call, DialogEnd::LocalBye);
    let outputs = drain(&mut call);
    assert!(
        matches!(&outputs[..], [Output::CloseLeg, Output::Over(_)]),
        "{outputs:?}"
    );
}

fn info(call: &mut Call, key: char) {
    let text = String::from_utf8(request("INFO", &key.to_string()).to_bytes()).expect("text");
    let text = text.replace("application/sdp", "application/dtmf");
    let Ok(Some(Message::Request(request))) = parse_datagram(text.as_bytes()) else {
        panic!("{text}")
    };
    call.handle_sip(Event::Info {
        id: call.invite().expect("a dialog"),
        request,
    });
}

#[test]
fn a_digit_by_info_reaches_the_session() {
    let mut call = talking();
    info(&mut call, '0');
    let outputs = drain(&mut call);
    assert!(
        matches!(&outputs[..], [Output::Tell(CallEvent::Digit(digit))] if digit.as_char() == '0'),
        "{outputs:?}"
    );
}

#[test]
fn where_digits_by_info_are_not_wanted_none_reaches_the_session() {
    let provision = Provision {
        digits_by_info: false,
        ..provision()
    };
    let invite = request("INVITE", &offer("0", ""));
    let mut call = Call::incoming(first_invite(), &invite, provision);
    confirm(&mut call, request("ACK", ""));
    drain(&mut call);
    info(&mut call, '0');
    assert!(drain(&mut call).is_empty());
}

#[test]
fn a_call_whose_leg_cannot_be_opened_is_refused_and_over() {
    let mut call = undrained_call_with(&offer("0", ""));
    assert!(matches!(
        call.poll_output(),
        Some(Output::Sip(_, SipCommand::Ring))
    ));
    assert!(matches!(call.poll_output(), Some(Output::Open(_))));
    call.leg_failed();
    let outputs = drain(&mut call);
    assert!(
        matches!(&outputs[..], [Output::CloseLeg, Output::Sip(_, SipCommand::Reject { status, .. })] if status.as_u16() == 500),
        "{outputs:?}"
    );
    end(
        &mut call,
        DialogEnd::Refused(StatusCode::SERVER_INTERNAL_ERROR),
    );
    assert!(
        matches!(drain(&mut call).last(), Some(Output::Over(reason)) if reason.cause == EndCause::Fault)
    );
}

#[test]
fn a_leg_that_fails_at_the_ack_ends_the_call_with_bye_and_it_is_over() {
    let (mut call, _) = call_with("");
    confirm(&mut call, request("ACK", &offer("0", "")));
    assert!(matches!(call.poll_output(), Some(Output::Open(_))));
    call.leg_failed();
    assert!(matches!(
        &drain(&mut call)[..],
        [Output::CloseLeg, Output::Sip(_, SipCommand::Bye { .. })]
    ));
    end(&mut call, DialogEnd::LocalBye);
    assert!(
        matches!(drain(&mut call).last(), Some(Output::Over(reason)) if reason.cause == EndCause::Fault)
    );
}

#[test]
fn a_call_that_arrives_on_hold_is_told_so() {
    let (_, outputs) = call_with(&offer("0", "a=sendonly\r\n"));
    assert!(
        matches!(outputs.last(), Some(Output::Tell(CallEvent::Held))),
        "{outputs:?}"
    );
}
