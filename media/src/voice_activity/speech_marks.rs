//! From voiced frames to speech that begins and ends.

/// Speech began or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpeechMark {
    /// Speech began; known as soon as it has lasted 120 ms.
    Started {
        /// Media time of its first voiced frame, in milliseconds.
        at_ms: u64,
    },
    /// Speech ended; known after the hang-over.
    Stopped {
        /// Media time at which its last voiced frame ended, in milliseconds.
        at_ms: u64,
    },
}

/// Speech that is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speaking {
    /// Media time of its first voiced frame, in milliseconds.
    pub since_ms: u64,
    /// Media time at which its last voiced frame ended, in milliseconds.
    pub last_voiced_ms: u64,
}

/// What the detector says of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verdict {
    #[default]
    Unvoiced,
    /// Voice, or a noise that resembles it.
    Voiced,
    /// Voice and nothing else.
    SurelyVoiced,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum SpeechMarks {
    #[default]
    Quiet,
    /// Voice was heard, not yet enough to be speech.
    Perhaps {
        since_ms: u64,
        last_voiced_ms: u64,
        voiced_ms: u64,
        /// Whether one of the frames was voice without doubt; clicks and bursts of noise never are.
        sure: bool,
    },
    Speaking(Speaking),
}

const FRAME_MS: u64 = 10;
/// Less is none: a cough, a click, a breath.
const SHORTEST_SPEECH_MS: u64 = 120;
/// A gap that ends what may have become speech.
const LONGEST_GAP_MS: u64 = 60;
/// The voiced frames that make speech lie within this time.
const WITHIN_MS: u64 = 300;
/// Quiet that ends speech; the closures inside words are shorter.
const HANG_OVER_MS: u64 = 250;

impl SpeechMarks {
    /// Takes the verdict on the frame that begins at `at_ms`.
    pub(crate) fn note(&mut self, verdict: Verdict, at_ms: u64) -> Option<SpeechMark> {
        let end_ms = at_ms + FRAME_MS;
        let voiced = verdict != Verdict::Unvoiced;
        let now_sure = verdict == Verdict::SurelyVoiced;
        let (next, mark) = match *self {
            Self::Quiet if voiced => (
                Self::Perhaps {
                    since_ms: at_ms,
                    last_voiced_ms: end_ms,
                    voiced_ms: FRAME_MS,
                    sure: now_sure,
                },
                None,
            ),
            Self::Quiet => (Self::Quiet, None),
            Self::Perhaps {
                since_ms,
                last_voiced_ms,
                voiced_ms,
                sure,
            } => {
                if at_ms >= since_ms + WITHIN_MS || at_ms >= last_voiced_ms + LONGEST_GAP_MS {
                    *self = Self::Quiet;
                    return self.note(verdict, at_ms);
                }
                let voiced_ms = if voiced {
                    voiced_ms + FRAME_MS
                } else {
                    voiced_ms
                };
                let last_voiced_ms = if voiced { end_ms } else { last_voiced_ms };
                let sure = sure || now_sure;
                if sure && voiced_ms >= SHORTEST_SPEECH_MS {
                    (
                        Self::Speaking(Speaking {
                            since_ms,
                            last_voiced_ms,
                        }),
                        Some(SpeechMark::Started { at_ms: since_ms }),
                    )
                } else {
                    (
                        Self::Perhaps {
                            since_ms,
                            last_voiced_ms,
                            voiced_ms,
                            sure,
                        },
                        None,
                    )
                }
            }
            Self::Speaking(speaking) if voiced => (
                Self::Speaking(Speaking {
                    last_voiced_ms: end_ms,
                    ..speaking
                }),
                None,
            ),
            Self::Speaking(Speaking { last_voiced_ms, .. })
                if end_ms >= last_voiced_ms + HANG_OVER_MS =>
            {
                (
                    Self::Quiet,
                    Some(SpeechMark::Stopped {
                        at_ms: last_voiced_ms,
                    }),
                )
            }
            Self::Speaking(speaking) => (Self::Speaking(speaking), None),
        };
        *self = next;
        mark
    }

    pub(crate) fn speaking(&self) -> Option<Speaking> {
        match self {
            Self::Speaking(speaking) => Some(*speaking),
            Self::Quiet | Self::Perhaps { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Voiced stretches as (first, last) frame, exclusive; the marks with the frame they came at.
    fn marks(voiced: &[(u64, u64)], frames: u64) -> Vec<(u64, SpeechMark)> {
        marks_of(Verdict::SurelyVoiced, voiced, frames)
    }

    fn marks_of(verdict: Verdict, voiced: &[(u64, u64)], frames: u64) -> Vec<(u64, SpeechMark)> {
        let mut state = SpeechMarks::default();
        (0..frames)
            .filter_map(|frame| {
                let speaks = voiced
                    .iter()
                    .any(|(from, to)| (*from..*to).contains(&frame));
                state
                    .note(if speaks { verdict } else { Verdict::Unvoiced }, frame * 10)
                    .map(|mark| (frame, mark))
            })
            .collect()
    }

    #[test]
    fn speech_is_known_after_120_ms_and_dated_to_its_first_frame() {
        assert_eq!(
            marks(&[(50, 100)], 200),
            [
                (61, SpeechMark::Started { at_ms: 500 }),
                (124, SpeechMark::Stopped { at_ms: 1000 }),
            ]
        );
    }

    #[test]
    fn less_than_120_ms_is_no_speech() {
        assert_eq!(marks(&[(50, 61)], 200), []);
        assert_eq!(
            marks(&[(50, 58), (70, 78), (90, 98)], 200),
            [],
            "nor are scattered clicks"
        );
    }

    #[test]
    fn what_only_resembles_voice_is_no_speech() {
        assert_eq!(marks_of(Verdict::Voiced, &[(50, 100)], 200), []);
    }

    #[test]
    fn short_gaps_belong_to_speech_before_and_after_it_is_known() {
        assert_eq!(
            marks(&[(50, 55), (58, 66), (80, 100), (120, 130)], 200),
            [
                (64, SpeechMark::Started { at_ms: 500 }),
                (154, SpeechMark::Stopped { at_ms: 1300 }),
            ]
        );
    }

    #[test]
    fn sparse_voice_never_reaches_far_back() {
        // Every other frame voiced: 120 ms are together after 230 ms, within the limit.
        let sparse: Vec<_> = (50..100)
            .step_by(2)
            .map(|frame| (frame, frame + 1))
            .collect();
        let (_, mark) = marks(&sparse, 120)[0];
        assert_eq!(mark, SpeechMark::Started { at_ms: 500 });
        // One in four never is.
        let sparser: Vec<_> = (50..150)
            .step_by(4)
            .map(|frame| (frame, frame + 1))
            .collect();
        assert_eq!(marks(&sparser, 200), []);
    }
}
