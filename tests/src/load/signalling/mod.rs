//! Calls that only begin and end: INVITE, 180 and 200, ACK, a tenth of a second, BYE; open loop, at a given rate.
//!
//! One thread does all of it in slots of half a millisecond: INVITEs that are due, BYEs that are due, requests that got
//! no answer in time (RFC 3261 17.1.1.2: after 0.5, 1, 2, 4 s more), and then what has come. Calls are spread over a few
//! sockets. Audio is offered on a port that exists and that nobody reads, so what a leg sends costs the kernel a drop
//! and us nothing. The times to answers end at the kernel's receive stamp, so our lateness in reading is not in them;
//! our lateness in sending is part of the report.

mod report;
mod text;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub use report::{PhaseReport, SignallingReport};
use text::{FarEnd, Message, Words};

use super::Gaps;
use super::sockets::{
    Poll, Reader, monotonic_ns, real_time_ns, set_receive_buffer, sharpen_timers, sleep_until_ns,
    stamped_socket,
};
use crate::ports::PortBlock;
use crate::process_gauge::ProcessGauge;
use crate::sip_text;

/// Sending and reading happen once in each slot.
const SLOT_NS: u64 = 500_000;
/// Sockets that the calls are spread over.
const SOCKETS: usize = 4;
/// Receive buffer of each, for when the machine leaves us waiting: some thousand messages.
const RECEIVE_BUFFER: usize = 4 << 20;
/// How long an unanswered request waits before it is sent again, each time; after the last the call has failed.
const WAITS_NS: [u64; 4] = [500_000_000, 1_000_000_000, 2_000_000_000, 4_000_000_000];
/// INVITEs sent in one slot, at most, so that answers are read also when we are behind.
const BURST: usize = 32;

/// What to do to whom.
#[derive(Debug, Clone)]
pub struct SignallingPlan {
    /// The peer's SIP address (UDP).
    pub target: SocketAddr,
    /// The user part of the request URI: which agent answers.
    pub user: String,
    /// The peer's process id: whose processor time is read.
    pub peer_pid: u32,
    /// How many calls and how fast, one after the other without a pause.
    pub phases: Vec<Phase>,
    /// From the 200 to the BYE.
    pub hold: Duration,
}

/// So many calls, at one rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phase {
    /// Calls.
    pub calls: u64,
    /// New calls a second, at least 1.
    pub calls_per_second: u64,
}

/// Makes the calls and reports. Ends by itself some 8 s after the last call was due.
///
/// # Errors
/// When our own sockets cannot be made, or the peer's process ends. Calls that fail are no error: the report counts
/// them by reason.
pub fn run(plan: &SignallingPlan) -> io::Result<SignallingReport> {
    let gauge = ProcessGauge::new(plan.peer_pid);
    let mut load = Load::new(plan)?;
    let before = gauge.processor_time()?;
    let begun_ns = monotonic_ns();
    while load.slot()? {}
    let took = Duration::from_nanos(monotonic_ns() - begun_ns);
    let processor_time = gauge.processor_time()? - before;
    Ok(SignallingReport {
        phases: load.reports,
        late: load.late,
        took,
        processor_time,
    })
}

/// Where a call stands.
#[derive(Debug, Default)]
enum State {
    #[default]
    Waiting,
    Inviting,
    Up(FarEnd),
    Leaving(FarEnd),
    Over,
}

#[derive(Debug, Default)]
struct Call {
    state: State,
    phase: usize,
    invited_at_ns: u64,
}

/// One moment of the plan's: from call `first` on, `interval_ns` apart.
#[derive(Debug)]
struct Pace {
    first: usize,
    begins_ns: u64,
    interval_ns: u64,
}

struct Load {
    sockets: Vec<(Rc<UdpSocket>, Words)>,
    run: String,
    poll: Poll,
    reader: Option<Reader>,
    buffer: Vec<u8>,
    calls: Vec<Call>,
    paces: Vec<Pace>,
    begun: usize,
    over: usize,
    hold_ns: u64,
    /// BYEs in the order in which they are due.
    hang_ups: VecDeque<(u64, usize)>,
    /// Requests that wait for an answer, by how often they were sent; in each queue all wait equally long.
    unanswered: [VecDeque<(u64, usize, Method)>; WAITS_NS.len()],
    reports: Vec<PhaseReport>,
    late: Gaps,
    slot_ns: u64,
    _audio: [UdpSocket; 2],
    _ports: PortBlock,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Invite,
    Bye,
}

