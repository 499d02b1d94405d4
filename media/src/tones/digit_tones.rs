//! Digits as sound, made.

use std::f64::consts::TAU;

use super::{COLUMNS_HZ, KEYPAD, ROWS_HZ, amplitude};
use crate::control::Digit;

/// The two tones of one press, a piece at a time. Both ends are ramps of 4 ms, since a tone that begins at
/// once is a click, and its splatter over all frequencies is what detectors refuse.
#[derive(Clone, Copy, Debug)]
pub struct DigitTones {
    row: Oscillator,
    column: Oscillator,
    /// Samples made, and how many the press has.
    made: usize,
    length: usize,
    ramp: usize,
}

/// Rows at -9 and columns at -7 dBm0: usual for telephones, which raise the columns by what the line takes from
/// them.
const ROW_DBM0: f32 = -9.0;
const COLUMN_DBM0: f32 = -7.0;
const RAMP_MS: usize = 4;

/// A sine that turns by a fixed angle each sample: two multiplications, and no table.
#[derive(Clone, Copy, Debug)]
struct Oscillator {
    level: f64,
    sine: f64,
    cosine: f64,
    turn: (f64, f64),
}

impl Oscillator {
    fn new(frequency_hz: f32, sample_rate_hz: u32, level: f32) -> Self {
        Self {
            level: f64::from(level),
            sine: 0.0,
            cosine: 1.0,
            turn: (TAU * f64::from(frequency_hz) / f64::from(sample_rate_hz)).sin_cos(),
        }
    }

    fn next(&mut self) -> f64 {
        let sample = self.sine * self.level;
        let (sine, cosine) = self.turn;
        (self.sine, self.cosine) = (
            self.sine * cosine + self.cosine * sine,
            self.cosine * cosine - self.sine * sine,
        );
        sample
    }
}

impl DigitTones {
    /// A press of `digit` that lasts `duration_ms`, at `sample_rate_hz` (8,000 to 48,000), the two tones at
    /// -9 and -7 dBm0.
    #[must_use]
    pub fn new(digit: Digit, duration_ms: u32, sample_rate_hz: u32) -> Self {
        let symbol = digit.as_char();
        let (row, column) = (0..16)
            .map(|index| (index / 4, index % 4))
            .find(|(row, column)| KEYPAD[*row][*column] == symbol)
            .expect("every digit is on the keypad");
        let samples_per_ms = sample_rate_hz as usize / 1_000;
        Self {
            row: Oscillator::new(ROWS_HZ[row], sample_rate_hz, amplitude(ROW_DBM0)),
            column: Oscillator::new(COLUMNS_HZ[column], sample_rate_hz, amplitude(COLUMN_DBM0)),
            made: 0,
            length: duration_ms as usize * samples_per_ms,
            ramp: RAMP_MS * samples_per_ms,
        }
    }

    /// Writes the next samples over `out`, with silence behind the press's end.
    pub fn write(&mut self, out: &mut [i16]) {
        for sample in out {
            *sample = if self.is_over() {
                0
            } else {
                let edge = (self.made + 1).min(self.length - self.made);
                let ramp = (edge as f64 / self.ramp as f64).min(1.0);
                self.made += 1;
                ((self.row.next() + self.column.next()) * ramp).round() as i16
            };
        }
    }

    /// Whether all of it is written.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.made >= self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_press_begins_and_ends_without_a_click_and_is_as_long_as_asked() {
        for rate in [8_000u32, 16_000, 48_000] {
            let mut tones = DigitTones::new(Digit::from_char('D').unwrap(), 100, rate);
            let mut samples = vec![0; rate as usize / 5];
            let mut pieces = samples.chunks_mut(rate as usize / 100);
            pieces.by_ref().take(9).for_each(|piece| tones.write(piece));
            assert!(!tones.is_over());
            pieces.for_each(|piece| tones.write(piece));
            assert!(tones.is_over());
            let (press, rest) = samples.split_at(rate as usize / 10);
            assert!(rest.iter().all(|sample| *sample == 0));
            // Until the ramp is up each sample is near its neighbours, for what the ramp lets through.
            let loudest = f64::from(press.iter().copied().max().unwrap());
            for edge in [&press[..2], &press[press.len() - 2..]] {
                let allowed = loudest * 2.5 / f64::from(rate / 250);
                assert!(
                    edge.iter()
                        .all(|sample| f64::from(*sample).abs() <= allowed)
                );
            }
            assert!((15_000.0..20_000.0).contains(&loudest));
        }
    }
}
