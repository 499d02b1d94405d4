//! Digits on their ways: as tones in the audio, as events from SIPp, and what a trunk's key `dtmf` allows.

use std::time::Duration;

use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::phone::Phone;
use offhook_tests::scratch::Scratch;
use offhook_tests::sip_text;
use offhook_tests::sipp::SippRun;
use offhook_tests::voice::Voice;
use offhook_tests::wait::wait_until;
use offhook_tests::wav::{write_keys, write_quiet_line, write_tone};
use serde_json::json;

/// For what happens at once, on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(20);

/// What is pressed in every call.
const KEYS: &str = "47110815#";

/// A flow that goes one step on with each right key and to `wrong` with any other, a key heard twice included.
fn flow() -> String {
    let mut text = "start = \"at-0\"\nsilence_s = 60\n".to_owned();
    for (index, key) in KEYS.chars().enumerate() {
        let others: String = "0123456789*#"
            .chars()
            .filter(|other| *other != key)
            .collect();
        let next = if index + 1 == KEYS.len() {
            "right".to_owned()
        } else {
            format!("at-{}", index + 1)
        };
        text += &format!(
            "[step.at-{index}]\nsay = \"Go on.\"\nexpect = [\n\
             {{ phrases = [\"yes\"], digits = \"{key}\", then = \"{next}\" }},\n\
             {{ phrases = [\"no\"], digits = \"{others}\", then = \"wrong\" }},\n]\n"
        );
    }
    for end in ["right", "wrong"] {
        text += &format!("[step.{end}]\nsay = \"Thanks.\"\nhangup = true\n");
    }
    text
}

fn daemon(folder: &Scratch, trunk_keys: &str) -> Daemon {
    std::fs::write(folder.file("number.toml"), flow()).expect("a file");
    Daemon::start(&DaemonSetup {
        trunk_keys: trunk_keys.to_owned(),
        more: format!(
            "[agent.number]\nkind = \"flow\"\nflow = {:?}\n\n[[route]]\nto = \"number\"\nagent = \"number\"\n",
            folder.file("number.toml")
        ),
        log: "info,offhook_session=debug",
        ..DaemonSetup::default()
    })
    .expect("a daemon")
}

fn is_at(daemon: &Daemon, step: &str) {
    let at = format!("step=\"{step}\"");
    let there = wait_until("a step", PROMPTLY, || {
        daemon.log().contains(&at).then_some(())
    });
    assert!(there.is_ok(), "{step}\n{}", daemon.log());
}

/// Keys as a recording of tones, and then the end of the call.
fn keys_as_tones_are_heard(phone: &Phone, daemon: &Daemon, folder: &Scratch) {
    is_at(daemon, "at-0");
    let wav = folder.file("keys.wav");
    write_keys(&wav, KEYS).expect("a recording");
    let voice = Voice::start(phone.rtp()).expect("a voice");
    voice.say(&wav).expect("a recording");
    phone.answer_bye(PROMPTLY).expect("a goodbye");
    assert!(!daemon.log().contains("step=\"wrong\""), "{}", daemon.log());
    is_at(daemon, "right");
}

#[test]
fn wound_44_tones_are_heard_as_digits_by_a_flow_where_no_events_were_agreed_on() {
    let folder = Scratch::new("tones").expect("a folder");
    let mut daemon = daemon(&folder, "");
    let mut phone = Phone::new(daemon.sip(), "number", "tones").expect("a phone");
    let answer = phone.call_without_events().expect("an answer");
    assert!(!answer.contains("telephone-event"), "{answer}");
    keys_as_tones_are_heard(&phone, &daemon, &folder);
    daemon.signal(libc::SIGKILL);
}

#[test]
fn a_trunk_whose_digits_are_in_band_is_answered_without_events_and_its_tones_are_heard() {
    let folder = Scratch::new("inband").expect("a folder");
    let mut daemon = daemon(&folder, "dtmf = \"inband\"\n");
    let mut phone = Phone::new(daemon.sip(), "number", "inband").expect("a phone");
    let answer = phone.call().expect("an answer");
    assert!(!answer.contains("telephone-event"), "{answer}");
    keys_as_tones_are_heard(&phone, &daemon, &folder);
    daemon.signal(libc::SIGKILL);
}

