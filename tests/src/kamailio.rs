//! Kamailio as the trunk between nodes: registrar, record-routing proxy over UDP and TLS, and dispatcher. Its
//! configuration is `tests/kamailio/trunk.cfg`, and what it did is read from the lines it writes.
//!
//! It is unpacked, not installed (`deploy/unpack_packages`), so that no service of it runs. Its ways: killed, it leaves
//! its children behind, so it is always asked to leave; `-DD` keeps the first process in front.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::authority::Authority;
use crate::child::Program;
use crate::daemon::repository;
use crate::ports::{PortBlock, tcp_port_is_listening, udp_port_is_bound};
use crate::scratch::Scratch;
use crate::wait::wait_until;

/// From start to bound ports.
const READY: Duration = Duration::from_secs(10);
/// For what it does at once, on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(10);
/// What its users prove that they know.
pub const PASSWORD: &str = "between-nodes";

/// What differs between the proxies that tests start.
#[derive(Debug, Default)]
pub struct KamailioSetup<'a> {
    /// Who vouches for it and for those it connects to, where it speaks TLS as well.
    pub authority: Option<&'a Authority>,
    /// The nodes that calls to `pool` are given to in turn.
    pub nodes: Vec<SocketAddr>,
}

/// A running proxy. Ends with this value.
#[derive(Debug)]
pub struct Kamailio {
    program: Program,
    ports: PortBlock,
    _folder: Scratch,
}

/// A request that it sent on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Whether it was a request inside a call, which finds its way by its Route.
    pub inside: bool,
    /// The method.
    pub method: String,
    /// How it came.
    pub transport: String,
    /// Where from.
    pub source: SocketAddr,
    /// The URI it went to.
    pub next: String,
}

impl Kamailio {
    /// Starts it and waits until its ports are bound.
    ///
    /// # Errors
    /// When it is missing, or not there in ten seconds, with what it wrote.
    pub fn start(setup: &KamailioSetup<'_>) -> Result<Self, String> {
        let folder = Scratch::new("kamailio").map_err(|error| error.to_string())?;
        let ports = PortBlock::take(8).map_err(|error| error.to_string())?;
        let configuration =
            write_files(setup, &folder, &ports).map_err(|error| error.to_string())?;
        let (program, libraries) = unpacked()?;
        let mut command = Command::new(program);
        command
            .env("LD_LIBRARY_PATH", &libraries)
            .current_dir(folder.path())
            .arg("-L")
            .arg(libraries.join("modules"))
            .arg("-f")
            .arg(configuration)
            .arg("-Y")
            .arg(folder.path())
            .arg("-w")
            .arg(folder.path())
            .args(["-DD", "-E", "-m", "32", "-M", "8"]);
        if setup.authority.is_some() {
            command.args(["-A", "WITH_TLS"]);
        }
        let log = folder.file("kamailio.log");
        let mut program =
            Program::start_group("kamailio", command, log).map_err(|error| error.to_string())?;
        let bound = || {
            udp_port_is_bound(ports.port(1))
                && (setup.authority.is_none() || tcp_port_is_listening(ports.port(2)))
        };
        wait_until("the ports of kamailio", READY, || match program.ended() {
            Some(status) => Some(Err(format!("kamailio ended early ({status})"))),
            None => bound().then_some(Ok(())),
        })
        .and_then(|outcome| outcome)
        .map_err(|why| format!("{why}; it said:\n{}", program.log()))?;
        Ok(Self {
            program,
            ports,
            _folder: folder,
        })
    }

    /// Where it takes datagrams.
    pub fn udp(&self) -> SocketAddr {
        self.ports.address(1)
    }

    /// Where it takes TLS connections.
    pub fn tls(&self) -> SocketAddr {
        self.ports.address(2)
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        self.program.log()
    }

    /// How often it has told `what`, as in `registered node-a by udp`.
    pub fn told(&self, what: &str) -> usize {
        let log = self.log();
        let told = log.lines().filter_map(told_in);
        told.filter(|told| *told == what).count()
    }

