//! What connects a session to the rest of its call: the leg (audio) and the call (signalling).
//!
//! ```text
//! session ── LegCommand ──► leg      call ── CallEvent ──► session
//! session ◄── LegEvent ──── leg      call ◄─ CallRequest ─ session
//! ```

use std::fmt;
use std::sync::Arc;

use offhook_media::control::{Digit, LegCommand, LegEvent};
use tokio::sync::mpsc;

use super::event::EndReason;
use super::taking_message::LeftMessage;
use super::transfer::{AgentInBridge, SecondLegAnswer, TransferRequest, TransferStep};
use crate::voicemail::VoicemailVerdict;

/// The way to a leg: the daemon's is one media thread's bounded queue, shared by all of its legs.
pub trait LegCommands: Send + Sync + 'static {
    /// Queues a command for the leg's next tick, without waiting.
    ///
    /// # Errors
    /// The command itself, when the queue is full; the session keeps it and tries again.
    fn send(&self, command: LegCommand) -> Result<(), LegQueueFull>;
}

/// A command that found no room in the leg's queue.
#[derive(Debug)]
pub struct LegQueueFull(pub LegCommand);

/// What the call tells its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEvent {
    /// The caller pressed a digit that came by signalling.
    Digit(Digit),
    /// The call was answered: our 2xx was sent, or the far end's came.
    Answered,
    /// The far end acknowledged our answer (inbound: the ACK arrived).
    Confirmed,
    /// The call is on hold: the leg sends nothing until it is resumed.
    Held,
    /// The call is off hold.
    Resumed,
    /// The call is joined to another: their far ends hear each other.
    Bridged(AgentInBridge),
    /// It is joined to none any more.
    Parted,
    /// How a transfer gets on, whoever asked for it.
    Transfer(TransferStep),
    /// Somebody is being called in the far end's place: it may be silent from now on, or gone.
    SuccessorCalled,
    /// Whoever was called in the far end's place has taken it, or will not.
    SuccessorSettled,
    /// Somebody else is the far end from now on.
    Succeeded,
    /// An operator pauses the recording, until they resume it.
    RecordingPaused,
    /// An operator takes their pause of the recording back.
    RecordingResumed,
    /// The call is over, by whatever cause; nothing follows.
    Ended {
        /// Why.
        reason: EndReason,
    },
}

/// What a session asks of its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallRequest {
    /// Send the far end elsewhere. [`CallEvent::Transfer`] tells what becomes of it.
    Transfer(Box<TransferRequest>),
    /// This call was made for another: what whoever answered wants.
    SecondLeg(SecondLegAnswer),
    /// The far end pressed a key; press it towards the far end of the call that this one is joined to.
    PassOn(Digit),
    /// Know who answered: for what is shown and counted of the call. At most once.
    AnsweredBy(Box<VoicemailVerdict>),
    /// Know of a message that the caller left: for what is shown of the call.
    MessageLeft(Box<LeftMessage>),
    /// Know of the agent that has the far end now: for what is shown of the call.
    HandedOver(Box<NewAgent>),
    /// Press a key towards the far end, in whichever way it takes keys.
    Press {
        /// Which.
        digit: Digit,
        /// How long it is held, in milliseconds (40 to 1,300).
        duration_ms: u32,
    },
    /// End the call: BYE, CANCEL or a final response, whichever fits its state. Sent at most once.
    HangUp {
        /// Why; also what the call's record says.
        reason: EndReason,
    },
}

/// An agent that a call was handed over to. Boxed in its request, since a channel keeps places for many of those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAgent {
    /// What it is called.
    pub name: Arc<str>,
}

/// The session's end of everything that crosses to its leg and its call.
///
/// Capacities that fit: 256 for leg events (they come in batches), 8 for call events and requests. A press that
/// finds only the last three places of the requests is lost: those are kept for what is asked once, the end above all.
pub struct Line {
    /// Commands to the leg.
    pub commands: Arc<dyn LegCommands>,
    /// What the leg noticed.
    pub events: mpsc::Receiver<LegEvent>,
    /// Requests to the call, 4 places at least. At most one [`CallRequest::HangUp`] is ever sent.
    pub call: mpsc::Sender<CallRequest>,
    /// What happened to the call.
    pub call_events: mpsc::Receiver<CallEvent>,
    /// The leg's sample rate, in Hz (8,000 to 48,000).
    pub sample_rate_hz: u32,
    /// Whether the leg mixes other sounds with the agent's speech. One that passes an agent's audio on as it comes does
    /// not.
    pub has_mixer: bool,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("sample_rate_hz", &self.sample_rate_hz)
            .finish_non_exhaustive()
    }
}
