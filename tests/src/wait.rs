//! Waiting for something another process does, always with a deadline.

use std::time::{Duration, Instant};

/// How long to let the other side work between two looks. Only ever a pause between checks of a real condition.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Looks until `look` gives something, or fails when `limit` has passed.
///
/// # Errors
/// A sentence naming `what` was waited for and how long.
pub fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T, String> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            return Err(format!("{what} did not happen within {limit:?}"));
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_happens_is_named_after_its_limit() {
        let verdict = wait_until::<()>("rain", Duration::from_millis(1), || None);
        assert_eq!(verdict, Err("rain did not happen within 1ms".to_owned()));
    }

    #[test]
    fn what_has_happened_already_is_given_at_once() {
        assert_eq!(wait_until("noon", Duration::ZERO, || Some(12)), Ok(12));
    }
}
