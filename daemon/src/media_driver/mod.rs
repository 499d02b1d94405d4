//! Media threads: sockets, the frame clock and the legs they own.
//!
//! A media thread is not a tokio thread. It owns its legs outright, sleeps until its frame clock's
//! next tick, then does everything that is due in one pass: receive what arrived, take commands, tick
//! each leg, send, report. Receiving at the tick costs no latency, because a frame leaves the jitter
//! buffer at a tick anyway; a packet's arrival is the kernel's timestamp, not the time we looked.
//!
//! ```text
//! clock.sleep → command queue → Leg::handle_command
//!             → epoll (0 ms): which sockets are readable
//!             → leg by leg: recvmmsg if readable → Leg::handle_datagram
//!                           → Leg::tick → sendto
//!                           → Leg::make_report → sendto, by the RTCP socket where there is one
//!                           → Leg::poll_event → session's event queue, signalling's notices
//! ```
//!
//! A leg that panics fails alone: its call is ended, and the thread goes on with the others.
//!
//! | queue | bound | when full |
//! |---|---|---|
//! | commands to a thread | [`COMMAND_QUEUE`] | the sender is told, nothing waits |
//! | events to a session | the session's own (256) | the leg is declared stalled and its call is ended |
//! | notices to signalling | the receiver's own (8,192) | kept, and sent again next tick; there are two in a leg's life |

mod clock;
mod leg_table;
mod live_quality;
mod ports;
mod socket;
mod thread;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, TrySendError};
use metrics::counter;
use offhook_media::control::{LegCommand, LegEvent};
use offhook_media::leg::Leg;
use offhook_media::sdp::{Negotiated, RtcpPath};
use offhook_session::agent_session::{LegCommands, LegQueueFull};
use tokio::sync::mpsc;
use tracing::Span;

use crate::captures::CaptureTap;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::{MEDIA_LATE_TICKS, RTP_PACKETS, RTP_SEND_FAILURES};

pub use leg_table::LegId;
pub use live_quality::{CallQuality, DirectionQuality, LiveQuality};
pub use ports::RtpPorts;
pub use socket::RtpSocket;

/// How many commands may wait for one media thread.
pub const COMMAND_QUEUE: usize = 16_384;

/// A thread that has not come round for so long is reported as standing still. One without legs comes
/// round every second.
const LONGEST_TURN: Duration = Duration::from_secs(3);

/// What signalling hears from a media thread.
#[derive(Debug)]
pub enum MediaNotice {
    /// The leg's session did not take its events, or the leg itself failed; the call should be ended.
    Stalled(LegId),
    /// The leg is off the thread. It comes back whole, with its span, so that its memory is freed elsewhere
    /// and its last figures can be read; its socket is closed.
    Closed(LegId, Box<Leg>, Span),
}

/// A leg ready to be handed to a media thread.
#[derive(Debug)]
pub struct NewLeg {
    /// The leg itself.
    pub leg: Box<Leg>,
    /// Its bound socket.
    pub socket: RtpSocket,
    /// The socket for RTCP, where that has a port of its own.
    pub rtcp_socket: Option<RtpSocket>,
    /// Where its reports' figures go.
    pub quality: Arc<LiveQuality>,
    /// Where its datagrams are noted, where its call is captured.
    pub capture: Option<CaptureTap>,
    /// Where its events go.
    pub events: mpsc::Sender<LegEvent>,
    /// Carries its call's id into what is logged about it.
    pub span: Span,
}

/// What a media thread is told.
#[derive(Debug)]
pub(crate) enum ThreadCommand {
    Open(LegId, Box<NewLeg>),
    Leg(LegId, LegCommand),
    Renegotiate(LegId, Box<Negotiated>, Option<RtpSocket>),
    Capture(LegId, Option<CaptureTap>),
    Close(LegId),
    Stop,
}

/// A queue towards a media thread had no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the media thread's command queue is full")]
pub struct MediaQueueFull;

/// Why a leg could not be handed to a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The emptiest thread does not keep up.
    #[error(transparent)]
    QueueFull(#[from] MediaQueueFull),
    /// Every media thread has ended.
    #[error("no media thread runs")]
    NoThread,
}

/// What a thread counts, readable from anywhere.
#[derive(Debug, Default)]
pub struct ThreadCounters {
    /// Ticks carried out.
    pub ticks: AtomicU64,
    /// Ticks that came so late that a slot was missed.
    pub missed_ticks: AtomicU64,
    /// Datagrams received for a leg.
    pub received: AtomicU64,
    /// Datagrams sent.
    pub sent: AtomicU64,
    /// Datagrams that the kernel refused to send.
    pub send_failures: AtomicU64,
    /// Legs on the thread now.
    pub legs: AtomicU64,
}

#[derive(Debug)]
struct MediaThread {
    commands: Sender<ThreadCommand>,
    counters: Arc<ThreadCounters>,
    join: Mutex<Option<JoinHandle<()>>>,
}

