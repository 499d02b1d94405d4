//! N telephone calls at once against one process, which is measured from outside meanwhile.
//!
//! ```text
//!  set up (paced) ──► settle 1 s ──► measure for T seconds ──► BYE (paced) ──► report
//!                                    processor clock, memory, dropped datagrams,
//!                                    sequence numbers, kernel receive time stamps
//! ```
//!
//! Every call has a UDP socket of its own and sends a frame each 20 ms, its phase its own: N calls are spread
//! evenly over the frame. One thread does all of it in slots of half a millisecond: send what is due, read what has
//! come. The load's own lateness is part of the report, because an echo hands it back as its own.

mod call;
mod format;
mod gaps;
mod report;
pub mod signalling;
mod sockets;
pub(crate) mod talker;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use call::{LoadCall, State};
pub use format::Format;
pub use gaps::Gaps;
pub use report::LoadReport;
use sockets::{Poll, Reader, monotonic_ns, sharpen_timers, sleep_until_ns, stamped_socket};
use talker::Talker;
pub use talker::{detector_decides_ms, talkers_samples};

use crate::ports::PortBlock;
use crate::process_gauge::{Memory, ProcessGauge, dropped_datagrams};
use crate::sip_text;

/// Sending and reading happen once in each slot.
const SLOT_NS: u64 = 500_000;
/// One frame of audio.
pub(crate) const FRAME_NS: u64 = 20_000_000;
/// After the last answer, before measuring begins: jitter buffers fill, caches warm.
const SETTLE_NS: u64 = 1_000_000_000;
/// How long answers may take after the last request was due.
const PATIENCE_NS: u64 = 10_000_000_000;
/// The name of the SIP socket among the watched sockets; calls go by their index.
const SIP: u64 = u64::MAX;

/// What to do to whom.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// The peer's SIP address (UDP).
    pub target: SocketAddr,
    /// The user part of the request URI: which agent answers.
    pub user: String,
    /// The peer's process id: whose processor time and memory are read.
    pub peer_pid: u32,
    /// In which form the callers speak.
    pub format: Format,
    /// Whether the callers are quiet for four seconds and then speak for one, each at a time of its own, in PCMU;
    /// otherwise they speak 40 % of the time.
    pub interrupts: bool,
    /// What is taken off the time that a caller who has finished waits for an answer: what the peer is known to wait.
    pub answer_waits: Duration,
    /// Calls at once, 1 to 2,000.
    pub calls: usize,
    /// New calls a second while setting up, at least 1.
    pub calls_per_second: u64,
    /// How long to measure with all calls up.
    pub window: Duration,
}

/// Sets the calls up, measures, ends them, and reports. Takes about `2 × calls / calls_per_second + window + 1 s`, and
/// never more than 20 s above that.
///
/// # Errors
/// When our own sockets cannot be made, or the peer's process ends. Calls that fail are no error: the report counts
/// them by reason.
pub fn run(plan: &LoadPlan) -> io::Result<LoadReport> {
    measure_until(plan, || false)
}

/// As [`run`], but measures while `trouble` is at work on a thread of its own, and at most for the plan's window. Gives
/// the report and what `trouble` found.
///
/// # Errors
/// As [`run`].
///
/// # Panics
/// When `trouble` panics.
pub fn run_during<T: Send>(
    plan: &LoadPlan,
    trouble: impl FnOnce() -> T + Send,
) -> io::Result<(LoadReport, T)> {
    std::thread::scope(|scope| {
        let mut waiting = Some(trouble);
        let mut working = None;
        let report = measure_until(plan, || match waiting.take() {
            Some(trouble) => {
                working = Some(scope.spawn(trouble));
                false
            }
            None => working.as_ref().is_some_and(|worker| worker.is_finished()),
        })?;
        let worker = working.ok_or_else(|| io::Error::other("the calls were never measured"))?;
        Ok((report, worker.join().expect("trouble that does not panic")))
    })
}

fn measure_until(plan: &LoadPlan, is_done: impl FnMut() -> bool) -> io::Result<LoadReport> {
    let mut load = Load::new(plan)?;
    load.set_up()?;
    let before = load.snapshot()?;
    load.measure(is_done)?;
    let after = load.snapshot()?;
    load.end()?;
    Ok(load.report(&before, &after))
}

/// Everything read from outside at one moment.
struct Snapshot {
    at_ns: u64,
    processor_time: Duration,
    memory: Memory,
    dropped_by_peer: u64,
    dropped_by_us: u64,
}

struct Load<'plan> {
    plan: &'plan LoadPlan,
    gauge: ProcessGauge,
    idle_memory: Memory,
    sip: UdpSocket,
    poll: Poll,
    reader: Reader,
    calls: Vec<LoadCall>,
    talker: Talker,
    started_ns: u64,
    window: Window,
    _ports: PortBlock,
}

