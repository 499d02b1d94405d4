//! Messages that callers left, as the API shows them.

use offhook_session::agent_session::LeftMessage;
use serde::Serialize;

use super::milliseconds;

/// A message that a caller left.
#[derive(Debug, Serialize)]
pub(super) struct MessageEntry<'a> {
    name: &'a str,
    file: &'a str,
    duration_ms: u64,
    /// `silence`, `key`, `maximum`, `hang_up`.
    ended_by: &'static str,
}

impl<'a> MessageEntry<'a> {
    pub(super) fn of(message: &'a LeftMessage) -> Self {
        Self {
            name: &message.name,
            file: &message.file,
            duration_ms: milliseconds(message.duration),
            ended_by: message.end.as_str(),
        }
    }
}
