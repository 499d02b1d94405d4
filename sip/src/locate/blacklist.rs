//! Targets that failed lately, until they heal.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::Target;
use crate::{flow::Transport, message::StatusCode};

/// How a target failed. Only what says that *nobody there works* is a failure: every other answer,
/// a refusal of the call (486, 603) or of us (403), comes from a server that is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing could be sent: refused, unreachable, reset, or a certificate that does not fit.
    Transport,
    /// No answer at all, not even a provisional one, until timer B or F.
    NoAnswer,
    /// 503 (RFC 3261 21.5.4).
    Unavailable,
}

impl Failure {
    /// The failure that a response is, if it is one.
    pub fn of_status(status: StatusCode) -> Option<Self> {
        (status == StatusCode::SERVICE_UNAVAILABLE).then_some(Self::Unavailable)
    }
}

/// The times and bounds of a [`Blacklist`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlacklistConfig {
    /// How many failures in a row list a target. Two, since one may be the call's own: a number
    /// that makes a gateway say 503 must not send everybody else's calls elsewhere (wound 38).
    pub failures: u32,
    /// How long a target is listed the first time: 30 s, about as long as a call attempt that
    /// is not answered takes (timer B is 32 s).
    pub first: Duration,
    /// Each time it fails again soon after, it is listed for twice as long, up to this: 5 minutes,
    /// so that a server which is back gets its calls before somebody has to ask why not.
    pub longest: Duration,
    /// How many targets are remembered: 1,024. When a new one fails, the one that heals soonest is
    /// forgotten: it would have been first to go anyway.
    pub entries: usize,
}

impl Default for BlacklistConfig {
    fn default() -> Self {
        Self {
            failures: 2,
            first: Duration::from_secs(30),
            longest: Duration::from_secs(300),
            entries: 1_024,
        }
    }
}

/// Which targets failed lately.
///
/// Being listed puts a target behind others; it is never dropped, since a target that may be dead is
/// better than none. It heals with time, and at once by a success.
#[derive(Debug, Default)]
pub struct Blacklist {
    config: BlacklistConfig,
    troubles: BTreeMap<(Transport, SocketAddr), Trouble>,
}

/// What is held against one target.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    /// Failures since it was last well, or last listed.
    failures: u32,
    /// How long it is listed from `since` on; zero while its failures are too few.
    listed_for: Duration,
    /// When it was listed, or failed last without being listed.
    since: Instant,
}

impl Blacklist {
    /// An empty one.
    pub fn new(config: BlacklistConfig) -> Self {
        Self {
            config,
            troubles: BTreeMap::new(),
        }
    }

    /// Says that a request to a target failed. All failures count alike; which one it was is asked
    /// for so that nobody takes another answer for one.
    ///
    /// The failures of a target that is listed already change nothing: they are of the same outage,
    /// and a hundred calls that it cost must not count a hundred times.
    pub fn note_failure(
        &mut self,
        transport: Transport,
        address: SocketAddr,
        _failure: Failure,
        now: Instant,
    ) {
        let longest = self.config.longest;
        self.troubles
            .retain(|_, trouble| !trouble.is_past(longest, now));
        let key = (transport, address);
        let Some(trouble) = self.troubles.get(&key).copied() else {
            self.make_room(now);
            let trouble = Trouble::new(now).after_failure(&self.config, now);
            self.troubles.insert(key, trouble);
            return;
        };
        if !trouble.is_listed(now) {
            let trouble = trouble.after_failure(&self.config, now);
            self.troubles.insert(key, trouble);
        }
    }

    /// Says that a target answered: whatever it said, it is well.
    pub fn note_success(&mut self, transport: Transport, address: SocketAddr) {
        self.troubles.remove(&(transport, address));
    }

    /// Whether a target is to be tried after others.
    pub fn is_listed(&self, transport: Transport, address: SocketAddr, now: Instant) -> bool {
        self.troubles
            .get(&(transport, address))
            .is_some_and(|trouble| trouble.is_listed(now))
    }

    /// `targets` with the listed ones last, otherwise in their order.
    pub fn order(&self, mut targets: Vec<Target>, now: Instant) -> Vec<Target> {
        targets.sort_by_cached_key(|target| self.is_listed(target.transport, target.address, now));
        targets
    }

