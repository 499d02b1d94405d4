//! Asking a webhook, what the caller hears meanwhile, and what the log says of it.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::conversation::Input;
use crate::agent_session::{SessionHandle, UtteranceHandle};
use crate::provider::{ProviderError, WebhookRequest, Webhooks};

/// How much later than its deadline an answer may come: then the provider is at fault.
const GRACE: Duration = Duration::from_millis(500);

/// Asks, and comes back with the answer or with there being none. What was said before is heard to its end, however soon
/// there is an answer; after it the caller hears that somebody thinks.
pub(super) async fn ask(
    webhooks: Option<&dyn Webhooks>,
    request: WebhookRequest,
    last_words: Option<&UtteranceHandle>,
    session: &SessionHandle,
) -> Input {
    let mut answer = pin!(answer(webhooks, request, session));
    let said = async {
        if let Some(last_words) = last_words {
            last_words.wait().await;
        }
    };
    let mut said = pin!(said);
    tokio::select! {
        biased;
        input = &mut answer => {
            said.await;
            return input;
        }
        () = &mut said => {}
    }
    session.start_thinking_audio().await;
    let input = answer.await;
    session.stop_thinking_audio().await;
    input
}

async fn answer(
    webhooks: Option<&dyn Webhooks>,
    request: WebhookRequest,
    session: &SessionHandle,
) -> Input {
    let began = Instant::now();
    // The deadline is the provider's to keep; one that does not is not waited for much longer.
    let deadline = request.deadline + GRACE;
    let answer = match webhooks {
        Some(webhooks) => timeout(deadline, webhooks.ask(request))
            .await
            .unwrap_or(Err(ProviderError::TimedOut(deadline))),
        None => Err(ProviderError::Unavailable("no webhook can be asked".into())),
    };
    let call_id = &session.facts().call_id;
    let after_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    match answer {
        Ok(body) => {
            info!(%call_id, after_ms, bytes = body.len(), "a webhook answered");
            Input::Answered(body)
        }
        Err(error) => {
            warn!(%call_id, after_ms, %error, "a webhook gave no answer");
            Input::NotAnswered
        }
    }
}
