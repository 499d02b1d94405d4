//! A far end that puts us on hold.

use super::*;

#[test]
fn music_on_hold_is_neither_heard_nor_answered() {
    let mut call = Fixture::listening(&["sales"]);
    let (handle, epoch) = call.speak("A very long recording.", 60_000);
    call.call(CallEvent::Held);
    assert!(!call.armed());
    call.barge_in(epoch);
    assert!(!call.bus_is_held);
    call.caller_says(2_000);
    call.speech_starts();
    call.voice(1_000);
    call.pass_ms(30_000);
    assert!(call.recognising.is_empty());
    assert!(call.turns.is_empty());
    assert!(!handle.done());
    // The music goes on for a moment, and its end is nobody's.
    call.call(CallEvent::Resumed);
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
    assert!(!call.bus_is_held);
    call.pass_ms(60_000);
    call.call(CallEvent::Resumed);
    call.pass_ms(600);
    call.drained(epoch);
    assert_eq!(handle.outcome(), Some(Outcome::Completed));
}
