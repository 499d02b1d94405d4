//! Replies of the language model's: when one is made, what becomes of what it gives, and what the model is told.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::super::event::SessionEvent;
use super::super::making::{Progress, Request, Step};
use super::super::output::Output;
use super::super::reply::NewReply;
use super::super::speech::{Ended, ReplyNews};
use super::super::state::{AgentState, Trigger};
use super::super::utterance::{
    NewUtterance, Outcome, QueueMode, Resolver, Source, UtteranceFailure, UtteranceId,
};
use super::{Phase, Session, Timer};
use crate::agent::{Agent, UserTurn};
use crate::chat::{ChatContext, ChatItem, Place};
use crate::pii::Pii;
use crate::provider::ProviderError;
use crate::tool::Tool;

/// Steps of a reply that is made before it is known to be wanted; one with more is given up.
const EARLY_STEPS_BOUND: usize = 1_024;

/// What the model knows and is doing.
pub(super) struct Replies {
    /// What it is told of the conversation.
    pub(super) context: ChatContext,
    pub(super) instructions: String,
    pub(super) tools: Vec<Arc<dyn Tool>>,
    /// Whether each turn of the caller's is answered.
    pub(super) answers_turns: bool,
    next_own: UtteranceId,
    /// The reply that has the floor, while it is made.
    making: Option<Making>,
    /// A reply that is made before the caller's turn is over.
    early: Option<Box<Early>>,
    /// The turn that is answered when the agent's callback for it returns.
    to_answer: Option<UserTurn>,
    /// Where what is being said belongs in the context.
    places: Vec<(UtteranceId, Place)>,
}

#[derive(Debug)]
struct Making {
    reply: UtteranceId,
    interruptible: bool,
    to_turn: bool,
    /// The part that its words go into.
    part: Option<UtteranceId>,
    has_spoken: bool,
    /// Tool calls without an output, by their ids. A context with one left in it is refused by many models.
    open_calls: Vec<String>,
}

#[derive(Debug)]
struct Early {
    reply: UtteranceId,
    /// What the caller had said.
    turn: String,
    asked_at: Instant,
    /// What came of it, and when.
    steps: Vec<(Instant, Step)>,
    wanted: watch::Sender<bool>,
}

impl Replies {
    pub(super) fn of(agent: &dyn Agent) -> Self {
        Self {
            context: ChatContext::default(),
            instructions: agent.instructions(),
            tools: agent.tools(),
            answers_turns: agent.answers_turns(),
            next_own: UtteranceId::FIRST_OWN,
            making: None,
            early: None,
            to_answer: None,
            places: Vec::new(),
        }
    }

    /// Another agent talks from here on.
    pub(super) fn follow(&mut self, agent: &dyn Agent) {
        self.instructions = agent.instructions();
        self.tools = agent.tools();
        self.answers_turns = agent.answers_turns();
    }

    fn own_id(&mut self) -> UtteranceId {
        let id = self.next_own;
        self.next_own = UtteranceId(id.0 + 1);
        id
    }

    fn place_of(&mut self, id: UtteranceId) -> Option<Place> {
        let at = self.places.iter().position(|(known, _)| *known == id)?;
        Some(self.places.swap_remove(at).1)
    }

    /// Where what the caller begins to hear belongs.
    pub(super) fn begun(&mut self, id: UtteranceId) {
        if self.places.iter().all(|(known, _)| *known != id) {
            let place = self.context.reserve();
            self.places.push((id, place));
        }
    }

    /// An utterance ended: the context holds what was heard of it.
    pub(super) fn ended(&mut self, ended: &Ended) {
        let place = self.place_of(ended.id);
        let Some(heard) = ended.heard.as_ref().filter(|_| ended.add_to_chat_context) else {
            return;
        };
        let item = ChatItem::Assistant {
            text: Pii::new(heard.clone()),
            interrupted: ended.outcome != Outcome::Completed,
        };
        let place = place.unwrap_or_else(|| self.context.reserve());
        self.context.fill(place, item);
    }

