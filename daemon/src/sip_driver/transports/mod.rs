//! Every socket that carries SIP: UDP sockets, TCP and TLS listeners, and their connections.
//!
//! ```text
//! UDP sockets ───────────────────────────────────────────────────► read ─► TransportEvent
//! listeners ─► acceptor (sends strangers away) ─┐                   ▲
//! connections ─► connection (reads, cuts) ──────┴─► arrivals, bounded
//!                    ▲
//! send ─► its queue, bounded; a connection is opened where there is none
//! ```
//!
//! The signalling task owns this and nothing of it is shared: acceptors and connections are tasks that
//! hand over what came, and the table of live connections is changed only here. What a message means
//! is left to the endpoint; who may speak over UDP, to the driver.
//!
//! | queue | bound | when full |
//! |---|---|---|
//! | arrivals | [`ARRIVAL_QUEUE`] | connections are not read and not accepted: TCP makes the far end wait |
//! | a connection's writes | 4,096 messages, 2 MiB | the connection is given up and its requests fail |
//! | connections | [`ConnectionLimits`] | one more is closed without a byte, or not opened |

mod acceptor;
mod connection;
mod datagrams;
mod ending;
mod keep_alive;
mod table;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use offhook_sip::endpoint::{Flow, Transport};
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::listeners::SipListener;
use crate::tls::{Tls, TlsConfig, TlsError};

pub(crate) use acceptor::Gate;
pub(crate) use ending::Ending;
pub(crate) use keep_alive::ConnectionTimes;
pub(crate) use table::ConnectionLimits;

use super::counting;
use connection::{Beginning, Connection};
use datagrams::Datagrams;
use table::{ConnectionTable, Full};

/// How many messages, accepted connections and ends of connections may wait for the signalling task.
pub(crate) const ARRIVAL_QUEUE: usize = 1_024;
/// How many of them are taken before timers and commands get their turn.
const ARRIVALS_A_TURN: usize = 256;
/// How many names of far ends are kept. Beyond, those without a connection are forgotten.
const NAMES: usize = 4_096;
/// How long connections may take to write their last messages.
const LAST_MESSAGES: Duration = Duration::from_secs(2);

/// What came.
#[derive(Debug)]
pub(crate) enum TransportEvent<'a> {
    /// One whole message; over UDP from anybody.
    Message {
        /// How it came, and the way back.
        flow: Flow,
        /// The message.
        bytes: &'a [u8],
    },
    /// The connection of this flow ended or could not be had: what was to go by it is lost.
    Closed(Flow),
}

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// Nothing listens at the flow's local address with its transport.
    #[error("no such listening address")]
    NoListener,
    /// The socket's buffer is full: lost, as on any network.
    #[error("the socket is full")]
    SocketFull,
    /// The kernel refused.
    #[error(transparent)]
    Kernel(io::Error),
    /// The far end takes less than it asks for. Its connection is closed.
    #[error("too much waits for a connection")]
    Backlog,
    /// The connection that the request came by is gone, and nobody else waits for its response.
    #[error("the connection of a response is gone")]
    NoWayBack,
    /// No more connections may be opened.
    #[error("too many connections")]
    TooManyConnections,
    /// The name that the far end has to prove is none.
    #[error("the far end's name is no host name")]
    BadName,
}

/// What reaches the signalling task from the tasks of this module.
#[derive(Debug)]
enum Arrival {
    Accepted { flow: Flow, stream: TcpStream },
    Message { flow: Flow, bytes: Vec<u8> },
    Closed { flow: Flow, serial: u64 },
}

/// How connections are treated.
pub(crate) struct StreamSettings {
    /// What TLS is made of; there where a listener wants it.
    pub(crate) tls: Option<Tls>,
    /// Who may connect.
    pub(crate) gate: Gate,
    /// How long they may take for what.
    pub(crate) times: ConnectionTimes,
    /// How many there may be.
    pub(crate) limits: ConnectionLimits,
}

/// Every socket that carries SIP.
#[derive(Debug)]
pub(crate) struct Transports {
    datagrams: Datagrams,
    /// Where connections are accepted.
    listening: Vec<(Transport, SocketAddr)>,
    /// Ends with this value.
    acceptors: JoinSet<()>,
    connections: ConnectionTable,
    connections_begun: u64,
    arrivals: mpsc::Receiver<Arrival>,
    arrival_sender: mpsc::Sender<Arrival>,
    /// What waiting for more has taken from the queue already.
    arrived: Option<Arrival>,
    times: ConnectionTimes,
    tls: Option<Tls>,
    names: HashMap<SocketAddr, String>,
}

