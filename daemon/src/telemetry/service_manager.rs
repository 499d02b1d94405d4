//! Word to systemd, by the protocol of sd_notify(3). Without it nothing happens.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use sd_notify::NotifyState;

use super::health::Health;

/// For how long a message keeps the service manager waiting while we stop. It covers what comes after the
/// drain: last goodbyes, last writes.
const EXTENSION: Duration = Duration::from_secs(30);
/// How often the service manager is asked for that anew.
const RENEWAL: Duration = Duration::from_secs(10);

/// The way to the service manager.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServiceManager {}

impl ServiceManager {
    /// Calls are answered from now on.
    pub fn ready(self, status: &str) {
        send(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// No new calls; the end comes when `work` is done. However long that takes, the service manager is
    /// asked to wait for it, and for half a minute more, even where its own patience is shorter.
    pub async fn while_stopping<T>(self, status: &str, work: impl Future<Output = T>) -> T {
        send(&[NotifyState::Stopping, NotifyState::Status(status)]);
        let microseconds = u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX);
        renewing(work, || {
            send(&[NotifyState::ExtendTimeoutUsec(microseconds)])
        })
        .await
    }

    /// Feeds the watchdog, if the service manager asks for it, for as long as every loop of `health`
    /// turns. On a thread of its own: it must work when the runtime does not.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start_watchdog(self, health: Arc<Health>) -> io::Result<Option<Watchdog>> {
        let Some(deadline) = sd_notify::watchdog_enabled() else {
            return Ok(None);
        };
        Watchdog::start(deadline, health, || send(&[NotifyState::Watchdog])).map(Some)
    }
}

/// Does `work`, and asks for an extension at once, every [`RENEWAL`] meanwhile, and at the end.
async fn renewing<T>(work: impl Future<Output = T>, extend: impl Fn()) -> T {
    let mut work = pin!(work);
    let mut clock = tokio::time::interval(RENEWAL);
    loop {
        tokio::select! {
            done = &mut work => {
                extend();
                return done;
            }
            _ = clock.tick() => extend(),
        }
    }
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// Feeds the watchdog until it is dropped.
#[derive(Debug)]
pub struct Watchdog {
    /// Dropped to end the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Feeds twice within each `deadline`.
    fn start(
        deadline: Duration,
        health: Arc<Health>,
        feed: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = bounded::<()>(0);
        let thread = std::thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || {
                loop {
                    let stalled = health.stalled(Instant::now());
                    if stalled.is_empty() {
                        feed();
                    }
                    for unhealthy in stalled {
                        tracing::error!("the watchdog is not fed: {unhealthy}");
                    }
                    match stopped.recv_timeout(deadline / 2) {
                        Err(RecvTimeoutError::Timeout) => {}
                        Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                    }
                }
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was logged when it happened.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_drain_of_a_day_is_extended_all_the_while_and_once_more_at_its_end() {
        const DAY: Duration = Duration::from_secs(86_400);
        let began = tokio::time::Instant::now();
        let extended_at = Mutex::new(Vec::new());
        renewing(tokio::time::sleep(DAY), || {
            extended_at.lock().unwrap().push(began.elapsed());
        })
        .await;
        let extended_at = extended_at.into_inner().unwrap();
        assert_eq!(extended_at.first(), Some(&Duration::ZERO));
        assert!(extended_at.last().is_some_and(|last| *last >= DAY));
        let gaps = extended_at.windows(2).map(|pair| pair[1] - pair[0]);
        let longest = gaps.max().unwrap();
        assert!(longest <= EXTENSION / 2, "{longest:?}");
    }

    #[test]
    fn the_watchdog_is_fed_only_while_every_loop_turns() {
        let health = Arc::new(Health::new(Instant::now()));
        let heartbeat = health.watch("media thread 0", Duration::from_secs(60));
        let (fed, meals) = bounded(64);
        let feed = move || {
            let _ = fed.try_send(());
        };

        let hungry =
            Watchdog::start(Duration::from_millis(2), Arc::clone(&health), feed.clone()).unwrap();
        assert_eq!(
            meals.recv_timeout(Duration::from_millis(20)),
            Err(RecvTimeoutError::Timeout)
        );
        heartbeat.beat(Instant::now());
        assert_eq!(meals.recv_timeout(Duration::from_secs(10)), Ok(()));
        drop(hungry);
    }
}
