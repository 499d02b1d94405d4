//! SIPp as a peer, calling or called: one scenario file, one run, its own count of calls that went as the scenario
//! says.
//!
//! SIPp's `-timeout` ends it only between calls and its screen is no interface, so a run is bounded by our own
//! deadline and judged by its statistics file.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::child::Program;
use crate::ports::{PortBlock, tcp_port_is_listening, udp_port_is_bound};
use crate::scratch::Scratch;
use crate::sip_text;
use crate::wait::wait_until;

/// Which port of its block SIPp takes SIP at.
const SIP_PORT: u16 = 1;
/// From start to a bound port.
const READY: Duration = Duration::from_secs(5);

/// One run of SIPp.
#[derive(Debug, Clone)]
pub struct SippRun {
    /// The scenario's file, or the name of a built-in one after `builtin:`.
    pub scenario: String,
    /// Whom to call; `None` waits to be called.
    pub target: Option<SocketAddr>,
    /// The user part of the request URI of a caller.
    pub user: String,
    /// Calls in all.
    pub calls: u32,
    /// New calls a second.
    pub calls_per_second: u32,
    /// Most calls at once.
    pub at_once: u32,
    /// The whole run ends by then.
    pub limit: Duration,
    /// More arguments, as on its command line.
    pub more: Vec<String>,
}

/// Arguments with which SIPp writes down how long each call took to be answered.
pub const TRACE_ANSWER_TIMES: [&str; 3] = ["-trace_rtt", "-rtt_freq", "500"];

/// How a run went, by SIPp's own statistics.
#[derive(Debug, Clone, PartialEq)]
pub struct SippOutcome {
    /// Calls that went through the whole scenario.
    pub successful: u64,
    /// Calls that met something else, or nothing in time.
    pub failed: u64,
    /// Requests and responses it had to repeat.
    pub retransmissions: u64,
    /// From INVITE to 200 in milliseconds, the shortest first; empty unless the run had [`TRACE_ANSWER_TIMES`].
    pub answer_times_ms: Vec<f64>,
    /// What its error file says; empty when all went well.
    pub errors: String,
    /// SIPp's trace of messages; empty for runs of more than ten calls, which are not traced.
    pub messages: String,
}

impl SippRun {
    /// One call of the scenario `name` (a file of `tests/sipp` without its ending) to agent `user`.
    pub fn story(name: &str, target: SocketAddr, user: &str) -> Self {
        Self {
            target: Some(target),
            user: user.to_owned(),
            ..Self::far_end(name)
        }
    }

