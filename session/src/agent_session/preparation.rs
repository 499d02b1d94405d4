//! What an agent gets ready before it enters: while the far end of a call of ours rings, or as the session begins.
//!
//! ```text
//! outbound: dialing ── prepare ─────────────┐            inbound: session ── prepare ──┐
//!           ringing … answered ── gate ── on_enter                answered ── gate ── on_enter
//! ```
//!
//! A session begins with the answer, since it needs a leg, whose rate the answer settles. What it is prepared with begins
//! beside it and is latched: an agent enters at once when its preparation is over, however long ago, and never before. It
//! has a deadline, after which the agent enters without.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::try_join_all;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::Instrument;

use super::facts::CallFacts;
use super::providers::Providers;
use crate::agent::Agent;
use crate::provider::ProviderError;

/// How long an agent may prepare itself, where nobody says otherwise.
pub(super) const PREPARATION_DEADLINE: Duration = Duration::from_secs(5);

/// What there is to prepare with.
#[derive(Clone, Debug)]
pub struct Preparing {
    /// The call.
    pub facts: CallFacts,
    /// What the session will speak and listen with.
    pub providers: Providers,
    /// The rates that the leg may have, in Hz: of an answered call one, of one that rings those of the codecs offered.
    pub sample_rates_hz: Arc<[u32]>,
}

impl Preparing {
    /// Has a text ready, so that saying it waits for no voice; without a voice this does nothing.
    ///
    /// # Errors
    /// When the voice fails.
    pub async fn warm(&self, text: &str) -> Result<(), ProviderError> {
        let Some(voice) = &self.providers.voice else {
            return Ok(());
        };
        // Side by side: only one of the rates will be wanted, and nobody knows which.
        let rates = self.sample_rates_hz.iter();
        try_join_all(rates.map(|rate_hz| self.providers.prompts.warm(voice, text, *rate_hz)))
            .await
            .map(|_| ())
    }
}

/// Why an agent was not prepared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unprepared {
    /// Its `prepare` failed.
    #[error("{0}")]
    Failed(Arc<str>),
    /// It took too long and was given up.
    #[error("not ready within {0:?}")]
    TimedOut(Duration),
}

/// A preparation under way, or over. Clones follow the same one; it is given up with the last of them.
#[derive(Clone)]
pub struct Preparation {
    outcome: watch::Receiver<Option<Result<(), Unprepared>>>,
    _task: Arc<Task>,
}

struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Preparation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Preparation")
            .field(&*self.outcome.borrow())
            .finish()
    }
}

impl Preparation {
    /// Has `agent` prepare itself, for 5 s at most.
    #[must_use]
    pub fn begin(agent: Arc<dyn Agent>, with: Preparing) -> Self {
        Self::within(PREPARATION_DEADLINE, agent, with)
    }

    /// The same with another deadline.
    #[must_use]
    pub fn within(deadline: Duration, agent: Arc<dyn Agent>, with: Preparing) -> Self {
        let (tell, outcome) = watch::channel(None);
        let task = async move {
            let prepare = std::panic::AssertUnwindSafe(agent.prepare(with)).catch_unwind();
            let result = match timeout(deadline, prepare).await {
                Ok(Ok(Ok(()))) => Ok(()),
                Ok(Ok(Err(error))) => Err(Unprepared::Failed(error.to_string().into())),
                Ok(Err(_)) => Err(Unprepared::Failed("it panicked".into())),
                Err(_) => Err(Unprepared::TimedOut(deadline)),
            };
            match &result {
                Ok(()) => tracing::debug!("the agent is prepared"),
                Err(error) => tracing::warn!(%error, "the agent is not prepared"),
            }
            tell.send_replace(Some(result));
        };
        Self {
            outcome,
            _task: Arc::new(Task(tokio::spawn(task.in_current_span()))),
        }
    }

    /// Waits until it is over; at once when it is.
    ///
    /// # Errors
    /// Why the agent is not prepared.
    pub async fn finished(&self) -> Result<(), Unprepared> {
        let mut outcome = self.outcome.clone();
        let over = outcome.wait_for(Option::is_some).await;
        let over = over.ok().and_then(|result| result.clone());
        // The task only ends without a word with its runtime.
        over.unwrap_or_else(|| Err(Unprepared::Failed("it was given up".into())))
    }
}
