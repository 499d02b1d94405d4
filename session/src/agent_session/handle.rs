//! The handle through which agents, tools and the control API reach a session.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};

use super::config::CallFacts;
use super::digits::{CollectOptions, Collected};
use super::event::{EndReason, SessionEvent};
use super::message::{BackgroundLoop, Command};
use super::resample::to_rate;
use super::transcript::Transcript;
use super::utterance::{
    NewUtterance, Outcome, PlayOptions, Resolver, SayOptions, Source, UtteranceFailure,
    UtteranceHandle, UtteranceId,
};
use crate::grammar::Grammar;
use crate::pii::Pii;
use crate::provider::{Audio, ProviderError};

/// Events a slow subscriber may lag behind; past that it is told how many it missed.
const EVENT_BACKLOG: usize = 64;

/// A cloneable handle to a session. What it asks is done in the order asked; after the session closed
/// it does nothing, and everything it returns resolves.
#[derive(Clone)]
pub struct SessionHandle {
    shared: Arc<Shared>,
}

/// What all handles of a session and its actor share. Nothing in it steers: it names, counts, delivers.
pub(super) struct Shared {
    pub(super) commands: mpsc::Sender<Box<Command>>,
    pub(super) next_utterance: AtomicU64,
    pub(super) facts: CallFacts,
    pub(super) sample_rate_hz: u32,
    pub(super) has_voice: bool,
    pub(super) goodbye: Option<Arc<str>>,
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
        Self { shared }
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
            queue: options.queue,
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
            queue: options.queue,
            resolver,
        })
    }

    fn utter(&self, new: impl FnOnce(UtteranceId, Resolver) -> NewUtterance) -> UtteranceHandle {
        let id = UtteranceId(self.shared.next_utterance.fetch_add(1, Ordering::Relaxed));
        let (resolver, handle) = Resolver::pair(id);
        let command = Box::new(Command::Say(new(id, resolver)));
        if let Err(refused) = self.shared.commands.try_send(command) {
            let (command, failure) = match refused {
                mpsc::error::TrySendError::Full(command) => (command, UtteranceFailure::QueueFull),
                mpsc::error::TrySendError::Closed(command) => {
                    (command, UtteranceFailure::SessionEnding)
                }
            };
            if let Command::Say(utterance) = *command {
                utterance.resolver.resolve(Outcome::Failed(failure));
            }
        }
        handle
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

    /// Repeats audio on the background bus at `volume_db` (-60 to +12 dB), in place of what played
    /// there. It is no speech: nothing pauses or interrupts it.
    ///
    /// # Errors
    /// [`ProviderError::Refused`] when the audio has a rate that cannot be converted to the leg's.
    pub async fn play_background_audio(
        &self,
        audio: Audio,
        volume_db: f32,
    ) -> Result<(), ProviderError> {
        let samples = to_rate(audio, self.shared.sample_rate_hz)?;
        self.send(Command::Background(Some(BackgroundLoop {
            samples,
            volume_db,
        })))
        .await;
        Ok(())
    }

    /// Stops the background.
    pub async fn stop_background_audio(&self) {
        self.send(Command::Background(None)).await;
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
