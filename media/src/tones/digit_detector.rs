//! Digits as sound, heard.
//!
//! Each 5 ms the last 20 ms are correlated with the eight frequencies of a keypad. A window *holds a key*
//! when nearly all of its power is in one row and one column, neither is far louder than the other, and
//! both frequencies are right. Five such windows in a row, of one key at one level, are a press: that takes
//! 27 to 32 ms of tone. It is over when its tones were gone for 25 ms, so that an interruption shorter
//! than that, which lines have, does not make two presses of one.
//!
//! Speech and music hold two tones alone now and then, but not at two exact frequencies of the eight for
//! so long and so steadily. What guards most is the frequency, then the power beside the two tones.

use std::sync::LazyLock;

use super::correlator::{Correlator, Phasor, Spectrum, WINDOW, share_at};
use super::narrowband::Narrowband;
use super::{COLUMNS_HZ, KEYPAD, ROWS_HZ};
use crate::control::Digit;

/// What a press in the audio does. Times are accurate to 5 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PressMark {
    /// A key is down; said 40 to 50 ms after it began to sound.
    Began {
        /// Which key.
        digit: Digit,
        /// Media time of the press's beginning, in milliseconds.
        at_ms: u64,
    },
    /// It is up again; said 30 to 45 ms after it ceased to sound.
    Ended {
        /// Which key.
        digit: Digit,
        /// Media time of the press's beginning, in milliseconds.
        at_ms: u64,
        /// How long it was down, in milliseconds.
        duration_ms: u64,
    },
}

/// Hears the digits in a leg's audio.
#[derive(Clone, Debug)]
pub struct DigitDetector {
    narrowband: Narrowband,
    table: &'static Correlator<8>,
    ear: Ear,
}

/// What is known from the windows so far.
#[derive(Clone, Debug)]
struct Ear {
    last: Spectrum<8>,
    run: Option<Run>,
    press: Option<Press>,
    /// Windows to come that hold audio nobody sent.
    invented_left: u32,
}

/// Windows in a row that hold one key.
#[derive(Clone, Copy, Debug)]
struct Run {
    key: Key,
    windows: u32,
    /// How both phases turned, summed.
    row_turn: Phasor,
    column_turn: Phasor,
    /// The softest and the loudest window.
    softest: f32,
    loudest: f32,
    began_ms: u64,
}

/// A key that is down.
#[derive(Clone, Copy, Debug)]
struct Press {
    key: Key,
    /// The two tones' powers, of each of which a quarter has to be left.
    row_power: f32,
    column_power: f32,
    began_ms: u64,
    last_heard_ms: u64,
    /// Windows in a row without it.
    missing: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    row: usize,
    column: usize,
}

/// What one window holds of a key.
#[derive(Clone, Copy, Debug)]
struct Held {
    key: Key,
    row_power: f32,
    column_power: f32,
    row_turn: Phasor,
    column_turn: Phasor,
}

/// Windows follow each other by 5 ms.
const HOP: usize = 40;
const HOP_MS: u64 = 5;
/// From the middle of a window to its end.
const MIDDLE_MS: u64 = (WINDOW / 2 / 8) as u64;
/// Windows in a row that make a press.
const PRESS_WINDOWS: u32 = 5;
/// Windows without its tones that end one.
const ENDED_AFTER: u32 = 5;
/// The first window that holds a key has its middle this long after the key went down (4 to 9 ms).
const FIRST_WINDOW_MS: u64 = 6;
/// Each tone has -34 dBm0 at least: 9 dB less than is asked for, since one tone may be softer than the
/// other. As a power: half of 445 squared.
const SOFTEST: f32 = 9.9e4;
/// The columns are at most 5 dB louder than the rows (4 are asked for), the rows at most 9 dB louder
/// than the columns (8 are asked for).
const REVERSE_TWIST: f32 = 3.16;
const NORMAL_TWIST: f32 = 7.94;
/// How much of a window's power is in the two tones. Noise at 15 dB leaves 0.97, a window whose edge
/// has no tone less.
const TONES_SHARE: f32 = 0.78;
/// How far a window's frequency may seem to be off, and how far a press's may be: between the 1.5 % that
/// are accepted and the 3.5 % that are refused.
const WINDOW_OFF: f32 = 0.035;
const PRESS_OFF: f32 = 0.025;
/// Loudest to softest window of the windows that make a press: 3.5 dB.
const STEADY: f32 = 2.24;

