//! Texts that are made ready beside the call.

use std::sync::{Mutex, PoisonError};

use tokio::task::JoinSet;
use tracing::Instrument;

use crate::agent_session::Preparing;

/// Has texts synthesised, one after the other, while nobody waits for them: who says one joins the request under way.
/// Ends with the agent that has it.
#[derive(Debug, Default)]
pub(crate) struct Warming(Mutex<JoinSet<()>>);

impl Warming {
    /// Begins with `texts`, in their order.
    pub(crate) fn begin(&self, with: Preparing, texts: Vec<String>) {
        let warm = async move {
            for text in texts {
                // Who says it tries again, and tells.
                if with.warm(&text).await.is_err() {
                    return;
                }
            }
        };
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(warm.in_current_span());
    }
}
