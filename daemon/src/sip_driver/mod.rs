//! The signalling task: sockets around the SIP endpoint and the calls.
//!
//! One task owns the endpoint, every [`Call`](offhook_session::call::Call), the RTP ports and
//! admission, so nothing here is shared or locked. It waits for any of: a datagram, a timer, a notice
//! from a media thread, a request of a session's, a command; hands each to whom it concerns; and then
//! carries out all that leaves the endpoint and the calls.
//!
//! ```text
//! socket ─► gate (who may speak to us) ─► Endpoint ─► Event ─► Call ─► Output ─► Endpoint, media, session
//! ```
//!
//! | queue | bound | when full |
//! |---|---|---|
//! | notices of sessions | [`SESSION_NOTICE_QUEUE`] | the session's usher waits |
//! | notices of media threads | [`NOTICE_QUEUE`] | see `media_driver` |
//! | commands | [`COMMAND_QUEUE`] | the sender waits |

mod audio;
mod counting;
mod ending;
mod gate;
mod incoming;
mod live_call;
mod pressure;
mod receiving;
mod sockets;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use offhook_session::agent_session::{
    CallEvent, CallFacts, CallId, EndCause, EndReason, Transcript,
};
use offhook_session::call::Output as CallOutput;
use offhook_session::call::admission::{Admission, AdmissionLimits};
use offhook_sip::endpoint::{Endpoint, EndpointConfig, Event, Flow, HostPort, InviteId, Output};
use tokio::sync::mpsc;
use tokio::time::Sleep;

use crate::config::Config;
use crate::control::{CallDirectory, CallState};
use crate::media_driver::{LegId, LegLine, MediaNotice, MediaThreads, RtpPorts};
use crate::random::Random;
use crate::sessions::{SessionNotice, Sessions};
use crate::telemetry::health::Heartbeat;

pub(crate) use sockets::SipSockets;

use gate::{Gate, Rules};
use live_call::LiveCall;
use pressure::Pressure;

/// How many notices of sessions may wait.
pub const SESSION_NOTICE_QUEUE: usize = 4_096;
/// How many notices of media threads may wait.
pub const NOTICE_QUEUE: usize = 8_192;
/// How many commands may wait.
pub const COMMAND_QUEUE: usize = 64;

/// How long hung-up calls get for their goodbye on the wire and their agent's `on_exit` when the drain
/// deadline has passed.
const LAST_GOODBYES: Duration = Duration::from_secs(7);
/// How many waiting messages of one queue are taken before the others get their turn.
const TURN: usize = 256;
/// How often the task shows that it lives, when nothing else wakes it.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// What the rest of the daemon tells the signalling task.
#[derive(Debug)]
pub enum Command {
    /// Take no new calls; the task ends when the live ones have, or hangs them up at the deadline.
    Drain {
        /// How long live calls may go on.
        timeout: Duration,
    },
}

/// What is left of a call.
#[derive(Debug)]
pub struct FinishedCall {
    /// Which call, and between whom.
    pub facts: CallFacts,
    /// Why it ended.
    pub reason: EndReason,
    /// What was said in it.
    pub transcript: Transcript,
    /// Its recording, where it was recorded; whole within a second.
    pub recording: Option<PathBuf>,
}

/// What the signalling task works with.
pub(crate) struct Parts {
    pub(crate) config: Arc<Config>,
    pub(crate) sockets: SipSockets,
    pub(crate) media: Arc<MediaThreads>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) directory: Arc<CallDirectory>,
    pub(crate) notices: mpsc::Receiver<MediaNotice>,
    pub(crate) commands: mpsc::Receiver<Command>,
    /// Where what is left of each call goes, when somebody wants it.
    pub(crate) finished: Option<mpsc::Sender<FinishedCall>>,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) random: Random,
}

