//! Digits towards the far end: as events (RFC 4733), by INFO, or as tones.
//!
//! The leg presses events where they were negotiated and tones where they were not; which of the two is its own
//! business. What is decided here is whether a press goes by INFO instead.

use std::collections::VecDeque;

use offhook_media::control::Digit;
use offhook_sip::endpoint::Body;
use offhook_sip::message::{Headers, StatusCode};

use super::{Call, Output, SipCommand, State};

/// How digits of ours go out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DigitsOut {
    /// As events where they were negotiated; by INFO where they were not and the far end takes INFO; else as
    /// tones.
    #[default]
    Auto,
    /// By INFO, and as tones to a far end that refuses INFO.
    Info,
    /// With the audio: as events where they were negotiated, else as tones.
    Audio,
}

/// Presses by INFO whose answers may be awaited at once. Of more, the oldest are taken to have arrived.
const UNANSWERED: usize = 16;

/// What is known of how the far end takes digits.
#[derive(Debug, Default)]
pub(super) struct Pressing {
    out: DigitsOut,
    /// Whether the leg presses events.
    events: bool,
    /// Whether the far end has said that it takes INFO, by Allow; what is silent about it is tried.
    takes_info: Option<bool>,
    /// Presses by INFO that were not answered yet, the oldest first: key and milliseconds.
    unanswered: VecDeque<(Digit, u32)>,
}

impl Pressing {
    pub(super) fn new(out: DigitsOut) -> Self {
        Self {
            out,
            ..Self::default()
        }
    }

    /// Learns from a request or a response of the far end's what it takes.
    pub(super) fn learn(&mut self, headers: &Headers) {
        if headers.get("Allow").is_some() {
            self.takes_info = Some(headers.tokens("Allow").any(|method| method == "INFO"));
        }
    }

    /// Somebody else is the far end from now on: what the one before took says nothing.
    pub(super) fn succeeded(&mut self, headers: &Headers) {
        self.takes_info = None;
        self.unanswered.clear();
        self.learn(headers);
    }

    /// The media was negotiated, with or without events.
    pub(super) fn negotiated(&mut self, events: bool) {
        self.events = events;
    }

    fn goes_by_info(&self) -> bool {
        let may = self.takes_info != Some(false);
        match self.out {
            DigitsOut::Auto => !self.events && may,
            DigitsOut::Info => may,
            DigitsOut::Audio => false,
        }
    }
}

impl Call {
    /// Presses a key towards the far end, in whichever way it takes keys, for `duration_ms`. A press before the
    /// call is answered, or after its end, is dropped.
    pub fn press(&mut self, digit: Digit, duration_ms: u32) {
        let up = match self.state {
            State::Talking => true,
            State::Answering { .. } => self.accepted,
            State::Calling { .. } | State::Leaving { .. } | State::Closing { .. } | State::Over => {
                false
            }
        };
        let Some(invite) = self.invite.filter(|_| up) else {
            return;
        };
        if !self.pressing.goes_by_info() {
            self.outputs.push_back(Output::Press { digit, duration_ms });
            return;
        }
        let unanswered = &mut self.pressing.unanswered;
        if unanswered.len() == UNANSWERED {
            unanswered.pop_front();
        }
        unanswered.push_back((digit, duration_ms));
        let body = Body {
            content_type: "application/dtmf-relay".to_owned(),
            bytes: format!("Signal={digit}\r\nDuration={duration_ms}\r\n").into_bytes(),
        };
        self.sip(invite, SipCommand::Info(body));
    }

    /// A press by INFO was answered. Who refuses it gets that press and all later ones with the audio, and where it is
    /// INFO that is refused those on their way as well, in their order; no answer at all says nothing about what the far
    /// end takes.
    pub(super) fn press_answered(&mut self, status: StatusCode) {
        let Some(first) = self.pressing.unanswered.pop_front() else {
            return;
        };
        if status.as_u16() >= 300 && status != StatusCode::REQUEST_TIMEOUT {
            if self.pressing.takes_info != Some(false) {
                tracing::info!(%status, "the far end takes no digits by INFO; they go with the audio");
            }
            self.pressing.takes_info = Some(false);
            // Of others one may have been taken that is answered later.
            let on_their_way = match status.as_u16() {
                405 | 415 | 420 | 469 | 501 => self.pressing.unanswered.len(),
                _ => 0,
            };
            let on_their_way = self.pressing.unanswered.drain(..on_their_way);
            let refused = std::iter::once(first).chain(on_their_way);
            self.outputs
                .extend(refused.map(|(digit, duration_ms)| Output::Press { digit, duration_ms }));
        }
    }

    /// An INFO that could not be sent: the key goes with the audio, and the next is tried anew.
    pub fn press_not_sent(&mut self) {
        if let Some((digit, duration_ms)) = self.pressing.unanswered.pop_back() {
            self.outputs.push_back(Output::Press { digit, duration_ms });
        }
    }
}
