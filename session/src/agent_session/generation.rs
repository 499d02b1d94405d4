//! Making a reply: asking the model, running the tools that it calls, asking again with what they gave.
//!
//! ```text
//! core ── Request ─► task: model ─► text ──────────────► core (says it)
//!                      ▲    └─► tool calls, side by side ─► outputs ─► core (chat context)
//!                      └──────── at most 10 rounds ◄────────┘
//! ```
//!
//! The task decides nothing about the conversation. It reports each step and is dropped when the reply is not wanted any
//! more, and with it the model's request and the tools.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::Instrument;

use super::handle::SessionHandle;
use super::making::{Progress, Request, Step};
use crate::chat::{ChatItem, ToolCall};
use crate::pii::Pii;
use crate::provider::{LanguageModel, ModelChunk, ModelRequest, ModelUsage, ProviderError};
use crate::tool::{HandOff, Tool, ToolError, ToolOutput, ToolSpec};

/// Rounds of tools in one reply; then the model has to answer with words.
const ROUNDS: usize = 10;
/// Tool calls of one round; further ones are not run.
const CALLS_BOUND: usize = 16;
/// Pieces of an answer between the model and us.
const CHUNKS_BOUND: usize = 64;
/// The longest answer, in bytes: a quarter of an hour of speech.
const ANSWER_BOUND: usize = 16 * 1_024;
/// What a tool may tell the model, in bytes; the rest is left out.
const OUTPUT_BOUND: usize = 64 * 1024;

/// Makes a reply.
pub(super) struct Generation {
    pub(super) model: Arc<dyn LanguageModel>,
    pub(super) session: SessionHandle,
    pub(super) progress: mpsc::Sender<Box<Progress>>,
    pub(super) request: Request,
}

impl Generation {
    /// Makes it. Every step is reported, the last one too.
    pub(super) async fn run(mut self) {
        let step = match self.make().await {
            Ok(End::Made) => Step::Made,
            Ok(End::HandedOff(hand_off)) => Step::HandedOff(hand_off),
            Err(error) => Step::Failed(error),
        };
        self.report(step).await;
    }

    async fn make(&mut self) -> Result<End, ProviderError> {
        let mut context = self.windowed_context().await;
        context.extend(self.request.further.take().map(ChatItem::System));
        let tools = self.request.tools.iter();
        let specs: Vec<ToolSpec> = tools.map(|tool| tool.spec().clone()).collect();
        for round in 0..=ROUNDS {
            let may_call = round < ROUNDS;
            let request = ModelRequest {
                instructions: self.request.instructions.clone(),
                context: context.clone(),
                tools: if may_call { specs.clone() } else { Vec::new() },
            };
            let answer = self.ask(request, true).await?;
            if answer.calls.is_empty() || !may_call {
                break;
            }
            self.until_wanted().await;
            if !answer.text.is_empty() {
                context.push(ChatItem::Assistant {
                    text: Pii::new(answer.text),
                    interrupted: false,
                });
            }
            context.extend(answer.calls.iter().cloned().map(ChatItem::ToolCall));
            self.report(Step::ToolsCalled(answer.calls.clone())).await;
            let called = self.call_tools(answer.calls).await;
            context.extend(called.outputs);
            if let Some(hand_off) = called.hand_off {
                return Ok(End::HandedOff(hand_off));
            }
        }
        Ok(End::Made)
    }

    /// What of the context fits; what does not is summed up first, where that is wanted and works.
    async fn windowed_context(&mut self) -> Vec<ChatItem> {
        let mut context = std::mem::take(&mut self.request.context);
        let left_out = self.request.window.left_out(&context);
        if left_out == 0 {
            return context;
        }
        let kept = context.split_off(left_out);
        if !self.request.window.summarise {
            return kept;
        }
        let request = ModelRequest {
            instructions: "Sum up this conversation in a few sentences, for yourself to go on with it: what was asked, \
                           what was found out and done, what is open. Names and figures are kept."
                .to_owned(),
            context,
            tools: Vec::new(),
        };
        match self.ask(request, false).await {
            Ok(Answer { text, .. }) if !text.is_empty() => {
                let summary = ChatItem::Summary(Pii::new(text.clone()));
                self.report(Step::Summarised {
                    items: left_out,
                    summary: text,
                })
                .await;
                std::iter::once(summary).chain(kept).collect()
            }
            Ok(_) => kept,
            Err(error) => {
                tracing::warn!(%error, "the conversation could not be summed up");
                kept
            }
        }
    }

