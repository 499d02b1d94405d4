//! What is wrong with a flow file.

use std::fmt;

/// One mistake in a flow file, with the key it is at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowMistake {
    /// The key's path, as in `step.welcome.expect[0].then`; empty when it is the file as a whole.
    pub key: String,
    /// What is wrong there.
    pub what: String,
}

impl FlowMistake {
    pub(super) fn new(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            what: what.into(),
        }
    }
}

impl fmt::Display for FlowMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            return f.write_str(&self.what);
        }
        write!(f, "{}: {}", self.key, self.what)
    }
}

impl std::error::Error for FlowMistake {}
