//! Recordings of calls, by the files that are left: after a SIGKILL in mid-call, around pauses, digits that nobody may
//! learn and consent prompts, and where the disk gives out.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use offhook_tests::baresip::{Baresip, Codec};
use offhook_tests::daemon::{Daemon, DaemonSetup, binary};
use offhook_tests::phone::Phone;
use offhook_tests::scratch::Scratch;
use offhook_tests::sip_text;
use offhook_tests::voice::Voice;
use offhook_tests::wait::wait_until;
use offhook_tests::wav::{write_keys, write_tone};
use serde_json::{Value, json};

/// For what happens at once, on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(20);
const RATE_HZ: usize = 8_000;
/// What the agent `told` plays, and what a consent prompt is here.
const AGENT_HZ: f64 = 440.0;
const CONSENT_HZ: f64 = 700.0;
/// What a caller hums.
const CALLER_HZ: f64 = 1_000.0;

/// A folder with recordings, and a daemon whose agent `told` is recorded and plays a tone.
struct Studio {
    daemon: Daemon,
    folder: Scratch,
}

impl Studio {
    fn open(agent_keys: &str) -> Self {
        Self::open_with(agent_keys, "", DaemonSetup::default())
    }

    fn open_with(agent_keys: &str, more: &str, setup: DaemonSetup) -> Self {
        let folder = Scratch::new("recordings").expect("a folder");
        write_tone(&folder.file("consent.wav"), 8_000, 1, CONSENT_HZ).expect("a file");
        write_tone(&folder.file("agent.wav"), 8_000, 2, AGENT_HZ).expect("a file");
        let in_folder = |text: &str| text.replace("FOLDER", &folder.path().display().to_string());
        let daemon = Daemon::start(&DaemonSetup {
            codecs: vec!["pcmu"],
            more: in_folder(&format!(
                "[records]\nrecordings = \"FOLDER/kept\"\n\
                 [agent.told]\nkind = \"play\"\nfile = \"FOLDER/agent.wav\"\nrecord = true\n{agent_keys}\n\
                 [[route]]\nto = \"told\"\nagent = \"told\"\n{more}"
            )),
            ..setup
        })
        .expect("a daemon");
        Self { daemon, folder }
    }

    /// The recordings, by their calls.
    fn recordings(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.folder.file("kept"))
            .into_iter()
            .flatten();
        files.map(|file| file.expect("a file").path()).collect()
    }

    /// The recording of the one call, when so much of it can be read.
    fn recorded_for(&self, ms: usize) -> PathBuf {
        let found = wait_until("a recording", PROMPTLY, || {
            let [file] = &self.recordings()[..] else {
                return None;
            };
            (readable_ms(file)? >= ms).then(|| file.clone())
        });
        found.unwrap_or_else(|why| panic!("{why}: {}", self.daemon.log()))
    }

    /// A caller who hums for half a minute.
    fn humming_caller(&self, name: &str) -> (Phone, Voice) {
        let (phone, voice) = self.caller("told", name);
        voice.say_samples(&hum(30));
        (phone, voice)
    }

    fn caller(&self, user: &str, name: &str) -> (Phone, Voice) {
        let mut phone = Phone::new(self.daemon.sip(), user, name).expect("a phone");
        let answer = phone.call_without_events().expect("an answer");
        assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
        let voice = Voice::start(phone.rtp()).expect("a voice");
        (phone, voice)
    }

    /// Hangs up and gives the finished recording.
    fn finished(&self, mut phone: Phone) -> Recording {
        phone.hang_up().expect("an answer");
        let [file] = &self.recordings()[..] else {
            panic!("not one recording");
        };
        // A file is whole when its header speaks of all that it holds.
        let whole = wait_until("the end of a recording", PROMPTLY, || {
            let bytes = std::fs::metadata(file).ok()?.len() as usize;
            (readable_ms(file)? * RATE_HZ / 1_000 * 4 + 44 == bytes
                && self.daemon.live_calls().is_ok_and(|calls| calls.is_empty()))
            .then_some(())
        });
        whole.expect("a whole file");
        Recording::read(file)
    }

    fn id(&self) -> String {
        let calls = self.daemon.live_calls().expect("a list");
        calls[0]["id"].as_str().expect("an id").to_owned()
    }

    fn metric(&self, name: &str) -> String {
        let page = self.daemon.page("/metrics").expect("metrics");
        let line = page.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or("").trim().to_owned()
    }
}