static TABLE: LazyLock<Correlator<8>> = LazyLock::new(|| {
    Correlator::new(std::array::from_fn(|index| {
        if index < 4 {
            ROWS_HZ[index]
        } else {
            COLUMNS_HZ[index - 4]
        }
    }))
});

impl DigitDetector {
    /// A detector for frames at `sample_rate_hz`: 8, 16, 24, 32, 40 or 48 kHz; `None` for other rates.
    #[must_use]
    pub fn new(sample_rate_hz: u32) -> Option<Self> {
        Some(Self {
            narrowband: Narrowband::new(sample_rate_hz, HOP)?,
            table: &TABLE,
            ear: Ear {
                last: Spectrum::SILENCE,
                run: None,
                press: None,
                invented_left: 0,
            },
        })
    }

    /// Whether a key is down, by what was heard so far.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.ear.press.is_some()
    }

    /// Hears the next frame, whose last sample is that of media time `end_ms`, and reports what it tells of
    /// presses: at most two marks each 5 ms. `invented` says that the frame covers a loss: what is
    /// missing in it ends no press.
    pub fn hear(
        &mut self,
        frame: &[i16],
        end_ms: u64,
        invented: bool,
        mut report: impl FnMut(PressMark),
    ) {
        let Self {
            narrowband,
            table,
            ear,
        } = self;
        if invented {
            ear.invented_left = (WINDOW / HOP) as u32;
        }
        narrowband.feed(frame, |window, left_ms| {
            let middle_ms = end_ms.saturating_sub(left_ms as u64 + MIDDLE_MS);
            ear.hear(table, window, middle_ms, &mut report);
            if !invented {
                ear.invented_left = ear.invented_left.saturating_sub(1);
            }
        });
    }
}

impl Ear {
    fn hear(
        &mut self,
        table: &Correlator<8>,
        window: &[f32; WINDOW],
        middle_ms: u64,
        report: &mut impl FnMut(PressMark),
    ) {
        // Most of a call is too soft for a key, and costs next to nothing.
        let spectrum = if table.power(window) < SOFTEST {
            Spectrum::SILENCE
        } else {
            table.correlate(window)
        };
        let held = self.key_in(&spectrum);
        self.last = spectrum;
        self.run = held.and_then(|held| self.gone_on(held, middle_ms));
        self.watch_press(&spectrum, middle_ms, report);
        if let Some(run) = self.run
            && run.is_press()
        {
            self.press_down(run, &spectrum, middle_ms, report);
        }
    }

    /// The key that a window holds, if it does.
    fn key_in(&self, spectrum: &Spectrum<8>) -> Option<Held> {
        let (rows, columns) = spectrum.phasors.split_at(4);
        let key = Key {
            row: strongest(rows),
            column: strongest(columns),
        };
        if spectrum.power < SOFTEST || self.last.power < SOFTEST {
            return None;
        }
        let row_turn = rows[key.row].since(self.last.phasors[key.row]);
        let column_turn = columns[key.column].since(self.last.phasors[4 + key.column]);
        let row_off = row_turn.offset_hz(ROWS_HZ[key.row], HOP);
        let column_off = column_turn.offset_hz(COLUMNS_HZ[key.column], HOP);
        let row_power = rows[key.row].power() / share_at(row_off);
        let column_power = columns[key.column].power() / share_at(column_off);
        let right = row_off.abs() <= ROWS_HZ[key.row] * WINDOW_OFF
            && column_off.abs() <= COLUMNS_HZ[key.column] * WINDOW_OFF
            && row_power.min(column_power) >= SOFTEST
            && column_power <= row_power * REVERSE_TWIST
            && row_power <= column_power * NORMAL_TWIST
            && row_power + column_power >= spectrum.power * TONES_SHARE;
        right.then_some(Held {
            key,
            row_power,
            column_power,
            row_turn,
            column_turn,
        })
    }

