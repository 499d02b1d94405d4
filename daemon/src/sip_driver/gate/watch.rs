//! What is remembered of one source: how much it sent lately, how much of that was bad, and its ban.

use std::time::{Duration, Instant};

use offhook_session::token_bucket::TokenBucket;

use super::{Kind, Rules};

/// In which time bad messages are counted.
const WINDOW: Duration = Duration::from_secs(10);
/// The first ban. Each one after it is twice as long.
const FIRST_BAN: Duration = Duration::from_secs(60);
/// The longest ban; and so long after a ban it is forgotten.
const LONGEST_BAN: Duration = Duration::from_secs(3_600);
/// How many more bad messages a trunk has than a stranger before it is banned: calls depend on it.
const TRUNK_PATIENCE: u32 = 10;
/// Answers a second to a stranger.
const STRANGER_RATE: u32 = 10;

/// Who a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It speaks for a trunk.
    Trunk,
    /// The configuration does not name it.
    Stranger,
}

/// How far a message is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    /// All the way.
    Whole,
    /// If it asks for no new call.
    WithoutCalls,
    /// To be told no.
    Stranger,
    /// Not: too many.
    OverRate,
    /// Not: banned.
    Banned,
}

/// The watch over one source.
#[derive(Debug)]
pub(super) struct Watch {
    standing: Standing,
    ban_after: u32,
    messages: TokenBucket,
    /// For what belongs to calls that are up, when `messages` is empty.
    in_calls: TokenBucket,
    /// For refusals of new calls, when `messages` is empty.
    refusals: TokenBucket,
    window: Window,
    ban: Option<Ban>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Instant,
    messages: u32,
    bad: u32,
}

/// A ban, kept beyond its end so that the next can be longer.
#[derive(Clone, Copy, Debug)]
struct Ban {
    until: Instant,
    length: Duration,
}

impl Watch {
    pub(super) fn new(standing: Standing, rules: &Rules, now: Instant) -> Self {
        let (rate, patience) = match standing {
            Standing::Trunk => (rules.messages_per_second, TRUNK_PATIENCE),
            Standing::Stranger => (STRANGER_RATE, 1),
        };
        let second = Duration::from_secs(1);
        Self {
            standing,
            ban_after: rules.ban_after.saturating_mul(patience),
            messages: TokenBucket::new(rate, second, rate.saturating_mul(2), now),
            in_calls: TokenBucket::per_second(rate / 2, now),
            refusals: TokenBucket::per_second(rate / 4, now),
            window: Window::begun(now),
            ban: None,
        }
    }

    pub(super) fn is_welcome(&self, now: Instant) -> bool {
        self.standing == Standing::Trunk && !self.is_banned(now)
    }

    fn is_banned(&self, now: Instant) -> bool {
        self.ban.is_some_and(|ban| now < ban.until)
    }

    pub(super) fn admit(&mut self, kind: Kind, now: Instant) -> Admitted {
        if self.is_banned(now) {
            // A trunk's address can be forged in datagrams: whoever does so does not get to end its calls.
            let of_a_call = self.standing == Standing::Trunk && kind == Kind::InCall;
            return match of_a_call && self.in_calls.take(now) {
                true => Admitted::Whole,
                false => Admitted::Banned,
            };
        }
        let admitted = match self.standing {
            Standing::Stranger if self.messages.take(now) => Admitted::Stranger,
            Standing::Stranger => Admitted::OverRate,
            Standing::Trunk if self.messages.take(now) => Admitted::Whole,
            Standing::Trunk => match kind {
                Kind::InCall if self.in_calls.take(now) => Admitted::Whole,
                Kind::Invite if self.refusals.take(now) => Admitted::WithoutCalls,
                Kind::InCall | Kind::Invite | Kind::Other => Admitted::OverRate,
            },
        };
        // What nobody looks at is neither good nor bad.
        if admitted != Admitted::OverRate {
            self.count(now);
        }
        admitted
    }

    /// One of the messages was bad. Gives the ban that begins with it.
    pub(super) fn note_bad(&mut self, now: Instant) -> Option<Duration> {
        let window = &mut self.window;
        window.bad = window.bad.saturating_add(1);
        let mostly_bad = window.bad > window.messages / 2;
        let earned = self.ban_after > 0 && window.bad >= self.ban_after && mostly_bad;
        if !earned || self.is_banned(now) {
            return None;
        }
        let length = match self.ban {
            Some(last) if now < last.until + LONGEST_BAN => (last.length * 2).min(LONGEST_BAN),
            Some(_) | None => FIRST_BAN,
        };
        self.ban = Some(Ban {
            until: now + length,
            length,
        });
        self.window = Window::begun(now);
        Some(length)
    }

    fn count(&mut self, now: Instant) {
        if now.saturating_duration_since(self.window.began) >= WINDOW {
            self.window = Window::begun(now);
        }
        self.window.messages = self.window.messages.saturating_add(1);
    }
}

impl Window {
    const fn begun(now: Instant) -> Self {
        Self {
            began: now,
            messages: 0,
            bad: 0,
        }
    }
}
