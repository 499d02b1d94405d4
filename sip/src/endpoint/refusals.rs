//! The answers that need no call.

use std::time::Instant;

use crate::ua_core::{Core, arrival::Arrival};
use crate::{
    invite::{ALLOW, SUPPORTED},
    message::{Method, Request, StatusCode},
};

impl Core {
    /// 200 to OPTIONS: what we could do with an INVITE (RFC 3261 11.2).
    pub(crate) fn answer_options(&mut self, arrival: &Arrival, now: Instant) {
        let capabilities = [
            ("Allow", ALLOW),
            ("Supported", SUPPORTED),
            ("Accept", "application/sdp"),
            ("Accept-Encoding", "identity"),
        ];
        self.answer(arrival, StatusCode::OK, &capabilities, now);
    }

    /// 481: there is no such dialog or transaction.
    pub(crate) fn answer_no_dialog(&mut self, arrival: &Arrival, now: Instant) {
        self.answer(
            arrival,
            StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST,
            &[],
            now,
        );
    }

    /// 500 to an INVITE that meets an open one of the same side (RFC 3261 14.2): come back within
    /// 10 s.
    pub(crate) fn answer_come_back(&mut self, arrival: &Arrival, now: Instant) {
        let wait = self.identifiers.below(11).to_string();
        let headers = [("Retry-After", wait.as_str())];
        self.answer(arrival, StatusCode::SERVER_INTERNAL_ERROR, &headers, now);
    }

    /// 503: a bound is reached. Nothing is kept for it.
    pub(crate) fn answer_overloaded(&mut self, arrival: &Arrival) {
        self.statistics.overloaded += 1;
        let wait = self.retry_after();
        let headers = [("Retry-After", wait.as_str())];
        self.answer_statelessly(arrival, StatusCode::SERVICE_UNAVAILABLE, &headers);
    }

    /// 503 to OPTIONS: take your calls elsewhere.
    pub(crate) fn answer_draining(&mut self, arrival: &Arrival, now: Instant) {
        let wait = self.retry_after();
        let headers = [("Retry-After", wait.as_str())];
        self.answer(arrival, StatusCode::SERVICE_UNAVAILABLE, &headers, now);
    }

    fn retry_after(&self) -> String {
        self.config.limits.retry_after.as_secs().max(1).to_string()
    }

    /// Refuses what we cannot serve whatever it is about (RFC 3261 8.2.1 to 8.2.3), in the order
    /// given there: the method, the scheme, the extensions, the encoding, the type of an INVITE's body.
    pub(crate) fn refuse_unservable(&mut self, arrival: &Arrival, now: Instant) -> bool {
        let request = &arrival.request;
        if !is_served(&request.method) {
            let status = if request.method.is_known() {
                StatusCode::METHOD_NOT_ALLOWED
            } else {
                StatusCode::NOT_IMPLEMENTED
            };
            self.answer(arrival, status, &[("Allow", ALLOW)], now);
            return true;
        }
        if !matches!(request.uri.scheme(), "sip" | "sips" | "tel") {
            self.answer(arrival, StatusCode::UNSUPPORTED_URI_SCHEME, &[], now);
            return true;
        }
        let unknown = |tag: &&str| {
            let mut supported = SUPPORTED.split(", ");
            !supported.any(|supported| supported.eq_ignore_ascii_case(tag))
        };
        let required = request.headers.require();
        let required: Vec<&str> = required.into_iter().filter(unknown).collect();
        let required = required.join(", ");
        if !required.is_empty() {
            let headers = [("Unsupported", required.as_str())];
            self.answer(arrival, StatusCode::BAD_EXTENSION, &headers, now);
            return true;
        }
        let encodings = request.headers.tokens("Content-Encoding");
        if !request.body.is_empty()
            && encodings
                .into_iter()
                .any(|encoding| !encoding.eq_ignore_ascii_case("identity"))
        {
            let headers = [("Accept-Encoding", "identity")];
            self.answer(arrival, StatusCode::UNSUPPORTED_MEDIA_TYPE, &headers, now);
            return true;
        }
        if request.method == Method::Invite && !is_readable(request) {
            let headers = [("Accept", "application/sdp, multipart/mixed")];
            self.answer(arrival, StatusCode::UNSUPPORTED_MEDIA_TYPE, &headers, now);
            return true;
        }
        false
    }
}

/// Whether a session may be described in the body, or the body is one that may be read past (RFC 3261
/// 20.11). What is in a multipart is for who reads it.
fn is_readable(request: &Request) -> bool {
    let Some(content_type) = request
        .headers
        .content_type()
        .filter(|_| !request.body.is_empty())
    else {
        return true;
    };
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let multipart = kind
        .get(..10)
        .is_some_and(|kind| kind.eq_ignore_ascii_case("multipart/"));
    let disposition = request
        .headers
        .get("Content-Disposition")
        .unwrap_or_default();
    let optional = disposition.split(';').any(|parameter| {
        let is = |half: &str, word| half.trim().eq_ignore_ascii_case(word);
        let halves = parameter.split_once('=');
        halves.is_some_and(|(name, value)| is(name, "handling") && is(value, "optional"))
    });
    multipart || optional || kind.eq_ignore_ascii_case("application/sdp")
}

/// Whether [`ALLOW`] names it.
fn is_served(method: &Method) -> bool {
    match method {
        Method::Invite
        | Method::Ack
        | Method::Bye
        | Method::Cancel
        | Method::Options
        | Method::Info
        | Method::Prack
        | Method::Update
        | Method::Refer
        | Method::Notify => true,
        Method::Register
        | Method::Subscribe
        | Method::Message
        | Method::Publish
        | Method::Extension(_) => false,
    }
}
