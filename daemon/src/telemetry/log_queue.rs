//! The queue in front of the log.
//!
//! ```text
//! any thread ─► try_send (4096 entries, one more is dropped and counted) ─► one thread ─► journal | stderr
//! ```
//!
//! Whoever logs never waits. When entries were dropped, the thread says how many as soon as it can.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tracing_subscriber::fmt::MakeWriter;

use super::metrics::LOG_ENTRIES_DROPPED;

/// Where entries end.
pub(super) trait Sink<T>: Send + 'static {
    /// Writes one; it may block.
    fn write(&mut self, entry: T);
    /// Says that `count` entries before this moment are missing.
    fn write_dropped(&mut self, count: u64);
}

/// The way into the queue.
#[derive(Debug)]
pub(super) struct LogQueue<T> {
    entries: Sender<Message<T>>,
    dropped: Arc<AtomicU64>,
}

impl<T> Clone for LogQueue<T> {
    fn clone(&self) -> Self {
        Self {
            entries: self.entries.clone(),
            dropped: Arc::clone(&self.dropped),
        }
    }
}

#[derive(Debug)]
enum Message<T> {
    Entry(T),
    /// Everything before this is written when it is answered.
    Flush(Sender<()>),
}

impl<T: Send + 'static> LogQueue<T> {
    /// Starts the thread that writes to `sink`.
    pub(super) fn start(capacity: usize, sink: impl Sink<T>) -> io::Result<(Self, LogThread)> {
        let (sender, receiver) = bounded(capacity);
        let queue = Self {
            entries: sender.clone(),
            dropped: Arc::default(),
        };
        let dropped = Arc::clone(&queue.dropped);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(&receiver, &dropped, sink))?;
        let flush = move |timeout| {
            let (done, wait) = bounded(1);
            if sender.send_timeout(Message::Flush(done), timeout).is_ok() {
                // Past the deadline the rest of the log is given up.
                let _ = wait.recv_timeout(timeout);
            }
        };
        Ok((
            queue,
            LogThread {
                flush: Box::new(flush),
            },
        ))
    }

    /// Queues an entry, or drops and counts it.
    pub(super) fn push(&self, entry: T) {
        match self.entries.try_send(Message::Entry(entry)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                metrics::counter!(LOG_ENTRIES_DROPPED).increment(1);
            }
        }
    }
}

fn write_all<T>(entries: &Receiver<Message<T>>, dropped: &AtomicU64, mut sink: impl Sink<T>) {
    for message in entries {
        match message {
            Message::Entry(entry) => sink.write(entry),
            Message::Flush(done) => {
                // Nobody waits any longer when this fails.
                let _ = done.send(());
            }
        }
        let missing = dropped.swap(0, Ordering::Relaxed);
        if missing > 0 {
            sink.write_dropped(missing);
        }
    }
}

/// The thread that writes, for who wants to wait for it.
pub(super) struct LogThread {
    flush: Box<dyn Fn(Duration) + Send + Sync>,
}

impl LogThread {
    /// Waits until what was queued before is written, or for `timeout`.
    pub(super) fn flush(&self, timeout: Duration) {
        (self.flush)(timeout);
    }
}

impl std::fmt::Debug for LogThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogThread")
    }
}

/// Standard error; a line that cannot be written is lost, for there is nowhere to say so.
#[derive(Debug)]
pub(super) struct StandardError;

impl Sink<Vec<u8>> for StandardError {
    fn write(&mut self, entry: Vec<u8>) {
        let _ = io::stderr().write_all(&entry);
    }

    fn write_dropped(&mut self, count: u64) {
        let _ = writeln!(
            io::stderr(),
            "{count} log entries were dropped: they came faster than they were read"
        );
    }
}

/// The formatting layer asks for a writer for each event and writes a whole line at once.
impl<'a> MakeWriter<'a> for LogQueue<Vec<u8>> {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(self.clone())
    }
}

/// A writer that queues what it is given.
#[derive(Debug)]
pub(super) struct Line(LogQueue<Vec<u8>>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A sink that waits for permission before it writes, as a full journal does.
    struct Slow {
        permission: Receiver<()>,
        written: Arc<Mutex<Vec<String>>>,
    }

    impl Sink<&'static str> for Slow {
        fn write(&mut self, entry: &'static str) {
            let _ = self.permission.recv();
            self.written.lock().unwrap().push(entry.to_owned());
        }

        fn write_dropped(&mut self, count: u64) {
            self.written
                .lock()
                .unwrap()
                .push(format!("{count} dropped"));
        }
    }

    #[test]
    fn a_journal_that_blocks_costs_entries_and_never_the_one_who_logs() {
        let (permit, permission) = bounded(16);
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Slow {
            permission,
            written: Arc::clone(&written),
        };
        let (queue, thread) = LogQueue::start(2, sink).unwrap();

        for _ in 0..10 {
            queue.push("entry");
        }
        drop(permit);
        thread.flush(Duration::from_secs(10));
        queue.push("later");
        thread.flush(Duration::from_secs(10));

        let written = written.lock().unwrap();
        let entries = written.iter().filter(|line| *line == "entry").count();
        let dropped: usize = written
            .iter()
            .filter_map(|line| line.strip_suffix(" dropped")?.parse::<usize>().ok())
            .sum();
        assert!((2..=3).contains(&entries), "{written:?}");
        assert_eq!(entries + dropped, 10);
        assert_eq!(written.last().map(String::as_str), Some("later"));
    }
}
