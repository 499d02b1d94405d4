//! An answered call: its ACK, its re-INVITEs both ways, its end (RFC 3261 13.3.1.4, 14, 15).

mod referring;
mod reoffers;
mod session_clock;

use std::time::Instant;

use crate::{
    dialog::Dialog,
    message::{Headers, Message, Method, Request, StatusCode},
    transaction::table::{ClientRole, TransactionId},
    ua_core::{
        Body, Core, EndCause, Event, ExtraHeaders, Misuse, account::Account, arrival::Arrival,
        timers::InviteTimer,
    },
};

use super::{
    Place, State, attach, borrowed, finish,
    leaving::Leaving,
    owned,
    pending::PendingInvite,
    success::{Purpose, UnackedSuccess},
};
use referring::Referred;
use reoffers::Reinvite;
use session_clock::SessionClock;

/// The state.
#[derive(Debug)]
pub(crate) struct Established {
    pub(super) dialog: Dialog,
    /// Whether the Call-ID is ours, which decides who waits longer after 491.
    calling: bool,
    peer: Peer,
    /// What challenges to our requests are answered with.
    pub(super) account: Option<Box<Account>>,
    /// Their 2xx that holds an offer, by transaction and CSeq: its ACK waits for the answer.
    owed_ack: Option<(TransactionId, u32)>,
    /// A PRACK that may still come, by RSeq and the INVITE's CSeq: our 2xx did not wait for it.
    prack: Option<(u32, u32)>,
    session: SessionClock,
    /// Their REFER.
    referred: Option<Referred>,
    /// Our 2xx whose ACK has not come. While there is one no other INVITE is taken.
    unacked: Option<UnackedSuccess>,
    /// BYE is wanted, but a callee's waits for the ACK (RFC 3261 15); its further headers.
    hang_up: Option<Vec<(String, String)>>,
    /// Their re-INVITE or UPDATE that we have not answered.
    theirs: Option<PendingInvite>,
    ours: Option<Reinvite>,
}

/// What the far end says it can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    takes_update: bool,
}

impl Peer {
    /// Read from an INVITE or its 2xx.
    pub(super) fn of(headers: &Headers) -> Self {
        let update = |method: &str| method == Method::Update.as_str();
        Self {
            takes_update: headers.tokens("Allow").any(update),
        }
    }
}

impl Established {
    pub(super) fn as_server(
        dialog: Dialog,
        peer: Peer,
        account: Option<Box<Account>>,
        unacked: UnackedSuccess,
        prack: Option<(u32, u32)>,
    ) -> Self {
        Self {
            prack,
            unacked: Some(unacked),
            calling: false,
            ..Self::as_client(dialog, peer, account, None)
        }
    }

    pub(super) fn as_client(
        dialog: Dialog,
        peer: Peer,
        account: Option<Box<Account>>,
        owed_ack: Option<(TransactionId, u32)>,
    ) -> Self {
        Self {
            dialog,
            calling: true,
            peer,
            account,
            owed_ack,
            prack: None,
            session: SessionClock::default(),
            referred: None,
            unacked: None,
            hang_up: None,
            theirs: None,
            ours: None,
        }
    }

    /// Whether a PRACK is one that our 2xx overtook.
    pub(super) fn takes_prack(&mut self, prack: &Request) -> bool {
        let named = prack.headers.get("RAck").unwrap_or_default();
        let is_named = |(rseq, cseq): &mut (u32, u32)| {
            let mut parts = named.split_ascii_whitespace();
            parts.next() == Some(rseq.to_string().as_str())
                && parts.next() == Some(cseq.to_string().as_str())
        };
        self.prack.take_if(is_named).is_some()
    }

    // Our 2xx and its ACK.

    pub(super) fn on_ack(
        mut self: Box<Self>,
        core: &mut Core,
        place: Place,
        arrival: Arrival,
        now: Instant,
    ) -> State {
        let Some(unacked) = self
            .unacked
            .take_if(|unacked| unacked.cseq() == arrival.cseq)
        else {
            core.statistics.stray_acks += 1;
            return State::Established(self);
        };
        let (id, ack) = (place.id, arrival.request);
        core.emit(match unacked.purpose() {
            Purpose::Call => Event::Confirmed { id, ack },
            Purpose::Reoffer => Event::ReofferConfirmed { id, ack },
        });
        self.leave_if_wanted(core, place, now)
    }

    /// Sends the BYE that waited, if nothing keeps it any more.
    fn leave_if_wanted(mut self: Box<Self>, core: &mut Core, place: Place, now: Instant) -> State {
        if self.holds_back_bye() {
            return State::Established(self);
        }
        match self.hang_up.take() {
            Some(extra) => self.leave(core, place, &borrowed(&extra), now),
            None => State::Established(self),
        }
    }

    /// RFC 3261 15: a callee's BYE waits for the ACK of its 2xx.
    fn holds_back_bye(&self) -> bool {
        let waits = |unacked: &UnackedSuccess| unacked.purpose() == Purpose::Call;
        self.unacked.as_ref().is_some_and(waits) || self.owes_notify()
    }

