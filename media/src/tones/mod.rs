//! Tones in the audio: keys pressed by sound, and what networks and machines say with tones.
//!
//! All of it works at 8 kHz, to which other rates are brought first, and looks at windows of 20 ms:
//!
//! ```text
//! frame ─ narrowband (8 kHz) ─ window (20 ms) ─ correlator ─┬─ digit_detector: presses
//!                                                           └─ call_tones: beeps, ringback, fax, …
//! digit ─ digit_tones ─► frame
//! ```
//!
//! A frequency is told by how far the phase turns from one window to the next, which is far finer than
//! the window's own resolution of 50 Hz: the difference between a key (±1.5 %) and what has to be
//! refused (±3.5 %) is 14 Hz for the lowest one.

pub mod call_tones;
mod correlator;
mod digit_detector;
mod digit_tones;
mod narrowband;

pub use self::digit_detector::{DigitDetector, PressMark};
pub use self::digit_tones::DigitTones;

/// The four frequencies of a keypad's rows and those of its columns, in hertz (ITU-T Q.23).
pub(crate) const ROWS_HZ: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
pub(crate) const COLUMNS_HZ: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];

/// The keypad, row by row.
pub(crate) const KEYPAD: [[char; 4]; 4] = [
    ['1', '2', '3', 'A'],
    ['4', '5', '6', 'B'],
    ['7', '8', '9', 'C'],
    ['*', '0', '#', 'D'],
];

/// The largest value of a sine at 0 dBm0: the loudest one that G.711 carries has 3.17 dBm0 and
/// 32,124 of our steps.
const AMPLITUDE_AT_0_DBM0: f32 = 22_300.0;

/// The amplitude of a sine of `dbm0`, in steps of a 16-bit sample.
#[must_use]
pub fn amplitude(dbm0: f32) -> f32 {
    AMPLITUDE_AT_0_DBM0 * 10f32.powf(dbm0 / 20.0)
}
