//! Utterances from the request to their end.

use super::*;

#[test]
fn a_handle_completes_when_its_last_frame_was_sent() {
    let mut call = Fixture::entered(config());
    let (handle, epoch) = call.speak("Hello.", 500);
    assert_eq!(call.states(), (A::Speaking, U::Listening));
    call.pass_ms(500);
    assert!(!handle.done());
    call.drained(epoch);
    assert_eq!(handle.outcome(), Some(Outcome::Completed));
    assert_eq!(call.states(), (A::Idle, U::Idle));
    assert_eq!(call.session.transcript.entries()[0].text.expose(), "Hello.");
}

#[test]
fn the_first_sentence_plays_while_the_rest_is_synthesised() {
    let mut call = Fixture::entered(config());
    let handle = call.say("One. Two. Three.");
    call.prepared(300);
    assert!(matches!(
        call.leg.last(),
        Some(LegCommand::Play {
            chunk: Chunk { last: false, .. },
            ..
        })
    ));
    call.started(call.last_epoch());
    assert_eq!(call.states().0, A::Speaking);
    call.prepared(300);
    call.prepared(300);
    assert!(matches!(
        call.leg.last(),
        Some(LegCommand::Play {
            chunk: Chunk { last: true, .. },
            ..
        })
    ));
    call.drained(call.last_epoch());
    assert_eq!(handle.outcome(), Some(Outcome::Completed));
}

#[test]
fn two_utterances_in_a_row_complete_one_by_one_without_an_idle_between() {
    let mut call = Fixture::entered(config());
    let (first, first_epoch) = call.speak("One.", 300);
    let second = call.say_with("Two.", QueueMode::After, true);
    call.drained(first_epoch);
    assert!(first.done() && !second.done());
    call.prepared(300);
    let second_epoch = call.last_epoch();
    assert!(second_epoch > first_epoch);
    call.started(second_epoch);
    call.drained(second_epoch);
    assert_eq!(second.outcome(), Some(Outcome::Completed));
    assert_eq!(
        call.agent_states(),
        [A::Starting, A::Idle, A::Speaking, A::Idle]
    );
}

#[test]
fn replacing_stops_the_audio_as_well_as_the_handle() {
    let mut call = Fixture::entered(config());
    let (first, epoch) = call.speak("The shop opens at nine.", 1_000);
    call.pass_ms(500);
    let second = call.say("Never mind.");
    assert_eq!(call.flushes(), [epoch]);
    call.flushed(epoch, 510);
    assert_eq!(first.outcome(), interrupted("The shop", 510));
    assert!(!second.done());
}

#[test]
fn what_may_not_be_interrupted_is_queued_behind() {
    let mut call = Fixture::entered(config());
    call.say_with("Mind the gap.", QueueMode::Replace, false);
    call.prepared(1_000);
    let epoch = call.last_epoch();
    call.started(epoch);
    let second = call.say("Hello.");
    let third = call.say("Hello again.");
    assert_eq!(
        second.outcome(),
        interrupted("", 0),
        "the third replaced it"
    );
    assert!(call.flushes().is_empty());
    assert!(!call.armed(), "no reflex for what may not be interrupted");
    call.drained(epoch);
    assert!(!third.done());
    call.prepared(300);
    assert!(call.armed());
}

#[test]
fn a_ninth_waiting_utterance_fails_at_once() {
    let mut call = Fixture::entered(config());
    call.speak("One.", 300);
    let waiting: Vec<_> = (0..9)
        .map(|_| call.say_with("More.", QueueMode::After, true))
        .collect();
    assert!(waiting[..8].iter().all(|handle| !handle.done()));
    assert_eq!(
        waiting[8].outcome(),
        Some(Outcome::Failed(UtteranceFailure::QueueFull))
    );
}

#[test]
fn interrupting_without_force_leaves_what_may_not_be_interrupted() {
    let mut call = Fixture::entered(config());
    call.say_with("Mind the gap.", QueueMode::Replace, false);
    call.prepared(1_000);
    let epoch = call.last_epoch();
    call.started(epoch);
    assert!(!call.interrupt(false));
    assert!(call.flushes().is_empty());
    assert!(call.interrupt(true));
    assert_eq!(call.flushes(), [epoch]);
    assert_eq!(call.states().0, A::Listening);
    call.pass_ms(1_500);
    assert_eq!(call.states(), (A::Idle, U::Idle), "nobody took the floor");
}

#[test]
fn an_interruption_fades_within_20_ms() {
    let mut call = Fixture::entered(config());
    call.speak("Hello.", 500);
    call.interrupt(false);
    assert!(
        call.leg
            .iter()
            .any(|command| matches!(command, LegCommand::Flush { fade_ms: 20, .. }))
    );
}

#[test]
fn a_voice_that_fails_in_the_middle_lets_what_there_is_be_heard() {
    let mut call = Fixture::entered(config());
    let handle = call.say("One. Two.");
    call.prepared(300);
    call.started(call.last_epoch());
    let (utterance, sentence, _) = call.preparing.pop_front().expect("the second sentence");
    let error = ProviderError::Died("gone".into());
    call.session
        .handle_prepared(utterance, sentence, Err(error.clone()), call.now);
    call.drain();
    assert!(!handle.done());
    call.drained(call.last_epoch());
    assert_eq!(
        handle.outcome(),
        Some(Outcome::Failed(UtteranceFailure::Voice(error)))
    );
    assert_eq!(call.session.transcript.entries()[0].text.expose(), "One.");
    assert_eq!(call.states().0, A::Idle);
}

