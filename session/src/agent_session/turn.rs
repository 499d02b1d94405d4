//! The caller's turn: what was said so far, and when it is over.
//!
//! Without a turn detector the end of a turn is a pause whose length depends on the words: short
//! after an answer that is plainly complete, long after one that is plainly not.

use std::time::Duration;

use tokio::time::Instant;

use crate::agent::UserTurn;
use crate::grammar::{Grammar, phrase};
use crate::pii::Pii;

/// Pause after words that are neither plainly complete nor plainly unfinished.
const ORDINARY: Duration = Duration::from_millis(700);
/// Pause after a whole phrase of the grammar, or yes or no.
const COMPLETE: Duration = Duration::from_millis(375);
/// Pause after a conjunction, a filler, or digits that fill nothing.
const UNFINISHED: Duration = Duration::from_millis(1_350);
/// No turn waits longer than this after the caller stopped, whatever is still outstanding.
pub(super) const CAP: Duration = Duration::from_secs(3);
/// Voiced time under which speech is none.
pub(super) const SHORTEST_SPEECH: Duration = Duration::from_millis(120);

/// How long to wait after the caller stopped, by what was said.
pub(super) fn end_of_turn_wait(text: &str, grammar: Option<&Grammar>) -> Duration {
    const AFFIRMATION: [&str; 6] = ["yes", "no", "yeah", "nope", "yes please", "no thanks"];
    const CONJUNCTIONS: [&str; 10] = [
        "and", "or", "but", "because", "so", "then", "with", "to", "if", "that",
    ];
    const FILLERS: [&str; 9] = ["um", "uh", "er", "erm", "hmm", "well", "like", "eh", "ah"];

    let text = phrase(text);
    let completes = |grammar: &Grammar| grammar.phrases.iter().any(|known| phrase(known) == text);
    if AFFIRMATION.contains(&text.as_str()) || grammar.is_some_and(completes) {
        return COMPLETE;
    }
    let last = text.rsplit(' ').next().unwrap_or_default();
    if CONJUNCTIONS.contains(&last) || FILLERS.contains(&last) || is_digit_word(last) {
        return UNFINISHED;
    }
    ORDINARY
}

/// Whether a word is a digit, spelled or written.
fn is_digit_word(word: &str) -> bool {
    const WORDS: [&str; 12] = [
        "zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
        "double",
    ];
    WORDS.contains(&word) || (!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()))
}

/// How long to wait for more of a turn, by how likely it is over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndOfTurnPolicy {
    /// The wait where it surely is over (default 0.5 s).
    pub min_wait: Duration,
    /// The wait where it is not, and until the detector has answered (default 0.8 s).
    pub max_wait: Duration,
    /// From which likelihood on it surely is (default 0.75).
    pub certainty_threshold: f32,
    /// What between the two waits is possible.
    pub mode: EndOfTurnMode,
}

/// How the wait follows the likelihood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndOfTurnMode {
    /// Below the threshold the longest, from it on the shortest.
    #[default]
    Default,
    /// The likelier, the shorter.
    Adaptive,
}

impl Default for EndOfTurnPolicy {
    fn default() -> Self {
        Self {
            min_wait: Duration::from_millis(500),
            max_wait: Duration::from_millis(800),
            certainty_threshold: 0.75,
            mode: EndOfTurnMode::Default,
        }
    }
}

impl EndOfTurnPolicy {
    /// The wait for a likelihood of 0 to 1.
    fn wait(&self, likelihood: f32) -> Duration {
        let least = self.min_wait.min(self.max_wait);
        match self.mode {
            EndOfTurnMode::Default if likelihood < self.certainty_threshold => self.max_wait,
            EndOfTurnMode::Default => least,
            EndOfTurnMode::Adaptive => {
                let left = (1.0 - likelihood).clamp(0.0, 1.0);
                least + (self.max_wait - least).mul_f32(left)
            }
        }
    }
}

/// A turn under way: nothing, or words (or a failure to understand) and a pause that is running.
#[derive(Default)]
pub(super) struct Turn {
    texts: Vec<String>,
    /// The lowest confidence of the texts.
    confidence: Option<f32>,
    not_understood: bool,
    /// The pause the last words ask for.
    wait: Duration,
    /// When the caller stopped last.
    stopped_at: Option<Instant>,
    /// Counts the words, so that a late verdict is known to be about others.
    words: u64,
    /// When the turn is over if nothing else comes; `None` while the caller speaks.
    deadline: Option<Instant>,
}