fn hum(seconds: usize) -> Vec<i16> {
    let sample = |n: usize| {
        let turns = n as f64 * CALLER_HZ / RATE_HZ as f64;
        (6_000.0 * (turns * std::f64::consts::TAU).sin()) as i16
    };
    (0..seconds * RATE_HZ).map(sample).collect()
}

/// How much of a file its header says can be read.
fn readable_ms(file: &Path) -> Option<usize> {
    let reader = hound::WavReader::open(file).ok()?;
    Some(reader.duration() as usize * 1_000 / RATE_HZ)
}

/// How long ago a file was made.
fn age(file: &Path) -> Duration {
    let made = std::fs::metadata(file).and_then(|facts| facts.created());
    let age = SystemTime::now().duration_since(made.expect("when it was made"));
    age.expect("a clock that goes on")
}

/// A recording, in pieces of 20 ms.
struct Recording {
    caller: Vec<Vec<f64>>,
    agent: Vec<Vec<f64>>,
}

impl Recording {
    fn read(file: &Path) -> Self {
        let mut reader = hound::WavReader::open(file).expect("a recording");
        assert_eq!(
            (reader.spec().channels, reader.spec().sample_rate as usize),
            (2, RATE_HZ)
        );
        let samples: Vec<f64> = reader
            .samples::<i16>()
            .map(|sample| f64::from(sample.expect("a sample")))
            .collect();
        let side = |side: usize| {
            let side: Vec<f64> = samples.iter().skip(side).step_by(2).copied().collect();
            side.chunks_exact(RATE_HZ / 50)
                .map(<[f64]>::to_vec)
                .collect()
        };
        Self {
            caller: side(0),
            agent: side(1),
        }
    }

    fn length_ms(&self) -> usize {
        self.caller.len() * 20
    }
}

/// How much of one side is of this tone, in milliseconds.
fn tone_ms(side: &[Vec<f64>], hz: f64) -> usize {
    side.iter().filter(|piece| is_tone(piece, hz)).count() * 20
}

/// Whether something sounds, and nine tenths of its power are of this frequency.
fn is_tone(piece: &[f64], hz: f64) -> bool {
    let power: f64 = piece.iter().map(|sample| sample * sample).sum();
    let (mut real, mut imaginary) = (0.0, 0.0);
    for (n, sample) in piece.iter().enumerate() {
        let angle = n as f64 * hz / RATE_HZ as f64 * std::f64::consts::TAU;
        real += sample * angle.cos();
        imaginary += sample * angle.sin();
    }
    let share = 2.0 * (real * real + imaginary * imaginary) / piece.len() as f64 / power;
    power / piece.len() as f64 > 100.0 * 100.0 && share > 0.9
}

fn is_silent(piece: &[f64]) -> bool {
    piece.iter().all(|sample| *sample == 0.0)
}