#[test]
fn a_voice_that_fails_at_once_fails_the_handle_and_the_next_is_spoken() {
    let mut call = Fixture::entered(config());
    let first = call.say("One.");
    let second = call.say_with("Two.", QueueMode::After, true);
    let (utterance, sentence, _) = call.preparing.pop_front().expect("the first sentence");
    call.session.handle_prepared(
        utterance,
        sentence,
        Err(ProviderError::Overloaded(64)),
        call.now,
    );
    call.drain();
    assert!(matches!(
        first.outcome(),
        Some(Outcome::Failed(UtteranceFailure::Voice(_)))
    ));
    call.prepared(300);
    assert!(!second.done());
}

#[test]
fn without_a_voice_a_text_fails_by_name() {
    let mut call = Fixture::new(
        config(),
        Means {
            has_voice: false,
            ..MEANS
        },
    );
    call.call(CallEvent::Confirmed);
    let handle = call.say("Hello.");
    assert_eq!(
        handle.outcome(),
        Some(Outcome::Failed(UtteranceFailure::NoVoice))
    );
}

#[test]
fn a_leg_that_refuses_a_chunk_fails_the_utterance() {
    let mut call = Fixture::entered(config());
    let (handle, epoch) = call.speak("Hello.", 500);
    call.leg(LegEvent::Refused {
        bus: Bus::Speech,
        epoch,
    });
    call.flushed(epoch, 100);
    assert_eq!(
        handle.outcome(),
        Some(Outcome::Failed(UtteranceFailure::Refused))
    );
}

#[test]
fn a_leg_that_never_reports_an_end_leaves_no_handle_unresolved() {
    let mut call = Fixture::entered(config());
    let (handle, _) = call.speak("Hello.", 500);
    call.pass_ms(11_000);
    assert_eq!(
        handle.outcome(),
        Some(Outcome::Failed(UtteranceFailure::NotPlayed))
    );
    assert_eq!(call.states().0, A::Idle);
    assert_eq!(call.session.poll_timeout(), None);
}

#[test]
fn long_audio_is_handed_over_at_most_thirty_seconds_ahead() {
    let mut call = Fixture::entered(config());
    call.say("A very long recording.");
    call.prepared(100_000);
    call.started(call.last_epoch());
    let handed_over = |call: &Fixture| -> usize {
        let pieces = call.leg.iter().filter_map(|command| match command {
            LegCommand::Play { chunk, .. } => Some(chunk.samples.len() / 8),
            _ => None,
        });
        pieces.sum()
    };
    for second in 0..=100 {
        let ahead = handed_over(&call).saturating_sub(second * 1_000);
        assert!(ahead <= 30_000, "{ahead} ms ahead after {second} s");
        assert!(
            handed_over(&call) == 100_000 || ahead >= 10_000,
            "{ahead} ms after {second} s"
        );
        call.pass_ms(1_000);
    }
    assert_eq!(handed_over(&call), 100_000);
}

#[test]
fn on_hold_an_utterance_waits_and_is_heard_afterwards() {
    let mut call = Fixture::entered(config());
    let (handle, epoch) = call.speak("A very long recording.", 1_000);
    call.pass_ms(400);
    call.call(CallEvent::Held);
    call.pass(Duration::from_secs(600));
    assert!(!handle.done());
    call.call(CallEvent::Resumed);
    call.pass_ms(600);
    call.drained(epoch);
    assert_eq!(handle.outcome(), Some(Outcome::Completed));
}

#[test]
fn a_mark_of_the_background_is_never_taken_for_speech() {
    let mut call = Fixture::entered(config());
    let samples = super::super::fixture::samples(1_000);
    let options = BackgroundOptions {
        volume_db: -6.0,
        ..BackgroundOptions::default()
    };
    let background = Background { samples, options };
    call.command(Command::Background(Some(background)));
    let Some(LegCommand::Loop {
        epoch: background, ..
    }) = call.leg.pop()
    else {
        panic!("no loop");
    };
    let (_, speech) = call.speak("Hello.", 500);
    assert!(speech > background);
    call.command(Command::Background(None));
    assert!(matches!(
        call.leg.last(),
        Some(LegCommand::Flush { bus: Bus::Background, through, .. }) if *through == background
    ));
}

#[test]
fn an_empty_text_completes_at_once() {
    let mut call = Fixture::entered(config());
    let handle = call.say("  ");
    assert_eq!(handle.outcome(), Some(Outcome::Completed));
    assert!(call.leg.is_empty());
}

#[test]
fn audio_heard_to_its_end_before_the_flush_came_is_complete() {
    let mut call = Fixture::entered(config());
    let (handle, epoch) = call.speak("Hello.", 500);
    call.interrupt(false);
    call.drained(epoch);
    assert_eq!(handle.outcome(), Some(Outcome::Completed));
}
