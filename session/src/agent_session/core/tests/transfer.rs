//! Transfers that an agent asks for.

use super::hold::speech_waits;
use super::sounds::sound;
use super::*;
use crate::agent_session::transfer::NewTransfer;
use crate::agent_session::{
    AgentInBridge, Meanwhile, SecondLegAnswer, TransferMode, TransferOutcome, TransferRequest,
    TransferStep, WarmEnd, Words,
};

fn transfer(call: &mut Fixture) -> oneshot::Receiver<TransferOutcome> {
    ask(call, TransferRequest::to("sip:desk@example.net"))
}

fn ask(call: &mut Fixture, request: TransferRequest) -> oneshot::Receiver<TransferOutcome> {
    let (reply, outcome) = oneshot::channel();
    call.command(Command::Transfer(NewTransfer { request, reply }));
    outcome
}

/// A bridge to somebody who is being called, with what the caller hears meanwhile.
fn consult(call: &mut Fixture, meanwhile: Meanwhile) -> oneshot::Receiver<TransferOutcome> {
    let mut request = TransferRequest::by(TransferMode::Bridge, "sip:desk@example.net");
    request.second_leg.meanwhile = meanwhile;
    let outcome = ask(call, request);
    step(call, TransferStep::Calling);
    outcome
}

/// What is played in a loop in the agent's place, by its length in samples.
fn heard_in_place(call: &Fixture) -> Option<usize> {
    let mut heard = None;
    for command in &call.leg {
        match command {
            LegCommand::Loop {
                bus: Bus::Thinking,
                samples,
                ..
            } => heard = Some(samples.len()),
            LegCommand::Flush {
                bus: Bus::Thinking, ..
            } => heard = None,
            _ => {}
        }
    }
    heard
}

fn asked(call: &Fixture) -> usize {
    let asked = |request: &&CallRequest| matches!(request, CallRequest::Transfer(_));
    call.requests.iter().filter(asked).count()
}

fn step(call: &mut Fixture, step: TransferStep) {
    call.call(CallEvent::Transfer(step));
}

#[test]
fn an_agent_is_told_what_became_of_a_transfer_whoever_asked_for_it() {
    let mut call = Fixture::entered(config());
    call.callbacks.clear();
    step(&mut call, TransferStep::Accepted);
    assert!(call.callbacks.is_empty());
    step(&mut call, TransferStep::Over(TransferOutcome::TimedOut));
    assert_eq!(call.callbacks, [CallbackKind::Transfer]);
}

#[test]
fn a_transfer_that_fails_is_a_value_and_the_caller_is_the_agents_again() {
    let mut config = config();
    config.wake_up = Some(Duration::from_secs(5));
    let mut call = Fixture::entered(config);
    let mut outcome = transfer(&mut call);
    assert_eq!(asked(&call), 1);
    step(&mut call, TransferStep::Accepted);
    step(&mut call, TransferStep::Ringing(180));
    // Who is being sent elsewhere has no reason to talk to us.
    call.pass_ms(30_000);
    assert!(!call.callbacks.contains(&CallbackKind::WakeUp));
    assert!(outcome.try_recv().is_err());
    step(
        &mut call,
        TransferStep::Over(TransferOutcome::Rejected(486)),
    );
    assert_eq!(outcome.try_recv(), Ok(TransferOutcome::Rejected(486)));
    let told = call.events.iter().filter_map(|event| match event {
        SessionEvent::Transfer { step, .. } => Some(*step),
        _ => None,
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            TransferStep::Accepted,
            TransferStep::Ringing(180),
            TransferStep::Over(TransferOutcome::Rejected(486)),
        ]
    );
    call.pass_ms(5_000);
    assert!(call.callbacks.contains(&CallbackKind::WakeUp));
    // And may be sent somewhere else.
    transfer(&mut call);
    assert_eq!(asked(&call), 2);
}

#[test]
fn a_transfer_that_succeeds_ends_the_call_and_says_so() {
    let mut call = Fixture::entered(config());
    let mut outcome = transfer(&mut call);
    call.call(CallEvent::Ended {
        reason: EndCause::Transferred.into(),
    });
    assert_eq!(outcome.try_recv(), Ok(TransferOutcome::Completed));
}

#[test]
fn one_transfer_at_a_time_and_none_before_the_agent_has_entered_or_after_the_end() {
    let mut call = Fixture::new(config(), MEANS);
    assert!(transfer(&mut call).try_recv().is_err());
    call.call(CallEvent::Answered);
    call.call(CallEvent::Confirmed);
    let mut first = transfer(&mut call);
    let mut second = transfer(&mut call);
    assert_eq!(second.try_recv(), Ok(TransferOutcome::Impossible));
    assert_eq!(asked(&call), 1);
    call.call(CallEvent::Ended {
        reason: EndCause::FarEndHungUp.into(),
    });
    assert_eq!(first.try_recv(), Ok(TransferOutcome::Impossible));
    assert!(transfer(&mut call).try_recv().is_err());
    assert_eq!(asked(&call), 1);
}

#[test]
fn who_talks_to_somebody_else_is_not_sent_away_from_them() {
    let mut call = Fixture::entered(config());
    call.call(CallEvent::Bridged(AgentInBridge::Stays));
    let mut outcome = transfer(&mut call);
    assert!(
        outcome
            .try_recv()
            .is_err_and(|why| why == oneshot::error::TryRecvError::Closed)
    );
    assert_eq!(asked(&call), 0);
}

#[test]
fn while_an_operators_transfer_is_open_the_agents_is_impossible() {
    let mut call = Fixture::entered(config());
    step(&mut call, TransferStep::Accepted);
    let mut outcome = transfer(&mut call);
    assert_eq!(outcome.try_recv(), Ok(TransferOutcome::Impossible));
    step(&mut call, TransferStep::Over(TransferOutcome::TimedOut));
    transfer(&mut call);
    assert_eq!(asked(&call), 1);
}