impl Transports {
    /// Takes over bound, non-blocking sockets and accepts connections from now on.
    ///
    /// # Errors
    /// When the runtime cannot watch a socket.
    pub(crate) fn start(bound: Vec<SipListener>, settings: StreamSettings) -> io::Result<Self> {
        let (arrival_sender, arrivals) = mpsc::channel(ARRIVAL_QUEUE);
        let mut transports = Self {
            datagrams: Datagrams::none(),
            listening: Vec::new(),
            acceptors: JoinSet::new(),
            connections: ConnectionTable::new(settings.limits),
            connections_begun: 0,
            arrivals,
            arrival_sender,
            arrived: None,
            times: settings.times,
            tls: settings.tls,
            names: HashMap::new(),
        };
        for listener in bound {
            match listener {
                SipListener::Udp(socket) => transports.datagrams.add(socket)?,
                SipListener::Tcp(socket) => {
                    transports.listen(Transport::Tcp, socket, &settings.gate)?;
                }
                SipListener::Tls(socket) => {
                    transports.listen(Transport::Tls, socket, &settings.gate)?;
                }
            }
        }
        Ok(transports)
    }

    fn listen(
        &mut self,
        transport: Transport,
        socket: std::net::TcpListener,
        gate: &Gate,
    ) -> io::Result<()> {
        let listener = TcpListener::from_std(socket)?;
        let local = listener.local_addr()?;
        self.listening.push((transport, local));
        let arrivals = self.arrival_sender.clone();
        self.acceptors.spawn(acceptor::accept(
            listener,
            transport,
            local,
            gate.clone(),
            arrivals,
        ));
        Ok(())
    }

