//! A call that is offered to us and not answered yet (RFC 3261 13.3).

use std::time::{Duration, Instant};

use crate::ua_core::timers::InviteTimer;
use crate::{
    dialog::Dialog,
    message::{Message, Request, StatusCode},
    ua_core::{Body, Core, EndCause, ExtraHeaders, arrival::Arrival},
};

use super::{
    Place, State,
    established::Established,
    finish,
    pending::PendingInvite,
    success::{Purpose, UnackedSuccess},
};

/// How often a proxy must hear that it still rings (RFC 3261 13.3.1.1).
const RINGING_INTERVAL: Duration = Duration::from_secs(60);

/// The state.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(super) dialog: Dialog,
    pending: PendingInvite,
    /// The last 101-199 we sent.
    provisional: Option<(u16, Vec<u8>)>,
}

impl Incoming {
    pub(crate) fn new(dialog: Dialog, pending: PendingInvite) -> Self {
        Self {
            dialog,
            pending,
            provisional: None,
        }
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

    pub(super) fn repeat_provisional(&mut self, core: &mut Core, place: Place, now: Instant) {
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

    pub(super) fn accept(
        self,
        core: &mut Core,
        place: Place,
        body: Option<Body>,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> State {
        let response = self.pending.response(core, StatusCode::OK, body, extra);
        let invite = (self.pending.transaction, self.pending.cseq);
        let unacked = UnackedSuccess::send(core, place, invite, &response, Purpose::Call, now);
        State::Established(Box::new(Established::as_server(self.dialog, unacked)))
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

    fn refuse(&self, core: &mut Core, status: StatusCode, extra: ExtraHeaders<'_>, now: Instant) {
        let response = self.pending.response(core, status, None, extra);
        core.respond(self.pending.transaction, &response, now);
    }
}
