//! Which transaction, dialog or new call a request is for (RFC 3261 8.2, 9.2, 12.2.2, 17.2.3).
//!
//! ```text
//! request ─► known transaction? ─► absorbed, answered again, or its ACK
//!        └► ACK ─► dialog ─► usage            (else absorbed)
//!        └► CANCEL ─► INVITE transaction ─► usage   (else 481)
//!        └► NOTIFY about a REFER of ours ─► referrals
//!        └► room? method? extensions? ─► dialog ─► usage   (To tag, else 481)
//!                                     └► new call, OPTIONS (no To tag)
//! ```

use std::time::Instant;

use super::{Endpoint, Event, Flow, Reception};
use crate::ua_core::{arrival::Arrival, session_timer::SessionTimer};
use crate::{
    dialog::{Dialog, DialogId, tag_to},
    identifiers::InviteId,
    invite::{Incoming, Invite, PendingInvite, Place, Replaceable},
    message::{
        Message, Method, ParseError, Replaces, Request, Response, StatusCode, parse_datagram,
    },
    transaction::{
        invite_server, non_invite_server,
        table::{ServerInvite, ServerMachine, TransactionId},
    },
};

impl Endpoint {
    pub(super) fn take_datagram(&mut self, flow: Flow, bytes: &[u8], now: Instant) -> Reception {
        match parse_datagram(bytes) {
            Ok(None) => Reception::Sound,
            Ok(Some(Message::Request(request))) => self.take_request(request, flow, now),
            Ok(Some(Message::Response(response))) => {
                self.take_response(response, now);
                Reception::Sound
            }
            Err(error) => {
                self.refuse_damaged(error, flow);
                Reception::Damaged
            }
        }
    }

    /// A damaged request is refused without a transaction, if its Via can be read.
    fn refuse_damaged(&mut self, error: ParseError, flow: Flow) {
        self.core.statistics.parse_errors += 1;
        tracing::debug!(fault = %error, "damaged message");
        let Some(mut response) = error.answer else {
            return;
        };
        let Ok(mut top_via) = response.headers.top_via() else {
            return;
        };
        let reply_flow = flow.response_flow(&top_via);
        let call_id = response.headers.call_id().unwrap_or_default();
        let tag = self
            .core
            .identifiers
            .stateless_tag(call_id, top_via.branch().unwrap_or_default());
        if response.headers.to_tag().is_ok_and(|tag| tag.is_none()) {
            tag_to(&mut response.headers, &tag);
        }
        top_via.set_received_rport(flow.remote);
        response.headers.set_top_via(&top_via);
        response
            .headers
            .push("Server", self.core.config.user_agent.as_str());
        self.core.transmit(reply_flow, response.to_bytes());
    }

    fn take_request(&mut self, request: Request, flow: Flow, now: Instant) -> Reception {
        let Ok(arrival) = Arrival::read(request, flow) else {
            self.core.statistics.parse_errors += 1;
            return Reception::Damaged;
        };
        if let Some(id) = self.core.servers.find(&arrival.key)
            && self.absorb(id, &arrival, now)
        {
            return Reception::Sound;
        }
        let sheds = self.shedding && arrival.is_new_call();
        if arrival.request.method == Method::Ack {
            self.take_ack(arrival, now);
        } else if sheds || !self.has_room(&arrival.request.method) {
            self.core.answer_overloaded(&arrival);
        } else if arrival.request.method == Method::Cancel {
            self.take_cancel(arrival, now);
        } else if self.core.refuse_unservable(&arrival, now) {
            return Reception::Unservable;
        } else if arrival.request.method == Method::Notify && self.core.take_notify(&arrival, now) {
            // It was about a REFER of ours, whether its call is up or not.
        } else if let Some(dialog) = arrival.dialog_id() {
            match self.core.invites_by_dialog.get(&dialog).copied() {
                Some(id) => {
                    self.with_invite(id, |invite, core| invite.on_request(core, arrival, now));
                }
                None => self.core.answer_no_dialog(&arrival, now),
            }
        } else {
            self.take_first_request(arrival, now);
        }
        Reception::Sound
    }

