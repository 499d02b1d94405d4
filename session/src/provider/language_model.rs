//! What a language model implements.

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::ProviderError;
use crate::chat::{ChatItem, ToolCall};
use crate::pii::Pii;
use crate::tool::ToolSpec;

/// What a model is asked.
#[derive(Clone, Debug, Default)]
pub struct ModelRequest {
    /// How to behave, for the whole conversation.
    pub instructions: String,
    /// The conversation, oldest first. Further instructions for this answer alone are its last item.
    pub context: Vec<ChatItem>,
    /// What may be called; none where the answer has to be words.
    pub tools: Vec<ToolSpec>,
}

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelChunk {
    /// Words, to be said. Pieces are joined as they are, so they bring their own spaces.
    Text(Pii<String>),
    /// A call of a tool, complete.
    ToolCall(ToolCall),
}

/// What an answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelUsage {
    /// Tokens of the request.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
}

/// Words, and tool calls, from a conversation.
#[async_trait]
pub trait LanguageModel: Send + Sync + 'static {
    /// The model's name, in logs and metrics.
    fn model(&self) -> &str;

    /// Answers, piece by piece into `answer` as they come. Where nobody takes them any more the answer is not wanted.
    /// Dropping the future stops the work, also at the far end.
    ///
    /// # Errors
    /// When the provider fails, also in the middle; what was given before is kept.
    async fn generate(
        &self,
        request: ModelRequest,
        answer: mpsc::Sender<ModelChunk>,
    ) -> Result<ModelUsage, ProviderError>;
}
