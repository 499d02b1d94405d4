//! The `offhook` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == offhook::speech_worker::SUBCOMMAND)
    {
        return offhook::speech_worker::child::main();
    }
    ExitCode::SUCCESS
}
