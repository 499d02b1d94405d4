//! What comes of the work that the session gave away: callbacks, sentences, words, verdicts.

use std::sync::Arc;

use tokio::time::Instant;

use super::super::event::{CallbackKind, SessionEvent};
use super::super::utterance::UtteranceId;
use super::super::voicemail::VoicemailAction;
use super::Session;
use crate::provider::{ProviderError, Recognition};

impl Session {
    /// A sentence was made, or could not be.
    pub(in super::super) fn handle_prepared(
        &mut self,
        utterance: UtteranceId,
        sentence: usize,
        result: Result<Arc<[i16]>, ProviderError>,
        now: Instant,
    ) {
        if let Err(error) = &result {
            self.provider_failed(error.clone(), now);
        }
        self.speech
            .prepared(utterance, sentence, result, now, &mut self.out);
        self.settle(now);
    }

    /// The recogniser is done with an utterance.
    pub(in super::super) fn handle_recognised(
        &mut self,
        result: Result<Recognition, ProviderError>,
        now: Instant,
    ) {
        self.recognised(result, now);
        self.settle(now);
    }

    /// A callback returned, failed or panicked.
    pub(in super::super) fn handle_callback(
        &mut self,
        kind: CallbackKind,
        result: Result<(), Arc<str>>,
        now: Instant,
    ) {
        // Of an agent that has left: it is nobody's any more.
        if self.closed().is_some() || self.takes_no_commands() {
            return;
        }
        self.callbacks.returned(kind);
        let succeeded = result.is_ok();
        if let Err(error) = result {
            tracing::warn!(callback = kind.as_str(), %error, "a callback failed");
            let at = self.at(now);
            self.event(SessionEvent::CallbackFailed {
                callback: kind,
                error,
                at,
            });
        }
        match kind {
            CallbackKind::Enter => self.entered(now),
            CallbackKind::WakeUp => self.silence.restart(now),
            CallbackKind::Exit if self.is_handing_off() => self.old_agent_left(),
            CallbackKind::Voicemail => self.agent_decided(VoicemailAction::HangUp, now),
            CallbackKind::Exit => self.finish_closing(now),
            CallbackKind::UserTurn => self.turn_was_taken(succeeded, now),
            CallbackKind::Dtmf
            | CallbackKind::Tone
            | CallbackKind::Transfer
            | CallbackKind::SilenceEnd => {}
        }
        self.settle(now);
    }

    /// The turn detector is done with some words.
    pub(in super::super) fn handle_turn_judged(
        &mut self,
        words: u64,
        result: Result<f32, ProviderError>,
        now: Instant,
    ) {
        match result {
            Ok(likelihood) => self
                .turn
                .judged(words, likelihood, &self.config.replies.end_of_turn),
            Err(error) => self.provider_failed(error, now),
        }
        self.settle(now);
    }

    pub(super) fn provider_failed(&mut self, error: ProviderError, now: Instant) {
        if self.phase.is_ending() {
            return;
        }
        tracing::warn!(%error, "a provider failed");
        self.meter.failed(error.to_string());
        let at = self.at(now);
        self.event(SessionEvent::ProviderFailed { error, at });
    }
}
