//! Where the core's outputs go: the leg, the call, the subscribers, and the tasks that run what must
//! not be waited for.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::LegCommand;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::config::{Providers, SessionConfig};
use super::core::Session;
use super::event::CallbackKind;
use super::handle::{SessionHandle, Shared};
use super::line::{CallRequest, LegCommands, LegQueueFull};
use super::output::{Callback, Output, Preparation};
use super::resample::to_rate;
use super::utterance::UtteranceId;
use crate::agent::{Agent, AgentError};
use crate::grammar::Grammar;
use crate::provider::{Audio, ProviderError, Recognition};

/// Commands kept for a leg whose queue is full, before the leg counts as lost.
const LEG_BACKLOG_BOUND: usize = 64;

/// The actor's hands.
pub(super) struct Outlets {
    agent: Arc<dyn Agent>,
    providers: Providers,
    shared: Arc<Shared>,
    leg: Arc<dyn LegCommands>,
    call: mpsc::Sender<CallRequest>,
    synthesis_deadline: Duration,
    recognition_deadline: Duration,
    tasks: JoinSet<Done>,
    /// Which task is which, for those that panic.
    kinds: Vec<(tokio::task::Id, TaskKind)>,
    preparation: Option<AbortHandle>,
    leg_backlog: VecDeque<LegCommand>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TaskKind {
    Callback(CallbackKind),
    Preparation {
        utterance: UtteranceId,
        sentence: usize,
    },
    Recognition,
}

/// How a task ended.
pub(super) type TaskEnd = Result<(tokio::task::Id, Done), JoinError>;

/// What a task gave.
pub(super) enum Done {
    Callback(Result<(), AgentError>),
    Prepared(Result<Arc<[i16]>, ProviderError>),
    Recognised(Result<Recognition, ProviderError>),
}

impl Outlets {
    pub(super) fn new(
        config: &SessionConfig,
        agent: Arc<dyn Agent>,
        providers: Providers,
        shared: Arc<Shared>,
        leg: Arc<dyn LegCommands>,
        call: mpsc::Sender<CallRequest>,
    ) -> Self {
        Self {
            agent,
            providers,
            shared,
            leg,
            call,
            synthesis_deadline: config.synthesis_deadline,
            recognition_deadline: config.recognition_deadline,
            tasks: JoinSet::new(),
            kinds: Vec::new(),
            preparation: None,
            leg_backlog: VecDeque::new(),
        }
    }

    /// Whether commands wait for room in the leg's queue.
    pub(super) fn leg_is_full(&self) -> bool {
        !self.leg_backlog.is_empty()
    }

