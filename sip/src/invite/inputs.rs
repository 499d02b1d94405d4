//! What reaches a usage: requests of its dialog, responses and failures of its transactions, timers.

use std::time::Instant;

use super::{ALLOW, Invite, Place, State};
use crate::ua_core::timers::InviteTimer;
use crate::{
    dialog::{Dialog, OutOfOrder},
    flow::Flow,
    message::{CSeq, Message, Method, Request, Response, StatusCode, parse_datagram},
    transaction::{
        Failure,
        table::{ClientRole, TransactionId},
    },
    ua_core::{Core, EndCause, Event, account::Account, arrival::Arrival},
};

/// The bodies of INFO we take: both ways in which gateways send digits.
const INFO_TYPES: &str = "application/dtmf-relay, application/dtmf";

impl Invite {
    /// A request inside the dialog, of a method we serve, except ACK and CANCEL.
    pub(crate) fn on_request(&mut self, core: &mut Core, arrival: Arrival, now: Instant) {
        if self.take_cseq(&arrival).is_err() {
            core.answer(&arrival, StatusCode::SERVER_INTERNAL_ERROR, &[], now);
            return;
        }
        self.place.flow = arrival.source;
        match arrival.request.method {
            Method::Options => core.answer_options(&arrival, now),
            Method::Bye => self.change(|place, state| state.on_bye(core, *place, arrival, now)),
            Method::Invite => self.on_reinvite(core, arrival, now),
            Method::Info => self.on_info(core, arrival, now),
            Method::Prack => self.on_prack(core, arrival, now),
            Method::Update => self.on_update(core, arrival, now),
            Method::Refer => self.on_refer(core, arrival, now),
            // What it is about was looked for before: nothing of ours.
            Method::Notify => core.answer(&arrival, StatusCode::BAD_EVENT, &[], now),
            Method::Ack
            | Method::Cancel
            | Method::Register
            | Method::Subscribe
            | Method::Message
            | Method::Publish
            | Method::Extension(_) => {
                core.answer(
                    &arrival,
                    StatusCode::METHOD_NOT_ALLOWED,
                    &[("Allow", ALLOW)],
                    now,
                );
            }
        }
    }

    /// The connection that the far end was reached by is gone. One that it opened cannot be opened by us: from
    /// now on requests go to where its routes or its Contact say, if that is an address, until it speaks again.
    pub(crate) fn on_connection_lost(&mut self, flow: Flow) {
        if self.place.flow != flow {
            return;
        }
        let dialog = match &self.state {
            State::Established(call) => &call.dialog,
            State::Leaving(call) => &call.dialog,
            State::Incoming(_) | State::Outgoing(_) | State::Ended => return,
        };
        let next_hop = dialog.next_hop();
        if let Some(host) = next_hop.host() {
            self.place.flow = flow.reopened_to(host, next_hop.port());
        }
    }

    fn take_cseq(&mut self, arrival: &Arrival) -> Result<(), OutOfOrder> {
        match &mut self.state {
            State::Incoming(call) => call.dialog.take_remote_cseq(arrival.cseq),
            State::Established(call) => call.dialog.take_remote_cseq(arrival.cseq),
            State::Leaving(call) => call.dialog.take_remote_cseq(arrival.cseq),
            State::Outgoing(call) => call.take_remote_cseq(arrival),
            State::Ended => Ok(()),
        }
    }

    fn on_reinvite(&mut self, core: &mut Core, arrival: Arrival, now: Instant) {
        match &mut self.state {
            State::Established(call) => call.on_reinvite(core, self.place, arrival, now),
            State::Incoming(_) => core.answer_come_back(&arrival, now),
            State::Outgoing(_) => core.answer(&arrival, StatusCode::REQUEST_PENDING, &[], now),
            State::Leaving(_) | State::Ended => core.answer_no_dialog(&arrival, now),
        }
    }

