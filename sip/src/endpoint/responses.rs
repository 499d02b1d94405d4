//! Which transaction a response is for, and who hears of it (RFC 3261 17.1.3, 13.2.2.4, 18.1.2).

use std::time::Instant;

use super::{Endpoint, InviteId};
use crate::{
    dialog::{Dialog, DialogId},
    message::{Response, StatusClass},
    transaction::{
        invite_client,
        key::ClientKey,
        non_invite_client,
        table::{ClientMachine, ClientRole, TransactionId},
    },
};

impl Endpoint {
    pub(super) fn take_response(&mut self, response: Response, now: Instant) {
        let Some(id) = self.client_of(&response) else {
            self.core.statistics.stray_responses += 1;
            return;
        };
        let Some(transaction) = self.core.clients.get_mut(id) else {
            return;
        };
        let step = match &mut transaction.machine {
            ClientMachine::Invite(machine, sent) => machine.handle(match response.status.class() {
                StatusClass::Provisional => invite_client::Input::Provisional,
                StatusClass::Success => invite_client::Input::Success,
                StatusClass::Redirection
                | StatusClass::ClientError
                | StatusClass::ServerError
                | StatusClass::GlobalFailure => {
                    let ack = sent.ack_of_refusal(&response).to_bytes();
                    invite_client::Input::Failure { ack }
                }
            }),
            ClientMachine::NonInvite(machine) => machine.handle(match response.status.class() {
                StatusClass::Provisional => non_invite_client::Input::Provisional,
                StatusClass::Success
                | StatusClass::Redirection
                | StatusClass::ClientError
                | StatusClass::ServerError
                | StatusClass::GlobalFailure => non_invite_client::Input::Final,
            }),
        };
        let (role, pass_up) = (transaction.role, step.pass_up);
        self.core.follow_client(id, step, now);
        if pass_up {
            self.pass_up(id, role, response, now);
        }
    }

    fn pass_up(
        &mut self,
        transaction: TransactionId,
        role: ClientRole,
        response: Response,
        now: Instant,
    ) {
        match role {
            ClientRole::Invite(invite) => {
                self.take_invite_response(transaction, invite, response, now);
            }
            ClientRole::Reinvite(invite) => {
                if !self.acknowledge_again(transaction, &response) {
                    self.with_invite(invite, |invite, core| {
                        invite.on_reinvite_response(core, transaction, &response, now);
                    });
                }
            }
            ClientRole::Bye(invite) => {
                self.with_invite(invite, |invite, core| {
                    invite.on_bye_response(core, response)
                });
            }
            ClientRole::Unattended => {}
        }
    }

    /// A response to an INVITE: for the usage until one 2xx made its dialog. Each copy of that 2xx
    /// gets its ACK again; a 2xx of another fork, or one that comes after the usage ended, is
    /// acknowledged and its dialog ended with BYE (RFC 3261 13.2.2.4).
    fn take_invite_response(
        &mut self,
        transaction: TransactionId,
        invite: InviteId,
        response: Response,
        now: Instant,
    ) {
        if self.acknowledge_again(transaction, &response) {
            return;
        }
        if self
            .invites
            .get(&invite)
            .is_some_and(crate::invite::Invite::awaits_answer)
        {
            self.with_invite(invite, |invite, core| {
                invite.on_invite_response(core, response, now);
            });
        } else if response.status.is_success() {
            self.end_fork(transaction, &response, now);
        }
    }

    /// Sends the ACK of a 2xx that has been acknowledged before. `false` when it has not.
    fn acknowledge_again(&mut self, transaction: TransactionId, response: &Response) -> bool {
        if !response.status.is_success() {
            return false;
        }
        let Ok(to) = response.headers.to() else {
            return false;
        };
        let remote_tag = to.tag().unwrap_or_default();
        let Some(sent) = self.core.sent_invite(transaction) else {
            return false;
        };
        let Some(ack) = sent.acks.iter().find(|ack| ack.remote_tag == remote_tag) else {
            return false;
        };
        let (flow, bytes) = (ack.flow, ack.bytes.clone());
        self.core.statistics.retransmissions_sent += 1;
        self.core.transmit(flow, bytes);
        true
    }

    fn end_fork(&mut self, transaction: TransactionId, response: &Response, now: Instant) {
        let Some(flow) = self.core.clients.get(transaction).map(|client| client.flow) else {
            return;
        };
        let Some(sent) = self.core.sent_invite(transaction) else {
            return;
        };
        let cseq = sent.cseq;
        let tag_of = |name| {
            let address = if name == "From" {
                response.headers.from_()
            } else {
                response.headers.to()
            };
            address
                .ok()
                .and_then(|address| address.tag().map(str::to_owned))
                .unwrap_or_default()
        };
        let id = DialogId {
            call_id: response.headers.call_id().unwrap_or_default().to_owned(),
            local_tag: tag_of("From"),
            remote_tag: tag_of("To"),
        };
        let Ok(mut dialog) = Dialog::as_client(id, &sent.request, cseq, response) else {
            return;
        };
        self.core.acknowledge(transaction, &dialog, cseq, flow);
        self.core
            .send_bye(&mut dialog, flow, &[], ClientRole::Unattended, now);
    }

    /// A response is for us when it has one Via, with a branch of ours (RFC 3261 8.1.3.3, 17.1.3).
    fn client_of(&self, response: &Response) -> Option<TransactionId> {
        let [via] = response.headers.vias().ok()?.try_into().ok()?;
        let method = response.headers.cseq().ok()?.method;
        let branch = via.branch()?.to_owned();
        self.core.clients.find(&ClientKey { branch, method })
    }
}
