//! A call that we ended with BYE, which is not answered yet (RFC 3261 15.1.1).

use std::time::Instant;

use super::{Place, State, finish};
use crate::{
    dialog::Dialog,
    message::{Message, Response, StatusCode},
    ua_core::{Core, EndCause, account::Account, arrival::Arrival},
};

/// The state.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub(super) dialog: Dialog,
    /// What a challenge to the BYE is answered with.
    pub(super) account: Option<Box<Account>>,
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