#[test]
fn while_a_second_leg_is_called_the_caller_hears_music_and_not_the_agent_nor_is_heard() {
    let mut config = config();
    config.sounds.hold_music = Some(sound(0.0));
    config.sounds.background = Some(sound(-20.0));
    let mut call = Fixture::entered(config);
    call.expect(&["sales"]);
    call.speak(
        "One moment, please, I will see whether somebody is there.",
        60_000,
    );
    let mut outcome = consult(&mut call, Meanwhile::Music);
    assert!(heard_in_place(&call).is_some() && speech_waits(&call));
    assert!(!call.armed());
    call.caller_says(2_000);
    call.digit('1');
    call.pass_ms(30_000);
    assert!(call.recognising.is_empty() && call.turns.is_empty() && call.digits.is_empty());
    assert!(outcome.try_recv().is_err());
    step(&mut call, TransferStep::Over(TransferOutcome::Declined));
    assert_eq!(outcome.try_recv(), Ok(TransferOutcome::Declined));
    // Back at the agent, unheld: it goes on where it was, and hears.
    assert!(heard_in_place(&call).is_none() && !speech_waits(&call));
    call.caller_says(600);
    assert_eq!(call.recognising.len(), 1);
}

#[test]
fn without_music_or_where_that_is_wanted_the_caller_hears_ringing() {
    let mut call = Fixture::entered(config());
    consult(&mut call, Meanwhile::Music);
    assert_eq!(heard_in_place(&call), Some(40_000), "five seconds");
    let mut config = config();
    config.sounds.hold_music = Some(sound(0.0));
    let mut call = Fixture::entered(config);
    consult(&mut call, Meanwhile::Ringing);
    assert_eq!(heard_in_place(&call), Some(40_000));
}

#[test]
fn an_agent_that_goes_on_meanwhile_is_heard_and_hears() {
    let mut call = Fixture::listening(&["sales"]);
    consult(&mut call, Meanwhile::Agent);
    assert!(heard_in_place(&call).is_none() && !speech_waits(&call));
    call.caller_says(600);
    assert_eq!(call.recognising.len(), 1);
}

#[test]
fn a_caller_who_is_joined_to_whom_they_waited_for_hears_no_music_any_more() {
    for agent in [AgentInBridge::Stays, AgentInBridge::StandsAside] {
        let mut call = Fixture::entered(config());
        let mut outcome = consult(&mut call, Meanwhile::Music);
        call.call(CallEvent::Bridged(agent));
        assert!(heard_in_place(&call).is_none());
        assert_eq!(speech_waits(&call), agent == AgentInBridge::StandsAside);
        step(&mut call, TransferStep::Over(TransferOutcome::Bridged));
        assert_eq!(outcome.try_recv(), Ok(TransferOutcome::Bridged));
        call.pass_ms(60_000);
        assert!(call.session.closed().is_none(), "the call goes on");
    }
}

#[test]
fn a_hold_meanwhile_changes_nothing_of_who_hears_whom() {
    let mut call = Fixture::entered(config());
    consult(&mut call, Meanwhile::Ringing);
    call.call(CallEvent::Held);
    call.call(CallEvent::Resumed);
    assert!(heard_in_place(&call).is_some() && speech_waits(&call));
    step(&mut call, TransferStep::Over(TransferOutcome::TimedOut));
    assert!(heard_in_place(&call).is_none() && !speech_waits(&call));
}

#[test]
fn every_step_of_a_second_leg_is_an_event_and_the_silence_of_the_caller_is_nobodys_fault() {
    let mut config = config();
    config.wake_up = Some(Duration::from_secs(5));
    let mut call = Fixture::entered(config);
    consult(&mut call, Meanwhile::Agent);
    let steps = [
        TransferStep::Ringing(180),
        TransferStep::Answered,
        TransferStep::Over(TransferOutcome::Machine),
    ];
    for told in steps {
        call.pass_ms(10_000);
        assert!(!call.callbacks.contains(&CallbackKind::WakeUp));
        step(&mut call, told);
    }
    let told = call.events.iter().filter_map(|event| match event {
        SessionEvent::Transfer { step, .. } => Some(*step),
        _ => None,
    });
    assert_eq!(told.skip(1).collect::<Vec<_>>(), steps);
    call.pass_ms(5_000);
    assert!(call.callbacks.contains(&CallbackKind::WakeUp));
}

#[test]
fn what_would_have_to_be_spoken_without_a_voice_is_not_tried() {
    let mute = Means {
        has_voice: false,
        ..MEANS
    };
    let mut call = Fixture::new(config(), mute);
    call.call(CallEvent::Answered);
    call.call(CallEvent::Confirmed);
    let mut announced = TransferRequest::by(TransferMode::Bridge, "sip:a@b");
    announced.second_leg.words = Some(Words::spoken("A caller."));
    let warm = TransferRequest::by(TransferMode::Warm(WarmEnd::Bridge), "sip:a@b");
    for request in [announced, warm] {
        assert!(ask(&mut call, request).try_recv().is_err());
    }
    assert_eq!(asked(&call), 0);
    let plain = TransferRequest::by(TransferMode::Bridge, "sip:a@b");
    let _outcome = ask(&mut call, plain);
    assert_eq!(asked(&call), 1);
}

#[test]
fn what_a_second_leg_answers_reaches_the_call() {
    let mut call = Fixture::entered(config());
    call.command(Command::SecondLeg(SecondLegAnswer::Accepted));
    assert_eq!(
        call.requests,
        [CallRequest::SecondLeg(SecondLegAnswer::Accepted)]
    );
}
