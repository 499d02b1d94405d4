//! Which counts of which nonces were used. Only who knows a password gets an entry here.

use std::collections::BTreeMap;

use super::nonces::NonceId;

/// Counts below the highest that may still come: requests overtake each other on the way.
const WINDOW: u32 = 64;

/// Admits each count of a nonce once.
///
/// It holds a bounded number of nonces. When it is full it forgets the oldest, and with it admits no
/// nonce as old as that any more: a client is then told `stale`, and a forgotten count cannot be
/// replayed.
#[derive(Debug)]
pub(super) struct ReplayGuard {
    counts: BTreeMap<NonceId, Counts>,
    capacity: usize,
    /// The latest nonce that was forgotten.
    forgotten: Option<NonceId>,
}

/// The counts of one nonce.
#[derive(Debug, Default)]
struct Counts {
    highest: u32,
    /// A bit for each count of the window: the lowest is `highest`, the next one less.
    used: u64,
}

impl ReplayGuard {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            counts: BTreeMap::new(),
            capacity: capacity.max(1),
            forgotten: None,
        }
    }

    /// Whether this is the first use of the count, and remembers it.
    pub(super) fn admit(&mut self, nonce: NonceId, count: u32) -> bool {
        if self.forgotten.is_some_and(|forgotten| nonce <= forgotten) {
            return false;
        }
        if !self.counts.contains_key(&nonce) && self.counts.len() >= self.capacity {
            match self.counts.first_key_value() {
                Some((&oldest, _)) if oldest < nonce => self.forget(oldest),
                Some(_) | None => return false,
            }
        }
        self.counts.entry(nonce).or_default().admit(count)
    }

    /// Forgets the nonces given out before then, which have run out.
    pub(super) fn forget_before(&mut self, issued_ms: u64) {
        while let Some((&oldest, _)) = self.counts.first_key_value() {
            if oldest.issued_ms >= issued_ms {
                break;
            }
            self.forget(oldest);
        }
    }

    fn forget(&mut self, nonce: NonceId) {
        self.counts.remove(&nonce);
        self.forgotten = self.forgotten.max(Some(nonce));
    }
}

impl Counts {
    fn admit(&mut self, count: u32) -> bool {
        if count > self.highest {
            let ahead = count - self.highest;
            self.used = self.used.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let behind = self.highest - count;
        // A count starts at 1.
        if count == 0 || behind >= WINDOW {
            return false;
        }
        let bit = 1 << behind;
        let is_new = self.used & bit == 0;
        self.used |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce(issued_ms: u64) -> NonceId {
        NonceId {
            issued_ms,
            number: 0,
        }
    }

    #[test]
    fn a_count_is_admitted_once_in_any_order() {
        let mut guard = ReplayGuard::new(4);
        for count in [1, 3, 2, 70, 7, 71] {
            assert!(guard.admit(nonce(1), count), "{count}");
            assert!(!guard.admit(nonce(1), count), "{count}");
        }
        assert!(!guard.admit(nonce(1), 0));
        assert!(guard.admit(nonce(1), u32::MAX));
        assert!(!guard.admit(nonce(1), 72), "far behind");
        assert!(
            guard.admit(nonce(2), 1),
            "another nonce's counts are its own"
        );
    }

    #[test]
    fn a_full_guard_forgets_the_oldest_and_admits_nothing_as_old() {
        let mut guard = ReplayGuard::new(2);
        for issued_ms in [10, 30, 20] {
            assert!(guard.admit(nonce(issued_ms), 1));
        }
        assert_eq!(guard.counts.len(), 2);
        assert!(!guard.admit(nonce(10), 1), "the forgotten one");
        assert!(!guard.admit(nonce(9), 1), "an older one, never seen");
        assert!(!guard.admit(nonce(15), 1), "older than all that are kept");
        assert!(guard.admit(nonce(20), 2) && !guard.admit(nonce(30), 1));
    }

    #[test]
    fn what_ran_out_makes_room_and_stays_unusable() {
        let mut guard = ReplayGuard::new(8);
        for issued_ms in 0..8 {
            assert!(guard.admit(nonce(issued_ms), 1));
        }
        guard.forget_before(6);
        assert_eq!(guard.counts.len(), 2);
        assert!(!guard.admit(nonce(5), 2) && guard.admit(nonce(6), 2));
    }
}