    fn on_prack(&mut self, core: &mut Core, arrival: Arrival, now: Instant) {
        self.change(|place, state| match state {
            State::Incoming(call) => call.on_prack(core, *place, arrival, now),
            State::Established(mut call) => {
                if call.takes_prack(&arrival.request) {
                    core.answer(&arrival, StatusCode::OK, &[], now);
                } else {
                    core.answer_no_dialog(&arrival, now);
                }
                State::Established(call)
            }
            // A repetition of one that has done its work finds its transaction; this is a stray.
            State::Outgoing(_) | State::Leaving(_) | State::Ended => {
                core.answer_no_dialog(&arrival, now);
                state
            }
        });
    }

    fn on_update(&mut self, core: &mut Core, arrival: Arrival, now: Instant) {
        match &mut self.state {
            State::Established(call) => call.on_update(core, self.place, arrival, now),
            State::Incoming(call) => call.on_update(core, &arrival, now),
            // Theirs, as callee, before its answer: our offer is open. Without an offer it only moves its
            // Contact.
            State::Outgoing(call) if arrival.request.body.is_empty() => {
                if let Some(dialog) = call.early_dialog_mut(&arrival.from_tag) {
                    dialog.refresh_from(&arrival.request.headers);
                }
                core.answer_in_dialog(&arrival, StatusCode::OK, &[], now);
            }
            State::Outgoing(_) => core.answer(&arrival, StatusCode::REQUEST_PENDING, &[], now),
            State::Leaving(_) | State::Ended => core.answer_no_dialog(&arrival, now),
        }
    }

    fn on_refer(&mut self, core: &mut Core, arrival: Arrival, now: Instant) {
        match &mut self.state {
            State::Established(call) => call.on_refer(core, self.place, arrival, now),
            State::Incoming(_) | State::Outgoing(_) => {
                core.answer(&arrival, StatusCode::DECLINE, &[], now);
            }
            State::Leaving(_) | State::Ended => core.answer_no_dialog(&arrival, now),
        }
    }

    fn on_info(&mut self, core: &mut Core, arrival: Arrival, now: Instant) {
        match &self.state {
            State::Established(_) | State::Incoming(_) | State::Outgoing(_) => {
                if !is_served_info(&arrival.request) {
                    let accept = [("Accept", INFO_TYPES)];
                    core.answer(&arrival, StatusCode::UNSUPPORTED_MEDIA_TYPE, &accept, now);
                    return;
                }
                core.answer(&arrival, StatusCode::OK, &[], now);
                core.emit(Event::Info {
                    id: self.place.id,
                    request: arrival.request,
                });
            }
            State::Leaving(_) | State::Ended => core.answer_no_dialog(&arrival, now),
        }
    }

    /// An ACK inside the dialog.
    pub(crate) fn on_ack(&mut self, core: &mut Core, arrival: Arrival, now: Instant) {
        self.change(|place, state| match state {
            State::Established(call) => call.on_ack(core, *place, arrival, now),
            State::Incoming(_) | State::Outgoing(_) | State::Leaving(_) | State::Ended => {
                core.statistics.stray_acks += 1;
                state
            }
        });
    }

    /// A CANCEL for the INVITE of `transaction`; it was answered.
    pub(crate) fn on_cancel(
        &mut self,
        core: &mut Core,
        transaction: TransactionId,
        cancel: Request,
        now: Instant,
    ) {
        self.change(|place, state| match state {
            State::Incoming(call) => call.on_cancel(core, *place, cancel, now),
            State::Established(mut call) => {
                call.on_cancel(core, *place, transaction, now);
                State::Established(call)
            }
            State::Outgoing(_) | State::Leaving(_) | State::Ended => state,
        });
    }

    /// A response to the INVITE that makes this usage.
    pub(crate) fn on_invite_response(&mut self, core: &mut Core, response: Response, now: Instant) {
        self.change(|place, state| match state {
            State::Outgoing(call) => call.on_response(core, place, response, now),
            State::Incoming(_) | State::Established(_) | State::Leaving(_) | State::Ended => state,
        });
    }

    /// Whether `transaction` is the INVITE that makes this usage, without its final response yet.
    pub(crate) fn awaits_answer_to(&self, transaction: TransactionId) -> bool {
        match &self.state {
            State::Outgoing(call) => call.is_calling_with(transaction),
            State::Incoming(_) | State::Established(_) | State::Leaving(_) | State::Ended => false,
        }
    }

