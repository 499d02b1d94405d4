//! Keys of ours: which way they go.

use offhook_media::control::Digit;

use super::*;

/// A call that is up, to a far end with events or without, whose INVITE had this Allow.
fn up(events: bool, allow: Option<&str>, digits_out: DigitsOut) -> Call {
    let body = if events {
        offer("0 101", "a=rtpmap:101 telephone-event/8000\r\n")
    } else {
        offer("0", "")
    };
    let mut invite = request("INVITE", &body);
    if let Some(allow) = allow {
        invite.headers.push("Allow", allow);
    }
    let provision = Provision {
        digits_out,
        ..provision()
    };
    let mut call = Call::incoming(first_invite(), &invite, provision);
    confirm(&mut call, request("ACK", ""));
    drain(&mut call);
    call
}

/// How a press of `key` went: `audio`, or the body of the INFO.
fn press(call: &mut Call, key: char) -> String {
    call.handle_session(CallRequest::Press {
        digit: Digit::from_char(key).expect("a key"),
        duration_ms: 100,
    });
    way(call)
}

fn way(call: &mut Call) -> String {
    match &drain(call)[..] {
        [Output::Press { digit, duration_ms }] => format!("audio {digit} {duration_ms}"),
        [Output::Sip(_, SipCommand::Info(body))] => {
            assert_eq!(body.content_type, "application/dtmf-relay");
            String::from_utf8(body.bytes.clone()).expect("text")
        }
        other => format!("{other:?}"),
    }
}

fn answered(call: &mut Call, status: u16) {
    call.handle_sip(Event::InfoAnswered {
        id: call.invite().expect("a dialog"),
        status: StatusCode::new(status).expect("a status"),
    });
}

const BY_INFO: &str = "Signal=#\r\nDuration=100\r\n";
const BY_AUDIO: &str = "audio # 100";

#[test]
fn keys_go_by_what_was_negotiated_then_by_info_then_as_tones() {
    let ways = [
        (true, None, DigitsOut::Auto, BY_AUDIO),
        (true, Some("INVITE, INFO"), DigitsOut::Auto, BY_AUDIO),
        (false, None, DigitsOut::Auto, BY_INFO),
        (false, Some("INVITE, INFO"), DigitsOut::Auto, BY_INFO),
        (false, Some("INVITE, BYE"), DigitsOut::Auto, BY_AUDIO),
        (true, None, DigitsOut::Info, BY_INFO),
        (true, Some("INVITE, BYE"), DigitsOut::Info, BY_AUDIO),
        (false, Some("INVITE, INFO"), DigitsOut::Audio, BY_AUDIO),
    ];
    for (events, allow, out, expected) in ways {
        let mut call = up(events, allow, out);
        assert_eq!(
            press(&mut call, '#'),
            expected,
            "{events} {allow:?} {out:?}"
        );
    }
}

#[test]
fn keys_that_are_refused_by_info_are_repeated_with_the_audio_in_their_order_and_later_ones_go_there()
 {
    let mut call = up(false, None, DigitsOut::Auto);
    for key in ['1', '2'] {
        assert!(press(&mut call, key).starts_with("Signal="));
    }
    // Both at the first refusal: a third key, pressed before the second is refused, is behind them.
    answered(&mut call, 415);
    let pressed: Vec<_> = drain(&mut call)
        .iter()
        .map(|output| match output {
            Output::Press { digit, .. } => digit.as_char(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(pressed, ['1', '2']);
    assert_eq!(press(&mut call, '3'), "audio 3 100");
    answered(&mut call, 415);
    assert!(drain(&mut call).is_empty());
}

#[test]
fn a_key_that_is_refused_by_itself_is_pressed_by_itself() {
    let mut call = up(false, None, DigitsOut::Auto);
    for key in ['1', '2'] {
        press(&mut call, key);
    }
    answered(&mut call, 500);
    assert_eq!(way(&mut call), "audio 1 100");
    // It overtook the first and was taken.
    answered(&mut call, 200);
    assert!(drain(&mut call).is_empty());
}

#[test]
fn an_info_that_is_taken_or_not_answered_changes_nothing() {
    let mut call = up(false, None, DigitsOut::Auto);
    for status in [200, 408] {
        press(&mut call, '1');
        answered(&mut call, status);
        assert!(drain(&mut call).is_empty());
    }
    assert_eq!(press(&mut call, '#'), BY_INFO);
    call.press_not_sent();
    assert_eq!(way(&mut call), BY_AUDIO);
}

#[test]
fn keys_before_the_answer_go_nowhere() {
    let mut call = calling();
    call.handle_session(CallRequest::Press {
        digit: Digit::from_char('1').expect("a key"),
        duration_ms: 100,
    });
    assert!(drain(&mut call).is_empty());
}

#[test]
fn what_one_far_end_refused_is_tried_with_its_successor() {
    let mut call = up(false, Some("INVITE, BYE"), DigitsOut::Auto);
    assert_eq!(press(&mut call, '#'), BY_AUDIO);
    let invite = request("INVITE", &offer("0", ""));
    call.replaced_by(call.invite().expect("a dialog"), &invite);
    drain(&mut call);
    assert_eq!(press(&mut call, '#'), BY_INFO);
}
