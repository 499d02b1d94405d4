//! The INVITE usage: one call attempt and the dialog it makes, as server and as client.
//!
//! ```text
//! INVITE arrives ► Incoming ──reject, CANCEL, BYE──────────────────────► Ended
//!                     │ accept                                             ▲
//!                     ▼                                                    │
//!                Established ──BYE arrives, ACK never did──────────────────┤
//!                     ▲    └──bye──► Leaving ──answered, timer F──────────►┤
//!                     │ 2xx                                                │
//! INVITE sent ───► Outgoing ──refused, cancelled, timer B─────────────────►┘
//! ```
//!
//! A state owns what exists only in it; leaving it consumes it. Ended is said exactly once, by
//! [`finish`], the only way into it. A usage is dropped then, while its transactions live on until
//! their own timers end.

mod established;
mod incoming;
mod outgoing;
mod pending;
mod success;

use std::time::Instant;

use crate::{
    dialog::DialogId,
    endpoint::{
        Body, EndCause, Event, ExtraHeaders, Flow, InviteId, Misuse, arrival::Arrival, core::Core,
    },
    message::{Headers, Message, Method, Request, Response, StatusCode},
    transaction::{Failure, table::TransactionId},
};
use established::{Established, Leaving};
pub(crate) use incoming::Incoming;
pub(crate) use outgoing::Outgoing;
pub(crate) use pending::PendingInvite;

/// The timers of a usage. Those about one INVITE carry its CSeq number, so that one which outlived
/// its INVITE is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InviteTimer {
    /// Say again that it rings (RFC 3261 13.3.1.1).
    RepeatProvisional,
    /// Send the 2xx again (RFC 3261 13.3.1.4).
    RepeatSuccess {
        /// Which.
        cseq: u32,
    },
    /// The 2xx was never acknowledged.
    AckDeadline {
        /// Which.
        cseq: u32,
    },
    /// The far end said nothing for too long while ringing.
    RingLimit,
    /// CANCEL had no effect on the INVITE (RFC 3261 9.1).
    CancelDeadline,
    /// The wait after 491 is over (RFC 3261 14.1).
    GlareOver {
        /// Of the re-INVITE that was refused.
        cseq: u32,
    },
}

/// Which usage, and the path to its far end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) id: InviteId,
    pub(crate) flow: Flow,
}

/// A usage.
#[derive(Debug)]
pub(crate) struct Invite {
    place: Place,
    state: State,
}

#[derive(Debug)]
enum State {
    Incoming(Box<Incoming>),
    Outgoing(Box<Outgoing>),
    Established(Box<Established>),
    Leaving(Box<Leaving>),
    Ended,
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            Self::Incoming(_) => "not answered yet",
            Self::Outgoing(_) => "calling",
            Self::Established(_) => "established",
            Self::Leaving(_) => "leaving",
            Self::Ended => "ended",
        }
    }
}

impl Invite {
    pub(crate) fn incoming(place: Place, incoming: Incoming) -> Self {
        Self {
            place,
            state: State::Incoming(Box::new(incoming)),
        }
    }

    pub(crate) fn outgoing(place: Place, outgoing: Outgoing) -> Self {
        Self {
            place,
            state: State::Outgoing(Box::new(outgoing)),
        }
    }

