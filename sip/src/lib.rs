//! SIP without sockets: RFC 3261 and its extensions as state machines.
//!
//! Nothing here opens a socket, reads a clock, starts a task or asks for randomness: bytes,
//! [`Instant`](std::time::Instant)s and a seed are arguments, and everything that leaves is polled
//! from [`endpoint::Endpoint`], the one front door. A body is bytes; what it means belongs to others.
//!
//! ```text
//! datagram → message::parse → endpoint → transaction → dialog → invite usage → Event (to session::Call)
//! command  → invite usage → dialog → transaction → message::write → Output::Transmit (to the driver)
//! ```
//!
//! A module names only those below it:
//!
//! ```text
//! endpoint       the front door: which usage a message concerns
//! invite         what a call attempt and its dialog do
//! registration   keeping a binding with a trunk's registrar
//! ua_core        what every usage works with: transactions, timers, outputs
//! transaction    the four machines and their tables
//! dialog, flow   who talks with whom, and by which path
//! digest         who somebody is: challenges and their answers
//! locate         where a URI leads, before there is a path
//! message        bytes and their meaning
//! ```

#![forbid(unsafe_code)]

mod dialog;
pub mod digest;
pub mod endpoint;
mod flow;
mod identifiers;
mod invite;
pub mod locate;
pub mod message;
mod registration;
mod transaction;
mod ua_core;
