//! One press, whichever way it came.

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

/// Tells copies from presses. Some far ends send each press both ways, some promise to send it with the
/// audio and send it by signalling only; so signalling is believed until the audio has brought a digit.
#[derive(Debug, Default)]
pub(super) struct KeyPresses {
    audio_brings_digits: bool,
    by_signalling: Option<(Digit, Instant)>,
}

impl KeyPresses {
    /// Whether this is a press, not the copy of one.
    pub(super) fn is_new(&mut self, digit: Digit, path: Path, now: Instant) -> bool {
        match path {
            Path::Signalling => {
                self.by_signalling = Some((digit, now));
                !self.audio_brings_digits
            }
            Path::Audio => {
                let first = !std::mem::replace(&mut self.audio_brings_digits, true);
                let copied = self.by_signalling.is_some_and(|(other, at)| {
                    other == digit && now.saturating_duration_since(at) < COPY_WITHIN
                });
                !(first && copied)
            }
        }
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
    fn signalling_is_believed_while_the_audio_brings_no_digits() {
        let now = Instant::now();
        let mut presses = KeyPresses::default();
        for symbol in ['1', '1', '0'] {
            assert!(presses.is_new(digit(symbol), Path::Signalling, now));
        }
    }
}