/// What is counted while measuring, over all calls.
#[derive(Debug, Default)]
struct Window {
    open: bool,
    sent: u64,
    speech_sent: u64,
    not_sent: u64,
    late: Gaps,
    gaps: Gaps,
    fell_silent: Gaps,
    unheeded: u64,
    answered: Gaps,
    unanswered: u64,
    answer_waits: Duration,
    received: u64,
    audible: u64,
}

impl<'plan> Load<'plan> {
    fn new(plan: &'plan LoadPlan) -> io::Result<Self> {
        let calls = plan.calls.clamp(1, 2_000) as u16;
        let ports = PortBlock::take(calls * 2 + 16)?;
        let sip = stamped_socket(ports.address(1))?;
        let poll = Poll::new(plan.calls + 1)?;
        poll.watch(&sip, SIP)?;
        let run = std::process::id();
        let mut media_sockets = ports
            .run(2)
            .step_by(2)
            .filter_map(|port| media_pair(port).ok());
        let mut load_calls = Vec::new();
        for index in 0..calls {
            let (rtp, rtcp) = media_sockets.next().ok_or(io::ErrorKind::AddrInUse)?;
            poll.watch(&rtp, u64::from(index))?;
            let call_id = format!("load-{run}-{index}");
            let caller = sip_text::Caller::new(sip.local_addr()?, plan.target, &plan.user, call_id);
            load_calls.push(LoadCall::new(
                caller,
                rtp,
                rtcp,
                plan.format,
                usize::from(index),
                usize::from(calls),
            ));
        }
        let gauge = ProcessGauge::new(plan.peer_pid);
        sharpen_timers();
        Ok(Self {
            plan,
            gauge,
            idle_memory: gauge.memory()?,
            sip,
            poll,
            reader: Reader::new(),
            calls: load_calls,
            talker: if plan.interrupts {
                Talker::interrupting()
            } else {
                Talker::new(plan.format)
            },
            started_ns: monotonic_ns(),
            window: Window::default(),
            _ports: ports,
        })
    }

    /// Starts the calls one by one until each is answered or has failed, then lets them settle.
    fn set_up(&mut self) -> io::Result<()> {
        let interval_ns = 1_000_000_000 / self.plan.calls_per_second.max(1);
        let give_up_ns = self.started_ns + self.calls.len() as u64 * interval_ns + PATIENCE_NS;
        let mut started = 0;
        loop {
            let now_ns = self.slot()?;
            while started < self.calls.len()
                && self.started_ns + started as u64 * interval_ns <= now_ns
            {
                self.calls[started].invite(&self.sip, now_ns)?;
                started += 1;
            }
            if started == self.calls.len() && self.calls.iter().all(|call| call.state.is_settled())
            {
                break;
            }
            if now_ns > give_up_ns {
                self.calls
                    .iter_mut()
                    .for_each(|call| call.give_up("no answer to INVITE"));
                break;
            }
        }
        self.run_until(monotonic_ns() + SETTLE_NS)
    }

    fn measure(&mut self, mut is_done: impl FnMut() -> bool) -> io::Result<()> {
        self.calls.iter_mut().for_each(LoadCall::forget_counts);
        self.window = Window {
            open: true,
            answer_waits: self.plan.answer_waits,
            ..Window::default()
        };
        let end_ns = monotonic_ns() + self.plan.window.as_nanos() as u64;
        while self.slot()? < end_ns && !is_done() {}
        self.window.open = false;
        Ok(())
    }

    /// Hangs up call by call and waits for the answers.
    fn end(&mut self) -> io::Result<()> {
        let interval_ns = 1_000_000_000 / self.plan.calls_per_second.max(1);
        let begun_ns = monotonic_ns();
        let give_up_ns = begun_ns + self.calls.len() as u64 * interval_ns + PATIENCE_NS / 2;
        let mut ended = 0;
        loop {
            let now_ns = self.slot()?;
            while ended < self.calls.len() && begun_ns + ended as u64 * interval_ns <= now_ns {
                self.calls[ended].bye(&self.sip, now_ns)?;
                ended += 1;
            }
            if ended == self.calls.len() && self.calls.iter().all(|call| call.state.is_over()) {
                return Ok(());
            }
            if now_ns > give_up_ns {
                self.calls
                    .iter_mut()
                    .for_each(|call| call.give_up("no answer to BYE"));
                return Ok(());
            }
        }
    }

    fn run_until(&mut self, end_ns: u64) -> io::Result<()> {
        while self.slot()? < end_ns {}
        Ok(())
    }

