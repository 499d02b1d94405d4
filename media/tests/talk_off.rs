//! Speech and music are no digits: some minutes here, an hour in the example `talk_off`.

mod spoken;

use offhook_media::tones::{DigitDetector, PressMark};
use spoken::{VOICES, minute, mixed, music};

fn presses_in(samples: &[i16]) -> Vec<PressMark> {
    let mut detector = DigitDetector::new(8_000).unwrap();
    let mut marks = Vec::new();
    for (index, frame) in (1u64..).zip(samples.chunks(80)) {
        detector.hear(frame, index * 10, false, |mark| marks.push(mark));
    }
    marks
}

#[test]
fn no_digit_is_heard_in_minutes_of_speech_of_six_voices_alone_and_over_music() {
    for (round, voice) in VOICES.iter().take(6).enumerate() {
        let speech = minute(voice, round);
        assert!(speech.len() > 30 * 8_000, "{voice} said little");
        let music = music(speech.len(), 12_000.0, round as u64);
        for (speech_gain, music_gain) in
            [(1.0, 0.0), (0.2, 0.0), (1.0, 0.3), (0.5, 1.0), (0.0, 1.0)]
        {
            let presses = presses_in(&mixed(&speech, speech_gain, &music, music_gain));
            assert_eq!(
                presses,
                [],
                "{voice}, speech {speech_gain}, music {music_gain}"
            );
        }
    }
}
