//! When reports are due (RFC 3550 sections 6.2 and 6.3).
//!
//! The interval is the larger of five seconds and what keeps RTCP within a twentieth of the session's bandwidth. A
//! call has two members, who both send, and packets of some 130 bytes on the wire: even Opus at its lowest bitrate
//! leaves room for one each 3.5 s. So for us it is five seconds always, and bandwidth is not asked for.

use std::time::{Duration, Instant};

/// Before the random factor (section 6.2).
const MINIMUM_INTERVAL: Duration = Duration::from_secs(5);
/// e - 3/2: what reconsideration adds to the interval on the average (section 6.3.1).
const COMPENSATION: f64 = std::f64::consts::E - 1.5;

/// Says when a report is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    draws: Draws,
    previous: Instant,
    due: Instant,
    begun: bool,
}

impl Schedule {
    /// The first report is due after half an interval.
    pub(super) fn new(seed: u64, now: Instant) -> Self {
        let mut schedule = Self {
            draws: Draws(seed),
            previous: now,
            due: now,
            begun: false,
        };
        schedule.due = now + schedule.interval();
        schedule
    }

    /// Whether a report is to be sent at `now`. When its time has come the interval is drawn once more, and a longer
    /// one is waited for (section 6.3.6), so that members who began together drift apart.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        if now < self.due {
            return false;
        }
        self.due = self.previous + self.interval();
        self.due <= now
    }

    /// A report was sent.
    pub(super) fn sent(&mut self, now: Instant) {
        self.begun = true;
        self.previous = now;
        self.due = now + self.interval();
    }

    /// A report has to go out at once.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.previous = now.checked_sub(MINIMUM_INTERVAL * 2).unwrap_or(now);
        self.due = now;
    }

    fn interval(&mut self) -> Duration {
        let whole = if self.begun {
            MINIMUM_INTERVAL
        } else {
            MINIMUM_INTERVAL / 2
        };
        whole.mul_f64((0.5 + self.draws.share()) / COMPENSATION)
    }
}

/// Numbers that follow from a seed (SplitMix64).
#[derive(Clone, Copy, Debug)]
pub(super) struct Draws(pub(super) u64);

impl Draws {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leg::tests::virtual_start;

    /// The gaps between `count` reports, asked about every 10 ms; the first is from the beginning.
    fn gaps(seed: u64, count: usize) -> Vec<Duration> {
        let mut now = virtual_start();
        let mut schedule = Schedule::new(seed, now);
        let mut gaps = Vec::new();
        let mut previous = now;
        while gaps.len() < count {
            now += Duration::from_millis(10);
            if schedule.is_due(now) {
                schedule.sent(now);
                gaps.push(now - previous);
                previous = now;
            }
        }
        gaps
    }

    fn within(gap: &Duration, whole_ms: f64) -> bool {
        let factor = gap.as_secs_f64() * 1_000.0 / whole_ms;
        // A tick late, at the most.
        (0.5 / COMPENSATION..=1.5 / COMPENSATION + 10.0 / whole_ms).contains(&factor)
    }

    #[test]
    fn reports_are_five_seconds_apart_on_the_average_and_the_first_comes_after_half_of_that() {
        let all: Vec<_> = (0..200).map(|seed| gaps(seed, 20)).collect();
        assert!(all.iter().all(|gaps| within(&gaps[0], 2_500.0)));
        assert!(
            all.iter()
                .flat_map(|gaps| &gaps[1..])
                .all(|gap| within(gap, 5_000.0))
        );
        let mean = |gaps: Vec<&Duration>| {
            gaps.iter().map(|gap| gap.as_secs_f64()).sum::<f64>() / gaps.len() as f64
        };
        let first = mean(all.iter().map(|gaps| &gaps[0]).collect());
        let later = mean(all.iter().flat_map(|gaps| &gaps[1..]).collect());
        assert!((2.3..2.7).contains(&first), "{first}");
        assert!((4.8..5.2).contains(&later), "{later}");
    }

    #[test]
    fn two_seeds_do_not_send_together() {
        assert_ne!(gaps(1, 5), gaps(2, 5));
        assert_eq!(gaps(1, 5), gaps(1, 5));
    }

    #[test]
    fn a_hurried_report_goes_out_whatever_is_drawn() {
        let now = virtual_start() + Duration::from_secs(60);
        for seed in 0..100 {
            let mut schedule = Schedule::new(seed, now);
            schedule.hurry(now);
            assert!(schedule.is_due(now));
        }
    }
}
