//! Whether what a flow names in braces is something it will know, and may give away there.

use std::collections::BTreeMap;

use super::mistake::FlowMistake;
use super::values::is_name;
use super::webhook::{CALL_ID, Webhook};
use super::{Flow, Next, Prompt, StepName};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Digits,
    Sensitive,
    Text,
    Message,
}

/// The mistakes about names.
pub(super) fn check(flow: &Flow, mistakes: &mut Vec<FlowMistake>) {
    let known = known(flow, mistakes);
    let mut prompt = |key: String, prompt: &Prompt| {
        let Prompt::Text(text) = prompt else { return };
        for name in placeholders(text) {
            let what = match known.get(name) {
                Some(Kind::Digits | Kind::Text) => continue,
                Some(Kind::Sensitive) => format!(
                    "says {{{name}}}, which is sensitive: it would be heard and written down"
                ),
                Some(Kind::Message) => format!("{{{name}}} is a message, which cannot be said"),
                None => format!("{{{name}}} is collected by no step"),
            };
            mistakes.push(FlowMistake::new(key.clone(), what));
        }
    };
    prompt("silence".to_owned(), &flow.silence);
    prompt("no_match".to_owned(), &flow.no_match);
    prompt("goodbye".to_owned(), &flow.goodbye);
    for (name, step) in &flow.steps {
        for (which, said) in [("say", &step.say), ("reprompt", &step.reprompt)] {
            if let Some(said) = said {
                prompt(format!("{}.{which}", key(name)), said);
            }
        }
        if let Next::Transfer { sending, .. } = &step.next {
            for (which, said) in sending.prompts_by_key() {
                prompt(format!("{}.{which}", key(name)), said);
            }
        }
    }
    for (at, webhook) in webhooks(flow) {
        asked(webhook, &at, &known, mistakes);
    }
}

/// Every name that a flow may come to know.
fn known<'a>(flow: &'a Flow, mistakes: &mut Vec<FlowMistake>) -> BTreeMap<&'a str, Kind> {
    let mut known = BTreeMap::new();
    for step in flow.steps.values() {
        match &step.next {
            Next::Collect(collection) => {
                let kind = match collection.sensitive {
                    true => Kind::Sensitive,
                    false => Kind::Digits,
                };
                let name = known.entry(collection.name.as_str()).or_insert(kind);
                // What is sensitive once is never said.
                if kind == Kind::Sensitive {
                    *name = kind;
                }
            }
            // Below: what they name must not be something else already.
            Next::Record(_)
            | Next::Ask(_)
            | Next::HandOver(_)
            | Next::Then(_)
            | Next::Choose(_)
            | Next::Transfer { .. }
            | Next::HangUp => {}
        }
    }
    for (at, step) in &flow.steps {
        if let Next::Record(message) = &step.next {
            let kind = *known.entry(message.name.as_str()).or_insert(Kind::Message);
            if kind != Kind::Message {
                let what = format!("{:?} is what digits are collected as", message.name);
                let key = format!("{}.record.name", key(at));
                mistakes.push(FlowMistake::new(key, what));
            }
        }
    }
    for (index, name) in flow.inherits.iter().enumerate() {
        if !is_name(name) {
            let what = format!("{name:?}: a name is lower-case letters and _");
            mistakes.push(FlowMistake::new(format!("inherits[{index}]"), what));
        }
        // Whatever it stands for there, what is sensitive or a message here is so.
        known.entry(name).or_insert(Kind::Text);
    }
    for (step, webhook) in webhooks(flow) {
        for name in &webhook.sets {
            let key = format!("{step}.sets");
            if !is_name(name) {
                let what = format!("{name:?}: a name is lower-case letters and _");
                mistakes.push(FlowMistake::new(key, what));
            } else if known.get(name.as_str()) == Some(&Kind::Sensitive) {
                let what = format!("sets {{{name}}}, which a step collects as sensitive");
                mistakes.push(FlowMistake::new(key, what));
            } else if known.get(name.as_str()) == Some(&Kind::Message) {
                let what = format!("sets {{{name}}}, which is a message");
                mistakes.push(FlowMistake::new(key, what));
            } else {
                known.entry(name).or_insert(Kind::Text);
            }
        }
    }
    known
}

fn webhooks(flow: &Flow) -> impl Iterator<Item = (String, &Webhook)> {
    flow.steps
        .iter()
        .filter_map(|(name, step)| match &step.next {
            Next::Ask(webhook) => Some((format!("{}.webhook", key(name)), &**webhook)),
            Next::Then(_)
            | Next::Choose(_)
            | Next::Collect(_)
            | Next::Transfer { .. }
            | Next::Record(_)
            | Next::HandOver(_)
            | Next::HangUp => None,
        })
}

fn asked(
    webhook: &Webhook,
    at: &str,
    known: &BTreeMap<&str, Kind>,
    mistakes: &mut Vec<FlowMistake>,
) {
    for name in webhook.url.names().filter(|name| *name != CALL_ID) {
        let what = match known.get(name) {
            Some(Kind::Digits | Kind::Text | Kind::Message) => continue,
            Some(Kind::Sensitive) => {
                format!("has {{{name}}}, which is sensitive: URLs are written down everywhere")
            }
            None => format!("{{{name}}} is collected by no step"),
        };
        mistakes.push(FlowMistake::new(format!("{at}.url"), what));
    }
    for name in &webhook.sensitive {
        if known.get(name.as_str()) != Some(&Kind::Sensitive) {
            let what = format!("{name:?} is no name that a step collects as sensitive");
            mistakes.push(FlowMistake::new(format!("{at}.sensitive"), what));
        }
    }
}

/// Where a step stands in its file.
pub(super) fn key(name: &StepName) -> String {
    format!("step.{name}")
}

/// The names in braces.
pub(super) fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}
