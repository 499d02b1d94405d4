//! The speech processes, with the real libraries: `libflite1`, `libpocketsphinx3` and
//! `pocketsphinx-en-us` from Debian must be installed.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use offhook::speech_worker::{Role, SpeechConfig, SpeechWorker, Voice};
use offhook_session::grammar::Grammar;
use offhook_session::provider::{Audio, ProviderError, Recognition, SpeechToText, TextToSpeech};

fn config() -> SpeechConfig {
    SpeechConfig {
        program: PathBuf::from(env!("CARGO_BIN_EXE_offhook")),
        recognition_processes: 1,
        // Several builds may share this machine's cores.
        synthesis_deadline: Duration::from_secs(30),
        recognition_deadline: Duration::from_secs(30),
        ..SpeechConfig::default()
    }
}

fn grammar(phrases: &[&str]) -> Grammar {
    Grammar {
        phrases: phrases.iter().map(|phrase| (*phrase).to_owned()).collect(),
        open: false,
    }
}

fn send(process_id: u32, signal: i32) {
    // SAFETY: a plain system call; the process is a child of this test, alive or not yet reaped.
    let sent = unsafe { libc::kill(process_id.try_into().unwrap(), signal) };
    assert_eq!(sent, 0);
}

#[tokio::test]
async fn a_text_is_spoken_in_each_voice() {
    let speech = SpeechWorker::start(&config());
    for voice in [Voice::Slt, Voice::Rms, Voice::Awb, Voice::Kal] {
        let audio = speech
            .with_voice(voice)
            .synthesise("Good morning.")
            .await
            .unwrap();
        assert_eq!(audio.sample_rate_hz, 16_000, "{voice:?}");
        let seconds = audio.duration().as_secs_f64();
        assert!((0.4..3.0).contains(&seconds), "{voice:?} took {seconds} s");
        assert!(audio.samples.iter().any(|sample| *sample > 2_000));
    }
}

#[tokio::test]
async fn texts_that_hold_no_speech_are_refused_or_silent_and_the_process_lives() {
    let speech = SpeechWorker::start(&config());
    for text in [
        "",
        " ",
        "\0",
        "…",
        "😀",
        "<speak>&lt;",
        "%s%n%s",
        &"a".repeat(100),
        &"a".repeat(3_000),
        &"word ".repeat(2_000),
    ] {
        match speech.synthesise(text).await {
            Ok(_) | Err(ProviderError::Refused(_)) => {}
            Err(other) => panic!("{:?}: {other}", &text[..text.len().min(20)]),
        }
    }
    let before = speech.process_ids(Role::Synthesis);
    speech.synthesise("Still here.").await.unwrap();
    assert_eq!(before, speech.process_ids(Role::Synthesis));
}

#[tokio::test]
async fn a_process_killed_in_the_middle_of_a_request_fails_that_request_only() {
    let speech = SpeechWorker::start(&config());
    speech.ready(Role::Synthesis).await.unwrap();
    let [victim] = speech.process_ids(Role::Synthesis)[..] else {
        panic!("one process")
    };
    send(victim, libc::SIGSTOP);
    let stopped = tokio::spawn({
        let speech = speech.clone();
        async move { speech.synthesise("One.").await }
    });
    let waiting = tokio::spawn({
        let speech = speech.clone();
        async move {
            tokio::task::yield_now().await;
            speech.synthesise("Two.").await
        }
    });
    // Both are under way once the first was handed over, which takes no longer than a few turns.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    send(victim, libc::SIGKILL);
    let died = stopped.await.unwrap().unwrap_err();
    assert!(
        matches!(&died, ProviderError::Died(how) if how.contains("signal: 9")),
        "{died}"
    );
    waiting.await.unwrap().unwrap();
    assert_ne!(speech.process_ids(Role::Synthesis), [victim]);
}

#[tokio::test]
async fn a_process_killed_while_idle_is_replaced_before_anybody_asks() {
    let speech = SpeechWorker::start(&config());
    speech.ready(Role::Recognition).await.unwrap();
    let [victim] = speech.process_ids(Role::Recognition)[..] else {
        panic!("one process")
    };
    send(victim, libc::SIGKILL);
    let started = Instant::now();
    loop {
        match speech.process_ids(Role::Recognition)[..] {
            [other] if other != victim => break,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "it was not replaced"
        );
    }
}

