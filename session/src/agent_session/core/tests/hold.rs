//! A far end that puts us on hold.

use super::*;

/// Whether what the agent says waits in the leg, by our own word.
pub(super) fn speech_waits(call: &Fixture) -> bool {
    let last = call.leg.iter().rev().find_map(|command| match command {
        LegCommand::Pause(Bus::Speech) => Some(true),
        LegCommand::Resume(Bus::Speech) => Some(false),
        _ => None,
    });
    last.unwrap_or(false)
}

#[test]
fn what_the_agent_says_waits_through_the_hold_also_where_it_said_something_else_before() {
    let mut call = Fixture::entered(config());
    call.speak("A very long recording.", 60_000);
    call.call(CallEvent::Held);
    assert!(speech_waits(&call));
    // Emptied, a bus is paused no longer: it is once more.
    let paused = call.leg.len();
    let (_, _) = (call.say("Something else."), call.prepared(1_000));
    let after = &call.leg[paused..];
    let flush = after.iter().position(|command| {
        matches!(
            command,
            LegCommand::Flush {
                bus: Bus::Speech,
                ..
            }
        )
    });
    let again = after
        .iter()
        .position(|command| matches!(command, LegCommand::Pause(Bus::Speech)));
    assert!(flush.is_some() && flush < again, "{after:?}");
    call.call(CallEvent::Resumed);
    assert!(!speech_waits(&call));
}

#[test]
fn music_on_hold_is_neither_heard_nor_answered() {
    let mut call = Fixture::listening(&["sales"]);
    let (handle, epoch) = call.speak("A very long recording.", 60_000);
    call.call(CallEvent::Held);
    assert!(!call.armed());
    call.barge_in(epoch);
    assert!(speech_waits(&call));
    call.caller_says(2_000);
    call.speech_starts();
    call.voice(1_000);
    call.pass_ms(30_000);
    assert!(call.recognising.is_empty());
    assert!(call.turns.is_empty());
    assert!(!handle.done());
    // The music goes on for a moment, and its end is nobody's.
    call.call(CallEvent::Resumed);
    assert!(!speech_waits(&call) && !call.bus_is_held);
    call.voice(1_000);
    call.speech_stops();
    assert!(call.armed());
    assert!(call.recognising.is_empty());
    assert_eq!(call.states(), (A::Speaking, U::Listening));
    // The caller themself is heard as ever, and nothing but the caller.
    call.caller_says(600);
    assert_eq!(call.recognising[0].samples.len(), 1_000);
}

#[test]
fn what_the_caller_was_saying_is_broken_off_by_the_hold() {
    let mut call = Fixture::listening(&["sales"]);
    call.speech_starts();
    call.voice(1_000);
    call.call(CallEvent::Held);
    assert_eq!(call.states(), (A::Idle, U::Idle));
    call.pass_ms(60_000);
    call.call(CallEvent::Resumed);
    call.speech_stops();
    assert!(call.recognising.is_empty());

    call.caller_says(600);
    call.call(CallEvent::Held);
    call.recognised(phrase("sales"));
    call.pass_ms(60_000);
    call.call(CallEvent::Resumed);
    call.pass_ms(3_000);
    assert!(call.turns.is_empty());
    assert_eq!(call.states(), (A::Idle, U::Idle));
}

#[test]
fn an_utterance_that_the_reflex_held_goes_on_after_the_hold() {
    let mut call = Fixture::listening(&["sales"]);
    let (handle, epoch) = call.speak("A long sentence.", 1_000);
    call.pass_ms(400);
    call.speech_starts();
    call.barge_in(epoch);
    call.call(CallEvent::Held);
    assert!(speech_waits(&call));
    call.pass_ms(60_000);
    call.call(CallEvent::Resumed);
    assert!(!speech_waits(&call) && !call.bus_is_held);
    call.pass_ms(600);
    call.drained(epoch);
    assert_eq!(handle.outcome(), Some(Outcome::Completed));
}
