//! The `offhook` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    offhook::command::main()
}
