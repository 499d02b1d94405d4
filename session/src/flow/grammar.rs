//! What a caller may say at one step.

/// The phrases a recogniser should listen for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Grammar {
    /// Lower-case phrases, words separated by single spaces.
    pub phrases: Vec<String>,
}
