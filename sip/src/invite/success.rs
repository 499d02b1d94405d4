//! Our 2xx to an INVITE, repeated until its ACK (RFC 3261 13.3.1.4).
//!
//! The transaction does not do it: a 2xx is acknowledged end to end, so it is repeated end to end,
//! over a reliable transport too. The interval doubles from T1 to T2; after 64*T1 nobody is there.

use std::time::{Duration, Instant};

use crate::ua_core::timers::InviteTimer;
use crate::{message::Response, transaction::table::TransactionId, ua_core::Core};

use super::Place;

/// A 2xx without its ACK.
#[derive(Debug)]
pub(crate) struct UnackedSuccess {
    transaction: TransactionId,
    cseq: u32,
    purpose: Purpose,
    /// Whether it holds an offer, so that its ACK holds the answer.
    awaits_answer: bool,
    bytes: Vec<u8>,
    interval: Duration,
}

/// What the 2xx accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The call.
    Call,
    /// A re-INVITE.
    Reoffer,
}

impl UnackedSuccess {
    /// Sends it the first time.
    pub(crate) fn send(
        core: &mut Core,
        place: Place,
        (transaction, cseq): (TransactionId, u32),
        response: &Response,
        (purpose, awaits_answer): (Purpose, bool),
        now: Instant,
    ) -> Self {
        let bytes = response.to_bytes();
        let interval = core.config.timers.t1;
        core.respond_bytes(transaction, response.status.as_u16(), bytes.clone(), now);
        core.arm(
            place.id,
            InviteTimer::RepeatSuccess { cseq },
            now + interval,
        );
        let deadline = now + core.config.timers.timeout();
        core.arm(place.id, InviteTimer::AckDeadline { cseq }, deadline);
        Self {
            transaction,
            cseq,
            purpose,
            awaits_answer,
            bytes,
            interval,
        }
    }

    /// Sends it again.
    pub(crate) fn repeat(&mut self, core: &mut Core, place: Place, now: Instant) {
        core.statistics.retransmissions_sent += 1;
        core.respond_bytes(self.transaction, 200, self.bytes.clone(), now);
        self.interval = core.config.timers.doubled(self.interval);
        let timer = InviteTimer::RepeatSuccess { cseq: self.cseq };
        core.arm(place.id, timer, now + self.interval);
    }

    pub(crate) fn cseq(&self) -> u32 {
        self.cseq
    }

    pub(crate) fn awaits_answer(&self) -> bool {
        self.awaits_answer
    }

    pub(crate) fn purpose(&self) -> Purpose {
        self.purpose
    }
}
