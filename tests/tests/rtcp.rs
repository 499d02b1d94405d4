//! RTCP on the wire: with a softphone that reports as softphones do, and by hand, byte by byte.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use offhook_tests::baresip::{Baresip, BaresipSetup, Codec};
use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::phone::Phone;
use offhook_tests::sip_text;
use offhook_tests::wait::wait_until;
use serde_json::Value;

/// Two reports of a far end's, five seconds apart, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The one live call, once it is as `is_so` says.
fn call_with(daemon: &Daemon, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let call = wait_until(what, PATIENCE, || {
        let calls = daemon.live_calls().ok()?;
        calls.into_iter().find(|call| is_so(&call["quality"]))
    });
    call.unwrap_or_else(|why| panic!("{why}\n{:?}\n{}", daemon.live_calls(), daemon.log()))
}

fn within(value: &Value, range: std::ops::RangeInclusive<f64>) -> bool {
    value.as_f64().is_some_and(|value| range.contains(&value))
}

/// A call of a softphone's to the echo, until both sides have reported; what the API shows of it then, and what both
/// printed.
fn reports_of_a_softphone(rtcp_mux: bool) -> (Value, String, String) {
    let daemon = Daemon::start(&DaemonSetup::default()).expect("a daemon");
    let mut phone = Baresip::start_with(&BaresipSetup {
        rtcp_mux,
        ..BaresipSetup::new(Codec::Pcmu)
    })
    .expect("a softphone");
    phone
        .call("echo", daemon.sip(), Duration::from_secs(10))
        .expect("an answer");
    let call = call_with(&daemon, "two reports each way", |quality| {
        quality["reports_heard"].as_u64() >= Some(3)
            && quality["round_trip_ms"].is_number()
            && quality["heard"]["mos"].is_number()
    });
    phone.hang_up().expect("an end");
    let said = phone.log();
    let (status, log) = daemon.stop().expect("the daemon leaves");
    assert!(status.success(), "{status}: {log}");
    (call["quality"].clone(), said, log)
}

fn check_softphone(rtcp_mux: bool) {
    let (quality, said, log) = reports_of_a_softphone(rtcp_mux);
    println!("{quality}\n{said}\n{log}");
    let multiplexed = said.contains("RTP/RTCP multiplexing enabled");
    assert_eq!(multiplexed, rtcp_mux, "{said}");
    for direction in ["heard", "sent"] {
        let of = &quality[direction];
        assert!(within(&of["mos"], 4.0..=4.5), "{quality}");
        assert!(within(&of["mos_of_call"], 4.0..=4.5), "{quality}");
        assert!(within(&of["loss_percent"], 0.0..=2.0), "{quality}");
        assert!(within(&of["jitter_ms"], 0.0..=30.0), "{quality}");
    }
    // Both are on this machine; a turn of a busy one may come late.
    assert!(within(&quality["round_trip_ms"], 0.0..=50.0), "{quality}");
    assert!(log.contains("audio ended"), "{log}");
    assert!(log.contains("mos_in=4."), "{log}");
}

#[test]
fn a_softphone_with_rtcp_on_a_port_of_its_own_and_we_report_to_each_other() {
    check_softphone(false);
}

#[test]
fn a_softphone_with_rtcp_on_the_port_of_rtp_and_we_report_to_each_other() {
    check_softphone(true);
}

/// A far end by hand: PCMU with every tenth packet left out, and RTCP on the port above.
struct Hand {
    phone: Phone,
    rtcp: UdpSocket,
    their_rtcp: SocketAddr,
    /// Whether RTCP is to come on RTP's port.
    multiplexed: bool,
    sent: u16,
    /// The number of the last RTP packet that came.
    heard: u16,
    next_at: Instant,
}

const SSRC: u32 = 0x0BAD_CAFE;
/// What our clock says; its middle 32 bits come back.
const NTP: u64 = 0x0000_0011_2233_0000;
const NTP_MIDDLE: u32 = 0x0011_2233;

impl Hand {
    fn call(daemon: &Daemon, mux: bool) -> Self {
        let mut phone = Phone::new(daemon.sip(), "play", "rtcp").expect("a phone");
        let answer = offer(&mut phone, 1, mux);
        let our_rtp = phone.rtp().local_addr().expect("an address");
        let above = |address: SocketAddr| SocketAddr::new(address.ip(), address.port() + 1);
        let rtcp = UdpSocket::bind(above(our_rtp)).expect("the port above");
        for socket in [&rtcp, phone.rtp()] {
            socket.set_nonblocking(true).expect("an option");
        }
        let their_rtp = sip_text::media_address(&answer).expect("an address");
        Self {
            phone,
            rtcp,
            their_rtcp: above(their_rtp),
            multiplexed: mux,
            sent: 0,
            heard: 0,
            next_at: Instant::now(),
        }
    }

