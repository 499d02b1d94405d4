//! What of the call is recorded: pauses, digits that nobody may learn, and the consent prompt.

use super::*;

fn recorded(record: RecordPlan) -> SessionConfig {
    SessionConfig { record, ..config() }
}

/// A call that is recorded from its beginning.
fn on() -> Fixture {
    Fixture::entered(recorded(RecordPlan::On))
}

/// What the leg was told of its recording, in order.
fn told(call: &Fixture) -> Vec<RecordMode> {
    let told = call.leg.iter().filter_map(|command| match command {
        LegCommand::Record(mode) => Some(*mode),
        _ => None,
    });
    told.collect()
}

fn collect(call: &mut Fixture, sensitive: bool) -> oneshot::Receiver<Collected> {
    let (reply, answer) = oneshot::channel();
    call.command(Command::Collect {
        options: CollectOptions {
            min: 4,
            max: 4,
            sensitive,
            ..CollectOptions::default()
        },
        after: None,
        reply,
    });
    answer
}

/// An answered call whose consent prompt is heard from now on.
fn announcing() -> (Fixture, Epoch) {
    let mut call = Fixture::new(recorded(consent()), MEANS);
    call.call(CallEvent::Answered);
    call.call(CallEvent::Confirmed);
    call.prepared(1_500);
    let epoch = call.last_epoch();
    call.started(epoch);
    (call, epoch)
}

/// A caller who was not told, and one who enters what nobody may learn, is not recorded.
pub(in super::super) fn check_promises(call: &Fixture, seed: u64) {
    let session = &call.session;
    let told = call.recorded();
    if let RecordPlan::Off = session.config.record {
        return assert_eq!(told, None, "seed {seed}");
    }
    if session.phase.is_ending() {
        return;
    }
    let collector = session.collector.as_ref();
    if collector.is_some_and(|open| open.is_sensitive() && open.is_wanted()) {
        assert!(
            matches!(told, Some(RecordMode::CallerMuted | RecordMode::Paused)),
            "seed {seed}: {told:?} during a sensitive collection"
        );
    }
    let was_told = call.events.iter().any(|event| {
        matches!(
            event,
            SessionEvent::UtteranceDone {
                id: UtteranceId::CONSENT,
                outcome: Outcome::Completed,
                ..
            }
        )
    });
    if let RecordPlan::AfterConsent(_) = session.config.record {
        assert!(
            was_told || told != Some(RecordMode::Both),
            "seed {seed}: recorded without being told"
        );
        let entered = call.callbacks.contains(&CallbackKind::Enter);
        assert!(
            was_told || session.recording_forgone() || !entered,
            "seed {seed}: entered without a word about the recording"
        );
    }
}

#[test]
fn a_call_that_is_recorded_is_told_so_by_nobody_and_paused_by_agent_and_operator() {
    use RecordMode::{Both, Paused};
    let mut call = on();
    assert_eq!(told(&call), [], "it began so");
    call.command(Command::PauseRecording(true));
    call.command(Command::PauseRecording(true));
    assert_eq!(told(&call), [Paused]);
    call.call(CallEvent::RecordingPaused);
    call.command(Command::PauseRecording(false));
    assert_eq!(told(&call), [Paused], "the operator's pause goes on");
    call.call(CallEvent::RecordingResumed);
    assert_eq!(told(&call), [Paused, Both]);
    let changes = call.events.iter().filter_map(|event| match event {
        SessionEvent::RecordingChanged { mode, .. } => Some(*mode),
        _ => None,
    });
    assert_eq!(changes.collect::<Vec<_>>(), [Paused, Both]);
}

#[test]
fn a_call_that_is_not_recorded_has_nothing_to_pause() {
    let mut call = Fixture::entered(config());
    call.command(Command::PauseRecording(true));
    let _answer = collect(&mut call, true);
    assert_eq!(told(&call), []);
}

#[test]
fn the_caller_is_muted_from_the_beginning_of_a_sensitive_collection_to_a_second_after_its_end() {
    use RecordMode::{Both, CallerMuted};
    let mut call = on();
    let mut answer = collect(&mut call, true);
    assert_eq!(told(&call), [CallerMuted], "before the first digit");
    for symbol in "4711".chars() {
        call.pass_ms(700);
        call.digit(symbol);
    }
    assert!(matches!(answer.try_recv(), Ok(Collected::Digits(_))));
    call.pass_ms(999);
    assert_eq!(told(&call), [CallerMuted], "the last key may be held");
    call.pass_ms(1);
    assert_eq!(told(&call), [CallerMuted, Both]);
    let _answer = collect(&mut call, false);
    call.digit('1');
    assert_eq!(told(&call), [CallerMuted, Both], "no secret");
}

