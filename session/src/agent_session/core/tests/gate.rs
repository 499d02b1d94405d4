//! The start: when the agent may enter.

use super::*;

#[test]
fn the_agent_enters_at_the_ack() {
    let mut call = Fixture::new(config(), MEANS);
    call.call(CallEvent::Answered);
    call.pass_ms(40);
    assert!(call.callbacks.is_empty());
    call.call(CallEvent::Confirmed);
    assert_eq!(call.callbacks, [CallbackKind::Enter]);
}

#[test]
fn the_agent_enters_at_the_first_valid_packet_also_one_that_came_before_the_answer() {
    let mut call = Fixture::new(config(), MEANS);
    call.leg(LegEvent::Live { at_ms: 0 });
    assert!(call.callbacks.is_empty(), "not before the answer");
    call.call(CallEvent::Answered);
    assert_eq!(call.callbacks, [CallbackKind::Enter]);
}

#[test]
fn the_agent_enters_500_ms_after_the_answer_at_the_latest_and_once() {
    let mut call = Fixture::new(config(), MEANS);
    call.call(CallEvent::Answered);
    call.pass_ms(499);
    assert!(call.callbacks.is_empty());
    call.pass_ms(1);
    call.call(CallEvent::Confirmed);
    call.leg(LegEvent::Live { at_ms: 500 });
    assert_eq!(call.callbacks, [CallbackKind::Enter]);
}

#[test]
fn outbound_early_media_opens_nothing_and_a_mute_far_end_is_spoken_to_after_a_second() {
    let mut config = config();
    config.facts.direction = Direction::Outbound;
    let mut call = Fixture::new(config, MEANS);
    call.leg(LegEvent::Live { at_ms: 0 });
    call.call(CallEvent::Answered);
    call.pass_ms(999);
    assert!(call.callbacks.is_empty());
    call.pass_ms(1);
    assert_eq!(call.callbacks, [CallbackKind::Enter]);
}

#[test]
fn a_call_that_is_never_answered_never_enters() {
    let mut call = Fixture::new(config(), MEANS);
    let reason = EndReason::with_status(EndCause::Cancelled, 487);
    call.call(CallEvent::Ended {
        reason: reason.clone(),
    });
    call.returned(CallbackKind::Exit);
    assert_eq!(call.callbacks, [CallbackKind::Exit]);
    assert_eq!(call.session.closed(), Some(&reason));
    assert!(call.requests.is_empty(), "the call has ended already");
}

#[test]
fn no_agent_audio_is_sent_before_the_gate_opens() {
    let mut call = Fixture::new(config(), MEANS);
    call.say("Hello.");
    call.command(Command::Loopback(true));
    assert!(call.leg.is_empty() && call.preparing.is_empty());
    call.call(CallEvent::Answered);
    call.call(CallEvent::Confirmed);
    call.prepared(500);
    assert!(matches!(
        call.leg[..],
        [
            LegCommand::Loopback(true),
            LegCommand::BargeIn(Some(_)),
            LegCommand::Play { .. }
        ]
    ));
}

#[test]
fn on_enter_returned_means_started_then_idle() {
    let call = Fixture::entered(config());
    assert!(matches!(
        call.events[..],
        [
            SessionEvent::AgentStateChanged {
                state: A::Starting,
                previous: None,
                ..
            },
            SessionEvent::AgentStarted { .. },
            SessionEvent::AgentStateChanged {
                state: A::Idle,
                previous: Some(A::Starting),
                ..
            },
        ]
    ));
}

#[test]
fn the_agent_does_not_go_idle_at_the_end_of_on_enter_while_something_is_queued() {
    let mut call = Fixture::new(config(), MEANS);
    call.call(CallEvent::Confirmed);
    call.say("Hello.");
    call.returned(CallbackKind::Enter);
    assert_eq!(call.agent_states(), [A::Starting]);
    call.prepared(500);
    call.started(call.last_epoch());
    call.drained(call.last_epoch());
    assert_eq!(call.agent_states(), [A::Starting, A::Speaking, A::Idle]);
}
