//! What reading a configuration found: mistakes, which stop the daemon, and warnings, which do not.

use std::fmt;

/// One thing about the configuration that somebody should know, with the place to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where the value was given: a file, an environment variable or a flag.
    pub source: String,
    /// The key, dotted from the root (`trunk.carrier.inbound_from`); empty when a whole file is meant.
    pub key: String,
    /// What is wrong or worth knowing, and what to do about it.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "{}: {}", self.source, self.what),
            key => write!(f, "{}: {key}: {}", self.source, self.what),
        }
    }
}

/// Everything that was found in one reading, in the order of the reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// The daemon does not start with these.
    pub mistakes: Vec<Finding>,
    /// The daemon starts, but does not do what these name.
    pub warnings: Vec<Finding>,
}

impl Findings {
    /// Keeps the value of an `Ok`; notes the mistake of an `Err`.
    pub(super) fn keep<T>(&mut self, result: Result<T, Finding>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(mistake) => {
                self.mistakes.push(mistake);
                None
            }
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.mistakes {
            writeln!(f, "mistake: {mistake}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Findings {}
