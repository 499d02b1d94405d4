//! The front desk on a real session, with a scripted caller, voice and recogniser, in virtual time.

mod support;

use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::Digit;
use offhook_session::agent::AudioByRate;
use offhook_session::agent_session::{
    CallEvent, CallRequest, EndCause, Providers, SessionEvent, Speaker, Transcript,
    TransferOutcome, TransferStep,
};
use offhook_session::flow::{Flow, FlowAgent};
use offhook_session::provider::Audio;
use support::{Act, Call, Recogniser, config, providers};
use tokio::time::{sleep, timeout};

const FRONT_DESK: &str = include_str!("../../deploy/flows/front-desk.toml");

const COLLECT: &str = r#"
start = "number"
silence_s = 5
[step.number]
say = "Your number please, then hash."
collect = { name = "number", min = 3, max = 8 }
then = "thanks"
[step.thanks]
say = "You keyed {number}."
then = "end"
[step.end]
say = "Goodbye."
hangup = true
"#;

async fn call(flow: &str, providers: Providers, script: &[Act]) -> Call {
    let flow = Arc::new(Flow::parse(flow).unwrap());
    let agent = Arc::new(FlowAgent::new(flow, Arc::default()));
    let mut config = config();
    config.wake_up_repeat = u32::MAX;
    Call::start(config, agent, providers, script).await
}

/// Waits for the hang-up and says why it came.
async fn end(call: &mut Call) -> EndCause {
    let request = timeout(Duration::from_secs(300), call.requests.recv()).await;
    match request.unwrap().unwrap() {
        CallRequest::HangUp { reason } => reason.cause,
        CallRequest::Press { .. }
        | CallRequest::PassOn(_)
        | CallRequest::AnsweredBy(_)
        | CallRequest::MessageLeft(_)
        | CallRequest::HandedOver(_)
        | CallRequest::Transfer(_)
        | CallRequest::SecondLeg(_) => {
            panic!("no flow presses keys")
        }
    }
}

/// Lets the call go on to its end: why it ended, and what the agent said.
async fn whole(mut call: Call) -> (EndCause, Vec<String>) {
    let cause = end(&mut call).await;
    let report = call.task.await.unwrap();
    (cause, lines(&report.transcript, Speaker::Agent))
}