    /// Sends the ACK that waited for our answer.
    pub(super) fn confirm(
        &mut self,
        core: &mut Core,
        place: Place,
        body: Option<Body>,
    ) -> Result<(), Misuse> {
        let Some((transaction, cseq)) = self.owed_ack.take() else {
            return Err(Misuse::WrongState {
                command: "confirm",
                state: "confirmed already",
            });
        };
        core.acknowledge(transaction, &self.dialog, cseq, place.flow, body);
        Ok(())
    }

    pub(super) fn on_timer(
        mut self: Box<Self>,
        core: &mut Core,
        place: Place,
        timer: InviteTimer,
        now: Instant,
    ) -> State {
        match timer {
            InviteTimer::RepeatSuccess { cseq } => self.repeat_success(core, place, cseq, now),
            InviteTimer::GlareOver { cseq } => self.on_glare_over(core, place, cseq, now),
            InviteTimer::ReinviteDeadline { cseq } => {
                self.on_reinvite_deadline(core, place, cseq, now);
            }
            InviteTimer::AckDeadline { cseq } => {
                return self.on_ack_deadline(core, place, cseq, now);
            }
            InviteTimer::Session { generation } => {
                return self.on_session_timer(core, place, generation, now);
            }
            InviteTimer::RepeatProvisional
            | InviteTimer::RepeatReliable { .. }
            | InviteTimer::PrackDeadline { .. }
            | InviteTimer::RingLimit
            | InviteTimer::CancelDeadline
            | InviteTimer::Silence { .. }
            | InviteTimer::FollowDeadline { .. } => {}
        }
        State::Established(self)
    }

    fn repeat_success(&mut self, core: &mut Core, place: Place, cseq: u32, now: Instant) {
        if let Some(unacked) = self
            .unacked
            .as_mut()
            .filter(|unacked| unacked.cseq() == cseq)
        {
            unacked.repeat(core, place, now);
        }
    }

    fn on_ack_deadline(
        self: Box<Self>,
        core: &mut Core,
        place: Place,
        cseq: u32,
        now: Instant,
    ) -> State {
        match &self.unacked {
            Some(unacked) if unacked.cseq() == cseq => {
                self.abandon(core, place, EndCause::AckTimeout, now)
            }
            Some(_) | None => State::Established(self),
        }
    }

    // The end.

    pub(super) fn bye(
        mut self: Box<Self>,
        core: &mut Core,
        place: Place,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> State {
        if !self.holds_back_bye() {
            return self.leave(core, place, extra, now);
        }
        self.hang_up.get_or_insert_with(|| owned(extra));
        State::Established(self)
    }

    pub(super) fn on_bye(
        mut self: Box<Self>,
        core: &mut Core,
        place: Place,
        arrival: Arrival,
        now: Instant,
    ) -> State {
        core.answer(&arrival, StatusCode::OK, &[], now);
        self.close_open_requests(core, place, now);
        let message = Some(Message::Request(arrival.request));
        finish(core, place, self.dialog.id(), EndCause::RemoteBye, message)
    }

    /// Sends BYE and waits for its answer.
    fn leave(
        mut self,
        core: &mut Core,
        place: Place,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> State {
        self.close_open_requests(core, place, now);
        core.send_bye(
            &mut self.dialog,
            place.flow,
            extra,
            ClientRole::Bye(place.id),
            now,
        );
        State::Leaving(Box::new(Leaving {
            dialog: self.dialog,
            account: self.account,
        }))
    }

    /// Ends a call whose far end is not there any more: BYE is a courtesy that nobody waits for.
    pub(super) fn abandon(
        mut self,
        core: &mut Core,
        place: Place,
        cause: EndCause,
        now: Instant,
    ) -> State {
        self.close_open_requests(core, place, now);
        core.send_bye(
            &mut self.dialog,
            place.flow,
            &[],
            ClientRole::Unattended,
            now,
        );
        finish(core, place, self.dialog.id(), cause, None)
    }

    /// Nothing may stay unanswered when the dialog ends: their requests, and their 2xx.
    fn close_open_requests(&mut self, core: &mut Core, place: Place, now: Instant) {
        self.refuse_theirs(core, now);
        self.refuse_refer(core, place, now);
        if let Some(transaction) = self.ours.take().and_then(|ours| ours.transaction()) {
            core.forsake(transaction, now);
        }
        if self.owed_ack.is_some() {
            let _ = self.confirm(core, place, None);
        }
    }

    /// A request that is still open when the dialog ends is answered 487 (RFC 3261 15.1.2).
    fn refuse_theirs(&self, core: &mut Core, now: Instant) {
        if let Some(theirs) = &self.theirs {
            let response = theirs.response(core, StatusCode::REQUEST_TERMINATED, None, &[]);
            core.respond(theirs.transaction, &response, now);
        }
    }

    // INFO.

    pub(super) fn info(&mut self, core: &mut Core, place: Place, body: Body, now: Instant) {
        let mut request = self.dialog.request(Method::Info);
        request.body = attach(&mut request.headers, &[], Some(body));
        let flow = core.flow_of(&self.dialog, place.flow);
        core.request(request, flow, ClientRole::Info(place.id), now);
    }
}
