//! Logs, metrics and the service manager.