impl MediaThread {
    fn tell_to_stop(&self) -> Option<JoinHandle<()>> {
        // A full queue empties within a tick, so this wait is bounded by the thread's own pace.
        let _ = self
            .commands
            .send_timeout(ThreadCommand::Stop, Duration::from_secs(1));
        self.join
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// All media threads of the process.
#[derive(Debug)]
pub struct MediaThreads {
    threads: Vec<MediaThread>,
    next_leg: AtomicU64,
}

impl MediaThreads {
    /// Starts `count` threads (at least one), which report to `notices` and show in `health` that they
    /// live.
    ///
    /// # Errors
    /// When a thread cannot be started or the kernel refuses an epoll instance.
    pub fn start(
        count: usize,
        notices: &mpsc::Sender<MediaNotice>,
        health: &Health,
    ) -> std::io::Result<Self> {
        let threads = (0..count.max(1))
            .map(|index| {
                let name = format!("media-{index}");
                let (commands, receiver) = crossbeam_channel::bounded(COMMAND_QUEUE);
                let counters = Arc::new(ThreadCounters::default());
                let heartbeat = health.watch(name.clone(), LONGEST_TURN);
                let thread = thread::Thread::new(
                    receiver,
                    notices.clone(),
                    Arc::clone(&counters),
                    heartbeat,
                )?;
                let join = std::thread::Builder::new()
                    .name(name)
                    .spawn(move || thread.run())?;
                Ok(MediaThread {
                    commands,
                    counters,
                    join: Mutex::new(Some(join)),
                })
            })
            .collect::<std::io::Result<Vec<_>>>()?;
        Ok(Self {
            threads,
            next_leg: AtomicU64::new(0),
        })
    }

    /// Hands a leg to the thread with the fewest legs.
    ///
    /// # Errors
    /// When that thread's queue is full or no thread runs any more; the leg is dropped and its socket
    /// closed.
    pub fn open(&self, new: NewLeg) -> Result<LegLine, OpenError> {
        let local = new.socket.local();
        let has_rtcp_socket = new.rtcp_socket.is_some();
        let sample_rate_hz = new.leg.sample_rate_hz();
        let mut new = Box::new(new);
        let mut threads: Vec<(usize, &MediaThread)> = self.threads.iter().enumerate().collect();
        threads.sort_by_key(|(_, thread)| thread.counters.legs.load(Ordering::Relaxed));
        for (index, thread) in threads {
            let id = LegId::new(index, self.next_leg.fetch_add(1, Ordering::Relaxed));
            match thread.commands.try_send(ThreadCommand::Open(id, new)) {
                Ok(()) => {
                    // Counted here, not when the thread takes it, so that a burst of calls spreads evenly.
                    thread.counters.legs.fetch_add(1, Ordering::Relaxed);
                    let commands = thread.commands.clone();
                    return Ok(LegLine {
                        id,
                        local,
                        has_rtcp_socket,
                        sample_rate_hz,
                        commands,
                    });
                }
                // A thread that ended by a fault keeps its few legs for ever: it is not the emptiest.
                Err(TrySendError::Disconnected(ThreadCommand::Open(_, back))) => new = back,
                Err(_) => return Err(OpenError::QueueFull(MediaQueueFull)),
            }
        }
        Err(OpenError::NoThread)
    }

    /// Every thread's counters, in thread order.
    pub fn counters(&self) -> impl Iterator<Item = &ThreadCounters> {
        self.threads.iter().map(|thread| &*thread.counters)
    }

    /// Stops the threads and waits for them; legs still open are closed without notice. A second call
    /// finds nothing left to stop.
    pub fn stop(&self) {
        let joins: Vec<JoinHandle<()>> = self
            .threads
            .iter()
            .filter_map(MediaThread::tell_to_stop)
            .collect();
        for join in joins {
            if join.join().is_err() {
                tracing::error!("a media thread had ended by a fault");
            }
        }
    }
}

/// Publishes what the threads counted so far.
pub fn count_threads(threads: &MediaThreads) {
    let total = |pick: fn(&ThreadCounters) -> &AtomicU64| -> u64 {
        threads
            .counters()
            .map(|counters| pick(counters).load(Ordering::Relaxed))
            .sum()
    };
    counter!(RTP_PACKETS, "direction" => "in").absolute(total(|counters| &counters.received));
    counter!(RTP_PACKETS, "direction" => "out").absolute(total(|counters| &counters.sent));
    counter!(MEDIA_LATE_TICKS).absolute(total(|counters| &counters.missed_ticks));
    counter!(RTP_SEND_FAILURES).absolute(total(|counters| &counters.send_failures));
}

/// One leg's line to its media thread.
#[derive(Clone, Debug)]
pub struct LegLine {
    id: LegId,
    local: SocketAddr,
    has_rtcp_socket: bool,
    sample_rate_hz: u32,
    commands: Sender<ThreadCommand>,
}

impl LegLine {
    /// Which leg.
    #[must_use]
    pub fn id(&self) -> LegId {
        self.id
    }

    /// The local RTP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.local.port()
    }

    /// The leg's sample rate, in Hz.
    #[must_use]
    pub fn sample_rate_hz(&self) -> u32 {
        self.sample_rate_hz
    }

    /// Queues a command for the leg.
    ///
    /// # Errors
    /// When the thread's queue is full.
    pub fn command(&self, command: LegCommand) -> Result<(), MediaQueueFull> {
        self.queue(ThreadCommand::Leg(self.id, command))
    }

    /// Changes the leg to what a re-negotiation agreed on, and gives it a socket for RTCP where it needs one now.
    ///
    /// # Errors
    /// When the thread's queue is full.
    pub fn renegotiate(&mut self, agreed: Box<Negotiated>) -> Result<(), MediaQueueFull> {
        let rtcp_socket = if self.has_rtcp_socket {
            None
        } else {
            bind_rtcp(self.local, agreed.rtcp)
        };
        self.has_rtcp_socket |= rtcp_socket.is_some();
        self.queue(ThreadCommand::Renegotiate(self.id, agreed, rtcp_socket))
    }

    /// The address of the local RTP socket.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Notes the leg's datagrams in `tap` from now on, or no more.
    ///
    /// # Errors
    /// When the thread's queue is full.
    pub fn capture(&self, tap: Option<CaptureTap>) -> Result<(), MediaQueueFull> {
        self.queue(ThreadCommand::Capture(self.id, tap))
    }

    /// Ends the leg; [`MediaNotice::Closed`] follows.
    ///
    /// # Errors
    /// When the thread's queue is full; the caller tries again.
    pub fn close(&self) -> Result<(), MediaQueueFull> {
        self.queue(ThreadCommand::Close(self.id))
    }

    fn queue(&self, command: ThreadCommand) -> Result<(), MediaQueueFull> {
        match self.commands.try_send(command) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(MediaQueueFull),
            // The threads stop after the last call; a command to a leg that is gone changes nothing.
            Err(TrySendError::Disconnected(_)) => Ok(()),
        }
    }
}

