//! The session's own timers; its parts keep theirs.

use tokio::time::Instant;

/// One timer of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The agent enters, though neither ACK nor audio came.
    Gate,
    /// The call has lasted as long as it may.
    MaxDuration,
    /// No transcript came after the caller stopped.
    NoTranscript,
    /// No words came after the agent's speech was held.
    FalseInterruption,
    /// The caller has spoken for as long as one utterance may last.
    LongSpeech,
    /// The agent has thought in silence for long enough.
    Thinking,
    /// The hang-up waited long enough for speech to drain.
    HangUp,
    /// The leg is gone, and the call has not said why.
    LegGone,
    /// `on_exit` took long enough.
    Exit,
}

impl Timer {
    const ALL: [Self; 9] = [
        Self::Gate,
        Self::MaxDuration,
        Self::NoTranscript,
        Self::FalseInterruption,
        Self::LongSpeech,
        Self::Thinking,
        Self::HangUp,
        Self::LegGone,
        Self::Exit,
    ];
}

/// When each timer fires, if it runs.
#[derive(Debug, Default)]
pub(super) struct Timers([Option<Instant>; Timer::ALL.len()]);

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = Some(at);
    }

    /// Sets it, unless it fires before anyway.
    pub(super) fn set_sooner(&mut self, timer: Timer, at: Instant) {
        let earlier = self.0[timer as usize].filter(|known| *known < at);
        self.0[timer as usize] = Some(earlier.unwrap_or(at));
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    pub(super) fn stop_all(&mut self) {
        *self = Self::default();
    }

    /// Stops all but one.
    pub(super) fn stop_all_but(&mut self, kept: Timer) {
        let at = self.0[kept as usize];
        self.stop_all();
        self.0[kept as usize] = at;
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// Takes one timer that is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let due = Timer::ALL
            .into_iter()
            .find(|timer| self.0[*timer as usize].is_some_and(|at| at <= now))?;
        self.stop(due);
        Some(due)
    }
}
