//! What operators want done with live calls.

use offhook_session::agent_session::{CallId, EndCause};
use offhook_session::pii::Pii;

use super::Signalling;
use super::command::{CallControl, NotControlled};

impl Signalling {
    /// Does something with a live call, for the operator.
    pub(super) fn control(
        &mut self,
        id: &CallId,
        control: CallControl,
    ) -> Result<(), NotControlled> {
        if !self.calls.contains_key(id) {
            return Err(NotControlled::UnknownCall);
        }
        let mut done = true;
        match control {
            CallControl::HangUp(headers) => self.on_call(id, |live| {
                live.call
                    .hang_up_with(EndCause::OperatorHungUp.into(), headers);
            }),
            // What is held hears music, and who talks to it, or is about to, would as well.
            CallControl::Hold(true) if self.is_joined(id) || self.has_second_leg(id) => {
                done = false;
            }
            CallControl::Hold(hold) => {
                self.on_call(id, |live| done = live.call.hold(hold));
                // A change that the endpoint could not send was taken back at once: another waits for its answer or
                // ACK.
                let live = self.calls.get(id);
                done &= live.is_none_or(|live| live.call.holds_or_asks(hold));
            }
            CallControl::Press(keys, options, reply) => {
                self.on_call(id, |live| done = live.press_keys(keys, options, reply));
            }
            CallControl::PauseRecording(paused) => self.pause_recording(id, paused)?,
            CallControl::Capture(on) => self.control_capture(id, on)?,
            CallControl::Bridge(other, agent) => self.join(id, &other, agent)?,
            CallControl::Part => done = self.part(id),
            CallControl::TransferInto(other, mut plan, watcher) => {
                plan.target = Pii::new(self.place_in(id, &other)?);
                self.on_call(id, |live| done = live.transfer(plan, watcher));
            }
            CallControl::Consult(request, reply) => {
                self.on_call(id, |live| done = live.consult(*request, reply));
            }
            CallControl::Transfer(plan, watcher) => {
                self.on_call(id, |live| done = live.transfer(plan, watcher));
            }
        }
        if done {
            Ok(())
        } else {
            Err(NotControlled::WrongState)
        }
    }

    /// Where the far end of `call` is sent to take our place in `other`.
    pub(super) fn place_in(&self, call: &CallId, other: &CallId) -> Result<String, NotControlled> {
        let trunk_of = |call: &CallId| {
            let live = self.calls.get(call)?;
            self.config.trunks.get(&live.trunk)
        };
        if [call, other]
            .into_iter()
            .any(|call| trunk_of(call).is_some_and(|trunk| !trunk.replaces))
        {
            return Err(NotControlled::NoReplaces);
        }
        let live = self.calls.get(other).filter(|_| call != other);
        let live = live.ok_or(NotControlled::UnknownCall)?;
        let target = live
            .call
            .invite()
            .and_then(|id| self.endpoint.replacement_of(id));
        target
            .map(|target| target.to_string())
            .ok_or(NotControlled::WrongState)
    }
}
