//! Sending requests: each in a transaction of its own, but for the ACK of a 2xx.

use std::time::Instant;

use super::{Body, Core, ExtraHeaders};
use crate::flow::Flow;
use crate::{
    dialog::Dialog,
    message::{Method, Request},
    transaction::{
        invite_client,
        key::ClientKey,
        non_invite_client,
        sent_invite::{SentAck, SentInvite},
        table::{ClientMachine, ClientRole, ClientTransaction, TransactionId},
    },
};

impl Core {
    /// Sends a request other than INVITE and ACK in a transaction of its own.
    pub(crate) fn request(
        &mut self,
        mut request: Request,
        flow: Flow,
        role: ClientRole,
        now: Instant,
    ) -> TransactionId {
        let branch = self.identifiers.branch();
        let flow = self.flow_for(&request, flow, role);
        self.stamp(&mut request, flow, &branch);
        self.request_with_branch(request, branch, flow, role, now)
    }

    /// Sends a request whose Via is already in place (a CANCEL has its INVITE's).
    pub(crate) fn request_with_branch(
        &mut self,
        request: Request,
        branch: String,
        flow: Flow,
        role: ClientRole,
        now: Instant,
    ) -> TransactionId {
        let (machine, step) =
            non_invite_client::NonInviteClient::start(self.pace(flow), request.to_bytes());
        let key = ClientKey {
            branch,
            method: request.method,
        };
        let transaction = ClientTransaction {
            flow,
            role,
            machine: ClientMachine::NonInvite(machine),
        };
        let id = self.clients.open(key, transaction);
        self.follow_client(id, step, now);
        id
    }

    /// Sends an INVITE or re-INVITE.
    pub(crate) fn invite(
        &mut self,
        mut request: Request,
        cseq: u32,
        flow: Flow,
        role: ClientRole,
        now: Instant,
    ) -> TransactionId {
        let branch = self.identifiers.branch();
        let flow = self.flow_for(&request, flow, role);
        self.stamp(&mut request, flow, &branch);
        let (machine, step) =
            invite_client::InviteClient::start(self.pace(flow), request.to_bytes());
        request.body = Vec::new();
        let sent = Box::new(SentInvite {
            request,
            cseq,
            acks: Vec::new(),
            cancelled: false,
        });
        let transaction = ClientTransaction {
            flow,
            role,
            machine: ClientMachine::Invite(machine, sent),
        };
        let id = self.clients.open(
            ClientKey {
                branch,
                method: Method::Invite,
            },
            transaction,
        );
        self.follow_client(id, step, now);
        id
    }

    /// Sends CANCEL for an INVITE of ours (RFC 3261 9.1): same hop, same branch. Once for each INVITE.
    pub(crate) fn cancel(&mut self, invite: TransactionId, extra: ExtraHeaders<'_>, now: Instant) {
        let Some(transaction) = self.clients.get_mut(invite) else {
            return;
        };
        let flow = transaction.flow;
        let ClientMachine::Invite(_, sent) = &mut transaction.machine else {
            return;
        };
        if std::mem::replace(&mut sent.cancelled, true) {
            return;
        }
        let mut cancel = sent.cancel();
        for (name, value) in extra {
            cancel.headers.push(name, *value);
        }
        cancel
            .headers
            .push("User-Agent", self.config.user_agent.as_str());
        let branch = cancel.headers.top_via().ok();
        let branch = branch
            .as_ref()
            .and_then(|via| via.branch())
            .unwrap_or_default()
            .to_owned();
        self.request_with_branch(cancel, branch, flow, ClientRole::Unattended, now);
    }

    /// Sends the ACK for a 2xx to INVITE number `cseq` and keeps it with the INVITE's transaction,
    /// which answers each copy of that 2xx with it.
    pub(crate) fn acknowledge(
        &mut self,
        invite: TransactionId,
        dialog: &Dialog,
        cseq: u32,
        flow: Flow,
        body: Option<Body>,
    ) {
        let flow = self.flow_of(dialog, flow);
        let mut ack = dialog.ack(cseq);
        if let Some(body) = body {
            ack.headers.push("Content-Type", body.content_type);
            ack.body = body.bytes;
        }
        if let Some(sent) = self.sent_invite(invite) {
            // RFC 3261 22.1: an ACK cannot be challenged, so it carries what its INVITE carried.
            for name in ["Authorization", "Proxy-Authorization"] {
                for value in sent.request.headers.get_all(name) {
                    ack.headers.push(name, value);
                }
            }
        }
        let branch = self.identifiers.branch();
        let role = self.clients.get(invite).map(|client| client.role);
        let flow = self.flow_for(&ack, flow, role.unwrap_or(ClientRole::Unattended));
        self.stamp(&mut ack, flow, &branch);
        let bytes = ack.to_bytes();
        if let Some(transaction) = self.clients.get_mut(invite)
            && let ClientMachine::Invite(_, sent) = &mut transaction.machine
        {
            let remote_tag = dialog.id().remote_tag.clone();
            sent.acks.push(SentAck {
                remote_tag,
                flow,
                bytes: bytes.clone(),
            });
        }
        self.transmit(flow, bytes);
    }

    /// Sends BYE.
    pub(crate) fn send_bye(
        &mut self,
        dialog: &mut Dialog,
        flow: Flow,
        extra: ExtraHeaders<'_>,
        role: ClientRole,
        now: Instant,
    ) {
        let mut bye = dialog.request(Method::Bye);
        for (name, value) in extra {
            bye.headers.push(name, *value);
        }
        let flow = self.flow_of(dialog, flow);
        self.request(bye, flow, role, now);
    }

    /// The INVITE of a client transaction.
    pub(crate) fn sent_invite(&self, id: TransactionId) -> Option<&SentInvite> {
        match &self.clients.get(id)?.machine {
            ClientMachine::Invite(_, sent) => Some(sent),
            ClientMachine::NonInvite(_) => None,
        }
    }

    /// By which flow a request goes: a stream when it is too large for a datagram and there is one (RFC
    /// 3261 18.1.1), unless one failed in this usage.
    fn flow_for(&self, request: &Request, flow: Flow, role: ClientRole) -> Flow {
        if request.written_length_hint() <= LARGEST_DATAGRAM {
            return flow;
        }
        match self.config.stream_instead_of(flow) {
            Some(stream) if !role.usage().is_some_and(|id| self.keeps_to_datagrams(id)) => stream,
            Some(_) | None => flow,
        }
    }

    /// Puts our Via on top of a request, and our name.
    fn stamp(&self, request: &mut Request, flow: Flow, branch: &str) {
        let via = format!(
            "SIP/2.0/{} {};rport;branch={branch}",
            flow.transport.as_str(),
            self.config.advertised(flow),
        );
        request.headers.push_front("Via", via);
        request
            .headers
            .push("User-Agent", self.config.user_agent.as_str());
    }
}

/// RFC 3261 18.1.1: what is larger than 1,300 bytes goes by a stream where the path's MTU is not known. What
/// [`Core::stamp`] adds is counted.
const LARGEST_DATAGRAM: usize = 1_300 - 160;