/// Runs a program that has to be content with what it is given, and gives what it printed.
fn content(program: &str, arguments: &[&str], file: &Path, rest: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).arg(file).args(rest);
    let output = command.output().expect(program);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "{program}: {said}"
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_sigkill_in_mid_call_leaves_recordings_that_lack_two_seconds_at_most() {
    let mut studio = Studio::open("");
    let mut softphone = Baresip::start_murmuring(Codec::Pcmu).expect("baresip");
    let target = studio.daemon.sip();
    softphone.call("told", target, PROMPTLY).expect("a call");
    // A second call, so that two files are caught at different moments.
    wait_until("a recording", PROMPTLY, || {
        let ages = studio.recordings().into_iter().map(|file| age(&file));
        (ages.max()? >= Duration::from_millis(1_300)).then_some(())
    })
    .expect("a recording");
    let _humming = studio.humming_caller("second");
    // Whatever rhythm of seconds the writer has, this is long after a beat of it.
    wait_until("the worst moment", PROMPTLY, || {
        let ages = studio.recordings().into_iter().map(|file| age(&file));
        (ages.max()? >= Duration::from_millis(7_900)).then_some(())
    })
    .expect("time to pass");
    studio.daemon.signal(libc::SIGKILL);
    let killed = Instant::now();
    studio.daemon.wait(PROMPTLY).expect("its end");

    let files = studio.recordings();
    assert_eq!(files.len(), 2);
    let mut hummed = 0;
    for file in &files {
        let lasted = age(file).saturating_sub(killed.elapsed());
        let lasted_ms = lasted.as_millis() as usize;
        let kept_ms = readable_ms(file).expect("readable");
        println!("{kept_ms} of {lasted_ms} ms are kept");
        assert!(kept_ms + 2_000 >= lasted_ms, "{kept_ms} of {lasted_ms} ms");

        let seconds = content("soxi", &["-D"], file, &[]);
        let seconds: f64 = seconds.trim().parse().expect("a length");
        assert!(
            (seconds * 1_000.0 - kept_ms as f64).abs() < 1.0,
            "{seconds}"
        );
        content("sox", &[], file, &["-n"]);
        content("ffmpeg", &["-v", "error", "-i"], file, &["-f", "null", "-"]);

        let recording = Recording::read(file);
        let heard = recording.length_ms() - 1_000;
        assert!(tone_ms(&recording.agent, AGENT_HZ) >= heard, "agent right");
        // The murmur has any pitch now and then.
        let of_agent = tone_ms(&recording.caller, AGENT_HZ);
        assert!(of_agent * 10 < heard, "caller left");
        let sounds = recording.caller.iter().filter(|piece| !is_silent(piece));
        assert!(sounds.count() * 20 >= heard, "the caller is heard");
        hummed += usize::from(tone_ms(&recording.caller, CALLER_HZ) >= heard);
    }
    assert_eq!(hummed, 1, "one of the callers hums, the other murmurs");
}

#[test]
fn a_pause_is_silence_of_both_sides_and_of_its_own_length() {
    let studio = Studio::open("");
    let (phone, voice) = studio.humming_caller("paused");
    studio.recorded_for(1_000);
    let id = studio.id();
    let recording = format!("/v1/calls/{id}/recording");
    let ask =
        |path: &str, body: Value| studio.daemon.ask("POST", path, &body).expect("an answer").0;
    assert_eq!(ask(&recording, json!({ "paused": true })), 204);
    let paused = Instant::now();
    assert_eq!(
        ask(&recording, json!({ "paused": true })),
        204,
        "once more is no more"
    );
    let file = studio.recorded_for(4_000);
    // Whoever is at the keyboard takes it back.
    let mut command = Command::new(binary().expect("the program"));
    command.args(["recording", "resume", &id, "--control"]);
    command.arg(studio.daemon.control().to_string());
    let output = command.output().expect("an end");
    assert!(output.status.success(), "{output:?}");
    let paused_ms = paused.elapsed().as_millis() as usize;
    studio.recorded_for(readable_ms(&file).expect("readable") + 1_500);
    let whole = studio.finished(phone);
    drop(voice);

    for side in [&whole.caller, &whole.agent] {
        let silent = |piece: &Vec<f64>| is_silent(piece);
        // What the call began with, before the first packet and the tone, is none of it.
        let begun = side.iter().position(|piece| !silent(piece)).expect("sound");
        let from = begun + side[begun..].iter().position(silent).expect("a pause");
        let length = side[from..]
            .iter()
            .take_while(|piece| silent(piece))
            .count();
        let length_ms = length * 20;
        println!("{length_ms} ms of silence, {paused_ms} ms of pause");
        assert!(
            length_ms.abs_diff(paused_ms) <= 400,
            "{length_ms}, {paused_ms}"
        );
        let after = &side[from + length + 1..];
        assert!(!after.iter().any(silent) && after.len() * 20 >= 1_000);
    }
    assert!(tone_ms(&whole.caller, CALLER_HZ) > 2_000);
    assert!(tone_ms(&whole.agent, AGENT_HZ) > 2_000);
    let silent_together = whole.caller.iter().zip(&whole.agent);
    let silent_together =
        silent_together.filter(|(caller, agent)| is_silent(caller) && is_silent(agent));
    assert!(
        silent_together.count() * 20 + 400 >= paused_ms,
        "on one clock"
    );

    assert_eq!(
        ask("/v1/calls/nobody/recording", json!({ "paused": true })),
        404
    );
    assert_eq!(
        ask(&recording, json!({ "paused": true })),
        404,
        "it is over"
    );
    assert_eq!(ask(&recording, json!({})), 422);
    let (mut phone, _voice) = studio.caller("echo", "unrecorded");
    let recording = format!("/v1/calls/{}/recording", studio.id());
    assert_eq!(ask(&recording, json!({ "paused": true })), 409);
    assert_eq!(studio.metric("offhook_recordings_begun_total"), "1");
    phone.hang_up().expect("an answer");
}