#[test]
fn wound_44_a_trunk_whose_digits_come_by_info_is_answered_without_events_and_one_of_events_alone_counts_no_info()
 {
    for (dtmf, counts) in [("info", true), ("rfc4733", false)] {
        let folder = Scratch::new("info").expect("a folder");
        let mut daemon = daemon(&folder, &format!("dtmf = \"{dtmf}\"\n"));
        let mut phone = Phone::new(daemon.sip(), "number", dtmf).expect("a phone");
        let answer = phone.call().expect("an answer");
        assert_eq!(answer.contains("telephone-event"), !counts, "{answer}");
        is_at(&daemon, "at-0");
        for (sequence, key) in (2..).zip(KEYS.chars()) {
            let body = format!("Signal={key}\r\nDuration=100\r\n");
            let info = phone
                .caller
                .request("INFO", sequence, &sequence.to_string(), &body)
                .replace("application/sdp", "application/dtmf-relay");
            phone.send(&info).expect("sent");
            let answer = phone.final_answer("INFO").expect("an answer");
            assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
        }
        let voice = Voice::start(phone.rtp()).expect("a voice");
        if !counts {
            voice.press(KEYS);
        }
        phone.answer_bye(PROMPTLY).expect("a goodbye");
        is_at(&daemon, "right");
        // Had INFO counted beside events, the keys would have come twice.
        assert!(!daemon.log().contains("step=\"wrong\""), "{}", daemon.log());
        daemon.signal(libc::SIGKILL);
    }
}

#[test]
fn sipps_keys_on_payload_type_96_are_heard() {
    let folder = Scratch::new("sipp-keys").expect("a folder");
    let mut daemon = daemon(&folder, "");
    let outcome = SippRun::story("keys_on_96", daemon.sip(), "number").run();
    let outcome = outcome.expect("a run of SIPp");
    assert_eq!(outcome.successful, 1, "{outcome:?}\n{}", daemon.log());
    is_at(&daemon, "right");
    assert!(!daemon.log().contains("step=\"wrong\""), "{}", daemon.log());
    daemon.signal(libc::SIGKILL);
}

#[test]
fn keys_an_operator_has_pressed_arrive_once_and_in_order_as_events_and_by_info() {
    for dtmf in ["auto", "info"] {
        let folder = Scratch::new("pressed").expect("a folder");
        let mut far = daemon(&folder, &format!("dtmf = \"{dtmf}\"\n"));
        // Nothing that could be taken for a word.
        let quiet = folder.file("quiet.wav");
        write_quiet_line(&quiet, 8_000, 1).expect("a recording");
        let mut near = Daemon::start(&DaemonSetup {
            trunk_keys: format!("dtmf = \"{dtmf}\"\naddress = \"{}\"\n", far.sip()),
            more: format!("[agent.quiet]\nkind = \"play\"\nfile = {quiet:?}\n"),
            ..DaemonSetup::default()
        })
        .expect("a daemon");
        let call = near.place("number", "quiet", "answered").expect("a call");
        is_at(&far, "at-0");
        let id = call["id"].as_str().expect("an id");
        // Not faster than the flow goes on.
        let body = json!({ "digits": KEYS, "gap_ms": 300 });
        let path = format!("/v1/calls/{id}/digits");
        let answer = near.ask("POST", &path, &body).expect("an answer");
        assert_eq!(
            answer,
            (200, json!({ "outcome": "all" })),
            "{dtmf}: {}",
            far.log()
        );
        is_at(&far, "right");
        let log = far.log();
        assert!(!log.contains("step=\"wrong\""), "{dtmf}: {log}");
        for daemon in [&mut near, &mut far] {
            daemon.signal(libc::SIGKILL);
        }
    }
}

#[test]
fn a_beep_is_told_where_an_agent_listens_for_tones() {
    let folder = Scratch::new("beep").expect("a folder");
    let wav = folder.file("beep.wav");
    write_tone(&wav, 8_000, 1, 1_000.0).expect("a recording");
    let mut daemon = Daemon::start(&DaemonSetup {
        more: "[agent.listens]\nkind = \"echo\"\ntones = true\n[[route]]\nto = \"listens\"\nagent = \"listens\"\n"
            .to_owned(),
        ..DaemonSetup::default()
    })
    .expect("a daemon");
    let mut phone = Phone::new(daemon.sip(), "listens", "beep").expect("a phone");
    phone.call().expect("an answer");
    let voice = Voice::start(phone.rtp()).expect("a voice");
    voice.say(&wav).expect("a recording");
    let told = wait_until("the beep", PROMPTLY, || {
        daemon.log().contains("tone=\"beep\"").then_some(())
    });
    assert!(told.is_ok(), "{}", daemon.log());
    daemon.signal(libc::SIGKILL);
}
