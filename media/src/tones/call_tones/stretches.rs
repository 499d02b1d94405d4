//! Stretches of one or two steady tones, of whatever frequency.

use super::super::correlator::{BIN_HZ, Phasor, Spectrum};
use super::{CallTone, CallToneKind, Confidence, HOP, HOP_MS};

/// The spectrum: 48 frequencies, 50 Hz apart, from 300 Hz.
pub(super) const BINS: usize = 48;
pub(super) const FIRST_HZ: f32 = 300.0;

/// A window.
#[derive(Clone, Copy)]
pub(super) enum Heard<'a> {
    /// Too soft to matter.
    Quiet,
    /// What it holds.
    Sound(&'a Spectrum<BINS>),
}

impl Heard<'_> {
    pub(super) fn power(self) -> f32 {
        match self {
            Self::Quiet => 0.0,
            Self::Sound(spectrum) => spectrum.power,
        }
    }
}

/// One or two tones, from when to when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    pub(super) began_ms: u64,
    /// Its end; while it sounds, the middle of its last window.
    pub(super) ended_ms: u64,
    /// Mean power of its windows.
    pub(super) power: f32,
    pub(super) low: Line,
    pub(super) high: Option<Line>,
    /// Windows, and the share of their power that the tones have, summed.
    pub(super) windows: u32,
    pub(super) share: f32,
}

/// A tone: the bin it is in, and how it turned there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    bin: usize,
    turn: Phasor,
    /// What `turn` would be long if every window had turned by the same angle.
    length: f32,
}

impl Line {
    fn new(bin: usize) -> Self {
        Self {
            bin,
            turn: Phasor::default(),
            length: 0.0,
        }
    }

    fn hz(&self) -> f32 {
        let middle = FIRST_HZ + self.bin as f32 * BIN_HZ;
        middle + self.turn.offset_hz(middle, HOP)
    }
}

impl Stretch {
    pub(super) fn duration_ms(&self) -> u64 {
        self.ended_ms.saturating_sub(self.began_ms)
    }

    /// The frequency where it is one tone.
    pub(super) fn single_hz(&self) -> Option<f32> {
        self.high.is_none().then(|| self.low.hz())
    }

    /// The frequencies where it is two.
    pub(super) fn pair_hz(&self) -> Option<(f32, f32)> {
        self.high.map(|high| (self.low.hz(), high.hz()))
    }

    /// How much of the power is in the tones, from 0 where that is just enough to 1.
    pub(super) fn purity(&self) -> f32 {
        let share = self.share / self.windows.max(1) as f32;
        (0.5 + 0.5 * (share - TONE_SHARE) / (0.97 - TONE_SHARE)).clamp(0.0, 1.0)
    }

    /// How steady the frequency is, 0 to 1. A machine's tone does not move; one that strays by 2 Hz is
    /// just steady, and speech strays by more.
    pub(super) fn steadiness(&self) -> f32 {
        let lines = || std::iter::once(&self.low).chain(&self.high);
        let turned: f32 = lines().map(|line| line.turn.power().sqrt()).sum();
        let length: f32 = lines().map(|line| line.length).sum();
        (1.0 - (0.995 - turned / length.max(f32::MIN_POSITIVE)) / 0.025).clamp(0.0, 1.0)
    }

    pub(super) fn tone(&self, kind: CallToneKind, confidence: f32) -> CallTone {
        CallTone {
            kind,
            confidence: Confidence::new(confidence),
            at_ms: self.began_ms,
            duration_ms: self.duration_ms(),
        }
    }
}

/// Finds stretches.
#[derive(Debug)]
pub(super) struct Stretches {
    last: Spectrum<BINS>,
    current: Option<Stretch>,
    /// Windows in a row that the current stretch is missing from.
    missing: u32,
    /// A stretch that may be beginning.
    onset: Option<Stretch>,
}

/// How much of a window's power a tone or two have.
const TONE_SHARE: f32 = 0.75;
/// Windows of the same tones that make a stretch, and without them that end one: the beats of ringback
/// (440 and 480 Hz) go to zero for a moment every 25 ms.
const BEGUN_AFTER: u32 = 3;
const ENDED_AFTER: u32 = 3;
/// A window of a stretch may be this much softer than the mean.
const SOFTER: f32 = 1.0 / 16.0;
/// A second tone is at most 15 dB below the first.
const SECOND_SHARE: f32 = 0.03;
/// Bins beside a tone's own that it is spread over.
const SPREAD: usize = 2;

impl Default for Stretches {
    fn default() -> Self {
        Self {
            last: Spectrum::SILENCE,
            current: None,
            missing: 0,
            onset: None,
        }
    }
}

