//! A call and what it holds while it lives.

use std::time::Instant;

use offhook_media::sdp::Negotiated;
use offhook_session::agent_session::{CallEvent, CallFacts, EndCause, SessionReport};
use offhook_session::call::Call;
use tokio::sync::mpsc;
use tracing::Span;

use crate::config::{AgentName, TrunkName};
use crate::media_driver::{LegLine, RtpSocket};

/// Places in a session's queue that digits leave free.
const PLACES_KEPT: usize = 8;

/// How a call's audio is provided for.
#[derive(Debug)]
pub(super) enum Audio {
    /// The socket is bound, so that the port can be offered; no leg yet.
    Bound(RtpSocket),
    /// The leg is on its media thread.
    Open(LegLine),
    /// No leg any more, or never one.
    Closed,
}

/// A call with its resources.
#[derive(Debug)]
pub(super) struct LiveCall {
    pub(super) call: Call,
    pub(super) trunk: TrunkName,
    pub(super) agent: AgentName,
    pub(super) facts: CallFacts,
    pub(super) audio: Audio,
    /// The way to its session, while there is one.
    pub(super) session: Option<mpsc::Sender<CallEvent>>,
    /// What its session left behind.
    pub(super) report: Option<SessionReport>,
    /// When its INVITE came.
    pub(super) arrived: Instant,
    /// Carries the call's id into every log line about it.
    pub(super) span: Span,
}

impl LiveCall {
    /// Tells the session. Digits are many and can be lost; some places are kept for what cannot, of which
    /// there are a handful in a call's life. A queue full of those belongs to a session that does not
    /// run any more, whose end is reported on its own.
    pub(super) fn tell(&self, event: CallEvent) {
        let Some(session) = &self.session else {
            return;
        };
        if matches!(event, CallEvent::Digit(_)) && session.capacity() < PLACES_KEPT {
            tracing::debug!(
                "a digit by INFO is lost: they come faster than the session takes them"
            );
        } else if session.try_send(event).is_err() {
            tracing::debug!("the session was told of the call after its own end");
        }
    }

    /// Passes a re-negotiation on to the leg. A leg that did not hear of it would send to the wrong
    /// place: the call is ended instead.
    pub(super) fn renegotiate(&mut self, agreed: Box<Negotiated>) {
        if let Audio::Open(line) = &self.audio
            && line.renegotiate(agreed).is_err()
        {
            tracing::error!(
                "a media thread's queue is full: a re-negotiation is lost and its call ended"
            );
            self.call.hang_up(EndCause::Fault.into());
        }
    }
}
