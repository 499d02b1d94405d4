//! re-INVITEs both ways (RFC 3261 14): one offer at a time, and what happens when two meet.

use std::time::{Duration, Instant};

use super::Established;
use crate::ua_core::timers::InviteTimer;
use crate::{
    dialog::sole_contact,
    flow::Flow,
    invite::{
        ALLOW, Place, SUPPORTED, State, attach,
        pending::PendingInvite,
        success::{Purpose, UnackedSuccess},
    },
    message::{Method, Response, StatusCode, Uri},
    transaction::{
        Failure,
        table::{ClientRole, ServerInvite, TransactionId},
    },
    ua_core::{
        Body, Core, EndCause, Event, ExtraHeaders, Misuse,
        account::{Account, authorization_in},
        arrival::Arrival,
        session_timer::{SessionTimer, min_se},
    },
};

/// How often a re-INVITE of ours that meets 491 is sent again before we take no for an answer.
const MAX_GLARES: u32 = 6;
/// How often its session interval is raised after a 422.
const MAX_RAISES: u32 = 2;

/// A re-INVITE of ours.
#[derive(Debug)]
pub(super) struct Reinvite {
    body: Body,
    glares: u32,
    raises: u32,
    /// `Authorization` and `Proxy-Authorization` for the next request alone: no count of a nonce may be
    /// used twice (RFC 7616 3.4).
    authorization: Vec<(String, String)>,
    challenged: bool,
    cseq: u32,
    /// `None` while waiting after 491.
    transaction: Option<TransactionId>,
}

impl Reinvite {
    /// What is out, unless it waits after 491.
    pub(super) fn transaction(&self) -> Option<TransactionId> {
        self.transaction
    }
}

