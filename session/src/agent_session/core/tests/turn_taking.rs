//! Turns: when the caller is done, and what counts.

use super::*;

#[test]
fn a_turn_goes_through_listening_and_thinking_to_speaking_and_idle() {
    let mut call = Fixture::listening(&["opening hours"]);
    call.events.clear();
    call.caller_says(600);
    call.recognised(phrase("opening hours"));
    assert_eq!(
        call.session.poll_timeout(),
        Some(call.now + Duration::from_millis(375))
    );
    call.pass_ms(375);
    assert_eq!(call.turns, [said("opening hours")]);
    call.speak("We open at nine.", 900);
    call.returned(CallbackKind::UserTurn);
    call.drained(call.last_epoch());
    assert_eq!(
        call.agent_states(),
        [A::Listening, A::Thinking, A::Speaking, A::Idle]
    );
    let entries = call.session.transcript.entries();
    assert_eq!(
        (entries[0].who, entries[1].who),
        (Speaker::Caller, Speaker::Agent)
    );
}

#[test]
fn what_the_caller_said_stands_in_the_transcript_where_it_began() {
    let mut call = Fixture::listening(&["sales"]);
    call.pass_ms(2_000);
    let began_ms = call.media_ms();
    call.caller_says(600);
    call.pass_ms(300);
    call.recognised(phrase("sales"));
    assert_eq!(call.session.transcript.entries()[0].at_ms, began_ms);
}

#[test]
fn the_wait_runs_from_the_last_voiced_frame_not_from_the_detectors_report() {
    let mut call = Fixture::listening(&["sales"]);
    call.speech_starts();
    call.pass_ms(500);
    let last_voiced_ms = call.media_ms();
    call.pass_ms(300);
    call.voice(1_000);
    call.leg(LegEvent::SpeechStopped {
        at_ms: last_voiced_ms,
    });
    call.recognised(phrase("sales"));
    call.pass_ms(74);
    assert!(call.turns.is_empty());
    call.pass_ms(1);
    assert_eq!(call.turns, [said("sales")]);
}

#[test]
fn a_caller_whose_words_never_come_does_not_stay_speaking() {
    let mut call = Fixture::listening(&["sales"]);
    call.speech_starts();
    assert_eq!(call.states(), (A::Listening, U::Speaking));
    call.pass_ms(500);
    call.speech_stops();
    assert_eq!(call.states(), (A::Listening, U::Listening));
    call.pass_ms(1_500);
    assert_eq!(call.states(), (A::Idle, U::Idle));
}

#[test]
fn speech_under_120_ms_is_none() {
    let mut call = Fixture::listening(&["sales"]);
    call.caller_says(119);
    assert!(call.recognising.is_empty());
    call.caller_says(120);
    assert_eq!(call.recognising.len(), 1);
}

#[test]
fn speech_that_is_nothing_expected_is_a_turn_not_understood() {
    let mut call = Fixture::listening(&["sales"]);
    call.caller_says(600);
    call.recognised(Ok(Recognition::OutOfGrammar));
    call.pass_ms(700);
    assert_eq!(call.turns, [UserTurn::NotUnderstood]);
    call.returned(CallbackKind::UserTurn);
    assert_eq!(call.states(), (A::Idle, U::Idle), "a reply without speech");
}

#[test]
fn a_cough_during_the_wait_does_not_strand_the_turn() {
    let mut call = Fixture::listening(&["sales and", "sales"]);
    call.caller_says(600);
    call.recognised(phrase("a table and"));
    call.pass_ms(300);
    call.speech_starts();
    call.pass_ms(5_000);
    assert!(call.turns.is_empty(), "new speech cancels the wait");
    call.voice(500);
    call.speech_stops();
    call.recognised(Ok(Recognition::OutOfGrammar));
    call.pass_ms(1_350);
    assert_eq!(call.turns, [said("a table and")]);
}

#[test]
fn words_after_words_are_one_turn() {
    let mut call = Fixture::listening(&["sales"]);
    call.caller_says(600);
    call.recognised(phrase("a table"));
    call.caller_says(600);
    call.recognised(phrase("for two people"));
    call.pass_ms(700);
    assert_eq!(
        call.turns,
        [UserTurn::Said {
            text: Pii::new("a table for two people".into()),
            last: Pii::new("for two people".into()),
            confidence: 0.9,
        }]
    );
}

#[test]
fn a_recogniser_that_fails_is_reported_and_leaves_the_caller_not_understood() {
    let mut call = Fixture::listening(&["sales"]);
    call.caller_says(600);
    call.pass_ms(1_500);
    assert_eq!(call.states(), (A::Idle, U::Idle));
    call.recognised(Err(ProviderError::TimedOut(Duration::from_secs(5))));
    assert!(
        call.events
            .iter()
            .any(|event| matches!(event, SessionEvent::ProviderFailed { .. }))
    );
    call.pass_ms(0);
    assert_eq!(call.turns, [UserTurn::NotUnderstood]);
}

#[test]
fn an_answer_recognised_under_speech_that_may_not_be_interrupted_is_a_turn_all_the_same() {
    let mut call = Fixture::listening(&["sales"]);
    call.caller_says(300);
    call.say_with("Mind the gap.", QueueMode::Replace, false);
    call.prepared(1_000);
    call.started(call.last_epoch());
    call.recognised(phrase("sales"));
    call.pass_ms(375);
    assert_eq!(call.turns, [said("sales")]);
    assert!(call.flushes().is_empty());
    assert_eq!(call.states().0, A::Speaking);
}

#[test]
fn turns_are_given_one_at_a_time_in_order() {
    let mut call = Fixture::listening(&["sales", "hours"]);
    for text in ["sales", "hours"] {
        call.caller_says(600);
        call.recognised(phrase(text));
        call.pass_ms(375);
    }
    assert_eq!(call.turns, [said("sales")]);
    call.returned(CallbackKind::UserTurn);
    assert_eq!(call.turns, [said("sales"), said("hours")]);
}

#[test]
fn what_the_caller_says_before_the_greeting_is_done_is_discarded() {
    let mut call = Fixture::new(config(), MEANS);
    call.call(CallEvent::Confirmed);
    call.expect(&["hello"]);
    call.say("Welcome.");
    call.caller_says(600);
    assert!(call.recognising.is_empty());
    call.prepared(800);
    call.started(call.last_epoch());
    call.drained(call.last_epoch());
    call.caller_says(600);
    call.recognised(phrase("hello"));
    call.pass_ms(375);
    assert_eq!(call.turns, [said("hello")]);
}

#[test]
fn input_during_enter_counts_at_once_where_that_is_the_policy() {
    let mut config = config();
    config.accept_input_during_enter = true;
    let mut call = Fixture::new(config, MEANS);
    call.call(CallEvent::Confirmed);
    call.expect(&["hello"]);
    call.caller_says(600);
    call.recognised(phrase("hello"));
    call.pass_ms(375);
    assert_eq!(call.turns, [said("hello")]);
}

#[test]
fn an_utterance_longer_than_twenty_seconds_is_recognised_in_parts() {
    let mut call = Fixture::listening(&["sales"]);
    call.speech_starts();
    call.voice(1_000);
    call.pass_ms(20_000);
    assert_eq!(call.recognising.len(), 1);
}

#[test]
fn the_listener_is_installed_while_something_is_expected() {
    let mut call = Fixture::listening(&["sales"]);
    assert!(call.listener.is_some());
    call.command(Command::Expect(None));
    assert!(call.listener.is_none());
    call.expect(&[]);
    assert!(
        call.listener.is_none(),
        "nothing to expect is nothing to listen for"
    );
}
