//! `offhook check`: every mistake of a configuration, before anything is opened.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::Exit;
use crate::config::{Config, Findings, Host, Layers};

/// Where the configuration is. `run` takes the same.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The configuration; conf.d/*.toml beside it and OFFHOOK_* variables are laid over it.
    #[arg(long, value_name = "FILE", default_value = "/etc/offhook/offhook.toml")]
    pub(super) config: PathBuf,
    /// Change one key, as sip.listen='["udp:192.0.2.1:5060"]'; may be given often.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

impl Arguments {
    pub(super) fn layers(&self) -> Layers {
        Layers::file(&self.config)
            .with_environment()
            .with_settings(self.settings.iter().cloned())
    }
}

pub(super) fn execute(arguments: &Arguments) -> Exit {
    let (findings, exit) = match Config::read(&arguments.layers(), &Host::this()) {
        Ok((_, warnings)) => (
            Findings {
                mistakes: Vec::new(),
                warnings,
            },
            Exit::Done,
        ),
        Err(findings) => (findings, Exit::Mistakes),
    };
    let summary = format!(
        "{findings}{}: {}, {}\n",
        arguments.config.display(),
        counted(findings.mistakes.len(), "mistake"),
        counted(findings.warnings.len(), "warning")
    );
    // Whoever reads may have seen enough; the exit code says the rest.
    let _ = std::io::stdout().write_all(summary.as_bytes());
    exit
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}
