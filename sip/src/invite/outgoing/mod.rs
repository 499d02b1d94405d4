//! A call of ours that is not answered yet (RFC 3261 13.2, 8.1.3 and 9.1).
//!
//! ```text
//!             401, 407 with an answer; 422; 503, silence, no transport with another flow
//!            ┌──────────────────────────┐
//!            ▼                          │
//!  send ► calling ──1xx──► ringing ─────┤
//!            │ ◄─follow─ redirected ◄3xx┤
//!            │                          ├─2xx──────► Established
//!            └──cancel──► cancelling ───┴─refused──► Ended
//! ```
//!
//! It is one attempt, with one Call-ID and one From tag, however often the INVITE is sent.

mod attempt;
mod early;

use std::time::Instant;

use crate::ua_core::timers::InviteTimer;
use crate::{
    dialog::{Dialog, DialogId, OutOfOrder},
    flow::Flow,
    message::{Message, Response, StatusCode, Uri},
    transaction::{
        Failure,
        table::{ClientRole, TransactionId},
    },
    ua_core::{
        Body, Core, EndCause, Event, ExtraHeaders, FlowFailure, Misuse, OutgoingInvite,
        account::Account, arrival::Arrival, retry_after, session_timer::SessionTimer,
    },
};

use super::{
    Place, State,
    established::{Established, Peer},
    finish,
};
use attempt::Attempt;
use early::EarlyDialogs;

/// The state.
#[derive(Debug)]
pub(crate) struct Outgoing {
    attempt: Attempt,
    /// The INVITE that is out; `None` while a redirection waits for its target.
    transaction: Option<TransactionId>,
    cseq: u32,
    /// The dialog as far as we know it: without the far end's tag.
    half: DialogId,
    early: EarlyDialogs,
    cancelling: Cancelling,
    /// When the last 1xx arrived.
    heard_at: Option<Instant>,
}

/// How far giving up has come.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cancelling {
    No,
    /// CANCEL is held back: before a 1xx it could overtake the INVITE (RFC 3261 9.1).
    AfterProvisional {
        extra: Vec<(String, String)>,
    },
    Sent,
}

impl Outgoing {
    /// Sends the INVITE for the first time.
    pub(crate) fn start(
        core: &mut Core,
        place: &mut Place,
        call: OutgoingInvite,
        half: DialogId,
        now: Instant,
    ) -> Self {
        let mut outgoing = Self {
            attempt: Attempt::new(call),
            transaction: None,
            cseq: 0,
            half,
            early: EarlyDialogs::default(),
            cancelling: Cancelling::No,
            heard_at: None,
        };
        outgoing.send(core, place, now);
        outgoing
    }

    pub(super) fn call_id(&self) -> &str {
        &self.half.call_id
    }

    fn send(&mut self, core: &mut Core, place: &mut Place, now: Instant) {
        self.early.forget(core);
        self.early.clear();
        self.heard_at = None;
        self.cseq += 1;
        place.flow = self.attempt.flow();
        let request = self.attempt.request(core, &self.half, self.cseq);
        let role = ClientRole::Invite(place.id);
        let flow = place.flow;
        self.transaction = Some(core.invite(request, self.cseq, flow, role, now));
        if self.attempt.has_next_flow() {
            let timer = InviteTimer::Silence { cseq: self.cseq };
            core.arm(place.id, timer, now + self.attempt.silence());
        }
    }

    /// Whether `transaction` is the INVITE whose answer counts.
    pub(super) fn is_calling_with(&self, transaction: TransactionId) -> bool {
        self.transaction == Some(transaction)
    }

