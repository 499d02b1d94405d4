//! The daemon as an operator runs it: its own binary, a configuration file in a folder of its own, its own ports, ready
//! when `/readyz` says so, ended by SIGTERM.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::time::Duration;
use std::{env, fs};

use crate::child::Program;
use crate::http;
use crate::ports::PortBlock;
use crate::process_gauge::ProcessGauge;
use crate::scratch::Scratch;
use crate::wait::wait_until;
use crate::wav;

/// From start to ready; a debug build on a busy machine included.
const READY: Duration = Duration::from_secs(20);
/// How long a line of the log may take.
const IN_THE_LOG: Duration = Duration::from_secs(10);
/// Ports of the block below this one are for SIP, control, and some to spare.
const FIRST_RTP_PORT: u16 = 8;

/// What differs between the daemons that tests start. Routes exist to `echo`, `play` (a tone), and, when `front_desk` is
/// set, `front-desk`; nothing else is routed. Loopback is the one trunk.
#[derive(Debug, Clone)]
pub struct DaemonSetup {
    /// What is started in the daemon's place.
    pub program: Option<PathBuf>,
    /// Most calls at once.
    pub calls: u16,
    /// Most new calls a second. RTP ports are given for these and for `calls`, so that resting ports refuse no call.
    pub calls_per_second: u32,
    /// Codecs in our order of preference.
    pub codecs: Vec<&'static str>,
    /// Whether the flow agent is configured (it wants the speech libraries).
    pub front_desk: bool,
    /// Whether it takes connections (TCP) at the address where it takes datagrams.
    pub tcp: bool,
    /// What `sip.tls` is, where it takes TLS connections as well.
    pub tls: Option<String>,
    /// Keys added to the table `sip`.
    pub sip_keys: String,
    /// Keys added to the table `limits`.
    pub limit_keys: &'static str,
    /// Who may call in.
    pub inbound_from: Vec<&'static str>,
    /// Keys added to the table of the trunk, which is `loopback`.
    pub trunk_keys: String,
    /// Keys added to the table of the agent `echo`.
    pub echo_keys: &'static str,
    /// Whole tables added at the end of the file.
    pub more: String,
    /// What is logged, as `OFFHOOK_LOG` has it.
    pub log: &'static str,
    /// How long live calls may go on after SIGTERM, in seconds.
    pub drain_s: u32,
    /// Variables it is started with, besides those of the tests.
    pub environment: Vec<(&'static str, String)>,
    /// The largest file that it may write, its log included, in units of 512 bytes: beyond, writing fails, as on a disk
    /// that is full. A whole number, or `unlimited`.
    pub largest_file: &'static str,
}

impl Default for DaemonSetup {
    fn default() -> Self {
        Self {
            program: None,
            calls: 50,
            calls_per_second: 100,
            codecs: vec!["opus", "pcmu", "pcma"],
            front_desk: false,
            tcp: false,
            tls: None,
            sip_keys: String::new(),
            limit_keys: "",
            inbound_from: vec!["127.0.0.0/8"],
            trunk_keys: String::new(),
            echo_keys: "",
            more: String::new(),
            log: "info",
            drain_s: 2,
            environment: Vec::new(),
            largest_file: "unlimited",
        }
    }
}

/// A running daemon that is ready for calls. Ends with this value.
#[derive(Debug)]
pub struct Daemon {
    program: Program,
    sip: SocketAddr,
    tls: Option<SocketAddr>,
    control: SocketAddr,
    rtp_ports: std::ops::Range<u16>,
    _ports: Option<PortBlock>,
    _folder: Scratch,
}

impl Daemon {
    /// Builds the daemon if need be, starts it with `setup` and waits until it is ready.
    ///
    /// # Errors
    /// When it cannot be built or started, ends early, or is not ready in 20 s; what it printed is part of the error.
    pub fn start(setup: &DaemonSetup) -> Result<Self, String> {
        let folder = Scratch::new("daemon").map_err(|error| error.to_string())?;
        // A pair for each call at once, and for each whose ports rest a second after its end.
        let pairs = u32::from(setup.calls) + setup.calls_per_second;
        let rtp = u16::try_from(pairs * 2).map_err(|_| format!("no {pairs} pairs of ports"))?;
        let ports = PortBlock::take(FIRST_RTP_PORT + rtp).map_err(|error| error.to_string())?;
        let (sip, control, rtp_ports) = (
            ports.address(1),
            ports.address(2),
            ports.run(FIRST_RTP_PORT),
        );
        let tls = setup.tls.as_ref().map(|_| ports.address(3));
        let file = folder.file("offhook.toml");
        write_tone(&folder)?;
        fs::write(&file, configuration(setup, sip, tls, control, &rtp_ports))
            .map_err(|error| error.to_string())?;
        let program = launch(&file, &folder, setup, control)?;
        Ok(Self {
            program,
            sip,
            tls,
            control,
            rtp_ports,
            _ports: Some(ports),
            _folder: folder,
        })
    }

