//! Who answers our calls, over real SIP and RTP: a machine that greets and beeps is left a message, a person and a mute
//! far end are talked to, a fax is not. The far end's speech is flite's.

use std::process::Command;
use std::time::{Duration, Instant};

use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::far_end::FarEnd;
use offhook_tests::scratch::Scratch;
use offhook_tests::voice::Voice;
use offhook_tests::wait::{once_within, wait_until};
use offhook_tests::wav::write_spoken;
use serde_json::{Value, json};

/// For what happens at once, on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(10);
const RATE_HZ: usize = 8_000;
/// A machine's greeting as most are, seven seconds of it.
const GREETING: &str = "Hello. You have reached Martin and Anna. We cannot take your call at the moment. \
                        Please leave a message after the tone.";

/// A daemon whose one trunk leads to `far_end`.
fn daemon(far_end: &FarEnd, front_desk: bool, more: &str) -> Daemon {
    Daemon::start(&DaemonSetup {
        codecs: vec!["pcmu"],
        front_desk,
        trunk_keys: format!("address = \"{}\"", far_end.address()),
        more: more.to_owned(),
        ..DaemonSetup::default()
    })
    .expect("a daemon")
}

/// Has the daemon call, and gives the call's id.
#[track_caller]
fn place(daemon: &Daemon, agent: &str, voicemail: Value) -> String {
    let body = json!({ "to": "+15550100", "agent": agent, "voicemail": voicemail });
    let (status, answer) = daemon.ask("POST", "/v1/calls", &body).expect("an answer");
    assert_eq!(status, 201, "{answer}");
    answer["id"].as_str().expect("an id").to_owned()
}

/// What a command prints that asks the daemon.
#[track_caller]
fn offhook(daemon: &Daemon, arguments: &[&str]) -> String {
    let program = offhook_tests::daemon::binary().expect("the program");
    let mut command = Command::new(program);
    command.args(arguments).arg("--control");
    let ran = command.arg(daemon.control().to_string()).output();
    let ran = ran.expect("the program");
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8(ran.stdout).expect("text")
}

/// What is shown of who answered, once that is clear.
#[track_caller]
fn verdict(daemon: &Daemon, id: &str) -> Value {
    let shown = wait_until("a verdict", Duration::from_secs(20), || {
        let (_, call) = daemon
            .ask("GET", &format!("/v1/calls/{id}"), &Value::Null)
            .ok()?;
        Some(call["voicemail"].clone()).filter(Value::is_object)
    });
    shown.unwrap_or_else(|why| panic!("{why}\n{}", daemon.log()))
}

/// `text` as it is said over a telephone.
fn spoken(text: &str) -> Vec<i16> {
    let folder = Scratch::new("line").expect("a folder");
    let line = folder.file("line.wav");
    write_spoken(&line, RATE_HZ as u32, text);
    let reader = hound::WavReader::open(&line).expect("a WAV file");
    reader
        .into_samples()
        .collect::<Result<_, _>>()
        .expect("samples")
}

fn quiet(ms: usize) -> Vec<i16> {
    vec![0; ms * RATE_HZ / 1_000]
}

fn tone(hertz: f64, ms: usize) -> Vec<i16> {
    let step = hertz * std::f64::consts::TAU / RATE_HZ as f64;
    let sample = |n| ((n as f64 * step).sin() * 8_000.0) as i16;
    (0..ms * RATE_HZ / 1_000).map(sample).collect()
}

/// A machine's greeting and its beep.
fn a_machine() -> Vec<i16> {
    let parts = [quiet(400), spoken(GREETING), quiet(600), tone(1_000.0, 500)];
    parts.concat()
}

fn duration(samples: &[i16]) -> Duration {
    Duration::from_millis((samples.len() * 1_000 / RATE_HZ) as u64)
}

/// When something was heard of the agent since `began`.
#[track_caller]
fn hears_the_agent(voice: &Voice, began: Instant) -> Instant {
    let heard = wait_until("the agent", PROMPTLY, || {
        (!voice.heard_since(began).is_zero()).then(Instant::now)
    });
    heard.expect("the agent is heard")
}

#[track_caller]
fn over(daemon: &Daemon) {
    let over = wait_until("the end of every call", PROMPTLY, || {
        daemon.live_calls().ok()?.is_empty().then_some(())
    });
    assert!(over.is_ok(), "{over:?}\n{}", daemon.log());
}

