//! A thousand calls to which something goes wrong: each ends as it should, others notice nothing, nothing is left.

#[path = "support/live_memory.rs"]
mod live_memory;
mod support;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use live_memory::{Counting, LIVE};
use offhook_media::control::Digit;
use offhook_session::agent::{Agent, AgentError, UserTurn};
use offhook_session::agent_session::{
    EndCause, EndReason, Outcome, Providers, ReplyOptions, SayOptions, SessionHandle,
};
use offhook_session::chat::ToolCall;
use offhook_session::pii::Pii;
use offhook_session::provider::{
    LanguageModel, ModelChunk, ModelRequest, ModelUsage, ProviderError,
};
use offhook_session::tool::{Tool, ToolError, ToolOutput, ToolSpec};
use serde_json::{Value, json};
use support::{Act, Call, Recogniser, config, providers};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::sleep;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Nothing,
    VoiceHangs,
    VoicePanics,
    RecogniserPanics,
    RecogniserIsGone,
    ModelHangs,
    ModelDiesInMidSentence,
    ModelPanics,
    ToolNeverReturns,
    ToolPanics,
    EnterPanics,
    EnterNeverReturns,
    TurnPanics,
    TurnNeverReturns,
    DigitFails,
    ExitBlocks,
    ExitPanics,
    LegStalls,
    FarEndGoesAtOnce,
    FarEndGoesWhileAModelWrites,
}

const FAULTS: [Fault; 20] = [
    Fault::Nothing,
    Fault::VoiceHangs,
    Fault::VoicePanics,
    Fault::RecogniserPanics,
    Fault::RecogniserIsGone,
    Fault::ModelHangs,
    Fault::ModelDiesInMidSentence,
    Fault::ModelPanics,
    Fault::ToolNeverReturns,
    Fault::ToolPanics,
    Fault::EnterPanics,
    Fault::EnterNeverReturns,
    Fault::TurnPanics,
    Fault::TurnNeverReturns,
    Fault::DigitFails,
    Fault::ExitBlocks,
    Fault::ExitPanics,
    Fault::LegStalls,
    Fault::FarEndGoesAtOnce,
    Fault::FarEndGoesWhileAModelWrites,
];

struct Faulty(Fault);

#[async_trait]
impl LanguageModel for Faulty {
    fn model(&self) -> &str {
        "faulty"
    }

    async fn generate(
        &self,
        request: ModelRequest,
        answer: mpsc::Sender<ModelChunk>,
    ) -> Result<ModelUsage, ProviderError> {
        let text = |text: &str| ModelChunk::Text(Pii::new(text.to_owned()));
        let _gone = answer.send(text("Well. I")).await;
        sleep(Duration::from_millis(50)).await;
        match self.0 {
            Fault::ModelHangs | Fault::FarEndGoesWhileAModelWrites => pending().await,
            Fault::ModelDiesInMidSentence => Err(ProviderError::Died("reset".into())),
            Fault::ModelPanics => panic!("the model panics"),
            Fault::ToolNeverReturns | Fault::ToolPanics if request.context.is_empty() => {
                let call = ToolCall {
                    id: "1".into(),
                    name: "tool".into(),
                    arguments: Pii::new("{}".into()),
                };
                let _gone = answer.send(ModelChunk::ToolCall(call)).await;
                Ok(ModelUsage::default())
            }
            _ => {
                let _gone = answer.send(text(" see.")).await;
                Ok(ModelUsage::default())
            }
        }
    }
}

struct FaultyTool(Fault, ToolSpec);

#[async_trait]
impl Tool for FaultyTool {
    fn spec(&self) -> &ToolSpec {
        &self.1
    }

    async fn call(&self, _: Value, _: SessionHandle) -> Result<ToolOutput, ToolError> {
        match self.0 {
            Fault::ToolNeverReturns => pending().await,
            _ => panic!("a tool panics"),
        }
    }
}

#[async_trait]
impl Agent for Faulty {
    fn tools(&self) -> Vec<Arc<dyn Tool>> {
        match self.0 {
            Fault::ToolNeverReturns | Fault::ToolPanics => {
                let spec = ToolSpec::new("tool", "Goes wrong.", json!({})).expect("a schema");
                vec![Arc::new(FaultyTool(self.0, spec))]
            }
            _ => Vec::new(),
        }
    }

    fn answers_turns(&self) -> bool {
        true
    }

