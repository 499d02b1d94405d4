//! One media thread: the loop.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use offhook_media::leg::RtcpDatagram;
use tokio::sync::mpsc;

use super::clock::{FrameClock, Tick};
use super::leg_table::{LegId, LegTable, first_of};
use super::socket::{ClockPair, READY_BATCH, ReadySet, ReceiveBatch};
use super::{MediaNotice, NewLeg, RtpSocket, ThreadCommand, ThreadCounters};
use crate::captures::{CaptureTap, Way};
use crate::telemetry::health::Heartbeat;

/// How long a thread without legs sleeps on its queue before it shows that it lives.
const IDLE_WAIT: Duration = Duration::from_secs(1);

const HEARD: Way = Way {
    sent: false,
    rtcp_socket: false,
};
const HEARD_BY_RTCP: Way = Way {
    rtcp_socket: true,
    ..HEARD
};
const SENT: Way = Way {
    sent: true,
    ..HEARD
};
const SENT_BY_RTCP: Way = Way {
    rtcp_socket: true,
    ..SENT
};

/// A leg in its place on a thread.
struct Seat {
    new: NewLeg,
    /// Its socket has something to read.
    readable: bool,
    /// Its RTCP socket has.
    rtcp_readable: bool,
    condition: Condition,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Well,
    /// Its session stopped taking events: signalling was told, the rest is discarded.
    Stalled,
    /// It panicked: signalling was told, and nothing touches it until it is closed.
    Failed,
}

pub(super) struct Thread {
    commands: Receiver<ThreadCommand>,
    notices: mpsc::Sender<MediaNotice>,
    /// Notices that must not be lost and found the queue full.
    unsent_notices: Vec<MediaNotice>,
    counters: Arc<ThreadCounters>,
    heartbeat: Heartbeat,
    ready: ReadySet,
    batch: ReceiveBatch,
    seats: LegTable<Seat>,
}

impl Thread {
    pub(super) fn new(
        commands: Receiver<ThreadCommand>,
        notices: mpsc::Sender<MediaNotice>,
        counters: Arc<ThreadCounters>,
        heartbeat: Heartbeat,
    ) -> std::io::Result<Self> {
        Ok(Self {
            commands,
            notices,
            unsent_notices: Vec::new(),
            counters,
            heartbeat,
            ready: ReadySet::new()?,
            batch: ReceiveBatch::new(),
            seats: LegTable::default(),
        })
    }

    /// Runs until told to stop.
    pub(super) fn run(mut self) {
        // Before the first wait: until then the daemon is not ready.
        self.heartbeat.beat(Instant::now());
        loop {
            if !self.run_idle() || !self.run_ticking() {
                return;
            }
        }
    }

