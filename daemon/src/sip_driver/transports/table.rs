//! The live connections, by flow, and how many there may be.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use offhook_sip::endpoint::Flow;

use super::connection::Connection;

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionLimits {
    /// Accepted ones. One more is closed without a byte; those that we open have a quarter more.
    pub(crate) connections: usize,
    /// Accepted ones from one address; one more is closed without a byte. Only trunks come this far, and
    /// all the phones of one may stand behind one address.
    pub(crate) of_one_source: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            of_one_source: 1_024,
        }
    }
}

/// A request whose silence is told may be as old as this (timer B and F, RFC 3261 17.1): it says nothing about a
/// connection that began after it.
const LONGEST_WAIT: Duration = Duration::from_secs(32);
/// So many requests in a row that nothing answers, on a connection that nothing else comes by either, are its end.
const SILENCES: u32 = 2;

/// No place for a connection; the word says which limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full(pub(super) &'static str);

/// The live connections. There is one a flow; the one that came last is written to.
#[derive(Debug)]
pub(super) struct ConnectionTable {
    limits: ConnectionLimits,
    by_flow: HashMap<Flow, Entry>,
    accepted_by_source: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Entry {
    connection: Connection,
    accepted: bool,
    began: Instant,
    /// Requests that nothing answered, since something came by it.
    silences: u32,
}

impl ConnectionTable {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            by_flow: HashMap::new(),
            accepted_by_source: HashMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_flow.len()
    }

    pub(super) fn get(&self, flow: Flow) -> Option<&Connection> {
        self.by_flow.get(&flow).map(|entry| &entry.connection)
    }

    /// Whether there is a connection to `remote`.
    pub(super) fn reaches(&self, remote: SocketAddr) -> bool {
        self.by_flow.keys().any(|flow| flow.remote == remote)
    }

    /// Whether one more may be accepted from `source`.
    pub(super) fn room_for_accepted(&self, source: IpAddr) -> Result<(), Full> {
        if self.len() >= self.limits.connections {
            return Err(Full("connections"));
        }
        match self.accepted_by_source.get(&source) {
            Some(accepted) if *accepted >= self.limits.of_one_source => {
                Err(Full("connections_of_source"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether one more may be opened.
    pub(super) fn room_for_opened(&self) -> Result<(), Full> {
        let limit = self.limits.connections;
        match self.len() < limit.saturating_add(limit / 4) {
            true => Ok(()),
            false => Err(Full("connections")),
        }
    }

    /// Adds a connection. An earlier one of the same flow writes what it has queued and ends: the far
    /// end has begun anew.
    pub(super) fn insert(&mut self, flow: Flow, connection: Connection, accepted: bool) {
        self.remove(flow);
        if accepted {
            *self.accepted_by_source.entry(flow.remote.ip()).or_default() += 1;
        }
        self.by_flow.insert(
            flow,
            Entry {
                connection,
                accepted,
                began: Instant::now(),
                silences: 0,
            },
        );
    }

    /// A message came by it.
    pub(super) fn heard(&mut self, flow: Flow) {
        if let Some(entry) = self.by_flow.get_mut(&flow) {
            entry.silences = 0;
        }
    }

    /// Nothing answered a request by `flow`. Removes its connection, if that is why: it is up, but nobody is there.
    pub(super) fn silent(&mut self, flow: Flow, now: Instant) -> Option<Connection> {
        let entry = self.by_flow.get_mut(&flow)?;
        if now.saturating_duration_since(entry.began) < LONGEST_WAIT {
            return None;
        }
        entry.silences += 1;
        if entry.silences < SILENCES {
            return None;
        }
        self.remove(flow)
    }

    pub(super) fn remove(&mut self, flow: Flow) -> Option<Connection> {
        let entry = self.by_flow.remove(&flow)?;
        let source = flow.remote.ip();
        if entry.accepted
            && let Some(accepted) = self.accepted_by_source.get_mut(&source)
        {
            *accepted -= 1;
            if *accepted == 0 {
                self.accepted_by_source.remove(&source);
            }
        }
        Some(entry.connection)
    }

    /// Removes the connection that has ended; `false` when another has taken its place.
    pub(super) fn remove_ended(&mut self, flow: Flow, serial: u64) -> bool {
        let is_it = self
            .get(flow)
            .is_some_and(|connection| connection.serial == serial);
        is_it && self.remove(flow).is_some()
    }

    pub(super) fn into_connections(self) -> impl Iterator<Item = Connection> {
        self.by_flow.into_values().map(|entry| entry.connection)
    }
}
