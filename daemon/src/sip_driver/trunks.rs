//! The trunks that calls go out by: registered, asked whether they are there, and told about.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use offhook_sip::endpoint::{
    Flow, FlowFailure, ProbeId, RegistrationEvent, RegistrationFailure, RegistrationId,
    RegistrationPlan,
};
use offhook_sip::locate::{Failure, NotFound};
use offhook_sip::message::{NameAddr, StatusCode, Uri};

use super::command::{RegistrationState, TrunkHealth, TrunkReport};
use super::locating::Errand;
use super::{Signalling, counting};
use crate::config::{Outbound, TrunkName};

/// How many answers in a row a trunk may miss before it counts as down.
const MISSES: u32 = 3;
/// How long after a failed look-up of its registrar a trunk looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// What is known of each trunk that calls go out by.
#[derive(Debug, Default)]
pub(super) struct Trunks {
    by_name: HashMap<TrunkName, TrunkState>,
    by_registration: HashMap<RegistrationId, TrunkName>,
    by_probe: HashMap<ProbeId, (TrunkName, Flow)>,
}

#[derive(Debug)]
struct TrunkState {
    registration: Option<RegistrationId>,
    registered: RegistrationState,
    service_route: Vec<NameAddr>,
    health: TrunkHealth,
    misses: u32,
    round: Round,
    /// When it is asked by OPTIONS next.
    probe_at: Option<Instant>,
    /// When the way to its registrar is looked for again.
    look_at: Option<Instant>,
}

/// All targets of a trunk are asked at once; calls take any of them, so that one that answers will do.
#[derive(Debug, Default)]
struct Round {
    awaited: u32,
    answered: bool,
}

impl Round {
    /// So many were asked. What is left of the round before counts with this one.
    fn begin(&mut self, asked: u32) {
        self.awaited += asked;
        self.answered = false;
    }

    /// One has answered, or will not; tells whether it was the last and none has.
    fn is_missed_with(&mut self, answered: bool) -> bool {
        self.awaited = self.awaited.saturating_sub(1);
        self.answered |= answered;
        self.awaited == 0 && !self.answered
    }
}

impl Trunks {
    /// The route that requests to a trunk take, which its registrar named.
    pub(super) fn service_route(&self, trunk: &TrunkName) -> Vec<NameAddr> {
        self.by_name
            .get(trunk)
            .map(|state| state.service_route.clone())
            .unwrap_or_default()
    }

    /// Whether a trunk is watched and does not answer.
    pub(super) fn is_down(&self, trunk: &TrunkName) -> bool {
        let state = self.by_name.get(trunk);
        state.is_some_and(|state| state.health == TrunkHealth::Down)
    }

    /// When something is due.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.by_name
            .values()
            .flat_map(|state| [state.probe_at, state.look_at])
            .flatten()
            .min()
    }

    fn take_due(&mut self, now: Instant) -> Vec<Errand> {
        let mut due = Vec::new();
        for (name, state) in &mut self.by_name {
            if state.probe_at.take_if(|at| *at <= now).is_some() {
                due.push(Errand::Probe(name.clone()));
            }
            if state.look_at.take_if(|at| *at <= now).is_some() {
                due.push(Errand::Register(name.clone()));
            }
        }
        due
    }
}

impl Signalling {
    /// Begins to register with trunks and to ask them, as they are configured.
    pub(super) fn begin_trunks(&mut self, now: Instant) {
        for trunk in self.config.trunks.values() {
            let Some(outbound) = &trunk.outbound else {
                continue;
            };
            let wanted = outbound.register.is_some();
            let state = TrunkState {
                registration: None,
                registered: if wanted {
                    RegistrationState::Trying
                } else {
                    RegistrationState::NotWanted
                },
                service_route: Vec::new(),
                health: TrunkHealth::Unknown,
                misses: 0,
                round: Round::default(),
                probe_at: outbound.options_interval.map(|_| now),
                look_at: wanted.then_some(now),
            };
            self.trunks.by_name.insert(trunk.name.clone(), state);
        }
    }

    /// Does what is due for trunks.
    pub(super) fn tend_trunks(&mut self, now: Instant) {
        for errand in self.trunks.take_due(now) {
            let (Errand::Register(name) | Errand::Probe(name)) = &errand else {
                continue;
            };
            if let Some(outbound) = self.outbound_of(name).cloned() {
                self.locate(errand, &outbound.address, outbound.transport);
            }
        }
    }

