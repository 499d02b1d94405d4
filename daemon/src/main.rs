//! The `offhook` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The speech processes are this program again; they never see the command line proper.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == offhook::speech_worker::SUBCOMMAND)
    {
        return offhook::speech_worker::child::main();
    }
    offhook::command::main()
}
