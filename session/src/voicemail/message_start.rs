//! When a machine records: after its beep, or when it has been quiet for so long that it must.

use std::ops::Range;
use std::time::Duration;

use offhook_media::control::{CallTone, CallToneKind};

use super::cadence::Cadence;

/// How long a machine beeps. Shorter is a click, longer is a tone that means something else.
const BEEP_MS: std::ops::RangeInclusive<u64> = 120..=1_500;
/// Vowels reach 0.63, the beeps of machines have 0.7 and more.
const LEAST_CONFIDENCE: f32 = 0.65;
/// How long it has to be quiet after a beep.
const QUIET_AFTER_BEEP: Duration = Duration::from_millis(250);
/// A beep is told when it has been over for so long.
const TOLD_AFTER: Duration = Duration::from_millis(75);
/// Without a beep, this much quiet is the end of the greeting.
const QUIET_AFTER_GREETING: Duration = Duration::from_millis(1_500);
/// A message begins this long after the verdict at the latest.
const LONGEST_GREETING: Duration = Duration::from_secs(40);

/// A tone that is a beep if it stays quiet.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaybeBeep {
    pub(super) tone: CallTone,
    began: Duration,
    ended: Duration,
}

impl MaybeBeep {
    /// What was told `at`, if it can be a beep at all: neither too short nor too long, and no vowel that looks like it.
    pub(super) fn new(tone: CallTone, at: Duration) -> Option<Self> {
        let ended = at.saturating_sub(TOLD_AFTER);
        let began = ended.saturating_sub(Duration::from_millis(tone.duration_ms));
        let fits = tone.kind == CallToneKind::Beep
            && BEEP_MS.contains(&tone.duration_ms)
            && tone.confidence.value() >= LEAST_CONFIDENCE;
        fits.then_some(Self { tone, began, ended })
    }

    /// Whether speech that began `at` makes it none.
    pub(super) fn is_undone_by_speech(&self, at: Duration) -> bool {
        at >= self.ended
    }

    /// When it is sure that it is one.
    pub(super) fn sure_at(&self) -> Duration {
        self.ended + QUIET_AFTER_BEEP
    }

    /// From when to when it sounded; of the detector's time, not the leg's.
    pub(super) fn range(&self) -> Range<Duration> {
        self.began..self.ended
    }
}

/// Waits for the moment at which a message may begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageStart {
    /// When it was clear that a machine answered.
    since: Duration,
}

impl MessageStart {
    pub(super) fn new(since: Duration) -> Self {
        Self { since }
    }

    /// When a message may begin though there was no beep: the end of the greeting, or of all patience.
    pub(super) fn without_beep(&self, cadence: &Cadence) -> Duration {
        let latest = self.since + LONGEST_GREETING;
        if cadence.is_speaking() {
            return latest;
        }
        // A beep is told when it is over; until then it is a sound.
        let quiet_since = cadence
            .quiet_since()
            .max(cadence.last_loud())
            .unwrap_or(self.since);
        (quiet_since + QUIET_AFTER_GREETING).clamp(self.since, latest)
    }
}