/// Waits until something is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_process_that_cannot_be_replaced_does_not_speak_for_its_siblings() {
    let folder = std::env::temp_dir().join(format!("offhook-siblings-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (broken, program) = (folder.join("broken"), folder.join("program"));
    let script = format!(
        "#!/bin/sh\nif [ -e {broken:?} ]; then echo >> {broken:?}; exit 1; fi\nexec {:?} \"$@\"\n",
        env!("CARGO_BIN_EXE_offhook")
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let speech = SpeechWorker::start(&SpeechConfig {
        program,
        synthesis_processes: 2,
        ..config()
    });
    let alive = || speech.process_ids(Role::Synthesis);
    until("two processes", || alive().len() == 2).await;

    std::fs::write(&broken, "").unwrap();
    let starts = || std::fs::read(&broken).map_or(0, |starts| starts.len());
    let [victim, sibling] = alive()[..] else {
        panic!("two processes")
    };
    send(victim, libc::SIGKILL);
    // The second failed start of that process comes after the first was taken note of.
    until("two failed starts", || starts() >= 2).await;
    speech.ready(Role::Synthesis).await.unwrap();
    speech.synthesise("I can still speak.").await.unwrap();

    send(sibling, libc::SIGKILL);
    until("nobody is left", || alive().is_empty()).await;
    let nobody = speech.synthesise("Anybody?").await.unwrap_err();
    assert!(matches!(nobody, ProviderError::Unavailable(_)), "{nobody}");

    std::fs::remove_file(&broken).unwrap();
    until("another process", || !alive().is_empty()).await;
    speech.synthesise("Here again.").await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_process_that_hangs_times_out_its_request_and_the_next_is_served_by_another() {
    let speech = SpeechWorker::start(&SpeechConfig {
        recognition_deadline: Duration::from_millis(700),
        ..config()
    });
    speech.ready(Role::Recognition).await.unwrap();
    let [victim] = speech.process_ids(Role::Recognition)[..] else {
        panic!("one process")
    };
    send(victim, libc::SIGSTOP);
    let silence = Audio {
        sample_rate_hz: 8_000,
        samples: Arc::from(vec![0; 8_000]),
    };
    let yes = grammar(&["yes"]);
    let asked = Instant::now();
    let late = speech.recognise(silence.clone(), &yes).await.unwrap_err();
    assert_eq!(late, ProviderError::TimedOut(Duration::from_millis(700)));
    assert!(asked.elapsed() < Duration::from_secs(2));
    // A start may take longer than this short deadline, much longer on a busy machine.
    let patience = Instant::now() + Duration::from_secs(60);
    let mut answer = speech.recognise(silence.clone(), &yes).await;
    while answer.is_err() && Instant::now() < patience {
        answer = speech.recognise(silence.clone(), &yes).await;
    }
    assert_eq!(answer.unwrap(), Recognition::OutOfGrammar);
    assert_ne!(speech.process_ids(Role::Recognition), [victim]);
}

#[tokio::test]
async fn a_hung_recogniser_does_not_hold_up_the_voice() {
    let speech = SpeechWorker::start(&config());
    speech.ready(Role::Recognition).await.unwrap();
    for process_id in speech.process_ids(Role::Recognition) {
        send(process_id, libc::SIGSTOP);
    }
    speech.synthesise("I can still speak.").await.unwrap();
}

#[tokio::test]
async fn missing_libraries_are_named_with_their_packages() {
    let speech = SpeechWorker::start(&SpeechConfig {
        library_folder: Some(std::env::temp_dir().join("offhook-no-libraries-here")),
        ..config()
    });
    let voice = speech.synthesise("Anybody?").await.unwrap_err().to_string();
    assert!(
        voice.starts_with("unavailable")
            && voice.contains("libflite.so.1")
            && voice.contains("libflite1")
            && voice.contains("No such file"),
        "{voice}"
    );
    let recogniser = speech
        .ready(Role::Recognition)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        recogniser.contains("libsphinxbase.so.3") && recogniser.contains("libsphinxbase3"),
        "{recogniser}"
    );
    // And again, at once, also while the next start is awaited.
    let asked = Instant::now();
    speech.synthesise("Anybody?").await.unwrap_err();
    assert!(asked.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_missing_model_is_named_with_its_package() {
    let speech = SpeechWorker::start(&SpeechConfig {
        model_folder: PathBuf::from("/nowhere/model"),
        ..config()
    });
    let error = speech
        .ready(Role::Recognition)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/nowhere/model/en-us") && error.contains("pocketsphinx-en-us"),
        "{error}"
    );
}

#[tokio::test]
async fn a_program_that_cannot_be_run_is_named() {
    let speech = SpeechWorker::start(&SpeechConfig {
        program: PathBuf::from("/nowhere/offhook"),
        ..config()
    });
    let error = speech.ready(Role::Synthesis).await.unwrap_err();
    assert!(
        matches!(&error, ProviderError::Unavailable(reason) if reason.contains("/nowhere/offhook")),
        "{error}"
    );
}

#[tokio::test]
async fn words_the_recogniser_does_not_know_and_grammar_in_a_phrase_are_refused_by_name() {
    let speech = SpeechWorker::start(&config());
    let second = Audio {
        sample_rate_hz: 8_000,
        samples: Arc::from(vec![0; 8_000]),
    };
    for (phrase, named) in [
        ("call offhookery", "offhookery"),
        ("yes | <NULL>", "|"),
        ("Yes", "Yes"),
        ("", "empty"),
        ("yes\0", "yes"),
    ] {
        let error = speech
            .recognise(second.clone(), &grammar(&["no", phrase]))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, ProviderError::Refused(reason) if reason.contains(named)),
            "{phrase}: {error}"
        );
    }
    let none = speech.recognise(second, &grammar(&[])).await.unwrap_err();
    assert!(matches!(none, ProviderError::Refused(_)));
}

#[tokio::test]
async fn phrases_are_spotted_among_other_words_and_none_in_silence() {
    static PHRASES: [&str; 4] = [
        "how can i help",
        "you have reached",
        "press one",
        "not available",
    ];
    let speech = SpeechWorker::start(&config());
    let greeting = speech
        .with_voice(Voice::Rms)
        .synthesise("Hi, you have reached the Miller family. We are not available right now.")
        .await
        .unwrap();
    let spotted = speech.spot(greeting.clone(), &PHRASES).await.unwrap();
    assert_eq!(spotted, ["you have reached", "not available"]);

    let quiet = Audio {
        sample_rate_hz: 8_000,
        samples: vec![0; 16_000].into(),
    };
    assert_eq!(speech.spot(quiet, &PHRASES).await.unwrap(), [""; 0]);

    // A grammar between two questions changes neither.
    let question = speech.synthesise("opening hours").await.unwrap();
    let hours = grammar(&["opening hours", "a table for two"]);
    let understood = speech.recognise(question, &hours).await.unwrap();
    assert!(matches!(understood, Recognition::Phrase { text, .. } if text == "opening hours"));
    assert_eq!(
        speech.spot(greeting.clone(), &PHRASES).await.unwrap(),
        spotted
    );

    let refused = speech.spot(greeting, &["press /1e-90/"]).await;
    assert!(
        matches!(refused, Err(ProviderError::Refused(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn more_requests_than_the_queue_holds_are_refused_at_once() {
    let speech = SpeechWorker::start(&config());
    speech.ready(Role::Synthesis).await.unwrap();
    let [process_id] = speech.process_ids(Role::Synthesis)[..] else {
        panic!("one process")
    };
    send(process_id, libc::SIGSTOP);
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..70 {
        let speech = speech.clone();
        requests.spawn(async move { speech.synthesise("Busy.").await });
    }
    let first = requests.join_next().await.unwrap().unwrap().unwrap_err();
    assert_eq!(first, ProviderError::Overloaded(64));
}

#[tokio::test]
async fn the_processes_end_when_the_last_handle_is_dropped() {
    let speech = SpeechWorker::start(&config());
    speech.ready(Role::Synthesis).await.unwrap();
    let [process_id] = speech.process_ids(Role::Synthesis)[..] else {
        panic!("one process")
    };
    drop(speech);
    let dropped = Instant::now();
    while PathBuf::from(format!("/proc/{process_id}/cmdline")).exists() {
        assert!(dropped.elapsed() < Duration::from_secs(10), "it lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
