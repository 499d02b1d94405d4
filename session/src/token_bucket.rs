//! How much may come in a time, with room for a burst.

use std::time::{Duration, Instant};

/// A bucket that fills at a steady rate and is taken from one at a time. Whole numbers keep it exact.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    /// What flows in each nanosecond, in the bucket's unit.
    rate: u64,
    /// One token in that unit.
    token: u64,
    burst: u64,
    tokens: u64,
    refilled: Instant,
}

impl TokenBucket {
    /// A full bucket of `burst` that gains `rate` every `per`, which is whole seconds (1 to 3,600).
    #[must_use]
    pub fn new(rate: u32, per: Duration, burst: u32, now: Instant) -> Self {
        let token = per.as_secs().clamp(1, 3_600) * 1_000_000_000;
        let burst = u64::from(burst).saturating_mul(token);
        Self {
            rate: u64::from(rate),
            token,
            burst,
            tokens: burst,
            refilled: now,
        }
    }

    /// `rate` a second, and as much in a burst.
    #[must_use]
    pub fn per_second(rate: u32, now: Instant) -> Self {
        Self::new(rate, Duration::from_secs(1), rate, now)
    }

    /// `rate` a minute, and as much in a burst.
    #[must_use]
    pub fn per_minute(rate: u32, now: Instant) -> Self {
        Self::new(rate, Duration::from_secs(60), rate, now)
    }

    /// Takes one; `false` when there is none.
    pub fn take(&mut self, now: Instant) -> bool {
        let has = self.has(now);
        if has {
            self.tokens -= self.token;
        }
        has
    }

    /// Whether one could be taken.
    pub fn has(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.tokens >= self.token
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.refilled);
        let elapsed_ns = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let gained = elapsed_ns.saturating_mul(self.rate);
        self.tokens = self.tokens.saturating_add(gained).min(self.burst);
        self.refilled = self.refilled.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_faster_than_the_rate_is_refused_and_the_bucket_fills_again() {
        let now = Instant::now();
        let mut bucket = TokenBucket::per_second(10, now);
        assert!((0..10).all(|_| bucket.take(now)));
        assert!(!bucket.take(now));
        assert!(!bucket.take(now + Duration::from_millis(99)));
        assert!(bucket.take(now + Duration::from_millis(100)));
    }

    #[test]
    fn a_long_quiet_time_saves_up_one_burst_and_no_more() {
        let now = Instant::now();
        let mut bucket = TokenBucket::per_second(3, now);
        let later = now + Duration::from_secs(3_600 * 24 * 365);
        assert_eq!((0..10).filter(|_| bucket.take(later)).count(), 3);
    }

    #[test]
    fn looking_often_loses_nothing() {
        let now = Instant::now();
        let mut bucket = TokenBucket::per_minute(1, now);
        assert!(bucket.take(now));
        for ns in 0..1_000 {
            assert!(!bucket.has(now + Duration::from_nanos(ns)));
        }
        assert!(bucket.take(now + Duration::from_secs(60)));
    }

    #[test]
    fn a_rate_of_nothing_lets_nothing_by() {
        let now = Instant::now();
        let mut bucket = TokenBucket::per_minute(0, now);
        assert!(!bucket.take(now + Duration::from_secs(3_600)));
    }
}
