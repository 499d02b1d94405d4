//! How long after a failure the next REGISTER waits (RFC 5626 4.5).

use std::time::Duration;

/// The wait after the first failure, at most.
const BASE: Duration = Duration::from_secs(30);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(1_800);

/// After `failures` failures before this one; `thousandths` (0 to 999) is random, so that a registrar that
/// comes back is not met by everybody at once. Half to the whole of a time that doubles.
pub(super) fn wait(failures: u32, thousandths: u64) -> Duration {
    let upper = BASE
        .saturating_mul(2_u32.saturating_pow(failures.min(16)))
        .min(LONGEST);
    let thousandths = u32::try_from(thousandths.min(999)).unwrap_or(999);
    upper / 2 + upper / 2 * thousandths / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_from_half_a_minute_to_half_an_hour_and_is_spread_over_its_upper_half() {
        let range = |failures| (wait(failures, 0).as_secs(), wait(failures, 999).as_secs());
        assert_eq!(range(0), (15, 29));
        assert_eq!(range(1), (30, 59));
        assert_eq!(range(5), (480, 959));
        assert_eq!(range(6), (900, 1_799));
        assert_eq!(range(4_000_000_000), (900, 1_799));
    }
}
