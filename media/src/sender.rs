//! From frames to RTP packets.
