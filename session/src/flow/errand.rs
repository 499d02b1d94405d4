//! Reading the steps that do something for the caller: `record`, `webhook`, `hand_over`.

use super::record::RecordMessage;
use super::table::Reader;
use super::webhook::Webhook;
use super::{Next, StepName};

pub(super) const LEADS_NOWHERE: &str = "leads nowhere: give it expect, yes and no, collect, then, transfer, \
     record, webhook, hand_over, or hangup = true";
pub(super) const NOTHING_FAILS: &str = "is never used: the step has no transfer, record or webhook";

/// What a step does, as far as it could be read.
pub(super) enum Errand {
    /// Nothing of these.
    None,
    /// One that a mistake keeps from being done.
    Unreadable(&'static str),
    /// Records a message.
    Record(RecordMessage),
    /// Asks a webhook.
    Webhook(Webhook),
    /// Hands the caller over to this agent.
    HandOver(String),
}

/// Reads what a step does; two of them are a mistake.
pub(super) fn read(
    step: &mut Reader<'_>,
    then: &Option<StepName>,
    failed: &Option<StepName>,
) -> Errand {
    let mut errand = Errand::None;
    if let Some(table) = step.table("record") {
        if then.is_none() {
            step.mistake("then", "is missing: where a message leads");
        }
        let message = RecordMessage::read(table, then.clone(), failed.clone());
        errand = Errand::Record(message);
    }
    if let Some(table) = step.table("webhook") {
        if then.is_none() {
            step.mistake("then", "is missing: where the answer leads");
        }
        if let Some(other) = errand.key() {
            beside(step, "webhook", other);
        }
        errand = match Webhook::read(table, then.clone(), failed.clone()) {
            Some(webhook) => Errand::Webhook(webhook),
            None => Errand::Unreadable("webhook"),
        };
    }
    if let Some(agent) = step.text("hand_over") {
        if let Some(other) = errand.key() {
            beside(step, "hand_over", other);
        }
        errand = Errand::HandOver(agent);
    }
    errand
}

fn beside(step: &Reader<'_>, key: &str, other: &str) {
    step.mistake(key, format!("a step cannot have this beside {other}"));
}

impl Errand {
    /// The key that asks for it.
    pub(super) fn key(&self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Unreadable(key) => Some(key),
            Self::Record(_) => Some("record"),
            Self::Webhook(_) => Some("webhook"),
            Self::HandOver(_) => Some("hand_over"),
        }
    }

    /// Whether `then` is where it leads.
    pub(super) fn takes_then(&self) -> bool {
        match self {
            Self::None | Self::HandOver(_) => false,
            Self::Unreadable(_) | Self::Record(_) | Self::Webhook(_) => true,
        }
    }

    /// Whether `failed` is where it leads when it comes to nothing.
    pub(super) fn may_fail(&self) -> bool {
        match self {
            Self::None | Self::HandOver(_) => false,
            Self::Unreadable(_) | Self::Record(_) | Self::Webhook(_) => true,
        }
    }

    pub(super) fn next(self) -> Option<Next> {
        match self {
            Self::None => None,
            // What it is is never asked: the flow has a mistake.
            Self::Unreadable(_) => Some(Next::HangUp),
            Self::Record(message) => Some(Next::Record(Box::new(message))),
            Self::HandOver(agent) => Some(Next::HandOver(agent)),
            Self::Webhook(webhook) => Some(Next::Ask(Box::new(webhook))),
        }
    }
}
