//! Wounds of the field that are a trunk's: where it signals and sends audio from, what it makes of our offer, and how
//! it learns that we are there. The far end is written by hand, message by message.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::phone::Phone;
use offhook_tests::ports::PortBlock;
use offhook_tests::scratch::Scratch;
use offhook_tests::sip_text;
use offhook_tests::voice::Voice;
use offhook_tests::wait::wait_until;

/// For what happens at once, on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(10);

/// Somebody at the other end of a trunk, who is called and pinged.
struct FarEnd {
    sip: UdpSocket,
    rtp: UdpSocket,
    ports: PortBlock,
}

impl FarEnd {
    fn new() -> Self {
        let ports = PortBlock::take(8).expect("ports");
        let bind = |n| {
            let socket = UdpSocket::bind(ports.address(n)).expect("a socket");
            socket.set_read_timeout(Some(PROMPTLY)).expect("a deadline");
            socket
        };
        Self {
            sip: bind(1),
            rtp: bind(2),
            ports,
        }
    }

    fn address(&self) -> SocketAddr {
        self.ports.address(1)
    }

    fn rtp(&self) -> SocketAddr {
        self.ports.address(2)
    }

    fn trunk(&self, more: &str) -> String {
        format!("address = \"{}\"\n{more}", self.address())
    }

    /// The next message that `is_wanted`, passing over others.
    #[track_caller]
    fn hears(&self, what: &str, is_wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PROMPTLY;
        let mut buffer = [0; 8_192];
        while Instant::now() < deadline {
            let length = self.sip.recv(&mut buffer);
            let length = length.unwrap_or_else(|why| panic!("{what}: {why}"));
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if is_wanted(&message) {
                return message;
            }
        }
        panic!("{what} did not come");
    }

    #[track_caller]
    fn request(&self, method: &str) -> String {
        self.hears(method, |message| {
            sip_text::status(message).is_none() && sip_text::method(message) == Some(method)
        })
    }

    #[track_caller]
    fn final_answer(&self, method: &str) -> String {
        self.hears(method, |message| {
            sip_text::status(message).is_some_and(|status| status >= 200)
                && sip_text::method(message) == Some(method)
        })
    }

    fn says(&self, daemon: &Daemon, message: &str) {
        let sent = self.sip.send_to(message.as_bytes(), daemon.sip());
        sent.expect("sent");
    }

    /// Answers a request with a description.
    fn answers(&self, daemon: &Daemon, request: &str, status: &str, sdp: &str) {
        let contact = format!("Contact: <sip:far-end@{}>\r\n", self.address());
        let answer = sip_text::answer(request, status, "far", &contact, sdp);
        self.says(daemon, &answer);
    }

    /// A request inside the call that `invite` began.
    fn inside(&self, invite: &str, method: &str, sequence: u32, sdp: &str) -> String {
        let of = |name| sip_text::header(invite, name).expect("a header");
        let content_type = match sdp.is_empty() {
            true => "",
            false => "Content-Type: application/sdp\r\n",
        };
        let (here, contact) = (self.address(), sip_text::uri_of(of("Contact")));
        format!(
            "{method} {contact} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {here};rport;branch=z9hG4bK-far-{sequence}-{method}\r\n\
             Max-Forwards: 70\r\nFrom: {};tag=far\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {sequence} {method}\r\n\
             Contact: <sip:far-end@{here}>\r\n{content_type}Content-Length: {}\r\n\r\n{sdp}",
            of("To"),
            of("From"),
            of("Call-ID"),
            sdp.len()
        )
    }

    /// Where the next packet of audio comes from.
    #[track_caller]
    fn audio_comes_from(socket: &UdpSocket) -> SocketAddr {
        let received = socket.recv_from(&mut [0; 2_048]);
        received.expect("audio").1
    }
}

#[track_caller]
fn over(daemon: &Daemon) {
    let over = wait_until("the end of every call", PROMPTLY, || {
        daemon.live_calls().ok()?.is_empty().then_some(())
    });
    assert!(over.is_ok(), "{over:?}\n{}", daemon.log());
}

