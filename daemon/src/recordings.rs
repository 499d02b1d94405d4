//! Recordings of calls, and messages that callers leave: from the ring of a leg's tap to a WAV file, off the media
//! threads.
//!
//! One thread serves every recording: it wakes a few times a second, takes what the rings hold and
//! writes it. Each second of audio the file is made readable as far as it goes, so that the end of the
//! process, however sudden, costs what a ring holds and a second: 1.2 s, unless the disk hesitates.
//!
//! A recording whose file cannot be written, or is not there any more, is ended and reported once; the
//! call goes on.

use std::fs::{File, OpenOptions};
use std::io::BufWriter;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use metrics::counter;
use offhook_media::recorder::WavRecorder;
use offhook_session::agent_session::CallId;
use offhook_session::provider::{Messages, NewMessage};
use tokio::sync::oneshot;

use crate::private_file;
use crate::telemetry::metrics::{RECORDINGS_BEGUN, RECORDINGS_FAILED};

/// How often rings are emptied.
const PERIOD: Duration = Duration::from_millis(200);
/// How much audio a ring holds: five periods, for a disk that hesitates.
const RING_SECONDS: usize = 1;
/// How long the end of the daemon waits for recordings whose legs are still open.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How many new recordings may wait to be begun.
const QUEUE: usize = 1_024;

/// The writer thread's front.
#[derive(Debug)]
pub struct Recordings {
    folder: PathBuf,
    work: Sender<Work>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the writer thread is told.
enum Work {
    Begin(Recording),
    /// Remove a message that is whole.
    Discard(PathBuf),
    /// Write what is left and end.
    Finish,
}

struct Recording {
    call: CallId,
    path: PathBuf,
    kind: Kind,
    sample_rate_hz: u32,
    ring: rtrb::Consumer<i16>,
}

/// What a file holds.
enum Kind {
    /// Both sides of a call.
    Call,
    /// What a caller says who leaves a message; who hears how long it is.
    Message(oneshot::Sender<Duration>),
}

impl Kind {
    /// Tells who waits for it how long the file is, that is whole now.
    fn report_whole(self, samples: u32, sample_rate_hz: u32) {
        match self {
            Self::Call => {}
            Self::Message(tell) => {
                let micros = u64::from(samples) * 1_000_000 / u64::from(sample_rate_hz.max(1));
                // They may have gone: the daemon ends.
                let _ = tell.send(Duration::from_micros(micros));
            }
        }
    }
}

/// A recording that is being written.
struct Open {
    call: CallId,
    path: PathBuf,
    kind: Kind,
    sample_rate_hz: u32,
    file: WavRecorder<BufWriter<Arc<File>>>,
    /// The same file, to ask how it is.
    on_disk: Arc<File>,
    ring: rtrb::Consumer<i16>,
}

/// Why a recording ended before its call.
#[derive(Debug, thiserror::Error)]
enum EndedEarly {
    #[error(transparent)]
    Write(#[from] hound::Error),
    #[error("somebody removed its file")]
    Removed,
    #[error("a WAV file holds no more than 4 GiB")]
    Full,
}

impl EndedEarly {
    /// As the metric has it.
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Write(_) => "write",
            Self::Removed => "removed",
            Self::Full => "full",
        }
    }
}