/// The signalling task's state.
pub(crate) struct Signalling {
    config: Arc<Config>,
    sockets: SipSockets,
    gate: Gate,
    endpoint: Endpoint,
    media: Arc<MediaThreads>,
    sessions: Arc<Sessions>,
    directory: Arc<CallDirectory>,
    ports: RtpPorts,
    admission: Admission,
    pressure: Pressure,
    random: Random,
    calls: HashMap<CallId, LiveCall>,
    call_by_invite: HashMap<InviteId, CallId>,
    call_by_leg: HashMap<LegId, CallId>,
    /// Ports whose leg is closing: free again when the thread let go of the socket.
    closing_ports: HashMap<LegId, u16>,
    /// Legs whose close found the thread's queue full; asked again every turn. Bounded by the calls.
    unclosed: Vec<LegLine>,
    session_notices: mpsc::Receiver<(CallId, SessionNotice)>,
    session_notice_sender: mpsc::Sender<(CallId, SessionNotice)>,
    notices: mpsc::Receiver<MediaNotice>,
    commands: mpsc::Receiver<Command>,
    finished: Option<mpsc::Sender<FinishedCall>>,
    heartbeat: Heartbeat,
    /// When the endpoint's figures are published again.
    next_count: Instant,
    drain: Option<Drain>,
}

/// A drain in progress.
#[derive(Clone, Copy, Debug)]
struct Drain {
    deadline: Instant,
    hung_up: bool,
}

impl Signalling {
    pub(crate) fn new(mut parts: Parts) -> Self {
        let now = Instant::now();
        let endpoint_config = EndpointConfig {
            advertised: advertised(&parts.config, &parts.sockets),
            ..EndpointConfig::default()
        };
        let (session_notice_sender, session_notices) = mpsc::channel(SESSION_NOTICE_QUEUE);
        Self {
            gate: gate_of(&parts.config),
            endpoint: Endpoint::new(endpoint_config, parts.random.next_u64()),
            ports: RtpPorts::new(parts.config.media.ports.rtp_ports()),
            admission: Admission::new(admission_limits(&parts.config), now),
            pressure: Pressure::new(parts.config.limits.shed_above_pressure, now),
            config: parts.config,
            sockets: parts.sockets,
            media: parts.media,
            sessions: parts.sessions,
            directory: parts.directory,
            random: parts.random,
            calls: HashMap::new(),
            call_by_invite: HashMap::new(),
            call_by_leg: HashMap::new(),
            closing_ports: HashMap::new(),
            unclosed: Vec::new(),
            session_notices,
            session_notice_sender,
            notices: parts.notices,
            commands: parts.commands,
            finished: parts.finished,
            heartbeat: parts.heartbeat,
            next_count: now,
            drain: None,
        }
    }

    /// Runs until drained.
    pub(crate) async fn run(mut self) {
        let mut timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        let mut session_notices = Vec::with_capacity(TURN);
        let mut notices = Vec::with_capacity(TURN);
        while !self.is_drained() {
            self.set_timer(timer.as_mut());
            tokio::select! {
                () = self.sockets.readable() => self.read_sockets(),
                _ = self.session_notices.recv_many(&mut session_notices, TURN) => {
                    for (call, notice) in session_notices.drain(..) {
                        self.handle_session(&call, notice);
                    }
                }
                _ = self.notices.recv_many(&mut notices, TURN) => {
                    for notice in notices.drain(..) {
                        self.handle_notice(notice);
                    }
                }
                command = self.commands.recv() => self.handle_command(command),
                () = timer.as_mut() => {}
            }
            let now = Instant::now();
            self.pressure.woke(now);
            self.endpoint.handle_timeout(now);
            self.carry_on();
            self.unclosed.retain(|line| line.close().is_err());
            self.press_drain(now);
            self.heartbeat.beat(now);
            self.pressure.rests(Instant::now());
            if now >= self.next_count {
                self.next_count = now + HEARTBEAT;
                self.admission.set_pressed(self.pressure.look(now));
                counting::endpoint(&self.endpoint.statistics());
                counting::gate(&self.gate.statistics());
            }
        }
    }

