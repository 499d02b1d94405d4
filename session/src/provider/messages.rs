//! What keeps the messages that callers leave.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::agent_session::CallId;

/// A message that is to be written.
#[derive(Debug)]
pub struct NewMessage {
    /// For the leg: mono samples at its rate. The file is whole soon after this was dropped.
    pub ring: rtrb::Producer<i16>,
    /// Where it is or will be.
    pub file: PathBuf,
    /// How long it is, when it is whole; closed without a word when it could not be written.
    pub written: oneshot::Receiver<Duration>,
}

/// Keeps the messages that callers leave.
pub trait Messages: Send + Sync + 'static {
    /// Begins the message `name` of a call, in place of an earlier one of that name. `None` where none can be begun, which
    /// the log says.
    fn begin(&self, call: &CallId, name: &str, sample_rate_hz: u32) -> Option<NewMessage>;

    /// Removes a message that is whole: nothing was said in it.
    fn discard(&self, file: &Path);
}
