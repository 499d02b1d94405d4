//! What every usage works with: transactions, timers, identifiers and the queue of outputs.
//!
//! ```text
//! usage ── respond ───► server transaction ─┐
//!       ── request ───► client transaction ─┼─► Output::Transmit
//!       ── acknowledge (no transaction) ────┘
//!       ── emit ──────────────────────────────► Output::Event
//!       ── arm ───────► timers
//! ```

use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
    time::Instant,
};

use super::{
    EndpointConfig, EndpointStatistics, Event, ExtraHeaders, Flow, InviteId, Output,
    arrival::Arrival,
    identifiers::{Identifiers, SeededMap},
    timers::{Alarm, TimerQueue},
};
use crate::{
    dialog::{Dialog, DialogId, tag_to},
    invite::InviteTimer,
    message::{Method, Request, Response, StatusCode},
    transaction::{
        Pace, Step, Timer, invite_client, invite_server,
        key::{ClientKey, MergeKey},
        non_invite_client, non_invite_server,
        sent_invite::{SentAck, SentInvite},
        table::{
            ClientMachine, ClientRole, ClientTable, ClientTransaction, ServerInvite, ServerMachine,
            ServerTable, ServerTransaction, TransactionId,
        },
    },
};

/// The part of the endpoint below its usages.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: EndpointConfig,
    pub(crate) identifiers: Identifiers,
    pub(crate) statistics: EndpointStatistics,
    pub(crate) clients: ClientTable,
    pub(crate) servers: ServerTable,
    /// Client transactions without a final response, by where they were sent.
    awaiting: BTreeSet<(SocketAddr, TransactionId)>,
    pub(crate) timers: TimerQueue,
    pub(crate) outputs: VecDeque<Output>,
    /// Which usage a request inside a dialog is for.
    pub(crate) invites_by_dialog: SeededMap<DialogId, InviteId>,
    /// Which transaction an INVITE that came by another path repeats.
    pub(crate) transactions_by_merge_key: SeededMap<MergeKey, TransactionId>,
}

impl Core {
    pub(crate) fn new(config: EndpointConfig, seed: u64) -> Self {
        let identifiers = Identifiers::new(seed);
        Self {
            clients: ClientTable::new(&identifiers),
            servers: ServerTable::new(&identifiers),
            invites_by_dialog: identifiers.map(),
            transactions_by_merge_key: identifiers.map(),
            awaiting: BTreeSet::new(),
            timers: TimerQueue::default(),
            outputs: VecDeque::new(),
            statistics: EndpointStatistics::default(),
            identifiers,
            config,
        }
    }

    /// How many transactions live.
    pub(crate) fn live_transactions(&self) -> usize {
        self.clients.len() + self.servers.len()
    }

    pub(crate) fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(crate) fn transmit(&mut self, flow: Flow, bytes: Vec<u8>) {
        self.outputs.push_back(Output::Transmit { flow, bytes });
    }

    pub(crate) fn arm(&mut self, id: InviteId, timer: InviteTimer, at: Instant) {
        self.timers.arm(Alarm::Invite(id, timer), at);
    }

    pub(crate) fn pace(&self, flow: Flow) -> Pace {
        Pace {
            timers: self.config.timers,
            reliable: flow.transport.is_reliable(),
        }
    }

    /// Where a request inside `dialog` goes, given the flow its last message used.
    pub(crate) fn flow_of(&self, dialog: &Dialog, flow: Flow) -> Flow {
        let next_hop = dialog.next_hop();
        match next_hop.host() {
            Some(host) => flow.request_flow(host, next_hop.port()),
            None => flow,
        }
    }

    /// Opens the server transaction of an INVITE that has just arrived.
    pub(crate) fn open_invite(&mut self, arrival: &Arrival, invite: ServerInvite) -> TransactionId {
        let merge_key = invite.merge_key.clone();
        let machine = invite_server::InviteServer::start(self.pace(arrival.reply_flow));
        let id = self.open(arrival, ServerMachine::Invite(machine, invite));
        if let Some(key) = merge_key {
            self.transactions_by_merge_key.insert(key, id);
        }
        id
    }

    fn open(&mut self, arrival: &Arrival, machine: ServerMachine) -> TransactionId {
        let flow = arrival.reply_flow;
        self.servers
            .open(arrival.key.clone(), ServerTransaction { flow, machine })
    }

    /// Answers a request finally and at once, in a transaction opened for it.
    pub(crate) fn answer(
        &mut self,
        arrival: &Arrival,
        status: StatusCode,
        headers: &[(&str, &str)],
        now: Instant,
    ) {
        let tag = self.identifiers.tag();
        self.answer_with_tag(arrival, status, &tag, headers, now);
    }

    /// The same with a given To tag, which a request that has one of its own does not need.
    pub(crate) fn answer_with_tag(
        &mut self,
        arrival: &Arrival,
        status: StatusCode,
        local_tag: &str,
        headers: &[(&str, &str)],
        now: Instant,
    ) {
        let response = self.response(arrival, status, local_tag, headers);
        let id = if arrival.request.method == Method::Invite {
            let local_tag = local_tag.to_owned();
            self.open_invite(
                arrival,
                ServerInvite {
                    usage: None,
                    local_tag,
                    merge_key: None,
                },
            )
        } else {
            let machine = non_invite_server::NonInviteServer::start(self.pace(arrival.reply_flow));
            self.open(arrival, ServerMachine::NonInvite(machine))
        };
        self.respond(id, &response, now);
    }

