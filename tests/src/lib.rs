//! Whole-program tests, load programs and their floors.
//!
//! Everything here treats the daemon as a stranger would: over its sockets, by its process id, and through what it
//! prints. SIP is spoken in literal text and RTP in literal bytes, so that a mistake in our own parser cannot hide
//! itself. Three layers, each usable without the next:
//!
//! ```text
//!  machine, process_gauge                         what the machine can tell
//!  ports, scratch, wait, child, http              what it lends, and how to ask
//!  daemon, api, sipp, baresip, kamailio           the programs under test, what they are told, and the real peers
//!  authority                                      who vouches for whom over TLS
//!  dns_server                                     the names that a test makes up
//!  desk                                           what webhooks ask
//!  phone, far_end, wire, voice                    one call by hand: its SIP, and its audio
//!  tshark                                         what a stranger makes of a capture
//!  torture, mutation                              messages that nobody should send
//!  load                                           N calls at once, measured from outside
//! ```

pub mod api;
pub mod authority;
pub mod baresip;
pub mod child;
pub mod daemon;
pub mod desk;
pub mod dns_server;
pub mod far_end;
pub mod http;
pub mod kamailio;
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
pub mod tshark;
pub mod voice;
pub mod wait;
pub mod wav;
pub mod wire;
