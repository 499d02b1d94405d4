//! An answered call: its ACK, its re-INVITEs both ways, its end (RFC 3261 13.3.1.4, 14, 15).

use std::time::{Duration, Instant};

use crate::{
    dialog::{Dialog, sole_contact},
    endpoint::{Body, EndCause, Event, ExtraHeaders, Misuse, arrival::Arrival, core::Core},
    message::{Message, Method, Response, StatusCode},
    transaction::table::{ClientRole, ServerInvite, TransactionId},
};

use super::{
    ALLOW, InviteTimer, Place, State, attach, finish,
    pending::PendingInvite,
    success::{Purpose, UnackedSuccess},
};

/// How often a re-INVITE of ours that meets 491 is sent again before we take no for an answer.
const MAX_GLARES: u32 = 6;

/// The state.
#[derive(Debug)]
pub(crate) struct Established {
    pub(super) dialog: Dialog,
    /// Whether the Call-ID is ours, which decides who waits longer after 491.
    calling: bool,
    /// Our 2xx whose ACK has not come. While there is one no other INVITE is taken.
    unacked: Option<UnackedSuccess>,
    /// BYE is wanted, but a callee's waits for the ACK (RFC 3261 15); its further headers.
    hang_up: Option<Vec<(String, String)>>,
    /// Their re-INVITE that we have not answered.
    theirs: Option<PendingInvite>,
    ours: Option<Reinvite>,
}

/// A re-INVITE of ours.
#[derive(Debug)]
struct Reinvite {
    body: Body,
    glares: u32,
    cseq: u32,
    /// `None` while waiting after 491.
    transaction: Option<TransactionId>,
}

impl Established {
    pub(super) fn as_server(dialog: Dialog, unacked: UnackedSuccess) -> Self {
        Self {
            unacked: Some(unacked),
            calling: false,
            ..Self::as_client(dialog)
        }
    }

    pub(super) fn as_client(dialog: Dialog) -> Self {
        Self {
            dialog,
            calling: true,
            unacked: None,
            hang_up: None,
            theirs: None,
            ours: None,
        }
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
        match self.hang_up.take() {
            Some(extra) => self.leave(core, place, &borrow(&extra), now),
            None => State::Established(self),
        }
    }

    pub(super) fn repeat_success(
        &mut self,
        core: &mut Core,
        place: Place,
        cseq: u32,
        now: Instant,
    ) {
        if let Some(unacked) = self
            .unacked
            .as_mut()
            .filter(|unacked| unacked.cseq() == cseq)
        {
            unacked.repeat(core, place, now);
        }
    }

    pub(super) fn on_ack_deadline(
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
        let waits = |unacked: &UnackedSuccess| unacked.purpose() == Purpose::Call;
        if !self.unacked.as_ref().is_some_and(waits) {
            return self.leave(core, place, extra, now);
        }
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.hang_up
            .get_or_insert_with(|| extra.iter().map(owned).collect());
        State::Established(self)
    }