    /// Nothing is made any more.
    pub(super) fn close(&mut self) {
        (self.making, self.early, self.to_answer) = (None, None, None);
    }
}

impl Session {
    /// Does what the speech has decided about replies, and answers whether there was anything.
    pub(super) fn follow_replies(&mut self, now: Instant) -> bool {
        let mut was_news = false;
        while let Some(news) = self.speech.poll_reply_news() {
            was_news = true;
            match news {
                ReplyNews::HasFloor(id) => self.make_reply(id, now),
                ReplyNews::Unwanted(id) => {
                    let making = self.replies.making.take_if(|making| making.reply == id);
                    self.give_up_calls(making.as_ref());
                    let early = self.replies.early.take_if(|early| early.reply == id);
                    if making.is_some() || early.is_some() {
                        self.out.push(Output::CancelGeneration(id));
                    }
                }
            }
        }
        was_news
    }

    /// Tools whose output is not waited for any more have one all the same.
    fn give_up_calls(&mut self, making: Option<&Making>) {
        for id in making.iter().flat_map(|making| &making.open_calls) {
            self.replies.context.push(ChatItem::ToolOutput {
                id: id.clone(),
                output: Pii::new("not finished: the answer was given up".to_owned()),
                is_error: true,
            });
        }
    }

    fn make_reply(&mut self, id: UtteranceId, now: Instant) {
        let Some(reply) = self.speech.floor_reply() else {
            return;
        };
        let further = reply.instructions.clone();
        let (interruptible, to_turn) = (reply.interruptible, reply.to_turn);
        if !self.means.has_model {
            let failure = UtteranceFailure::NoModel;
            return self
                .speech
                .reply_made(id, Some(failure), now, &mut self.out);
        }
        self.timers.stop(Timer::NoTranscript);
        if self.states.0 != AgentState::Speaking {
            self.trigger(Trigger::ReplyBegins, now);
        }
        let early = self.replies.early.take();
        let steps = match early {
            Some(early) if early.reply == id => {
                early.wanted.send_replace(true);
                self.meter.model_asked(early.asked_at);
                early.steps
            }
            early => {
                self.drop_early(early);
                self.meter.model_asked(now);
                let (_, is_wanted) = watch::channel(true);
                let context = self.replies.context.to_vec();
                self.generate(id, context, further, is_wanted);
                Vec::new()
            }
        };
        self.replies.making = Some(Making {
            reply: id,
            interruptible,
            to_turn,
            part: None,
            has_spoken: false,
            open_calls: Vec::new(),
        });
        for (came_at, step) in steps {
            if let Step::Text(_) = step {
                self.meter.words_came(came_at);
            }
            self.reply_stepped(step, now);
        }
    }

    fn generate(
        &mut self,
        reply: UtteranceId,
        context: Vec<ChatItem>,
        further: Option<Pii<String>>,
        wanted: watch::Receiver<bool>,
    ) {
        self.out.push(Output::Generate(Box::new(Request {
            reply,
            instructions: self.replies.instructions.clone(),
            context,
            further,
            tools: self.replies.tools.clone(),
            window: self.config.replies.window,
            patience: self.config.replies.patience,
            wanted,
        })));
    }

    /// The making of a reply got on.
    pub(in super::super) fn handle_progress(&mut self, progress: Progress, now: Instant) {
        if self.phase.is_ending() {
            return;
        }
        let Progress { reply, step } = progress;
        if let Some(early) = &mut self.replies.early
            && early.reply == reply
        {
            early.steps.push((now, step));
            if early.steps.len() > EARLY_STEPS_BOUND {
                let early = self.replies.early.take();
                self.drop_early(early);
            }
        } else if self.is_made(reply) {
            self.reply_stepped(step, now);
        }
        self.settle(now);
    }

    /// The task that makes a reply panicked.
    pub(in super::super) fn handle_generation_died(
        &mut self,
        reply: UtteranceId,
        error: ProviderError,
        now: Instant,
    ) {
        let step = Step::Failed(error);
        self.handle_progress(Progress { reply, step }, now);
    }

