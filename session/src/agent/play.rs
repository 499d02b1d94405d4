//! The play agent: one piece of audio, repeated.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Agent, AgentError, AudioByRate};
use crate::agent_session::{BackgroundOptions, SessionHandle};
use crate::provider::Audio;

/// Repeats one piece of audio until the caller hangs up. One serves every call: the samples are
/// shared.
#[derive(Debug)]
pub struct PlayAgent {
    audio: Arc<AudioByRate>,
}

impl PlayAgent {
    /// Plays `audio`, of any rate.
    #[must_use]
    pub fn new(audio: Audio) -> Self {
        Arc::new(AudioByRate::new(audio)).into()
    }
}

impl From<Arc<AudioByRate>> for PlayAgent {
    fn from(audio: Arc<AudioByRate>) -> Self {
        Self { audio }
    }
}

#[async_trait]
impl Agent for PlayAgent {
    fn listens(&self) -> bool {
        false
    }

    async fn on_enter(&self, session: SessionHandle) -> Result<(), AgentError> {
        let audio = self.audio.at_rate(session.sample_rate_hz())?;
        session
            .play_background_audio(audio, BackgroundOptions::default())
            .await?;
        Ok(())
    }
}
