//! The frame clock: one tick every 10 ms, without drift.

use std::time::{Duration, Instant};

/// The time between ticks.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// What [`FrameClock::advance`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    /// The slot's nominal time: always a whole number of ticks after the clock's start, so that what
    /// counts media time by it does not see the scheduler's jitter.
    pub(crate) at: Instant,
    /// Slots that passed unserved since the tick before.
    pub(crate) missed: u32,
}

/// A grid of ticks. A late wake-up yields one tick, not a burst: the missed slots are counted, and the
/// grid stays where it was.
#[derive(Debug)]
pub(crate) struct FrameClock {
    next: Instant,
}

impl FrameClock {
    pub(crate) fn new(now: Instant) -> Self {
        Self { next: now + TICK }
    }

    /// When the next tick is due.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// The tick that is due at `now`, if one is.
    pub(crate) fn advance(&mut self, now: Instant) -> Option<Tick> {
        let late = now.checked_duration_since(self.next)?;
        let missed = u32::try_from(late.as_nanos() / TICK.as_nanos()).unwrap_or(u32::MAX);
        let at = self.next + TICK * missed;
        self.next = at + TICK;
        Some(Tick { at, missed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_fall_on_a_grid_whatever_the_wake_up_jitter() {
        let start = Instant::now();
        let mut clock = FrameClock::new(start);
        assert_eq!(clock.advance(start + Duration::from_millis(9)), None);
        let tick = clock
            .advance(start + Duration::from_micros(10_700))
            .expect("due");
        assert_eq!(
            tick,
            Tick {
                at: start + TICK,
                missed: 0
            }
        );
        let tick = clock
            .advance(start + Duration::from_micros(20_001))
            .expect("due");
        assert_eq!(
            tick,
            Tick {
                at: start + TICK * 2,
                missed: 0
            }
        );
    }

    #[test]
    fn a_late_wake_up_yields_one_tick_and_counts_the_missed_slots() {
        let start = Instant::now();
        let mut clock = FrameClock::new(start);
        let tick = clock
            .advance(start + Duration::from_millis(45))
            .expect("due");
        assert_eq!(
            tick,
            Tick {
                at: start + TICK * 4,
                missed: 3
            }
        );
        assert_eq!(clock.next(), start + TICK * 5);
        assert_eq!(clock.advance(start + Duration::from_millis(46)), None);
    }
}
