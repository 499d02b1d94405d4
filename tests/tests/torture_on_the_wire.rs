//! RFC 4475 and RFC 5118 at a running daemon, by datagrams and over a stream: each of their messages has its verdict,
//! and after each the next call is taken.

use std::io;
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::phone::Phone;
use offhook_tests::ports::PortBlock;
use offhook_tests::sip_text::{self, Caller};
use offhook_tests::torture::{Framing, Torture, Verdict, messages};
use offhook_tests::wire::Wire;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

fn start() -> Daemon {
    Daemon::start(&DaemonSetup {
        calls_per_second: 1_000,
        tcp: true,
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
fn over_a_stream_each_message_has_the_same_verdict_and_harms_neither_what_follows_it_nor_other_connections()
 {
    let mut daemon = start();
    let mut bystander = Wire::tcp(daemon.sip()).expect("a connection");
    let mut wrong = Vec::new();
    for message in messages() {
        let found = verdict_in_stream(&message, &daemon);
        if found.as_ref().ok() != Some(&message.verdict) && message.framing() != Framing::Broken {
            wrong.push(format!(
                "{}: {found:?}, not {:?} ({})",
                message.name, message.verdict, message.why
            ));
        }
        let call_id = format!("beside-{}", message.name);
        let status = is_answered(&mut bystander, &daemon, &call_id);
        assert_eq!(status.ok(), Some(200), "beside {}", message.name);
    }
    let ports = PortBlock::take(8).expect("ports");
    let local = bystander.local().expect("an address");
    let mut caller = Caller::new(local, daemon.sip(), "echo", "afterwards".to_owned());
    let answer = bystander.call(&mut caller, ports.address(2));
    let answer = answer.expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    assert!(
        daemon.is_alive() && !daemon.log().contains("panicked"),
        "{}",
        daemon.log()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    daemon.signal(libc::SIGKILL);
}

#[test]
fn a_message_that_does_not_say_how_long_it_is_closes_its_stream_and_no_other() {
    let mut daemon = start();
    let mut bystander = Wire::tcp(daemon.sip()).expect("a connection");
    let without = messages();
    let without = without.iter().filter(|message| !message.has_length());
    let mut count = 0;
    for message in without {
        count += 1;
        let mut wire = Wire::tcp(daemon.sip()).expect("a connection");
        wire.write(&message.bytes).expect("written");
        let closed = wire.closed_in_silence();
        assert!(matches!(closed, Ok(true)), "{}: {closed:?}", message.name);
        let call_id = format!("beside-{}", message.name);
        let status = is_answered(&mut bystander, &daemon, &call_id);
        assert_eq!(status.ok(), Some(200), "beside {}", message.name);
    }
    assert!(count > 20, "{count}");
    daemon.signal(libc::SIGKILL);
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

/// The same over a connection of its own. What cannot be cut out has no verdict: the connection is closed without a
/// word. What never ends has none before the stream does.
fn verdict_in_stream(message: &Torture, daemon: &Daemon) -> io::Result<Verdict> {
    let mut wire = Wire::tcp(daemon.sip())?;
    wire.write(message.streamed())?;
    let behind = format!("behind-{}", message.name);
    let options = Caller::new(wire.local()?, daemon.sip(), "echo", behind.clone()).options();
    let framing = message.framing();
    if framing == Framing::Broken {
        assert!(wire.closed_in_silence()?, "{}", message.name);
        return Ok(Verdict::Silent);
    }
    wire.send(&options)?;
    if framing == Framing::Unfinished {
        wire.finish_writing()?;
        assert!(wire.closed_in_silence()?, "{}", message.name);
        // Its verdict as a datagram is about a length that a stream still hopes for.
        return Ok(message.verdict);
    }
    let (mut verdicts, mut after) = (Vec::new(), false);
    let wanted = match (framing, message.verdict) {
        (Framing::Two(_), _) => 2,
        (_, Verdict::Answered(_)) => 1,
        (_, Verdict::Silent) => 0,
    };
    while !after || verdicts.len() < wanted {
        let answer = wire.receive()?;
        let Some(status) = sip_text::status(&answer).filter(|status| *status >= 200) else {
            continue;
        };
        if sip_text::header(&answer, "Call-ID") == Some(&behind) {
            assert_eq!(status, 200, "{answer}");
            after = true;
        } else {
            verdicts.push(status);
        }
    }
    if let Framing::Two(second) = framing {
        assert_eq!(verdicts.get(1), Some(&second), "{}", message.name);
    }
    Ok(verdicts
        .first()
        .map_or(Verdict::Silent, |status| Verdict::Answered(*status)))
}

/// The status of an OPTIONS over a connection that nothing bad came by.
fn is_answered(wire: &mut Wire<TcpStream>, daemon: &Daemon, call_id: &str) -> io::Result<u16> {
    let caller = Caller::new(wire.local()?, daemon.sip(), "echo", call_id.to_owned());
    wire.send(&caller.options())?;
    let answer = wire.final_answer(call_id, "OPTIONS")?;
    Ok(sip_text::status(&answer).unwrap_or_default())
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
