//! One TCP or TLS connection: a task that owns the stream, and the handle the signalling task has of it.
//!
//! ```text
//! stream ─► framer ─► arrivals (shared, bounded) ─► signalling task
//! signalling task ─► queue (its own, bounded) ─► stream
//! ```
//!
//! When the shared queue is full, nothing more is read, so that TCP makes the far end wait. When a
//! connection's own queue is full, the far end takes less than it asks for: the connection is given up
//! by whoever wanted to write.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use offhook_sip::endpoint::Flow;
use offhook_sip::message::{Frame, FramingError, StreamFramer};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::keep_alive::{ConnectionTimes, Due, KeepAlive, Opener};
use super::{Arrival, Ending};
use crate::sip_driver::counting;
use crate::tcp;

/// How many messages may wait to be written to one connection.
const QUEUE_MESSAGES: usize = 4_096;
/// How many bytes may; an agreement of a thousand calls at once takes less.
const QUEUE_BYTES: usize = 2 << 20;
/// How much is read at once.
const READ_BYTES: usize = 8 * 1024;
/// How many pings may wait for their answers; the answers to more of them say nothing new.
const PONGS_OWED: usize = 8;
/// How long the last words of a connection may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// How a connection comes about.
pub(super) enum Beginning {
    /// It was accepted.
    Accepted(TcpStream),
    /// It was accepted and speaks TLS.
    AcceptedTls(TcpStream, TlsAcceptor),
    /// It is opened.
    Open,
    /// It is opened, and the far end has to be who it is named.
    OpenTls(TlsConnector, ServerName<'static>),
}

/// There is no room to write: the connection is lost.
#[derive(Debug)]
pub(super) struct Backlog;

/// What the signalling task has of a connection. When it is dropped, what was queued is still written.
#[derive(Debug)]
pub(super) struct Connection {
    /// Tells it from an earlier one of the same flow.
    pub(super) serial: u64,
    queue: mpsc::Sender<Vec<u8>>,
    queued_bytes: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Connection {
    /// Starts the task of the connection `flow`, which reports to `arrivals`.
    pub(super) fn start(
        flow: Flow,
        serial: u64,
        beginning: Beginning,
        times: ConnectionTimes,
        arrivals: mpsc::Sender<Arrival>,
    ) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE_MESSAGES);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let line = Line {
            flow,
            serial,
            times,
            arrivals,
            queue,
            queued_bytes: Arc::clone(&queued_bytes),
        };
        Self {
            serial,
            queue: sender,
            queued_bytes,
            task: tokio::spawn(line.run(beginning)),
        }
    }

    /// Queues one message. One for a connection that ends just now is lost with it, which is reported.
    ///
    /// # Errors
    /// [`Backlog`].
    pub(super) fn send(&self, message: Vec<u8>) -> Result<(), Backlog> {
        let length = message.len();
        let waiting = self.queued_bytes.fetch_add(length, Ordering::Relaxed);
        if waiting + length > QUEUE_BYTES {
            return Err(Backlog);
        }
        match self.queue.try_send(message) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Backlog),
        }
    }

    /// Ends it with whatever is queued.
    pub(super) fn abort(self) {
        self.task.abort();
    }

    /// Lets it write what is queued, and ends it.
    pub(super) fn finish(self) -> JoinHandle<()> {
        self.task
    }
}

/// What the task has.
struct Line {
    flow: Flow,
    serial: u64,
    times: ConnectionTimes,
    arrivals: mpsc::Sender<Arrival>,
    queue: mpsc::Receiver<Vec<u8>>,
    queued_bytes: Arc<AtomicUsize>,
}

impl Line {
    async fn run(mut self, beginning: Beginning) {
        let ending = self.live(beginning).await;
        counting::connection_ended(ending.as_str());
        tracing::debug!(transport = self.flow.transport.as_str(), %ending, "a connection ended");
        let (flow, serial) = (self.flow, self.serial);
        // Nobody is there to be told when signalling has ended.
        let _ = self.arrivals.send(Arrival::Closed { flow, serial }).await;
    }

