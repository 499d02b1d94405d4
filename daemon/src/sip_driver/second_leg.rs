//! The second leg of a transfer: a call of ours to its target, made for another call and tied to it.
//!
//! ```text
//! first call ── CallSecondLeg ──► admission, trunk, prefixes, as any call out ──► second call
//! first call ◄─ rings, answered, over ───────────────────────────────────────── second call
//! first call ◄─ ready, accepted, declined, machine ── its session's small agent ┘
//! first call ── JoinSecondLeg, EndSecondLeg ──► both
//! ```
//!
//! The second leg belongs to the agent of the first: it is recorded and listed as that agent's calls are.

use std::sync::Arc;

use offhook_session::agent::SecondLegAgent;
use offhook_session::agent_session::{
    AgentInBridge, CallId, EndCause, EndReason, SecondLegAnswer, TransferOutcome, TransferRequest,
};
use offhook_sip::message::StatusCode;

use super::Signalling;
use super::command::{NewCall, NotPlaced};
use super::dialing::trunk_for;
use crate::config::TrunkName;

impl Signalling {
    /// Calls whoever the far end of `first` is to talk to.
    pub(super) fn call_second_leg(&mut self, first: &CallId, request: TransferRequest) {
        let mode = request.mode.as_str();
        let placed = self.place_second_leg(first, request);
        let Some(live) = self.calls.get_mut(first) else {
            return;
        };
        match placed {
            Ok(second) => {
                tracing::info!(mode, %second, "a transfer's second leg is called");
                live.second_leg = Some(second.clone());
                live.call.second_leg_called();
                if let Some(live) = self.calls.get_mut(&second) {
                    live.first_leg = Some(first.clone());
                }
            }
            Err(why) => live.call.second_leg_not_called(why),
        }
    }

    fn place_second_leg(
        &mut self,
        first: &CallId,
        request: TransferRequest,
    ) -> Result<CallId, TransferOutcome> {
        let live = self.calls.get(first).filter(|live| live.bridge.is_none());
        let live = live.ok_or(TransferOutcome::Impossible)?;
        let impossible = |why: &dyn std::fmt::Display| {
            tracing::warn!(%why, "a transfer's second leg is not called");
            TransferOutcome::Impossible
        };
        let named: Option<TrunkName> = match &request.second_leg.trunk {
            Some(named) => Some(named.parse().map_err(|_| impossible(&"no such trunk"))?),
            None => self.outbound_of(&live.trunk).map(|_| live.trunk.clone()),
        };
        let (trunk, _) =
            trunk_for(&self.config.trunks, named.as_ref()).map_err(|error| impossible(&error))?;
        let trunk = trunk.name.clone();
        if !self.can_come_together(first, &trunk, &request) {
            return Err(impossible(&"the calls could not come together"));
        }
        let agent = Arc::new(SecondLegAgent::new(&request));
        let mut headers = request.headers;
        if let Some(referred_by) = request.referred_by {
            headers.push((
                "Referred-By".to_owned(),
                format!("<{}>", referred_by.expose()),
            ));
        }
        let new = NewCall {
            to: request.target,
            from: None,
            is_private: live.is_private,
            trunk: Some(trunk),
            agent: live.agent.clone(),
            headers,
            ring_timeout: Some(request.timeout),
            answered: None,
            ended: None,
            // Its own agent says how who answers is told.
            voicemail: None,
        };
        self.try_place(new, Some(agent)).map_err(|error| {
            tracing::warn!(%error, "a transfer's second leg is not called");
            match error {
                NotPlaced::Refused(_) | NotPlaced::TrunkDown(_) => TransferOutcome::NotAdmitted,
                NotPlaced::UnknownTrunk(_)
                | NotPlaced::WhichTrunk
                | NotPlaced::UnknownAgent(_)
                | NotPlaced::NoMessage
                | NotPlaced::BadAddress(_) => TransferOutcome::Impossible,
            }
        })
    }

