//! One media thread: the loop.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use tokio::sync::mpsc;

use super::clock::{FrameClock, Tick};
use super::leg_table::{LegId, LegTable};
use super::socket::{ClockPair, READY_BATCH, ReadySet, ReceiveBatch};
use super::{MediaNotice, NewLeg, ThreadCommand, ThreadCounters};
use crate::telemetry::health::Heartbeat;

/// How long a thread without legs sleeps on its queue before it shows that it lives.
const IDLE_WAIT: Duration = Duration::from_secs(1);

/// A leg in its place on a thread.
struct Seat {
    new: NewLeg,
    /// Its socket has something to read.
    readable: bool,
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
                if let Some(seat) = self.seats.get_mut(*token) {
                    seat.readable = true;
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
            ThreadCommand::Renegotiate(id, agreed) => {
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
            ThreadCommand::Close(id) => {
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
        self.seats.insert(
            id,
            Seat {
                new,
                readable: false,
                condition: Condition::Well,
            },
        );
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
        let NewLeg { leg, socket, .. } = &mut self.new;
        let (received, emptied) = batch.receive(socket, clocks, |datagram, from, arrival| {
            leg.handle_datagram(datagram, from, arrival);
        });
        self.readable = !emptied;
        received
    }

    /// The leg's next 10 ms; `None` when they complete no packet.
    fn send_frame(&mut self, tick: Tick) -> Option<std::io::Result<()>> {
        let NewLeg { leg, socket, .. } = &mut self.new;
        let (datagram, to) = leg.tick(tick.at)?;
        Some(socket.send(datagram, to))
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

/// Sleeps until `deadline` by the monotonic clock.
fn sleep_until(deadline: Instant) {
    let now = Instant::now();
    if let Some(wait) = deadline.checked_duration_since(now) {
        std::thread::sleep(wait);
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use offhook_media::codec::{Codec, CodecKind};
    use offhook_media::leg::{Leg, LegConfig};
    use offhook_media::mixer::BusBounds;
    use offhook_media::sdp::Direction;
    use offhook_media::sender::StreamStart;
    use offhook_session::agent_session::CALL_SPANS;

    use super::*;
    use crate::media_driver::RtpSocket;
    use crate::telemetry::health::Health;
    use crate::telemetry::tests::logged;

    /// A thread that the test runs itself, its notices, and the far ends of its two legs.
    fn thread_with_two_legs() -> (
        Thread,
        mpsc::Receiver<MediaNotice>,
        [LegId; 2],
        [UdpSocket; 2],
    ) {
        let (_, commands) = crossbeam_channel::bounded(1);
        let (notices, heard) = mpsc::channel(8);
        let heartbeat = Health::new(Instant::now()).watch("media-test", Duration::from_secs(1));
        let counters = Arc::new(ThreadCounters::default());
        let mut thread = Thread::new(commands, notices, counters, heartbeat).expect("epoll");
        let ids = [LegId::new(0, 0), LegId::new(0, 1)];
        let far_ends = ids.map(|id| {
            let far_end = UdpSocket::bind("127.0.0.1:0").expect("a port");
            far_end.set_nonblocking(true).expect("a socket option");
            let config = LegConfig {
                codec: Codec::new(CodecKind::Pcmu),
                telephone_event: None,
                also_accepted: Vec::new(),
                remote: Some(far_end.local_addr().expect("an address")),
                direction: Direction::SendReceive,
                stream: StreamStart {
                    ssrc: 1,
                    sequence: 0,
                    timestamp: 0,
                },
                voice_activity: false,
                no_media_timeout: None,
                bounds: BusBounds::default(),
            };
            thread.open(
                id,
                NewLeg {
                    leg: Box::new(Leg::new(config, Instant::now()).expect("a leg")),
                    socket: RtpSocket::bind(([127, 0, 0, 1], 0).into()).expect("a port"),
                    events: mpsc::channel(8).0,
                    span: tracing::error_span!(target: CALL_SPANS, "call", call_id = %id.as_token()),
                },
            );
            far_end
        });
        (thread, heard, ids, far_ends)
    }

    /// Lets 40 ms pass, and answers how many datagrams each far end got.
    fn packets_in_40_ms(thread: &mut Thread, far_ends: &[UdpSocket; 2]) -> [usize; 2] {
        let mut clock = FrameClock::new(Instant::now());
        for _ in 0..4 {
            let tick = clock.advance(clock.next()).expect("it is due");
            thread.tick(tick);
        }
        far_ends
            .each_ref()
            .map(|far_end| std::iter::from_fn(|| far_end.recv(&mut [0; 1_500]).ok()).count())
    }

    #[test]
    fn a_thread_shows_that_it_lives_before_it_waits_for_anything() {
        let health = Health::new(Instant::now());
        let heartbeat = health.watch("media-test", Duration::from_secs(60));
        let (commands, receiver) = crossbeam_channel::bounded(1);
        commands.send(ThreadCommand::Stop).expect("room for one");
        let counters = Arc::new(ThreadCounters::default());
        Thread::new(receiver, mpsc::channel(1).0, counters, heartbeat)
            .expect("epoll")
            .run();
        assert_eq!(health.stalled(Instant::now()), []);
    }

    #[test]
    fn a_flooded_port_costs_the_others_nothing_and_is_read_on_in_the_next_turn() {
        let (mut thread, _heard, [flooded, _], far_ends) = thread_with_two_legs();
        let seat = thread
            .seats
            .get_mut(flooded.as_token())
            .expect("it is there");
        let to = seat.new.socket.local();
        for _ in 0..200 {
            far_ends[0].send_to(&[0; 172], to).expect("loopback");
        }
        let mut clock = FrameClock::new(Instant::now());
        let mut received = Vec::new();
        for _ in 0..4 {
            let tick = clock.advance(clock.next()).expect("it is due");
            thread.tick(tick);
            received.push(thread.counters.received.load(Ordering::Relaxed));
        }
        assert_eq!(received, [64, 128, 192, 200]);
    }

    #[test]
    fn a_leg_that_panics_ends_alone_and_is_still_handed_back_when_closed() {
        let (mut thread, mut heard, [failing, sound], far_ends) = thread_with_two_legs();
        assert_eq!(packets_in_40_ms(&mut thread, &far_ends), [2, 2]);

        thread.attempt(failing, |_| panic!("as a test wants it"));
        assert_eq!(packets_in_40_ms(&mut thread, &far_ends), [0, 2]);
        thread.attempt(failing, |_| panic!("never run: it is not touched again"));
        thread.attempt(sound, |_| Ok(()));
        assert!(thread.carry_out(ThreadCommand::Close(failing)));
        thread.send_unsent_notices();
        let mut notices = Vec::new();
        while let Ok(notice) = heard.try_recv() {
            notices.push(match notice {
                MediaNotice::Stalled(id) => ("stalled", id),
                MediaNotice::Closed(id, ..) => ("closed", id),
            });
        }
        notices.sort_by_key(|(what, _)| std::cmp::Reverse(*what));
        assert_eq!(notices, [("stalled", failing), ("closed", failing)]);
        assert_eq!(packets_in_40_ms(&mut thread, &far_ends)[1], 2);
    }
    #[test]
    fn what_is_logged_of_a_leg_names_its_call() {
        let log = logged("error", || {
            let (mut thread, _heard, [_, failing], _far_ends) = thread_with_two_legs();
            thread.attempt(failing, |_| panic!("as a test wants it"));
        });
        assert!(log.contains("call{call_id=1}"), "{log}");
        assert!(log.contains("a leg failed"), "{log}");
    }
}
