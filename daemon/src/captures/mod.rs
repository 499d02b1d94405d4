//! Captures: everything of one call that went over the wire, kept in memory and saved as pcap.
//!
//! ```text
//! media thread ─► CaptureTap ─(ring of bytes)─► ┐
//! signalling   ─► message ─────(queue)────────► │ the captures' thread: one Store a call ─► file, HTTP answer
//! HTTP         ─► save ────────(queue)────────► ┘
//! ```
//!
//! Off unless asked for; then one thread owns everything that is kept, so that nothing is locked: it empties the rings
//! five times a second. A media thread copies a datagram into its leg's ring and goes on. What is kept of a call has a
//! bound, and so has the number of calls.
//!
//! A capture holds everything: numbers, addresses, keys in SDP, speech, and each digit, as an event, a tone or an INFO.
//! It is never logged; its file is for its owner alone.

mod pcap;
mod store;
mod tap;

use std::collections::{HashMap, VecDeque};
use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use offhook_session::agent_session::CallId;
use tokio::sync::oneshot;

use pcap::Packet;
use store::Store;
use tap::TapReader;

use crate::private_file;

pub use store::{MEDIA_BYTES, SIGNALLING_BYTES, Saved};
pub use tap::{CaptureTap, Way};

/// How many calls are captured at once; another is not.
pub const CALLS: usize = 64;
/// How many captures of calls that are over are kept; the oldest makes room.
pub const FINISHED: usize = 16;
/// How long a capture is kept when its call is over.
pub const KEPT_FOR: Duration = Duration::from_secs(600);
/// How long a capture goes on when its call is over: a far end whose answer was lost repeats its BYE.
pub const LINGER: Duration = Duration::from_secs(5);
/// How many messages and commands may wait for the thread.
const QUEUE: usize = 4_096;
/// Places that messages leave to commands, which must not be lost.
const KEPT_FOR_COMMANDS: usize = 512;
/// How often rings are emptied.
const PERIOD: Duration = Duration::from_millis(200);
/// How long the thread sleeps on its queue while nothing is captured.
const IDLE: Duration = Duration::from_secs(60);

/// What the captures' thread is told.
enum Work {
    Begin {
        call: CallId,
        began: Duration,
        to_file: bool,
    },
    Message(CallId, Packet),
    Media(CallId, TapReader),
    End(CallId, Duration),
    Save(CallId, oneshot::Sender<Option<Saved>>),
    Finish,
}

/// Where one call's capture counts its time from.
#[derive(Clone, Copy, Debug)]
pub struct Began(Instant);

/// The thread's front.
#[derive(Debug)]
pub struct Captures {
    folder: Option<PathBuf>,
    /// Started when the first call is captured. Taken by who begins, saves and ends; never by a media thread.
    thread: Mutex<Option<Running>>,
    /// Messages and commands that found no room.
    lost: AtomicU64,
}

#[derive(Debug)]
struct Running {
    work: Sender<Work>,
    join: JoinHandle<()>,
}

