//! Wounds of the field whose far end is written by hand, packet by packet: what SIPp has no words for. The others of
//! those named first are in `sipp_trunk_stories.rs`, `sip_over_tcp.rs` and `sip_over_tls.rs`.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use offhook_media::srtp::{MasterKey, SrtpReceiver, SrtpSender, SrtpSuite};
use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::phone::Phone;
use offhook_tests::ports::PortBlock;
use offhook_tests::scratch::Scratch;
use offhook_tests::sip_text::{self, Caller};
use offhook_tests::wait::wait_until;

/// For what happens at once, on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(10);

/// The key 5 leads on once, and would a second time; the key 6 tells where once has led.
const KEYS: &str = r#"
start = "first"
silence_s = 60

[step.first]
say = "One."
expect = [{ phrases = ["five"], digits = "5", then = "second" }]

[step.second]
say = "Two."
expect = [
  { phrases = ["five"], digits = "5", then = "twice" },
  { phrases = ["six"], digits = "6", then = "once" },
]

[step.twice]
say = "Twice."
then = "once"

[step.once]
say = "Once."
expect = [{ phrases = ["nine"], digits = "9", then = "end" }]

[step.end]
say = "End."
hangup = true
"#;

/// A packet of a held key: no marker, ever.
fn key_packet(sequence: u16, timestamp: u32, event: u8, is_end: bool, duration: u16) -> Vec<u8> {
    let mut bytes = vec![0x80, 101];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(timestamp.to_be_bytes());
    bytes.extend(*b"gate");
    bytes.extend([event, if is_end { 0x8a } else { 0x0a }]);
    bytes.extend(duration.to_be_bytes());
    bytes
}

#[test]
fn wound_42_a_long_press_with_a_gap_and_no_marker_is_one_digit() {
    let folder = Scratch::new("keys").expect("a folder");
    std::fs::write(folder.file("keys.toml"), KEYS).expect("a file");
    let setup = DaemonSetup {
        more: format!(
            "[agent.keys]\nkind = \"flow\"\nflow = {:?}\n\n[[route]]\nto = \"keys\"\nagent = \"keys\"\n",
            folder.file("keys.toml")
        ),
        log: "info,offhook_session=debug",
        ..DaemonSetup::default()
    };
    let mut daemon = Daemon::start(&setup).expect("a daemon");
    let mut phone = Phone::new(daemon.sip(), "keys", "gateway").expect("a phone");
    let answer = phone.call().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    let is_at = |daemon: &Daemon, step: &str| {
        let at = format!("step=\"{step}\"");
        let there = wait_until("a step", PROMPTLY, || {
            daemon.log().contains(&at).then_some(())
        });
        assert!(there.is_ok(), "{step}\n{}", daemon.log());
    };
    is_at(&daemon, "first");
    // As a gateway sent it: 160, 320, a gap, then the end, three times, at 1696.
    let five = [
        (1, false, 160),
        (2, false, 320),
        (9, true, 1_696),
        (10, true, 1_696),
        (11, true, 1_696),
    ];
    let six = [
        (12, false, 160),
        (13, true, 320),
        (14, true, 320),
        (15, true, 320),
    ];
    for (sequence, is_end, duration) in five {
        let packet = key_packet(sequence, 8_000, 5, is_end, duration);
        phone.rtp().send(&packet).expect("sent");
    }
    is_at(&daemon, "second");
    for (sequence, is_end, duration) in six {
        let packet = key_packet(sequence, 16_000, 6, is_end, duration);
        phone.rtp().send(&packet).expect("sent");
    }
    is_at(&daemon, "once");
    assert!(!daemon.log().contains("step=\"twice\""), "{}", daemon.log());
    assert_eq!(
        phone.hang_up().ok().as_deref().and_then(sip_text::status),
        Some(200)
    );
    daemon.signal(libc::SIGKILL);
}

/// What an RTP header says of one packet, and when it came.
#[derive(Debug, Clone, Copy)]
struct Heard {
    at: Instant,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
}

