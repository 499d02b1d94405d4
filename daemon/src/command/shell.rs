//! `offhook completions` and `offhook man`: the command line described to a shell and to `man`.

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{CommandLine, Exit};

#[derive(Args, Debug)]
pub(super) struct Completions {
    /// Whose script it is to be.
    shell: Shell,
}

#[derive(Args, Debug)]
pub(super) struct Manual {
    /// The page of one command; else that of the program.
    command: Option<String>,
}

pub(super) fn completions(arguments: &Completions) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut CommandLine::command(),
        "offhook",
        &mut text,
    );
    print(&text)
}

pub(super) fn manual(arguments: &Manual) -> Exit {
    let mut program = CommandLine::command();
    program.build();
    let described = match &arguments.command {
        None => Some(program),
        Some(name) => program.find_subcommand(name).cloned(),
    };
    let Some(described) = described else {
        eprintln!("offhook: there is no such command; offhook --help lists them");
        return Exit::WrongCommandLine;
    };
    let mut text = Vec::new();
    match clap_mangen::Man::new(described).render(&mut text) {
        Ok(()) => print(&text),
        Err(error) => {
            eprintln!("offhook: {error}");
            Exit::Failed
        }
    }
}

fn print(text: &[u8]) -> Exit {
    // Whoever reads may have seen enough.
    let _ = io::stdout().write_all(text);
    Exit::Done
}
