//! By which names the listener is reached.
//!
//! The owner of a web page can let its name mean 127.0.0.1, and its script, run by an operator's browser, could
//! then read callers' numbers from us (DNS rebinding). Such requests carry that name, and are refused. What
//! names an address was not led here by anybody's name.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Lets requests through that name us; those without a host come from no browser.
pub(super) async fn check(
    State(names): State<Arc<[String]>>,
    request: Request,
    next: Next,
) -> Response {
    let authority = request.uri().authority().map(Authority::as_str);
    let headers = request.headers().get_all(header::HOST).iter();
    // A header that is no text is nobody's name.
    let headers = headers.map(|host| host.to_str().unwrap_or_default());
    if authority
        .into_iter()
        .chain(headers)
        .all(|host| is_ours(host, &names))
    {
        return next.run(request).await;
    }
    let refusal = "not a name of this host: control.names lists those it has\n";
    (StatusCode::MISDIRECTED_REQUEST, refusal).into_response()
}

/// Whether `host`, with or without a port, is an address, localhost or one of `names`.
fn is_ours(host: &str, names: &[String]) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(|ours| name.eq_ignore_ascii_case(ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_the_configured_names_are_ours_and_nothing_else() {
        let names = ["offhook.example.net".to_owned()];
        for ours in [
            "127.0.0.1",
            "127.0.0.1:8060",
            "[::1]:8060",
            "192.0.2.1",
            "localhost",
            "LOCALHOST:8060",
            "offhook.example.net:8060",
            "Offhook.Example.NET",
        ] {
            assert!(is_ours(ours, &names), "{ours}");
        }
        for other in [
            "",
            "evil.example",
            "evil.example:8060",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "offhook.example.net.evil.example",
            "evil.offhook.example.net",
            "[::1",
            "localhost/",
        ] {
            assert!(!is_ours(other, &names), "{other}");
        }
    }
}
