//! Sounds from files of other programs, as a telephone hears them.

use std::f64::consts::TAU;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::phone::Phone;
use offhook_tests::scratch::Scratch;

const RATE: usize = 8_000;
/// The background of all agents here.
const BACKGROUND_HZ: f64 = 700.0;
/// What a recording of the flow says.
const SPEECH_HZ: f64 = 1_900.0;
const SPEECH_SECONDS: usize = 2;
/// What the play agent plays.
const PLAYED_HZ: f64 = 1_300.0;

fn run(command: &str) {
    let mut words = command.split_whitespace();
    let status = Command::new(words.next().expect("a program"))
        .args(words)
        .status()
        .unwrap_or_else(|error| panic!("{command}: {error}"));
    assert!(status.success(), "{command}");
}

/// A tone of -12 dBFS, as a file of whatever kind its name says.
fn tone(folder: &Scratch, name: &str, hertz: f64, seconds: f64) {
    let wav = folder.file("tone.wav");
    let file = folder.file(name);
    let (wav, file) = (wav.display(), file.display());
    run(&format!(
        "sox -q -n -r 48000 -b 16 {wav} synth {seconds} sine {hertz} gain -12"
    ));
    run(
        &match Path::new(name).extension().and_then(|end| end.to_str()) {
            Some("opus") => format!("opusenc --quiet --bitrate 96 {wav} {file}"),
            _ => format!("ffmpeg -v error -y -i {wav} {file}"),
        },
    );
}

fn daemon(folder: &Scratch) -> Daemon {
    // No whole number of periods, so that the loop has a seam.
    tone(folder, "office.opus", BACKGROUND_HZ, 1.3711);
    tone(folder, "hello.mp3", SPEECH_HZ, SPEECH_SECONDS as f64);
    tone(folder, "music.flac", PLAYED_HZ, 1.0);
    std::fs::write(
        folder.file("flow.toml"),
        "start = \"hello\"\nsilence_s = 60\n\
         [step.hello]\nsay = { file = \"hello.mp3\", text = \"Hello.\" }\n\
         expect = [{ phrases = [\"goodbye\"], digits = \"1\", then = \"end\" }]\n[step.end]\nhangup = true\n",
    )
    .expect("a flow");
    let file = |name: &str| folder.file(name);
    let background = format!(
        "background = {{ file = {:?}, volume_db = -6 }}",
        file("office.opus")
    );
    let agents = [
        (
            "talks",
            format!("kind = \"flow\"\nflow = {:?}", file("flow.toml")),
        ),
        (
            "plays",
            format!("kind = \"play\"\nfile = {:?}", file("music.flac")),
        ),
        ("echoes", "kind = \"echo\"".to_owned()),
    ];
    let table = |(name, keys): &(&str, String)| {
        format!(
            "[agent.{name}]\n{keys}\n{background}\n[[route]]\nto = \"{name}\"\nagent = \"{name}\"\n"
        )
    };
    Daemon::start(&DaemonSetup {
        codecs: vec!["pcmu"],
        more: agents.iter().map(table).collect(),
        ..DaemonSetup::default()
    })
    .expect("a daemon")
}

fn call(daemon: &Daemon, agent: &str) -> Phone {
    let mut phone = Phone::new(daemon.sip(), agent, agent).expect("a phone");
    let answer = phone.call().expect("an answer");
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    phone
}

/// So many seconds of what comes, by packets of G.711; what is not sent is silence.
fn hear(phone: &Phone, seconds: usize) -> Vec<f64> {
    let deadline = Instant::now() + Duration::from_secs(seconds as u64 + 20);
    let mut heard = Vec::new();
    let mut datagram = [0; 2_048];
    while heard.len() < seconds * RATE {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "{} samples in time", heard.len());
        phone.rtp().set_read_timeout(Some(left)).expect("a time");
        let length = phone.rtp().recv(&mut datagram).expect("audio");
        // An RTP header without extensions, and µ-law; RTCP, comfort noise and whatever else are not.
        if length == 12 + 160 && datagram[1] & 0x7f == 0 {
            heard.extend(datagram[12..length].iter().map(|code| linear(*code)));
        }
    }
    heard
}

/// G.711 µ-law, -1 to 1.
fn linear(code: u8) -> f64 {
    let code = !code;
    let magnitude = (((i32::from(code & 0x0f) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84;
    let sign = if code & 0x80 != 0 { -1.0 } else { 1.0 };
    sign * f64::from(magnitude) / 32_768.0
}

/// How loud a tone is in a stretch, in dBFS (its peak; a full tone has 0): in the middle one of its tenths of a second,
/// since a loop's seam is another moment of the tone.
fn level(heard: &[f64], hertz: f64) -> f64 {
    let mut levels: Vec<f64> = heard
        .chunks_exact(RATE / 10)
        .map(|window| amplitude(window, hertz))
        .collect();
    levels.sort_by(f64::total_cmp);
    20.0 * (levels[levels.len() / 2] + 1e-6).log10()
}

fn amplitude(heard: &[f64], hertz: f64) -> f64 {
    let (mut sine, mut cosine) = (0.0, 0.0);
    for (at, sample) in heard.iter().enumerate() {
        let phase = TAU * hertz * at as f64 / RATE as f64;
        sine += sample * phase.sin();
        cosine += sample * phase.cos();
    }
    (sine.powi(2) + cosine.powi(2)).sqrt() * 2.0 / heard.len() as f64
}

#[test]
fn a_background_of_ogg_opus_is_12_db_softer_while_the_flow_speaks() {
    let folder = Scratch::new("background").expect("a folder");
    let daemon = daemon(&folder);
    let mut phone = call(&daemon, "talks");
    let heard = hear(&phone, SPEECH_SECONDS + 5);
    let window = RATE / 10;
    let speaks = |at: usize| level(&heard[at..at + window], SPEECH_HZ) > -20.0;
    let starts = (0..heard.len() - window)
        .step_by(window)
        .find(|at| speaks(*at))
        .expect("speech");
    let stops = starts + SPEECH_SECONDS * RATE;
    // Once the speech has gone on for a while, and long after it.
    let under = level(
        &heard[starts + RATE / 2..starts + RATE * 3 / 2],
        BACKGROUND_HZ,
    );
    let alone = level(&heard[stops + RATE..stops + 2 * RATE], BACKGROUND_HZ);
    println!("the background: {alone:.1} dBFS alone, {under:.1} dBFS under speech");
    assert!((-19.0..-17.0).contains(&alone), "-12 - 6 dB: {alone:.1}");
    assert!(
        (11.5..12.5).contains(&(alone - under)),
        "{alone:.1} and {under:.1}"
    );
    assert!(level(&heard[stops + RATE..], SPEECH_HZ) < -40.0);
    phone.hang_up().expect("the end");
}

#[test]
fn echo_and_play_have_a_background_too() {
    let folder = Scratch::new("background").expect("a folder");
    let daemon = daemon(&folder);
    let mut phone = call(&daemon, "echoes");
    let heard = hear(&phone, 2);
    let background = level(&heard[RATE..], BACKGROUND_HZ);
    assert!((-19.0..-17.0).contains(&background), "{background:.1}");
    phone.hang_up().expect("the end");

    let mut phone = call(&daemon, "plays");
    let heard = hear(&phone, 2);
    let played = level(&heard[RATE..], PLAYED_HZ);
    let background = level(&heard[RATE..], BACKGROUND_HZ);
    assert!((-13.0..-11.0).contains(&played), "{played:.1}");
    assert!((-19.0..-17.0).contains(&background), "{background:.1}");
    phone.hang_up().expect("the end");
}
