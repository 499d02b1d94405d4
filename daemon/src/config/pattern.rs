//! Patterns for the user part of a request URI.

use std::fmt;
use std::str::FromStr;

/// Text in which `*` stands for any characters, also none, and `?` for exactly one. Case counts, as it
/// does in the user part of a SIP URI (RFC 3261 section 19.1.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutePattern(Box<str>);

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// It matches nothing but an empty user part; leaving the key out matches everything.
    #[error("is empty; leave the key out to match every call")]
    Empty,
    /// It holds white space, which no user part does.
    #[error("holds white space")]
    WhiteSpace,
}

impl RoutePattern {
    /// Whether the whole of `text` fits the pattern.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        // After a mismatch the last star takes one more character; earlier stars never need to.
        let (mut pattern, mut rest) = (self.0.chars(), text.chars());
        let mut last_star = None;
        loop {
            match pattern.next() {
                Some('*') => last_star = Some((pattern.clone(), rest.clone())),
                Some('?') if rest.next().is_some() => {}
                Some(expected) if expected != '?' && rest.next() == Some(expected) => {}
                None if rest.as_str().is_empty() => return true,
                Some(_) | None => {
                    let Some((after_star, taken)) = &mut last_star else {
                        return false;
                    };
                    if taken.next().is_none() {
                        return false;
                    }
                    (pattern, rest) = (after_star.clone(), taken.clone());
                }
            }
        }
    }
}

impl FromStr for RoutePattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        if text.is_empty() {
            Err(InvalidPattern::Empty)
        } else if text.contains(char::is_whitespace) {
            Err(InvalidPattern::WhiteSpace)
        } else {
            Ok(Self(text.into()))
        }
    }
}

impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        pattern.parse::<RoutePattern>().unwrap().matches(text)
    }

    #[test]
    fn stars_and_question_marks_stand_for_other_characters() {
        for (pattern, text) in [
            ("echo", "echo"),
            ("*", ""),
            ("+49*", "+4930123"),
            ("1??", "100"),
            ("*a*b", "xaab"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("echo", "Echo"),
            ("echo", "echos"),
            ("1??", "10"),
            ("+49*1", "+49302"),
            ("?", ""),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    /// The definition, without the care for time.
    fn by_definition(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', pattern_rest @ ..], _) => {
                by_definition(pattern_rest, text)
                    || matches!(text, [_, rest @ ..] if by_definition(pattern, rest))
            }
            (['?', pattern_rest @ ..], [_, rest @ ..]) => by_definition(pattern_rest, rest),
            ([expected, pattern_rest @ ..], [found, rest @ ..]) => {
                expected == found && by_definition(pattern_rest, rest)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_definition(pattern in "[ab*?]{1,8}", text in "[ab]{0,8}") {
            let (letters, rest): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(matches(&pattern, &text), by_definition(&letters, &rest));
        }
    }
}