    /// The way to a trunk's registrar is known, or is not.
    pub(super) fn register(&mut self, name: &TrunkName, flows: Result<Vec<Flow>, NotFound>) {
        if self.drain.is_some() {
            return;
        }
        let now = Instant::now();
        let Some(outbound) = self.outbound_of(name).cloned() else {
            return;
        };
        let flows = match flows {
            Ok(flows) => flows,
            Err(error) => {
                let Some(state) = self.trunks.by_name.get_mut(name) else {
                    return;
                };
                state.look_at = Some(now + LOOK_AGAIN);
                if state.registration.is_none() {
                    tracing::warn!(trunk = %name, %error, "the registrar is not found");
                    let why = error.to_string();
                    state.registered = RegistrationState::Failed { why };
                }
                return;
            }
        };
        let known = self
            .trunks
            .by_name
            .get(name)
            .and_then(|state| state.registration);
        if let Some(id) = known {
            self.endpoint.set_registration_flows(id, flows);
            return;
        }
        let Ok(id) = self.endpoint.register(registration(&outbound, flows), now) else {
            // There is no room for one more now.
            if let Some(state) = self.trunks.by_name.get_mut(name) {
                state.look_at = Some(now + LOOK_AGAIN);
            }
            return;
        };
        self.trunks.by_registration.insert(id, name.clone());
        if let Some(state) = self.trunks.by_name.get_mut(name) {
            state.registration = Some(id);
        }
    }

    /// What the endpoint reports of a registration.
    pub(super) fn on_registration(&mut self, id: RegistrationId, event: RegistrationEvent) {
        let now = Instant::now();
        let Some(name) = self.trunks.by_registration.get(&id).cloned() else {
            return;
        };
        let Some(state) = self.trunks.by_name.get_mut(&name) else {
            return;
        };
        match event {
            RegistrationEvent::Registered {
                expires,
                service_route,
            } => {
                if !matches!(state.registered, RegistrationState::Registered { .. }) {
                    let expires_s = expires.as_secs();
                    tracing::info!(trunk = %name, expires_s, "registered");
                }
                state.registered = RegistrationState::Registered { expires };
                state.service_route = service_route;
            }
            RegistrationEvent::FlowFailed { flow, failure } => {
                self.note_flow_failure(flow, failure, now);
            }
            RegistrationEvent::Failed { failure, retry_in } => {
                let why = match failure {
                    RegistrationFailure::Refused(status) => {
                        format!("{status} {}", status.default_reason())
                    }
                    RegistrationFailure::Flow { flow, failure } => {
                        self.note_flow_failure(flow, failure, now);
                        reason(failure).to_owned()
                    }
                };
                let retry_in_s = retry_in.as_secs();
                tracing::warn!(trunk = %name, why, retry_in_s, "not registered");
                if let Some(state) = self.trunks.by_name.get_mut(&name) {
                    state.registered = RegistrationState::Failed { why };
                    state.service_route.clear();
                    // Addresses may have changed: the next try goes to where the name leads then.
                    state.look_at = Some(now + retry_in / 2);
                }
            }
            RegistrationEvent::Removed => {
                state.registration = None;
                state.registered = RegistrationState::NotWanted;
                self.trunks.by_registration.remove(&id);
            }
        }
    }

    /// The way to a trunk that is to be asked is known, or is not.
    pub(super) fn probe(&mut self, name: &TrunkName, flows: Result<Vec<Flow>, NotFound>) {
        let now = Instant::now();
        let Some(outbound) = self.outbound_of(name).cloned() else {
            return;
        };
        if let (Some(state), Some(interval)) =
            (self.trunks.by_name.get_mut(name), outbound.options_interval)
        {
            state.probe_at = Some(now + interval);
        }
        let Ok(flows) = flows else {
            return self.probe_missed(name);
        };
        // Each target is asked: calls take any of them.
        let mut asked = 0;
        for flow in flows {
            let target = Uri::Sip(outbound.named_host());
            let from = NameAddr::new(target.clone());
            if let Ok(id) = self.endpoint.probe(flow, target, &from, now) {
                self.trunks.by_probe.insert(id, (name.clone(), flow));
                asked += 1;
            }
        }
        if let Some(state) = self.trunks.by_name.get_mut(name) {
            // What is left of the round before counts with this one.
            state.round.begin(asked);
        }
    }

    /// What came of an OPTIONS. Any answer but 503 and 408 shows that somebody is there.
    pub(super) fn on_probed(&mut self, id: ProbeId, answer: Result<StatusCode, FlowFailure>) {
        let Some((name, flow)) = self.trunks.by_probe.remove(&id) else {
            return;
        };
        let failure = match answer {
            Ok(status) => Failure::of_status(status),
            Err(FlowFailure::Silent) => Some(Failure::NoAnswer),
            Err(FlowFailure::TransportFailed) => Some(Failure::Transport),
            Err(FlowFailure::Unavailable { .. }) => Some(Failure::Unavailable),
        };
        let now = Instant::now();
        let state = self.trunks.by_name.get_mut(&name);
        let all_failed = state.is_some_and(|state| state.round.is_missed_with(failure.is_none()));
        match failure {
            Some(failure) => {
                self.note_failure(flow, failure, now);
                if all_failed {
                    self.probe_missed(&name);
                }
            }
            None => {
                self.blacklist.note_success(flow.transport, flow.remote);
                if let Some(state) = self.trunks.by_name.get_mut(&name) {
                    state.misses = 0;
                    if state.health == TrunkHealth::Down {
                        tracing::info!(trunk = %name, "the trunk answers again");
                    }
                    state.health = TrunkHealth::Up;
                    counting::trunk_up(&name, true);
                }
            }
        }
    }