    /// One answer of the model's; its words are reported as they come where they are to be said.
    async fn ask(&self, request: ModelRequest, aloud: bool) -> Result<Answer, ProviderError> {
        let patience = self.request.patience;
        let (sender, mut chunks) = mpsc::channel(CHUNKS_BOUND);
        let mut asking = self.model.generate(request, sender);
        let mut answer = Answer::default();
        let mut asked = None;
        loop {
            let silence = timeout(patience, async {
                tokio::select! {
                    biased;
                    chunk = chunks.recv() => Event::Chunk(chunk),
                    usage = &mut asking, if asked.is_none() => Event::Asked(usage),
                }
            });
            match silence.await {
                Err(_) => return Err(ProviderError::TimedOut(patience)),
                Ok(Event::Asked(usage)) => asked = Some(usage),
                Ok(Event::Chunk(Some(ModelChunk::Text(text)))) => {
                    if answer.text.len() + text.expose().len() > ANSWER_BOUND {
                        tracing::warn!("an answer of more than {ANSWER_BOUND} bytes is cut");
                        return Ok(answer);
                    }
                    answer.text.push_str(text.expose());
                    if aloud && !text.expose().is_empty() {
                        self.report(Step::Text(text.into_inner())).await;
                    }
                }
                Ok(Event::Chunk(Some(ModelChunk::ToolCall(call)))) => {
                    if answer.calls.len() < CALLS_BOUND {
                        answer.calls.push(call);
                    } else {
                        tracing::warn!("the model calls more than {CALLS_BOUND} tools at once");
                    }
                }
                Ok(Event::Chunk(None)) => break,
            }
        }
        let usage = match asked {
            Some(usage) => usage,
            None => timeout(patience, asking)
                .await
                .unwrap_or(Err(ProviderError::TimedOut(patience))),
        };
        self.report(Step::Used(usage?)).await;
        Ok(answer)
    }

    async fn until_wanted(&mut self) {
        // Whoever would say so is gone only together with us.
        let _gone = self.request.wanted.wait_for(|wanted| *wanted).await;
    }

    /// Runs the tools of a round side by side; the outputs are in the order of the calls.
    async fn call_tools(&self, calls: Vec<ToolCall>) -> Called {
        let mut running = JoinSet::new();
        let mut tasks = Vec::with_capacity(calls.len());
        for (at, call) in calls.iter().enumerate() {
            let tool = self.tool_for(call);
            let session = self.session.within(self.request.reply);
            let arguments = call.arguments.clone();
            let task = running.spawn(
                async move {
                    let result = match tool {
                        Ok(tool) => run(tool, &arguments, session).await,
                        Err(why) => Err(why),
                    };
                    (at, result)
                }
                .in_current_span(),
            );
            tasks.push(task.id());
        }
        let mut outputs: Vec<Option<ChatItem>> = calls.iter().map(|_| None).collect();
        let mut hand_off = None;
        while let Some(done) = running.join_next_with_id().await {
            let (at, result) = match done {
                Ok((_, done)) => done,
                Err(error) => {
                    let at = tasks.iter().position(|task| *task == error.id());
                    tracing::error!(%error, "a tool panicked");
                    (at.unwrap_or(0), Err(ToolError::new("the tool failed")))
                }
            };
            let (output, is_error) = match result {
                Ok(ToolOutput::Text(text)) => (text, false),
                Ok(ToolOutput::HandOff(to)) if hand_off.is_none() => {
                    let output = format!("{} takes over", to.name);
                    hand_off = Some(to);
                    (output, false)
                }
                Ok(ToolOutput::HandOff(_)) => ("somebody else takes over already".to_owned(), true),
                Err(why) => (why.0, true),
            };
            let id = calls[at].id.clone();
            let output = Pii::new(within_bound(output));
            outputs[at] = Some(ChatItem::ToolOutput {
                id: id.clone(),
                output: output.clone(),
                is_error,
            });
            self.report(Step::ToolDone {
                id,
                output,
                is_error,
            })
            .await;
        }
        Called {
            outputs: outputs.into_iter().flatten().collect(),
            hand_off,
        }
    }

    fn tool_for(&self, call: &ToolCall) -> Result<Arc<dyn Tool>, ToolError> {
        let mut tools = self.request.tools.iter();
        let tool = tools.find(|tool| tool.spec().name() == call.name);
        tool.cloned()
            .ok_or_else(|| ToolError::new("there is no such tool"))
    }

    async fn report(&self, step: Step) {
        let reply = self.request.reply;
        // A session that is gone wants nothing.
        let _gone = self.progress.send(Box::new(Progress { reply, step })).await;
    }
}

async fn run(
    tool: Arc<dyn Tool>,
    arguments: &Pii<String>,
    session: SessionHandle,
) -> Result<ToolOutput, ToolError> {
    let arguments = tool
        .spec()
        .read_arguments(arguments.expose())
        .map_err(ToolError::new)?;
    let deadline = tool.deadline();
    timeout(deadline, tool.call(arguments, session))
        .await
        .unwrap_or_else(|_| {
            let name = tool.spec().name();
            tracing::warn!(tool = name, ?deadline, "a tool took too long");
            Err(ToolError::new(format!(
                "no result within {} seconds",
                deadline.as_secs()
            )))
        })
}

fn within_bound(mut output: String) -> String {
    if output.len() > OUTPUT_BOUND {
        let mut end = OUTPUT_BOUND;
        while !output.is_char_boundary(end) {
            end -= 1;
        }
        output.truncate(end);
        output.push_str(" …");
    }
    output
}

enum End {
    Made,
    HandedOff(HandOff),
}

enum Event {
    Chunk(Option<ModelChunk>),
    Asked(Result<ModelUsage, ProviderError>),
}

#[derive(Default)]
struct Answer {
    text: String,
    calls: Vec<ToolCall>,
}

struct Called {
    outputs: Vec<ChatItem>,
    hand_off: Option<HandOff>,
}