/// A flow that collects four digits that nobody may learn, then two that anybody may, by prompts that need no voice.
const PIN: &str = r#"
start = "pin"
silence_s = 60
[step.pin]
say = { file = "agent.wav" }
collect = { name = "pin", min = 4, max = 4, terminator = "none", sensitive = true }
then = "floor"
[step.floor]
say = { file = "agent.wav" }
collect = { name = "floor", min = 2, max = 2, terminator = "none" }
then = "end"
[step.end]
say = { file = "agent.wav" }
hangup = true
"#;

#[test]
fn keys_that_nobody_may_learn_are_neither_heard_in_the_recording_nor_in_the_log() {
    let setup = DaemonSetup {
        log: "trace",
        ..DaemonSetup::default()
    };
    let more = "[agent.pin]\nkind = \"flow\"\nflow = \"FOLDER/pin.toml\"\nrecord = true\n\
                [[route]]\nto = \"pin\"\nagent = \"pin\"\n";
    let folder = Scratch::new("pin").expect("a folder");
    std::fs::write(folder.file("pin.toml"), PIN).expect("a flow");
    write_tone(&folder.file("agent.wav"), 8_000, 1, AGENT_HZ).expect("a file");
    let more = more.replace("FOLDER", &folder.path().display().to_string());
    let studio = Studio::open_with("", &more, setup);
    let is_at = |step: &str| {
        let at = format!("step=\"{step}\"");
        let there = wait_until("a step", PROMPTLY, || {
            studio.daemon.log().contains(&at).then_some(())
        });
        assert!(there.is_ok(), "{step}\n{}", studio.daemon.log());
    };
    let (phone, voice) = studio.caller("pin", "pin");
    is_at("pin");
    let keys = |keys: &str| {
        let file = folder.file(&format!("{keys}.wav"));
        write_keys(&file, keys).expect("a file");
        file
    };
    // Two of them by signalling as well, as some far ends do: copies of the tones that come.
    voice.say(&keys("8642")).expect("said");
    for (sequence, key) in (2..).zip("86".chars()) {
        let body = format!("Signal={key}\r\nDuration=100\r\n");
        let info = phone
            .caller
            .request("INFO", sequence, &sequence.to_string(), &body)
            .replace("application/sdp", "application/dtmf-relay");
        phone.send(&info).expect("sent");
        phone.final_answer("INFO").expect("an answer");
    }
    is_at("floor");
    // Long enough after them, so that the caller is recorded again.
    voice.say_samples(&vec![0; RATE_HZ * 3 / 2]);
    voice.say(&keys("15")).expect("said");
    phone.answer_bye(PROMPTLY).expect("a goodbye");
    let [file] = &studio.recordings()[..] else {
        panic!("not one recording");
    };
    let (out, _) = studio
        .daemon
        .stop()
        .map(|(status, log)| (log, status))
        .expect("an end");
    let recording = Recording::read(file);
    let caller = recording.caller.iter();
    let loud_ms = caller
        .filter(|piece| piece.iter().any(|sample| sample.abs() > 500.0))
        .count()
        * 20;
    println!("{loud_ms} ms of keys are in the recording");
    assert!((180..=260).contains(&loud_ms), "{loud_ms} ms of two keys");
    assert!(tone_ms(&recording.agent, AGENT_HZ) >= 1_000);
    for secret in [
        "Signal", "8642", "Digit(8)", "Digit(6)", "digit=8", "digit=6",
    ] {
        assert!(!out.contains(secret), "{secret}:\n{out}");
    }
}

