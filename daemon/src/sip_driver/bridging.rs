//! Two calls joined in the media plane: their legs hear each other, and the end of one is the end of the other.

use offhook_media::bridge::bridge;
use offhook_media::control::{Digit, LegCommand};
use offhook_session::agent_session::{AgentInBridge, CallEvent, CallId, EndCause};

use super::Signalling;
use super::command::NotControlled;
use super::live_call::LiveCall;
use crate::media_driver::LegLine;

/// How long a key that is passed on is held: what its own press was has been recognised by then.
const PASSED_ON_MS: u32 = 100;

impl Signalling {
    /// Joins two calls that are up, and neither is about to be somewhere else. `agent` says what becomes of the agents of
    /// both.
    pub(super) fn join(
        &mut self,
        first: &CallId,
        second: &CallId,
        agent: AgentInBridge,
    ) -> Result<(), NotControlled> {
        let is_bound = |id: &CallId| {
            let live = self.calls.get(id);
            let first = self.first_leg_of(id);
            live.is_some_and(|live| live.call.is_in_transfer())
                || first.is_some_and(|first| self.has_second_leg(&first))
        };
        if is_bound(first) || is_bound(second) {
            return Err(NotControlled::WrongState);
        }
        self.join_as([(first, agent), (second, agent)])
    }

    /// The same, with what becomes of the agent of each.
    pub(super) fn join_as(
        &mut self,
        calls: [(&CallId, AgentInBridge); 2],
    ) -> Result<(), NotControlled> {
        let [(first, first_agent), (second, second_agent)] = calls;
        let lines = [first, second].map(|id| self.joinable(id));
        let [first_line, second_line] = lines;
        let (first_line, second_line) = (first_line?, second_line?);
        if first == second {
            return Err(NotControlled::WrongState);
        }
        let rates = (first_line.sample_rate_hz(), second_line.sample_rate_hz());
        let takes_part = |agent| match agent {
            AgentInBridge::Stays => true,
            AgentInBridge::StandsAside | AgentInBridge::Leaves => false,
        };
        let agents = takes_part(first_agent) || takes_part(second_agent);
        let (first_end, second_end) =
            bridge(rates.0, rates.1, agents).map_err(|_| NotControlled::WrongState)?;
        // A leg whose thread takes no command leaves the other's end abandoned, which ends it.
        for (line, end) in [(first_line, first_end), (second_line, second_end)] {
            line.command(LegCommand::Bridge(Some(Box::new(end))))
                .map_err(|_| NotControlled::WrongState)?;
        }
        for (id, other, agent) in [(first, second, first_agent), (second, first, second_agent)] {
            if let Some(live) = self.calls.get_mut(id) {
                live.bridge = Some(other.clone());
                live.tell(CallEvent::Bridged(agent));
            }
            self.directory.update(id.as_str(), |call| {
                call.bridged_with = Some(other.as_str().into());
            });
        }
        tracing::info!(%first, %second, "two calls are joined");
        Ok(())
    }

    pub(super) fn is_joined(&self, id: &CallId) -> bool {
        let live = self.calls.get(id);
        live.is_some_and(|live| live.bridge.is_some())
    }

    fn joinable(&self, id: &CallId) -> Result<LegLine, NotControlled> {
        let live = self.calls.get(id).ok_or(NotControlled::UnknownCall)?;
        let line = live.line().filter(|_| live.call.is_up());
        // What is held hears music, and whoever talks to it would as well.
        let line = line.filter(|_| live.bridge.is_none() && live.call.holds_or_asks(false));
        line.cloned().ok_or(NotControlled::WrongState)
    }

    /// Parts a call from the one it is joined to; each goes on with its agent. Answers whether it was joined.
    pub(super) fn part(&mut self, id: &CallId) -> bool {
        let Some(other) = self.calls.get_mut(id).and_then(|live| live.bridge.take()) else {
            return false;
        };
        for id in [id, &other] {
            if let Some(live) = self.calls.get_mut(id) {
                live.bridge = None;
                live.stop_bridge();
                live.tell(CallEvent::Parted);
            }
            self.directory
                .update(id.as_str(), |call| call.bridged_with = None);
        }
        tracing::info!(%id, %other, "two calls are parted");
        true
    }

    /// The leg of `id` closes: the call it is joined to ends as well.
    pub(super) fn end_joined(&mut self, id: &CallId) {
        let Some(other) = self.calls.get_mut(id).and_then(|live| live.bridge.take()) else {
            return;
        };
        self.on_call(&other, |live| {
            live.bridge = None;
            live.call.hang_up(EndCause::BridgeEnded.into());
        });
    }

    /// Presses a key that the far end of `id` pressed towards the far end that it talks to.
    pub(super) fn pass_on(&mut self, id: &CallId, digit: Digit) {
        let other = self.calls.get(id).and_then(|live| live.bridge.clone());
        if let Some(other) = other {
            self.on_call(&other, |live| live.call.press(digit, PASSED_ON_MS));
        }
    }
}

impl LiveCall {
    /// Has the leg hear the other no more. Where its thread's queue is full, the other's end does as much.
    fn stop_bridge(&self) {
        if let Some(line) = self.line()
            && line.command(LegCommand::Bridge(None)).is_err()
        {
            tracing::debug!("a media thread's queue is full: a bridge ends by its other side");
        }
    }
}
