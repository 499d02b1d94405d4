//! Flows that do something for their callers, over SIP and RTP: a message is left and told to a webhook, and a caller is
//! handed over to another agent.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use offhook_tests::daemon::{Daemon, DaemonSetup, repository};
use offhook_tests::desk::Desk;
use offhook_tests::phone::Phone;
use offhook_tests::scratch::Scratch;
use offhook_tests::sip_text;
use offhook_tests::voice::Voice;
use offhook_tests::wait::wait_until;
use offhook_tests::wav::{Heard, likeness_of_line};

/// For what happens at once, in a debug build on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(20);
const RATE_HZ: usize = 8_000;

/// A line that flite spoke.
fn line() -> PathBuf {
    repository().join("deploy/audio/caller/opening_hours.wav")
}

fn spoken() -> Vec<i16> {
    samples(&line(), RATE_HZ as u32)
}

fn samples(file: &Path, rate_hz: u32) -> Vec<i16> {
    let reader = hound::WavReader::open(file).expect("a recording");
    assert_eq!(
        (reader.spec().channels, reader.spec().sample_rate),
        (1, rate_hz)
    );
    reader
        .into_samples()
        .map(|sample| sample.expect("a sample"))
        .collect()
}

/// A daemon with a flow for everybody who calls `night`.
struct Night {
    daemon: Daemon,
    folder: Scratch,
}

impl Night {
    fn open(flow: &str, more: &str) -> Self {
        let folder = Scratch::new("night").expect("a folder");
        let file = folder.file("night.toml");
        std::fs::write(&file, flow).expect("a file");
        let kept = folder.file("kept");
        let daemon = Daemon::start(&DaemonSetup {
            codecs: vec!["pcmu"],
            more: format!(
                "[records]\nrecordings = {kept:?}\n\
                 [agent.night]\nkind = \"flow\"\nflow = {file:?}\n\
                 [[route]]\nto = \"night\"\nagent = \"night\"\n{more}"
            ),
            log: "info,offhook_session=debug",
            ..DaemonSetup::default()
        })
        .expect("a daemon");
        Self { daemon, folder }
    }

    fn call(&self, name: &str) -> (Phone, Voice) {
        let mut phone = Phone::new(self.daemon.sip(), "night", name).expect("a phone");
        let answer = phone.call().expect("an answer");
        assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
        let voice = Voice::start(phone.rtp()).expect("a voice");
        (phone, voice)
    }

    /// Waits until this is in the log.
    fn says(&self, what: &str) {
        let said = wait_until(what, PROMPTLY, || {
            self.daemon.log().contains(what).then_some(())
        });
        assert!(said.is_ok(), "{what}\n{}", self.daemon.log());
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.folder.file("kept"));
        let files = files.into_iter().flatten();
        files.map(|file| file.expect("a file").path()).collect()
    }
}

fn night(desk: &Desk) -> String {
    format!(
        "start = \"ask\"\n\
         [step.ask]\nsay = \"We are closed. Please leave a message after the tone.\"\n\
         record = {{ name = \"order\", silence_s = 1 }}\nthen = \"report\"\n\
         [step.report]\nsay = \"Thank you.\"\n\
         webhook = {{ url = \"{}/orders/{{call_id}}\", sets = [\"reference\"], goto = [\"vip\"] }}\n\
         then = \"end\"\nfailed = \"end\"\n\
         [step.vip]\nsay = \"Your reference is {{reference}}. Press one.\"\n\
         expect = [{{ digits = \"1\", then = \"end\" }}]\n\
         [step.end]\nsay = \"Goodbye.\"\nhangup = true\n",
        desk.url()
    )
}