    /// A response to our re-INVITE.
    pub(crate) fn on_reinvite_response(
        &mut self,
        core: &mut Core,
        transaction: TransactionId,
        response: &Response,
        now: Instant,
    ) {
        self.change(|place, state| match state {
            State::Established(call) => {
                call.on_reinvite_response(core, *place, transaction, response, now)
            }
            State::Incoming(_) | State::Outgoing(_) | State::Leaving(_) | State::Ended => state,
        });
    }

    /// A response to a request of ours inside the dialog, other than a re-INVITE.
    pub(crate) fn on_in_dialog_response(
        &mut self,
        core: &mut Core,
        role: ClientRole,
        response: Response,
        now: Instant,
    ) {
        self.change(|place, state| match (state, role) {
            (State::Leaving(call), ClientRole::Bye(_)) => call.on_response(core, *place, response),
            (State::Established(call), ClientRole::Refresh(_)) => {
                call.on_refresh_response(core, *place, &response, now)
            }
            (State::Established(call), ClientRole::Notify(_, last))
                if response.status.is_final() =>
            {
                call.on_notify_over(core, *place, last, now)
            }
            (State::Established(call), ClientRole::Info(_)) if response.status.is_final() => {
                let (id, status) = (place.id, response.status);
                core.emit(Event::InfoAnswered { id, status });
                State::Established(call)
            }
            (state, _) => state,
        });
    }

    /// Sends a challenged request again, with credentials. `false` when there are none, or they have been
    /// refused.
    pub(crate) fn ask_again(
        &mut self,
        core: &mut Core,
        role: ClientRole,
        request: &[u8],
        challenge: &Response,
        now: Instant,
    ) -> bool {
        let Ok(Some(Message::Request(mut request))) = parse_datagram(request) else {
            return false;
        };
        let remote_tag = challenge.headers.to().ok();
        let remote_tag = remote_tag
            .as_ref()
            .and_then(|to| to.tag())
            .unwrap_or_default();
        let flow = self.place.flow;
        let Some((Some(account), dialog)) = self.account_and_dialog(remote_tag) else {
            return false;
        };
        if !account.answer(core, &mut request, challenge) {
            return false;
        }
        let flow = core.flow_of(dialog, flow);
        send_as_next(core, dialog, request, flow, role, now);
        true
    }

    /// The stream that carried a large request instead of UDP failed: by UDP then, as RFC 3261 18.1.1 asks, with
    /// all that follow in this usage. `false` when UDP was not its way.
    pub(crate) fn fall_back_to_datagrams(
        &mut self,
        core: &mut Core,
        role: ClientRole,
        request: &[u8],
        now: Instant,
    ) -> bool {
        let Ok(Some(Message::Request(mut request))) = parse_datagram(request) else {
            return false;
        };
        let Place { id, flow } = self.place;
        let remote_tag = request.headers.to_tag().ok().flatten().unwrap_or_default();
        let Some((account, dialog)) = self.account_and_dialog(remote_tag) else {
            return false;
        };
        let flow = core.flow_of(dialog, flow);
        if flow.transport.is_reliable() {
            return false;
        }
        core.keep_to_datagrams(id);
        if let Some(account) = account {
            account.answer_anew(core, &mut request);
        }
        send_as_next(core, dialog, request, flow, role, now);
        true
    }

    fn account_and_dialog(
        &mut self,
        remote_tag: &str,
    ) -> Option<(Option<&mut Account>, &mut Dialog)> {
        match &mut self.state {
            State::Established(call) => Some((call.account.as_deref_mut(), &mut call.dialog)),
            State::Leaving(call) => Some((call.account.as_deref_mut(), &mut call.dialog)),
            State::Outgoing(call) => call.account_and_early_dialog(remote_tag),
            State::Incoming(_) | State::Ended => None,
        }
    }

    /// The INVITE that makes this usage got no answer.
    pub(crate) fn on_invite_failure(
        &mut self,
        core: &mut Core,
        transaction: TransactionId,
        failure: Failure,
        used: Flow,
        now: Instant,
    ) {
        self.change(|place, state| match state {
            State::Outgoing(call) if call.is_calling_with(transaction) => {
                call.on_failure(core, place, failure, used, now)
            }
            State::Outgoing(_)
            | State::Incoming(_)
            | State::Established(_)
            | State::Leaving(_)
            | State::Ended => state,
        });
    }

