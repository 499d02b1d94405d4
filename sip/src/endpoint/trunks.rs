//! What goes to a trunk outside any call: registrations, and OPTIONS that ask whether it is there.

use std::time::Instant;

use super::{Endpoint, Flow, Overloaded, ProbeId, RegistrationId, RegistrationPlan};
use crate::{
    message::{CSeq, Method, NameAddr, Request, Uri},
    registration::{Registration, registrar_of},
    transaction::table::ClientRole,
    ua_core::Core,
};

impl Endpoint {
    /// Registers, and keeps the binding until [`unregister`](Self::unregister): refreshed in time, tried
    /// again after a failure with the back-off of RFC 5626 4.5.
    ///
    /// # Errors
    /// [`Overloaded`] when the bound on transactions is reached.
    ///
    /// # Panics
    /// When the plan names no flow.
    pub fn register(
        &mut self,
        mut plan: RegistrationPlan,
        now: Instant,
    ) -> Result<RegistrationId, Overloaded> {
        assert!(!plan.flows.is_empty(), "a REGISTER goes somewhere");
        if self.core.live_transactions() >= self.core.config.limits.transactions {
            return Err(Overloaded);
        }
        plan.registrar = registrar_of(plan.registrar);
        plan.address_of_record.parameters.remove("tag");
        plan.extra.retain(|(name, _)| !super::is_reserved(name));
        self.trunk_requests_made += 1;
        let id = RegistrationId(self.trunk_requests_made);
        let registration = Registration::start(&mut self.core, id, plan, now);
        self.registrations.insert(id, registration);
        Ok(id)
    }

    /// From its next REGISTER on a registration goes to these, best first. An unknown one, and an empty list,
    /// change nothing.
    pub fn set_registration_flows(&mut self, id: RegistrationId, flows: Vec<Flow>) {
        self.with_registration(id, |registration, _| registration.set_flows(flows));
    }

    /// Registers now, whatever it waits for.
    pub fn register_now(&mut self, id: RegistrationId, now: Instant) {
        self.with_registration(id, |registration, core| registration.retry(core, now));
    }

    /// Takes a binding away; [`RegistrationEvent::Removed`](super::RegistrationEvent::Removed) follows.
    pub fn unregister(&mut self, id: RegistrationId, now: Instant) {
        self.with_registration(id, |registration, core| registration.remove(core, now));
    }

    /// Asks by OPTIONS whether somebody is at `flow`; [`Output::Probed`](super::Output::Probed) follows.
    ///
    /// # Errors
    /// [`Overloaded`] when the bound on transactions is reached.
    pub fn probe(
        &mut self,
        flow: Flow,
        target: Uri,
        from: &NameAddr,
        now: Instant,
    ) -> Result<ProbeId, Overloaded> {
        if self.core.live_transactions() >= self.core.config.limits.transactions {
            return Err(Overloaded);
        }
        self.trunk_requests_made += 1;
        let id = ProbeId(self.trunk_requests_made);
        let tag = self.core.identifiers.tag();
        let mut request = Request::new(Method::Options, target.clone());
        let headers = &mut request.headers;
        headers.push("Max-Forwards", "70");
        headers.push("From", from.clone().with_tag(&tag).to_string());
        headers.push("To", NameAddr::new(target).to_string());
        headers.push("Call-ID", self.core.identifiers.call_id());
        let (number, method) = (1, Method::Options);
        headers.push("CSeq", CSeq { number, method }.to_string());
        headers.push("Contact", self.core.config.contact(flow));
        headers.push("Accept", "application/sdp");
        self.core.request(request, flow, ClientRole::Probe(id), now);
        Ok(id)
    }

    pub(super) fn with_registration(
        &mut self,
        id: RegistrationId,
        act: impl FnOnce(&mut Registration, &mut Core),
    ) {
        let Some(registration) = self.registrations.get_mut(&id) else {
            return;
        };
        act(registration, &mut self.core);
        if registration.is_gone() {
            self.registrations.remove(&id);
        }
    }
}