    pub(super) fn on_bye(
        self: Box<Self>,
        core: &mut Core,
        place: Place,
        arrival: Arrival,
        now: Instant,
    ) -> State {
        core.answer(&arrival, StatusCode::OK, &[], now);
        self.refuse_theirs(core, now);
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
        self.refuse_theirs(core, now);
        core.send_bye(
            &mut self.dialog,
            place.flow,
            extra,
            ClientRole::Bye(place.id),
            now,
        );
        let reinvite = self
            .ours
            .and_then(|ours| Some((ours.transaction?, ours.cseq)));
        State::Leaving(Box::new(Leaving {
            dialog: self.dialog,
            reinvite,
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
        self.refuse_theirs(core, now);
        core.send_bye(
            &mut self.dialog,
            place.flow,
            &[],
            ClientRole::Unattended,
            now,
        );
        finish(core, place, self.dialog.id(), cause, None)
    }

    /// A request that is still open when the dialog ends is answered 487 (RFC 3261 15.1.2).
    fn refuse_theirs(&self, core: &mut Core, now: Instant) {
        if let Some(theirs) = &self.theirs {
            let response = theirs.response(core, StatusCode::REQUEST_TERMINATED, None, &[]);
            core.respond(theirs.transaction, &response, now);
        }
    }

    // Their re-INVITE.

    /// RFC 3261 14.2: 491 when one of ours is open, 500 when one of theirs is. A 2xx of ours whose
    /// ACK is missing may hold an offer whose answer is missing, so that is 491 as well (RFC 5407
    /// 3.1.4); the far end comes back.
    pub(super) fn on_reinvite(
        &mut self,
        core: &mut Core,
        place: Place,
        arrival: Arrival,
        now: Instant,
    ) {
        let ours_is_open = self
            .ours
            .as_ref()
            .is_some_and(|ours| ours.transaction.is_some());
        if self.theirs.is_some() {
            core.answer_come_back(&arrival, now);
        } else if ours_is_open || self.unacked.is_some() || self.hang_up.is_some() {
            core.answer(&arrival, StatusCode::REQUEST_PENDING, &[], now);
        } else {
            let local_tag = self.dialog.id().local_tag.clone();
            let invite = ServerInvite {
                usage: Some(place.id),
                local_tag,
                merge_key: None,
            };
            let transaction = core.open_invite(&arrival, invite);
            let pending = PendingInvite::new(core, &arrival, transaction, "");
            let trying = Response::to_request(&arrival.request, StatusCode::TRYING);
            core.respond(transaction, &trying, now);
            self.theirs = Some(pending);
            core.emit(Event::Reoffer {
                id: place.id,
                request: arrival.request,
            });
        }
    }

    pub(super) fn accept_reoffer(
        &mut self,
        core: &mut Core,
        place: Place,
        body: Option<Body>,
        now: Instant,
    ) -> Result<(), Misuse> {
        let Some(theirs) = self.theirs.take() else {
            return Err(no_reoffer("accept a re-INVITE of"));
        };
        if let Some(target) = &theirs.target {
            self.dialog.refresh_target(target);
        }
        let response = theirs.response(core, StatusCode::OK, body, &[]);
        let invite = (theirs.transaction, theirs.cseq);
        let unacked = UnackedSuccess::send(core, place, invite, &response, Purpose::Reoffer, now);
        self.unacked = Some(unacked);
        Ok(())
    }

    pub(super) fn reject_reoffer(
        &mut self,
        core: &mut Core,
        status: StatusCode,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> Result<(), Misuse> {
        let Some(theirs) = self.theirs.take() else {
            return Err(no_reoffer("reject a re-INVITE of"));
        };
        let response = theirs.response(core, status, None, extra);
        core.respond(theirs.transaction, &response, now);
        Ok(())
    }

    pub(super) fn on_cancel(
        &mut self,
        core: &mut Core,
        place: Place,
        transaction: TransactionId,
        now: Instant,
    ) {
        if self
            .theirs
            .as_ref()
            .is_some_and(|theirs| theirs.transaction == transaction)
        {
            self.refuse_theirs(core, now);
            self.theirs = None;
            core.emit(Event::ReofferCancelled { id: place.id });
        }
    }

    // Our re-INVITE.

    pub(super) fn reoffer(
        &mut self,
        core: &mut Core,
        place: Place,
        body: Body,
        now: Instant,
    ) -> Result<(), Misuse> {
        let busy = self.ours.is_some() || self.theirs.is_some();
        if busy || self.unacked.is_some() || self.hang_up.is_some() {
            let state = "in the middle of another offer";
            return Err(Misuse::WrongState {
                command: "reoffer to",
                state,
            });
        }
        let mut ours = Reinvite {
            body,
            glares: 0,
            cseq: 0,
            transaction: None,
        };
        self.send_reinvite(core, place, &mut ours, now);
        self.ours = Some(ours);
        Ok(())
    }

    pub(super) fn is_reoffering_with(&self, transaction: TransactionId) -> bool {
        self.ours
            .as_ref()
            .is_some_and(|ours| ours.transaction == Some(transaction))
    }

    fn send_reinvite(&mut self, core: &mut Core, place: Place, ours: &mut Reinvite, now: Instant) {
        let mut request = self.dialog.request(Method::Invite);
        let flow = core.flow_of(&self.dialog, place.flow);
        request.headers.push("Contact", core.config.contact(flow));
        request.headers.push("Allow", ALLOW);
        request.body = attach(&mut request.headers, &[], Some(ours.body.clone()));
        ours.cseq = self.dialog.local_cseq();
        let role = ClientRole::Reinvite(place.id);
        ours.transaction = Some(core.invite(request, ours.cseq, flow, role, now));
    }

    pub(super) fn on_reinvite_response(
        mut self: Box<Self>,
        core: &mut Core,
        place: Place,
        transaction: TransactionId,
        response: &Response,
        now: Instant,
    ) -> State {
        if response.status.is_provisional() {
            return State::Established(self);
        }
        let current = |ours: &mut Reinvite| ours.transaction == Some(transaction);
        let Some(mut ours) = self.ours.take_if(current) else {
            return State::Established(self);
        };
        let (id, status) = (place.id, response.status);
        if status.is_success() {
            if let Ok(target) = sole_contact(&response.headers) {
                self.dialog.refresh_target(&target);
            }
            core.acknowledge(transaction, &self.dialog, ours.cseq, place.flow);
            core.emit(Event::ReofferAnswered {
                id,
                response: response.clone(),
            });
        } else if status == StatusCode::REQUEST_PENDING && ours.glares < MAX_GLARES {
            ours.transaction = None;
            ours.glares += 1;
            let wait = self.glare_wait(core);
            core.arm(id, InviteTimer::GlareOver { cseq: ours.cseq }, now + wait);
            self.ours = Some(ours);
        } else if is_end_of_dialog(status) {
            return self.abandon(core, place, EndCause::Rejected(status), now);
        } else {
            core.emit(Event::ReofferRefused { id, status });
        }
        State::Established(self)
    }

    /// RFC 3261 14.1: whoever made the Call-ID waits 2.1 to 4 s, the other up to 2 s, in steps of
    /// 10 ms, so that the two do not meet again.
    fn glare_wait(&self, core: &mut Core) -> Duration {
        let steps = if self.calling {
            210 + core.identifiers.below(191)
        } else {
            core.identifiers.below(201)
        };
        Duration::from_millis(steps * 10)
    }

    pub(super) fn on_glare_over(&mut self, core: &mut Core, place: Place, cseq: u32, now: Instant) {
        let waiting = |ours: &mut Reinvite| ours.cseq == cseq && ours.transaction.is_none();
        let Some(mut ours) = self.ours.take_if(waiting) else {
            return;
        };
        if self.theirs.is_some() || self.unacked.is_some() {
            // Theirs came first; ours has its turn when that is settled.
            let wait = self.glare_wait(core);
            core.arm(place.id, InviteTimer::GlareOver { cseq }, now + wait);
        } else {
            self.send_reinvite(core, place, &mut ours, now);
        }
        self.ours = Some(ours);
    }

    // INFO.

    pub(super) fn info(&mut self, core: &mut Core, place: Place, body: Body, now: Instant) {
        let mut request = self.dialog.request(Method::Info);
        request.body = attach(&mut request.headers, &[], Some(body));
        let flow = core.flow_of(&self.dialog, place.flow);
        core.request(request, flow, ClientRole::Unattended, now);
    }
}

/// A call that we ended with BYE, which is not answered yet.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub(super) dialog: Dialog,
    /// Our re-INVITE that was open then, and its CSeq number: a late 2xx still wants its ACK.
    reinvite: Option<(TransactionId, u32)>,
}

impl Leaving {
    pub(super) fn on_response(
        self: Box<Self>,
        core: &mut Core,
        place: Place,
        response: Response,
    ) -> State {
        if response.status.is_provisional() {
            return State::Leaving(self);
        }
        self.end(
            core,
            place,
            EndCause::LocalBye,
            Some(Message::Response(response)),
        )
    }

    /// Both sides hung up at once: each BYE gets its 200, and ours came first for us.
    pub(super) fn on_bye(
        self: Box<Self>,
        core: &mut Core,
        place: Place,
        arrival: Arrival,
        now: Instant,
    ) -> State {
        core.answer(&arrival, StatusCode::OK, &[], now);
        let message = Some(Message::Request(arrival.request));
        self.end(core, place, EndCause::LocalBye, message)
    }

    pub(super) fn on_reinvite_response(
        &self,
        core: &mut Core,
        place: Place,
        transaction: TransactionId,
        response: &Response,
    ) {
        let open = self
            .reinvite
            .filter(|(reinvite, _)| *reinvite == transaction);
        if let (Some((_, cseq)), true) = (open, response.status.is_success()) {
            core.acknowledge(transaction, &self.dialog, cseq, place.flow);
        }
    }

    pub(super) fn end(
        &self,
        core: &mut Core,
        place: Place,
        cause: EndCause,
        message: Option<Message>,
    ) -> State {
        finish(core, place, self.dialog.id(), cause, message)
    }
}

/// Whether a refusal of a re-INVITE says that the whole dialog is gone (RFC 3261 14.1).
fn is_end_of_dialog(status: StatusCode) -> bool {
    status == StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST
        || status == StatusCode::REQUEST_TIMEOUT
}

fn no_reoffer(command: &'static str) -> Misuse {
    Misuse::WrongState {
        command,
        state: "not waiting for one",
    }
}

fn borrow(extra: &[(String, String)]) -> Vec<(&str, &str)> {
    extra
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}
