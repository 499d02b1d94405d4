//! What leaves the daemon for its operators: the log, the metrics, health, and word to the service
//! manager. Started once, before anything that wants to speak.

pub mod health;
mod journal;
mod log_queue;
pub mod metrics;
pub mod service_manager;

use std::time::Duration;

use offhook_session::agent_session::CALL_SPANS;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use journal::{Entry, JournalLayer};
use log_queue::{LogQueue, LogThread};

/// The variables that say what is logged, the first that is set, as `OFFHOOK_LOG=debug` or
/// `OFFHOOK_LOG=offhook_sip=trace,info`. The second is what other programs in Rust read.
const FILTER_VARIABLES: [&str; 2] = ["OFFHOOK_LOG", "RUST_LOG"];
/// Log entries that wait to be written; one more is dropped and counted.
const LOG_QUEUE_ENTRIES: usize = 4096;
/// How long the end of the program waits for the log.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Why telemetry could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The variable with the filter cannot be read.
    #[error("{name}: {error}")]
    Filter {
        /// Which variable.
        name: &'static str,
        /// What is wrong with it.
        error: ParseError,
    },
    /// Somebody else started it before.
    #[error("telemetry was started twice")]
    Twice,
    /// The thread that writes the log could not be started.
    #[error("cannot start the log's thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// What the rest of the program asks of telemetry after it was started.
#[derive(Debug)]
pub struct Telemetry {
    /// Renders the metrics.
    pub metrics: metrics::Metrics,
    log: LogThread,
}

impl Telemetry {
    /// Starts the log and the metrics of this process. The log goes to the journal when standard error is
    /// connected to it, and to standard error otherwise; either way a thread of its own writes it, because
    /// writing can block.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start() -> Result<Self, StartError> {
        let given = FILTER_VARIABLES
            .into_iter()
            .find_map(|name| Some((name, std::env::var(name).ok()?)));
        let filter = match given {
            Some((name, text)) => {
                filter(&text).map_err(|error| StartError::Filter { name, error })?
            }
            None => EnvFilter::new("info"),
        };
        let metrics = metrics::Metrics::install().ok_or(StartError::Twice)?;
        let registry = tracing_subscriber::registry().with(filter);
        let (started, log) = match journal::connect() {
            Some(sink) => {
                let (queue, log) = LogQueue::<Entry>::start(LOG_QUEUE_ENTRIES, sink)?;
                (registry.with(JournalLayer::new(queue)).try_init(), log)
            }
            None => {
                let (queue, log) = LogQueue::start(LOG_QUEUE_ENTRIES, log_queue::StandardError)?;
                let lines = tracing_subscriber::fmt::layer()
                    .with_writer(queue)
                    .with_ansi(is_terminal());
                (registry.with(lines).try_init(), log)
            }
        };
        started.map_err(|_| StartError::Twice)?;
        Ok(Self { metrics, log })
    }

    /// Waits until everything logged so far is written, two seconds at most.
    pub fn flush(&self) {
        self.log.flush(FLUSH_TIMEOUT);
    }
}

/// What is logged: what `text` says, and every call's id with it.
fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    let call_spans = format!("{CALL_SPANS}=error").parse();
    Ok(EnvFilter::try_new(text)?.add_directive(call_spans?))
}

fn is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps what is written.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `events` log when the variable says `text`.
    pub(crate) fn logged(text: &str, events: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_ansi(false);
        let subscriber = tracing_subscriber::registry()
            .with(filter(text).unwrap())
            .with(lines);
        tracing::subscriber::with_default(subscriber, events);
        let written = kept.0.lock().unwrap().clone();
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn a_line_about_a_call_carries_its_id_whatever_is_filtered() {
        // The last two say nothing of the spans, whose target is another.
        for text in [
            "info",
            "warn",
            "error",
            "offhook::telemetry=warn",
            "off,offhook::telemetry=error",
        ] {
            let log = logged(text, || {
                let call = tracing::error_span!(target: CALL_SPANS, "call", call_id = "c-1");
                call.in_scope(|| {
                    tracing::error!("it failed");
                    tracing::debug!("not asked for");
                });
            });
            assert!(log.contains("call{call_id=\"c-1\"}"), "{text}: {log}");
            assert_eq!(log.lines().count(), 1, "{text}: {log}");
        }
        assert_eq!(logged("off", || tracing::error!("it failed")), "");
    }
}