    /// The scenario `name` of somebody who is called, once.
    pub fn far_end(name: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("sipp")
            .join(format!("{name}.xml"));
        Self {
            scenario: file.display().to_string(),
            target: None,
            user: "far-end".to_owned(),
            calls: 1,
            calls_per_second: 10,
            at_once: 10,
            limit: Duration::from_secs(60),
            more: Vec::new(),
        }
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When SIPp is missing, is still running at the limit, or leaves no statistics.
    pub fn run(&self) -> Result<SippOutcome, String> {
        self.start()?.finish()
    }

    /// Starts it. Who waits to be called is ready when this returns.
    ///
    /// # Errors
    /// When SIPp is missing, or has no socket in five seconds.
    pub fn start(&self) -> Result<RunningSipp, String> {
        let folder = Scratch::new("sipp").map_err(|error| error.to_string())?;
        let ports = PortBlock::take(32).map_err(|error| error.to_string())?;
        let command = self.command(&folder, &ports);
        let program = Program::start("sipp (package sip-tester)", command, folder.file("screen"))
            .map_err(|error| error.to_string())?;
        let mut running = RunningSipp {
            program,
            limit: self.limit,
            folder,
            ports,
        };
        if self.target.is_none() {
            running.wait_for_socket()?;
        }
        Ok(running)
    }

    fn command(&self, folder: &Scratch, ports: &PortBlock) -> Command {
        let file = |name: &str| folder.file(name).display().to_string();
        let mut command = Command::new("sipp");
        match self.scenario.strip_prefix("builtin:") {
            Some(name) => command.args(["-sn", name]),
            None => command.args(["-sf", &self.scenario]),
        };
        if let Some(target) = self.target {
            command.arg(target.to_string()).args(["-s", &self.user]);
        }
        command.args(["-i", "127.0.0.1", "-mi", "127.0.0.1", "-nostdin"]);
        for (option, value) in [
            ("-p", u32::from(ports.port(SIP_PORT))),
            ("-cp", u32::from(ports.port(2))),
            ("-mp", u32::from(ports.port(4))),
            ("-m", self.calls),
            ("-r", self.calls_per_second),
            ("-l", self.at_once),
            ("-fd", 1),
        ] {
            command.args([option, &value.to_string()]);
        }
        command.args(["-trace_stat", "-stf", &file("statistics.csv")]);
        command.args(["-trace_err", "-error_file", &file("errors")]);
        // Thousands of calls need no trace; a story's trace is what one reads when it fails.
        if self.calls <= 10 {
            command.args(["-trace_msg", "-message_file", &file("messages")]);
        }
        command
            .args(&self.more)
            .env("TERM", "dumb")
            .current_dir(folder.path());
        command
    }
}

/// SIPp at work. Ends with this value.
#[derive(Debug)]
pub struct RunningSipp {
    program: Program,
    limit: Duration,
    folder: Scratch,
    ports: PortBlock,
}

impl RunningSipp {
    /// Where it takes SIP.
    pub fn sip(&self) -> SocketAddr {
        self.ports.address(SIP_PORT)
    }

    /// Ports beside its own, for a scenario that is told of them.
    pub fn spare(&self, n: u16) -> SocketAddr {
        self.ports.address(16 + n)
    }

    /// Its trace of messages so far.
    pub fn messages(&self) -> String {
        std::fs::read_to_string(self.folder.file("messages")).unwrap_or_default()
    }

    fn wait_for_socket(&mut self) -> Result<(), String> {
        let port = self.sip().port();
        wait_until("a bound SIP port of sipp", READY, || {
            if let Some(status) = self.program.ended() {
                let log = self.program.log();
                return Some(Err(format!("sipp ended early ({status})\n{log}")));
            }
            (udp_port_is_bound(port) || tcp_port_is_listening(port)).then_some(Ok(()))
        })?
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it is still running at the limit, with its trace, or leaves no statistics.
    pub fn finish(mut self) -> Result<SippOutcome, String> {
        let status = self
            .program
            .wait(self.limit)
            .map_err(|error| format!("{error}\n{}", self.messages()))?;
        let read = |name: &str| std::fs::read_to_string(self.folder.file(name)).unwrap_or_default();
        let (errors, statistics) = (read("errors"), read("statistics.csv"));
        let column = |name: &str| last_of_column(&statistics, name);
        let counted = column("SuccessfulCall(C)").zip(column("FailedCall(C)"));
        let (successful, failed) = counted.ok_or_else(|| {
            let log = self.program.log();
            format!("sipp ended with {status} and no statistics: {errors}\n{log}")
        })?;
        Ok(SippOutcome {
            successful,
            failed,
            retransmissions: column("Retransmissions(C)").unwrap_or(0),
            answer_times_ms: answer_times_ms(&self.folder),
            errors,
            messages: self.messages(),
        })
    }
}

impl SippOutcome {
    /// How many times a message whose start line begins with `start` and whose `CSeq` names `method` came in.
    pub fn received(&self, start: &str, method: &str) -> usize {
        let mut blocks = self
            .messages
            .split("-----------------------------------------------");
        let of_method = |block: &&str| {
            sip_text::header(head_of(block), "CSeq").is_some_and(|cseq| cseq.ends_with(method))
        };
        blocks
            .by_ref()
            .filter(|block| block.contains("message received"))
            .filter(|block| head_of(block).starts_with(start))
            .filter(of_method)
            .count()
    }

