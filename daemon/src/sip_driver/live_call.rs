//! A call and what it holds while it lives.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use offhook_media::control::{Digit, LegCommand};
use offhook_media::sdp::Negotiated;
use offhook_session::agent_session::{
    CallEvent, CallFacts, CallId, DigitsSent, EndCause, EndReason, KeySequence, SendDtmfOptions,
    SessionReport, TransferOutcome, TransferRequest, TransferStep,
};
use offhook_session::call::{Call, TransferPlan, TransferProgress};
use offhook_session::pii::Pii;
use offhook_sip::endpoint::Body;
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use super::addresses::Addresses;
use crate::config::{AgentName, TrunkName};
use crate::control::{CallState, LiveCall as DirectoryEntry};
use crate::media_driver::{LegLine, LiveQuality, RtpSocket};
use crate::sessions::{PreparedAgent, SessionLine};
use crate::voicemail::ReadyVoicemail;

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
    /// What its leg's reports say.
    pub(super) quality: Arc<LiveQuality>,
    /// The way to its session, while there is one.
    pub(super) session: Option<SessionLine>,
    /// What its session left behind.
    pub(super) report: Option<SessionReport>,
    /// When its INVITE came, or was asked for.
    pub(super) arrived: Instant,
    /// Whether nobody that it leads to is to learn who calls.
    pub(super) is_private: bool,
    /// How it is found out who answered, if it is.
    pub(super) voicemail: Option<ReadyVoicemail>,
    /// What its INVITE is made of, where it is ours.
    pub(super) outgoing: Option<Outgoing>,
    /// The same for the INVITE to who is to succeed its far end, until it is out.
    pub(super) successor: Option<Outgoing>,
    /// Who hears what becomes of its transfer.
    pub(super) transfer_watcher: Option<oneshot::Sender<TransferOutcome>>,
    /// The call that it is joined to.
    pub(super) bridge: Option<CallId>,
    /// The call that is made for it, to whoever its far end is to talk to.
    pub(super) second_leg: Option<CallId>,
    /// The call that it was made for, as such a one.
    pub(super) first_leg: Option<CallId>,
    /// Its agent, who gets ready while it rings; until its session begins.
    pub(super) prepared: Option<PreparedAgent>,
    /// Whether its leg was given a recorder.
    pub(super) is_recorded: bool,
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
        quality: Arc<LiveQuality>,
        span: Span,
    ) -> Self {
        Self {
            call,
            trunk,
            agent,
            facts,
            audio,
            quality,
            session: None,
            report: None,
            arrived: Instant::now(),
            is_private: false,
            voicemail: None,
            outgoing: None,
            successor: None,
            transfer_watcher: None,
            bridge: None,
            second_leg: None,
            first_leg: None,
            prepared: None,
            is_recorded: false,
            span,
        }
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

    /// Sends the far end elsewhere. One at a time: `false` while another is under way, and the watcher then hears
    /// nothing.
    pub(super) fn transfer(
        &mut self,
        plan: TransferPlan,
        watcher: oneshot::Sender<TransferOutcome>,
    ) -> bool {
        if self.transfer_watcher.is_some() || self.bridge.is_some() {
            return false;
        }
        self.transfer_watcher = Some(watcher);
        self.call.transfer(plan);
        true
    }

    /// Tells whoever asked for a transfer what became of it.
    pub(super) fn tell_transfer(&mut self, progress: TransferProgress) {
        tracing::info!(outcome = progress.as_str(), "transfer");
        if let TransferStep::Over(outcome) = progress.step()
            && let Some(watcher) = self.transfer_watcher.take()
        {
            // They may have gone.
            let _ = watcher.send(outcome);
        }
    }

    /// Tells the session. Digits are many and can be lost; some places are kept for what cannot, of which
    /// there are a handful in a call's life. A queue full of those belongs to a session that does not
    /// run any more, whose end is reported on its own.
    pub(super) fn tell(&self, event: CallEvent) {
        let Some(session) = &self.session else {
            return;
        };
        if matches!(event, CallEvent::Digit(_)) && session.events.capacity() < PLACES_KEPT {
            tracing::debug!(
                "a digit by INFO is lost: they come faster than the session takes them"
            );
        } else if session.events.try_send(event).is_err() {
            tracing::debug!("the session was told of the call after its own end");
        }
    }

    /// Has the session press keys; answers whether there is one.
    pub(super) fn press_keys(
        &self,
        keys: KeySequence,
        options: SendDtmfOptions,
        mut reply: oneshot::Sender<DigitsSent>,
    ) -> bool {
        let Some(session) = self.session.clone() else {
            return false;
        };
        tokio::spawn(async move {
            tokio::select! {
                sent = session.handle.send_dtmf(keys, options) => {
                    let _ = reply.send(sent);
                }
                // Whoever asked has gone, and may ask again: what is left is not pressed.
                () = reply.closed() => {}
            }
        });
        true
    }

    /// Has the session transfer its far end as the operator says; answers whether there is one.
    pub(super) fn consult(
        &self,
        request: TransferRequest,
        reply: oneshot::Sender<TransferOutcome>,
    ) -> bool {
        let Some(session) = self.session.clone() else {
            return false;
        };
        let transfer = async move {
            // Whoever asked may have gone; the transfer goes on.
            let _ = reply.send(session.handle.transfer(request).await);
        };
        tokio::spawn(transfer.instrument(self.span.clone()));
        true
    }

    /// Has the leg press a key. Where its thread's queue is full the key is lost: it would come too late to be
    /// what was meant.
    pub(super) fn press(&self, digit: Digit, duration_ms: u32) {
        if let Some(line) = self.line()
            && line
                .command(LegCommand::Press { digit, duration_ms })
                .is_err()
        {
            tracing::warn!("a media thread's queue is full: a key is not pressed");
        }
    }

    /// Passes a re-negotiation on to the leg. A leg that did not hear of it would send to the wrong
    /// place: the call is ended instead.
    pub(super) fn renegotiate(&mut self, agreed: Box<Negotiated>) {
        if let Audio::Open(line) = &mut self.audio
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
        bridged_with: None,
        verdict: None,
        messages: Vec::new(),
        quality: Arc::default(),
        started: Instant::now(),
        started_at: SystemTime::now(),
    }
}
