//! What networks and machines say with tones: ringback, busy, congestion, the tones before an
//! announcement, fax, and the beep of a voicemail box.
//!
//! ```text
//! window ─ spectrum (300 to 2,650 Hz) ─ stretches: one or two steady tones, from when to when
//!                                          ├─ 1,100 and 2,100 Hz: fax
//!                                          ├─ three rising, without a pause: special information
//!                                          ├─ 380 to 500 Hz, or 480 and 620: cadence
//!                                          └─ one alone, and then quiet: beep
//! ```
//!
//! None of it is sure: a machine may beep like a fax, and a hold queue may play anything. So each report
//! has a confidence, and it is the session that knows what else speaks for it. A ringback or busy tone is
//! reported when it is first recognised and again when repetition makes it sure.

mod cadence;
mod stretches;

use std::sync::LazyLock;

use self::cadence::Cadence;
use self::stretches::{BINS, FIRST_HZ, Heard, Stretch, Stretches};
use super::correlator::{BIN_HZ, Correlator, WINDOW};
use super::narrowband::Narrowband;
use super::{COLUMNS_HZ, ROWS_HZ};

/// What a tone means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallToneKind {
    /// One or two tones of 120 to 1,500 ms, and then quiet: a machine that will now record.
    Beep,
    /// The three rising tones before a network's announcement (ITU-T E.180, 950, 1,400 and 1,800 Hz, or
    /// their American variants).
    SpecialInformation,
    /// The called telephone rings.
    Ringback,
    /// The called party is busy.
    Busy,
    /// The network is busy, or has no such number.
    Congestion,
    /// A calling fax machine: CNG, 1,100 Hz for half a second (ITU-T T.30).
    FaxCalling,
    /// An answering fax machine or modem: CED or ANS, 2,100 Hz (ITU-T T.30, V.25).
    FaxAnswer,
}

impl CallToneKind {
    /// As written in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Beep => "beep",
            Self::SpecialInformation => "special_information",
            Self::Ringback => "ringback",
            Self::Busy => "busy",
            Self::Congestion => "congestion",
            Self::FaxCalling => "fax_calling",
            Self::FaxAnswer => "fax_answer",
        }
    }
}

/// How sure something is, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Confidence(u8);

impl Confidence {
    /// 1.
    pub const CERTAIN: Self = Self(100);

    /// The nearest to `value`, in steps of a hundredth.
    #[must_use]
    pub fn new(value: f32) -> Self {
        Self((value.clamp(0.0, 1.0) * 100.0).round() as u8)
    }

    /// 0 to 1.
    #[must_use]
    pub fn value(self) -> f32 {
        f32::from(self.0) / 100.0
    }
}

/// A tone that was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallTone {
    /// What it means.
    pub kind: CallToneKind,
    /// How sure that is.
    pub confidence: Confidence,
    /// Media time of its beginning, in milliseconds; of a cadence, that of its last tone.
    pub at_ms: u64,
    /// How long it sounded until now, in milliseconds; of a cadence, its last tone.
    pub duration_ms: u64,
}

/// Hears the tones in a leg's audio.
#[derive(Debug)]
pub struct ToneDetector {
    narrowband: Narrowband,
    table: &'static Correlator<BINS>,
    classifier: Classifier,
}

/// Windows follow each other by 10 ms.
const HOP: usize = 80;
const HOP_MS: u64 = 10;
const MIDDLE_MS: u64 = (WINDOW / 2 / 8) as u64;
/// Softer windows are quiet: -45 dBm0.
const QUIET: f32 = 7_900.0;

static TABLE: LazyLock<Correlator<BINS>> =
    LazyLock::new(|| Correlator::new(std::array::from_fn(|bin| FIRST_HZ + bin as f32 * BIN_HZ)));

impl ToneDetector {
    /// A detector for frames at `sample_rate_hz`: 8, 16, 24, 32, 40 or 48 kHz; `None` for other rates.
    #[must_use]
    pub fn new(sample_rate_hz: u32) -> Option<Self> {
        Some(Self {
            narrowband: Narrowband::new(sample_rate_hz, HOP)?,
            table: &TABLE,
            classifier: Classifier::default(),
        })
    }