#[test]
fn a_caller_is_told_first_and_recorded_from_then_on_with_what_they_were_told() {
    let consent =
        "record_consent = { file = \"FOLDER/consent.wav\", text = \"This call is recorded.\" }";
    let studio = Studio::open(consent);
    let (phone, _voice) = studio.humming_caller("told-first");
    studio.recorded_for(4_000);
    let whole = studio.finished(phone);
    let first = |side: &[Vec<f64>], hz: f64| {
        side.iter()
            .position(|piece| is_tone(piece, hz))
            .expect("a tone")
    };
    let told_at = first(&whole.agent, CONSENT_HZ);
    let told_ms = tone_ms(&whole.agent, CONSENT_HZ);
    assert!((960..=1_000).contains(&told_ms), "{told_ms} ms");
    let entered_at = first(&whole.agent, AGENT_HZ);
    let recorded_at = first(&whole.caller, CALLER_HZ);
    println!(
        "told at {told_at}, entered at {entered_at}, recorded from {recorded_at} on, of 20 ms each"
    );
    let before = &whole.caller[..told_at + 49];
    assert!(before.iter().all(|piece| is_silent(piece)));
    assert!(entered_at >= told_at + 49 && recorded_at >= told_at + 49);
    assert!(recorded_at <= told_at + 60, "from its end on");
}

#[test]
fn a_full_disk_or_a_removed_file_is_said_once_and_the_call_goes_on() {
    // Files of 150 KiB: four seconds of a recording.
    let studio = Studio::open_with(
        "",
        "",
        DaemonSetup {
            largest_file: "300",
            ..DaemonSetup::default()
        },
    );
    let (phone, voice) = studio.humming_caller("full");
    let failed = |reason: &str| {
        let name = format!("offhook_recordings_failed_total{{reason=\"{reason}\"}}");
        wait_until("a failure", PROMPTLY, || {
            (studio.metric(&name) == "1").then_some(())
        })
        .unwrap_or_else(|why| panic!("{reason}: {why}\n{}", studio.daemon.log()));
        Instant::now()
    };
    let goes_on = |voice: &Voice, since: Instant| {
        wait_until("audio", PROMPTLY, || {
            (voice.heard_since(since) >= Duration::from_secs(2)).then_some(())
        })
        .expect("the call goes on");
    };
    goes_on(&voice, failed("write"));
    let [file] = &studio.recordings()[..] else {
        panic!("not one recording");
    };
    let kept_ms = readable_ms(file).expect("readable");
    assert!((3_000..=4_800).contains(&kept_ms), "{kept_ms} ms");
    content("sox", &[], file, &["-n"]);
    let mut phone = phone;
    phone.hang_up().expect("an answer");
    std::fs::remove_file(file).expect("removed");

    let (mut phone, voice) = studio.humming_caller("removed");
    let file = studio.recorded_for(1_000);
    std::fs::remove_file(file).expect("removed");
    goes_on(&voice, failed("removed"));
    phone.hang_up().expect("an answer");
    let log = studio.daemon.log_telling("a recording ended early", 2);
    assert!(!log.contains("has holes"), "{log}");
}