impl Captures {
    /// Files of calls that are captured by configuration go to `folder`, which is made when there is one; without it
    /// they are kept in memory alone.
    #[must_use]
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            thread: Mutex::new(None),
            lost: AtomicU64::new(0),
        }
    }

    /// Begins a call's capture, whose first packet may be as old as `since`. `to_file` has it written when the call is
    /// over. `None`, with a warning, where the thread cannot be had.
    pub fn begin(&self, call: &CallId, since: Instant, to_file: bool) -> Option<Began> {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        let began = wall.unwrap_or_default().saturating_sub(since.elapsed());
        let call = call.clone();
        let sent = self.tell(Work::Begin {
            call,
            began,
            to_file,
        });
        sent.then_some(Began(since))
    }

    /// The tap for the leg of a call, whose sockets are where `rtp` and `rtcp` say.
    pub fn tap(
        &self,
        call: &CallId,
        began: Began,
        rtp: SocketAddr,
        rtcp: SocketAddr,
    ) -> Option<CaptureTap> {
        let (tap, reader) = tap::tap(began.0, rtp, rtcp);
        self.tell(Work::Media(call.clone(), reader)).then_some(tap)
    }

    /// Notes a SIP message of a call. Without room in the queue it is lost, with a warning.
    pub fn message(
        &self,
        call: &CallId,
        began: Began,
        at: Instant,
        (source, destination): (SocketAddr, SocketAddr),
        bytes: &[u8],
    ) {
        let packet = Packet {
            at_us: at.saturating_duration_since(began.0).as_micros() as u64,
            source,
            destination,
            bytes: bytes.into(),
        };
        self.tell(Work::Message(call.clone(), packet));
    }

    /// A call is over: its capture is whole `after` a while, for what repeats ([`LINGER`]).
    pub fn end(&self, call: &CallId, after: Duration) {
        self.tell(Work::End(call.clone(), after));
    }

    /// What is kept of a call now: while it is up, and for [`KEPT_FOR`] afterwards.
    pub async fn save(&self, call: &CallId) -> Option<Saved> {
        let (reply, saved) = oneshot::channel();
        let running = self.running().as_ref().map(|it| it.work.clone())?;
        running.try_send(Work::Save(call.clone(), reply)).ok()?;
        saved.await.ok().flatten()
    }

    /// Writes what is to be written, to be called when every call is over. Blocks meanwhile.
    pub fn finish(&self) {
        let running = self.running().take();
        if let Some(Running { work, join }) = running
            && work.send(Work::Finish).is_ok()
            && join.join().is_err()
        {
            tracing::error!("the captures' thread had ended by a fault");
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the thread has it.
    fn tell(&self, work: Work) -> bool {
        let mut running = self.running();
        if running.is_none() {
            match start(self.folder.clone()) {
                Ok(started) => *running = Some(started),
                Err(error) => {
                    tracing::error!(%error, "calls cannot be captured");
                    return false;
                }
            }
        }
        let told = running.as_ref().is_some_and(|Running { work: queue, .. }| {
            let is_message = matches!(work, Work::Message(..));
            let has_room = !is_message || queue.len() < QUEUE - KEPT_FOR_COMMANDS;
            has_room && queue.try_send(work).is_ok()
        });
        if !told {
            let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
            // Once for many: they are lost in bursts.
            if lost.is_power_of_two() {
                tracing::warn!(lost, "the captures' queue is full; captures have gaps");
            }
        }
        told
    }
}

fn start(folder: Option<PathBuf>) -> std::io::Result<Running> {
    let (work, receiver) = crossbeam_channel::bounded(QUEUE);
    let join = std::thread::Builder::new()
        .name("captures".to_owned())
        .spawn(move || Keeper::new(folder).run(&receiver))?;
    Ok(Running { work, join })
}

/// One call's capture.
struct Capture {
    store: Store,
    taps: Vec<TapReader>,
    to_file: bool,
    /// When it is whole; `None` while its call is up.
    ends_at: Option<Instant>,
}

impl Capture {
    /// Takes what the rings hold, and lets go of those whose legs are gone.
    fn drain(&mut self) {
        let media = &mut self.store.media;
        self.taps.retain_mut(|tap| {
            // Asked before reading: a leg that is gone adds nothing after this.
            let gone = tap.is_abandoned();
            tap.drain(|packet, lost| {
                media.note_lost(lost);
                media.push(packet);
            });
            !gone
        });
    }
}

/// What the thread keeps.
struct Keeper {
    folder: Option<PathBuf>,
    live: HashMap<CallId, Capture>,
    /// Rings of captures that were stopped, until their media threads have let go of them: who lets go last frees one.
    released: Vec<TapReader>,
    /// Calls that are over, the oldest first, and until when they are kept.
    finished: VecDeque<(Instant, CallId, Saved)>,
}

impl Keeper {
    fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            live: HashMap::new(),
            released: Vec::new(),
            finished: VecDeque::new(),
        }
    }

    fn run(mut self, work: &Receiver<Work>) {
        let mut next_round = Instant::now();
        loop {
            match work.recv_deadline(next_round) {
                Ok(Work::Finish) | Err(RecvTimeoutError::Disconnected) => {
                    self.finish_all();
                    return;
                }
                Ok(work) => {
                    let was_idle = self.live.is_empty();
                    self.take(work);
                    if was_idle && !self.live.is_empty() {
                        next_round = Instant::now() + PERIOD;
                    }
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = Instant::now();
            self.round(now);
            let is_idle = self.live.is_empty() && self.released.is_empty();
            let pause = if is_idle { IDLE } else { PERIOD };
            next_round = now + pause;
        }
    }

    fn take(&mut self, work: Work) {
        match work {
            Work::Begin {
                call,
                began,
                to_file,
            } => {
                self.live.entry(call).or_insert_with(|| Capture {
                    store: Store::new(began),
                    taps: Vec::new(),
                    to_file,
                    ends_at: None,
                });
            }
            Work::Message(call, packet) => {
                if let Some(capture) = self.live.get_mut(&call) {
                    capture.store.signalling.push(packet);
                }
            }
            Work::Media(call, tap) => {
                if let Some(capture) = self.live.get_mut(&call) {
                    capture.taps.push(tap);
                }
            }
            Work::End(call, after) => {
                let now = Instant::now();
                if after.is_zero() {
                    self.conclude(&call, now);
                } else if let Some(capture) = self.live.get_mut(&call) {
                    capture.ends_at.get_or_insert(now + after);
                }
            }
            Work::Save(call, reply) => {
                // Whoever asked may have gone.
                let _ = reply.send(self.save(&call));
            }
            Work::Finish => {}
        }
    }

    fn save(&mut self, call: &CallId) -> Option<Saved> {
        if let Some(capture) = self.live.get_mut(call) {
            capture.drain();
            return Some(capture.store.save());
        }
        let finished = self.finished.iter().rev().find(|(_, id, _)| id == call);
        finished.map(|(_, _, saved)| saved.clone())
    }

    /// Empties the rings and lets go of what is over.
    fn round(&mut self, now: Instant) {
        self.released.retain(|tap| !tap.is_abandoned());
        let mut over = Vec::new();
        for (call, capture) in &mut self.live {
            capture.drain();
            if capture.ends_at.is_some_and(|at| at <= now) {
                over.push(call.clone());
            }
        }
        for call in over {
            self.conclude(&call, now);
        }
        while self
            .finished
            .front()
            .is_some_and(|(until, ..)| *until <= now)
        {
            self.finished.pop_front();
        }
    }

    fn finish_all(&mut self) {
        let now = Instant::now();
        let live: Vec<CallId> = self.live.keys().cloned().collect();
        for call in live {
            self.conclude(&call, now);
        }
    }

    /// Writes a capture where that is wanted, and keeps it for who asks later.
    fn conclude(&mut self, call: &CallId, now: Instant) {
        let Some(mut capture) = self.live.remove(call) else {
            return;
        };
        capture.drain();
        self.released.append(&mut capture.taps);
        let saved = capture.store.save();
        if let Some(folder) = self.folder.as_ref().filter(|_| capture.to_file) {
            let path = folder.join(format!("{call}.pcap"));
            let (packets, dropped) = (saved.packets, saved.dropped);
            match write(&path, &saved.file) {
                Ok(()) => {
                    tracing::info!(call_id = %call, path = %path.display(), packets, dropped, "a call's capture is written");
                }
                Err(error) => {
                    tracing::error!(call_id = %call, path = %path.display(), %error, "a call's capture is not written");
                }
            }
        }
        if self.finished.len() == FINISHED {
            self.finished.pop_front();
        }
        self.finished
            .push_back((now + KEPT_FOR, call.clone(), saved));
    }
}

/// Writes a file that is its owner's alone.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = private_file::open(path, options.create(true).truncate(true))?;
    // One that was there has a mode of its own.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests;
