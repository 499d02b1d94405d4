//! Whether a flow that could be read makes sense as a conversation.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::mistake::FlowMistake;
use super::names::key;
use super::voicemail::Answerers;
use super::{Flow, Next, Step, StepName, names};

/// Prompts that may follow each other without a pause: what a session lets wait behind the first.
const LONGEST_BREATH: usize = 8;

/// The mistakes of a flow as a whole. With `whole` false some of it could not be read: then nothing is
/// said that may only follow from what is missing.
pub(super) fn check(flow: &Flow, whole: bool) -> Vec<FlowMistake> {
    let mut mistakes = Vec::new();
    unknown_steps(flow, &mut mistakes);
    for (name, step) in &flow.steps {
        collisions(step, &mut mistakes);
        pointless_exits(name, step, &mut mistakes);
    }
    names::check(flow, &mut mistakes);
    circles(flow, &mut mistakes);
    if whole && mistakes.is_empty() {
        unreachable_steps(flow, &mut mistakes);
        traps(flow, &mut mistakes);
        silent_questions(flow, &mut mistakes);
        long_breaths(flow, &mut mistakes);
    }
    mistakes
}

pub(super) fn unknown_words(flow: &Flow, knows: impl Fn(&str) -> bool) -> Vec<FlowMistake> {
    let mut mistakes = Vec::new();
    for step in flow.steps.values() {
        let Next::Choose(branches) = &step.next else {
            continue;
        };
        for branch in branches {
            for phrase in &branch.phrases {
                for word in phrase.split(' ').filter(|word| !knows(word)) {
                    mistakes.push(FlowMistake::new(
                        format!("{}.phrases", branch.key),
                        format!("the recogniser does not know the word {word:?} of {phrase:?}"),
                    ));
                }
            }
        }
    }
    mistakes.dedup();
    mistakes
}

fn unknown_steps(flow: &Flow, mistakes: &mut Vec<FlowMistake>) {
    let mut check = |key: String, step: &StepName| {
        // An empty name stands for one that could not be read.
        if !step.as_str().is_empty() && !flow.steps.contains_key(step) {
            mistakes.push(FlowMistake::new(
                key,
                format!("there is no step {:?}", step.as_str()),
            ));
        }
    };
    check("start".to_owned(), &flow.start);
    for (key, _, step) in flow.answerers.iter().flat_map(Answerers::steps) {
        check(format!("voicemail.{key}"), step);
    }
    for (name, step) in &flow.steps {
        for exit in step.exits() {
            check(format!("{}.{}", key(name), exit.key), exit.to);
        }
    }
}

/// The same phrase or digit in two branches of one step.
fn collisions(step: &Step, mistakes: &mut Vec<FlowMistake>) {
    let Next::Choose(branches) = &step.next else {
        return;
    };
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for branch in branches {
        let phrases = branch
            .phrases
            .iter()
            .map(|phrase| format!("the phrase {phrase:?}"));
        let digits = branch
            .digits
            .iter()
            .map(|digit| format!("the digit {digit}"));
        for what in phrases.chain(digits) {
            if let Some(other) = seen.get(&what) {
                mistakes.push(FlowMistake::new(
                    branch.key.clone(),
                    format!("{what} collides with {other}"),
                ));
            } else {
                seen.insert(what, &branch.key);
            }
        }
    }
}

/// A caller cannot know that it is their turn.
fn silent_questions(flow: &Flow, mistakes: &mut Vec<FlowMistake>) {
    for (name, step) in &flow.steps {
        if step.waits() && step.say.is_none() {
            mistakes.push(FlowMistake::new(
                key(name),
                "waits for the caller but says nothing first: give it say",
            ));
        }
    }
}

/// Exits that can never be taken: a step that does not listen has no silence.
fn pointless_exits(name: &StepName, step: &Step, mistakes: &mut Vec<FlowMistake>) {
    if step.waits() {
        return;
    }
    let exits = [
        ("on_silence", step.on_silence.is_some()),
        ("on_no_match", step.on_no_match.is_some()),
        ("reprompt", step.reprompt.is_some()),
    ];
    for (which, _) in exits.into_iter().filter(|(_, given)| *given) {
        mistakes.push(FlowMistake::new(
            format!("{}.{which}", key(name)),
            "is never used: the step does not wait for the caller",
        ));
    }
}

