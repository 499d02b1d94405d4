//! The distribution of times between a peer's packets.

/// Width of a bucket.
const BUCKET_NS: u64 = 10_000;
/// Up to 400 ms in buckets; anything longer is only counted.
const BUCKETS: usize = 40_000;

/// A histogram of durations with 10 µs steps up to 400 ms.
#[derive(Debug, Clone)]
pub struct Gaps {
    counts: Vec<u32>,
    total: u64,
    shortest_ns: u64,
    longest_ns: u64,
}

impl Default for Gaps {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            shortest_ns: u64::MAX,
            longest_ns: 0,
        }
    }
}

impl Gaps {
    /// Adds one.
    pub fn add(&mut self, gap_ns: u64) {
        let bucket = usize::try_from(gap_ns / BUCKET_NS)
            .map_or(BUCKETS - 1, |bucket| bucket.min(BUCKETS - 1));
        self.counts[bucket] += 1;
        self.total += 1;
        self.shortest_ns = self.shortest_ns.min(gap_ns);
        self.longest_ns = self.longest_ns.max(gap_ns);
    }

    /// How many were added.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The duration in milliseconds that `share` (0 to 1) of all stay below or at; 0 when there are none.
    pub fn percentile_ms(&self, share: f64) -> f64 {
        let rank = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank && seen > 0 {
                return (bucket as u64 * BUCKET_NS + BUCKET_NS / 2) as f64 / 1e6;
            }
        }
        0.0
    }

    /// The largest distance of any from `due_ms`, in milliseconds; 0 when there are none.
    pub fn largest_deviation_ms(&self, due_ms: f64) -> f64 {
        if self.total == 0 {
            return 0.0;
        }
        let (shortest, longest) = (self.shortest_ns as f64 / 1e6, self.longest_ns as f64 / 1e6);
        (longest - due_ms).abs().max((due_ms - shortest).abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_the_worst_deviation_are_those_of_the_samples() {
        let mut gaps = Gaps::default();
        (0..99).for_each(|_| gaps.add(20_000_000));
        gaps.add(27_000_000);
        assert!((gaps.percentile_ms(0.5) - 20.0).abs() < 0.011);
        assert!((gaps.percentile_ms(0.99) - 20.0).abs() < 0.011);
        assert!((gaps.percentile_ms(0.999) - 27.0).abs() < 0.011);
        assert!((gaps.largest_deviation_ms(20.0) - 7.0).abs() < 1e-9);
    }

    #[test]
    fn no_samples_give_zeros() {
        let gaps = Gaps::default();
        assert_eq!(
            (gaps.percentile_ms(0.99), gaps.largest_deviation_ms(20.0)),
            (0.0, 0.0)
        );
    }
}
