//! The leg's time: slots of 10 ms since its first tick.

use std::time::{Duration, Instant};

/// Counts slots and notices those that went by without a tick.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MediaClock {
    began: Instant,
    running: bool,
    slots: u64,
}

/// One slot.
pub(crate) const SLOT_MS: u64 = 10;

impl MediaClock {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            running: false,
            slots: 0,
        }
    }

    /// A tick came at `now`; answers how many slots were missed before it, in whole packets of
    /// `slots_per_packet`. A tick that is late by less than a packet is only late, so the stream never
    /// strays from the clock by more than that.
    pub(crate) fn tick(&mut self, now: Instant, slots_per_packet: u64) -> u64 {
        if !self.running {
            self.running = true;
            self.began = now;
        }
        let due = self.began + Duration::from_millis(self.slots * SLOT_MS);
        let late_slots = now.saturating_duration_since(due).as_millis() as u64 / SLOT_MS;
        let missed = late_slots / slots_per_packet * slots_per_packet;
        self.slots += missed + 1;
        missed
    }

    /// Media time of the slot that the last tick began, in milliseconds.
    pub(crate) fn slot_ms(&self) -> u64 {
        self.slots.saturating_sub(1) * SLOT_MS
    }

    /// The media time of an instant, in milliseconds.
    pub(crate) fn media_time_ms(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.began).as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leg::tests::virtual_start;

    #[test]
    fn punctual_and_jittery_ticks_miss_nothing() {
        let start = virtual_start();
        let mut clock = MediaClock::new(start);
        for slot in 0..1000u64 {
            let jitter = slot * 7 % 10;
            let now = start + Duration::from_millis(5 + slot * 10 + jitter);
            assert_eq!(clock.tick(now, 2), 0);
            assert_eq!(clock.slot_ms(), slot * 10);
        }
    }

    #[test]
    fn a_late_tick_misses_whole_packets_and_the_clock_catches_up() {
        let start = virtual_start();
        let mut clock = MediaClock::new(start);
        clock.tick(start, 2);
        assert_eq!(
            clock.tick(start + Duration::from_millis(19), 2),
            0,
            "late, not missed"
        );
        assert_eq!(clock.tick(start + Duration::from_millis(75), 2), 4);
        assert_eq!(clock.slot_ms(), 60);
        assert_eq!(clock.tick(start + Duration::from_millis(80), 2), 0);
        assert_eq!(clock.slot_ms(), 70);
    }
}
