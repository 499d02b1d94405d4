use super::super::super::turn_metrics::{CallMetrics, TurnLatencies, TurnMetrics, TurnMoment};
use super::*;
use crate::agent_session::making::Step;
use crate::agent_session::reply::ReplyPolicy;
use crate::provider::ModelUsage;
use std::sync::Arc;

fn turns(fixture: &Fixture) -> Vec<TurnMetrics> {
    let turns = fixture.events.iter().filter_map(|event| match event {
        SessionEvent::TurnMetrics { metrics, .. } => Some((**metrics).clone()),
        _ => None,
    });
    turns.collect()
}

/// The caller asks, and is answered with one sentence: with known times between.
fn answered() -> Fixture {
    let mut fixture = Fixture::answering(config());
    fixture.pass_ms(100);
    fixture.caller_says(600);
    fixture.pass_ms(150);
    fixture.recognised(phrase("when do you open"));
    fixture.pass_ms(550);
    fixture.returned(CallbackKind::UserTurn);
    fixture.pass_ms(300);
    fixture.made(Step::Text("At nine.".into()));
    fixture.made(Step::Used(ModelUsage {
        input_tokens: 20,
        output_tokens: 3,
    }));
    fixture.made(Step::Made);
    fixture.pass_ms(80);
    fixture.prepared(500);
    fixture.pass_ms(10);
    let epoch = fixture.last_epoch();
    fixture.started(epoch);
    fixture.pass_ms(500);
    fixture.drained(epoch);
    fixture
}

#[tokio::test(start_paused = true)]
async fn each_latency_of_a_turn_is_measured_where_it_arises() {
    let fixture = answered();
    let [turn] = &turns(&fixture)[..] else {
        panic!("{:?}", turns(&fixture));
    };
    assert_eq!(
        turn.latencies,
        TurnLatencies {
            stt_ms: Some(150),
            eou_ms: Some(700),
            eou_wait_ms: Some(550),
            llm_ttft_ms: Some(300),
            tts_ttfb_ms: Some(80),
            edge_out_ms: Some(10),
            e2e_ms: Some(1_090),
        }
    );
    assert_eq!((turn.turn_id, turn.interrupted), (1, false));
    assert_eq!((turn.user_speech_ms, turn.agent_speech_ms), (600, 500));
    assert_eq!((turn.tokens.output_tokens, turn.characters), (3, 8));
}

