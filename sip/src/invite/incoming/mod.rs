//! A call that is offered to us and not answered yet (RFC 3261 13.3).

mod reliable;

use std::time::{Duration, Instant};

use crate::ua_core::timers::InviteTimer;
use crate::{
    dialog::{Dialog, retag_to},
    digest::Credentials,
    message::{Message, Request, StatusCode},
    ua_core::{Body, Core, EndCause, Event, ExtraHeaders, account::Account, arrival::Arrival},
};

use super::{
    Place, State,
    established::{Established, Peer},
    finish,
    pending::PendingInvite,
    success::{Purpose, UnackedSuccess},
};
use reliable::{Reliability, ReliableProvisionals};

/// How often a proxy must hear that it still rings (RFC 3261 13.3.1.1).
const RINGING_INTERVAL: Duration = Duration::from_secs(60);

/// The state.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(super) dialog: Dialog,
    pending: PendingInvite,
    peer: Peer,
    /// Whether the far end knows the tag of our end of the dialog.
    rung: bool,
    /// The last 101-199 we sent unreliably.
    provisional: Option<(u16, Vec<u8>)>,
    reliable: ReliableProvisionals,
    /// The answer that waits for a PRACK: the 1xx before it carries a description, and only one exchange of
    /// offer and answer is open at a time (RFC 3262 5).
    accepting: Option<Acceptance>,
    /// For once it is answered: until then no request of ours can be challenged.
    account: Option<Box<Account>>,
}

/// A 2xx to come.
#[derive(Debug)]
struct Acceptance {
    body: Option<Body>,
    extra: Vec<(String, String)>,
}

impl Incoming {
    pub(crate) fn new(
        core: &mut Core,
        dialog: Dialog,
        pending: PendingInvite,
        invite: &Request,
    ) -> Self {
        // RFC 3262 3: the first number is random, from 1 to 2^31 - 1.
        let first = 1 + core.identifiers.below((1 << 31) - 1);
        Self {
            dialog,
            pending,
            peer: Peer::of(&invite.headers),
            rung: false,
            provisional: None,
            reliable: ReliableProvisionals::new(
                Reliability::wanted_by(&invite.headers),
                u32::try_from(first).unwrap_or(1),
            ),
            accepting: None,
            account: None,
        }
    }

    pub(super) fn set_credentials(&mut self, credentials: Credentials) {
        self.account = Some(Box::new(Account::new(credentials)));
    }

    pub(super) fn call_id(&self) -> &str {
        &self.dialog.id().call_id
    }

    pub(super) fn ring(
        &mut self,
        core: &mut Core,
        place: Place,
        status: StatusCode,
        body: Option<Body>,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) {
        if self.accepting.is_some() {
            return;
        }
        self.rung = true;
        if self.reliable.applies_to(body.as_ref()) {
            let response = self.pending.response(core, status, body, extra);
            self.reliable
                .send(core, place, self.pending.transaction, response, now);
            return;
        }
        let bytes = self.pending.response(core, status, body, extra).to_bytes();
        core.respond_bytes(
            self.pending.transaction,
            status.as_u16(),
            bytes.clone(),
            now,
        );
        if self.provisional.is_none() {
            core.arm(
                place.id,
                InviteTimer::RepeatProvisional,
                now + RINGING_INTERVAL,
            );
        }
        self.provisional = Some((status.as_u16(), bytes));
    }

    pub(super) fn on_timer(
        mut self: Box<Self>,
        core: &mut Core,
        place: Place,
        timer: InviteTimer,
        now: Instant,
    ) -> State {
        match timer {
            InviteTimer::RepeatProvisional => self.repeat_provisional(core, place, now),
            InviteTimer::RepeatReliable { rseq } => {
                let transaction = self.pending.transaction;
                self.reliable.repeat(core, place, transaction, rseq, now);
            }
            InviteTimer::PrackDeadline { rseq } => {
                return self.on_prack_deadline(core, place, rseq, now);
            }
            InviteTimer::RepeatSuccess { .. }
            | InviteTimer::AckDeadline { .. }
            | InviteTimer::RingLimit
            | InviteTimer::CancelDeadline
            | InviteTimer::GlareOver { .. }
            | InviteTimer::ReinviteDeadline { .. }
            | InviteTimer::Silence { .. }
            | InviteTimer::FollowDeadline { .. }
            | InviteTimer::Session { .. } => {}
        }
        State::Incoming(self)
    }

    fn repeat_provisional(&mut self, core: &mut Core, place: Place, now: Instant) {
        let Some((status, bytes)) = &self.provisional else {
            return;
        };
        core.statistics.retransmissions_sent += 1;
        core.respond_bytes(self.pending.transaction, *status, bytes.clone(), now);
        core.arm(
            place.id,
            InviteTimer::RepeatProvisional,
            now + RINGING_INTERVAL,
        );
    }

    /// RFC 3262 3: a reliable 1xx that nobody acknowledges ends the attempt.
    fn on_prack_deadline(
        self: Box<Self>,
        core: &mut Core,
        place: Place,
        rseq: u32,
        now: Instant,
    ) -> State {
        if !self.reliable.waits_for(rseq) {
            return State::Incoming(self);
        }
        self.refuse(core, StatusCode::SERVER_TIMEOUT, &[], now);
        finish(core, place, self.dialog.id(), EndCause::PrackTimeout, None)
    }

