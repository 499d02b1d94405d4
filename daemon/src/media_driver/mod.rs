//! Media threads: sockets, the frame clock and the legs they own.
