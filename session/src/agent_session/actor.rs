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
use super::config::SessionConfig;
use super::core::{Means, Session};
use super::event::EndReason;
use super::handle::{SessionHandle, Shared};
use super::line::{CallEvent, Line};
use super::making::Progress;
use super::message::Command;
use super::outlets::{Outlets, TaskEnd};
use super::preparation::{Preparation, Preparing};
use super::providers::Providers;
use super::transcript::Transcript;
use super::turn_metrics::CallMetrics;
use super::utterance::UtteranceId;
use crate::agent::Agent;

/// Commands that may wait for the actor; beyond that `say` fails and the others wait.
const COMMANDS_BOUND: usize = 32;
/// Steps of replies that may wait for the actor; beyond, whoever makes them waits.
const PROGRESS_BOUND: usize = 32;
/// How soon a full leg queue is tried again: one of its ticks.
const LEG_RETRY: Duration = Duration::from_millis(10);

/// What a session leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionReport {
    /// Why the call ended.
    pub reason: EndReason,
    /// What was said.
    pub transcript: Transcript,
    /// The sums of its turns.
    pub metrics: CallMetrics,
    /// From the caller's last voiced frame to the agent's first, of each turn that was answered, in milliseconds; of the
    /// first thousand.
    pub e2e_ms: Vec<u64>,
    /// Whether it was to be recorded and was not, because its consent prompt could not be said.
    pub recording_forgone: bool,
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
            next_utterance: AtomicU64::new(UtteranceId::FIRST.0),
            facts: config.facts.clone(),
            sample_rate_hz: line.sample_rate_hz,
            has_voice: providers.voice.is_some(),
            has_mixer: line.has_mixer,
            goodbye: config.goodbye.clone(),
            answerer: OnceLock::new(),
            events: OnceLock::new(),
        });
        Self {
            actor: Actor {
                config: Box::new(config),
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
    config: Box<SessionConfig>,
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
    Progress(Box<Progress>),
    Time,
}

async fn next_step(progress: &mut Option<mpsc::Receiver<Box<Progress>>>) -> Option<Box<Progress>> {
    progress.as_mut()?.recv().await
}

impl Actor {
    async fn run(self) -> SessionReport {
        let Self {
            mut config,
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
            has_mixer,
        } = line;
        if !has_mixer {
            config.sounds = Box::default();
        }
        let means = Means {
            sample_rate_hz,
            has_voice: providers.voice.is_some(),
            has_recogniser: providers.recogniser.is_some(),
            has_model: providers.model.is_some(),
            has_turn_detector: providers.turn_detector.is_some(),
            listens: agent.listens(),
        };
        // Most sessions have no model, and the queue takes a kilobyte.
        let (progress_sender, mut progress) = providers
            .model
            .as_ref()
            .map(|_| mpsc::channel(PROGRESS_BOUND))
            .unzip();
        let preparation = config.preparation.take().unwrap_or_else(|| {
            let with = Preparing {
                facts: config.facts.clone(),
                providers: providers.clone(),
                sample_rates_hz: [sample_rate_hz].into(),
            };
            Preparation::begin(Arc::clone(&agent), with)
        });
        let mut outlets = Outlets::new(
            &config,
            Arc::clone(&agent),
            providers,
            shared,
            line_commands,
            call,
            progress_sender,
        );
        outlets.preparation_of_agent = Some(preparation);
        let mut session = Box::new(Session::new(config, means, &*agent, Instant::now()));
        drop(agent);
        let (mut leg_is_there, mut call_is_there) = (true, true);
        loop {
            outlets.deliver(&mut session);
            if let Some(reason) = session.closed() {
                // Dropping the task set ends every callback that is still running.
                return SessionReport {
                    reason: reason.clone(),
                    transcript: session.take_transcript(),
                    metrics: session.metrics(),
                    e2e_ms: session.take_e2e_ms(),
                    recording_forgone: session.recording_forgone(),
                };
            }
            if session.takes_no_commands() {
                commands.close();
            }
            let retry = outlets.leg_is_full().then(|| Instant::now() + LEG_RETRY);
            let wake_at = session.poll_timeout().into_iter().chain(retry).min();
            let input = tokio::select! {
                biased;
                event = call_events.recv(), if call_is_there => Input::Call(event),
                // Before tasks: one that panicked has nothing more to report.
                Some(step) = next_step(&mut progress) => Input::Progress(step),
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
                Input::Task(done) => {
                    // What a callback asked before it returned was asked before.
                    for _ in 0..COMMANDS_BOUND {
                        let Ok(command) = commands.try_recv() else {
                            break;
                        };
                        session.handle_command(*command, now);
                    }
                    outlets.task_done(done, &mut session, now);
                }
                Input::Command(command) => session.handle_command(*command, now),
                Input::Progress(progress) => session.handle_progress(*progress, now),
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