    /// Hears the next frame, whose last sample is that of media time `end_ms`, and reports what was
    /// recognised: at most three tones each 10 ms, and seldom one.
    pub fn hear(&mut self, frame: &[i16], end_ms: u64, mut report: impl FnMut(CallTone)) {
        let Self {
            narrowband,
            table,
            classifier,
        } = self;
        narrowband.feed(frame, |window, left_ms| {
            let middle_ms = end_ms.saturating_sub(left_ms as u64 + MIDDLE_MS);
            let power = table.power(window);
            if power < QUIET {
                classifier.hear(Heard::Quiet, middle_ms, &mut report);
            } else {
                let spectrum = table.correlate(window);
                classifier.hear(Heard::Sound(&spectrum), middle_ms, &mut report);
            }
        });
    }
}

/// From stretches of tone to their meaning.
#[derive(Debug, Default)]
struct Classifier {
    stretches: Stretches,
    cadence: Cadence,
    /// The two stretches before the present one, the later first.
    before: [Option<Stretch>; 2],
    /// What the present stretch was recognised as, while it still sounds.
    recognised: bool,
    /// A stretch that is a beep if it stays quiet.
    maybe_beep: Option<Stretch>,
    /// When there was last sound that is no tone: a greeting.
    spoken_ms: Option<u64>,
    /// When the last beep, or what could have been one, ended.
    beeped_ms: Option<u64>,
}

/// Between one tone and the next of three, and between the parts of a beep.
const NO_PAUSE_MS: u64 = 40;
/// How long a beep has to be followed by quiet.
const QUIET_AFTER_MS: u64 = 60;
/// Quiet is 12 dB below the beep.
const QUIET_SHARE: f32 = 1.0 / 16.0;
/// What is shorter is no tone that anybody meant.
const SHORTEST_MS: u64 = 90;
const BEEP_MS: std::ops::RangeInclusive<u64> = 110..=1_525;
/// A greeting ends with the beep, or soon before it.
const GREETING_WITHIN_MS: u64 = 8_000;
/// What is less sure is not worth a report: vowels look like it.
const LEAST_BEEP: Confidence = Confidence(40);
/// 2,100 Hz for longer than a beep is an answering machine of another kind.
const FAX_ANSWER_MS: u64 = 1_600;
/// T.30: half a second, 15 per cent more or less, and our own inexactness.
const FAX_CALLING_MS: std::ops::RangeInclusive<u64> = 410..=590;
/// T.30: 1,100 ± 38 Hz, and the same.
const FAX_CALLING_HZ: std::ops::RangeInclusive<f32> = 1_058.0..=1_142.0;
/// E.180 has 330 ± 70 ms, the American tones are 274 and 380 ms.
const INFORMATION_MS: std::ops::RangeInclusive<u64> = 230..=430;
/// E.180's ± 50 Hz, which the American frequencies lie within.
const INFORMATION_HZ: [std::ops::RangeInclusive<f32>; 3] =
    [895.0..=1_005.0, 1_345.0..=1_455.0, 1_745.0..=1_855.0];

impl Classifier {
    fn hear(&mut self, heard: Heard<'_>, middle_ms: u64, report: &mut impl FnMut(CallTone)) {
        let power = heard.power();
        if let Some(ended) = self.stretches.hear(heard, middle_ms) {
            self.ended(ended, report);
        }
        match self.stretches.current() {
            Some(current) => self.lasts(&current, middle_ms, report),
            None if power > 0.0 && !self.stretches.may_begin() => {
                let follows_tone = self
                    .maybe_beep
                    .is_some_and(|beep| power <= beep.power * QUIET_SHARE);
                if !follows_tone {
                    self.spoken_ms = Some(middle_ms);
                }
            }
            None => {}
        }
        self.watch_beep(power, middle_ms, report);
        self.cadence.quiet_until(middle_ms, report);
    }

    /// A stretch goes on.
    fn lasts(&mut self, current: &Stretch, middle_ms: u64, report: &mut impl FnMut(CallTone)) {
        let duration_ms = middle_ms.saturating_sub(current.began_ms);
        if self.recognised {
            return;
        }
        let frequency = current.single_hz();
        let is_answer = frequency.is_some_and(|hz| (2_075.0..=2_125.0).contains(&hz));
        let kind = if is_answer && duration_ms >= FAX_ANSWER_MS {
            CallToneKind::FaxAnswer
        } else if duration_ms >= *INFORMATION_MS.start() && self.is_third_of_three(current) {
            CallToneKind::SpecialInformation
        } else {
            return;
        };
        self.recognised = true;
        report(CallTone {
            kind,
            confidence: Confidence::new(0.3 + 0.7 * current.purity()),
            at_ms: current.began_ms,
            duration_ms,
        });
    }

