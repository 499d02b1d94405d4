//! What RTCP says about a call, and what it sounds like.

use std::time::{Duration, Instant};

use super::Facts;
use super::mos::{Mos, Path, burst_ratio};
use crate::codec::Codec;

/// A far end's jitter buffer, which it says nothing about: twice its jitter, and this at least.
const SHORTEST_BUFFER: Duration = Duration::from_millis(40);

/// What RTCP counted and heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RtcpStatistics {
    /// Compound packets sent.
    pub sent: u64,
    /// Compound packets of the far end's.
    pub received: u64,
    /// Datagrams that were none, came from elsewhere, or were ours.
    pub refused: u64,
    /// When the far end was heard last.
    pub last_heard: Option<Instant>,
    /// Whether the far end said BYE. The call is ended by SIP all the same.
    pub goodbye: bool,
    /// How often our SSRC was given up because somebody else used it.
    pub collisions: u64,
    /// There and back, as measured last.
    pub round_trip: Option<Duration>,
    /// What the far end said last about our stream.
    pub on_us: Option<ReportOnUs>,
}

/// What the far end says about our stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportOnUs {
    /// The share lost since its report before, in 256ths.
    pub fraction_lost: u8,
    /// Packets lost in all since it reports, and before as far as its first report tells; below zero where some came
    /// twice.
    pub lost: i32,
    /// Packets it expected in that time, by our numbering.
    pub expected: u32,
    /// Interarrival jitter, in microseconds.
    pub jitter_us: u32,
}

impl ReportOnUs {
    /// The share lost in all, 0 to 1.
    #[must_use]
    pub fn loss(&self) -> f64 {
        share(
            u64::try_from(self.lost).unwrap_or(0),
            u64::from(self.expected),
        )
    }
}

/// How a call sounds, by the E-model. *Heard* is the far end's voice here, *sent* is ours there, which only its reports
/// tell. *Live* is the time between two reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// The far end's voice here, lately.
    pub heard_live: Option<Mos>,
    /// The far end's voice here, in all.
    pub heard: Option<Mos>,
    /// Our voice there, lately.
    pub sent_live: Option<Mos>,
    /// Our voice there, in all.
    pub sent: Option<Mos>,
}

/// What ratings are made from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rated {
    round_trips: Duration,
    round_trip_count: u32,
    /// Played, missing, and runs of losses, when the last report was made.
    at_report: (u64, u64, u64),
    heard_live: Option<Mos>,
}

impl Rated {
    pub(super) fn note_round_trip(&mut self, round_trip: Duration) {
        self.round_trips += round_trip;
        self.round_trip_count += 1;
    }

    /// A report is made: what came since the one before is rated.
    pub(super) fn note_report(&mut self, statistics: &RtcpStatistics, facts: &Facts) {
        let now = counts(facts);
        let before = self.at_report;
        let since = (
            now.0.saturating_sub(before.0),
            now.1.saturating_sub(before.1),
            now.2.saturating_sub(before.2),
        );
        self.at_report = now;
        self.heard_live = heard(since, facts, statistics.round_trip);
    }

    pub(super) fn quality(&self, statistics: &RtcpStatistics, facts: &Facts) -> Quality {
        let mean = self.round_trips.checked_div(self.round_trip_count);
        let on_us = statistics.on_us;
        let sent = |loss: f64, round_trip: Option<Duration>, report: &ReportOnUs| {
            let buffer = Duration::from_micros(u64::from(report.jitter_us) * 2);
            let path = Path {
                codec: facts.codec.kind,
                delay: delay(&facts.codec, buffer.max(SHORTEST_BUFFER), round_trip),
                loss,
                // Reports do not say how losses are spread.
                burst_ratio: 1.0,
            };
            path.mos()
        };
        Quality {
            heard_live: self.heard_live,
            heard: heard(counts(facts), facts, mean),
            sent_live: on_us.map(|report| {
                let loss = f64::from(report.fraction_lost) / 256.0;
                sent(loss, statistics.round_trip, &report)
            }),
            sent: on_us.map(|report| sent(report.loss(), mean, &report)),
        }
    }
}

/// Packets that came in time, that did not, and runs of losses.
fn counts(facts: &Facts) -> (u64, u64, u64) {
    let receiver = &facts.receiver;
    let useless = receiver.duplicate + receiver.late;
    (
        receiver.received.saturating_sub(useless),
        receiver.lost + receiver.late,
        receiver.loss_runs,
    )
}

/// What is heard; `None` where nothing came.
fn heard(
    (played, missing, runs): (u64, u64, u64),
    facts: &Facts,
    round_trip: Option<Duration>,
) -> Option<Mos> {
    if played == 0 {
        return None;
    }
    let expected = played + missing;
    let buffer = Duration::from_millis(u64::from(facts.receiver.delay_target_ms));
    let path = Path {
        codec: facts.codec.kind,
        delay: delay(&facts.codec, buffer, round_trip),
        loss: share(missing, expected),
        burst_ratio: burst_ratio(missing, runs, expected),
    };
    Some(path.mos())
}

/// From mouth to ear: filling a packet, half the round trip, waiting in the jitter buffer, and a frame to play.
fn delay(codec: &Codec, buffer: Duration, round_trip: Option<Duration>) -> Duration {
    Duration::from_millis(u64::from(codec.ptime_ms) + 10)
        + round_trip.unwrap_or_default() / 2
        + buffer
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        (part as f64 / whole as f64).min(1.0)
    }
}
