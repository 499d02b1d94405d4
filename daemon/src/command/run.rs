//! `offhook run`: the daemon.

use super::ready::Ready;
use super::{Exit, check};
use crate::listeners::TakenPort;

pub(super) type Arguments = check::Arguments;

pub(super) fn execute(arguments: &Arguments) -> Exit {
    match Ready::make(&arguments.layers(), TakenPort::Refuse) {
        Ok(ready) => ready.serve(),
        Err(exit) => exit,
    }
}
