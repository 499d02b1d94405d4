//! A call and what it holds while it lives.

use std::time::{Duration, Instant, SystemTime};

use offhook_media::sdp::Negotiated;
use offhook_session::agent_session::{CallEvent, CallFacts, EndCause, EndReason, SessionReport};
use offhook_session::call::{Call, TransferProgress};
use offhook_session::pii::Pii;
use offhook_sip::endpoint::Body;
use tokio::sync::{mpsc, oneshot};
use tracing::Span;

use super::addresses::Addresses;
use crate::config::{AgentName, TrunkName};
use crate::control::{CallState, LiveCall as DirectoryEntry};
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
    /// When its INVITE came, or was asked for.
    pub(super) arrived: Instant,
    /// What its INVITE is made of, where it is ours.
    pub(super) outgoing: Option<Outgoing>,
    /// The same for the INVITE to who is to succeed its far end, until it is out.
    pub(super) successor: Option<Outgoing>,
    /// Who hears how its transfer gets on.
    pub(super) transfer_watcher: Option<mpsc::Sender<TransferProgress>>,
    /// Counts what was played on the bus of the hold music.
    pub(super) music: u64,
    /// Carries the call's id into every log line about it.
    pub(super) span: Span,
}

/// What an INVITE of ours is made of.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) addresses: Addresses,
    pub(super) offer: Body,
    pub(super) headers: Vec<(String, String)>,
    pub(super) ring_timeout: Duration,
    /// Told when the call is answered.
    pub(super) answered: Option<oneshot::Sender<()>>,
    /// Told why the call is over.
    pub(super) ended: Option<oneshot::Sender<EndReason>>,
}

impl LiveCall {
    pub(super) fn new(
        call: Call,
        trunk: TrunkName,
        agent: AgentName,
        facts: CallFacts,
        audio: Audio,
        span: Span,
    ) -> Self {
        Self {
            call,
            trunk,
            agent,
            facts,
            audio,
            session: None,
            report: None,
            arrived: Instant::now(),
            outgoing: None,
            successor: None,
            transfer_watcher: None,
            music: 0,
            span,
        }
    }

    /// Whether it is ours and not answered yet.
    pub(super) fn is_ringing(&self) -> bool {
        self.outgoing.is_some() && matches!(self.audio, Audio::Bound(_))
    }

    /// The way to its leg, while there is one.
    pub(super) fn line(&self) -> Option<&LegLine> {
        match &self.audio {
            Audio::Open(line) => Some(line),
            Audio::Bound(_) | Audio::Closed => None,
        }
    }

    /// Tells whoever asked for the call that it is answered.
    pub(super) fn was_answered(&mut self) {
        let answered = self
            .outgoing
            .as_mut()
            .and_then(|outgoing| outgoing.answered.take());
        if let Some(answered) = answered {
            // They may have gone.
            let _ = answered.send(());
        }
    }

    /// Tells whoever asked for the call why it is over.
    pub(super) fn tell_end(&mut self, reason: &EndReason) {
        let ended = self
            .outgoing
            .as_mut()
            .and_then(|outgoing| outgoing.ended.take());
        if let Some(ended) = ended {
            let _ = ended.send(reason.clone());
        }
    }

    /// Tells whoever asked for a transfer how it gets on. A watcher that does not listen misses progress;
    /// the last word closes its queue in any case.
    pub(super) fn tell_transfer(&mut self, progress: TransferProgress) {
        tracing::info!(outcome = progress.as_str(), "transfer");
        if let Some(watcher) = &self.transfer_watcher {
            let _ = watcher.try_send(progress);
        }
        if progress.is_final() {
            self.transfer_watcher = None;
        }
    }

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

/// What is shown of a call that begins.
pub(super) fn directory_entry(
    facts: &CallFacts,
    agent: &AgentName,
    state: CallState,
) -> DirectoryEntry {
    DirectoryEntry {
        id: facts.call_id.as_str().into(),
        direction: facts.direction,
        from: Pii::new(facts.from.expose().as_str().into()),
        to: Pii::new(facts.to.expose().as_str().into()),
        trunk: facts.trunk.clone().unwrap_or_default(),
        agent: agent.as_str().into(),
        state,
        started: Instant::now(),
        started_at: SystemTime::now(),
    }
}
