//! Whole conversations through the public surface: an agent, its session, and a scripted leg, voice
//! and recogniser, in virtual time.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use offhook_media::control::Digit;
use offhook_session::agent::{Agent, AgentError, EchoAgent, PlayAgent, UserTurn};
use offhook_session::agent_session::{
    AgentState, CallRequest, CallbackKind, CollectOptions, Collected, EndCause, EndReason, Outcome,
    Providers, QueueMode, SayOptions, SessionEvent, SessionHandle, Speaker, UtteranceFailure,
};
use offhook_session::pii::Pii;
use offhook_session::provider::{Audio, ProviderError};
use support::{Act, Call, RATE_HZ, Recogniser, config, grammar, providers};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep, timeout};

type Step =
    Box<dyn Fn(SessionHandle) -> futures_util::future::BoxFuture<'static, ()> + Send + Sync>;

/// An agent whose `on_enter` is given by the test; it keeps what the caller said and pressed.
struct Scripted {
    enter: Step,
    turns: Mutex<Vec<UserTurn>>,
    digits: Mutex<String>,
    exits: AtomicUsize,
    exit_hangs: bool,
}

fn agent<F>(enter: impl Fn(SessionHandle) -> F + Send + Sync + 'static) -> Arc<Scripted>
where
    F: Future<Output = ()> + Send + 'static,
{
    Arc::new(Scripted {
        enter: Box::new(move |session| Box::pin(enter(session))),
        turns: Mutex::default(),
        digits: Mutex::default(),
        exits: AtomicUsize::new(0),
        exit_hangs: false,
    })
}

#[async_trait]
impl Agent for Scripted {
    async fn on_enter(&self, session: SessionHandle) -> Result<(), AgentError> {
        (self.enter)(session).await;
        Ok(())
    }

    async fn on_user_turn(&self, _: SessionHandle, turn: UserTurn) -> Result<(), AgentError> {
        self.turns.lock().unwrap().push(turn);
        Ok(())
    }

    async fn on_dtmf(&self, _: SessionHandle, digit: Digit) -> Result<(), AgentError> {
        self.digits.lock().unwrap().push(digit.as_char());
        Ok(())
    }

    async fn on_exit(&self, session: SessionHandle, _: EndReason) -> Result<(), AgentError> {
        self.exits.fetch_add(1, Ordering::Relaxed);
        let refused = session.say("Too late.", SayOptions::default()).wait().await;
        assert_eq!(refused, Outcome::Failed(UtteranceFailure::SessionEnding));
        if self.exit_hangs {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

fn said(text: &str) -> UserTurn {
    UserTurn::Said {
        text: Pii::new(text.into()),
        last: Pii::new(text.into()),
        confidence: 0.9,
    }
}

fn far_end_hung_up() -> EndReason {
    EndCause::FarEndHungUp.into()
}

#[tokio::test(start_paused = true)]
async fn on_enter_may_await_its_own_say_and_hang_up() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heard);
    let agent = agent(move |session| {
        let seen = Arc::clone(&seen);
        async move {
            let first = session
                .say("Hello there.", SayOptions::default())
                .wait()
                .await;
            let second = session
                .say("And goodbye.", SayOptions::default())
                .wait()
                .await;
            seen.lock().unwrap().extend([first, second]);
            session.hangup(EndCause::AgentHungUp).await;
        }
    });
    let mut call = Call::start(config(), agent.clone(), providers(None), &[]).await;
    let report = call.task.await.expect("no panic");
    assert_eq!(
        *heard.lock().unwrap(),
        [Outcome::Completed, Outcome::Completed]
    );
    assert_eq!(report.reason, EndCause::AgentHungUp.into());
    let texts: Vec<_> = report
        .transcript
        .entries()
        .iter()
        .map(|entry| entry.text.expose().as_str())
        .collect();
    assert_eq!(texts, ["Hello there.", "And goodbye."]);
    assert_eq!(
        call.requests.recv().await,
        Some(CallRequest::HangUp {
            reason: EndCause::AgentHungUp.into()
        })
    );
    assert_eq!(call.requests.recv().await, None, "once");
    assert_eq!(agent.exits.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_handle_resolves_when_the_last_frame_was_sent_each_with_its_own() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&times);
    let agent = agent(move |session| {
        let seen = Arc::clone(&seen);
        async move {
            // 600 ms each, synthesised 100 ms after being asked for.
            let began = Instant::now();
            let first = session.say("Hello there.", SayOptions::default());
            let second = session.say("Hello again.", SayOptions::after());
            first.wait().await;
            let first_at = began.elapsed();
            second.wait().await;
            seen.lock().unwrap().extend([first_at, began.elapsed()]);
        }
    });
    let call = Call::start(config(), agent, providers(None), &[]).await;
    sleep(Duration::from_secs(3)).await;
    let times = times.lock().unwrap().clone();
    let within = |time: Duration, ms: u64| {
        assert!(
            (ms..ms + 40).contains(&(time.as_millis() as u64)),
            "{time:?} is not about {ms} ms"
        );
    };
    within(times[0], 690);
    within(times[1], 1_390);
    assert_eq!((call.sent_ms(1), call.sent_ms(2)), (600, 600));
}

#[tokio::test(start_paused = true)]
async fn the_first_sentence_is_heard_while_the_rest_is_synthesised() {
    let agent = agent(async |session: SessionHandle| {
        session.say(
            "Hello there. How may I help you today? Say a word.",
            SayOptions::default(),
        );
    });
    let call = Call::start(config(), agent, providers(None), &[]).await;
    sleep(Duration::from_millis(200)).await;
    assert!(call.sent_ms(1) > 0);
    sleep(Duration::from_secs(5)).await;
    let sent = call.record.lock().unwrap().sent.clone();
    let first = sent.iter().position(Option::is_some).unwrap();
    let last = sent.iter().rposition(Option::is_some).unwrap();
    assert!(
        sent[first..=last].iter().all(Option::is_some),
        "without a gap"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_over_the_prompt_stops_it_and_is_the_turn() {
    let outcome = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&outcome);
    let agent = agent(move |session| {
        let seen = Arc::clone(&seen);
        async move {
            session
                .expect(Some(grammar(&["opening hours", "sales"])))
                .await;
            let prompt = session.say(
                "Say opening hours or sales or wait for the next.",
                SayOptions::default(),
            );
            *seen.lock().unwrap() = Some(prompt.wait().await);
        }
    });
    let recogniser = Recogniser::answering(&[Some("sales")]);
    let script = [Act::Speaks(1_000, 1_700)];
    let call = Call::start(
        config(),
        agent.clone(),
        providers(Some(recogniser.clone())),
        &script,
    )
    .await;
    sleep(Duration::from_secs(6)).await;

    let Some(Outcome::Interrupted {
        heard_text,
        heard_ms,
    }) = outcome.lock().unwrap().clone()
    else {
        panic!("not interrupted: {outcome:?}");
    };
    // The prompt began at 110 ms; the reflex held it 500 ms into the caller's speech.
    assert_eq!(heard_ms, call.sent_ms(1));
    assert!((1_350..1_420).contains(&heard_ms), "{heard_ms} ms");
    assert_eq!(heard_text.expose(), "Say opening hours or sales");
    assert_eq!(*agent.turns.lock().unwrap(), [said("sales")]);
    let heard = recogniser.heard_ms.lock().unwrap().clone();
    assert!(
        heard.len() == 1 && (850..=950).contains(&heard[0]),
        "{heard:?}"
    );
    assert!(
        call.record.lock().unwrap().events < 40,
        "nobody is woken at frame rate"
    );
}

#[tokio::test(start_paused = true)]
async fn a_cough_holds_the_prompt_and_it_goes_on_at_the_same_sample() {
    let outcome = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&outcome);
    let agent = agent(move |session| {
        let seen = Arc::clone(&seen);
        async move {
            session.expect(Some(grammar(&["sales"]))).await;
            let prompt = session.say(
                "Say opening hours or sales or wait for the next.",
                SayOptions::default(),
            );
            *seen.lock().unwrap() = Some(prompt.wait().await);
        }
    });
    let recogniser = Recogniser::answering(&[None]);
    let script = [Act::Speaks(1_000, 1_600)];
    let mut call = Call::start(
        config(),
        agent.clone(),
        providers(Some(recogniser)),
        &script,
    )
    .await;
    sleep(Duration::from_secs(6)).await;
    assert_eq!(*outcome.lock().unwrap(), Some(Outcome::Completed));
    assert_eq!(call.sent_ms(1), 2_400, "every sample, once");
    assert!(agent.turns.lock().unwrap().is_empty());
    let events = call.drain_events();
    assert!(
        events
            .iter()
            .any(|event| matches!(event, SessionEvent::FalseInterruption { .. }))
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_of_an_interrupted_utterance_is_heard_after_the_next_began() {
    let agent = agent(async |session: SessionHandle| {
        session.say("This goes on and on and on and on.", SayOptions::default());
        sleep(Duration::from_millis(500)).await;
        session.say("Stop that.", SayOptions::default());
    });
    let call = Call::start(config(), agent, providers(None), &[]).await;
    sleep(Duration::from_secs(3)).await;
    let sent: Vec<_> = call
        .record
        .lock()
        .unwrap()
        .sent
        .iter()
        .copied()
        .flatten()
        .collect();
    assert!(sent.is_sorted());
    assert_eq!(call.sent_ms(2), 500);
}

#[tokio::test(start_paused = true)]
async fn collecting_says_the_prompt_and_a_digit_stops_it() {
    let collected = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&collected);
    let agent = agent(move |session| {
        let seen = Arc::clone(&seen);
        async move {
            let options = CollectOptions {
                prompt: Some("Please key in your number and press hash.".into()),
                ..CollectOptions::default()
            };
            *seen.lock().unwrap() = Some(session.collect(options).await);
        }
    });
    let script = [
        Act::Presses(500, '4'),
        Act::Presses(1_000, '7'),
        Act::Presses(1_500, '#'),
        Act::Presses(2_000, '1'),
    ];
    let call = Call::start(config(), agent.clone(), providers(None), &script).await;
    sleep(Duration::from_secs(3)).await;
    assert_eq!(
        *collected.lock().unwrap(),
        Some(Collected::Digits(Pii::new("47".into())))
    );
    assert!(call.sent_ms(1) < 500);
    assert_eq!(
        *agent.digits.lock().unwrap(),
        "1",
        "what comes after the collection is the agent's"
    );
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_is_heard_to_its_end_leaves_the_first_digit_its_time() {
    let waited = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&waited);
    let agent = agent(move |session| {
        let seen = Arc::clone(&seen);
        async move {
            let began = Instant::now();
            let options = CollectOptions {
                prompt: Some("Press a key.".into()),
                ..CollectOptions::default()
            };
            let collected = session.collect(options).await;
            *seen.lock().unwrap() = Some((collected, began.elapsed()));
        }
    });
    let _call = Call::start(config(), agent, providers(None), &[]).await;
    sleep(Duration::from_secs(20)).await;
    let (collected, time) = waited.lock().unwrap().clone().unwrap();
    assert_eq!(collected, Collected::TimedOut(Pii::new(String::new())));
    assert!((8_690..8_740).contains(&time.as_millis()), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_panics_is_reported_and_the_call_goes_on() {
    let agent = agent(async |_| panic!("a bug in the agent"));
    let mut call = Call::start(
        config(),
        agent.clone(),
        providers(None),
        &[Act::Presses(500, '1')],
    )
    .await;
    sleep(Duration::from_secs(1)).await;
    let failed = call
        .drain_events()
        .into_iter()
        .find_map(|event| match event {
            SessionEvent::CallbackFailed {
                callback: CallbackKind::Enter,
                error,
                ..
            } => Some(error),
            _ => None,
        });
    assert_eq!(failed.as_deref(), Some("panicked: a bug in the agent"));
    assert_eq!(*agent.digits.lock().unwrap(), "1");
}

#[tokio::test(start_paused = true)]
async fn a_voice_that_hangs_fails_the_handle_at_its_deadline_and_one_that_panics_at_once() {
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&outcomes);
    let agent = agent(move |session| {
        let seen = Arc::clone(&seen);
        async move {
            for text in ["This hangs.", "This panics.", "This works."] {
                let outcome = session.say(text, SayOptions::default()).wait().await;
                seen.lock().unwrap().push(outcome);
            }
        }
    });
    let _call = Call::start(config(), agent, providers(None), &[]).await;
    sleep(Duration::from_secs(15)).await;
    let outcomes = outcomes.lock().unwrap().clone();
    let voice = |error| Outcome::Failed(UtteranceFailure::Voice(error));
    assert_eq!(
        outcomes[0],
        voice(ProviderError::TimedOut(Duration::from_secs(10)))
    );
    assert_eq!(
        outcomes[1],
        voice(ProviderError::Died("panicked: the voice panics".into()))
    );
    assert_eq!(outcomes[2], Outcome::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_recogniser_that_panics_costs_one_utterance() {
    let agent =
        agent(async |session: SessionHandle| session.expect(Some(grammar(&["sales"]))).await);
    let recogniser = Recogniser::answering(&[Some("panic"), Some("sales")]);
    let script = [Act::Speaks(500, 1_000), Act::Speaks(2_000, 2_500)];
    let _call = Call::start(
        config(),
        agent.clone(),
        providers(Some(recogniser)),
        &script,
    )
    .await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(
        *agent.turns.lock().unwrap(),
        [UserTurn::NotUnderstood, said("sales")]
    );
}

#[tokio::test(start_paused = true)]
async fn an_exit_that_hangs_is_given_up_and_nothing_of_the_session_is_left() {
    let alive = Arc::new(());
    let weak = Arc::downgrade(&alive);
    let agent = Arc::new(Scripted {
        enter: Box::new(move |session| {
            let alive = Arc::clone(&alive);
            Box::pin(async move {
                session
                    .say("Hello there.", SayOptions::default())
                    .wait()
                    .await;
                std::future::pending::<()>().await;
                drop(alive);
            })
        }),
        turns: Mutex::default(),
        digits: Mutex::default(),
        exits: AtomicUsize::new(0),
        exit_hangs: true,
    });
    let mut call = Call::start(config(), agent.clone(), providers(None), &[]).await;
    sleep(Duration::from_secs(2)).await;
    let began = Instant::now();
    call.far_end_ends(EndCause::FarEndHungUp).await;
    call.session.closed().await;
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    assert_eq!(
        (&mut call.task).await.expect("no panic").reason,
        far_end_hung_up()
    );
    assert!(matches!(
        call.drain_events().last(),
        Some(SessionEvent::Closed { .. })
    ));
    tokio::task::yield_now().await;
    drop(agent);
    assert_eq!(weak.strong_count(), 0, "the callback that hung is gone");
}

#[tokio::test(start_paused = true)]
async fn after_the_end_everything_asked_of_a_handle_resolves() {
    let call = Call::start(config(), agent(async |_| {}), providers(None), &[]).await;
    sleep(Duration::from_millis(100)).await;
    call.session.close().await;
    let session = &call.session;
    let all = async {
        let late = session.say("Hello.", SayOptions::default());
        assert_eq!(
            late.wait().await,
            Outcome::Failed(UtteranceFailure::SessionEnding)
        );
        assert!(!session.interrupt(true).await);
        assert_eq!(
            session.collect(CollectOptions::default()).await,
            Collected::Cancelled
        );
        session.expect(Some(grammar(&["sales"]))).await;
        session.hangup(EndCause::AgentHungUp).await;
        session.close().await;
        assert!(session.transcript().await.entries().is_empty());
    };
    timeout(Duration::from_secs(1), all)
        .await
        .expect("nothing hangs");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_utterances_fails_by_name_and_loses_no_handle() {
    let call = Call::start(config(), agent(async |_| {}), providers(None), &[]).await;
    sleep(Duration::from_millis(100)).await;
    let flood = || SayOptions {
        queue: QueueMode::After,
        ..SayOptions::default()
    };
    let handles: Vec<_> = (0..200)
        .map(|_| call.session.say("Hello there.", flood()))
        .collect();
    sleep(Duration::from_secs(20)).await;
    let completed = handles
        .iter()
        .filter(|handle| handle.outcome() == Some(Outcome::Completed))
        .count();
    let full = Outcome::Failed(UtteranceFailure::QueueFull);
    let refused = handles
        .iter()
        .filter(|handle| handle.outcome().as_ref() == Some(&full))
        .count();
    assert_eq!((completed, refused), (9, 191), "one speaks, eight wait");
}

#[tokio::test(start_paused = true)]
async fn who_watches_and_is_slow_misses_events_and_holds_nothing_up() {
    let agent = agent(async |session: SessionHandle| {
        for _ in 0..100 {
            let said = session.say("Hello there.", SayOptions::default());
            said.wait().await;
        }
        session.hangup(EndCause::AgentHungUp).await;
    });
    let call = Call::start(config(), agent, providers(None), &[]).await;
    // Begins with the conversation and reads nothing of it.
    let mut slow = call.session.subscribe();
    let mut quick = call.session.subscribe();
    let all = tokio::spawn(async move {
        let mut told = 0;
        while quick.recv().await.is_ok() {
            told += 1;
        }
        told
    });
    let Call {
        task,
        call_events: _call_events,
        requests: _requests,
        session,
        ..
    } = call;
    let report = timeout(Duration::from_secs(300), task).await;
    assert_eq!(
        report.expect("an end").expect("no panic").reason.cause,
        EndCause::AgentHungUp
    );
    drop(session);
    assert!(
        all.await.expect("no panic") > 300,
        "who is quick missed some"
    );
    let Err(RecvError::Lagged(missed)) = slow.recv().await else {
        panic!("nothing was missed");
    };
    assert!(missed > 200, "{missed}");
}

#[tokio::test(start_paused = true)]
async fn with_a_recogniser_alone_what_is_said_is_written_down() {
    let agent = agent(async |session: SessionHandle| {
        session.expect(Some(grammar(&["sales", "support"]))).await;
    });
    let recogniser = Recogniser::answering(&[Some("sales"), Some("support")]);
    let providers = Providers {
        voice: None,
        ..providers(Some(recogniser))
    };
    let script = [Act::Speaks(1_000, 1_600), Act::Speaks(6_000, 6_600)];
    let call = Call::start(config(), agent, providers, &script).await;
    sleep(Duration::from_secs(10)).await;
    let transcript = call.session.transcript().await;
    let lines = transcript.entries().iter();
    let lines: Vec<_> = lines
        .map(|line| (line.who, line.text.expose().as_str()))
        .collect();
    assert_eq!(
        lines,
        [(Speaker::Caller, "sales"), (Speaker::Caller, "support")]
    );
}

#[tokio::test(start_paused = true)]
async fn a_leg_queue_that_is_full_for_a_while_loses_nothing() {
    let agent = agent(async |session: SessionHandle| {
        sleep(Duration::from_millis(200)).await;
        session.say("Hello there.", SayOptions::default());
    });
    let call = Call::start(config(), agent, providers(None), &[]).await;
    call.leg_queue_is_full(true);
    sleep(Duration::from_millis(600)).await;
    assert_eq!(call.sent_ms(1), 0);
    call.leg_queue_is_full(false);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(call.sent_ms(1), 600);
}

#[tokio::test(start_paused = true)]
async fn a_leg_queue_that_stays_full_ends_the_call() {
    let agent = agent(async |session: SessionHandle| {
        for on in [true, false].into_iter().cycle() {
            session.loopback(on).await;
            sleep(Duration::from_millis(10)).await;
        }
    });
    let call = Call::start(config(), agent, providers(None), &[]).await;
    call.leg_queue_is_full(true);
    let report = timeout(Duration::from_secs(30), call.task)
        .await
        .expect("it ends")
        .expect("no panic");
    assert_eq!(report.reason, EndCause::Fault.into());
}

#[tokio::test(start_paused = true)]
async fn silence_wakes_the_agent_and_ends_the_call_with_a_goodbye() {
    let mut config = config();
    config.wake_up = Some(Duration::from_secs(8));
    let call = Call::start(config, agent(async |_| {}), providers(None), &[]).await;
    let report = timeout(Duration::from_secs(60), call.task)
        .await
        .expect("it ends")
        .expect("no panic");
    assert_eq!(report.reason, EndCause::CallerSilent.into());
    let entries = report.transcript.entries();
    assert_eq!((entries.len(), entries[0].who), (1, Speaker::Agent));
    assert_eq!(entries[0].text.expose(), "Goodbye.");
}

#[tokio::test(start_paused = true)]
async fn the_states_of_a_conversation_are_reported_in_order() {
    let agent = agent(async |session: SessionHandle| {
        session
            .say("Hello there.", SayOptions::default())
            .wait()
            .await;
        session.expect(Some(grammar(&["sales"]))).await;
    });
    let recogniser = Recogniser::answering(&[Some("sales")]);
    let mut call = Call::start(
        config(),
        agent,
        providers(Some(recogniser)),
        &[Act::Speaks(1_500, 2_000)],
    )
    .await;
    sleep(Duration::from_secs(4)).await;
    call.far_end_ends(EndCause::FarEndHungUp).await;
    (&mut call.task).await.expect("no panic");
    let states: Vec<_> = call
        .drain_events()
        .into_iter()
        .filter_map(|event| match event {
            SessionEvent::AgentStateChanged { state, .. } => Some(state),
            _ => None,
        })
        .collect();
    use AgentState::{Closed, Closing, Idle, Listening, Speaking, Starting, Thinking};
    assert_eq!(
        states,
        [
            Starting, Speaking, Idle, Listening, Thinking, Idle, Closing, Closed
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_echo_agent_turns_the_loopback_on_and_needs_nothing_else() {
    let call = Call::start(config(), Arc::new(EchoAgent), providers(None), &[]).await;
    sleep(Duration::from_millis(100)).await;
    assert!(call.record.lock().unwrap().loopback);
    assert!(!EchoAgent.listens());
    call.far_end_ends(EndCause::FarEndHungUp).await;
    assert_eq!(call.task.await.expect("no panic").reason, far_end_hung_up());
}

#[tokio::test(start_paused = true)]
async fn the_play_agent_shares_one_piece_of_audio_between_its_calls() {
    let samples: Arc<[i16]> = vec![7; 16_000].into();
    let same_rate = Arc::new(PlayAgent::new(Audio {
        sample_rate_hz: RATE_HZ,
        samples: Arc::clone(&samples),
    }));
    let other_rate = Arc::new(PlayAgent::new(Audio {
        sample_rate_hz: 16_000,
        samples: Arc::clone(&samples),
    }));
    let mut loops = Vec::new();
    for agent in [&same_rate, &other_rate, &other_rate] {
        let call = Call::start(
            config(),
            Arc::clone(agent) as Arc<dyn Agent>,
            providers(None),
            &[],
        )
        .await;
        sleep(Duration::from_millis(100)).await;
        loops.push(call.record.lock().unwrap().loops[0].clone());
    }
    assert!(Arc::ptr_eq(&loops[0], &samples), "not copied");
    assert!(Arc::ptr_eq(&loops[1], &loops[2]), "converted once");
    assert_eq!(loops[1].len(), 8_000);
}