    fn is_third_of_three(&self, third: &Stretch) -> bool {
        let [Some(second), Some(first)] = &self.before else {
            return false;
        };
        let in_row = |earlier: &Stretch, later: &Stretch| {
            follows_at_once(earlier, later) && INFORMATION_MS.contains(&earlier.duration_ms())
        };
        in_row(first, second)
            && in_row(second, third)
            && [first, second, third]
                .iter()
                .zip(INFORMATION_HZ)
                .all(|(stretch, band)| stretch.single_hz().is_some_and(|hz| band.contains(&hz)))
    }

    /// A stretch is over.
    fn ended(&mut self, stretch: Stretch, report: &mut impl FnMut(CallTone)) {
        let recognised = std::mem::take(&mut self.recognised);
        // A vowel, or the splatter between two tones.
        if stretch.duration_ms() < SHORTEST_MS {
            return;
        }
        let before = self.before[0];
        self.before = [Some(stretch), before];
        let maybe_beep = self.maybe_beep.take();
        if recognised {
            return;
        }
        let calls = stretch
            .single_hz()
            .is_some_and(|hz| FAX_CALLING_HZ.contains(&hz));
        if calls && FAX_CALLING_MS.contains(&stretch.duration_ms()) {
            // The second of two, three seconds after the first, leaves no doubt.
            let again = before.is_some_and(|before| {
                before
                    .single_hz()
                    .is_some_and(|hz| FAX_CALLING_HZ.contains(&hz))
                    && (2_400..=3_600).contains(&stretch.began_ms.saturating_sub(before.ended_ms))
            });
            let certainty = if again { 1.0 } else { 0.75 };
            report(stretch.tone(CallToneKind::FaxCalling, certainty * stretch.purity()));
            return;
        }
        self.cadence.burst(&stretch, report);
        // What follows a tone at once is a part of it; a melody is longer than a beep, and so is its end.
        let mut whole = Some(stretch);
        if before.is_some_and(|before| follows_at_once(&before, &stretch)) {
            whole = maybe_beep.map(|first| Stretch {
                began_ms: first.began_ms,
                ..stretch
            });
        }
        self.maybe_beep =
            whole.filter(|whole| BEEP_MS.contains(&whole.duration_ms()) && !is_key(&stretch));
    }

    /// A stretch that could be a beep is one when quiet follows; sound soon after it makes it something
    /// else, but for a second tone.
    fn watch_beep(&mut self, power: f32, middle_ms: u64, report: &mut impl FnMut(CallTone)) {
        let Some(beep) = self.maybe_beep else {
            return;
        };
        if middle_ms < beep.ended_ms + HOP_MS {
            return;
        }
        // A second tone of it decides when it is over.
        let next_tone = self.stretches.current();
        if next_tone.is_some_and(|next| follows_at_once(&beep, &next)) {
            return;
        }
        // The last windows of a tone hold some of it.
        let since_ms = middle_ms - beep.ended_ms;
        let loud = power > beep.power * QUIET_SHARE && since_ms > MIDDLE_MS;
        if loud {
            let may_follow = since_ms <= NO_PAUSE_MS && self.stretches.may_begin();
            if !may_follow {
                self.maybe_beep = None;
            }
            return;
        }
        if since_ms < QUIET_AFTER_MS {
            return;
        }
        self.maybe_beep = None;
        let within = |time: Option<u64>, ms| {
            time.is_some_and(|time| beep.began_ms.saturating_sub(time) <= ms)
        };
        let greeted = within(self.spoken_ms, GREETING_WITHIN_MS);
        let one_of_many = within(self.beeped_ms, 4_000);
        self.beeped_ms = Some(beep.ended_ms);
        // A telephone that rings, or one that is busy, sounds like a beep but for what came before.
        if cadence::is_progress(&beep) && (!greeted || one_of_many) {
            return;
        }
        self.cadence = Cadence::default();
        let doubt = if greeted { 0.0 } else { 0.25 } + if one_of_many { 0.3 } else { 0.0 };
        let tone = beep.tone(
            CallToneKind::Beep,
            beep.purity() * beep.steadiness() - doubt,
        );
        if tone.confidence >= LEAST_BEEP {
            report(tone);
        }
    }
}

fn follows_at_once(earlier: &Stretch, later: &Stretch) -> bool {
    later.began_ms.saturating_sub(earlier.ended_ms) <= NO_PAUSE_MS
}

/// Whether two tones are a digit's.
fn is_key(stretch: &Stretch) -> bool {
    let near = |hz: f32, keys: [f32; 4]| keys.iter().any(|key| (hz - key).abs() <= key * 0.03);
    stretch
        .pair_hz()
        .is_some_and(|(low, high)| near(low, ROWS_HZ) && near(high, COLUMNS_HZ))
}
