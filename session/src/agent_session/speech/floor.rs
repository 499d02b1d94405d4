//! A reply that has the floor: nothing else is said until it is done, also while it says nothing.

use std::collections::VecDeque;

use super::super::reply::NewReply;
use super::super::utterance::{NewUtterance, Outcome, UtteranceFailure, UtteranceId};
use crate::pii::Pii;

/// What becomes of replies, for whoever makes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum ReplyNews {
    /// It has the floor: it is to be made.
    HasFloor(UtteranceId),
    /// It is not wanted any more.
    Unwanted(UtteranceId),
}

/// A reply that is being said, or was cut and waits to know how much of it was heard.
pub(super) struct OpenReply {
    pub(super) reply: NewReply,
    /// Parts that wait for their turn.
    pub(super) parts: VecDeque<NewUtterance>,
    /// Parts that have not ended, those that wait among them.
    pub(super) outstanding: usize,
    /// Whether no part comes any more.
    pub(super) complete: bool,
    interrupted: bool,
    pub(super) failure: Option<UtteranceFailure>,
    heard_text: String,
    heard_ms: u64,
}

impl OpenReply {
    pub(super) fn new(reply: NewReply) -> Self {
        Self {
            reply,
            parts: VecDeque::new(),
            outstanding: 0,
            complete: false,
            interrupted: false,
            failure: None,
            heard_text: String::new(),
            heard_ms: 0,
        }
    }

    pub(super) fn add(&mut self, part: NewUtterance) {
        self.outstanding += 1;
        self.parts.push_back(part);
    }

    /// Nothing more of it is said.
    pub(super) fn interrupt(&mut self) {
        self.complete = true;
        self.interrupted = true;
    }

    /// A part ended, with what was heard of it.
    pub(super) fn part_ended(&mut self, outcome: &Outcome, heard: Option<&str>) {
        self.outstanding = self.outstanding.saturating_sub(1);
        match outcome {
            Outcome::Completed => {}
            Outcome::Interrupted { heard_ms, .. } => self.heard_ms += heard_ms,
            Outcome::Failed(failure) => {
                self.failure.get_or_insert_with(|| failure.clone());
            }
        }
        if let Some(heard) = heard.filter(|heard| !heard.is_empty()) {
            if !self.heard_text.is_empty() {
                self.heard_text.push(' ');
            }
            self.heard_text.push_str(heard);
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.complete && self.outstanding == 0
    }

    pub(super) fn outcome(&self) -> Outcome {
        match &self.failure {
            _ if self.interrupted => Outcome::Interrupted {
                heard_text: Pii::new(self.heard_text.clone()),
                heard_ms: self.heard_ms,
            },
            Some(failure) => Outcome::Failed(failure.clone()),
            None => Outcome::Completed,
        }
    }
}
