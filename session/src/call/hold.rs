//! Holding the far end, and keeping the session fresh: offers of ours inside the dialog (RFC 3264 8.4).

use offhook_media::sdp::Direction;
use offhook_sip::endpoint::InviteId;
use offhook_sip::message::Response;

use super::description::{description_in_response, session_description};
use super::{Call, OpenOffer, Output, SipCommand, State};

impl Call {
    /// Puts the far end on hold, or takes it off. `false` when that is not possible now: the call is not
    /// up, or another offer is open.
    pub fn hold(&mut self, hold: bool) -> bool {
        let Some(invite) = self.invite else {
            return false;
        };
        if !matches!(self.state, State::Talking) || self.open_offer.is_some() {
            return false;
        }
        if hold == self.holding {
            return true;
        }
        self.description.local_mut().direction = direction(hold);
        let offer = self.description.offer();
        let body = session_description(offer.body.clone());
        self.sip(invite, SipCommand::Reoffer(body));
        self.open_offer = Some(OpenOffer::InReinvite { offer, hold });
        true
    }

    /// Whether the far end is held as `hold` says, or is being asked to be.
    #[must_use]
    pub fn holds_or_asks(&self, hold: bool) -> bool {
        match &self.open_offer {
            Some(OpenOffer::InReinvite { hold: asked, .. }) => *asked == hold,
            Some(OpenOffer::InAnswer(_)) | None => self.holding == hold,
        }
    }

    /// The session has to be refreshed by a re-INVITE: with what stands, unchanged.
    pub(super) fn refresh(&mut self, invite: InviteId) {
        if self.open_offer.is_some() {
            // What is open refreshes it as well.
            return;
        }
        let offer = self.description.repeat();
        let body = session_description(offer.body.clone());
        self.sip(invite, SipCommand::Reoffer(body));
        let hold = self.holding;
        self.open_offer = Some(OpenOffer::InReinvite { offer, hold });
    }

    pub(super) fn reoffer_answered(&mut self, response: &Response) {
        let Some(OpenOffer::InReinvite { offer, hold }) = self.open_offer.take() else {
            return;
        };
        self.take_answer(&offer, description_in_response(response));
        if hold != self.holding {
            self.holding = hold;
            self.outputs.push_back(Output::Hold(hold));
        }
    }

    /// The offer that was wanted could not be sent: something else was in the way.
    pub fn reoffer_not_sent(&mut self) {
        self.reoffer_refused();
    }

    /// What was before stays in force (RFC 3261 14.1): a hold that was refused is none.
    pub(super) fn reoffer_refused(&mut self) {
        self.open_offer = None;
        self.description.local_mut().direction = direction(self.holding);
    }
}

/// What we want of the media: who holds sends music, and does not listen.
const fn direction(hold: bool) -> Direction {
    if hold {
        Direction::SendOnly
    } else {
        Direction::SendReceive
    }
}