#[tokio::test(start_paused = true)]
async fn a_turns_timeline_is_in_order() {
    let fixture = answered();
    let moments = turns(&fixture).remove(0).timeline;
    assert!(moments.is_sorted_by_key(|(at, _)| *at));
    let moments: Vec<TurnMoment> = moments.into_iter().map(|(_, moment)| moment).collect();
    assert_eq!(
        moments,
        [
            TurnMoment::CallerStopped,
            TurnMoment::WordsKnown,
            TurnMoment::TurnOver,
            TurnMoment::ModelAsked,
            TurnMoment::FirstWords,
            TurnMoment::VoiceAsked,
            TurnMoment::VoiceReady,
            TurnMoment::HandedOver,
            TurnMoment::FirstFrame,
            TurnMoment::Quiet,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_greeting_is_a_turn_without_the_callers_part() {
    let mut fixture = Fixture::entered(config());
    let (_, epoch) = fixture.speak("Hello.", 400);
    fixture.drained(epoch);
    let [turn] = &turns(&fixture)[..] else {
        panic!("{:?}", turns(&fixture));
    };
    assert_eq!((turn.user_speech_ms, turn.agent_speech_ms), (0, 400));
    assert_eq!(turn.latencies.e2e_ms, None);
    assert_eq!(fixture.session.metrics().user_turns, 0);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_is_cut_short_says_so_and_how_much_was_heard() {
    let mut fixture = Fixture::entered(config());
    let (_, epoch) = fixture.speak("One two three four.", 2_000);
    fixture.pass_ms(700);
    fixture.interrupt(false);
    fixture.flushed(epoch, 700);
    let [turn] = &turns(&fixture)[..] else {
        panic!("{:?}", turns(&fixture));
    };
    assert!(turn.interrupted);
    assert_eq!(turn.agent_speech_ms, 700);
}

#[tokio::test(start_paused = true)]
async fn a_cough_is_none_of_the_next_turns_speech() {
    let mut fixture = Fixture::listening(&["yes"]);
    fixture.caller_says(300);
    fixture.recognised(Ok(Recognition::OutOfGrammar));
    fixture.pass_ms(3_000);
    fixture.returned(CallbackKind::UserTurn);
    fixture.events.clear();
    fixture.caller_says(500);
    fixture.recognised(phrase("yes"));
    fixture.pass_ms(1_000);
    fixture.returned(CallbackKind::UserTurn);
    let speech: Vec<u64> = turns(&fixture)
        .iter()
        .map(|turn| turn.user_speech_ms)
        .collect();
    assert_eq!(speech, [500]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_and_a_tool_are_told_with_their_turn() {
    let mut fixture = Fixture::answering(config());
    fixture.turn("when do you open");
    fixture.made(Step::ToolsCalled(vec![crate::chat::ToolCall {
        id: "1".into(),
        name: "hours".into(),
        arguments: Pii::new("{}".into()),
    }]));
    fixture.made(Step::Failed(ProviderError::Overloaded(3)));
    for _ in 0..2 {
        fixture.prepared(500);
    }
    let epoch = fixture.last_epoch();
    fixture.started(epoch);
    fixture.drained(epoch);
    let turn = turns(&fixture).remove(0);
    assert_eq!(turn.tools_called, ["hours"]);
    assert_eq!(turn.errors, ["too many requests wait (3)"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_in_a_turn_closes_it_and_the_sums_are_of_all_turns() {
    let mut fixture = answered();
    let (_, epoch) = fixture.speak("One two three four.", 2_000);
    fixture.pass_ms(1_000);
    fixture.call(CallEvent::Ended {
        reason: far_end_hung_up(),
    });
    assert_eq!(turns(&fixture).len(), 2);
    let _ = epoch;
    assert_eq!(
        fixture.session.metrics(),
        CallMetrics {
            user_turns: 1,
            interrupted_turns: 1,
            user_speech_ms: 600,
            agent_speech_ms: 1_500,
            tools_called: 0,
            errors: 0,
            tokens: ModelUsage {
                input_tokens: 20,
                output_tokens: 3
            },
            characters: 15,
            answered_turns: 1,
            e2e_sum_ms: 1_090,
            e2e_max_ms: 1_090,
        }
    );
}

#[tokio::test(start_paused = true)]
async fn the_whole_is_measured_by_itself_and_is_no_sum_where_work_is_done_side_by_side() {
    let mut config = config();
    config.replies = Arc::new(ReplyPolicy {
        preemptive_generation: true,
        ..ReplyPolicy::default()
    });
    let mut fixture = Fixture::answering(config);
    fixture.caller_says(600);
    fixture.pass_ms(150);
    fixture.recognised(phrase("when do you open"));
    // The model is asked with the words, and is done before the turn is over.
    fixture.pass_ms(300);
    fixture.made_all("At nine.");
    fixture.pass_ms(250);
    fixture.returned(CallbackKind::UserTurn);
    fixture.pass_ms(80);
    fixture.hears_out(500);
    let turn = &turns(&fixture)[0].latencies;
    let whole = turn.e2e_ms.expect("it was answered");
    let parts = [
        turn.stt_ms,
        turn.eou_wait_ms,
        turn.llm_ttft_ms,
        turn.tts_ttfb_ms,
        turn.edge_out_ms,
    ];
    let sum: u64 = parts.into_iter().flatten().sum();
    assert_eq!((whole, turn.llm_ttft_ms), (780, Some(300)), "{turn:?}");
    assert_eq!(sum, whole + 300, "{turn:?}");
}
