//! The signalling task: sockets around the SIP endpoint and the calls.
