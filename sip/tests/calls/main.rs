//! The endpoint in virtual time, against peers that speak literal bytes.
//!
//! ```text
//! phone (strings) ─► world (clock, datagrams) ─► Endpoint ─► world ─► text (string matching)
//! automaton (strings) ─► network (loss, delay, order, copies) ─► Endpoint     (simulation only)
//! ```
//!
//! Nothing here uses the crate's parser or writer for what the far end says or hears.

mod answering;
mod authentication;
mod automaton;
mod cancelling;
mod delayed_offers;
mod ending;
mod failover;
mod hostile;
mod load;
mod network;
mod outgoing;
mod phone;
mod redirections;
mod referring;
mod refusals;
mod registering;
mod reliable_provisionals;
mod reoffers;
mod replacing;
mod routing;
mod session_timers;
mod simulation;
mod text;
mod updates;
mod world;
mod wounds;
