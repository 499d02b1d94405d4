//! Webhooks: programs of others that are told of a call and may answer.
//!
//! What asks them is a provider ([`crate::provider::Webhooks`]); who asks are a flow's steps and a language model by a
//! [`crate::tool::WebhookTool`].

mod url;

pub use url::WebhookUrl;

/// Whether a header field may be given to a request: a name of HTTP's, that is none of those a request is made of, and a
/// value of one line.
#[must_use]
pub fn is_settable_header(name: &str, value: &str) -> bool {
    const OURS: [&str; 9] = [
        "host",
        "content-length",
        "content-type",
        "transfer-encoding",
        "connection",
        "upgrade",
        "expect",
        "te",
        "trailer",
    ];
    let is_token =
        |symbol: char| symbol.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(symbol);
    !name.is_empty()
        && name.chars().all(is_token)
        && !OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name))
        && value
            .chars()
            .all(|symbol| symbol == ' ' || symbol.is_ascii_graphic())
}
