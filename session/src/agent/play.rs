//! The play agent: one piece of audio, repeated.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{Agent, AgentError};
use crate::agent_session::SessionHandle;
use crate::agent_session::resample::to_rate;
use crate::provider::{Audio, ProviderError};

/// Repeats one piece of audio until the caller hangs up. One serves every call: the samples are
/// shared, and converted once for each rate a leg has.
#[derive(Debug)]
pub struct PlayAgent {
    audio: Audio,
    by_rate: Mutex<BTreeMap<u32, Arc<[i16]>>>,
}

impl PlayAgent {
    /// Plays `audio`, of any rate.
    #[must_use]
    pub fn new(audio: Audio) -> Self {
        Self {
            audio,
            by_rate: Mutex::default(),
        }
    }

    /// The audio at a leg's rate.
    fn at_rate(&self, rate_hz: u32) -> Result<Audio, ProviderError> {
        let mut by_rate = self.by_rate.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = match by_rate.entry(rate_hz) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(new) => Arc::clone(new.insert(to_rate(self.audio.clone(), rate_hz)?)),
        };
        Ok(Audio {
            sample_rate_hz: rate_hz,
            samples,
        })
    }
}

#[async_trait]
impl Agent for PlayAgent {
    fn listens(&self) -> bool {
        false
    }

    async fn on_enter(&self, session: SessionHandle) -> Result<(), AgentError> {
        let audio = self.at_rate(session.sample_rate_hz())?;
        session.play_background_audio(audio, 0.0).await?;
        Ok(())
    }
}
