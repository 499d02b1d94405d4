//! Prompts that are followed to their end, and the tones that stand in for those that cannot be said.

use std::f32::consts::TAU;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tracing::{error, warn};

use crate::agent_session::{
    EndCause, Outcome, PlayOptions, QueueMode, SessionHandle, UtteranceFailure, UtteranceHandle,
};
use crate::provider::Audio;

/// Prompts in a row that may fail before the call is given up: a caller who hears nothing cannot know
/// what to do.
const MOST_FAILURES: u32 = 2;

/// Follows one prompt to its end. One that failed leaves the caller in silence: a tone says that
/// something is wrong, and when the next fails too the call ends.
pub(super) async fn watch(
    session: SessionHandle,
    utterance: UtteranceHandle,
    failures: Arc<AtomicU32>,
) {
    match utterance.wait().await {
        Outcome::Completed | Outcome::Interrupted { .. } => failures.store(0, Ordering::Relaxed),
        Outcome::Failed(UtteranceFailure::SessionEnding) => {}
        Outcome::Failed(failure @ UtteranceFailure::QueueFull) => {
            // The caller does hear something: what is queued before it.
            warn!(call_id = %session.facts().call_id, %failure, "a prompt is left out");
        }
        Outcome::Failed(
            failure @ (UtteranceFailure::Voice(_)
            | UtteranceFailure::NoVoice
            | UtteranceFailure::Refused
            | UtteranceFailure::NotPlayed
            | UtteranceFailure::NoModel
            | UtteranceFailure::Model(_)
            | UtteranceFailure::WouldDeadlock),
        ) => {
            let in_a_row = failures.fetch_add(1, Ordering::Relaxed) + 1;
            warn!(call_id = %session.facts().call_id, %failure, in_a_row, "a prompt could not be said");
            if in_a_row > MOST_FAILURES {
                // It is being ended.
                return;
            }
            if in_a_row == MOST_FAILURES {
                error!(call_id = %session.facts().call_id, "prompts keep failing: the call is ended with a tone");
                give_up(&session).await;
            } else {
                let tone = tones(session.sample_rate_hz(), &[(440, 200)]);
                let options = PlayOptions {
                    queue: QueueMode::After,
                    ..PlayOptions::default()
                };
                session.play(tone, options);
            }
        }
    }
}

/// Ends the call with the special information tones of ITU-T E.180: what a caller knows as "your call
/// cannot be completed", in any language.
pub(super) async fn give_up(session: &SessionHandle) {
    let tone = tones(
        session.sample_rate_hz(),
        &[(950, 330), (1_400, 330), (1_800, 330)],
    );
    let options = PlayOptions {
        interruptible: false,
        ..PlayOptions::default()
    };
    session.play(tone, options);
    session.hangup(EndCause::Fault).await;
}

/// Tones one after the other: frequency in Hz, duration in milliseconds.
pub(super) fn tones(sample_rate_hz: u32, tones: &[(u16, u32)]) -> Audio {
    const AMPLITUDE: f32 = 3_000.0;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a tone, well within range"
    )]
    let tone = |(frequency, duration_ms): &(u16, u32)| {
        let step = TAU * f32::from(*frequency) / sample_rate_hz as f32;
        let samples = sample_rate_hz * duration_ms / 1_000;
        (0..samples).map(move |index| (AMPLITUDE * (step * index as f32).sin()) as i16)
    };
    Audio {
        sample_rate_hz,
        samples: tones.iter().flat_map(tone).collect(),
    }
}
