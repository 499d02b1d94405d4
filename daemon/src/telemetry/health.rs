//! Health: which loops turn, and whether new calls are wanted.
//!
//! Every loop that must not stand still (signalling, each media thread) owns a [`Heartbeat`] and beats
//! once a turn: one relaxed store. Readiness and the watchdog read the beats; nobody asks a loop
//! anything, so one that hangs is found out instead of waited for.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often it is looked whether the loops have begun: they do within a millisecond.
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// The sign of life of one loop.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    epoch: Instant,
    /// Milliseconds from the epoch to the last beat, plus one; 0 before the first.
    last: Arc<AtomicU64>,
}

impl Heartbeat {
    /// The loop turned at `now`.
    pub fn beat(&self, now: Instant) {
        let since_epoch = now.saturating_duration_since(self.epoch).as_millis();
        self.last.store(
            u64::try_from(since_epoch).unwrap_or(u64::MAX - 1) + 1,
            Ordering::Relaxed,
        );
    }

    fn age(&self, now: Instant) -> Option<Duration> {
        let beat = Duration::from_millis(self.last.load(Ordering::Relaxed).checked_sub(1)?);
        Some(
            now.saturating_duration_since(self.epoch)
                .saturating_sub(beat),
        )
    }
}

/// Why the daemon is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unhealthy {
    /// A loop has not begun.
    NotStarted(String),
    /// A loop has not turned for too long.
    StandsStill {
        /// Which.
        name: String,
        /// Since its last beat.
        since: Duration,
    },
    /// No new calls are taken, because the daemon is ending.
    Draining,
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(name) => write!(f, "{name} has not started"),
            Self::StandsStill { name, since } => {
                write!(f, "{name} stands still for {:.1} s", since.as_secs_f64())
            }
            Self::Draining => f.write_str("draining: live calls end, new ones are refused"),
        }
    }
}

/// Loops that did not begin to turn in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not started within {} s: {}", .deadline.as_secs(), .loops.join(", "))]
pub struct NotStarted {
    loops: Vec<String>,
    deadline: Duration,
}

/// What is known of every loop.
#[derive(Debug)]
pub struct Health {
    epoch: Instant,
    loops: Mutex<Vec<Watched>>,
    draining: AtomicBool,
}

#[derive(Debug)]
struct Watched {
    name: String,
    heartbeat: Heartbeat,
    longest_turn: Duration,
}

impl Health {
    /// Health without loops, which is good health.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            loops: Mutex::new(Vec::new()),
            draining: AtomicBool::new(false),
        }
    }

    /// Watches a loop that beats at least every `longest_turn`.
    pub fn watch(&self, name: impl Into<String>, longest_turn: Duration) -> Heartbeat {
        let heartbeat = Heartbeat {
            epoch: self.epoch,
            last: Arc::default(),
        };
        let watched = Watched {
            name: name.into(),
            heartbeat: heartbeat.clone(),
            longest_turn,
        };
        self.loops
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(watched);
        heartbeat
    }

    /// From here on no new calls are taken.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether new calls are no longer taken.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Everything that keeps the loops from being alive; the watchdog's question.
    #[must_use]
    pub fn stalled(&self, now: Instant) -> Vec<Unhealthy> {
        let loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        let unhealthy = loops
            .iter()
            .filter_map(|watched| match watched.heartbeat.age(now) {
                None => Some(Unhealthy::NotStarted(watched.name.clone())),
                Some(since) if since > watched.longest_turn => Some(Unhealthy::StandsStill {
                    name: watched.name.clone(),
                    since,
                }),
                Some(_) => None,
            });
        unhealthy.collect()
    }

    /// Waits until every loop that is watched has begun to turn.
    ///
    /// # Errors
    /// Those that have not when `deadline` has passed.
    pub async fn wait_for_first_beats(&self, deadline: Duration) -> Result<(), NotStarted> {
        let began = tokio::time::Instant::now();
        let mut looks = tokio::time::interval(BETWEEN_LOOKS);
        loop {
            looks.tick().await;
            let loops = self.not_started();
            if loops.is_empty() {
                return Ok(());
            }
            if began.elapsed() >= deadline {
                return Err(NotStarted { loops, deadline });
            }
        }
    }

    fn not_started(&self) -> Vec<String> {
        let loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        loops
            .iter()
            .filter(|watched| watched.heartbeat.last.load(Ordering::Relaxed) == 0)
            .map(|watched| watched.name.clone())
            .collect()
    }

    /// Everything that speaks against sending a call here; a load balancer's question.
    #[must_use]
    pub fn unready(&self, now: Instant) -> Vec<Unhealthy> {
        let mut unhealthy = self.stalled(now);
        if self.is_draining() {
            unhealthy.push(Unhealthy::Draining);
        }
        unhealthy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: Duration = Duration::from_secs(2);

    #[test]
    fn a_loop_is_unhealthy_until_its_first_beat_and_when_it_stands_still() {
        let start = Instant::now();
        let health = Health::new(start);
        let signalling = health.watch("signalling", TURN);
        assert_eq!(
            health.unready(start),
            [Unhealthy::NotStarted("signalling".to_owned())]
        );

        signalling.beat(start);
        assert_eq!(health.unready(start + TURN), []);

        let late = start + TURN + Duration::from_millis(1);
        let [stalled] = health.stalled(late).try_into().unwrap();
        assert_eq!(stalled.to_string(), "signalling stands still for 2.0 s");
        signalling.beat(late);
        assert_eq!(health.stalled(late), []);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_beats_are_waited_for_and_who_never_beats_is_named() {
        let start = Instant::now();
        let health = Health::new(start);
        let heartbeats = ["signalling", "media-0", "media-1"].map(|name| health.watch(name, TURN));
        heartbeats[1].beat(start);
        let error = health.wait_for_first_beats(TURN).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "not started within 2 s: signalling, media-1"
        );

        let late = async {
            tokio::time::sleep(TURN / 2).await;
            heartbeats
                .iter()
                .for_each(|heartbeat| heartbeat.beat(start));
        };
        assert_eq!(
            tokio::join!(health.wait_for_first_beats(TURN), late).0,
            Ok(())
        );
    }

    #[test]
    fn draining_is_not_ready_but_alive() {
        let start = Instant::now();
        let health = Health::new(start);
        health.start_draining();
        assert_eq!(health.unready(start), [Unhealthy::Draining]);
        assert_eq!(health.stalled(start), []);
    }
}
