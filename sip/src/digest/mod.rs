//! Digest authentication (RFC 3261 section 22, with the algorithms of RFC 8760): who asks, who answers.
//!
//! ```text
//! 401, 407 → auth_value → Challenge → DigestClient → Authorization → auth_value → retried request
//! request  → auth_value → Authorization → Authenticator (nonces, replay guard) → Verdict
//! ```
//!
//! Both sides share one calculation: an `Authorization` holds all that the wire shows, and says which
//! response a password would have given it.
//!
//! It owns nonces and their counts. Client nonces, keys and the time are arguments; passwords are
//! looked up by the caller. Which requests are challenged and sent again is left to others, and with
//! it two rules of RFC 3261 section 22.1: an ACK repeats the credentials of its INVITE and is not
//! verified, and a CANCEL is never challenged.
//!
//! Left out on purpose: `userhash` and `username*` (RFC 7616), which RFC 8760 does not bring to SIP,
//! and `nextnonce` (RFC 3261 section 20.6), since `stale` costs one exchange and is needed anyway.

mod algorithm;
mod auth_value;
mod authenticator;
mod authorization;
mod challenge;
mod client;
mod credentials;

pub use algorithm::Algorithm;
pub use authenticator::{Authenticator, Verdict};
pub use challenge::{Challenge, Challenger, challenges_in};
pub use client::{DigestClient, Unanswerable};
pub use credentials::{Credentials, Secret};

#[cfg(test)]
mod robustness;
#[cfg(test)]
mod vectors;