    /// A PRACK: it stops the repetition of the 1xx that it names, and may bring the answer to the offer in
    /// it. One with an offer of its own is refused, as no 1xx of ours asks for one.
    pub(super) fn on_prack(
        mut self: Box<Self>,
        core: &mut Core,
        place: Place,
        arrival: Arrival,
        now: Instant,
    ) -> State {
        let Some(carried_offer) = self
            .reliable
            .acknowledged_by(&arrival.request, self.pending.cseq)
        else {
            core.answer_no_dialog(&arrival, now);
            return State::Incoming(self);
        };
        let answers_ours = carried_offer && !self.pending.has_offer;
        if !arrival.request.body.is_empty() && !answers_ours {
            core.answer(&arrival, StatusCode::NOT_ACCEPTABLE_HERE, &[], now);
        } else {
            core.answer(&arrival, StatusCode::OK, &[], now);
            core.emit(Event::Acknowledged {
                id: place.id,
                prack: arrival.request,
            });
        }
        if let Some(Acceptance { body, extra }) = self.accepting.take() {
            return self.accept(core, place, body, &super::borrowed(&extra), now);
        }
        self.reliable
            .send_next(core, place, self.pending.transaction, now);
        State::Incoming(self)
    }

    pub(super) fn accept(
        mut self: Box<Self>,
        core: &mut Core,
        place: Place,
        body: Option<Body>,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> State {
        if self.reliable.holds_back_success() {
            let extra = super::owned(extra);
            self.accepting.get_or_insert(Acceptance { body, extra });
            return State::Incoming(self);
        }
        // An offer of ours that the far end has answered by PRACK needs no answer in the ACK.
        let awaits_answer = !self.pending.has_offer && body.is_some();
        let response = self.pending.response(core, StatusCode::OK, body, extra);
        let invite = (self.pending.transaction, self.pending.cseq);
        let purpose = Purpose::Call;
        let unacked = UnackedSuccess::send(
            core,
            place,
            invite,
            &response,
            (purpose, awaits_answer),
            now,
        );
        let prack = self.reliable.unacknowledged_rseq();
        let prack = prack.map(|rseq| (rseq, self.pending.cseq));
        let mut established =
            Established::as_server(self.dialog, self.peer, self.account, unacked, prack);
        established.run_session_timer(core, place, self.pending.session, now);
        State::Established(Box::new(established))
    }

    pub(super) fn reject(
        self,
        core: &mut Core,
        place: Place,
        status: StatusCode,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> State {
        self.refuse(core, status, extra, now);
        finish(
            core,
            place,
            self.dialog.id(),
            EndCause::Refused(status),
            None,
        )
    }

    /// Refuses it once, with nothing kept: each copy of the INVITE is one like the first.
    pub(super) fn reject_once(
        self,
        core: &mut Core,
        place: Place,
        status: StatusCode,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> State {
        if self.rung {
            return self.reject(core, place, status, extra, now);
        }
        let id = self.dialog.id();
        let mut response = self.pending.response(core, status, None, extra);
        // RFC 3261 8.2.7: the same tag for each copy.
        let tag = core.identifiers.stateless_tag(&id.call_id, &id.remote_tag);
        retag_to(&mut response.headers, &id.local_tag, &tag);
        core.respond_and_forget(self.pending.transaction, &response);
        finish(core, place, id, EndCause::Refused(status), None)
    }

    pub(super) fn on_cancel(
        self,
        core: &mut Core,
        place: Place,
        cancel: Request,
        now: Instant,
    ) -> State {
        self.refuse(core, StatusCode::REQUEST_TERMINATED, &[], now);
        let message = Some(Message::Request(cancel));
        finish(core, place, self.dialog.id(), EndCause::Cancelled, message)
    }

    /// A caller may end its early dialog with BYE (RFC 3261 15); the INVITE still wants its answer.
    pub(super) fn on_bye(
        self,
        core: &mut Core,
        place: Place,
        arrival: Arrival,
        now: Instant,
    ) -> State {
        core.answer(&arrival, StatusCode::OK, &[], now);
        self.refuse(core, StatusCode::REQUEST_TERMINATED, &[], now);
        let message = Some(Message::Request(arrival.request));
        finish(core, place, self.dialog.id(), EndCause::RemoteBye, message)
    }

    /// An UPDATE before our answer: it may move the far end's Contact. One with an offer meets the INVITE's
    /// own, which we have not answered (500), or ours in a 1xx, which they have not (RFC 3311 5.2: 491).
    pub(super) fn on_update(&mut self, core: &mut Core, arrival: &Arrival, now: Instant) {
        if arrival.request.body.is_empty() {
            self.dialog.refresh_from(&arrival.request.headers);
            core.answer_in_dialog(arrival, StatusCode::OK, &[], now);
        } else if self.pending.has_offer {
            core.answer_come_back(arrival, now);
        } else {
            core.answer(arrival, StatusCode::REQUEST_PENDING, &[], now);
        }
    }

    fn refuse(&self, core: &mut Core, status: StatusCode, extra: ExtraHeaders<'_>, now: Instant) {
        let response = self.pending.response(core, status, None, extra);
        core.respond(self.pending.transaction, &response, now);
    }
}
