//! The handle through which agents, tools and the control API reach a session.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};

use super::digits::{CollectOptions, Collected};
use super::event::{EndCause, EndReason, SessionEvent};
use super::facts::CallFacts;
use super::message::{Command, NewMessageTaking};
use super::pressing::{DigitsSent, KeySequence, NewSequence, SendDtmfOptions};
use super::reply::{NewReply, ReplyOptions};
use super::resample::to_rate;
use super::sounds::{Background, BackgroundOptions, SoundLoop, Thinking};
use super::taking_message::{LeftMessage, MessageOptions, MessageTaken};
use super::transcript::Transcript;
use super::transfer::{NewTransfer, SecondLegAnswer, TransferOutcome, TransferRequest};
use super::utterance::{
    NewUtterance, Outcome, PlayOptions, QueueMode, Resolver, SayOptions, Source, UtteranceFailure,
    UtteranceHandle, UtteranceId,
};
use crate::chat::ChatContext;
use crate::grammar::Grammar;
use crate::pii::Pii;
use crate::provider::{Audio, ProviderError};
use crate::tool::HandOff;
use crate::voicemail::VoicemailVerdict;

/// Events a slow subscriber may lag behind; past that it is told how many it missed.
const EVENT_BACKLOG: usize = 64;

/// A cloneable handle to a session. What it asks is done in the order asked; after the session closed
/// it does nothing, and everything it returns resolves.
#[derive(Clone)]
pub struct SessionHandle {
    shared: Arc<Shared>,
    /// The reply that what is said through it is part of; a tool's has one.
    within: Option<UtteranceId>,
}

/// What all handles of a session and its actor share. Nothing in it steers: it names, counts, delivers.
pub(super) struct Shared {
    pub(super) commands: mpsc::Sender<Box<Command>>,
    pub(super) next_utterance: AtomicU64,
    pub(super) facts: CallFacts,
    pub(super) sample_rate_hz: u32,
    pub(super) has_voice: bool,
    pub(super) has_mixer: bool,
    pub(super) goodbye: Option<Arc<str>>,
    /// Who answered, once that is clear.
    pub(super) answerer: OnceLock<VoicemailVerdict>,
    /// Made when the first subscriber comes: most sessions have none.
    pub(super) events: OnceLock<broadcast::Sender<SessionEvent>>,
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionHandle")
            .field("call_id", &self.shared.facts.call_id)
            .finish_non_exhaustive()
    }
}