    fn set_timer(&self, timer: Pin<&mut Sleep>) {
        let heartbeat = Instant::now() + HEARTBEAT;
        let next = [
            self.endpoint.poll_timeout(),
            self.drain.map(|drain| drain.deadline),
        ]
        .into_iter()
        .flatten()
        .fold(heartbeat, Instant::min);
        timer.reset(next.into());
    }

    /// Hands every waiting datagram to the endpoint, if its sender may speak to us at all.
    fn read_sockets(&mut self) {
        let Self {
            sockets,
            gate,
            endpoint,
            ..
        } = self;
        sockets.read(|flow, bytes| receiving::receive(gate, endpoint, flow, bytes));
    }

    /// Carries out everything the endpoint and the calls want done, until nothing is left.
    fn carry_on(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit { flow, bytes } => self.transmit(flow, &bytes),
                Output::Event(Event::Incoming {
                    id, request, flow, ..
                }) => self.incoming(id, &request, flow),
                Output::Event(event) => self.dispatch(event),
                Output::Registration { .. } | Output::Probed { .. } => {}
            }
        }
    }

    fn transmit(&mut self, flow: Flow, bytes: &[u8]) {
        match self.sockets.send(flow, bytes) {
            Ok(()) => counting::message_sent(),
            // Lost, as on any network; whoever needs it sends again.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                counting::send_dropped()
            }
            Err(_) => self.endpoint.handle_transport_error(flow, Instant::now()),
        }
    }

    /// Hands an event to its call.
    fn dispatch(&mut self, event: Event) {
        let Some(call) = self.call_by_invite.get(&event.id()).cloned() else {
            return;
        };
        self.on_call(&call, |live| live.call.handle_sip(event));
    }

    /// Lets a call take something in and carries out what it wants done.
    fn on_call(&mut self, id: &CallId, take: impl FnOnce(&mut LiveCall)) {
        let Some(live) = self.calls.get_mut(id) else {
            return;
        };
        let span = live.span.clone();
        let _in_call = span.enter();
        take(live);
        while let Some(output) = self
            .calls
            .get_mut(id)
            .and_then(|live| live.call.poll_output())
        {
            self.carry_out(id, output);
        }
    }

    /// Carries out one output of a call's.
    fn carry_out(&mut self, id: &CallId, output: CallOutput) {
        let now = Instant::now();
        let Some(live) = self.calls.get_mut(id) else {
            return;
        };
        let invite = live.call.invite();
        let done = match output {
            CallOutput::Ring => self.endpoint.ring(
                invite,
                offhook_sip::message::StatusCode::RINGING,
                None,
                &[],
                now,
            ),
            CallOutput::Accept(body) => {
                let took = now.saturating_duration_since(live.arrived);
                let accepted = self.endpoint.accept(invite, Some(body), &[], now);
                accepted.inspect(|()| counting::answered(took))
            }
            CallOutput::Reject { status, headers } => {
                self.endpoint
                    .reject(invite, status, &borrowed(&headers), now)
            }
            CallOutput::Bye => {
                self.directory
                    .update(id.as_str(), |call| call.state = CallState::Ending);
                self.endpoint.bye(invite, &[], now)
            }
            CallOutput::AcceptReoffer(body) => {
                self.endpoint.accept_reoffer(invite, Some(body), now)
            }
            CallOutput::RejectReoffer { status, headers } => {
                self.endpoint
                    .reject_reoffer(invite, status, &borrowed(&headers), now)
            }
            CallOutput::Open(config) => {
                self.open(id, *config, now);
                Ok(())
            }
            CallOutput::Renegotiate(agreed) => {
                live.renegotiate(agreed);
                Ok(())
            }
            CallOutput::CloseLeg => {
                self.close_leg(id);
                Ok(())
            }
            CallOutput::Tell(event) => {
                if event == CallEvent::Confirmed {
                    self.directory
                        .update(id.as_str(), |call| call.state = CallState::Talking);
                }
                live.tell(event);
                Ok(())
            }
            CallOutput::Over(reason) => {
                self.over(id, &reason);
                Ok(())
            }
        };
        if let Err(misuse) = done {
            // Events crossed: what the call wanted came too late, and the endpoint's word about it is
            // on its way to the call already.
            tracing::debug!(%misuse, "a command came too late");
        }
    }

    fn handle_session(&mut self, call: &CallId, notice: SessionNotice) {
        self.on_call(call, |live| match notice {
            SessionNotice::Request(request) => live.call.handle_session(request),
            SessionNotice::Closed(report) => {
                live.report = report;
                live.call.session_closed();
            }
        });
    }

    fn handle_notice(&mut self, notice: MediaNotice) {
        match notice {
            MediaNotice::Stalled(leg) => {
                if let Some(call) = self.call_by_leg.get(&leg).cloned() {
                    tracing::error!(call_id = %call, "the session takes no events of its leg; the call is ended");
                    self.on_call(&call, |live| live.call.hang_up(EndCause::Fault.into()));
                }
            }
            MediaNotice::Closed(leg, state) => {
                counting::leg_closed(&state.statistics());
                if let Some(port) = self.closing_ports.remove(&leg) {
                    self.ports.give_back(port, Instant::now());
                }
            }
        }
    }

    fn handle_command(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Drain { timeout }) => self.begin_drain(timeout),
            // Nobody is left who could command us: as if told to stop.
            None => self.begin_drain(Duration::ZERO),
        }
    }

    fn begin_drain(&mut self, timeout: Duration) {
        if self.drain.is_none() {
            tracing::info!(
                calls = self.calls.len(),
                timeout_s = timeout.as_secs(),
                "draining: no new calls are taken"
            );
            self.admission.drain();
            self.endpoint.set_draining(true);
            self.drain = Some(Drain {
                deadline: Instant::now() + timeout,
                hung_up: false,
            });
        }
    }

    /// At the drain's deadline hangs up what is left; some seconds later stops waiting for it.
    fn press_drain(&mut self, now: Instant) {
        let Some(drain) = self.drain else { return };
        if now < drain.deadline {
            return;
        }
        if drain.hung_up {
            self.abandon_calls();
            return;
        }
        self.drain = Some(Drain {
            deadline: now + LAST_GOODBYES,
            hung_up: true,
        });
        let left: Vec<CallId> = self.calls.keys().cloned().collect();
        for call in &left {
            self.on_call(call, |live| live.call.hang_up(EndCause::Shutdown.into()));
        }
        self.carry_on();
    }

    fn is_drained(&self) -> bool {
        self.drain.is_some() && self.calls.is_empty()
    }
}

