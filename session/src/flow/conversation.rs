//! One caller's walk through a flow: what happened goes in, what to do comes out. No clock, no IO.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::Digit;

use super::check::placeholders;
use super::{Branch, DigitString, Flow, Next, Prompt, Step, StepName};
use crate::grammar::Grammar;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Input {
    /// The conversation begins.
    Entered,
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
    no_matches: u32,
    silences: u32,
    /// Steps given up in silence since the caller was last heard: none is come back to, so that a
    /// silent caller is let go at last.
    given_up: BTreeSet<StepName>,
    collected: BTreeMap<String, String>,
    over: bool,
}

impl Conversation {
    pub(super) fn new(flow: Arc<Flow>) -> Self {
        Self {
            at: flow.start.clone(),
            flow,
            no_matches: 0,
            silences: 0,
            given_up: BTreeSet::new(),
            collected: BTreeMap::new(),
            over: false,
        }
    }

    /// The step the caller is at.
    pub(super) fn at(&self) -> &StepName {
        &self.at
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
            Input::Entered | Input::Silent | Input::SilentToTheEnd => {}
            Input::Heard { .. }
            | Input::NotUnderstood
            | Input::Pressed(_)
            | Input::Collected(_)
            | Input::CollectedTooLittle => self.given_up.clear(),
        }
        match (input, &step.next) {
            (Input::Entered, _) => self.enter(&flow.start, &mut breath),
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
                self.collected.insert(collection.name.clone(), digits);
                self.enter(&collection.then, &mut breath);
            }
            (Input::Silent, Next::Choose(_) | Next::Collect(_)) => self.silent(step, &mut breath),
            (Input::SilentToTheEnd, _) => {
                // The session will not wake us again: only an exit that hangs up by itself is taken.
                let exit = step.on_silence.as_ref();
                let exit = exit.filter(|exit| flow.waits_at(exit).is_none());
                self.leave(exit, true, &mut breath);
            }
            // Meant for a step that was left since: speech and digits cross transitions.
            (
                Input::Heard { .. } | Input::NotUnderstood | Input::Pressed(_) | Input::Silent,
                Next::Then(_) | Next::HangUp,
            )
            | (Input::Heard { .. } | Input::NotUnderstood | Input::Pressed(_), Next::Collect(_))
            | (
                Input::Collected(_) | Input::CollectedTooLittle,
                Next::Then(_) | Next::Choose(_) | Next::HangUp,
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
            self.no_matches = 0;
            self.silences = 0;
            let step = flow.step(name);
            if let Some(say) = &step.say {
                breath.say(self.fill_in(say));
            }
            match &step.next {
                Next::Then(then) => name = then,
                Next::Choose(_) | Next::Collect(_) => return self.listen(step, breath),
                Next::HangUp => {
                    self.over = true;
                    return breath.hang_up(false);
                }
            }
        }
    }

    fn listen(&self, step: &Step, breath: &mut Breath) {
        breath.actions.push(Action::Expect(step.grammar()));
        if let Next::Collect(collection) = &step.next {
            breath.actions.push(Action::Collect {
                collection: collection.clone(),
                patience: self.flow.silence_after,
            });
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

    /// A prompt with the collected digits in the place of their names.
    fn fill_in(&self, prompt: &Prompt) -> Prompt {
        let Prompt::Text(text) = prompt else {
            return prompt.clone();
        };
        let mut filled = text.clone();
        for name in placeholders(text) {
            let digits = self
                .collected
                .get(name)
                .map(|digits| spell(digits))
                .unwrap_or_default();
            filled = filled.replace(&format!("{{{name}}}"), &digits);
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
            Next::HangUp => None,
            Next::Choose(_) | Next::Collect(_) => Some(name),
        }
    }
}

fn find(branches: &[Branch], is: impl Fn(&Branch) -> bool) -> Option<&Branch> {
    branches.iter().find(|branch| is(branch))
}

/// Digits as they are read out: one by one.
fn spell(digits: &str) -> String {
    let words: Vec<String> = digits
        .chars()
        .map(|digit| match digit {
            '*' => "star".to_owned(),
            '#' => "hash".to_owned(),
            digit => digit.to_string(),
        })
        .collect();
    words.join(" ")
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

    /// These were the last words: the caller can no longer change anything by speaking over them.
    fn hang_up(&mut self, silent: bool) {
        for action in &mut self.actions {
            if let Action::Say { interruptible, .. } = action {
                *interruptible = false;
            }
        }
        self.actions.push(Action::Expect(None));
        self.actions.push(Action::HangUp { silent });
    }
}
