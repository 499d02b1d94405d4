//! What `run` and `demo` do before and after what sets them apart.

use super::Exit;
use crate::config::{Config, Finding, Host, Layers};
use crate::listeners::{Listeners, TakenPort};
use crate::service;
use crate::telemetry::Telemetry;

/// A configuration that was read, a log that is written, and addresses that are bound.
pub(super) struct Ready {
    pub(super) config: Config,
    pub(super) warnings: Vec<Finding>,
    pub(super) telemetry: Telemetry,
    pub(super) listeners: Listeners,
}

impl Ready {
    /// Reads, starts and binds. What fails was said on standard error.
    pub(super) fn make(layers: &Layers, taken: TakenPort) -> Result<Self, Exit> {
        let (config, warnings) = Config::read(layers, &Host::this()).map_err(|findings| {
            eprint!("{findings}");
            Exit::Mistakes
        })?;
        let telemetry = Telemetry::start().map_err(|error| {
            eprintln!("offhook: {error}");
            Exit::Failed
        })?;
        let listeners = Listeners::bind(&config, taken).map_err(|error| {
            tracing::error!("{error}");
            telemetry.flush();
            Exit::AddressUnavailable
        })?;
        Ok(Self {
            config,
            warnings,
            telemetry,
            listeners,
        })
    }

    /// Runs the daemon to its end.
    pub(super) fn serve(self) -> Exit {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
        let exit = match service::run(self.config, self.listeners, &self.telemetry) {
            Ok(()) => Exit::Done,
            Err(error) => {
                tracing::error!("{error}");
                Exit::Failed
            }
        };
        self.telemetry.flush();
        exit
    }
}
