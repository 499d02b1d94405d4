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
    /// The call is over, by whatever cause; nothing follows.
    Ended {
        /// Why.
        reason: EndReason,
    },
}

/// What a session asks of its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallRequest {
    /// End the call: BYE, CANCEL or a final response, whichever fits its state. Sent at most once.
    HangUp {
        /// Why; also what the call's record says.
        reason: EndReason,
    },
}

/// The session's end of everything that crosses to its leg and its call.
///
/// Capacities that fit: 256 for leg events (they come in batches), 8 for call events and requests.
pub struct Line {
    /// Commands to the leg.
    pub commands: Arc<dyn LegCommands>,
    /// What the leg noticed.
    pub events: mpsc::Receiver<LegEvent>,
    /// Requests to the call. At most one [`CallRequest::HangUp`] is ever sent.
    pub call: mpsc::Sender<CallRequest>,
    /// What happened to the call.
    pub call_events: mpsc::Receiver<CallEvent>,
    /// The leg's sample rate, in Hz (8,000 to 48,000).
    pub sample_rate_hz: u32,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("sample_rate_hz", &self.sample_rate_hz)
            .finish_non_exhaustive()
    }
}
