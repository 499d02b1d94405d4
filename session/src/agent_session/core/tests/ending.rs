//! Hang-ups, closes, and what they leave.

use super::*;
use crate::agent_session::state::Trigger;
use crate::agent_session::{TransferOutcome, TransferStep};

#[test]
fn a_hang_up_lets_what_is_queued_be_heard_and_then_ends_the_call_once() {
    let mut call = Fixture::entered(config());
    let (handle, epoch) = call.speak("Goodbye.", 800);
    call.hang_up(true);
    call.hang_up(true);
    assert!(call.requests.is_empty());
    let late = call.say("One more thing.");
    assert_eq!(
        late.outcome(),
        Some(Outcome::Failed(UtteranceFailure::SessionEnding))
    );
    call.pass_ms(800);
    call.drained(epoch);
    assert_eq!(handle.outcome(), Some(Outcome::Completed));
    call.hang_up(false);
    assert_eq!(
        call.requests,
        [CallRequest::HangUp {
            reason: EndCause::AgentHungUp.into()
        }]
    );
    call.returned(CallbackKind::Exit);
    assert_eq!(call.agent_states()[3..], [A::Idle, A::Closing, A::Closed]);
    assert!(matches!(
        call.events.last(),
        Some(SessionEvent::Closed { .. })
    ));
}

#[test]
fn the_caller_cannot_interrupt_the_goodbye() {
    let mut call = Fixture::listening(&["sales"]);
    call.speak("Goodbye.", 800);
    call.hang_up(true);
    assert!(!call.armed());
    call.digit('1');
    assert!(call.flushes().is_empty());
}

#[test]
fn a_hang_up_waits_ten_seconds_at_most() {
    let mut call = Fixture::entered(config());
    let (handle, _) = call.speak("A very long goodbye.", 60_000);
    call.hang_up(true);
    call.pass_ms(9_999);
    assert!(call.requests.is_empty());
    call.pass_ms(1);
    assert_eq!(call.requests.len(), 1);
    assert!(handle.interrupted());
}

#[test]
fn hanging_up_now_does_not_wait() {
    let mut call = Fixture::entered(config());
    let (handle, _) = call.speak("Goodbye.", 800);
    call.hang_up(false);
    assert_eq!(call.requests.len(), 1);
    assert!(handle.done());
}

#[test]
fn a_hang_up_that_crosses_the_far_ends_ends_the_call_once_with_one_reason() {
    let mut call = Fixture::entered(config());
    call.speak("Goodbye.", 800);
    call.hang_up(true);
    call.call(CallEvent::Ended {
        reason: far_end_hung_up(),
    });
    call.hang_up(false);
    call.call(CallEvent::Ended {
        reason: EndCause::AgentHungUp.into(),
    });
    call.returned(CallbackKind::Exit);
    assert!(call.requests.is_empty());
    assert_eq!(call.session.closed(), Some(&far_end_hung_up()));
    let closed = call
        .events
        .iter()
        .filter(|event| matches!(event, SessionEvent::Closed { .. }));
    assert_eq!(closed.count(), 1);
}

#[test]
fn the_end_of_the_call_resolves_every_handle() {
    let mut call = Fixture::entered(config());
    let (speaking, _) = call.speak("The shop opens at nine.", 1_000);
    let waiting = call.say_with("Two.", QueueMode::After, true);
    call.pass_ms(500);
    call.call(CallEvent::Ended {
        reason: far_end_hung_up(),
    });
    assert_eq!(speaking.outcome(), interrupted("The shop", 500));
    assert_eq!(waiting.outcome(), interrupted("", 0));
}

#[test]
fn on_exit_is_given_up_after_five_seconds() {
    let mut call = Fixture::entered(config());
    call.command(Command::Close);
    assert_eq!(call.callbacks.last(), Some(&CallbackKind::Exit));
    call.pass_ms(4_999);
    assert_eq!(call.states().0, A::Closing);
    call.pass_ms(1);
    assert_eq!(call.states().0, A::Closed);
    assert!(call.events.iter().any(|event| {
        matches!(
            event,
            SessionEvent::CallbackFailed {
                callback: CallbackKind::Exit,
                ..
            }
        )
    }));
    assert_eq!(call.session.poll_timeout(), None);
}