impl Turn {
    /// Whether anything was said that is not yet a finished turn.
    pub(super) fn is_pending(&self) -> bool {
        !self.texts.is_empty() || self.not_understood
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// New speech cancels the wait and keeps the text.
    pub(super) fn caller_speaks(&mut self) {
        self.deadline = None;
    }

    /// The caller stopped; what that speech was is not known yet. The turn waits for it, but not
    /// beyond the cap.
    pub(super) fn caller_stopped(&mut self, stopped_at: Instant) {
        if self.is_pending() {
            self.stopped_at = None;
            self.deadline = Some(stopped_at + CAP);
        }
    }

    /// That speech was noise: the wait is armed again, so a cough never strands a turn.
    pub(super) fn was_noise(&mut self, stopped_at: Instant) {
        if self.is_pending() {
            self.stopped_at = Some(stopped_at);
            self.deadline = Some(stopped_at + self.wait);
        }
    }

    /// Words; `still_speaking` when the caller began again before they were recognised.
    pub(super) fn add_words(
        &mut self,
        text: String,
        confidence: f32,
        grammar: Option<&Grammar>,
        stopped_at: Instant,
        still_speaking: bool,
    ) {
        self.texts.push(text);
        self.confidence = Some(
            self.confidence
                .map_or(confidence, |lowest| lowest.min(confidence)),
        );
        self.wait = end_of_turn_wait(&self.text(), grammar).min(CAP);
        self.words += 1;
        self.stopped_at = Some(stopped_at);
        self.deadline = (!still_speaking).then(|| stopped_at + self.wait);
    }

    /// What was said so far.
    pub(super) fn text(&self) -> String {
        self.texts.join(" ")
    }

    /// A turn detector is asked about the words so far; gives their number. Until it answers the wait is the longest.
    pub(super) fn await_verdict(&mut self, policy: &EndOfTurnPolicy) -> u64 {
        self.set_wait(policy.max_wait);
        self.words
    }

    /// The turn detector's verdict about the first `words`.
    pub(super) fn judged(&mut self, words: u64, likelihood: f32, policy: &EndOfTurnPolicy) {
        if words == self.words && self.is_pending() {
            self.set_wait(policy.wait(likelihood));
        }
    }

    fn set_wait(&mut self, wait: Duration) {
        self.wait = wait.min(CAP);
        if let (Some(deadline), Some(stopped_at)) = (&mut self.deadline, self.stopped_at) {
            *deadline = stopped_at + self.wait;
        }
    }

    /// Speech that was nothing expected. Beside words it is noise.
    pub(super) fn add_unknown(&mut self, stopped_at: Instant, still_speaking: bool) {
        if self.texts.is_empty() {
            self.not_understood = true;
            self.wait = ORDINARY;
        }
        self.stopped_at = Some(stopped_at);
        self.deadline = (!still_speaking).then(|| stopped_at + self.wait);
    }

    /// The finished turn, if its wait is over.
    pub(super) fn take_finished(&mut self, now: Instant) -> Option<UserTurn> {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return None;
        }
        let turn = std::mem::take(self);
        self.words = turn.words;
        match turn.confidence {
            Some(confidence) => Some(UserTurn::Said {
                text: Pii::new(turn.texts.join(" ")),
                last: Pii::new(turn.texts.last().cloned().unwrap_or_default()),
                confidence,
            }),
            None => Some(UserTurn::NotUnderstood),
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self {
            words: self.words,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grammar(phrases: &[&str]) -> Grammar {
        Grammar {
            phrases: phrases.iter().map(|phrase| (*phrase).to_owned()).collect(),
            open: false,
        }
    }

    #[test]
    fn a_plain_text_ends_700_ms_after_the_caller_stopped() {
        assert_eq!(
            end_of_turn_wait("I would like a table", None),
            Duration::from_millis(700)
        );
    }

    #[test]
    fn yes_and_no_and_a_whole_phrase_end_a_turn_within_400_ms() {
        for text in ["yes", "No.", "opening hours", "Opening  hours"] {
            let wait = end_of_turn_wait(text, Some(&grammar(&["opening hours", "sales"])));
            assert!((350..=400).contains(&wait.as_millis()), "{text}: {wait:?}");
        }
    }

    #[test]
    fn a_conjunction_a_filler_or_unfinished_digits_hold_the_turn_open() {
        for text in [
            "a table and",
            "I think um",
            "four two",
            "my number is 4 2",
            "yes but",
        ] {
            let wait = end_of_turn_wait(text, Some(&grammar(&["four two seven"])));
            assert!(
                (1_200..=1_500).contains(&wait.as_millis()),
                "{text}: {wait:?}"
            );
        }
    }

    #[test]
    fn a_turn_that_is_surely_over_has_the_shortest_wait_and_any_other_the_longest() {
        let policy = EndOfTurnPolicy::default();
        for (likelihood, wait_ms) in [(0.0, 800), (0.74, 800), (0.75, 500), (1.0, 500)] {
            assert_eq!(policy.wait(likelihood).as_millis(), wait_ms, "{likelihood}");
        }
    }

    #[test]
    fn an_adaptive_wait_is_the_shorter_the_likelier_it_is_over() {
        let policy = EndOfTurnPolicy {
            mode: EndOfTurnMode::Adaptive,
            ..EndOfTurnPolicy::default()
        };
        for (likelihood, wait_ms) in [(0.0, 800), (0.5, 650), (1.0, 500), (7.0, 500)] {
            let wait = policy.wait(likelihood).as_micros();
            assert!(
                wait.abs_diff(wait_ms * 1_000) < 10,
                "{likelihood}: {wait} us"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn until_a_detector_answers_the_wait_is_the_longest_and_late_verdicts_are_of_others() {
        let (now, policy) = (Instant::now(), EndOfTurnPolicy::default());
        let mut turn = Turn::default();
        turn.add_words("a table".into(), 0.9, None, now, false);
        let first = turn.await_verdict(&policy);
        assert_eq!(turn.poll_timeout(), Some(now + policy.max_wait));
        turn.add_words("for two".into(), 0.9, None, now, false);
        let second = turn.await_verdict(&policy);
        turn.judged(first, 1.0, &policy);
        assert_eq!(turn.poll_timeout(), Some(now + policy.max_wait));
        turn.judged(second, 1.0, &policy);
        assert_eq!(turn.poll_timeout(), Some(now + policy.min_wait));
    }

    #[tokio::test(start_paused = true)]
    async fn new_speech_cancels_the_wait_and_keeps_the_text() {
        let now = Instant::now();
        let mut turn = Turn::default();
        turn.add_words("a table".into(), 0.9, None, now, false);
        turn.caller_speaks();
        assert_eq!(turn.poll_timeout(), None);
        assert_eq!(turn.take_finished(now + CAP), None);
        turn.add_words("for two please".into(), 0.8, None, now, false);
        assert_eq!(
            turn.take_finished(now + ORDINARY),
            Some(UserTurn::Said {
                text: Pii::new("a table for two please".into()),
                last: Pii::new("for two please".into()),
                confidence: 0.8
            })
        );
        assert!(!turn.is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn a_cough_arms_the_wait_again() {
        let now = Instant::now();
        let mut turn = Turn::default();
        turn.add_words("a table for two please".into(), 0.9, None, now, false);
        turn.caller_speaks();
        turn.was_noise(now + ORDINARY);
        assert_eq!(turn.poll_timeout(), Some(now + ORDINARY * 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_recogniser_that_never_answers_holds_a_turn_no_longer_than_the_cap() {
        let now = Instant::now();
        let mut turn = Turn::default();
        turn.add_words("a table".into(), 0.9, None, now, false);
        turn.caller_speaks();
        turn.caller_stopped(now);
        assert_eq!(turn.poll_timeout(), Some(now + CAP));
        assert!(turn.take_finished(now + CAP).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn speech_beside_words_that_nobody_understood_is_noise() {
        let now = Instant::now();
        let mut turn = Turn::default();
        turn.add_unknown(now, false);
        turn.add_words("sales".into(), 0.7, Some(&grammar(&["sales"])), now, false);
        turn.add_unknown(now, false);
        assert_eq!(
            turn.take_finished(now + CAP),
            Some(UserTurn::Said {
                text: Pii::new("sales".into()),
                last: Pii::new("sales".into()),
                confidence: 0.7
            })
        );
    }
}
