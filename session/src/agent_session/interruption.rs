//! When the caller's speech stops the agent's.

use std::time::Duration;

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
#[derive(Clone, Debug)]
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
