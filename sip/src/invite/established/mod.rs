//! An answered call: its ACK, its re-INVITEs both ways, its end (RFC 3261 13.3.1.4, 14, 15).

mod reoffers;

use std::time::Instant;

use crate::{
    dialog::Dialog,
    message::{Message, Method, StatusCode},
    transaction::table::ClientRole,
    ua_core::{Body, Core, EndCause, Event, ExtraHeaders, arrival::Arrival},
};

use super::{
    Place, State, attach, finish,
    leaving::Leaving,
    pending::PendingInvite,
    success::{Purpose, UnackedSuccess},
};
use reoffers::Reinvite;

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
        State::Leaving(Box::new(Leaving {
            dialog: self.dialog,
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

    // INFO.

    pub(super) fn info(&mut self, core: &mut Core, place: Place, body: Body, now: Instant) {
        let mut request = self.dialog.request(Method::Info);
        request.body = attach(&mut request.headers, &[], Some(body));
        let flow = core.flow_of(&self.dialog, place.flow);
        core.request(request, flow, ClientRole::Unattended, now);
    }
}

fn borrow(extra: &[(String, String)]) -> Vec<(&str, &str)> {
    extra
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}
