//! `offhook check`: every mistake of a configuration or a flow, before anything is opened, and flows as pictures.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use offhook_session::flow::{DrawStyle, Flow};

use super::Exit;
use crate::config::{AgentKind, AgentName, Config, Findings, FlowFile, Host, Layers};

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

/// What `check` takes beside that.
#[derive(Args, Debug)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    configuration: Arguments,
    /// Print what leads from step to step of flows without mistakes: for people, or for the tools dot and mermaid.
    #[arg(long, value_name = "STYLE", num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    draw: Option<Style>,
    /// A flow file, which is checked alone, or an agent of the configuration; with --draw, default: every flow of the
    /// configuration.
    #[arg(value_name = "FLOW_OR_AGENT")]
    what: Option<String>,
}

/// How flows are drawn.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Style {
    Text,
    Dot,
    Mermaid,
}

impl From<Style> for DrawStyle {
    fn from(style: Style) -> Self {
        match style {
            Style::Text => Self::Text,
            Style::Dot => Self::Dot,
            Style::Mermaid => Self::Mermaid,
        }
    }
}

pub(super) fn execute(arguments: &CheckArguments) -> Exit {
    let style = arguments.draw.map(DrawStyle::from);
    let configuration = &arguments.configuration;
    match (&arguments.what, style) {
        (Some(what), style) if is_flow_file(what) => check_flow(Path::new(what), style),
        (None, None) => check_all(configuration),
        (what, style) => draw_agents(configuration, what.as_deref(), style),
    }
}

/// Whether it is the name of a file rather than an agent's.
fn is_flow_file(what: &str) -> bool {
    what.contains('/') || what.ends_with(".toml")
}

/// One flow file, alone.
fn check_flow(path: &Path, style: Option<DrawStyle>) -> Exit {
    let (read, mistakes, warnings) = match FlowFile::read(path, &Host::this().recogniser_model) {
        Ok(read) => (Some(read.flow), read.unknown_words, read.warnings),
        Err(mistakes) => (None, mistakes, Vec::new()),
    };
    let exit = match mistakes.is_empty() {
        true => Exit::Done,
        false => Exit::Mistakes,
    };
    if let (Some(flow), Some(style), Exit::Done) = (read, style, exit) {
        print(&flow.draw(style));
        return exit;
    }
    let named = |kind: &str, all: &[String]| -> String {
        all.iter().map(|what| format!("{kind}: {what}\n")).collect()
    };
    print(&format!(
        "{}{}{}: {}, {}\n",
        named("mistake", &mistakes),
        named("warning", &warnings),
        path.display(),
        counted(mistakes.len(), "mistake"),
        counted(warnings.len(), "warning")
    ));
    exit
}

/// The flow of one agent of the configuration, or of every one that has a flow.
fn draw_agents(configuration: &Arguments, name: Option<&str>, style: Option<DrawStyle>) -> Exit {
    let Ok((config, _)) = Config::read(&configuration.layers(), &Host::this()) else {
        return check_all(configuration);
    };
    let flows: Vec<(&AgentName, &Flow)> = config
        .agents
        .iter()
        .filter(|(agent, _)| name.is_none_or(|name| agent.as_str() == name))
        .filter_map(|(agent, config)| match &config.kind {
            AgentKind::Flow { flow, .. } => Some((agent, &**flow)),
            AgentKind::Echo { .. } | AgentKind::Play { .. } => None,
        })
        .collect();
    let Some(style) = style else {
        return check_all(configuration);
    };
    if flows.len() > 1 && style != DrawStyle::Text {
        eprintln!("which flow? a graph is of one: name an agent or a file");
        return Exit::WrongCommandLine;
    }
    if flows.is_empty() {
        let who = name.map_or("no agent".to_owned(), |name| format!("no agent {name:?}"));
        eprintln!(
            "{}: there is {who} with a flow",
            configuration.config.display()
        );
        return Exit::WrongCommandLine;
    }
    for (agent, flow) in &flows {
        if flows.len() > 1 {
            print(&format!("agent {agent}\n\n"));
        }
        print(&flow.draw(style));
    }
    Exit::Done
}

/// Whoever reads may have seen enough; the exit code says the rest.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn check_all(arguments: &Arguments) -> Exit {
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
    print(&summary);
    exit
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}
