//! Registering with a trunk (RFC 3261 10.2): once made, a registration keeps itself.
//!
//! ```text
//!              200                      refresh is due
//! Registering ─────► Registered ─────────────────────► Registering
//!      │ 401, 407, 423, next flow: again at once            ▲
//!      └ anything else ► Waiting (back-off, RFC 5626 4.5) ──┘
//!                      remove: Removing ──► gone
//! ```
//!
//! Where the connection that a binding was made by is gone, its refresh is due soon (RFC 5626 4.5): the
//! registrar may have no other way to us.
//!
//! It owns the Call-ID, the CSeq and what the registrar granted. Where the registrar is, is told by the
//! caller, who hears of every failure and may name other flows before the next try.

mod back_off;
mod granted;

use std::time::{Duration, Instant};

use crate::{
    flow::Flow,
    identifiers::RegistrationId,
    message::{CSeq, Method, NameAddr, Request, Response, StatusCode, Uri},
    transaction::{Failure, table::ClientRole},
    ua_core::{
        Core, FlowFailure, Output, RegistrationEvent, RegistrationFailure, RegistrationPlan,
        account::Account, timers::Alarm,
    },
};

use granted::granted_expiry;

/// A connection that stood for so long was a sound one: its loss is the first.
const SOUND: Duration = Duration::from_secs(120);

/// How often a 423 raises what we ask for, in one try.
const MAX_RAISES: u8 = 2;

/// One registration.
#[derive(Debug)]
pub(crate) struct Registration {
    id: RegistrationId,
    plan: RegistrationPlan,
    account: Option<Account>,
    call_id: String,
    local_tag: String,
    cseq: u32,
    /// What we ask for, which a 423 raises.
    expires: Duration,
    raises: u8,
    flow: usize,
    /// Tries that failed since the last success.
    failures: u32,
    state: State,
    /// The flow that the binding was made by, and since when; `None` when it is gone.
    stands: Option<(Flow, Instant)>,
    /// Connections in a row that were lost soon.
    losses: u32,
    /// When the timer that counts fires.
    due_at: Instant,
    /// Of the timer that counts; an older one is ignored.
    generation: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Registering,
    Registered,
    Waiting,
    Removing,
    Gone,
}

impl Registration {
    /// Sends the first REGISTER.
    pub(crate) fn start(
        core: &mut Core,
        id: RegistrationId,
        mut plan: RegistrationPlan,
        now: Instant,
    ) -> Self {
        let account = plan.credentials.take().map(Account::new);
        let mut registration = Self {
            id,
            account,
            call_id: core.identifiers.call_id(),
            local_tag: core.identifiers.tag(),
            cseq: 0,
            expires: plan.expires,
            raises: 0,
            flow: 0,
            failures: 0,
            state: State::Registering,
            stands: None,
            losses: 0,
            due_at: now,
            generation: 0,
            plan,
        };
        registration.send(core, Vec::new(), now);
        registration
    }

    /// Whether nothing is left of it.
    pub(crate) fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    /// From now on it goes to these, best first; nothing where there are none.
    pub(crate) fn set_flows(&mut self, flows: Vec<Flow>) {
        if !flows.is_empty() {
            self.plan.flows = flows;
            self.flow = 0;
        }
    }

    /// Tries now, whatever it waits for.
    pub(crate) fn retry(&mut self, core: &mut Core, now: Instant) {
        match self.state {
            State::Waiting | State::Registered => self.begin(core, now),
            State::Registering | State::Removing | State::Gone => {}
        }
    }

    /// Takes the binding away. The registrar gets one REGISTER, and nobody waits longer for its answer than
    /// for any other.
    pub(crate) fn remove(&mut self, core: &mut Core, now: Instant) {
        match self.state {
            State::Registered | State::Registering => {
                self.state = State::Removing;
                let authorization = self.authorize(core);
                self.send(core, authorization, now);
            }
            State::Waiting => self.end(core),
            State::Removing | State::Gone => {}
        }
    }

    fn end(&mut self, core: &mut Core) {
        self.state = State::Gone;
        self.tell(core, RegistrationEvent::Removed);
    }

    fn tell(&self, core: &mut Core, event: RegistrationEvent) {
        let id = self.id;
        core.outputs.push_back(Output::Registration { id, event });
    }

    fn flow(&self) -> Flow {
        self.plan.flows[self.flow]
    }