    async fn on_enter(&self, session: SessionHandle) -> Result<(), AgentError> {
        match self.0 {
            Fault::EnterPanics => panic!("on_enter panics"),
            Fault::EnterNeverReturns => pending().await,
            Fault::VoiceHangs => {
                session.say("It hangs.", SayOptions::default());
            }
            Fault::VoicePanics => {
                session.say("It panics.", SayOptions::default());
            }
            _ => {
                session.reply(ReplyOptions::default());
            }
        }
        Ok(())
    }

    async fn on_user_turn(&self, _: SessionHandle, _: UserTurn) -> Result<(), AgentError> {
        match self.0 {
            Fault::TurnPanics => panic!("on_user_turn panics"),
            Fault::TurnNeverReturns => pending().await,
            _ => Ok(()),
        }
    }

    async fn on_dtmf(&self, _: SessionHandle, _: Digit) -> Result<(), AgentError> {
        match self.0 {
            Fault::DigitFails => Err("on_dtmf fails".into()),
            _ => Ok(()),
        }
    }

    async fn on_exit(&self, _: SessionHandle, _: EndReason) -> Result<(), AgentError> {
        match self.0 {
            Fault::ExitBlocks => pending().await,
            Fault::ExitPanics => panic!("on_exit panics"),
            _ => Ok(()),
        }
    }
}

/// One call, from its answer to its end.
async fn call(fault: Fault) {
    let recogniser = match fault {
        Fault::RecogniserPanics => Recogniser::answering(&[Some("panic")]),
        Fault::RecogniserIsGone => Recogniser::answering(&[]),
        _ => Recogniser::answering(&[Some("hello")]),
    };
    let providers = Providers {
        model: Some(Arc::new(Faulty(fault))),
        ..providers(Some(recogniser))
    };
    let script = [Act::Speaks(3_000, 3_600), Act::Presses(5_000, '0')];
    let mut config = config();
    // Sooner than the call's own end: a goodbye that hangs is given up.
    config.hangup_drain = Duration::from_secs(2);
    let call = Call::start(config, Arc::new(Faulty(fault)), providers, &script).await;
    let handle = call.session.say("Behind.", SayOptions::after());
    let cause = match fault {
        Fault::FarEndGoesAtOnce => {
            call.far_end_ends(EndCause::FarEndHungUp).await;
            EndCause::FarEndHungUp
        }
        Fault::FarEndGoesWhileAModelWrites => {
            sleep(Duration::from_millis(300)).await;
            call.far_end_ends(EndCause::FarEndHungUp).await;
            EndCause::FarEndHungUp
        }
        Fault::LegStalls => {
            call.leg_queue_is_full(true);
            sleep(Duration::from_secs(8)).await;
            call.session.hangup(EndCause::AgentHungUp).await;
            EndCause::AgentHungUp
        }
        _ => {
            sleep(Duration::from_secs(8)).await;
            call.session.hangup(EndCause::AgentHungUp).await;
            EndCause::AgentHungUp
        }
    };
    let report = tokio::time::timeout(Duration::from_secs(30), call.task)
        .await
        .unwrap_or_else(|_| panic!("{fault:?}: the session does not end"))
        .expect("the actor does not panic");
    assert_eq!(report.reason.cause, cause, "{fault:?}");
    let outcome = handle.outcome();
    assert!(outcome.is_some(), "{fault:?}: a handle hangs");
    if fault == Fault::Nothing {
        assert_eq!(
            outcome,
            Some(Outcome::Completed),
            "another call's fault shows"
        );
        assert_eq!(report.metrics.answered_turns, 1);
    }
}

async fn calls(count: usize) {
    let calls: Vec<_> = (0..count)
        .map(|n| tokio::spawn(call(FAULTS[n % FAULTS.len()])))
        .collect();
    for call in calls {
        call.await.expect("the call went as it should");
    }
    // What ends by itself, such as the far ends of the script.
    sleep(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_thousand_faulted_calls_there_is_nothing_left_of_them() {
    // The panics are scripted; their stories are not worth a page each.
    std::panic::set_hook(Box::new(|_| {}));
    let alive = || Handle::current().metrics().num_alive_tasks();
    calls(FAULTS.len() * 2).await;
    let (tasks, live) = (alive(), LIVE.load(Ordering::Relaxed));
    calls(1_000).await;
    let _default = std::panic::take_hook();
    assert_eq!(alive(), tasks);
    let left = LIVE.load(Ordering::Relaxed) - live;
    println!("{left} bytes are left of 1,000 faulted calls");
    // Tables that have grown once: a second thousand leaves nothing.
    assert!(left < 64 * 1_024, "{left} bytes");
}
