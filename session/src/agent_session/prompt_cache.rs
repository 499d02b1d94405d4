//! Prompts already synthesised, shared between calls.

/// Synthesised prompts by text, voice and rate.
#[derive(Debug, Default)]
pub struct PromptCache {}