/// Calls a machine, and gives how long the message was that it got. Nothing is said to it before its beep, and the call
/// ends some time after the last word.
fn message_left(daemon: &Daemon, far_end: &FarEnd, agent: &str, voicemail: Value) -> Duration {
    let id = place(daemon, agent, voicemail);
    let voice = far_end.answers(daemon);
    let machine = a_machine();
    let began = Instant::now();
    voice.say_samples(&machine);
    let shown = verdict(daemon, &id);
    let is_machine = |verdict: &Value| {
        let verdict = verdict["verdict"].as_str();
        verdict.is_some_and(|verdict| verdict.starts_with("machine_"))
    };
    assert!(is_machine(&shown), "{shown}\n{}", daemon.log());
    let hung_up = far_end.is_hung_up_on(daemon, Duration::from_secs(30));
    // The voice's first packet left at once; what it says is heard here by a packet later at most.
    let beep_is_over = began + duration(&machine);
    let heard = voice.heard_since(began);
    assert_eq!(
        voice.heard_since(beep_is_over),
        heard,
        "the message begins after the beep\n{}",
        daemon.log()
    );
    let tail = hung_up - Duration::from_millis(300);
    assert_eq!(
        voice.heard_since(tail),
        Duration::ZERO,
        "it was out before the end"
    );
    over(daemon);
    let log = daemon.log_telling("call ended reason=message_left", 1);
    let line = log.lines().find(|line| line.contains("who answered"));
    let line = line.expect("the line");
    for part in [&*id, "confidence=", "evidence="] {
        assert!(line.contains(part), "{part} in {line}");
    }
    heard
}

#[test]
fn wound_63_a_recorded_message_is_heard_after_the_beep_to_its_last_word() {
    let far_end = FarEnd::new();
    let agent = "[agent.sales]\nkind = \"echo\"\n\
                 voicemail = { policy = \"leave_message\", file = \"tone.wav\" }\n";
    let daemon = daemon(&far_end, false, agent);
    let heard = message_left(&daemon, &far_end, "sales", Value::Null);
    // Two seconds, and what a frame at either end makes of it.
    let whole = Duration::from_millis(1_960)..=Duration::from_millis(2_040);
    assert!(whole.contains(&heard), "{heard:?}");
    daemon.metrics_telling(&["offhook_voicemail_verdicts_total{verdict=\"machine_"]);
}

#[test]
fn a_message_that_nothing_here_can_speak_is_refused_before_anybody_is_called() {
    let far_end = FarEnd::new();
    let daemon = daemon(&far_end, false, "");
    let voicemail = json!({ "policy": "leave_message", "text": "Please call back." });
    let body = json!({ "to": "+15550100", "agent": "tone", "voicemail": voicemail });
    let (status, answer) = daemon.ask("POST", "/v1/calls", &body).expect("an answer");
    assert_eq!(status, 409, "{answer}");
    assert!(daemon.live_calls().expect("a list").is_empty());
}

#[test]
fn a_message_that_a_call_was_given_is_spoken_by_the_voice() {
    let far_end = FarEnd::new();
    let daemon = daemon(&far_end, true, "");
    let voicemail = json!({
        "policy": "leave_message",
        "text": "This is the clinic. Please call us back today."
    });
    let heard = message_left(&daemon, &far_end, "front-desk", voicemail);
    assert!(heard > Duration::from_millis(1_500), "{heard:?}");
}

#[test]
fn a_machine_is_hung_up_on_before_its_beep() {
    let far_end = FarEnd::new();
    let daemon = daemon(&far_end, false, "");
    place(&daemon, "echo", json!("hangup"));
    let voice = far_end.answers(&daemon);
    let machine = a_machine();
    let began = Instant::now();
    voice.say_samples(&machine);
    let hung_up = far_end.is_hung_up_on(&daemon, Duration::from_secs(30));
    assert!(hung_up - began < duration(&machine), "{}", daemon.log());
    assert_eq!(voice.heard_since(began), Duration::ZERO);
    over(&daemon);
    daemon.log_telling("call ended reason=voicemail", 1);
}

