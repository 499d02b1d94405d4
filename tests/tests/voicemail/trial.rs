//! The detector on what a leg noticed, with or without the recogniser of the program.

use std::time::Duration;

use offhook_media::control::{CallToneKind, LegEvent};
use offhook_session::voicemail::{VoicemailDetector, VoicemailEvent, VoicemailVerdict};

use crate::ear::Ear;
use crate::leg::Noticed;

/// How a call is watched.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// The recogniser, where there is one.
    pub ear: Option<&'a Ear>,
    /// Whether the detector is given the audio's levels.
    pub levels: bool,
    /// The deadline.
    pub max_decision: Duration,
}

/// The default of a call.
pub const MAX_DECISION: Duration = Duration::from_secs(4);

/// What came of a call.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub verdict: VoicemailVerdict,
    /// When a message may begin, since media was live, and whether there was a beep.
    pub message: Option<(Duration, bool)>,
    /// Where the last beep before that ended, as the leg heard it.
    pub beep_ended: Option<Duration>,
    pub questions: usize,
}

/// Longer than any deadline.
const LONGEST_QUIET_MS: u64 = 50_000;
/// A leg tells of what it heard ten times a second.
const BATCH_MS: u64 = 100;

/// How long an answer takes: a request to a process, and the twentieth of the audio's length that a busy machine needs.
fn answers_after(audio: Duration) -> Duration {
    Duration::from_millis(60) + audio / 20
}

/// Tells who answered.
pub fn run(noticed: &Noticed, watch: Watch<'_>) -> Outcome {
    let Watch { ear, levels, .. } = watch;
    let mut detector = VoicemailDetector::new(watch.max_decision);
    let mut verdict = None;
    let mut message = None;
    let mut beep_ended = None;
    let mut questions = 0;
    let mut answers: Vec<(Duration, Vec<&str>)> = Vec::new();
    let mut events = noticed.events.iter().peekable();
    let heard_ms = noticed.heard.len() as u64 / 8;
    // The line ends, and nothing more is heard.
    for now_ms in (0..heard_ms + LONGEST_QUIET_MS).step_by(10) {
        let now = Duration::from_millis(now_ms);
        while let Some((_, event)) = events.next_if(|(told_ms, _)| *told_ms <= now_ms) {
            let since_live =
                |at_ms: u64| Duration::from_millis(at_ms.saturating_sub(noticed.live_ms));
            match event {
                LegEvent::SpeechStarted { at_ms } => {
                    detector.handle_speech_started(since_live(*at_ms));
                }
                LegEvent::SpeechStopped { at_ms } => {
                    detector.handle_speech_stopped(since_live(*at_ms));
                }
                LegEvent::Tone(tone) => {
                    if tone.kind == CallToneKind::Beep && message.is_none() {
                        beep_ended = Some(since_live(tone.at_ms + tone.duration_ms));
                    }
                    detector.handle_tone(*tone, now);
                }
                _ => {}
            }
        }
        if levels && now_ms.is_multiple_of(BATCH_MS) && (1..=heard_ms).contains(&now_ms) {
            let from = (now_ms - BATCH_MS) as usize * 8;
            let batch = &noticed.heard[from..from + BATCH_MS as usize * 8];
            detector.handle_audio(batch, 8_000, now);
        }
        while let Some(index) = answers.iter().position(|(at, _)| *at <= now) {
            let (_, phrases) = answers.remove(index);
            detector.handle_phrases(&phrases, now);
        }
        if detector.poll_timeout().is_some_and(|at| at <= now) {
            detector.handle_timeout(now);
        }
        while let Some(event) = detector.poll_event() {
            match event {
                VoicemailEvent::Spot => {
                    questions += 1;
                    let audio = &noticed.heard[..(now_ms as usize * 8).min(noticed.heard.len())];
                    let phrases = ear.map_or_else(Vec::new, |ear| ear.spot(audio));
                    let after = ear.map_or(Duration::ZERO, |_| answers_after(now));
                    answers.push((now + after, phrases));
                }
                VoicemailEvent::Verdict(told) => {
                    assert!(verdict.is_none(), "{verdict:?}, {told:?}");
                    verdict = Some(told);
                }
                VoicemailEvent::MessageMayBegin { beeped } => message = Some((now, beeped)),
            }
        }
        let is_over = verdict.as_ref().is_some_and(|verdict: &VoicemailVerdict| {
            message.is_some() || !verdict.far_end.is_voicemail()
        });
        if is_over {
            break;
        }
    }
    Outcome {
        verdict: verdict.expect("every call has a verdict"),
        message,
        beep_ended,
        questions,
    }
}
