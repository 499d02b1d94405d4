//! Collecting digits: how many, until which key, how long to wait.

use std::time::Duration;

use offhook_media::control::Digit;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::utterance::UtteranceId;
use crate::pii::Pii;

/// What to collect.
#[derive(Clone, Debug)]
pub struct CollectOptions {
    /// Said first, interruptible by a digit; the first digit's time runs from its end.
    pub prompt: Option<String>,
    /// Where there is no prompt: the utterance, already asked for, from whose end the first digit's time
    /// runs.
    pub after: Option<UtteranceId>,
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
    /// Whether transcript, events and logs show the digits masked, and the recording has the caller muted,
    /// from when the collection begins to a second after its end (default no). A digit that was pressed
    /// before and came as tones is in the recording.
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
            after: None,
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
    /// The terminator came after too few digits, or none; those that came.
    TooFew(Pii<String>),
    /// Too few digits came in time; those that did.
    TimedOut(Pii<String>),
    /// Another collection took its place, or the call ended.
    Cancelled,
}

/// A collection under way.
pub(super) struct Collector {
    options: CollectOptions,
    digits: String,
    /// The caller pressed the terminator.
    terminated: bool,
    /// The prompt that must end before the first digit's time runs.
    after: Option<UtteranceId>,
    deadline: Option<Instant>,
    reply: oneshot::Sender<Collected>,
}

/// A finished collection.
pub(super) struct Finished {
    /// What the transcript shows, masked where it must be; empty when nothing was pressed.
    pub(super) shown: String,
    result: Collected,
    reply: oneshot::Sender<Collected>,
}

impl Finished {
    pub(super) fn deliver(self) {
        // Nobody waits any more: the collection was given up, which is no fault.
        let _given_up = self.reply.send(self.result);
    }
}

impl Collector {
    /// Starts collecting; the first digit's time runs from the end of `after`, or from `now`.
    pub(super) fn new(
        mut options: CollectOptions,
        after: Option<UtteranceId>,
        reply: oneshot::Sender<Collected>,
        now: Instant,
    ) -> Self {
        options.max = options.max.clamp(1, CollectOptions::BOUND);
        options.min = options.min.min(options.max);
        let deadline = after.is_none().then(|| now + options.first_digit_timeout);
        Self {
            options,
            digits: String::new(),
            terminated: false,
            after,
            deadline,
            reply,
        }
    }

    /// Whether digits may be shown.
    pub(super) fn is_sensitive(&self) -> bool {
        self.options.sensitive
    }

    /// Whether whoever asked still waits.
    pub(super) fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// An utterance ended; the first digit's time runs if it was the prompt.
    pub(super) fn utterance_done(&mut self, id: UtteranceId, now: Instant) {
        if self.after == Some(id) {
            self.after = None;
            self.deadline
                .get_or_insert(now + self.options.first_digit_timeout);
        }
    }

    /// Takes a digit; answers whether the collection is complete.
    pub(super) fn press(&mut self, digit: Digit, now: Instant) -> bool {
        if self.options.terminator == Some(digit) {
            self.terminated = true;
            return true;
        }
        self.digits.push(digit.as_char());
        self.deadline = Some(now + self.options.inter_digit_timeout);
        self.digits.len() >= self.options.max
    }

    /// Ends it: digits if there are enough.
    pub(super) fn finish(self) -> Finished {
        let enough = self.digits.len() >= self.options.min;
        let terminated = self.terminated;
        self.end(match (enough, terminated) {
            (true, _) => Collected::Digits,
            (false, true) => Collected::TooFew,
            (false, false) => Collected::TimedOut,
        })
    }

    /// Ends it without a result.
    pub(super) fn cancel(self) -> Finished {
        self.end(|_| Collected::Cancelled)
    }

    fn end(self, result: impl FnOnce(Pii<String>) -> Collected) -> Finished {
        let shown = if self.options.sensitive {
            "\u{2022}".repeat(self.digits.len())
        } else {
            self.digits.clone()
        };
        Finished {
            shown,
            result: result(Pii::new(self.digits)),
            reply: self.reply,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digit(symbol: char) -> Digit {
        Digit::from_char(symbol).expect("a digit")
    }

    fn collect(options: CollectOptions, pressed: &str) -> (Collected, String, bool) {
        let (reply, mut answer) = oneshot::channel();
        let now = Instant::now();
        let mut collector = Collector::new(options, None, reply, now);
        let complete = pressed
            .chars()
            .any(|symbol| collector.press(digit(symbol), now));
        let finished = collector.finish();
        let shown = finished.shown.clone();
        finished.deliver();
        (answer.try_recv().expect("delivered"), shown, complete)
    }

    #[tokio::test]
    async fn a_collection_ends_at_the_terminator_or_when_full() {
        let three = CollectOptions {
            max: 3,
            ..CollectOptions::default()
        };
        assert_eq!(
            collect(three, "120"),
            (
                Collected::Digits(Pii::new("120".into())),
                "120".into(),
                true
            )
        );
        assert_eq!(
            collect(CollectOptions::default(), "12#"),
            (Collected::Digits(Pii::new("12".into())), "12".into(), true)
        );
    }

    #[tokio::test]
    async fn too_few_digits_are_a_timeout_that_keeps_them() {
        let four = CollectOptions {
            min: 4,
            ..CollectOptions::default()
        };
        assert_eq!(
            collect(four, "12"),
            (
                Collected::TimedOut(Pii::new("12".into())),
                "12".into(),
                false
            )
        );
    }

    #[tokio::test]
    async fn the_terminator_after_too_few_digits_or_none_is_no_timeout() {
        for pressed in ["", "12"] {
            let four = CollectOptions {
                min: 4,
                ..CollectOptions::default()
            };
            assert_eq!(
                collect(four, &format!("{pressed}#")),
                (
                    Collected::TooFew(Pii::new(pressed.into())),
                    pressed.into(),
                    true
                )
            );
        }
    }

    #[tokio::test]
    async fn a_sensitive_collection_shows_only_how_many() {
        let sensitive = CollectOptions {
            sensitive: true,
            ..CollectOptions::default()
        };
        let (collected, shown, _) = collect(sensitive, "4711#");
        assert_eq!(collected, Collected::Digits(Pii::new("4711".into())));
        assert_eq!(shown, "\u{2022}\u{2022}\u{2022}\u{2022}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_digits_time_runs_from_the_end_of_the_prompt() {
        let (reply, _answer) = oneshot::channel();
        let now = Instant::now();
        let mut collector =
            Collector::new(CollectOptions::default(), Some(UtteranceId(3)), reply, now);
        assert_eq!(collector.poll_timeout(), None);
        collector.utterance_done(UtteranceId(2), now);
        assert_eq!(collector.poll_timeout(), None);
        collector.utterance_done(UtteranceId(3), now);
        assert_eq!(collector.poll_timeout(), Some(now + Duration::from_secs(8)));
        collector.press(digit('0'), now);
        assert_eq!(collector.poll_timeout(), Some(now + Duration::from_secs(4)));
    }
}
