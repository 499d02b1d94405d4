//! What is known of who answered a call of ours, and how far what follows is.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::event::EndCause;
use super::super::voicemail::{VoicemailMessage, VoicemailSettings};
use super::Phase;
use crate::agent::UserTurn;
use crate::voicemail::VoicemailDetector;

/// Turns that are kept back until it is clear whose they are; the next is dropped.
const TURNS_BOUND: usize = 4;

/// A detection, and what it led to.
#[derive(Debug)]
pub(super) struct Detection {
    pub(super) settings: Arc<VoicemailSettings>,
    pub(super) detector: VoicemailDetector,
    /// When media was live: the detector's time counts from here.
    pub(super) live_at: Instant,
    pub(super) spotting: Spotting,
    /// Whether the detector was told that the far end speaks.
    pub(super) speaking: bool,
    /// What the caller said meanwhile, if they are one.
    pub(super) turns: Vec<UserTurn>,
    /// Whether the machine records.
    pub(super) records: bool,
    /// Of a machine: how the call ends if nothing better becomes of it.
    pub(super) end: EndCause,
    /// Where the conversation was when something else than a person was found.
    pub(super) before: Phase,
    pub(super) stage: Stage,
}

/// Whether the recogniser looks for phrases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spotting {
    Idle,
    Busy,
    /// It is to look again, at what was heard meanwhile.
    BusyAndWanted,
}

#[derive(Debug)]
pub(super) enum Stage {
    Deciding,
    Asking,
    /// The message waits until the machine records.
    Awaiting {
        message: VoicemailMessage,
        until: Instant,
    },
    Speaking,
    Tail {
        until: Instant,
    },
}

impl Detection {
    pub(super) fn new(settings: Arc<VoicemailSettings>, now: Instant) -> Self {
        Self {
            detector: VoicemailDetector::new(settings.max_decision),
            settings,
            live_at: now,
            spotting: Spotting::Idle,
            speaking: false,
            turns: Vec::new(),
            records: false,
            end: EndCause::NoPerson,
            before: Phase::Waiting,
            stage: Stage::Deciding,
        }
    }

    #[cfg(test)]
    pub(super) fn is_speaking(&self) -> bool {
        self.speaking
    }

    pub(super) fn is_deciding(&self) -> bool {
        match self.stage {
            Stage::Deciding => true,
            Stage::Asking | Stage::Awaiting { .. } | Stage::Speaking | Stage::Tail { .. } => false,
        }
    }

    /// The detector's time of a moment. Speech is told of when it is sure, with the time when it was, so that the next
    /// may lie before the last.
    pub(super) fn since_live(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.live_at)
    }

    pub(super) fn detector_timeout(&self) -> Option<Instant> {
        match self.stage {
            Stage::Deciding | Stage::Asking | Stage::Awaiting { .. } => {
                let due = self.detector.poll_timeout()?;
                self.live_at.checked_add(due)
            }
            Stage::Speaking | Stage::Tail { .. } => None,
        }
    }

    pub(super) fn stage_timeout(&self) -> Option<Instant> {
        match self.stage {
            Stage::Awaiting { until, .. } | Stage::Tail { until } => Some(until),
            Stage::Deciding | Stage::Asking | Stage::Speaking => None,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let parts = [self.detector_timeout(), self.stage_timeout()];
        parts.into_iter().flatten().min()
    }

    /// Keeps a turn until it is clear whose it is.
    pub(super) fn keep_back(&mut self, turn: UserTurn) {
        if self.turns.len() < TURNS_BOUND {
            self.turns.push(turn);
        } else {
            tracing::warn!("{TURNS_BOUND} turns wait for a verdict; one is dropped");
        }
    }
}