    /// The run with one more window, or a new one.
    fn gone_on(&self, held: Held, middle_ms: u64) -> Option<Run> {
        let power = held.row_power + held.column_power;
        let Some(run) = self.run.filter(|run| run.key == held.key) else {
            return Some(Run {
                key: held.key,
                windows: 1,
                row_turn: Phasor::default(),
                column_turn: Phasor::default(),
                softest: power,
                loudest: power,
                began_ms: middle_ms.saturating_sub(FIRST_WINDOW_MS),
            });
        };
        Some(Run {
            windows: run.windows + 1,
            row_turn: run.row_turn + held.row_turn,
            column_turn: run.column_turn + held.column_turn,
            softest: run.softest.min(power),
            loudest: run.loudest.max(power),
            ..run
        })
    }

    /// Whether the key that is down still sounds.
    fn watch_press(
        &mut self,
        spectrum: &Spectrum<8>,
        middle_ms: u64,
        report: &mut impl FnMut(PressMark),
    ) {
        let Some(press) = &mut self.press else {
            return;
        };
        if press.sounds_in(spectrum) {
            press.missing = 0;
            press.last_heard_ms = middle_ms;
        } else if self.invented_left == 0 {
            press.missing += 1;
        }
        if press.missing == ENDED_AFTER {
            report(press.ended());
            self.press = None;
        }
    }

    fn press_down(
        &mut self,
        run: Run,
        spectrum: &Spectrum<8>,
        middle_ms: u64,
        report: &mut impl FnMut(PressMark),
    ) {
        if let Some(press) = self.press {
            if press.key == run.key {
                return;
            }
            report(press.ended());
        }
        self.press = Some(Press {
            key: run.key,
            row_power: spectrum.phasors[run.key.row].power(),
            column_power: spectrum.phasors[4 + run.key.column].power(),
            began_ms: run.began_ms,
            last_heard_ms: middle_ms,
            missing: 0,
        });
        report(PressMark::Began {
            digit: run.key.digit(),
            at_ms: run.began_ms,
        });
    }
}

impl Run {
    fn is_press(&self) -> bool {
        let (row, column) = (ROWS_HZ[self.key.row], COLUMNS_HZ[self.key.column]);
        self.windows >= PRESS_WINDOWS
            && self.loudest <= self.softest * STEADY
            && self.row_turn.offset_hz(row, HOP).abs() <= row * PRESS_OFF
            && self.column_turn.offset_hz(column, HOP).abs() <= column * PRESS_OFF
    }
}

impl Press {
    /// Half the amplitude of each tone is left as long as the window's middle is within the press.
    fn sounds_in(&self, spectrum: &Spectrum<8>) -> bool {
        4.0 * spectrum.phasors[self.key.row].power() >= self.row_power
            && 4.0 * spectrum.phasors[4 + self.key.column].power() >= self.column_power
    }

    fn ended(&self) -> PressMark {
        PressMark::Ended {
            digit: self.key.digit(),
            at_ms: self.began_ms,
            duration_ms: (self.last_heard_ms + HOP_MS / 2).saturating_sub(self.began_ms),
        }
    }
}

impl Key {
    fn digit(self) -> Digit {
        Digit::from_char(KEYPAD[self.row][self.column]).expect("the keypad has digits only")
    }
}

fn strongest(group: &[Phasor]) -> usize {
    let mut best = 0;
    for (index, phasor) in group.iter().enumerate() {
        if phasor.power() > group[best].power() {
            best = index;
        }
    }
    best
}