    pub(super) fn has_tasks(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// The next task that ends.
    pub(super) async fn next_task(&mut self) -> Option<TaskEnd> {
        self.tasks.join_next_with_id().await
    }

    /// Does what the core says, in its order.
    pub(super) fn deliver(&mut self, session: &mut Session) {
        self.retry_leg();
        while let Some(output) = session.poll_output() {
            match output {
                Output::Leg(command) => self.send_to_leg(command),
                Output::Call(request) => {
                    // A call that is gone has ended already; its one request always finds room.
                    if self.call.try_send(request).is_err() {
                        tracing::debug!("the call is gone before it was asked to end");
                    }
                }
                Output::Event(event) => {
                    if let Some(events) = self.shared.events.get() {
                        // Nobody listening any more is no fault.
                        let _nobody = events.send(event);
                    }
                }
                Output::Callback(callback) => self.run_callback(callback),
                Output::Prepare {
                    utterance,
                    sentence,
                    work,
                } => self.prepare(utterance, sentence, work),
                Output::CancelPreparation => {
                    if let Some(preparation) = self.preparation.take() {
                        preparation.abort();
                    }
                }
                Output::Recognise { utterance, grammar } => self.recognise(utterance, grammar),
            }
            if self.leg_backlog.len() > LEG_BACKLOG_BOUND {
                self.leg_backlog.clear();
                session.handle_line_lost(Instant::now());
            }
        }
    }

    fn send_to_leg(&mut self, command: LegCommand) {
        if !self.leg_backlog.is_empty() {
            self.leg_backlog.push_back(command);
        } else if let Err(LegQueueFull(command)) = self.leg.send(command) {
            self.leg_backlog.push_back(command);
        }
    }

    fn retry_leg(&mut self) {
        while let Some(command) = self.leg_backlog.pop_front() {
            if let Err(LegQueueFull(command)) = self.leg.send(command) {
                self.leg_backlog.push_front(command);
                return;
            }
        }
    }

    fn run_callback(&mut self, callback: Callback) {
        let kind = TaskKind::Callback(callback.kind());
        let agent = Arc::clone(&self.agent);
        let session = SessionHandle::new(Arc::clone(&self.shared));
        self.spawn(kind, async move {
            Done::Callback(match callback {
                Callback::Enter => agent.on_enter(session).await,
                Callback::UserTurn(turn) => agent.on_user_turn(session, turn).await,
                Callback::Dtmf(digit) => agent.on_dtmf(session, digit).await,
                Callback::WakeUp => agent.on_wake_up(session).await,
                Callback::SilenceEnd => agent.on_silence_end(session).await,
                Callback::Exit(reason) => agent.on_exit(session, reason).await,
            })
        });
    }

    fn prepare(&mut self, utterance: UtteranceId, sentence: usize, work: Preparation) {
        let rate_hz = self.shared.sample_rate_hz;
        let kind = TaskKind::Preparation {
            utterance,
            sentence,
        };
        let deadline = self.synthesis_deadline;
        let voice = self.providers.voice.clone();
        let prompts = Arc::clone(&self.providers.prompts);
        let preparation = self.spawn(kind, async move {
            Done::Prepared(match work {
                Preparation::Convert(audio) => to_rate(audio, rate_hz),
                Preparation::Synthesise(text) => match voice {
                    Some(voice) => timeout(deadline, prompts.get(&voice, text.expose(), rate_hz))
                        .await
                        .unwrap_or(Err(ProviderError::TimedOut(deadline))),
                    None => Err(ProviderError::Unavailable("no voice is configured".into())),
                },
            })
        });
        self.preparation = Some(preparation);
    }

    fn recognise(&mut self, utterance: Audio, grammar: Arc<Grammar>) {
        let deadline = self.recognition_deadline;
        let recogniser = self.providers.recogniser.clone();
        self.spawn(TaskKind::Recognition, async move {
            Done::Recognised(match recogniser {
                Some(recogniser) => timeout(deadline, recogniser.recognise(utterance, &grammar))
                    .await
                    .unwrap_or(Err(ProviderError::TimedOut(deadline))),
                None => Err(ProviderError::Unavailable(
                    "no recogniser is configured".into(),
                )),
            })
        });
    }

    fn spawn(
        &mut self,
        kind: TaskKind,
        task: impl std::future::Future<Output = Done> + Send + 'static,
    ) -> AbortHandle {
        let handle = self.tasks.spawn(task.in_current_span());
        self.kinds.push((handle.id(), kind));
        handle
    }

    /// Tells the core how a task ended.
    pub(super) fn task_done(&mut self, done: TaskEnd, session: &mut Session, now: Instant) {
        let id = match &done {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(at) = self.kinds.iter().position(|(known, _)| *known == id) else {
            return;
        };
        let (_, kind) = self.kinds.swap_remove(at);
        match (kind, done) {
            (TaskKind::Callback(callback), Ok((_, Done::Callback(result)))) => {
                session.handle_callback(
                    callback,
                    result.map_err(|error| error.to_string().into()),
                    now,
                );
            }
            (
                TaskKind::Preparation {
                    utterance,
                    sentence,
                },
                Ok((_, Done::Prepared(result))),
            ) => {
                session.handle_prepared(utterance, sentence, result, now);
            }
            (TaskKind::Recognition, Ok((_, Done::Recognised(result)))) => {
                session.handle_recognised(result, now);
            }
            (kind, Err(error)) => task_failed(kind, error, session, now),
            (kind, Ok(_)) => tracing::error!(?kind, "a task gave another's result"),
        }
    }
}

/// A task that panicked fails as one that returned an error; one that was cancelled says nothing.
fn task_failed(kind: TaskKind, error: JoinError, session: &mut Session, now: Instant) {
    if error.is_cancelled() {
        return;
    }
    let what = panic_text(&*error.into_panic());
    match kind {
        TaskKind::Callback(callback) => session.handle_callback(callback, Err(what.into()), now),
        TaskKind::Preparation {
            utterance,
            sentence,
        } => {
            session.handle_prepared(utterance, sentence, Err(ProviderError::Died(what)), now);
        }
        TaskKind::Recognition => session.handle_recognised(Err(ProviderError::Died(what)), now),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or(panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without a message"))
}
