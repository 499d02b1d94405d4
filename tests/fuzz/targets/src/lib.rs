//! What is done with hostile bytes, and what has to hold whatever they are.
//!
//! One function for each parser. It takes a fuzzer's bytes and panics where something does not hold. `make fuzz` calls
//! it with bytes that libFuzzer makes up; the tests beside it call it with the committed corpus and with every input that
//! once found something, so that both stay alive without a fuzzer.
//!
//! What stands here is more than "it does not panic": what is read and written again reads the same, what was altered is
//! never believed, a stranger moves nothing, and who is no stranger is heard again afterwards.

mod rtcp;
mod rtp;
mod script;
mod sdp;
mod sip;
mod srtp;
mod telephone_event;

use std::net::SocketAddr;

pub use rtcp::rtcp;
pub use rtp::rtp;
pub use sdp::sdp;
pub use sip::{sip, sip_stream, sip_values};
pub use srtp::srtp;
pub use telephone_event::telephone_event;

/// A target's name, which is its corpus's folder too, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 8] = [
    ("rtp", rtp),
    ("rtcp", rtcp),
    ("srtp", srtp),
    ("sdp", sdp),
    ("sip", sip),
    ("sip_stream", sip_stream),
    ("sip_values", sip_values),
    ("telephone_event", telephone_event),
];

/// Where the far end says it is.
fn far_end() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 9], 40_000))
}

/// Somebody else, elsewhere.
fn stranger() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 7], 40_000))
}
