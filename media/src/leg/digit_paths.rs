//! The digits of a leg, whether they come as events or as tones in the audio.

use crate::control::Digit;
use crate::receiver::FrameOrigin;
use crate::tones::{DigitDetector, PressMark};

/// When tones in the caller's audio are taken for digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InBandDigits {
    /// Never, which costs nothing.
    #[default]
    Never,
    /// While no telephone-event is negotiated: tones are then the only way digits have within the audio.
    WithoutEvents,
    /// Always, also from far ends that promise events and send tones, or both.
    Always,
}

/// Counts each press once. Gateways that send events may leave the tones in the audio, so tones are
/// believed until an event has come; the events of presses that were believed by then are their copies.
#[derive(Debug)]
pub(crate) struct DigitPaths {
    wanted: InBandDigits,
    sample_rate_hz: u32,
    detector: Option<Box<DigitDetector>>,
    events_come: bool,
    /// Frames in a row that the far end did not send, and did not lose either.
    unsent_frames: u32,
    /// Presses by tones whose copy may still come, the oldest first.
    sounded: [Option<(Digit, u64)>; SOUNDED_BOUND],
}

/// A far end that was late by a packet leaves it out: as little as that, 20 ms, is no pause between two presses.
const UNSENT_FRAMES: u32 = 2;
/// The two copies of one press arrive within this time of each other.
const COPY_WITHIN_MS: u64 = 1_000;
/// More presses than anybody makes within that time: each takes 65 ms at least.
const SOUNDED_BOUND: usize = 16;

impl DigitPaths {
    pub(crate) fn new(wanted: InBandDigits, sample_rate_hz: u32, events_negotiated: bool) -> Self {
        let mut paths = Self {
            wanted,
            sample_rate_hz,
            detector: None,
            events_come: false,
            unsent_frames: 0,
            sounded: [None; SOUNDED_BOUND],
        };
        paths.negotiated(events_negotiated);
        paths
    }

    /// Events were agreed on, or are no longer.
    pub(crate) fn negotiated(&mut self, events: bool) {
        let listens = match self.wanted {
            InBandDigits::Never => false,
            InBandDigits::WithoutEvents => !events,
            InBandDigits::Always => true,
        };
        self.events_come &= events;
        if !listens {
            self.detector = None;
        } else if self.detector.is_none() {
            self.detector = DigitDetector::new(self.sample_rate_hz).map(Box::new);
        }
    }

    /// Another far end has the place of the first: how that one's digits came says nothing about its own.
    pub(crate) fn forget_habits(&mut self) {
        self.events_come = false;
        self.sounded = [None; SOUNDED_BOUND];
    }

    /// A press came as an event at `at_ms`; answers whether it is not the copy of one.
    pub(crate) fn came_as_event(&mut self, digit: Digit, at_ms: u64) -> bool {
        self.events_come = true;
        let is_copy = |press: &Option<(Digit, u64)>| {
            press.is_some_and(|(other, at)| other == digit && at + COPY_WITHIN_MS > at_ms)
        };
        let Some(found) = self.sounded.iter().position(is_copy) else {
            return true;
        };
        // Copies come in order: those of the presses before it were lost.
        self.sounded[..=found].fill(None);
        self.sounded.rotate_left(found + 1);
        false
    }

    /// Whether a key sounds in the audio, where tones are listened for.
    pub(crate) fn key_sounds(&self) -> bool {
        self.detector.as_ref().is_some_and(|d| d.is_pressed())
    }

