//! Notices that the far end sends nothing any more.

use std::time::{Duration, Instant};

/// Notices when no RTP comes any more; says so once each time.
#[derive(Debug)]
pub(crate) struct SilenceWatch {
    timeout: Option<Duration>,
    last: Instant,
    reported: bool,
}

impl SilenceWatch {
    pub(crate) fn new(timeout: Option<Duration>, now: Instant) -> Self {
        Self {
            timeout,
            last: now,
            reported: false,
        }
    }

    pub(crate) fn heard(&mut self, at: Instant) {
        self.last = at;
        self.reported = false;
    }

    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let Some(timeout) = self.timeout else {
            return false;
        };
        if self.reported || now.saturating_duration_since(self.last) < timeout {
            return false;
        }
        self.reported = true;
        true
    }
}
