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

/// The least of up to three measurements of `what`, of which the first below `bound` ends it: what a busy machine makes
/// late is measured again, and what is late by itself stays so.
///
/// # Errors
/// A sentence naming `what`, `bound`, and all three, when none is below it.
pub fn once_within(
    what: &str,
    bound: Duration,
    mut measure: impl FnMut() -> Duration,
) -> Result<Duration, String> {
    let mut measured = Vec::new();
    for _ in 0..3 {
        let time = measure();
        if time < bound {
            return Ok(time);
        }
        measured.push(time);
    }
    Err(format!(
        "{what} took {measured:?}, and never less than {bound:?}"
    ))
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

    #[test]
    fn what_is_late_once_may_be_in_time_and_what_is_late_thrice_is_told() {
        let [short, long] = [1, 9].map(Duration::from_secs);
        let bound = Duration::from_secs(2);
        let mut times = [long, short].into_iter();
        let twice = once_within("a walk", bound, || times.next().expect("two"));
        assert_eq!(twice, Ok(short));
        let never = once_within("a walk", bound, || long);
        assert_eq!(
            never,
            Err("a walk took [9s, 9s, 9s], and never less than 2s".to_owned())
        );
    }
}
