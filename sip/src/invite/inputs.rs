//! What reaches a usage: requests of its dialog, responses and failures of its transactions, timers.

use std::time::Instant;

use super::{ALLOW, Invite, Place, State};
use crate::ua_core::timers::InviteTimer;
use crate::{
    dialog::OutOfOrder,
    message::{Method, Request, Response, StatusCode},
    transaction::{Failure, table::TransactionId},
    ua_core::{Core, EndCause, Event, arrival::Arrival},
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
            Method::Bye => self.change(|place, state| state.on_bye(core, place, arrival, now)),
            Method::Invite => self.on_reinvite(core, arrival, now),
            Method::Info => self.on_info(core, arrival, now),
            Method::Ack
            | Method::Cancel
            | Method::Register
            | Method::Prack
            | Method::Update
            | Method::Refer
            | Method::Notify
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
            State::Established(call) => call.on_ack(core, place, arrival, now),
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
            State::Incoming(call) => call.on_cancel(core, place, cancel, now),
            State::Established(mut call) => {
                call.on_cancel(core, place, transaction, now);
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

    /// Whether the INVITE that makes this usage has no final response yet.
    pub(crate) fn awaits_answer(&self) -> bool {
        matches!(self.state, State::Outgoing(_))
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
                call.on_reinvite_response(core, place, transaction, response, now)
            }
            State::Incoming(_) | State::Outgoing(_) | State::Leaving(_) | State::Ended => state,
        });
    }

    /// A response to the BYE that we are leaving with.
    pub(crate) fn on_bye_response(&mut self, core: &mut Core, response: Response) {
        self.change(|place, state| match state {
            State::Leaving(call) => call.on_response(core, place, response),
            State::Incoming(_) | State::Outgoing(_) | State::Established(_) | State::Ended => state,
        });
    }

    /// The INVITE that makes this usage, or the BYE that we are leaving with, got no answer.
    pub(crate) fn on_failure(&mut self, core: &mut Core, failure: Failure) {
        let cause = cause_of(failure);
        self.change(|place, state| match state {
            State::Outgoing(call) => call.on_failure(core, place, cause),
            State::Leaving(call) => call.end(core, place, cause, None),
            State::Incoming(_) | State::Established(_) | State::Ended => state,
        });
    }

    /// Our re-INVITE got no answer, which ends the dialog (RFC 3261 14.1).
    pub(crate) fn on_reinvite_failure(
        &mut self,
        core: &mut Core,
        transaction: TransactionId,
        failure: Failure,
        now: Instant,
    ) {
        self.change(|place, state| match state {
            State::Established(call) if call.is_reoffering_with(transaction) => {
                call.abandon(core, place, cause_of(failure), now)
            }
            State::Established(_)
            | State::Incoming(_)
            | State::Outgoing(_)
            | State::Leaving(_)
            | State::Ended => state,
        });
    }

    pub(crate) fn on_timer(&mut self, core: &mut Core, timer: InviteTimer, now: Instant) {
        self.change(|place, state| match (state, timer) {
            (State::Incoming(mut call), InviteTimer::RepeatProvisional) => {
                call.repeat_provisional(core, place, now);
                State::Incoming(call)
            }
            (State::Established(mut call), InviteTimer::RepeatSuccess { cseq }) => {
                call.repeat_success(core, place, cseq, now);
                State::Established(call)
            }
            (State::Established(call), InviteTimer::AckDeadline { cseq }) => {
                call.on_ack_deadline(core, place, cseq, now)
            }
            (State::Established(mut call), InviteTimer::GlareOver { cseq }) => {
                call.on_glare_over(core, place, cseq, now);
                State::Established(call)
            }
            (State::Outgoing(call), InviteTimer::RingLimit) => call.on_ring_limit(core, place, now),
            (State::Outgoing(call), InviteTimer::CancelDeadline) => {
                call.on_cancel_deadline(core, place)
            }
            (
                state,
                InviteTimer::RepeatProvisional
                | InviteTimer::RepeatSuccess { .. }
                | InviteTimer::AckDeadline { .. }
                | InviteTimer::GlareOver { .. }
                | InviteTimer::RingLimit
                | InviteTimer::CancelDeadline,
            ) => state,
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
