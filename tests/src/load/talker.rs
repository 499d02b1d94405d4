//! What the callers say: recorded speech for 40 % of the time, a quiet line for the rest, as ready PCMU frames.

/// Samples, and with PCMU bytes, in 20 ms.
pub(crate) const FRAME: usize = 160;
/// One round of the loop: 10 s, of which 4 s are speech.
const ROUND_FRAMES: usize = 500;
/// Talkspurts in a round, as `(first frame, frames)`: 1.6 s, 0.8 s, 1.1 s and 0.5 s, 200 frames in all.
const TALKSPURTS: [(usize, usize); 4] = [(20, 80), (160, 40), (260, 55), (400, 25)];

/// Made for this file with flite's voice slt, pauses cut out, at 8 kHz, µ-law: 4 s without a break.
static SPEECH: &[u8; 200 * FRAME] = include_bytes!("../../audio/talker.ulaw");

/// A loop of frames shared by all calls, each of which starts somewhere else in it.
#[derive(Debug)]
pub(crate) struct Talker {
    frames: Vec<[u8; FRAME]>,
    is_speech: Vec<bool>,
}

impl Talker {
    pub(crate) fn new() -> Self {
        let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
        let mut quiet = || {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            // The four µ-law values nearest zero: noise about 75 dB below full scale, as a quiet line has.
            [0xff, 0xfe, 0x7f, 0x7e][(noise >> 20) as usize % 4]
        };
        let mut frames: Vec<[u8; FRAME]> = (0..ROUND_FRAMES)
            .map(|_| std::array::from_fn(|_| quiet()))
            .collect();
        let mut is_speech = vec![false; ROUND_FRAMES];
        let mut speech = SPEECH.chunks_exact(FRAME);
        for (first, length) in TALKSPURTS {
            for ((frame, flag), said) in frames[first..first + length]
                .iter_mut()
                .zip(&mut is_speech[first..])
                .zip(&mut speech)
            {
                frame.copy_from_slice(said);
                *flag = true;
            }
        }
        Self { frames, is_speech }
    }

    /// The `n`th frame a caller says who started at `offset`, and whether it belongs to a talkspurt.
    pub(crate) fn frame(&self, offset: usize, n: usize) -> (&[u8; FRAME], bool) {
        let at = (offset + n) % ROUND_FRAMES;
        (&self.frames[at], self.is_speech[at])
    }
}

/// Whether a PCMU frame is loud enough to be somebody's voice: a µ-law byte's exponent, inverted, grows with loudness,
/// and a quiet line never leaves the two lowest segments.
pub(crate) fn is_audible(payload: &[u8]) -> bool {
    let loud = payload
        .iter()
        .filter(|byte| (!**byte >> 4) & 0x07 >= 3)
        .count();
    loud * 8 >= payload.len().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_speaks_two_fifths_of_the_time() {
        let talker = Talker::new();
        assert_eq!(
            talker.is_speech.iter().filter(|speech| **speech).count() * 5,
            ROUND_FRAMES * 2
        );
    }

    #[test]
    fn nearly_all_speech_is_audible_and_no_quiet_is() {
        let talker = Talker::new();
        let audible = |wanted: bool| {
            let frames = talker
                .frames
                .iter()
                .zip(&talker.is_speech)
                .filter(|(_, speech)| **speech == wanted);
            frames.filter(|(frame, _)| is_audible(&frame[..])).count()
        };
        assert!(
            audible(true) > 150,
            "{} of 200 frames are audible",
            audible(true)
        );
        assert_eq!(audible(false), 0);
    }
}
