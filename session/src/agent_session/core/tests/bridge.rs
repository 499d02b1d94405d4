//! A call that is joined to another.

use super::*;
use crate::agent_session::AgentInBridge;

fn passed_on(call: &Fixture) -> String {
    let requests = call.requests.iter();
    let keys = requests.filter_map(|request| match request {
        CallRequest::PassOn(digit) => Some(digit.as_char()),
        CallRequest::Press { .. }
        | CallRequest::HangUp { .. }
        | CallRequest::Transfer(_)
        | CallRequest::AnsweredBy(_)
        | CallRequest::SecondLeg(_)
        | CallRequest::MessageLeft(_)
        | CallRequest::HandedOver(_) => None,
    });
    keys.collect()
}

#[test]
fn an_agent_that_stays_is_heard_and_hears_and_keys_reach_both_it_and_the_other_call() {
    let mut call = Fixture::listening(&["sales"]);
    call.call(CallEvent::Bridged(AgentInBridge::Stays));
    call.speak("This call is recorded.", 1_000);
    call.pass_ms(2_000);
    call.caller_says(600);
    call.recognised(phrase("sales"));
    call.pass_ms(2_000);
    assert_eq!(call.turns.len(), 1);
    call.returned(CallbackKind::UserTurn);
    call.digit('5');
    assert_eq!(passed_on(&call), "5");
    assert_eq!(call.digits.len(), 1);
}

#[test]
fn an_agent_that_stands_aside_neither_speaks_nor_hears_and_goes_on_when_the_calls_part() {
    let mut call = Fixture::listening(&["sales"]);
    let (handle, _) = call.speak("A very long recording.", 60_000);
    call.call(CallEvent::Bridged(AgentInBridge::StandsAside));
    assert!(!call.armed());
    call.speech_starts();
    call.voice(1_000);
    call.speech_stops();
    call.pass_ms(300_000);
    assert!(call.recognising.is_empty() && call.turns.is_empty() && !handle.done());
    assert!(!call.callbacks.contains(&CallbackKind::WakeUp));
    call.digit('7');
    assert_eq!(passed_on(&call), "7");
    assert!(call.digits.is_empty(), "it is not the agent's");
    call.call(CallEvent::Parted);
    assert!(call.armed());
    call.caller_says(600);
    assert_eq!(call.recognising.len(), 1);
}

#[test]
fn what_a_collection_asked_for_is_not_passed_on() {
    let mut call = Fixture::entered(config());
    call.call(CallEvent::Bridged(AgentInBridge::Stays));
    let (reply, mut answer) = oneshot::channel();
    call.command(Command::Collect {
        options: CollectOptions {
            max: 2,
            sensitive: true,
            ..CollectOptions::default()
        },
        after: None,
        reply,
    });
    "123".chars().for_each(|key| call.digit(key));
    assert!(answer.try_recv().is_ok());
    assert_eq!(passed_on(&call), "3");
}

#[test]
fn who_was_asked_for_digits_when_the_agent_stood_aside_is_asked_no_more() {
    let mut call = Fixture::entered(config());
    let collect = |call: &mut Fixture| {
        let (reply, answer) = oneshot::channel();
        call.command(Command::Collect {
            options: CollectOptions::default(),
            after: None,
            reply,
        });
        answer
    };
    let mut answer = collect(&mut call);
    call.digit('1');
    call.call(CallEvent::Bridged(AgentInBridge::StandsAside));
    assert_eq!(answer.try_recv(), Ok(Collected::Cancelled));
    let mut refused = collect(&mut call);
    assert!(refused.try_recv().is_err(), "nobody is asked meanwhile");
    call.digit('2');
    assert_eq!(passed_on(&call), "2");
    call.call(CallEvent::Parted);
    let mut answer = collect(&mut call);
    "3#".chars().for_each(|key| call.digit(key));
    assert_eq!(
        answer.try_recv(),
        Ok(Collected::Digits(Pii::new("3".into())))
    );
}

#[test]
fn a_goodbye_that_nobody_will_hear_is_not_waited_for() {
    let mut call = Fixture::entered(config());
    call.speak("Goodbye.", 5_000);
    call.command(Command::HangUp {
        reason: EndCause::AgentHungUp.into(),
        drain: true,
    });
    assert!(call.requests.is_empty());
    call.call(CallEvent::Bridged(AgentInBridge::StandsAside));
    assert!(matches!(call.requests[..], [CallRequest::HangUp { .. }]));
}