impl SessionHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            within: None,
        }
    }

    /// The handle of a tool that `reply` waits for.
    pub(super) fn within(&self, reply: UtteranceId) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            within: Some(reply),
        }
    }

    /// Says a text. Long text is split at sentences; the first is spoken while the rest is
    /// synthesised. A failure, also that of a full queue, is the handle's outcome.
    pub fn say(&self, text: impl Into<String>, options: SayOptions) -> UtteranceHandle {
        self.utter(|id, resolver| NewUtterance {
            id,
            text: Some(Pii::new(text.into())),
            source: options.audio.map_or(Source::Text, Source::Audio),
            interruptible: options.interruptible,
            add_to_transcript: options.add_to_transcript,
            add_to_chat_context: options.add_to_chat_context,
            queue: options.queue,
            part_of: self.within,
            resolver,
        })
    }

    /// Plays audio that has no text on the speech bus.
    pub fn play(&self, audio: Audio, options: PlayOptions) -> UtteranceHandle {
        self.utter(|id, resolver| NewUtterance {
            id,
            text: None,
            source: Source::Audio(audio),
            interruptible: options.interruptible,
            add_to_transcript: false,
            add_to_chat_context: false,
            queue: options.queue,
            part_of: self.within,
            resolver,
        })
    }

    /// Has the language model answer the conversation so far, behind all that speaks or waits (at most 8). The answer is
    /// said as it comes, sentence by sentence, and nothing else is said until it is done. A failure, also that of a full
    /// queue or a missing model, is the handle's outcome.
    ///
    /// A tool's reply comes after the one that waits for the tool: the tool cannot wait for it, and is told so by
    /// [`UtteranceFailure::WouldDeadlock`].
    pub fn reply(&self, options: ReplyOptions) -> UtteranceHandle {
        let id = UtteranceId(self.shared.next_utterance.fetch_add(1, Ordering::Relaxed));
        let (resolver, handle) = Resolver::pair(id);
        let command = Box::new(Command::Reply(NewReply {
            id,
            instructions: options.instructions.map(Pii::new),
            interruptible: options.interruptible,
            to_turn: false,
            resolver,
        }));
        self.try_send(command);
        match self.within {
            Some(_) => handle.deadlocking(),
            None => handle,
        }
    }

    /// A copy of what the language model is told of the conversation; empty when the session is closed.
    pub async fn context_history(&self) -> ChatContext {
        let (reply, answer) = oneshot::channel();
        self.send(Command::ChatContext(reply)).await;
        answer.await.unwrap_or_default()
    }

    /// Replaces the agent's instructions for the language model, from the next reply on.
    pub async fn set_instructions(&self, instructions: impl Into<String>) {
        self.send(Command::SetInstructions(instructions.into()))
            .await;
    }

    /// Gives the conversation to another agent: this one's `on_exit` runs, what is being said is heard to its end, and
    /// then that one's `on_enter` runs. A tool gives [`crate::tool::ToolOutput::HandOff`] instead. Answers whether it is
    /// done: not while another is under way, nor before the agent has entered or when the call ends.
    pub async fn hand_off(&self, to: HandOff) -> bool {
        let (reply, answer) = oneshot::channel();
        self.send(Command::HandOff { to, reply }).await;
        answer.await.unwrap_or(false)
    }

    fn utter(&self, new: impl FnOnce(UtteranceId, Resolver) -> NewUtterance) -> UtteranceHandle {
        let id = UtteranceId(self.shared.next_utterance.fetch_add(1, Ordering::Relaxed));
        let (resolver, handle) = Resolver::pair(id);
        self.try_send(Box::new(Command::Say(new(id, resolver))));
        handle
    }

    /// Sends without waiting; what finds no room resolves as failed.
    fn try_send(&self, command: Box<Command>) {
        let Err(refused) = self.shared.commands.try_send(command) else {
            return;
        };
        let (command, failure) = match refused {
            mpsc::error::TrySendError::Full(command) => (command, UtteranceFailure::QueueFull),
            mpsc::error::TrySendError::Closed(command) => {
                (command, UtteranceFailure::SessionEnding)
            }
        };
        match *command {
            Command::Say(NewUtterance { resolver, .. })
            | Command::Reply(NewReply { resolver, .. }) => {
                resolver.resolve(Outcome::Failed(failure));
            }
            _ => {}
        }
    }

    /// Stops what is speaking and what waits behind it. Without `force`, an utterance that may not be
    /// interrupted goes on and the answer is `false`.
    pub async fn interrupt(&self, force: bool) -> bool {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Interrupt { force, reply }).await;
        answer.await.unwrap_or(false)
    }

    /// Lets what is speaking or queued be heard (bounded, 10 s), then ends the call. Returns at once;
    /// [`Self::closed`] waits for the end. From here on a new `say` fails. Asking twice changes nothing.
    pub async fn hangup(&self, reason: impl Into<EndReason>) {
        self.send(Command::HangUp {
            reason: reason.into(),
            drain: true,
        })
        .await;
    }

    /// Ends the call without waiting for what is speaking.
    pub async fn hangup_now(&self, reason: impl Into<EndReason>) {
        self.send(Command::HangUp {
            reason: reason.into(),
            drain: false,
        })
        .await;
    }

    /// Ends the session, and its call if that is still up, and waits until it is closed. A callback
    /// that awaits this is given up when the session closes.
    pub async fn close(&self) {
        self.send(Command::Close).await;
        self.closed().await;
    }

    /// Waits until the session is closed.
    pub async fn closed(&self) {
        self.shared.commands.closed().await;
    }

    /// Collects digits, after saying the prompt if there is one. Dropping the future gives the
    /// collection up. A second collection takes the place of the first.
    pub async fn collect(&self, mut options: CollectOptions) -> Collected {
        let prompt = options
            .prompt
            .take()
            .map(|prompt| self.say(prompt, SayOptions::default()));
        let (reply, answer) = oneshot::channel();
        let after = prompt.as_ref().map(UtteranceHandle::id).or(options.after);
        self.send(Command::Collect {
            options,
            after,
            reply,
        })
        .await;
        answer.await.unwrap_or(Collected::Cancelled)
    }

    /// Presses keys towards the far end, in the way it takes them, behind those asked for before, and waits until
    /// the last was let go. Before the answer and on hold they wait; a hang-up that drains waits for them. Dropping
    /// the future gives up what was not pressed yet.
    pub async fn send_dtmf(&self, keys: KeySequence, options: SendDtmfOptions) -> DigitsSent {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Press(NewSequence {
            keys,
            options,
            reply,
        }))
        .await;
        answer.await.unwrap_or(DigitsSent::Refused)
    }

    /// Sends the far end elsewhere and waits for what becomes of it: the call ends when it is completed, goes on without
    /// the agent or with it when it is bridged, and goes on with the agent when it failed, behind the apology if there is
    /// one. One at a time; before the agent has entered, and when the call ends, it is [`TransferOutcome::Impossible`].
    pub async fn transfer(&self, request: TransferRequest) -> TransferOutcome {
        let apology = request.apology.clone();
        let (reply, answer) = oneshot::channel();
        self.send(Command::Transfer(NewTransfer { request, reply }))
            .await;
        let outcome = answer.await.unwrap_or(TransferOutcome::Impossible);
        // Nobody waited for what was not even tried.
        let failed = !outcome.is_success() && outcome != TransferOutcome::Impossible;
        if let Some(words) = apology.filter(|_| failed) {
            let options = SayOptions {
                audio: words.audio,
                queue: QueueMode::After,
                ..SayOptions::default()
            };
            self.say(words.text.into_inner(), options).wait().await;
        }
        outcome
    }

    /// The agent leaves at once. Where the far end talks to another the call goes on without it; where a transfer is
    /// open it does so when that ends well; otherwise this is as [`Self::hangup`].
    pub async fn leave(&self) {
        self.leave_or_hang_up(EndCause::AgentHungUp).await;
    }

    /// The same, and where the call ends with it, it does for this reason.
    pub async fn leave_or_hang_up(&self, reason: impl Into<EndReason>) {
        self.send(Command::Leave(reason.into())).await;
    }

    /// Says what whoever answered wants, in a call that was made for a transfer of another. In other calls it does
    /// nothing.
    pub async fn answer_as_second_leg(&self, answer: SecondLegAnswer) {
        self.send(Command::SecondLeg(answer)).await;
    }

    /// Lets the caller leave a message: the leg writes what they say into `ring` from now on, until the message is over.
    /// `None` where no agent has the caller. Keys are no presses for `on_dtmf` meanwhile. Dropping the future ends the
    /// message.
    pub async fn take_message(
        &self,
        ring: rtrb::Producer<i16>,
        options: MessageOptions,
    ) -> Option<MessageTaken> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::TakeMessage(NewMessageTaking {
            options,
            ring,
            reply,
        }))
        .await;
        answer.await.ok()
    }

    /// Says that a message is there, for what is shown of the call.
    pub async fn message_left(&self, message: LeftMessage) {
        self.send(Command::MessageLeft(message)).await;
    }

    /// Sets after how much silence `on_wake_up` runs; `None` turns it off.
    pub async fn set_wake_up(&self, after: Option<Duration>) {
        self.send(Command::SetWakeUp(after)).await;
    }

    /// Sets what the caller may say from now on; `None`: the recogniser is not asked at all, and the
    /// caller is heard by digits only. Without a recogniser this does nothing.
    pub async fn expect(&self, grammar: Option<Grammar>) {
        self.send(Command::Expect(grammar.map(Arc::new))).await;
    }

    /// Plays the caller's audio back to the caller.
    pub async fn loopback(&self, on: bool) {
        self.send(Command::Loopback(on)).await;
    }

    /// Plays audio on the background bus, in place of what played there; before the gate opens it waits. It is no
    /// speech: nothing pauses or interrupts it, and the leg lowers it while the agent speaks.
    ///
    /// # Errors
    /// [`ProviderError::Refused`] when the audio has a rate that cannot be converted to the leg's, or the leg has no
    /// mixer.
    pub async fn play_background_audio(
        &self,
        audio: Audio,
        options: BackgroundOptions,
    ) -> Result<(), ProviderError> {
        let samples = self.at_leg_rate(audio)?;
        self.send(Command::Background(Some(Background { samples, options })))
            .await;
        Ok(())
    }

    /// Stops the background.
    pub async fn stop_background_audio(&self) {
        self.send(Command::Background(None)).await;
    }

    /// Pauses the recording, if the call is recorded: from the leg's next tick on both sides are silence in
    /// it, of the same length, until [`Self::resume_recording`]. Once is enough; pauses are not counted. An
    /// operator's pause is another one.
    pub async fn pause_recording(&self) {
        self.send(Command::PauseRecording(true)).await;
    }

    /// Takes [`Self::pause_recording`] back. What an operator paused stays paused, and a caller who is muted
    /// for another reason (a sensitive collection, a consent prompt) stays muted.
    pub async fn resume_recording(&self) {
        self.send(Command::PauseRecording(false)).await;
    }

    /// Whether the leg mixes, so that a background and the sound of thinking are heard.
    #[must_use]
    pub fn is_background_audio_enabled(&self) -> bool {
        self.shared.has_mixer
    }

    /// Sets what is heard while the agent thinks, in place of what the configuration says; `None` is silence. It begins
    /// when the agent has thought for 300 ms, goes on from one callback to the next, and stops at the first frame of
    /// speech.
    ///
    /// # Errors
    /// As [`Self::play_background_audio`].
    pub async fn set_thinking_audio(&self, sound: Option<SoundLoop>) -> Result<(), ProviderError> {
        let thinking = match sound {
            Some(SoundLoop { audio, volume_db }) => Some(Thinking {
                samples: self.at_leg_rate(audio)?,
                volume_db,
            }),
            None => None,
        };
        self.send(Command::SetThinking(thinking)).await;
        Ok(())
    }

    /// Plays the sound of thinking from now on, whatever the agent's state, until speech begins or
    /// [`Self::stop_thinking_audio`]. One that plays already goes on. Without a sound that is set this does nothing.
    pub async fn start_thinking_audio(&self) {
        self.send(Command::Thinking(true)).await;
    }

    /// Stops the sound of thinking. It does not begin by itself again before the agent thinks anew.
    pub async fn stop_thinking_audio(&self) {
        self.send(Command::Thinking(false)).await;
    }

    fn at_leg_rate(&self, audio: Audio) -> Result<Arc<[i16]>, ProviderError> {
        if !self.shared.has_mixer {
            return Err(ProviderError::Refused("the leg has no mixer".into()));
        }
        to_rate(audio, self.shared.sample_rate_hz)
    }

    /// The events from now on. A subscriber that lags more than 64 behind is told how many it missed.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<SessionEvent> {
        self.shared
            .events
            .get_or_init(|| broadcast::channel(EVENT_BACKLOG).0)
            .subscribe()
    }

    /// What was known of the call from its beginning.
    #[must_use]
    pub fn facts(&self) -> &CallFacts {
        &self.shared.facts
    }

    /// Who answered a call of ours, once that is clear; `None` before, and where it is not found out.
    #[must_use]
    pub fn voicemail_verdict(&self) -> Option<&VoicemailVerdict> {
        self.shared.answerer.get()
    }

    /// Whether a machine that takes messages answered; `false` until a verdict says so.
    #[must_use]
    pub fn is_voicemail_detected(&self) -> bool {
        self.voicemail_verdict()
            .is_some_and(|verdict| verdict.far_end.is_voicemail())
    }

    /// The leg's sample rate, in Hz: audio of this rate is played as it is.
    #[must_use]
    pub fn sample_rate_hz(&self) -> u32 {
        self.shared.sample_rate_hz
    }

    /// Whether the session has a voice, so that [`Self::say`] can speak a text.
    #[must_use]
    pub fn has_voice(&self) -> bool {
        self.shared.has_voice
    }

    /// What the default `on_silence_end` says.
    #[must_use]
    pub fn goodbye(&self) -> Option<&str> {
        self.shared.goodbye.as_deref()
    }

    /// A copy of the transcript so far; empty when the session is closed (its task returns it).
    pub async fn transcript(&self) -> Transcript {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Transcript(reply)).await;
        answer.await.unwrap_or_default()
    }

    /// Sends a command, waiting for room; a closed session drops it, and with it the reply's sender.
    async fn send(&self, command: Command) {
        let _closed = self.shared.commands.send(Box::new(command)).await;
    }
}
