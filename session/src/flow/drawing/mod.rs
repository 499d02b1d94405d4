//! A flow as a picture: for a terminal, and for the tools that draw graphs.
//!
//! ```text
//! Flow ── steps in order of reach, with what leads on ──► Drawing ──► text, dot, mermaid
//! ```

mod graphs;
mod text;

use std::collections::{BTreeSet, VecDeque};

use offhook_media::control::Digit;

use super::exits::By;
use super::voicemail::Answerers;
use super::{Branch, Flow, Next, Prompt, Step, StepName};

/// How a flow is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DrawStyle {
    /// For people, in a terminal.
    #[default]
    Text,
    /// Graphviz' language.
    Dot,
    /// Mermaid's language, which pages and editors draw.
    Mermaid,
}

impl Flow {
    /// The flow's steps in the order in which callers come to them, and what leads from each to others.
    #[must_use]
    pub fn draw(&self, style: DrawStyle) -> String {
        let drawing = Drawing::of(self);
        match style {
            DrawStyle::Text => text::draw(&drawing),
            DrawStyle::Dot => graphs::dot(&drawing),
            DrawStyle::Mermaid => graphs::mermaid(&drawing),
        }
    }
}

/// What all styles draw.
struct Drawing<'a> {
    nodes: Vec<Node<'a>>,
    /// Where a call of ours begins that no person answers, by who does.
    entries: Vec<Arrow<'a>>,
}

/// A step.
struct Node<'a> {
    name: &'a StepName,
    says: Option<String>,
    does: Option<String>,
    arrows: Vec<Arrow<'a>>,
}

/// What leads from a step to another, or to an end.
struct Arrow<'a> {
    label: String,
    to: Target<'a>,
    /// Whether it is by what the caller says or presses.
    is_heard: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target<'a> {
    Step(&'a StepName),
    /// The flow is over; how.
    End(String),
}

/// The longest piece of a prompt that is shown, in characters.
const LONGEST_SAID: usize = 72;
/// Phrases of a branch that are shown.
const PHRASES_SHOWN: usize = 2;

impl<'a> Drawing<'a> {
    fn of(flow: &'a Flow) -> Self {
        let entries: Vec<Arrow<'a>> = flow
            .answerers
            .iter()
            .flat_map(Answerers::steps)
            .map(|(_, who, step)| Arrow {
                label: who.to_owned(),
                to: Target::Step(step),
                is_heard: false,
            })
            .collect();
        let begins = flow.answerers.iter().flat_map(Answerers::steps);
        let begins = [&flow.start]
            .into_iter()
            .chain(begins.map(|(_, _, step)| step));
        let mut waiting: VecDeque<&StepName> = VecDeque::new();
        let mut reached = BTreeSet::new();
        for begin in begins {
            if reached.insert(begin) {
                waiting.push_back(begin);
            }
        }
        let mut nodes = Vec::new();
        while let Some(name) = waiting.pop_front() {
            let Some(step) = flow.steps.get(name) else {
                continue;
            };
            for next in step.successors() {
                if reached.insert(next) {
                    waiting.push_back(next);
                }
            }
            nodes.push(Node {
                name,
                says: step.say.as_ref().map(said),
                does: does(step),
                arrows: arrows(flow, step),
            });
        }
        Self { nodes, entries }
    }
}

fn said(prompt: &Prompt) -> String {
    let whole = match prompt {
        Prompt::Text(text) => text,
        Prompt::Recording {
            text: Some(text), ..
        } => text,
        Prompt::Recording { file, text: None } => return file.clone(),
    };
    let mut shown: String = whole.chars().take(LONGEST_SAID).collect();
    if shown.len() < whole.len() {
        shown.truncate(shown.trim_end().len());
        shown.push('…');
    }
    format!("\"{shown}\"")
}

