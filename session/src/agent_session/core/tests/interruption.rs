//! The caller over the agent.

use super::*;
use crate::agent_session::{InterruptionMode, InterruptionPolicy};

fn speaking_over(phrases: &[&str]) -> (Fixture, crate::agent_session::UtteranceHandle, Epoch) {
    let mut call = Fixture::listening(phrases);
    let (handle, epoch) = call.speak("The shop opens at nine.", 2_000);
    assert!(call.leg.iter().any(|command| {
        matches!(
            command,
            LegCommand::BargeIn(Some(BargeInPolicy { min_speech_ms: 500 }))
        )
    }));
    call.pass_ms(500);
    call.speech_starts();
    call.pass_ms(500);
    call.barge_in(epoch);
    call.leg.clear();
    (call, handle, epoch)
}

#[test]
fn the_reflex_is_armed_only_while_something_interruptible_plays() {
    let mut call = Fixture::listening(&["sales"]);
    assert!(!call.armed());
    let (_, epoch) = call.speak("Hello.", 500);
    assert!(call.armed());
    call.drained(epoch);
    assert!(!call.armed());
}

#[test]
fn words_confirm_what_the_reflex_held() {
    let (mut call, handle, epoch) = speaking_over(&["sales"]);
    assert_eq!(
        call.states(),
        (A::Speaking, U::Speaking),
        "held is not yet interrupted"
    );
    call.voice(1_000);
    call.speech_stops();
    call.recognised(phrase("sales"));
    assert_eq!(call.flushes(), [epoch]);
    assert_eq!(call.resumes(), 1, "the bus is free for what comes next");
    assert_eq!(call.states(), (A::Listening, U::Listening));
    call.flushed(epoch, 1_000);
    assert_eq!(handle.outcome(), interrupted("The shop", 1_000));
    call.pass_ms(375);
    assert_eq!(call.turns, [said("sales")]);
    let entries = call.session.transcript.entries();
    assert_eq!(entries[1].kind, EntryKind::InterruptedSpeech);
    assert_eq!(entries[1].text.expose(), "The shop");
}

#[test]
fn no_words_resume_at_the_same_sample() {
    let (mut call, handle, epoch) = speaking_over(&["sales"]);
    call.voice(1_000);
    call.speech_stops();
    call.recognised(Ok(Recognition::OutOfGrammar));
    assert_eq!(call.resumes(), 1);
    assert!(call.flushes().is_empty());
    assert!(
        call.events
            .iter()
            .any(|event| matches!(event, SessionEvent::FalseInterruption { .. }))
    );
    call.pass_ms(1_500);
    call.drained(epoch);
    assert_eq!(handle.outcome(), Some(Outcome::Completed));
    assert!(call.turns.is_empty());
}

#[test]
fn a_recogniser_that_is_silent_for_two_seconds_resumes_too() {
    let (mut call, _, _) = speaking_over(&["sales"]);
    call.voice(1_000);
    call.speech_stops();
    call.pass_ms(1_999);
    assert_eq!(call.resumes(), 0);
    call.pass_ms(1);
    assert_eq!(call.resumes(), 1);
    call.recognised(phrase("sales"));
    assert_eq!(call.flushes().len(), 1, "late words interrupt all the same");
}

#[test]
fn audio_stays_held_while_the_caller_speaks_but_not_for_ever() {
    let (mut call, _, _) = speaking_over(&["sales"]);
    call.pass_ms(19_000);
    assert_eq!(call.resumes(), 0);
    call.pass_ms(1_000);
    assert_eq!(call.resumes(), 1);
}

#[test]
fn a_false_interruption_may_end_the_utterance_by_policy() {
    let policy = InterruptionPolicy {
        resume_on_false_interrupt: false,
        ..InterruptionPolicy::default()
    };
    let mut config = config();
    config.interruption = policy.into();
    let mut call = Fixture::entered(config);
    call.expect(&["sales"]);
    let (_, epoch) = call.speak("The shop opens at nine.", 2_000);
    call.speech_starts();
    call.pass_ms(500);
    call.barge_in(epoch);
    call.speech_stops();
    assert_eq!(call.flushes(), [epoch]);
}

#[test]
fn a_backchannel_is_reported_and_kept_out_of_the_turn() {
    let (mut call, _, _) = speaking_over(&["sales"]);
    call.voice(1_000);
    call.speech_stops();
    call.recognised(phrase("mm-hm"));
    assert_eq!(call.resumes(), 1);
    assert!(
        call.events
            .iter()
            .any(|event| matches!(event, SessionEvent::BackchannelDetected { .. }))
    );
    call.pass_ms(1_000);
    assert!(call.turns.is_empty());
}

#[test]
fn a_short_word_over_the_agent_does_not_interrupt_but_a_stop_word_does() {
    let mut call = Fixture::listening(&["sales"]);
    let (_, epoch) = call.speak("The shop opens at nine.", 2_000);
    call.caller_says(300);
    call.recognised(phrase("sales"));
    assert!(call.flushes().is_empty());
    call.caller_says(300);
    call.recognised(phrase("stop"));
    assert_eq!(call.flushes(), [epoch]);
}