#[test]
fn a_caller_leaves_a_message_the_file_holds_it_and_a_webhook_is_told_and_answers() {
    let answer = r#"{"set": {"reference": "seven"}, "goto": "vip"}"#;
    let desk = Desk::open(move |_| (200, answer.to_owned())).expect("a desk");
    let night = Night::open(&night(&desk), "");
    let (phone, voice) = night.call("caller");
    // The prompt and the beep.
    voice
        .hear_out(Instant::now(), Duration::from_secs(2), PROMPTLY)
        .expect("a prompt");
    let said = spoken();
    voice.say_samples(&said);
    let asked = desk
        .asked(PROMPTLY)
        .unwrap_or_else(|why| panic!("{why}\n{}", night.daemon.log()));
    let call_id = asked.body["call"]["id"].as_str().expect("an id").to_owned();
    assert_eq!(asked.line, format!("POST /orders/{call_id}"));
    assert!(asked.body["call"].get("from").is_none(), "{asked:?}");
    let told = &asked.body["messages"]["order"];
    assert_eq!(told["ended_by"], "silence");

    let [file] = &night.files()[..] else {
        panic!("{:?}", night.files());
    };
    assert_eq!(told["file"], file.display().to_string());
    assert_eq!(
        file.file_name(),
        Some(format!("{call_id}-order.wav").as_ref())
    );
    let heard = samples(file, 8_000);
    assert_eq!(told["duration_ms"], heard.len() / 8);
    let likeness = likeness_of_line(&line(), file).expect("long enough");
    println!("{likeness} in {} ms", heard.len() / 8);
    // Each piece by itself: a thread of ours that was held up has the leg conceal and shift what it is in.
    assert!(likeness > 0.9, "{likeness}");
    let spoken_ms = said.len() / 8;
    assert!(heard.len() / 8 >= spoken_ms, "{} ms", heard.len() / 8);

    night.says("step=\"vip\"");
    let calls = wait_until("the message in the list", PROMPTLY, || {
        let calls = night.daemon.live_calls().ok()?;
        calls[0]["messages"][0].is_object().then_some(calls)
    })
    .expect("it is shown");
    let shown = &calls[0]["messages"][0];
    assert_eq!(
        (&shown["name"], &shown["file"]),
        (&"order".into(), &told["file"])
    );
    assert_eq!(shown["duration_ms"], told["duration_ms"]);
    voice.press("1");
    night.says("step=\"end\"");
    phone.answer_bye(PROMPTLY).expect("a goodbye");
    let (_, log) = night.daemon.stop().expect("it leaves");
    assert!(log.contains("a webhook answered"), "{log}");
    // Neither what it was asked nor what it answered.
    for kept_back in ["seven", "/orders/", "ended_by\\\""] {
        assert!(!log.contains(kept_back), "{kept_back}: {log}");
    }
}

#[test]
fn who_hangs_up_in_mid_message_has_left_it_and_the_webhook_is_told() {
    let desk = Desk::open(|_| (204, String::new())).expect("a desk");
    let night = Night::open(&night(&desk), "");
    let (mut phone, voice) = night.call("caller");
    voice
        .hear_out(Instant::now(), Duration::from_secs(2), PROMPTLY)
        .expect("a prompt");
    // They hang up long before they are done.
    let said = spoken();
    for _ in 0..8 {
        voice.say_samples(&said);
    }
    let some_of_it = wait_until("some of the message", PROMPTLY, || {
        let [file] = &night.files()[..] else {
            return None;
        };
        // More than the header: the writer has come round while somebody spoke.
        let reader = hound::WavReader::open(file).ok()?;
        (reader.duration() > 16_000).then_some(())
    });
    some_of_it.expect("a message");
    phone.hang_up().expect("an answer");
    let asked = desk
        .asked(PROMPTLY)
        .unwrap_or_else(|why| panic!("{why}\n{}", night.daemon.log()));
    let told = &asked.body["messages"]["order"];
    assert_eq!(told["ended_by"], "hang_up");
    let [file] = &night.files()[..] else {
        panic!("{:?}", night.files());
    };
    let heard = samples(file, 8_000);
    assert_eq!(told["duration_ms"], heard.len() / 8);
    night.daemon.stop().expect("it leaves");
}

#[test]
fn a_sigkill_in_mid_message_costs_it_two_seconds_at_most() {
    let desk = Desk::open(|_| (204, String::new())).expect("a desk");
    let mut night = Night::open(&night(&desk), "");
    let (_phone, voice) = night.call("caller");
    voice
        .hear_out(Instant::now(), Duration::from_secs(2), PROMPTLY)
        .expect("a prompt");
    for _ in 0..8 {
        voice.say_samples(&spoken());
    }
    let readable_ms = |file: &Path| {
        let reader = hound::WavReader::open(file).ok()?;
        Some(u128::from(reader.duration()) / 8).filter(|ms| *ms > 0)
    };
    // What can be read has just been made so, and nothing of it is lost yet.
    let (file, first_ms, made) = wait_until("a message that can be read", PROMPTLY, || {
        let file = night.files().into_iter().next()?;
        let first_ms = readable_ms(&file)?;
        Some((file, first_ms, Instant::now()))
    })
    .expect("a message");
    // Just before another second of it would be made readable.
    wait_until("some seconds of it", PROMPTLY, || {
        (made.elapsed() >= Duration::from_millis(4_900)).then_some(())
    })
    .expect("time passes");
    night.daemon.signal(libc::SIGKILL);
    let lasted_ms = first_ms + made.elapsed().as_millis();
    night.daemon.wait(PROMPTLY).expect("its end");
    let kept_ms = readable_ms(&file).expect("readable");
    println!("{kept_ms} of {lasted_ms} ms are kept");
    assert!(kept_ms + 2_000 >= lasted_ms, "{kept_ms} of {lasted_ms} ms");
}