#[test]
fn wound_12_a_trunk_signals_from_two_addresses_in_one_call_and_sends_its_audio_from_others() {
    let [one, mate] = [3, 4].map(|n| Ipv4Addr::new(127, 0, 0, n));
    let gateways = [5, 6].map(|n| Ipv4Addr::new(127, 0, 0, n));
    let stranger = Ipv4Addr::new(127, 0, 0, 7);
    let mut daemon = Daemon::start(&DaemonSetup {
        inbound_from: vec!["127.0.0.3/32", "127.0.0.4/32"],
        ..DaemonSetup::default()
    })
    .expect("a daemon");
    for (n, (signals, gateway)) in [one, mate].into_iter().zip(gateways).enumerate() {
        let call_id = format!("mated-{n}");
        let mut phone =
            Phone::between([signals, gateway], daemon.sip(), "echo", &call_id).expect("a phone");
        let answer = phone.call().expect("an answer");
        assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
        // Audio of an address that may not signal is heard, and answered.
        let voice = Voice::start(phone.rtp()).expect("a voice");
        let said = Instant::now();
        let line = offhook_tests::daemon::repository().join("deploy/audio/caller/yes.wav");
        voice.say(&line).expect("a line");
        voice
            .hear_out(said, Duration::from_millis(200), PROMPTLY)
            .unwrap_or_else(|why| panic!("{why}\n{}", daemon.log()));
        // The other half of the pair takes over inside the call.
        let other = if signals == one { mate } else { one };
        let socket = UdpSocket::bind((other, 0)).expect("a socket");
        socket.set_read_timeout(Some(PROMPTLY)).expect("a deadline");
        phone.caller.local = socket.local_addr().expect("an address");
        let bye = phone.caller.bye();
        // Tags and Call-ID are the call's, whoever sends.
        let bye = bye.replace(
            sip_text::header(&bye, "From").expect("a From"),
            &format!("<sip:caller@{signals}>;tag=from-{call_id}"),
        );
        socket.send_to(bye.as_bytes(), daemon.sip()).expect("sent");
        let mut buffer = [0; 4_096];
        let length = socket.recv(&mut buffer).expect("an answer");
        let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
        assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
        over(&daemon);
    }
    // Who is neither half is nobody, also from where audio came.
    for (n, nobody) in [stranger, gateways[0]].into_iter().enumerate() {
        let call_id = format!("nobody-{n}");
        let phone =
            Phone::between([nobody, nobody], daemon.sip(), "echo", &call_id).expect("a phone");
        phone.send(&phone.caller.options()).expect("sent");
        let last = Phone::between([one, one], daemon.sip(), "echo", &format!("after-{n}"));
        let last = last.expect("a phone");
        last.send(&last.caller.options()).expect("sent");
        last.final_answer("OPTIONS").expect("an answer");
        let heard = phone.hears_nothing();
        assert!(heard, "{nobody} was answered");
    }
    daemon.signal(libc::SIGKILL);
}

/// The key 5 ends the call.
const FIVE_ENDS: &str = r#"
start = "first"
silence_s = 60

[step.first]
say = "One."
expect = [{ phrases = ["five"], digits = "5", then = "end" }]

[step.end]
say = "End."
hangup = true
"#;

/// A daemon that calls with an agent whom the key 5 makes hang up.
fn daemon_for_keys(folder: &Scratch, trunk_keys: String) -> Daemon {
    std::fs::write(folder.file("keys.toml"), FIVE_ENDS).expect("a file");
    Daemon::start(&DaemonSetup {
        trunk_keys,
        more: format!(
            "[agent.keys]\nkind = \"flow\"\nflow = {:?}\n",
            folder.file("keys.toml")
        ),
        ..DaemonSetup::default()
    })
    .expect("a daemon")
}

