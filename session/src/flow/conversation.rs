//! One caller's walk through a flow: what happened goes in, what to do comes out. No clock, no IO.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::Digit;

use super::record::RecordMessage;
use super::sending::Sending;
use super::values::{FlowValue, FlowValues, KeptMessage};
use super::webhook::Webhook;
use super::{Branch, DigitString, Flow, Next, Prompt, Step, StepName};
use crate::agent_session::CallFacts;
use crate::grammar::Grammar;
use crate::provider::WebhookRequest;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Input {
    /// The conversation begins.
    Entered,
    /// It goes on elsewhere: no person answered.
    Redirected(StepName),
    /// The caller said a phrase, or several in one turn.
    Heard {
        /// All that was said.
        whole: String,
        /// What was said last.
        last: String,
    },
    /// The caller spoke, but said nothing expected.
    NotUnderstood,
    /// The caller pressed a digit.
    Pressed(Digit),
    /// The caller keyed in a string.
    Collected(String),
    /// The caller keyed in too short a string: did not finish it, or ended it at once.
    CollectedTooLittle,
    /// The caller could not be sent elsewhere.
    NotTransferred,
    /// The caller left a message.
    Recorded(KeptMessage),
    /// No message could be recorded, or the caller wanted to leave none.
    NotRecorded,
    /// A webhook answered, with this body.
    Answered(Vec<u8>),
    /// A webhook gave no answer.
    NotAnswered,
    /// Nobody took the caller over.
    NotHandedOver,
    /// The caller has been silent.
    Silent,
    /// The caller has been silent for as long as the session waits: one that leaves the counting of
    /// silences to the flow never says so.
    SilentToTheEnd,
}

/// Something to do, in the order given.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// Say this.
    Say {
        /// With its names filled in.
        prompt: Prompt,
        /// Behind what was said in the same breath; otherwise in place of whatever is being said.
        after: bool,
        /// Whether the caller may cut it short.
        interruptible: bool,
    },
    /// Listen for these phrases from now on, or for none.
    Expect(Option<Grammar>),
    /// Collect digits and come back with them.
    Collect {
        /// What to collect.
        collection: DigitString,
        /// How long the first digit may take after what is said before it.
        patience: Duration,
    },
    /// Send the caller there when everything was said, and come back if that fails.
    Transfer(Box<Sending>),
    /// Record a message when everything was said, and come back with it.
    Record {
        /// How.
        message: Box<RecordMessage>,
        /// How long the caller may take to begin.
        patience: Duration,
    },
    /// Ask the webhook of this step ([`Conversation::webhook_request`]) and come back with its answer.
    Ask,
    /// Give the caller to this agent when everything was said, and come back if nobody takes them over.
    HandOver(String),
    /// Hang up when everything was said.
    HangUp {
        /// Because the caller stayed silent, and not because the flow ended.
        silent: bool,
    },
}

/// Where a caller is in a flow.
pub(super) struct Conversation {
    flow: Arc<Flow>,
    at: StepName,
    /// How often a step was gone to.
    visits: u64,
    has_begun: bool,
    no_matches: u32,
    silences: u32,
    /// Steps given up in silence since the caller was last heard: none is come back to, so that a
    /// silent caller is let go at last.
    given_up: BTreeSet<StepName>,
    values: FlowValues,
    over: bool,
}

impl Conversation {
    /// `values`: what whoever handed the caller over knew.
    pub(super) fn new(flow: Arc<Flow>, values: FlowValues) -> Self {
        Self {
            at: flow.start.clone(),
            visits: 0,
            has_begun: false,
            values: values.only(&flow.inherits),
            flow,
            no_matches: 0,
            silences: 0,
            given_up: BTreeSet::new(),
            over: false,
        }
    }

    /// Lets the conversation begin at that step, or answers that it has begun.
    pub(super) fn begin_at(&mut self, step: &StepName) -> bool {
        if !self.has_begun {
            self.at = step.clone();
        }
        !self.has_begun
    }

    /// The step the caller is at.
    pub(super) fn at(&self) -> &StepName {
        &self.at
    }

