//! What one usage answers challenges with (RFC 3261 22.2).

use crate::digest::{Credentials, DigestClient};
use crate::message::{Headers, Method, Request, Response, StatusCode, Uri};

use super::Core;

/// Credentials, and what the far ends have said about them so far.
#[derive(Debug)]
pub(crate) struct Account {
    credentials: Credentials,
    client: DigestClient,
}

impl Account {
    pub(crate) fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            client: DigestClient::default(),
        }
    }

    /// Whether a response asks who we are.
    pub(crate) fn is_challenge(status: StatusCode) -> bool {
        status == StatusCode::UNAUTHORIZED || status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
    }

    /// Puts the answer to a challenge into `request`, which is the one that was challenged. `false` when it
    /// cannot be answered, or was answered in vain: then the refusal is final.
    pub(crate) fn answer(
        &mut self,
        core: &mut Core,
        request: &mut Request,
        challenge: &Response,
    ) -> bool {
        let cnonce = core.identifiers.tag();
        match self
            .client
            .answer(challenge, request, &self.credentials, &cnonce)
        {
            Ok(answers) => {
                request.headers.remove("Authorization");
                request.headers.remove("Proxy-Authorization");
                for (name, value) in answers {
                    request.headers.push(name, value);
                }
                true
            }
            Err(error) => {
                tracing::debug!(%error, "a challenge is not answered");
                false
            }
        }
    }

    /// Answers anew what `request` answers, if it does: it is sent once more, and its nonce is used once more.
    pub(crate) fn answer_anew(&mut self, core: &mut Core, request: &mut Request) {
        if authorization_in(&request.headers).is_empty() {
            return;
        }
        let answers = self.authorize(core, &request.method, &request.uri, &request.body);
        request.headers.remove("Authorization");
        request.headers.remove("Proxy-Authorization");
        for (name, value) in answers {
            request.headers.push(&name, value);
        }
    }

    /// What a new request says of itself, when challenges were answered before.
    pub(crate) fn authorize(
        &mut self,
        core: &mut Core,
        method: &Method,
        uri: &Uri,
        body: &[u8],
    ) -> Vec<(String, String)> {
        let cnonce = core.identifiers.tag();
        let uri = uri.to_string();
        self.client
            .authorize(method, &uri, body, &self.credentials, &cnonce)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

/// The headers that answer challenges.
pub(crate) fn authorization_in(headers: &Headers) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| {
            name.eq_ignore_ascii_case("Authorization")
                || name.eq_ignore_ascii_case("Proxy-Authorization")
        })
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