    /// Whether the far end of `first` could get to whoever is called by `trunk`, as far as that is known beforehand:
    /// nobody is called and told of a caller in vain.
    fn can_come_together(
        &self,
        first: &CallId,
        trunk: &TrunkName,
        request: &TransferRequest,
    ) -> bool {
        let Some(live) = self.calls.get(first) else {
            return false;
        };
        let is_sent = request.mode.is_attended() && {
            let trunks = [&live.trunk, trunk].into_iter();
            let mut known = trunks.filter_map(|name| self.config.trunks.get(name));
            known.all(|trunk| trunk.replaces)
        };
        let is_joined = !request.mode.is_attended() || request.bridge_if_refused;
        // What is held hears music, and whoever is joined to it would as well.
        is_sent || (is_joined && live.call.holds_or_asks(false))
    }

    /// Whether somebody is called for `id`, and may still be joined to it.
    pub(super) fn has_second_leg(&self, id: &CallId) -> bool {
        let live = self.calls.get(id);
        live.is_some_and(|live| live.call.has_second_leg())
    }

    /// The call that another was made for, while the two belong together.
    pub(super) fn first_leg_of(&self, second: &CallId) -> Option<CallId> {
        let first = self.calls.get(second)?.first_leg.clone()?;
        // One that was left alone, and has outlived its transfer, is none of the next one's.
        let tied = self.calls.get(&first)?.second_leg.as_ref() == Some(second);
        tied.then_some(first)
    }

    /// A call rings; where it is a second leg, the first hears of it.
    pub(super) fn second_leg_rings(&mut self, second: &CallId, status: StatusCode) {
        if let Some(first) = self.first_leg_of(second) {
            self.on_call(&first, |live| live.call.second_leg_rings(status));
        }
    }

    /// The same of its answer.
    pub(super) fn second_leg_answered(&mut self, second: &CallId) {
        if let Some(first) = self.first_leg_of(second) {
            self.on_call(&first, |live| live.call.second_leg_answered());
        }
    }

    /// Whoever answered a second leg wants this.
    pub(super) fn second_leg_says(&mut self, second: &CallId, answer: SecondLegAnswer) {
        if let Some(first) = self.first_leg_of(second) {
            let replacement = self.place_in(&first, second).ok();
            self.on_call(&first, |live| {
                live.call.second_leg_says(answer, replacement)
            });
        }
    }

    /// A call that is over was the second leg of `first`.
    pub(super) fn second_leg_over(&mut self, first: &CallId, reason: &EndReason) {
        self.on_call(first, |live| {
            live.second_leg = None;
            live.call.second_leg_over(reason);
        });
    }

    /// Joins a call to its second leg, whose own agent has nothing more to do.
    pub(super) fn join_second_leg(&mut self, first: &CallId, agent: AgentInBridge) {
        let second = self
            .calls
            .get(first)
            .and_then(|live| live.second_leg.clone());
        let joined = second.as_ref().is_some_and(|second| {
            let both = [(first, agent), (second, AgentInBridge::Leaves)];
            self.join_as(both).is_ok()
        });
        if let (true, Some(second)) = (joined, &second) {
            self.untie(first, second);
        }
        if let Some(live) = self.calls.get_mut(first) {
            live.call.second_leg_joined(joined);
        }
    }

    /// Ends the second leg of a call, if there is one.
    pub(super) fn end_second_leg(&mut self, first: &CallId, cause: EndCause) {
        let second = self
            .calls
            .get(first)
            .and_then(|live| live.second_leg.clone());
        if let Some(second) = second {
            self.untie(first, &second);
            self.on_call(&second, |live| live.call.hang_up(cause.into()));
        }
    }

    fn untie(&mut self, first: &CallId, second: &CallId) {
        if let Some(live) = self.calls.get_mut(first) {
            live.second_leg = None;
        }
        if let Some(live) = self.calls.get_mut(second) {
            live.first_leg = None;
        }
    }
}