    /// Which visit to a step this is. What was begun at one is of no use to another, though it be of the same step.
    pub(super) fn visit(&self) -> u64 {
        self.visits
    }

    /// What the webhook of the step the caller is at is to be asked; `None` where there is none.
    pub(super) fn webhook_request(&self, call: &CallFacts) -> Option<WebhookRequest> {
        match &self.flow.step(&self.at).next {
            Next::Ask(webhook) => Some(webhook.request(&self.at, call, &self.values)),
            Next::Then(_)
            | Next::Choose(_)
            | Next::Collect(_)
            | Next::Transfer { .. }
            | Next::Record(_)
            | Next::HandOver(_)
            | Next::HangUp => None,
        }
    }

    /// What another agent may know; `None` when the caller was handed over too often.
    pub(super) fn values_to_hand_over(&self) -> Option<FlowValues> {
        self.values.to_hand_over()
    }

    /// Takes what happened and says what to do.
    pub(super) fn handle(&mut self, input: Input) -> Vec<Action> {
        if self.over {
            return Vec::new();
        }
        let flow = Arc::clone(&self.flow);
        let step = flow.step(&self.at);
        let mut breath = Breath::default();
        match &input {
            Input::Entered
            | Input::Redirected(_)
            | Input::NotTransferred
            | Input::NotRecorded
            | Input::Answered(_)
            | Input::NotAnswered
            | Input::NotHandedOver
            | Input::Silent
            | Input::SilentToTheEnd => {}
            Input::Heard { .. }
            | Input::NotUnderstood
            | Input::Pressed(_)
            | Input::Collected(_)
            | Input::CollectedTooLittle
            | Input::Recorded(_) => self.given_up.clear(),
        }
        match (input, &step.next) {
            (Input::Entered, _) => {
                self.has_begun = true;
                let begin = self.at.clone();
                self.enter(&begin, &mut breath);
            }
            (Input::Redirected(to), _) => self.enter(&to, &mut breath),
            (Input::Heard { whole, last }, Next::Choose(branches)) => {
                let means = |phrase| find(branches, |branch| branch.phrases.contains(phrase));
                // Who says something twice, or thinks better of it, means what they said last.
                match means(&whole).or_else(|| means(&last)) {
                    Some(branch) => self.enter(&branch.then, &mut breath),
                    // It was heard at the step it belongs to, and came too late.
                    None if flow.expects(&last) => {}
                    None => self.not_understood(step, &mut breath),
                }
            }
            (Input::Pressed(digit), Next::Choose(branches)) => {
                match find(branches, |branch| branch.digits.contains(&digit)) {
                    Some(branch) => self.enter(&branch.then, &mut breath),
                    None => self.not_understood(step, &mut breath),
                }
            }
            (Input::NotUnderstood, Next::Choose(_))
            | (Input::CollectedTooLittle, Next::Collect(_)) => {
                self.not_understood(step, &mut breath);
            }
            (Input::Collected(digits), Next::Collect(collection)) => {
                let sensitive = collection.sensitive;
                let digits = FlowValue::Digits { digits, sensitive };
                self.values.set(&collection.name, digits);
                self.enter(&collection.then, &mut breath);
            }
            // Nobody is silent in a transfer, or while joined to another: it was, and is over.
            (Input::NotTransferred | Input::Silent, Next::Transfer { failed, .. }) => {
                self.leave(failed.as_ref(), false, &mut breath);
            }
            (Input::Recorded(kept), Next::Record(message)) => {
                self.values.set(&message.name, FlowValue::Message(kept));
                self.enter(&message.then, &mut breath);
            }
            (Input::NotRecorded, Next::Record(message)) => {
                self.leave(message.failed.as_ref(), false, &mut breath);
            }
            (Input::Answered(body), Next::Ask(webhook)) => {
                self.answered(webhook, &body, &mut breath);
            }
            (Input::NotHandedOver, Next::HandOver(_)) => self.leave(None, false, &mut breath),
            (Input::NotAnswered, Next::Ask(webhook)) => {
                self.leave(webhook.failed.as_ref(), false, &mut breath);
            }
            (Input::Silent, Next::Choose(_) | Next::Collect(_) | Next::Record(_)) => {
                self.silent(step, &mut breath);
            }
            (Input::SilentToTheEnd, _) => {
                // The session will not wake us again: only an exit that hangs up by itself is taken.
                let exit = step.on_silence.as_ref();
                let exit = exit.filter(|exit| flow.waits_at(exit).is_none());
                self.leave(exit, true, &mut breath);
            }
            // Meant for a step that was left since: speech and digits cross transitions.
            (
                Input::Heard { .. } | Input::NotUnderstood | Input::Pressed(_),
                Next::Then(_)
                | Next::Collect(_)
                | Next::Transfer { .. }
                | Next::Record(_)
                | Next::Ask(_)
                | Next::HandOver(_)
                | Next::HangUp,
            )
            | (
                Input::Silent,
                Next::Then(_)
                | Next::Ask(_)
                | Next::HandOver(_)
                | Next::HangUp,
            )
            // Each of these belongs to one kind of step, above.
            | (
                Input::Collected(_)
                | Input::CollectedTooLittle
                | Input::NotTransferred
                | Input::Recorded(_)
                | Input::NotRecorded
                | Input::Answered(_)
                | Input::NotAnswered
                | Input::NotHandedOver,
                _,
            ) => {}
        }
        breath.actions
    }

