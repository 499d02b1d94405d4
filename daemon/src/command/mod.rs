//! The command line.
//!
//! Each command is a file: its arguments as clap reads them, and `execute`, which ends in an exit code.

mod check;
mod demo;
mod live;
mod ready;
mod run;
mod shell;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::speech_worker;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the configuration has mistakes; each is named with its file and key
  2  the command line is wrong
  3  an address cannot be listened on, because a program has it or this machine does not
  4  something failed while running; the log says what
  5  no daemon answers
  6  the daemon refuses, and says why
  7  it was asked and did not succeed: the call was not answered, the transfer failed, no route fits";

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
    /// Read a configuration or a flow and list every mistake in it; draw flows.
    Check(check::CheckArguments),
    /// Answer calls on this machine without a configuration, to try things out.
    Demo(demo::Arguments),
    /// Let an agent of a running daemon call somebody; prints the call's id.
    Call(live::call::Arguments),
    /// List the live calls.
    Calls(live::calls::Arguments),
    /// Show one live call.
    Show(live::OneCall),
    /// End a live call.
    Hangup(live::OneCall),
    /// Put a live call's far end on hold.
    Hold(live::OneCall),
    /// Take a live call's far end off hold.
    Resume(live::OneCall),
    /// Join a live call to another: their far ends hear each other.
    Bridge(live::one_call::Bridge),
    /// Part a live call from the one that it is joined to.
    Part(live::OneCall),
    /// Press keys towards a live call's far end.
    Press(live::one_call::Press),
    /// Pause the recording of a live call, or take that back.
    Recording(live::one_call::Recording),
    /// Note everything a live call sends and receives, and save it as a pcap file.
    Capture(live::capture::Arguments),
    /// Send a live call's far end elsewhere, and say what became of it.
    Transfer(live::transfer::Transfer),
    /// Show whether the trunks answer, and whether we are registered.
    Trunks(live::trunks::Arguments),
    /// Show which trunk and agent a call would get.
    RouteTest(live::route_test::Arguments),
    /// Print a script that completes this command line in a shell.
    Completions(shell::Completions),
    /// Print a manual page.
    Man(shell::Manual),
    /// The process that holds the speech libraries; the daemon starts it, people do not.
    #[command(name = speech_worker::SUBCOMMAND, hide = true)]
    SpeechWorker,
}

/// How a command ended; the number is the program's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Done = 0,
    Mistakes = 1,
    /// Clap ends the program by itself with the same number.
    WrongCommandLine = 2,
    AddressUnavailable = 3,
    Failed = 4,
    NoDaemon = 5,
    Refused = 6,
    Unsuccessful = 7,
}

/// The whole program: reads the command line, does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let exit = match CommandLine::parse().command {
        Command::Run(arguments) => run::execute(&arguments),
        Command::Check(arguments) => check::execute(&arguments),
        Command::Demo(arguments) => demo::execute(&arguments),
        Command::Call(arguments) => live::call::execute(&arguments),
        Command::Calls(arguments) => live::calls::execute(&arguments),
        Command::Show(call) => live::one_call::show(&call),
        Command::Hangup(call) => live::one_call::hang_up(&call),
        Command::Hold(call) => live::one_call::hold(&call),
        Command::Resume(call) => live::one_call::resume(&call),
        Command::Bridge(bridge) => live::one_call::bridge(&bridge),
        Command::Part(call) => live::one_call::part(&call),
        Command::Press(press) => live::one_call::press(&press),
        Command::Recording(recording) => live::one_call::recording(&recording),
        Command::Capture(arguments) => live::capture::execute(&arguments),
        Command::Transfer(transfer) => live::transfer::transfer(&transfer),
        Command::Trunks(arguments) => live::trunks::execute(&arguments),
        Command::RouteTest(arguments) => live::route_test::execute(&arguments),
        Command::Completions(arguments) => shell::completions(&arguments),
        Command::Man(arguments) => shell::manual(&arguments),
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