#[test]
fn a_sensitive_collection_that_timed_out_or_was_given_up_mutes_nobody_for_longer() {
    use RecordMode::{Both, CallerMuted};
    let mut call = on();
    let _answer = collect(&mut call, true);
    call.pass_ms(8_000 + 1_000);
    assert_eq!(told(&call), [CallerMuted, Both], "timed out");
    let mut call = on();
    drop(collect(&mut call, true));
    call.pass_ms(8_000 + 1_000);
    assert_eq!(told(&call), [CallerMuted, Both], "given up");
}

#[test]
fn a_retry_goes_on_with_the_muting_of_the_first_collection() {
    let mut call = on();
    let _first = collect(&mut call, true);
    call.digit('#');
    call.pass_ms(500);
    let _second = collect(&mut call, true);
    call.pass_ms(3_000);
    assert_eq!(told(&call), [RecordMode::CallerMuted]);
}

#[test]
fn a_key_that_completes_a_sensitive_collection_at_once_may_still_be_held() {
    use RecordMode::{Both, CallerMuted};
    let mut call = on();
    // The agent is at work on the first key when the others come.
    "14711".chars().for_each(|symbol| call.digit(symbol));
    let mut answer = collect(&mut call, true);
    assert!(matches!(answer.try_recv(), Ok(Collected::Digits(_))));
    assert_eq!(told(&call), [CallerMuted]);
    call.pass_ms(1_000);
    assert_eq!(told(&call), [CallerMuted, Both]);
}

#[test]
fn a_pause_within_a_sensitive_collection_ends_in_it_and_one_around_it_outlasts_it() {
    use RecordMode::{Both, CallerMuted, Paused};
    let mut call = on();
    let _answer = collect(&mut call, true);
    call.call(CallEvent::RecordingPaused);
    call.call(CallEvent::RecordingResumed);
    assert_eq!(told(&call), [CallerMuted, Paused, CallerMuted]);
    let mut call = on();
    call.call(CallEvent::RecordingPaused);
    let _answer = collect(&mut call, true);
    "4711".chars().for_each(|symbol| call.digit(symbol));
    call.pass_ms(5_000);
    assert_eq!(told(&call), [Paused]);
    call.call(CallEvent::RecordingResumed);
    assert_eq!(told(&call), [Paused, Both]);
}

#[test]
fn the_consent_prompt_is_heard_before_anything_else_and_the_caller_is_recorded_from_its_end() {
    let mut call = Fixture::new(recorded(consent()), MEANS);
    assert_eq!(call.recorded(), Some(RecordMode::CallerMuted));
    // The agent's first words, its background and its echo wait for it.
    let hello = call.say("Hello.");
    call.command(Command::Loopback(true));
    call.call(CallEvent::Answered);
    call.call(CallEvent::Confirmed);
    call.leg(LegEvent::Live { at_ms: 0 });
    assert!(call.callbacks.is_empty(), "the agent has not entered");
    call.prepared(1_500);
    call.started(call.last_epoch());
    // Neither speech nor a key nor another utterance stops it.
    call.speech_starts();
    call.pass_ms(600);
    call.barge_in(call.last_epoch());
    call.speech_stops();
    call.digit('1');
    assert!(!call.interrupt(false));
    call.say("Me first!");
    assert!(call.flushes().is_empty());
    assert!(!call.armed() && hello.interrupted());
    assert!(call.callbacks.is_empty() && call.digits.is_empty());
    assert_eq!(told(&call), []);
    assert!(
        !call
            .leg
            .iter()
            .any(|command| matches!(command, LegCommand::Loopback(_)))
    );

    call.pass_ms(900);
    call.drained(call.last_epoch());
    assert_eq!(told(&call), [RecordMode::Both]);
    assert_eq!(call.callbacks, [CallbackKind::Enter]);
    assert!(
        call.leg
            .iter()
            .any(|command| matches!(command, LegCommand::Loopback(true)))
    );
    let said = call.session.transcript.entries().first().expect("a line");
    assert_eq!(said.text.expose(), "This call is recorded.");
    call.returned(CallbackKind::Enter);
    assert_eq!(call.digits.len(), 1, "the key of before was kept");
    assert!(!call.session.recording_forgone());
}