impl LegCommands for LegLine {
    fn send(&self, command: LegCommand) -> Result<(), LegQueueFull> {
        match self.commands.try_send(ThreadCommand::Leg(self.id, command)) {
            Err(TrySendError::Full(ThreadCommand::Leg(_, command))) => Err(LegQueueFull(command)),
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Ok(()),
        }
    }
}

/// Binds the next free RTP port of `ports` on `address`.
///
/// # Errors
/// When every port is in use or in quarantine, or the last error of the kernel's when none could be
/// bound within many tries.
pub fn bind_rtp(ports: &mut RtpPorts, address: IpAddr, now: Instant) -> std::io::Result<RtpSocket> {
    // Another program that holds a long run of ports in our range must not cost a call while others are free; so
    // many refusals of the kernel's take some milliseconds, and the next call begins behind them.
    const TRIES: usize = 1_024;
    let mut last_error =
        std::io::Error::new(std::io::ErrorKind::AddrNotAvailable, "no free RTP port");
    for _ in 0..TRIES {
        let Some(port) = ports.take(now) else { break };
        match RtpSocket::bind(SocketAddr::new(address, port)) {
            Ok(socket) => return Ok(socket),
            Err(error) => {
                // Someone else holds it: to the back of the line, it may be free again later.
                ports.give_back(port, now);
                last_error = error;
            }
        }
    }
    Err(last_error)
}

/// Binds the port above a leg's RTP port, where RTCP needs it: `None` where RTCP shares RTP's port, and where somebody
/// else has the one above. Reports then leave by RTP's port and none are heard, which is no reason to lose a call.
pub fn bind_rtcp(rtp: SocketAddr, path: RtcpPath) -> Option<RtpSocket> {
    match path {
        RtcpPath::Multiplexed => None,
        RtcpPath::Apart { .. } => {
            let port = rtp.port().checked_add(1)?;
            RtpSocket::bind(SocketAddr::new(rtp.ip(), port))
                .inspect_err(|error| tracing::debug!(%error, port, "no socket for RTCP"))
                .ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_run_of_ports_that_another_program_holds_costs_no_call() {
        // An address of this test's own, so that it takes no port from anybody.
        let address = IpAddr::from([127, 0, 0, 77]);
        let held: Vec<UdpSocket> = (20_000..20_600)
            .step_by(2)
            .map(|port| UdpSocket::bind((address, port)).unwrap())
            .collect();
        let mut ports = RtpPorts::new((20_000..20_700).step_by(2));
        let socket = bind_rtp(&mut ports, address, Instant::now()).unwrap();
        assert_eq!(socket.local().port(), 20_600);
        drop(held);
    }
}
