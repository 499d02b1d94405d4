//! The call: a state machine between signalling and media.