impl Recordings {
    /// Starts the writer thread; files go to `folder`, which is made when the first call is recorded.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(folder: PathBuf) -> std::io::Result<Self> {
        let (work, receiver) = crossbeam_channel::bounded(QUEUE);
        let thread = std::thread::Builder::new()
            .name("recordings".to_owned())
            .spawn(move || write_all(&receiver))?;
        Ok(Self {
            folder,
            work,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Writes what is left, to be called when every leg is closed; a recording whose leg still lives is
    /// given two seconds and then cut there. Blocks meanwhile.
    pub fn finish(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && self.work.send(Work::Finish).is_ok()
            && thread.join().is_err()
        {
            tracing::error!("the recordings' thread had ended by a fault");
        }
    }

    /// Where the recording of a call is or will be.
    #[must_use]
    pub fn path_of(&self, call: &CallId) -> PathBuf {
        self.folder.join(format!("{call}.wav"))
    }

    /// Begins the recording of a call: the ring for its leg's recorder. The file is whole as soon as the leg is
    /// closed and the writer came round. `None`, with a warning, when too many recordings begin at once.
    #[must_use]
    pub fn begin(&self, call: &CallId, sample_rate_hz: u32) -> Option<rtrb::Producer<i16>> {
        let (producer, ring) = rtrb::RingBuffer::new(2 * sample_rate_hz as usize * RING_SECONDS);
        self.queue(Recording {
            call: call.clone(),
            path: self.path_of(call),
            kind: Kind::Call,
            sample_rate_hz,
            ring,
        })
        .then_some(producer)
    }

    /// `false`, with a warning, when too many recordings begin at once.
    fn queue(&self, recording: Recording) -> bool {
        let call = recording.call.clone();
        let why = match self.work.try_send(Work::Begin(recording)) {
            Ok(()) => return true,
            Err(TrySendError::Full(_)) => "too many recordings begin at once; one is left out",
            Err(TrySendError::Disconnected(_)) => "nothing is recorded: the writer has ended",
        };
        failed("queue");
        tracing::warn!(call_id = %call, "{why}");
        false
    }
}

impl Recordings {
    /// Where a call's next message of that name goes: one before it is nobody's to write over.
    fn unused(&self, call: &CallId, name: &str) -> PathBuf {
        let first = self.folder.join(format!("{call}-{name}.wav"));
        let further = (2..1_000).map(|n| self.folder.join(format!("{call}-{name}-{n}.wav")));
        let mut files = std::iter::once(first.clone()).chain(further);
        files.find(|file| !file.exists()).unwrap_or(first)
    }
}

impl Messages for Recordings {
    fn begin(&self, call: &CallId, name: &str, sample_rate_hz: u32) -> Option<NewMessage> {
        let (producer, ring) = rtrb::RingBuffer::new(sample_rate_hz as usize * RING_SECONDS);
        let (tell, written) = oneshot::channel();
        let file = self.unused(call, name);
        let recording = Recording {
            call: call.clone(),
            path: file.clone(),
            kind: Kind::Message(tell),
            sample_rate_hz,
            ring,
        };
        self.queue(recording).then_some(NewMessage {
            ring: producer,
            file,
            written,
        })
    }

    fn discard(&self, file: &Path) {
        if self.work.try_send(Work::Discard(file.to_owned())).is_err() {
            tracing::warn!(path = %file.display(), "a message in which nothing was said is left where it is");
        }
    }
}

fn write_all(work: &Receiver<Work>) {
    let mut open: Vec<Open> = Vec::new();
    let mut deadline: Option<Instant> = None;
    let mut next_round = Instant::now() + PERIOD;
    loop {
        match work.recv_deadline(next_round) {
            Ok(Work::Begin(recording)) => {
                open.extend(begin(recording));
                continue;
            }
            Ok(Work::Discard(path)) => {
                // One that could not be begun is not there.
                if let Err(error) = std::fs::remove_file(&path)
                    && error.kind() != std::io::ErrorKind::NotFound
                {
                    tracing::warn!(path = %path.display(), %error, "a message in which nothing was said is left where it is");
                }
                continue;
            }
            Ok(Work::Finish) => deadline = Some(Instant::now() + LAST_WORDS),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        next_round = Instant::now() + PERIOD;
        open = open.into_iter().filter_map(advance).collect();
        if deadline.is_some_and(|deadline| open.is_empty() || Instant::now() >= deadline) {
            return;
        }
    }
}

fn begin(recording: Recording) -> Option<Open> {
    let Recording {
        call,
        path,
        kind,
        sample_rate_hz,
        ring,
    } = recording;
    let created = create(&path).and_then(|file| {
        let on_disk = Arc::new(file);
        let writer = BufWriter::new(Arc::clone(&on_disk));
        let file = match kind {
            Kind::Call => WavRecorder::stereo(writer, sample_rate_hz)?,
            Kind::Message(_) => WavRecorder::mono(writer, sample_rate_hz)?,
        };
        Ok((file, on_disk))
    });
    match created {
        Ok((file, on_disk)) => {
            counter!(RECORDINGS_BEGUN).increment(1);
            Some(Open {
                call,
                path,
                kind,
                sample_rate_hz,
                file,
                on_disk,
                ring,
            })
        }
        Err(error) => {
            failed("create");
            tracing::error!(call_id = %call, path = %path.display(), %error, "a recording could not be begun");
            None
        }
    }
}

/// One that is there already is somebody's, and is not written over.
fn create(path: &Path) -> Result<File, hound::Error> {
    Ok(private_file::open(
        path,
        OpenOptions::new().create_new(true),
    )?)
}

/// A recording is not what it should be, for a `reason` of [`RECORDINGS_FAILED`].
pub(crate) fn failed(reason: &'static str) {
    counter!(RECORDINGS_FAILED, "reason" => reason).increment(1);
}

/// Whether a file still has a name: what is written to one that has none is lost when it is closed.
fn is_there(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.nlink() > 0)
}

/// Writes what the ring holds; ends the file when the leg is gone and everything is written.
fn advance(mut open: Open) -> Option<Open> {
    // Asked before reading: a leg that is gone adds nothing after this.
    let ended = open.ring.is_abandoned();
    let waiting = open.ring.slots();
    let written = match open.ring.read_chunk(waiting) {
        Ok(chunk) => {
            // No pair lies across the seam: the ring's size is even, and so is all that is written to and read from it.
            let (first, second) = chunk.as_slices();
            let written = open
                .file
                .write(first)
                .and_then(|()| open.file.write(second));
            chunk.commit_all();
            written
        }
        Err(_) => Ok(()),
    };
    let samples = open.file.samples_per_channel();
    let result = written.map_err(EndedEarly::from).and_then(|()| {
        if !is_there(&open.on_disk) {
            Err(EndedEarly::Removed)
        } else if ended {
            Ok(open.file.finish().map(|()| None)?)
        } else if open.file.is_full() {
            open.file.finish()?;
            Err(EndedEarly::Full)
        } else {
            Ok(Some(open.file))
        }
    });
    match result {
        Ok(Some(file)) => Some(Open { file, ..open }),
        Ok(None) => {
            open.kind.report_whole(samples, open.sample_rate_hz);
            None
        }
        Err(error) => {
            failed(error.as_str());
            tracing::error!(call_id = %open.call, path = %open.path.display(), %error, "a recording ended early");
            None
        }
    }
}

#[cfg(test)]
mod tests;
