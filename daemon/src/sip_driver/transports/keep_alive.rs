//! When a connection is asked whether it lives, and when it is given up (RFC 5626 section 4.4.1).
//!
//! Without clock or socket: the connection says what happened and asks what is due.

use std::time::Duration;

use tokio::time::Instant;

use super::Ending;

/// The times of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionTimes {
    /// From our first packet to a connection that carries messages, TLS included.
    pub(crate) connect: Duration,
    /// From an accepted connection to the end of its TLS handshake.
    pub(crate) handshake: Duration,
    /// How long an accepted connection may carry nothing.
    pub(crate) idle: Duration,
    /// How often a connection that we opened is asked whether it lives.
    pub(crate) ping: Duration,
    /// How long the answer may take, where the far end has answered before.
    pub(crate) pong: Duration,
    /// How long the far end may take nothing of what we write.
    pub(crate) stall: Duration,
}

impl Default for ConnectionTimes {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            handshake: Duration::from_secs(5),
            idle: Duration::from_secs(600),
            ping: Duration::from_secs(30),
            pong: Duration::from_secs(10),
            // 64*T1: what waits behind it has no answer any more.
            stall: Duration::from_secs(32),
        }
    }
}

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opener {
    /// The far end: it does the asking, and an idle connection is closed.
    Them,
    /// We: the connection is kept, and asked.
    Us,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing yet.
    Nothing,
    /// A ping is to be sent.
    Ping,
    /// The connection is to be closed.
    Close(Ending),
}

/// Watches over one connection.
#[derive(Debug)]
pub(super) struct KeepAlive {
    times: ConnectionTimes,
    opener: Opener,
    last_traffic: Instant,
    next_ping: Instant,
    /// A ping waits for its answer until then.
    pong_by: Option<Instant>,
    /// Whether the far end answers pings at all: many do not.
    answers_pings: bool,
    /// What we write has not been taken since then.
    stalled_since: Option<Instant>,
}

impl KeepAlive {
    pub(super) fn new(times: ConnectionTimes, opener: Opener, now: Instant) -> Self {
        Self {
            times,
            opener,
            last_traffic: now,
            next_ping: now + times.ping,
            pong_by: None,
            answers_pings: false,
            stalled_since: None,
        }
    }

    /// Bytes came in. Whatever they are, the far end lives.
    pub(super) fn received(&mut self, now: Instant) {
        self.last_traffic = now;
        if self.answers_pings {
            self.pong_by = None;
        }
    }

    /// A pong came in.
    pub(super) fn ponged(&mut self) {
        if self.pong_by.take().is_some() {
            self.answers_pings = true;
        }
    }

    /// Something waits to be written.
    pub(super) fn writing(&mut self, now: Instant) {
        self.stalled_since.get_or_insert(now);
    }

    /// Some bytes were taken; `more` wait.
    pub(super) fn wrote(&mut self, more: bool, now: Instant) {
        self.last_traffic = now;
        self.stalled_since = more.then_some(now);
    }

    /// What is due at `now`. Each ping is said once.
    pub(super) fn due(&mut self, now: Instant) -> Due {
        if self
            .stalled_since
            .is_some_and(|at| now >= at + self.times.stall)
        {
            return Due::Close(Ending::Stalled);
        }
        match self.opener {
            Opener::Them if now >= self.last_traffic + self.times.idle => Due::Close(Ending::Idle),
            Opener::Us if self.overdue(now) => Due::Close(Ending::NoPong),
            Opener::Us if now >= self.next_ping => {
                self.next_ping = now + self.times.ping;
                self.pong_by.get_or_insert(now + self.times.pong);
                Due::Ping
            }
            Opener::Them | Opener::Us => Due::Nothing,
        }
    }

    /// When to ask again.
    pub(super) fn next(&self) -> Instant {
        let own = match self.opener {
            Opener::Them => self.last_traffic + self.times.idle,
            Opener::Us => match self.pong_by.filter(|_| self.answers_pings) {
                Some(pong_by) => self.next_ping.min(pong_by),
                None => self.next_ping,
            },
        };
        match self.stalled_since {
            Some(at) => own.min(at + self.times.stall),
            None => own,
        }
    }

    fn overdue(&self, now: Instant) -> bool {
        self.answers_pings && self.pong_by.is_some_and(|at| now >= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn watched(opener: Opener) -> (KeepAlive, Instant) {
        let now = Instant::now();
        (KeepAlive::new(ConnectionTimes::default(), opener, now), now)
    }

    #[test]
    fn an_accepted_connection_is_closed_when_it_carried_nothing_for_ten_minutes() {
        let (mut keep_alive, start) = watched(Opener::Them);
        assert_eq!(keep_alive.due(start + 599 * SECOND), Due::Nothing);
        keep_alive.received(start + 599 * SECOND);
        assert_eq!(keep_alive.next(), start + 1_199 * SECOND);
        assert_eq!(keep_alive.due(start + 1_198 * SECOND), Due::Nothing);
        let end = keep_alive.due(start + 1_199 * SECOND);
        assert_eq!(end, Due::Close(Ending::Idle));
    }

    #[test]
    fn a_connection_of_ours_is_asked_every_thirty_seconds_and_never_idle() {
        let (mut keep_alive, start) = watched(Opener::Us);
        for n in 1..100 {
            assert_eq!(
                keep_alive.due(start + n * 30 * SECOND - SECOND),
                Due::Nothing
            );
            assert_eq!(keep_alive.due(start + n * 30 * SECOND), Due::Ping);
        }
    }

    #[test]
    fn only_a_far_end_that_has_answered_before_must_go_on_answering() {
        let (mut keep_alive, start) = watched(Opener::Us);
        assert_eq!(keep_alive.due(start + 30 * SECOND), Due::Ping);
        assert_eq!(keep_alive.due(start + 45 * SECOND), Due::Nothing);
        assert_eq!(keep_alive.due(start + 60 * SECOND), Due::Ping);
        keep_alive.ponged();
        assert_eq!(keep_alive.due(start + 90 * SECOND), Due::Ping);
        assert_eq!(keep_alive.next(), start + 100 * SECOND);
        let end = keep_alive.due(start + 100 * SECOND);
        assert_eq!(end, Due::Close(Ending::NoPong));
    }

    #[test]
    fn whatever_arrives_is_an_answer() {
        let (mut keep_alive, start) = watched(Opener::Us);
        keep_alive.due(start + 30 * SECOND);
        keep_alive.ponged();
        keep_alive.due(start + 60 * SECOND);
        keep_alive.received(start + 65 * SECOND);
        assert_eq!(keep_alive.due(start + 71 * SECOND), Due::Nothing);
    }

    #[test]
    fn a_far_end_that_takes_nothing_is_given_up() {
        let (mut keep_alive, start) = watched(Opener::Us);
        keep_alive.writing(start);
        keep_alive.wrote(true, start + 10 * SECOND);
        keep_alive.writing(start + 20 * SECOND);
        assert_ne!(
            keep_alive.due(start + 41 * SECOND),
            Due::Close(Ending::Stalled)
        );
        let end = keep_alive.due(start + 42 * SECOND);
        assert_eq!(end, Due::Close(Ending::Stalled));
        keep_alive.wrote(false, start + 42 * SECOND);
        assert_ne!(
            keep_alive.due(start + 80 * SECOND),
            Due::Close(Ending::Stalled)
        );
    }
}
