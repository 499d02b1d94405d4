//! The actor: a task around the core that waits for what comes and does what the core says.
//!
//! It owns the core alone and never awaits agent code or a provider: each callback, synthesis and
//! recognition is a task of its own, whose end, also by panic, comes back as an input.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use offhook_media::control::LegEvent;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tracing::Instrument;

use super::CALL_SPANS;
use super::config::{Providers, SessionConfig};
use super::core::{Means, Session};
use super::event::EndReason;
use super::handle::{SessionHandle, Shared};
use super::line::{CallEvent, Line};
use super::message::Command;
use super::outlets::{Outlets, TaskEnd};
use super::transcript::Transcript;
use crate::agent::Agent;

/// Commands that may wait for the actor; beyond that `say` fails and the others wait.
const COMMANDS_BOUND: usize = 32;
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
        let call_id = &self.actor.config.facts.call_id;
        let span = tracing::error_span!(target: CALL_SPANS, "session", %call_id);
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

/// What the actor woke up for.
enum Input {
    Call(Option<CallEvent>),
    Leg(Option<LegEvent>),
    Task(TaskEnd),
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
        let mut outlets = Outlets::new(&config, agent, providers, shared, line_commands, call);
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
            let retry = outlets.leg_is_full().then(|| Instant::now() + LEG_RETRY);
            let wake_at = session.poll_timeout().into_iter().chain(retry).min();
            let input = tokio::select! {
                biased;
                event = call_events.recv(), if call_is_there => Input::Call(event),
                Some(done) = outlets.next_task(), if outlets.has_tasks() => Input::Task(done),
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
