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

use super::config::SessionConfig;
use super::core::Session;
use super::event::{CallbackKind, SessionEvent};
use super::generation::Generation;
use super::handle::{SessionHandle, Shared};
use super::line::{CallRequest, LegCommands, LegQueueFull};
use super::making::{Progress, Request};
use super::output::{Callback, Output, Preparation};
use super::preparation::{Preparation as AgentPreparation, Preparing};
use super::providers::Providers;
use super::resample::to_rate;
use super::utterance::UtteranceId;
use super::voicemail::VoicemailAction;
use crate::agent::{Agent, AgentError};
use crate::chat::ChatItem;
use crate::grammar::Grammar;
use crate::pii::Pii;
use crate::provider::{Audio, ProviderError, Recognition};
use crate::voicemail::phrases;

/// Places in the call's queue that keys leave free: for a transfer, the answer of a second leg, and the end.
const PLACES_KEPT: usize = 3;
/// Commands kept for a leg whose queue is full, before the leg counts as lost.
const LEG_BACKLOG_BOUND: usize = 64;
/// A turn detector's verdict that takes longer is worth nothing: the turn is over by then.
const TURN_VERDICT_DEADLINE: Duration = Duration::from_secs(1);

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
    /// The replies under way: the one that has the floor, one that was begun early, and what is being given up.
    generations: Vec<(UtteranceId, AbortHandle)>,
    /// Where replies report to, where there is a model.
    progress: Option<mpsc::Sender<Box<Progress>>>,
    leg_backlog: VecDeque<LegCommand>,
    /// What the agent waits for before it enters.
    pub(super) preparation_of_agent: Option<AgentPreparation>,
    /// How many agents have handed off.
    agents: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TaskKind {
    Callback {
        kind: CallbackKind,
        /// Whose it is: an agent that has handed off tells nothing any more.
        of_agent: u32,
    },
    Preparation {
        utterance: UtteranceId,
        sentence: usize,
    },
    Recognition,
    Generation(UtteranceId),
    TurnVerdict {
        words: u64,
    },
    Spotting,
}

/// How a task ended.
pub(super) type TaskEnd = Result<(tokio::task::Id, Done), JoinError>;

