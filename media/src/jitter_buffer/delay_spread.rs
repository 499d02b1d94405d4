//! How far packets' delays spread, and so how long playout must wait.

/// Packets looked back on: 5 s of 20 ms packets.
const WINDOW: usize = 256;
/// One packet in so many may come too late without lengthening the wait.
const TOLERATED_ONE_IN: usize = 50;
/// The wait is worked out anew after so many packets, and at once when one exceeds it.
const EVERY: usize = 16;

/// The transit times of the last packets, in microseconds on an arbitrary scale (arrival by our clock
/// minus timestamp by theirs). The least of them is the path's own delay; what packets take beyond it
/// is what playout must wait for. As the window slides, both follow drifting clocks and changed paths.
#[derive(Debug)]
pub(super) struct DelaySpread {
    transits: Box<[i64; WINDOW]>,
    next: usize,
    count: usize,
    until_recalculation: usize,
    base: i64,
    spread: i64,
}

impl DelaySpread {
    pub(super) fn new() -> Self {
        Self {
            transits: Box::new([0; WINDOW]),
            next: 0,
            count: 0,
            until_recalculation: 0,
            base: 0,
            spread: 0,
        }
    }

    /// Takes note of a packet's transit time.
    pub(super) fn add(&mut self, transit: i64) {
        self.transits[self.next] = transit;
        self.next = (self.next + 1) % WINDOW;
        if self.count == 0 {
            self.base = transit;
        }
        self.count = (self.count + 1).min(WINDOW);
        self.base = self.base.min(transit);
        self.until_recalculation = self.until_recalculation.saturating_sub(1);
        if self.until_recalculation == 0 || transit - self.base > self.spread {
            self.recalculate();
        }
    }

    /// Forgets everything: the path is another one, or long unused.
    pub(super) fn forget(&mut self) {
        self.next = 0;
        self.count = 0;
        self.spread = 0;
        self.until_recalculation = 0;
    }

    /// The least transit time in the window, `None` before the first packet.
    pub(super) fn base(&self) -> Option<i64> {
        (self.count > 0).then_some(self.base)
    }

    /// How far beyond [`Self::base`] all but one packet in fifty came, in microseconds; with fewer
    /// than fifty seen, all of them.
    pub(super) fn spread(&self) -> i64 {
        self.spread
    }

    fn recalculate(&mut self) {
        let mut sorted = [0; WINDOW];
        let known = &mut sorted[..self.count];
        known.copy_from_slice(&self.transits[..self.count]);
        let rank = self.count - 1 - self.count / TOLERATED_ONE_IN;
        let (below, ranked, _) = known.select_nth_unstable(rank);
        self.base = below.iter().copied().min().unwrap_or(*ranked);
        self.spread = *ranked - self.base;
        self.until_recalculation = EVERY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_delays_have_no_spread() {
        let mut spread = DelaySpread::new();
        assert_eq!(spread.base(), None);
        for _ in 0..600 {
            spread.add(40_000);
        }
        assert_eq!((spread.base(), spread.spread()), (Some(40_000), 0));
    }

    #[test]
    fn at_first_the_worst_packet_decides_and_later_the_worst_but_few() {
        let mut spread = DelaySpread::new();
        spread.add(0);
        spread.add(80_000);
        assert_eq!(spread.spread(), 80_000);
        for n in 0..300 {
            spread.add(if n % 100 == 0 { 80_000 } else { n % 7 * 1_000 });
        }
        assert_eq!(spread.spread(), 6_000);
    }

    #[test]
    fn the_base_follows_a_path_that_becomes_longer() {
        let mut spread = DelaySpread::new();
        for _ in 0..300 {
            spread.add(0);
        }
        for _ in 0..300 {
            spread.add(60_000);
        }
        assert_eq!((spread.base(), spread.spread()), (Some(60_000), 0));
    }
}
