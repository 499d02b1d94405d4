//! Notices that the far end sends nothing any more.

use std::time::{Duration, Instant};

/// Notices when no RTP comes any more; says so again each time that it has gone on for as long, since whoever was told
/// may have had a reason to wait.
#[derive(Debug)]
pub(crate) struct SilenceWatch {
    timeout: Option<Duration>,
    /// When RTP came last, or its absence was told.
    last: Instant,
}

impl SilenceWatch {
    pub(crate) fn new(timeout: Option<Duration>, now: Instant) -> Self {
        Self { timeout, last: now }
    }

    pub(crate) fn heard(&mut self, at: Instant) {
        self.last = self.last.max(at);
    }

    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let Some(timeout) = self.timeout else {
            return false;
        };
        if now.saturating_duration_since(self.last) < timeout {
            return false;
        }
        self.last = now;
        true
    }
}