    /// Hears a frame whose last sample is that of `end_ms`; reports the presses that count.
    pub(crate) fn hear(
        &mut self,
        frame: &[i16],
        end_ms: u64,
        origin: FrameOrigin,
        mut report: impl FnMut(Digit, u64),
    ) {
        let Some(detector) = &mut self.detector else {
            return;
        };
        self.unsent_frames = match origin {
            FrameOrigin::Silence => self.unsent_frames.saturating_add(1),
            FrameOrigin::Played | FrameOrigin::Concealed => 0,
        };
        let invented = match origin {
            FrameOrigin::Concealed => true,
            FrameOrigin::Silence => self.unsent_frames <= UNSENT_FRAMES,
            FrameOrigin::Played => false,
        };
        let (events_come, sounded) = (self.events_come, &mut self.sounded);
        detector.hear(frame, end_ms, invented, |mark| match mark {
            PressMark::Began { digit, at_ms } if !events_come => {
                match sounded.iter_mut().find(|place| place.is_none()) {
                    Some(place) => *place = Some((digit, at_ms)),
                    None => {
                        sounded.rotate_left(1);
                        sounded[SOUNDED_BOUND - 1] = Some((digit, at_ms));
                    }
                }
                report(digit, at_ms);
            }
            // Whoever collects digits wants the key, not its length.
            PressMark::Began { .. } | PressMark::Ended { .. } => {}
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tones::DigitTones;

    fn digit(symbol: char) -> Digit {
        Digit::from_char(symbol).unwrap()
    }

    /// Presses by tones, 80 ms each and 80 ms apart, from `from_ms` on.
    fn tones(paths: &mut DigitPaths, keys: &str, from_ms: u64) -> String {
        let mut heard = String::new();
        let mut at_ms = from_ms;
        for key in keys.chars() {
            let mut press = DigitTones::new(digit(key), 80, 8_000);
            for _ in 0..16 {
                let mut frame = [0; 80];
                press.write(&mut frame);
                at_ms += 10;
                paths.hear(&frame, at_ms, FrameOrigin::Played, |digit, _| {
                    heard.push(digit.as_char());
                });
            }
        }
        heard
    }

    #[test]
    fn tones_are_heard_as_it_was_wanted_and_negotiated() {
        use InBandDigits::{Always, Never, WithoutEvents};
        for (wanted, events, heard) in [
            (Never, false, ""),
            (WithoutEvents, false, "42"),
            (WithoutEvents, true, ""),
            (Always, false, "42"),
            (Always, true, "42"),
        ] {
            let mut paths = DigitPaths::new(wanted, 8_000, events);
            assert_eq!(
                tones(&mut paths, "42", 0),
                heard,
                "{wanted:?}, events {events}"
            );
            paths.negotiated(!events);
            paths.negotiated(events);
            assert_eq!(tones(&mut paths, "42", 5_000), heard);
        }
    }

    #[test]
    fn a_press_by_event_and_by_tones_counts_once_whichever_comes_first() {
        let mut paths = DigitPaths::new(InBandDigits::Always, 8_000, true);
        assert_eq!(tones(&mut paths, "122", 0), "122");
        for (key, at_ms) in [('1', 500), ('2', 600), ('2', 700)] {
            assert!(!paths.came_as_event(digit(key), at_ms));
        }
        assert!(paths.came_as_event(digit('2'), 800), "a fourth press");
        assert_eq!(tones(&mut paths, "2", 800), "", "the copy of an event");
    }

    #[test]
    fn a_copy_that_was_lost_hides_no_later_press_and_an_old_press_has_no_copy() {
        let mut paths = DigitPaths::new(InBandDigits::Always, 8_000, true);
        assert_eq!(tones(&mut paths, "12", 0), "12");
        assert!(!paths.came_as_event(digit('2'), 300));
        assert!(paths.came_as_event(digit('1'), 320));
        let mut paths = DigitPaths::new(InBandDigits::Always, 8_000, true);
        assert_eq!(tones(&mut paths, "1", 0), "1");
        assert!(paths.came_as_event(digit('1'), 1_400));
    }

    #[test]
    fn where_events_are_no_longer_negotiated_tones_are_believed_again() {
        let mut paths = DigitPaths::new(InBandDigits::WithoutEvents, 8_000, true);
        assert!(paths.came_as_event(digit('1'), 0));
        paths.negotiated(false);
        assert_eq!(tones(&mut paths, "7", 1_000), "7");
    }

    #[test]
    fn a_packet_that_was_never_sent_makes_no_two_presses_of_one_and_a_pause_does() {
        for (unsent, heard) in [(2, "5"), (6, "55")] {
            let mut paths = DigitPaths::new(InBandDigits::Always, 8_000, false);
            let mut press = DigitTones::new(digit('5'), 300, 8_000);
            let mut pressed = String::new();
            for index in 0..30_u64 {
                let mut frame = [0; 80];
                press.write(&mut frame);
                let origin = if (10..10 + unsent).contains(&index) {
                    frame.fill(0);
                    FrameOrigin::Silence
                } else {
                    FrameOrigin::Played
                };
                paths.hear(&frame, 10 * index + 10, origin, |digit, _| {
                    pressed.push(digit.as_char());
                });
            }
            assert_eq!(pressed, heard, "{unsent} frames");
        }
    }
}
