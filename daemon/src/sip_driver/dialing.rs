//! Calls of ours: from a command to an INVITE on the wire.
//!
//! ```text
//! Place ► trunk, agent, addresses ► admission ► Call ► locate (DNS) ► Endpoint::invite
//! 3xx   ► locate ► Endpoint::follow
//! REFER ► trunk's consent, admission ► locate ► Endpoint::invite ► the call's next far end
//! ```

use std::sync::Arc;
use std::time::Instant;

use offhook_session::agent::SecondLegAgent;
use offhook_session::agent_session::{
    CALL_SPANS, CallFacts, CallId, Direction, EndCause, EndReason, IdentityFacts,
};
use offhook_session::call::{Call, Succession};
use offhook_session::pii::Pii;
use offhook_session::voicemail::VoicemailVerdict;
use offhook_sip::endpoint::{Flow, InviteId, OutgoingInvite, Transport};
use offhook_sip::message::{NameAddr, StatusCode, Uri};
use tokio::sync::oneshot;
use tracing::error_span;

use super::addresses::{Addresses, Caller, addresses, caller, user_or_host, way_onward};
use super::command::{NewCall, NotPlaced};
use super::live_call::{Audio, LiveCall, Outgoing, directory_entry};
use super::locating::Errand;
use super::{Signalling, counting};
use crate::config::{Outbound, Trunk, TrunkName};
use crate::control::CallState;
use crate::voicemail::NoMessage;

/// How many redirections one call follows.
const REDIRECTIONS: u8 = 5;

impl Signalling {
    /// Begins a call, and answers with its id while its way is still looked for.
    pub(super) fn place(
        &mut self,
        new: NewCall,
        reply: oneshot::Sender<Result<CallId, NotPlaced>>,
    ) {
        let placed = self.try_place(new, None);
        if let Err(error) = &placed {
            tracing::info!(%error, "a call was not begun");
        }
        // Whoever asked may have gone; the call goes on.
        let _ = reply.send(placed);
    }

    /// Begins a call. `second_leg`: who talks in place of the agent named, where it is made for a transfer.
    pub(super) fn try_place(
        &mut self,
        new: NewCall,
        second_leg: Option<Arc<SecondLegAgent>>,
    ) -> Result<CallId, NotPlaced> {
        let now = Instant::now();
        let config = Arc::clone(&self.config);
        let (trunk, outbound) = trunk_for(&config.trunks, new.trunk.as_ref())?;
        // Its targets would be waited for one after the other.
        if self.trunks.is_down(&trunk.name) {
            return Err(NotPlaced::TrunkDown(trunk.name.clone()));
        }
        if !config.agents.contains_key(&new.agent) {
            return Err(NotPlaced::UnknownAgent(new.agent));
        }
        let voicemail = self
            .sessions
            .voicemail(&new.agent, outbound.voicemail, new.voicemail.as_ref())
            .map_err(|NoMessage| NotPlaced::NoMessage)?;
        let (to, from) = (new.to.expose(), new.from.as_ref().map(Pii::expose));
        let addresses = addresses(outbound, to, from.map(String::as_str), new.is_private)?;
        let flow = self.expected_flow(outbound);
        // Limits are on numbers, however they are written.
        let number = user_or_host(&addresses.target);
        let socket = self
            .admit_outbound(&trunk.name, &number, flow, now)
            .map_err(NotPlaced::Refused)?;

        let id = CallId::new(format!("{:016x}", self.random.next_u64()));
        let (trunk_name, agent) = (trunk.name.clone(), new.agent);
        // Of its own: a second leg begins in the span of the first.
        let span = error_span!(
            target: CALL_SPANS, parent: None, "call", call_id = %id, trunk = %trunk_name, agent = %agent
        );
        let _in_call = span.clone().entered();
        let facts = CallFacts {
            call_id: id.clone(),
            direction: Direction::Outbound,
            from: Pii::new(user_or_host(&addresses.caller)),
            to: Pii::new(to.clone()),
            trunk: Some(Arc::from(trunk_name.as_str())),
            identity: IdentityFacts::default(),
            headers: Vec::new(),
        };
        tracing::info!("call goes out");
        let over_tls = flow.is_some_and(|flow| flow.transport == Transport::Tls);
        let mut provision = self.provision(&id, &trunk_name, &agent, &socket, over_tls);
        if voicemail.is_some() || second_leg.is_some() {
            // Whatever its agent listens for: who answered is told from it, and whether somebody says yes.
            provision.leg.voice_activity = true;
            provision.leg.call_tones = true;
        }
        let codecs = provision.local.codecs.iter();
        let rates = codecs.map(|codec| codec.sample_rate_hz()).collect();
        let prepared = self.sessions.prepare(&agent, second_leg, &facts, rates);
        let (call, offer) = Call::outgoing(provision);
        let entry = directory_entry(&facts, &agent, CallState::Calling);
        let quality = Arc::clone(&entry.quality);
        self.directory.insert(entry);
        let outgoing = Outgoing {
            addresses,
            offer,
            headers: new.headers,
            ring_timeout: new.ring_timeout.unwrap_or(outbound.ring_timeout),
            answered: new.answered,
            ended: new.ended,
        };
        let live = LiveCall {
            is_private: new.is_private,
            voicemail,
            outgoing: Some(outgoing),
            prepared,
            ..LiveCall::new(
                call,
                trunk_name,
                agent,
                facts,
                Audio::Bound(socket),
                quality,
                span.clone(),
            )
        };
        self.calls.insert(id.clone(), live);
        counting::calls_live(self.calls.len());
        self.locate(
            Errand::Dial(id.clone()),
            &outbound.address,
            outbound.transport,
        );
        Ok(id)
    }

