//! Digits as RTP events (RFC 4733), received.
//!
//! A press is a run of packets that repeat one event and one timestamp with a growing duration; the
//! last carries the End bit and is sent three times. Any of them may be lost, so the press is known by
//! its identity, event and timestamp, and reported once, with the first of its packets that arrives:
//! an agent can react while the key is still down, and nothing is waited for that may never come.

use std::time::Instant;

use crate::codec::PayloadType;
use crate::control::Digit;

/// Digits held until taken. A full queue drops the newest and counts it.
const QUEUE_LENGTH: usize = 64;
/// A pause between two presses of one key is longer than this, in milliseconds; a shorter step of the
/// timestamp continues the press.
const SHORTEST_PAUSE_MS: u32 = 10;
/// An older timestamp than the last press's is a straggler, unless it is older than this, in seconds:
/// then the sender's clock was set back.
const STRAGGLER_S: u32 = 5;

/// The negotiated `telephone-event` format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// The payload type the far end wants to receive.
    pub payload_type_send: PayloadType,
    /// The payload type the far end was told to send.
    pub payload_type_receive: PayloadType,
    /// The events' clock, in hertz: durations and timestamps count in it.
    pub clock_rate_hz: u32,
}

/// A digit the far end pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedDigit {
    /// Which key.
    pub digit: Digit,
    /// When the first packet of the press that reached us arrived.
    pub arrival: Instant,
}

/// From event packets to presses.
#[derive(Debug)]
pub struct DigitReceiver {
    clock_rate_hz: u32,
    last: Option<Press>,
    queue: [Option<ReceivedDigit>; QUEUE_LENGTH],
    first: usize,
    queued: usize,
    dropped: u64,
}

/// The press reported last.
#[derive(Clone, Copy, Debug)]
struct Press {
    ssrc: u32,
    digit: Digit,
    timestamp: u32,
    duration: u16,
    ended: bool,
}

impl DigitReceiver {
    /// A receiver for events that count in `clock_rate_hz`.
    #[must_use]
    pub fn new(clock_rate_hz: u32) -> Self {
        Self {
            clock_rate_hz,
            last: None,
            queue: [None; QUEUE_LENGTH],
            first: 0,
            queued: 0,
            dropped: 0,
        }
    }

    /// Counts in another clock from now on: the format was renegotiated.
    pub fn set_clock_rate_hz(&mut self, clock_rate_hz: u32) {
        self.clock_rate_hz = clock_rate_hz;
    }

    /// Takes the payload of one event packet (RFC 4733 section 2.3). `false` when it is none: shorter
    /// than four bytes.
    pub fn handle(&mut self, packet: EventPacket<'_>, arrival: Instant) -> bool {
        let [event, flags, duration_high, duration_low, ..] = *packet.payload else {
            return false;
        };
        // Events above 15 are no digits: flash, fax tones.
        let Some(digit) = Digit::from_event(event) else {
            return true;
        };
        let press = Press {
            ssrc: packet.ssrc,
            digit,
            timestamp: packet.timestamp,
            duration: u16::from_be_bytes([duration_high, duration_low]),
            ended: flags & 0x80 != 0,
        };
        match &mut self.last {
            Some(last) if last.is_straggler(&press, self.clock_rate_hz) => {}
            Some(last) if last.goes_on_with(&press, packet.marker, self.clock_rate_hz) => {
                if press.timestamp != last.timestamp {
                    last.duration = 0;
                    last.timestamp = press.timestamp;
                }
                last.duration = last.duration.max(press.duration);
                last.ended |= press.ended;
            }
            Some(_) | None => {
                self.last = Some(press);
                self.push(ReceivedDigit { digit, arrival });
            }
        }
        true
    }

    /// The next digit, in the order pressed.
    pub fn poll(&mut self) -> Option<ReceivedDigit> {
        let digit = self.queue[self.first].take()?;
        self.first = (self.first + 1) % QUEUE_LENGTH;
        self.queued -= 1;
        Some(digit)
    }

    /// Digits dropped because nobody took them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn push(&mut self, digit: ReceivedDigit) {
        if self.queued == QUEUE_LENGTH {
            self.dropped += 1;
            return;
        }
        self.queue[(self.first + self.queued) % QUEUE_LENGTH] = Some(digit);
        self.queued += 1;
    }
}

/// What an event packet's RTP header says, and its payload.
#[derive(Clone, Copy, Debug)]
pub struct EventPacket<'a> {
    /// Who sent it.
    pub ssrc: u32,
    /// The press's start on the events' clock.
    pub timestamp: u32,
    /// Whether this claims to be a press's first packet.
    pub marker: bool,
    /// The event payload.
    pub payload: &'a [u8],
}

impl Press {
    /// Whether `other` is a late packet of a press before this one.
    fn is_straggler(&self, other: &Self, clock_rate_hz: u32) -> bool {
        let behind = self.timestamp.wrapping_sub(other.timestamp);
        self.ssrc == other.ssrc
            && (1..=clock_rate_hz.saturating_mul(STRAGGLER_S).min(1 << 31)).contains(&behind)
    }