/// Takes a call with the description that `answer` makes of the offer, presses 5 as `event`, and is hung up on.
fn key_is_heard(far_end: &FarEnd, daemon: &Daemon, event: u8, answer: impl Fn(&str) -> String) {
    daemon.place("100", "keys", "begun").expect("a call");
    let invite = far_end.request("INVITE");
    far_end.answers(daemon, &invite, "200 OK", &answer(&invite));
    far_end.request("ACK");
    let media = sip_text::media_address(&invite).expect("an address");
    for (n, is_end) in [(1, false), (2, false), (3, true), (4, true), (5, true)] {
        let packet = key_packet(event, n, is_end);
        far_end.rtp.send_to(&packet, media).expect("sent");
    }
    let bye = far_end.request("BYE");
    far_end.says(daemon, &sip_text::ok(&bye));
    over(daemon);
}

/// The `n`th packet of the key 5.
fn key_packet(payload_type: u8, n: u16, is_end: bool) -> Vec<u8> {
    let marker = if n == 1 { 0x80 } else { 0 };
    let mut bytes = vec![0x80, marker | payload_type];
    bytes.extend(n.to_be_bytes());
    bytes.extend(8_000_u32.to_be_bytes());
    bytes.extend(*b"keys");
    bytes.extend([5, if is_end { 0x8a } else { 0x0a }]);
    bytes.extend((n.min(3) * 160).to_be_bytes());
    bytes
}

#[test]
fn wound_23_a_trunk_of_g711_alone_is_offered_one_rate_of_events_and_its_keys_are_heard() {
    let (far_end, folder) = (FarEnd::new(), Scratch::new("keys").expect("a folder"));
    let mut daemon = daemon_for_keys(&folder, far_end.trunk("codecs = [\"pcmu\", \"pcma\"]"));
    key_is_heard(&far_end, &daemon, 101, |invite| {
        assert_eq!(
            invite.matches("telephone-event/8000").count(),
            1,
            "{invite}"
        );
        assert!(!invite.contains("telephone-event/48000"), "{invite}");
        sip_text::pcmu_offer(far_end.rtp())
    });
    daemon.signal(libc::SIGKILL);
}

#[test]
fn wound_23_keys_are_heard_whichever_of_two_rates_a_far_end_answers_with() {
    let (far_end, folder) = (FarEnd::new(), Scratch::new("keys").expect("a folder"));
    let mut daemon = daemon_for_keys(&folder, far_end.trunk(""));
    // The rate of the codec, the other one, and a rate that is not its number's.
    for (number, rate) in [(101, 8_000), (110, 48_000), (110, 8_000)] {
        key_is_heard(&far_end, &daemon, number, |invite| {
            for offered in ["101 telephone-event/8000", "110 telephone-event/48000"] {
                assert!(invite.contains(offered), "{invite}");
            }
            sip_text::pcmu_offer(far_end.rtp())
                .replace("AVP 0 101", &format!("AVP 0 {number}"))
                .replace(
                    "101 telephone-event/8000",
                    &format!("{number} telephone-event/{rate}"),
                )
                .replace("fmtp:101", &format!("fmtp:{number}"))
        });
    }
    daemon.signal(libc::SIGKILL);
}

