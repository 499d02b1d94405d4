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
    time::{Duration, Instant},
};

pub(crate) mod account;
mod answers;
pub(crate) mod arrival;
mod config;
mod event;
pub(crate) mod referrals;
mod requests;
pub(crate) mod session_timer;
pub(crate) mod timers;

pub use config::{EndpointConfig, HostPort, Limits, SessionTimerPolicy, Timers};
pub use event::{
    Body, EndCause, EndpointStatistics, Event, ExtraHeaders, FlowFailure, Misuse, OutgoingInvite,
    OutgoingRefer, Output, Overloaded, ReferralNews, RegistrationEvent, RegistrationFailure,
    RegistrationPlan,
};

use self::referrals::Referrals;
use self::timers::{Alarm, InviteTimer, TimerQueue};
use crate::{
    dialog::{Dialog, DialogId},
    flow::Flow,
    identifiers::{Identifiers, InviteId, SeededMap, give_back_room},
    message::Response,
    transaction::{
        Pace, Step, Timer, invite_client,
        key::MergeKey,
        table::{
            ClientMachine, ClientTable, ServerMachine, ServerTable, ServerTransaction,
            TransactionId,
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
    /// Client transactions without a final response, by the path their request took.
    awaiting: BTreeSet<(Flow, TransactionId)>,
    pub(crate) timers: TimerQueue,
    pub(crate) outputs: VecDeque<Output>,
    /// Which usage a request inside a dialog is for.
    pub(crate) invites_by_dialog: SeededMap<DialogId, InviteId>,
    /// Usages towards whose far end a stream that stood in for UDP failed.
    datagrams_only: BTreeSet<InviteId>,
    /// The REFERs of ours whose outcome is not known.
    pub(crate) referrals: Referrals,
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
            referrals: Referrals::new(&identifiers),
            awaiting: BTreeSet::new(),
            datagrams_only: BTreeSet::new(),
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

    /// A response that agrees to a request which can refresh a session says for how long.
    pub(crate) fn session_policy(&self) -> Option<&SessionTimerPolicy> {
        self.config.session_timer.as_ref()
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
        let Some(host) = next_hop.host() else {
            return flow;
        };
        let (flow, obeyed) = flow.request_flow(host, next_hop.port());
        let wants_tcp = next_hop
            .transport()
            .is_some_and(|transport| transport.eq_ignore_ascii_case("tcp"));
        match self.config.stream_instead_of(flow) {
            Some(stream) if obeyed && wants_tcp => stream,
            Some(_) | None => flow,
        }
    }

    /// From now on no request of a usage is moved to a stream for its size (RFC 3261 18.1.1).
    pub(crate) fn keep_to_datagrams(&mut self, id: InviteId) {
        self.datagrams_only.insert(id);
    }

    /// A usage is over, or goes elsewhere: what is known of its path counts no more.
    pub(crate) fn forget_path(&mut self, id: InviteId) {
        self.datagrams_only.remove(&id);
    }

    pub(crate) fn keeps_to_datagrams(&self, id: InviteId) -> bool {
        self.datagrams_only.contains(&id)
    }

    /// Does what a server machine asked for.
    pub(crate) fn follow_server(&mut self, id: TransactionId, step: Step, now: Instant) {
        let Some(transaction) = self.servers.get(id) else {
            return;
        };
        let (flow, terminated) = (transaction.flow, transaction.machine.is_terminated());
        self.send_and_arm(flow, step, now, |timer| Alarm::Server(id, timer));
        if terminated {
            self.close_server(id);
        }
    }

    fn close_server(&mut self, id: TransactionId) -> Option<ServerTransaction> {
        let closed = self.servers.close(id)?;
        if let ServerMachine::Invite(_, invite) = &closed.machine
            && let Some(key) = &invite.merge_key
            && self.transactions_by_merge_key.get(key) == Some(&id)
        {
            self.transactions_by_merge_key.remove(key);
            give_back_room(&mut self.transactions_by_merge_key);
        }
        Some(closed)
    }

    /// Does what a client machine asked for.
    pub(crate) fn follow_client(&mut self, id: TransactionId, step: Step, now: Instant) {
        let Some(transaction) = self.clients.get(id) else {
            return;
        };
        let (flow, terminated) = (transaction.flow, transaction.machine.is_terminated());
        if transaction.machine.awaits_final_response() {
            self.awaiting.insert((flow, id));
        } else {
            self.awaiting.remove(&(flow, id));
        }
        self.send_and_arm(flow, step, now, |timer| Alarm::Client(id, timer));
        if terminated {
            self.clients.close(id);
        }
    }

    /// Stops asking where nothing came back, as another path is taken. What comes back yet is heard.
    pub(crate) fn forsake(&mut self, id: TransactionId, now: Instant) {
        let Some(transaction) = self.clients.get_mut(id) else {
            return;
        };
        if let ClientMachine::Invite(machine, _) = &mut transaction.machine {
            let step = machine.handle(invite_client::Input::Forsake);
            self.follow_client(id, step, now);
        }
    }

    /// Drops a client transaction before its time.
    pub(crate) fn close_client(&mut self, id: TransactionId) {
        if let Some(closed) = self.clients.close(id) {
            self.awaiting.remove(&(closed.flow, id));
        }
    }

    /// How many requests of ours have no final response.
    pub(crate) fn awaiting_answers(&self) -> usize {
        self.awaiting.len()
    }

    /// The client transactions that wait for an answer to what they sent by `flow`.
    pub(crate) fn clients_awaiting(&self, flow: Flow) -> Vec<TransactionId> {
        let all = (flow, TransactionId::FIRST)..=(flow, TransactionId::LAST);
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

    /// Makes a dialog findable.
    pub(crate) fn register(&mut self, dialog: &DialogId, id: InviteId) {
        self.invites_by_dialog.insert(dialog.clone(), id);
    }

    /// Forgets a dialog.
    pub(crate) fn unregister(&mut self, dialog: &DialogId) {
        self.invites_by_dialog.remove(dialog);
        give_back_room(&mut self.invites_by_dialog);
    }
}

/// `Retry-After` in seconds (RFC 3261 20.33), a day at most.
pub(crate) fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers.get("Retry-After")?;
    let digits: &str = value
        .split(|character: char| !character.is_ascii_digit())
        .next()
        .unwrap_or_default();
    let seconds: u64 = digits.parse().ok()?;
    Some(Duration::from_secs(seconds.min(86_400)))
}