    /// Sleeps to the beginning of the next slot, sends what is due, reads what has come. Gives the time.
    fn slot(&mut self) -> io::Result<u64> {
        let next = (monotonic_ns() - self.started_ns) / SLOT_NS + 1;
        sleep_until_ns(self.started_ns + next * SLOT_NS);
        let now_ns = monotonic_ns();
        for call in &mut self.calls {
            match call.state {
                State::Up { next_send_ns } if next_send_ns <= now_ns => {
                    call.send_frame(&self.talker, now_ns, &mut self.window);
                }
                State::Inviting { resend_ns } | State::Leaving { resend_ns }
                    if resend_ns <= now_ns =>
                {
                    call.resend(&self.sip, now_ns)?;
                }
                State::Waiting
                | State::Inviting { .. }
                | State::Up { .. }
                | State::Leaving { .. }
                | State::Over
                | State::Failed(_) => {}
            }
        }
        self.read(now_ns)?;
        Ok(now_ns)
    }

    fn read(&mut self, now_ns: u64) -> io::Result<()> {
        let Self {
            poll,
            reader,
            calls,
            sip,
            window,
            started_ns,
            plan,
            ..
        } = self;
        for name in poll.ready(Duration::ZERO)? {
            if name == SIP {
                reader.read(sip, |bytes, _| {
                    // A send that fails here is repeated by the one who misses it, as UDP wants.
                    let _ = take_sip(calls, sip, bytes, now_ns, *started_ns);
                })?;
            } else if let Some(call) = calls.get_mut(name as usize) {
                let LoadCall { rtp, counts, .. } = call;
                reader.read(rtp, |bytes, arrival_ns| {
                    counts.take_rtp(bytes, arrival_ns, plan.format, window)
                })?;
            }
        }
        Ok(())
    }

    fn snapshot(&self) -> io::Result<Snapshot> {
        let theirs: BTreeSet<u16> = self
            .calls
            .iter()
            .filter_map(|call| Some(call.remote_media?.port()))
            .collect();
        let ours: BTreeSet<u16> = self
            .calls
            .iter()
            .filter_map(|call| Some(call.rtp.local_addr().ok()?.port()))
            .collect();
        Ok(Snapshot {
            at_ns: monotonic_ns(),
            processor_time: self.gauge.processor_time()?,
            memory: self.gauge.memory()?,
            dropped_by_peer: dropped_datagrams(&theirs)?,
            dropped_by_us: dropped_datagrams(&ours)?,
        })
    }

    fn report(self, before: &Snapshot, after: &Snapshot) -> LoadReport {
        let up = self.calls.iter().filter(|call| call.was_up).count();
        let mut failures = BTreeMap::new();
        for call in &self.calls {
            if let State::Failed(reason) = &call.state {
                *failures.entry(reason.clone()).or_insert(0) += 1;
            }
        }
        LoadReport {
            calls: self.plan.calls,
            up,
            failures,
            seconds: (after.at_ns - before.at_ns) as f64 / 1e9,
            processor_s: (after.processor_time - before.processor_time).as_secs_f64(),
            idle_memory: self.idle_memory,
            loaded_memory: after.memory,
            sent: self.window.sent,
            not_sent: self.window.not_sent,
            received: self.window.received,
            dropped_by_peer: after.dropped_by_peer - before.dropped_by_peer,
            dropped_by_us: after.dropped_by_us - before.dropped_by_us,
            missing: self.calls.iter().map(|call| call.counts.missing()).sum(),
            speech_sent: self.window.speech_sent,
            audible: self.window.audible,
            gaps: self.window.gaps,
            fell_silent: self.window.fell_silent,
            unheeded: self.window.unheeded,
            answered: self.window.answered,
            unanswered: self.window.unanswered,
            late: self.window.late,
        }
    }
}

/// An even port for RTP and the odd one above it, which only exists so that a peer's RTCP is not answered with ICMP.
fn media_pair(port: u16) -> io::Result<(UdpSocket, UdpSocket)> {
    let rtp = stamped_socket(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    let rtcp = UdpSocket::bind((Ipv4Addr::LOCALHOST, port + 1))?;
    Ok((rtp, rtcp))
}

/// Finds the call a SIP datagram belongs to and lets it answer.
fn take_sip(
    calls: &mut [LoadCall],
    sip: &UdpSocket,
    bytes: &[u8],
    now_ns: u64,
    started_ns: u64,
) -> io::Result<()> {
    let Ok(message) = std::str::from_utf8(bytes) else {
        return Ok(());
    };
    let index = sip_text::header(message, "Call-ID")
        .and_then(|id| id.rsplit('-').next()?.parse::<usize>().ok());
    match index.and_then(|index| calls.get_mut(index)) {
        Some(call) => call.take_sip(sip, message, now_ns, started_ns),
        None => Ok(()),
    }
}
