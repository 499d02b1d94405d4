//! Who sends, and which packets came (RFC 3550 appendix A).

use std::time::{Duration, Instant};

use super::statistics::ReceivedStream;

/// A step forward up to this is loss, above it a restart (RFC 3550 section A.1).
const MAXIMUM_DROPOUT: i64 = 3_000;
/// A step back up to this is reordering, beyond it a restart.
const MAXIMUM_MISORDER: i64 = 100;
/// For so long after a change of source packets of the one before may be under way.
const STRAGGLERS_FOR: Duration = Duration::from_secs(1);
/// So many of them in a row, and none of the new source between, are no stragglers: the one before is back.
const BACK_AFTER: u32 = 4;

/// The numbering of one stream: extended sequence numbers, and the counts that follow from them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SequenceTracker {
    ssrc: Option<u32>,
    /// The source before that.
    left: Option<Left>,
    /// The extended number of the newest packet; rises by one across a new source or restart.
    highest: i64,
    /// That packet's number as sent.
    highest_raw: u16,
    /// Bit n: the packet n before the newest came.
    came: u64,
    /// After a step out of all proportion, the number that would confirm it.
    expected_after_restart: Option<u16>,
    /// The stream's first number, and what was counted before it.
    first_raw: u16,
    before: Before,
    expected: u64,
    received: u64,
    pub(super) loss_runs: u64,
    pub(super) duplicate: u64,
    pub(super) reordered: u64,
}

/// A source that gave way to another.
#[derive(Clone, Copy, Debug)]
struct Left {
    ssrc: u32,
    at: Instant,
    /// Packets of it that came after that, in a row.
    in_row: u32,
}

/// The counts of the streams before this one.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    expected: u64,
    received: u64,
    duplicate: u64,
}

/// What a packet's number says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbered {
    /// A packet not seen before, with its extended number.
    New {
        sequence: i64,
        /// The first of another source or of a restarted numbering.
        new_source: bool,
    },
    /// Seen before.
    Duplicate,
    /// Of the source before, overtaken by the new one's first.
    Straggler,
    /// A number out of all proportion; the next one decides.
    Suspect,
}

impl SequenceTracker {
    /// Takes note of a packet that came at `at`.
    pub(super) fn note(&mut self, ssrc: u32, raw: u16, at: Instant) -> Numbered {
        if self.ssrc != Some(ssrc) {
            if self.is_straggler(ssrc, at) {
                return Numbered::Straggler;
            }
            self.left = self.ssrc.map(|ssrc| Left {
                ssrc,
                at,
                in_row: 0,
            });
            self.ssrc = Some(ssrc);
            return self.restart(raw);
        }
        if let Some(left) = &mut self.left {
            left.in_row = 0;
        }
        let step = i64::from(raw.wrapping_sub(self.highest_raw).cast_signed());
        if !(-MAXIMUM_MISORDER..=MAXIMUM_DROPOUT).contains(&step) {
            if self.expected_after_restart == Some(raw) {
                return self.restart(raw);
            }
            self.expected_after_restart = Some(raw.wrapping_add(1));
            return Numbered::Suspect;
        }
        self.expected_after_restart = None;
        let sequence = self.highest + step;
        if step > 0 {
            self.came =
                u32::try_from(step).map_or(0, |s| self.came.checked_shl(s).unwrap_or(0)) | 1;
            self.highest = sequence;
            self.highest_raw = raw;
            self.expected += step.unsigned_abs();
            self.loss_runs += u64::from(step > 1);
        } else {
            let bit = 1_u64
                .checked_shl(step.unsigned_abs().min(64) as u32)
                .unwrap_or(0);
            if bit & self.came != 0 {
                self.duplicate += 1;
                return Numbered::Duplicate;
            }
            self.came |= bit;
            self.reordered += 1;
        }
        self.received += 1;
        Numbered::New {
            sequence,
            new_source: false,
        }
    }

    /// The extended number of the newest packet.
    pub(super) fn highest(&self) -> i64 {
        self.highest
    }

    /// Packets that never came.
    pub(super) fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.received)
    }

    /// The stream's counts apart from those before it, for reports about it.
    pub(super) fn stream(&self, jitter_us: u32) -> Option<ReceivedStream> {
        let expected = self.expected - self.before.expected;
        let steps = u32::try_from(expected.saturating_sub(1)).unwrap_or(u32::MAX);
        Some(ReceivedStream {
            ssrc: self.ssrc?,
            highest_sequence: u32::from(self.first_raw).wrapping_add(steps),
            expected,
            received: self.received - self.before.received + self.duplicate - self.before.duplicate,
            jitter_us,
        })
    }

    /// Whether `ssrc` is the stream's source, or the first.
    pub(super) fn is_source(&self, ssrc: u32) -> bool {
        self.ssrc.is_none_or(|known| known == ssrc)
    }

    fn is_straggler(&mut self, ssrc: u32, at: Instant) -> bool {
        let Some(left) = self.left.as_mut().filter(|left| left.ssrc == ssrc) else {
            return false;
        };
        left.in_row += 1;
        left.in_row < BACK_AFTER && at.saturating_duration_since(left.at) < STRAGGLERS_FOR
    }

    fn restart(&mut self, raw: u16) -> Numbered {
        let first = self.received == 0;
        self.before = Before {
            expected: self.expected,
            received: self.received,
            duplicate: self.duplicate,
        };
        self.first_raw = raw;
        self.highest += 1;
        self.highest_raw = raw;
        self.came = 1;
        self.expected_after_restart = None;
        self.expected += 1;
        self.received += 1;
        Numbered::New {
            sequence: self.highest,
            new_source: !first,
        }
    }
}