#[test]
fn a_caller_who_could_not_be_told_is_not_recorded_and_the_call_goes_on() {
    let no_voice = Means {
        has_voice: false,
        ..MEANS
    };
    let mut silent = Fixture::new(recorded(consent()), no_voice);
    silent.call(CallEvent::Confirmed);
    let mut failing = Fixture::new(recorded(consent()), MEANS);
    failing.call(CallEvent::Confirmed);
    let (utterance, sentence, _) = failing.preparing.pop_front().expect("the prompt");
    let failed = Err(ProviderError::Died("gone".into()));
    failing
        .session
        .handle_prepared(utterance, sentence, failed, failing.now);
    failing.drain();
    let (mut cut, epoch) = announcing();
    cut.interrupt(true);
    cut.flushed(epoch, 300);
    for mut call in [silent, failing, cut] {
        assert_eq!(told(&call), [RecordMode::Paused]);
        assert_eq!(call.callbacks, [CallbackKind::Enter]);
        assert!(call.session.recording_forgone());
        call.call(CallEvent::RecordingPaused);
        call.call(CallEvent::RecordingResumed);
        assert_eq!(told(&call), [RecordMode::Paused], "nobody can resume it");
    }
}

#[test]
fn a_hold_holds_the_consent_prompt_and_the_recording_of_the_caller_with_it() {
    let (mut call, epoch) = announcing();
    call.call(CallEvent::Held);
    call.pass_ms(60_000);
    assert!(call.callbacks.is_empty() && told(&call).is_empty());
    call.call(CallEvent::Resumed);
    call.pass_ms(1_000);
    call.drained(epoch);
    assert_eq!(told(&call), [RecordMode::Both]);
    assert_eq!(call.callbacks, [CallbackKind::Enter]);
}

#[test]
fn a_call_that_ends_within_its_consent_prompt_never_enters_and_is_no_fault() {
    let ends: [fn(&mut Fixture); 3] = [
        |call| {
            call.call(CallEvent::Ended {
                reason: far_end_hung_up(),
            });
        },
        |call| call.hang_up(true),
        |call| call.command(Command::Close),
    ];
    for end in ends {
        let (mut call, _) = announcing();
        end(&mut call);
        call.returned(CallbackKind::Exit);
        assert_eq!(call.callbacks, [CallbackKind::Exit]);
        assert!(call.session.closed().is_some());
        assert_eq!(told(&call), []);
    }
}

#[test]
fn who_takes_the_far_ends_place_is_told_too_and_muted_until_then() {
    use RecordMode::{Both, CallerMuted};
    let (mut call, epoch) = announcing();
    call.drained(epoch);
    call.returned(CallbackKind::Enter);
    let (_, speaking) = call.speak("How can I help?", 2_000);
    call.call(CallEvent::Succeeded);
    assert_eq!(told(&call), [Both, CallerMuted]);
    assert!(
        call.flushes().is_empty(),
        "the agent says what it was saying"
    );
    call.drained(speaking);
    call.prepared(1_500);
    let epoch = call.last_epoch();
    call.started(epoch);
    call.say("Anything else?");
    assert_eq!(told(&call), [Both, CallerMuted]);
    call.drained(epoch);
    assert_eq!(told(&call), [Both, CallerMuted, Both]);
    let enters = call.callbacks.iter();
    assert_eq!(
        enters.filter(|kind| **kind == CallbackKind::Enter).count(),
        1
    );
}

#[test]
fn who_comes_in_while_another_is_told_is_told_by_a_prompt_of_their_own() {
    let (mut call, epoch) = announcing();
    call.call(CallEvent::Succeeded);
    call.drained(epoch);
    assert_eq!(told(&call), [], "the second has heard half of it");
    call.prepared(1_500);
    let epoch = call.last_epoch();
    call.started(epoch);
    call.drained(epoch);
    assert_eq!(told(&call), [RecordMode::Both]);
}

#[test]
fn nobody_is_told_anew_where_nothing_is_to_be_told() {
    for record in [RecordPlan::Off, RecordPlan::On] {
        let mut call = Fixture::entered(recorded(record));
        call.call(CallEvent::Succeeded);
        assert!(told(&call).is_empty() && call.preparing.is_empty());
    }
}
