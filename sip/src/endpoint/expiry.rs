//! What nobody sent: timers that fire and transports that fail.

use std::time::Instant;

use super::{Endpoint, Flow, FlowFailure, Output, ReferralNews};
use crate::message::StatusCode;
use crate::transaction::{
    Failure, Timer, invite_client, invite_server, non_invite_client, non_invite_server,
    table::{ClientMachine, ClientRole, ServerMachine, TransactionId},
};
use crate::ua_core::{Core, timers::Alarm};

impl Endpoint {
    /// Lets every timer fire that is due, up to [`Limits::timers_per_call`](super::Limits::timers_per_call); when more are due,
    /// [`poll_timeout`](Self::poll_timeout) stays in the past.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.sweep_timers();
        for _ in 0..self.core.config.limits.timers_per_call {
            if self.core.outputs.len() >= self.core.config.limits.outputs {
                return;
            }
            match self.core.timers.pop_due(now) {
                None => return,
                Some(Alarm::Client(id, timer)) => self.on_client_timer(id, timer, now),
                Some(Alarm::Server(id, timer)) => self.on_server_timer(id, timer, now),
                Some(Alarm::Registration(id, generation)) => {
                    self.with_registration(id, |registration, core| {
                        registration.on_timer(core, generation, now);
                    });
                }
                Some(Alarm::Referral(id)) => self.core.on_referral_timeout(id),
                Some(Alarm::Invite(id, timer)) => {
                    self.with_invite(id, |invite, core| invite.on_timer(core, timer, now));
                }
            }
        }
    }

    fn sweep_timers(&mut self) {
        let Self {
            core,
            invites,
            registrations,
            ..
        } = self;
        let Core {
            timers,
            clients,
            servers,
            referrals,
            ..
        } = core;
        if timers.wants_sweeping() {
            timers.sweep(|alarm| match alarm {
                Alarm::Client(id, _) => clients.get(id).is_some(),
                Alarm::Server(id, _) => servers.get(id).is_some(),
                Alarm::Invite(id, _) => invites.contains_key(&id),
                Alarm::Registration(id, _) => registrations.contains_key(&id),
                Alarm::Referral(id) => referrals.contains(id),
            });
        }
    }

    /// The transport could not deliver by `flow` (for UDP, an ICMP error; else the connection could not
    /// be had, or is gone): requests that wait for an answer to what they sent by it fail now (RFC 3261
    /// 17.1.4 and 18.4); those that another transport or another of our addresses carries do not.
    /// A registration whose connection is gone registers anew a second or so later (RFC 5626 4.5).
    /// Responses and established calls are left to their timers, because an ICMP error is easily forged
    /// and may be about one lost route, and a far end that closes a quiet connection means no goodbye.
    pub fn handle_transport_error(&mut self, flow: Flow, now: Instant) {
        if flow.transport.is_reliable() {
            for invite in self.invites.values_mut() {
                invite.on_connection_lost(flow);
            }
            for registration in self.registrations.values_mut() {
                registration.on_connection_lost(&mut self.core, flow, now);
            }
        }
        for id in self.core.clients_awaiting(flow) {
            let Some(transaction) = self.core.clients.get_mut(id) else {
                continue;
            };
            let unsent = match &transaction.machine {
                ClientMachine::NonInvite(machine) if flow.transport.is_reliable() => {
                    machine.unanswered_request().map(<[u8]>::to_vec)
                }
                ClientMachine::NonInvite(_) | ClientMachine::Invite(..) => None,
            };
            let step = match &mut transaction.machine {
                ClientMachine::Invite(machine, _) => {
                    machine.handle(invite_client::Input::TransportFailed)
                }
                ClientMachine::NonInvite(machine) => {
                    machine.handle(non_invite_client::Input::TransportFailed)
                }
            };
            let (role, failure, used) = (transaction.role, step.failure, transaction.flow);
            self.core.follow_client(id, step, now);
            if let (Some(request), Some(invite)) = (unsent, role.may_be_sent_again()) {
                let sent = self.with_invite(invite, |invite, core| {
                    invite.fall_back_to_datagrams(core, role, &request, now)
                });
                if sent == Some(true) {
                    continue;
                }
            }
            self.on_client_failure((id, used), role, failure, now);
        }
    }

    fn on_client_timer(&mut self, id: TransactionId, timer: Timer, now: Instant) {
        let Some(transaction) = self.core.clients.get_mut(id) else {
            return;
        };
        let step = match &mut transaction.machine {
            ClientMachine::Invite(machine, _) => machine.handle(invite_client::Input::Timer(timer)),
            ClientMachine::NonInvite(machine) => {
                machine.handle(non_invite_client::Input::Timer(timer))
            }
        };
        let (role, failure, used) = (transaction.role, step.failure, transaction.flow);
        self.core.statistics.retransmissions_sent += u64::from(step.transmit.is_some());
        self.core.follow_client(id, step, now);
        self.on_client_failure((id, used), role, failure, now);
    }

    fn on_client_failure(
        &mut self,
        (id, used): (TransactionId, Flow),
        role: ClientRole,
        failure: Option<Failure>,
        now: Instant,
    ) {
        let Some(failure) = failure else { return };
        match role {
            ClientRole::Invite(invite) => {
                self.with_invite(invite, |invite, core| {
                    invite.on_invite_failure(core, id, failure, used, now);
                });
            }
            ClientRole::Refer(_, referral) => {
                let unanswered = ReferralNews::Refused(StatusCode::REQUEST_TIMEOUT);
                self.core.report_referral(referral, unanswered);
            }
            ClientRole::Bye(invite)
            | ClientRole::Refresh(invite)
            | ClientRole::Notify(invite, _)
            | ClientRole::Info(invite)
            | ClientRole::InDialog(invite) => {
                self.with_invite(invite, |invite, core| {
                    invite.on_in_dialog_failure(core, role, failure, now);
                });
            }
            ClientRole::Reinvite(invite) => {
                self.with_invite(invite, |invite, core| {
                    invite.on_reinvite_failure(core, id, (failure, used), now);
                });
            }
            ClientRole::Register(id) => {
                self.with_registration(id, |registration, core| {
                    registration.on_failure(core, failure, now);
                });
            }
            ClientRole::Probe(id) => {
                let answer = Err(match failure {
                    Failure::TimedOut => FlowFailure::Silent,
                    Failure::TransportFailed => FlowFailure::TransportFailed,
                });
                self.core.outputs.push_back(Output::Probed { id, answer });
            }
            ClientRole::Unattended => {}
        }
    }

    fn on_server_timer(&mut self, id: TransactionId, timer: Timer, now: Instant) {
        let Some(transaction) = self.core.servers.get_mut(id) else {
            return;
        };
        let step = match &mut transaction.machine {
            ServerMachine::Invite(machine, _) => machine.handle(invite_server::Input::Timer(timer)),
            ServerMachine::NonInvite(machine) => {
                machine.handle(non_invite_server::Input::Timer(timer))
            }
        };
        self.core.statistics.retransmissions_sent += u64::from(step.transmit.is_some());
        self.core.statistics.unacknowledged_refusals += u64::from(step.failure.is_some());
        self.core.follow_server(id, step, now);
    }
}