    /// It is clear who answered a call of ours.
    pub(super) fn answered_by(&self, id: &CallId, verdict: VoicemailVerdict) {
        counting::answered_by(verdict.far_end);
        let verdict = Some(Arc::new(verdict));
        self.directory
            .update(id.as_str(), |call| call.verdict = verdict);
    }

    /// A flow of the kind that calls of this trunk will take, for the family of the audio's address.
    fn expected_flow(&self, outbound: &Outbound) -> Option<Flow> {
        let wanted = outbound.address.host.ip();
        self.transports
            .local_addresses()
            .filter(|(transport, _)| outbound.transport.is_none_or(|wanted| wanted == *transport))
            .find(|(_, local)| wanted.is_none_or(|ip| ip.is_ipv4() == local.is_ipv4()))
            .map(|(transport, local)| Flow {
                transport,
                local,
                remote: local,
            })
    }

    /// The way to a call's first target is known: its INVITE leaves.
    pub(super) fn dial(&mut self, id: &CallId, flows: Result<Vec<Flow>, EndReason>) {
        let now = Instant::now();
        let Some(live) = self.calls.get(id) else {
            return;
        };
        let Some(outgoing) = &live.outgoing else {
            return;
        };
        let ring_timeout = outgoing.ring_timeout;
        let invite = flows.map(|flows| self.invitation(&live.trunk, outgoing, flows));
        let sent = invite.and_then(|invite| {
            self.endpoint
                .invite(invite, now)
                .map_err(|_| EndReason::with_status(EndCause::Fault, 503))
        });
        match sent {
            Ok(invite) => {
                self.capture_if_configured(id, None);
                self.belongs_to(invite, id);
                self.ringing.insert((now + ring_timeout, invite));
                self.on_call(id, |live| live.call.placed(invite));
            }
            Err(reason) => self.on_call(id, |live| live.call.not_placed(reason)),
        }
    }

    fn invitation(
        &self,
        trunk: &TrunkName,
        outgoing: &Outgoing,
        flows: Vec<Flow>,
    ) -> OutgoingInvite {
        let Addresses {
            target,
            from,
            to,
            caller: _,
            identity,
        } = &outgoing.addresses;
        let mut invite = OutgoingInvite::new(flows[0], target.clone(), from.clone(), to.clone());
        invite.flows = flows;
        invite.body = Some(outgoing.offer.clone());
        // Who sets such a header by hand means it.
        let by_hand = |name: &str| {
            let mut headers = outgoing.headers.iter();
            headers.any(|(set, _)| set.eq_ignore_ascii_case(name))
        };
        let identity = identity.iter().filter(|(name, _)| !by_hand(name));
        invite.identity = identity.cloned().collect();
        invite.extra.clone_from(&outgoing.headers);
        invite.redirections = REDIRECTIONS;
        invite.route = self.trunks.service_route(trunk);
        if let Some(outbound) = self.outbound_of(trunk) {
            invite.credentials.clone_from(&outbound.credentials);
            invite.silence = outbound.failover_after;
        }
        invite
    }

    pub(super) fn outbound_of(&self, trunk: &TrunkName) -> Option<&Outbound> {
        self.config.trunks.get(trunk)?.outbound.as_ref()
    }

    /// Looks for the way to the first of `contacts` that has an address of its own; a number is for the
    /// trunk.
    pub(super) fn follow(&mut self, id: &CallId, invite: InviteId, contacts: &[Uri]) {
        let Some(trunk) = self.calls.get(id).map(|live| live.trunk.clone()) else {
            return self.give_up(invite);
        };
        let outbound = self.outbound_of(&trunk).cloned();
        // Whoever was called may not send us where we may not call.
        let now = Instant::now();
        let allowed = contacts.iter().find(|contact| {
            let number = user_or_host(contact);
            self.admission
                .admit_onward(trunk.as_str(), &number, now)
                .is_ok()
        });
        let Some(target) = allowed.cloned() else {
            tracing::info!("a redirection leads nowhere that may be called");
            return self.give_up(invite);
        };
        let Some((uri, wanted)) = way_onward(&target, outbound.as_ref()) else {
            return self.give_up(invite);
        };
        self.locate(Errand::Follow(invite, target), &uri, wanted);
    }

    fn give_up(&mut self, invite: InviteId) {
        if let Err(misuse) = self.endpoint.cancel(invite, &[], Instant::now()) {
            tracing::debug!(%misuse, "a call ended before it could be given up");
        }
    }

