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
mod refusals;
mod responses;

use std::time::Instant;

pub use crate::{
    flow::{Flow, Transport},
    identifiers::InviteId,
    ua_core::{
        Body, EndCause, EndpointConfig, EndpointStatistics, Event, ExtraHeaders, HostPort, Limits,
        Misuse, OutgoingInvite, Output, Overloaded, Timers,
    },
};

use crate::{
    dialog::DialogId,
    identifiers::SeededMap,
    invite::{ALLOW, Invite, Outgoing, Place},
    message::{CSeq, Method, Request, StatusCode},
    transaction::table::ClientRole,
    ua_core::Core,
};

/// Every transaction, dialog and call of one SIP user agent.
#[derive(Debug)]
pub struct Endpoint {
    core: Core,
    invites: SeededMap<InviteId, Invite>,
    invites_made: u64,
    draining: bool,
}

impl Endpoint {
    /// An endpoint without calls. All its tags, branches and Call-IDs come from `seed`, which must
    /// be random where strangers can reach it: who knows it can forge requests inside dialogs.
    pub fn new(config: EndpointConfig, seed: u64) -> Self {
        let core = Core::new(config, seed);
        let invites = core.identifiers.map();
        Self {
            core,
            invites,
            invites_made: 0,
            draining: false,
        }
    }

    /// What leaves next; to be drained after each other call.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.core.outputs.pop_front();
        if self.core.outputs.is_empty() {
            self.core.outputs.shrink_to(1024);
        }
        output
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; `None` when nothing waits.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.core.timers.next_at()
    }

    /// Takes what arrived on `flow`: a datagram, or one whole message of a stream
    /// ([`StreamFramer`](crate::message::StreamFramer) cuts it). Anything may arrive: what is no SIP
    /// message is counted and dropped, what is a damaged request is refused.
    pub fn handle_datagram(&mut self, flow: Flow, bytes: &[u8], now: Instant) {
        self.core.statistics.datagrams += 1;
        if self.core.outputs.len() >= self.core.config.limits.outputs {
            self.core.statistics.backlog_drops += 1;
            return;
        }
        self.take_datagram(flow, bytes, now);
    }

    /// Answers an incoming call with 101 to 199, which is repeated each minute. The first one
    /// should leave at once: some carriers give up after 5 s without it.
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

    /// Answers an incoming call with 200, which is repeated until its ACK arrives
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

    /// Sends a re-INVITE with a new offer. 491 is retried after the wait of RFC 3261 14.1.
    ///
    /// # Errors
    /// [`Misuse`] when the call is not established or another offer is open.
    pub fn reoffer(&mut self, id: InviteId, body: Body, now: Instant) -> Result<(), Misuse> {
        self.command(id, |invite, core| invite.reoffer(core, body, now))
    }

    /// Sends an INFO; whatever it is answered changes nothing.
    ///
    /// # Errors
    /// [`Misuse`] when the call is not established.
    pub fn info(&mut self, id: InviteId, body: Body, now: Instant) -> Result<(), Misuse> {
        self.command(id, |invite, core| invite.info(core, body, now))
    }

    /// Sends an INVITE.
    ///
    /// # Errors
    /// [`Overloaded`] when a bound of [`Limits`] is reached.
    pub fn invite(&mut self, call: OutgoingInvite, now: Instant) -> Result<InviteId, Overloaded> {
        let limits = self.core.config.limits;
        if self.invites.len() >= limits.invites
            || self.core.live_transactions() >= limits.transactions
        {
            return Err(Overloaded);
        }
        let id = self.next_invite_id();
        let (local_tag, call_id) = (self.core.identifiers.tag(), self.core.identifiers.call_id());
        let flow = call.flow;
        let cseq = 1;
        let request = self.first_invite(call, &call_id, &local_tag, cseq);
        let role = ClientRole::Invite(id);
        let transaction = self.core.invite(request, cseq, flow, role, now);
        let half = DialogId {
            call_id,
            local_tag,
            remote_tag: String::new(),
        };
        let outgoing = Outgoing::new(transaction, cseq, half);
        self.invites
            .insert(id, Invite::outgoing(Place { id, flow }, outgoing));
        Ok(id)
    }

    /// Gives up an outgoing call that is not answered yet. CANCEL is held back until a 1xx; a 200
    /// that crosses it is acknowledged and ended with BYE. [`EndCause::Cancelled`] follows.
    ///
    /// # Errors
    /// [`Misuse`] when the call is not an unanswered outgoing one.
    pub fn cancel(&mut self, id: InviteId, now: Instant) -> Result<(), Misuse> {
        self.command(id, |invite, core| invite.cancel(core, now))
    }

    /// While draining, OPTIONS outside a dialog is answered 503 with `Retry-After`, so that trunks
    /// which ping us send their calls elsewhere; calls go on.
    pub fn set_draining(&mut self, draining: bool) {
        self.draining = draining;
    }

    /// What it has seen and holds.
    pub fn statistics(&self) -> EndpointStatistics {
        EndpointStatistics {
            transactions: self.core.live_transactions(),
            invites: self.invites.len(),
            dialogs: self.core.invites_by_dialog.len(),
            awaiting_answers: self.core.awaiting_answers(),
            merge_keys: self.core.transactions_by_merge_key.len(),
            timers: self.core.timers.len(),
            ..self.core.statistics
        }
    }

    fn first_invite(
        &self,
        call: OutgoingInvite,
        call_id: &str,
        local_tag: &str,
        cseq: u32,
    ) -> Request {
        let mut to = call.to;
        to.parameters.remove("tag");
        let mut request = Request::new(Method::Invite, call.target);
        let headers = &mut request.headers;
        for route in &call.route {
            headers.push("Route", route.to_string());
        }
        headers.push("Max-Forwards", "70");
        headers.push("From", call.from.with_tag(local_tag).to_string());
        headers.push("To", to.to_string());
        headers.push("Call-ID", call_id);
        headers.push(
            "CSeq",
            CSeq {
                number: cseq,
                method: Method::Invite,
            }
            .to_string(),
        );
        headers.push("Contact", self.core.config.contact(call.flow));
        headers.push("Allow", ALLOW);
        for (name, value) in call.extra {
            if !is_reserved(&name) {
                headers.push(&name, value);
            }
        }
        if let Some(body) = call.body {
            headers.push("Content-Type", body.content_type);
            request.body = body.bytes;
        }
        request
    }

    fn next_invite_id(&mut self) -> InviteId {
        self.invites_made += 1;
        InviteId(self.invites_made)
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
