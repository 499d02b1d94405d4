//! Tells our own voice that comes back from the caller's.
//!
//! The far end's telephone, hybrid or loudspeaker returns some of what we send, 40 to 700 ms later. For the
//! speech detector that is speech like any other, and an agent would be interrupted by itself. The guard
//! keeps the short-time spectra of what was sent, finds the delay at which they resemble what is heard, learns
//! how loud each band returns, and asks of each tick whether something in it is louder than the echo can be.
//! Powers and not samples are compared: codecs, clocks that drift and a jitter buffer that stretches time
//! leave them as they are. A canceller needs samples; and the caller's audio is passed on as it came.
//!
//! ```text
//! sent  ─┬─ one transform ─┬─ spectra of 700 ms ─ at the delay ─ rings on, gain of each band ─┐
//! heard ─┘                 └──────┬───────────────── louder than that, in how many bins? ──────┴─► echo, or not
//!                                 └─ shapes ─ correlation at each delay ─ delay
//! ```
//!
//! While nothing was sent for 700 ms it costs nothing: there is nothing to come back.

mod delay_search;
mod echo_path;
mod line_noise;
mod spectra;
#[cfg(test)]
mod tests;

use self::delay_search::{DelaySearch, LONGEST_DELAY, Told};
use self::echo_path::{Amplitudes, EchoPath, Lesson};
use self::line_noise::LineNoise;
use self::spectra::{BINS, Kept, Spectra, Spectrum, TICK, keep, recall};

/// The guard of one leg.
#[derive(Debug)]
pub(crate) struct EchoGuard {
    /// Samples for each one of 8 kHz.
    factor: usize,
    /// What is sent in the tick to come, if that is sound.
    sent: Option<[f32; TICK]>,
    /// Ticks since we last sent sound.
    quiet_ticks: usize,
    spectra: Spectra,
    /// What was sent, in a circle.
    history: Box<[Kept; HISTORY]>,
    newest: usize,
    noise: LineNoise,
    search: DelaySearch,
    path: EchoPath,
    /// Ticks left of those that the path is learned from first.
    first_ticks: u32,
    recent: Amplitudes,
    foreign: bool,
}

/// The delays, and a tick on either side.
const HISTORY: usize = LONGEST_DELAY + 2;
/// A power that is sound: -56 dBFS.
const ACTIVE: f32 = 52.0 * 52.0;
/// Ticks whose sound is the echo since it showed the delay.
const FIRST_TICKS: u32 = 10;
/// Amplitudes are forgotten within 80 ms.
const FORGET: f32 = 0.88;
/// The share of amplitude that is not the echo's from which on, and below which no longer, somebody else speaks.
/// An echo alone has 0.03 at most in 99 of 100 ticks; a caller as loud as the echo 0.1 at least in 95.
const FOREIGN_FROM: f32 = 0.08;
const FOREIGN_UNTIL: f32 = 0.05;
/// How much the last ticks resemble what was sent when the path may be learned from them: while nobody else
/// speaks, while somebody seems to, and without a doubt.
const LIKELY: f32 = 0.5;
const LIKELY_ALL_THE_SAME: f32 = 0.75;
const SURE: f32 = 0.85;

impl EchoGuard {
    /// A guard for ticks at `sample_rate_hz`; `None` unless that is 8 or 16 kHz. All it needs is allocated here.
    pub(crate) fn new(sample_rate_hz: u32) -> Option<Self> {
        let factor = match sample_rate_hz {
            8_000 => 1,
            16_000 => 2,
            _ => return None,
        };
        Some(Self {
            factor,
            sent: None,
            quiet_ticks: HISTORY,
            spectra: Spectra::new(),
            history: Box::new([[0; BINS]; HISTORY]),
            newest: 0,
            noise: LineNoise::new(),
            search: DelaySearch::new(),
            path: EchoPath::new(),
            first_ticks: 0,
            recent: Amplitudes::default(),
            foreign: false,
        })
    }

