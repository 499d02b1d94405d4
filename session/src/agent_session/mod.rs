//! The agent session: one actor a call.
//!
//! The actor alone owns the conversation's state: who speaks, what is queued, which timers run, what
//! was said. Everything else sends it messages and gets handles or typed outcomes back.
//!
//! ```text
//! SessionHandle ── commands ──►┐
//! leg ─────────── LegEvent ───►│         ├─► LegCommand ──► leg
//! call ────────── CallEvent ──►│ Session ├─► CallRequest ─► call
//! providers ───── results ────►│  (core) ├─► SessionEvent ► subscribers
//! agent ───────── results ────►┘         └─► callbacks, synthesis, recognition: tasks of their own
//! ```
//!
//! The session knows PCM, digits and words; SIP and RTP stay in [`crate::call`].

mod actor;
mod config;
mod core;
mod digits;
mod event;
mod handle;
mod hearing;
mod identity;
mod interruption;
mod line;
mod message;
mod outlets;
mod output;
mod prompt_cache;
pub(crate) mod resample;
mod sentences;
mod silence;
mod speech;
mod state;
mod transcript;
mod turn;
mod utterance;

pub use actor::{AgentSession, SessionReport, SessionTask};
pub use config::{CallFacts, CallId, Direction, Providers, SessionConfig};
pub use digits::{CollectOptions, Collected};
pub use event::{CallbackKind, EndCause, EndReason, SessionEvent};
pub use handle::SessionHandle;
pub use identity::{Diverted, IdentityFacts, IdentitySource};
pub use interruption::{InterruptionMode, InterruptionPolicy};
pub use line::{CallEvent, CallRequest, LegCommands, LegQueueFull, Line};
pub use prompt_cache::PromptCache;
pub use state::{AgentState, UserState};
pub use transcript::{EntryKind, Speaker, Transcript, TranscriptEntry};
pub use utterance::{
    Outcome, PlayOptions, QueueMode, SayOptions, UtteranceFailure, UtteranceHandle, UtteranceId,
};

/// The target of the spans that carry a call's id. They have a target of their own and the level ERROR, so
/// that a filter can let them through whatever else it keeps back: a line about a call is worth little
/// without its id.
pub const CALL_SPANS: &str = "offhook_call";