/// Steps that follow each other in a circle without ever waiting for the caller.
fn circles(flow: &Flow, mistakes: &mut Vec<FlowMistake>) {
    let mut reported = BTreeSet::new();
    for start in flow.steps.keys() {
        let Some((exit, walked)) = circle_from(flow, start) else {
            continue;
        };
        let mut circle = walked.clone();
        circle.sort();
        if reported.insert(circle) {
            let names: Vec<&str> = walked.iter().map(|name| name.as_str()).collect();
            mistakes.push(FlowMistake::new(
                format!("{}.{exit}", key(start)),
                format!(
                    "a circle in which no step waits for the caller: {}",
                    names.join(", ")
                ),
            ));
        }
    }
}

/// The shortest way from a step back to itself that is taken without the caller's doing anything: the key of its first
/// exit, and the steps on it.
fn circle_from<'a>(flow: &'a Flow, start: &'a StepName) -> Option<(String, Vec<&'a StepName>)> {
    let goes_on = |name: &StepName| {
        let exits = flow.steps.get(name).map(Step::exits).unwrap_or_default();
        exits.into_iter().filter(|exit| exit.by.itself())
    };
    let mut seen = BTreeSet::from([start]);
    let mut ways: VecDeque<(String, Vec<&StepName>)> = goes_on(start)
        .map(|exit| (exit.key, vec![start, exit.to]))
        .collect();
    while let Some((first, mut way)) = ways.pop_front() {
        let at = way.last().copied()?;
        if at == start {
            way.pop();
            return Some((first, way));
        }
        if seen.insert(at) {
            ways.extend(goes_on(at).map(|exit| {
                let further = way.iter().copied().chain([exit.to]);
                (first.clone(), further.collect())
            }));
        }
    }
    None
}

/// More prompts one after the other than a session lets wait: the last would never be heard. Reported
/// where it begins, once; there are no circles.
fn long_breaths(flow: &Flow, mistakes: &mut Vec<FlowMistake>) {
    let follow_on = |step: &Step| match &step.next {
        Next::Then(then) => flow.steps.get_key_value(then),
        Next::Choose(_)
        | Next::Collect(_)
        | Next::Transfer { .. }
        | Next::Record(_)
        | Next::Ask(_)
        | Next::HandOver(_)
        | Next::HangUp => None,
    };
    let following: BTreeSet<&StepName> = flow
        .steps
        .values()
        .filter_map(|step| follow_on(step).map(|(name, _)| name))
        .collect();
    for begin in flow
        .steps
        .iter()
        .filter(|(name, _)| !following.contains(name))
    {
        let breath = std::iter::successors(Some(begin), |(_, step)| follow_on(step));
        let prompts = breath.filter(|(_, step)| step.say.is_some()).count();
        if prompts > LONGEST_BREATH {
            mistakes.push(FlowMistake::new(
                key(begin.0),
                format!(
                    "{prompts} steps in a row say something without waiting for the caller, \
                     {LONGEST_BREATH} at most can: say more in one step"
                ),
            ));
        }
    }
}

fn reachable<'a>(flow: &'a Flow, from: &'a StepName) -> BTreeSet<&'a StepName> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(name) = waiting.pop() {
        if let (true, Some(step)) = (reached.insert(name), flow.steps.get(name)) {
            waiting.extend(step.successors());
        }
    }
    reached
}

fn unreachable_steps(flow: &Flow, mistakes: &mut Vec<FlowMistake>) {
    let mut reached = reachable(flow, &flow.start);
    for (_, _, step) in flow.answerers.iter().flat_map(Answerers::steps) {
        reached.extend(reachable(flow, step));
    }
    for name in flow.steps.keys().filter(|name| !reached.contains(name)) {
        mistakes.push(FlowMistake::new(
            key(name),
            format!("cannot be reached from {:?}", flow.start.as_str()),
        ));
    }
}

/// Steps from which a caller who answers every question can never come to an end.
fn traps(flow: &Flow, mistakes: &mut Vec<FlowMistake>) {
    for name in flow.steps.keys() {
        let ends = |name: &&StepName| {
            flow.steps.get(*name).is_some_and(|step| {
                matches!(
                    step.next,
                    Next::HangUp | Next::HandOver(_) | Next::Transfer { .. }
                )
            })
        };
        if !reachable(flow, name).iter().any(ends) {
            mistakes.push(FlowMistake::new(
                key(name),
                "is a dead end: no step with hangup = true, transfer or hand_over can be reached from it",
            ));
        }
    }
}
