//! SIP over TCP, byte by byte: calls by a connection, what else a connection brings, and how it ends.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use offhook_tests::baresip::{Baresip, Codec};
use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::mutation::{Dice, mutate};
use offhook_tests::ports::PortBlock;
use offhook_tests::sip_text::{self, Caller};
use offhook_tests::wait::wait_until;
use offhook_tests::wire::{self, Wire};
use socket2::{Domain, SockRef, Socket, Type};

/// For what happens at once, on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(10);
const SEED: u64 = 0x0ff0_0c0d_e000_0005;

fn daemon() -> Daemon {
    Daemon::start(&setup()).expect("a daemon")
}

fn setup() -> DaemonSetup {
    DaemonSetup {
        tcp: true,
        ..DaemonSetup::default()
    }
}

fn connected(daemon: &Daemon) -> Wire<TcpStream> {
    Wire::tcp(daemon.sip()).expect("a connection")
}

fn caller(daemon: &Daemon, wire: &Wire<TcpStream>, call_id: &str) -> Caller {
    let local = wire.local().expect("an address");
    Caller::new(local, daemon.sip(), "echo", call_id.to_owned())
}

/// Where nobody sends audio from; these tests are about signalling.
fn media(ports: &PortBlock) -> SocketAddr {
    ports.address(2)
}

fn ports() -> PortBlock {
    PortBlock::take(8).expect("ports")
}

#[track_caller]
fn assert_status(answer: &str, status: u16) {
    assert_eq!(sip_text::status(answer), Some(status), "{answer}");
}

#[test]
fn a_call_is_carried_whatever_pieces_its_messages_come_in() {
    let (daemon, ports) = (daemon(), ports());
    let mut wire = connected(&daemon);
    let mut caller = caller(&daemon, &wire, "pieces");
    for byte in wire.written(&caller.invite(media(&ports))).bytes() {
        wire.write([byte]).expect("written");
    }
    let answer = wire.final_answer("pieces", "INVITE").expect("an answer");
    assert_status(&answer, 200);
    let via = sip_text::header(&answer, "Via").expect("a Via");
    assert!(via.starts_with("SIP/2.0/TCP "), "{answer}");
    let contact = sip_text::header(&answer, "Contact").expect("a Contact");
    let here = format!("<sip:{};transport=tcp>", daemon.sip());
    assert_eq!(contact, here);
    assert!(sip_text::media_address(&answer).is_some(), "{answer}");

    caller.learn(&answer);
    let ack = wire.written(&caller.ack());
    let info = wire.written(&caller.request("INFO", 2, "2", ""));
    let bye = wire.written(&caller.request("BYE", 3, "3", ""));
    wire.write(format!("{ack}{info}\r\n{bye}"))
        .expect("written");
    wire.final_answer("pieces", "INFO").expect("an answer");
    assert_status(&wire.final_answer("pieces", "BYE").expect("an answer"), 200);
}

#[test]
fn two_calls_share_one_connection() {
    let (daemon, ports) = (daemon(), ports());
    let mut wire = connected(&daemon);
    let mut callers = ["one", "two"].map(|call_id| caller(&daemon, &wire, call_id));
    for caller in &mut callers {
        let answer = wire.call(caller, media(&ports)).expect("an answer");
        assert_status(&answer, 200);
    }
    for caller in &callers {
        wire.send(&caller.bye()).expect("sent");
        let answer = wire
            .final_answer(&caller.call_id, "BYE")
            .expect("an answer");
        assert_status(&answer, 200);
    }
}

#[test]
fn five_hundred_requests_in_one_breath_are_all_answered() {
    let daemon = daemon();
    let mut wire = connected(&daemon);
    let requests: String = (0..500)
        .map(|n| wire.written(&caller(&daemon, &wire, &format!("breath-{n}")).options()))
        .collect();
    wire.write(&requests).expect("written");
    for n in 0..500 {
        let answer = wire.final_answer(&format!("breath-{n}"), "OPTIONS");
        assert_status(&answer.expect("an answer"), 200);
    }
}

#[test]
fn a_response_goes_back_on_the_connection_whatever_via_says() {
    let daemon = daemon();
    let mut wire = connected(&daemon);
    let mut caller = caller(&daemon, &wire, "elsewhere");
    caller.local = "127.0.0.9:5999".parse().expect("an address");
    let options = caller.options().replacen(";rport", "", 1);
    wire.send(&options).expect("sent");
    let answer = wire
        .final_answer("elsewhere", "OPTIONS")
        .expect("an answer");
    assert_status(&answer, 200);
}

