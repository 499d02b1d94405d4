//! A thousand calls while the embedded speech dies and hangs all the time: the daemon has afterwards what it had before.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::phone::Phone;
use offhook_tests::sip_text;
use offhook_tests::sipp::SippRun;
use offhook_tests::voice::Voice;
use offhook_tests::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(60);
/// Between one mischief and the next.
const MISCHIEF: Duration = Duration::from_millis(150);
const CALLS: u32 = 1_000;

/// Descriptors that are open.
fn descriptors(daemon: &Daemon) -> usize {
    let folder = format!("/proc/{}/fd", daemon.pid());
    fs::read_dir(folder).expect("the daemon lives").count()
}

/// A figure of the metrics.
fn figure(daemon: &Daemon, name: &str) -> f64 {
    let page = daemon.page("/metrics").expect("metrics");
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|rest| rest.trim().parse().ok());
    value.unwrap_or_else(|| panic!("{name} in\n{page}"))
}

fn calls(daemon: &Daemon, calls: u32) {
    // Ended by the caller before the agent could give up.
    let mut run = SippRun::story("kamailio/short_call", daemon.sip(), "front-desk");
    (run.calls, run.calls_per_second, run.limit) = (calls, 80, PATIENCE * 2);
    run.more = ["-d", "500"].map(str::to_owned).to_vec();
    run.run().expect("an outcome").assert_all(calls.into());
    let over = wait_until("every call's end", PATIENCE, || {
        daemon.live_calls().ok()?.is_empty().then_some(())
    });
    assert!(over.is_ok(), "{over:?}\n{}", daemon.log());
}

fn signal(pid: u32, signal: libc::c_int) {
    let pid = libc::pid_t::try_from(pid).expect("a process id");
    // SAFETY: no memory is involved. It is a child of a daemon of ours; one that has ended meanwhile is none of anybody's.
    unsafe { libc::kill(pid, signal) };
}

/// Kills the speech processes one after the other, and has every third hang instead, until told to stop.
fn mischief(daemon: &Daemon, enough: &AtomicBool) -> usize {
    let mut done = 0;
    while !enough.load(Ordering::Relaxed) {
        for library in ["libflite", "libpocketsphinx"] {
            if let Some(pid) = daemon.speech_processes(library).first() {
                let what = if done % 3 == 2 {
                    libc::SIGSTOP
                } else {
                    libc::SIGKILL
                };
                signal(*pid, what);
                done += 1;
            }
        }
        // A pause between mischiefs; nothing waits for it.
        std::thread::sleep(MISCHIEF);
    }
    // What still hangs is let go on.
    for library in ["libflite", "libpocketsphinx"] {
        for pid in daemon.speech_processes(library) {
            signal(pid, libc::SIGCONT);
        }
    }
    done
}

#[test]
fn a_thousand_calls_with_speech_that_dies_and_hangs_leave_the_daemon_as_it_was() {
    let daemon = Daemon::start(&DaemonSetup {
        front_desk: true,
        // More than a caller who was held up can make at once.
        calls: 400,
        calls_per_second: 400,
        codecs: vec!["pcmu"],
        log: "warn,offhook::prompt_warming=debug",
        ..DaemonSetup::default()
    })
    .expect("a daemon");
    // What is made once is made: threads, processes, prompts.
    calls(&daemon, 100);
    let warm = wait_until("prompts that are ready", PATIENCE, || {
        daemon.log().contains("texts are ready").then_some(())
    });
    assert!(warm.is_ok(), "{warm:?}\n{}", daemon.log());
    let before = descriptors(&daemon);
    let memory = figure(&daemon, "offhook_memory_live_bytes");

    let enough = AtomicBool::new(false);
    let mischiefs = std::thread::scope(|scope| {
        let mischief = scope.spawn(|| mischief(&daemon, &enough));
        calls(&daemon, CALLS);
        enough.store(true, Ordering::Relaxed);
        mischief.join().expect("no panic")
    });
    assert!(mischiefs >= 15, "{mischiefs}");

    // And it serves.
    let begun = Instant::now();
    let mut phone = Phone::new(daemon.sip(), "front-desk", "afterwards").expect("a phone");
    let answer = phone.call().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    let voice = Voice::start(phone.rtp()).expect("a voice");
    let heard = voice.hear_out(begun, Duration::from_millis(500), PATIENCE);
    assert!(heard.is_ok(), "{heard:?}\n{}", daemon.log());
    phone.hang_up().expect("an answer");
    // A pipe more or less while a process is being replaced.
    let back = wait_until("the descriptors of before", PATIENCE, || {
        (descriptors(&daemon) <= before).then_some(())
    });
    let after = descriptors(&daemon);
    assert!(back.is_ok(), "{before} descriptors became {after}");
    // Transactions are kept for 32 s, so that what is repeated late is known.
    let live = || figure(&daemon, "offhook_memory_live_bytes");
    let back = wait_until("the memory of before", PATIENCE, || {
        (live() <= memory * 1.05).then_some(())
    });
    let memory_after = live();
    println!("{mischiefs} mischiefs; live memory {memory} became {memory_after}");
    assert!(back.is_ok(), "{memory} bytes became {memory_after}");
    assert_eq!(figure(&daemon, "offhook_calls_live"), 0.0);
    let log = daemon.log();
    assert!(!log.contains("panicked"), "{log}");
}
