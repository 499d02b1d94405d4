//! RFC 4475 and RFC 5118 at a running daemon: each of their messages has its verdict, and after each the next call is
//! taken.

use std::io;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::phone::Phone;
use offhook_tests::sip_text::{self, Caller};
use offhook_tests::torture::{Torture, Verdict, messages};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

fn start() -> Daemon {
    Daemon::start(&DaemonSetup {
        calls_per_second: 1_000,
        // The messages call numbers of their own; none is to be refused for want of a route.
        more: "[[route]]\nto = \"*\"\nagent = \"echo\"\n".to_owned(),
        ..DaemonSetup::default()
    })
    .expect("a daemon")
}

#[test]
fn each_message_has_its_verdict_and_the_next_call_is_taken() {
    let mut daemon = start();
    let mut wrong = Vec::new();
    for message in messages() {
        let found = verdict_on(&message, &daemon).expect("sockets");
        if found != message.verdict {
            wrong.push(format!(
                "{}: {found:?}, not {:?} ({})",
                message.name, message.verdict, message.why
            ));
        }
        let mut phone =
            Phone::new(daemon.sip(), "echo", &format!("after-{}", message.name)).expect("a phone");
        let answer = phone.call().unwrap_or_default();
        assert_eq!(
            sip_text::status(&answer),
            Some(200),
            "a call after {}",
            message.name
        );
        let over = phone.hang_up().unwrap_or_default();
        assert_eq!(
            sip_text::status(&over),
            Some(200),
            "its end after {}",
            message.name
        );
    }
    assert!(
        daemon.is_alive() && !daemon.log().contains("panicked"),
        "{}",
        daemon.log()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_answer_to_what_is_required_and_unknown_names_it() {
    let daemon = start();
    let all = messages();
    let required = all
        .iter()
        .find(|message| message.name == "bext01")
        .expect("bext01");
    let (socket, _) = send(required, &daemon).expect("a socket");
    let answer = next_final(&socket, Instant::now() + PATIENCE).expect("an answer");
    assert_eq!(
        sip_text::header(&answer, "Unsupported"),
        Some("nothingSupportsThis, nothingSupportsThisEither")
    );
}

/// Sends it, and after it an OPTIONS from the same socket: datagrams are taken in their order, so what is not answered
/// before that is, is not answered at all.
fn verdict_on(message: &Torture, daemon: &Daemon) -> io::Result<Verdict> {
    let (socket, options) = send(message, daemon)?;
    socket.send_to(options.options().as_bytes(), daemon.sip())?;
    let deadline = Instant::now() + PATIENCE;
    let mut verdict = Verdict::Silent;
    let mut after = false;
    // A call is answered by its session, which may be later than an OPTIONS is.
    while !after || (verdict == Verdict::Silent && matches!(message.verdict, Verdict::Answered(_)))
    {
        let answer = next_final(&socket, deadline)?;
        let status = sip_text::status(&answer).unwrap_or_default();
        if sip_text::header(&answer, "Call-ID") == Some(&options.call_id) {
            after = true;
        } else if verdict == Verdict::Silent {
            verdict = Verdict::Answered(status);
        }
    }
    Ok(verdict)
}

fn send(message: &Torture, daemon: &Daemon) -> io::Result<(UdpSocket, Caller)> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.send_to(&message.bytes, daemon.sip())?;
    let call_id = format!("behind-{}", message.name);
    let options = Caller::new(socket.local_addr()?, daemon.sip(), "echo", call_id);
    Ok((socket, options))
}

fn next_final(socket: &UdpSocket, deadline: Instant) -> io::Result<String> {
    let mut buffer = [0; 65_535];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let length = socket.recv(&mut buffer)?;
        let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if sip_text::status(&answer).is_some_and(|status| status >= 200) {
            return Ok(answer);
        }
    }
}
