//! The listener over a real socket, with requests as literal bytes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::call_directory::tests::call;
use super::*;

struct Running {
    address: std::net::SocketAddr,
    control: Control,
    stop: oneshot::Sender<()>,
    server: tokio::task::JoinHandle<io::Result<()>>,
}

fn start() -> Running {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let control = Control {
        health: Arc::new(Health::new(Instant::now())),
        calls: Arc::default(),
        metrics: Metrics::unconnected(),
        config: Arc::new(crate::config::tests::smallest()),
        commands: tokio::sync::mpsc::channel(1).0,
        captures: Arc::new(Captures::new(None)),
        names: Arc::new(["offhook.example.net".to_owned()]),
    };
    let (stop, stopped) = oneshot::channel();
    let stopped = async move {
        let _ = stopped.await;
    };
    let server = tokio::spawn(control.clone().serve(listener, stopped));
    Running {
        address,
        control,
        stop,
        server,
    }
}

impl Running {
    /// The status line with the headers, and the body.
    async fn get(&self, path: &str) -> (String, String) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let response = self.ask(&request).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    /// All that is answered to a request before the connection is closed.
    async fn ask(&self, request: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        Ok(response)
    }
}

#[tokio::test]
async fn readiness_names_what_is_missing_and_health_stays() {
    let running = start();
    assert!(running.get("/readyz").await.0.starts_with("HTTP/1.1 200"));

    let signalling = running
        .control
        .health
        .watch("signalling", Duration::from_secs(60));
    let (head, body) = running.get("/readyz").await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert_eq!(body, "signalling has not started\n");

    signalling.beat(Instant::now());
    running.control.health.start_draining();
    let (head, body) = running.get("/readyz").await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert_eq!(body, "draining: live calls end, new ones are refused\n");
    assert!(running.get("/healthz").await.0.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn live_calls_are_listed_as_json() {
    let running = start();
    for id in ["c-1", "c-2", "c-3"] {
        running.control.calls.insert(call(id, Instant::now()));
    }
    let (head, body) = running.get("/v1/calls?limit=2").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let list: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(list["count"], 3);
    assert_eq!(list["calls"].as_array().unwrap().len(), 2);
    assert_eq!(list["calls"][0]["from"], "sip:<b>eve</b>@192.0.2.1");
    assert_eq!(list["calls"][0]["state"], "ringing");
    assert_eq!(list["calls"][0]["started_ms"], 1_000_000);
    // What nobody has said yet is left out.
    let nothing = serde_json::json!({ "heard": {}, "sent": {}, "reports_heard": 0 });
    assert_eq!(list["calls"][0]["quality"], nothing);
}

#[tokio::test]
async fn one_call_is_shown_while_it_is_up_and_a_problem_afterwards() {
    let running = start();
    running.control.calls.insert(call("c-1", Instant::now()));
    let (head, body) = running.get("/v1/calls/c-1").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let shown: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(shown["id"], "c-1");
    assert_eq!(shown["agent"], "echo");
    running.control.calls.remove("c-1");
    let (head, body) = running.get("/v1/calls/c-1").await;
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    assert!(head.contains("application/problem+json"), "{head}");
    let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(problem["detail"], "there is no such call");
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_a_problem_document() {
    let running = start();
    for path in [
        "/v1/calls?limit=many",
        "/v1/route?to=1",
        "/v1/route?to=1&from=x",
    ] {
        let (head, body) = running.get(path).await;
        assert!(head.starts_with("HTTP/1.1 400"), "{path}: {head}");
        assert!(head.contains("application/problem+json"), "{path}: {head}");
        assert!(
            body.contains("\"title\":\"the query cannot be read\""),
            "{body}"
        );
    }
}

#[tokio::test]
async fn nobody_is_sent_to_what_is_no_address() {
    let running = start();
    for target in ["1234", "http://x", "sip:", "sip:a@b\\r\\nX: y", "<sip:a@b>"] {
        let body = format!("{{\"target\":\"{target}\"}}");
        let request = format!(
            "POST /v1/calls/c-1/transfer HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = running.ask(&request).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{target}: {answer}");
        assert!(answer.contains("is no sip:, sips: or tel:"), "{answer}");
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere_and_writes_no_markup() {
    let running = start();
    let (head, body) = running.get("/").await;
    assert!(
        head.contains("content-security-policy: default-src 'none'"),
        "{head}"
    );
    assert!(head.contains("text/html"), "{head}");
    let script = running.get("/console.js").await.1;
    let style = running.get("/console.css").await.1;
    for text in [&body, &script, &style] {
        assert!(!text.contains("://"), "an outside resource");
    }
    // A row's cells stand below their headings in the order of the script.
    for columns in [
        &["From", "To", "Trunk", "Agent", "State", "Duration", "Id"][..],
        &["Name", "Address", "Health", "Registration", "Calls"],
    ] {
        let heading = |name| format!("<th scope=\"col\" role=\"columnheader\">{name}</th>");
        let headings: String = columns.iter().map(heading).collect();
        assert!(body.contains(&headings), "{headings}");
        for name in columns {
            assert!(script.contains(&format!("[\"{name}\", ")), "{name}");
        }
    }
    // Text of callers goes into the page as text.
    for writes_markup in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
    ] {
        assert!(!script.contains(writes_markup), "{writes_markup}");
    }
}

#[tokio::test]
async fn metrics_are_prometheus_text_and_a_stop_ends_the_listener() {
    let running = start();
    let (head, _) = running.get("/metrics").await;
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    running.stop.send(()).unwrap();
    running.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn who_asks_for_another_host_learns_nothing_of_the_calls() {
    let running = start();
    running.control.calls.insert(call("c-1", Instant::now()));
    for (target, host, status) in [
        ("/v1/calls", "Host: localhost\r\n", "200"),
        ("/v1/calls", "Host: 127.0.0.1:8060\r\n", "200"),
        ("/v1/calls", "Host: offhook.example.net\r\n", "200"),
        ("/v1/calls", "Host: evil.example\r\n", "421"),
        (
            "/v1/calls",
            "Host: localhost\r\nHost: evil.example\r\n",
            "421",
        ),
        ("http://evil.example/v1/calls", "Host: localhost\r\n", "421"),
        ("/", "Host: evil.example:8060\r\n", "421"),
    ] {
        let response = running
            .ask(&format!("GET {target} HTTP/1.1\r\n{host}\r\n"))
            .await
            .unwrap();
        assert_eq!(response.split(' ').nth(1), Some(status), "{target} {host}");
        let shows_the_call = response.contains("c-1");
        assert_eq!(shows_the_call, status == "200", "{target} {host}");
    }
    let probe = running.ask("GET /healthz HTTP/1.0\r\n\r\n").await.unwrap();
    assert!(probe.starts_with("HTTP/1.0 200"), "{probe}");
}

#[tokio::test]
async fn a_connection_too_many_is_closed_and_there_is_room_again_when_one_ends() {
    let running = start();
    let mut held = Vec::new();
    for _ in 0..connections::CONNECTIONS {
        held.push(TcpStream::connect(running.address).await.unwrap());
    }
    let mut too_many = TcpStream::connect(running.address).await.unwrap();
    assert_eq!(too_many.read(&mut [0]).await.unwrap(), 0);

    held.pop();
    let served = async {
        let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        // Until the end of the other was noticed, this one is closed too.
        while !running
            .ask(request)
            .await
            .is_ok_and(|response| response.starts_with("HTTP/1.1 200"))
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), served)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn half_a_request_is_not_waited_for() {
    let running = start();
    let began = tokio::time::Instant::now();
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: loc")
        .await
        .unwrap();
    // An end or a reset: what was asked by halves is thrown away.
    assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
    assert!(began.elapsed() >= connections::REQUEST_TIME);
}

#[tokio::test]
async fn a_capture_is_a_file_with_its_counts_and_a_problem_where_there_is_none() {
    let running = start();
    let (head, _) = running.get("/v1/calls/c-1/capture").await;
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    let captures = &running.control.captures;
    let call = offhook_session::agent_session::CallId::new("c-1");
    let began = captures.begin(&call, Instant::now(), false).unwrap();
    let ends = (running.address, running.address);
    captures.message(&call, began, Instant::now(), ends, b"BYE");
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let request = b"GET /v1/calls/c-1/capture HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|at| at == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    for line in [
        "http/1.1 200 ok",
        "content-type: application/vnd.tcpdump.pcap",
        "offhook-packets: 1",
        "offhook-packets-dropped: 0",
    ] {
        assert!(head.contains(line), "{head}");
    }
    let file = &answer[end + 4..];
    assert_eq!(file.len(), 24 + 16 + 28 + 3);
    assert!(file.ends_with(b"BYE"));
    captures.finish();
}
