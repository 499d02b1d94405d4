//! RTP ports: even numbers, first in first out, with a quarantine.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a port rests after use. A far end may go on sending after BYE; its packets must not reach
/// the next call.
pub(super) const QUARANTINE: Duration = Duration::from_secs(1);

/// The free list of even ports. First in, first out, so that a port rests as long as possible.
#[derive(Debug)]
pub struct RtpPorts {
    free: VecDeque<(u16, Option<Instant>)>,
}

impl RtpPorts {
    /// The given even ports, in that order; the odd ones above them are RTCP's.
    #[must_use]
    pub fn new(ports: impl IntoIterator<Item = u16>) -> Self {
        Self {
            free: ports.into_iter().map(|port| (port, None)).collect(),
        }
    }

    /// The port that has rested longest, `None` when none has rested long enough.
    pub fn take(&mut self, now: Instant) -> Option<u16> {
        let (_, released) = self.free.front()?;
        if released.is_some_and(|released| now.saturating_duration_since(released) < QUARANTINE) {
            return None;
        }
        self.free.pop_front().map(|(port, _)| port)
    }

    /// Takes a port back.
    pub fn give_back(&mut self, port: u16, now: Instant) {
        self.free.push_back((port, Some(now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_that_has_rested_longest_comes_first() {
        let now = Instant::now();
        let mut ports = RtpPorts::new([10_000, 10_002]);
        assert_eq!(ports.take(now), Some(10_000));
        ports.give_back(10_000, now);
        let later = now + QUARANTINE * 2;
        assert_eq!(ports.take(later), Some(10_002));
        assert_eq!(ports.take(later), Some(10_000));
        assert_eq!(ports.take(later), None);
    }

    #[test]
    fn wound_53_a_port_rests_a_second_before_it_is_used_again() {
        let now = Instant::now();
        let mut ports = RtpPorts::new([10_000]);
        assert_eq!(ports.take(now), Some(10_000));
        ports.give_back(10_000, now);
        assert_eq!(ports.take(now + QUARANTINE / 2), None);
        assert_eq!(ports.take(now + QUARANTINE), Some(10_000));
    }
}
