//! Captures of calls, as Wireshark reads them: by configuration, and of a call that is up.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use offhook::captures::Captures;
use offhook_session::agent_session::CallId;
use offhook_tests::daemon::{self, Daemon, DaemonSetup};
use offhook_tests::phone::Phone;
use offhook_tests::scratch::Scratch;
use offhook_tests::sipp::SippRun;
use offhook_tests::tshark::{faults, fields};
use offhook_tests::voice::Voice;
use offhook_tests::wait::wait_until;

/// For what happens at once, and for a capture that waits some seconds for what repeats.
const PROMPTLY: Duration = Duration::from_secs(20);

/// A daemon with these keys for its trunk, whose captures go to `captures` in `folder`.
fn daemon(folder: &Scratch, trunk_keys: &str, tcp: bool) -> Daemon {
    let captures = folder.file("captures");
    Daemon::start(&DaemonSetup {
        trunk_keys: trunk_keys.to_owned(),
        more: format!("[records]\ncaptures = {captures:?}\n"),
        tcp,
        ..DaemonSetup::default()
    })
    .expect("a daemon")
}

/// The one capture in the folder, when it is written.
fn written(folder: &Scratch, daemon: &Daemon) -> PathBuf {
    let captures = folder.file("captures");
    let written = wait_until("a capture", PROMPTLY, || {
        // It is told of when it is whole.
        daemon.log().contains("capture is written").then_some(())?;
        fs::read_dir(&captures).ok()?.next()?.ok()
    });
    written
        .unwrap_or_else(|why| panic!("{why}\n{}", daemon.log()))
        .path()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

/// RTP packets that the daemon counted, in and out.
fn counted(daemon: &Daemon) -> [usize; 2] {
    let metrics = daemon.page("/metrics").unwrap_or_default();
    ["in", "out"].map(|direction| {
        let name = format!("offhook_rtp_packets_total{{direction=\"{direction}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.and_then(|count| count.parse().ok())
            .unwrap_or_default()
    })
}

/// Talks for a second and presses a key; the echo is heard.
fn talk(voice: &Voice, daemon: &Daemon) {
    let began = Instant::now();
    voice.say_samples(&[9_000, -9_000, 9_000, -9_000].repeat(2_000));
    voice.press("5");
    voice
        .hear_out(began, Duration::from_millis(700), PROMPTLY)
        .unwrap_or_else(|why| panic!("{why}\n{}", daemon.log()));
}

fn call_id(daemon: &Daemon) -> String {
    let calls = daemon.live_calls().expect("the live calls");
    calls[0]["id"].as_str().expect("an id").to_owned()
}

/// `offhook capture CALL …`: exit code and standard error.
fn capture(daemon: &Daemon, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(daemon::binary().expect("the program"))
        .arg("capture")
        .args(arguments)
        .args(["--control", &daemon.control().to_string()])
        .output()
        .expect("the program");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("an exit code"), said)
}

#[test]
fn a_call_by_configuration_is_a_file_in_which_every_packet_is_found_whole() {
    let folder = Scratch::new("captures").expect("a folder");
    let daemon = daemon(&folder, "capture = true", false);
    let mut phone = Phone::new(daemon.sip(), "echo", "capture-udp@test").expect("a phone");
    phone.call().expect("an answer");
    let id = call_id(&daemon);
    let voice = Voice::start(phone.rtp()).expect("a voice");
    talk(&voice, &daemon);
    drop(voice);
    phone.hang_up().expect("an answer to BYE");

    let file = written(&folder, &daemon);
    assert_eq!(
        file.file_name().unwrap().to_str(),
        Some(format!("{id}.pcap").as_str())
    );
    assert_eq!(
        (mode(&file), mode(&folder.file("captures"))),
        (0o600, 0o700)
    );
    assert_eq!(faults(&file).unwrap(), Vec::<Vec<String>>::new());

    let here = daemon.sip().port().to_string();
    let there = phone.caller.local.port().to_string();
    let signalling = fields(
        &file,
        "sip",
        &[
            "sip.Method",
            "sip.Status-Code",
            "udp.srcport",
            "udp.dstport",
            "sip.Call-ID",
        ],
    )
    .unwrap();
    let line = |method: &str, status: &str, from: &str, to: &str| {
        [method, status, from, to, "capture-udp@test"]
            .map(str::to_owned)
            .to_vec()
    };
    assert_eq!(
        signalling,
        [
            line("INVITE", "", &there, &here),
            line("", "100", &here, &there),
            line("", "180", &here, &there),
            line("", "200", &here, &there),
            line("ACK", "", &there, &here),
            line("BYE", "", &there, &here),
            line("", "200", &here, &there),
        ]
    );

    let audio = phone.rtp().local_addr().unwrap().port().to_string();
    let heard = fields(
        &file,
        &format!("rtp && udp.srcport == {audio}"),
        &["udp.dstport"],
    )
    .unwrap();
    let sent = fields(
        &file,
        &format!("rtp && udp.dstport == {audio}"),
        &["udp.srcport"],
    )
    .unwrap();
    let rtp_ports: BTreeSet<&String> = heard.iter().chain(&sent).flatten().collect();
    assert_eq!(rtp_ports.len(), 1, "one port of ours: {rtp_ports:?}");
    let port: u16 = rtp_ports.first().unwrap().parse().unwrap();
    assert!(daemon.rtp_ports().contains(&port));
    assert!(heard.len() > 50 && sent.len() > 50);
    let found = [heard.len(), sent.len()];
    wait_until("the count of the metrics", PROMPTLY, || {
        (counted(&daemon) == found).then_some(())
    })
    .unwrap_or_else(|why| panic!("{why}: {:?}, but {found:?}", counted(&daemon)));
    // Nothing else went over the wire but reports.
    let all = fields(&file, "", &["frame.protocols"]).unwrap();
    let reports = fields(&file, "rtcp", &["rtcp.pt"]).unwrap();
    assert_eq!(
        all.len(),
        signalling.len() + heard.len() + sent.len() + reports.len()
    );
    // The key is in it, as anybody can see who has the file.
    let keys = fields(&file, "rtpevent", &["rtpevent.event_id"]).unwrap();
    assert!(keys.iter().any(|key| key[0] == "5"), "{keys:?}");
    // The times are the call's.
    let times = fields(&file, "", &["frame.time_epoch"]).unwrap();
    let seconds: Vec<f64> = times.iter().map(|time| time[0].parse().unwrap()).collect();
    assert!(seconds.is_sorted());
    let took = seconds.last().unwrap() - seconds[0];
    assert!((1.0..60.0).contains(&took), "{took}");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    assert!((now.as_secs_f64() - seconds[0]).abs() < 120.0);
}

#[test]
fn a_call_over_a_connection_is_read_as_if_its_messages_were_datagrams() {
    let folder = Scratch::new("captures").expect("a folder");
    let daemon = daemon(&folder, "capture = true", true);
    let run = SippRun {
        more: ["-t", "t1"].map(str::to_owned).to_vec(),
        ..SippRun::story("call", daemon.sip(), "echo")
    };
    let outcome = run.run().expect("a run");
    assert_eq!(
        (outcome.successful, outcome.failed),
        (1, 0),
        "{}",
        outcome.errors
    );
    let file = written(&folder, &daemon);
    assert_eq!(faults(&file).unwrap(), Vec::<Vec<String>>::new());
    let signalling = fields(
        &file,
        "sip",
        &["sip.Method", "sip.Status-Code", "sip.Via.transport"],
    )
    .unwrap();
    let told: Vec<[&str; 2]> = signalling
        .iter()
        .map(|line| [line[0].as_str(), line[1].as_str()])
        .collect();
    assert_eq!(
        told,
        [
            ["INVITE", ""],
            ["", "100"],
            ["", "180"],
            ["", "200"],
            ["ACK", ""],
            ["BYE", ""],
            ["", "200"]
        ]
    );
    assert!(
        signalling.iter().all(|line| line[2] == "TCP"),
        "{signalling:?}"
    );
}

#[test]
fn a_live_call_is_captured_when_an_operator_says_so_and_saved_afterwards_too() {
    let folder = Scratch::new("captures").expect("a folder");
    let daemon = daemon(&folder, "", false);
    let mut phone = Phone::new(daemon.sip(), "echo", "capture-live@test").expect("a phone");
    phone.call().expect("an answer");
    let id = call_id(&daemon);
    let file = folder.file("live.pcap");
    let save = [id.as_str(), "--save", file.to_str().unwrap()];
    assert_eq!(
        capture(&daemon, &save),
        (6, "offhook: nothing is kept of such a call\n".to_owned())
    );
    assert_eq!(capture(&daemon, &["none", "--start"]).0, 6);
    assert_eq!(
        capture(&daemon, &[&id]).0,
        2,
        "it has to be told what to do"
    );

    assert_eq!(capture(&daemon, &[&id, "--start"]), (0, String::new()));
    assert_eq!(
        capture(&daemon, &[&id, "--start"]),
        (0, String::new()),
        "it is already"
    );
    let voice = Voice::start(phone.rtp()).expect("a voice");
    talk(&voice, &daemon);
    assert_eq!(capture(&daemon, &save), (0, String::new()));
    assert_eq!(mode(&file), 0o600);
    assert_eq!(faults(&file).unwrap(), Vec::<Vec<String>>::new());
    let packets = |filter: &str| fields(&file, filter, &["frame.number"]).unwrap().len();
    assert!(
        packets("rtp") > 100 && packets("sip") == 0,
        "{}",
        packets("sip")
    );

    assert_eq!(capture(&daemon, &[&id, "--stop"]), (0, String::new()));
    assert_eq!(capture(&daemon, &save), (0, String::new()));
    talk(&voice, &daemon);
    let before = packets("rtp");
    phone.hang_up().expect("an answer to BYE");
    wait_until("the call's end", PROMPTLY, || {
        daemon.live_calls().ok()?.is_empty().then_some(())
    })
    .expect("an end");
    assert_eq!(capture(&daemon, &save), (0, String::new()));
    let after = packets("rtp");
    assert_eq!(after, before, "it was stopped");
    assert_eq!(packets("sip"), 0);
    // It was not asked for by configuration, so nothing is written by itself.
    let (status, log) = daemon.stop().expect("an end");
    assert!(status.success(), "{log}");
    assert!(!folder.file("captures").exists());
}

#[test]
fn a_call_out_is_in_it_from_its_first_invite_on() {
    let folder = Scratch::new("captures").expect("a folder");
    let far_end = SippRun::far_end("trunk/rings_then_answers")
        .start()
        .expect("a far end");
    let keys = format!("address = \"{}\"\ncapture = true\n", far_end.sip());
    let daemon = daemon(&folder, &keys, false);
    let placed = daemon.place("100", "echo", "answered").expect("an answer");
    assert_eq!(placed["state"], "talking");
    let there = far_end.sip().port().to_string();
    let outcome = far_end.finish().expect("an outcome");
    assert_eq!(outcome.failed, 0, "{}", outcome.errors);
    let file = written(&folder, &daemon);
    assert_eq!(faults(&file).unwrap(), Vec::<Vec<String>>::new());
    let told = fields(
        &file,
        "sip",
        &["sip.Method", "sip.Status-Code", "udp.dstport"],
    )
    .unwrap();
    assert_eq!(told[0], ["INVITE", "", &there]);
    for line in [["", "180"], ["", "200"], ["ACK", ""], ["BYE", ""]] {
        assert!(
            told.iter().any(|told| told[..2] == line),
            "{line:?}: {told:?}"
        );
    }
    assert_eq!(
        told.last().unwrap()[1],
        "200",
        "the answer to BYE: {told:?}"
    );
}

#[tokio::test]
async fn ipv6_and_a_message_that_no_datagram_holds_are_read_without_fault() {
    let folder = Scratch::new("captures").expect("a folder");
    let captures = Captures::new(None);
    let (call, now) = (CallId::new("six"), Instant::now());
    let began = captures.begin(&call, now, false).expect("a thread");
    let message = |length: usize| {
        format!(
            "MESSAGE sip:a@[2001:db8::2] SIP/2.0\r\nVia: SIP/2.0/TCP [2001:db8::1];branch=z9hG4bK1\r\n\
             From: <sip:b@[2001:db8::1]>;tag=1\r\nTo: <sip:a@[2001:db8::2]>\r\nCall-ID: i\r\n\
             CSeq: 1 MESSAGE\r\nContent-Length: {length}\r\n\r\n{}",
            "x".repeat(length)
        )
    };
    let six = ("[2001:db8::1]:5060", "[2001:db8::2]:5070");
    let four = ("192.0.2.1:5060", "198.51.100.2:5070");
    for ((source, destination), length) in [(six, 7), (four, 8), (six, 66_000), (four, 66_000)] {
        let ends = (source.parse().unwrap(), destination.parse().unwrap());
        captures.message(&call, began, now, ends, message(length).as_bytes());
    }
    let saved = captures.save(&call).await.expect("a capture");
    let file = folder.file("six.pcap");
    fs::write(&file, saved.file).expect("a file");
    assert_eq!(faults(&file).unwrap(), Vec::<Vec<String>>::new());
    let ends = [
        "ipv6.src",
        "ipv6.dst",
        "ip.src",
        "ip.dst",
        "udp.length",
        "sip.Method",
    ];
    let told = fields(&file, "sip", &ends).unwrap();
    let lengths: Vec<&str> = told.iter().map(|line| line[4].as_str()).collect();
    let whole = |length: usize| (8 + message(length).len()).to_string();
    assert_eq!(lengths, [&*whole(7), &*whole(8), "65515", "65515"]);
    assert_eq!(told[0][..4], ["2001:db8::1", "2001:db8::2", "", ""]);
    assert_eq!(told[1][..4], ["", "", "192.0.2.1", "198.51.100.2"]);
    assert!(told.iter().all(|line| line[5] == "MESSAGE"), "{told:?}");
    captures.finish();
}
