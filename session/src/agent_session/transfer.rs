//! Sending the far end elsewhere, or calling somebody for it, and what becomes of it.
//!
//! ```text
//! blind     REFER ─────────────────────────────────────────────────────────► completed
//!             └ refused, and it may be bridged ─┐
//! bridge    second leg ─► answered ─► announced ┴─► joined ────────────────► bridged
//! attended  second leg ─► answered ─► announced ──► REFER with Replaces ───► completed
//! warm      second leg ─► answered ─► summary, question ─► accepted ─► as bridge or attended
//! ```
//!
//! Whatever fails on the way gives the far end back to the agent.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::pii::Pii;
use crate::provider::Audio;

/// How somebody else comes to talk to the far end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransferMode {
    /// The far end is asked to call them (REFER); nobody is told before.
    #[default]
    Blind,
    /// We call them, announce the call, and ask the far end to take our place (REFER with Replaces).
    Attended,
    /// We call them and join the two calls here. No far end has to know how to transfer.
    Bridge,
    /// We call them, say what it is about and ask whether they take the call; then it goes on so.
    Warm(WarmEnd),
}

/// How a warm transfer goes on when it was accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WarmEnd {
    /// As [`TransferMode::Bridge`].
    #[default]
    Bridge,
    /// As [`TransferMode::Attended`].
    Attended,
}

impl TransferMode {
    /// Whether the second leg is asked if it takes the call.
    #[must_use]
    pub const fn asks(self) -> bool {
        match self {
            Self::Warm(_) => true,
            Self::Blind | Self::Attended | Self::Bridge => false,
        }
    }

    /// As written in logs, flows and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blind => "blind",
            Self::Attended => "attended",
            Self::Bridge => "bridge",
            Self::Warm(_) => "warm",
        }
    }

    /// Whether the far end is sent into the call to whoever is called, in our place.
    #[must_use]
    pub const fn is_attended(self) -> bool {
        match self {
            Self::Attended | Self::Warm(WarmEnd::Attended) => true,
            Self::Blind | Self::Bridge | Self::Warm(WarmEnd::Bridge) => false,
        }
    }
}

/// What the far end hears while the second leg is called and talked to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Meanwhile {
    /// The music of a hold; where none is configured, ringing. The agent neither hears nor is heard.
    #[default]
    Music,
    /// Ringing, as of a telephone network. The agent neither hears nor is heard.
    Ringing,
    /// The agent, who goes on talking with it.
    Agent,
}

/// Something to be said, spoken or from a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The words; of a recording, what the transcript says.
    pub text: Pii<String>,
    /// The recording, in place of the voice.
    pub audio: Option<Audio>,
}

impl Words {
    /// A text for the voice.
    #[must_use]
    pub fn spoken(text: impl Into<String>) -> Self {
        Self {
            text: Pii::new(text.into()),
            audio: None,
        }
    }
}

/// What a second leg is called and talked to with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondLegPlan {
    /// The trunk it is called by; without one the call's own if calls go out by it, else the only one by which they do.
    pub trunk: Option<Arc<str>>,
    /// Said when it answers: an announcement, or what a warm transfer is about.
    pub words: Option<Words>,
    /// Asked behind it in a warm transfer. The key 1 or a yes accepts, the key 2 or a no declines.
    pub question: Words,
    /// What the far end hears meanwhile.
    pub meanwhile: Meanwhile,
    /// What becomes of the agent when the calls are joined (default: it stands aside).
    pub agent: AgentInBridge,
}

impl SecondLegPlan {
    /// Whether something has to be spoken to whoever is called by `mode`.
    fn needs_a_voice(&self, mode: TransferMode) -> bool {
        let question = mode.asks().then_some(&self.question);
        let mut said = self.words.iter().chain(question);
        said.any(|words| words.audio.is_none())
    }
}

