//! A transfer's second leg: whoever answers is told, and asked; and the agent of the first call, who waits.

mod support;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use offhook_media::control::CallToneKind;
use offhook_session::agent::{Agent, AgentError, SecondLegAgent};
use offhook_session::agent_session::{
    AgentInBridge, CallEvent, CallRequest, Direction, EndCause, SecondLegAnswer, SessionHandle,
    Speaker, TransferMode, TransferOutcome, TransferRequest, TransferStep, WarmEnd, Words,
};
use offhook_session::voicemail::FarEnd;
use support::{Act, Call, Recogniser, config, providers};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// Said in two seconds, behind 100 ms for the voice.
const WORDS: &str = "A caller who wants to know the way here.";
/// In 450 ms.
const QUESTION: &str = "Take it??";

fn request(mode: TransferMode) -> TransferRequest {
    let mut request = TransferRequest::by(mode, "sip:desk@example.net");
    request.second_leg.words = Some(Words::spoken(WORDS));
    request.second_leg.question = Words::spoken(QUESTION);
    request.timeout = Duration::from_secs(20);
    request
}

async fn answered(mode: TransferMode, recogniser: Option<Arc<Recogniser>>, script: &[Act]) -> Call {
    called(mode, Direction::Inbound, recogniser, script).await
}

/// In which direction matters only where it is found out who answered.
async fn called(
    mode: TransferMode,
    direction: Direction,
    recogniser: Option<Arc<Recogniser>>,
    script: &[Act],
) -> Call {
    let mut config = config();
    config.facts.direction = direction;
    let agent = Arc::new(SecondLegAgent::new(&request(mode)));
    agent.configure(&mut config);
    Call::start(config, agent, providers(recogniser), script).await
}

const WARM: TransferMode = TransferMode::Warm(WarmEnd::Bridge);

/// The answer, and after how many milliseconds it came.
async fn answer(call: &mut Call) -> (SecondLegAnswer, u128) {
    let began = Instant::now();
    let request = timeout(Duration::from_secs(120), call.requests.recv()).await;
    match request.expect("an answer in time") {
        Some(CallRequest::SecondLeg(answer)) => (answer, began.elapsed().as_millis()),
        other => panic!("{other:?}"),
    }
}

