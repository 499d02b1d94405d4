//! The signalling task: sockets around the SIP endpoint and the calls.
//!
//! One task owns the endpoint, every [`Call`](offhook_session::call::Call), the RTP ports and
//! admission, so nothing here is shared or locked. It waits for any of: a message, a timer, a notice
//! from a media thread, a request of a session's, a command; hands each to whom it concerns; and then
//! carries out all that leaves the endpoint and the calls.
//!
//! ```text
//! transports ─► gate (who may speak to us) ─► Endpoint ─► Event ─► Call ─► Output ─► Endpoint, media, session
//! ```
//!
//! | queue | bound | when full |
//! |---|---|---|
//! | notices of sessions | [`SESSION_NOTICE_QUEUE`] | the session's usher waits |
//! | notices of media threads | [`NOTICE_QUEUE`] | see `media_driver` |
//! | commands | [`COMMAND_QUEUE`] | the sender waits |
//! | what connections bring, what is written to them | | see `transports` |

mod addresses;
mod audio;
mod backlog;
mod bridging;
mod capturing;
mod carrying;
mod challenging;
pub mod command;
mod controlling;
mod counting;
mod dialing;
mod ending;
mod gate;
mod incoming;
mod live_call;
mod locating;
mod pressure;
mod receiving;
mod second_leg;
pub(crate) mod transports;
mod trunks;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use offhook_session::agent_session::{
    CallEvent, CallFacts, CallId, CallRequest, EndCause, EndReason, Transcript, TransferOutcome,
    TransferStep,
};
use offhook_session::call::admission::{Admission, AdmissionLimits};
use offhook_sip::endpoint::{
    Endpoint, EndpointConfig, Event, Flow, HostPort, InviteId, Output, Transport,
};
use offhook_sip::locate::{Blacklist, BlacklistConfig, NotFound};
use tokio::sync::mpsc;
use tokio::time::Sleep;

use crate::captures::Captures;
use crate::config::Config;
use crate::control::CallDirectory;
use crate::dns::Dns;
use crate::media_driver::{LegId, LegLine, LiveQuality, MediaNotice, MediaThreads, RtpPorts};
use crate::random::Random;
use crate::sessions::{SessionNotice, Sessions};
use crate::telemetry::health::Heartbeat;

use backlog::Backlog;
use capturing::Capturing;
use challenging::Challengers;
pub use command::Command;
use gate::{Gate, Rules};
use live_call::LiveCall;
use locating::{Errand, Located};
use pressure::Pressure;
use transports::{SendError, TransportEvent, Transports};
use trunks::Trunks;

/// How many notices of sessions may wait.
pub const SESSION_NOTICE_QUEUE: usize = 4_096;
/// How many notices of media threads may wait.
pub const NOTICE_QUEUE: usize = 8_192;
/// How many commands may wait.
pub const COMMAND_QUEUE: usize = 64;

/// How long hung-up calls get for their goodbye on the wire and their agent's `on_exit` when the drain
/// deadline has passed.
const LAST_GOODBYES: Duration = Duration::from_secs(7);
/// How long the end of a drain waits for a BYE that comes again, because our answer to it was lost: by then it
/// was repeated three times (RFC 3261 section 17.1.2.2: after 0.5, 1 and 2 s more).
const LAST_REPETITIONS: Duration = Duration::from_secs(4);
/// How many waiting messages of one queue are taken before the others get their turn.
const TURN: usize = 256;
/// How late a timer may be. SIP's shortest is half a second, and most only clear away what is over.
const TIMER_GRAIN: Duration = Duration::from_millis(5);
/// How often the task shows that it lives, when nothing else wakes it.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// What is left of a call.
#[derive(Debug)]
pub struct FinishedCall {
    /// Which call, and between whom.
    pub facts: CallFacts,
    /// Why it ended.
    pub reason: EndReason,
    /// What was said in it.
    pub transcript: Transcript,
    /// How it sounded; final within a second.
    pub quality: Arc<LiveQuality>,
    /// Its recording, where it was recorded; whole within a second.
    pub recording: Option<PathBuf>,
}

