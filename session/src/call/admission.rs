//! Who may have a call now: places for all, a share of them for each direction, rates, what each trunk may
//! have, and whom it may call.
//!
//! ```text
//! inbound:  draining? ─► pressure? ─► places ─► trunk's calls, rate ─► calls a second
//! outbound: draining? ─► pressure? ─► number allowed? ─► places ─► trunk's calls, rate ─► calls a minute
//! ```
//!
//! Where `outbound_calls` sets places aside for calls out, neither direction can take the other's; without it, neither
//! can take the last few. A refused call uses up nothing.

mod trunk_share;

use std::collections::HashMap;
use std::time::Instant;

use crate::agent_session::Direction;
use crate::token_bucket::TokenBucket;
use trunk_share::TrunkShare;

pub use trunk_share::TrunkLimits;

/// The caps that admission holds to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Calls at once, both directions together (1 and up).
    pub calls: u32,
    /// New inbound calls a second (1 and up), with a burst of one second's worth.
    pub calls_per_second: u32,
    /// How many of the places are for outbound calls, and only for them. `None`: both directions take from one pot,
    /// and neither the last [`reserve`](Self::reserve) of it.
    pub outbound_calls: Option<u32>,
    /// Without `outbound_calls`: so many places one direction alone never takes, so that it does not starve the other.
    pub reserve: u32,
    /// New outbound calls a minute, with a burst of one minute's worth.
    pub outbound_calls_per_minute: u32,
    /// What single trunks may have; one that is not here has what there is.
    pub trunks: HashMap<String, TrunkLimits>,
}

/// Why a call is refused right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many calls are up as may be, of all or of its direction.
    CallsAtCap,
    /// Calls come faster than they may.
    RateAtCap,
    /// As many calls of this trunk are up as may be.
    TrunkAtCap,
    /// Calls of this trunk come faster than they may.
    TrunkRateAtCap,
    /// This number may not be called by this trunk.
    NumberNotAllowed,
    /// The machine has more to do than it can.
    Pressure,
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
            Self::CallsAtCap | Self::TrunkAtCap | Self::NoPort => 5,
            Self::Pressure | Self::TrunkRateAtCap => 10,
            Self::Draining => 30,
            // Never; an hour is as near as a number of seconds comes.
            Self::NumberNotAllowed => 3_600,
        }
    }

    /// For metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CallsAtCap => "calls_at_cap",
            Self::RateAtCap => "rate_at_cap",
            Self::TrunkAtCap => "trunk_at_cap",
            Self::TrunkRateAtCap => "trunk_rate_at_cap",
            Self::NumberNotAllowed => "number_not_allowed",
            Self::Pressure => "pressure",
            Self::Draining => "draining",
            Self::NoPort => "no_port",
        }
    }
}

/// Counts calls and the rates at which they come.
#[derive(Debug)]
pub struct Admission {
    limits: AdmissionLimits,
    inbound: u32,
    outbound: u32,
    inbound_rate: TokenBucket,
    outbound_rate: TokenBucket,
    /// Those of the limits; others have none to keep.
    trunks: HashMap<String, TrunkShare>,
    pressed: bool,
    draining: bool,
}

impl Admission {
    /// With nobody in a call.
    #[must_use]
    pub fn new(limits: AdmissionLimits, now: Instant) -> Self {
        let trunks = limits
            .trunks
            .iter()
            .map(|(name, limits)| (name.clone(), TrunkShare::new(limits.clone(), now)))
            .collect();
        Self {
            inbound: 0,
            outbound: 0,
            inbound_rate: TokenBucket::per_second(limits.calls_per_second, now),
            outbound_rate: TokenBucket::per_minute(limits.outbound_calls_per_minute, now),
            trunks,
            pressed: false,
            draining: false,
            limits,
        }
    }

