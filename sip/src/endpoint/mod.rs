//! The one front door of this crate.
//!
//! ```text
//! handle_datagram → parse → dispatch ─► server transaction ─► invite usage ─► Output::Event
//!                        └► responses ► client transaction ─┘
//! verbs (ring, accept, bye, …) ────────► invite usage ─► transaction ─► Output::Transmit
//! handle_timeout ► timers ► transaction or usage
//! ```
//!
//! The caller hands in datagrams, commands and the time, and drains [`Endpoint::poll_output`] after
//! each call. Which calls to take, what to say and where a name resolves to are the caller's.

mod dispatch;
mod expiry;
mod reception;
mod refusals;
mod responses;
mod trunks;

use std::time::Instant;

pub use reception::Reception;

pub use crate::{
    flow::{Flow, Transport},
    identifiers::{InviteId, ProbeId, ReferralId, RegistrationId},
    ua_core::{
        Body, EndCause, EndpointConfig, EndpointStatistics, Event, ExtraHeaders, FlowFailure,
        HostPort, Limits, Misuse, OutgoingInvite, OutgoingRefer, Output, Overloaded, ReferralNews,
        RegistrationEvent, RegistrationFailure, RegistrationPlan, SessionTimerPolicy, Timers,
    },
};

use crate::{
    dialog::DialogId,
    digest::Credentials,
    identifiers::{SeededMap, give_back_room},
    invite::{Invite, Place},
    message::{StatusCode, Uri},
    registration::Registration,
    ua_core::Core,
};

/// Every transaction, dialog and call of one SIP user agent.
#[derive(Debug)]
pub struct Endpoint {
    core: Core,
    invites: SeededMap<InviteId, Invite>,
    invites_made: u64,
    registrations: SeededMap<RegistrationId, Registration>,
    /// How many registrations and probes there have been.
    trunk_requests_made: u64,
    draining: bool,
    shedding: bool,
}

impl Endpoint {
    /// An endpoint without calls. All its tags, branches and Call-IDs come from `seed`, which must
    /// be random where strangers can reach it: who knows it can forge requests inside dialogs.
    pub fn new(config: EndpointConfig, seed: u64) -> Self {
        let core = Core::new(config, seed);
        let invites = core.identifiers.map();
        let registrations = core.identifiers.map();
        Self {
            core,
            invites,
            registrations,
            trunk_requests_made: 0,
            invites_made: 0,
            draining: false,
            shedding: false,
        }
    }