    /// Forgets who heals soonest, if all places are taken.
    fn make_room(&mut self, now: Instant) {
        while self.troubles.len() >= self.config.entries.max(1) {
            let soonest = self
                .troubles
                .iter()
                .min_by_key(|(_, trouble)| trouble.time_left(now))
                .map(|(key, _)| *key);
            let Some(key) = soonest else { return };
            self.troubles.remove(&key);
        }
    }
}

impl Trouble {
    fn new(now: Instant) -> Self {
        Self {
            failures: 0,
            listed_for: Duration::ZERO,
            since: now,
        }
    }

    /// With one failure more, of a target that is not listed.
    fn after_failure(self, config: &BlacklistConfig, now: Instant) -> Self {
        let failures = self.failures.saturating_add(1);
        let was_listed = !self.listed_for.is_zero();
        // Once listed, a target has to prove itself: the first failure lists it again.
        if failures < config.failures && !was_listed {
            return Self {
                failures,
                since: now,
                ..self
            };
        }
        let listed_for = match was_listed {
            true => self.listed_for.saturating_mul(2),
            false => config.first,
        };
        Self {
            failures: 0,
            listed_for: listed_for.min(config.longest),
            since: now,
        }
    }

    fn is_listed(&self, now: Instant) -> bool {
        !self.time_left(now).is_zero()
    }

    /// Until it heals.
    fn time_left(&self, now: Instant) -> Duration {
        self.listed_for
            .saturating_sub(now.saturating_duration_since(self.since))
    }

