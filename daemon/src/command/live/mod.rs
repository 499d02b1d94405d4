//! The commands that ask a running daemon, by its control API.
//!
//! ```text
//! Asking (--control, --config, --json) ► ControlAddress ► Client ► one request ► table or JSON ► Exit
//! ```

mod address;
pub(super) mod call;
pub(super) mod calls;
pub(super) mod capture;
mod client;
pub(super) mod one_call;
pub(super) mod route_test;
mod table;
pub(super) mod transfer;
pub(super) mod trunks;

use std::future::Future;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use super::Exit;
use crate::config::{ControlConfig, Finding, Findings, Layers};
use address::ControlAddress;
use client::{Client, Failure};

/// The variable that says where the control API listens.
const VARIABLE: &str = "OFFHOOK_CONTROL";

/// Which daemon is asked, and for whom the answer is.
#[derive(Args, Debug)]
pub(super) struct Asking {
    /// Where the daemon's control API listens [default: as --config or OFFHOOK_CONTROL say, or 127.0.0.1:8060]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "config")]
    control: Option<ControlAddress>,
    /// The daemon's configuration, for its control.listen.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the daemon's answer as it is, for programs.
    #[arg(long)]
    json: bool,
}

/// The id of a call, as `offhook calls` lists it.
#[derive(Args, Debug)]
pub(super) struct OneCall {
    /// The call's id.
    id: String,
    #[command(flatten)]
    asking: Asking,
}

impl OneCall {
    /// Where the call is, or `/hold` and its like at it.
    fn path(&self, below: &str) -> String {
        format!("/v1/calls/{}{below}", client::escaped(&self.id))
    }
}

/// A call as the API shows it.
#[derive(Debug, Deserialize)]
struct ShownCall {
    id: String,
    direction: String,
    from: String,
    to: String,
    trunk: String,
    agent: String,
    state: String,
    bridged_with: Option<String>,
    voicemail: Option<ShownVerdict>,
    #[serde(default)]
    messages: Vec<ShownMessage>,
    duration_ms: u64,
}

/// A message that the caller left, as the API shows it.
#[derive(Debug, Deserialize)]
struct ShownMessage {
    file: String,
}

/// Who answered, as the API shows it.
#[derive(Debug, Deserialize)]
struct ShownVerdict {
    verdict: String,
    confidence: f64,
    evidence: Vec<String>,
}

impl ShownVerdict {
    /// `machine greeting (0.9: cadence of 5200 ms in 3)`.
    fn shown(&self) -> String {
        let verdict = self.verdict.replace('_', " ");
        let evidence = self.evidence.join(", ");
        format!("{verdict} ({}: {evidence})", self.confidence)
    }
}

/// Why a command ended early.
enum Stopped {
    /// What should say where the daemon is has mistakes.
    Mistakes(Findings),
    /// What was asked was not done.
    Failed(Failure),
    /// It was done, and something else came of it than was hoped for.
    Unsuccessful(String),
    /// Something of this process' own.
    Broken(io::Error),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Asking {
    /// Does what `command` does, and says how it ended.
    fn ask<Work>(&self, command: impl FnOnce(Client) -> Work) -> Exit
    where
        Work: Future<Output = Result<(), Stopped>>,
    {
        let worked = self.client().and_then(|client| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(Stopped::Broken)?;
            runtime.block_on(command(client))
        });
        match worked {
            Ok(()) => Exit::Done,
            Err(stopped) => self.tell(stopped),
        }
    }

    fn client(&self) -> Result<Client, Stopped> {
        let address = match (&self.control, &self.config) {
            (Some(address), _) => address.clone(),
            (None, Some(file)) => {
                let layers = Layers::file(file).with_environment();
                let listening = ControlConfig::read_listen(&layers).map_err(Stopped::Mistakes)?;
                listening.into()
            }
            (None, None) => address_of_variable().map_err(Stopped::Mistakes)?,
        };
        Ok(Client::new(address))
    }

    /// Says on standard error what went wrong.
    fn tell(&self, stopped: Stopped) -> Exit {
        let (line, exit) = match stopped {
            Stopped::Mistakes(findings) => {
                eprint!("{findings}");
                return Exit::Mistakes;
            }
            Stopped::Failed(failure) => {
                let exit = match &failure {
                    Failure::NobodyListens(_) | Failure::NoAnswer { .. } => Exit::NoDaemon,
                    Failure::Refused { document, .. } => {
                        if let (true, Some(document)) = (self.json, document) {
                            self.print(document, String::new);
                        }
                        Exit::Refused
                    }
                };
                (failure.to_string(), exit)
            }
            Stopped::Unsuccessful(what) => (what, Exit::Unsuccessful),
            Stopped::Broken(error) => (error.to_string(), Exit::Failed),
        };
        eprintln!("offhook: {}", table::plain(&line));
        exit
    }

    /// Prints `answer` for programs, or what `shown` makes of it for people.
    fn print(&self, answer: &str, shown: impl FnOnce() -> String) {
        let text = match (self.json, answer) {
            (true, "") => String::new(),
            (true, answer) => format!("{answer}\n"),
            (false, _) => shown(),
        };
        // Whoever reads may have seen enough; the exit code says the rest.
        let _ = write(&text);
    }
}

fn address_of_variable() -> Result<ControlAddress, Findings> {
    let Some(text) = std::env::var_os(VARIABLE) else {
        return Ok(ControlAddress::default());
    };
    let text = text.to_string_lossy();
    text.parse().map_err(|error| Findings {
        mistakes: vec![Finding {
            source: format!("variable {VARIABLE}"),
            key: String::new(),
            what: format!("\"{text}\": {error}"),
        }],
        warnings: Vec::new(),
    })
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