/// The interarrival jitter of RFC 3550 section A.8.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InterarrivalJitter {
    previous: Option<(Instant, u32)>,
    /// Sixteen times the jitter, in microseconds.
    scaled_us: i64,
}

impl InterarrivalJitter {
    /// Takes note of an audio packet; after a restart of timestamps begin with `forget`.
    pub(super) fn note(&mut self, arrival: Instant, timestamp: u32, clock_rate_hz: u32) {
        if let Some((before, timestamp_before)) = self.previous {
            let ours = signed_microseconds(arrival, before);
            let theirs = i64::from(timestamp.wrapping_sub(timestamp_before).cast_signed())
                * 1_000_000
                / i64::from(clock_rate_hz.max(1));
            // A jump of the timestamps is no jitter.
            let difference = (ours - theirs).abs();
            if difference < 1_000_000 {
                self.scaled_us += difference - (self.scaled_us + 8) / 16;
            }
        }
        self.previous = Some((arrival, timestamp));
    }

    pub(super) fn forget(&mut self) {
        self.previous = None;
    }

    pub(super) fn microseconds(&self) -> u32 {
        u32::try_from(self.scaled_us / 16).unwrap_or(0)
    }
}

/// `at - since` in microseconds; either may be the earlier.
pub(super) fn signed_microseconds(at: Instant, since: Instant) -> i64 {
    let microseconds =
        |d: std::time::Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX / 4);
    match at.checked_duration_since(since) {
        Some(after) => microseconds(after),
        None => -microseconds(since.saturating_duration_since(at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leg::tests::virtual_start;

    fn tracker(numbers: &[u16]) -> SequenceTracker {
        let now = virtual_start();
        let mut tracker = SequenceTracker::default();
        for number in numbers {
            tracker.note(1, *number, now);
        }
        tracker
    }

    #[test]
    fn losses_duplicates_and_reordering_are_told_apart_across_the_wrap_around() {
        let tracker = tracker(&[65_533, 65_534, 1, 0, 0, 3]);
        assert_eq!(
            (tracker.lost(), tracker.duplicate, tracker.reordered),
            (2, 1, 1)
        );
    }

    #[test]
    fn a_single_wild_number_is_ignored_and_a_second_one_confirms_the_restart() {
        let now = virtual_start();
        let mut tracker = tracker(&[10, 11, 12]);
        assert_eq!(tracker.note(1, 30_000, now), Numbered::Suspect);
        assert_eq!(
            tracker.note(1, 13, now),
            Numbered::New {
                sequence: 4,
                new_source: false
            }
        );
        assert_eq!(tracker.note(1, 30_000, now), Numbered::Suspect);
        assert_eq!(
            tracker.note(1, 30_001, now),
            Numbered::New {
                sequence: 5,
                new_source: true
            }
        );
        assert_eq!(tracker.lost(), 0);
    }

    #[test]
    fn a_stream_is_reported_with_its_wrap_arounds_and_its_duplicates() {
        let now = virtual_start();
        let mut tracker = tracker(&[65_533, 65_534, 1, 0, 0, 3]);
        let stream = tracker.stream(9).unwrap();
        let reported = (stream.ssrc, stream.highest_sequence, stream.jitter_us);
        assert_eq!(reported, (1, 0x0001_0003, 9));
        assert_eq!((stream.expected, stream.received), (7, 6));
        assert_eq!(tracker.loss_runs, 2);
        tracker.note(2, 40, now);
        tracker.note(2, 42, now);
        let stream = tracker.stream(9).unwrap();
        assert_eq!((stream.ssrc, stream.highest_sequence), (2, 42));
        assert_eq!((stream.expected, stream.received), (3, 2));
    }

    #[test]
    fn another_source_goes_on_behind_the_first() {
        let now = virtual_start();
        let mut tracker = tracker(&[500]);
        assert_eq!(
            tracker.note(2, 9, now),
            Numbered::New {
                sequence: 2,
                new_source: true
            }
        );
        assert_eq!(
            tracker.note(2, 10, now),
            Numbered::New {
                sequence: 3,
                new_source: false
            }
        );
    }

    #[test]
    fn the_source_before_is_back_after_a_second_or_a_few_packets_in_a_row() {
        let mut now = virtual_start();
        let mut tracker = tracker(&[500]);
        let is_new_source =
            |numbered| matches!(numbered, Numbered::New { new_source, .. } if new_source);
        assert!(is_new_source(tracker.note(2, 9, now)));
        for number in [501, 502, 503] {
            assert_eq!(tracker.note(1, number, now), Numbered::Straggler);
        }
        assert!(!is_new_source(tracker.note(2, 10, now)));
        for number in [504, 505, 506] {
            assert_eq!(tracker.note(1, number, now), Numbered::Straggler);
        }
        assert!(is_new_source(tracker.note(1, 507, now)));
        assert_eq!(tracker.note(2, 11, now), Numbered::Straggler);
        now += STRAGGLERS_FOR;
        assert!(is_new_source(tracker.note(2, 12, now)));
    }
}