    /// Whether it is so long over that a failure now would be another story: `longest` after it
    /// healed, or failed once.
    fn is_past(&self, longest: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= self.listed_for.saturating_add(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Host;

    const UDP: Transport = Transport::Udp;

    #[expect(
        clippy::disallowed_methods,
        reason = "an instant to count from; nothing here asks again"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    fn address(number: u32) -> SocketAddr {
        let [_, high, middle, low] = number.to_be_bytes();
        SocketAddr::from(([10, high, middle, low], 5060))
    }

    fn target(number: u32) -> Target {
        Target {
            transport: UDP,
            address: address(number),
            server_name: Host::Name("carrier.example".to_owned()),
        }
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// Two calls that got no answer at `now`.
    fn fail_twice(blacklist: &mut Blacklist, number: u32, now: Instant) {
        for _ in 0..2 {
            blacklist.note_failure(UDP, address(number), Failure::NoAnswer, now);
        }
    }

    #[test]
    fn one_failed_call_lists_nothing_and_a_second_one_does() {
        let (mut blacklist, now) = (Blacklist::default(), start());
        blacklist.note_failure(UDP, address(1), Failure::Unavailable, now);
        assert!(!blacklist.is_listed(UDP, address(1), now));
        blacklist.note_failure(UDP, address(1), Failure::Transport, now + seconds(1));
        assert!(blacklist.is_listed(UDP, address(1), now + seconds(1)));
    }

    #[test]
    fn failures_with_a_success_between_them_list_nothing() {
        let (mut blacklist, now) = (Blacklist::default(), start());
        for _ in 0..10 {
            blacklist.note_failure(UDP, address(1), Failure::Unavailable, now);
            blacklist.note_success(UDP, address(1));
        }
        assert!(!blacklist.is_listed(UDP, address(1), now));
    }

    #[test]
    fn a_failure_of_long_ago_does_not_count() {
        let (mut blacklist, now) = (Blacklist::default(), start());
        blacklist.note_failure(UDP, address(1), Failure::NoAnswer, now);
        let later = now + seconds(300);
        blacklist.note_failure(UDP, address(1), Failure::NoAnswer, later);
        assert!(!blacklist.is_listed(UDP, address(1), later));
    }

    #[test]
    fn another_transport_of_the_same_address_stays_as_it_was() {
        let (mut blacklist, now) = (Blacklist::default(), start());
        fail_twice(&mut blacklist, 1, now);
        assert!(!blacklist.is_listed(Transport::Tcp, address(1), now));
    }

    #[test]
    fn a_listed_target_heals_after_30_s_and_each_time_it_fails_again_after_twice_that_up_to_300_s()
    {
        let mut blacklist = Blacklist::default();
        let mut now = start();
        blacklist.note_failure(UDP, address(1), Failure::NoAnswer, now);
        for listed_for in [30, 60, 120, 240, 300, 300] {
            blacklist.note_failure(UDP, address(1), Failure::NoAnswer, now);
            let almost = now + seconds(listed_for) - Duration::from_millis(1);
            assert!(blacklist.is_listed(UDP, address(1), almost), "{listed_for}");
            now += seconds(listed_for);
            assert!(!blacklist.is_listed(UDP, address(1), now), "{listed_for}");
        }
    }

    #[test]
    fn a_target_that_stayed_well_for_long_begins_at_30_s_again() {
        let (mut blacklist, now) = (Blacklist::default(), start());
        fail_twice(&mut blacklist, 1, now);
        let later = now + seconds(330);
        fail_twice(&mut blacklist, 1, later);
        assert!(blacklist.is_listed(UDP, address(1), later));
        assert!(!blacklist.is_listed(UDP, address(1), later + seconds(30)));
    }

    #[test]
    fn all_the_calls_that_one_outage_cost_count_once() {
        let (mut blacklist, now) = (Blacklist::default(), start());
        for _ in 0..100 {
            blacklist.note_failure(UDP, address(1), Failure::NoAnswer, now);
        }
        assert!(!blacklist.is_listed(UDP, address(1), now + seconds(30)));
    }

    #[test]
    fn a_success_heals_at_once() {
        let (mut blacklist, now) = (Blacklist::default(), start());
        fail_twice(&mut blacklist, 1, now);
        blacklist.note_success(UDP, address(1));
        assert!(!blacklist.is_listed(UDP, address(1), now));
    }

    #[test]
    fn only_a_503_is_a_failure_among_responses() {
        let failures: Vec<u16> = (100..700)
            .filter(|code| {
                let status = StatusCode::new(*code).unwrap();
                Failure::of_status(status).is_some()
            })
            .collect();
        assert_eq!(failures, [503]);
    }

    #[test]
    fn listed_targets_go_last_in_their_order_and_none_is_dropped() {
        let (mut blacklist, now) = (Blacklist::default(), start());
        fail_twice(&mut blacklist, 1, now);
        fail_twice(&mut blacklist, 3, now);
        let targets = [1, 2, 3, 4].map(target).to_vec();
        let ordered = blacklist.order(targets.clone(), now);
        assert_eq!(ordered, [2, 4, 1, 3].map(target));
        assert_eq!(blacklist.order(targets.clone(), now + seconds(30)), targets);
    }

    #[test]
    fn targets_that_are_all_listed_are_all_still_tried() {
        let (mut blacklist, now) = (Blacklist::default(), start());
        fail_twice(&mut blacklist, 1, now);
        fail_twice(&mut blacklist, 2, now);
        let targets = [1, 2].map(target).to_vec();
        assert_eq!(blacklist.order(targets.clone(), now), targets);
    }

    #[test]
    fn when_it_is_full_the_one_that_heals_soonest_goes() {
        let (mut blacklist, now) = (Blacklist::default(), start());
        fail_twice(&mut blacklist, 0, now);
        for number in 1..=1_024 {
            fail_twice(&mut blacklist, number, now + seconds(1));
        }
        let later = now + seconds(1);
        assert!(!blacklist.is_listed(UDP, address(0), later));
        assert!((1..=1_024).all(|number| blacklist.is_listed(UDP, address(number), later)));
    }

    #[test]
    fn a_time_that_goes_backwards_or_settings_without_measure_do_no_harm() {
        let mut blacklist = Blacklist::new(BlacklistConfig {
            failures: 0,
            first: Duration::MAX,
            longest: Duration::MAX,
            entries: 0,
        });
        let now = start();
        blacklist.note_failure(UDP, address(1), Failure::NoAnswer, now + seconds(10));
        blacklist.note_failure(UDP, address(1), Failure::NoAnswer, now);
        assert!(blacklist.is_listed(UDP, address(1), now));
    }
}