impl Load {
    fn new(plan: &SignallingPlan) -> io::Result<Self> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let run = format!("signalling-{}-{serial}", std::process::id());
        let ports = PortBlock::take(16)?;
        let audio = [
            UdpSocket::bind(ports.address(2))?,
            UdpSocket::bind(ports.address(3))?,
        ];
        for socket in &audio {
            set_receive_buffer(socket, 0)?;
        }
        let poll = Poll::new(SOCKETS)?;
        let mut sockets = Vec::new();
        for n in 0..SOCKETS {
            let socket = stamped_socket(SocketAddr::from((
                Ipv4Addr::LOCALHOST,
                ports.port(4 + n as u16),
            )))?;
            set_receive_buffer(&socket, RECEIVE_BUFFER)?;
            socket.connect(plan.target)?;
            poll.watch(&socket, n as u64)?;
            let words = Words::new(
                socket.local_addr()?,
                plan.target,
                &plan.user,
                run.clone(),
                ports.address(2),
            );
            sockets.push((Rc::new(socket), words));
        }
        let mut calls = Vec::new();
        let mut paces = Vec::new();
        let started_ns = monotonic_ns() + SLOT_NS;
        let mut begins_ns = started_ns;
        for (phase, Phase { calls: count, .. }) in plan.phases.iter().enumerate() {
            let interval_ns = 1_000_000_000 / plan.phases[phase].calls_per_second.max(1);
            paces.push(Pace {
                first: calls.len(),
                begins_ns,
                interval_ns,
            });
            begins_ns += interval_ns * count;
            calls.extend((0..*count).map(|_| Call {
                phase,
                ..Call::default()
            }));
        }
        let report = |phase: &Phase| PhaseReport {
            calls: phase.calls,
            calls_per_second: phase.calls_per_second,
            ..PhaseReport::default()
        };
        sharpen_timers();
        Ok(Self {
            sockets,
            run,
            poll,
            reader: Some(Reader::new()),
            buffer: Vec::with_capacity(2_048),
            calls,
            paces,
            begun: 0,
            over: 0,
            hold_ns: plan.hold.as_nanos() as u64,
            hang_ups: VecDeque::new(),
            unanswered: Default::default(),
            reports: plan.phases.iter().map(report).collect(),
            late: Gaps::default(),
            slot_ns: started_ns,
            _audio: audio,
            _ports: ports,
        })
    }

    /// One slot; false when every call is over.
    fn slot(&mut self) -> io::Result<bool> {
        let now_ns = monotonic_ns();
        self.invite_who_is_due(now_ns);
        self.hang_up_who_is_due(now_ns);
        self.repeat_what_got_no_answer(now_ns);
        self.read()?;
        // Whoever is behind does not wait.
        self.slot_ns = (self.slot_ns + SLOT_NS).max(now_ns);
        sleep_until_ns(self.slot_ns);
        Ok(self.over < self.calls.len())
    }

    fn invite_who_is_due(&mut self, now_ns: u64) {
        for _ in 0..BURST {
            let Some(call) = self.calls.get_mut(self.begun) else {
                return;
            };
            let Pace {
                first,
                begins_ns,
                interval_ns,
            } = self.paces[call.phase];
            let due_ns = begins_ns + (self.begun - first) as u64 * interval_ns;
            if due_ns > now_ns {
                return;
            }
            self.late.add(now_ns - due_ns);
            call.state = State::Inviting;
            call.invited_at_ns = real_time_ns();
            self.request(self.begun, Method::Invite, 0);
            self.begun += 1;
        }
    }

    fn hang_up_who_is_due(&mut self, now_ns: u64) {
        while let Some(&(due_ns, index)) = self.hang_ups.front() {
            if due_ns > now_ns {
                return;
            }
            self.hang_ups.pop_front();
            let state = &mut self.calls[index].state;
            if let State::Up(far_end) = state {
                *state = State::Leaving(std::mem::take(far_end));
                self.request(index, Method::Bye, 0);
            }
        }
    }

    fn repeat_what_got_no_answer(&mut self, now_ns: u64) {
        for attempt in 0..WAITS_NS.len() {
            while let Some(&(due_ns, index, method)) = self.unanswered[attempt].front() {
                if due_ns > now_ns {
                    break;
                }
                self.unanswered[attempt].pop_front();
                let call = &self.calls[index];
                let still_waits = match (&call.state, method) {
                    (State::Inviting, Method::Invite) | (State::Leaving(_), Method::Bye) => true,
                    (State::Waiting | State::Inviting | State::Up(_), _)
                    | (State::Leaving(_) | State::Over, _) => false,
                };
                if !still_waits {
                    continue;
                }
                if attempt + 1 < WAITS_NS.len() {
                    self.reports[call.phase].repeated_requests += 1;
                    self.request(index, method, attempt + 1);
                } else {
                    let reason = match method {
                        Method::Invite => "no answer to INVITE",
                        Method::Bye => "no answer to BYE",
                    };
                    self.fail(index, reason);
                }
            }
        }
    }

    /// Sends a call's INVITE or BYE, and waits for its answer. A send that the kernel refuses is repeated with those
    /// that got no answer.
    fn request(&mut self, index: usize, method: Method, attempt: usize) {
        let (socket, words) = &self.sockets[index % SOCKETS];
        match (method, &self.calls[index].state) {
            (Method::Invite, _) => words.invite(index, &mut self.buffer),
            (Method::Bye, State::Leaving(far_end)) => {
                words.in_dialog("BYE", (2, 3), index, far_end, &mut self.buffer);
            }
            (Method::Bye, _) => return,
        }
        let _ = socket.send(&self.buffer);
        let due_ns = monotonic_ns() + WAITS_NS[attempt];
        self.unanswered[attempt].push_back((due_ns, index, method));
    }

    fn read(&mut self) -> io::Result<()> {
        let Some(mut reader) = self.reader.take() else {
            return Ok(());
        };
        let ready: Vec<u64> = self.poll.ready(Duration::ZERO)?.collect();
        for name in ready {
            let socket = Rc::clone(&self.sockets[name as usize].0);
            reader.read(&socket, |bytes, at_ns| self.take(bytes, at_ns))?;
        }
        self.reader = Some(reader);
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], at_ns: u64) {
        let run = std::mem::take(&mut self.run);
        if let Some(message) = text::read(bytes, &run)
            && message.call < self.begun
        {
            self.take_message(&message, bytes, at_ns);
        }
        self.run = run;
    }

    fn take_message(&mut self, message: &Message<'_>, bytes: &[u8], at_ns: u64) {
        match (message.status, message.method) {
            (Some(100..200), _) => {}
            (Some(status), b"INVITE") => self.take_final(status, message, at_ns),
            (Some(status), b"BYE") => {
                let index = message.call;
                if let State::Leaving(_) = self.calls[index].state {
                    if (200..300).contains(&status) {
                        self.reports[self.calls[index].phase].completed += 1;
                        self.end(index);
                    } else {
                        self.fail(index, "BYE answered with an error");
                    }
                }
            }
            (Some(_), _) => {}
            (None, b"BYE") => {
                self.answer(message.call, bytes);
                self.fail(message.call, "ended by the peer");
            }
            (None, _) => {}
        }
    }

    /// A final answer to an INVITE, the first or again.
    fn take_final(&mut self, status: u16, message: &Message<'_>, at_ns: u64) {
        let index = message.call;
        let (socket, words) = &self.sockets[index % SOCKETS];
        let call = &mut self.calls[index];
        let waited_ns = at_ns.saturating_sub(call.invited_at_ns);
        let report = &mut self.reports[call.phase];
        if status < 300 {
            if let State::Inviting = call.state {
                call.state = State::Up(FarEnd {
                    to: message.to.into(),
                    contact: message.contact.into(),
                });
                report.set_up.add(waited_ns);
                self.hang_ups
                    .push_back((monotonic_ns() + self.hold_ns, index));
            }
            if let State::Up(far_end) | State::Leaving(far_end) = &call.state {
                words.in_dialog("ACK", (1, 2), index, far_end, &mut self.buffer);
                let _ = socket.send(&self.buffer);
            }
            return;
        }
        words.ack_refusal(index, message.to, &mut self.buffer);
        let _ = socket.send(&self.buffer);
        if let State::Inviting = call.state {
            if status == 503 {
                report.refused += 1;
                report.refusal.add(waited_ns);
                self.end(index);
            } else {
                self.fail(index, "INVITE refused otherwise than with 503");
            }
        }
    }

    fn answer(&self, index: usize, request: &[u8]) {
        let answer = sip_text::ok(&String::from_utf8_lossy(request));
        let _ = self.sockets[index % SOCKETS].0.send(answer.as_bytes());
    }

    fn fail(&mut self, index: usize, reason: &'static str) {
        if !matches!(self.calls[index].state, State::Over) {
            let report = &mut self.reports[self.calls[index].phase];
            *report.failures.entry(reason).or_default() += 1;
            self.end(index);
        }
    }

    fn end(&mut self, index: usize) {
        self.calls[index].state = State::Over;
        self.over += 1;
    }
}
