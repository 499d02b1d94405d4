//! An agent that leaves a call which goes on without it.

use super::*;
use crate::agent_session::transfer::NewTransfer;
use crate::agent_session::{
    AgentInBridge, Meanwhile, TransferMode, TransferOutcome, TransferRequest, TransferStep,
};

fn hang_ups(call: &Fixture) -> Vec<EndCause> {
    let causes = call.requests.iter().filter_map(|request| match request {
        CallRequest::HangUp { reason } => Some(reason.cause),
        _ => None,
    });
    causes.collect()
}

fn passed_on(call: &Fixture) -> usize {
    let requests = call.requests.iter();
    requests
        .filter(|request| matches!(request, CallRequest::PassOn(_)))
        .count()
}

/// Joined to another call, and left.
fn left(config: SessionConfig) -> Fixture {
    let mut call = Fixture::entered(config);
    call.call(CallEvent::Bridged(AgentInBridge::Stays));
    call.command(Command::Leave(EndCause::AgentHungUp.into()));
    call
}

#[test]
fn an_agent_that_leaves_a_call_which_is_joined_is_closed_and_the_call_goes_on() {
    let mut call = Fixture::entered(config());
    call.call(CallEvent::Bridged(AgentInBridge::Stays));
    let (handle, _) = call.speak("Goodbye, you two.", 60_000);
    call.command(Command::Leave(EndCause::AgentHungUp.into()));
    assert!(handle.done(), "what it was saying is over");
    assert_eq!(call.callbacks.last(), Some(&CallbackKind::Exit));
    assert_eq!(call.states().0, A::Closing);
    call.returned(CallbackKind::Exit);
    assert_eq!(call.states().0, A::Closed);
    assert!(matches!(
        call.events.last(),
        Some(SessionEvent::Closed { reason, .. }) if reason.cause == EndCause::AgentLeft
    ));
    assert!(call.session.takes_no_commands());
    call.pass_ms(600_000);
    assert!(hang_ups(&call).is_empty() && call.session.closed().is_none());
    call.call(CallEvent::Ended {
        reason: far_end_hung_up(),
    });
    assert_eq!(call.session.closed(), Some(&far_end_hung_up()));
    let exits = call
        .callbacks
        .iter()
        .filter(|kind| **kind == CallbackKind::Exit);
    assert_eq!(exits.count(), 1);
}

#[test]
fn an_agent_may_leave_by_the_bridge_itself() {
    let mut call = Fixture::entered(config());
    call.call(CallEvent::Bridged(AgentInBridge::Leaves));
    assert_eq!(call.callbacks.last(), Some(&CallbackKind::Exit));
    assert!(hang_ups(&call).is_empty());
}

#[test]
fn without_another_call_leaving_is_hanging_up_behind_the_last_words() {
    let mut call = Fixture::entered(config());
    let (_, epoch) = call.speak("Goodbye.", 1_000);
    call.command(Command::Leave(EndCause::AgentHungUp.into()));
    assert!(hang_ups(&call).is_empty());
    call.drained(epoch);
    assert_eq!(hang_ups(&call), [EndCause::AgentHungUp]);
}

#[test]
fn who_leaves_in_a_transfer_is_gone_when_it_ends_well_and_hangs_up_when_it_does_not() {
    for (outcome, hung_up) in [
        (TransferOutcome::Bridged, false),
        (TransferOutcome::Declined, true),
    ] {
        let mut call = Fixture::entered(config());
        let (reply, _outcome) = oneshot::channel();
        let mut request = TransferRequest::by(TransferMode::Bridge, "sip:a@b");
        request.second_leg.meanwhile = Meanwhile::Ringing;
        call.command(Command::Transfer(NewTransfer { request, reply }));
        call.call(CallEvent::Transfer(TransferStep::Calling));
        call.command(Command::Leave(EndCause::AgentHungUp.into()));
        assert!(hang_ups(&call).is_empty() && !call.callbacks.contains(&CallbackKind::Exit));
        if !hung_up {
            call.call(CallEvent::Bridged(AgentInBridge::StandsAside));
        }
        call.call(CallEvent::Transfer(TransferStep::Over(outcome)));
        assert!(call.callbacks.contains(&CallbackKind::Exit));
        assert_eq!(!hang_ups(&call).is_empty(), hung_up);
    }
}

#[test]
fn keys_are_passed_on_in_both_ways_they_come_and_each_once() {
    let mut call = left(config());
    call.call(CallEvent::Digit(Digit::from_char('5').unwrap()));
    call.digit('5');
    call.digit('6');
    assert_eq!(passed_on(&call), 2);
    call.returned(CallbackKind::Exit);
    call.digit('7');
    assert_eq!(passed_on(&call), 3);
    assert!(call.digits.is_empty());
}

#[test]
fn the_limits_of_the_line_hold_without_an_agent() {
    let mut bounded = config();
    bounded.max_duration = Some(Duration::from_secs(60));
    let mut call = left(bounded);
    call.returned(CallbackKind::Exit);
    call.pass_ms(60_000);
    assert_eq!(hang_ups(&call), [EndCause::MaxDuration]);

    let mut call = left(config());
    let at_ms = call.media_ms();
    call.leg(LegEvent::Silent { at_ms });
    assert_eq!(hang_ups(&call), [EndCause::NoMedia]);

    let mut call = left(config());
    call.returned(CallbackKind::Exit);
    call.session.handle_leg_gone(call.now);
    call.pass_ms(1_000);
    assert_eq!(hang_ups(&call), [EndCause::Fault]);
}

#[test]
fn a_far_end_that_is_parted_from_the_other_has_nobody_to_talk_to() {
    let mut call = left(config());
    call.returned(CallbackKind::Exit);
    call.call(CallEvent::Parted);
    assert_eq!(hang_ups(&call), [EndCause::AgentLeft]);
    assert!(call.session.closed().is_some());
}

#[test]
fn the_recording_goes_on_and_an_operator_can_pause_it() {
    let mut recorded = config();
    recorded.record = RecordPlan::On;
    let mut call = left(recorded);
    call.returned(CallbackKind::Exit);
    let events = call.events.len();
    assert_eq!(call.recorded(), Some(RecordMode::Both));
    call.call(CallEvent::RecordingPaused);
    assert_eq!(call.recorded(), Some(RecordMode::Paused));
    call.call(CallEvent::RecordingResumed);
    assert_eq!(call.recorded(), Some(RecordMode::Both));
    assert_eq!(call.events.len(), events, "nothing follows Closed");
}

#[test]
fn an_on_exit_that_hangs_is_given_up_and_the_call_goes_on() {
    let mut call = left(config());
    call.pass_ms(5_000);
    assert!(call.session.takes_no_commands());
    assert!(hang_ups(&call).is_empty());
    // One that still runs when the call ends has its time.
    let mut call = left(config());
    call.call(CallEvent::Ended {
        reason: far_end_hung_up(),
    });
    assert!(call.session.closed().is_none());
    call.returned(CallbackKind::Exit);
    assert_eq!(call.session.closed(), Some(&far_end_hung_up()));
}
