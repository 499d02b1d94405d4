//! What tells by the words whether a caller is done.

use async_trait::async_trait;

use super::ProviderError;
use crate::chat::ChatItem;
use crate::pii::Pii;

/// Tells how likely it is that a turn is over.
#[async_trait]
pub trait TurnDetector: Send + Sync + 'static {
    /// How likely it is, 0 to 1, that the caller, who said `turn` and is silent now, has nothing to add. `context` is
    /// the conversation before.
    ///
    /// # Errors
    /// When the provider fails; the pause is the longest then.
    async fn end_of_turn(
        &self,
        context: &[ChatItem],
        turn: &Pii<String>,
    ) -> Result<f32, ProviderError>;
}
