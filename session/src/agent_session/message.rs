//! What reaches the actor from handles, all through one bounded queue. What the tasks it started give
//! comes back when they end, and not through here.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::digits::{CollectOptions, Collected};
use super::event::EndReason;
use super::pressing::NewSequence;
use super::reply::NewReply;
use super::sounds::{Background, Thinking};
use super::taking_message::{LeftMessage, MessageOptions, MessageTaken};
use super::transcript::Transcript;
use super::transfer::{NewTransfer, SecondLegAnswer};
use super::utterance::{NewUtterance, UtteranceId};
use crate::chat::ChatContext;
use crate::grammar::Grammar;
use crate::tool::HandOff;

/// A message to be taken.
#[derive(Debug)]
pub(super) struct NewMessageTaking {
    pub(super) options: MessageOptions,
    /// Where the leg writes it.
    pub(super) ring: rtrb::Producer<i16>,
    pub(super) reply: oneshot::Sender<MessageTaken>,
}

/// A request made through a handle.
#[derive(Debug)]
pub(super) enum Command {
    /// Speak or play.
    Say(NewUtterance),
    /// Have the model answer.
    Reply(NewReply),
    /// What the model is told from now on.
    SetInstructions(String),
    /// Give the conversation to another agent.
    HandOff {
        to: HandOff,
        /// Whether it is done.
        reply: oneshot::Sender<bool>,
    },
    /// A copy of the chat context so far.
    ChatContext(oneshot::Sender<ChatContext>),
    /// Stop what is speaking; answers whether everything stopped.
    Interrupt {
        force: bool,
        reply: oneshot::Sender<bool>,
    },
    /// End the call, after what is queued was heard or at once.
    HangUp { reason: EndReason, drain: bool },
    /// End the session, and the call if it is still up.
    Close,
    /// Collect digits; `after` is the prompt whose end starts the first digit's time.
    Collect {
        options: CollectOptions,
        after: Option<UtteranceId>,
        reply: oneshot::Sender<Collected>,
    },
    /// Press keys towards the far end.
    Press(NewSequence),
    /// Send the far end elsewhere.
    Transfer(NewTransfer),
    /// What whoever answered this call, which was made for another, wants.
    SecondLeg(SecondLegAnswer),
    /// The agent leaves the call.
    Leave(EndReason),
    /// Let the caller leave a message.
    TakeMessage(NewMessageTaking),
    /// A message is there.
    MessageLeft(LeftMessage),
    /// Change the silence wake-up.
    SetWakeUp(Option<Duration>),
    /// What the recogniser listens for from now on.
    Expect(Option<Arc<Grammar>>),
    /// Play the caller back to the caller.
    Loopback(bool),
    /// Replace or stop the background.
    Background(Option<Background>),
    /// Replace what is heard while the agent thinks.
    SetThinking(Option<Thinking>),
    /// Play it now (`true`), or no more.
    Thinking(bool),
    /// The agent pauses the recording, or takes that back.
    PauseRecording(bool),
    /// A copy of the transcript so far.
    Transcript(oneshot::Sender<Transcript>),
}