    /// Fails with SIPp's own words unless exactly `calls` calls went through and none failed.
    ///
    /// # Panics
    /// When they did not; for use in tests.
    pub fn assert_all(&self, calls: u64) {
        assert!(
            (self.successful, self.failed) == (calls, 0),
            "{} of {calls} calls went as told, {} did not\n{}\n{}",
            self.successful,
            self.failed,
            self.errors,
            self.messages
        );
    }
}

/// SIPp answering calls, echoing RTP: a peer that is not ours, and one of the floors of the bench.
#[derive(Debug)]
pub struct SippEcho {
    program: Program,
    sip: SocketAddr,
    _ports: PortBlock,
    _folder: Scratch,
}

impl SippEcho {
    /// Starts its built-in answering scenario with `-rtp_echo`. Ready when this returns.
    ///
    /// # Errors
    /// When SIPp is missing or not answering within 5 s.
    pub fn start() -> Result<Self, String> {
        let folder = Scratch::new("sipp-echo").map_err(|error| error.to_string())?;
        let ports = PortBlock::take(32).map_err(|error| error.to_string())?;
        let mut command = Command::new("sipp");
        command.args([
            "-sn",
            "uas",
            "-rtp_echo",
            "-nostdin",
            "-i",
            "127.0.0.1",
            "-mi",
            "127.0.0.1",
        ]);
        for (option, n) in [("-p", 1), ("-cp", 2), ("-mp", 4)] {
            command.args([option, &ports.port(n).to_string()]);
        }
        command.env("TERM", "dumb").current_dir(folder.path());
        let mut program =
            Program::start("sipp (package sip-tester)", command, folder.file("screen"))
                .map_err(|error| error.to_string())?;
        wait_until(
            "a bound SIP port of sipp",
            Duration::from_secs(5),
            || match program.ended() {
                Some(status) => Some(Err(format!(
                    "sipp ended early ({status})\n{}",
                    program.log()
                ))),
                None => udp_port_is_bound(ports.port(1)).then_some(Ok(())),
            },
        )??;
        Ok(Self {
            program,
            sip: ports.address(1),
            _ports: ports,
            _folder: folder,
        })
    }

    /// Where it takes calls (UDP).
    pub fn sip(&self) -> SocketAddr {
        self.sip
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }
}

/// The SIP message inside one block of SIPp's trace, which begins after an empty line.
fn head_of(block: &str) -> &str {
    block.split_once("\n\n").map_or("", |(_, message)| message)
}

/// What SIPp wrote because of [`TRACE_ANSWER_TIMES`]: a file it names itself, with rows of `moment;milliseconds;which`.
fn answer_times_ms(folder: &Scratch) -> Vec<f64> {
    let files = std::fs::read_dir(folder.path()).into_iter().flatten();
    let traces = files
        .flatten()
        .filter(|file| file.file_name().to_string_lossy().ends_with("_rtt.csv"))
        .filter_map(|file| std::fs::read_to_string(file.path()).ok());
    let milliseconds = |row: &str| row.split(';').nth(1)?.parse().ok();
    let mut times: Vec<f64> = traces
        .flat_map(|trace| trace.lines().filter_map(milliseconds).collect::<Vec<_>>())
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

/// The number in the last row of SIPp's semicolon-separated statistics under `name`.
fn last_of_column(statistics: &str, name: &str) -> Option<u64> {
    let mut lines = statistics.lines();
    let at = lines.next()?.split(';').position(|column| column == name)?;
    lines.next_back()?.split(';').nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_read_from_the_last_row() {
        let csv = "StartTime;FailedCall(P);FailedCall(C);\nnow;0;0;\nlater;1;3;\n";
        assert_eq!(last_of_column(csv, "FailedCall(C)"), Some(3));
        assert_eq!(last_of_column(csv, "Elsewhere"), None);
    }
}
