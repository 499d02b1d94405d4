//! A webhook as a tool of a language model.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Tool, ToolError, ToolOutput, ToolSpec};
use crate::agent_session::SessionHandle;
use crate::pii::Pii;
use crate::provider::{WebhookMethod, WebhookRequest, Webhooks};
use crate::webhook::WebhookUrl;

/// A tool that asks a program of others: the model's arguments go there as JSON, and the answer's body comes back to the
/// model as it is.
///
/// `{call_id}` in the URL stands for the call, any other name for the argument of that name, where that is a string, a
/// number or a truth value. A method with a body sends `{"call": {"id": …}, "arguments": {…}}`.
pub struct WebhookTool {
    spec: ToolSpec,
    webhooks: Arc<dyn Webhooks>,
    method: WebhookMethod,
    url: WebhookUrl,
    headers: Arc<[(String, String)]>,
    deadline: Duration,
}

impl WebhookTool {
    /// A tool that posts to `url`. It may take 5 s.
    #[must_use]
    pub fn new(spec: ToolSpec, webhooks: Arc<dyn Webhooks>, url: WebhookUrl) -> Self {
        Self {
            spec,
            webhooks,
            method: WebhookMethod::Post,
            url,
            headers: Arc::new([]),
            deadline: Duration::from_secs(5),
        }
    }

    /// With another method.
    #[must_use]
    pub fn with_method(self, method: WebhookMethod) -> Self {
        Self { method, ..self }
    }

    /// With header fields; see [`crate::webhook::is_settable_header`].
    #[must_use]
    pub fn with_headers(self, headers: Arc<[(String, String)]>) -> Self {
        Self { headers, ..self }
    }

    /// With another deadline.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    fn request(&self, arguments: &Value, session: &SessionHandle) -> WebhookRequest {
        let call_id = session.facts().call_id.as_str();
        let url = self.url.fill_in(|name| match (name, arguments.get(name)) {
            ("call_id", _) => Some(Cow::Borrowed(call_id)),
            (_, Some(Value::String(text))) => Some(Cow::Borrowed(text.as_str())),
            (_, Some(value @ (Value::Number(_) | Value::Bool(_)))) => {
                Some(Cow::Owned(value.to_string()))
            }
            (_, Some(Value::Null | Value::Array(_) | Value::Object(_)) | None) => None,
        });
        let body = json!({ "call": { "id": call_id }, "arguments": arguments });
        WebhookRequest {
            method: self.method,
            url: Pii::new(url),
            headers: Arc::clone(&self.headers),
            body: self.method.has_body().then(|| Pii::new(body.to_string())),
            deadline: self.deadline,
        }
    }
}

impl std::fmt::Debug for WebhookTool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookTool")
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Tool for WebhookTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    /// A second more than the request has, so that the model hears why there is no answer.
    fn deadline(&self) -> Duration {
        self.deadline + Duration::from_secs(1)
    }

    async fn call(
        &self,
        arguments: Value,
        session: SessionHandle,
    ) -> Result<ToolOutput, ToolError> {
        let request = self.request(&arguments, &session);
        match self.webhooks.ask(request).await {
            Ok(body) => match String::from_utf8(body) {
                Ok(text) => Ok(text.into()),
                Err(_) => Err(ToolError::new("the answer is no text")),
            },
            Err(error) => Err(ToolError::new(error.to_string())),
        }
    }
}