    /// Whether `other` belongs to this press: the same timestamp, or, before the End was seen, a
    /// timestamp that follows on. The latter are the segments of a press longer than a duration can
    /// count (RFC 4733 section 2.5.1.3), and far ends that move the timestamp with every packet.
    fn goes_on_with(&self, other: &Self, marker: bool, clock_rate_hz: u32) -> bool {
        if self.ssrc != other.ssrc || self.digit != other.digit {
            return false;
        }
        let ahead = other.timestamp.wrapping_sub(self.timestamp);
        let pause = clock_rate_hz / 1_000 * SHORTEST_PAUSE_MS;
        ahead == 0 || (!self.ended && !marker && ahead <= u32::from(self.duration) + pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Caller {
        receiver: DigitReceiver,
        now: Instant,
    }

    impl Caller {
        fn new() -> Self {
            #[allow(clippy::disallowed_methods)]
            let now = Instant::now();
            Self {
                receiver: DigitReceiver::new(8_000),
                now,
            }
        }

        fn sends(&mut self, key: char, timestamp: u32, duration: u16, end: bool, marker: bool) {
            let [high, low] = duration.to_be_bytes();
            let event = Digit::from_char(key).unwrap().event();
            let payload = [event, if end { 0x8A } else { 0x0A }, high, low];
            let packet = EventPacket {
                ssrc: 1,
                timestamp,
                marker,
                payload: &payload,
            };
            assert!(self.receiver.handle(packet, self.now));
        }

        fn presses(&mut self, key: char, timestamp: u32) {
            for n in 1..=5 {
                self.sends(key, timestamp, n * 160, false, n == 1);
            }
            for _ in 0..3 {
                self.sends(key, timestamp, 960, true, false);
            }
        }

        fn heard(&mut self) -> String {
            std::iter::from_fn(|| self.receiver.poll())
                .map(|d| d.digit.as_char())
                .collect()
        }
    }

    #[test]
    fn a_press_is_reported_with_its_first_packet_and_only_once() {
        let mut caller = Caller::new();
        caller.sends('5', 1_000, 160, false, true);
        assert_eq!(caller.heard(), "5");
        caller.presses('5', 1_000);
        assert_eq!(caller.heard(), "");
    }

    #[test]
    fn back_to_back_presses_of_one_key_are_two() {
        let mut caller = Caller::new();
        caller.presses('5', 1_000);
        caller.presses('5', 1_000 + 960 + 400);
        assert_eq!(caller.heard(), "55");
    }

    #[test]
    fn a_lost_end_and_a_lost_marker_do_not_merge_two_presses() {
        let mut caller = Caller::new();
        caller.sends('5', 1_000, 160, false, true);
        caller.sends('5', 1_000, 320, false, false);
        caller.sends('5', 2_400, 320, false, false);
        assert_eq!(caller.heard(), "55");
    }

    #[test]
    fn wound_42_a_long_press_with_a_gap_and_no_marker_is_one() {
        let mut caller = Caller::new();
        caller.sends('9', 1_000, 160, false, false);
        caller.sends('9', 1_000, 320, false, false);
        caller.sends('9', 1_000, 1_696, true, false);
        caller.sends('9', 1_000, 1_696, true, false);
        assert_eq!(caller.heard(), "9");
    }

    #[test]
    fn the_end_alone_is_a_press() {
        let mut caller = Caller::new();
        caller.sends('#', 1_000, 960, true, false);
        assert_eq!(caller.heard(), "#");
    }

    #[test]
    fn segments_of_a_press_longer_than_a_duration_can_count_are_one_press() {
        let mut caller = Caller::new();
        caller.sends('1', 1_000, 65_535, false, false);
        caller.sends('1', 1_000 + 65_535, 160, false, false);
        caller.sends('1', 1_000 + 65_535, 800, true, false);
        assert_eq!(caller.heard(), "1");
    }

    #[test]
    fn a_timestamp_that_moves_with_every_packet_is_one_press() {
        let mut caller = Caller::new();
        for n in 0..6 {
            caller.sends('2', 1_000 + n * 160, 160 + 160 * n as u16, false, n == 0);
        }
        assert_eq!(caller.heard(), "2");
    }

    #[test]
    fn a_straggler_of_an_earlier_press_is_no_new_press() {
        let mut caller = Caller::new();
        caller.presses('1', 1_000);
        caller.presses('2', 3_000);
        caller.sends('1', 1_000, 960, true, false);
        caller.sends('2', 3_000, 960, true, false);
        assert_eq!(caller.heard(), "12");
    }

    #[test]
    fn timestamps_may_wrap_around() {
        let mut caller = Caller::new();
        caller.presses('1', u32::MAX - 300);
        caller.presses('1', 1_500);
        assert_eq!(caller.heard(), "11");
    }

    #[test]
    fn a_full_queue_drops_the_newest_and_counts_it() {
        let mut caller = Caller::new();
        for n in 0..70 {
            caller.presses(if n < 64 { '1' } else { '2' }, 1_000 + n * 2_000);
        }
        assert_eq!(caller.heard(), "1".repeat(64));
        assert_eq!(caller.receiver.dropped(), 6);
    }

    #[test]
    fn events_that_are_no_digits_and_short_payloads_are_no_presses() {
        let mut caller = Caller::new();
        let packet = |payload| EventPacket {
            ssrc: 1,
            timestamp: 5,
            marker: true,
            payload,
        };
        assert!(
            caller
                .receiver
                .handle(packet(&[16, 10, 0, 160]), caller.now)
        );
        assert!(!caller.receiver.handle(packet(&[1, 10, 0]), caller.now));
        assert_eq!(caller.heard(), "");
    }
}
