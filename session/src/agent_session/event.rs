//! What a session reports to whoever watches it, and why a call ends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::{CallTone, Digit, RecordMode};

use super::state::{AgentState, UserState};
use super::transfer::TransferStep;
use super::turn_metrics::TurnMetrics;
use super::utterance::{Outcome, UtteranceId};
use crate::agent::UserTurn;
use crate::pii::Pii;
use crate::voicemail::VoicemailVerdict;

/// Why a call ended: one cause, with the SIP status where there was one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndReason {
    /// What ended it.
    pub cause: EndCause,
    /// The final SIP status that said so, 300 to 699.
    pub sip_status: Option<u16>,
}

impl EndReason {
    /// A reason without a SIP status.
    #[must_use]
    pub const fn new(cause: EndCause) -> Self {
        Self {
            cause,
            sip_status: None,
        }
    }

    /// A reason with the SIP status that carried it.
    #[must_use]
    pub const fn with_status(cause: EndCause, sip_status: u16) -> Self {
        Self {
            cause,
            sip_status: Some(sip_status),
        }
    }
}

impl From<EndCause> for EndReason {
    fn from(cause: EndCause) -> Self {
        Self::new(cause)
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sip_status {
            Some(status) => write!(f, "{} ({status})", self.cause.as_str()),
            None => f.write_str(self.cause.as_str()),
        }
    }
}

/// The causes an end can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndCause {
    /// The far end hung up.
    FarEndHungUp,
    /// The far end gave up before the call was answered (CANCEL).
    Cancelled,
    /// The agent hung up.
    AgentHungUp,
    /// The agent left; the call went on without it.
    AgentLeft,
    /// The far end was sent to somebody else.
    Transferred,
    /// The caller stayed silent through every wake-up.
    CallerSilent,
    /// No end of a call: one agent gave it to another, and leaves.
    HandedOff,
    /// A machine answered that takes messages, and none was left.
    Voicemail,
    /// A machine answered, and a message was left.
    MessageLeft,
    /// Something else than a person or a machine that takes messages answered, as a fax.
    NoPerson,
    /// Somebody ended the call through the control API.
    OperatorHungUp,
    /// The far end refused the call.
    Rejected,
    /// Nobody answered in time.
    NotAnswered,
    /// No media arrived for the configured time.
    NoMedia,
    /// The far end stopped answering our signalling.
    SignallingLost,
    /// The call that this one was joined to ended.
    BridgeEnded,
    /// The call reached its longest allowed duration.
    MaxDuration,
    /// The session was closed while the call was up.
    SessionClosed,
    /// This process is stopping and the drain deadline passed.
    Shutdown,
    /// A fault on our side: the leg or its queue was lost.
    Fault,
}

impl EndCause {
    /// The cause as written in logs, records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FarEndHungUp => "far_end_hung_up",
            Self::Cancelled => "cancelled",
            Self::AgentHungUp => "agent_hung_up",
            Self::AgentLeft => "agent_left",
            Self::Transferred => "transferred",
            Self::CallerSilent => "caller_silent",
            Self::Voicemail => "voicemail",
            Self::MessageLeft => "message_left",
            Self::NoPerson => "no_person",
            Self::OperatorHungUp => "operator_hung_up",
            Self::Rejected => "rejected",
            Self::NotAnswered => "not_answered",
            Self::NoMedia => "no_media",
            Self::SignallingLost => "signalling_lost",
            Self::BridgeEnded => "bridge_ended",
            Self::MaxDuration => "max_duration",
            Self::HandedOff => "handed_off",
            Self::SessionClosed => "session_closed",
            Self::Shutdown => "shutdown",
            Self::Fault => "fault",
        }
    }
}

/// Which of an agent's callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallbackKind {
    /// `on_enter`.
    Enter,
    /// `on_user_turn`.
    UserTurn,
    /// `on_dtmf`.
    Dtmf,
    /// `on_tone`.
    Tone,
    /// `on_wake_up`.
    WakeUp,
    /// `on_silence_end`.
    SilenceEnd,
    /// `on_voicemail`.
    Voicemail,
    /// `on_transfer`.
    Transfer,
    /// `on_exit`.
    Exit,
}

