//! Webhooks against real servers on loopback: those that answer, and those that do everything else.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Redirect;
use axum::routing::{get, post};
use offhook_session::pii::Pii;
use offhook_session::provider::WebhookMethod;
use rustls::RootCertStore;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::*;

fn request(url: String) -> WebhookRequest {
    WebhookRequest {
        method: WebhookMethod::Post,
        url: Pii::new(url),
        headers: Arc::new([("X-Desk".to_owned(), "front".to_owned())]),
        body: Some(Pii::new("{\"said\":\"hello\"}".to_owned())),
        deadline: Duration::from_secs(20),
    }
}

fn webhooks() -> HttpWebhooks {
    HttpWebhooks::with_connector(tls::anonymous_connector(RootCertStore::empty()))
}

/// A server on loopback; the address of its root.
async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// A server that does with each connection what it is told to.
async fn serve_bytes(answer: &'static [u8], then_hangs: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 1_024];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer).await;
            if then_hangs {
                open.push(stream);
            }
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_request_comes_as_it_was_written_and_its_answer_comes_back() {
    let echo = post(|headers: HeaderMap, body: String| async move {
        let header = |name: &str| headers[name].to_str().unwrap_or("").to_owned();
        let names = ["x-desk", "content-type", "connection", "user-agent"];
        format!("{} {body}", names.map(header).join(" "))
    });
    let root = serve(Router::new().route("/by/{name}", echo)).await;
    let answer = webhooks().ask(request(format!("{root}/by/a%2Fb"))).await;
    let us = concat!("offhook/", env!("CARGO_PKG_VERSION"));
    let expected = format!("front application/json close {us} {{\"said\":\"hello\"}}");
    assert_eq!(String::from_utf8(answer.unwrap()).unwrap(), expected);
}

#[tokio::test]
async fn a_query_may_stand_at_the_root_and_what_is_accepted_may_be_said() {
    let echo = post(|headers: HeaderMap, RawQuery(query): RawQuery| async move {
        let accepted = headers.get_all("accept").iter();
        let accepted: Vec<_> = accepted.map(|value| value.to_str().unwrap_or("")).collect();
        format!("{} {}", accepted.join("+"), query.unwrap_or_default())
    });
    let root = serve(Router::new().route("/", echo)).await;
    for (header, expected) in [
        ("X-Desk", "application/json number=47"),
        ("Accept", "front number=47"),
    ] {
        let request = WebhookRequest {
            headers: Arc::new([(header.to_owned(), "front".to_owned())]),
            ..request(format!("{root}?number=47"))
        };
        let answer = webhooks().ask(request).await;
        assert_eq!(String::from_utf8(answer.unwrap()).unwrap(), expected);
    }
}

#[tokio::test]
async fn a_get_has_no_body() {
    let (asked, mut bodies) = mpsc::channel(1);
    let told = get(|body: String| async move {
        asked.send(body).await.unwrap();
        StatusCode::NO_CONTENT
    });
    let root = serve(Router::new().route("/", told)).await;
    let request = WebhookRequest {
        method: WebhookMethod::Get,
        body: None,
        ..request(root)
    };
    assert_eq!(webhooks().ask(request).await, Ok(Vec::new()));
    assert_eq!(bodies.recv().await.unwrap(), "");
}

#[tokio::test]
async fn what_is_no_success_is_refused_and_a_redirection_is_not_followed() {
    let (followed, mut visits) = mpsc::channel::<()>(1);
    let trap = get(|| async move { followed.send(()).await.unwrap() });
    let router = Router::new()
        .route("/sent-away", post(|| async { Redirect::to("/trap") }))
        .route("/trap", trap.clone().post(|| async {}))
        .route(
            "/fault",
            post(|| async { StatusCode::INTERNAL_SERVER_ERROR }),
        );
    let root = serve(router).await;
    for (path, status) in [
        ("sent-away", "status 303"),
        ("fault", "status 500"),
        ("none", "status 404"),
    ] {
        let answer = webhooks().ask(request(format!("{root}/{path}"))).await;
        let Err(ProviderError::Refused(why)) = &answer else {
            panic!("{path}: {answer:?}");
        };
        assert!(why.starts_with(status), "{why}");
    }
    assert!(visits.try_recv().is_err());
}

#[tokio::test]
async fn an_answer_of_64_kib_is_read_and_one_more_byte_is_too_much() {
    let of = |length: usize| post(move || async move { "x".repeat(length) });
    let router = Router::new()
        .route("/most", of(LONGEST_ANSWER))
        .route("/more", of(LONGEST_ANSWER + 1));
    let root = serve(router).await;
    let most = webhooks().ask(request(format!("{root}/most"))).await;
    assert_eq!(most.map(|body| body.len()), Ok(LONGEST_ANSWER));
    let more = webhooks().ask(request(format!("{root}/more"))).await;
    assert!(matches!(more, Err(ProviderError::Refused(_))), "{more:?}");
}

#[tokio::test]
async fn an_answer_without_end_is_given_up_at_its_bound() {
    let endless = post(|| async {
        let pieces = futures_util::stream::repeat_with(|| Ok::<_, io::Error>("x".repeat(8_192)));
        Body::from_stream(pieces)
    });
    let root = serve(Router::new().route("/", endless)).await;
    let answer = webhooks().ask(request(root)).await;
    assert!(
        matches!(answer, Err(ProviderError::Refused(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_server_that_hangs_costs_its_deadline_wherever_it_hangs() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1234";
    for answer in [&b""[..], b"HTTP/1.1 200", head] {
        let root = serve_bytes(answer, true).await;
        let deadline = Duration::from_millis(200);
        let request = WebhookRequest {
            deadline,
            ..request(root)
        };
        let began = Instant::now();
        let answer = webhooks().ask(request).await;
        assert_eq!(answer, Err(ProviderError::TimedOut(deadline)));
        assert!(began.elapsed() >= deadline);
    }
}

#[tokio::test]
async fn garbage_an_endless_head_and_an_answer_that_breaks_off_are_no_answers() {
    let head = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(100_000));
    let endless: &'static str = Box::leak(head.into_boxed_str());
    let garbage: [&'static [u8]; 4] = [
        b"220 mail.example ESMTP\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1234",
        endless.as_bytes(),
    ];
    for bytes in garbage {
        let answer = webhooks()
            .ask(request(serve_bytes(bytes, false).await))
            .await;
        assert!(
            matches!(
                answer,
                Err(ProviderError::Died(_) | ProviderError::Unavailable(_))
            ),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn nobody_there_and_no_such_host_are_told_apart_from_an_answer() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    for url in [
        format!("http://{address}/"),
        "http://no-such-host.invalid/".to_owned(),
    ] {
        let answer = webhooks().ask(request(url)).await;
        assert!(
            matches!(answer, Err(ProviderError::Unavailable(_))),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn one_more_than_there_are_places_fails_at_once_and_a_place_comes_back() {
    let root = serve_bytes(b"", true).await;
    let webhooks = webhooks();
    let mut hanging = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (webhooks, request) = (webhooks.clone(), request(root.clone()));
        hanging.spawn(async move { webhooks.ask(request).await });
    }
    while webhooks.places.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let full = webhooks.ask(request(root.clone())).await;
    assert_eq!(full, Err(ProviderError::Overloaded(AT_ONCE)));
    // Whoever asked does not want to know any more: the call ended.
    hanging.shutdown().await;
    let back = async {
        while webhooks.places.available_permits() < AT_ONCE {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), back)
        .await
        .expect("places");
    let answers = serve_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", false).await;
    assert_eq!(webhooks.ask(request(answers)).await, Ok(b"{}".to_vec()));
}

#[tokio::test]
async fn over_tls_whoever_has_a_certificate_that_is_believed_is_asked_and_nobody_else() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut head = [0; 1_024];
            let _ = stream.read(&mut head).await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
    });
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let believing = HttpWebhooks::with_connector(tls::anonymous_connector(roots));
    let url = |host: &str| request(format!("https://{host}:{port}/"));
    assert_eq!(believing.ask(url("localhost")).await, Ok(b"{}".to_vec()));
    // The certificate is for a name, and believed by those who know it.
    for (asker, host) in [(believing, "127.0.0.1"), (webhooks(), "localhost")] {
        let answer = asker.ask(url(host)).await;
        assert!(
            matches!(answer, Err(ProviderError::Unavailable(_))),
            "{answer:?}"
        );
    }
}
