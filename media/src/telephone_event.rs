//! Digits as RTP events (RFC 4733).
