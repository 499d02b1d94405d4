//! When the caller's speech stops the agent's.
//!
//! The first reflex is the media thread's: it holds the speech bus when the caller has spoken long
//! enough. The session then confirms (the speech is cut) or resumes it at the same sample; which of
//! the two is decided here, by the words.

use std::time::Duration;

use crate::grammar::{Grammar, phrase};

/// What it takes to interrupt by voice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InterruptionMode {
    /// Speech long enough.
    Vad,
    /// Words, however long they took.
    Stt,
    /// Speech long enough to hold the agent's audio, then words to stop it for good. Without a
    /// recogniser or anything for it to expect, this acts as [`Self::Vad`].
    #[default]
    Hybrid,
    /// Nothing: the caller's voice never interrupts.
    Off,
}

/// When the caller's speech or digits stop the agent's speech.
#[derive(Clone, Debug, PartialEq)]
pub struct InterruptionPolicy {
    /// What it takes.
    pub mode: InterruptionMode,
    /// Voiced time before the agent's audio is held (default 500 ms).
    pub min_duration: Duration,
    /// Words that interrupt, where they are not a whole phrase the agent expects (default 2).
    pub min_words: usize,
    /// Recognitions below this are taken for noise, 0 to 1 (default 0: all count).
    pub min_confidence: f32,
    /// Whether held audio goes on when no words followed; otherwise it is dropped (default true).
    pub resume_on_false_interrupt: bool,
    /// How long after the caller stopped, words are waited for (default 2 s).
    pub false_interrupt_pause: Duration,
    /// Fade of what is cut, 0 to 400 ms (default 20).
    pub fade_ms: u32,
    /// Whether a digit interrupts (default true).
    pub dtmf_interrupts: bool,
    /// Single words that interrupt by themselves.
    pub stop_words: Vec<String>,
    /// Words that say "go on": never an interruption.
    pub backchannels: Vec<String>,
}

impl Default for InterruptionPolicy {
    fn default() -> Self {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        Self {
            mode: InterruptionMode::default(),
            min_duration: Duration::from_millis(500),
            min_words: 2,
            min_confidence: 0.0,
            resume_on_false_interrupt: true,
            false_interrupt_pause: Duration::from_secs(2),
            fade_ms: 20,
            dtmf_interrupts: true,
            stop_words: words(&["stop", "wait"]),
            backchannels: words(&[
                "mm-hm", "uh-huh", "mhm", "okay", "right", "yeah", "i see", "got it",
            ]),
        }
    }
}

/// What words spoken over the agent amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A stop word: it interrupts however short it was.
    Stops,
    /// Words enough to interrupt, when the speech was long enough.
    Interrupts,
    /// A backchannel, or too few words.
    GoesOn,
}

impl InterruptionPolicy {
    /// Judges words spoken while the agent was audible. A whole phrase of what the agent expects is
    /// enough of words, however few they are.
    pub(super) fn judge(&self, text: &str, grammar: Option<&Grammar>) -> Verdict {
        // Counted as written: "uh-oh" is one word, though a phrase has it as two.
        let words = text
            .split_whitespace()
            .filter(|word| word.chars().any(char::is_alphanumeric))
            .count();
        let text = phrase(text);
        let among = |list: &[String]| list.iter().any(|entry| phrase(entry) == text);
        if among(&self.stop_words) {
            return Verdict::Stops;
        }
        if grammar.is_some_and(|grammar| among(&grammar.phrases)) {
            return Verdict::Interrupts;
        }
        if among(&self.backchannels) || words < self.min_words {
            return Verdict::GoesOn;
        }
        Verdict::Interrupts
    }

    /// Whether words are no more than a sign that somebody listens.
    pub(super) fn is_backchannel(&self, text: &str) -> bool {
        let text = phrase(text);
        self.backchannels.iter().any(|entry| phrase(entry) == text)
    }

    /// The mode that applies when words can, or cannot, be recognised.
    pub(super) fn effective_mode(&self, words_can_come: bool) -> InterruptionMode {
        match self.mode {
            InterruptionMode::Hybrid if !words_can_come => InterruptionMode::Vad,
            mode @ (InterruptionMode::Vad
            | InterruptionMode::Stt
            | InterruptionMode::Hybrid
            | InterruptionMode::Off) => mode,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_word_stops_a_backchannel_does_not_and_two_words_interrupt() {
        let policy = InterruptionPolicy::default();
        for (text, verdict) in [
            ("Stop!", Verdict::Stops),
            ("wait", Verdict::Stops),
            ("mm-hm", Verdict::GoesOn),
            ("I see", Verdict::GoesOn),
            ("banana", Verdict::GoesOn),
            ("Mm hm.", Verdict::GoesOn),
            ("uh-oh", Verdict::GoesOn),
            ("not that", Verdict::Interrupts),
            ("", Verdict::GoesOn),
        ] {
            assert_eq!(policy.judge(text, None), verdict, "{text}");
        }
    }

    #[test]
    fn one_word_that_the_agent_asked_for_interrupts() {
        let policy = InterruptionPolicy::default();
        let grammar = Grammar {
            phrases: vec!["sales".into(), "okay".into()],
            open: false,
        };
        assert_eq!(policy.judge("sales", Some(&grammar)), Verdict::Interrupts);
        assert_eq!(policy.judge("okay", Some(&grammar)), Verdict::Interrupts);
        assert_eq!(policy.judge("okay", None), Verdict::GoesOn);
    }

    #[test]
    fn hybrid_without_a_recogniser_acts_by_voice_alone() {
        let policy = InterruptionPolicy::default();
        assert_eq!(policy.effective_mode(false), InterruptionMode::Vad);
        assert_eq!(policy.effective_mode(true), InterruptionMode::Hybrid);
    }
}