#[test]
fn one_of_us_calls_another_that_takes_messages_and_leaves_one() {
    let desk = Desk::open(|_| (204, String::new())).expect("a desk");
    let steps = night(&desk).replace(
        "We are closed. Please leave a message after the tone.",
        "You have reached the office. We are not available. Please leave a message after the tone.",
    );
    let machine = Night::open(&steps, "");
    let folder = Scratch::new("clinic").expect("a folder");
    let file = folder.file("clinic.toml");
    let steps = "start = \"hello\"\n[voicemail]\non_machine = \"leave\"\n\
         [step.hello]\nsay = \"Hello?\"\nyes = \"bye\"\nno = \"bye\"\n\
         [step.leave]\nsay = \"This is the clinic. Please call us back in the morning.\"\nhangup = true\n\
         [step.bye]\nhangup = true\n";
    std::fs::write(&file, steps).expect("a file");
    let clinic = Daemon::start(&DaemonSetup {
        codecs: vec!["pcmu"],
        trunk_keys: format!("address = \"{}\"\n", machine.daemon.sip()),
        more: format!("[agent.clinic]\nkind = \"flow\"\nflow = {file:?}\n"),
        ..DaemonSetup::default()
    })
    .expect("a daemon");
    clinic.place("night", "clinic", "answered").expect("a call");
    let limit = Duration::from_secs(60);
    let asked = desk
        .asked(limit)
        .unwrap_or_else(|why| panic!("{why}\n{}", clinic.log()));
    let told = &asked.body["messages"]["order"];
    let file = told["file"].as_str().expect("a file").to_owned();
    let heard = Heard::read(Path::new(&file)).expect("a message");
    // The whole of it: after the beep, and so not cut at its beginning.
    println!(
        "{} of {} ms are audible",
        heard.audible_ms(0),
        heard.length_ms()
    );
    assert!(heard.audible_ms(0) >= 1_500, "{}", heard.audible_ms(0));
    let log = clinic.log_telling("call ended reason=message_left", 1);
    assert!(log.contains("verdict=\"machine"), "{log}");
    for daemon in [clinic, machine.daemon] {
        daemon.stop().expect("it leaves");
    }
}

#[test]
fn a_caller_is_handed_over_from_one_flow_to_another_and_from_there_to_the_echo() {
    let second = Scratch::new("second").expect("a folder");
    let file = second.file("second.toml");
    let steps = "start = \"hello\"\ninherits = [\"number\"]\n\
         [step.hello]\nsay = \"You keyed {number}. Press one.\"\n\
         expect = [{ digits = \"1\", then = \"over\" }]\n\
         [step.over]\nhand_over = \"echo\"\n";
    std::fs::write(&file, steps).expect("a file");
    let first = "start = \"number\"\n[step.number]\nsay = \"Your number?\"\n\
         collect = { name = \"number\", max = 2 }\nthen = \"over\"\n\
         [step.over]\nsay = \"One moment.\"\nhand_over = \"second\"\n";
    let agent = format!("[agent.second]\nkind = \"flow\"\nflow = {file:?}\n");
    let night = Night::open(first, &agent);
    let (mut phone, voice) = night.call("handed-over");
    night.says("step=\"number\"");
    voice.press("47");
    night.says("another agent takes over to=\"second\"");
    night.says("step=\"hello\"");
    voice.press("1");
    night.says("another agent takes over to=\"echo\"");
    let shown = wait_until("the agent of the call", PROMPTLY, || {
        let calls = night.daemon.live_calls().ok()?;
        (calls[0]["agent"] == "echo").then_some(())
    });
    assert!(shown.is_ok(), "{shown:?}");
    // What is said comes back.
    let began = Instant::now();
    voice.say_samples(&spoken());
    voice
        .hear_out(began, Duration::from_millis(800), PROMPTLY)
        .expect("an echo");
    phone.hang_up().expect("an answer");
    night.daemon.stop().expect("it leaves");
}
