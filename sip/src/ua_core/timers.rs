//! Every timer of the endpoint in one heap.
//!
//! Nothing is taken out when it loses its meaning: whoever owned a timer ignores it (see [`crate::transaction`]), so
//! arming is one push and firing one pop.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    time::Instant,
};

use crate::{
    identifiers::{InviteId, ReferralId, RegistrationId},
    transaction::{Timer, table::TransactionId},
};

/// The timers of a usage. Those about one INVITE carry its CSeq number, so that one which outlived
/// its INVITE is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InviteTimer {
    /// Say again that it rings (RFC 3261 13.3.1.1).
    RepeatProvisional,
    /// Send the reliable 1xx again (RFC 3262 3).
    RepeatReliable {
        /// Its RSeq.
        rseq: u32,
    },
    /// The reliable 1xx was never acknowledged.
    PrackDeadline {
        /// Its RSeq.
        rseq: u32,
    },
    /// Send the 2xx again (RFC 3261 13.3.1.4).
    RepeatSuccess {
        /// Which.
        cseq: u32,
    },
    /// The 2xx was never acknowledged.
    AckDeadline {
        /// Which.
        cseq: u32,
    },
    /// The far end said nothing for too long while ringing.
    RingLimit,
    /// Nothing at all came back from the flow that was tried.
    Silence {
        /// Of the INVITE that was sent there.
        cseq: u32,
    },
    /// Nobody said where to go after a redirection.
    FollowDeadline {
        /// Of the INVITE that was redirected.
        cseq: u32,
    },
    /// The session has to be refreshed, or was not (RFC 4028).
    Session {
        /// Each refresh arms the timer anew under the next number.
        generation: u32,
    },
    /// CANCEL had no effect on the INVITE (RFC 3261 9.1).
    CancelDeadline,
    /// A re-INVITE was heard and never answered.
    ReinviteDeadline {
        /// Which.
        cseq: u32,
    },
    /// The wait after 491 is over (RFC 3261 14.1).
    GlareOver {
        /// Of the re-INVITE that was refused.
        cseq: u32,
    },
}

/// Who hears of a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// A client transaction.
    Client(TransactionId, Timer),
    /// A server transaction.
    Server(TransactionId, Timer),
    /// An INVITE usage.
    Invite(InviteId, InviteTimer),
    /// A registration, under the number of its arming.
    Registration(RegistrationId, u32),
    /// A REFER of ours whose outcome was not told in time.
    Referral(ReferralId),
}

/// The heap, earliest first; timers for one instant fire in the order they were armed.
///
/// Timers of half an hour (RFC 4028) would heap up behind calls of a minute, so the queue is swept whenever it has
/// doubled.
#[derive(Debug)]
pub(crate) struct TimerQueue {
    heap: BinaryHeap<Reverse<Entry>>,
    armed: u64,
    /// How long it is when it is swept next.
    sweep_at: usize,
}

/// So few are not worth a look.
const SWEEP_FROM: usize = 4_096;

impl Default for TimerQueue {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            armed: 0,
            sweep_at: SWEEP_FROM,
        }
    }
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    order: u64,
    alarm: Alarm,
}

impl TimerQueue {
    pub(crate) fn arm(&mut self, alarm: Alarm, at: Instant) {
        self.armed += 1;
        self.heap.push(Reverse(Entry {
            at,
            order: self.armed,
            alarm,
        }));
    }

    /// The earliest instant at which something fires.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// The earliest timer that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Alarm> {
        if self.next_at()? > now {
            return None;
        }
        let alarm = self.heap.pop().map(|Reverse(entry)| entry.alarm);
        // A burst's room is not kept through the quiet hours after it.
        if self.heap.capacity() > 1_024 && self.heap.len() < self.heap.capacity() / 8 {
            self.heap.shrink_to(self.heap.len() * 2);
            self.sweep_at = SWEEP_FROM.max(self.heap.len() * 2);
        }
        alarm
    }

    /// Whether it has doubled since it was swept last.
    pub(crate) fn wants_sweeping(&self) -> bool {
        self.heap.len() >= self.sweep_at
    }

    /// Drops the timers that would fire for nobody.
    pub(crate) fn sweep(&mut self, mut is_live: impl FnMut(Alarm) -> bool) {
        self.heap.retain(|Reverse(entry)| is_live(entry.alarm));
        self.heap.shrink_to(self.heap.len() * 2);
        self.sweep_at = SWEEP_FROM.max(self.heap.len() * 2);
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
