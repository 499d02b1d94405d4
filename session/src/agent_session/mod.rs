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
mod facts;
mod generation;
mod handle;
mod hearing;
mod identity;
mod interruption;
mod line;
mod making;
mod message;
mod outlets;
mod output;
mod preparation;
mod pressing;
mod prompt_cache;
mod providers;
mod recording;
mod reply;
pub(crate) mod resample;
mod ringing_tone;
mod sentences;
mod silence;
mod sounds;
mod speech;
mod state;
mod taking_message;
mod transcript;
mod transfer;
mod turn;
mod turn_metrics;
mod utterance;
mod voicemail;

pub use actor::{AgentSession, SessionReport, SessionTask};
pub use config::SessionConfig;
pub use digits::{CollectOptions, Collected};
pub use event::{CallbackKind, EndCause, EndReason, SessionEvent};
pub use facts::{CallFacts, CallId, Direction};
pub use handle::SessionHandle;
pub use identity::{Diverted, IdentityFacts, IdentitySource};
pub use interruption::{InterruptionMode, InterruptionPolicy};
pub use line::{CallEvent, CallRequest, LegCommands, LegQueueFull, Line, NewAgent};
pub use preparation::{Preparation, Preparing, Unprepared};
pub use pressing::{DigitsSent, KeySequence, NoKeySequence, SendDtmfOptions};
pub use prompt_cache::PromptCache;
pub use providers::Providers;
pub use recording::{ConsentPrompt, RecordPlan};
pub use reply::{ReplyOptions, ReplyPolicy};
pub use sounds::{BackgroundOptions, SessionSounds, SoundLoop};
pub use state::{AgentState, UserState};
pub use taking_message::{LeftMessage, MessageEnd, MessageOptions, MessageTaken};
pub use transcript::{EntryKind, Speaker, Transcript, TranscriptEntry};
pub use transfer::{
    AgentInBridge, Meanwhile, SecondLegAnswer, SecondLegPlan, TransferMode, TransferOutcome,
    TransferRequest, TransferStep, WarmEnd, Words,
};
pub use turn::{EndOfTurnMode, EndOfTurnPolicy};
pub use turn_metrics::{CallMetrics, TurnLatencies, TurnMetrics, TurnMoment};
pub use utterance::{
    Outcome, PlayOptions, QueueMode, SayOptions, UtteranceFailure, UtteranceHandle, UtteranceId,
};
pub use voicemail::{
    VoicemailAction, VoicemailMessage, VoicemailPolicy, VoicemailSettings, evidence_text,
};

/// The target of the spans that carry a call's id. They have a target of their own and the level ERROR, so
/// that a filter can let them through whatever else it keeps back: a line about a call is worth little
/// without its id.
pub const CALL_SPANS: &str = "offhook_call";
