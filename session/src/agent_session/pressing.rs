//! Pressing keys towards the far end, one after the other and in time.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use offhook_media::control::Digit;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::line::CallRequest;
use super::output::{Outbox, Output};

/// What `w` waits.
const SHORT_PAUSE: Duration = Duration::from_millis(500);
/// What `,` waits.
const LONG_PAUSE: Duration = Duration::from_secs(2);
/// How many sequences may wait for those before them.
const QUEUE_BOUND: usize = 8;

/// Keys to be pressed, with pauses between them: `0`-`9`, `*`, `#`, `A`-`D` in either case, `w` for half a second
/// and `,` for two. Its keys are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySequence(Vec<Step>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Press(Digit),
    Pause(Duration),
}

impl KeySequence {
    /// Most keys and pauses of one sequence.
    pub const BOUND: usize = 64;
}

impl fmt::Debug for KeySequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySequence({} steps)", self.0.len())
    }
}

/// Why a text is no sequence of keys. It names the place, never a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoKeySequence {
    /// There is nothing in it.
    #[error("there are no keys")]
    Empty,
    /// It is longer than [`KeySequence::BOUND`].
    #[error("there are more than {} keys and pauses", KeySequence::BOUND)]
    TooLong,
    /// This character, counted from 1, is neither key nor pause.
    #[error("character {0} is neither a key (0-9, *, #, A-D) nor a pause (w, comma)")]
    NoKey(usize),
}

impl FromStr for KeySequence {
    type Err = NoKeySequence;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let step = |(at, symbol)| match symbol {
            'w' | 'W' => Ok(Step::Pause(SHORT_PAUSE)),
            ',' => Ok(Step::Pause(LONG_PAUSE)),
            _ => Digit::from_char(symbol)
                .map(Step::Press)
                .ok_or(NoKeySequence::NoKey(at + 1)),
        };
        if text.chars().nth(Self::BOUND).is_some() {
            return Err(NoKeySequence::TooLong);
        }
        let steps: Vec<Step> = text
            .chars()
            .enumerate()
            .map(step)
            .collect::<Result<_, _>>()?;
        if steps.is_empty() {
            return Err(NoKeySequence::Empty);
        }
        Ok(Self(steps))
    }
}

/// How keys are pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendDtmfOptions {
    /// How long each key is held (default 100 ms; taken to 40 to 1,300 ms).
    pub duration: Duration,
    /// Quiet behind each (default 100 ms; taken to 40 ms to 5 s).
    pub gap: Duration,
    /// Whether the transcript shows the keys masked (default no).
    pub sensitive: bool,
}

impl Default for SendDtmfOptions {
    fn default() -> Self {
        Self {
            duration: Duration::from_millis(100),
            gap: Duration::from_millis(100),
            sensitive: false,
        }
    }
}

/// What became of keys that were to be pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigitsSent {
    /// All of them were handed to the call.
    All,
    /// The call ended before; this many were pressed.
    CutShort {
        /// Keys handed to the call.
        pressed: usize,
    },
    /// Too many sequences waited already, or the call was ending.
    Refused,
}

/// A sequence that is pressed, or waits for its turn.
pub(super) struct NewSequence {
    pub(super) keys: KeySequence,
    pub(super) options: SendDtmfOptions,
    pub(super) reply: oneshot::Sender<DigitsSent>,
}

impl fmt::Debug for NewSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSequence")
            .field("keys", &self.keys)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Presses one sequence after the other.
#[derive(Debug, Default)]
pub(super) struct Presser {
    queue: VecDeque<UnderWay>,
    /// When the next step of the first is due, at the earliest; `None` when there is none.
    due: Option<Instant>,
    /// Whether keys can reach anybody.
    open: bool,
}

#[derive(Debug)]
struct UnderWay {
    sequence: NewSequence,
    /// Which step comes next.
    at: usize,
    pressed: usize,
}

