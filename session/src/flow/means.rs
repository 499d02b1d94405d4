//! What a flow reaches the world by, shared by all its calls.

use std::fmt;
use std::sync::Arc;

use super::colleagues::Colleagues;
use crate::provider::{Messages, Webhooks};

/// What a flow reaches the world by.
#[derive(Clone, Default)]
pub struct FlowMeans {
    /// What asks its webhooks. Without it none answers.
    pub webhooks: Option<Arc<dyn Webhooks>>,
    /// What keeps the messages that callers leave. Without it none is recorded.
    pub messages: Option<Arc<dyn Messages>>,
    /// Who else may take a caller over. Without it nobody does.
    pub colleagues: Option<Arc<dyn Colleagues>>,
}

impl fmt::Debug for FlowMeans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowMeans")
            .field("webhooks", &self.webhooks.is_some())
            .field("messages", &self.messages.is_some())
            .field("colleagues", &self.colleagues.is_some())
            .finish()
    }
}
