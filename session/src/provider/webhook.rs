//! What asks programs of others over HTTP.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::ProviderError;
use crate::pii::Pii;

/// How a webhook is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebhookMethod {
    /// With the URL alone.
    Get,
    /// With a JSON body.
    #[default]
    Post,
    /// With a JSON body.
    Put,
}

impl WebhookMethod {
    /// The method of that name, in capitals.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Get, Self::Post, Self::Put]
            .into_iter()
            .find(|method| method.as_str() == name)
    }

    /// As HTTP spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }

    /// Whether a request has a body.
    #[must_use]
    pub const fn has_body(self) -> bool {
        match self {
            Self::Get => false,
            Self::Post | Self::Put => true,
        }
    }
}

/// A request that has not been sent.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookRequest {
    /// How.
    pub method: WebhookMethod,
    /// Where: `http:` or `https:`, without user and fragment.
    pub url: Pii<String>,
    /// Header fields beside those that every request has.
    pub headers: Arc<[(String, String)]>,
    /// A JSON text, where the method has a body.
    pub body: Option<Pii<String>>,
    /// How long it may take from the look-up of the host to the answer's last byte.
    pub deadline: Duration,
}

impl fmt::Debug for WebhookRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Header fields may hold a token.
        f.debug_struct("WebhookRequest")
            .field("method", &self.method)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Asks webhooks.
///
/// A redirection is not followed: who may be asked is for a configuration to say.
#[async_trait]
pub trait Webhooks: Send + Sync + 'static {
    /// The body of an answer that says success (2xx); 64 KiB at most. Dropping the future gives the request up.
    ///
    /// # Errors
    /// Everything else, in words that hold nothing of the request's and the answer's texts.
    async fn ask(&self, request: WebhookRequest) -> Result<Vec<u8>, ProviderError>;
}