/// A sequence that ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pressed {
    /// What the transcript shows, masked where it must be; empty when nothing was pressed.
    pub(super) shown: String,
}

impl Presser {
    /// Keys reach the far end from now on, or do so no more (before the answer, on hold).
    pub(super) fn set_open(&mut self, open: bool, now: Instant) {
        self.open = open;
        // The rest of a pause is not cut short by a hold that ends within it.
        self.due = self.due.map(|due| due.max(now));
    }

    /// Takes a sequence, behind those before it.
    pub(super) fn add(&mut self, sequence: NewSequence, now: Instant) {
        if self.queue.len() == QUEUE_BOUND {
            refuse(sequence);
            return;
        }
        self.queue.push_back(UnderWay {
            sequence,
            at: 0,
            pressed: 0,
        });
        self.due.get_or_insert(now);
    }

    /// Whether keys are pressed or wait.
    pub(super) fn is_busy(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due.filter(|_| self.open)
    }

    /// Does the step that is due, if one is; gives the sequence that has ended by it.
    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) -> Option<Pressed> {
        self.due.take_if(|due| self.open && *due <= now)?;
        let first = self.queue.front_mut()?;
        let given_up = first.sequence.reply.is_closed();
        let step = first.sequence.keys.0.get(first.at).filter(|_| !given_up);
        let Some(step) = step.copied() else {
            let ended = self.queue.pop_front()?;
            self.due = (!self.queue.is_empty()).then_some(now);
            return Some(ended.end(DigitsSent::All));
        };
        first.at += 1;
        let options = &first.sequence.options;
        let wait = match step {
            Step::Pause(pause) => pause,
            Step::Press(digit) => {
                first.pressed += 1;
                let held = milliseconds(options.duration, 40, 1_300);
                let gap = milliseconds(options.gap, 40, 5_000);
                out.push(Output::Call(CallRequest::Press {
                    digit,
                    duration_ms: held,
                }));
                Duration::from_millis(u64::from(held + gap))
            }
        };
        self.due = Some(now + wait);
        None
    }

    /// The call ends: what is left is not pressed.
    pub(super) fn abandon(&mut self) -> Vec<Pressed> {
        self.open = false;
        self.due = None;
        let cut = |under_way: UnderWay| {
            let pressed = under_way.pressed;
            under_way.end(DigitsSent::CutShort { pressed })
        };
        self.queue.drain(..).map(cut).collect()
    }
}

impl UnderWay {
    fn end(self, outcome: DigitsSent) -> Pressed {
        let keys = self.sequence.keys.0.iter().take(self.at);
        let masked = self.sequence.options.sensitive;
        let shown = keys.filter_map(|step| match step {
            Step::Press(_) if masked => Some('\u{2022}'),
            Step::Press(digit) => Some(digit.as_char()),
            Step::Pause(_) => None,
        });
        let shown = shown.collect();
        // Whoever asked may have gone; that is no fault.
        let _gone = self.sequence.reply.send(outcome);
        Pressed { shown }
    }
}

/// Tells whoever wants keys pressed that they will not be.
pub(super) fn refuse(sequence: NewSequence) {
    let _gone = sequence.reply.send(DigitsSent::Refused);
}

fn milliseconds(time: Duration, least: u32, most: u32) -> u32 {
    u32::try_from(time.as_millis())
        .unwrap_or(most)
        .clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_sequence_is_refused_by_its_place_and_not_by_its_keys() {
        let refused = |text: &str| text.parse::<KeySequence>().expect_err("refused");
        assert_eq!(refused(""), NoKeySequence::Empty);
        assert_eq!(refused("12e4"), NoKeySequence::NoKey(3));
        assert_eq!(refused(&"1".repeat(65)), NoKeySequence::TooLong);
        let longest: KeySequence = "1".repeat(64).parse().expect("keys");
        assert_eq!(format!("{longest:?}"), "KeySequence(64 steps)");
        assert_eq!("aD".parse::<KeySequence>(), "Ad".parse::<KeySequence>());
    }
}