    /// Starts it with the configuration `file` as it stands, whose addresses the caller knows.
    ///
    /// # Errors
    /// As [`Daemon::start`]; a port in use is among what it prints.
    pub fn start_with(file: &Path, sip: SocketAddr, control: SocketAddr) -> Result<Self, String> {
        let folder = Scratch::new("daemon").map_err(|error| error.to_string())?;
        let setup = DaemonSetup {
            log: "warn",
            ..DaemonSetup::default()
        };
        let program = launch(file, &folder, &setup, control)?;
        Ok(Self {
            program,
            sip,
            tls: None,
            control,
            rtp_ports: 0..0,
            _ports: None,
            _folder: folder,
        })
    }

    /// Where it takes calls (UDP, and TCP where that is set up).
    pub fn sip(&self) -> SocketAddr {
        self.sip
    }

    /// Where it takes calls over TLS.
    ///
    /// # Panics
    /// When it was not set up to: a mistake in the test.
    pub fn tls(&self) -> SocketAddr {
        self.tls.expect("the daemon was set up with TLS")
    }

    /// Where its HTTP server listens.
    pub fn control(&self) -> SocketAddr {
        self.control
    }

    /// The ports its RTP sockets come from; none when it was started with somebody else's file.
    pub fn rtp_ports(&self) -> std::ops::Range<u16> {
        self.rtp_ports.clone()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.program.log()
    }

    /// What it has logged, once `words` are `times` in it. The log is written by a thread of its own, so that a line
    /// may come after the answer or the packet that it tells of.
    ///
    /// # Panics
    /// When they are not within ten seconds, or there are more of them.
    #[track_caller]
    pub fn log_telling(&self, words: &str, times: usize) -> String {
        let told = || self.log().matches(words).count();
        let _ = wait_until(words, IN_THE_LOG, || (told() >= times).then_some(()));
        let log = self.log();
        assert_eq!(log.matches(words).count(), times, "{words:?} in\n{log}");
        log
    }

    /// Its metrics, once each of `lines` begins or is one of them. What a thread of its own counts may be there after the
    /// packet that it tells of.
    ///
    /// # Panics
    /// When one is not there within ten seconds.
    #[track_caller]
    pub fn metrics_telling(&self, lines: &[&str]) {
        let page = || self.page("/metrics").unwrap_or_default();
        let all = |page: &str| {
            let has = |wanted: &&str| page.lines().any(|line| line.starts_with(*wanted));
            lines.iter().all(has)
        };
        let told = wait_until("the metrics", IN_THE_LOG, || all(&page()).then_some(()));
        assert!(told.is_ok(), "{lines:?} in\n{}", page());
    }

    /// Whether it is still running.
    pub fn is_alive(&mut self) -> bool {
        self.program.ended().is_none()
    }