    pub(super) fn cancel(
        mut self: Box<Self>,
        core: &mut Core,
        place: Place,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> State {
        if self.transaction.is_none() {
            return self.end(core, place, EndCause::Cancelled, None);
        }
        match self.cancelling {
            Cancelling::No if self.heard_at.is_some() => self.send_cancel(core, place, extra, now),
            Cancelling::No => {
                let owned = |(name, value): &(&str, &str)| ((*name).into(), (*value).into());
                let extra = extra.iter().map(owned).collect();
                self.cancelling = Cancelling::AfterProvisional { extra };
            }
            Cancelling::AfterProvisional { .. } | Cancelling::Sent => {}
        }
        State::Outgoing(self)
    }

    fn send_cancel(
        &mut self,
        core: &mut Core,
        place: Place,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) {
        self.cancelling = Cancelling::Sent;
        if let Some(transaction) = self.transaction {
            core.cancel(transaction, extra, now);
        }
        let deadline = now + core.config.timers.timeout();
        core.arm(place.id, InviteTimer::CancelDeadline, deadline);
    }

    pub(super) fn take_remote_cseq(&mut self, arrival: &Arrival) -> Result<(), OutOfOrder> {
        match self.early.with_tag(&arrival.from_tag) {
            Some(dialog) => dialog.take_remote_cseq(arrival.cseq),
            None => Ok(()),
        }
    }

    /// Answers an offer that came in a reliable 1xx, with the PRACK that was held back for it.
    pub(super) fn answer_early(
        &mut self,
        core: &mut Core,
        place: Place,
        body: Body,
        now: Instant,
    ) -> Result<(), Misuse> {
        self.early.answer(core, place, body, now)
    }

    /// The early dialog with the far end of this tag.
    pub(super) fn early_dialog_mut(&mut self, remote_tag: &str) -> Option<&mut Dialog> {
        self.early.with_tag(remote_tag)
    }

    /// What a challenge to a request inside an early dialog is answered with, and that dialog.
    pub(super) fn account_and_early_dialog(
        &mut self,
        remote_tag: &str,
    ) -> Option<(Option<&mut Account>, &mut Dialog)> {
        Some((self.attempt.account_mut(), self.early.with_tag(remote_tag)?))
    }

    pub(super) fn on_timer(
        mut self: Box<Self>,
        core: &mut Core,
        place: &mut Place,
        timer: InviteTimer,
        now: Instant,
    ) -> State {
        match timer {
            InviteTimer::RingLimit => self.on_ring_limit(core, *place, now),
            InviteTimer::CancelDeadline => self.on_cancel_deadline(core, *place),
            InviteTimer::FollowDeadline { cseq } => self.on_follow_deadline(core, *place, cseq),
            InviteTimer::Silence { cseq } => {
                self.on_silence(core, place, cseq, now);
                State::Outgoing(self)
            }
            InviteTimer::RepeatProvisional
            | InviteTimer::RepeatReliable { .. }
            | InviteTimer::PrackDeadline { .. }
            | InviteTimer::RepeatSuccess { .. }
            | InviteTimer::AckDeadline { .. }
            | InviteTimer::GlareOver { .. }
            | InviteTimer::ReinviteDeadline { .. }
            | InviteTimer::Session { .. } => State::Outgoing(self),
        }
    }

    pub(super) fn on_response(
        mut self: Box<Self>,
        core: &mut Core,
        place: &mut Place,
        response: Response,
        now: Instant,
    ) -> State {
        if response.status.is_provisional() {
            self.on_provisional(core, *place, response, now);
            return State::Outgoing(self);
        }
        if response.status.is_success() {
            return self.on_success(core, *place, response, now);
        }
        if self.cancelling != Cancelling::No {
            let cause = if response.status == StatusCode::REQUEST_TERMINATED {
                EndCause::Cancelled
            } else {
                EndCause::Rejected(response.status)
            };
            return self.end(core, *place, cause, Some(Message::Response(response)));
        }
        self.on_refusal(core, place, response, now)
    }

    fn on_refusal(
        mut self: Box<Self>,
        core: &mut Core,
        place: &mut Place,
        response: Response,
        now: Instant,
    ) -> State {
        let status = response.status;
        let goes_on = if Account::is_challenge(status) {
            let sent = self.transaction.and_then(|id| core.sent_invite(id));
            let request = sent.map(|sent| sent.request.clone());
            request.is_some_and(|request| self.attempt.take_challenge(core, request, &response))
        } else if status == StatusCode::SESSION_INTERVAL_TOO_SMALL {
            self.attempt.raise_interval(&response)
        } else if status == StatusCode::SERVICE_UNAVAILABLE {
            let retry_after = retry_after(&response);
            self.flow_failed(core, *place, FlowFailure::Unavailable { retry_after });
            self.attempt.next_flow()
        } else if matches!(status.as_u16(), 300..=399) {
            return self.on_redirection(core, *place, response, now);
        } else {
            // Whatever else it is, it is the callee's word: asking another gateway rings it again.
            false
        };
        if goes_on {
            self.send(core, place, now);
            return State::Outgoing(self);
        }
        let cause = EndCause::Rejected(status);
        self.end(core, *place, cause, Some(Message::Response(response)))
    }

    fn on_redirection(
        mut self: Box<Self>,
        core: &mut Core,
        place: Place,
        response: Response,
        now: Instant,
    ) -> State {
        let contacts = self.attempt.take_redirection(&response);
        let (id, status) = (place.id, response.status);
        if contacts.is_empty() {
            let cause = EndCause::Rejected(status);
            return self.end(core, place, cause, Some(Message::Response(response)));
        }
        self.transaction = None;
        self.early.forget(core);
        let deadline = now + core.config.timers.timeout();
        core.arm(
            id,
            InviteTimer::FollowDeadline { cseq: self.cseq },
            deadline,
        );
        core.emit(Event::Redirected {
            id,
            contacts,
            status,
        });
        State::Outgoing(self)
    }

    /// Goes to where a redirection pointed.
    pub(super) fn follow(
        &mut self,
        core: &mut Core,
        place: &mut Place,
        (target, flows): (Uri, Vec<Flow>),
        now: Instant,
    ) -> Result<(), Misuse> {
        if self.transaction.is_some() || flows.is_empty() {
            return Err(Misuse::WrongState {
                command: "redirect",
                state: "not waiting for a target",
            });
        }
        self.attempt.follow(target, flows);
        core.forget_path(place.id);
        self.send(core, place, now);
        Ok(())
    }

    fn on_provisional(&mut self, core: &mut Core, place: Place, response: Response, now: Instant) {
        if self.heard_at.is_none() {
            core.arm(
                place.id,
                InviteTimer::RingLimit,
                now + core.config.ring_limit,
            );
        }
        self.heard_at = Some(now);
        if let Cancelling::AfterProvisional { extra } = &self.cancelling {
            let extra = extra.clone();
            self.send_cancel(core, place, &super::borrowed(&extra), now);
        }
        if response.status == StatusCode::TRYING || self.cancelling != Cancelling::No {
            return;
        }
        let Some(id) = self.dialog_id(&response) else {
            return;
        };
        let invite = (self.transaction, self.cseq);
        let wants_offer = self.attempt.wants_offer();
        let heard = self
            .early
            .take(core, place, id, invite, &response, wants_offer, now);
        let early::Heard::New { wants_answer } = heard else {
            return;
        };
        core.emit(Event::Provisional {
            id: place.id,
            status: response.status,
            response,
            wants_answer,
        });
    }

    fn on_success(
        self: Box<Self>,
        core: &mut Core,
        place: Place,
        response: Response,
        now: Instant,
    ) -> State {
        let transaction = self.transaction;
        let dialog = self.dialog_id(&response).and_then(|id| {
            let sent = core.sent_invite(transaction?)?;
            Dialog::as_client(id, &sent.request, self.cseq, &response).ok()
        });
        let (Some(mut dialog), Some(transaction)) = (dialog, transaction) else {
            // Without a readable To nothing can be acknowledged: the far end gives up.
            let cause = EndCause::Rejected(response.status);
            return self.end(core, place, cause, Some(Message::Response(response)));
        };
        if let Some(early) = self.early.find(&dialog.id().remote_tag) {
            dialog.continue_from(early);
        }
        let cancelled = self.cancelling != Cancelling::No;
        let owes_answer = self.attempt.wants_offer()
            && !self.early.has_answered(&dialog.id().remote_tag)
            && !response.body.is_empty()
            && !cancelled;
        if !owes_answer {
            core.acknowledge(transaction, &dialog, self.cseq, place.flow, None);
        }
        if cancelled {
            core.send_bye(&mut dialog, place.flow, &[], ClientRole::Unattended, now);
            return self.end(
                core,
                place,
                EndCause::Cancelled,
                Some(Message::Response(response)),
            );
        }
        self.early.forget(core);
        core.register(dialog.id(), place.id);
        let timer = SessionTimer::as_client(&response, core.session_policy());
        let owed = owes_answer.then_some((transaction, self.cseq));
        let peer = Peer::of(&response.headers);
        core.emit(Event::Answered {
            id: place.id,
            response,
        });
        let account = self.attempt.into_account();
        let mut established = Established::as_client(dialog, peer, account, owed);
        established.run_session_timer(core, place, timer, now);
        State::Established(Box::new(established))
    }

    pub(super) fn on_failure(
        mut self: Box<Self>,
        core: &mut Core,
        place: &mut Place,
        failure: Failure,
        used: Flow,
        now: Instant,
    ) -> State {
        let (cause, why) = match failure {
            Failure::TimedOut => (EndCause::NoAnswer, FlowFailure::Silent),
            Failure::TransportFailed => (EndCause::TransportFailed, FlowFailure::TransportFailed),
        };
        if self.cancelling != Cancelling::No {
            return self.end(core, *place, EndCause::Cancelled, None);
        }
        if failure == Failure::TransportFailed && self.falls_back_to_datagrams(core, *place, used) {
            self.send(core, place, now);
            return State::Outgoing(self);
        }
        self.flow_failed(core, *place, why);
        if self.attempt.next_flow() {
            self.send(core, place, now);
            return State::Outgoing(self);
        }
        self.end(core, *place, cause, None)
    }

    /// Nothing came back from the flow that was tried: the next one has its turn.
    fn on_silence(&mut self, core: &mut Core, place: &mut Place, cseq: u32, now: Instant) {
        let Some(transaction) = self.transaction.filter(|_| cseq == self.cseq) else {
            return;
        };
        if self.heard_at.is_some() || self.cancelling != Cancelling::No {
            return;
        }
        let used = core.clients.get(transaction).map(|client| client.flow);
        if used.is_some_and(|used| self.falls_back_to_datagrams(core, *place, used)) {
            core.forsake(transaction, now);
            self.send(core, place, now);
            return;
        }
        self.flow_failed(core, *place, FlowFailure::Silent);
        if self.attempt.next_flow() {
            core.forsake(transaction, now);
            self.send(core, place, now);
        }
    }

    /// The stream that carried a large INVITE instead of UDP failed: UDP it is, as RFC 3261 18.1.1 asks.
    /// `false` when it did not carry it.
    fn falls_back_to_datagrams(&self, core: &mut Core, place: Place, used: Flow) -> bool {
        let stood_in = used.transport != self.attempt.flow().transport;
        if stood_in {
            core.keep_to_datagrams(place.id);
        }
        stood_in
    }

    fn flow_failed(&self, core: &mut Core, place: Place, failure: FlowFailure) {
        core.emit(Event::FlowFailed {
            id: place.id,
            flow: self.attempt.flow(),
            failure,
        });
    }

    fn on_follow_deadline(self: Box<Self>, core: &mut Core, place: Place, cseq: u32) -> State {
        if self.transaction.is_some() || cseq != self.cseq {
            return State::Outgoing(self);
        }
        let cause = EndCause::Rejected(StatusCode::MOVED_TEMPORARILY);
        self.end(core, place, cause, None)
    }

    fn on_ring_limit(self: Box<Self>, core: &mut Core, place: Place, now: Instant) -> State {
        let Some(heard_at) = self.heard_at else {
            return State::Outgoing(self);
        };
        let limit = heard_at + core.config.ring_limit;
        if now >= limit {
            return self.cancel(core, place, &[], now);
        }
        core.arm(place.id, InviteTimer::RingLimit, limit);
        State::Outgoing(self)
    }

    /// The INVITE transaction is taken as cancelled although its final response never came (9.1).
    fn on_cancel_deadline(&self, core: &mut Core, place: Place) -> State {
        if let Some(transaction) = self.transaction {
            core.close_client(transaction);
        }
        self.end(core, place, EndCause::Cancelled, None)
    }

    fn end(
        &self,
        core: &mut Core,
        place: Place,
        cause: EndCause,
        message: Option<Message>,
    ) -> State {
        self.early.forget(core);
        finish(core, place, &self.half, cause, message)
    }

    fn dialog_id(&self, response: &Response) -> Option<DialogId> {
        let remote_tag = response
            .headers
            .to()
            .ok()?
            .tag()
            .unwrap_or_default()
            .to_owned();
        Some(DialogId {
            remote_tag,
            ..self.half.clone()
        })
    }
}