/// What a task gave.
pub(super) enum Done {
    Callback(Result<(), AgentError>),
    Decided(Result<VoicemailAction, AgentError>),
    Prepared(Result<Arc<[i16]>, ProviderError>),
    Recognised(Result<Recognition, ProviderError>),
    /// It has reported its end itself.
    Generated,
    TurnJudged(Result<f32, ProviderError>),
    Spotted(Result<Vec<&'static str>, ProviderError>),
}

impl Outlets {
    pub(super) fn new(
        config: &SessionConfig,
        agent: Arc<dyn Agent>,
        providers: Providers,
        shared: Arc<Shared>,
        leg: Arc<dyn LegCommands>,
        call: mpsc::Sender<CallRequest>,
        progress: Option<mpsc::Sender<Box<Progress>>>,
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
            generations: Vec::new(),
            progress,
            leg_backlog: VecDeque::new(),
            preparation_of_agent: None,
            agents: 0,
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
                Output::Call(request) => self.ask_call(request),
                Output::Event(event) => {
                    if let SessionEvent::Answerer { verdict, .. } = &event {
                        // There is one at most.
                        let _told = self.shared.answerer.set(verdict.clone());
                    }
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
                Output::Generate(request) => self.generate(*request),
                Output::CancelGeneration(reply) => self.cancel_generation(reply),
                Output::ChangeAgent(agent) => self.change_agent(agent),
                Output::JudgeTurn {
                    words,
                    context,
                    turn,
                } => self.judge_turn(words, context, turn),
                Output::Spot { heard } => self.spot(heard),
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

    /// Asks something of the call. The last places are kept for what is asked once, its end above all.
    fn ask_call(&mut self, request: CallRequest) {
        let may_be_lost = match &request {
            CallRequest::Press { .. }
            | CallRequest::PassOn(_)
            | CallRequest::AnsweredBy(_)
            | CallRequest::MessageLeft(_)
            | CallRequest::HandedOver(_) => true,
            CallRequest::HangUp { .. } | CallRequest::Transfer(_) | CallRequest::SecondLeg(_) => {
                false
            }
        };
        if may_be_lost && self.call.capacity() <= PLACES_KEPT {
            tracing::warn!(
                "signalling does not keep up: a key is not pressed, or something of the call is not shown"
            );
        } else if self.call.try_send(request).is_err() {
            // A call that is gone has ended already.
            tracing::debug!("the call is gone before it was asked for something");
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

    /// Callbacks are this agent's from now on, and it gets ready before it enters.
    fn change_agent(&mut self, agent: Arc<dyn Agent>) {
        let with = Preparing {
            facts: self.shared.facts.clone(),
            providers: self.providers.clone(),
            sample_rates_hz: [self.shared.sample_rate_hz].into(),
        };
        self.preparation_of_agent = Some(AgentPreparation::begin(Arc::clone(&agent), with));
        self.agent = agent;
        self.agents += 1;
    }

    fn run_callback(&mut self, callback: Callback) {
        let kind = TaskKind::Callback {
            kind: callback.kind(),
            of_agent: self.agents,
        };
        let agent = Arc::clone(&self.agent);
        let session = SessionHandle::new(Arc::clone(&self.shared));
        let preparation = match &callback {
            Callback::Enter => self.preparation_of_agent.take(),
            Callback::UserTurn(_)
            | Callback::Dtmf(_)
            | Callback::Tone(_)
            | Callback::WakeUp
            | Callback::SilenceEnd
            | Callback::Voicemail(_)
            | Callback::Transfer(_)
            | Callback::Exit(_) => None,
        };
        self.spawn(kind, async move {
            if let Some(preparation) = preparation {
                // One that failed has said so.
                let _unprepared = preparation.finished().await;
            }
            let result = match callback {
                Callback::Enter => agent.on_enter(session).await,
                Callback::UserTurn(turn) => agent.on_user_turn(session, turn).await,
                Callback::Dtmf(digit) => agent.on_dtmf(session, digit).await,
                Callback::Tone(tone) => agent.on_tone(session, tone).await,
                Callback::Transfer(outcome) => agent.on_transfer(session, outcome).await,
                Callback::WakeUp => agent.on_wake_up(session).await,
                Callback::SilenceEnd => agent.on_silence_end(session).await,
                Callback::Exit(reason) => agent.on_exit(session, reason).await,
                Callback::Voicemail(verdict) => {
                    return Done::Decided(agent.on_voicemail(session, verdict).await);
                }
            };
            Done::Callback(result)
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

    fn generate(&mut self, request: Request) {
        let reply = request.reply;
        let (Some(model), Some(progress)) = (self.providers.model.clone(), self.progress.clone())
        else {
            // The core knows that there is none and asks for nothing.
            return tracing::error!("a reply without a model");
        };
        let generation = Generation {
            model,
            session: SessionHandle::new(Arc::clone(&self.shared)),
            progress,
            request,
        };
        let handle = self.spawn(TaskKind::Generation(reply), async move {
            generation.run().await;
            Done::Generated
        });
        self.generations.push((reply, handle));
    }

    fn cancel_generation(&mut self, reply: UtteranceId) {
        if let Some(at) = self
            .generations
            .iter()
            .position(|(known, _)| *known == reply)
        {
            self.generations.swap_remove(at).1.abort();
        }
    }

    fn judge_turn(&mut self, words: u64, context: Vec<ChatItem>, turn: Pii<String>) {
        let Some(detector) = self.providers.turn_detector.clone() else {
            return;
        };
        let deadline = TURN_VERDICT_DEADLINE;
        self.spawn(TaskKind::TurnVerdict { words }, async move {
            let verdict = timeout(deadline, detector.end_of_turn(&context, &turn)).await;
            Done::TurnJudged(verdict.unwrap_or(Err(ProviderError::TimedOut(deadline))))
        });
    }

    fn spot(&mut self, heard: Audio) {
        let deadline = self.recognition_deadline;
        let recogniser = self.providers.recogniser.clone();
        self.spawn(TaskKind::Spotting, async move {
            Done::Spotted(match recogniser {
                Some(recogniser) => timeout(deadline, recogniser.spot(heard, phrases()))
                    .await
                    .unwrap_or(Err(ProviderError::TimedOut(deadline))),
                None => Ok(Vec::new()),
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
        if let TaskKind::Callback { of_agent, .. } = kind
            && of_agent != self.agents
        {
            return tracing::debug!("a callback of an agent that has handed off returned");
        }
        match (kind, done) {
            (TaskKind::Callback { kind: callback, .. }, Ok((_, Done::Callback(result)))) => {
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
            (TaskKind::Callback { .. }, Ok((_, Done::Decided(Ok(action))))) => {
                session.handle_decision(action, now);
            }
            (TaskKind::Callback { kind: callback, .. }, Ok((_, Done::Decided(Err(error))))) => {
                session.handle_callback(callback, Err(error.to_string().into()), now);
            }
            (TaskKind::Spotting, Ok((_, Done::Spotted(result)))) => {
                session.handle_spotted(result, now);
            }
            (TaskKind::Recognition, Ok((_, Done::Recognised(result)))) => {
                session.handle_recognised(result, now);
            }
            (TaskKind::Generation(reply), Ok((_, Done::Generated))) => {
                self.generations.retain(|(known, _)| *known != reply);
            }
            (TaskKind::TurnVerdict { words }, Ok((_, Done::TurnJudged(result)))) => {
                session.handle_turn_judged(words, result, now);
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
        TaskKind::Callback { kind: callback, .. } => {
            session.handle_callback(callback, Err(what.into()), now);
        }
        TaskKind::Preparation {
            utterance,
            sentence,
        } => {
            session.handle_prepared(utterance, sentence, Err(ProviderError::Died(what)), now);
        }
        TaskKind::Recognition => session.handle_recognised(Err(ProviderError::Died(what)), now),
        TaskKind::Generation(reply) => {
            session.handle_generation_died(reply, ProviderError::Died(what), now);
        }
        TaskKind::TurnVerdict { words } => {
            session.handle_turn_judged(words, Err(ProviderError::Died(what)), now);
        }
        TaskKind::Spotting => session.handle_spotted(Err(ProviderError::Died(what)), now),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or(panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without a message"))
}
