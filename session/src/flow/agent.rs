//! The flow as an agent: a session's callbacks in, what the conversation wants done out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use async_trait::async_trait;
use offhook_media::control::Digit;
use tokio::sync::{Mutex, RwLock};
use tracing::{Instrument, debug, error, warn};

use super::asking::ask;
use super::conversation::{Action, Conversation, Input};
use super::means::FlowMeans;
use super::prompting::{give_up, watch};
use super::taking::take;
use super::voicemail::Answer;
use super::{DigitString, Flow, FlowValues, Prompt};
use crate::agent::{Agent, AgentError, AudioByRate, UserTurn, Warming};
use crate::agent_session::{
    CollectOptions, Collected, EndCause, EndReason, PlayOptions, Preparing, QueueMode, SayOptions,
    SessionHandle, UtteranceHandle, UtteranceId, VoicemailAction, VoicemailMessage, Words,
};
use crate::grammar::phrase;
use crate::pii::Pii;
use crate::provider::Audio;
use crate::voicemail::VoicemailVerdict;

/// A flow's recordings by the path the flow gives them; shared by all its calls.
pub type Recordings = BTreeMap<String, Arc<AudioByRate>>;

/// Walks one caller through a flow. Made anew for each call; the flow and its recordings are shared.
///
/// The flow counts silences itself: its sessions wake it up however often that is
/// (`wake_up_repeat = u32::MAX`), or else the session lets a caller go earlier than the flow would.
///
/// Where the flow must speak and the session has no voice, or the voice keeps failing, the caller hears
/// the three tones of a call that cannot be completed and the call ends as a fault of ours.
#[derive(Clone)]
pub struct FlowAgent {
    flow: Arc<Flow>,
    recordings: Arc<Recordings>,
    means: FlowMeans,
    conversation: Arc<Mutex<Conversation>>,
    /// Held while something is done for the caller that is to come to its end although they hang up: a message that they
    /// leave, and what follows from it without them. Several may hold it; the end waits for all of them.
    errand: Arc<RwLock<()>>,
    failures: Arc<AtomicU32>,
    warming: Arc<Warming>,
}

impl FlowAgent {
    /// An agent for one call. A recording that is missing is replaced by its text, spoken.
    #[must_use]
    pub fn new(flow: Arc<Flow>, recordings: Arc<Recordings>) -> Self {
        let values = FlowValues::default();
        Self {
            conversation: Arc::new(Mutex::new(Conversation::new(Arc::clone(&flow), values))),
            flow,
            recordings,
            means: FlowMeans::default(),
            errand: Arc::default(),
            failures: Arc::default(),
            warming: Arc::default(),
        }
    }

    /// With these means. What a flow asks for and has no means for fails.
    #[must_use]
    pub fn with_means(self, means: FlowMeans) -> Self {
        Self { means, ..self }
    }

    /// For a call that another flow hands over: what that knew is known by the names that this one inherits.
    #[must_use]
    pub fn taking_over(self, values: FlowValues) -> Self {
        let conversation = Conversation::new(Arc::clone(&self.flow), values);
        Self {
            conversation: Arc::new(Mutex::new(conversation)),
            ..self
        }
    }

    /// Takes an input, and what follows from it, all the way.
    async fn go_on(&self, session: &SessionHandle, input: Input) {
        let mut next = Some(input);
        let mut errand = None;
        let mut begun_at = None;
        while let Some(input) = next.take() {
            // Held while the actions are carried out, so that those of two inputs never mix; what
            // takes its time, a collection or the end, is always the last of them.
            let mut conversation = self.conversation.lock().await;
            if begun_at.is_some_and(|visit| visit != conversation.visit()) {
                // The conversation went on elsewhere meanwhile.
                return;
            }
            let actions = conversation.handle(input);
            debug!(call_id = %session.facts().call_id, step = conversation.at().as_str(), "flow");
            let mut collection = None;
            let mut end = None;
            let mut transfer = None;
            let mut request = None;
            let mut message = None;
            let mut hand_over = None;
            let mut last_said = None;
            for action in actions {
                match action {
                    Action::Say {
                        prompt,
                        after,
                        interruptible,
                    } => last_said = self.say(session, prompt, after, interruptible),
                    Action::Expect(grammar) => session.expect(grammar).await,
                    Action::Transfer(sending) => transfer = Some(sending),
                    Action::Record {
                        message: what,
                        patience,
                    } => message = Some((what, patience)),
                    Action::HandOver(agent) => {
                        hand_over = Some((agent, conversation.values_to_hand_over()));
                    }
                    Action::Ask => request = conversation.webhook_request(session.facts()),
                    Action::HangUp { silent: true } => end = Some(EndCause::CallerSilent),
                    Action::HangUp { silent: false } => end = Some(EndCause::AgentHungUp),
                    Action::Collect {
                        collection: what,
                        patience,
                    } => collection = Some((what, patience)),
                }
            }
            begun_at = Some(conversation.visit());
            let is_errand = request.is_some() || message.is_some();
            if is_errand && errand.is_none() {
                errand = self.errand.try_read().ok();
            }
            drop(conversation);
            if is_errand && errand.is_none() {
                errand = Some(self.errand.read().await);
            }
            if let Some((what, patience)) = collection {
                let prompt = last_said.as_ref().map(UtteranceHandle::id);
                next = self.collect(session, what, patience, prompt).await;
            }
            if let Some((message, patience)) = message {
                if let Some(last_words) = &last_said {
                    last_words.wait().await;
                }
                let messages = self.means.messages.as_deref();
                session.set_wake_up(None).await;
                next = take(&message, messages, patience, session).await;
                session.set_wake_up(Some(self.flow.silence_after)).await;
            }
            if let Some(request) = request {
                let webhooks = self.means.webhooks.as_deref();
                next = Some(ask(webhooks, request, last_said.as_ref(), session).await);
            }
            if let Some(sending) = transfer {
                if let Some(last_words) = &last_said {
                    last_words.wait().await;
                }
                let request = sending.request(|prompt| self.words(session, prompt));
                let outcome = session.transfer(request).await;
                if !outcome.is_success() {
                    warn!(call_id = %session.facts().call_id, outcome = outcome.as_str(), "a transfer failed");
                    next = Some(Input::NotTransferred);
                }
            }
            if let Some((agent, values)) = hand_over
                && !self.hand_over(session, &agent, values).await
            {
                next = Some(Input::NotHandedOver);
            }
            if let Some(cause) = end {
                // A hang-up waits only so long for what is still to be said; the last words may take
                // longer, and their handle resolves whatever becomes of the call.
                if let Some(last_words) = last_said {
                    last_words.wait().await;
                }
                // Its part is over; a caller who was joined to somebody meanwhile still talks to them.
                session.leave_or_hang_up(cause).await;
            }
        }
    }