    /// Where signalling listens: what may be a flow's transport and local address.
    pub(crate) fn local_addresses(&self) -> impl Iterator<Item = (Transport, SocketAddr)> + '_ {
        let datagrams = self.datagrams.local_addresses();
        datagrams
            .map(|local| (Transport::Udp, local))
            .chain(self.listening.iter().copied())
    }

    /// Waits until there is something to [`read`](Self::read).
    pub(crate) async fn readable(&mut self) {
        poll_fn(|context| self.poll_readable(context)).await;
    }

    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.arrived.is_some() || self.datagrams.poll_readable(context).is_ready() {
            return Poll::Ready(());
        }
        self.arrivals.poll_recv(context).map(|arrival| {
            // Never `None`: a sender is ours.
            self.arrived = arrival;
        })
    }

    /// Hands over what waits, so much of it that others get their turn. Answers whether no datagram waits any more.
    pub(crate) fn read(&mut self, mut take: impl FnMut(TransportEvent<'_>)) -> bool {
        let emptied = self
            .datagrams
            .read(|flow, bytes| take(TransportEvent::Message { flow, bytes }));
        for _ in 0..ARRIVALS_A_TURN {
            let waiting = self.arrived.take();
            let Some(arrival) = waiting.or_else(|| self.arrivals.try_recv().ok()) else {
                break;
            };
            match arrival {
                Arrival::Accepted { flow, stream } => self.accepted(flow, stream),
                Arrival::Message { flow, bytes } => {
                    self.connections.heard(flow);
                    take(TransportEvent::Message {
                        flow,
                        bytes: &bytes,
                    });
                }
                Arrival::Closed { flow, serial } => {
                    if self.connections.remove_ended(flow, serial) {
                        counting::connections_live(self.connections.len());
                        take(TransportEvent::Closed(flow));
                    }
                }
            }
        }
        emptied
    }

    fn accepted(&mut self, flow: Flow, stream: TcpStream) {
        if let Err(Full(which)) = self.connections.room_for_accepted(flow.remote.ip()) {
            // Dropping it closes it.
            counting::connection_refused(which);
            return;
        }
        let beginning = match (flow.transport, &self.tls) {
            (Transport::Tls, Some(tls)) => Beginning::AcceptedTls(stream, tls.acceptor()),
            (Transport::Tcp, _) => Beginning::Accepted(stream),
            // No listener is opened for these.
            (Transport::Tls, None) | (Transport::Udp, _) => return,
        };
        self.begin(flow, beginning, true);
    }

    fn begin(&mut self, flow: Flow, beginning: Beginning, accepted: bool) {
        self.connections_begun += 1;
        let connection = Connection::start(
            flow,
            self.connections_begun,
            beginning,
            self.times,
            self.arrival_sender.clone(),
        );
        self.connections.insert(flow, connection, accepted);
        counting::connection_begun(flow.transport, accepted);
        counting::connections_live(self.connections.len());
    }

    /// Sends one message by `flow`: by its connection if there is one, else by one that is opened for it.
    /// That it could not be had is told by [`TransportEvent::Closed`].
    ///
    /// # Errors
    /// See [`SendError`].
    pub(crate) fn send(&mut self, flow: Flow, bytes: Vec<u8>) -> Result<(), SendError> {
        match flow.transport {
            Transport::Udp => return self.datagrams.send(flow, &bytes),
            Transport::Tcp | Transport::Tls => {}
        }
        if self.connections.get(flow).is_none() {
            // A far end that closed its connection has nobody listening where it came from.
            if bytes.starts_with(b"SIP/") {
                return Err(SendError::NoWayBack);
            }
            self.open(flow)?;
        }
        let connection = self.connections.get(flow).ok_or(SendError::NoListener)?;
        if connection.send(bytes).is_ok() {
            return Ok(());
        }
        if let Some(connection) = self.connections.remove(flow) {
            connection.abort();
        }
        counting::connection_refused("backlog");
        counting::connections_live(self.connections.len());
        Err(SendError::Backlog)
    }

    fn open(&mut self, flow: Flow) -> Result<(), SendError> {
        if !self.listening.contains(&(flow.transport, flow.local)) {
            return Err(SendError::NoListener);
        }
        self.connections
            .room_for_opened()
            .map_err(|Full(_)| SendError::TooManyConnections)?;
        let beginning = match (flow.transport, &self.tls) {
            (Transport::Tls, Some(tls)) => {
                Beginning::OpenTls(tls.connector(), self.name_of(flow.remote)?)
            }
            (Transport::Tls, None) | (Transport::Udp, _) => return Err(SendError::NoListener),
            (Transport::Tcp, _) => Beginning::Open,
        };
        self.begin(flow, beginning, false);
        Ok(())
    }

    /// Notes that nothing answered a request by `flow`. After two in a row by a connection that nothing else came by
    /// meanwhile, it is closed; says whether. What waits for an answer by it is lost.
    pub(crate) fn note_silence(&mut self, flow: Flow, now: std::time::Instant) -> bool {
        let Some(connection) = self.connections.silent(flow, now) else {
            return false;
        };
        connection.abort();
        counting::connections_live(self.connections.len());
        true
    }

    /// The name that whoever answers at `remote` has to prove under TLS when we connect; without one it is
    /// the address itself. Changes nothing about live connections.
    pub(crate) fn expect_name(&mut self, remote: SocketAddr, name: String) {
        if self.names.len() >= NAMES {
            self.names
                .retain(|remote, _| self.connections.reaches(*remote));
        }
        self.names.insert(remote, name);
    }

    fn name_of(&self, remote: SocketAddr) -> Result<ServerName<'static>, SendError> {
        match self.names.get(&remote) {
            Some(name) => ServerName::try_from(name.clone()).map_err(|_| SendError::BadName),
            None => Ok(ServerName::IpAddress(remote.ip().into())),
        }
    }

    /// Reads certificates and keys again, for the connections that follow; live ones go on.
    ///
    /// # Errors
    /// The file that cannot be used; everything is as it was then.
    pub(crate) fn reload(&mut self, config: &TlsConfig) -> Result<(), TlsError> {
        self.tls = Some(Tls::load(config)?);
        Ok(())
    }

    /// Lets every connection write what it has been given, and closes everything.
    pub(crate) async fn finish(self) {
        let Self {
            connections,
            arrivals,
            acceptors,
            ..
        } = self;
        // Nobody listens any more, so that no connection waits for us.
        drop((arrivals, acceptors));
        let deadline = Instant::now() + LAST_MESSAGES;
        let tasks: Vec<_> = connections
            .into_connections()
            .map(Connection::finish)
            .collect();
        for mut task in tasks {
            if timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}