#[test]
fn wound_47_audio_of_ours_always_comes_from_the_port_of_our_description() {
    let far_end = FarEnd::new();
    let mut daemon = Daemon::start(&DaemonSetup {
        trunk_keys: far_end.trunk(""),
        ..DaemonSetup::default()
    })
    .expect("a daemon");
    daemon.place("100", "tone", "begun").expect("a call");
    let invite = far_end.request("INVITE");
    let ours = sip_text::media_address(&invite).expect("an address");
    let moved = [4, 6].map(|n| {
        let socket = UdpSocket::bind(far_end.ports.address(n)).expect("a socket");
        socket.set_read_timeout(Some(PROMPTLY)).expect("a deadline");
        socket
    });
    let described = |socket: &UdpSocket, version: u32| {
        let address = socket.local_addr().expect("an address");
        sip_text::pcmu_offer(address).replace("o=- 1 1", &format!("o=- 1 {version}"))
    };
    // Early on it moves its side, and in the call again.
    let progress = "183 Session Progress";
    far_end.answers(&daemon, &invite, progress, &described(&far_end.rtp, 1));
    far_end.answers(&daemon, &invite, progress, &described(&moved[0], 2));
    far_end.answers(&daemon, &invite, "200 OK", &described(&moved[0], 2));
    far_end.request("ACK");
    assert_eq!(FarEnd::audio_comes_from(&moved[0]), ours);
    let reinvite = far_end.inside(&invite, "INVITE", 1, &described(&moved[1], 3));
    far_end.says(&daemon, &reinvite);
    let answer = far_end.final_answer("INVITE");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    assert_eq!(sip_text::media_address(&answer), Some(ours), "{answer}");
    far_end.says(&daemon, &far_end.inside(&invite, "ACK", 1, ""));
    assert_eq!(FarEnd::audio_comes_from(&moved[1]), ours);
    far_end.says(&daemon, &far_end.inside(&invite, "BYE", 2, ""));
    let answer = far_end.final_answer("BYE");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    over(&daemon);
    daemon.signal(libc::SIGKILL);
}

#[test]
fn wound_66_pings_go_both_ways_two_misses_are_forgiven_and_a_drain_is_told_by_503() {
    let far_end = FarEnd::new();
    let mut daemon = Daemon::start(&DaemonSetup {
        trunk_keys: far_end.trunk("options_interval_s = 1"),
        drain_s: 60,
        ..DaemonSetup::default()
    })
    .expect("a daemon");
    // Ours. What an answer led to is there when the next ping comes.
    let (there, busy) = ("200 OK", "503 Service Unavailable");
    let mut before = "unknown";
    for (answer, after) in [
        (there, "up"),
        (busy, "up"),
        (busy, "up"),
        (there, "up"),
        (busy, "up"),
        (busy, "up"),
        (busy, "down"),
        (there, "up"),
        (there, "up"),
    ] {
        let ping = far_end.request("OPTIONS");
        let trunk = daemon.trunk_becomes(Duration::ZERO, |trunk| trunk["health"] == before);
        trunk.unwrap_or_else(|why| panic!("before {answer}: {why}\n{}", daemon.log()));
        if before == "down" {
            let refused = daemon.place("100", "echo", "begun").map(|_| ());
            let why = refused.expect_err("nobody is called by it");
            assert!(why.contains("does not answer OPTIONS"), "{why}");
        }
        far_end.says(&daemon, &sip_text::answer(&ping, answer, "far", "", ""));
        before = after;
    }
    // Theirs: before, and in the middle of a call while we drain.
    let answer = pinged(&daemon, "before");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    assert!(sip_text::header(&answer, "Allow").is_some(), "{answer}");
    let mut phone = Phone::new(daemon.sip(), "echo", "live").expect("a phone");
    let answer = phone.call().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    daemon.signal(libc::SIGTERM);
    let drains = wait_until("the drain", PROMPTLY, || {
        daemon
            .log()
            .contains("no new calls are taken")
            .then_some(())
    });
    drains.expect("a drain");
    let answer = pinged(&daemon, "during");
    assert_eq!(sip_text::status(&answer), Some(503), "{answer}");
    assert!(
        sip_text::header(&answer, "Retry-After").is_some(),
        "{answer}"
    );
    assert_eq!(daemon.live_calls().expect("calls").len(), 1);
    let bye = phone.hang_up().expect("an answer");
    assert_eq!(sip_text::status(&bye), Some(200), "{bye}");
    let (status, log) = daemon
        .wait(Duration::from_secs(20))
        .expect("the daemon ends");
    assert!(status.success(), "{status}: {log}");
}

/// What an OPTIONS of the far end's is answered.
fn pinged(daemon: &Daemon, call_id: &str) -> String {
    let watcher = Phone::new(daemon.sip(), "echo", call_id).expect("a phone");
    watcher.send(&watcher.caller.options()).expect("sent");
    watcher.final_answer("OPTIONS").expect("an answer")
}