fn admission_limits(config: &Config) -> AdmissionLimits {
    let limits = &config.limits;
    let trunks = config.trunks.iter();
    AdmissionLimits {
        calls: u32::try_from(limits.calls).unwrap_or(u32::MAX),
        calls_per_second: limits.calls_per_second,
        outbound_calls: limits.outbound_calls,
        outbound_calls_per_minute: limits.outbound_calls_per_minute,
        trunks: trunks
            .map(|(name, trunk)| (name.to_string(), trunk.limits.clone()))
            .collect(),
    }
}

fn gate_of(config: &Config) -> Gate {
    let rules = Rules {
        strangers: config.sip.strangers,
        messages_per_second: config.limits.messages_per_second_per_source,
        ban_after: config.limits.ban_after_bad_messages,
    };
    let trunks = config.trunks.values();
    Gate::new(rules, trunks.flat_map(|trunk| trunk.inbound_from.clone()))
}

/// What Via and Contact say for each socket.
fn advertised(config: &Config, sockets: &SipSockets) -> BTreeMap<SocketAddr, HostPort> {
    let said = |local: SocketAddr| {
        SocketAddr::new(config.sip.advertise.address_for(local.ip()), local.port())
    };
    sockets
        .local_addresses()
        .map(|local| (local, HostPort::from(said(local))))
        .collect()
}

fn borrowed<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}
