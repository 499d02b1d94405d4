//! The echo agent: the caller hears the caller.

use async_trait::async_trait;

use super::{Agent, AgentError};
use crate::agent_session::SessionHandle;

/// Plays the caller's audio back, for tests and load. Holds nothing: one serves every call.
#[derive(Clone, Copy, Debug, Default)]
pub struct EchoAgent;

#[async_trait]
impl Agent for EchoAgent {
    fn listens(&self) -> bool {
        false
    }

    async fn on_enter(&self, session: SessionHandle) -> Result<(), AgentError> {
        session.loopback(true).await;
        Ok(())
    }
}
