//! Our stream as the far end's reports speak of it.
//!
//! A report counts from where its receiver began, and does not say where that was: who joined late (a call that was
//! answered elsewhere, or handed over) has not lost what was sent before, and has not counted our roll-overs of that time
//! either. So packets are counted from a reporter's first block on.

use super::packet::ReportBlock;

/// What has to be remembered from one block to the next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OurStream {
    reporter: Option<Reporter>,
}

#[derive(Clone, Copy, Debug)]
struct Reporter {
    ssrc: Option<u32>,
    first: ReportBlock,
    /// What was expected and lost by then, as far as can be told.
    by_then: Counted,
    newest_sequence: u32,
}

/// Packets of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) expected: u32,
    /// Below zero where some came twice.
    pub(super) lost: i32,
}

impl OurStream {
    /// What `ssrc` expected and lost in all, now that it says `block`. Our stream began with `first_sequence`. It is
    /// counted anew when somebody else reports, and when the figures go back: a receiver that began anew.
    pub(super) fn count(
        &mut self,
        ssrc: Option<u32>,
        block: &ReportBlock,
        first_sequence: u16,
    ) -> Counted {
        let known = self.reporter.filter(|reporter| reporter.ssrc == ssrc);
        let known = known.filter(|reporter| {
            let step = block
                .highest_sequence
                .wrapping_sub(reporter.newest_sequence);
            step.cast_signed() >= 0
        });
        let reporter = self.reporter.insert(known.unwrap_or_else(|| Reporter {
            ssrc,
            first: *block,
            by_then: before(block, first_sequence),
            newest_sequence: block.highest_sequence,
        }));
        reporter.newest_sequence = block.highest_sequence;
        let (first, by_then) = (reporter.first, reporter.by_then);
        let since = block.highest_sequence.wrapping_sub(first.highest_sequence);
        let lost = block.cumulative_lost.saturating_sub(first.cumulative_lost);
        Counted {
            expected: by_then.expected.saturating_add(since),
            lost: by_then.lost.saturating_add(lost),
        }
    }
}

/// What a first block says of the time before it. Where packets were lost, the share of them says how many were
/// expected; not more than we sent. Where none was, nobody can tell how many came, and it makes no loss either.
fn before(block: &ReportBlock, first_sequence: u16) -> Counted {
    let lost = u32::try_from(block.cumulative_lost).unwrap_or(0);
    let by_share = lost
        .saturating_mul(256)
        .checked_div(u32::from(block.fraction_lost));
    let first = u32::from(first_sequence);
    // Enormous where roll-overs were not counted.
    let by_numbers = block.highest_sequence.wrapping_sub(first).wrapping_add(1);
    let expected = by_numbers.min(by_share.unwrap_or(u32::MAX));
    if lost == 0 || expected.cast_signed() < 0 {
        return Counted::default();
    }
    Counted {
        expected,
        lost: block.cumulative_lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(highest_sequence: u32, cumulative_lost: i32, fraction_lost: u8) -> ReportBlock {
        ReportBlock {
            highest_sequence,
            cumulative_lost,
            fraction_lost,
            ..ReportBlock::default()
        }
    }

    fn counted(expected: u32, lost: i32) -> Counted {
        Counted { expected, lost }
    }

    #[test]
    fn what_was_sent_before_somebody_joined_is_not_counted() {
        // Also when numbers rolled over before, which it knows nothing of.
        for (first, joined) in [(100, 1_100), (60_000, 500)] {
            let mut ours = OurStream::default();
            let begun = ours.count(Some(1), &block(joined, 0, 0), first);
            assert_eq!(begun, counted(0, 0));
            let later = ours.count(Some(1), &block(joined + 100, 50, 128), first);
            assert_eq!(later, counted(100, 50));
            let later = ours.count(Some(1), &block(joined + 200, 47, 0), first);
            assert_eq!(later, counted(200, 47));
        }
    }

    #[test]
    fn what_a_first_block_says_was_lost_counts() {
        for (first, share, expected) in [
            // There from the beginning: of 250 packets.
            (100, 63, 250),
            // From half of it on.
            (100, 128, 124),
            // The share is of less time than the sum, since a report was lost.
            (100, 1, 250),
            (100, 0, 250),
            // Roll-overs were not counted, and the share alone tells.
            (60_000, 128, 124),
            (60_000, 0, 0),
        ] {
            let told = OurStream::default().count(None, &block(349, 62, share), first);
            let lost = if expected == 0 { 0 } else { 62 };
            assert_eq!(told, counted(expected, lost), "{first} {share}");
        }
    }

    #[test]
    fn another_reporter_and_figures_that_go_back_begin_anew() {
        let mut ours = OurStream::default();
        ours.count(Some(1), &block(349, 62, 63), 100);
        let told = ours.count(Some(1), &block(449, 62, 0), 100);
        assert_eq!(told, counted(350, 62));
        let other = ours.count(Some(2), &block(549, 0, 0), 100);
        assert_eq!(other, counted(0, 0));
        let told = ours.count(Some(2), &block(0x0001_0000, 5, 10), 100);
        assert_eq!(told, counted(0x0001_0000 - 549, 5));
        let anew = ours.count(Some(2), &block(700, 0, 0), 100);
        assert_eq!(anew, counted(0, 0));
        // More than one that came twice.
        let told = ours.count(Some(2), &block(800, -3, 0), 100);
        assert_eq!(told, counted(100, -3));
    }
}
