//! A call of ours that is not answered yet (RFC 3261 13.2 and 9.1).

use std::time::Instant;

use crate::ua_core::timers::InviteTimer;
use crate::{
    dialog::{Dialog, DialogId, OutOfOrder},
    message::{Message, Response, StatusCode},
    transaction::table::{ClientRole, TransactionId},
    ua_core::{Core, EndCause, Event, arrival::Arrival},
};

use super::{Place, State, established::Established, finish};

/// A forking proxy makes an early dialog for each phone that rings; further ones are not kept,
/// which only costs them requests before the answer.
const MAX_EARLY_DIALOGS: usize = 16;

/// The state.
#[derive(Debug)]
pub(crate) struct Outgoing {
    transaction: TransactionId,
    cseq: u32,
    /// The dialog as far as we know it: without the far end's tag.
    half: DialogId,
    early: Vec<Dialog>,
    cancelling: Cancelling,
    /// When the last 1xx arrived.
    heard_at: Option<Instant>,
}

/// How far giving up has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cancelling {
    No,
    /// CANCEL is held back: before a 1xx it could overtake the INVITE (RFC 3261 9.1).
    AfterProvisional,
    Sent,
}

impl Outgoing {
    pub(crate) fn new(transaction: TransactionId, cseq: u32, half: DialogId) -> Self {
        let (early, cancelling) = (Vec::new(), Cancelling::No);
        Self {
            transaction,
            cseq,
            half,
            early,
            cancelling,
            heard_at: None,
        }
    }

    pub(super) fn cancel(
        mut self: Box<Self>,
        core: &mut Core,
        place: Place,
        now: Instant,
    ) -> State {
        match self.cancelling {
            Cancelling::No if self.heard_at.is_some() => self.send_cancel(core, place, now),
            Cancelling::No => self.cancelling = Cancelling::AfterProvisional,
            Cancelling::AfterProvisional | Cancelling::Sent => {}
        }
        State::Outgoing(self)
    }

    fn send_cancel(&mut self, core: &mut Core, place: Place, now: Instant) {
        self.cancelling = Cancelling::Sent;
        core.cancel(self.transaction, now);
        let deadline = now + core.config.timers.timeout();
        core.arm(place.id, InviteTimer::CancelDeadline, deadline);
    }

    pub(super) fn take_remote_cseq(&mut self, arrival: &Arrival) -> Result<(), OutOfOrder> {
        match self
            .early
            .iter_mut()
            .find(|early| early.id().remote_tag == arrival.from_tag)
        {
            Some(early) => early.take_remote_cseq(arrival.cseq),
            None => Ok(()),
        }
    }

    pub(super) fn on_response(
        mut self: Box<Self>,
        core: &mut Core,
        place: Place,
        response: Response,
        now: Instant,
    ) -> State {
        if response.status.is_provisional() {
            self.on_provisional(core, place, response, now);
            State::Outgoing(self)
        } else if response.status.is_success() {
            self.on_success(core, place, response, now)
        } else {
            let cancelled = self.cancelling != Cancelling::No
                && response.status == StatusCode::REQUEST_TERMINATED;
            let cause = if cancelled {
                EndCause::Cancelled
            } else {
                EndCause::Rejected(response.status)
            };
            self.end(core, place, cause, Some(Message::Response(response)))
        }
    }

    fn on_provisional(&mut self, core: &mut Core, place: Place, response: Response, now: Instant) {
        if self.heard_at.is_none() {
            core.arm(
                place.id,
                InviteTimer::RingLimit,
                now + core.config.ring_limit,
            );
        }
        self.heard_at = Some(now);
        if self.cancelling == Cancelling::AfterProvisional {
            self.send_cancel(core, place, now);
        }
        if response.status == StatusCode::TRYING || self.cancelling != Cancelling::No {
            return;
        }
        self.note_early_dialog(core, place, &response);
        core.emit(Event::Provisional {
            id: place.id,
            status: response.status,
            response,
        });
    }

    fn note_early_dialog(&mut self, core: &mut Core, place: Place, response: &Response) {
        let Some(id) = self
            .dialog_id(response)
            .filter(|id| !id.remote_tag.is_empty())
        else {
            return;
        };
        if self.early.len() >= MAX_EARLY_DIALOGS || self.early.iter().any(|early| *early.id() == id)
        {
            return;
        }
        let Some(sent) = core.sent_invite(self.transaction) else {
            return;
        };
        if let Ok(dialog) = Dialog::as_client(id, &sent.request, self.cseq, response) {
            core.register(dialog.id(), place.id);
            self.early.push(dialog);
        }
    }

    fn on_success(&self, core: &mut Core, place: Place, response: Response, now: Instant) -> State {
        let dialog = self.dialog_id(&response).and_then(|id| {
            let sent = core.sent_invite(self.transaction)?;
            Dialog::as_client(id, &sent.request, self.cseq, &response).ok()
        });
        let Some(mut dialog) = dialog else {
            // Without a readable To nothing can be acknowledged: the far end gives up.
            let cause = EndCause::Rejected(response.status);
            return self.end(core, place, cause, Some(Message::Response(response)));
        };
        core.acknowledge(self.transaction, &dialog, self.cseq, place.flow);
        if self.cancelling != Cancelling::No {
            core.send_bye(&mut dialog, place.flow, &[], ClientRole::Unattended, now);
            return self.end(
                core,
                place,
                EndCause::Cancelled,
                Some(Message::Response(response)),
            );
        }
        self.forget_early_dialogs(core);
        core.register(dialog.id(), place.id);
        core.emit(Event::Answered {
            id: place.id,
            response,
        });
        State::Established(Box::new(Established::as_client(dialog)))
    }

    pub(super) fn on_failure(&self, core: &mut Core, place: Place, cause: EndCause) -> State {
        let cancelled = self.cancelling != Cancelling::No;
        self.end(
            core,
            place,
            if cancelled {
                EndCause::Cancelled
            } else {
                cause
            },
            None,
        )
    }

    pub(super) fn on_ring_limit(
        self: Box<Self>,
        core: &mut Core,
        place: Place,
        now: Instant,
    ) -> State {
        let Some(heard_at) = self.heard_at else {
            return State::Outgoing(self);
        };
        let limit = heard_at + core.config.ring_limit;
        if now >= limit {
            return self.cancel(core, place, now);
        }
        core.arm(place.id, InviteTimer::RingLimit, limit);
        State::Outgoing(self)
    }

    /// The INVITE transaction is taken as cancelled although its final response never came (9.1).
    pub(super) fn on_cancel_deadline(&self, core: &mut Core, place: Place) -> State {
        core.close_client(self.transaction);
        self.end(core, place, EndCause::Cancelled, None)
    }

    fn end(
        &self,
        core: &mut Core,
        place: Place,
        cause: EndCause,
        message: Option<Message>,
    ) -> State {
        self.forget_early_dialogs(core);
        finish(core, place, &self.half, cause, message)
    }

    fn forget_early_dialogs(&self, core: &mut Core) {
        for early in &self.early {
            core.unregister(early.id());
        }
    }

    fn dialog_id(&self, response: &Response) -> Option<DialogId> {
        let remote_tag = response
            .headers
            .to()
            .ok()?
            .tag()
            .unwrap_or_default()
            .to_owned();
        Some(DialogId {
            remote_tag,
            ..self.half.clone()
        })
    }
}