#[test]
fn wound_05_a_bye_of_ours_comes_by_the_connection_that_the_call_came_by() {
    let setup = DaemonSetup {
        drain_s: 1,
        ..setup()
    };
    let mut daemon = Daemon::start(&setup).expect("a daemon");
    let ports = ports();
    let mut wire = connected(&daemon);
    let mut caller = caller(&daemon, &wire, "ours");
    // Nobody listens there, and nobody is called there.
    caller.local = "127.0.0.1:9".parse().expect("an address");
    assert_status(
        &wire.call(&mut caller, media(&ports)).expect("an answer"),
        200,
    );
    daemon.signal(libc::SIGTERM);
    let bye = wire.request("BYE").expect("a BYE");
    assert!(
        sip_text::header(&bye, "Via").is_some_and(|via| via.starts_with("SIP/2.0/TCP ")),
        "{bye}"
    );
    wire.write(sip_text::ok(&bye)).expect("written");
    let (status, log) = daemon.wait(PROMPTLY).expect("the daemon ends");
    assert!(status.success(), "{status}: {log}");
    assert!(!log.contains("did not come to its end"), "{log}");
}

#[test]
fn wound_06_a_call_outlives_its_connection_and_is_ended_by_another() {
    let (daemon, ports) = (daemon(), ports());
    let mut first = connected(&daemon);
    let mut caller = caller(&daemon, &first, "outlived");
    assert_status(
        &first.call(&mut caller, media(&ports)).expect("an answer"),
        200,
    );
    drop(first);
    let mut second = connected(&daemon);
    second.send(&caller.bye()).expect("sent");
    let answer = second.final_answer("outlived", "BYE").expect("an answer");
    assert_status(&answer, 200);
}

#[test]
fn wound_06_a_bye_of_ours_follows_the_far_end_to_its_next_connection() {
    let setup = DaemonSetup {
        drain_s: 1,
        ..setup()
    };
    let mut daemon = Daemon::start(&setup).expect("a daemon");
    let ports = ports();
    let mut first = connected(&daemon);
    let mut caller = caller(&daemon, &first, "followed");
    assert_status(
        &first.call(&mut caller, media(&ports)).expect("an answer"),
        200,
    );
    drop(first);
    let mut second = connected(&daemon);
    let info = caller.request("INFO", 2, "2", "");
    second.send(&info).expect("sent");
    second.final_answer("followed", "INFO").expect("an answer");
    daemon.signal(libc::SIGTERM);
    let bye = second.request("BYE").expect("a BYE");
    second.write(sip_text::ok(&bye)).expect("written");
    let (status, log) = daemon.wait(PROMPTLY).expect("the daemon ends");
    assert!(status.success(), "{status}: {log}");
}

#[test]
fn the_last_answer_of_a_drain_is_still_written() {
    let setup = DaemonSetup {
        drain_s: 30,
        ..setup()
    };
    let mut daemon = Daemon::start(&setup).expect("a daemon");
    let ports = ports();
    let mut wire = connected(&daemon);
    let mut caller = caller(&daemon, &wire, "last");
    assert_status(
        &wire.call(&mut caller, media(&ports)).expect("an answer"),
        200,
    );
    daemon.signal(libc::SIGTERM);
    let draining = wait_until("a drain", PROMPTLY, || {
        daemon
            .log()
            .contains("no new calls are taken")
            .then_some(())
    });
    draining.expect("a drain");
    wire.send(&caller.bye()).expect("sent");
    assert_status(&wire.final_answer("last", "BYE").expect("an answer"), 200);
    let (status, log) = daemon.wait(PROMPTLY).expect("the daemon ends");
    assert!(status.success(), "{status}: {log}");
}

#[test]
fn a_ping_gets_a_pong_between_messages() {
    let daemon = daemon();
    let mut wire = connected(&daemon);
    wire.write("\r\n\r\n").expect("written");
    wire.expect_bytes(b"\r\n").expect("a pong");
    let options = wire.written(&caller(&daemon, &wire, "after").options());
    wire.write(format!("{options}\r\n\r\n")).expect("written");
    wire.final_answer("after", "OPTIONS").expect("an answer");
}

#[test]
fn what_is_no_sip_closes_its_connection_and_the_next_one_works() {
    let daemon = daemon();
    let without_length = {
        let wire = connected(&daemon);
        let options = wire.written(&caller(&daemon, &wire, "endless").options());
        options.replace("Content-Length: 0\r\n", "")
    };
    let garbage: [&[u8]; 4] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        without_length.as_bytes(),
        b"OPTIONS sip:a@h SIP/2.0\r\nContent-Length: 9999999\r\n\r\n",
    ];
    for bytes in garbage {
        let mut wire = connected(&daemon);
        wire.write(bytes).expect("written");
        let closed = wire.closed_in_silence();
        assert!(matches!(closed, Ok(true)), "{closed:?} after {bytes:?}");
    }
    let mut wire = connected(&daemon);
    wire.send(&caller(&daemon, &wire, "next").options())
        .expect("sent");
    assert_status(
        &wire.final_answer("next", "OPTIONS").expect("an answer"),
        200,
    );
}

