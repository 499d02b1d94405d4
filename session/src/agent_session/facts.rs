//! What is known of a call from its beginning.

use std::fmt;
use std::sync::Arc;

use super::identity::IdentityFacts;
use crate::pii::Pii;

/// Names a call in logs, records and the control API.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(Arc<str>);

impl CallId {
    /// Wraps an identifier made elsewhere.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The identifier as written in logs.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who called whom, from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The far end called us.
    Inbound,
    /// We called the far end.
    Outbound,
}

impl Direction {
    /// As written in logs, records and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// What is known of a call from its beginning; it does not change while the call lasts.
#[derive(Clone, Debug)]
pub struct CallFacts {
    /// The call's name in logs and records.
    pub call_id: CallId,
    /// Who called whom.
    pub direction: Direction,
    /// The calling party as signalled.
    pub from: Pii<String>,
    /// The called party as signalled.
    pub to: Pii<String>,
    /// The trunk the call came or goes by, if one is configured for it.
    pub trunk: Option<Arc<str>>,
    /// Who calls, by everything that the call's headers say.
    pub identity: IdentityFacts,
    /// The far end's own headers (`X-…`), at most 32 and 4 KiB.
    pub headers: Vec<(String, Pii<String>)>,
}