    /// Takes what is sent between the tick that was heard last and the next.
    pub(crate) fn sent(&mut self, frame: &[i16]) {
        self.sent = Some(self.narrow(frame));
    }

    /// Hears a tick (`None` where nothing was received) and answers whether all of it is our own voice. `loud`
    /// says that it is louder than the room.
    pub(crate) fn hear(&mut self, frame: Option<&[i16]>, loud: bool) -> bool {
        let sent = self.sent.take();
        if sent.is_some() {
            self.quiet_ticks = 0;
        } else if self.quiet_ticks == HISTORY {
            // All of the history is silence.
            self.noise.begin();
            return false;
        } else {
            self.quiet_ticks += 1;
        }
        let sent = sent.unwrap_or([0.0; TICK]);
        let heard = frame.map_or([0.0; TICK], |frame| self.narrow(frame));
        let (sent, heard) = self.spectra.next(&sent, &heard);
        self.newest = (self.newest + HISTORY - 1) % HISTORY;
        self.history[self.newest] = keep(&sent);
        let active = sent.iter().sum::<f32>() > ACTIVE;
        self.search.sent(&sent, active);
        if frame.is_some() {
            self.noise.heard(&heard, loud);
        }
        if loud {
            match self.search.heard(&heard, self.noise.powers()) {
                Told::Nothing => {}
                Told::Delay => {
                    self.first_ticks = FIRST_TICKS;
                    self.path.forget();
                }
                Told::Jump(delay) => {
                    let about = sent_about(&self.history, self.newest, delay);
                    if self.path.is_loud_enough(&about, &heard) {
                        self.search.jump(delay);
                        self.recent = Amplitudes::default();
                    }
                }
            }
        }
        let Some(delay) = self.search.delay() else {
            return false;
        };
        self.path
            .sent(&sent_about(&self.history, self.newest, delay));
        // What is missing says nothing about the echo.
        frame.is_some() && self.judge(&heard, loud)
    }

    fn judge(&mut self, heard: &Spectrum, loud: bool) -> bool {
        let noise = self.noise.powers();
        if !loud {
            self.path.learn(heard, noise, Lesson::AtMost);
            return !self.foreign;
        }
        if self.first_ticks > 0 {
            self.first_ticks -= 1;
            self.path.learn(heard, noise, Lesson::First);
            self.recent = Amplitudes::default();
            self.foreign = false;
            return true;
        }
        let now = self.path.explain(heard, noise);
        let likeness = self.search.recent_likeness();
        let likely = if self.foreign {
            LIKELY_ALL_THE_SAME
        } else {
            LIKELY
        };
        if likeness > SURE {
            self.path.learn(heard, noise, Lesson::Sure);
        } else if likeness > likely {
            self.path.learn(heard, noise, Lesson::Likely);
        }
        self.recent.foreign = self.recent.foreign * FORGET + now.foreign;
        self.recent.all = self.recent.all * FORGET + now.all;
        let share = self.recent.foreign / self.recent.all.max(1.0);
        let threshold = if self.foreign {
            FOREIGN_UNTIL
        } else {
            FOREIGN_FROM
        };
        self.foreign = share > threshold;
        !self.foreign
    }

    /// A tick at 8 kHz. What folds back from above 4 kHz does so in both directions.
    fn narrow(&self, frame: &[i16]) -> [f32; TICK] {
        let mut tick = [0.0; TICK];
        if self.factor == 1 {
            for (narrow, sample) in tick.iter_mut().zip(frame) {
                *narrow = f32::from(*sample);
            }
        } else {
            for (narrow, pair) in tick.iter_mut().zip(frame.chunks_exact(2)) {
                *narrow = (f32::from(pair[0]) + f32::from(pair[1])) / 2.0;
            }
        }
        tick
    }
}

/// What was sent about `delay` ticks ago.
fn sent_about(history: &[Kept; HISTORY], newest: usize, delay: usize) -> [Spectrum; 3] {
    [delay.saturating_sub(1), delay, delay + 1]
        .map(|back| recall(&history[(newest + back) % HISTORY]))
}