fn hear(socket: &UdpSocket, count: usize) -> Vec<Heard> {
    socket.set_read_timeout(Some(PROMPTLY)).expect("a deadline");
    let mut packet = [0; 2_048];
    let word = |packet: &[u8], at: usize| {
        u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]])
    };
    (0..count)
        .map(|_| {
            let length = socket.recv(&mut packet).expect("audio");
            assert!(length > 12, "{length}");
            Heard {
                at: Instant::now(),
                sequence: u16::from_be_bytes([packet[2], packet[3]]),
                timestamp: word(&packet, 4),
                ssrc: word(&packet, 8),
            }
        })
        .collect()
}

/// Each packet is the next, and its timestamp later by whole packets: one, or as many as a busy machine was late by.
fn assert_steady(heard: &[Heard]) {
    for pair in heard.windows(2) {
        let [one, next] = pair else { continue };
        let advanced = next.timestamp.wrapping_sub(one.timestamp);
        assert_eq!(next.sequence, one.sequence.wrapping_add(1), "{pair:?}");
        assert!(
            (160..8_000).contains(&advanced) && advanced % 160 == 0,
            "{pair:?}"
        );
        assert_eq!(next.ssrc, one.ssrc, "{pair:?}");
    }
}

/// Sends a re-INVITE whose SDP has `direction`, and gives its answer, acknowledged.
fn reoffer(phone: &Phone, sequence: u32, direction: &str) -> String {
    let media = phone.rtp().local_addr().expect("an address");
    let sdp = sip_text::pcmu_offer(media)
        .replace("o=- 1 1", &format!("o=- 1 {sequence}"))
        .replace("a=sendrecv", &format!("a={direction}"));
    let branch = sequence.to_string();
    let invite = phone.caller.request("INVITE", sequence, &branch, &sdp);
    phone.send(&invite).expect("sent");
    let answer = phone.final_answer("INVITE").expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    let branch = format!("{sequence}a");
    phone
        .send(&phone.caller.request("ACK", sequence, &branch, ""))
        .expect("sent");
    answer
}

#[test]
fn wound_48_timestamps_neither_jump_nor_go_back_through_a_hold() {
    let mut daemon = Daemon::start(&DaemonSetup::default()).expect("a daemon");
    let mut phone = Phone::new(daemon.sip(), "play", "clock").expect("a phone");
    phone.call().expect("an answer");
    let before = hear(phone.rtp(), 20);
    assert_steady(&before);
    let answer = reoffer(&phone, 2, "sendonly");
    assert!(answer.contains("a=recvonly"), "{answer}");
    let quiet = wait_until("silence", PROMPTLY, || {
        phone
            .rtp()
            .set_read_timeout(Some(Duration::from_secs(1)))
            .ok()?;
        phone.rtp().recv(&mut [0; 2_048]).is_err().then_some(())
    });
    quiet.expect("silence while on hold");
    let answer = reoffer(&phone, 3, "sendrecv");
    assert!(answer.contains("a=sendrecv"), "{answer}");
    let after = hear(phone.rtp(), 20);
    assert_steady(&after);
    let (last, first) = (before[before.len() - 1], after[0]);
    assert_eq!(first.ssrc, last.ssrc);
    // 8 a millisecond; the packets may have waited for us, but not for as long as the hold.
    let advanced =
        Duration::from_millis(u64::from(first.timestamp.wrapping_sub(last.timestamp) / 8));
    let passed = first.at.duration_since(last.at);
    let error = advanced.abs_diff(passed);
    assert!(
        error <= Duration::from_millis(400),
        "{advanced:?} for {passed:?}"
    );
    assert_eq!(phone_ends(&phone), Some(200));
    daemon.signal(libc::SIGKILL);
}

fn phone_ends(phone: &Phone) -> Option<u16> {
    phone.send(&phone.caller.request("BYE", 9, "9", "")).ok()?;
    sip_text::status(&phone.final_answer("BYE").ok()?)
}

