//! Ringback, busy and congestion: much the same tones everywhere, told apart by their rhythm.
//!
//! | | tone | rhythm (seconds on, off) |
//! |---|---|---|
//! | ringback, North America | 440 + 480 Hz | 2, 4 |
//! | ringback, most of Europe | 425 Hz (400 to 450) | 1 to 1.5, 3 to 5 |
//! | ringback, United Kingdom | 400 + 450 Hz | 0.4, 0.2, 0.4, 2 |
//! | busy | 480 + 620, or 425 (400 to 450) Hz | 0.5, 0.5 (0.35 to 0.5) |
//! | congestion | the same | 0.25, 0.25 (0.2 to 0.25) |
//!
//! These are E.180's supplement and the North American tone plan, with room for what is built.

use std::ops::RangeInclusive;

use super::stretches::Stretch;
use super::{CallTone, CallToneKind};

/// The rhythm of the tones so far.
#[derive(Debug, Default)]
pub(super) struct Cadence {
    /// The last bursts, the latest first.
    bursts: [Option<Burst>; 4],
    /// What was reported last of this rhythm.
    reported: Option<CallTone>,
}

#[derive(Clone, Copy, Debug)]
struct Burst {
    stretch: Stretch,
    on_ms: u64,
    /// The pause before it; `None` before the first.
    pause_ms: Option<u64>,
}

const CONGESTED_MS: RangeInclusive<u64> = 165..=310;
const BUSY_MS: RangeInclusive<u64> = 320..=580;
const RINGING_MS: RangeInclusive<u64> = 800..=2_350;
const RING_PAUSE_MS: RangeInclusive<u64> = 1_700..=5_600;
/// The two short rings of the United Kingdom.
const SHORT_RING_MS: RangeInclusive<u64> = 350..=450;
const SHORT_PAUSE_MS: RangeInclusive<u64> = 150..=250;
/// One ring, and this much quiet after it, is ringback already: sooner than somebody who said a word and waits for an
/// answer would be given one.
const RUNG_AFTER_MS: u64 = 500;
/// A rhythm is over after this long without a tone.
const FORGET_MS: u64 = 7_000;

/// Whether a stretch is of the tones that a call's progress is told by.
pub(super) fn is_progress(stretch: &Stretch) -> bool {
    match (stretch.single_hz(), stretch.pair_hz()) {
        // Two tones within 100 Hz are heard as one that beats.
        (Some(hz), _) => (385.0..=500.0).contains(&hz),
        (None, Some((low, high))) => {
            (385.0..=500.0).contains(&low) && ((595.0..=645.0).contains(&high) || high <= 520.0)
        }
        (None, None) => false,
    }
}

impl Cadence {
    /// A stretch of tone ended.
    pub(super) fn burst(&mut self, stretch: &Stretch, report: &mut impl FnMut(CallTone)) {
        if !is_progress(stretch) {
            *self = Self::default();
            return;
        }
        let pause_ms = self.bursts[0]
            .map(|last| stretch.began_ms.saturating_sub(last.stretch.ended_ms))
            .filter(|pause| *pause <= FORGET_MS);
        if pause_ms.is_none() {
            *self = Self::default();
        }
        self.bursts.rotate_right(1);
        self.bursts[0] = Some(Burst {
            stretch: *stretch,
            on_ms: stretch.duration_ms(),
            pause_ms,
        });
        if let Some((kind, certainty)) = self.meaning() {
            self.tell(kind, certainty, report);
        }
    }

    /// Nothing but quiet until now, or a tone that has not ended.
    pub(super) fn quiet_until(&mut self, now_ms: u64, report: &mut impl FnMut(CallTone)) {
        let Some(last) = self.bursts[0] else {
            return;
        };
        let quiet_ms = now_ms.saturating_sub(last.stretch.ended_ms);
        if self.reported.is_some() || !(RUNG_AFTER_MS..RUNG_AFTER_MS + 20).contains(&quiet_ms) {
            return;
        }
        let twice = self.bursts[1].is_some()
            && SHORT_RING_MS.contains(&last.on_ms)
            && last.pause_ms.is_some_and(|ms| SHORT_PAUSE_MS.contains(&ms));
        if twice || (RINGING_MS.contains(&last.on_ms) && last.pause_ms.is_none()) {
            self.tell(CallToneKind::Ringback, 0.65, report);
        }
    }

    fn meaning(&self) -> Option<(CallToneKind, f32)> {
        let last = self.bursts[0]?;
        if RINGING_MS.contains(&last.on_ms) {
            let again = last.pause_ms.is_some_and(|ms| RING_PAUSE_MS.contains(&ms));
            return again.then_some((CallToneKind::Ringback, 0.97));
        }
        // The second pair of short rings.
        if let [Some(d), Some(c), Some(b), _] = &self.bursts
            && [b, c, d]
                .iter()
                .all(|burst| SHORT_RING_MS.contains(&burst.on_ms))
            && d.pause_ms.is_some_and(|ms| SHORT_PAUSE_MS.contains(&ms))
            && c.pause_ms.is_some_and(|ms| RING_PAUSE_MS.contains(&ms))
        {
            return Some((CallToneKind::Ringback, 0.97));
        }
        let in_rhythm = |range: &RangeInclusive<u64>| {
            let mut count = 0;
            for burst in self.bursts.iter().flatten() {
                if !range.contains(&burst.on_ms) {
                    break;
                }
                count += 1;
                if !burst.pause_ms.is_some_and(|ms| range.contains(&ms)) {
                    break;
                }
            }
            count
        };
        let certainty = |count| match count {
            0 | 1 => None,
            2 => Some(0.5),
            3 => Some(0.85),
            _ => Some(0.97),
        };
        let congested = certainty(in_rhythm(&CONGESTED_MS)).map(|c| (CallToneKind::Congestion, c));
        let busy = certainty(in_rhythm(&BUSY_MS)).map(|c| (CallToneKind::Busy, c));
        congested.or(busy)
    }

    /// Reports what is new, and what has become surer by much.
    fn tell(&mut self, kind: CallToneKind, certainty: f32, report: &mut impl FnMut(CallTone)) {
        let Some(last) = self.bursts[0] else {
            return;
        };
        let tone = last.stretch.tone(kind, certainty * last.stretch.purity());
        let is_news = self.reported.is_none_or(|reported| {
            reported.kind != kind || tone.confidence.value() >= reported.confidence.value() + 0.05
        });
        if is_news {
            self.reported = Some(tone);
            report(tone);
        }
    }
}