impl Stretches {
    /// Takes the window whose middle is at `middle_ms`; answers a stretch that is over.
    pub(super) fn hear(&mut self, heard: Heard<'_>, middle_ms: u64) -> Option<Stretch> {
        let spectrum = match heard {
            Heard::Quiet => &Spectrum::SILENCE,
            Heard::Sound(spectrum) => spectrum,
        };
        let goes_on = self
            .current
            .as_mut()
            .is_some_and(|current| current.goes_on(spectrum, &self.last, middle_ms));
        if goes_on {
            self.missing = 0;
            self.onset = None;
        } else {
            self.missing += 1;
            self.watch_onset(spectrum, middle_ms);
        }
        self.last = *spectrum;
        let is_over = self.current.is_some() && self.missing >= ENDED_AFTER;
        let ended = if is_over { self.current.take() } else { None };
        if self.current.is_none() && self.onset.is_some_and(|onset| onset.windows >= BEGUN_AFTER) {
            self.current = self.onset.take();
            self.missing = 0;
        }
        ended
    }

    /// The stretch that sounds, or may still sound.
    pub(super) fn current(&self) -> Option<Stretch> {
        self.current
    }

    /// Whether the last window may be a stretch's first.
    pub(super) fn may_begin(&self) -> bool {
        self.onset.is_some()
    }

    fn watch_onset(&mut self, spectrum: &Spectrum<BINS>, middle_ms: u64) {
        let Some(found) = tones_in(spectrum, middle_ms) else {
            self.onset = None;
            return;
        };
        if let Some(onset) = &mut self.onset
            && onset.low.bin.abs_diff(found.low.bin) <= 1
        {
            // The first windows hold the beginning's splatter: what the last says of the tones counts.
            let (began_ms, windows) = (onset.began_ms, onset.windows + 1);
            *onset = Stretch {
                began_ms,
                windows,
                share: found.share * windows as f32,
                ..found
            };
        } else {
            self.onset = Some(found);
        }
    }
}

impl Stretch {
    /// Whether a window is more of the same; takes it then.
    fn goes_on(
        &mut self,
        spectrum: &Spectrum<BINS>,
        last: &Spectrum<BINS>,
        middle_ms: u64,
    ) -> bool {
        let share = share_of(spectrum, self.low.bin, self.high.map(|line| line.bin));
        if spectrum.power <= 0.0 || share < TONE_SHARE || spectrum.power < self.power * SOFTER {
            return false;
        }
        let lines = std::iter::once(&mut self.low).chain(self.high.as_mut());
        for line in lines {
            let turn = spectrum.phasors[line.bin].since(last.phasors[line.bin]);
            line.turn += turn;
            line.length += turn.power().sqrt();
        }
        self.windows += 1;
        self.share += share;
        self.power += (spectrum.power - self.power) / self.windows as f32;
        self.ended_ms = middle_ms + HOP_MS / 2;
        true
    }
}

/// The one or two tones that have nearly all of a window's power.
fn tones_in(spectrum: &Spectrum<BINS>, middle_ms: u64) -> Option<Stretch> {
    if spectrum.power <= 0.0 {
        return None;
    }
    let power = |bin: usize| spectrum.phasors[bin].power();
    let peaks = || {
        (1..BINS - 1).filter(|bin| power(*bin) >= power(bin - 1) && power(*bin) > power(bin + 1))
    };
    let strongest = |a: &usize, b: &usize| power(*a).total_cmp(&power(*b));
    let first = peaks().max_by(strongest)?;
    let second = peaks()
        .filter(|bin| bin.abs_diff(first) > 1 && power(*bin) >= spectrum.power * SECOND_SHARE)
        .max_by(strongest);
    let share = share_of(spectrum, first, second);
    if share < TONE_SHARE {
        return None;
    }
    let (low, high) = match second {
        Some(second) => (first.min(second), Some(first.max(second))),
        None => (first, None),
    };
    Some(Stretch {
        began_ms: middle_ms.saturating_sub(HOP_MS / 2),
        ended_ms: middle_ms + HOP_MS / 2,
        power: spectrum.power,
        low: Line::new(low),
        high: high.map(Line::new),
        windows: 1,
        share,
    })
}

/// The share of a window's power that lies around one or two bins. A Hann window spreads a tone over five
/// bins, whose powers sum to one and a half times its own.
fn share_of(spectrum: &Spectrum<BINS>, first: usize, second: Option<usize>) -> f32 {
    let around = |bin: usize| bin.saturating_sub(SPREAD)..(bin + SPREAD + 1).min(BINS);
    let mut sum = 0.0;
    for bin in around(first) {
        sum += spectrum.phasors[bin].power();
    }
    if let Some(second) = second {
        for bin in around(second).filter(|bin| bin.abs_diff(first) > SPREAD) {
            sum += spectrum.phasors[bin].power();
        }
    }
    sum / (1.5 * spectrum.power)
}