#[test]
fn wound_64_a_trunks_burst_is_answered_to_the_last_call_whatever_calls_itself_a_scanner() {
    const BURST: usize = 40;
    let setup = DaemonSetup {
        calls_per_second: 5,
        ..DaemonSetup::default()
    };
    let mut daemon = Daemon::start(&setup).expect("a daemon");
    let ports = PortBlock::take(8).expect("ports");
    let socket = UdpSocket::bind(ports.address(1)).expect("a socket");
    socket.set_read_timeout(Some(PROMPTLY)).expect("a deadline");
    let mut callers = BTreeMap::new();
    for n in 0..BURST {
        let call_id = format!("burst-{n}");
        let caller = Caller::new(ports.address(1), daemon.sip(), "echo", call_id.clone());
        let agent = "Max-Forwards: 70\r\nUser-Agent: friendly-scanner";
        let invite = caller.invite(ports.address(2));
        let invite = invite.replacen("Max-Forwards: 70", agent, 1);
        socket
            .send_to(invite.as_bytes(), daemon.sip())
            .expect("sent");
        callers.insert(call_id, caller);
    }
    let (mut taken, mut refused) = (0, 0);
    while !callers.is_empty() {
        let mut datagram = [0; 8_192];
        let length = socket.recv(&mut datagram).expect("an answer to each");
        let answer = String::from_utf8_lossy(&datagram[..length]).into_owned();
        let call_id = sip_text::header(&answer, "Call-ID").unwrap_or_default();
        let Some(status) = sip_text::status(&answer).filter(|status| *status >= 200) else {
            continue;
        };
        // Answers that are repeated find nobody.
        let Some(mut caller) = callers.remove(call_id) else {
            continue;
        };
        let ack = if status == 200 {
            taken += 1;
            caller.learn(&answer);
            caller.ack()
        } else {
            refused += 1;
            assert_eq!(status, 503, "{answer}");
            assert!(
                sip_text::header(&answer, "Retry-After").is_some(),
                "{answer}"
            );
            caller.to = sip_text::header(&answer, "To").map(str::to_owned);
            caller.ack_refusal()
        };
        socket.send_to(ack.as_bytes(), daemon.sip()).expect("sent");
    }
    assert!(
        taken >= 5 && refused > 0,
        "{taken} taken, {refused} refused"
    );
    let metrics = daemon.page("/metrics").expect("metrics");
    let counted = metrics
        .lines()
        .filter(|line| line.starts_with("offhook_calls_refused_total") && line.contains("503"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok())
        .sum::<usize>();
    assert_eq!(counted, refused, "{metrics}");
    let next = wait_until("room for a call", PROMPTLY, || {
        let mut phone = Phone::new(daemon.sip(), "echo", "afterwards").ok()?;
        (sip_text::status(&phone.call().ok()?) == Some(200)).then_some(())
    });
    assert!(next.is_ok(), "{next:?}\n{}", daemon.log());
    daemon.signal(libc::SIGKILL);
}

/// Some refuse INVITEs with Replaces, others should not be let take a call's place: a trunk's key.
#[test]
fn wound_57_a_trunk_without_replaces_refuses_who_requires_it_and_calls_who_does_not() {
    let setup = DaemonSetup {
        trunk_keys: "replaces = false".to_owned(),
        ..DaemonSetup::default()
    };
    let daemon = Daemon::start(&setup).expect("a daemon");
    let mut first = Phone::new(daemon.sip(), "echo", "first").expect("a phone");
    let answer = first.call().expect("an answer");
    let to = sip_text::header(&answer, "To").expect("a To");
    let (_, tag) = to.split_once(";tag=").expect("a tag");
    let replaces = format!("Replaces: first;to-tag={tag};from-tag=from-first\r\n");

    let taking = |id: &str, lines: &str| {
        let phone = Phone::new(daemon.sip(), "echo", id).expect("a phone");
        let invite = phone
            .caller
            .invite(phone.rtp().local_addr().expect("bound"));
        let invite = invite.replacen("Max-Forwards", &format!("{lines}Max-Forwards"), 1);
        phone.send(&invite).expect("sent");
        let answer = phone.final_answer("INVITE").expect("an answer");
        (phone, answer)
    };
    let (refused, refusal) = taking("requires", &format!("Require: replaces\r\n{replaces}"));
    refused.send(&refused.caller.ack_refusal()).expect("sent");
    assert_eq!(sip_text::status(&refusal), Some(420));
    assert_eq!(sip_text::header(&refusal, "Unsupported"), Some("replaces"));

    let (mut second, answer) = taking("second", &replaces);
    assert_eq!(sip_text::status(&answer), Some(200));
    second.caller.learn(&answer);
    second.send(&second.caller.ack()).expect("sent");
    for phone in [&mut first, &mut second] {
        let answer = phone.hang_up().expect("an answer");
        assert_eq!(sip_text::status(&answer), Some(200), "both calls are up");
    }
    daemon.stop().expect("a clean end");
}

/// The far end of a protected call, with the echo at ours.
struct Protected {
    phone: Phone,
    sender: SrtpSender,
    receiver: SrtpReceiver,
    sequence: u16,
}

impl Protected {
    /// Answers each packet of ours, which its key must open, with one of its own, until the echo of those comes; where
    /// so wanted, silence must come before.
    fn hears_itself(&mut self, after_silence: bool) -> bool {
        let mut was_silent = !after_silence;
        let deadline = Instant::now() + PROMPTLY;
        let rtp = self.phone.rtp();
        rtp.set_read_timeout(Some(PROMPTLY)).expect("a deadline");
        while Instant::now() < deadline {
            let mut packet = [0; 2_048];
            let length = rtp.recv(&mut packet).expect("audio");
            let opened = self.receiver.open_rtp(&mut packet[..length]);
            let length = opened.expect("protected by the key that was agreed on");
            // Silence is 0xff, or nearly.
            let sounds = packet[12..length]
                .iter()
                .all(|sample| *sample & 0x7f < 0x40);
            if sounds && was_silent {
                return true;
            }
            was_silent |= !sounds;
            let mut ours = vec![0x80, 0];
            ours.extend(self.sequence.to_be_bytes());
            ours.extend((u32::from(self.sequence) * 160).to_be_bytes());
            ours.extend(*b"safe");
            ours.extend([0x10; 160]);
            self.sequence = self.sequence.wrapping_add(1);
            let length = ours.len();
            ours.resize(length + 20, 0);
            let length = self.sender.protect_rtp(&mut ours, length);
            let length = length.expect("a fresh key").expect("a packet");
            rtp.send(&ours[..length]).expect("sent");
        }
        false
    }
}

/// Teams refreshes with the same description; some devices begin their numbers anew after a hold.
#[test]
fn wound_51_a_refresh_keeps_key_and_numbers_and_numbers_that_begin_anew_are_followed() {
    let daemon = Daemon::start(&DaemonSetup::default()).expect("a daemon");
    let mut phone = Phone::new(daemon.sip(), "echo", "refresh").expect("a phone");
    let suite = SrtpSuite::AesCm128HmacSha1_80;
    let key = MasterKey::from_random(suite, &[7; 46]);
    let media = phone.rtp().local_addr().expect("bound");
    let offer = sip_text::pcmu_offer(media).replace("RTP/AVP", "RTP/SAVP")
        + &format!("a=crypto:3 {suite} inline:{}\r\n", key.to_base64());
    let agreed = |phone: &mut Phone, sequence: u32| {
        let branch = sequence.to_string();
        let invite = phone.caller.request("INVITE", sequence, &branch, &offer);
        phone.send(&invite).expect("sent");
        let answer = phone.final_answer("INVITE").expect("an answer");
        assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
        phone.caller.learn(&answer);
        let ack = phone
            .caller
            .request("ACK", sequence, &format!("{branch}a"), "");
        phone.send(&ack).expect("sent");
        let media = sip_text::media_address(&answer).expect("an address");
        phone.rtp().connect(media).expect("connected");
        let lines = answer
            .lines()
            .filter(|line| line.starts_with("a=crypto:3 ") || line.starts_with("o="));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let first = agreed(&mut phone, 1);
    let [_, line] = &first[..] else {
        panic!("{first:?}")
    };
    let (_, theirs) = line.split_once("inline:").expect("a key");
    let theirs = MasterKey::from_base64(suite, theirs).expect("of the suite");
    let mut call = Protected {
        phone,
        sender: SrtpSender::new(&key),
        receiver: SrtpReceiver::new(&theirs),
        sequence: 9_000,
    };
    assert!(call.hears_itself(true));

    assert_eq!(
        agreed(&mut call.phone, 2),
        first,
        "key and version are the same"
    );
    assert!(call.hears_itself(false));

    // What is proven but too old is not believed at once.
    call.sender = SrtpSender::new(&key);
    call.sequence = 100;
    assert!(call.hears_itself(true));
    assert_eq!(phone_ends(&call.phone), Some(200));
    daemon.stop().expect("a clean end");
}
