//! Transfers: the far end is sent elsewhere, or waits while somebody is called for it.

use tokio::time::Instant;

use super::super::event::{EndCause, SessionEvent};
use super::super::line::CallRequest;
use super::super::output::{Callback, Output};
use super::super::transfer::{NewTransfer, TransferStep};
use super::{Phase, Session};

impl Session {
    /// The agent asks for a transfer. Before it has entered, when the call ends, and while the far end talks to somebody
    /// else, its reply is dropped, which says that it is impossible.
    pub(super) fn begin_transfer(&mut self, new: NewTransfer) {
        if self.phase != Phase::Open || self.bridge.is_some() {
            return;
        }
        if new.request.needs_a_voice() && !self.means.has_voice {
            tracing::warn!("a transfer is to be announced, and there is no voice");
            return;
        }
        if let Some(request) = self.transfer.begin(new) {
            let request = CallRequest::Transfer(Box::new(request));
            self.out.push(Output::Call(request));
        }
    }

    /// How the transfer gets on. While a second leg is called the far end hears music or ringing and is not heard, as on
    /// hold, unless the agent goes on talking with it.
    pub(super) fn transfer_stepped(&mut self, step: TransferStep, now: Instant) {
        let was_away = self.is_away();
        let was_parked = self.transfer.parked();
        self.transfer.stepped(step);
        if self.phase.is_ending() {
            return;
        }
        let at = self.at(now);
        self.event(SessionEvent::Transfer { step, at });
        if self.transfer.parked() != was_parked {
            self.hold_background(now);
        }
        self.presence_changed(was_away, now);
        // After a failure the caller is the agent's again, and may have been silent meanwhile.
        self.silence.restart(now);
        if let TransferStep::Over(outcome) = step
            && self.phase == Phase::Open
        {
            self.run(Callback::Transfer(outcome));
        }
        if let TransferStep::Over(outcome) = step
            && std::mem::take(&mut self.transfer.leaves)
            && !outcome.is_success()
        {
            self.hang_up(EndCause::AgentHungUp.into(), true, now);
        }
    }

    /// The far end hears whom it was waiting for.
    pub(super) fn unpark(&mut self, now: Instant) {
        if self.transfer.parked().is_some() {
            self.transfer.unpark();
            self.hold_background(now);
        }
    }
}