    async fn live(&mut self, beginning: Beginning) -> Ending {
        match beginning {
            Beginning::Accepted(stream) => self.carry(stream, Opener::Them).await,
            Beginning::AcceptedTls(stream, acceptor) => {
                let agreed = within(
                    self.times.handshake,
                    Ending::HandshakeTimeout,
                    agree(acceptor.accept(stream)),
                );
                match agreed.await {
                    Ok(stream) => self.carry(stream, Opener::Them).await,
                    Err(ending) => ending,
                }
            }
            Beginning::Open => {
                let opened = within(
                    self.times.connect,
                    Ending::ConnectTimeout,
                    connect(self.flow),
                );
                match opened.await {
                    Ok(stream) => self.carry(stream, Opener::Us).await,
                    Err(ending) => ending,
                }
            }
            Beginning::OpenTls(connector, name) => {
                let flow = self.flow;
                let named = name.clone();
                let opened = within(self.times.connect, Ending::ConnectTimeout, async {
                    agree(connector.connect(named, connect(flow).await?)).await
                });
                let ending = match opened.await {
                    Ok(stream) => match self.carry(stream, Opener::Us).await {
                        ending @ Ending::Tls(_) => ending,
                        ending => return ending,
                    },
                    Err(ending) => ending,
                };
                // A wrong certificate, or an authority that is not believed, is the operator's.
                tracing::warn!(name = %name.to_str(), %ending, "TLS with a far end failed");
                ending
            }
        }
    }

    /// Carries messages both ways until something ends it. What arrived before the end is handed over.
    async fn carry(
        &mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        opener: Opener,
    ) -> Ending {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut input = vec![0; READ_BYTES].into_boxed_slice();
        let mut incoming = Incoming::default();
        let mut outgoing = Outgoing::default();
        let mut keep_alive = KeepAlive::new(self.times, opener, Instant::now());
        let mut timer = Box::pin(sleep_until(keep_alive.next()));
        loop {
            if incoming.messages.is_empty()
                && let Some(ending) = incoming.ending.take()
            {
                return ending;
            }
            outgoing.begin_line_breaks();
            if outgoing.is_busy() {
                keep_alive.writing(Instant::now());
            }
            timer.as_mut().reset(keep_alive.next());
            tokio::select! {
                read = reader.read(&mut input), if incoming.wants_more() => {
                    let length = incoming.take_read(read, &input);
                    if length > 0 {
                        keep_alive.received(Instant::now());
                    }
                    outgoing.pongs = (outgoing.pongs + incoming.take_pings()).min(PONGS_OWED);
                    if incoming.take_ponged() {
                        keep_alive.ponged();
                    }
                }
                place = self.arrivals.reserve(), if !incoming.messages.is_empty() => {
                    match (place, incoming.messages.pop_front()) {
                        (Ok(place), Some(bytes)) => {
                            place.send(Arrival::Message { flow: self.flow, bytes });
                        }
                        // Signalling has ended: nothing is taken in, and what is queued is still written.
                        (Err(_), _) => incoming.messages.clear(),
                        (Ok(_), None) => {}
                    }
                }
                written = write_on(&mut writer, outgoing.rest()), if outgoing.is_busy() => match written {
                    Ok(length) => {
                        outgoing.wrote(length);
                        keep_alive.wrote(outgoing.is_busy(), Instant::now());
                    }
                    Err(error) => return Ending::of_error(&error),
                },
                next = self.queue.recv(), if !outgoing.is_busy() => match next {
                    Some(message) => {
                        self.queued_bytes.fetch_sub(message.len(), Ordering::Relaxed);
                        outgoing.begin(message);
                    }
                    None => {
                        // Said for politeness; whether it is heard changes nothing.
                        let _ = timeout(GOODBYE, writer.shutdown()).await;
                        return Ending::Finished;
                    }
                },
                () = timer.as_mut() => match keep_alive.due(Instant::now()) {
                    Due::Nothing => {}
                    Due::Ping => outgoing.ping = true,
                    Due::Close(ending) => return ending,
                },
            }
        }
    }
}