    /// Sends what is due, and gives an RTCP packet that came.
    fn turn(&mut self) -> Option<(Vec<u8>, Instant)> {
        while Instant::now() >= self.next_at {
            self.next_at += Duration::from_millis(20);
            self.sent += 1;
            if !self.sent.is_multiple_of(10) {
                let mut packet = vec![0x80, 0];
                packet.extend(self.sent.to_be_bytes());
                packet.extend((u32::from(self.sent) * 160).to_be_bytes());
                packet.extend(SSRC.to_be_bytes());
                packet.extend([0xFF; 160]);
                self.phone.rtp().send(&packet).expect("sent");
            }
        }
        let mut buffer = [0; 1_500];
        while let Ok(length) = self.phone.rtp().recv(&mut buffer) {
            assert!(length >= 8);
            if (192..=223).contains(&buffer[1]) {
                assert!(self.multiplexed);
                return Some((buffer[..length].to_vec(), Instant::now()));
            }
            self.heard = u16::from_be_bytes([buffer[2], buffer[3]]);
        }
        if let Ok((length, from)) = self.rtcp.recv_from(&mut buffer) {
            assert_eq!(from, self.their_rtcp);
            assert!(!self.multiplexed);
            return Some((buffer[..length].to_vec(), Instant::now()));
        }
        std::thread::sleep(Duration::from_millis(1));
        None
    }

    /// The next RTCP packet that is as `is_so` says.
    fn report(&mut self, is_so: impl Fn(&[u8]) -> bool) -> (Vec<u8>, Instant) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(report) = self.turn()
                && is_so(&report.0)
            {
                return report;
            }
        }
        panic!("no such report");
    }
}

/// Offers PCMU, first or again, with RTCP on RTP's port or not, and gives the answer, acknowledged.
fn offer(phone: &mut Phone, sequence: u32, mux: bool) -> String {
    let media = phone.rtp().local_addr().expect("an address");
    let mut sdp = sip_text::pcmu_offer(media).replace("o=- 1 1", &format!("o=- 1 {sequence}"));
    if mux {
        sdp.push_str("a=rtcp-mux\r\n");
    }
    let branch = sequence.to_string();
    let invite = phone.caller.request("INVITE", sequence, &branch, &sdp);
    phone.send(&invite).expect("sent");
    let answer = phone.final_answer("INVITE").expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    assert_eq!(answer.contains("a=rtcp-mux"), mux, "{answer}");
    phone.caller.learn(&answer);
    let branch = format!("{sequence}a");
    let ack = phone.caller.request("ACK", sequence, &branch, "");
    phone.send(&ack).expect("sent");
    let media = sip_text::media_address(&answer).expect("an address");
    phone.rtp().connect(media).expect("an address");
    answer
}