#[test]
fn keys_pressed_after_the_end_began_change_nothing() {
    let mut call = Fixture::entered(config());
    call.command(Command::Close);
    let events = call.events.len();
    call.call(CallEvent::Digit(Digit::from_char('7').expect("a digit")));
    call.digit('8');
    assert_eq!(call.events.len(), events);
    assert!(call.session.transcript.entries().is_empty());
}

#[test]
fn on_exit_can_still_read_the_transcript() {
    let mut call = Fixture::entered(config());
    call.digit('7');
    call.command(Command::Close);
    let (reply, mut answer) = oneshot::channel();
    call.command(Command::Transcript(reply));
    assert_eq!(answer.try_recv().expect("answered").entries().len(), 1);
}

#[test]
fn a_far_end_may_be_silent_while_somebody_is_called_in_its_place() {
    let mut call = Fixture::entered(config());
    call.call(CallEvent::SuccessorCalled);
    call.leg(LegEvent::Silent { at_ms: 30_000 });
    assert_eq!(call.requests, []);
    call.call(CallEvent::SuccessorSettled);
    call.leg(LegEvent::Silent { at_ms: 90_000 });
    assert_eq!(
        call.requests,
        [CallRequest::HangUp {
            reason: EndCause::NoMedia.into()
        }]
    );
}

#[test]
fn a_far_end_may_be_silent_on_its_way_to_somebody_else() {
    let mut call = Fixture::entered(config());
    call.call(CallEvent::Transfer(TransferStep::Accepted));
    call.leg(LegEvent::Silent { at_ms: 30_000 });
    assert_eq!(call.requests, []);
    // The new call failed: the silence is told again, and is one.
    let over = TransferStep::Over(TransferOutcome::Rejected(486));
    call.call(CallEvent::Transfer(over));
    call.leg(LegEvent::Silent { at_ms: 60_000 });
    assert_eq!(
        call.requests,
        [CallRequest::HangUp {
            reason: EndCause::NoMedia.into()
        }]
    );
}

#[test]
fn a_call_without_media_ends_for_that_reason_and_one_too_long_for_its_own() {
    let mut call = Fixture::entered(config());
    call.leg(LegEvent::Silent { at_ms: 30_000 });
    assert_eq!(
        call.requests,
        [CallRequest::HangUp {
            reason: EndCause::NoMedia.into()
        }]
    );

    let mut config = config();
    config.max_duration = Some(Duration::from_secs(60));
    let mut call = Fixture::entered(config);
    call.pass(Duration::from_secs(60));
    assert_eq!(
        call.requests,
        [CallRequest::HangUp {
            reason: EndCause::MaxDuration.into()
        }]
    );
}

#[test]
fn a_leg_that_is_gone_ends_the_call_unless_the_call_says_why_first() {
    let mut call = Fixture::entered(config());
    call.session.handle_leg_gone(call.now);
    call.pass_ms(499);
    call.call(CallEvent::Ended {
        reason: far_end_hung_up(),
    });
    call.returned(CallbackKind::Exit);
    assert_eq!(call.session.closed(), Some(&far_end_hung_up()));

    let mut call = Fixture::entered(config());
    call.session.handle_leg_gone(call.now);
    call.pass_ms(500);
    assert_eq!(
        call.requests,
        [CallRequest::HangUp {
            reason: EndCause::Fault.into()
        }]
    );
}

#[test]
fn a_callback_that_fails_is_reported_and_the_session_goes_on() {
    let mut call = Fixture::new(config(), MEANS);
    call.call(CallEvent::Confirmed);
    call.session
        .handle_callback(CallbackKind::Enter, Err("panicked: oh".into()), call.now);
    call.drain();
    assert!(
        call.events
            .iter()
            .any(|event| matches!(event, SessionEvent::CallbackFailed { .. }))
    );
    assert_eq!(call.states().0, A::Idle);
}

#[test]
fn a_transition_that_the_table_refuses_changes_nothing_and_is_told_to_nobody() {
    let mut call = Fixture::entered(config());
    let (states, told) = (call.states(), call.events.len());
    let now = call.now;
    // Nobody spoke.
    call.session.trigger(Trigger::Interrupted, now);
    call.pass_ms(10);
    assert_eq!(call.session.refused_transitions, 1);
    assert_eq!((call.states(), call.events.len()), (states, told));
}