async fn said(call: &Call) -> Vec<String> {
    let transcript = call.session.transcript().await;
    let lines = transcript.entries().iter();
    lines
        .filter(|entry| entry.who == Speaker::Agent)
        .map(|entry| entry.text.expose().clone())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn whoever_answers_is_announced_to_and_ready_when_all_of_it_was_said() {
    for mode in [TransferMode::Attended, TransferMode::Bridge] {
        // They say something first, as everybody does.
        let mut call = answered(mode, None, &[Act::Speaks(100, 900)]).await;
        let (answer, after_ms) = answer(&mut call).await;
        assert_eq!(answer, SecondLegAnswer::Ready);
        assert!((2_100..=2_200).contains(&after_ms), "{after_ms} ms");
        assert_eq!(said(&call).await, [WORDS]);
    }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_to_be_said_they_are_ready_at_once() {
    let request = TransferRequest::by(TransferMode::Bridge, "sip:desk@example.net");
    let agent = Arc::new(SecondLegAgent::new(&request));
    let mut call = Call::start(config(), agent, providers(None), &[]).await;
    let (answer, after_ms) = answer(&mut call).await;
    assert_eq!((answer, after_ms), (SecondLegAnswer::Ready, 0));
}

#[tokio::test(start_paused = true)]
async fn a_key_accepts_or_declines_also_while_the_summary_is_said() {
    for (key, wanted) in [
        ('1', SecondLegAnswer::Accepted),
        ('2', SecondLegAnswer::Declined),
    ] {
        let mut call = answered(WARM, None, &[Act::Presses(300, key)]).await;
        let (answer, after_ms) = answer(&mut call).await;
        assert_eq!(answer, wanted);
        assert!((300..=350).contains(&after_ms), "{after_ms} ms");
        // Once, whatever else they press, and nothing more is said.
        let more = timeout(Duration::from_secs(5), call.requests.recv()).await;
        assert!(more.is_err(), "{more:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_answered_by_a_key_is_not_listened_to_any_more() {
    let recogniser = Recogniser::answering(&[Some("yes")]);
    let script = [Act::Presses(300, '1'), Act::Speaks(2_000, 3_000)];
    let mode = TransferMode::Warm(WarmEnd::Attended);
    let mut call = answered(mode, Some(Arc::clone(&recogniser)), &script).await;
    assert_eq!(answer(&mut call).await.0, SecondLegAnswer::Accepted);
    let more = timeout(Duration::from_secs(10), call.requests.recv()).await;
    assert!(more.is_err(), "{more:?}");
    assert!(recogniser.heard_ms.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_yes_or_no_is_understood_from_the_question_on() {
    for (word, wanted) in [
        ("yes please", SecondLegAnswer::Accepted),
        ("no", SecondLegAnswer::Declined),
    ] {
        let recogniser = Recogniser::answering(&[Some(word)]);
        // Their hello falls into the summary; it is not even listened to.
        let script = [Act::Speaks(100, 400), Act::Speaks(5_000, 5_500)];
        let mut call = answered(WARM, Some(Arc::clone(&recogniser)), &script).await;
        let (answer, after_ms) = answer(&mut call).await;
        assert_eq!(answer, wanted);
        assert!(after_ms > 5_500, "{after_ms} ms");
        assert_eq!(recogniser.heard_ms.lock().unwrap().len(), 1);
        assert_eq!(said(&call).await, [WORDS, QUESTION]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_gives_no_answer_is_asked_twice_more_and_has_declined_then() {
    let mut call = answered(WARM, None, &[]).await;
    let (in_silence, _) = answer(&mut call).await;
    assert_eq!(in_silence, SecondLegAnswer::Declined);
    assert_eq!(said(&call).await, [WORDS, QUESTION, QUESTION, QUESTION]);

    let script = [
        Act::Presses(4_000, '9'),
        Act::Presses(6_000, '9'),
        Act::Presses(8_000, '9'),
    ];
    let mut call = answered(WARM, None, &script).await;
    let (by_wrong_keys, after_ms) = answer(&mut call).await;
    assert_eq!(by_wrong_keys, SecondLegAnswer::Declined);
    assert!((8_000..=8_100).contains(&after_ms), "{after_ms} ms");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_beeps_is_a_machine_whether_or_not_it_is_asked() {
    for mode in [WARM, TransferMode::Bridge] {
        let mut call = answered(mode, None, &[Act::Sounds(200, CallToneKind::Beep)]).await;
        assert_eq!(answer(&mut call).await.0, SecondLegAnswer::Machine);
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_is_told_by_what_it_says_before_it_is_asked_anything() {
    let greeting = [Act::Speaks(1_300, 3_500), Act::Speaks(3_900, 7_000)];
    let recogniser = Arc::new(Recogniser {
        spots: Some("leave a message"),
        ..Recogniser::default()
    });
    let mut call = called(WARM, Direction::Outbound, Some(recogniser), &greeting).await;
    let request = timeout(Duration::from_secs(30), call.requests.recv()).await;
    let Ok(Some(CallRequest::AnsweredBy(verdict))) = request else {
        panic!("{request:?}");
    };
    assert!(verdict.far_end.is_voicemail(), "{verdict:?}");
    assert_eq!(answer(&mut call).await.0, SecondLegAnswer::Machine);
    assert!(said(&call).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn somebody_whose_greeting_is_long_is_asked_all_the_same() {
    let script = [
        Act::Speaks(1_300, 3_500),
        Act::Speaks(3_900, 7_000),
        Act::Presses(12_000, '1'),
    ];
    let mut call = called(WARM, Direction::Outbound, None, &script).await;
    let request = timeout(Duration::from_secs(30), call.requests.recv()).await;
    assert!(matches!(request, Ok(Some(CallRequest::AnsweredBy(_)))));
    assert_eq!(answer(&mut call).await.0, SecondLegAnswer::Accepted);
}

#[tokio::test(start_paused = true)]
async fn a_person_is_asked_when_they_have_said_hello() {
    // No packet comes: media counts as live after a second.
    let script = [Act::Speaks(1_300, 1_800), Act::Presses(6_000, '1')];
    let mut call = called(WARM, Direction::Outbound, None, &script).await;
    let request = timeout(Duration::from_secs(30), call.requests.recv()).await;
    let Ok(Some(CallRequest::AnsweredBy(verdict))) = request else {
        panic!("{request:?}");
    };
    assert_eq!(verdict.far_end, FarEnd::Human, "{verdict:?}");
    assert_eq!(answer(&mut call).await.0, SecondLegAnswer::Accepted);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_caller_who_never_comes_is_let_go() {
    // Whatever they do meanwhile.
    let mut call = answered(TransferMode::Attended, None, &[Act::Presses(9_000, '5')]).await;
    assert_eq!(answer(&mut call).await.0, SecondLegAnswer::Ready);
    let began = Instant::now();
    call.call_events.send(CallEvent::Held).await.unwrap();
    let request = timeout(Duration::from_secs(120), call.requests.recv()).await;
    let Ok(Some(CallRequest::HangUp { reason })) = request else {
        panic!("{request:?}");
    };
    assert_eq!(reason.cause, EndCause::AgentHungUp);
    // Longer than the REFER may take.
    let waited = began.elapsed().as_secs();
    assert!((29..=31).contains(&waited), "{waited} s");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_caller_and_was_joined_to_another_is_not_hung_up_on() {
    let mut call = answered(TransferMode::Attended, None, &[]).await;
    assert_eq!(answer(&mut call).await.0, SecondLegAnswer::Ready);
    let joined = CallEvent::Bridged(AgentInBridge::StandsAside);
    call.call_events.send(joined).await.unwrap();
    let request = timeout(Duration::from_secs(120), call.requests.recv()).await;
    assert!(request.is_err(), "{request:?}");
}

#[tokio::test(start_paused = true)]
async fn who_takes_the_call_is_alone_with_the_caller() {
    let mut call = answered(WARM, None, &[Act::Presses(300, '1')]).await;
    answer(&mut call).await;
    call.call_events
        .send(CallEvent::Bridged(AgentInBridge::Leaves))
        .await
        .unwrap();
    // For the small agent it is over; the call goes on until its end.
    timeout(Duration::from_secs(1), call.session.closed())
        .await
        .expect("its part is over");
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(!call.task.is_finished() && call.requests.try_recv().is_err());
    call.far_end_ends(EndCause::BridgeEnded).await;
    let report = timeout(Duration::from_secs(1), call.task).await;
    let report = report.expect("in time").expect("no fault");
    assert_eq!(report.reason.cause, EndCause::BridgeEnded);
}

/// Asks for a warm transfer when it enters, and tells what becomes of it.
struct Asks(mpsc::Sender<TransferOutcome>);

#[async_trait]
impl Agent for Asks {
    async fn on_enter(&self, session: SessionHandle) -> Result<(), AgentError> {
        let outcome = session.transfer(request(WARM)).await;
        self.0.send(outcome).await?;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_comes_back_is_apologised_to_before_the_agent_goes_on() {
    for (outcome, apology) in [
        (TransferOutcome::Declined, true),
        (TransferOutcome::Machine, true),
        (TransferOutcome::TimedOut, true),
        (TransferOutcome::Rejected(486), true),
        (TransferOutcome::Bridged, false),
        (TransferOutcome::Impossible, false),
    ] {
        let (tell, mut outcomes) = mpsc::channel(1);
        let agent = Arc::new(Asks(tell));
        let mut call = Call::start(config(), agent, providers(None), &[]).await;
        let asked = call.requests.recv().await;
        assert!(matches!(asked, Some(CallRequest::Transfer(_))), "{asked:?}");
        for step in [TransferStep::Calling, TransferStep::Over(outcome)] {
            call.call_events
                .send(CallEvent::Transfer(step))
                .await
                .unwrap();
        }
        assert_eq!(outcomes.recv().await, Some(outcome));
        let said = said(&call).await;
        assert_eq!(!said.is_empty(), apology, "{outcome:?}: {said:?}");
        if apology {
            assert!(said[0].contains("nobody can take your call"), "{said:?}");
        }
    }
}
