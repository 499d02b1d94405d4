//! Lets through what is louder than the room.

/// Follows the noise floor of the line and opens for frames clearly above it. The floor sinks quickly
/// to a quieter frame and rises slowly, so it lives in the gaps between words; a sound without any gap
/// for a second or two (hum, hiss, ringing) becomes the floor itself, since nobody speaks so evenly.
#[derive(Clone, Debug)]
pub(crate) struct EnergyGate {
    /// Mean square of the noise, in sample units.
    floor: f32,
    /// Mean square of the last frame.
    power: f32,
    /// The quietest frame of the running second and of the one before.
    quietest: f32,
    quietest_before: f32,
    frames_in_second: u32,
    /// Frames for which the gate stays open after the last loud one.
    open_for: u32,
}

/// How a frame compares with the room's noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Louder than the room.
    Loud,
    /// Not loud, but something was shortly before.
    HangOver,
    /// Not loud for some time.
    Shut,
}

/// 6 dB above the floor.
const OPENS_ABOVE_FLOOR: f32 = 4.0;
/// -58 dBFS: nothing softer is speech on a telephone line.
const QUIETEST_SPEECH: f32 = 41.3 * 41.3;
/// -66 dBFS.
const LOWEST_FLOOR: f32 = 16.4 * 16.4;
/// 0.04 dB a frame, 4.3 dB a second.
const RISE: f32 = 1.01;
const FALL: f32 = 0.35;
const FRAMES_PER_SECOND: u32 = 100;
/// 100 ms: the soft endings of words, and the closures within them.
const STAYS_OPEN_FRAMES: u32 = 10;

impl EnergyGate {
    pub(crate) fn new() -> Self {
        Self {
            floor: LOWEST_FLOOR,
            power: 0.0,
            quietest: f32::MAX,
            quietest_before: 0.0,
            frames_in_second: 0,
            open_for: 0,
        }
    }

    pub(crate) fn hear(&mut self, frame: Option<&[i16]>) {
        self.open_for = self.open_for.saturating_sub(1);
        let Some(frame) = frame else { return };
        self.power = mean_square(frame);
        if self.power > self.floor * OPENS_ABOVE_FLOOR && self.power > QUIETEST_SPEECH {
            self.open_for = STAYS_OPEN_FRAMES;
        }
        self.follow_floor();
    }

    fn follow_floor(&mut self) {
        let power = self.power;
        self.floor = if power < self.floor {
            self.floor + (power - self.floor) * FALL
        } else {
            (self.floor * RISE).min(power)
        }
        .max(LOWEST_FLOOR);

        self.quietest = self.quietest.min(power);
        self.frames_in_second += 1;
        if self.frames_in_second == FRAMES_PER_SECOND {
            self.floor = self.floor.max(self.quietest.min(self.quietest_before));
            self.quietest_before = self.quietest;
            self.quietest = f32::MAX;
            self.frames_in_second = 0;
        }
    }

    /// Mean square of the last frame, in sample units.
    pub(crate) fn power(&self) -> f32 {
        self.power
    }

    pub(crate) fn state(&self) -> Gate {
        match self.open_for {
            STAYS_OPEN_FRAMES => Gate::Loud,
            0 => Gate::Shut,
            _ => Gate::HangOver,
        }
    }
}

fn mean_square(frame: &[i16]) -> f32 {
    let sum: u64 = frame
        .iter()
        .map(|sample| u64::from(sample.unsigned_abs()).pow(2))
        .sum();
    sum as f32 / frame.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_share(
        gate: &mut EnergyGate,
        frames: usize,
        mut frame: impl FnMut(usize) -> [i16; 80],
    ) -> f64 {
        let open = (0..frames)
            .filter(|index| {
                gate.hear(Some(&frame(*index)));
                gate.state() != Gate::Shut
            })
            .count();
        open as f64 / frames as f64
    }

    fn noise(amplitude: i32) -> impl FnMut(usize) -> [i16; 80] {
        let mut state = 1u32;
        move |_| {
            std::array::from_fn(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((state >> 16) as i32 * amplitude / 32_768 - amplitude) as i16
            })
        }
    }

    #[test]
    fn silence_and_comfort_noise_keep_the_gate_shut() {
        let mut gate = EnergyGate::new();
        assert_eq!(open_share(&mut gate, 100, |_| [0; 80]), 0.0);
        assert_eq!(open_share(&mut gate, 500, noise(60)), 0.0);
    }

    #[test]
    fn steady_noise_opens_the_gate_for_two_seconds_at_most() {
        for amplitude in [300, 1000, 10_000] {
            let mut gate = EnergyGate::new();
            open_share(&mut gate, 30, |_| [0; 80]);
            open_share(&mut gate, 300, noise(amplitude));
            assert_eq!(open_share(&mut gate, 500, noise(amplitude)), 0.0);
            // Something 9 dB louder is heard at once.
            gate.hear(Some(&noise(amplitude * 28 / 10)(0)));
            assert_eq!(gate.state(), Gate::Loud);
        }
    }

    #[test]
    fn the_floor_is_found_again_in_the_first_gap() {
        let mut gate = EnergyGate::new();
        open_share(&mut gate, 300, noise(8000));
        open_share(&mut gate, 30, noise(50));
        gate.hear(Some(&noise(400)(0)));
        assert_eq!(gate.state(), Gate::Loud);
    }
}
