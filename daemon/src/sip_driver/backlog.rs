//! Whether datagrams come faster than they are worked off.
//!
//! A queue that is never empty only grows older: soon each message in it is answered so late that its sender has
//! repeated it (RFC 3261 17.1.1.2: after half a second), the repetitions queue up too, and nobody is served any more.
//! So new calls are refused before that, for as long as it takes to see the end of the queue.

use std::time::{Duration, Instant};

/// So long the sockets may go without being empty. Less than the half second after which senders repeat, more than a
/// busy machine's hiccup takes to be made up for.
const PATIENCE: Duration = Duration::from_millis(200);
/// How often this is said, at most.
const SAID_AGAIN: Duration = Duration::from_secs(10);

/// Since when datagrams have waited.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    since: Option<Instant>,
    behind: bool,
    said: Option<Instant>,
}

impl Backlog {
    /// Whether new calls are to be refused.
    pub(super) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Notes whether the last look left the sockets empty.
    pub(super) fn note(&mut self, emptied: bool, now: Instant) {
        if emptied {
            self.since = None;
            self.behind = false;
            return;
        }
        let since = *self.since.get_or_insert(now);
        self.behind = now.saturating_duration_since(since) >= PATIENCE;
        let is_behind = self.behind;
        let is_news = |said: Instant| now.saturating_duration_since(said) >= SAID_AGAIN;
        if is_behind && self.said.is_none_or(is_news) {
            tracing::warn!(
                "SIP messages come faster than they are worked off: new calls are refused meanwhile"
            );
            self.said = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(backlog: &mut Backlog, emptied: bool, now: Instant) -> bool {
        backlog.note(emptied, now);
        backlog.is_behind()
    }

    #[test]
    fn only_a_queue_that_is_not_emptied_for_long_is_behind_and_only_until_it_is() {
        let mut backlog = Backlog::default();
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        assert!(!behind(&mut backlog, false, after(0)));
        assert!(!behind(&mut backlog, false, after(199)));
        assert!(behind(&mut backlog, false, after(200)));
        assert!(behind(&mut backlog, false, after(900)));
        assert!(!behind(&mut backlog, true, after(901)));
        assert!(!behind(&mut backlog, false, after(902)));
        assert!(!behind(&mut backlog, false, after(1_101)));
        assert!(behind(&mut backlog, false, after(1_102)));
    }
}
