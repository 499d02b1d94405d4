//! The endpoint in virtual time, against peers that speak literal bytes.
//!
//! ```text
//! phone (strings) ─► world (clock, datagrams) ─► Endpoint ─► world ─► text (string matching)
//! automaton (strings) ─► network (loss, delay, order, copies) ─► Endpoint     (simulation only)
//! ```
//!
//! Nothing here uses the crate's parser or writer for what the far end says or hears.

mod answering;
mod automaton;
mod cancelling;
mod ending;
mod hostile;
mod load;
mod network;
mod outgoing;
mod phone;
mod refusals;
mod reoffers;
mod routing;
mod simulation;
mod text;
mod world;
mod wounds;