    /// Gives a request to the transaction that has seen it before. `false` when it is an ACK that
    /// the transaction hands up.
    fn absorb(&mut self, id: TransactionId, arrival: &Arrival, now: Instant) -> bool {
        let Some(transaction) = self.core.servers.get_mut(id) else {
            return false;
        };
        let is_ack = arrival.request.method == Method::Ack;
        let step = match &mut transaction.machine {
            ServerMachine::Invite(machine, _) if is_ack => {
                machine.handle(invite_server::Input::Ack)
            }
            ServerMachine::Invite(machine, _) => machine.handle(invite_server::Input::Invite),
            ServerMachine::NonInvite(machine) => machine.handle(non_invite_server::Input::Request),
        };
        let absorbed = !step.pass_up;
        self.core.statistics.retransmissions_received += u64::from(!is_ack);
        self.core.follow_server(id, step, now);
        absorbed
    }

    /// The ACK of a 2xx; one that belongs to nothing is absorbed, since ACK is never answered.
    fn take_ack(&mut self, arrival: Arrival, now: Instant) {
        let dialog = arrival.dialog_id();
        match dialog.and_then(|dialog| self.core.invites_by_dialog.get(&dialog).copied()) {
            Some(id) => {
                self.with_invite(id, |invite, core| invite.on_ack(core, arrival, now));
            }
            None => self.core.statistics.stray_acks += 1,
        }
    }

    /// RFC 3261 9.2: found by the transaction, whatever the dialog; answered 200 even when it is
    /// too late to have an effect.
    fn take_cancel(&mut self, arrival: Arrival, now: Instant) {
        let invite = self.core.servers.find(&arrival.key.of_cancelled_invite());
        let found = invite.and_then(|id| match &self.core.servers.get(id)?.machine {
            ServerMachine::Invite(_, invite) => Some((id, invite.usage, invite.local_tag.clone())),
            ServerMachine::NonInvite(_) => None,
        });
        let Some((transaction, usage, local_tag)) = found else {
            self.core.answer_no_dialog(&arrival, now);
            return;
        };
        self.core
            .answer_with_tag(&arrival, StatusCode::OK, &local_tag, &[], now);
        if let Some(usage) = usage {
            self.with_invite(usage, |invite, core| {
                invite.on_cancel(core, transaction, arrival.request, now);
            });
        }
    }

    /// Whether another transaction may be opened. What ends calls has a quarter more room than
    /// what starts them.
    fn has_room(&self, method: &Method) -> bool {
        let limit = self.core.config.limits.transactions;
        let reserve = if *method == Method::Invite {
            0
        } else {
            limit / 4
        };
        self.core.live_transactions() < limit.saturating_add(reserve)
    }

    /// A request outside any dialog.
    fn take_first_request(&mut self, arrival: Arrival, now: Instant) {
        match arrival.request.method {
            Method::Invite => self.take_invite(arrival, now),
            Method::Options if self.draining => self.core.answer_draining(&arrival, now),
            Method::Options => self.core.answer_options(&arrival, now),
            // We refer nobody who is not in a call with us.
            Method::Refer => self.core.answer(&arrival, StatusCode::FORBIDDEN, &[], now),
            Method::Bye
            | Method::Info
            | Method::Ack
            | Method::Cancel
            | Method::Register
            | Method::Prack
            | Method::Update
            | Method::Notify
            | Method::Subscribe
            | Method::Message
            | Method::Publish
            | Method::Extension(_) => self.core.answer_no_dialog(&arrival, now),
        }
    }