    /// The body of an HTTP page of its control server.
    ///
    /// # Errors
    /// When the server does not answer 200.
    pub fn page(&self, path: &str) -> Result<String, String> {
        match http::get(self.control, path) {
            Ok((200, body)) => Ok(body),
            Ok((status, body)) => Err(format!("{path} gave {status}: {body}")),
            Err(error) => Err(format!("{path}: {error}")),
        }
    }

    /// The status its HTTP server gives for a page; `None` when it does not answer.
    pub fn page_status(&self, path: &str) -> Option<u16> {
        http::status(self.control, path)
    }

    /// The processes among its children that have a library loaded whose file name contains `library`: how a
    /// recogniser is told from a voice.
    pub fn speech_processes(&self, library: &str) -> Vec<u32> {
        let has_it = |pid: &u32| {
            let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
            maps.contains(library)
        };
        let children = ProcessGauge::new(self.pid()).descendants();
        children.into_iter().filter(has_it).collect()
    }

    /// Sends `signal` to it and does not wait.
    pub fn signal(&mut self, signal: libc::c_int) {
        self.program.signal(signal);
    }

    /// Waits for it to end after a signal and gives its exit status and log.
    ///
    /// # Errors
    /// When it is still running after `limit`; it is then killed.
    pub fn wait(&mut self, limit: Duration) -> Result<(ExitStatus, String), String> {
        let status = self.program.wait(limit)?;
        Ok((status, self.program.log()))
    }

    /// Ends it as systemd would and gives its exit status and log.
    ///
    /// # Errors
    /// When it has to be killed.
    pub fn stop(mut self) -> Result<(ExitStatus, String), String> {
        let (status, _) = self.program.stop()?;
        Ok((status, self.program.log()))
    }
}

/// Starts the program and waits until it is ready.
fn launch(
    file: &Path,
    folder: &Scratch,
    setup: &DaemonSetup,
    control: SocketAddr,
) -> Result<Program, String> {
    // The shell becomes the daemon, which keeps the limit and ignores the signal that would come with it.
    let limited = format!(
        "trap '' XFSZ; ulimit -f {}; exec \"$0\" run --config \"$1\"",
        setup.largest_file
    );
    let mut command = Command::new("sh");
    command
        .args(["-c", &limited])
        .arg(match &setup.program {
            Some(program) => program.clone(),
            None => binary()?,
        })
        .arg(file)
        .current_dir(folder.path());
    command
        .env("OFFHOOK_LOG", setup.log)
        .env_remove("NOTIFY_SOCKET")
        .env_remove("JOURNAL_STREAM")
        .envs(setup.environment.iter().map(|(name, value)| (name, value)));
    let mut program = Program::start("offhook", command, folder.file("offhook.log"))
        .map_err(|error| error.to_string())?;
    let ready = wait_until("readiness of offhook", READY, || match program.ended() {
        Some(status) => Some(Err(format!("offhook ended early ({status})"))),
        None => (http::status(control, "/readyz") == Some(200)).then_some(Ok(())),
    });
    ready
        .and_then(|outcome| outcome)
        .map_err(|why| format!("{why}; it said:\n{}", program.log()))?;
    Ok(program)
}

/// The configuration file. Written as an operator would; nothing in it is only for tests.
fn configuration(
    setup: &DaemonSetup,
    sip: SocketAddr,
    tls: Option<SocketAddr>,
    control: SocketAddr,
    rtp_ports: &std::ops::Range<u16>,
) -> String {
    let DaemonSetup {
        calls,
        calls_per_second,
        codecs,
        front_desk,
        sip_keys,
        limit_keys,
        inbound_from,
        trunk_keys,
        echo_keys,
        more,
        drain_s,
        ..
    } = setup;
    let (first, last) = (rtp_ports.start, rtp_ports.end - 1);
    let mut listen = vec![format!("udp:{sip}")];
    listen.extend(setup.tcp.then(|| format!("tcp:{sip}")));
    listen.extend(tls.map(|tls| format!("tls:{tls}")));
    let tls_key = setup.tls.as_ref().map(|tls| format!("tls = {tls}\n"));
    let tls_key = tls_key.unwrap_or_default();
    let mut text = format!(
        "[sip]\nlisten = {listen:?}\n{tls_key}{sip_keys}\n\n\
         [media]\nbind = [\"127.0.0.1\"]\nports = \"{first}-{last}\"\ncodecs = {codecs:?}\n\n\
         [limits]\ncalls = {calls}\ncalls_per_second = {calls_per_second}\n{limit_keys}\n\n\
         [control]\nlisten = \"{control}\"\n\n\
         [drain]\ntimeout_s = {drain_s}\n\n\
         [trunk.loopback]\ninbound_from = {inbound_from:?}\n{trunk_keys}\n\n\
         [agent.echo]\nkind = \"echo\"\n{echo_keys}\n\n\
         [agent.tone]\nkind = \"play\"\nfile = \"tone.wav\"\n\n\
         [[route]]\nto = \"echo\"\nagent = \"echo\"\n\n\
         [[route]]\nto = \"play\"\nagent = \"tone\"\n"
    );
    if *front_desk {
        let flow = repository().join("deploy/flows/front-desk.toml");
        text += &format!(
            "\n[agent.front-desk]\nkind = \"flow\"\nflow = {:?}\n\n[[route]]\nto = \"front-desk\"\nagent = \"front-desk\"\n",
            flow.display().to_string()
        );
    }
    text + "\n" + more
}

fn write_tone(folder: &Scratch) -> Result<(), String> {
    wav::write_tone(&folder.file("tone.wav"), 8_000, 2, 440.0).map_err(|error| error.to_string())
}

/// The folder of the workspace.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The daemon's binary: `$OFFHOOK_BINARY`, or the one beside the running test program, brought up to date by cargo once a
/// process. Cargo offers no path to another package's binary, and a stale one would test yesterday's code.
///
/// # Errors
/// When it cannot be built, with what cargo said.
pub fn binary() -> Result<PathBuf, String> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BINARY.get_or_init(build).clone()
}

