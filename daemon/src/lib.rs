//! The daemon: sockets, threads, configuration, telemetry and the command line around the pure crates.
//!
//! Reads from the outside in: [`command`] is what a person types, [`config`] what they wrote,
//! [`service`] the daemon that results; [`sip_driver`] and [`media_driver`] own the sockets of calls,
//! [`dns`] asks where names lead, [`control`] the HTTP listener, [`telemetry`] what leaves for operators.

pub mod asset;
pub mod audio_file;
pub mod captures;
mod colleagues;
pub mod command;
pub mod config;
pub mod control;
pub mod demo;
pub mod descriptor_limit;
pub mod dns;
pub mod listeners;
pub mod media_driver;
mod private_file;
mod prompt_warming;
mod random;
pub mod recordings;
pub mod service;
pub mod sessions;
pub mod sip_driver;
pub mod speech_worker;
mod tcp;
pub mod telemetry;
pub mod tls;
mod udp;
pub mod voicemail;
pub mod webhooks;