    /// Goes to a step, and on through those that do not wait for the caller.
    fn enter(&mut self, name: &StepName, breath: &mut Breath) {
        let flow = Arc::clone(&self.flow);
        let mut name = name;
        loop {
            self.at = name.clone();
            self.visits += 1;
            self.no_matches = 0;
            self.silences = 0;
            let step = flow.step(name);
            if self.given_up.contains(name) {
                // A webhook led here, and nobody was heard since it was given up.
                return self.leave(None, true, breath);
            }
            if let Some(say) = &step.say {
                breath.say(self.fill_in(say));
            }
            match &step.next {
                Next::Then(then) => name = then,
                Next::Choose(_) | Next::Collect(_) | Next::Record(_) => {
                    return self.listen(step, breath);
                }
                Next::Transfer { sending, .. } => {
                    let filled = sending.map_prompts(|prompt| self.fill_in(prompt));
                    return breath.transfer(Box::new(filled));
                }
                Next::Ask(_) => return breath.ask(),
                Next::HandOver(agent) => return breath.hand_over(agent),
                Next::HangUp => {
                    self.over = true;
                    return breath.hang_up(false);
                }
            }
        }
    }

    fn answered(&mut self, webhook: &Webhook, body: &[u8], breath: &mut Breath) {
        match webhook.read_answer(body) {
            Ok(answer) => {
                for (name, text) in answer.texts {
                    self.values.set(&name, FlowValue::Text(text));
                }
                self.enter(answer.goto.as_ref().unwrap_or(&webhook.then), breath);
            }
            Err(why) => {
                tracing::warn!(
                    step = self.at.as_str(),
                    why,
                    "a webhook's answer is of no use"
                );
                self.leave(webhook.failed.as_ref(), false, breath);
            }
        }
    }

    fn listen(&self, step: &Step, breath: &mut Breath) {
        breath.actions.push(Action::Expect(step.grammar()));
        let patience = self.flow.silence_after;
        match &step.next {
            Next::Collect(collection) => breath.actions.push(Action::Collect {
                collection: collection.clone(),
                patience,
            }),
            Next::Record(message) => breath.actions.push(Action::Record {
                message: message.clone(),
                patience,
            }),
            Next::Then(_)
            | Next::Choose(_)
            | Next::Transfer { .. }
            | Next::Ask(_)
            | Next::HandOver(_)
            | Next::HangUp => {}
        }
    }

    fn not_understood(&mut self, step: &Step, breath: &mut Breath) {
        self.no_matches += 1;
        if self.no_matches > self.flow.retries {
            return self.leave(step.on_no_match.as_ref(), false, breath);
        }
        breath.say(self.fill_in(&self.flow.no_match));
        self.ask_again(step, breath);
    }

