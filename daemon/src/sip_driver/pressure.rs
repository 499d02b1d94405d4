//! Whether this machine has more to do than it can.
//!
//! The kernel says how much of the last ten seconds some work waited for a processor (`/proc/pressure/cpu`). Where
//! it does not, what share of its time the signalling task was at work stands in for it: a task that never rests is
//! behind.

use std::fs;
use std::time::{Duration, Instant};

const FILE: &str = "/proc/pressure/cpu";

/// Compares the pressure with the configured limit, once a second.
#[derive(Debug)]
pub(super) struct Pressure {
    /// In per cent; `None` never looks.
    above: Option<u32>,
    looked: Instant,
    woke: Option<Instant>,
    worked: Duration,
}

impl Pressure {
    pub(super) fn new(above: Option<u32>, now: Instant) -> Self {
        Self {
            above,
            looked: now,
            woke: None,
            worked: Duration::ZERO,
        }
    }

    /// The task begins a turn.
    pub(super) fn woke(&mut self, now: Instant) {
        self.woke = Some(now);
    }

    /// The task has nothing to do.
    pub(super) fn rests(&mut self, now: Instant) {
        if let Some(woke) = self.woke.take() {
            self.worked += now.saturating_duration_since(woke);
        }
    }

    /// Whether the limit is passed now.
    pub(super) fn look(&mut self, now: Instant) -> bool {
        let Some(above) = self.above else {
            return false;
        };
        let of_kernel = fs::read_to_string(FILE).ok();
        self.is_above(above, of_kernel.as_deref(), now)
    }

    fn is_above(&mut self, above: u32, of_kernel: Option<&str>, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.looked).as_secs_f64();
        let worked = std::mem::take(&mut self.worked).as_secs_f64();
        self.looked = now;
        let of_task = if passed > 0.0 {
            worked / passed * 100.0
        } else {
            0.0
        };
        let per_cent = of_kernel.and_then(waited).unwrap_or(of_task);
        per_cent > f64::from(above)
    }
}

/// The ten-second average of `some avg10=1.23 avg60=…`.
fn waited(of_kernel: &str) -> Option<f64> {
    let some = of_kernel
        .lines()
        .find_map(|line| line.strip_prefix("some "))?;
    let average = some
        .split_ascii_whitespace()
        .find_map(|field| field.strip_prefix("avg10="))?;
    average.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_word_decides_where_there_is_one() {
        let now = Instant::now();
        let mut pressure = Pressure::new(Some(50), now);
        let say = |average| {
            format!("some avg10={average} avg60=0.00 avg300=0.00 total=1\nfull avg10=99.00")
        };
        assert!(pressure.is_above(50, Some(&say("50.01")), now));
        assert!(!pressure.is_above(50, Some(&say("50.00")), now));
        pressure.woke(now);
        pressure.rests(now + Duration::from_secs(1));
        assert!(!pressure.is_above(50, Some(&say("3.00")), now + Duration::from_secs(1)));
    }

    #[test]
    fn else_the_share_of_its_time_that_the_task_is_at_work() {
        let now = Instant::now();
        let mut pressure = Pressure::new(Some(50), now);
        let later = now + Duration::from_secs(1);
        pressure.woke(now);
        pressure.rests(now + Duration::from_millis(510));
        assert!(pressure.is_above(50, None, later));
        assert!(!pressure.is_above(50, None, later + Duration::from_secs(1)));
        assert!(!pressure.is_above(50, Some("nonsense"), later));
    }

    #[test]
    fn without_a_limit_nobody_looks() {
        let now = Instant::now();
        assert!(!Pressure::new(None, now).look(now));
    }
}
