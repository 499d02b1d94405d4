//! When a turn begins and ends, for whoever measures them.

use tokio::time::Instant;

use super::super::event::{CallbackKind, SessionEvent};
use super::super::speech::Ended;
use super::super::turn_metrics::TurnMetrics;
use super::Session;

impl Session {
    /// The caller's turn is over, and a new one to measure begins.
    pub(super) fn meter_turn(&mut self, now: Instant) {
        let before = self.meter.turn_over(now);
        self.report_turn(before, now);
    }

    pub(super) fn meter_utterance(&mut self, ended: &Ended, now: Instant) {
        let characters = ended.heard.as_ref().map_or(0, |text| text.chars().count());
        self.meter.utterance_ended(
            &ended.outcome,
            ended.times,
            ended.heard_ms,
            characters as u64,
            now,
        );
    }

    /// Nothing is playing or queued: the turn is over, unless its callback still runs or waits.
    pub(super) fn settle_turn(&mut self, now: Instant) {
        if self.speech.is_accounted_for()
            && !self.callbacks.is_replying()
            && !self.callbacks.is_running(CallbackKind::Enter)
        {
            self.close_turn(now);
        }
    }

    pub(super) fn close_turn(&mut self, now: Instant) {
        let turn = self.meter.quiet(now);
        self.report_turn(turn, now);
    }

    fn report_turn(&mut self, turn: Option<TurnMetrics>, now: Instant) {
        let Some(metrics) = turn else { return };
        let latencies = &metrics.latencies;
        tracing::debug!(
            turn = metrics.turn_id,
            interrupted = metrics.interrupted,
            user_speech_ms = metrics.user_speech_ms,
            agent_speech_ms = metrics.agent_speech_ms,
            tools = metrics.tools_called.len(),
            errors = metrics.errors.len(),
            stt_ms = latencies.stt_ms,
            eou_ms = latencies.eou_ms,
            eou_wait_ms = latencies.eou_wait_ms,
            llm_ttft_ms = latencies.llm_ttft_ms,
            tts_ttfb_ms = latencies.tts_ttfb_ms,
            edge_out_ms = latencies.edge_out_ms,
            e2e_ms = latencies.e2e_ms,
            "a turn is over"
        );
        let at = self.at(now);
        let metrics = Box::new(metrics);
        self.event(SessionEvent::TurnMetrics { metrics, at });
    }
}
