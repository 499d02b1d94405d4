//! Nothing that belongs to a caller reaches the log: not the number, not what was said, not what was keyed in, nor what
//! was answered to it. At OFFHOOK_LOG=debug, through a whole conversation and some damage.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use offhook_tests::daemon::{self, Daemon, DaemonSetup};
use offhook_tests::phone::Phone;
use offhook_tests::sip_text;
use offhook_tests::voice::Voice;
use offhook_tests::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(60);
const SENTENCE: Duration = Duration::from_millis(500);

const FROM: &str = "4930112233445";
const TO: &str = "4940998877665";
const KEYED_IN: &str = "8642097531";
/// How a prompt repeats it.
const SPELLED: &str = "8 6 4 2";

#[test]
fn numbers_words_and_keys_of_a_caller_stay_out_of_the_log() {
    let daemon = Daemon::start(&DaemonSetup {
        front_desk: true,
        more: "[[route]]\nto = \"4940998877665\"\nagent = \"front-desk\"\n".to_owned(),
        log: "debug",
        ..DaemonSetup::default()
    })
    .expect("a daemon");
    let mut phone = Phone::new(daemon.sip(), TO, "watched").expect("a phone");
    phone.caller.number = FROM.to_owned();
    send_damaged(&phone);

    let begun = Instant::now();
    let answer = phone.call().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    let voice = Voice::start(phone.rtp()).expect("a voice");
    let desk = Desk {
        daemon: &daemon,
        voice: &voice,
    };
    let paused = desk.hear_out(begun);
    voice.say(&line("opening_hours")).expect("a line");
    desk.is_at("more");
    let paused = desk.hear_out(paused);
    voice.say(&line("yes")).expect("a line");
    desk.is_at("menu");
    let paused = desk.hear_out(paused);
    voice.press("3");
    desk.is_at("number");
    let paused = desk.hear_out(paused);
    voice.press(KEYED_IN);
    voice.press("#");
    desk.is_at("confirm");
    desk.hear_out(paused);
    voice.say(&line("yes")).expect("a line");
    wait_for(&daemon, "noted", || {
        daemon.log().matches("step=\"more\"").count() == 2
    });
    // A key by INFO, and one nobody has.
    phone
        .send(&phone.caller.request("INFO", 3, "3", ""))
        .expect("sent");
    phone.final_answer("INFO").expect("an answer");
    phone.caller.contact = Some(format!("sip:{TO}@{}", daemon.sip()));
    let bye = phone.caller.request("BYE", 4, "4", "");
    phone.send(&bye).expect("sent");
    phone.final_answer("BYE").expect("an answer");

    let (status, log) = daemon.stop().expect("the daemon leaves");
    assert!(status.success(), "{status}: {log}");
    assert!(
        log.contains("DEBUG") && log.contains("damaged message"),
        "nothing was watched: {log}"
    );
    for secret in [
        FROM,
        TO,
        KEYED_IN,
        SPELLED,
        "opening hours",
        "nine in the morning",
        "number is",
    ] {
        let leak = log.lines().find(|line| line.contains(secret));
        assert_eq!(leak, None, "{secret} is in the log");
    }
    // The digits one by one, and a short word, are too common for a search of the whole log: they would be fields.
    for field in ["digit=", "digits=", "text=", "heard=", "phrase="] {
        let leak = log.lines().find(|line| line.contains(field));
        assert_eq!(leak, None);
    }
}

/// Messages that cannot be read, each with the numbers in it.
fn send_damaged(phone: &Phone) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let media = "127.0.0.1:9".parse().expect("an address");
    let invite = phone.caller.invite(media);
    for (good, bad) in [
        ("CSeq: 1 INVITE", "CSeq: one INVITE"),
        ("From: <", "From: <<"),
        ("To: <sip:", "To: sip:<"),
        ("Via: ", "Viaduct: "),
        ("SIP/2.0\r\n", "SIP/7.0\r\n"),
        ("INVITE sip:", "INVITE si p:"),
        ("Content-Length: ", "Content-Length: 9"),
        ("Max-Forwards: 70", "Max-Forwards: 4930112233445"),
        ("Call-ID: ", "Call-ID: 4930112233445 "),
    ] {
        let damaged = invite.replacen(good, bad, 1);
        assert_ne!(damaged, invite, "{good}");
        socket
            .send_to(damaged.as_bytes(), phone.caller.target)
            .expect("sent");
    }
}

fn line(name: &str) -> std::path::PathBuf {
    daemon::repository().join(format!("deploy/audio/caller/{name}.wav"))
}

fn wait_for(daemon: &Daemon, what: &str, mut is_so: impl FnMut() -> bool) {
    let so = wait_until(what, PATIENCE, || is_so().then_some(()));
    assert!(so.is_ok(), "{so:?}\n{}", daemon.log());
}

/// The conversation from the caller's side.
struct Desk<'a> {
    daemon: &'a Daemon,
    voice: &'a Voice,
}

impl Desk<'_> {
    /// Waits for the agent to say something since `moment`, and pause.
    fn hear_out(&self, moment: Instant) -> Instant {
        let heard = self.voice.hear_out(moment, SENTENCE, PATIENCE);
        heard.unwrap_or_else(|why| panic!("{why}\n{}", self.daemon.log()))
    }

    fn is_at(&self, step: &str) {
        let words = format!("step=\"{step}\"");
        wait_for(self.daemon, step, || self.daemon.log().contains(&words));
    }
}