impl Default for SecondLegPlan {
    fn default() -> Self {
        Self {
            trunk: None,
            words: None,
            question: Words::spoken(
                "Press one or say yes to take the call. Press two or say no to decline.",
            ),
            meanwhile: Meanwhile::default(),
            agent: AgentInBridge::StandsAside,
        }
    }
}

/// Where the far end is sent, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferRequest {
    /// Who is to talk to it: a `sip:`, `sips:` or `tel:` address, passed on as it is.
    pub target: Pii<String>,
    /// How (default blind).
    pub mode: TransferMode,
    /// Whether to wait for the outcome of a blind transfer (default yes). Without, the call ends as soon as the far end
    /// accepts. The other modes always wait.
    pub wait: bool,
    /// How long a second leg may ring, and how long the outcome of a REFER may take (default 60 s).
    pub timeout: Duration,
    /// Who asks, for `Referred-By`: an address without brackets.
    pub referred_by: Option<Pii<String>>,
    /// Further header fields of the request that goes to the target: the REFER of a blind transfer, else the INVITE.
    pub headers: Vec<(String, String)>,
    /// The second leg, where there is one.
    pub second_leg: SecondLegPlan,
    /// Whether the calls are joined here where the far end refuses REFER (default no).
    pub bridge_if_refused: bool,
    /// Said to the far end when it comes back from a transfer that failed, before the outcome is told.
    pub apology: Option<Words>,
}

impl TransferRequest {
    /// Whether it cannot be tried without a voice: whoever is called would hear nothing of what it is about.
    pub(super) fn needs_a_voice(&self) -> bool {
        let calls = self.mode != TransferMode::Blind || self.bridge_if_refused;
        calls && self.second_leg.needs_a_voice(self.mode)
    }

    /// To `target`, blind, with everything else by default.
    #[must_use]
    pub fn to(target: impl Into<String>) -> Self {
        Self::by(TransferMode::Blind, target)
    }

    /// To `target` in this mode, with everything else by default. A warm transfer that fails is apologised for.
    #[must_use]
    pub fn by(mode: TransferMode, target: impl Into<String>) -> Self {
        Self {
            target: Pii::new(target.into()),
            mode,
            wait: true,
            timeout: Duration::from_secs(60),
            referred_by: None,
            headers: Vec::new(),
            second_leg: SecondLegPlan::default(),
            bridge_if_refused: false,
            apology: mode
                .asks()
                .then(|| Words::spoken("I am sorry, nobody can take your call right now.")),
        }
    }
}

/// What becomes of an agent whose call is joined to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentInBridge {
    /// It hears both far ends, and both hear it.
    Stays,
    /// It neither hears nor says anything until the calls part. What it was saying goes on then.
    StandsAside,
    /// It leaves: the session is over for it, and the call goes on between the two far ends.
    Leaves,
}

/// How a transfer gets on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferStep {
    /// The second leg is being called.
    Calling,
    /// The new call rings, or is worked on: 100 to 199.
    Ringing(u16),
    /// The second leg answered; it is told, and in a warm transfer asked.
    Answered,
    /// The far end tries to reach the new one.
    Accepted,
    /// It is over.
    Over(TransferOutcome),
}

/// What became of a transfer. After a failure the far end is with the agent as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferOutcome {
    /// The new call was answered, or without waiting the far end has accepted; the call ends.
    Completed,
    /// The far end talks to the second leg through us; the call goes on until one of them hangs up.
    Bridged,
    /// The far end refused, or the new call failed: 300 to 699.
    Rejected(u16),
    /// No outcome was told in time, or the second leg did not answer in time.
    TimedOut,
    /// Whoever answered did not want the call: said so, gave no answer when asked, or hung up.
    Declined,
    /// A machine answered.
    Machine,
    /// Our own limits let no call out to there, or none now.
    NotAdmitted,
    /// It could not be asked: the target is no address, no trunk leads there, the call is not up or joined to another
    /// already, or another transfer is open.
    Impossible,
}

