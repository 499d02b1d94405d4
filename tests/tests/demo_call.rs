//! `offhook demo --call`, a newcomer's proof that everything works: the recorded caller is understood, and what the
//! call leaves behind is true.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use offhook_tests::child::Program;
use offhook_tests::daemon;
use offhook_tests::ports::PortBlock;
use offhook_tests::scratch::Scratch;
use offhook_tests::wav::Heard;

/// The conversation takes about a minute; the rest is for a debug build on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);
/// A line of the transcript is heard in the recording from so long before its time to so long after it: the session and
/// the recording do not begin in the same instant, and between a prompt's first sample and its first sound lies silence.
const BEFORE_MS: usize = 300;
const AFTER_MS: usize = 1_200;
/// So much of that must be audible.
const AUDIBLE_MS: usize = 200;
const LEFT: usize = 0;
const RIGHT: usize = 1;

#[test]
fn the_recorded_caller_is_understood_and_the_call_is_kept_in_three_files() {
    let folder = Scratch::new("demo").expect("a folder");
    let ports = PortBlock::take(64).expect("ports");
    let rtp = ports.run(8);
    let mut command = Command::new(daemon::binary().expect("a daemon"));
    command
        .args(["demo", "--call"])
        .args([
            "--set",
            &format!("sip.listen=[\"udp:{}\"]", ports.address(1)),
        ])
        .args(["--set", &format!("control.listen=\"{}\"", ports.address(2))])
        .args([
            "--set",
            &format!("media.ports=\"{}-{}\"", rtp.start, rtp.end - 1),
        ])
        .args(["--set", "limits.calls=4"])
        .current_dir(folder.path())
        .env_remove("NOTIFY_SOCKET")
        .env_remove("JOURNAL_STREAM");
    let mut demo = Program::start("offhook", command, folder.file("output")).expect("a demo");
    let status = demo.wait(LIMIT);
    let output = demo.log();
    assert!(status.is_ok_and(|status| status.success()), "{output}");

    let kept = folder.path().join("demo");
    for name in ["call.wav", "transcript.txt", "ladder.txt"] {
        assert!(output.contains(&format!("demo/{name}")), "{name}: {output}");
    }
    let transcript = std::fs::read_to_string(kept.join("transcript.txt")).expect("a transcript");
    assert_heard_in_order(&transcript);
    assert_recording_has_what_the_transcript_says(&kept.join("call.wav"), &transcript);
    assert_ladder(&std::fs::read_to_string(kept.join("ladder.txt")).expect("a ladder"));
}

/// One line of the transcript.
struct Line<'a> {
    at_ms: usize,
    who: &'a str,
    what: &'a str,
}

fn lines(transcript: &str) -> Vec<Line<'_>> {
    let read = |line| -> Option<Line<'_>> {
        let (at, rest) = str::trim_start(line).split_once(' ')?;
        let (who, what) = rest.trim_start().split_once(' ')?;
        let at_ms = (at.parse::<f64>().ok()? * 1_000.0) as usize;
        let what = what.trim_start();
        Some(Line { at_ms, who, what })
    };
    let lines = transcript.lines();
    lines
        .map(|line| read(line).unwrap_or_else(|| panic!("{line} in {transcript}")))
        .collect()
}

fn assert_heard_in_order(transcript: &str) {
    let heard: Vec<&str> = lines(transcript)
        .iter()
        .filter(|line| line.who == "caller")
        .map(|line| line.what)
        .collect();
    let expected = [
        "opening hours",
        "yes",
        "pressed 3",
        "pressed 5550123",
        "yes",
        "no",
    ];
    assert_eq!(heard, expected, "{transcript}");
    assert!(
        transcript.contains("Your number is 5 5 5 0 1 2 3."),
        "{transcript}"
    );
    let last = transcript.lines().last();
    assert!(
        last.is_some_and(|line| line.contains("Goodbye.")),
        "{transcript}"
    );
}

fn assert_recording_has_what_the_transcript_says(recording: &Path, transcript: &str) {
    let (caller, agent) = (
        Heard::read_channel(recording, LEFT).expect("a caller"),
        Heard::read_channel(recording, RIGHT).expect("an agent"),
    );
    assert!(
        Heard::read_channel(recording, 2).is_none(),
        "more than two channels"
    );
    for line in lines(transcript) {
        let (speaker, other) = match line.who {
            "caller" => (&caller, &agent),
            _ => (&agent, &caller),
        };
        if line.what.starts_with("pressed ") {
            // Keys come as events, not as sound.
            continue;
        }
        let (from, to) = (line.at_ms.saturating_sub(BEFORE_MS), line.at_ms + AFTER_MS);
        let audible = speaker.audible_between_ms(from, to);
        assert!(
            audible >= AUDIBLE_MS,
            "{} ms of {}: {}\n{transcript}",
            audible,
            line.who,
            line.what
        );
        // The recorded caller is polite.
        let at_once = other.audible_between_ms(line.at_ms, line.at_ms + AUDIBLE_MS);
        assert_eq!(at_once, 0, "both speak at {} ms\n{transcript}", line.at_ms);
    }
}

fn assert_ladder(ladder: &str) {
    let mut rest = ladder;
    for message in [
        "INVITE (SDP)",
        "200 OK [INVITE] (SDP)",
        "ACK",
        "BYE",
        "200 OK [BYE]",
    ] {
        let Some((_, after)) = rest.split_once(message) else {
            panic!("no {message} where it belongs:\n{ladder}");
        };
        rest = after;
    }
}