fn lines(transcript: &Transcript, who: Speaker) -> Vec<String> {
    let lines = transcript.entries().iter().filter(|entry| entry.who == who);
    lines.map(|entry| entry.text.expose().clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_speaks_and_presses_keys_is_led_to_the_end() {
    let recogniser = Recogniser::answering(&[Some("opening hours"), Some("no")]);
    let script = [
        Act::Speaks(12_000, 13_000),
        // Past the opening hours and the question after them.
        Act::Speaks(24_000, 24_600),
    ];
    let mut call = call(FRONT_DESK, providers(Some(recogniser)), &script).await;
    sleep(Duration::from_secs(26)).await;
    let transcript = call.session.transcript().await;
    assert_eq!(lines(&transcript, Speaker::Caller), ["opening hours", "no"]);
    let agent = lines(&transcript, Speaker::Agent);
    assert!(
        agent[0].starts_with("Hello, this is the front desk."),
        "{agent:?}"
    );
    assert!(agent[1].starts_with("We are open"), "{agent:?}");
    assert_eq!(agent[2], "Is there anything else?");
    assert_eq!(end(&mut call).await, EndCause::AgentHungUp);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_says_it_twice_is_understood() {
    let recogniser = Recogniser::answering(&[Some("opening hours"), Some("opening hours")]);
    let script = [Act::Speaks(12_000, 13_000), Act::Speaks(13_300, 14_000)];
    let call = call(FRONT_DESK, providers(Some(recogniser)), &script).await;
    sleep(Duration::from_secs(18)).await;
    assert_eq!(call.session.transcript().await.entries().len(), 3);
    call.session.close().await;
    let report = call.task.await.unwrap();
    let agent = lines(&report.transcript, Speaker::Agent);
    assert!(agent[1].starts_with("We are open"), "{agent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_digit_cuts_the_menu_short_and_leads_on() {
    let mut call = call(FRONT_DESK, providers(None), &[Act::Presses(2_000, '1')]).await;
    sleep(Duration::from_secs(4)).await;
    let agent = lines(&call.session.transcript().await, Speaker::Agent);
    assert!(agent[0].len() < 60, "{agent:?}");
    // Silent from here on: asked about it twice, then let go by the exit of that step.
    assert_eq!(end(&mut call).await, EndCause::AgentHungUp);
}

#[tokio::test(start_paused = true)]
async fn a_silent_caller_is_asked_twice_and_let_go() {
    let mut call = call(FRONT_DESK, providers(None), &[]).await;
    assert_eq!(end(&mut call).await, EndCause::CallerSilent);
}

#[tokio::test(start_paused = true)]
async fn a_silent_caller_is_asked_as_often_as_the_flow_says_and_led_to_another_question() {
    let flow = r#"
start = "first"
retries = 3
silence = "Hello?"
[step.first]
say = "First?"
yes = "end"
no = "end"
on_silence = "second"
[step.second]
say = "Second?"
yes = "end"
no = "end"
[step.end]
say = "Done."
hangup = true
"#;
    let (cause, agent) = whole(call(flow, providers(None), &[]).await).await;
    let first = ["First?", "Hello?"].repeat(3);
    let second = ["Second?", "Hello?"].repeat(3);
    let expected = [
        &first[..],
        &["First?"],
        &second[..],
        &["Second?", "Goodbye."],
    ]
    .concat();
    assert_eq!(agent, expected);
    assert_eq!(cause, EndCause::CallerSilent);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_is_not_understood_is_asked_again_and_let_go_at_last() {
    let recogniser = Recogniser::answering(&[None, None, None]);
    let script = [
        Act::Speaks(12_000, 13_000),
        Act::Speaks(22_000, 23_000),
        Act::Speaks(32_000, 33_000),
    ];
    let call = call(FRONT_DESK, providers(Some(recogniser)), &script).await;
    let (cause, agent) = whole(call).await;
    let asked_again = agent
        .iter()
        .filter(|line| line.starts_with("Sorry, I did not get that."));
    assert_eq!(asked_again.count(), 2, "{agent:?}");
    assert_eq!(cause, EndCause::AgentHungUp);
}

#[tokio::test(start_paused = true)]
async fn digits_keyed_during_the_prompt_are_collected_and_read_back() {
    let script = [
        Act::Presses(1_000, '4'),
        Act::Presses(1_500, '0'),
        Act::Presses(2_000, '7'),
        Act::Presses(2_500, '#'),
    ];
    let call = call(COLLECT, providers(None), &script).await;
    let (cause, agent) = whole(call).await;
    assert_eq!(agent[1..], ["You keyed 4 0 7.", "Goodbye."]);
    assert_eq!(cause, EndCause::AgentHungUp);
}

#[tokio::test(start_paused = true)]
async fn keys_pressed_in_one_go_reach_the_steps_they_are_meant_for() {
    let flow = format!(
        "{}\n[step.menu]\nsay = \"Press one.\"\nexpect = [{{ digits = \"1\", then = \"number\" }}]\n",
        COLLECT.replace("start = \"number\"", "start = \"menu\"")
    );
    let script = ['1', '4', '0', '7', '#'].map(|key| Act::Presses(300, key));
    let call = call(&flow, providers(None), &script).await;
    let (cause, agent) = whole(call).await;
    assert!(agent.contains(&"You keyed 4 0 7.".to_owned()), "{agent:?}");
    assert_eq!(cause, EndCause::AgentHungUp);
}

#[tokio::test(start_paused = true)]
async fn keys_pressed_on_the_way_to_a_collection_and_to_its_retry_are_collected_and_masked() {
    let flow = format!(
        "{}\n[step.menu]\nsay = \"Say number.\"\nexpect = [{{ phrases = [\"number\"], then = \"number\" }}]\n",
        COLLECT
            .replace("start = \"number\"", "start = \"menu\"")
            .replace("max = 8", "max = 8, sensitive = true")
            .replace("You keyed {number}.", "Thank you.")
    );
    let recogniser = Recogniser::answering(&[Some("number")]);
    let script = [Act::Speaks(2_000, 2_600)];
    let mut call = call(&flow, providers(Some(recogniser)), &script).await;
    let (mut events, keys) = (call.session.subscribe(), call.call_events.clone());
    // Woken before the agent's callback runs: it has the words and did nothing about them yet. The first
    // string is too short, and the second follows it without a breath.
    tokio::spawn(async move {
        while !matches!(events.recv().await, Ok(SessionEvent::UserTurn { .. })) {}
        for key in "1#407#".chars() {
            let digit = Digit::from_char(key).unwrap();
            keys.send(CallEvent::Digit(digit)).await.unwrap();
        }
    });
    let cause = end(&mut call).await;
    let shown = call
        .drain_events()
        .into_iter()
        .filter(|event| matches!(event, SessionEvent::Digit { digit: Some(_), .. }));
    assert_eq!(shown.count(), 0);
    let report = call.task.await.unwrap();
    assert_eq!(
        lines(&report.transcript, Speaker::Caller),
        ["number", "\u{2022}", "\u{2022}\u{2022}\u{2022}"]
    );
    assert_eq!(cause, EndCause::AgentHungUp);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_keys_nothing_has_the_whole_silence_after_the_prompt() {
    // The prompt lasts 1.5 s; a digit 4.5 s after its end is still in time.
    let script = [
        Act::Presses(6_200, '4'),
        Act::Presses(6_700, '0'),
        Act::Presses(7_200, '7'),
        Act::Presses(7_700, '#'),
    ];
    let call = call(COLLECT, providers(None), &script).await;
    let (_, agent) = whole(call).await;
    assert!(agent.contains(&"You keyed 4 0 7.".to_owned()), "{agent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_keys_only_the_terminator_is_wrong_and_not_silent() {
    let script = [2_000, 9_000, 16_000].map(|at_ms| Act::Presses(at_ms, '#'));
    let call = call(COLLECT, providers(None), &script).await;
    let (cause, agent) = whole(call).await;
    let asked_again = agent
        .iter()
        .filter(|line| *line == "Sorry, I did not understand that.");
    assert_eq!(asked_again.count(), 2, "{agent:?}");
    assert!(
        !agent.contains(&"Are you still there?".to_owned()),
        "{agent:?}"
    );
    assert_eq!(cause, EndCause::AgentHungUp);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_keys_nothing_at_all_is_let_go() {
    let mut call = call(COLLECT, providers(None), &[]).await;
    assert_eq!(end(&mut call).await, EndCause::CallerSilent);
}

#[tokio::test(start_paused = true)]
async fn a_recording_is_played_at_the_legs_rate_without_a_voice() {
    let flow = r#"
start = "hello"
[step.hello]
say = { file = "hello.wav", text = "Hello." }
then = "end"
[step.end]
hangup = true
"#;
    let hello = Arc::new(AudioByRate::new(Audio {
        sample_rate_hz: 16_000,
        samples: vec![1_000; 16_000].into(),
    }));
    let recordings = [("hello.wav".to_owned(), hello)].into_iter().collect();
    let flow = Arc::new(Flow::parse(flow).unwrap());
    let agent = Arc::new(FlowAgent::new(flow, Arc::new(recordings)));
    let mut call = Call::start(config(), agent, providers(None), &[]).await;
    assert_eq!(end(&mut call).await, EndCause::AgentHungUp);
    assert_eq!(call.sent_ms(1), 1_000);
}

#[tokio::test(start_paused = true)]
async fn without_a_voice_the_call_ends_with_a_tone_and_as_a_fault() {
    let mut call = call(FRONT_DESK, Providers::default(), &[]).await;
    assert_eq!(end(&mut call).await, EndCause::Fault);
    assert!(call.sent_ms(1) >= 900, "{}", call.sent_ms(1));
}

#[tokio::test(start_paused = true)]
async fn a_voice_that_keeps_failing_ends_the_call_as_a_fault() {
    let flow = FRONT_DESK
        .replace("Hello, this is the front desk.", "This panics.")
        .replace("Sorry, I did not get that.", "This panics.")
        .replace(
            "Please say opening hours",
            "This panics. Please say opening hours",
        )
        .replace("Are you still there?", "This panics too.");
    let mut call = call(&flow, providers(None), &[]).await;
    assert_eq!(end(&mut call).await, EndCause::Fault);
}

#[tokio::test(start_paused = true)]
async fn last_words_longer_than_a_hang_up_waits_are_heard_to_their_end() {
    let last_words = format!("{}.", ["thank you for calling"; 30].join(" "));
    let flow = COLLECT.replace("say = \"Goodbye.\"", &format!("say = \"{last_words}\""));
    let script = [
        Act::Presses(1_000, '4'),
        Act::Presses(1_500, '0'),
        Act::Presses(2_000, '7'),
        Act::Presses(2_500, '#'),
        // The flow is over: neither a key nor a voice cuts it short.
        Act::Presses(12_000, '1'),
        Act::Speaks(14_000, 15_000),
    ];
    let call = call(&flow, providers(None), &script).await;
    let (cause, agent) = whole(call).await;
    assert_eq!(agent.last(), Some(&last_words));
    assert_eq!(cause, EndCause::AgentHungUp);
}

const WITH_A_TRANSFER: &str = r#"
start = "ask"
[step.ask]
say = "Press one for the desk."
expect = [{ digits = "1", then = "desk" }, { digits = "2", then = "bye" }]
[step.desk]
say = "One moment."
transfer = "sip:desk@example.net"
failed = "ask"
[step.bye]
say = "Goodbye."
hangup = true
"#;

#[tokio::test(start_paused = true)]
async fn a_caller_is_sent_elsewhere_and_comes_back_where_that_fails() {
    let script = [Act::Presses(4_000, '1'), Act::Presses(20_000, '2')];
    let mut call = call(WITH_A_TRANSFER, providers(None), &script).await;
    let request = timeout(Duration::from_secs(60), call.requests.recv()).await;
    let Some(CallRequest::Transfer(asked)) = request.unwrap() else {
        panic!("no transfer")
    };
    assert_eq!(asked.target.expose(), "sip:desk@example.net");
    let said = lines(&call.session.transcript().await, Speaker::Agent);
    assert_eq!(said.last().map(String::as_str), Some("One moment."));
    let failed = TransferStep::Over(TransferOutcome::Rejected(486));
    call.call_events
        .send(CallEvent::Transfer(failed))
        .await
        .unwrap();
    assert_eq!(end(&mut call).await, EndCause::AgentHungUp);
    let report = call.task.await.unwrap();
    let said = lines(&report.transcript, Speaker::Agent);
    assert_eq!(said[2], "Press one for the desk.");
    assert_eq!(said.last().map(String::as_str), Some("Goodbye."));
}
