//! One media thread: the loop.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use offhook_media::control::LegEvent;
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
    /// Its session stopped taking events: signalling was told, the rest is discarded.
    stalled: bool,
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
            self.receive();
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

    /// Hands every waiting datagram to its leg.
    fn receive(&mut self) {
        let clocks = ClockPair::read();
        let mut tokens = [0; READY_BATCH];
        loop {
            let count = self.ready.ready(&mut tokens);
            for token in &tokens[..count] {
                let Some(seat) = self.seats.get_mut(*token) else {
                    continue;
                };
                let NewLeg { leg, socket, .. } = &mut seat.new;
                let received = self
                    .batch
                    .receive(socket, clocks, |datagram, from, arrival| {
                        leg.handle_datagram(datagram, from, arrival);
                    });
                self.counters
                    .received
                    .fetch_add(received, Ordering::Relaxed);
            }
            if count < READY_BATCH {
                return;
            }
        }
    }

    /// One frame for every leg.
    fn tick(&mut self, tick: Tick) {
        self.counters.ticks.fetch_add(1, Ordering::Relaxed);
        self.counters
            .missed_ticks
            .fetch_add(u64::from(tick.missed), Ordering::Relaxed);
        let mut sent = 0;
        for (id, seat) in self.seats.iter_mut() {
            if let Some((datagram, to)) = seat.new.leg.tick(tick.at) {
                match seat.new.socket.send(datagram, to) {
                    Ok(()) => sent += 1,
                    Err(_) => {
                        self.counters.send_failures.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            while let Some(event) = seat.new.leg.poll_event() {
                seat.report(id, event, &mut self.unsent_notices);
            }
        }
        self.counters.sent.fetch_add(sent, Ordering::Relaxed);
    }

    /// Carries out one command. `false` for the command to stop.
    fn carry_out(&mut self, command: ThreadCommand) -> bool {
        match command {
            ThreadCommand::Open(id, new) => self.open(id, *new),
            ThreadCommand::Leg(id, command) => {
                if let Some(seat) = self.seats.get_mut(id.as_token()) {
                    seat.new.leg.handle_command(command);
                }
            }
            ThreadCommand::Renegotiate(id, agreed) => {
                if let Some(seat) = self.seats.get_mut(id.as_token())
                    && let Err(error) = seat.new.leg.renegotiate(&agreed, Instant::now())
                {
                    // The call agrees to nothing that a leg cannot do, so this is out of memory.
                    tracing::error!(%error, "a leg could not be re-negotiated");
                    self.unsent_notices.push(MediaNotice::Stalled(id));
                }
            }
            ThreadCommand::Close(id) => {
                if let Some(seat) = self.seats.remove(id) {
                    self.counters.legs.fetch_sub(1, Ordering::Relaxed);
                    self.unsent_notices
                        .push(MediaNotice::Closed(id, seat.new.leg));
                }
            }
            ThreadCommand::Stop => return false,
        }
        true
    }

    fn open(&mut self, id: LegId, new: NewLeg) {
        if let Err(error) = self.ready.add(&new.socket, id.as_token()) {
            tracing::error!(%error, "a leg's socket could not be watched; its call is ended");
            self.unsent_notices.push(MediaNotice::Stalled(id));
        }
        self.seats.insert(
            id,
            Seat {
                new,
                stalled: false,
            },
        );
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

impl Seat {
    /// Passes an event to the session.
    fn report(&mut self, id: LegId, event: LegEvent, unsent: &mut Vec<MediaNotice>) {
        if self.stalled {
            return;
        }
        // A session that ended closes its queue; only one that is full and alive has stalled.
        if let Err(mpsc::error::TrySendError::Full(_)) = self.new.events.try_send(event) {
            self.stalled = true;
            unsent.push(MediaNotice::Stalled(id));
        }
    }
}

/// Sleeps until `deadline` by the monotonic clock.
fn sleep_until(deadline: Instant) {
    let now = Instant::now();
    if let Some(wait) = deadline.checked_duration_since(now) {
        std::thread::sleep(wait);
    }
}
