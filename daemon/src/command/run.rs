//! `offhook run`: the daemon.

use super::{Exit, check};
use crate::config::{Config, Finding, Host};
use crate::listeners::{Listeners, TakenPort};
use crate::service;
use crate::telemetry::Telemetry;

pub(super) type Arguments = check::Arguments;

pub(super) fn execute(arguments: &Arguments) -> Exit {
    let (config, warnings) = match Config::read(&arguments.layers(), &Host::this()) {
        Ok(read) => read,
        Err(findings) => {
            eprint!("{findings}");
            return Exit::Mistakes;
        }
    };
    let telemetry = match Telemetry::start() {
        Ok(telemetry) => telemetry,
        Err(error) => {
            eprintln!("offhook: {error}");
            return Exit::Failed;
        }
    };
    let listeners = match Listeners::bind(&config, TakenPort::Refuse) {
        Ok(listeners) => listeners,
        Err(error) => {
            tracing::error!("{error}");
            telemetry.flush();
            return Exit::AddressUnavailable;
        }
    };
    serve(config, &warnings, listeners, &telemetry)
}

/// Runs the daemon to its end; what `run` and `demo` have in common.
pub(super) fn serve(
    config: Config,
    warnings: &[Finding],
    listeners: Listeners,
    telemetry: &Telemetry,
) -> Exit {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let exit = match service::run(config, listeners, telemetry) {
        Ok(()) => Exit::Done,
        Err(error) => {
            tracing::error!("{error}");
            Exit::Failed
        }
    };
    telemetry.flush();
    exit
}