impl TransferOutcome {
    /// As written in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Bridged => "bridged",
            Self::Rejected(_) => "rejected",
            Self::TimedOut => "timed_out",
            Self::Declined => "declined",
            Self::Machine => "machine",
            Self::NotAdmitted => "not_admitted",
            Self::Impossible => "impossible",
        }
    }

    /// Whether the far end talks to somebody else now.
    #[must_use]
    pub const fn is_success(self) -> bool {
        match self {
            Self::Completed | Self::Bridged => true,
            Self::Rejected(_)
            | Self::TimedOut
            | Self::Declined
            | Self::Machine
            | Self::NotAdmitted
            | Self::Impossible => false,
        }
    }

    /// The SIP status that said so, where there was one.
    #[must_use]
    pub const fn sip_status(self) -> Option<u16> {
        match self {
            Self::Rejected(status) => Some(status),
            Self::Completed
            | Self::Bridged
            | Self::TimedOut
            | Self::Declined
            | Self::Machine
            | Self::NotAdmitted
            | Self::Impossible => None,
        }
    }
}

/// What the agent of a second leg tells of whoever answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondLegAnswer {
    /// They were told what there was to tell, and are not asked.
    Ready,
    /// They take the call.
    Accepted,
    /// They do not.
    Declined,
    /// It is a machine.
    Machine,
}

/// A transfer that somebody waits for.
#[derive(Debug)]
pub(super) struct NewTransfer {
    pub(super) request: TransferRequest,
    pub(super) reply: oneshot::Sender<TransferOutcome>,
}

/// The transfer under way, whoever asked for it.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    /// Whether one is open.
    open: bool,
    /// Whether the far end has said that it calls somebody else.
    referred: bool,
    reply: Option<oneshot::Sender<TransferOutcome>>,
    /// What the far end is to hear while a second leg is called.
    meanwhile: Meanwhile,
    /// What it hears in the agent's place.
    parked: Option<Meanwhile>,
    /// The agent wants to leave when it is over, whatever becomes of it.
    pub(super) leaves: bool,
}

impl Transfer {
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Whether the far end is on its way to somebody else.
    pub(super) fn is_referred(&self) -> bool {
        self.referred
    }

    /// What the far end hears in the agent's place.
    pub(super) fn parked(&self) -> Option<Meanwhile> {
        self.parked
    }

    /// Takes a request of the agent's; gives it back to be asked of the call, unless one is open.
    pub(super) fn begin(&mut self, new: NewTransfer) -> Option<TransferRequest> {
        if self.open {
            let _gone = new.reply.send(TransferOutcome::Impossible);
            return None;
        }
        self.open = true;
        self.meanwhile = new.request.second_leg.meanwhile;
        self.reply = Some(new.reply);
        Some(new.request)
    }

    /// The call tells how it gets on, also with one that an operator asked for.
    pub(super) fn stepped(&mut self, step: TransferStep) {
        match step {
            TransferStep::Calling => {
                self.open = true;
                self.parked = match self.meanwhile {
                    parked @ (Meanwhile::Music | Meanwhile::Ringing) => Some(parked),
                    Meanwhile::Agent => None,
                };
            }
            TransferStep::Accepted => {
                self.open = true;
                self.referred = true;
            }
            TransferStep::Ringing(_) | TransferStep::Answered => self.open = true,
            TransferStep::Over(outcome) => self.end(outcome),
        }
    }

    /// The far end hears whom it was waiting for.
    pub(super) fn unpark(&mut self) {
        self.parked = None;
    }

    /// Nothing more will be told.
    pub(super) fn end(&mut self, outcome: TransferOutcome) {
        self.open = false;
        self.referred = false;
        self.parked = None;
        self.meanwhile = Meanwhile::default();
        if let Some(reply) = self.reply.take() {
            // Whoever asked may have gone.
            let _gone = reply.send(outcome);
        }
    }
}
