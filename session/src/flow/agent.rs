//! The flow as an agent: a session's callbacks in, what the conversation wants done out.

use std::collections::BTreeMap;
use std::f32::consts::TAU;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use offhook_media::control::Digit;
use tokio::sync::Mutex;
use tracing::{debug, error, warn};

use super::conversation::{Action, Conversation, Input};
use super::{DigitString, Flow, Prompt};
use crate::agent::{Agent, AgentError, AudioByRate, UserTurn};
use crate::agent_session::{
    CollectOptions, Collected, EndCause, Outcome, PlayOptions, QueueMode, SayOptions,
    SessionHandle, UtteranceFailure, UtteranceHandle, UtteranceId,
};
use crate::grammar::phrase;
use crate::provider::Audio;

/// A flow's recordings by the path the flow gives them; shared by all its calls.
pub type Recordings = BTreeMap<String, AudioByRate>;

/// Prompts in a row that may fail before the call is given up: a caller who hears nothing cannot know
/// what to do.
const MOST_FAILURES: u32 = 2;

/// Walks one caller through a flow. Made anew for each call; the flow and its recordings are shared.
///
/// The flow counts silences itself: its sessions wake it up however often that is
/// (`wake_up_repeat = u32::MAX`), or else the session lets a caller go earlier than the flow would.
///
/// Where the flow must speak and the session has no voice, or the voice keeps failing, the caller hears
/// the three tones of a call that cannot be completed and the call ends as a fault of ours.
pub struct FlowAgent {
    flow: Arc<Flow>,
    recordings: Arc<Recordings>,
    conversation: Mutex<Conversation>,
    failures: Arc<AtomicU32>,
}

impl FlowAgent {
    /// An agent for one call. A recording that is missing is replaced by its text, spoken.
    #[must_use]
    pub fn new(flow: Arc<Flow>, recordings: Arc<Recordings>) -> Self {
        Self {
            conversation: Mutex::new(Conversation::new(Arc::clone(&flow))),
            flow,
            recordings,
            failures: Arc::default(),
        }
    }

    /// Takes an input, and what follows from it, all the way.
    async fn go_on(&self, session: &SessionHandle, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            // Held while the actions are carried out, so that those of two inputs never mix; what
            // takes its time, a collection or the end, is always the last of them.
            let mut conversation = self.conversation.lock().await;
            let actions = conversation.handle(input);
            debug!(call_id = %session.facts().call_id, step = conversation.at().as_str(), "flow");
            let mut collection = None;
            let mut end = None;
            let mut last_said = None;
            for action in actions {
                match action {
                    Action::Say {
                        prompt,
                        after,
                        interruptible,
                    } => last_said = self.say(session, prompt, after, interruptible),
                    Action::Expect(grammar) => session.expect(grammar).await,
                    Action::HangUp { silent: true } => end = Some(EndCause::CallerSilent),
                    Action::HangUp { silent: false } => end = Some(EndCause::AgentHungUp),
                    Action::Collect {
                        collection: what,
                        patience,
                    } => collection = Some((what, patience)),
                }
            }
            drop(conversation);
            if let Some((what, patience)) = collection {
                let prompt = last_said.as_ref().map(UtteranceHandle::id);
                next = self.collect(session, what, patience, prompt).await;
            }
            if let Some(cause) = end {
                // A hang-up waits only so long for what is still to be said; the last words may take
                // longer, and their handle resolves whatever becomes of the call.
                if let Some(last_words) = last_said {
                    last_words.wait().await;
                }
                session.hangup(cause).await;
            }
        }
    }

    fn say(
        &self,
        session: &SessionHandle,
        prompt: Prompt,
        after: bool,
        interruptible: bool,
    ) -> Option<UtteranceHandle> {
        let queue = if after {
            QueueMode::After
        } else {
            QueueMode::Replace
        };
        let audio = prompt
            .recording()
            .and_then(|file| self.recording(session, file));
        let utterance = match (prompt.text(), audio) {
            (Some(text), audio) => {
                let options = SayOptions {
                    interruptible,
                    audio,
                    queue,
                    ..SayOptions::default()
                };
                session.say(text, options)
            }
            (None, Some(audio)) => session.play(
                audio,
                PlayOptions {
                    interruptible,
                    queue,
                },
            ),
            (None, None) => {
                warn!(
                    call_id = %session.facts().call_id,
                    file = prompt.recording(),
                    "a recording that is neither there nor written out is skipped"
                );
                return None;
            }
        };
        tokio::spawn(watch(
            session.clone(),
            utterance.clone(),
            Arc::clone(&self.failures),
        ));
        Some(utterance)
    }

    /// A recording at the rate of the session's leg, if there is one.
    fn recording(&self, session: &SessionHandle, file: &str) -> Option<Audio> {
        let recording = self.recordings.get(file)?;
        recording
            .at_rate(session.sample_rate_hz())
            .inspect_err(|error| {
                warn!(call_id = %session.facts().call_id, file, %error, "a recording cannot be played");
            })
            .ok()
    }

    /// Collects a string of digits; `None` when the call is ending or something else collects now.
    async fn collect(
        &self,
        session: &SessionHandle,
        what: DigitString,
        patience: Duration,
        prompt: Option<UtteranceId>,
    ) -> Option<Input> {
        session.set_wake_up(None).await;
        let collected = session
            .collect(CollectOptions {
                after: prompt,
                min: what.min,
                max: what.max,
                terminator: what.terminator,
                first_digit_timeout: patience,
                sensitive: what.sensitive,
                ..CollectOptions::default()
            })
            .await;
        session.set_wake_up(Some(self.flow.silence_after)).await;
        match collected {
            Collected::Digits(digits) => Some(Input::Collected(digits.into_inner())),
            Collected::TimedOut(digits) if digits.expose().is_empty() => Some(Input::Silent),
            Collected::TimedOut(_) | Collected::TooFew(_) => Some(Input::CollectedTooLittle),
            Collected::Cancelled => None,
        }
    }
}

