//! What a leg's reports say, for whoever looks on while the call lasts.
//!
//! A media thread writes after each report, every five seconds or so, and once when the leg is closed; anybody reads.
//! Each figure is by itself: a reader may find one of this report beside one of the report before.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use offhook_media::leg::LegStatistics;
use offhook_media::rtcp::Mos;

/// Stands for a figure that there is none of yet.
const NONE: u32 = u32::MAX;

/// The figures of one leg.
#[derive(Debug)]
pub struct LiveQuality {
    /// In hundredths.
    heard_mos: AtomicU32,
    sent_mos: AtomicU32,
    whole_heard_mos: AtomicU32,
    whole_sent_mos: AtomicU32,
    round_trip_us: AtomicU32,
    /// In millionths of the packets.
    heard_loss: AtomicU32,
    sent_loss: AtomicU32,
    heard_jitter_us: AtomicU32,
    sent_jitter_us: AtomicU32,
    reports_heard: AtomicU32,
}

/// What was said of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DirectionQuality {
    /// The mean opinion score since the report before, 1 to 4.5.
    pub mos: Option<f64>,
    /// The mean opinion score of the whole call, 1 to 4.5.
    pub mos_of_call: Option<f64>,
    /// Packets lost, in per cent of the whole call's.
    pub loss_percent: Option<f64>,
    /// Interarrival jitter.
    pub jitter: Option<Duration>,
}

/// What was said of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CallQuality {
    /// The far end's voice, as it comes here.
    pub heard: DirectionQuality,
    /// Ours, as the far end says that it comes there.
    pub sent: DirectionQuality,
    /// There and back.
    pub round_trip: Option<Duration>,
    /// RTCP packets of the far end's.
    pub reports_heard: u32,
}

impl Default for LiveQuality {
    fn default() -> Self {
        let none = || AtomicU32::new(NONE);
        Self {
            heard_mos: none(),
            sent_mos: none(),
            whole_heard_mos: none(),
            whole_sent_mos: none(),
            round_trip_us: none(),
            heard_loss: none(),
            sent_loss: none(),
            heard_jitter_us: none(),
            sent_jitter_us: none(),
            reports_heard: AtomicU32::new(0),
        }
    }
}

impl LiveQuality {
    /// Takes over what a leg counted.
    pub(super) fn note(&self, statistics: &LegStatistics) {
        let put = |figure: &AtomicU32, value: Option<u64>| {
            let value = value.map_or(NONE, |value| u32::try_from(value).unwrap_or(NONE - 1));
            figure.store(value, Ordering::Relaxed);
        };
        let hundredths = |mos: Option<Mos>| mos.map(|mos| u64::from(mos.hundredths()));
        let LegStatistics {
            receiver,
            rtcp,
            quality,
            ..
        } = statistics;
        put(&self.heard_mos, hundredths(quality.heard_live));
        put(&self.whole_heard_mos, hundredths(quality.heard));
        put(&self.sent_mos, hundredths(quality.sent_live));
        put(&self.whole_sent_mos, hundredths(quality.sent));
        let round_trip = rtcp.round_trip.map(|time| time.as_micros() as u64);
        put(&self.round_trip_us, round_trip);
        let unique = receiver.received.saturating_sub(receiver.duplicate);
        let heard_loss = (receiver.lost * 1_000_000).checked_div(unique + receiver.lost);
        put(&self.heard_loss, heard_loss);
        let jitter = heard_loss.map(|_| u64::from(receiver.jitter_us));
        put(&self.heard_jitter_us, jitter);
        let sent_loss = rtcp.on_us.map(|report| (report.loss() * 1e6) as u64);
        put(&self.sent_loss, sent_loss);
        let sent_jitter = rtcp.on_us.map(|report| u64::from(report.jitter_us));
        put(&self.sent_jitter_us, sent_jitter);
        put(&self.reports_heard, Some(rtcp.received));
    }

    /// What was said last.
    #[must_use]
    pub fn read(&self) -> CallQuality {
        let get = |figure: &AtomicU32| {
            let value = figure.load(Ordering::Relaxed);
            (value != NONE).then_some(value)
        };
        let scaled = |figure: &AtomicU32, unit: f64| get(figure).map(|v| f64::from(v) / unit);
        let time = |figure: &AtomicU32| get(figure).map(|us| Duration::from_micros(us.into()));
        CallQuality {
            heard: DirectionQuality {
                mos: scaled(&self.heard_mos, 100.0),
                mos_of_call: scaled(&self.whole_heard_mos, 100.0),
                loss_percent: scaled(&self.heard_loss, 10_000.0),
                jitter: time(&self.heard_jitter_us),
            },
            sent: DirectionQuality {
                mos: scaled(&self.sent_mos, 100.0),
                mos_of_call: scaled(&self.whole_sent_mos, 100.0),
                loss_percent: scaled(&self.sent_loss, 10_000.0),
                jitter: time(&self.sent_jitter_us),
            },
            round_trip: time(&self.round_trip_us),
            reports_heard: self.reports_heard.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use offhook_media::receiver::ReceiverStatistics;
    use offhook_media::rtcp::{ReportOnUs, RtcpStatistics};

    use super::*;

    #[test]
    fn what_nobody_said_is_nothing_and_what_was_said_is_read() {
        let live = LiveQuality::default();
        assert_eq!(live.read(), CallQuality::default());
        live.note(&LegStatistics {
            receiver: ReceiverStatistics {
                received: 960,
                duplicate: 10,
                lost: 50,
                jitter_us: 2_000,
                ..ReceiverStatistics::default()
            },
            rtcp: RtcpStatistics {
                received: 3,
                round_trip: Some(Duration::from_millis(40)),
                on_us: Some(ReportOnUs {
                    fraction_lost: 0,
                    lost: 10,
                    expected: 1_000,
                    jitter_us: 500,
                }),
                ..RtcpStatistics::default()
            },
            ..LegStatistics::default()
        });
        let read = live.read();
        assert_eq!(read.heard.loss_percent, Some(5.0));
        assert_eq!(read.heard.jitter, Some(Duration::from_millis(2)));
        assert_eq!(read.sent.loss_percent, Some(1.0));
        assert_eq!(read.round_trip, Some(Duration::from_millis(40)));
        assert_eq!((read.reports_heard, read.heard.mos), (3, None));
    }
}
