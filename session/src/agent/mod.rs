//! What a builder of agents implements, and the two smallest agents.

mod audio_by_rate;
mod echo;
mod play;
mod second_leg;
mod warming;

use std::sync::Arc;

use async_trait::async_trait;
use offhook_media::control::{CallTone, Digit};

pub use audio_by_rate::AudioByRate;
pub use echo::EchoAgent;
pub use play::PlayAgent;
pub use second_leg::SecondLegAgent;
pub(crate) use warming::Warming;

use crate::agent_session::{
    EndCause, EndReason, Preparing, SayOptions, SessionHandle, TransferOutcome, VoicemailAction,
};
use crate::pii::Pii;
use crate::tool::Tool;
use crate::voicemail::VoicemailVerdict;

/// Why a callback failed; logged, never fatal to the session by itself.
pub type AgentError = Box<dyn std::error::Error + Send + Sync>;

/// One turn of the caller's, complete.
#[derive(Clone, Debug, PartialEq)]
pub enum UserTurn {
    /// The caller said something that was understood.
    Said {
        /// The words, all of them.
        text: Pii<String>,
        /// Those of them that were recognised last: the same as `text` where the caller did not pause.
        last: Pii<String>,
        /// 0 to 1.
        confidence: f32,
    },
    /// The caller spoke, but nothing expected was recognised.
    NotUnderstood,
}

/// An agent: callbacks that a session runs, each as a task of its own with a handle to the session,
/// so a callback may await what it asks of the session. All are optional; an error or a panic is
/// logged and reported, and the call goes on.
///
/// Turns are given one at a time: the next waits until the callback for the last one returned. A digit
/// waits for every callback but `on_exit`, since each may lead to a collection: keys that a caller who
/// knows what comes next presses on the way to it are collected. So an agent whose callbacks do not return
/// hears of digits by collecting them.
#[async_trait]
pub trait Agent: Send + Sync + 'static {
    /// Whether the agent wants to know when the caller speaks. Where it does not, the leg's speech
    /// detection is switched off.
    fn listens(&self) -> bool {
        true
    }

    /// How the language model is to behave, for the whole conversation. Read when the agent enters;
    /// [`SessionHandle::set_instructions`] replaces it.
    fn instructions(&self) -> String {
        String::new()
    }

    /// What the language model may call. Read when the agent enters.
    fn tools(&self) -> Vec<Arc<dyn Tool>> {
        Vec::new()
    }

    /// Whether the language model answers each turn of the caller's by itself, once [`Self::on_user_turn`] returned.
    /// The recogniser is to take whatever is said then.
    fn answers_turns(&self) -> bool {
        false
    }

    /// Gets ready what `on_enter` cannot do without: while the far end of a call of ours rings, or as soon as there is a
    /// session. `on_enter` waits for it, 5 s from its beginning at most, so that what it can do without (texts that are
    /// synthesised) is better done in a task of its own. Where it fails the agent enters all the same.
    async fn prepare(&self, _with: Preparing) -> Result<(), AgentError> {
        Ok(())
    }

    /// The conversation may begin: the gate is open.
    async fn on_enter(&self, _session: SessionHandle) -> Result<(), AgentError> {
        Ok(())
    }

    /// The caller finished a turn.
    async fn on_user_turn(
        &self,
        _session: SessionHandle,
        _turn: UserTurn,
    ) -> Result<(), AgentError> {
        Ok(())
    }

    /// The caller pressed a digit that no collection was waiting for.
    async fn on_dtmf(&self, _session: SessionHandle, _digit: Digit) -> Result<(), AgentError> {
        Ok(())
    }

    /// A tone of a network or a machine was heard, where the leg listens for tones. It waits for nothing: a beep
    /// is worth something at once.
    async fn on_tone(&self, _session: SessionHandle, _tone: CallTone) -> Result<(), AgentError> {
        Ok(())
    }

    /// A transfer is over, whoever asked for it: the caller is with somebody else, or the agent's again. It waits for
    /// nothing, and whoever waits for [`SessionHandle::transfer`] is told the same.
    async fn on_transfer(
        &self,
        _session: SessionHandle,
        _outcome: TransferOutcome,
    ) -> Result<(), AgentError> {
        Ok(())
    }

    /// Nothing was said for the wake-up time.
    async fn on_wake_up(&self, _session: SessionHandle) -> Result<(), AgentError> {
        Ok(())
    }

    /// The wake-up fired as often as it may; the default says goodbye and hangs up.
    async fn on_silence_end(&self, session: SessionHandle) -> Result<(), AgentError> {
        if let (true, Some(goodbye)) = (session.has_voice(), session.goodbye()) {
            session.say(goodbye, SayOptions::default());
        }
        session.hangup(EndCause::CallerSilent).await;
        Ok(())
    }

    /// Something else than a person answered a call of ours: a menu, an assistant that screens calls, a fax; or a machine
    /// that takes messages, where that is left to the agent. What is returned is done; the default ends the call, and
    /// so does an error. `on_enter` has not run, unless the agent speaks while it is found out who answered. What the
    /// callback says meanwhile is not interrupted.
    async fn on_voicemail(
        &self,
        _session: SessionHandle,
        _verdict: VoicemailVerdict,
    ) -> Result<VoicemailAction, AgentError> {
        Ok(VoicemailAction::HangUp)
    }

    /// The session is closing, and can still be read; or another agent takes over ([`EndCause::HandedOff`]). Given up
    /// after 5 s.
    async fn on_exit(&self, _session: SessionHandle, _reason: EndReason) -> Result<(), AgentError> {
        Ok(())
    }
}