#[async_trait]
impl Agent for FlowAgent {
    async fn on_enter(&self, session: SessionHandle) -> Result<(), AgentError> {
        if self.flow.needs_a_voice() && !session.has_voice() {
            error!(
                call_id = %session.facts().call_id,
                "this flow has texts to say and no voice is available: the call is ended with a tone"
            );
            give_up(&session).await;
            return Ok(());
        }
        session.set_wake_up(Some(self.flow.silence_after)).await;
        self.go_on(&session, Input::Entered).await;
        Ok(())
    }

    async fn on_user_turn(&self, session: SessionHandle, turn: UserTurn) -> Result<(), AgentError> {
        let input = match turn {
            UserTurn::Said { text, last, .. } => Input::Heard {
                whole: phrase(text.expose()),
                last: phrase(last.expose()),
            },
            UserTurn::NotUnderstood => Input::NotUnderstood,
        };
        self.go_on(&session, input).await;
        Ok(())
    }

    async fn on_dtmf(&self, session: SessionHandle, digit: Digit) -> Result<(), AgentError> {
        self.go_on(&session, Input::Pressed(digit)).await;
        Ok(())
    }

    async fn on_wake_up(&self, session: SessionHandle) -> Result<(), AgentError> {
        self.go_on(&session, Input::Silent).await;
        Ok(())
    }

    async fn on_silence_end(&self, session: SessionHandle) -> Result<(), AgentError> {
        self.go_on(&session, Input::SilentToTheEnd).await;
        Ok(())
    }
}

/// Follows one prompt to its end. One that failed leaves the caller in silence: a tone says that
/// something is wrong, and when the next fails too the call ends.
async fn watch(session: SessionHandle, utterance: UtteranceHandle, failures: Arc<AtomicU32>) {
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
            | UtteranceFailure::NotPlayed),
        ) => {
            let in_a_row = failures.fetch_add(1, Ordering::Relaxed) + 1;
            warn!(call_id = %session.facts().call_id, %failure, in_a_row, "a prompt could not be said");
            if in_a_row >= MOST_FAILURES {
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
async fn give_up(session: &SessionHandle) {
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
fn tones(sample_rate_hz: u32, tones: &[(u16, u32)]) -> Audio {
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