fn word(bytes: &[u8], index: usize) -> u32 {
    let at = index * 4;
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

#[test]
fn a_report_says_what_was_lost_and_the_last_one_says_bye() {
    let daemon = Daemon::start(&DaemonSetup::default()).expect("a daemon");
    let mut hand = Hand::call(&daemon, false);
    let first = hand.report(|bytes| bytes[1] == 200).0;
    assert_eq!(word(&first, 7), SSRC);

    // A sender report of ours, whose time comes back with how long it was kept.
    let mut report = vec![0x80, 200, 0, 6];
    report.extend(SSRC.to_be_bytes());
    report.extend(NTP.to_be_bytes());
    report.extend([0; 12]);
    hand.rtcp.send_to(&report, hand.their_rtcp).expect("sent");
    let said_at = Instant::now();
    let (bytes, came_at) = hand.report(|bytes| word(bytes, 11) == NTP_MIDDLE);

    // SR with one block, SDES with one chunk.
    assert_eq!(bytes[..4], [0x81, 200, 0, 12]);
    assert_eq!(bytes[52..56], [0x81, 202, 0, 6]);
    assert_eq!(bytes.len(), 80);
    let theirs = word(&bytes, 1);
    assert_eq!(word(&bytes, 14), theirs);
    let (packets, octets) = (word(&bytes, 5), word(&bytes, 6));
    assert_eq!(octets, packets * 160);
    assert_eq!(word(&bytes, 7), SSRC);
    let fraction = word(&bytes, 8) >> 24;
    let lost = word(&bytes, 8) & 0x00FF_FFFF;
    let highest = word(&bytes, 9);
    println!(
        "fraction {fraction}/256, lost {lost} of {highest}, jitter {}",
        word(&bytes, 10)
    );
    assert!((18..=33).contains(&fraction), "a tenth is 26: {fraction}");
    assert!((highest / 10).abs_diff(lost) <= 2, "{lost} of {highest}");
    assert!(u32::from(hand.sent).abs_diff(highest) <= 10, "{highest}");
    let kept = Duration::from_secs(1).mul_f64(f64::from(word(&bytes, 12)) / 65_536.0);
    let passed = came_at - said_at;
    assert!(
        kept <= passed && passed - kept < Duration::from_millis(200),
        "{kept:?}, {passed:?}"
    );

    // Our answer: a twentieth of theirs was lost, and its time was kept for as long as it was.
    let mut answer = vec![0x81, 201, 0, 7];
    answer.extend(SSRC.to_be_bytes());
    answer.extend(theirs.to_be_bytes());
    answer.extend(((13 << 24) | (packets / 20)).to_be_bytes());
    answer.extend(u32::from(hand.heard).to_be_bytes());
    answer.extend(80_u32.to_be_bytes());
    answer.extend(((word(&bytes, 2) << 16) | (word(&bytes, 3) >> 16)).to_be_bytes());
    let kept = came_at.elapsed().as_secs_f64() * 65_536.0;
    answer.extend((kept as u32).to_be_bytes());
    hand.rtcp.send_to(&answer, hand.their_rtcp).expect("sent");
    // The figures are shown with the daemon's next report.
    hand.report(|bytes| bytes[1] == 200);
    let call = call_with(&daemon, "the answer", |quality| {
        quality["sent"]["mos"].is_number()
    });
    let quality = &call["quality"];
    println!("{quality}");
    assert!(
        within(&quality["sent"]["loss_percent"], 4.0..=5.5),
        "{quality}"
    );
    assert_eq!(quality["sent"]["jitter_ms"], 10.0);
    assert!(within(&quality["sent"]["mos"], 3.8..=4.0), "{quality}");
    assert!(
        within(&quality["heard"]["loss_percent"], 9.0..=11.0),
        "{quality}"
    );
    assert!(within(&quality["heard"]["mos"], 3.2..=3.6), "{quality}");
    assert!(within(&quality["round_trip_ms"], 0.0..=100.0), "{quality}");

    hand.phone.hang_up().expect("an answer");
    let is_bye = |bytes: &[u8]| bytes.len() >= 12 && bytes[bytes.len() - 12..][..2] == [0x81, 203];
    let (last, _) = hand.report(is_bye);
    assert_eq!(word(&last, last.len() / 4 - 2), theirs);
    daemon.metrics_telling(&[
        "offhook_call_mos_count{direction=\"in\"} 1",
        "offhook_call_mos_count{direction=\"out\"} 1",
        "offhook_round_trip_seconds_count 1",
        "offhook_rtcp_packets_total{direction=\"in\"} 2",
    ]);
}

#[test]
fn reports_move_to_a_port_of_their_own_when_a_reinvite_wants_that() {
    let daemon = Daemon::start(&DaemonSetup::default()).expect("a daemon");
    let mut hand = Hand::call(&daemon, true);
    let is_report = |bytes: &[u8]| bytes[1] == 200;
    let before = hand.report(is_report).0;
    offer(&mut hand.phone, 2, false);
    hand.multiplexed = false;
    let after = hand.report(is_report).0;
    assert_eq!(word(&before, 1), word(&after, 1));
    // What comes to the new port is heard.
    let mut report = vec![0x80, 201, 0, 1];
    report.extend(SSRC.to_be_bytes());
    hand.rtcp.send_to(&report, hand.their_rtcp).expect("sent");
    hand.report(is_report);
    call_with(&daemon, "our report", |quality| {
        quality["reports_heard"] == 1
    });
    let bye = hand.phone.caller.request("BYE", 3, "3", "");
    hand.phone.send(&bye).expect("sent");
    hand.phone.final_answer("BYE").expect("an answer");
}
