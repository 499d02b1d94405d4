//! The actor: a task around the core that waits for what comes and does what the core says.
//!
//! It owns the core alone and never awaits agent code or a provider: each callback, synthesis and
//! recognition is a task of its own, whose end, also by panic, comes back as an input.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use offhook_media::control::LegCommand;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Instrument;

use super::config::{Providers, SessionConfig};
use super::core::{Means, Session};
use super::event::{CallbackKind, EndReason};
use super::handle::{SessionHandle, Shared};
use super::line::{CallEvent, CallRequest, LegQueueFull, Line};
use super::message::Command;
use super::output::{Callback, Output, Preparation};
use super::resample::to_rate;
use super::transcript::Transcript;
use super::utterance::UtteranceId;
use crate::agent::{Agent, AgentError};
use crate::flow::grammar::Grammar;
use crate::provider::{Audio, ProviderError, Recognition};

/// Commands that may wait for the actor; beyond that `say` fails and the others wait.
const COMMANDS_BOUND: usize = 32;
/// Commands kept for a leg whose queue is full, before the leg counts as lost.
const LEG_BACKLOG_BOUND: usize = 64;
/// How soon a full leg queue is tried again: one of its ticks.
const LEG_RETRY: Duration = Duration::from_millis(10);

/// What a session leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionReport {
    /// Why the call ended.
    pub reason: EndReason,
    /// What was said.
    pub transcript: Transcript,
}

/// The task of a session; it ends when the session is closed.
pub type SessionTask = JoinHandle<SessionReport>;

/// Starts sessions.
#[derive(Debug)]
pub struct AgentSession {
    actor: Actor,
}

impl AgentSession {
    /// A session that has not begun, so that one can subscribe to its events before the first.
    #[must_use]
    pub fn new(
        config: SessionConfig,
        line: Line,
        agent: Arc<dyn Agent>,
        providers: Providers,
    ) -> Self {
        let (sender, commands) = mpsc::channel(COMMANDS_BOUND);
        let shared = Arc::new(Shared {
            commands: sender,
            next_utterance: AtomicU64::new(0),
            facts: config.facts.clone(),
            sample_rate_hz: line.sample_rate_hz,
            has_voice: providers.voice.is_some(),
            goodbye: config.goodbye.clone(),
            events: OnceLock::new(),
        });
        Self {
            actor: Actor {
                config,
                line,
                agent,
                providers,
                shared,
                commands,
            },
        }
    }

    /// A handle to the session.
    #[must_use]
    pub fn handle(&self) -> SessionHandle {
        SessionHandle::new(Arc::clone(&self.actor.shared))
    }

    /// Begins the session, on a tokio runtime.
    #[must_use]
    pub fn start(self) -> SessionTask {
        let span = tracing::info_span!("session", call_id = %self.actor.config.facts.call_id);
        tokio::spawn(self.actor.run().instrument(span))
    }

    /// Makes a session and begins it.
    #[must_use]
    pub fn spawn(
        config: SessionConfig,
        line: Line,
        agent: Arc<dyn Agent>,
        providers: Providers,
    ) -> (SessionHandle, SessionTask) {
        let session = Self::new(config, line, agent, providers);
        (session.handle(), session.start())
    }
}

/// What the actor is made of before it runs.
struct Actor {
    config: SessionConfig,
    line: Line,
    agent: Arc<dyn Agent>,
    providers: Providers,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Box<Command>>,
}

impl std::fmt::Debug for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Actor")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// What the tasks of a session have in common: where outputs go.
struct Outlets {
    agent: Arc<dyn Agent>,
    providers: Providers,
    shared: Arc<Shared>,
    line_commands: Arc<dyn super::line::LegCommands>,
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

/// What a task gave.
enum Done {
    Callback(Result<(), AgentError>),
    Prepared(Result<Arc<[i16]>, ProviderError>),
    Recognised(Result<Recognition, ProviderError>),
}

/// What the actor woke up for.
enum Input {
    Call(Option<CallEvent>),
    Leg(Option<offhook_media::control::LegEvent>),
    Task(Result<(tokio::task::Id, Done), JoinError>),
    Command(Box<Command>),
    Time,
}

impl Actor {
    async fn run(self) -> SessionReport {
        let Self {
            config,
            line,
            agent,
            providers,
            shared,
            mut commands,
        } = self;
        let Line {
            commands: line_commands,
            mut events,
            call,
            mut call_events,
            sample_rate_hz,
        } = line;
        let means = Means {
            sample_rate_hz,
            has_voice: providers.voice.is_some(),
            has_recogniser: providers.recogniser.is_some(),
            listens: agent.listens(),
        };
        let mut outlets = Outlets {
            agent,
            providers,
            shared,
            line_commands,
            call,
            synthesis_deadline: config.synthesis_deadline,
            recognition_deadline: config.recognition_deadline,
            tasks: JoinSet::new(),
            kinds: Vec::new(),
            preparation: None,
            leg_backlog: VecDeque::new(),
        };
        let mut session = Box::new(Session::new(config, means, Instant::now()));
        let (mut leg_is_there, mut call_is_there) = (true, true);
        loop {
            outlets.deliver(&mut session);
            if let Some(reason) = session.closed() {
                // Dropping the task set ends every callback that is still running.
                return SessionReport {
                    reason: reason.clone(),
                    transcript: session.take_transcript(),
                };
            }
            let retry = (!outlets.leg_backlog.is_empty()).then(|| Instant::now() + LEG_RETRY);
            let wake_at = session.poll_timeout().into_iter().chain(retry).min();
            let input = tokio::select! {
                biased;
                event = call_events.recv(), if call_is_there => Input::Call(event),
                Some(done) = outlets.tasks.join_next_with_id(), if !outlets.tasks.is_empty() => Input::Task(done),
                event = events.recv(), if leg_is_there => Input::Leg(event),
                Some(command) = commands.recv() => Input::Command(command),
                () = sleep_until(wake_at.unwrap_or_else(Instant::now)), if wake_at.is_some() => Input::Time,
            };
            let now = Instant::now();
            match input {
                Input::Call(Some(event)) => session.handle_call_event(event, now),
                Input::Leg(Some(event)) => session.handle_leg_event(event, now),
                Input::Call(None) => {
                    call_is_there = false;
                    session.handle_line_lost(now);
                }
                Input::Leg(None) => {
                    leg_is_there = false;
                    session.handle_leg_gone(now);
                }
                Input::Task(done) => outlets.task_done(done, &mut session, now),
                Input::Command(command) => session.handle_command(*command, now),
                Input::Time => {}
            }
            // Under a flood of inputs time is never starved.
            if session
                .poll_timeout()
                .is_some_and(|deadline| deadline <= now)
            {
                session.handle_timeout(now);
            }
        }
    }
}

impl Outlets {
    /// Does what the core says, in its order.
    fn deliver(&mut self, session: &mut Session) {
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
        } else if let Err(LegQueueFull(command)) = self.line_commands.send(command) {
            self.leg_backlog.push_back(command);
        }
    }

    fn retry_leg(&mut self) {
        while let Some(command) = self.leg_backlog.pop_front() {
            if let Err(LegQueueFull(command)) = self.line_commands.send(command) {
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
    fn task_done(
        &mut self,
        done: Result<(tokio::task::Id, Done), JoinError>,
        session: &mut Session,
        now: Instant,
    ) {
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
