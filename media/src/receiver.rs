//! From RTP packets to frames.
