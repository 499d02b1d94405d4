//! The far end's stream as our reports speak of it.

use std::time::Instant;

use super::middle;
use super::packet::ReportBlock;
use crate::receiver::ReceivedStream;

/// What has to be remembered from one report to the next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TheirStream {
    /// What the report before spoke of.
    reported: Option<ReceivedStream>,
    last_sender_report: Option<SenderReport>,
}

#[derive(Clone, Copy, Debug)]
struct SenderReport {
    ssrc: u32,
    ntp_middle: u32,
    arrival: Instant,
}

impl TheirStream {
    pub(super) fn note_sender_report(&mut self, ssrc: u32, ntp: u64, arrival: Instant) {
        self.last_sender_report = Some(SenderReport {
            ssrc,
            ntp_middle: middle(ntp),
            arrival,
        });
    }

    /// What we received since the block before; `None` where nothing came (RFC 3550 section 6.4).
    pub(super) fn block(
        &mut self,
        stream: &ReceivedStream,
        clock_rate_hz: u32,
        now: Instant,
    ) -> Option<ReportBlock> {
        let before = self.reported.filter(|before| before.ssrc == stream.ssrc);
        // A numbering that began anew counts from nothing again.
        let before = before.filter(|before| before.expected <= stream.expected);
        let (expected_before, received_before) =
            before.map_or((0, 0), |before| (before.expected, before.received));
        if stream.received == received_before {
            return None;
        }
        self.reported = Some(*stream);
        let expected = stream.expected - expected_before;
        let lost = expected.saturating_sub(stream.received.saturating_sub(received_before));
        let fraction_lost = (lost * 256).checked_div(expected).unwrap_or(0);
        let cumulative = signed(stream.expected) - signed(stream.received);
        let jitter = u64::from(stream.jitter_us) * u64::from(clock_rate_hz) / super::MICROSECONDS;
        let sender_report = self
            .last_sender_report
            .filter(|report| report.ssrc == stream.ssrc);
        Some(ReportBlock {
            ssrc: stream.ssrc,
            fraction_lost: u8::try_from(fraction_lost).unwrap_or(u8::MAX),
            cumulative_lost: cumulative.clamp(-(1 << 23), (1 << 23) - 1) as i32,
            highest_sequence: stream.highest_sequence,
            jitter: u32::try_from(jitter).unwrap_or(u32::MAX),
            last_sender_report: sender_report.map_or(0, |report| report.ntp_middle),
            delay_since: sender_report.map_or(0, |report| {
                let nanoseconds = now.saturating_duration_since(report.arrival).as_nanos();
                u32::try_from((nanoseconds << 16) / 1_000_000_000).unwrap_or(u32::MAX)
            }),
        })
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::leg::tests::virtual_start;

    fn stream(expected: u64, received: u64) -> ReceivedStream {
        ReceivedStream {
            ssrc: 7,
            highest_sequence: 0x0001_0000 + expected as u32,
            expected,
            received,
            jitter_us: 2_500,
        }
    }

    #[test]
    fn the_share_lost_is_of_the_time_since_the_report_before_and_the_sum_of_all_time() {
        let now = virtual_start();
        let mut theirs = TheirStream::default();
        let first = theirs.block(&stream(100, 75), 8_000, now).unwrap();
        assert_eq!((first.fraction_lost, first.cumulative_lost), (64, 25));
        assert_eq!((first.jitter, first.highest_sequence), (20, 0x0001_0064));
        let second = theirs.block(&stream(200, 175), 8_000, now).unwrap();
        assert_eq!((second.fraction_lost, second.cumulative_lost), (0, 25));
    }

    #[test]
    fn more_than_was_sent_is_a_loss_below_zero() {
        let now = virtual_start();
        let block = TheirStream::default().block(&stream(100, 110), 8_000, now);
        let block = block.unwrap();
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, -10));
    }

    #[test]
    fn a_stream_that_stands_still_is_not_reported_and_another_begins_from_nothing() {
        let now = virtual_start();
        let mut theirs = TheirStream::default();
        assert!(theirs.block(&stream(100, 75), 8_000, now).is_some());
        assert_eq!(theirs.block(&stream(100, 75), 8_000, now), None);
        let other = ReceivedStream {
            ssrc: 8,
            ..stream(50, 50)
        };
        let block = theirs.block(&other, 8_000, now).unwrap();
        assert_eq!((block.ssrc, block.fraction_lost), (8, 0));
    }

    #[test]
    fn their_clock_comes_back_with_how_long_we_kept_it() {
        let now = virtual_start();
        let mut theirs = TheirStream::default();
        theirs.note_sender_report(7, 0x0123_4567_89AB_CDEF, now);
        let later = now + Duration::from_millis(1_500);
        let block = theirs.block(&stream(1, 1), 8_000, later).unwrap();
        assert_eq!(block.last_sender_report, 0x4567_89AB);
        assert_eq!(block.delay_since, 98_304);
        theirs.note_sender_report(9, 1 << 40, now);
        let block = theirs.block(&stream(2, 2), 8_000, later).unwrap();
        assert_eq!(block.last_sender_report, 0, "another source's clock");
    }
}