impl CallbackKind {
    /// The callback's name in the trait.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enter => "on_enter",
            Self::UserTurn => "on_user_turn",
            Self::Dtmf => "on_dtmf",
            Self::Tone => "on_tone",
            Self::WakeUp => "on_wake_up",
            Self::SilenceEnd => "on_silence_end",
            Self::Voicemail => "on_voicemail",
            Self::Transfer => "on_transfer",
            Self::Exit => "on_exit",
        }
    }
}

/// Something that happened in a session. `at` counts from the session's start.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionEvent {
    /// The agent's state changed; it was set before this was sent.
    AgentStateChanged {
        /// The state now.
        state: AgentState,
        /// The state before; `None` for the first.
        previous: Option<AgentState>,
        /// When.
        at: Duration,
    },
    /// The caller's state changed; it was set before this was sent.
    UserStateChanged {
        /// The state now.
        state: UserState,
        /// The state before.
        previous: UserState,
        /// When.
        at: Duration,
    },
    /// `on_enter` returned.
    AgentStarted {
        /// When.
        at: Duration,
    },
    /// An utterance is resolved: the same outcome its handle gives.
    UtteranceDone {
        /// Which.
        id: UtteranceId,
        /// How it ended.
        outcome: Outcome,
        /// When.
        at: Duration,
    },
    /// The caller finished a turn; `on_user_turn` is given it.
    UserTurn {
        /// What was said.
        turn: UserTurn,
        /// When.
        at: Duration,
    },
    /// The caller spoke while the agent did, too little to interrupt; it is kept out of the turn.
    BackchannelDetected {
        /// The words.
        text: Pii<String>,
        /// When.
        at: Duration,
    },
    /// The agent's speech had been held because the caller seemed to speak; it goes on where it was.
    FalseInterruption {
        /// When.
        at: Duration,
    },
    /// The caller pressed a digit, and a collection or the agent took it.
    Digit {
        /// Which; `None` where a sensitive collection masks it.
        digit: Option<Digit>,
        /// When it was pressed.
        at: Duration,
    },
    /// Something else of the call is recorded from now on.
    RecordingChanged {
        /// What.
        mode: RecordMode,
        /// When.
        at: Duration,
    },
    /// A tone of a network or a machine was recognised in what the far end sends.
    Tone {
        /// Which, how surely, and when by the leg's time.
        tone: CallTone,
        /// When it was told.
        at: Duration,
    },
    /// Of a call of ours: who answered, as far as one can tell. At most once.
    Answerer {
        /// Who, how surely, and why.
        verdict: VoicemailVerdict,
        /// When it was clear.
        at: Duration,
    },
    /// How a transfer gets on, whoever asked for it.
    Transfer {
        /// What is new.
        step: TransferStep,
        /// When.
        at: Duration,
    },
    /// A callback returned an error, panicked or had to be given up. The session goes on.
    CallbackFailed {
        /// Which.
        callback: CallbackKind,
        /// What happened.
        error: Arc<str>,
        /// When.
        at: Duration,
    },
    /// A provider failed. The session goes on.
    ProviderFailed {
        /// What happened.
        error: crate::provider::ProviderError,
        /// When.
        at: Duration,
    },
    /// A turn is over: how it went.
    TurnMetrics {
        /// What was measured.
        metrics: Box<TurnMetrics>,
        /// When.
        at: Duration,
    },
    /// The language model calls a tool.
    ToolCalled {
        /// Which.
        name: String,
        /// When.
        at: Duration,
    },
    /// Another agent has the conversation; its `on_enter` runs.
    HandedOff {
        /// What it is called.
        to: String,
        /// When.
        at: Duration,
    },
    /// The session is closed, or its agent has left the call. Always the last event, exactly once.
    Closed {
        /// Why the call ended.
        reason: EndReason,
        /// When.
        at: Duration,
    },
}
