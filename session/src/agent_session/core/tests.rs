//! The behaviour of a session, one test a sentence.

use std::time::Duration;

use offhook_media::control::{BargeInPolicy, Bus, Chunk, Epoch, LegCommand, LegEvent};
use tokio::sync::oneshot;

use super::super::config::Direction;
use super::super::digits::{CollectOptions, Collected};
use super::super::event::{CallbackKind, EndCause, EndReason, SessionEvent};
use super::super::line::{CallEvent, CallRequest};
use super::super::message::Command;
use super::super::state::{AgentState as A, UserState as U};
use super::super::transcript::{EntryKind, Speaker};
use super::super::utterance::{Outcome, QueueMode, UtteranceFailure};
use super::fixture::{Fixture, MEANS, config, interrupted, phrase};
use super::{Means, Session};
use crate::agent::UserTurn;
use crate::pii::Pii;
use crate::provider::{ProviderError, Recognition};

fn said(text: &str) -> UserTurn {
    UserTurn::Said {
        text: Pii::new(text.into()),
        confidence: 0.9,
    }
}

fn far_end_hung_up() -> EndReason {
    EndCause::FarEndHungUp.into()
}

mod gate {
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
}

mod speaking {
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
        let background = crate::agent_session::message::BackgroundLoop {
            samples,
            volume_db: -6.0,
        };
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
}

mod turn_taking {
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
        assert_eq!(call.turns, [said("a table for two people")]);
    }

    #[test]
    fn a_recogniser_that_fails_ends_in_idle_and_is_reported() {
        let mut call = Fixture::listening(&["sales"]);
        call.caller_says(600);
        call.recognised(Err(ProviderError::TimedOut(Duration::from_secs(5))));
        call.pass_ms(1_500);
        assert_eq!(call.states(), (A::Idle, U::Idle));
        assert!(
            call.events
                .iter()
                .any(|event| matches!(event, SessionEvent::ProviderFailed { .. }))
        );
        assert!(call.turns.is_empty());
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
}

mod interruption {
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
}

mod silence {
    use super::*;

    fn waking() -> Fixture {
        let mut config = config();
        config.wake_up = Some(Duration::from_secs(8));
        Fixture::entered(config)
    }

    fn wakes(call: &Fixture) -> usize {
        call.callbacks
            .iter()
            .filter(|kind| **kind == CallbackKind::WakeUp)
            .count()
    }

    #[test]
    fn it_runs_from_the_end_of_playback() {
        let mut call = waking();
        call.pass_ms(5_000);
        let (_, epoch) = call.speak("Hello.", 3_000);
        call.pass_ms(3_000);
        call.drained(epoch);
        call.pass_ms(7_999);
        assert_eq!(wakes(&call), 0);
        call.pass_ms(1);
        assert_eq!(wakes(&call), 1);
    }

    #[test]
    fn it_fires_twice_and_then_the_silence_ends() {
        let mut call = waking();
        for _ in 0..2 {
            call.pass_ms(8_000);
            call.speak("Are you there?", 1_000);
            call.returned(CallbackKind::WakeUp);
            call.drained(call.last_epoch());
        }
        assert_eq!(wakes(&call), 2);
        call.pass_ms(8_000);
        assert_eq!(call.callbacks.last(), Some(&CallbackKind::SilenceEnd));
    }

    #[test]
    fn noise_does_not_refresh_it_and_a_digit_does() {
        let mut call = waking();
        call.pass_ms(7_000);
        call.caller_says(100);
        call.pass_ms(900);
        assert_eq!(wakes(&call), 1);
        call.returned(CallbackKind::WakeUp);
        call.pass_ms(7_000);
        call.digit('5');
        call.returned(CallbackKind::Dtmf);
        call.pass_ms(7_999);
        assert_eq!(wakes(&call), 1);
    }

    #[test]
    fn it_waits_while_the_caller_speaks_and_while_the_agent_thinks() {
        let mut call = waking();
        call.expect(&["sales"]);
        call.pass_ms(7_900);
        call.caller_says(1_000);
        call.recognised(phrase("sales"));
        call.pass_ms(60_000);
        assert_eq!(wakes(&call), 0, "the agent is at work on its reply");
        call.returned(CallbackKind::UserTurn);
        call.pass_ms(1);
        assert_eq!(wakes(&call), 1);
    }

    #[test]
    fn it_is_armed_at_the_end_of_the_greeting_though_on_enter_goes_on() {
        let mut config = config();
        config.wake_up = Some(Duration::from_secs(8));
        let mut call = Fixture::new(config, MEANS);
        call.call(CallEvent::Confirmed);
        call.pass_ms(20_000);
        assert_eq!(wakes(&call), 0);
        let (_, epoch) = call.speak("Hello.", 500);
        call.drained(epoch);
        call.pass_ms(8_000);
        assert_eq!(wakes(&call), 1);
    }
}

mod digits {
    use super::*;

