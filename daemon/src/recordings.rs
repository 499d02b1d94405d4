//! Recordings: from the ring of a leg's tap to a WAV file, off the media threads.
//!
//! One thread serves every recording: it wakes a few times a second, takes what the rings hold and
//! writes it. A recording whose file fails is ended and reported; the call goes on.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use offhook_media::recorder::StereoRecorder;
use offhook_session::agent_session::CallId;

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
    /// Write what is left and end.
    Finish,
}

struct Recording {
    call: CallId,
    path: PathBuf,
    sample_rate_hz: u32,
    ring: rtrb::Consumer<i16>,
}

/// A recording that is being written.
struct Open {
    call: CallId,
    path: PathBuf,
    file: StereoRecorder<BufWriter<File>>,
    ring: rtrb::Consumer<i16>,
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
        let recording = Recording {
            call: call.clone(),
            path: self.path_of(call),
            sample_rate_hz,
            ring,
        };
        if self.work.try_send(Work::Begin(recording)).is_err() {
            tracing::warn!(call_id = %call, "too many recordings begin at once; this call is not recorded");
            return None;
        }
        Some(producer)
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
        sample_rate_hz,
        ring,
    } = recording;
    let file =
        create(&path).and_then(|file| StereoRecorder::new(BufWriter::new(file), sample_rate_hz));
    match file {
        Ok(file) => Some(Open {
            call,
            path,
            file,
            ring,
        }),
        Err(error) => {
            tracing::error!(call_id = %call, path = %path.display(), %error, "a recording could not be begun");
            None
        }
    }
}

fn create(path: &Path) -> Result<File, hound::Error> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Ok(File::create(path)?)
}

/// Writes what the ring holds; ends the file when the leg is gone and everything is written.
fn advance(mut open: Open) -> Option<Open> {
    // Asked before reading: a leg that is gone adds nothing after this.
    let ended = open.ring.is_abandoned();
    let waiting = open.ring.slots();
    let written = match open.ring.read_chunk(waiting) {
        Ok(chunk) => {
            let (first, second) = chunk.as_slices();
            let written = write_halves(&mut open.file, first, second);
            chunk.commit_all();
            written
        }
        Err(_) => Ok(()),
    };
    let result = written.and_then(|()| {
        if ended {
            open.file.finish().map(|()| None)
        } else {
            Ok(Some(open.file))
        }
    });
    match result {
        Ok(Some(file)) => Some(Open { file, ..open }),
        Ok(None) => None,
        Err(error) => {
            tracing::error!(call_id = %open.call, path = %open.path.display(), %error, "a recording ended early");
            None
        }
    }
}

/// A ring's content comes in two slices; a pair of samples may lie across their seam.
fn write_halves(
    file: &mut StereoRecorder<BufWriter<File>>,
    first: &[i16],
    second: &[i16],
) -> Result<(), hound::Error> {
    let whole = first.len() / 2 * 2;
    file.write(&first[..whole])?;
    match (&first[whole..], second) {
        ([left], [right, rest @ ..]) => {
            file.write(&[*left, *right])?;
            file.write(rest)
        }
        _ => file.write(second),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use offhook_media::recorder::RecorderTap;

    use super::*;

    #[test]
    fn a_recording_is_whole_after_its_leg_is_gone() {
        let folder =
            std::env::temp_dir().join(format!("offhook-recordings-{}", std::process::id()));
        let recordings = Recordings::start(folder.clone()).expect("start");
        let call = CallId::new("0123456789abcdef");
        let mut tap = RecorderTap::new(recordings.begin(&call, 8_000).expect("room"));
        for index in 0..50_i16 {
            tap.record(Some(&[index; 80]), Some(&[-index; 80]), 80);
        }
        drop(tap);
        let deadline = Instant::now() + Duration::from_secs(10);
        let path = recordings.path_of(&call);
        let samples = loop {
            assert!(Instant::now() < deadline, "the file was not finished");
            let reader = hound::WavReader::open(&path)
                .ok()
                .filter(|reader| reader.duration() == 4_000);
            if let Some(mut reader) = reader {
                break reader
                    .samples::<i16>()
                    .collect::<Result<Vec<_>, _>>()
                    .expect("samples");
            }
            std::thread::yield_now();
        };
        assert_eq!(samples[160 * 7..160 * 7 + 2], [7, -7]);
        std::fs::remove_dir_all(folder).expect("clean up");
    }
}
