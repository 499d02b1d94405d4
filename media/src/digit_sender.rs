//! Digits, sent: as RTP events (RFC 4733) where they were negotiated, as tones where they were not.
//!
//! While a key is down each packet carries the event in place of audio: one timestamp, that of the
//! press's beginning, and a growing duration. The last packet carries the End bit and is sent three
//! times, since its loss would leave the key down at the far end. The stream's own clock runs on, so
//! the audio after the press continues where it would have been.
//!
//! Tones stand in the audio's place in the same way, and quiet follows them, so that far ends that listen
//! for them hear where one press ends.

use std::collections::VecDeque;

use crate::control::Digit;
use crate::mixer::MIX_FRAME_MS;
use crate::telephone_event::TelephoneEvent;
use crate::tones::DigitTones;

/// Presses that may wait; one more is refused.
const QUEUE_LENGTH: usize = 64;
/// RFC 4733 section 2.5.1.4: the final packet is sent three times.
const END_PACKETS: u8 = 3;
/// Quiet after a press, so that two of the same key are told apart.
const PAUSE_MS: u32 = 60;
/// -8 dBm0, a telephone's usual level.
const VOLUME: u8 = 8;
/// The shortest press that far ends are sure to take, and the longest duration that 16 bits hold at
/// 48 kHz, in milliseconds.
const PRESS_MS: std::ops::RangeInclusive<u32> = 40..=1_300;

/// The presses to be sent, and the one being sent.
#[derive(Debug)]
pub(crate) struct DigitSender {
    format: Option<TelephoneEvent>,
    waiting: VecDeque<(Digit, u32)>,
    press: Option<Press>,
    /// The press that sounds, where no events were negotiated.
    tones: Option<DigitTones>,
    sample_rate_hz: u32,
    pause_left_ms: u32,
}

#[derive(Clone, Copy, Debug)]
struct Press {
    digit: Digit,
    timestamp: u32,
    elapsed_ms: u32,
    duration_ms: u32,
    ends_sent: u8,
}

/// One event packet, but for the numbers that belong to the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventPacket {
    pub(crate) payload_type: u8,
    pub(crate) timestamp: u32,
    pub(crate) marked: bool,
    pub(crate) payload: [u8; 4],
}

impl DigitSender {
    /// For what was negotiated: tones at `sample_rate_hz` where that is nothing.
    pub(crate) fn new(format: Option<TelephoneEvent>, sample_rate_hz: u32) -> Self {
        Self {
            format,
            waiting: VecDeque::with_capacity(QUEUE_LENGTH),
            press: None,
            tones: None,
            sample_rate_hz,
            pause_left_ms: 0,
        }
    }

    /// What was negotiated.
    pub(crate) fn format(&self) -> Option<TelephoneEvent> {
        self.format
    }

