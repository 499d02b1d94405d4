//! The daemon: sockets, threads, configuration, telemetry and the command line around the pure crates.

pub mod command;
pub mod config;
pub mod control;
pub mod flow_file;
pub mod media_driver;
pub mod sip_driver;
pub mod speech_worker;
pub mod telemetry;