/// What the signalling task works with.
pub(crate) struct Parts {
    pub(crate) config: Arc<Config>,
    pub(crate) transports: Transports,
    pub(crate) dns: Dns,
    pub(crate) media: Arc<MediaThreads>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) captures: Arc<Captures>,
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
    transports: Transports,
    gate: Gate,
    backlog: Backlog,
    endpoint: Endpoint,
    media: Arc<MediaThreads>,
    sessions: Arc<Sessions>,
    capturing: Capturing,
    directory: Arc<CallDirectory>,
    ports: RtpPorts,
    admission: Admission,
    pressure: Pressure,
    random: Random,
    /// Who resolves names.
    dns: Arc<Dns>,
    located: mpsc::Receiver<Located>,
    /// Ways that were known without asking, to be gone when the turn is through.
    unsaid: VecDeque<Located>,
    located_sender: mpsc::Sender<Located>,
    /// Targets that failed lately.
    blacklist: Blacklist,
    trunks: Trunks,
    /// Who checks whether callers are who they say, by trunk.
    challengers: Challengers,
    /// INVITEs of ours, and until when they may ring. Those that were answered or refused stay until then: as many as
    /// calls out may begin in that time.
    ringing: BTreeSet<(Instant, InviteId)>,
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
    /// What timers are rounded from.
    began: Instant,
    /// When the endpoint's figures are published again.
    next_count: Instant,
    drain: Option<Drain>,
    /// How long the end of a drain waits for CANCELs and registrars, once no call is left.
    last_words_until: Option<Instant>,
    /// When a far end last hung up.
    last_bye: Option<Instant>,
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
            advertised: advertised(&parts.config, &parts.transports),
            stream_for: streams_for_datagrams(&parts.transports),
            session_timer: parts.config.sip.session_timer,
            ..EndpointConfig::default()
        };
        let (session_notice_sender, session_notices) = mpsc::channel(SESSION_NOTICE_QUEUE);
        let (located_sender, located) = locating::located_queue();
        let challengers = Challengers::new(&parts.config, &mut parts.random);
        let capturing = Capturing::new(parts.captures, parts.config.captures_calls());
        Self {
            gate: gate_of(&parts.config),
            backlog: Backlog::default(),
            endpoint: Endpoint::new(endpoint_config, parts.random.next_u64()),
            ports: RtpPorts::new(parts.config.media.ports.rtp_ports()),
            admission: Admission::new(admission_limits(&parts.config), now),
            pressure: Pressure::new(parts.config.limits.shed_above_pressure, now),
            config: parts.config,
            transports: parts.transports,
            media: parts.media,
            sessions: parts.sessions,
            capturing,
            directory: parts.directory,
            random: parts.random,
            dns: Arc::new(parts.dns),
            located,
            unsaid: VecDeque::new(),
            located_sender,
            blacklist: Blacklist::new(BlacklistConfig::default()),
            trunks: Trunks::default(),
            challengers,
            ringing: BTreeSet::new(),
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
            began: now,
            next_count: now,
            drain: None,
            last_words_until: None,
            last_bye: None,
        }
    }

    /// Runs until drained.
    pub(crate) async fn run(mut self) {
        let mut timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        let mut session_notices = Vec::with_capacity(TURN);
        let mut notices = Vec::with_capacity(TURN);
        self.begin_trunks(Instant::now());
        // Before the first wait: until then the daemon is not ready.
        self.heartbeat.beat(Instant::now());
        while !self.is_drained(Instant::now()) {
            self.set_timer(timer.as_mut());
            tokio::select! {
                () = self.transports.readable() => self.read_transports(),
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
                Some(located) = self.located.recv() => self.located(located),
                () = timer.as_mut() => {}
            }
            let now = Instant::now();
            self.pressure.woke(now);
            self.endpoint.handle_timeout(now);
            self.end_long_ringing(now);
            self.tend_trunks(now);
            self.carry_on();
            self.capturing.end_turn(now);
            self.unclosed.retain(|line| line.close().is_err());
            self.press_drain(now);
            if self.drain.is_some() && self.calls.is_empty() && self.last_words_until.is_none() {
                self.last_words_until = Some(now + LAST_REPETITIONS);
            }
            self.heartbeat.beat(now);
            self.pressure.rests(Instant::now());
            if now >= self.next_count {
                self.next_count = now + HEARTBEAT;
                self.admission.set_pressed(self.pressure.look(now));
                self.give_back_room();
                counting::endpoint(&self.endpoint.statistics());
                counting::gate(&self.gate.statistics());
            }
        }
        self.transports.finish().await;
    }

    /// What a burst of calls needed is not kept through the quiet hours after it.
    fn give_back_room(&mut self) {
        fn shrink<Key: Eq + Hash, Value>(map: &mut HashMap<Key, Value>) {
            if map.len() < map.capacity() / 8 {
                map.shrink_to(map.len() * 2);
            }
        }
        shrink(&mut self.calls);
        shrink(&mut self.call_by_invite);
        shrink(&mut self.call_by_leg);
        shrink(&mut self.closing_ports);
    }

    fn set_timer(&self, timer: Pin<&mut Sleep>) {
        let heartbeat = Instant::now() + HEARTBEAT;
        let next = [
            self.endpoint.poll_timeout(),
            self.drain.map(|drain| drain.deadline),
            self.trunks.next_at(),
            self.ringing.first().map(|(at, _)| *at),
            self.drain.and(self.repetitions_end()),
            self.last_words_until,
        ]
        .into_iter()
        .flatten()
        .fold(heartbeat, Instant::min);
        timer.reset(self.rounded_up(next).into());
    }

    /// Timers are late by up to [`TIMER_GRAIN`], so that those of many calls fire in one turn.
    fn rounded_up(&self, at: Instant) -> Instant {
        let grain = TIMER_GRAIN.as_nanos() as u64;
        let since = at.saturating_duration_since(self.began).as_nanos() as u64;
        self.began + Duration::from_nanos(since.div_ceil(grain) * grain)
    }

    /// Hands every waiting message to the endpoint, if its sender may speak to us at all. Who has a
    /// connection may: strangers were sent away when it was accepted.
    fn read_transports(&mut self) {
        let Self {
            transports,
            gate,
            endpoint,
            backlog,
            capturing,
            config,
            ..
        } = self;
        let behind = backlog.is_behind();
        let emptied = transports.read(|event| match event {
            TransportEvent::Message { flow, bytes } => {
                let came = Instant::now();
                let admitted = receiving::receive(gate, endpoint, (flow, bytes), behind);
                // Answers leave when all that came is read.
                if admitted && capturing.is_on() {
                    let local = capturing::as_seen(config, flow.local);
                    capturing.note((flow.remote, local), bytes, came);
                }
            }
            TransportEvent::Closed(flow) => endpoint.handle_transport_error(flow, Instant::now()),
        });
        backlog.note(emptied, Instant::now());
    }

    /// Carries out everything the endpoint and the calls want done, until nothing is left.
    fn carry_on(&mut self) {
        loop {
            let Some(output) = self.endpoint.poll_output() else {
                let Some(located) = self.unsaid.pop_front() else {
                    return;
                };
                self.located(located);
                continue;
            };
            match output {
                Output::Transmit { flow, bytes } => self.transmit(flow, bytes),
                Output::Event(Event::Incoming {
                    id,
                    request,
                    flow,
                    replaces,
                }) => self.incoming(id, &request, flow, replaces),
                Output::Event(event) => self.dispatch(event),
                Output::Registration { id, event } => self.on_registration(id, event),
                Output::Probed { id, answer } => self.on_probed(id, answer),
            }
        }
    }

    fn transmit(&mut self, flow: Flow, bytes: Vec<u8>) {
        if !bytes.starts_with(b"SIP/2.0 ") {
            // Who is asked may answer, and may speak about the call that comes of it.
            self.gate.correspond(flow.remote.ip());
        }
        if self.capturing.is_on() {
            let local = capturing::as_seen(&self.config, flow.local);
            self.capturing
                .note((local, flow.remote), &bytes, Instant::now());
        }
        match self.transports.send(flow, bytes) {
            Ok(()) => counting::message_sent(),
            // Lost, as on any network; whoever needs it sends again.
            Err(SendError::SocketFull) => counting::send_dropped(),
            Err(error) => {
                tracing::debug!(transport = flow.transport.as_str(), %error, "a message was not sent");
                self.endpoint.handle_transport_error(flow, Instant::now());
            }
        }
    }

    /// Hands an event to its call.
    fn dispatch(&mut self, event: Event) {
        if let Event::FlowFailed { flow, failure, .. } = &event {
            self.note_flow_failure(*flow, *failure, Instant::now());
        }
        let id = event.id();
        let is_last = matches!(event, Event::Ended { .. });
        let Some(call) = self.call_by_invite.get(&id).cloned() else {
            return;
        };
        self.on_call(&call, |live| live.call.handle_sip(event));
        if is_last {
            self.call_by_invite.remove(&id);
        }
    }

    /// The way to somewhere is known, or is not.
    fn located(&mut self, Located { errand, targets }: Located) {
        let flows = targets.and_then(|targets| match self.flows_to(targets) {
            flows if flows.is_empty() => Err(NotFound::NoTransport),
            flows => Ok(flows),
        });
        let way = |flows: Result<Vec<Flow>, NotFound>| {
            flows.map_err(|error| {
                tracing::warn!(%error, "where a call is to go is not found");
                dialing::unlocated()
            })
        };
        match errand {
            Errand::Dial(call) => self.dial(&call, way(flows)),
            Errand::Succeed(call) => self.dial_successor(&call, way(flows)),
            // Without a way the redirection leads nowhere; an empty list of flows gives it up.
            Errand::Follow(invite, target) => {
                self.followed(invite, target, way(flows).unwrap_or_default());
            }
            Errand::Register(trunk) => self.register(&trunk, flows),
            Errand::Probe(trunk) => self.probe(&trunk, flows),
        }
    }

    fn handle_session(&mut self, call: &CallId, notice: SessionNotice) {
        let notice = match notice {
            SessionNotice::Request(CallRequest::PassOn(digit)) => {
                return self.pass_on(call, digit);
            }
            SessionNotice::Request(CallRequest::AnsweredBy(verdict)) => {
                return self.answered_by(call, *verdict);
            }
            SessionNotice::Request(CallRequest::SecondLeg(answer)) => {
                return self.second_leg_says(call, answer);
            }
            SessionNotice::Request(CallRequest::MessageLeft(message)) => {
                let message = Arc::from(message);
                let left = |call: &mut crate::control::LiveCall| call.add_message(message);
                return self.directory.update(call.as_str(), left);
            }
            // Asked for before the session knew that its far end talks to somebody else.
            SessionNotice::Request(CallRequest::Transfer(_)) if self.is_joined(call) => {
                let impossible = TransferStep::Over(TransferOutcome::Impossible);
                let live = self.calls.get(call);
                return live.into_iter().for_each(|live| {
                    live.tell(CallEvent::Transfer(impossible));
                });
            }
            SessionNotice::Request(CallRequest::HandedOver(agent)) => {
                let taken = |call: &mut crate::control::LiveCall| call.agent = agent.name;
                return self.directory.update(call.as_str(), taken);
            }
            SessionNotice::Request(_) | SessionNotice::Closed(_) => notice,
        };
        self.on_call(call, |live| match notice {
            SessionNotice::Request(request) => live.call.handle_session(request),
            SessionNotice::Closed(report) => {
                if let Some(report) = &report {
                    counting::conversation_ended(&live.agent, report);
                }
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
            MediaNotice::Closed(leg, state, span) => {
                span.in_scope(|| counting::leg_closed(&state.statistics()));
                if let Some(port) = self.closing_ports.remove(&leg) {
                    self.ports.give_back(port, Instant::now());
                }
            }
        }
    }

    fn handle_command(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Drain { timeout }) => self.begin_drain(timeout),
            Some(Command::ReloadCertificates) => self.reload_certificates(),
            Some(Command::Place(new, reply)) => self.place(*new, reply),
            Some(Command::Control(call, control, reply)) => {
                // Whoever asked may have gone.
                let _ = reply.send(self.control(&call, control));
            }
            Some(Command::Trunks(reply)) => {
                let _ = reply.send(self.trunk_reports());
            }
            // Nobody is left who could command us: as if told to stop.
            None => self.begin_drain(Duration::ZERO),
        }
    }

    /// Reads the files of `sip.tls` again. One that cannot be used changes nothing: calls go on with the
    /// certificate there was.
    fn reload_certificates(&mut self) {
        let Some(tls) = &self.config.sip.tls else {
            return;
        };
        match self.transports.reload(tls) {
            Ok(()) => tracing::info!("certificates were read again; they are used from now on"),
            Err(error) => tracing::error!(%error, "certificates stay as they were: sip.tls"),
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
            self.unregister_trunks(Instant::now());
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

    /// No call is left, and nobody may still ask for our answer to their BYE.
    fn is_drained(&self, now: Instant) -> bool {
        let Some(drain) = self.drain else {
            return false;
        };
        let awaits_repetitions = !drain.hung_up
            && now < drain.deadline
            && self.repetitions_end().is_some_and(|end| now < end)
            && self.endpoint.statistics().transactions > 0;
        // What was given up still has its CANCEL and its registrar's answer to come.
        let left = self.endpoint.statistics();
        let last_words = (left.invites > 0 || left.registrations > 0)
            && self.last_words_until.is_none_or(|until| now < until);
        self.calls.is_empty() && !awaits_repetitions && !last_words
    }

    fn repetitions_end(&self) -> Option<Instant> {
        Some(self.last_bye? + LAST_REPETITIONS)
    }
}

fn admission_limits(config: &Config) -> AdmissionLimits {
    let limits = &config.limits;
    let trunks = config.trunks.iter();
    AdmissionLimits {
        calls: u32::try_from(limits.calls).unwrap_or(u32::MAX),
        calls_per_second: limits.calls_per_second,
        outbound_calls: limits.outbound_calls,
        reserve: config.reserved_calls(),
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

/// The stream listener beside each UDP one: of the same port, or else the first of its family.
fn streams_for_datagrams(transports: &Transports) -> BTreeMap<SocketAddr, SocketAddr> {
    let of = |wanted: Transport| {
        transports
            .local_addresses()
            .filter(move |(transport, _)| *transport == wanted)
            .map(|(_, local)| local)
    };
    of(Transport::Udp)
        .filter_map(|udp| {
            let same = of(Transport::Tcp).find(|tcp| *tcp == udp);
            let family = || of(Transport::Tcp).find(|tcp| tcp.is_ipv4() == udp.is_ipv4());
            Some((udp, same.or_else(family)?))
        })
        .collect()
}

/// What Via and Contact say for each listening address, whatever is spoken there.
fn advertised(config: &Config, transports: &Transports) -> BTreeMap<SocketAddr, HostPort> {
    let name = config.sip.tls.as_ref().and_then(|tls| tls.name.as_ref());
    let said = |transport: Transport, local: SocketAddr| {
        let ip = config.sip.advertise.address_for(local.ip());
        match (transport, name) {
            (Transport::Tls, Some(name)) => HostPort {
                host: name.clone(),
                port: local.port(),
            },
            (Transport::Udp | Transport::Tcp | Transport::Tls, _) => {
                HostPort::from(SocketAddr::new(ip, local.port()))
            }
        }
    };
    transports
        .local_addresses()
        .map(|(transport, local)| (local, said(transport, local)))
        .collect()
}
