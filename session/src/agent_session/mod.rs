//! The agent session: one actor a call.

/// A cloneable handle to a session.
#[derive(Clone, Debug)]
pub struct SessionHandle {}

impl SessionHandle {
    /// Lets what is speaking drain, then ends the call.
    pub async fn hangup(&self) {}
}
