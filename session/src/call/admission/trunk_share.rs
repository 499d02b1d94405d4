//! What one trunk may have: places, a rate, and the numbers it may call.

use std::time::Instant;

use super::Refusal;
use crate::token_bucket::TokenBucket;

/// What one trunk may have; by default all there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrunkLimits {
    /// Calls at once, both directions together.
    pub calls: Option<u32>,
    /// New calls a minute, both directions together, with a burst of one minute's worth.
    pub calls_per_minute: Option<u32>,
    /// What the numbers that may be called begin with; `None` allows all, an empty list none.
    pub allowed_prefixes: Option<Vec<String>>,
}

/// One trunk's calls, counted.
#[derive(Debug)]
pub(super) struct TrunkShare {
    limits: TrunkLimits,
    calls: u32,
    rate: Option<TokenBucket>,
}

impl TrunkShare {
    pub(super) fn new(limits: TrunkLimits, now: Instant) -> Self {
        let rate = limits
            .calls_per_minute
            .map(|rate| TokenBucket::per_minute(rate, now));
        Self {
            limits,
            calls: 0,
            rate,
        }
    }

    /// Whether a number may be called. A leading `+` has to be there on both sides or on neither: `00`, `0`
    /// and no prefix at all mean something else on each trunk, and a limit that guesses is none.
    pub(super) fn allows(&self, number: &str) -> bool {
        let Some(prefixes) = &self.limits.allowed_prefixes else {
            return true;
        };
        let number = dialled(number);
        prefixes
            .iter()
            .any(|prefix| number.starts_with(&dialled(prefix)))
    }

    pub(super) fn take(&mut self, now: Instant) -> Result<(), Refusal> {
        if self.limits.calls.is_some_and(|most| self.calls >= most) {
            return Err(Refusal::TrunkAtCap);
        }
        self.take_rate(now)?;
        self.calls += 1;
        Ok(())
    }

    /// One more of what may begin, without a place.
    pub(super) fn take_rate(&mut self, now: Instant) -> Result<(), Refusal> {
        let may = self.rate.as_mut().is_none_or(|rate| rate.take(now));
        may.then_some(()).ok_or(Refusal::TrunkRateAtCap)
    }

    pub(super) fn release(&mut self) {
        self.calls = self.calls.saturating_sub(1);
    }
}

/// A number as a switch dials it: what is only there for the eye (RFC 3966 5.1.1) is taken out, so that it
/// hides no prefix.
fn dialled(number: &str) -> String {
    let for_the_eye = |character: &char| matches!(character, ' ' | '-' | '.' | '(' | ')');
    number
        .chars()
        .filter(|character| !for_the_eye(character))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(prefixes: &[&str], number: &str) -> bool {
        let limits = TrunkLimits {
            allowed_prefixes: Some(prefixes.iter().map(|prefix| (*prefix).to_owned()).collect()),
            ..TrunkLimits::default()
        };
        TrunkShare::new(limits, Instant::now()).allows(number)
    }

    #[test]
    fn only_numbers_with_a_listed_prefix_may_be_called() {
        assert!(allows(&["+49", "+43"], "+4930123"));
        assert!(allows(&["+49 (30)"], "+49 30-123"));
        assert!(!allows(&["+49"], "+25299123"));
        assert!(!allows(&["+49"], "4930123"));
        assert!(!allows(&["49"], "004930123"));
        assert!(!allows(&[], "+4930123"));
        assert!(!allows(&["+49900"], "+49 9-0"));
    }

    #[test]
    fn separators_hide_no_prefix() {
        assert!(!allows(&["+493"], "+49-9001"));
        assert!(allows(&["+493"], "+-49.3(0)"));
    }

    #[test]
    fn without_a_list_all_may_be_called() {
        let share = TrunkShare::new(TrunkLimits::default(), Instant::now());
        assert!(share.allows("+25299123"));
    }
}