    /// What leaves next; to be drained after each other call.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.core.outputs.pop_front();
        if self.core.outputs.is_empty() {
            self.core.outputs.shrink_to(256);
        }
        output
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; `None` when nothing waits.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.core.timers.next_at()
    }

    /// Takes what arrived on `flow`: a datagram, or one whole message of a stream
    /// ([`StreamFramer`](crate::message::StreamFramer) cuts it). Anything may arrive: what is no SIP
    /// message is counted and dropped, what is a damaged request is refused. What it was taken for is for who
    /// watches its source.
    pub fn handle_datagram(&mut self, flow: Flow, bytes: &[u8], now: Instant) -> Reception {
        self.core.statistics.datagrams += 1;
        if self.core.outputs.len() >= self.core.config.limits.outputs {
            self.core.statistics.backlog_drops += 1;
            return Reception::Dropped;
        }
        self.take_datagram(flow, bytes, now)
    }

    /// Answers a request 403 and keeps nothing for it; `false` where nothing was sent. For who may not speak
    /// to us and is to know it: an address that may be forged gets one datagram, no longer than its own, and
    /// none for what is damaged, a response or an ACK.
    pub fn forbid(&mut self, flow: Flow, bytes: &[u8]) -> bool {
        self.core.outputs.len() < self.core.config.limits.outputs
            && self.forbid_request(flow, bytes)
    }

    /// Says what challenges to our requests inside an incoming call are answered with (RFC 3261 22.2 and
    /// 22.3): its BYE, re-INVITE, REFER and the others. An outgoing call has its own with it.
    ///
    /// # Errors
    /// [`Misuse`] when the call is not an unanswered incoming one.
    pub fn set_credentials(
        &mut self,
        id: InviteId,
        credentials: Credentials,
    ) -> Result<(), Misuse> {
        self.command(id, |invite, _| invite.set_credentials(credentials))
    }

    /// Answers an incoming call with 101 to 199. The first one should leave at once: some carriers give up
    /// after 5 s without it.
    ///
    /// One with a description is sent reliably where the caller can acknowledge it, any one where it
    /// insists (RFC 3262): repeated until its PRACK ([`Event::Acknowledged`]), and the next waits for that;
    /// after 64*T1 without one the call ends with [`EndCause::PrackTimeout`]. Others are repeated each
    /// minute.
    ///
    /// # Errors
    /// [`Misuse`] when the call is not an unanswered incoming one or `status` is another.
    pub fn ring(
        &mut self,
        id: InviteId,
        status: StatusCode,
        body: Option<Body>,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> Result<(), Misuse> {
        if !matches!(status.as_u16(), 101..=199) {
            return Err(Misuse::WrongStatus(status.as_u16()));
        }
        check_extra(extra)?;
        self.command(id, |invite, core| {
            invite.ring(core, status, body, extra, now)
        })
    }

    /// Answers an incoming call with 200, once the PRACK of a 1xx with a description has come. It
    ///  is repeated until its ACK arrives
    /// ([`Event::Confirmed`]) or, after 64*T1, the call ends with BYE and
    /// [`EndCause::AckTimeout`]. Without `body` the call has no media.
    ///
    /// # Errors
    /// [`Misuse`] when the call is not an unanswered incoming one.
    pub fn accept(
        &mut self,
        id: InviteId,
        body: Option<Body>,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> Result<(), Misuse> {
        check_extra(extra)?;
        self.command(id, |invite, core| invite.accept(core, body, extra, now))
    }

    /// Refuses an incoming call with 300 to 699; [`Event::Ended`] follows at once.
    ///
    /// # Errors
    /// [`Misuse`] when the call is not an unanswered incoming one or `status` is another.
    pub fn reject(
        &mut self,
        id: InviteId,
        status: StatusCode,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> Result<(), Misuse> {
        check_refusal(status)?;
        check_extra(extra)?;
        self.command(id, |invite, core| invite.reject(core, status, extra, now))
    }

    /// Refuses an incoming call with 300 to 699, once and with nothing kept for it: for who has not shown
    /// who it is (RFC 3261 26.3.2.4). The answer is not repeated, whoever it is lost to asks again, and its
    /// ACK is absorbed. Where [`Event::Incoming`] is answered so before more output is polled, 100 does not
    /// leave either: a forged source is sent one message. A call that was rung is refused as by
    /// [`reject`](Self::reject).
    ///
    /// # Errors
    /// [`Misuse`] when the call is not an unanswered incoming one or `status` is another.
    pub fn reject_once(
        &mut self,
        id: InviteId,
        status: StatusCode,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> Result<(), Misuse> {
        check_refusal(status)?;
        check_extra(extra)?;
        self.command(id, |invite, core| {
            invite.reject_once(core, status, extra, now)
        })
    }

    /// Ends a call: an established one with BYE, which as callee waits for the ACK (RFC 3261 15),
    /// an outgoing unanswered one with CANCEL. Again is no error while the call is ending.
    ///
    /// # Errors
    /// [`Misuse`] when the call is an unanswered incoming one ([`reject`](Self::reject) it).
    pub fn bye(
        &mut self,
        id: InviteId,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> Result<(), Misuse> {
        check_extra(extra)?;
        self.command(id, |invite, core| invite.bye(core, extra, now))
    }

    /// Accepts the re-INVITE of [`Event::Reoffer`]; its 200 is repeated until the ACK.
    ///
    /// # Errors
    /// [`Misuse`] when no re-INVITE waits.
    pub fn accept_reoffer(
        &mut self,
        id: InviteId,
        body: Option<Body>,
        now: Instant,
    ) -> Result<(), Misuse> {
        self.command(id, |invite, core| invite.accept_reoffer(core, body, now))
    }

    /// Refuses the re-INVITE of [`Event::Reoffer`] with 300 to 699; the call stays as it was.
    ///
    /// # Errors
    /// [`Misuse`] when no re-INVITE waits or `status` is another.
    pub fn reject_reoffer(
        &mut self,
        id: InviteId,
        status: StatusCode,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> Result<(), Misuse> {
        check_refusal(status)?;
        check_extra(extra)?;
        self.command(id, |invite, core| {
            invite.reject_reoffer(core, status, extra, now)
        })
    }

    /// Sends a re-INVITE with an offer, a new one or (for [`Event::RefreshDue`]) the one that stands. 491 is
    /// retried after the wait of RFC 3261 14.1.
    ///
    /// # Errors
    /// [`Misuse`] when the call is not established or another offer is open.
    pub fn reoffer(&mut self, id: InviteId, body: Body, now: Instant) -> Result<(), Misuse> {
        self.command(id, |invite, core| invite.reoffer(core, body, now))
    }

    /// Sends an INFO; [`Event::InfoAnswered`] tells what came of it, unless the call ends before.
    ///
    /// # Errors
    /// [`Misuse`] when the call is not established.
    pub fn info(&mut self, id: InviteId, body: Body, now: Instant) -> Result<(), Misuse> {
        self.command(id, |invite, core| invite.info(core, body, now))
    }

    /// Asks the far end to call somebody else (RFC 3515). [`Event::Referral`] tells what comes of it, the
    /// last time within `refer.timeout`, also when the call ends before.
    ///
    /// # Errors
    /// [`Misuse`] when the call is not established, or four REFERs of it are open.
    pub fn refer(
        &mut self,
        id: InviteId,
        refer: &OutgoingRefer,
        now: Instant,
    ) -> Result<ReferralId, Misuse> {
        let mut refer = refer.clone();
        refer.extra.retain(|(name, _)| !is_reserved(name));
        self.with_invite(id, |invite, core| invite.refer(core, &refer, now))
            .unwrap_or(Err(Misuse::UnknownInvite))
    }

    /// Accepts the REFER of [`Event::Referred`]: 202, and a NOTIFY that it is tried.
    ///
    /// # Errors
    /// [`Misuse`] when no REFER waits.
    pub fn accept_refer(&mut self, id: InviteId, now: Instant) -> Result<(), Misuse> {
        self.command(id, |invite, core| invite.accept_refer(core, now))
    }

    /// Refuses the REFER of [`Event::Referred`] with 300 to 699.
    ///
    /// # Errors
    /// [`Misuse`] when no REFER waits or `status` is another.
    pub fn reject_refer(
        &mut self,
        id: InviteId,
        status: StatusCode,
        now: Instant,
    ) -> Result<(), Misuse> {
        check_refusal(status)?;
        self.command(id, |invite, core| invite.reject_refer(core, status, now))
    }

    /// Tells the far end how the call that its REFER asked for is getting on; a final `status` is the last
    /// news. A BYE of ours waits until that was answered.
    ///
    /// # Errors
    /// [`Misuse`] when the REFER is not accepted yet.
    pub fn notify_refer(
        &mut self,
        id: InviteId,
        status: StatusCode,
        now: Instant,
    ) -> Result<(), Misuse> {
        self.command(id, |invite, core| invite.notify_refer(core, status, now))
    }

    /// Sends an INVITE.
    ///
    /// # Errors
    /// [`Overloaded`] when a bound of [`Limits`] is reached.
    ///
    /// # Panics
    /// When the call names no flow.
    pub fn invite(&mut self, call: OutgoingInvite, now: Instant) -> Result<InviteId, Overloaded> {
        let limits = self.core.config.limits;
        if self.invites.len() >= limits.invites
            || self.core.live_transactions() >= limits.transactions
        {
            return Err(Overloaded);
        }
        let id = self.next_invite_id();
        let half = DialogId {
            call_id: self.core.identifiers.call_id(),
            local_tag: self.core.identifiers.tag(),
            remote_tag: String::new(),
        };
        let flow = *call.flows.first().expect("an INVITE goes somewhere");
        let mut call = call;
        call.extra.retain(|(name, _)| !is_reserved(name));
        let invite = Invite::outgoing(&mut self.core, Place { id, flow }, call, half, now);
        self.invites.insert(id, invite);
        Ok(id)
    }

    /// Gives up an outgoing call that is not answered yet. CANCEL, with the headers of `extra` (a `Reason`,
    /// RFC 3326), is held back until a 1xx; a 200 that crosses it is acknowledged and ended with BYE.
    /// [`EndCause::Cancelled`] follows.
    ///
    /// # Errors
    /// [`Misuse`] when the call is not an unanswered outgoing one.
    pub fn cancel(
        &mut self,
        id: InviteId,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> Result<(), Misuse> {
        check_extra(extra)?;
        self.command(id, |invite, core| invite.cancel(core, extra, now))
    }

    /// Sends the INVITE of [`Event::Redirected`] to `target`, which `flows` lead to, best first. Without it
    /// the call ends after 64*T1.
    ///
    /// # Errors
    /// [`Misuse`] when no redirection waits, or there is no flow.
    pub fn follow(
        &mut self,
        id: InviteId,
        target: Uri,
        flows: Vec<Flow>,
        now: Instant,
    ) -> Result<(), Misuse> {
        self.command(id, |invite, core| invite.follow(core, target, flows, now))
    }

    /// Answers the offer of an [`Event::Provisional`] that wants an answer; the PRACK carries it.
    ///
    /// # Errors
    /// [`Misuse`] when none waits.
    pub fn answer_early(&mut self, id: InviteId, body: Body, now: Instant) -> Result<(), Misuse> {
        self.command(id, |invite, core| invite.answer_early(core, body, now))
    }

    /// Sends the ACK for an [`Event::Answered`] whose 2xx holds an offer, with the answer.
    ///
    /// # Errors
    /// [`Misuse`] when it was sent already.
    pub fn confirm(&mut self, id: InviteId, body: Option<Body>) -> Result<(), Misuse> {
        self.command(id, |invite, core| invite.confirm(core, body))
    }

    /// While draining, OPTIONS outside a dialog is answered 503 with `Retry-After`, so that trunks
    /// which ping us send their calls elsewhere; calls go on.
    pub fn set_draining(&mut self, draining: bool) {
        self.draining = draining;
    }

    /// While shedding, new calls are answered 503 with `Retry-After` and nothing is kept for them; what
    /// belongs to a call or a transaction goes on.
    pub fn set_shedding(&mut self, shedding: bool) {
        self.shedding = shedding;
    }

    /// What it has seen and holds.
    pub fn statistics(&self) -> EndpointStatistics {
        EndpointStatistics {
            transactions: self.core.live_transactions(),
            invites: self.invites.len(),
            dialogs: self.core.invites_by_dialog.len(),
            awaiting_answers: self.core.awaiting_answers(),
            merge_keys: self.core.transactions_by_merge_key.len(),
            registrations: self.registrations.len(),
            referrals: self.core.referrals.len(),
            timers: self.core.timers.len(),
            ..self.core.statistics
        }
    }

    fn next_invite_id(&mut self) -> InviteId {
        self.invites_made += 1;
        InviteId(self.invites_made)
    }

    /// Where a far end of another call is sent so that it takes our place in this one: an address for
    /// [`OutgoingRefer::refer_to`], with Replaces in it (RFC 5589 7.1). `None` while the call is not up.
    pub fn replacement_of(&self, id: InviteId) -> Option<Uri> {
        self.invites.get(&id)?.replacement()
    }

    /// The Call-ID of a call's messages; `None` when it is over.
    pub fn call_id_of(&self, id: InviteId) -> Option<&str> {
        self.invites.get(&id)?.call_id()
    }

    pub(super) fn invite_by_dialog(&self, dialog: &DialogId) -> Option<InviteId> {
        self.core.invites_by_dialog.get(dialog).copied()
    }

    fn command(
        &mut self,
        id: InviteId,
        command: impl FnOnce(&mut Invite, &mut Core) -> Result<(), Misuse>,
    ) -> Result<(), Misuse> {
        self.with_invite(id, command)
            .unwrap_or(Err(Misuse::UnknownInvite))
    }

    /// Lets a usage act, and drops it once it has ended.
    fn with_invite<Outcome>(
        &mut self,
        id: InviteId,
        act: impl FnOnce(&mut Invite, &mut Core) -> Outcome,
    ) -> Option<Outcome> {
        let invite = self.invites.get_mut(&id)?;
        let outcome = act(invite, &mut self.core);
        if invite.is_ended() {
            self.invites.remove(&id);
            give_back_room(&mut self.invites);
        }
        Some(outcome)
    }
}

fn check_refusal(status: StatusCode) -> Result<(), Misuse> {
    match status.as_u16() {
        300..=699 => Ok(()),
        other => Err(Misuse::WrongStatus(other)),
    }
}

fn check_extra(extra: ExtraHeaders<'_>) -> Result<(), Misuse> {
    match extra.iter().find(|(name, _)| is_reserved(name)) {
        Some((name, _)) => Err(Misuse::ReservedHeader((*name).to_owned())),
        None => Ok(()),
    }
}

/// Whether a caller may give a message of ours a header of this name: it is a token, and none of the
/// endpoint's own ([`ExtraHeaders`]).
#[must_use]
pub fn is_settable_header(name: &str) -> bool {
    crate::message::is_token(name) && !is_reserved(name)
}

/// Whether a header makes up the transaction, the dialog or the framing, in long or compact form.
fn is_reserved(name: &str) -> bool {
    const RESERVED: [&str; 18] = [
        "Via",
        "v",
        "From",
        "f",
        "To",
        "t",
        "Call-ID",
        "i",
        "CSeq",
        "Contact",
        "m",
        "Route",
        "Record-Route",
        "Max-Forwards",
        "Content-Length",
        "l",
        "Content-Type",
        "c",
    ];
    RESERVED
        .iter()
        .any(|reserved| reserved.eq_ignore_ascii_case(name))
}
