//! Collecting digits.

use std::time::Duration;

use offhook_media::control::Digit;

use crate::pii::Pii;

/// What to collect.
#[derive(Clone, Debug)]
pub struct CollectOptions {
    /// Said first, interruptible by a digit; the first digit's time runs from its end.
    pub prompt: Option<String>,
    /// Fewest digits that are an answer (default 1).
    pub min: usize,
    /// Digits after which the collection is complete (default and most: 64).
    pub max: usize,
    /// The key that ends it early and is no part of it (default `#`).
    pub terminator: Option<Digit>,
    /// Longest gap between two digits (default 4 s).
    pub inter_digit_timeout: Duration,
    /// Longest wait for the first (default 8 s).
    pub first_digit_timeout: Duration,
    /// Whether transcript, events and logs show the digits masked (default no).
    pub sensitive: bool,
}

impl CollectOptions {
    /// Most digits one collection holds.
    pub const BOUND: usize = 64;
}

impl Default for CollectOptions {
    fn default() -> Self {
        Self {
            prompt: None,
            min: 1,
            max: Self::BOUND,
            terminator: Digit::from_char('#'),
            inter_digit_timeout: Duration::from_secs(4),
            first_digit_timeout: Duration::from_secs(8),
            sensitive: false,
        }
    }
}

/// What a collection gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Collected {
    /// Enough digits, without the terminator.
    Digits(Pii<String>),
    /// Too few digits came in time; those that did.
    TimedOut(Pii<String>),
    /// Another collection took its place, or the call ended.
    Cancelled,
}
