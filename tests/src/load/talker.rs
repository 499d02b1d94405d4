//! What the callers say: recorded speech for 40 % of the time, a quiet line for the rest, as ready frames.

use offhook_media::voice_activity::{SpeechMark, VoiceActivity};

use super::format::{Format, samples};

/// Samples, and with PCMU bytes, in 20 ms.
pub(crate) const FRAME: usize = 160;
/// One round of the loop: 10 s, of which 4 s are speech.
const ROUND_FRAMES: usize = 500;
/// The round of callers who interrupt: 5 s, of which the last is speech.
const INTERRUPTING: (usize, [(usize, usize); 1]) = (250, [(200, 50)]);
/// Talkspurts in a round, as `(first frame, frames)`: 1.6 s, 0.8 s, 1.1 s and 0.5 s, 200 frames in all.
const TALKSPURTS: [(usize, usize); 4] = [(20, 80), (160, 40), (260, 55), (400, 25)];

/// Made for this file with flite's voice slt, pauses cut out, at 8 kHz, µ-law: 4 s without a break.
static SPEECH: &[u8; 200 * FRAME] = include_bytes!("../../audio/talker.ulaw");

/// A loop of frames shared by all calls, each of which starts somewhere else in it.
#[derive(Debug)]
pub(crate) struct Talker {
    frames: Vec<Vec<u8>>,
    is_speech: Vec<bool>,
}

impl Talker {
    pub(crate) fn new(format: Format) -> Self {
        Self::with(format, ROUND_FRAMES, &TALKSPURTS)
    }

    /// Callers who are quiet for four seconds and speak for one.
    pub(crate) fn interrupting() -> Self {
        let (round, talkspurts) = INTERRUPTING;
        Self::with(Format::Pcmu, round, &talkspurts)
    }

    fn with(format: Format, round: usize, talkspurts: &[(usize, usize)]) -> Self {
        let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
        let mut quiet = || {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            // The four µ-law values nearest zero: noise about 75 dB below full scale, as a quiet line has.
            [0xff, 0xfe, 0x7f, 0x7e][(noise >> 20) as usize % 4]
        };
        let mut frames: Vec<Vec<u8>> = (0..round)
            .map(|_| (0..FRAME).map(|_| quiet()).collect())
            .collect();
        let mut is_speech = vec![false; round];
        let mut speech = SPEECH.chunks_exact(FRAME);
        for &(first, length) in talkspurts {
            for ((frame, flag), said) in frames[first..first + length]
                .iter_mut()
                .zip(&mut is_speech[first..])
                .zip(&mut speech)
            {
                frame.copy_from_slice(said);
                *flag = true;
            }
        }
        let frames = format.encoded(&frames);
        Self { frames, is_speech }
    }

    /// The `n`th frame a caller says who started at `offset`, and whether it belongs to a talkspurt.
    pub(crate) fn frame(&self, offset: usize, n: usize) -> (&[u8], bool) {
        let at = (offset + n) % self.frames.len();
        (&self.frames[at], self.is_speech[at])
    }
}

/// One round of what callers say, 10 s, at `rate_hz`.
#[must_use]
pub fn talkers_samples(rate_hz: u32) -> Vec<i16> {
    samples(&Talker::new(Format::Pcmu).frames, rate_hz)
}

/// How long our own speech detector takes to be sure of those who interrupt, in milliseconds from the beginning of
/// their first packet of speech to the end of the frame that decides; the slowest of 200.
///
/// # Panics
/// When it never is.
#[must_use]
pub fn detector_decides_ms() -> f64 {
    let talker = Talker::interrupting();
    let said = samples(&talker.frames, 8_000);
    let begins = talker.is_speech.iter().position(|speech| *speech);
    let begins = begins.expect("they speak") * 2;
    let decides = |seed| {
        let mut detector = VoiceActivity::new(8_000, seed).expect("a telephone's rate");
        let mut frames = said.chunks_exact(80).enumerate();
        let decided = frames.find_map(|(index, frame)| {
            let mark = detector.hear(Some(frame), index as u64 * 10);
            matches!(mark, Some(SpeechMark::Started { .. })).then_some(index + 1)
        });
        (decided.expect("they are heard") - begins) as f64 * 10.0
    };
    (0..200).map(decides).fold(0.0, f64::max)
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
        let talker = Talker::new(Format::Pcmu);
        assert_eq!(
            talker.is_speech.iter().filter(|speech| **speech).count() * 5,
            ROUND_FRAMES * 2
        );
    }

    #[test]
    fn nearly_all_speech_is_audible_and_no_quiet_is() {
        let talker = Talker::new(Format::Pcmu);
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
