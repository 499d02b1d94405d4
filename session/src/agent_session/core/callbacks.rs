//! Which callbacks run and which wait: turns one at a time, digits when no other callback runs.

use std::collections::VecDeque;

use offhook_media::control::Digit;
use tokio::time::Instant;

use super::super::event::CallbackKind;
use super::super::output::Callback;
use crate::agent::UserTurn;

/// Turns that wait for the callback of an earlier one; the next is dropped.
const TURNS_BOUND: usize = 4;
/// Digits that wait; the next is dropped.
const DIGITS_BOUND: usize = 64;

/// A digit that waits, and when it was pressed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Press {
    pub(super) digit: Digit,
    pub(super) at: Instant,
}

/// The agent's callbacks as far as the session follows them.
#[derive(Debug, Default)]
pub(super) struct Callbacks {
    running: [bool; CallbackKind::Exit as usize + 1],
    turns: VecDeque<UserTurn>,
    digits: VecDeque<Press>,
}

impl Callbacks {
    pub(super) fn is_running(&self, kind: CallbackKind) -> bool {
        self.running[kind as usize]
    }

    /// Whether the agent is at work on something the caller did, or on the caller's silence.
    pub(super) fn is_replying(&self) -> bool {
        let replies = [
            CallbackKind::UserTurn,
            CallbackKind::Dtmf,
            CallbackKind::WakeUp,
            CallbackKind::SilenceEnd,
        ];
        replies.into_iter().any(|kind| self.is_running(kind))
            || !self.turns.is_empty()
            || !self.digits.is_empty()
    }

    pub(super) fn started(&mut self, kind: CallbackKind) {
        self.running[kind as usize] = true;
    }

    pub(super) fn returned(&mut self, kind: CallbackKind) {
        self.running[kind as usize] = false;
    }

    /// What runs is another agent's.
    pub(super) fn forget_running(&mut self) {
        self.running = Default::default();
    }

    pub(super) fn queue_turn(&mut self, turn: UserTurn) {
        if self.turns.len() >= TURNS_BOUND {
            tracing::warn!("the agent is {TURNS_BOUND} turns behind; one is dropped");
            return;
        }
        self.turns.push_back(turn);
    }

    pub(super) fn queue_digit(&mut self, press: Press) {
        if self.digits.len() >= DIGITS_BOUND {
            tracing::warn!("the agent is {DIGITS_BOUND} digits behind; one is dropped");
            return;
        }
        self.digits.push_back(press);
    }

    /// The next turn, when its callback may run now.
    pub(super) fn next_turn(&mut self) -> Option<Callback> {
        if self.is_running(CallbackKind::UserTurn) {
            return None;
        }
        self.turns.pop_front().map(Callback::UserTurn)
    }

    /// The next digit, when its callback may run now. It may not while the agent is at work on what came
    /// before: that may lead to a collection, which the digit is then meant for.
    pub(super) fn next_digit(&mut self) -> Option<Press> {
        let before_it = [
            CallbackKind::Enter,
            CallbackKind::UserTurn,
            CallbackKind::Dtmf,
            CallbackKind::WakeUp,
            CallbackKind::SilenceEnd,
        ];
        if before_it.into_iter().any(|kind| self.is_running(kind)) {
            return None;
        }
        self.digits.pop_front()
    }

    /// The next digit, for something else than its callback.
    pub(super) fn take_digit(&mut self) -> Option<Press> {
        self.digits.pop_front()
    }

    /// No turn that waits is given any more.
    pub(super) fn drop_turns(&mut self) {
        self.turns.clear();
    }
}