    /// A new call, or a copy of one by another path.
    fn take_invite(&mut self, arrival: Arrival, now: Instant) {
        if self.is_merged(&arrival) {
            self.core
                .answer(&arrival, StatusCode::LOOP_DETECTED, &[], now);
            return;
        }
        if self.invites.len() >= self.core.config.limits.invites {
            self.core.answer_overloaded(&arrival);
            return;
        }
        let replaces = match self.replaced_by(&arrival) {
            Ok(replaces) => replaces,
            Err(status) => {
                self.core.answer(&arrival, status, &[], now);
                return;
            }
        };
        let Ok(session) = SessionTimer::as_server(&arrival.request, self.core.session_policy())
        else {
            self.core.answer_interval_too_small(&arrival, now);
            return;
        };
        let local_tag = self.core.identifiers.tag();
        let dialog_id = arrival.dialog_with(&local_tag);
        let Ok(dialog) = Dialog::as_server(dialog_id, &arrival.request, arrival.cseq) else {
            self.core
                .answer(&arrival, StatusCode::BAD_REQUEST, &[], now);
            return;
        };
        self.core.statistics.invites_received += 1;
        let id = self.next_invite_id();
        let merge_key = Some(arrival.merge_key());
        let invite = ServerInvite {
            usage: Some(id),
            local_tag: local_tag.clone(),
            merge_key,
        };
        let transaction = self.core.open_invite(&arrival, invite);
        let trying = Response::to_request(&arrival.request, StatusCode::TRYING);
        let pending = PendingInvite::new(&self.core, &arrival, transaction, &local_tag, session);
        self.core.register(dialog.id(), id);
        let flow = arrival.source;
        let incoming = Incoming::new(&mut self.core, dialog, pending, &arrival.request);
        self.invites
            .insert(id, Invite::incoming(Place { id, flow }, incoming));
        self.core.emit(Event::Incoming {
            id,
            request: arrival.request,
            flow,
            replaces,
        });
        // Behind the event, so that who is to show first who it is can be sent that alone.
        self.core.respond(transaction, &trying, now);
    }

    /// The call that an INVITE takes the place of (RFC 3891 3): 400 to a Replaces that cannot be read or is
    /// there twice, 481 where nothing fits, 486 to `early-only` for a call that is answered.
    fn replaced_by(&self, arrival: &Arrival) -> Result<Option<InviteId>, StatusCode> {
        let mut values = arrival.request.headers.get_all("Replaces");
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(StatusCode::BAD_REQUEST);
        }
        let replaces = Replaces::parse(value).map_err(|_| StatusCode::BAD_REQUEST)?;
        let named = |local_tag: &str, remote_tag: &str| DialogId {
            call_id: replaces.call_id.clone(),
            local_tag: local_tag.to_owned(),
            remote_tag: remote_tag.to_owned(),
        };
        let gone = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
        let id = self
            .invite_by_dialog(&named(&replaces.to_tag, &replaces.from_tag))
            .ok_or(gone)?;
        match self.invites.get(&id).map(Invite::replaceable) {
            Some(Replaceable::Confirmed) if replaces.early_only => Err(StatusCode::BUSY_HERE),
            Some(Replaceable::Confirmed | Replaceable::Early) => Ok(Some(id)),
            Some(Replaceable::No) | None => Err(gone),
        }
    }

    /// Whether an INVITE came before by another path and that one is still running (RFC 3261
    /// 8.2.2.2): unanswered, refused without its ACK, or accepted and the call still up. A later
    /// INVITE with the same numbers is a new attempt: hunt groups and proxies that try again
    /// re-use them.
    fn is_merged(&self, arrival: &Arrival) -> bool {
        let first = self
            .core
            .transactions_by_merge_key
            .get(&arrival.merge_key());
        let Some(transaction) = first.and_then(|id| self.core.servers.get(*id)) else {
            return false;
        };
        match &transaction.machine {
            ServerMachine::Invite(machine, invite) => {
                machine.is_running()
                    || invite
                        .usage
                        .is_some_and(|id| self.invites.contains_key(&id))
            }
            ServerMachine::NonInvite(_) => false,
        }
    }
}
