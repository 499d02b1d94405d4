//! A far end that returns our own voice: an agent that speaks a long text is not interrupted by it.

use std::collections::VecDeque;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use offhook_media::codec::{Codec, CodecKind, Decoder, Encoder};
use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::phone::Phone;
use offhook_tests::scratch::Scratch;

/// Speech is made and played, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const PACKET: usize = 160;
const RTP_HEADER: usize = 12;
/// The way back, in packets of 20 ms.
const DELAY: usize = 2;

/// A step that collects keys expects no words, so that whatever the reflex takes for the caller interrupts.
const FLOW: &str = r##"
start = "long"
silence_s = 60

[step.long]
say = "Thank you for calling. Our opening hours are as follows. From Monday to Thursday we are here from nine in the morning to half past five in the afternoon. On Fridays we close at three. On the first Saturday of each month the workshop is open from ten to one, and on all other days you can leave a message for our technicians. Please key in your number now, and then press hash."
collect = { name = "number", min = 3, max = 15, terminator = "#" }
then = "bye"

[step.bye]
say = "Goodbye."
hangup = true
"##;

/// A call in which all that is heard comes back `gain` times as loud, 40 ms later. Answers the daemon's log once
/// `words` stand in it.
fn call_with_echo(agent_keys: &str, gain: f64, words: &str) -> String {
    let folder = Scratch::new("own-echo").expect("a folder");
    let flow = folder.file("long.toml");
    std::fs::write(&flow, FLOW).expect("a file");
    let daemon = Daemon::start(&DaemonSetup {
        more: format!(
            "[agent.long]\nkind = \"flow\"\nflow = {flow:?}\n{agent_keys}\n[[route]]\nto = \"long\"\nagent = \"long\"\n"
        ),
        log: "info,offhook_session=debug",
        ..DaemonSetup::default()
    })
    .expect("a daemon");
    let mut phone = Phone::new(daemon.sip(), "long", "own-echo").expect("a phone");
    phone.call().expect("an answer");
    return_until(phone.rtp(), gain, || daemon.log().contains(words));
    let log = daemon.log();
    assert!(log.contains(words), "{words}\n{log}");
    log
}

/// Sends each packet back `gain` times as loud, behind the way back's delay, until `is_over` or patience ends.
fn return_until(socket: &UdpSocket, gain: f64, is_over: impl Fn() -> bool) {
    let begun = Instant::now();
    let mut decoder = Decoder::new(CodecKind::Pcmu).expect("a table");
    let mut encoder = Encoder::new(&Codec::new(CodecKind::Pcmu)).expect("a table");
    let mut way_back = VecDeque::from(vec![[0i16; PACKET]; DELAY]);
    let mut datagram = [0; 2_048];
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("an option");
    let mut number = 0u16;
    while begun.elapsed() < PATIENCE && !(number.is_multiple_of(25) && is_over()) {
        // Our packets are the clock: one goes back for each that comes.
        let mut returned = [0; PACKET];
        match socket.recv(&mut datagram) {
            Ok(length) if length == RTP_HEADER + PACKET => {
                let mut samples = [0; PACKET];
                decoder
                    .decode(&datagram[RTP_HEADER..length], &mut samples)
                    .expect("every octet is a sample");
                way_back.push_back(samples.map(|sample| (f64::from(sample) * gain) as i16));
                returned = way_back.pop_front().expect("as many as the delay");
            }
            // RTCP shares the port.
            Ok(_) => continue,
            // Who hears nothing yet speaks first: the agent waits for that.
            Err(_) => {}
        }
        let mut payload = [0; PACKET];
        encoder.encode(&returned, &mut payload).expect("room");
        send(socket, number, &payload);
        number += 1;
    }
}

fn send(socket: &UdpSocket, number: u16, payload: &[u8; PACKET]) {
    let mut packet = [0; RTP_HEADER + PACKET];
    packet[0] = 0x80;
    packet[2..4].copy_from_slice(&number.to_be_bytes());
    packet[4..8].copy_from_slice(&(u32::from(number) * PACKET as u32).to_be_bytes());
    packet[8..12].copy_from_slice(&0xEC40_EC40u32.to_be_bytes());
    packet[RTP_HEADER..].copy_from_slice(payload);
    // Refused once the daemon is gone.
    let _ = socket.send(&packet);
}

#[test]
fn an_agent_whose_voice_comes_back_at_20_db_below_after_40_ms_says_its_long_text_to_the_end() {
    let log = call_with_echo("", 0.1, "trigger=PlaybackDrained");
    assert!(!log.contains("trigger=Interrupted"), "{log}");
    // Of the first word the guard learns.
    let taken_for_the_callers = log.matches("trigger=CallerSpeaks").count();
    assert!(taken_for_the_callers <= 1, "{log}");
}

/// Or the test above could not fail.
#[test]
fn without_the_guard_the_same_voice_interrupts_the_agent() {
    call_with_echo("echo_guard = false", 0.1, "trigger=Interrupted");
}
