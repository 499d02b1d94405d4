//! Messages that callers leave.

use super::*;
use crate::agent_session::message::NewMessageTaking;
use crate::agent_session::transfer::AgentInBridge;
use crate::agent_session::{LeftMessage, MessageEnd, MessageOptions, MessageTaken};

fn take(call: &mut Fixture) -> oneshot::Receiver<MessageTaken> {
    let (reply, answer) = oneshot::channel();
    let (ring, _) = rtrb::RingBuffer::new(8);
    call.command(Command::TakeMessage(NewMessageTaking {
        options: MessageOptions {
            max: Duration::from_secs(30),
            ..MessageOptions::default()
        },
        ring,
        reply,
    }));
    answer
}

/// Whether the leg takes a message now.
fn is_taken(call: &Fixture) -> bool {
    let told = call.leg.iter().rev().find_map(|command| match command {
        LegCommand::TakeMessage(ring) => Some(ring.is_some()),
        _ => None,
    });
    told.unwrap_or(false)
}

fn taken(answer: &mut oneshot::Receiver<MessageTaken>) -> Option<(MessageEnd, bool)> {
    answer.try_recv().ok().map(|taken| (taken.end, taken.spoke))
}

#[test]
fn a_message_ends_three_seconds_after_the_last_word() {
    let mut call = Fixture::entered(config());
    let mut answer = take(&mut call);
    assert!(is_taken(&call));
    call.pass_ms(2_000);
    call.caller_says(1_000);
    call.pass_ms(2_000);
    call.caller_says(1_500);
    call.pass_ms(2_600);
    assert_eq!(taken(&mut answer), None);
    call.pass_ms(500);
    assert_eq!(taken(&mut answer), Some((MessageEnd::Silence, true)));
    assert!(!is_taken(&call));
}

#[test]
fn a_caller_who_says_nothing_has_their_patience() {
    let mut call = Fixture::entered(config());
    let mut answer = take(&mut call);
    call.pass_ms(7_900);
    assert_eq!(taken(&mut answer), None);
    call.pass_ms(200);
    assert_eq!(taken(&mut answer), Some((MessageEnd::Silence, false)));
}

#[test]
fn the_key_ends_a_message_and_no_other_does_and_the_agent_hears_of_none() {
    let mut call = Fixture::entered(config());
    let mut answer = take(&mut call);
    call.caller_says(1_000);
    call.digit('1');
    assert_eq!(taken(&mut answer), None);
    call.digit('#');
    assert_eq!(taken(&mut answer), Some((MessageEnd::Key, true)));
    assert!(call.digits.is_empty());
    call.digit('2');
    assert_eq!(
        call.digits.len(),
        1,
        "afterwards keys are the agent's again"
    );
}

#[test]
fn keys_that_were_pressed_before_it_neither_end_it_nor_come_later() {
    let mut call = Fixture::entered(config());
    call.session
        .run(Callback::Dtmf(Digit::from_char('0').unwrap()));
    call.drain();
    call.digits.clear();
    call.digit('#');
    let mut answer = take(&mut call);
    call.pass_ms(100);
    assert_eq!(taken(&mut answer), None);
    call.returned(CallbackKind::Dtmf);
    assert!(call.digits.is_empty());
}

#[test]
fn a_message_is_no_longer_than_it_may_be() {
    let mut call = Fixture::entered(config());
    let mut answer = take(&mut call);
    call.speech_starts();
    call.pass_ms(29_900);
    assert_eq!(taken(&mut answer), None);
    call.pass_ms(200);
    assert_eq!(taken(&mut answer), Some((MessageEnd::Maximum, true)));
}

#[test]
fn who_hangs_up_has_left_what_they_said() {
    let mut call = Fixture::entered(config());
    let mut answer = take(&mut call);
    call.caller_says(1_000);
    call.call(CallEvent::Ended {
        reason: EndCause::FarEndHungUp.into(),
    });
    assert_eq!(taken(&mut answer), Some((MessageEnd::Cut, true)));
    assert!(!is_taken(&call));
}

#[test]
fn a_caller_who_is_joined_to_somebody_else_leaves_no_further_message() {
    let mut call = Fixture::entered(config());
    let mut answer = take(&mut call);
    call.call(CallEvent::Bridged(AgentInBridge::StandsAside));
    assert_eq!(taken(&mut answer), Some((MessageEnd::Cut, false)));
    let mut refused = take(&mut call);
    assert!(refused.try_recv().is_err() && !is_taken(&call));
}

#[test]
fn who_is_put_on_hold_in_mid_word_is_not_waited_for_to_the_end() {
    let mut call = Fixture::entered(config());
    let mut answer = take(&mut call);
    call.speech_starts();
    call.call(CallEvent::Held);
    call.pass_ms(3_100);
    assert_eq!(taken(&mut answer), Some((MessageEnd::Silence, true)));
}

#[test]
fn a_message_that_nobody_waits_for_any_more_is_not_taken() {
    let mut call = Fixture::entered(config());
    drop(take(&mut call));
    call.pass_ms(10);
    call.digit('1');
    assert!(!is_taken(&call));
}

#[test]
fn a_second_message_takes_the_place_of_the_first() {
    let mut call = Fixture::entered(config());
    let mut first = take(&mut call);
    let mut second = take(&mut call);
    assert_eq!(taken(&mut first), Some((MessageEnd::Cut, false)));
    assert!(is_taken(&call) && taken(&mut second).is_none());
}

#[test]
fn nobody_is_woken_up_while_they_leave_a_message() {
    let mut config = config();
    config.wake_up = Some(Duration::from_secs(4));
    let mut call = Fixture::entered(config);
    let _answer = take(&mut call);
    let before = call.callbacks.len();
    call.pass_ms(7_000);
    assert_eq!(call.callbacks.len(), before, "{:?}", call.callbacks);
}

#[test]
fn a_message_that_is_there_is_shown_of_the_call() {
    let mut call = Fixture::entered(config());
    let message = LeftMessage {
        name: "message".to_owned(),
        file: "c-1-message.wav".to_owned(),
        duration: Duration::from_secs(4),
        end: MessageEnd::Key,
    };
    call.command(Command::MessageLeft(message.clone()));
    let request = CallRequest::MessageLeft(Box::new(message));
    assert!(call.requests.contains(&request), "{:?}", call.requests);
}