    fn silent(&mut self, step: &Step, breath: &mut Breath) {
        self.silences += 1;
        if self.silences > self.flow.retries {
            self.given_up.insert(self.at.clone());
            let flow = Arc::clone(&self.flow);
            let come_back = |exit| {
                flow.waits_at(exit)
                    .is_some_and(|step| self.given_up.contains(step))
            };
            let exit = step.on_silence.as_ref().filter(|exit| !come_back(exit));
            return self.leave(exit, true, breath);
        }
        breath.say(self.fill_in(&self.flow.silence));
        self.ask_again(step, breath);
    }

    fn ask_again(&self, step: &Step, breath: &mut Breath) {
        if let Some(again) = step.reprompt.as_ref().or(step.say.as_ref()) {
            breath.say(self.fill_in(again));
        }
        self.listen(step, breath);
    }

    /// Gives a step up.
    fn leave(&mut self, exit: Option<&StepName>, silent: bool, breath: &mut Breath) {
        if let Some(exit) = exit {
            return self.enter(exit, breath);
        }
        self.over = true;
        breath.say(self.fill_in(&self.flow.goodbye));
        breath.hang_up(silent);
    }

    /// A prompt with what is known in the place of its names.
    pub(super) fn fill_in(&self, prompt: &Prompt) -> Prompt {
        let Prompt::Text(text) = prompt else {
            return prompt.clone();
        };
        let mut pieces = text.split('{');
        let mut filled = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            match piece.split_once('}') {
                Some((name, rest)) => {
                    filled.push_str(&self.values.spoken(name));
                    filled.push_str(rest);
                }
                None => {
                    filled.push('{');
                    filled.push_str(piece);
                }
            }
        }
        Prompt::Text(filled)
    }
}

impl Flow {
    fn step(&self, name: &StepName) -> &Step {
        self.steps
            .get(name)
            .expect("a parsed flow has every step it names")
    }

    /// Whether any step expects a phrase.
    fn expects(&self, phrase: &str) -> bool {
        self.steps
            .keys()
            .any(|step| self.leads_to(step, phrase).is_some())
    }

    /// The step at which a caller who is led to `name` is waited for; `None` where the call ends first.
    fn waits_at<'a>(&'a self, name: &'a StepName) -> Option<&'a StepName> {
        match &self.step(name).next {
            Next::Then(then) => self.waits_at(then),
            Next::Transfer { failed, .. } => self.waits_at(failed.as_ref()?),
            // It may lead anywhere; where nothing better is known, on.
            Next::Ask(webhook) => self.waits_at(&webhook.then),
            Next::HandOver(_) | Next::HangUp => None,
            Next::Choose(_) | Next::Collect(_) | Next::Record(_) => Some(name),
        }
    }
}

fn find(branches: &[Branch], is: impl Fn(&Branch) -> bool) -> Option<&Branch> {
    branches.iter().find(|branch| is(branch))
}

/// What is done in answer to one input: the first thing said takes the place of what was being said,
/// the others follow it.
#[derive(Default)]
struct Breath {
    actions: Vec<Action>,
    spoke: bool,
}

impl Breath {
    fn say(&mut self, prompt: Prompt) {
        let after = std::mem::replace(&mut self.spoke, true);
        self.actions.push(Action::Say {
            prompt,
            after,
            interruptible: true,
        });
    }

    /// Nothing that the caller says changes it: who is sent elsewhere is told so first.
    fn transfer(&mut self, sending: Box<Sending>) {
        self.last_words();
        self.actions.push(Action::Transfer(sending));
    }

    /// Nothing that the caller says changes it, and nothing is listened for until there is an answer.
    fn ask(&mut self) {
        self.last_words();
        self.actions.push(Action::Ask);
    }

    /// Who is given to somebody else is told so first.
    fn hand_over(&mut self, agent: &str) {
        self.last_words();
        self.actions.push(Action::HandOver(agent.to_owned()));
    }

    /// These were the last words: the caller can no longer change anything by speaking over them.
    fn hang_up(&mut self, silent: bool) {
        self.last_words();
        self.actions.push(Action::HangUp { silent });
    }

    fn last_words(&mut self) {
        for action in &mut self.actions {
            if let Action::Say { interruptible, .. } = action {
                *interruptible = false;
            }
        }
        self.actions.push(Action::Expect(None));
    }
}
