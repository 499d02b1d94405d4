//! What becomes of calls when the embedded speech is missing, dies or hangs.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use offhook_tests::daemon::{self, Daemon, DaemonSetup};
use offhook_tests::phone::Phone;
use offhook_tests::scratch::Scratch;
use offhook_tests::sip_text;
use offhook_tests::voice::Voice;
use offhook_tests::wait::wait_until;

/// Synthesis, playing and recognition, a start of the speech processes among them, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// A sentence has more audible speech than this.
const SENTENCE: Duration = Duration::from_millis(500);
/// Parts of the libraries' file names, by which the processes that loaded them are found.
const RECOGNISER: &str = "libpocketsphinx";
const VOICE: &str = "libflite";

fn front_desk(log: &'static str) -> Daemon {
    let setup = DaemonSetup {
        front_desk: true,
        log,
        ..DaemonSetup::default()
    };
    Daemon::start(&setup).expect("a daemon")
}

/// A call to the front desk whose audio runs.
fn call(daemon: &Daemon) -> (Phone, Voice) {
    let call_id = format!("trouble-{}", daemon.pid());
    let mut phone = Phone::new(daemon.sip(), "front-desk", &call_id).expect("a phone");
    let answer = phone.call().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    let voice = Voice::start(phone.rtp()).expect("a voice");
    (phone, voice)
}

fn line(name: &str) -> PathBuf {
    daemon::repository().join(format!("deploy/audio/caller/{name}.wav"))
}

/// Waits for the agent to say something since `moment` and pause; fails with the daemon's log.
fn hear_out(daemon: &Daemon, voice: &Voice, moment: Instant) {
    let heard = voice.hear_out(moment, SENTENCE, PATIENCE);
    assert!(heard.is_ok(), "{heard:?}\n{}", daemon.log());
}

fn wait_for_log(daemon: &Daemon, words: &str) {
    let found = wait_until(words, PATIENCE, || {
        daemon.log().contains(words).then_some(())
    });
    assert!(found.is_ok(), "{found:?}\n{}", daemon.log());
}

/// Waits until at least `count` processes have the library; more may come.
fn processes(daemon: &Daemon, library: &str, count: usize) -> Vec<u32> {
    let found = wait_until(&format!("processes with {library}"), PATIENCE, || {
        Some(daemon.speech_processes(library)).filter(|found| found.len() >= count)
    });
    found.unwrap_or_else(|why| panic!("{why}\n{}", daemon.log()))
}

fn signal(pid: u32, signal: libc::c_int) {
    let pid = libc::pid_t::try_from(pid).expect("a process id");
    // SAFETY: no memory is involved; the process is a child of a daemon of ours, alive or not yet reaped by it.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

#[test]
fn without_speech_libraries_echo_answers_and_the_front_desk_ends_its_call_with_a_tone() {
    // The loader looks here first, finds what is no library, and gives up.
    let libraries = Scratch::new("no-libraries").expect("a folder");
    for name in ["libflite.so.1", "libsphinxbase.so.3"] {
        std::fs::write(libraries.file(name), "").expect("an empty file");
    }
    let daemon = Daemon::start(&DaemonSetup {
        front_desk: true,
        environment: vec![("LD_LIBRARY_PATH", libraries.path().display().to_string())],
        log: "warn",
        ..DaemonSetup::default()
    })
    .expect("a daemon");

    let begun = Instant::now();
    let (phone, voice) = call(&daemon);
    let ended = phone.answer_bye(PATIENCE);
    assert!(ended.is_ok(), "{ended:?}\n{}", daemon.log());
    assert!(
        voice.heard_since(begun) >= SENTENCE,
        "{:?} were heard\n{}",
        voice.heard_since(begun),
        daemon.log()
    );
    let log = daemon.log_telling("prompts keep failing: the call is ended with a tone", 1);
    for words in [
        "libflite.so.1",
        "Debian package libflite1",
        "libsphinxbase3",
    ] {
        assert!(log.contains(words), "{words}: {log}");
    }
    // Also where the call's own lines are kept back, and the line names no id by itself.
    let failed = log.lines().find(|line| line.contains("a provider failed"));
    assert!(
        failed.is_some_and(|line| line.contains("call{call_id=")),
        "{log}"
    );

    let mut other = Phone::new(daemon.sip(), "echo", "echo").expect("a phone");
    let answer = other.call().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    let ear = Voice::start(other.rtp()).expect("a voice");
    let said = Instant::now();
    ear.say(&line("yes")).expect("a line");
    ear.hear_out(said, Duration::from_millis(200), PATIENCE)
        .expect("an echo");
    other.hang_up().expect("an answer");
}

#[test]
fn a_call_goes_on_when_every_speech_process_is_killed_in_the_middle_of_it() {
    let daemon = front_desk("info,offhook_session=debug");
    let begun = Instant::now();
    let (mut phone, voice) = call(&daemon);
    hear_out(&daemon, &voice, begun);

    for library in [RECOGNISER, VOICE] {
        for pid in processes(&daemon, library, 1) {
            signal(pid, libc::SIGKILL);
        }
    }
    wait_for_log(&daemon, "a speech process ended; another is started");
    processes(&daemon, RECOGNISER, 1);
    processes(&daemon, VOICE, 1);
    let asked = Instant::now();
    voice.say(&line("opening_hours")).expect("a line");
    // The step after the hours: understood by the new recogniser, spoken by the new voice.
    wait_for_log(&daemon, "step=\"more\"");
    hear_out(&daemon, &voice, asked);

    let answer = phone.hang_up().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
}

#[test]
fn a_caller_whose_recogniser_hangs_is_asked_again_and_then_understood() {
    let daemon = front_desk("info,offhook_session=debug");
    let begun = Instant::now();
    let (mut phone, voice) = call(&daemon);
    hear_out(&daemon, &voice, begun);

    let hung = processes(&daemon, RECOGNISER, 1);
    for pid in &hung {
        signal(*pid, libc::SIGSTOP);
    }
    let asked = Instant::now();
    voice.say(&line("opening_hours")).expect("a line");
    wait_for_log(&daemon, "a provider failed");
    assert!(
        daemon.log().contains("no answer within"),
        "{}",
        daemon.log()
    );
    // The one that was asked was killed and replaced; the others, on machines of many cores, were never found out.
    let alive = daemon.speech_processes(RECOGNISER);
    for pid in hung.into_iter().filter(|pid| alive.contains(pid)) {
        signal(pid, libc::SIGCONT);
    }
    // "Sorry, I did not get that", and the question once more.
    hear_out(&daemon, &voice, asked);
    processes(&daemon, RECOGNISER, 1);

    let asked = Instant::now();
    voice.say(&line("opening_hours")).expect("a line");
    wait_for_log(&daemon, "step=\"more\"");
    hear_out(&daemon, &voice, asked);

    let answer = phone.hang_up().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
}
