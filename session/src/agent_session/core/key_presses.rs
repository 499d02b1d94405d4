//! One press, whichever way it came.

use std::collections::VecDeque;
use std::time::Duration;

use offhook_media::control::Digit;
use tokio::time::Instant;

/// Which way a press came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// With the audio.
    Audio,
    /// By signalling.
    Signalling,
}

/// The two copies of one press arrive within this time of each other.
const COPY_WITHIN: Duration = Duration::from_secs(1);
/// Signalled presses whose copy may still come: more than anybody presses within that time. Of a flood the
/// oldest are forgotten.
const SIGNALLED_BOUND: usize = 16;

/// Tells copies from presses. Some far ends send each press both ways, some promise to send it with the
/// audio and send it by signalling only; so signalling is believed until the audio has brought a digit.
/// Presses that were believed by then may be several, and the audio brings the copy of each.
#[derive(Debug, Default)]
pub(super) struct KeyPresses {
    audio_brings_digits: bool,
    /// Presses by signalling that counted, the oldest first.
    signalled: VecDeque<(Digit, Instant)>,
}

impl KeyPresses {
    /// Whether this is a press, not the copy of one.
    pub(super) fn is_new(&mut self, digit: Digit, path: Path, now: Instant) -> bool {
        match path {
            Path::Signalling => {
                if self.audio_brings_digits {
                    return false;
                }
                if self.signalled.len() == SIGNALLED_BOUND {
                    self.signalled.pop_front();
                }
                self.signalled.push_back((digit, now));
                true
            }
            Path::Audio => {
                self.audio_brings_digits = true;
                !self.take_signalled(digit, now)
            }
        }
    }

    /// Takes the signalled press that this is the copy of, if there is one. Copies come in order: those of
    /// the presses before it were lost.
    fn take_signalled(&mut self, digit: Digit, now: Instant) -> bool {
        self.signalled
            .retain(|(_, at)| now.saturating_duration_since(*at) < COPY_WITHIN);
        let Some(found) = self.signalled.iter().position(|(other, _)| *other == digit) else {
            return false;
        };
        self.signalled.drain(..=found);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digit(symbol: char) -> Digit {
        Digit::from_char(symbol).unwrap()
    }

    #[test]
    fn a_press_that_comes_both_ways_counts_once_whichever_comes_first() {
        let now = Instant::now();
        let later = now + Duration::from_millis(80);
        let mut presses = KeyPresses::default();
        assert!(presses.is_new(digit('5'), Path::Signalling, now));
        assert!(!presses.is_new(digit('5'), Path::Audio, later));
        assert!(presses.is_new(digit('5'), Path::Audio, later + Duration::from_millis(200)));
        assert!(!presses.is_new(
            digit('5'),
            Path::Signalling,
            later + Duration::from_millis(210)
        ));
        let mut presses = KeyPresses::default();
        assert!(presses.is_new(digit('0'), Path::Audio, now));
        assert!(!presses.is_new(digit('0'), Path::Signalling, later));
    }

    #[test]
    fn presses_that_signalling_brings_ahead_of_their_copies_count_once_each() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut presses = KeyPresses::default();
        for (ms, symbol) in [(0, '1'), (150, '2'), (300, '2')] {
            assert!(presses.is_new(digit(symbol), Path::Signalling, at(ms)));
        }
        for (ms, symbol) in [(400, '1'), (500, '2'), (600, '2')] {
            assert!(!presses.is_new(digit(symbol), Path::Audio, at(ms)));
        }
        assert!(presses.is_new(digit('2'), Path::Audio, at(700)));
    }

    #[test]
    fn a_copy_that_was_lost_hides_no_later_press() {
        let start = Instant::now();
        let mut presses = KeyPresses::default();
        for symbol in ['1', '2'] {
            assert!(presses.is_new(digit(symbol), Path::Signalling, start));
        }
        assert!(!presses.is_new(digit('2'), Path::Audio, start));
        assert!(presses.is_new(digit('1'), Path::Audio, start));

        let mut presses = KeyPresses::default();
        assert!(presses.is_new(digit('1'), Path::Signalling, start));
        assert!(presses.is_new(digit('1'), Path::Audio, start + COPY_WITHIN));
    }

    #[test]
    fn a_flood_of_signalled_presses_is_not_kept() {
        let now = Instant::now();
        let mut presses = KeyPresses::default();
        for _ in 0..1_000 {
            assert!(presses.is_new(digit('1'), Path::Signalling, now));
        }
        assert_eq!(presses.signalled.len(), SIGNALLED_BOUND);
    }

    #[test]
    fn signalling_is_believed_while_the_audio_brings_no_digits() {
        let now = Instant::now();
        let mut presses = KeyPresses::default();
        for symbol in ['1', '1', '0'] {
            assert!(presses.is_new(digit(symbol), Path::Signalling, now));
        }
    }
}
