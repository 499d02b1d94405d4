//! Whether the caller speaks.
//!
//! A cheap energy gate looks at every frame; only what rises above the room's own noise goes to the
//! neural detector (earshot), which tells voice from other sound. Its verdicts become marks: speech
//! began, speech ended, with hysteresis, a shortest speech and a hang-over. The detector is by far the
//! dearest part and is asked as little as the marks allow: not in the midst of sure speech, and not when
//! a sound dies away, where it clings to its last verdict anyway.
//!
//! ```text
//! frame (10 ms) ─ energy gate ─┬─ shut: not voiced
//!                              ├─ our own voice, by the echo guard: not voiced
//!                              ├─ hang-over: as before
//!                              └─ loud ─┬─ sure speech, still as loud: as before
//!                                       └─ to 16 kHz, usual level ─ white floor ─ earshot (16 ms) ─ score
//! verdict ─► speech marks
//! ```
//!
//! The white floor is no cosmetics: after digital silence the detector takes plain noise for speech,
//! unless noise of about -64 dBFS was there all along.

mod energy_gate;
mod speech_marks;
#[cfg(test)]
pub(crate) mod tests;
mod wideband;

use std::fmt;

use earshot::Detector;

use self::energy_gate::{EnergyGate, Gate};
pub use self::speech_marks::{Speaking, SpeechMark};
use self::speech_marks::{SpeechMarks, Verdict};
use self::wideband::{WIDE_FRAME, Wideband};
use crate::echo_guard::EchoGuard;

/// The detector of one leg.
pub struct VoiceActivity {
    gate: EnergyGate,
    wideband: Wideband,
    detector: Box<Detector>,
    /// The detector's frame while it fills.
    frame: [i16; DETECTOR_FRAME],
    filled: usize,
    /// The frames since the detector was last asked, so that it hears an onset with what led to it.
    lead: Lead,
    verdict: Verdict,
    /// Scores in a row that were sure.
    sure_in_row: u32,
    /// Frames since the detector was last asked.
    unasked: u32,
    marks: SpeechMarks,
    detector_frames: u64,
    echo_guard: Option<Box<EchoGuard>>,
    heard_echo: bool,
    /// Where the last frame ended that was loud. The gate stays open for a while behind it, which is nobody's voice.
    last_loud_ms: u64,
}

const FRAME_MS: u64 = 10;
const DETECTOR_FRAME: usize = 256;
/// A score at which a frame becomes voiced, and the one below which it no longer is.
const VOICED_FROM: f32 = 0.5;
const VOICED_UNTIL: f32 = 0.35;
/// A score that bursts of noise and clicks do not reach (0.64 at most), and speech soon does.
const SURELY_FROM: f32 = 0.7;

/// So many sure scores in a row (48 ms) make sure speech.
const SURE_IN_ROW: u32 = 3;
/// Sure speech is checked again after 500 ms at the latest.
const TRUSTED_FRAMES: u32 = 50;
/// Less than 25 dB below the loudest recent frame.
const LOUD_SHARE: f32 = 0.003_2;

impl VoiceActivity {
    /// A detector for frames of 10 ms at `sample_rate_hz`, 8,000 or 16,000; `None` for other rates.
    /// `seed` starts the white floor.
    #[must_use]
    pub fn new(sample_rate_hz: u32, seed: u32) -> Option<Self> {
        Some(Self {
            gate: EnergyGate::new(),
            wideband: Wideband::new(sample_rate_hz, seed)?,
            detector: Detector::default_boxed(),
            frame: [0; DETECTOR_FRAME],
            filled: 0,
            lead: Lead::new(sample_rate_hz),
            verdict: Verdict::Unvoiced,
            sure_in_row: 0,
            unasked: 0,
            marks: SpeechMarks::default(),
            detector_frames: 0,
            echo_guard: None,
            heard_echo: false,
            last_loud_ms: 0,
        })
    }

    /// Keeps our own voice, where it comes back, from being taken for the caller's, from now on; the guard is told
    /// what is sent by [`Self::sent`]. Allocates the first time.
    pub fn guard_against_echo(&mut self, sample_rate_hz: u32) {
        if self.echo_guard.is_none() {
            self.echo_guard = EchoGuard::new(sample_rate_hz).map(Box::new);
        }
    }

    /// Takes the frame of 10 ms that is sent after the last that was heard; not to be called for silence.
    pub fn sent(&mut self, frame: &[i16]) {
        if let Some(guard) = &mut self.echo_guard {
            guard.sent(frame);
        }
    }

    /// Whether the frame that was heard last was our own voice and nothing else.
    #[must_use]
    pub fn heard_echo(&self) -> bool {
        self.heard_echo
    }

