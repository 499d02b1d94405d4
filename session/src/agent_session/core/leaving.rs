//! The call goes on and its agent does not: what is left of the session keeps the line.
//!
//! ```text
//! joined to another call ── leave ──► Left, on_exit runs ──► Left ── the call ends, or is parted ──► Closed
//! no other call          ── leave ──► as hangup
//! a transfer is open     ── leave ──► waits for its outcome
//! ```
//!
//! For the agent and for whoever watches, the session is closed: its last event is sent and handles do nothing more.
//! Keys are still passed on, the recording goes on, and the line's limits (no media, longest duration) hold.

use offhook_media::control::{Digit, LegEvent};
use tokio::time::Instant;

use super::super::event::{EndCause, EndReason};
use super::super::line::{CallEvent, CallRequest};
use super::super::output::Output;
use super::super::recording::{PausedBy, RecordPlan};
use super::super::transfer::TransferOutcome;
use super::key_presses::Path;
use super::{Phase, Session, Timer};

impl Session {
    /// Whether the call goes on without its agent.
    pub(super) fn has_left(&self) -> bool {
        matches!(self.phase, Phase::Left { .. })
    }

    /// Whether handles do nothing more: the agent has left, and its `on_exit` is over.
    pub(in super::super) fn takes_no_commands(&self) -> bool {
        self.phase == Phase::Left { exiting: false }
    }

    /// The agent wants to go, for this reason where the call ends with that.
    pub(super) fn leave(&mut self, reason: EndReason, now: Instant) {
        if self.bridge.is_some() {
            self.begin_leaving(now);
        } else if self.transfer.is_open() {
            self.transfer.leaves = true;
        } else {
            self.hang_up(reason, true, now);
        }
    }

    /// The agent goes, and the call, its recording and its longest duration go on.
    pub(super) fn begin_leaving(&mut self, now: Instant) {
        if self.phase.is_ending() {
            return;
        }
        self.phase = Phase::Left { exiting: true };
        self.timers.stop_all_but(Timer::MaxDuration);
        tracing::info!("the agent leaves the call");
        self.dismiss_agent(TransferOutcome::Bridged, EndCause::AgentLeft.into(), now);
    }

    /// The call ends whose agent has left already. While `on_exit` still runs it has its time.
    pub(super) fn end_without_agent(
        &mut self,
        exiting: bool,
        reason: EndReason,
        call_is_up: bool,
        now: Instant,
    ) {
        if call_is_up {
            self.out.push(Output::Call(CallRequest::HangUp {
                reason: reason.clone(),
            }));
        }
        self.recording.stop();
        self.timers.stop_all();
        if exiting {
            self.timers
                .set(Timer::Exit, now + self.config.exit_deadline);
            self.phase = Phase::Closing { reason };
        } else {
            self.phase = Phase::Closed { reason };
        }
    }

    pub(super) fn leg_event_without_agent(&mut self, event: LegEvent, now: Instant) {
        if !self.has_left() {
            return;
        }
        match event {
            LegEvent::Digit { digit, at_ms: _ } => self.pass_on(digit, Path::Audio, now),
            LegEvent::Silent { at_ms: _ } => self.media_is_silent(now),
            LegEvent::Live { .. }
            | LegEvent::SpeechStarted { .. }
            | LegEvent::SpeechStopped { .. }
            | LegEvent::Heard { .. }
            | LegEvent::BargeIn { .. }
            | LegEvent::Started { .. }
            | LegEvent::Drained { .. }
            | LegEvent::Flushed { .. }
            | LegEvent::Refused { .. }
            | LegEvent::Tone(_) => {}
        }
    }

    pub(super) fn call_event_without_agent(&mut self, event: CallEvent, now: Instant) {
        match event {
            CallEvent::Digit(digit) => self.pass_on(digit, Path::Signalling, now),
            CallEvent::Held => self.on_hold = true,
            CallEvent::Resumed => self.on_hold = false,
            CallEvent::SuccessorCalled => self.successor_rings = true,
            CallEvent::SuccessorSettled => self.successor_rings = false,
            // Nobody is there to tell the new far end that it is recorded.
            CallEvent::Succeeded => {
                if let RecordPlan::AfterConsent(_) = self.config.record {
                    self.recording.owe_consent();
                }
            }
            CallEvent::RecordingPaused => self.recording.set_paused(PausedBy::Operator, true),
            CallEvent::RecordingResumed => self.recording.set_paused(PausedBy::Operator, false),
            // Nobody is left to talk to.
            CallEvent::Parted => self.hang_up(EndCause::AgentLeft.into(), false, now),
            CallEvent::Ended { reason } => self.begin_closing(reason, false, now),
            CallEvent::Bridged(_)
            | CallEvent::Transfer(_)
            | CallEvent::Answered
            | CallEvent::Confirmed => {}
        }
        self.settle(now);
    }

    fn pass_on(&mut self, digit: Digit, path: Path, now: Instant) {
        if self.key_presses.is_new(digit, path, now) {
            self.out.push(Output::Call(CallRequest::PassOn(digit)));
        }
    }
}