    fn is_made(&self, reply: UtteranceId) -> bool {
        let making = self.replies.making.as_ref();
        making.is_some_and(|making| making.reply == reply)
    }

    fn reply_stepped(&mut self, step: Step, now: Instant) {
        match step {
            Step::Summarised { items, summary } => self.replies.context.summarise(items, summary),
            Step::Text(text) => {
                self.meter.words_came(now);
                self.reply_says(&text, now);
            }
            Step::ToolsCalled(calls) => {
                self.end_part(now);
                for call in calls {
                    // A name that is none may hold anything.
                    let known = |tool: &&Arc<dyn Tool>| tool.spec().name() == call.name;
                    let tool = self.replies.tools.iter().find(known);
                    let tool = tool.map_or("(unknown)", |tool| tool.spec().name());
                    tracing::info!(tool, "the model calls a tool");
                    if let Some(making) = &mut self.replies.making {
                        making.open_calls.push(call.id.clone());
                    }
                    self.meter.tool_called(&call.name, now);
                    let (name, at) = (call.name.clone(), self.at(now));
                    self.event(SessionEvent::ToolCalled { name, at });
                    self.replies.context.push(ChatItem::ToolCall(call));
                }
            }
            Step::ToolDone {
                id,
                output,
                is_error,
            } => {
                if let Some(making) = &mut self.replies.making {
                    making.open_calls.retain(|open| *open != id);
                }
                self.replies.context.push(ChatItem::ToolOutput {
                    id,
                    output,
                    is_error,
                });
            }
            Step::Used(usage) => self.meter.tokens_used(usage),
            Step::HandedOff(hand_off) => {
                self.reply_is_made(None, now);
                self.begin_hand_off(hand_off, now);
            }
            Step::Made => self.reply_is_made(None, now),
            Step::Failed(error) => self.reply_failed(error, now),
        }
    }

    /// Words go into the part under way, or begin one.
    fn reply_says(&mut self, text: &str, now: Instant) {
        let Some(making) = &mut self.replies.making else {
            return;
        };
        let part = match making.part {
            Some(part) => part,
            None if text.trim().is_empty() => return,
            None => {
                let (reply, interruptible) = (making.reply, making.interruptible);
                making.has_spoken = true;
                let id = self.replies.own_id();
                self.replies.begun(id);
                if let Some(making) = &mut self.replies.making {
                    making.part = Some(id);
                }
                let (resolver, _nobody) = Resolver::pair(id);
                let part = NewUtterance {
                    id,
                    text: Some(Pii::default()),
                    source: Source::Stream { complete: false },
                    interruptible,
                    add_to_transcript: true,
                    add_to_chat_context: true,
                    queue: QueueMode::After,
                    part_of: Some(reply),
                    resolver,
                };
                self.speech.say(part, now, &mut self.out);
                id
            }
        };
        self.speech.text_came(part, text, now, &mut self.out);
    }

    fn end_part(&mut self, now: Instant) {
        let making = self.replies.making.as_mut();
        if let Some(part) = making.and_then(|making| making.part.take()) {
            self.speech.text_ended(part, now, &mut self.out);
        }
    }

    fn reply_is_made(&mut self, failure: Option<UtteranceFailure>, now: Instant) {
        self.end_part(now);
        if let Some(making) = self.replies.making.take() {
            self.give_up_calls(Some(&making));
            self.speech
                .reply_made(making.reply, failure, now, &mut self.out);
        }
    }

    /// The model failed. A caller who gets no answer at all is told so.
    fn reply_failed(&mut self, error: ProviderError, now: Instant) {
        self.provider_failed(error.clone(), now);
        let making = self.replies.making.as_ref();
        let is_mute = making.is_some_and(|making| making.to_turn && !making.has_spoken);
        if let (true, Some(apology)) = (is_mute, self.config.replies.apology.clone()) {
            self.reply_says(&apology, now);
        }
        self.reply_is_made(Some(UtteranceFailure::Model(error)), now);
    }