    /// Whether Ended was said, so that the usage can be dropped.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// A command that only fits an unanswered incoming call.
    pub(crate) fn ring(
        &mut self,
        core: &mut Core,
        status: StatusCode,
        body: Option<Body>,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> Result<(), Misuse> {
        let State::Incoming(incoming) = &mut self.state else {
            return self.wrong("ring for");
        };
        incoming.ring(core, self.place, status, body, extra, now);
        Ok(())
    }

    pub(crate) fn accept(
        &mut self,
        core: &mut Core,
        body: Option<Body>,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> Result<(), Misuse> {
        let State::Incoming(_) = &self.state else {
            return self.wrong("accept");
        };
        self.change(|place, state| match state {
            State::Incoming(incoming) => incoming.accept(core, place, body, extra, now),
            other => other,
        });
        Ok(())
    }

    pub(crate) fn reject(
        &mut self,
        core: &mut Core,
        status: StatusCode,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> Result<(), Misuse> {
        let State::Incoming(_) = &self.state else {
            return self.wrong("reject");
        };
        self.change(|place, state| match state {
            State::Incoming(incoming) => incoming.reject(core, place, status, extra, now),
            other => other,
        });
        Ok(())
    }

    /// Ends an established call; an outgoing one that is not answered yet is cancelled.
    pub(crate) fn bye(
        &mut self,
        core: &mut Core,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> Result<(), Misuse> {
        if let State::Incoming(_) = &self.state {
            return self.wrong("send BYE to");
        }
        self.change(|place, state| match state {
            State::Established(call) => call.bye(core, place, extra, now),
            State::Outgoing(call) => call.cancel(core, place, now),
            State::Incoming(_) | State::Leaving(_) | State::Ended => state,
        });
        Ok(())
    }

    pub(crate) fn cancel(&mut self, core: &mut Core, now: Instant) -> Result<(), Misuse> {
        let State::Outgoing(_) = &self.state else {
            return self.wrong("cancel");
        };
        self.change(|place, state| match state {
            State::Outgoing(call) => call.cancel(core, place, now),
            other => other,
        });
        Ok(())
    }

    pub(crate) fn info(&mut self, core: &mut Core, body: Body, now: Instant) -> Result<(), Misuse> {
        let State::Established(call) = &mut self.state else {
            return self.wrong("send INFO to");
        };
        call.info(core, self.place, body, now);
        Ok(())
    }

    pub(crate) fn reoffer(
        &mut self,
        core: &mut Core,
        body: Body,
        now: Instant,
    ) -> Result<(), Misuse> {
        let State::Established(call) = &mut self.state else {
            return self.wrong("reoffer to");
        };
        call.reoffer(core, self.place, body, now)
    }

    pub(crate) fn accept_reoffer(
        &mut self,
        core: &mut Core,
        body: Option<Body>,
        now: Instant,
    ) -> Result<(), Misuse> {
        let State::Established(call) = &mut self.state else {
            return self.wrong("accept a re-INVITE of");
        };
        call.accept_reoffer(core, self.place, body, now)
    }

    pub(crate) fn reject_reoffer(
        &mut self,
        core: &mut Core,
        status: StatusCode,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> Result<(), Misuse> {
        let State::Established(call) = &mut self.state else {
            return self.wrong("reject a re-INVITE of");
        };
        call.reject_reoffer(core, status, extra, now)
    }

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

    fn take_cseq(&mut self, arrival: &Arrival) -> Result<(), crate::dialog::OutOfOrder> {
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
            State::Leaving(call) => {
                call.on_reinvite_response(core, place, transaction, response);
                State::Leaving(call)
            }
            State::Incoming(_) | State::Outgoing(_) | State::Ended => state,
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

    /// Lets `next` turn the state into the next one.
    fn change(&mut self, next: impl FnOnce(Place, State) -> State) {
        let state = std::mem::replace(&mut self.state, State::Ended);
        self.state = next(self.place, state);
    }

    fn wrong(&self, command: &'static str) -> Result<(), Misuse> {
        Err(Misuse::WrongState {
            command,
            state: self.state.name(),
        })
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

/// The last word about a usage.
fn finish(
    core: &mut Core,
    place: Place,
    dialog: &DialogId,
    cause: EndCause,
    message: Option<Message>,
) -> State {
    core.unregister(dialog);
    core.emit(Event::Ended {
        id: place.id,
        cause,
        message: message.map(Box::new),
    });
    State::Ended
}

/// The methods we serve (RFC 3261 20.5).
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO";

/// The bodies of INFO we take: both ways in which gateways send digits.
const INFO_TYPES: &str = "application/dtmf-relay, application/dtmf";

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

/// Adds a caller's headers and body to a message of ours.
fn attach(headers: &mut Headers, extra: ExtraHeaders<'_>, body: Option<Body>) -> Vec<u8> {
    for (name, value) in extra {
        headers.push(name, *value);
    }
    let Some(body) = body else { return Vec::new() };
    headers.push("Content-Type", body.content_type);
    body.bytes
}