    /// Waits until it tells `what`.
    ///
    /// # Errors
    /// When it does not in ten seconds, with what it wrote.
    pub fn tells(&self, what: &str) -> Result<(), String> {
        wait_until(what, PROMPTLY, || (self.told(what) > 0).then_some(()))
            .map_err(|why| format!("{why}; kamailio said:\n{}", self.log()))
    }

    /// The requests that it has sent on, in their order.
    pub fn passed(&self) -> Vec<Passed> {
        self.log()
            .lines()
            .filter_map(told_in)
            .filter_map(read_passed)
            .collect()
    }
}

/// The program and the folder of its libraries.
fn unpacked() -> Result<(PathBuf, PathBuf), String> {
    let folder = repository().join("target/kamailio/usr");
    let library_folders = fs::read_dir(folder.join("lib"));
    let libraries = library_folders
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("kamailio"))
        .find(|libraries| libraries.join("modules").is_dir());
    let program = folder.join("sbin/kamailio");
    match libraries {
        Some(libraries) if program.is_file() => Ok((program, libraries)),
        Some(_) | None => Err(format!(
            "{} is missing; `make require-test` unpacks it",
            program.display()
        )),
    }
}

fn write_files(
    setup: &KamailioSetup<'_>,
    folder: &Scratch,
    ports: &PortBlock,
) -> std::io::Result<PathBuf> {
    if let Some(authority) = setup.authority {
        let identity = authority.sign("127.0.0.1");
        fs::write(folder.file("authority.pem"), authority.pem())?;
        fs::write(folder.file("certificate.pem"), identity.pem())?;
        fs::write(folder.file("key.pem"), identity.key_pem())?;
    }
    let node = |address: &SocketAddr| format!("1 sip:{address}\n");
    fs::write(
        folder.file("nodes"),
        setup.nodes.iter().map(node).collect::<String>(),
    )?;
    let mut text = fs::read_to_string(repository().join("tests/kamailio/trunk.cfg"))?;
    let file = |name: &str| folder.file(name).display().to_string();
    for (word, value) in [
        ("@UDP@", ports.address(1).to_string()),
        ("@TLS@", ports.address(2).to_string()),
        ("@CERTIFICATE@", file("certificate.pem")),
        ("@KEY@", file("key.pem")),
        ("@AUTHORITY@", file("authority.pem")),
        ("@NODES@", file("nodes")),
        ("@PASSWORD@", PASSWORD.to_owned()),
    ] {
        text = text.replace(word, &value);
    }
    let configuration = folder.file("trunk.cfg");
    fs::write(&configuration, text)?;
    Ok(configuration)
}

/// What a line of the log tells in the configuration's own words.
fn told_in(line: &str) -> Option<&str> {
    line.split_once("trunk: ").map(|(_, told)| told.trim_end())
}

/// `inside BYE 2 by udp from 127.0.0.1:5070 to sip:node-b@127.0.0.1:5080`
fn read_passed(told: &str) -> Option<Passed> {
    let words: Vec<&str> = told.split(' ').collect();
    let [
        place,
        method,
        _,
        "by",
        transport,
        "from",
        source,
        "to",
        next,
    ] = words[..]
    else {
        return None;
    };
    Some(Passed {
        inside: place == "inside",
        method: method.to_owned(),
        transport: transport.to_owned(),
        source: source.parse().ok()?,
        next: next.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_about_a_request_is_read() {
        let line =
            " 3(9) ALERT: trunk: inside BYE 2 by udp from 127.0.0.1:5070 to sip:b@127.0.0.1:5080\n";
        let passed = told_in(line).and_then(read_passed).expect("a request");
        assert!(passed.inside);
        assert_eq!(
            (passed.method.as_str(), passed.transport.as_str()),
            ("BYE", "udp")
        );
        assert_eq!(passed.source.port(), 5070);
        assert_eq!(passed.next, "sip:b@127.0.0.1:5080");
        assert_eq!(told_in("INFO: core"), None);
    }
}