    /// Begins a try.
    fn begin(&mut self, core: &mut Core, now: Instant) {
        self.state = State::Registering;
        self.raises = 0;
        let authorization = self.authorize(core);
        self.send(core, authorization, now);
    }

    /// A registrar that has challenged before is told at once who we are.
    fn authorize(&mut self, core: &mut Core) -> Vec<(String, String)> {
        let Some(account) = &mut self.account else {
            return Vec::new();
        };
        account.authorize(core, &Method::Register, &self.plan.registrar, &[])
    }

    fn send(&mut self, core: &mut Core, authorization: Vec<(String, String)>, now: Instant) {
        self.cseq += 1;
        let request = self.request(core, authorization);
        let role = ClientRole::Register(self.id);
        core.request(request, self.flow(), role, now);
    }

    fn request(&self, core: &Core, authorization: Vec<(String, String)>) -> Request {
        let plan = &self.plan;
        let mut request = Request::new(Method::Register, plan.registrar.clone());
        let headers = &mut request.headers;
        for route in &plan.route {
            headers.push("Route", route.to_string());
        }
        headers.push("Max-Forwards", "70");
        headers.push(
            "From",
            plan.address_of_record
                .clone()
                .with_tag(&self.local_tag)
                .to_string(),
        );
        headers.push("To", plan.address_of_record.to_string());
        headers.push("Call-ID", self.call_id.as_str());
        headers.push(
            "CSeq",
            CSeq {
                number: self.cseq,
                method: Method::Register,
            }
            .to_string(),
        );
        headers.push("Contact", self.contact(core));
        let expires = match self.state {
            State::Removing => Duration::ZERO,
            State::Registering | State::Registered | State::Waiting | State::Gone => self.expires,
        };
        headers.push("Expires", expires.as_secs().to_string());
        headers.push("Supported", "path");
        for (name, value) in authorization.iter().chain(&plan.extra) {
            headers.push(name, value.as_str());
        }
        request
    }

    /// Our Contact with a user, by which the registrar's calls are told apart.
    fn contact(&self, core: &Core) -> String {
        core.config.contact_of(self.flow(), &self.plan.user)
    }

    /// A response to REGISTER number `cseq`, which was `request` as far as a challenge has to know it.
    pub(crate) fn on_response(
        &mut self,
        core: &mut Core,
        request: Option<Request>,
        response: &Response,
        now: Instant,
    ) {
        let current = response
            .headers
            .cseq()
            .is_ok_and(|cseq| cseq.number == self.cseq);
        if !current || response.status.is_provisional() {
            return;
        }
        let removing = self.state == State::Removing;
        let status = response.status;
        if status.is_success() && removing {
            self.end(core);
        } else if status.is_success() {
            self.on_success(core, response, now);
        } else if Account::is_challenge(status) && self.take_challenge(core, request, response, now)
        {
            // It is on its way again.
        } else if status == StatusCode::INTERVAL_TOO_BRIEF && !removing && self.raise(response) {
            let authorization = self.authorize(core);
            self.send(core, authorization, now);
        } else if removing {
            self.end(core);
        } else if status == StatusCode::SERVICE_UNAVAILABLE {
            let retry_after = super::ua_core::retry_after(response);
            self.flow_failed(core, FlowFailure::Unavailable { retry_after }, now);
        } else {
            self.fail(core, RegistrationFailure::Refused(status), now);
        }
    }

    fn on_success(&mut self, core: &mut Core, response: &Response, now: Instant) {
        self.state = State::Registered;
        self.failures = 0;
        let flow = self.flow();
        if self.stands.is_none_or(|(by, _)| by != flow) {
            self.stands = Some((flow, now));
        }
        let expires = granted_expiry(response, &self.contact(core), self.expires);
        // Early enough that a lost REGISTER can be repeated, late enough not to be a nuisance.
        let refresh = (expires * 5 / 6).max(Duration::from_secs(1));
        self.arm(core, now + refresh);
        let service_route = response
            .headers
            .get_all("Service-Route")
            .flat_map(|value| value.split(','))
            .filter_map(|value| NameAddr::parse(value.trim()).ok())
            .collect();
        self.tell(
            core,
            RegistrationEvent::Registered {
                expires,
                service_route,
            },
        );
    }

