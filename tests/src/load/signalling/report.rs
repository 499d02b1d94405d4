//! What became of the calls of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::load::Gaps;

/// One phase's calls, whenever they ended.
#[derive(Debug, Clone, Default)]
pub struct PhaseReport {
    /// Calls that were due.
    pub calls: u64,
    /// How many of them in a second.
    pub calls_per_second: u64,
    /// Calls that went from INVITE to the answer to their BYE.
    pub completed: u64,
    /// Calls refused with 503.
    pub refused: u64,
    /// Calls that ended any other way, by reason.
    pub failures: BTreeMap<&'static str, u64>,
    /// From the first INVITE to the 200, by the kernel's receive stamp.
    pub set_up: Gaps,
    /// From the first INVITE to the 503.
    pub refusal: Gaps,
    /// Requests that we had to send again.
    pub repeated_requests: u64,
}

/// One run's findings.
#[derive(Debug, Clone)]
pub struct SignallingReport {
    /// The phases in their order.
    pub phases: Vec<PhaseReport>,
    /// How late we were with a call's INVITE: what the far end did not see, since we did not send it.
    pub late: Gaps,
    /// From the first INVITE to the last answer.
    pub took: Duration,
    /// Processor time of the peer meanwhile.
    pub processor_time: Duration,
}

impl PhaseReport {
    /// Calls that neither completed nor were refused with 503.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

impl SignallingReport {
    /// All calls.
    pub fn calls(&self) -> u64 {
        self.phases.iter().map(|phase| phase.calls).sum()
    }

    /// Processor seconds of the peer for 1,000 calls.
    pub fn processor_s_per_1000(&self) -> f64 {
        self.processor_time.as_secs_f64() * 1e3 / self.calls().max(1) as f64
    }
}
