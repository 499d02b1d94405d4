//! Who may have a call now: caps on calls and on calls per second.

use std::time::{Duration, Instant};

/// The caps that admission holds to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Calls at once (1 and up).
    pub calls: u32,
    /// New calls a second (1 and up), with a burst of one second's worth.
    pub calls_per_second: u32,
}

/// Why a call is refused right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many calls are up as may be.
    CallsAtCap,
    /// Calls come faster than they may.
    RateAtCap,
    /// The daemon ends; it takes no new calls.
    Draining,
    /// No RTP port is free.
    NoPort,
}

impl Refusal {
    /// What `Retry-After` says with the 503, in seconds.
    #[must_use]
    pub fn retry_after_s(self) -> u32 {
        match self {
            Self::RateAtCap => 1,
            Self::CallsAtCap | Self::NoPort => 5,
            Self::Draining => 30,
        }
    }

    /// For metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CallsAtCap => "calls_at_cap",
            Self::RateAtCap => "rate_at_cap",
            Self::Draining => "draining",
            Self::NoPort => "no_port",
        }
    }
}

/// Counts calls and the rate at which they come.
#[derive(Debug)]
pub struct Admission {
    limits: AdmissionLimits,
    calls: u32,
    draining: bool,
    /// The bucket of calls that may still come, in billionths of a call: whole numbers keep it exact.
    tokens: u64,
    refilled: Instant,
}

const TOKEN: u64 = 1_000_000_000;

impl Admission {
    /// With a full bucket.
    #[must_use]
    pub fn new(limits: AdmissionLimits, now: Instant) -> Self {
        let tokens = u64::from(limits.calls_per_second) * TOKEN;
        Self {
            limits,
            calls: 0,
            draining: false,
            tokens,
            refilled: now,
        }
    }

    /// Admits one call, or says why not. Each admitted call must be [released](Self::release) once.
    ///
    /// # Errors
    /// The cap that was reached.
    pub fn admit(&mut self, now: Instant) -> Result<(), Refusal> {
        self.refill(now);
        if self.draining {
            return Err(Refusal::Draining);
        }
        if self.calls >= self.limits.calls {
            return Err(Refusal::CallsAtCap);
        }
        self.tokens = self.tokens.checked_sub(TOKEN).ok_or(Refusal::RateAtCap)?;
        self.calls += 1;
        Ok(())
    }

    /// An admitted call is over.
    pub fn release(&mut self) {
        debug_assert!(self.calls > 0, "released more calls than were admitted");
        self.calls = self.calls.saturating_sub(1);
    }

    /// From now on no call is admitted.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Calls that hold a place now.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.calls
    }

    fn refill(&mut self, now: Instant) {
        let rate = u64::from(self.limits.calls_per_second);
        let elapsed = now
            .saturating_duration_since(self.refilled)
            .min(Duration::from_secs(1));
        let gained = u64::try_from(elapsed.as_nanos())
            .unwrap_or(TOKEN)
            .saturating_mul(rate);
        self.tokens = self.tokens.saturating_add(gained).min(rate * TOKEN);
        self.refilled = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(calls: u32, calls_per_second: u32) -> (Admission, Instant) {
        let now = Instant::now();
        (
            Admission::new(
                AdmissionLimits {
                    calls,
                    calls_per_second,
                },
                now,
            ),
            now,
        )
    }

    #[test]
    fn a_call_past_the_cap_is_refused_until_one_ends() {
        let (mut admission, now) = admission(2, 100);
        assert_eq!(admission.admit(now), Ok(()));
        assert_eq!(admission.admit(now), Ok(()));
        assert_eq!(admission.admit(now), Err(Refusal::CallsAtCap));
        admission.release();
        assert_eq!(admission.admit(now), Ok(()));
    }

    #[test]
    fn calls_faster_than_the_rate_are_refused_and_the_bucket_fills_again() {
        let (mut admission, now) = admission(1_000, 10);
        for _ in 0..10 {
            assert_eq!(admission.admit(now), Ok(()));
        }
        assert_eq!(admission.admit(now), Err(Refusal::RateAtCap));
        assert_eq!(
            admission.admit(now + Duration::from_millis(99)),
            Err(Refusal::RateAtCap)
        );
        assert_eq!(admission.admit(now + Duration::from_millis(100)), Ok(()));
    }

    #[test]
    fn a_long_quiet_time_saves_up_one_second_of_calls_and_no_more() {
        let (mut admission, now) = admission(1_000, 3);
        let later = now + Duration::from_secs(3_600);
        let admitted = (0..10).filter(|_| admission.admit(later).is_ok()).count();
        assert_eq!(admitted, 3);
    }

    #[test]
    fn draining_refuses_whatever_room_there_is() {
        let (mut admission, now) = admission(10, 10);
        admission.drain();
        assert_eq!(admission.admit(now), Err(Refusal::Draining));
    }
}
