//! A scripted language model, and an agent whose turns it answers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use offhook_session::agent::{Agent, AgentError};
use offhook_session::agent_session::{
    EndReason, Outcome, Providers, ReplyOptions, SayOptions, SessionHandle,
};
use offhook_session::chat::{ChatItem, ToolCall};
use offhook_session::pii::Pii;
use offhook_session::provider::{
    LanguageModel, ModelChunk, ModelRequest, ModelUsage, ProviderError,
};
use offhook_session::tool::{FunctionTool, Tool, ToolError, ToolOutput, ToolSpec};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::{Call, config, providers};

/// What the model does in one answer.
#[derive(Clone, Debug)]
pub enum Line {
    Says(&'static str),
    Calls(&'static str, &'static str),
    Waits(Duration),
    Fails,
    Panics,
    Hangs,
}

pub use Line::{Calls, Fails, Hangs, Panics, Says, Waits};

/// Follows a script, an answer at a time, and remembers what it was asked.
#[derive(Default)]
pub struct Model {
    pub script: Mutex<VecDeque<Vec<Line>>>,
    pub asked: Mutex<Vec<ModelRequest>>,
    /// Requests that came to an end, by themselves or dropped.
    pub over: Arc<AtomicUsize>,
}

pub struct Over(pub Arc<AtomicUsize>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Model {
    pub fn following(script: &[&[Line]]) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(script.iter().map(|answer| answer.to_vec()).collect()),
            ..Self::default()
        })
    }

    pub fn asked(&self) -> Vec<ModelRequest> {
        self.asked.lock().unwrap().clone()
    }

    /// What the model was last told of tools.
    pub fn outputs(&self) -> Vec<(String, bool)> {
        let asked = self.asked();
        let last = asked.last().expect("asked");
        let outputs = last.context.iter().filter_map(|item| match item {
            ChatItem::ToolOutput {
                output, is_error, ..
            } => Some((output.expose().clone(), *is_error)),
            _ => None,
        });
        outputs.collect()
    }
}

#[async_trait]
impl LanguageModel for Model {
    fn model(&self) -> &str {
        "scripted"
    }

    async fn generate(
        &self,
        request: ModelRequest,
        answer: mpsc::Sender<ModelChunk>,
    ) -> Result<ModelUsage, ProviderError> {
        let _over = Over(Arc::clone(&self.over));
        self.asked.lock().unwrap().push(request);
        let lines = self.script.lock().unwrap().pop_front();
        for (at, line) in lines.unwrap_or_default().into_iter().enumerate() {
            match line {
                Says(text) => {
                    let text = Pii::new(text.to_owned());
                    let _gone = answer.send(ModelChunk::Text(text)).await;
                }
                Calls(name, arguments) => {
                    let call = ToolCall {
                        id: format!("call-{at}"),
                        name: name.into(),
                        arguments: Pii::new(arguments.into()),
                    };
                    let _gone = answer.send(ModelChunk::ToolCall(call)).await;
                }
                Waits(time) => sleep(time).await,
                Fails => return Err(ProviderError::Died("reset by peer".into())),
                Panics => panic!("the model panics"),
                Hangs => std::future::pending().await,
            }
        }
        Ok(ModelUsage {
            input_tokens: 10,
            output_tokens: 5,
        })
    }
}

pub type Function = Box<dyn Fn(Value) -> Result<ToolOutput, ToolError> + Send + Sync>;

pub fn tool(name: &str, parameters: Value, function: Function) -> Arc<dyn Tool> {
    let spec = ToolSpec::new(name, "For tests.", parameters).expect("a schema");
    Arc::new(FunctionTool::new(spec, function))
}

#[derive(Default)]
pub struct Answers {
    pub tools: Vec<Arc<dyn Tool>>,
    pub instructions: &'static str,
    pub greeting: Option<&'static str>,
    pub exits: Arc<AtomicUsize>,
}

#[async_trait]
impl Agent for Answers {
    fn instructions(&self) -> String {
        self.instructions.into()
    }

    fn tools(&self) -> Vec<Arc<dyn Tool>> {
        self.tools.clone()
    }

    fn answers_turns(&self) -> bool {
        true
    }

    async fn on_enter(&self, session: SessionHandle) -> Result<(), AgentError> {
        if let Some(greeting) = self.greeting {
            session.say(greeting, SayOptions::default()).wait().await;
        }
        Ok(())
    }

    async fn on_exit(&self, _: SessionHandle, _: EndReason) -> Result<(), AgentError> {
        self.exits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

pub fn with(model: &Arc<Model>) -> Providers {
    Providers {
        model: Some(Arc::clone(model) as Arc<dyn LanguageModel>),
        ..providers(None)
    }
}

pub async fn call(model: &Arc<Model>, tools: Vec<Arc<dyn Tool>>) -> Call {
    let agent = Answers {
        tools,
        ..Answers::default()
    };
    Call::start(config(), Arc::new(agent), with(model), &[]).await
}

pub async fn replied(model: &Arc<Model>, tools: Vec<Arc<dyn Tool>>) -> Outcome {
    let call = call(model, tools).await;
    call.session.reply(ReplyOptions::default()).wait().await
}