    /// Presses that are not sent to their end.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len() + usize::from(self.press.is_some() || self.tones.is_some())
    }

    /// Queues a press of `duration_ms`, taken to the nearest of 40 to 1,300. `false` where too many wait.
    pub(crate) fn press(&mut self, digit: Digit, duration_ms: u32) -> bool {
        let room = self.waiting.len() < QUEUE_LENGTH;
        if room {
            self.waiting
                .push_back((digit, duration_ms.clamp(*PRESS_MS.start(), *PRESS_MS.end())));
        }
        room
    }

    /// Writes a press's tones, or the quiet behind it, over a frame of 10 ms; `false` leaves it as it is.
    pub(crate) fn sound(&mut self, frame: &mut [i16]) -> bool {
        if self.format.is_some() {
            return false;
        }
        if self.tones.is_none() && self.pause_left_ms > 0 {
            self.pause_left_ms = self.pause_left_ms.saturating_sub(MIX_FRAME_MS);
            frame.fill(0);
            return true;
        }
        if self.tones.is_none() {
            let Some((digit, duration_ms)) = self.waiting.pop_front() else {
                return false;
            };
            self.tones = Some(DigitTones::new(digit, duration_ms, self.sample_rate_hz));
        }
        if let Some(tones) = &mut self.tones {
            tones.write(frame);
            if tones.is_over() {
                self.tones = None;
                self.pause_left_ms = PAUSE_MS;
            }
        }
        true
    }

    /// What to send in place of the audio packet that begins at `timestamp` and lasts `ptime_ms`.
    pub(crate) fn next(&mut self, timestamp: u32, ptime_ms: u32) -> Option<EventPacket> {
        let format = self.format?;
        if self.press.is_none() {
            if self.pause_left_ms > 0 {
                self.pause_left_ms = self.pause_left_ms.saturating_sub(ptime_ms);
                return None;
            }
            let (digit, duration_ms) = self.waiting.pop_front()?;
            self.press = Some(Press {
                digit,
                timestamp,
                elapsed_ms: 0,
                duration_ms,
                ends_sent: 0,
            });
        }
        let press = self.press.as_mut()?;
        let marked = press.elapsed_ms == 0;
        press.elapsed_ms = (press.elapsed_ms + ptime_ms).min(press.duration_ms);
        let ended = press.elapsed_ms >= press.duration_ms;
        let duration = press.elapsed_ms * (format.clock_rate_hz / 1_000);
        let [high, low] = u16::try_from(duration).unwrap_or(u16::MAX).to_be_bytes();
        let end_bit = if ended { 0x80 } else { 0 };
        let packet = EventPacket {
            payload_type: format.payload_type_send.get(),
            timestamp: press.timestamp,
            marked,
            payload: [press.digit.event(), end_bit | VOLUME, high, low],
        };
        if ended {
            press.ends_sent += 1;
            if press.ends_sent == END_PACKETS {
                self.press = None;
                self.pause_left_ms = PAUSE_MS;
            }
        }
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::PayloadType;

    fn sender() -> DigitSender {
        let number = |number| PayloadType::new(number).unwrap();
        DigitSender::new(
            Some(TelephoneEvent {
                payload_type_send: number(101),
                payload_type_receive: number(96),
                clock_rate_hz: 8_000,
            }),
            8_000,
        )
    }

    fn digit(symbol: char) -> Digit {
        Digit::from_char(symbol).unwrap()
    }

    #[test]
    fn wound_45_a_press_keeps_its_timestamp_grows_and_ends_three_times() {
        let mut sender = sender();
        assert!(sender.press(digit('5'), 80));
        let packets: Vec<_> = (0..8)
            .map_while(|index| sender.next(1_000 + 160 * index, 20))
            .collect();
        let durations: Vec<_> = packets
            .iter()
            .map(|p| u16::from_be_bytes([p.payload[2], p.payload[3]]))
            .collect();
        let ends: Vec<_> = packets.iter().map(|p| p.payload[1] & 0x80 != 0).collect();
        assert_eq!(durations, [160, 320, 480, 640, 640, 640]);
        assert_eq!(ends, [false, false, false, true, true, true]);
        assert!(
            packets
                .iter()
                .all(|p| (p.timestamp, p.payload[0], p.payload_type) == (1_000, 5, 101))
        );
        let marked: Vec<_> = packets.iter().map(|p| p.marked).collect();
        assert_eq!(marked, [true, false, false, false, false, false]);
    }

    #[test]
    fn two_presses_of_one_key_have_a_pause_and_different_timestamps() {
        let mut sender = sender();
        assert!(sender.press(digit('7'), 40) && sender.press(digit('7'), 40));
        let slots: Vec<_> = (0..16)
            .map(|index| sender.next(160 * index, 20).map(|p| p.timestamp))
            .collect();
        let (first, second) = (Some(0), Some(160 * 7));
        let press = |at| [at; 4];
        assert_eq!(slots[..4], press(first));
        assert_eq!(slots[4..7], [None; 3]);
        assert_eq!(slots[7..11], press(second));
        assert_eq!(slots[11..], [None; 5]);
    }

    #[test]
    fn without_room_a_press_is_refused() {
        for mut sender in [sender(), DigitSender::new(None, 8_000)] {
            let taken = (0..100).filter(|_| sender.press(digit('1'), 100)).count();
            assert_eq!(taken, QUEUE_LENGTH);
        }
    }

    #[test]
    fn without_events_presses_sound_with_quiet_behind_each_and_audio_is_left_alone_after() {
        let mut sender = DigitSender::new(None, 8_000);
        assert!(sender.press(digit('1'), 75) && sender.press(digit('2'), 40));
        assert_eq!(sender.next(0, 20), None);
        let frames: Vec<_> = (0..30)
            .map(|_| {
                let mut frame = [5; 80];
                sender
                    .sound(&mut frame)
                    .then(|| frame.iter().any(|sample| *sample != 0))
            })
            .collect();
        let (sounds, quiet) = (Some(true), Some(false));
        assert_eq!(frames[..8], [sounds; 8]);
        assert_eq!(frames[8..14], [quiet; 6]);
        assert_eq!(frames[14..18], [sounds; 4]);
        assert_eq!(frames[18..24], [quiet; 6]);
        assert_eq!(frames[24..], [None; 6]);
        assert_eq!(sender.waiting(), 0);
    }
}