#[test]
fn while_the_agent_is_silent_one_word_is_an_answer() {
    let mut call = Fixture::listening(&["sales"]);
    call.caller_says(300);
    call.recognised(phrase("okay"));
    call.pass_ms(700);
    assert_eq!(call.turns, [said("okay")]);
}

#[test]
fn an_answer_recognised_only_after_the_agent_began_again_still_counts() {
    let mut call = Fixture::listening(&["sales"]);
    call.caller_says(300);
    let (_, epoch) = call.speak("Are you still there?", 1_000);
    call.recognised(phrase("sales"));
    assert_eq!(call.flushes(), [epoch]);
    call.pass_ms(375);
    assert_eq!(call.turns, [said("sales")]);
}

#[test]
fn by_voice_alone_the_reflex_is_final() {
    let mut config = config();
    config.interruption = InterruptionPolicy {
        mode: InterruptionMode::Vad,
        ..InterruptionPolicy::default()
    }
    .into();
    let mut call = Fixture::entered(config);
    let (handle, epoch) = call.speak("The shop opens at nine.", 2_000);
    call.speech_starts();
    call.barge_in(epoch);
    assert_eq!(call.flushes(), [epoch]);
    assert_eq!(call.states(), (A::Listening, U::Speaking));
    call.flushed(epoch, 600);
    assert!(handle.interrupted());
}

#[test]
fn a_reflex_that_crossed_our_own_flush_never_leaves_the_bus_held() {
    let mut call = Fixture::listening(&["sales"]);
    let (_, epoch) = call.speak("The shop opens at nine.", 2_000);
    call.say("Never mind.");
    call.leg.clear();
    call.barge_in(epoch);
    assert_eq!(call.resumes(), 1);
}

#[test]
fn the_greeting_can_be_interrupted_by_an_answer() {
    let mut call = Fixture::new(config(), MEANS);
    call.call(CallEvent::Confirmed);
    call.expect(&["sales"]);
    let (_, epoch) = call.speak("Welcome to the shop.", 2_000);
    call.speech_starts();
    call.pass_ms(600);
    call.barge_in(epoch);
    call.voice(1_000);
    call.speech_stops();
    call.recognised(phrase("sales"));
    call.pass_ms(375);
    assert_eq!(call.turns, [said("sales")]);
}

fn speaking_by(mode: InterruptionMode) -> (Fixture, Epoch) {
    let mut config = config();
    config.interruption = InterruptionPolicy {
        mode,
        ..InterruptionPolicy::default()
    }
    .into();
    let mut call = Fixture::entered(config);
    call.expect(&["sales"]);
    let (_, epoch) = call.speak("The shop opens at nine.", 2_000);
    (call, epoch)
}

#[test]
fn by_words_alone_short_speech_interrupts_and_no_reflex_is_armed() {
    let (mut call, epoch) = speaking_by(InterruptionMode::Stt);
    assert!(!call.armed());
    call.caller_says(300);
    call.recognised(phrase("banana"));
    assert!(call.flushes().is_empty(), "one word nobody asked for");
    call.caller_says(300);
    call.recognised(phrase("sales"));
    assert_eq!(call.flushes(), [epoch]);
}

#[test]
fn switched_off_nothing_said_interrupts_but_a_digit_does() {
    let (mut call, epoch) = speaking_by(InterruptionMode::Off);
    assert!(!call.armed());
    call.caller_says(900);
    call.recognised(phrase("stop"));
    assert!(call.flushes().is_empty());
    call.digit('1');
    assert_eq!(call.flushes(), [epoch]);
}

#[test]
fn a_recognition_below_the_least_confidence_is_noise_over_the_agent() {
    let mut config = config();
    config.interruption = InterruptionPolicy {
        min_confidence: 0.95,
        ..InterruptionPolicy::default()
    }
    .into();
    let mut call = Fixture::entered(config);
    call.expect(&["sales"]);
    let (_, epoch) = call.speak("The shop opens at nine.", 2_000);
    call.speech_starts();
    call.pass_ms(600);
    call.barge_in(epoch);
    call.voice(1_000);
    call.speech_stops();
    call.recognised(phrase("sales"));
    assert_eq!((call.flushes().len(), call.resumes()), (0, 1));
}

#[test]
fn what_waits_behind_an_interrupted_utterance_goes_with_it() {
    let mut call = Fixture::entered(config());
    call.speak("One.", 1_000);
    let waiting = call.say_with("Two.", QueueMode::After, true);
    let kept = call.say_with("Mind the gap.", QueueMode::After, false);
    call.digit('1');
    assert_eq!(waiting.outcome(), interrupted("", 0));
    assert!(!kept.done());
    call.prepared(500);
    call.started(call.last_epoch());
    assert_eq!(call.states().0, A::Speaking);
}
