//! The media path without sockets: bytes to samples and back for one far end at a time.
//!
//! [`leg::Leg`] is the whole: RTP datagrams and a 10 ms tick go in; RTP datagrams, digits, speech marks
//! and drained marks come out. It owns no socket, clock or task; time and randomness are arguments.
//!
//! ```text
//! in:  datagram → rtp → receiver → jitter_buffer → codec decode → taps (digits, tones, VAD, recorder) → listener ring
//! out: chunk queues → mixer[speech, thinking, background] → tap → codec encode → sender → datagram
//! ```

#![forbid(unsafe_code)]

pub mod bridge;
pub mod codec;
pub mod concealment;
pub mod control;
mod digit_sender;
mod echo_guard;
mod frame_converter;
pub mod jitter_buffer;
pub mod leg;
mod limiter;
pub mod mixer;
pub mod receiver;
pub mod recorder;
pub mod resampler;
pub mod rtcp;
pub mod sdp;
mod seam;
pub mod sender;
pub mod srtp;
pub mod telephone_event;
pub mod tones;
pub mod voice_activity;
