//! Which callbacks run and which wait: turns one at a time, digits one at a time.

use std::collections::VecDeque;

use offhook_media::control::Digit;

use super::super::event::CallbackKind;
use super::super::output::Callback;
use crate::agent::UserTurn;

/// Turns that wait for the callback of an earlier one; the next is dropped.
const TURNS_BOUND: usize = 4;
/// Digits that wait; the next is dropped.
const DIGITS_BOUND: usize = 64;

/// The agent's callbacks as far as the session follows them.
#[derive(Debug, Default)]
pub(super) struct Callbacks {
    running: [bool; 6],
    turns: VecDeque<UserTurn>,
    digits: VecDeque<Digit>,
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

    pub(super) fn queue_turn(&mut self, turn: UserTurn) {
        if self.turns.len() >= TURNS_BOUND {
            tracing::warn!("the agent is {TURNS_BOUND} turns behind; one is dropped");
            return;
        }
        self.turns.push_back(turn);
    }

    pub(super) fn queue_digit(&mut self, digit: Digit) {
        if self.digits.len() >= DIGITS_BOUND {
            tracing::warn!("the agent is {DIGITS_BOUND} digits behind; one is dropped");
            return;
        }
        self.digits.push_back(digit);
    }

    /// The next queued callback that may run now.
    pub(super) fn next(&mut self) -> Option<Callback> {
        if !self.is_running(CallbackKind::UserTurn)
            && let Some(turn) = self.turns.pop_front()
        {
            return Some(Callback::UserTurn(turn));
        }
        if !self.is_running(CallbackKind::Dtmf)
            && let Some(digit) = self.digits.pop_front()
        {
            return Some(Callback::Dtmf(digit));
        }
        None
    }

    /// Nothing that waits runs any more.
    pub(super) fn drop_waiting(&mut self) {
        self.turns.clear();
        self.digits.clear();
    }
}
