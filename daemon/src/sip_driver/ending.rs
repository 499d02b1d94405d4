//! A call that is over: its places are free again, and what is left of it is told.

use std::time::Instant;

use offhook_session::agent_session::{CallId, EndCause, EndReason};

use super::live_call::LiveCall;
use super::{FinishedCall, Signalling, counting};

impl Signalling {
    /// Forgets a call that is over.
    pub(super) fn over(&mut self, id: &CallId, reason: &EndReason) {
        self.close_leg(id);
        self.capturing.end(id, Instant::now());
        let first = self.first_leg_of(id);
        let Some(mut live) = self.calls.remove(id) else {
            return;
        };
        if reason.cause == EndCause::FarEndHungUp {
            self.last_bye = Some(Instant::now());
        }
        self.admission
            .release(live.facts.direction, live.trunk.as_str());
        self.directory.remove(id.as_str());
        counting::call_ended(&live.trunk, &live.agent, reason);
        counting::calls_live(self.calls.len());
        tracing::info!(%reason, sip_status = reason.sip_status, "call ended");
        live.tell_end(reason);
        if let Some(first) = first {
            self.second_leg_over(&first, reason);
        }
        self.report_finished(live, reason);
    }

    /// Ends the wait for calls that neither their far end nor their session ended in time.
    pub(super) fn abandon_calls(&mut self) {
        let left: Vec<CallId> = self.calls.keys().cloned().collect();
        for id in left {
            let span = self.calls.get(&id).map(|live| live.span.clone());
            let _in_call = span.as_ref().map(tracing::Span::enter);
            tracing::warn!("the call did not come to its end in time");
            self.over(&id, &EndCause::Shutdown.into());
        }
    }

    fn report_finished(&self, live: LiveCall, reason: &EndReason) {
        let Some(finished) = &self.finished else {
            return;
        };
        let id = live.facts.call_id.clone();
        let call = FinishedCall {
            recording: self.sessions.recording_of(&live.agent, &id),
            quality: live.quality,
            facts: live.facts,
            reason: reason.clone(),
            transcript: live
                .report
                .map(|report| report.transcript)
                .unwrap_or_default(),
        };
        if finished.try_send(call).is_err() {
            tracing::debug!("nobody took what is left of a call");
        }
    }
}