/// What was read and is not handed over yet: what one read brought, at most.
#[derive(Default)]
struct Incoming {
    framer: StreamFramer,
    messages: VecDeque<Vec<u8>>,
    pings: usize,
    ponged: bool,
    /// What ends the connection when the messages are handed over.
    ending: Option<Ending>,
}

impl Incoming {
    fn wants_more(&self) -> bool {
        self.messages.is_empty() && self.ending.is_none()
    }

    /// Takes the outcome of a read in and says how many bytes it brought.
    fn take_read(&mut self, read: io::Result<usize>, input: &[u8]) -> usize {
        let length = match read {
            Ok(0) => {
                self.ending = Some(Ending::FarEnd);
                return 0;
            }
            Ok(length) => length,
            Err(error) => {
                self.ending = Some(Ending::of_error(&error));
                return 0;
            }
        };
        self.framer.push(&input[..length]);
        if let Err(error) = self.take_frames() {
            self.ending = Some(Ending::Unframed(error));
        }
        length
    }

    fn take_frames(&mut self) -> Result<(), FramingError> {
        while let Some(frame) = self.framer.next_frame()? {
            match frame {
                Frame::Message(message) => self.messages.push_back(message),
                Frame::Ping => self.pings += 1,
                Frame::Pong => self.ponged = true,
            }
        }
        Ok(())
    }

    fn take_pings(&mut self) -> usize {
        std::mem::take(&mut self.pings)
    }

    fn take_ponged(&mut self) -> bool {
        std::mem::take(&mut self.ponged)
    }
}

/// What is being written: one message, or line breaks between two.
#[derive(Default)]
struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
    /// TLS may hold back what it took.
    unflushed: bool,
    pongs: usize,
    ping: bool,
}

impl Outgoing {
    fn has_bytes(&self) -> bool {
        self.written < self.bytes.len()
    }

    fn is_busy(&self) -> bool {
        self.has_bytes() || self.unflushed
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    fn begin(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
        self.written = 0;
    }

    /// Line breaks never land within a message.
    fn begin_line_breaks(&mut self) {
        if self.is_busy() {
            return;
        }
        let mut breaks = std::mem::take(&mut self.pongs);
        if breaks == 0 && std::mem::take(&mut self.ping) {
            breaks = 2;
        }
        if breaks > 0 {
            self.begin(b"\r\n".repeat(breaks));
        }
    }

    /// Takes in what [`write_on`] has done.
    fn wrote(&mut self, length: usize) {
        self.unflushed = self.has_bytes();
        self.written += length;
        if !self.is_busy() {
            self.begin(Vec::new());
        }
    }
}

/// Writes some of `bytes`, and flushes when there are none. Nothing is lost when it is given up halfway:
/// either has happened or has not.
async fn write_on(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<usize> {
    if bytes.is_empty() {
        return writer.flush().await.map(|()| 0);
    }
    match writer.write(bytes).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        length => Ok(length),
    }
}

async fn within<T>(
    limit: Duration,
    late: Ending,
    work: impl Future<Output = Result<T, Ending>>,
) -> Result<T, Ending> {
    timeout(limit, work).await.unwrap_or(Err(late))
}

async fn agree<T>(handshake: impl Future<Output = io::Result<T>>) -> Result<T, Ending> {
    handshake
        .await
        .map_err(|error| Ending::Handshake(error.to_string()))
}

/// Connects from the address that listens, since that is the one the far end knows us by, and from any
/// port of it.
async fn connect(flow: Flow) -> Result<TcpStream, Ending> {
    let open = async {
        let socket = match flow.remote.is_ipv4() {
            true => TcpSocket::new_v4()?,
            false => TcpSocket::new_v6()?,
        };
        if !flow.local.ip().is_unspecified() {
            socket.bind((flow.local.ip(), 0).into())?;
        }
        let stream = socket.connect(flow.remote).await?;
        tcp::prepare(&stream)?;
        Ok(stream)
    };
    open.await
        .map_err(|error: io::Error| Ending::Refused(error.kind()))
}
