//! Reliable provisional responses as server (RFC 3262 3): numbered, one at a time, repeated until PRACK.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::{
    invite::Place,
    message::{Headers, Method, Request, Response},
    transaction::table::TransactionId,
    ua_core::{Body, Core, timers::InviteTimer},
};

/// How many may wait for the PRACK of the one before; of more, the newest are left out.
const MAX_WAITING: usize = 4;

/// Whether the caller can acknowledge a 1xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reliability {
    /// It does not say so.
    Unknown,
    /// It can: what carries a description is sent reliably.
    Supported,
    /// It insists: every 1xx is.
    Required,
}

impl Reliability {
    pub(super) fn wanted_by(headers: &Headers) -> Self {
        let names = |header| {
            headers
                .tokens(header)
                .any(|tag| tag.eq_ignore_ascii_case("100rel"))
        };
        if names("Require") {
            Self::Required
        } else if names("Supported") {
            Self::Supported
        } else {
            Self::Unknown
        }
    }
}

/// What was sent reliably, and what waits to be.
#[derive(Debug)]
pub(super) struct ReliableProvisionals {
    reliability: Reliability,
    next_rseq: u32,
    unacknowledged: Option<Unacknowledged>,
    waiting: VecDeque<Response>,
}

#[derive(Debug)]
struct Unacknowledged {
    rseq: u32,
    status: u16,
    bytes: Vec<u8>,
    interval: Duration,
    has_description: bool,
}

impl ReliableProvisionals {
    pub(super) fn new(reliability: Reliability, first_rseq: u32) -> Self {
        Self {
            reliability,
            next_rseq: first_rseq,
            unacknowledged: None,
            waiting: VecDeque::new(),
        }
    }

    /// Whether a 1xx with `body` goes this way.
    pub(super) fn applies_to(&self, body: Option<&Body>) -> bool {
        match self.reliability {
            Reliability::Unknown => false,
            Reliability::Supported => body.is_some(),
            Reliability::Required => true,
        }
    }

    /// Whether the 2xx has to wait for a PRACK.
    pub(super) fn holds_back_success(&self) -> bool {
        let unacknowledged = self.unacknowledged.as_ref();
        unacknowledged.is_some_and(|sent| sent.has_description)
    }

    /// The RSeq whose PRACK is still to come.
    pub(super) fn unacknowledged_rseq(&self) -> Option<u32> {
        self.unacknowledged.as_ref().map(|sent| sent.rseq)
    }

    pub(super) fn waits_for(&self, rseq: u32) -> bool {
        let unacknowledged = self.unacknowledged.as_ref();
        unacknowledged.is_some_and(|sent| sent.rseq == rseq)
    }

    pub(super) fn send(
        &mut self,
        core: &mut Core,
        place: Place,
        transaction: TransactionId,
        mut response: Response,
        now: Instant,
    ) {
        if self.unacknowledged.is_some() {
            if self.waiting.len() < MAX_WAITING {
                self.waiting.push_back(response);
            }
            return;
        }
        let rseq = self.next_rseq;
        self.next_rseq = self.next_rseq.wrapping_add(1).max(1);
        response.headers.push("Require", "100rel");
        response.headers.push("RSeq", rseq.to_string());
        let sent = Unacknowledged {
            rseq,
            status: response.status.as_u16(),
            has_description: !response.body.is_empty(),
            bytes: response.to_bytes(),
            interval: core.config.timers.t1,
        };
        core.respond_bytes(transaction, sent.status, sent.bytes.clone(), now);
        core.arm(
            place.id,
            InviteTimer::RepeatReliable { rseq },
            now + sent.interval,
        );
        let deadline = now + core.config.timers.timeout();
        core.arm(place.id, InviteTimer::PrackDeadline { rseq }, deadline);
        self.unacknowledged = Some(sent);
    }

    /// Sends what waited for the PRACK that came.
    pub(super) fn send_next(
        &mut self,
        core: &mut Core,
        place: Place,
        transaction: TransactionId,
        now: Instant,
    ) {
        if let Some(response) = self.waiting.pop_front() {
            self.send(core, place, transaction, response, now);
        }
    }

    /// Sends the unacknowledged one again; the interval doubles without a ceiling (RFC 3262 3).
    pub(super) fn repeat(
        &mut self,
        core: &mut Core,
        place: Place,
        transaction: TransactionId,
        rseq: u32,
        now: Instant,
    ) {
        let Some(sent) = self
            .unacknowledged
            .as_mut()
            .filter(|sent| sent.rseq == rseq)
        else {
            return;
        };
        sent.interval *= 2;
        core.statistics.retransmissions_sent += 1;
        core.respond_bytes(transaction, sent.status, sent.bytes.clone(), now);
        core.arm(
            place.id,
            InviteTimer::RepeatReliable { rseq },
            now + sent.interval,
        );
    }

    /// Takes a PRACK to the INVITE number `cseq`; says whether what it acknowledges held a description.
    /// `None` when it acknowledges nothing that is open.
    pub(super) fn acknowledged_by(&mut self, prack: &Request, cseq: u32) -> Option<bool> {
        let rack = prack.headers.get("RAck")?;
        let mut parts = rack.split_ascii_whitespace();
        let mut number = || parts.next()?.parse::<u32>().ok();
        let (rseq, named) = (number()?, number()?);
        if named != cseq || parts.next() != Some(Method::Invite.as_str()) {
            return None;
        }
        let sent = self.unacknowledged.take_if(|sent| sent.rseq == rseq)?;
        Some(sent.has_description)
    }
}
