//! What the rest of the daemon tells the signalling task, and what it is answered.

use std::time::Duration;

use offhook_session::agent_session::{
    AgentInBridge, CallId, DigitsSent, EndReason, KeySequence, SendDtmfOptions, TransferOutcome,
    TransferRequest,
};
use offhook_session::call::TransferPlan;
use offhook_session::call::admission::Refusal;
use offhook_session::pii::Pii;
use tokio::sync::oneshot;

use crate::config::{AgentName, TrunkName};
use crate::voicemail::CallVoicemail;

/// What the rest of the daemon tells the signalling task.
#[derive(Debug)]
pub enum Command {
    /// Take no new calls; the task ends when the live ones have, or hangs them up at the deadline.
    Drain {
        /// How long live calls may go on.
        timeout: Duration,
    },
    /// Read the files of `sip.tls` again; connections that are up go on with what they have.
    ReloadCertificates,
    /// Call somebody.
    Place(Box<NewCall>, oneshot::Sender<Result<CallId, NotPlaced>>),
    /// Do something with a live call. The answer says whether there is such a call, and it could be asked.
    Control(
        CallId,
        CallControl,
        oneshot::Sender<Result<(), NotControlled>>,
    ),
    /// Tell how the trunks are.
    Trunks(oneshot::Sender<Vec<TrunkReport>>),
}

/// A call to be made.
#[derive(Debug)]
pub struct NewCall {
    /// A number, or a `sip:`, `sips:` or `tel:` address.
    pub to: Pii<String>,
    /// The number or user that calls; the trunk's own without one.
    pub from: Option<Pii<String>>,
    /// Whether the far end is not to learn who calls.
    pub is_private: bool,
    /// By which trunk; the only one that calls can go out by, without one.
    pub trunk: Option<TrunkName>,
    /// Who talks when it is answered.
    pub agent: AgentName,
    /// Further headers of the INVITE.
    pub headers: Vec<(String, String)>,
    /// How it is found out who answered; as agent and trunk are configured, without a word.
    pub voicemail: Option<CallVoicemail>,
    /// How long it may ring; the trunk's time without one.
    pub ring_timeout: Option<Duration>,
    /// Told when the call is answered.
    pub answered: Option<oneshot::Sender<()>>,
    /// Told why the call is over, when it is.
    pub ended: Option<oneshot::Sender<EndReason>>,
}

/// Why a call was not begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPlaced {
    /// There is no trunk of this name, or calls do not go out by it.
    #[error("there is no trunk {0} that calls go out by; trunk.NAME.address makes one")]
    UnknownTrunk(String),
    /// Several trunks could be meant, or there is none.
    #[error("name a trunk: there is not exactly one that calls go out by")]
    WhichTrunk,
    /// The trunk does not answer OPTIONS at any of its targets.
    #[error("the trunk {0} is down: it does not answer OPTIONS")]
    TrunkDown(TrunkName),
    /// There is no agent of this name.
    #[error("there is no agent {0}")]
    UnknownAgent(AgentName),
    /// A message is to be left on machines, and there is none.
    #[error("there is no message to leave: neither voicemail.text nor one of the agent's")]
    NoMessage,
    /// Who is to be called, or who calls, cannot be read.
    #[error("{0} is neither a number nor a sip:, sips: or tel: address")]
    BadAddress(&'static str),
    /// Not now, or not to there.
    #[error("the call is not admitted: {}", .0.as_str())]
    Refused(Refusal),
}

/// What can be done with a live call.
#[derive(Debug)]
pub enum CallControl {
    /// End it, with these headers on the BYE.
    HangUp(Vec<(String, String)>),
    /// Put the far end on hold (`true`), or take it off.
    Hold(bool),
    /// Press keys towards the far end; what became of them is told when the last was let go.
    Press(KeySequence, SendDtmfOptions, oneshot::Sender<DigitsSent>),
    /// Join it to this other call.
    Bridge(CallId, AgentInBridge),
    /// Part it from the call that it is joined to.
    Part,
    /// Pause its recording (`true`), or take that back.
    PauseRecording(bool),
    /// Note everything it sends and receives (`true`), or no more.
    Capture(bool),
    /// Send the far end elsewhere; what became of it is told when it is over.
    Transfer(TransferPlan, oneshot::Sender<TransferOutcome>),
    /// Call somebody for it, or do so where the far end refuses REFER; what became of it is told when it is over.
    Consult(Box<TransferRequest>, oneshot::Sender<TransferOutcome>),
    /// Send it to the far end of this other call, in whose place it steps; the plan's target is not used.
    TransferInto(CallId, TransferPlan, oneshot::Sender<TransferOutcome>),
}

/// Why something was not done with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotControlled {
    /// It is over, or never was.
    #[error("there is no such call")]
    UnknownCall,
    /// One of the two trunks takes no Replaces.
    #[error("a trunk of the calls has replaces = false")]
    NoReplaces,
    /// Its agent's calls are not recorded, or this one could not be, or has no audio yet.
    #[error("the call is not recorded")]
    NotRecorded,
    /// As many calls as can be are captured.
    #[error("as many calls as can be are captured")]
    TooManyCaptures,
    /// It is not in a state for it.
    #[error("the call is not up, or in the middle of another change")]
    WrongState,
}

/// How a trunk is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkReport {
    /// Its name.
    pub name: TrunkName,
    /// Where calls go out, as configured; none where none do.
    pub address: Option<String>,
    /// Live calls.
    pub calls: usize,
    /// Whether it answers, where it is asked by OPTIONS.
    pub health: TrunkHealth,
    /// Its registration.
    pub registration: RegistrationState,
}

/// Whether a trunk answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrunkHealth {
    /// It is not asked, or has not answered yet.
    Unknown,
    /// It answered when it was asked last.
    Up,
    /// It missed several answers in a row; calls go out by other targets while there are any.
    Down,
}

impl TrunkHealth {
    /// As the API spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// How far registering with a trunk is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistrationState {
    /// It is not wanted.
    NotWanted,
    /// It is tried.
    Trying,
    /// The registrar has our binding.
    Registered {
        /// For how long, from its last answer on.
        expires: Duration,
    },
    /// It failed and is tried again later.
    Failed {
        /// Why.
        why: String,
    },
}

impl RegistrationState {
    /// As the API spells it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NotWanted => "not_wanted",
            Self::Trying => "trying",
            Self::Registered { .. } => "registered",
            Self::Failed { .. } => "failed",
        }
    }
}