/// The daemon whose voice and recogniser follow a script, built with the profile of this program.
///
/// # Errors
/// As [`binary`].
pub fn scripted() -> Result<PathBuf, String> {
    build_with(&["--example", "scripted"], "examples/scripted")
}

fn build() -> Result<PathBuf, String> {
    if let Some(given) = env::var_os("OFFHOOK_BINARY") {
        return Ok(given.into());
    }
    build_with(&["--bin", "offhook"], "offhook")
}

fn build_with(what: &[&str], program: &str) -> Result<PathBuf, String> {
    let this = env::current_exe().map_err(|error| error.to_string())?;
    // target/PROFILE/deps/test-program, or target/PROFILE/program
    let profile = this
        .ancestors()
        .skip(1)
        .find(|folder| folder.file_name().is_some_and(|name| name != "deps"))
        .ok_or("no target folder above this program")?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // All members are named so that shared dependencies keep the features that the tests were built with.
    // An example's name is one package's; the others' features are the same without it.
    cargo
        .args(["build", "--quiet", "--workspace"])
        .args(what)
        .current_dir(repository());
    // What cargo says of this package to its tests; ring's build script would take it for a change and run again.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_MANIFEST_") || text.starts_with("CARGO_PKG_") {
            cargo.env_remove(&name);
        }
    }
    if let Some(target) = profile.parent() {
        cargo.arg("--target-dir").arg(target);
    }
    // That of `dev` is called debug.
    if let Some(name) = profile.file_name().filter(|name| *name != "debug") {
        cargo.arg("--profile").arg(name);
    }
    let built = cargo
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    match built.status.success() {
        true => Ok(profile.join(program)),
        false => Err(format!(
            "cannot build {program}:\n{}",
            String::from_utf8_lossy(&built.stderr)
        )),
    }
}
