//! How sure a phrase has to be before it counts as said.
//!
//! The recogniser compares a phrase with a loop of phones and tells by how much it fits better or worse; the threshold
//! is a power of ten that the difference has to exceed. Long phrases fit worse than the loop even where they were said,
//! short ones better even where they were not, so each phrase has its own. They were chosen on the part of the test
//! callees that is there to tune on (`tests/tests/voicemail`): above everything that people in it said.

/// Exponents of ten, by phrase.
const THRESHOLDS: [(&str, i32); 87] = [
    ("you have reached", -32),
    ("you've reached", -18),
    ("leave a message", -18),
    ("leave your message", -50),
    ("leave me a message", -55),
    ("leave your name", -24),
    ("after the tone", -37),
    ("after the beep", -29),
    ("at the tone", -6),
    ("not available", -60),
    ("come to the phone", -28),
    ("take your call", -49),
    ("answer your call", -60),
    ("get back to you", -47),
    ("call you back", -24),
    ("voice mail", -8),
    ("mailbox", -17),
    ("been forwarded", -53),
    ("the person you", -36),
    ("number you have", -30),
    ("unable to", -24),
    ("can't answer", -20),
    ("sorry i missed", -60),
    ("answering machine", -60),
    ("automated", -18),
    ("name and number", -20),
    ("try again later", -60),
    ("record your message", -60),
    ("voice messaging system", -60),
    ("trying to reach", -60),
    ("at the moment", -18),
    ("is not available", -60),
    ("we are not available", -60),
    ("can't come to the phone", -60),
    ("can't take your call", -60),
    ("can't answer the", -35),
    ("call has been forwarded", -60),
    ("you have reached the", -26),
    ("cannot take your call", -60),
    ("away from my desk", -60),
    ("on the other line", -24),
    ("office is closed", -60),
    ("answer the phone", -57),
    ("you have called", -18),
    ("you have dialed", -30),
    ("not here right now", -33),
    ("no one is available", -60),
    ("currently unavailable", -60),
    ("i'm not here", -12),
    ("the subscriber", -60),
    ("lines are busy", -60),
    ("the mailbox of", -60),
    ("the voice mail of", -28),
    ("i missed you", -29),
    ("missed your call", -60),
    ("record your name", -60),
    ("reason for calling", -60),
    ("name and reason", -39),
    ("why you are calling", -60),
    ("why you're calling", -60),
    ("say your name", -12),
    ("state your name", -36),
    ("if this person", -16),
    ("screening", -10),
    ("connect you", -23),
    ("a screening service", -60),
    ("try to connect you", -60),
    ("press one", -20),
    ("press two", -24),
    ("press zero", -32),
    ("press star", -29),
    ("main menu", -16),
    ("following options", -60),
    ("listen carefully", -60),
    ("please listen", -30),
    ("may be recorded", -40),
    ("party's extension", -60),
    ("say or press", -45),
    ("for sales", -19),
    ("this call may be", -11),
    ("how can i help", -33),
    ("how may i help", -10),
    ("can i help you", -37),
    ("may i help you", -31),
    ("help you today", -34),
    ("what can i do for you", -16),
    ("speaking", -6),
];

/// Of a phrase that was not measured.
const THRESHOLD: i32 = 0;

/// What the recogniser reads: a phrase and its threshold a line.
pub(super) fn key_phrase_list(phrases: &[String]) -> String {
    phrases
        .iter()
        .map(|phrase| format!("{phrase} /1e{}/\n", threshold(phrase)))
        .collect()
}

fn threshold(phrase: &str) -> i32 {
    THRESHOLDS
        .iter()
        .find(|(known, _)| *known == phrase)
        .map_or(THRESHOLD, |(_, exponent)| *exponent)
}

/// The floor's peak: -51 dBFS.
const FLOOR: i32 = 90;

/// Lays a floor of noise under an utterance. The recogniser was made with recordings that had one: where a line is
/// digitally silent between words, it hears a seventh fewer phrases.
pub(super) fn lay_floor(samples: &mut [i16]) {
    let mut state = 1_u32;
    for sample in samples {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (state >> 16).cast_signed() % (2 * FLOOR + 1) - FLOOR;
        *sample = sample.saturating_add(i16::try_from(noise).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phrase_has_a_line_with_its_threshold() {
        let phrases = ["you have reached", "something else"].map(str::to_owned);
        let list = key_phrase_list(&phrases);
        let [known, unknown] = list.lines().collect::<Vec<_>>()[..] else {
            panic!("{list}")
        };
        assert!(known.starts_with("you have reached /1e-"), "{known}");
        assert_eq!(unknown, format!("something else /1e{THRESHOLD}/"));
    }

    #[test]
    fn every_phrase_of_the_voicemail_detector_was_measured() {
        for phrase in offhook_session::voicemail::phrases() {
            assert!(
                THRESHOLDS.iter().any(|(known, _)| known == phrase),
                "{phrase}"
            );
        }
    }

    #[test]
    fn the_floor_is_soft_and_even_and_never_wraps() {
        let mut quiet = vec![0; 16_000];
        lay_floor(&mut quiet);
        let mean = quiet.iter().map(|sample| i64::from(*sample)).sum::<i64>() / 16_000;
        assert!(mean.abs() <= 2, "{mean}");
        assert!(quiet.iter().all(|sample| i32::from(*sample).abs() <= FLOOR));
        let mut loud = vec![i16::MAX, i16::MIN];
        lay_floor(&mut loud);
        assert!(loud[0] > 32_000 && loud[1] < -32_000);
    }
}
