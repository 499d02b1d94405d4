//! The command line.
//!
//! Each command is a file: its arguments as clap reads them, and `execute`, which ends in an exit code.

mod check;
mod demo;
mod ready;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::speech_worker;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the configuration has mistakes; each is named with its file and key
  2  the command line is wrong
  3  an address cannot be listened on, because a program has it or this machine does not
  4  something failed while running; the log says what";

/// A telephony edge for voice agents.
#[derive(Debug, Parser)]
#[command(name = "offhook", version, after_help = EXIT_CODES)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer calls as a configuration says.
    Run(run::Arguments),
    /// Read a configuration and list every mistake in it.
    Check(check::Arguments),
    /// Answer calls on this machine without a configuration, to try things out.
    Demo(demo::Arguments),
    /// The process that holds the speech libraries; the daemon starts it, people do not.
    #[command(name = speech_worker::SUBCOMMAND, hide = true)]
    SpeechWorker,
}

/// How a command ended; the number is the program's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Done = 0,
    Mistakes = 1,
    // 2 is clap's own, for a wrong command line.
    AddressUnavailable = 3,
    Failed = 4,
}

/// The whole program: reads the command line, does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let exit = match CommandLine::parse().command {
        Command::Run(arguments) => run::execute(&arguments),
        Command::Check(arguments) => check::execute(&arguments),
        Command::Demo(arguments) => demo::execute(&arguments),
        Command::SpeechWorker => return speech_worker::child::main(),
    };
    ExitCode::from(exit as u8)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_without_contradictions() {
        CommandLine::command().debug_assert();
    }
}
