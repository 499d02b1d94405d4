//! The silence wake-up: how long nobody has said anything, and what follows.

use std::time::Duration;

use tokio::time::Instant;

/// What a silence leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// The agent is woken.
    WakeUp,
    /// It was woken often enough.
    End,
}

/// One deadline, never two: it runs from the end of playback or the caller's last words, whichever is
/// later, and stands still while the conversation is busy.
#[derive(Debug)]
pub(super) struct SilenceTimer {
    after: Option<Duration>,
    repeat: u32,
    fired: u32,
    ended: bool,
    /// Since when nothing was said; `None` until the wake-up is first armed.
    quiet_since: Option<Instant>,
    suspended: bool,
}

impl SilenceTimer {
    pub(super) fn new(after: Option<Duration>, repeat: u32) -> Self {
        Self {
            after,
            repeat,
            fired: 0,
            ended: false,
            quiet_since: None,
            suspended: false,
        }
    }

    /// Changes the wake-up; the time runs anew from `now` where it was armed.
    pub(super) fn set(&mut self, after: Option<Duration>, now: Instant) {
        self.after = after;
        self.restart(now);
    }

    /// The conversation began: armed, unless it is already.
    pub(super) fn arm(&mut self, now: Instant) {
        self.quiet_since.get_or_insert(now);
    }

    /// Playback ended, or a callback that may have spoken returned: the time runs anew.
    pub(super) fn restart(&mut self, now: Instant) {
        if let Some(since) = &mut self.quiet_since {
            *since = now;
        }
    }

    /// The caller said or pressed something: the time runs anew and wake-ups count from none.
    pub(super) fn caller_was_heard(&mut self, now: Instant) {
        self.fired = 0;
        self.ended = false;
        self.restart(now);
    }

    /// Stands still while `suspended`; what passed meanwhile counts, so noise refreshes nothing.
    pub(super) fn suspend(&mut self, suspended: bool) {
        self.suspended = suspended;
    }

    pub(super) fn stop(&mut self) {
        self.quiet_since = None;
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.suspended || self.ended {
            return None;
        }
        Some(self.quiet_since? + self.after?)
    }

    /// What is due, if anything is; armed again from `now`.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Silence> {
        if self.poll_timeout().is_none_or(|deadline| now < deadline) {
            return None;
        }
        self.restart(now);
        if self.fired < self.repeat {
            self.fired += 1;
            return Some(Silence::WakeUp);
        }
        self.ended = true;
        Some(Silence::End)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAKE_UP: Duration = Duration::from_secs(8);

    fn armed() -> (SilenceTimer, Instant) {
        let now = Instant::now();
        let mut timer = SilenceTimer::new(Some(WAKE_UP), 2);
        assert_eq!(timer.poll_timeout(), None, "not before it is armed");
        timer.arm(now);
        (timer, now)
    }

    #[tokio::test(start_paused = true)]
    async fn it_fires_twice_and_then_ends_once() {
        let (mut timer, mut now) = armed();
        let mut fired = Vec::new();
        while let Some(deadline) = timer.poll_timeout() {
            assert_eq!(deadline, now + WAKE_UP);
            now = deadline;
            fired.extend(timer.take_due(now));
        }
        assert_eq!(fired, [Silence::WakeUp, Silence::WakeUp, Silence::End]);
    }

    #[tokio::test(start_paused = true)]
    async fn words_begin_the_count_anew() {
        let (mut timer, now) = armed();
        assert_eq!(timer.take_due(now + WAKE_UP), Some(Silence::WakeUp));
        timer.caller_was_heard(now + WAKE_UP * 2);
        assert_eq!(timer.poll_timeout(), Some(now + WAKE_UP * 3));
        assert_eq!(timer.take_due(now + WAKE_UP * 3), Some(Silence::WakeUp));
        assert_eq!(timer.take_due(now + WAKE_UP * 4), Some(Silence::WakeUp));
        assert_eq!(timer.take_due(now + WAKE_UP * 5), Some(Silence::End));
    }

    #[tokio::test(start_paused = true)]
    async fn a_suspended_timer_shows_no_deadline_and_keeps_its_start() {
        let (mut timer, now) = armed();
        timer.suspend(true);
        assert_eq!(timer.poll_timeout(), None);
        assert_eq!(timer.take_due(now + WAKE_UP * 9), None);
        timer.suspend(false);
        assert_eq!(timer.poll_timeout(), Some(now + WAKE_UP));
    }

    #[tokio::test(start_paused = true)]
    async fn arming_twice_makes_one_deadline() {
        let (mut timer, now) = armed();
        timer.arm(now + Duration::from_secs(3));
        assert_eq!(timer.poll_timeout(), Some(now + WAKE_UP));
    }
}
