//! `bench --only barge-in`: how long an agent goes on talking when a caller begins to.
//!
//! Callers listen to a long recording and say something for a second now and then. Measured on the wire: from the
//! caller's first packet of speech to the last packet of ours that holds sound. The agent's policy is the quickest there
//! is (`mode = "vad"`, no least duration, no fade), so that what is left is the path's: the packet on its way, the jitter
//! buffer, the detector's decision, the rest of the packet that is being filled.
//!
//! `--only barge-in [--calls 200] [--seconds 30]`

use std::time::Duration;

use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::load::{self, Format, LoadPlan, detector_decides_ms};
use offhook_tests::machine::date_and_machine;
use offhook_tests::scratch::Scratch;
use offhook_tests::wav::write_murmur;

/// The option's form, for a reader who mistook it.
pub(crate) const USAGE: &str = "bench --only barge-in [--calls 200] [--seconds 30]";
/// What the jitter buffer waits on a path without jitter.
const JITTER_TARGET_MS: f64 = 20.0;
/// What the rest of the path may take.
const REST_MS: f64 = 40.0;

/// What was asked for on the command line.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) calls: usize,
    pub(crate) window: Duration,
}

impl Options {
    /// Reads the arguments, `--only barge-in` among them.
    pub(crate) fn read(arguments: &[String]) -> Option<Self> {
        let mut options = Self {
            calls: 200,
            window: Duration::from_secs(30),
        };
        for pair in arguments.chunks(2) {
            let [option, value] = pair else { return None };
            match option.as_str() {
                "--only" if value == "barge-in" || value == "answers" => {}
                "--calls" => {
                    let calls = value.parse().ok();
                    options.calls = calls.filter(|calls| (1..=1_000).contains(calls))?;
                }
                "--seconds" => {
                    let seconds = value.parse().ok();
                    let seconds = seconds.filter(|seconds| (5..=40).contains(seconds))?;
                    options.window = Duration::from_secs(seconds);
                }
                _ => return None,
            }
        }
        Some(options)
    }

    /// Measures, and says what came of it as Markdown.
    pub(crate) fn run(&self) -> Result<String, String> {
        let folder = Scratch::new("barge-in").map_err(|error| error.to_string())?;
        let daemon = Daemon::start(&self.setup(&folder)?)?;
        let report = load::run(&LoadPlan {
            target: daemon.sip(),
            user: "talker".to_owned(),
            peer_pid: daemon.pid(),
            format: Format::Pcmu,
            interrupts: true,
            answer_waits: Duration::ZERO,
            calls: self.calls,
            calls_per_second: 50,
            window: self.window,
        })
        .map_err(|error| error.to_string())?;
        if report.failed() > 0 {
            return Err(format!("calls failed: {:?}", report.failures));
        }
        let fell_silent = &report.fell_silent;
        let decides = detector_decides_ms();
        let limit = decides + JITTER_TARGET_MS + REST_MS;
        let p99 = fell_silent.percentile_ms(0.99);
        Ok(format!(
            "Barge-in at {} calls at once, {} of them in {} s. {}.\n\n\
             | | ms |\n|---|---|\n| caller's first packet of speech to our last of speech, p50 | {:.0} |\n| p90 | {:.0} |\n\
             | p99 | {p99:.0} |\n| not heeded before the caller fell silent | {} of {} |\n| the detector's own decision, at most | {decides:.0} |\n\n\
             - p99 at most the decision, {JITTER_TARGET_MS:.0} ms of jitter buffer and {REST_MS:.0} ms: {limit:.0} ms: {}.\n",
            self.calls,
            fell_silent.total(),
            self.window.as_secs(),
            date_and_machine(),
            fell_silent.percentile_ms(0.5),
            fell_silent.percentile_ms(0.9),
            report.unheeded,
            report.unheeded + fell_silent.total(),
            if fell_silent.total() > 100 && report.unheeded == 0 && p99 <= limit {
                "met"
            } else {
                "**missed**"
            }
        ))
    }

    fn setup(&self, folder: &Scratch) -> Result<DaemonSetup, String> {
        write_murmur(&folder.file("long.wav"), 8_000, 60).map_err(|error| error.to_string())?;
        let flow = folder.file("talker.toml");
        let steps = "start = \"talk\"\nsilence_s = 2\nretries = 10\n[step.talk]\n\
                     say = { file = \"long.wav\", text = \"A long story.\" }\n\
                     collect = { name = \"key\", min = 1, max = 1 }\nthen = \"end\"\n\
                     [step.end]\nsay = { file = \"long.wav\", text = \"The end.\" }\nhangup = true\n";
        std::fs::write(&flow, steps).map_err(|error| error.to_string())?;
        Ok(DaemonSetup {
            calls: self.calls as u16,
            calls_per_second: 100,
            codecs: vec!["pcmu"],
            more: format!(
                "[agent.talker]\nkind = \"flow\"\nflow = {flow:?}\n\
                 interruption = {{ mode = \"vad\", min_duration_ms = 0, fade_ms = 0 }}\n\
                 [[route]]\nto = \"talker\"\nagent = \"talker\"\n"
            ),
            log: "warn",
            ..DaemonSetup::default()
        })
    }
}