    /// The way to where an INVITE was redirected is known.
    pub(super) fn followed(&mut self, invite: InviteId, target: Uri, flows: Vec<Flow>) {
        let followed = self.endpoint.follow(invite, target, flows, Instant::now());
        if let Err(misuse) = followed {
            tracing::debug!(%misuse, "a redirection is not followed");
            self.give_up(invite);
        }
    }

    /// The far end asks us to call somebody in its place: a call out like any other, if its trunk lets it.
    pub(super) fn succeed(&mut self, id: &CallId, succession: Succession) {
        let Some(live) = self.calls.get(id) else {
            return;
        };
        let trunk_name = live.trunk.clone();
        let config = Arc::clone(&self.config);
        let trunk = config.trunks.get(&trunk_name);
        let outbound = trunk.filter(|trunk| trunk.accept_refer);
        let Some(outbound) = outbound.and_then(|trunk| trunk.outbound.as_ref()) else {
            tracing::info!("a REFER is refused: the trunk has no accept_refer, or no address");
            return self.refuse_succession(id, StatusCode::DECLINE);
        };
        if succession.replaces.is_some() && trunk.is_some_and(|trunk| !trunk.replaces) {
            tracing::info!("a REFER is refused: the trunk takes no Replaces");
            return self.refuse_succession(id, StatusCode::DECLINE);
        }
        let number = user_or_host(&succession.target);
        let onward = self
            .admission
            .admit_onward(trunk_name.as_str(), &number, Instant::now());
        if let Err(refusal) = onward {
            tracing::info!(reason = refusal.as_str(), "a REFER is refused");
            return self.refuse_succession(id, StatusCode::DECLINE);
        }
        let target = succession.target.clone();
        let Caller { from, identity, .. } = match caller(outbound, None, live.is_private) {
            Ok(caller) => caller,
            Err(_) => return self.refuse_succession(id, StatusCode::DECLINE),
        };
        let mut headers = Vec::new();
        if let Some(replaces) = &succession.replaces {
            headers.push(("Replaces".to_owned(), replaces.to_string()));
            headers.push(("Require".to_owned(), "replaces".to_owned()));
        }
        if let Some(referred_by) = succession.referred_by {
            headers.push(("Referred-By".to_owned(), referred_by));
        }
        let outgoing = Outgoing {
            addresses: Addresses {
                to: NameAddr::new(target.clone()),
                target,
                caller: from.uri.clone(),
                from,
                identity,
            },
            offer: succession.offer,
            headers,
            ring_timeout: outbound.ring_timeout,
            answered: None,
            ended: None,
        };
        if let Some(live) = self.calls.get_mut(id) {
            live.successor = Some(outgoing);
        }
        self.locate(
            Errand::Succeed(id.clone()),
            &outbound.address,
            outbound.transport,
        );
    }

    pub(super) fn refuse_succession(&mut self, id: &CallId, status: StatusCode) {
        self.on_call(id, |live| live.call.succession_refused(status));
    }

    /// The way to who is to succeed a call's far end is known.
    pub(super) fn dial_successor(&mut self, id: &CallId, flows: Result<Vec<Flow>, EndReason>) {
        let now = Instant::now();
        let Some(live) = self.calls.get_mut(id) else {
            return;
        };
        let (trunk, Some(outgoing)) = (live.trunk.clone(), live.successor.take()) else {
            return;
        };
        let ring_timeout = outgoing.ring_timeout;
        let sent = flows.map_err(|_| ()).and_then(|flows| {
            let invite = self.invitation(&trunk, &outgoing, flows);
            self.endpoint.invite(invite, now).map_err(|_| ())
        });
        match sent {
            Ok(invite) => {
                self.belongs_to(invite, id);
                self.ringing.insert((now + ring_timeout, invite));
                self.on_call(id, |live| live.call.succession_placed(invite));
            }
            Err(()) => self.refuse_succession(id, StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    /// Ends what has rung for long enough.
    pub(super) fn end_long_ringing(&mut self, now: Instant) {
        while self.ringing.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, invite)) = self.ringing.pop_first() else {
                return;
            };
            if let Some(call) = self.call_by_invite.get(&invite).cloned() {
                self.on_call(&call, |live| live.call.rang_out(invite));
            }
        }
    }
}

/// The trunk that was named, or the only one that calls go out by.
pub(super) fn trunk_for<'a>(
    trunks: &'a std::collections::BTreeMap<TrunkName, Trunk>,
    named: Option<&TrunkName>,
) -> Result<(&'a Trunk, &'a Outbound), NotPlaced> {
    if let Some(name) = named {
        let trunk = trunks.get(name);
        return trunk
            .and_then(|trunk| Some((trunk, trunk.outbound.as_ref()?)))
            .ok_or_else(|| NotPlaced::UnknownTrunk(name.to_string()));
    }
    let mut out = trunks
        .values()
        .filter_map(|trunk| Some((trunk, trunk.outbound.as_ref()?)));
    match (out.next(), out.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) | (None, _) => Err(NotPlaced::WhichTrunk),
    }
}

/// Why a call whose way was not found is over.
pub(super) fn unlocated() -> EndReason {
    EndReason::with_status(EndCause::SignallingLost, 502)
}