    fn take_challenge(
        &mut self,
        core: &mut Core,
        request: Option<Request>,
        response: &Response,
        now: Instant,
    ) -> bool {
        let (Some(account), Some(mut request)) = (&mut self.account, request) else {
            return false;
        };
        if !account.answer(core, &mut request, response) {
            return false;
        }
        let authorization = crate::ua_core::account::authorization_in(&request.headers);
        self.send(core, authorization, now);
        true
    }

    fn raise(&mut self, response: &Response) -> bool {
        let wanted = response.headers.get("Min-Expires");
        let Some(wanted) = wanted.and_then(|value| value.trim().parse().ok()) else {
            return false;
        };
        let wanted = Duration::from_secs(u64::min(wanted, 86_400));
        if self.raises >= MAX_RAISES || wanted <= self.expires {
            return false;
        }
        self.raises += 1;
        self.expires = wanted;
        true
    }

    /// A REGISTER got no answer.
    pub(crate) fn on_failure(&mut self, core: &mut Core, failure: Failure, now: Instant) {
        match (self.state, failure) {
            (State::Removing, _) => self.end(core),
            (State::Registering, Failure::TimedOut) => {
                self.flow_failed(core, FlowFailure::Silent, now);
            }
            (State::Registering, Failure::TransportFailed) => {
                self.flow_failed(core, FlowFailure::TransportFailed, now);
            }
            (State::Registered | State::Waiting | State::Gone, _) => {}
        }
    }

    /// A connection is gone. If the binding was made by it, it is made anew in about a second: not at once,
    /// since a registrar that begins anew loses all its connections together. One that closes each soon is
    /// asked less and less often, and no less often than it would be without that.
    pub(crate) fn on_connection_lost(&mut self, core: &mut Core, flow: Flow, now: Instant) {
        let by_it = |(by, _): &mut (Flow, Instant)| *by == flow;
        if self.state != State::Registered {
            return;
        }
        let Some((_, since)) = self.stands.take_if(by_it) else {
            return;
        };
        if now.saturating_duration_since(since) >= SOUND {
            self.losses = 0;
        }
        let random = core.identifiers.below(1_000);
        let wait = match self.losses.checked_sub(1) {
            None => Duration::from_millis(500 + random),
            Some(earlier) => back_off::wait(earlier, random),
        };
        self.losses = self.losses.saturating_add(1);
        let at = self.due_at.min(now + wait);
        self.arm(core, at);
    }

    /// The next flow at once, or after the last the back-off.
    fn flow_failed(&mut self, core: &mut Core, failure: FlowFailure, now: Instant) {
        let flow = self.flow();
        self.stands = None;
        if self.flow + 1 < self.plan.flows.len() {
            self.tell(core, RegistrationEvent::FlowFailed { flow, failure });
            self.flow += 1;
            let authorization = self.authorize(core);
            self.send(core, authorization, now);
            return;
        }
        self.flow = 0;
        self.fail(core, RegistrationFailure::Flow { flow, failure }, now);
    }

    fn fail(&mut self, core: &mut Core, failure: RegistrationFailure, now: Instant) {
        self.state = State::Waiting;
        self.stands = None;
        let random = core.identifiers.below(1_000);
        let mut wait = back_off::wait(self.failures, random);
        if let RegistrationFailure::Flow {
            failure:
                FlowFailure::Unavailable {
                    retry_after: Some(asked),
                },
            ..
        } = failure
        {
            wait = wait.max(asked);
        }
        self.failures = self.failures.saturating_add(1);
        self.arm(core, now + wait);
        self.tell(
            core,
            RegistrationEvent::Failed {
                failure,
                retry_in: wait,
            },
        );
    }

    fn arm(&mut self, core: &mut Core, at: Instant) {
        self.generation += 1;
        self.due_at = at;
        let alarm = Alarm::Registration(self.id, self.generation);
        core.timers.arm(alarm, at);
    }

    /// Its time has come: a refresh, or another try.
    pub(crate) fn on_timer(&mut self, core: &mut Core, generation: u32, now: Instant) {
        if generation == self.generation {
            self.retry(core, now);
        }
    }
}

/// A REGISTER's Request-URI is the domain alone (RFC 3261 10.2).
pub(crate) fn registrar_of(mut uri: Uri) -> Uri {
    if let Some(sip) = uri.sip_mut() {
        sip.user = None;
        sip.password = None;
        sip.headers = None;
    }
    uri
}