    /// A request of ours inside the dialog, other than a re-INVITE, got no answer.
    pub(crate) fn on_in_dialog_failure(
        &mut self,
        core: &mut Core,
        role: ClientRole,
        failure: Failure,
        now: Instant,
    ) {
        let cause = cause_of(failure);
        self.change(|place, state| match (state, role) {
            (State::Leaving(call), ClientRole::Bye(_)) => call.end(core, *place, cause, None),
            // RFC 4028 section 10: a refresh without an answer ends the session.
            (State::Established(call), ClientRole::Refresh(_)) if failure == Failure::TimedOut => {
                call.abandon(core, *place, cause, now)
            }
            (State::Established(call), ClientRole::Notify(_, last)) => {
                call.on_notify_over(core, *place, last, now)
            }
            (State::Established(call), ClientRole::Info(_)) => {
                let (id, status) = (place.id, StatusCode::REQUEST_TIMEOUT);
                core.emit(Event::InfoAnswered { id, status });
                State::Established(call)
            }
            (state, _) => state,
        });
    }

    /// Our re-INVITE got no answer, which ends the dialog (RFC 3261 14.1).
    pub(crate) fn on_reinvite_failure(
        &mut self,
        core: &mut Core,
        transaction: TransactionId,
        (failure, used): (Failure, Flow),
        now: Instant,
    ) {
        self.change(|place, state| match state {
            State::Established(call) if call.is_reoffering_with(transaction) => {
                call.on_reinvite_failure(core, *place, (failure, used), now)
            }
            State::Established(_)
            | State::Incoming(_)
            | State::Outgoing(_)
            | State::Leaving(_)
            | State::Ended => state,
        });
    }

    pub(crate) fn on_timer(&mut self, core: &mut Core, timer: InviteTimer, now: Instant) {
        self.change(|place, state| match state {
            State::Incoming(call) => call.on_timer(core, *place, timer, now),
            State::Outgoing(call) => call.on_timer(core, place, timer, now),
            State::Established(call) => call.on_timer(core, *place, timer, now),
            State::Leaving(_) | State::Ended => state,
        });
    }
}

impl State {
    fn on_bye(self, core: &mut Core, place: Place, arrival: Arrival, now: Instant) -> Self {
        match self {
            Self::Incoming(call) => call.on_bye(core, place, arrival, now),
            Self::Established(call) => call.on_bye(core, place, arrival, now),
            Self::Leaving(call) => call.on_bye(core, place, arrival, now),
            // A callee may not end an early dialog with BYE (RFC 3261 15); it refuses the INVITE.
            Self::Outgoing(_) | Self::Ended => {
                core.answer_no_dialog(&arrival, now);
                self
            }
        }
    }
}

/// Sends a request of a dialog again, as the next in it.
fn send_as_next(
    core: &mut Core,
    dialog: &mut Dialog,
    mut request: Request,
    flow: Flow,
    role: ClientRole,
    now: Instant,
) {
    let number = dialog.next_cseq();
    let method = request.method.clone();
    let headers = &mut request.headers;
    headers.set("CSeq", CSeq { number, method }.to_string());
    // Both are put in anew when it is sent.
    headers.remove("Via");
    headers.remove("User-Agent");
    if let ClientRole::Refer(_, referral) = role {
        core.renumber_referral(referral, number);
    }
    core.request(request, flow, role, now);
}

fn cause_of(failure: Failure) -> EndCause {
    match failure {
        Failure::TimedOut => EndCause::NoAnswer,
        Failure::TransportFailed => EndCause::TransportFailed,
    }
}

/// Whether we take an INFO. One without a body is an old keep-alive and is welcome.
fn is_served_info(request: &Request) -> bool {
    let Some(content_type) = request.headers.content_type() else {
        return request.body.is_empty();
    };
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    INFO_TYPES
        .split(", ")
        .any(|served| served.eq_ignore_ascii_case(media_type))
}
