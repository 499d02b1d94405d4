//! Which transaction a response is for, and who hears of it (RFC 3261 17.1.3, 13.2.2.4, 18.1.2).

use std::time::Instant;

use super::{Endpoint, InviteId, Output};
use crate::ua_core::account::Account;
use crate::{
    dialog::{Dialog, DialogId},
    message::{Malformed, Message, NameAddr, Response, StatusClass, parse_datagram},
    transaction::{
        invite_client,
        key::ClientKey,
        non_invite_client,
        table::{ClientMachine, ClientRole, TransactionId},
    },
};

/// How many forks of one INVITE are acknowledged and ended. No phone rings in more places; who answers under
/// ever new tags wants us to send.
const MAX_FORKS: usize = 16;

impl Endpoint {
    pub(super) fn take_response(&mut self, response: Response, now: Instant) {
        let Some(id) = self.client_of(&response) else {
            self.core.statistics.stray_responses += 1;
            return;
        };
        let Some(transaction) = self.core.clients.get_mut(id) else {
            return;
        };
        let challenged = match &transaction.machine {
            ClientMachine::NonInvite(machine) if Account::is_challenge(response.status) => {
                machine.unanswered_request().map(<[u8]>::to_vec)
            }
            ClientMachine::NonInvite(_) | ClientMachine::Invite(..) => None,
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
        if !pass_up {
            return;
        }
        if let ClientRole::Register(registration) = role {
            let request = challenged.and_then(|bytes| match parse_datagram(&bytes) {
                Ok(Some(Message::Request(request))) => Some(request),
                Ok(Some(Message::Response(_)) | None) | Err(_) => None,
            });
            self.with_registration(registration, |registration, core| {
                registration.on_response(core, request, &response, now);
            });
            return;
        }
        if let (Some(request), Some(invite)) = (challenged, role.may_be_sent_again()) {
            let asked_again = self.with_invite(invite, |invite, core| {
                invite.ask_again(core, role, &request, &response, now)
            });
            if asked_again == Some(true) {
                return;
            }
        }
        self.pass_up(id, role, response, now);
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
                self.take_reinvite_response(transaction, invite, &response, now);
            }
            ClientRole::Refer(_, referral) => self.core.on_refer_response(referral, &response),
            ClientRole::Bye(invite)
            | ClientRole::Refresh(invite)
            | ClientRole::Notify(invite, _)
            | ClientRole::Info(invite)
            | ClientRole::InDialog(invite) => {
                self.with_invite(invite, |invite, core| {
                    invite.on_in_dialog_response(core, role, response, now);
                });
            }
            ClientRole::Probe(id) if response.status.is_final() => {
                let answer = Ok(response.status);
                self.core.outputs.push_back(Output::Probed { id, answer });
            }
            // A registration's was handed over already.
            ClientRole::Probe(_) | ClientRole::Register(_) | ClientRole::Unattended => {}
        }
    }

    /// A response to an INVITE: for the usage until one 2xx made its dialog. Each copy of that 2xx
    /// gets its ACK again; a 2xx of another fork, or one that comes after the usage ended, is
    /// acknowledged and its dialog ended with BYE (RFC 3261 13.2.2.4). An INVITE that was forsaken for
    /// another flow, and rings after all, is cancelled.
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
            .is_some_and(|invite| invite.awaits_answer_to(transaction))
        {
            self.with_invite(invite, |invite, core| {
                invite.on_invite_response(core, response, now);
            });
        } else if response.status.is_success() {
            self.end_fork(transaction, &response, now);
        } else if response.status.is_provisional() {
            self.core.cancel(transaction, &[], now);
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

    /// A response to a re-INVITE of ours. A 2xx that comes when the call is ending or has ended is
    /// still acknowledged, or the far end would repeat it for 64*T1.
    fn take_reinvite_response(
        &mut self,
        transaction: TransactionId,
        invite: InviteId,
        response: &Response,
        now: Instant,
    ) {
        if self.acknowledge_again(transaction, response) {
            return;
        }
        self.with_invite(invite, |invite, core| {
            invite.on_reinvite_response(core, transaction, response, now);
        });
        let Some(flow) = self.core.clients.get(transaction).map(|client| client.flow) else {
            return;
        };
        let Some(sent) = self.core.sent_invite(transaction) else {
            return;
        };
        if !response.status.is_success() || !sent.acks.is_empty() {
            return;
        }
        let cseq = sent.cseq;
        let dialog = Dialog::of_reinvite(dialog_id(response), &sent.request, cseq, response);
        if let Ok(dialog) = dialog {
            self.core
                .acknowledge(transaction, &dialog, cseq, flow, None);
        }
    }

    fn end_fork(&mut self, transaction: TransactionId, response: &Response, now: Instant) {
        let Some(flow) = self.core.clients.get(transaction).map(|client| client.flow) else {
            return;
        };
        let Some(sent) = self.core.sent_invite(transaction) else {
            return;
        };
        if sent.acks.len() >= MAX_FORKS {
            return;
        }
        let cseq = sent.cseq;
        let id = dialog_id(response);
        if self.core.invites_by_dialog.contains_key(&id) {
            // Ours, repeated while its ACK waits for our answer.
            return;
        }
        let Ok(mut dialog) = Dialog::as_client(id, &sent.request, cseq, response) else {
            return;
        };
        self.core
            .acknowledge(transaction, &dialog, cseq, flow, None);
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

/// The dialog that a response to a request of ours is in.
fn dialog_id(response: &Response) -> DialogId {
    let headers = &response.headers;
    let tag_of = |address: Result<NameAddr, Malformed>| {
        address
            .ok()
            .and_then(|address| address.tag().map(str::to_owned))
            .unwrap_or_default()
    };
    DialogId {
        call_id: headers.call_id().unwrap_or_default().to_owned(),
        local_tag: tag_of(headers.from_()),
        remote_tag: tag_of(headers.to()),
    }
}
