//! The four transaction machines of RFC 3261 section 17 with RFC 6026.
//!
//! A machine is told what arrived ([`invite_server::Input`] and its siblings) and answers with one
//! [`Step`]: bytes to send, timers to arm, and whether its user hears of it. It never sees a
//! socket, a clock or the other transactions; [`table`] stores them and [`key`] finds them.
//!
//! ```text
//! request  → key → table → machine ── pass_up ──► endpoint (the transaction user)
//! response → key → table → machine ── transmit ─► flow
//!                               └──── arm ──────► ua_core::timers
//! ```
//!
//! A timer that fires in a state which does not know it is ignored, so nobody ever has to disarm
//! one: each timer is armed once per state, or re-armed by its own firing only.

use std::time::Duration;

pub(crate) mod invite_client;
pub(crate) mod invite_server;
pub(crate) mod key;
pub(crate) mod non_invite_client;
pub(crate) mod non_invite_server;
pub(crate) mod sent_invite;
pub(crate) mod table;

/// The timers of RFC 3261 table 4 and RFC 6026, by their letters. Timer C belongs to proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// INVITE request retransmission, unreliable transport only.
    A,
    /// INVITE transaction timeout.
    B,
    /// Wait for response retransmissions after an INVITE was refused.
    D,
    /// Non-INVITE request retransmission, unreliable transport only.
    E,
    /// Non-INVITE transaction timeout.
    F,
    /// INVITE failure response retransmission, unreliable transport only.
    G,
    /// Wait for the ACK of a failure response.
    H,
    /// Wait for ACK retransmissions.
    I,
    /// Wait for non-INVITE request retransmissions.
    J,
    /// Wait for non-INVITE response retransmissions.
    K,
    /// Wait for retransmissions of an accepted INVITE (RFC 6026).
    L,
    /// Wait for retransmissions and forks of a 2xx to our INVITE (RFC 6026).
    M,
}

/// The base times of RFC 3261 (17.1.1.1 and table 4) from which every timer is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Round-trip time estimate: 500 ms by the RFC.
    pub t1: Duration,
    /// Longest interval between retransmissions of non-INVITE requests and INVITE responses: 4 s.
    pub t2: Duration,
    /// Longest time a message stays in the network: 5 s.
    pub t4: Duration,
    /// Timer D over UDP: at least 32 s.
    pub d: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            d: Duration::from_secs(32),
        }
    }
}

impl Timers {
    /// 64*T1: how long a transaction or an unacknowledged 2xx is given (32 s by default).
    pub fn timeout(&self) -> Duration {
        self.t1 * 64
    }

    /// The interval that follows `interval` where the RFC doubles up to T2.
    pub(crate) fn doubled(&self, interval: Duration) -> Duration {
        (interval * 2).min(self.t2)
    }
}

/// What one machine was made for: its base times and whether its transport retransmits for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The base times.
    pub(crate) timers: Timers,
    /// TCP and TLS: retransmission timers are not armed, waiting timers are zero.
    pub(crate) reliable: bool,
}

impl Pace {
    /// `wait` over UDP, zero over a reliable transport.
    fn unreliable_wait(&self, wait: Duration) -> Duration {
        if self.reliable { Duration::ZERO } else { wait }
    }
}

/// Why a transaction ended without the answer its user wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Timer B, F or H fired.
    TimedOut,
    /// The transport said the message cannot be delivered.
    TransportFailed,
}

/// Everything one input makes a machine want.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// Bytes to send to the transaction's peer.
    pub(crate) transmit: Option<Vec<u8>>,
    /// Timers to arm, each this long from now.
    pub(crate) arm: [Option<(Timer, Duration)>; 2],
    /// The message that caused this step is for the transaction's user.
    pub(crate) pass_up: bool,
    /// The transaction's user must hear of this.
    pub(crate) failure: Option<Failure>,
}

impl Step {
    fn transmit(mut self, bytes: Vec<u8>) -> Self {
        self.transmit = Some(bytes);
        self
    }

    fn arm(mut self, timer: Timer, after: Duration) -> Self {
        let free = self.arm.iter_mut().find(|slot| slot.is_none());
        *free.expect("no state arms more than two timers") = Some((timer, after));
        self
    }

    /// Arms a retransmission timer, which a reliable transport does without.
    fn arm_unless_reliable(self, pace: &Pace, timer: Timer, after: Duration) -> Self {
        if pace.reliable {
            self
        } else {
            self.arm(timer, after)
        }
    }

    fn pass_up(mut self) -> Self {
        self.pass_up = true;
        self
    }

    fn fail(mut self, failure: Failure) -> Self {
        self.failure = Some(failure);
        self
    }
}

#[cfg(test)]
pub(crate) mod test_pace {
    use super::{Pace, Timers};

    pub(crate) fn udp() -> Pace {
        Pace {
            timers: Timers::default(),
            reliable: false,
        }
    }

    pub(crate) fn tcp() -> Pace {
        Pace {
            timers: Timers::default(),
            reliable: true,
        }
    }
}