    /// Hears the caller's frame that begins at `at_ms` of media time, `None` when nothing was
    /// received; answers when speech began or ended.
    pub fn hear(&mut self, frame: Option<&[i16]>, at_ms: u64) -> Option<SpeechMark> {
        self.gate.hear(frame);
        self.heard_echo = false;
        let state = self.gate.state();
        let echo = self
            .echo_guard
            .as_mut()
            .is_some_and(|guard| guard.hear(frame, state == Gate::Loud));
        match (frame, state) {
            (Some(frame), Gate::Loud | Gate::HangOver) if echo => {
                self.verdict = Verdict::Unvoiced;
                self.heard_echo = true;
                self.skip(frame);
            }
            (Some(frame), Gate::Loud) => {
                self.wideband.level(self.gate.power());
                if self.may_trust() {
                    self.skip(frame);
                } else {
                    self.ask(frame);
                }
            }
            (Some(frame), Gate::HangOver) => self.skip(frame),
            (Some(frame), Gate::Shut) => {
                self.verdict = Verdict::Unvoiced;
                self.skip(frame);
            }
            (None, _) => self.verdict = Verdict::Unvoiced,
        }
        if state == Gate::Loud {
            self.last_loud_ms = at_ms + FRAME_MS;
        }
        let mark = self.marks.note(self.verdict, at_ms)?;
        Some(match mark {
            SpeechMark::Started { .. } => mark,
            SpeechMark::Stopped { at_ms } => SpeechMark::Stopped {
                at_ms: at_ms.min(self.last_loud_ms),
            },
        })
    }

    /// The speech going on, if any.
    #[must_use]
    pub fn speaking(&self) -> Option<Speaking> {
        self.marks.speaking()
    }

    /// How many frames of 16 ms went to the neural detector: its cost.
    #[must_use]
    pub fn detector_frames(&self) -> u64 {
        self.detector_frames
    }

    /// Whether a loud frame in the midst of sure speech is taken for voiced without asking the detector.
    /// It is asked again as soon as the sound grows softer, and every so often anyway.
    fn may_trust(&self) -> bool {
        self.verdict == Verdict::SurelyVoiced
            && self.sure_in_row >= SURE_IN_ROW
            && self.unasked < TRUSTED_FRAMES
            && self.gate.power() > self.wideband.loudness() * LOUD_SHARE
    }

    /// Leaves the verdict as it is and keeps the frame for when the detector is asked again.
    fn skip(&mut self, frame: &[i16]) {
        self.unasked = self.unasked.saturating_add(1);
        self.lead.remember(frame);
    }

    /// Asks the detector, which first hears what it missed shortly before.
    fn ask(&mut self, frame: &[i16]) {
        if self.unasked > 0 {
            self.unasked = 0;
            self.filled = 0;
            let lead = std::mem::take(&mut self.lead);
            for frame in lead.frames() {
                self.detect(frame);
            }
            self.lead = lead;
            self.lead.forget();
        }
        self.detect(frame);
    }

    fn detect(&mut self, frame: &[i16]) {
        let mut wide = [0; WIDE_FRAME];
        let length = self.wideband.widen(frame, &mut wide);
        let mut rest = &wide[..length];
        while !rest.is_empty() {
            let room = (DETECTOR_FRAME - self.filled).min(rest.len());
            let (now, later) = rest.split_at(room);
            self.frame[self.filled..self.filled + room].copy_from_slice(now);
            self.filled += room;
            rest = later;
            if self.filled == DETECTOR_FRAME {
                self.filled = 0;
                self.judge();
            }
        }
    }

    fn judge(&mut self) {
        self.detector_frames += 1;
        let score = self.detector.predict_i16(&self.frame);
        let threshold = match self.verdict {
            Verdict::Unvoiced => VOICED_FROM,
            Verdict::Voiced | Verdict::SurelyVoiced => VOICED_UNTIL,
        };
        let sure = score >= SURELY_FROM;
        self.sure_in_row = if sure {
            self.sure_in_row.saturating_add(1)
        } else {
            0
        };
        self.verdict = if sure {
            Verdict::SurelyVoiced
        } else if score >= threshold {
            Verdict::Voiced
        } else {
            Verdict::Unvoiced
        };
    }
}

impl fmt::Debug for VoiceActivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VoiceActivity")
            .field("verdict", &self.verdict)
            .field("speaking", &self.speaking())
            .finish_non_exhaustive()
    }
}

/// The last few frames that were kept from the detector.
#[derive(Debug, Default)]
struct Lead {
    samples: Box<[i16]>,
    frame_length: usize,
    next: usize,
    kept: usize,
}

/// Three detector frames, which is what one verdict looks at.
const LEAD_FRAMES: usize = 5;

impl Lead {
    fn new(sample_rate_hz: u32) -> Self {
        let frame_length = sample_rate_hz as usize / 100;
        Self {
            samples: vec![0; LEAD_FRAMES * frame_length].into(),
            frame_length,
            next: 0,
            kept: 0,
        }
    }

    fn remember(&mut self, frame: &[i16]) {
        if frame.len() != self.frame_length {
            return;
        }
        let at = self.next * self.frame_length;
        self.samples[at..at + self.frame_length].copy_from_slice(frame);
        self.next = (self.next + 1) % LEAD_FRAMES;
        self.kept = (self.kept + 1).min(LEAD_FRAMES);
    }

    fn frames(&self) -> impl Iterator<Item = &[i16]> {
        let oldest = self.next + LEAD_FRAMES - self.kept;
        (0..self.kept).map(move |index| {
            let at = (oldest + index) % LEAD_FRAMES * self.frame_length;
            &self.samples[at..at + self.frame_length]
        })
    }

    fn forget(&mut self) {
        self.kept = 0;
    }
}