/// What a step does beside speaking and listening.
fn does(step: &Step) -> Option<String> {
    match &step.next {
        Next::Then(_)
        | Next::Choose(_)
        | Next::Transfer { .. }
        | Next::HandOver(_)
        | Next::HangUp => None,
        Next::Collect(digits) => {
            let kept = if digits.sensitive { ", sensitive" } else { "" };
            let count = match (digits.min, digits.max) {
                (min, max) if min == max => format!("{max}"),
                (min, max) => format!("{min} to {max}"),
            };
            Some(format!(
                "collects {{{}}}: {count} digits{kept}",
                digits.name
            ))
        }
        Next::Record(message) => {
            let (name, max_s) = (&message.name, message.max.as_secs());
            Some(format!("records {{{name}}}: {max_s} s at most"))
        }
        Next::Ask(webhook) => {
            let sets: Vec<String> = webhook
                .sets
                .iter()
                .map(|name| format!("{{{name}}}"))
                .collect();
            let sets = match &sets[..] {
                [] => String::new(),
                sets => format!(", which may set {}", sets.join(", ")),
            };
            Some(format!("asks {}{sets}", webhook.url.as_str()))
        }
    }
}

fn arrows<'a>(flow: &'a Flow, step: &'a Step) -> Vec<Arrow<'a>> {
    let times = match flow.retries {
        0 => "once".to_owned(),
        1 => "twice".to_owned(),
        retries => format!("{} times", retries + 1),
    };
    let label = |by: By<'_>| match by {
        By::AtOnce => "at once".to_owned(),
        By::Branch(branch) => heard(branch),
        By::Collected => "collected".to_owned(),
        By::Recorded => "recorded".to_owned(),
        By::Answered => "answered".to_owned(),
        By::Chosen => "chosen".to_owned(),
        By::Failed => "failed".to_owned(),
        By::Silence => format!("silent {times}"),
        By::NoMatch => format!("not understood {times}"),
    };
    let exits = step.exits();
    let has = |by| exits.iter().any(|exit| exit.by == by);
    let mut arrows: Vec<Arrow<'a>> = Vec::new();
    let mut lead = |label: String, to: Target<'a>, is_heard: bool| {
        // What leads to the same place stands together, but for what the caller says.
        let mut same = arrows.iter_mut();
        match same.find(|arrow| arrow.to == to && !arrow.is_heard && !is_heard) {
            Some(arrow) => arrow.label = format!("{}, {label}", arrow.label),
            None => arrows.push(Arrow {
                label,
                to,
                is_heard,
            }),
        }
    };
    if let Next::Transfer { sending, .. } = &step.next {
        let target = Target::End(sending.target.clone());
        lead("transferred".to_owned(), target, false);
    }
    if let Next::HandOver(agent) = &step.next {
        let agent = Target::End(format!("agent {agent}"));
        lead("handed over".to_owned(), agent, false);
    }
    if step.next == Next::HangUp {
        lead(
            "at once".to_owned(),
            Target::End("hang up".to_owned()),
            false,
        );
    }
    for exit in &exits {
        let is_heard = matches!(exit.by, By::Branch(_));
        lead(label(exit.by), Target::Step(exit.to), is_heard);
    }
    for by in step.unnamed_exits().into_iter().filter(|by| !has(*by)) {
        let end = Target::End("goodbye, hang up".to_owned());
        lead(label(by), end, false);
    }
    arrows
}

/// What a branch listens for.
fn heard(branch: &Branch) -> String {
    let own_key = branch.key.rsplit('.').next().unwrap_or_default();
    let mut parts: Vec<String> = match own_key {
        "yes" | "no" => vec![own_key.to_owned()],
        _ => {
            let shown = branch.phrases.iter().take(PHRASES_SHOWN);
            let shown = shown.map(|phrase| format!("\"{phrase}\""));
            let more = branch.phrases.len().saturating_sub(PHRASES_SHOWN);
            let more = (more > 0).then(|| format!("{more} more"));
            shown.chain(more).collect()
        }
    };
    let digits: Vec<String> = branch.digits.iter().map(Digit::to_string).collect();
    match &digits[..] {
        [] => {}
        [digit] => parts.push(format!("key {digit}")),
        digits => parts.push(format!("keys {}", digits.join(" "))),
    }
    parts.join(", ")
}