    /// Waits on the queue while there is no leg. `false` when told to stop.
    fn run_idle(&mut self) -> bool {
        while self.seats.len() == 0 {
            match self.commands.recv_timeout(IDLE_WAIT) {
                Ok(command) => {
                    if !self.carry_out(command) {
                        return false;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
            self.send_unsent_notices();
            self.heartbeat.beat(Instant::now());
        }
        true
    }

    /// Ticks while there are legs. `false` when told to stop.
    fn run_ticking(&mut self) -> bool {
        let mut clock = FrameClock::new(Instant::now());
        while self.seats.len() > 0 {
            sleep_until(clock.next());
            let Some(tick) = clock.advance(Instant::now()) else {
                continue;
            };
            while let Ok(command) = self.commands.try_recv() {
                if !self.carry_out(command) {
                    return false;
                }
            }
            self.tick(tick);
            self.send_unsent_notices();
            self.heartbeat.beat(Instant::now());
        }
        true
    }

    /// Notes which sockets have something to read.
    fn look(&mut self) {
        let mut tokens = [0; READY_BATCH];
        loop {
            let count = self.ready.ready(&mut tokens);
            for token in &tokens[..count] {
                let (token, is_rtcp) = first_of(*token);
                if let Some(seat) = self.seats.get_mut(token) {
                    seat.readable |= !is_rtcp;
                    seat.rtcp_readable |= is_rtcp;
                }
            }
            if count < READY_BATCH {
                return;
            }
        }
    }

    /// One turn for every leg: what it received, its frame, its datagram, its events. One leg after the
    /// other, and not one step for all after the other: so a leg and its socket are fetched into the
    /// processor's cache once.
    fn tick(&mut self, tick: Tick) {
        self.look();
        let clocks = ClockPair::read();
        let Self {
            seats,
            batch,
            unsent_notices,
            counters,
            ..
        } = self;
        let (mut received, mut sent) = (0, 0);
        for (id, seat) in seats.iter_mut() {
            let outcome = seat.attempt(|seat| {
                if seat.readable {
                    received += seat.receive(batch, clocks);
                }
                match seat.send_frame(tick) {
                    Some(Ok(())) => sent += 1,
                    Some(Err(_)) => {
                        counters.send_failures.fetch_add(1, Ordering::Relaxed);
                    }
                    None => {}
                }
                if seat.rtcp_readable {
                    seat.receive_rtcp(batch, clocks);
                }
                seat.send_report(tick);
                seat.report()
            });
            unsent_notices.extend(outcome.err().map(|_| MediaNotice::Stalled(id)));
        }
        counters.received.fetch_add(received, Ordering::Relaxed);
        counters.sent.fetch_add(sent, Ordering::Relaxed);
        counters.ticks.fetch_add(1, Ordering::Relaxed);
        counters
            .missed_ticks
            .fetch_add(u64::from(tick.missed), Ordering::Relaxed);
    }

    /// Carries out one command. `false` for the command to stop.
    fn carry_out(&mut self, command: ThreadCommand) -> bool {
        match command {
            ThreadCommand::Open(id, new) => self.open(id, *new),
            ThreadCommand::Leg(id, command) => {
                self.attempt(id, |seat| {
                    seat.new.leg.handle_command(command);
                    Ok(())
                });
            }
            ThreadCommand::Renegotiate(id, agreed, rtcp_socket) => {
                if let Some(socket) = rtcp_socket {
                    self.watch_rtcp(id, &socket);
                    self.attempt(id, |seat| {
                        seat.new.rtcp_socket = Some(socket);
                        Ok(())
                    });
                }
                self.attempt(id, |seat| {
                    // The call agrees to nothing that a leg cannot do, so this is out of memory.
                    let outcome = seat.new.leg.renegotiate(&agreed, Instant::now());
                    outcome.map_err(|error| {
                        let _in_call = seat.new.span.enter();
                        tracing::error!(%error, "a leg could not be re-negotiated");
                        EndCall
                    })
                });
            }
            ThreadCommand::Capture(id, tap) => self.attempt(id, |seat| {
                seat.new.capture = tap;
                Ok(())
            }),
            ThreadCommand::Close(id) => {
                self.attempt(id, |seat| {
                    seat.say_goodbye();
                    Ok(())
                });
                if let Some(seat) = self.seats.remove(id) {
                    self.counters.legs.fetch_sub(1, Ordering::Relaxed);
                    let NewLeg { leg, span, .. } = seat.new;
                    self.unsent_notices.push(MediaNotice::Closed(id, leg, span));
                }
            }
            ThreadCommand::Stop => return false,
        }
        true
    }

    fn open(&mut self, id: LegId, new: NewLeg) {
        if let Err(error) = self.ready.add(&new.socket, id.as_token()) {
            let _in_call = new.span.enter();
            tracing::error!(%error, "a leg's socket could not be watched; its call is ended");
            self.unsent_notices.push(MediaNotice::Stalled(id));
        }
        if let Some(socket) = &new.rtcp_socket {
            self.watch_rtcp(id, socket);
        }
        self.seats.insert(
            id,
            Seat {
                new,
                readable: false,
                rtcp_readable: false,
                condition: Condition::Well,
            },
        );
    }

    /// Without being watched an RTCP socket is not read, and the call goes on.
    fn watch_rtcp(&self, id: LegId, socket: &RtpSocket) {
        if let Err(error) = self.ready.add(socket, id.as_rtcp_token()) {
            tracing::debug!(%error, "a leg's RTCP socket is not watched");
        }
    }

    /// Does one leg's work, if the leg is here.
    fn attempt(&mut self, id: LegId, work: impl FnOnce(&mut Seat) -> Result<(), EndCall>) {
        if let Some(seat) = self.seats.get_mut(id.as_token())
            && seat.attempt(work).is_err()
        {
            self.unsent_notices.push(MediaNotice::Stalled(id));
        }
    }

    /// Sends the notices that found the queue full before. Their number is bounded by the legs'.
    fn send_unsent_notices(&mut self) {
        while let Some(notice) = self.unsent_notices.pop() {
            if let Err(mpsc::error::TrySendError::Full(notice)) = self.notices.try_send(notice) {
                self.unsent_notices.push(notice);
                return;
            }
        }
    }
}

/// Signalling is to be told that this leg's call must end.
#[derive(Debug, PartialEq, Eq)]
struct EndCall;

impl Seat {
    /// Does a leg's work. A panic in it is this leg's end and nobody else's.
    fn attempt(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(), EndCall>,
    ) -> Result<(), EndCall> {
        if self.condition == Condition::Failed {
            return Ok(());
        }
        // What the panic left half done is the seat's own and is not looked at again.
        catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|_| {
            let _in_call = self.new.span.enter();
            tracing::error!("a leg failed; its call is ended");
            self.condition = Condition::Failed;
            Err(EndCall)
        })
    }

    /// Hands what waits in the socket to the leg; answers how many datagrams that were. What a flood
    /// leaves in the socket stays for the next turn, since the kernel tells of it only once.
    fn receive(&mut self, batch: &mut ReceiveBatch, clocks: ClockPair) -> u64 {
        let NewLeg {
            leg,
            socket,
            capture,
            ..
        } = &mut self.new;
        let (received, emptied) = batch.receive(socket, clocks, |datagram, from, arrival| {
            note(capture, HEARD, datagram, from, arrival);
            leg.handle_datagram(datagram, from, arrival);
        });
        self.readable = !emptied;
        received
    }

    /// The same of the RTCP socket.
    fn receive_rtcp(&mut self, batch: &mut ReceiveBatch, clocks: ClockPair) {
        let NewLeg {
            leg,
            rtcp_socket,
            capture,
            ..
        } = &mut self.new;
        if let Some(socket) = rtcp_socket {
            let (_, emptied) = batch.receive(socket, clocks, |datagram, from, arrival| {
                note(capture, HEARD_BY_RTCP, datagram, from, arrival);
                leg.handle_rtcp(datagram, from, arrival);
            });
            self.rtcp_readable = !emptied;
        }
    }

    /// Sends the RTCP report that is due, every few seconds. A lost one is no harm.
    fn send_report(&mut self, tick: Tick) {
        let NewLeg {
            leg,
            socket,
            rtcp_socket,
            quality,
            capture,
            ..
        } = &mut self.new;
        if !leg.is_report_due(tick.at) {
            return;
        }
        // The true time: the far end sends it back, and the round trip is measured by it.
        if let Some(report) = leg.make_report(Instant::now()) {
            send_rtcp(&report, socket, rtcp_socket, capture);
        }
        quality.note(&leg.statistics());
    }

    /// Sends the leg's last word, and leaves its last figures behind.
    fn say_goodbye(&mut self) {
        let NewLeg {
            leg,
            socket,
            rtcp_socket,
            quality,
            capture,
            ..
        } = &mut self.new;
        if let Some(report) = leg.goodbye(Instant::now()) {
            send_rtcp(&report, socket, rtcp_socket, capture);
        }
        quality.note(&leg.statistics());
    }

    /// The leg's next 10 ms; `None` when they complete no packet.
    fn send_frame(&mut self, tick: Tick) -> Option<std::io::Result<()>> {
        let NewLeg {
            leg,
            socket,
            capture,
            ..
        } = &mut self.new;
        let (datagram, to) = leg.tick(tick.at)?;
        let sent = socket.send(datagram, to);
        if sent.is_ok() && capture.is_some() {
            note(capture, SENT, datagram, to, Instant::now());
        }
        Some(sent)
    }

    /// Passes the leg's events to the session.
    fn report(&mut self) -> Result<(), EndCall> {
        let mut outcome = Ok(());
        while let Some(event) = self.new.leg.poll_event() {
            if self.condition == Condition::Stalled {
                continue;
            }
            // A session that ended closes its queue; only one that is full and alive has stalled.
            if let Err(mpsc::error::TrySendError::Full(_)) = self.new.events.try_send(event) {
                self.condition = Condition::Stalled;
                outcome = Err(EndCall);
            }
        }
        outcome
    }
}

/// Sends a leg's RTCP, by RTP's socket where they share a port, or where there is no other. A lost one is no harm.
fn send_rtcp(
    report: &RtcpDatagram<'_>,
    rtp: &RtpSocket,
    rtcp: &Option<RtpSocket>,
    capture: &mut Option<CaptureTap>,
) {
    let (socket, way) = match rtcp.as_ref().filter(|_| !report.multiplexed) {
        Some(rtcp) => (rtcp, SENT_BY_RTCP),
        None => (rtp, SENT),
    };
    if socket.send(report.bytes, report.to).is_ok() && capture.is_some() {
        note(capture, way, report.bytes, report.to, Instant::now());
    }
}

/// Notes a datagram where the call is captured; one comparison where it is not.
fn note(
    capture: &mut Option<CaptureTap>,
    way: Way,
    datagram: &[u8],
    remote: SocketAddr,
    at: Instant,
) {
    if let Some(capture) = capture {
        capture.note(way, datagram, remote, at);
    }
}

/// Sleeps until `deadline` by the monotonic clock.
fn sleep_until(deadline: Instant) {
    let now = Instant::now();
    if let Some(wait) = deadline.checked_duration_since(now) {
        std::thread::sleep(wait);
    }
}

#[cfg(test)]
mod tests;
