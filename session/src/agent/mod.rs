//! What a builder of agents implements, and the two smallest agents.

mod audio_by_rate;
mod echo;
mod play;

use async_trait::async_trait;
use offhook_media::control::Digit;

pub use audio_by_rate::AudioByRate;
pub use echo::EchoAgent;
pub use play::PlayAgent;

use crate::agent_session::{EndCause, EndReason, SayOptions, SessionHandle};
use crate::pii::Pii;

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

    /// The session is closing; it can still be read. Given up after 5 s.
    async fn on_exit(&self, _session: SessionHandle, _reason: EndReason) -> Result<(), AgentError> {
        Ok(())
    }
}