    /// Answers whether somebody takes the caller over. What is being said is heard to its end first.
    async fn hand_over(
        &self,
        session: &SessionHandle,
        agent: &str,
        values: Option<FlowValues>,
    ) -> bool {
        let call_id = &session.facts().call_id;
        let Some(values) = values else {
            error!(%call_id, agent, "a caller is handed over again and again: that ends here");
            return false;
        };
        let colleagues = self.means.colleagues.as_ref();
        let Some(hand_off) = colleagues.and_then(|others| others.hand_off(agent, values)) else {
            error!(%call_id, agent, "there is no such agent to hand a caller over to");
            return false;
        };
        // The next agent says for itself whether it wants to be woken up.
        session.set_wake_up(None).await;
        let taken = session.hand_off(hand_off).await;
        if !taken {
            session.set_wake_up(Some(self.flow.silence_after)).await;
        }
        taken
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

    /// A prompt as it is said in another call.
    fn words(&self, session: &SessionHandle, prompt: Prompt) -> Option<Words> {
        let audio = prompt
            .recording()
            .and_then(|file| self.recording(session, file));
        let text = prompt.text().unwrap_or_default().to_owned();
        (audio.is_some() || !text.is_empty()).then(|| Words {
            text: Pii::new(text),
            audio,
        })
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

    /// A prompt as a message for a machine: the recording, or else its text.
    fn message_of(&self, session: &SessionHandle, prompt: &Prompt) -> Option<VoicemailMessage> {
        let audio = prompt
            .recording()
            .and_then(|file| self.recording(session, file));
        let text = || prompt.text().map(VoicemailMessage::text);
        audio.map(VoicemailMessage::Audio).or_else(text)
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
    /// The first texts are made ready first, and the goodbye and all others behind them.
    async fn prepare(&self, with: Preparing) -> Result<(), AgentError> {
        let first = self.flow.first_texts();
        let mut others = self.flow.fixed_texts();
        others.retain(|text| !first.contains(text));
        let texts = first.into_iter().chain(others).map(str::to_owned);
        self.warming.begin(with, texts.collect());
        Ok(())
    }

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

    async fn on_voicemail(
        &self,
        session: SessionHandle,
        verdict: VoicemailVerdict,
    ) -> Result<VoicemailAction, AgentError> {
        let step = match self.flow.answer(verdict.far_end) {
            Answer::HangUp => return Ok(VoicemailAction::HangUp),
            Answer::Leave(prompt) => {
                let prompt = self.conversation.lock().await.fill_in(prompt);
                let message = self.message_of(&session, &prompt);
                return Ok(message.map_or(VoicemailAction::HangUp, VoicemailAction::LeaveMessage));
            }
            Answer::GoTo(step) => step.clone(),
        };
        if !self.conversation.lock().await.begin_at(&step) {
            // The flow speaks already. It goes on there when this has returned: there may be much to wait for.
            let this = self.clone();
            let goes_on = async move {
                tokio::select! {
                    () = this.go_on(&session, Input::Redirected(step)) => {}
                    () = session.closed() => {}
                }
            };
            tokio::spawn(goes_on.in_current_span());
        }
        Ok(VoicemailAction::Continue)
    }

    async fn on_exit(&self, _: SessionHandle, _: EndReason) -> Result<(), AgentError> {
        drop(self.errand.write().await);
        Ok(())
    }
}