    fn collect(call: &mut Fixture, options: CollectOptions) -> oneshot::Receiver<Collected> {
        let (reply, answer) = oneshot::channel();
        call.command(Command::Collect {
            options,
            after: None,
            reply,
        });
        answer
    }

    fn shown(call: &Fixture) -> Vec<String> {
        let entries = call.session.transcript.entries().iter();
        entries
            .filter(|entry| entry.kind == EntryKind::Digits)
            .map(|entry| entry.text.expose().clone())
            .collect()
    }

    #[test]
    fn digits_reach_the_agent_one_at_a_time_in_order() {
        let mut call = Fixture::entered(config());
        "120".chars().for_each(|symbol| call.digit(symbol));
        assert_eq!(call.digits.len(), 1);
        call.returned(CallbackKind::Dtmf);
        call.returned(CallbackKind::Dtmf);
        let pressed: String = call.digits.iter().map(|digit| digit.as_char()).collect();
        assert_eq!(pressed, "120");
        assert_eq!(shown(&call), ["1", "2", "0"]);
    }

    #[test]
    fn a_digit_interrupts() {
        let mut call = Fixture::entered(config());
        let (_, epoch) = call.speak("Press one.", 2_000);
        call.digit('1');
        assert_eq!(call.flushes(), [epoch]);
        assert_eq!(call.states().0, A::Listening);
    }

    #[test]
    fn a_digit_does_not_interrupt_where_that_is_the_policy() {
        let mut config = config();
        config.interruption = crate::agent_session::InterruptionPolicy {
            dtmf_interrupts: false,
            ..Default::default()
        }
        .into();
        let mut call = Fixture::entered(config);
        call.speak("Press one.", 2_000);
        call.digit('1');
        assert!(call.flushes().is_empty());
    }

    #[test]
    fn a_collection_takes_the_digits_and_the_agents_callback_sees_none() {
        let mut call = Fixture::entered(config());
        let mut answer = collect(
            &mut call,
            CollectOptions {
                max: 4,
                ..CollectOptions::default()
            },
        );
        "4711".chars().for_each(|symbol| call.digit(symbol));
        assert_eq!(
            answer.try_recv(),
            Ok(Collected::Digits(Pii::new("4711".into())))
        );
        assert!(call.digits.is_empty());
        assert_eq!(shown(&call), ["4711"]);
    }

    #[test]
    fn a_sensitive_collection_is_masked_everywhere() {
        let mut call = Fixture::entered(config());
        let options = CollectOptions {
            sensitive: true,
            ..CollectOptions::default()
        };
        let mut answer = collect(&mut call, options);
        "47#".chars().for_each(|symbol| call.digit(symbol));
        assert_eq!(
            answer.try_recv(),
            Ok(Collected::Digits(Pii::new("47".into())))
        );
        assert_eq!(shown(&call), ["\u{2022}\u{2022}"]);
        let seen = call
            .events
            .iter()
            .filter(|event| matches!(event, SessionEvent::Digit { digit: None, .. }));
        assert_eq!(seen.count(), 3);
    }

    #[test]
    fn a_collection_times_out_without_a_first_digit_and_after_the_last() {
        let mut call = Fixture::entered(config());
        let mut answer = collect(&mut call, CollectOptions::default());
        call.pass_ms(8_000);
        assert_eq!(
            answer.try_recv(),
            Ok(Collected::TimedOut(Pii::new(String::new())))
        );
        let mut answer = collect(
            &mut call,
            CollectOptions {
                min: 2,
                ..CollectOptions::default()
            },
        );
        call.digit('1');
        call.pass_ms(4_000);
        assert_eq!(
            answer.try_recv(),
            Ok(Collected::TimedOut(Pii::new("1".into())))
        );
    }

    #[test]
    fn a_second_collection_cancels_the_first_and_the_end_of_the_call_the_second() {
        let mut call = Fixture::entered(config());
        let mut first = collect(&mut call, CollectOptions::default());
        let mut second = collect(&mut call, CollectOptions::default());
        assert_eq!(first.try_recv(), Ok(Collected::Cancelled));
        call.call(CallEvent::Ended {
            reason: far_end_hung_up(),
        });
        assert_eq!(second.try_recv(), Ok(Collected::Cancelled));
    }

    #[test]
    fn a_collection_nobody_waits_for_takes_no_digits() {
        let mut call = Fixture::entered(config());
        drop(collect(&mut call, CollectOptions::default()));
        call.digit('1');
        assert_eq!(call.digits.len(), 1);
    }
}

mod ending {
    use super::*;

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
    fn on_exit_can_still_read_the_transcript() {
        let mut call = Fixture::entered(config());
        call.digit('7');
        call.command(Command::Close);
        let (reply, mut answer) = oneshot::channel();
        call.command(Command::Transcript(reply));
        assert_eq!(answer.try_recv().expect("answered").entries().len(), 1);
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
}

#[test]
fn an_idle_sessions_state_is_small() {
    assert!(
        size_of::<Session>() <= 1_200,
        "{} bytes",
        size_of::<Session>()
    );
}