impl Established {
    /// RFC 3261 14.2: 491 when one of ours is open, 500 when one of theirs is. A 2xx of ours whose
    /// ACK is missing may hold an offer whose answer is missing, so that is 491 as well (RFC 5407
    /// 3.1.4); the far end comes back.
    pub(in crate::invite) fn on_reinvite(
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
        } else if ours_is_open
            || self.unacked.is_some()
            || self.owed_ack.is_some()
            || self.hang_up.is_some()
        {
            core.answer(&arrival, StatusCode::REQUEST_PENDING, &[], now);
        } else {
            let Ok(session) = SessionTimer::as_server(&arrival.request, core.session_policy())
            else {
                core.answer_interval_too_small(&arrival, now);
                return;
            };
            let local_tag = self.dialog.id().local_tag.clone();
            let invite = ServerInvite {
                usage: Some(place.id),
                local_tag,
                merge_key: None,
            };
            let transaction = core.open_invite(&arrival, invite);
            let pending = PendingInvite::new(core, &arrival, transaction, "", session);
            let trying = Response::to_request(&arrival.request, StatusCode::TRYING);
            core.respond(transaction, &trying, now);
            self.theirs = Some(pending);
            core.emit(Event::Reoffer {
                id: place.id,
                request: arrival.request,
            });
        }
    }

    /// An UPDATE (RFC 3311 5.2): one without an offer refreshes target and session; one with an offer is
    /// handed up like a re-INVITE. 491 where an offer of ours is open, 500 where one of theirs is.
    pub(in crate::invite) fn on_update(
        &mut self,
        core: &mut Core,
        place: Place,
        arrival: Arrival,
        now: Instant,
    ) {
        let Ok(session) = SessionTimer::as_server(&arrival.request, core.session_policy()) else {
            core.answer_interval_too_small(&arrival, now);
            return;
        };
        let offered = !arrival.request.body.is_empty();
        let ours_is_open = self
            .ours
            .as_ref()
            .is_some_and(|ours| ours.transaction.is_some())
            || self.owed_ack.is_some()
            || self
                .unacked
                .as_ref()
                .is_some_and(UnackedSuccess::awaits_answer);
        if offered && self.theirs.is_some() {
            core.answer_come_back(&arrival, now);
        } else if offered && ours_is_open {
            core.answer(&arrival, StatusCode::REQUEST_PENDING, &[], now);
        } else if offered {
            let transaction = core.open_request(&arrival);
            self.theirs = Some(PendingInvite::new(core, &arrival, transaction, "", session));
            core.emit(Event::Reoffer {
                id: place.id,
                request: arrival.request,
            });
        } else {
            let transaction = core.open_request(&arrival);
            let pending = PendingInvite::new(core, &arrival, transaction, "", session);
            self.dialog.refresh_from(&arrival.request.headers);
            let response = pending.response(core, StatusCode::OK, None, &[]);
            core.respond(transaction, &response, now);
            self.run_session_timer(core, place, session, now);
        }
    }

    pub(in crate::invite) fn accept_reoffer(
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
        let awaits_answer = !theirs.has_offer && body.is_some();
        let response = theirs.response(core, StatusCode::OK, body, &[]);
        if theirs.is_update {
            core.respond(theirs.transaction, &response, now);
        } else {
            let invite = (theirs.transaction, theirs.cseq);
            let purpose = (Purpose::Reoffer, awaits_answer);
            let unacked = UnackedSuccess::send(core, place, invite, &response, purpose, now);
            self.unacked = Some(unacked);
        }
        // Also where our 2xx names no interval: then the session has no end (RFC 4028 7.2).
        self.run_session_timer(core, place, theirs.session, now);
        Ok(())
    }

    pub(in crate::invite) fn reject_reoffer(
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

    pub(in crate::invite) fn on_cancel(
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

    pub(in crate::invite) fn reoffer(
        &mut self,
        core: &mut Core,
        place: Place,
        body: Body,
        now: Instant,
    ) -> Result<(), Misuse> {
        let busy = self.ours.is_some() || self.theirs.is_some();
        if busy || self.unacked.is_some() || self.owed_ack.is_some() || self.hang_up.is_some() {
            let state = "in the middle of another offer";
            return Err(Misuse::WrongState {
                command: "reoffer to",
                state,
            });
        }
        let mut ours = Reinvite {
            body,
            glares: 0,
            raises: 0,
            authorization: Vec::new(),
            challenged: false,
            cseq: 0,
            transaction: None,
        };
        self.send_reinvite(core, place, &mut ours, now);
        self.ours = Some(ours);
        Ok(())
    }

    pub(in crate::invite) fn is_reoffering_with(&self, transaction: TransactionId) -> bool {
        self.ours
            .as_ref()
            .is_some_and(|ours| ours.transaction == Some(transaction))
    }

    fn send_reinvite(&mut self, core: &mut Core, place: Place, ours: &mut Reinvite, now: Instant) {
        let mut request = self.dialog.request(Method::Invite);
        let flow = core.flow_of(&self.dialog, place.flow);
        request.headers.push("Contact", core.config.contact(flow));
        request.headers.push("Allow", ALLOW);
        request.headers.push("Supported", SUPPORTED);
        if let Some(timer) = &self.session.timer {
            request.headers.push("Session-Expires", timer.request());
            if let Some(min_se) = self.stated_minimum(core) {
                request.headers.push("Min-SE", min_se.as_secs().to_string());
            }
        }
        for (name, value) in self.authorize(core, ours, &request.uri) {
            request.headers.push(&name, value);
        }
        request.body = attach(&mut request.headers, &[], Some(ours.body.clone()));
        ours.cseq = self.dialog.local_cseq();
        let role = ClientRole::Reinvite(place.id);
        ours.transaction = Some(core.invite(request, ours.cseq, flow, role, now));
        // A 1xx ends the transaction's own patience; ours is as long.
        let deadline = now + core.config.timers.timeout();
        let timer = InviteTimer::ReinviteDeadline { cseq: ours.cseq };
        core.arm(place.id, timer, deadline);
    }

    /// The answer to a challenge; made anew where the request is sent again for another reason.
    fn authorize(
        &mut self,
        core: &mut Core,
        ours: &mut Reinvite,
        uri: &Uri,
    ) -> Vec<(String, String)> {
        let answers = std::mem::take(&mut ours.authorization);
        match &mut self.account {
            Some(account) if ours.challenged && answers.is_empty() => {
                account.authorize(core, &Method::Invite, uri, &ours.body.bytes)
            }
            Some(_) | None => answers,
        }
    }

    pub(in crate::invite) fn on_reinvite_response(
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
            core.acknowledge(transaction, &self.dialog, ours.cseq, place.flow, None);
            if self.session.timer.is_some() {
                let timer = SessionTimer::as_client(response, core.session_policy());
                self.run_session_timer(core, place, timer, now);
            }
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
        } else if Account::is_challenge(status)
            && self.take_challenge(core, &mut ours, transaction, response)
        {
            self.send_reinvite(core, place, &mut ours, now);
            self.ours = Some(ours);
        } else if status == StatusCode::SESSION_INTERVAL_TOO_SMALL && ours.raises < MAX_RAISES {
            ours.raises += 1;
            self.raise_session(min_se(&response.headers));
            self.send_reinvite(core, place, &mut ours, now);
            self.ours = Some(ours);
        } else if is_end_of_dialog(status) {
            return self.abandon(core, place, EndCause::Rejected(status), now);
        } else {
            core.emit(Event::ReofferRefused { id, status });
        }
        State::Established(self)
    }

    fn take_challenge(
        &mut self,
        core: &mut Core,
        ours: &mut Reinvite,
        transaction: TransactionId,
        challenge: &Response,
    ) -> bool {
        let Some(account) = &mut self.account else {
            return false;
        };
        let sent = core.sent_invite(transaction);
        let Some(mut request) = sent.map(|sent| sent.request.clone()) else {
            return false;
        };
        // The digest covers the body, which the transaction does not keep.
        request.body.clone_from(&ours.body.bytes);
        let answered = account.answer(core, &mut request, challenge);
        if answered {
            ours.authorization = authorization_in(&request.headers);
            ours.challenged = true;
        }
        answered
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

    /// Nobody answered a re-INVITE finally, although it was heard.
    pub(super) fn on_reinvite_deadline(
        &mut self,
        core: &mut Core,
        place: Place,
        cseq: u32,
        now: Instant,
    ) {
        let open = |ours: &mut Reinvite| ours.cseq == cseq && ours.transaction.is_some();
        let Some(ours) = self.ours.take_if(open) else {
            return;
        };
        if let Some(transaction) = ours.transaction {
            core.forsake(transaction, now);
        }
        let (id, status) = (place.id, StatusCode::REQUEST_TIMEOUT);
        core.emit(Event::ReofferRefused { id, status });
    }

    /// Our re-INVITE got no answer at all, which ends the dialog (RFC 3261 14.1). What could not be delivered
    /// is only refused: the next may be.
    pub(in crate::invite) fn on_reinvite_failure(
        mut self: Box<Self>,
        core: &mut Core,
        place: Place,
        (failure, used): (Failure, Flow),
        now: Instant,
    ) -> State {
        match failure {
            Failure::TimedOut => self.abandon(core, place, EndCause::NoAnswer, now),
            Failure::TransportFailed if self.stood_in(core, place, used) => {
                core.keep_to_datagrams(place.id);
                if let Some(mut ours) = self.ours.take() {
                    self.send_reinvite(core, place, &mut ours, now);
                    self.ours = Some(ours);
                }
                State::Established(self)
            }
            Failure::TransportFailed => {
                self.ours = None;
                let (id, status) = (place.id, StatusCode::SERVICE_UNAVAILABLE);
                core.emit(Event::ReofferRefused { id, status });
                State::Established(self)
            }
        }
    }

    /// Whether `used` is a stream that a large request took instead of UDP (RFC 3261 18.1.1).
    fn stood_in(&self, core: &Core, place: Place, used: Flow) -> bool {
        used.transport != core.flow_of(&self.dialog, place.flow).transport
    }

    pub(in crate::invite) fn on_glare_over(
        &mut self,
        core: &mut Core,
        place: Place,
        cseq: u32,
        now: Instant,
    ) {
        let waiting = |ours: &mut Reinvite| ours.cseq == cseq && ours.transaction.is_none();
        let Some(mut ours) = self.ours.take_if(waiting) else {
            return;
        };
        if self.theirs.is_some() || self.unacked.is_some() || self.hang_up.is_some() {
            // Theirs came first; ours has its turn when that is settled.
            let wait = self.glare_wait(core);
            core.arm(place.id, InviteTimer::GlareOver { cseq }, now + wait);
        } else {
            self.send_reinvite(core, place, &mut ours, now);
        }
        self.ours = Some(ours);
    }
}

/// Whether a refusal of a re-INVITE says that the whole dialog is gone (RFC 3261 14.1).
pub(super) fn is_end_of_dialog(status: StatusCode) -> bool {
    status == StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST
        || status == StatusCode::REQUEST_TIMEOUT
}

fn no_reoffer(command: &'static str) -> Misuse {
    Misuse::WrongState {
        command,
        state: "not waiting for one",
    }
}
