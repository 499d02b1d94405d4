//! The live transactions, by number and by key.

use std::hash::Hash;

use super::{
    invite_client::InviteClient,
    invite_server::InviteServer,
    key::{ClientKey, MergeKey, ServerKey},
    non_invite_client::NonInviteClient,
    non_invite_server::NonInviteServer,
    sent_invite::SentInvite,
};
use crate::{
    flow::Flow,
    identifiers::{
        Identifiers, InviteId, ProbeId, ReferralId, RegistrationId, SeededMap, give_back_room,
    },
};

/// One transaction. Never used twice, so a timer that outlives its transaction finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TransactionId(u64);

impl TransactionId {
    /// Not above any.
    pub(crate) const FIRST: Self = Self(0);
    /// Not below any.
    pub(crate) const LAST: Self = Self(u64::MAX);
}

/// A client transaction with what surrounds its machine.
#[derive(Debug)]
pub(crate) struct ClientTransaction {
    /// Where its request goes.
    pub(crate) flow: Flow,
    /// Who hears of its responses.
    pub(crate) role: ClientRole,
    /// The machine.
    pub(crate) machine: ClientMachine,
}

/// Who sent a request and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientRole {
    /// The INVITE that makes a usage.
    Invite(InviteId),
    /// A re-INVITE of ours.
    Reinvite(InviteId),
    /// The BYE whose answer ends a usage.
    Bye(InviteId),
    /// An UPDATE that refreshes the session (RFC 4028).
    Refresh(InviteId),
    /// A REFER.
    Refer(InviteId, ReferralId),
    /// A NOTIFY about a REFER of theirs; whether it was the last.
    Notify(InviteId, bool),
    /// An INFO.
    Info(InviteId),
    /// A request inside a dialog whose answer changes nothing, but which may be challenged: PRACK.
    InDialog(InviteId),
    /// A REGISTER.
    Register(RegistrationId),
    /// An OPTIONS outside any dialog.
    Probe(ProbeId),
    /// A request whose answer nobody waits for: CANCEL, and a BYE that ends a dialog whose usage is
    /// gone.
    Unattended,
}

impl ClientRole {
    /// The usage it belongs to.
    pub(crate) fn usage(self) -> Option<InviteId> {
        match self {
            Self::Invite(id)
            | Self::Reinvite(id)
            | Self::Bye(id)
            | Self::Refresh(id)
            | Self::Refer(id, _)
            | Self::Notify(id, _)
            | Self::Info(id)
            | Self::InDialog(id) => Some(id),
            Self::Register(_) | Self::Probe(_) | Self::Unattended => None,
        }
    }

    /// The usage that would send a request again, with an answer to its challenge or by another transport,
    /// other than of an INVITE.
    pub(crate) fn may_be_sent_again(self) -> Option<InviteId> {
        match self {
            Self::Bye(id)
            | Self::Refresh(id)
            | Self::Refer(id, _)
            | Self::Notify(id, _)
            | Self::Info(id)
            | Self::InDialog(id) => Some(id),
            Self::Invite(_)
            | Self::Reinvite(_)
            | Self::Register(_)
            | Self::Probe(_)
            | Self::Unattended => None,
        }
    }
}

/// The machine of a client transaction.
#[derive(Debug)]
pub(crate) enum ClientMachine {
    /// INVITE, with what its ACKs are made of.
    Invite(InviteClient, Box<SentInvite>),
    /// Everything else.
    NonInvite(NonInviteClient),
}

impl ClientMachine {
    pub(crate) fn is_terminated(&self) -> bool {
        match self {
            Self::Invite(machine, _) => machine.is_terminated(),
            Self::NonInvite(machine) => machine.is_terminated(),
        }
    }

    pub(crate) fn awaits_final_response(&self) -> bool {
        match self {
            Self::Invite(machine, _) => machine.awaits_final_response(),
            Self::NonInvite(machine) => machine.awaits_final_response(),
        }
    }
}

/// A server transaction with what surrounds its machine.
#[derive(Debug)]
pub(crate) struct ServerTransaction {
    /// Where its responses go.
    pub(crate) flow: Flow,
    /// The machine.
    pub(crate) machine: ServerMachine,
}

/// The machine of a server transaction.
#[derive(Debug)]
pub(crate) enum ServerMachine {
    /// INVITE.
    Invite(InviteServer, ServerInvite),
    /// Everything else.
    NonInvite(NonInviteServer),
}

/// What an INVITE server transaction remembers of its INVITE.
#[derive(Debug)]
pub(crate) struct ServerInvite {
    /// What the INVITE was for; `None` when it was refused at once.
    pub(crate) usage: Option<InviteId>,
    /// The To tag of our responses, which the answer to a CANCEL repeats (RFC 3261 9.2).
    pub(crate) local_tag: String,
    /// How copies by other paths are known, for an INVITE outside a dialog.
    pub(crate) merge_key: Option<MergeKey>,
}

impl ServerMachine {
    pub(crate) fn is_terminated(&self) -> bool {
        match self {
            Self::Invite(machine, _) => machine.is_terminated(),
            Self::NonInvite(machine) => machine.is_terminated(),
        }
    }
}

/// Transactions of one side.
#[derive(Debug)]
pub(crate) struct Table<Key, Transaction> {
    by_id: SeededMap<TransactionId, (Key, Transaction)>,
    ids_by_key: SeededMap<Key, TransactionId>,
    opened: u64,
}

/// Transactions we sent a request for.
pub(crate) type ClientTable = Table<ClientKey, ClientTransaction>;
/// Transactions we received a request for.
pub(crate) type ServerTable = Table<ServerKey, ServerTransaction>;

impl<Key: Clone + Eq + Hash, Transaction> Table<Key, Transaction> {
    pub(crate) fn new(identifiers: &Identifiers) -> Self {
        Self {
            by_id: identifiers.map(),
            ids_by_key: identifiers.map(),
            opened: 0,
        }
    }

    /// The number the next transaction gets.
    pub(crate) fn open(&mut self, key: Key, transaction: Transaction) -> TransactionId {
        self.opened += 1;
        let id = TransactionId(self.opened);
        self.ids_by_key.insert(key.clone(), id);
        self.by_id.insert(id, (key, transaction));
        id
    }

    pub(crate) fn find(&self, key: &Key) -> Option<TransactionId> {
        self.ids_by_key.get(key).copied()
    }

    pub(crate) fn get(&self, id: TransactionId) -> Option<&Transaction> {
        self.by_id.get(&id).map(|(_, transaction)| transaction)
    }

    pub(crate) fn get_mut(&mut self, id: TransactionId) -> Option<&mut Transaction> {
        self.by_id.get_mut(&id).map(|(_, transaction)| transaction)
    }

    pub(crate) fn close(&mut self, id: TransactionId) -> Option<Transaction> {
        let (key, transaction) = self.by_id.remove(&id)?;
        if self.ids_by_key.get(&key) == Some(&id) {
            self.ids_by_key.remove(&key);
        }
        give_back_room(&mut self.by_id);
        give_back_room(&mut self.ids_by_key);
        Some(transaction)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }
}