#[test]
fn a_damaged_request_is_refused_and_its_connection_goes_on() {
    let daemon = daemon();
    let mut wire = connected(&daemon);
    let damaged = caller(&daemon, &wire, "damaged")
        .options()
        .replacen("CSeq: 1", "CSeq: one", 1);
    wire.send(&damaged).expect("sent");
    let answer = wire.receive().expect("an answer");
    assert_status(&answer, 400);
    wire.send(&caller(&daemon, &wire, "sound").options())
        .expect("sent");
    assert_status(
        &wire.final_answer("sound", "OPTIONS").expect("an answer"),
        200,
    );
}

#[test]
fn thousands_of_damaged_messages_cost_their_connections_and_nothing_else() {
    let mut daemon = daemon();
    let ports = ports();
    let mut steady = connected(&daemon);
    let mut call = caller(&daemon, &steady, "steady");
    let answer = steady.call(&mut call, media(&ports)).expect("an answer");
    assert_status(&answer, 200);

    let mut dice = Dice::new(SEED);
    let mut wire = connected(&daemon);
    for n in 0..4_000 {
        let caller = caller(&daemon, &steady, &format!("damaged-{n}"));
        let sound = match n % 3 {
            0 => caller.invite(media(&ports)),
            1 => caller.options(),
            _ => caller.request("INFO", 2, "2", "Signal=1\r\n"),
        };
        let damaged = mutate(wire.written(&sound).as_bytes(), &mut dice);
        if wire.write(&damaged).is_err() {
            wire = connected(&daemon);
        }
    }
    drop(wire);

    assert!(daemon.is_alive(), "seed {SEED:#x}: {}", daemon.log());
    assert!(
        !daemon.log().contains("panicked"),
        "seed {SEED:#x}: {}",
        daemon.log()
    );
    steady.send(&call.bye()).expect("sent");
    let answer = steady.final_answer("steady", "BYE").expect("an answer");
    assert_status(&answer, 200);
    drop(steady);
    let gone = wait_until("the end of every connection", PROMPTLY, || {
        let metrics = daemon.page("/metrics").ok()?;
        let is_over = metrics.contains("offhook_sip_connections 0");
        // And the damage was such that streams could not be cut any more.
        (is_over && metrics.contains("reason=\"unframed\"")).then_some(())
    });
    assert!(gone.is_ok(), "seed {SEED:#x}: {gone:?}");
}

#[test]
fn a_strangers_connection_is_closed_without_a_byte() {
    let setup = DaemonSetup {
        inbound_from: vec!["127.0.0.1/32"],
        ..setup()
    };
    let daemon = Daemon::start(&setup).expect("a daemon");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let stranger: SocketAddr = "127.0.0.2:0".parse().expect("an address");
    socket.bind(&stranger.into()).expect("an address of ours");
    socket.connect(&daemon.sip().into()).expect("a connection");
    SockRef::from(&socket)
        .set_read_timeout(Some(PROMPTLY))
        .expect("a deadline");
    let mut strange = Wire::over(TcpStream::from(socket), "TCP");
    // It may be closed before this is written.
    let _ = strange.write("\r\n\r\n");
    assert!(matches!(strange.closed_in_silence(), Ok(true)));

    let mut wire = connected(&daemon);
    wire.send(&caller(&daemon, &wire, "known").options())
        .expect("sent");
    assert_status(
        &wire.final_answer("known", "OPTIONS").expect("an answer"),
        200,
    );
}

#[test]
fn an_idle_connection_is_closed_after_the_configured_time() {
    let setup = DaemonSetup {
        sip_keys: "connection_idle_s = 1".to_owned(),
        ..setup()
    };
    let daemon = Daemon::start(&setup).expect("a daemon");
    let mut wire = Wire::over(wire::connect(daemon.sip()).expect("a connection"), "TCP");
    assert!(matches!(wire.closed_in_silence(), Ok(true)));
}

#[test]
fn a_softphone_calls_over_tcp() {
    let daemon = daemon();
    let mut phone = Baresip::start(Codec::Pcmu).expect("a softphone");
    let uri = format!("sip:play@{};transport=tcp", daemon.sip());
    phone.call_uri(&uri, PROMPTLY).expect("an answer");
    let heard = wait_until("half a second of the tone", PROMPTLY, || {
        let heard = phone.heard()?;
        (heard.audible_ms(0) >= 500).then_some(())
    });
    assert!(
        heard.is_ok(),
        "{heard:?}\n{}\n{}",
        phone.log(),
        daemon.log()
    );
    let connections = daemon.page("/metrics").expect("metrics");
    assert!(
        connections.contains("offhook_sip_connections 1"),
        "{connections}"
    );
    phone.hang_up().expect("an end");
}
