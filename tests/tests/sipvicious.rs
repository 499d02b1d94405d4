//! The scanner everybody meets, at a daemon of its own: svmap, svwar and svcrack find nothing.
//!
//! Only with `OFFHOOK_INTEROP` set (`make interop` sets it), since it is fetched from PyPI.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use offhook_tests::daemon::{Daemon, DaemonSetup, repository};

const VERSION: &str = "sipvicious==0.3.8";
/// A scanner that waits for answers gives up by itself within seconds.
const PATIENCE_S: &str = "60";

#[test]
fn a_stranger_with_sipvicious_finds_nobody() {
    let Some(tools) = tools() else { return };
    let daemon = Daemon::start(&DaemonSetup {
        inbound_from: vec!["192.0.2.1"],
        ..DaemonSetup::default()
    })
    .expect("a daemon");
    assert_finds_nothing(&tools, &daemon, "svmap", &[]);
    for method in ["REGISTER", "OPTIONS", "INVITE"] {
        let scan = ["-e", "100-120", "-m", method];
        assert_finds_nothing(&tools, &daemon, "svwar", &scan);
    }
    assert_finds_nothing(&tools, &daemon, "svcrack", &["-u", "100", "-r", "1-100"]);
    let metrics = daemon.page("/metrics").expect("metrics");
    assert!(
        !metrics.contains("offhook_sip_messages_total{direction=\"out\"}"),
        "a stranger was answered:\n{metrics}"
    );
}

#[test]
fn at_a_trunks_address_sipvicious_finds_no_extension_and_no_password() {
    let Some(tools) = tools() else { return };
    let daemon = Daemon::start(&DaemonSetup::default()).expect("a daemon");
    for method in ["REGISTER", "OPTIONS", "INVITE"] {
        let scan = ["-e", "100-120", "-m", method];
        assert_finds_nothing(&tools, &daemon, "svwar", &scan);
    }
    let said = assert_finds_nothing(&tools, &daemon, "svcrack", &["-u", "100", "-r", "1-100"]);
    assert!(
        said.contains("SIP/2.0 405 "),
        "REGISTER is not served:\n{said}"
    );
}

/// Runs a tool to its end; what it said.
fn assert_finds_nothing(tools: &Path, daemon: &Daemon, tool: &str, arguments: &[&str]) -> String {
    let program = tools.join(format!("sipvicious_{tool}"));
    let output = Command::new("timeout")
        .arg(PATIENCE_S)
        .arg(program)
        .args(arguments)
        .args(["-vv", "-p", &daemon.sip().port().to_string()])
        .arg(daemon.sip().ip().to_string())
        .output()
        .expect("a scanner");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        said.contains("found nothing"),
        "{tool} {arguments:?}:\n{said}"
    );
    said
}

/// Where the tools are; fetched into a folder of their own the first time. `None`, having said why, where they are not
/// to be had.
fn tools() -> Option<PathBuf> {
    if env::var_os("OFFHOOK_INTEROP").is_none() {
        println!("skipped: OFFHOOK_INTEROP is not set; make interop sets it");
        return None;
    }
    let folder = repository().join("target/sipvicious");
    let tools = folder.join("bin");
    // Both tests want them; the first fetches them.
    static FETCHED: std::sync::OnceLock<Result<(), String>> = std::sync::OnceLock::new();
    let fetched = FETCHED.get_or_init(|| {
        if fs::exists(tools.join("sipvicious_svmap")).unwrap_or(false) {
            return Ok(());
        }
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        run(Command::new(tools.join("pip")).args(["install", "--quiet", VERSION]))
    });
    match fetched {
        Ok(()) => Some(tools),
        Err(why) => {
            println!("skipped: sipvicious is not to be had: {why}");
            None
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