    // --- Turns ---------------------------------------------------------------------------------------

    /// The caller's turn is over and goes to the agent.
    pub(super) fn turn_is_over(&mut self, turn: &UserTurn) {
        if let UserTurn::Said { text, .. } = turn {
            self.replies.context.push(ChatItem::User(text.clone()));
        }
    }

    /// The agent's callback for a turn begins; the turn is answered when it returns.
    pub(super) fn turn_is_given(&mut self, turn: &UserTurn) {
        if self.replies.answers_turns {
            self.replies.to_answer = Some(turn.clone());
        }
    }

    /// The agent's callback for a turn returned: `answer` it, unless it failed.
    pub(super) fn turn_was_taken(&mut self, answer: bool, now: Instant) {
        let Some(turn) = self.replies.to_answer.take().filter(|_| answer) else {
            return;
        };
        // An agent that is leaving answers nothing more.
        if self.phase != Phase::Open || self.is_handing_off() {
            return;
        }
        let (said, instructions) = match &turn {
            UserTurn::Said { text, .. } => (text.expose().as_str(), None),
            UserTurn::NotUnderstood => {
                const ASK_AGAIN: &str =
                    "The caller said something that could not be understood. Ask for it again.";
                ("", Some(Pii::new(ASK_AGAIN.to_owned())))
            }
        };
        let early = self.replies.early.take();
        let id = match early {
            Some(early) if early.turn == said => {
                let id = early.reply;
                self.replies.early = Some(early);
                id
            }
            early => {
                self.drop_early(early);
                self.replies.own_id()
            }
        };
        let (resolver, _nobody) = Resolver::pair(id);
        let reply = NewReply {
            id,
            instructions,
            interruptible: true,
            to_turn: true,
            resolver,
        };
        self.speech.reply(reply, now, &mut self.out);
    }

    /// Words came that may be the whole turn: its answer is begun, and heard only if they are.
    pub(super) fn begin_early_reply(&mut self, now: Instant) {
        let text = self.turn.text();
        let known = self.replies.early.as_ref();
        let is_wanted = self.config.replies.preemptive_generation
            && self.replies.answers_turns
            && self.means.has_model
            && self.phase == Phase::Open
            && !self.speech.is_busy()
            && known.is_none_or(|early| early.turn != text);
        if !is_wanted {
            return;
        }
        self.forget_early_reply();
        let reply = self.replies.own_id();
        let (wanted, is_wanted) = watch::channel(false);
        let mut context = self.replies.context.to_vec();
        context.push(ChatItem::User(Pii::new(text.clone())));
        self.generate(reply, context, None, is_wanted);
        self.replies.early = Some(Box::new(Early {
            reply,
            turn: text,
            asked_at: now,
            steps: Vec::new(),
            wanted,
        }));
    }

    /// What was begun early is not wanted: the turn went on, or is none.
    pub(super) fn forget_early_reply(&mut self) {
        let early = self.replies.early.take();
        self.drop_early(early);
    }

    fn drop_early(&mut self, early: Option<Box<Early>>) {
        if let Some(early) = early {
            self.out.push(Output::CancelGeneration(early.reply));
        }
    }

    /// Whether the reply under way has said something already.
    pub(super) fn reply_has_spoken(&self) -> bool {
        let making = self.replies.making.as_ref();
        making.is_some_and(|making| making.has_spoken)
    }

    /// Whether a reply is being made.
    pub(super) fn reply_is_under_way(&self) -> bool {
        self.replies.making.is_some()
    }

    /// While a reply is made and nothing of it is heard, the agent thinks.
    pub(super) fn settle_thinking(&mut self, now: Instant) {
        if self.states.0 == AgentState::Speaking
            && self.replies.making.is_some()
            && self.speech.is_waiting_for_reply()
        {
            self.trigger(Trigger::PlaybackDrained, now);
            self.trigger(Trigger::ReplyBegins, now);
        }
    }
}
