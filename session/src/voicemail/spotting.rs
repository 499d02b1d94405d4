//! When it is worth asking which phrases were said: at each pause, every so often while somebody speaks, and soon again
//! when something was heard that is to be heard twice.

use std::time::Duration;

use super::cadence::Cadence;

/// What is shorter holds no phrase.
const SHORTEST: Duration = Duration::from_millis(700);
/// While somebody speaks, the first time and then again after so much more was said.
const FIRST_AFTER: Duration = Duration::from_millis(1_200);
const AGAIN_AFTER: Duration = Duration::from_millis(600);
/// When a phrase was heard once.
const ONCE_MORE_AFTER: Duration = Duration::from_millis(400);
/// A question that is not answered for so long is asked again.
const PATIENCE: Duration = Duration::from_secs(1);

/// The questions so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spotting {
    /// How much was voiced when it was asked last.
    asked_of: Duration,
    /// Since when an answer is waited for.
    waiting_since: Option<Duration>,
    /// When the last question was asked, where its answer is to be heard once more.
    once_more_since: Option<Duration>,
}

impl Spotting {
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting_since.is_some()
    }

    /// Whether there is more to ask about now that nobody speaks.
    pub(super) fn is_due(&self, cadence: &Cadence) -> bool {
        let voiced = cadence
            .quiet_since()
            .map_or(Duration::ZERO, |at| cadence.voiced(at));
        !self.is_waiting() && voiced >= SHORTEST && voiced > self.asked_of
    }

    /// When to ask, if nobody pauses before.
    pub(super) fn next(&self, cadence: &Cadence) -> Option<Duration> {
        if let Some(since) = self.waiting_since {
            return Some(since + PATIENCE);
        }
        if self.is_due(cadence) {
            // It was not asked at the pause itself, since an answer was still waited for.
            return cadence.quiet_since();
        }
        let wanted = FIRST_AFTER.max(self.asked_of + AGAIN_AFTER);
        let once_more = self.once_more_since.map(|since| since + ONCE_MORE_AFTER);
        cadence.reaches(wanted).into_iter().chain(once_more).min()
    }

    pub(super) fn ask(&mut self, cadence: &Cadence, now: Duration) {
        self.once_more_since = None;
        self.asked_of = cadence.voiced(now);
        self.waiting_since = Some(now);
    }

    /// There is an answer, which may be worth asking for once more.
    pub(super) fn answered(&mut self, once_more: bool) {
        let asked = self.waiting_since.take();
        self.once_more_since = asked.filter(|_| once_more);
    }

    /// Waits no longer for an answer that does not come.
    pub(super) fn give_up(&mut self, now: Duration) {
        self.waiting_since.take_if(|since| now >= *since + PATIENCE);
    }
}