    fn probe_missed(&mut self, name: &TrunkName) {
        let Some(state) = self.trunks.by_name.get_mut(name) else {
            return;
        };
        state.misses = state.misses.saturating_add(1);
        if state.misses >= MISSES && state.health != TrunkHealth::Down {
            state.health = TrunkHealth::Down;
            tracing::warn!(trunk = %name, "the trunk does not answer OPTIONS");
            counting::trunk_up(name, false);
        }
    }

    /// A flow of ours did not serve: for some time others are tried before it. A connection that stays up but says
    /// nothing is given up, so that what comes next opens a new one.
    pub(super) fn note_flow_failure(&mut self, flow: Flow, failure: FlowFailure, now: Instant) {
        let failure = match failure {
            FlowFailure::Silent => Failure::NoAnswer,
            FlowFailure::TransportFailed => Failure::Transport,
            FlowFailure::Unavailable { .. } => Failure::Unavailable,
        };
        self.note_failure(flow, failure, now);
    }

    fn note_failure(&mut self, flow: Flow, failure: Failure, now: Instant) {
        self.blacklist
            .note_failure(flow.transport, flow.remote, failure, now);
        if failure == Failure::NoAnswer && self.transports.note_silence(flow, now) {
            tracing::warn!(
                transport = flow.transport.as_str(),
                "a connection that answers nothing is given up"
            );
            self.endpoint.handle_transport_error(flow, now);
        }
    }

    /// Takes our bindings away, since no calls are wanted any more.
    pub(super) fn unregister_trunks(&mut self, now: Instant) {
        let ids: Vec<RegistrationId> = self.trunks.by_registration.keys().copied().collect();
        for id in ids {
            self.endpoint.unregister(id, now);
        }
    }

    /// How the trunks are, in the order of their names.
    pub(super) fn trunk_reports(&self) -> Vec<TrunkReport> {
        self.config
            .trunks
            .values()
            .map(|trunk| {
                let state = self.trunks.by_name.get(&trunk.name);
                let outbound = trunk.outbound.as_ref();
                let calls = self.calls.values();
                TrunkReport {
                    name: trunk.name.clone(),
                    address: outbound.map(|outbound| shown_address(&outbound.address)),
                    calls: calls.filter(|live| live.trunk == trunk.name).count(),
                    health: state.map_or(TrunkHealth::Unknown, |state| state.health),
                    registration: state.map_or(RegistrationState::NotWanted, |state| {
                        state.registered.clone()
                    }),
                }
            })
            .collect()
    }
}

fn shown_address(address: &offhook_sip::message::SipUri) -> String {
    let uri = Uri::Sip(address.clone()).to_string();
    uri.trim_start_matches("sip:").to_owned()
}

fn reason(failure: FlowFailure) -> &'static str {
    match failure {
        FlowFailure::TransportFailed => "the transport cannot deliver",
        FlowFailure::Silent => "no answer",
        FlowFailure::Unavailable { .. } => "503 Service Unavailable",
    }
}

fn registration(outbound: &Outbound, flows: Vec<Flow>) -> RegistrationPlan {
    let mut address_of_record = outbound.named_host();
    let user = outbound.from_user.clone().unwrap_or_default();
    address_of_record.user = Some(user.clone());
    RegistrationPlan {
        flows,
        registrar: Uri::Sip(outbound.named_host()),
        address_of_record: NameAddr::new(Uri::Sip(address_of_record)),
        user,
        expires: outbound.register.unwrap_or_default(),
        credentials: outbound.credentials.clone(),
        route: Vec::new(),
        extra: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::Round;

    #[test]
    fn a_round_is_missed_when_no_target_answers_and_counts_once() {
        let mut round = Round::default();
        round.begin(3);
        let missed = [false, false, false].map(|answered| round.is_missed_with(answered));
        assert_eq!(missed, [false, false, true]);
        for one in 0..3 {
            round.begin(3);
            let missed = [0, 1, 2].map(|n| round.is_missed_with(n == one));
            assert_eq!(missed, [false; 3], "{one}");
        }
    }
}