#[test]
fn wound_62_a_person_who_says_hello_is_answered_within_two_seconds() {
    let far_end = FarEnd::new();
    let agent = "[agent.sales]\nkind = \"play\"\nfile = \"tone.wav\"\nvoicemail = {}\n";
    let daemon = daemon(&far_end, false, agent);
    let hello = [quiet(500), spoken("Hello?")].concat();
    // The second that it takes, and the way; the wound was twenty.
    let answered = once_within("an answer", Duration::from_secs(2), || {
        let id = place(&daemon, "sales", Value::Null);
        let voice = far_end.answers(&daemon);
        let began = Instant::now();
        voice.say_samples(&hello);
        let shown = verdict(&daemon, &id);
        assert_eq!(shown["verdict"], "human", "{shown}");
        let answered = hears_the_agent(&voice, began);
        daemon.control_call(&id, "hang up").expect("done");
        far_end.is_hung_up_on(&daemon, PROMPTLY);
        over(&daemon);
        answered.saturating_duration_since(began + duration(&hello))
    });
    answered.unwrap_or_else(|why| panic!("{why}\n{}", daemon.log()));
}

#[test]
fn a_mute_far_end_gets_a_verdict_at_the_deadline_and_is_talked_to() {
    let far_end = FarEnd::new();
    let agent = "[agent.sales]\nkind = \"play\"\nfile = \"tone.wav\"\n\
                 voicemail = { policy = \"hangup\", max_decision_s = 3 }\n";
    let daemon = daemon(&far_end, false, agent);
    let call = [
        "call",
        "+15550100",
        "--agent",
        "sales",
        "--voicemail",
        "callback",
    ];
    let deadline = Duration::from_secs(3);
    let told = once_within("a verdict", Duration::from_millis(3_500), || {
        let id = offhook(&daemon, &call).trim().to_owned();
        let voice = far_end.answers(&daemon);
        let began = Instant::now();
        let shown = verdict(&daemon, &id);
        let told = offhook(&daemon, &["show", &id]);
        let line = told.lines().find(|line| line.starts_with("answered by"));
        assert!(
            line.is_some_and(|line| line.contains("silence (")),
            "{told}"
        );
        assert_eq!(shown["verdict"], "silence", "{shown}");
        let after_ms = shown["after_ms"].as_u64().expect("a number");
        let after = Duration::from_millis(after_ms);
        assert!(after >= deadline, "{shown}");
        let heard = hears_the_agent(&voice, began) - began;
        // Media was live some milliseconds after the first packet was sent.
        assert!(heard > deadline - Duration::from_millis(100), "{heard:?}");
        daemon.control_call(&id, "hang up").expect("done");
        far_end.is_hung_up_on(&daemon, PROMPTLY);
        over(&daemon);
        after
    });
    told.unwrap_or_else(|why| panic!("{why}\n{}", daemon.log()));
}

#[test]
fn a_fax_machine_ends_the_call() {
    let far_end = FarEnd::new();
    let daemon = daemon(&far_end, false, "");
    place(&daemon, "echo", json!(true));
    let voice = far_end.answers(&daemon);
    let began = Instant::now();
    voice.say_samples(&[quiet(300), tone(2_100.0, 3_000)].concat());
    far_end.is_hung_up_on(&daemon, PROMPTLY);
    assert_eq!(voice.heard_since(began), Duration::ZERO);
    over(&daemon);
    daemon.log_telling("call ended reason=no_person", 1);
    daemon.metrics_telling(&["offhook_voicemail_verdicts_total{verdict=\"fax\"} 1"]);
}

#[test]
fn a_call_may_say_that_it_is_not_found_out_and_a_message_that_is_none_is_refused() {
    let far_end = FarEnd::new();
    let agent = "[agent.sales]\nkind = \"play\"\nfile = \"tone.wav\"\nvoicemail = {}\n";
    let daemon = daemon(&far_end, false, agent);
    let nothing = json!({ "to": "1", "agent": "sales", "voicemail": "leave_message" });
    let (status, why) = daemon
        .ask("POST", "/v1/calls", &nothing)
        .expect("an answer");
    assert_eq!(status, 400, "{why}");
    assert!(
        why["detail"]
            .as_str()
            .is_some_and(|why| why.contains("no message")),
        "{why}"
    );

    let id = place(&daemon, "sales", json!(false));
    let voice = far_end.answers(&daemon);
    let began = Instant::now();
    let after = hears_the_agent(&voice, began) - began;
    assert!(after < Duration::from_secs(3), "{after:?}");
    let (_, call) = daemon
        .ask("GET", &format!("/v1/calls/{id}"), &Value::Null)
        .expect("an answer");
    assert_eq!(call["voicemail"], Value::Null);
    daemon.control_call(&id, "hang up").expect("done");
    far_end.is_hung_up_on(&daemon, PROMPTLY);
    over(&daemon);
}