    /// Admits a call that came in by `trunk`, or says why not. Each admitted call must be
    /// [released](Self::release) once.
    ///
    /// # Errors
    /// What stands against it.
    pub fn admit_inbound(&mut self, trunk: &str, now: Instant) -> Result<(), Refusal> {
        self.is_open()?;
        self.take(Direction::Inbound, trunk, now)
    }

    /// Whether a call that has its place may be sent on to `number` by `trunk`: by a redirection, or because
    /// its far end asks for it. It takes no further place, and one call more of what may begin.
    ///
    /// # Errors
    /// The limit that was reached.
    pub fn admit_onward(&mut self, trunk: &str, number: &str, now: Instant) -> Result<(), Refusal> {
        self.is_open()?;
        let share = self.trunks.get_mut(trunk);
        if share.as_ref().is_some_and(|share| !share.allows(number)) {
            return Err(Refusal::NumberNotAllowed);
        }
        if !self.outbound_rate.has(now) {
            return Err(Refusal::RateAtCap);
        }
        if let Some(share) = share {
            share.take_rate(now)?;
        }
        self.outbound_rate.take(now);
        Ok(())
    }

    /// Admits a call to `number` by `trunk`, or says why not. Each admitted call must be
    /// [released](Self::release) once.
    ///
    /// # Errors
    /// What stands against it.
    pub fn admit_outbound(
        &mut self,
        trunk: &str,
        number: &str,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.is_open()?;
        let share = self.trunks.get(trunk);
        if share.is_some_and(|share| !share.allows(number)) {
            return Err(Refusal::NumberNotAllowed);
        }
        self.take(Direction::Outbound, trunk, now)
    }

    /// An admitted call is over.
    pub fn release(&mut self, direction: Direction, trunk: &str) {
        let calls = match direction {
            Direction::Inbound => &mut self.inbound,
            Direction::Outbound => &mut self.outbound,
        };
        debug_assert!(*calls > 0, "released more calls than were admitted");
        *calls = calls.saturating_sub(1);
        if let Some(share) = self.trunks.get_mut(trunk) {
            share.release();
        }
    }

    /// From now on no call is admitted.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Whether the machine has more to do than it can; while it has, no call is admitted.
    pub fn set_pressed(&mut self, pressed: bool) {
        self.pressed = pressed;
    }

    /// Calls that hold a place now.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.inbound + self.outbound
    }

    fn is_open(&self) -> Result<(), Refusal> {
        if self.draining {
            Err(Refusal::Draining)
        } else if self.pressed {
            Err(Refusal::Pressure)
        } else {
            Ok(())
        }
    }

    fn has_place(&self, direction: Direction) -> bool {
        let calls = self.limits.calls;
        match (direction, self.limits.outbound_calls) {
            (Direction::Inbound, Some(set_aside)) => self.inbound < calls.saturating_sub(set_aside),
            (Direction::Outbound, Some(set_aside)) => self.outbound < set_aside.min(calls),
            (Direction::Inbound, None) => self.has_shared_place(self.inbound),
            (Direction::Outbound, None) => self.has_shared_place(self.outbound),
        }
    }

    fn has_shared_place(&self, of_direction: u32) -> bool {
        let calls = self.limits.calls;
        self.calls() < calls && of_direction < calls.saturating_sub(self.limits.reserve)
    }

    /// Each limit is looked at before one is taken from: a call that the trunk may not have takes nothing from
    /// the others.
    fn take(&mut self, direction: Direction, trunk: &str, now: Instant) -> Result<(), Refusal> {
        if !self.has_place(direction) {
            return Err(Refusal::CallsAtCap);
        }
        let (calls, rate) = match direction {
            Direction::Inbound => (&mut self.inbound, &mut self.inbound_rate),
            Direction::Outbound => (&mut self.outbound, &mut self.outbound_rate),
        };
        if !rate.has(now) {
            return Err(Refusal::RateAtCap);
        }
        if let Some(share) = self.trunks.get_mut(trunk) {
            share.take(now)?;
        }
        rate.take(now);
        *calls += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