    /// Answers a request without keeping anything: a copy of it gets the same answer again.
    pub(crate) fn answer_statelessly(
        &mut self,
        arrival: &Arrival,
        status: StatusCode,
        headers: &[(&str, &str)],
    ) {
        let tag = self
            .identifiers
            .stateless_tag(&arrival.call_id, &arrival.from_tag);
        let response = self.response(arrival, status, &tag, headers);
        self.transmit(arrival.reply_flow, response.to_bytes());
    }

    fn response(
        &self,
        arrival: &Arrival,
        status: StatusCode,
        local_tag: &str,
        headers: &[(&str, &str)],
    ) -> Response {
        let mut response = Response::to_request(&arrival.request, status);
        if arrival.to_tag.is_none() {
            tag_to(&mut response.headers, local_tag);
        }
        for (name, value) in headers {
            response.headers.push(name, *value);
        }
        response
            .headers
            .push("Server", self.config.user_agent.as_str());
        response
    }

    /// Answers the request of a server transaction; says nothing if it has ended.
    pub(crate) fn respond(&mut self, id: TransactionId, response: &Response, now: Instant) {
        self.respond_bytes(id, response.status.as_u16(), response.to_bytes(), now);
    }

    /// The same with the message already written, for repetition.
    pub(crate) fn respond_bytes(
        &mut self,
        id: TransactionId,
        status: u16,
        bytes: Vec<u8>,
        now: Instant,
    ) {
        let Some(transaction) = self.servers.get_mut(id) else {
            return;
        };
        let step = match &mut transaction.machine {
            ServerMachine::Invite(machine, _) => machine.handle(match status {
                100..=199 => invite_server::Input::Provisional(bytes),
                200..=299 => invite_server::Input::Success(bytes),
                _ => invite_server::Input::Failure(bytes),
            }),
            ServerMachine::NonInvite(machine) => machine.handle(match status {
                100..=199 => non_invite_server::Input::Provisional(bytes),
                _ => non_invite_server::Input::Final(bytes),
            }),
        };
        self.follow_server(id, step, now);
    }

    /// Does what a server machine asked for.
    pub(crate) fn follow_server(&mut self, id: TransactionId, step: Step, now: Instant) {
        let Some(transaction) = self.servers.get(id) else {
            return;
        };
        let (flow, terminated) = (transaction.flow, transaction.machine.is_terminated());
        self.send_and_arm(flow, step, now, |timer| Alarm::Server(id, timer));
        if !terminated {
            return;
        }
        let Some(closed) = self.servers.close(id) else {
            return;
        };
        if let ServerMachine::Invite(_, invite) = closed.machine
            && let Some(key) = invite.merge_key
            && self.transactions_by_merge_key.get(&key) == Some(&id)
        {
            self.transactions_by_merge_key.remove(&key);
        }
    }

    /// Does what a client machine asked for.
    pub(crate) fn follow_client(&mut self, id: TransactionId, step: Step, now: Instant) {
        let Some(transaction) = self.clients.get(id) else {
            return;
        };
        let (flow, terminated) = (transaction.flow, transaction.machine.is_terminated());
        if transaction.machine.awaits_final_response() {
            self.awaiting.insert((flow.remote, id));
        } else {
            self.awaiting.remove(&(flow.remote, id));
        }
        self.send_and_arm(flow, step, now, |timer| Alarm::Client(id, timer));
        if terminated {
            self.clients.close(id);
        }
    }

    /// Drops a client transaction before its time.
    pub(crate) fn close_client(&mut self, id: TransactionId) {
        if let Some(closed) = self.clients.close(id) {
            self.awaiting.remove(&(closed.flow.remote, id));
        }
    }

    /// The client transactions that wait for an answer from `remote`.
    pub(crate) fn clients_awaiting(&self, remote: SocketAddr) -> Vec<TransactionId> {
        let all = (remote, TransactionId::FIRST)..=(remote, TransactionId::LAST);
        self.awaiting.range(all).map(|(_, id)| *id).collect()
    }

    fn send_and_arm(
        &mut self,
        flow: Flow,
        step: Step,
        now: Instant,
        alarm: impl Fn(Timer) -> Alarm,
    ) {
        if let Some(bytes) = step.transmit {
            self.transmit(flow, bytes);
        }
        for (timer, after) in step.arm.into_iter().flatten() {
            self.timers.arm(alarm(timer), now + after);
        }
    }

    /// Sends a request other than INVITE and ACK in a transaction of its own.
    pub(crate) fn request(
        &mut self,
        mut request: Request,
        flow: Flow,
        role: ClientRole,
        now: Instant,
    ) -> TransactionId {
        let branch = self.identifiers.branch();
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
        self.stamp(&mut request, flow, &branch);
        let (machine, step) =
            invite_client::InviteClient::start(self.pace(flow), request.to_bytes());
        request.body = Vec::new();
        let sent = Box::new(SentInvite {
            request,
            cseq,
            acks: Vec::new(),
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

    /// Sends CANCEL for an INVITE of ours (RFC 3261 9.1): same hop, same branch.
    pub(crate) fn cancel(&mut self, invite: TransactionId, now: Instant) {
        let Some(transaction) = self.clients.get(invite) else {
            return;
        };
        let ClientMachine::Invite(_, sent) = &transaction.machine else {
            return;
        };
        let (mut cancel, flow) = (sent.cancel(), transaction.flow);
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
    ) {
        let flow = self.flow_of(dialog, flow);
        let mut ack = dialog.ack(cseq);
        let branch = self.identifiers.branch();
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

    /// Makes a dialog findable.
    pub(crate) fn register(&mut self, dialog: &DialogId, id: InviteId) {
        self.invites_by_dialog.insert(dialog.clone(), id);
    }

    /// Forgets a dialog.
    pub(crate) fn unregister(&mut self, dialog: &DialogId) {
        self.invites_by_dialog.remove(dialog);
    }
}
