//! Whole-program tests, load programs and their floors.
//!
//! Everything here treats the daemon as a stranger would: over its sockets, by its process id, and through what it
//! prints. SIP is spoken in literal text and RTP in literal bytes, so that a mistake in our own parser cannot hide
//! itself. Three layers, each usable without the next:
//!
//! ```text
//!  machine, process_gauge                         what the machine can tell
//!  ports, scratch, wait, child, http              what it lends, and how to ask
//!  daemon, api, sipp, baresip                     the programs under test, what they are told, and the real peers
//!  dns_server                                     the names that a test makes up
//!  phone, wire, voice                             one call by hand: its SIP, and its audio
//!  torture, mutation                              messages that nobody should send
//!  load                                           N calls at once, measured from outside
//! ```

pub mod api;
pub mod baresip;
pub mod child;
pub mod daemon;
pub mod dns_server;
pub mod http;
pub mod load;
pub mod machine;
pub mod mutation;
pub mod phone;
pub mod ports;
pub mod process_gauge;
pub mod scratch;
pub mod sip_text;
pub mod sipp;
pub mod torture;
pub mod voice;
pub mod wait;
pub mod wav;
pub mod wire;
