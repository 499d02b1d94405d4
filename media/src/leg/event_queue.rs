//! Events on their way to the session.

use std::collections::VecDeque;

use crate::control::LegEvent;

/// A queue with a bound. It is drained after every tick, when it holds a handful; should nobody drain
/// it, the newest events are lost and counted, and the audio goes on.
#[derive(Debug)]
pub(crate) struct EventQueue {
    events: VecDeque<LegEvent>,
    lost: u64,
}

const BOUND: usize = 128;

impl EventQueue {
    pub(crate) fn new() -> Self {
        Self {
            events: VecDeque::with_capacity(BOUND),
            lost: 0,
        }
    }

    pub(crate) fn push(&mut self, event: LegEvent) {
        if self.events.len() < BOUND {
            self.events.push_back(event);
        } else {
            self.lost += 1;
        }
    }

    pub(crate) fn pop(&mut self) -> Option<LegEvent> {
        self.events.pop_front()
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }
}
