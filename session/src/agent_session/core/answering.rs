//! Who answered a call of ours, and what follows: the part of the gate that waits for a verdict.
//!
//! ```text
//!            media is live                      human, unknown, silence
//! Ahead ───────────────────► Deciding ──────────────────────────────────────────────► over: the gate opens
//!                               │ machine, by policy          │ ivr, call_screening, fax; machine, by callback
//!                               ├─► hang up     ┌─────────────▼
//!                               │               │ Asking: on_voicemail ─► hang up, or go on
//!                               ▼               ▼
//!                   Awaiting (it records; 40 s at most) ─► Speaking ─► Tail ─► hang up
//! ```
//!
//! While it is decided the phase is `Waiting`, as before the gate, or with `speak_while_detecting` whatever it would be
//! otherwise; what the caller says is kept back then until it is clear that they are one.

use std::time::Duration;

use offhook_media::control::LegCommand;
use tokio::time::Instant;

use super::super::event::{EndCause, SessionEvent};
use super::super::line::CallRequest;
use super::super::output::{Callback, Output};
use super::super::utterance::{Outcome, UtteranceId};
use super::super::voicemail::{self, VoicemailAction, VoicemailMessage, VoicemailPolicy};
use super::detection::{Detection, Spotting, Stage};
use super::life::MACHINE_TAIL;
use super::{Phase, Session, Timer};
use crate::agent::UserTurn;
use crate::provider::ProviderError;
use crate::voicemail::{Evidence, FarEnd, VoicemailDetector, VoicemailEvent, VoicemailVerdict};

/// How long after the decision a message waits for the machine to record. Then it is spoken all the same.
const MESSAGE_PATIENCE: Duration = Duration::from_secs(40);
impl Session {
    /// The gate would open: whether it stays shut until it is clear who answered.
    pub(super) fn awaits_verdict(&mut self, now: Instant) -> bool {
        if let Some(settings) = self.config.voicemail.take() {
            self.answering = Some(Box::new(Detection::new(settings, now)));
            self.hearing.hear_from_now_on(&mut self.out);
            if self.caller.is_some() {
                self.tell_speech(true, now, now);
            }
        }
        let waits = |detection: &mut Detection| {
            detection.is_deciding() && !detection.settings.speak_while_detecting
        };
        self.answering.as_deref_mut().is_some_and(waits)
    }

    /// Tells the detector of the far end's speech. What of it fell into a hold may have been no speech of theirs.
    pub(super) fn tell_speech(&mut self, speaking: bool, moment: Instant, now: Instant) {
        let Some(detection) = self.answering.as_deref_mut() else {
            return;
        };
        if std::mem::replace(&mut detection.speaking, speaking) != speaking {
            let tell = match speaking {
                true => VoicemailDetector::handle_speech_started,
                false => VoicemailDetector::handle_speech_stopped,
            };
            self.tell_detector(moment, now, tell);
        }
    }

    /// Tells the detector, if there is one, of something at `moment`, and does what it says to it.
    pub(super) fn tell_detector(
        &mut self,
        moment: Instant,
        now: Instant,
        tell: impl FnOnce(&mut VoicemailDetector, Duration),
    ) {
        if let Some(detection) = self.answering.as_deref_mut() {
            let at = detection.since_live(moment);
            tell(&mut detection.detector, at);
            self.follow_detector(now);
        }
    }

    /// Lets the detector hear what came since it heard last.
    pub(super) fn tell_audio(&mut self, now: Instant) {
        if self.answering.is_some() {
            let fresh = self.hearing.take_fresh();
            let rate_hz = self.means.sample_rate_hz;
            self.tell_detector(now, now, |detector, at| {
                detector.handle_audio(&fresh, rate_hz, at);
            });
        }
    }

    fn follow_detector(&mut self, now: Instant) {
        while let Some(event) = self
            .answering
            .as_deref_mut()
            .and_then(|detection| detection.detector.poll_event())
        {
            self.handle_voicemail_event(event, now);
        }
    }

    pub(super) fn answering_timeout(&mut self, now: Instant) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let Some(detection) = self.answering.as_deref_mut() else {
            return;
        };
        if due(detection.detector_timeout()) {
            let since_live = now.saturating_duration_since(detection.live_at);
            detection.detector.handle_timeout(since_live);
            self.follow_detector(now);
        }
        let Some(detection) = self.answering.as_deref_mut() else {
            return;
        };
        if due(detection.stage_timeout()) {
            match detection.stage {
                Stage::Awaiting { .. } => {
                    tracing::info!("the machine gave no sign that it records; the message begins");
                    self.say_message(now);
                }
                Stage::Tail { .. } => self.hang_up(EndCause::MessageLeft.into(), false, now),
                Stage::Deciding | Stage::Asking | Stage::Speaking => {}
            }
        }
    }

    /// What the detector has to say.
    pub(super) fn handle_voicemail_event(&mut self, event: VoicemailEvent, now: Instant) {
        match event {
            VoicemailEvent::Spot => self.spot(now),
            VoicemailEvent::Verdict(verdict) => self.verdict_reached(verdict, now),
            VoicemailEvent::MessageMayBegin { beeped } => {
                tracing::info!(beeped, "the machine records");
                let Some(detection) = self.answering.as_deref_mut() else {
                    return;
                };
                detection.records = true;
                if let Stage::Awaiting { .. } = detection.stage {
                    self.say_message(now);
                }
            }
        }
    }

    /// Has the recogniser look for phrases in what was heard until now.
    fn spot(&mut self, now: Instant) {
        let Some(detection) = self.answering.as_deref_mut() else {
            return;
        };
        match (detection.spotting, self.hearing.heard_so_far()) {
            (Spotting::Idle, Some(heard)) => {
                detection.spotting = Spotting::Busy;
                self.out.push(Output::Spot { heard });
            }
            // There is no recogniser, or nothing for it to hear.
            (Spotting::Idle, None) => self.spotted(&[], now),
            (Spotting::Busy | Spotting::BusyAndWanted, _) => {
                detection.spotting = Spotting::BusyAndWanted;
            }
        }
    }

    /// The recogniser looked for phrases.
    pub(in super::super) fn handle_spotted(
        &mut self,
        result: Result<Vec<&'static str>, ProviderError>,
        now: Instant,
    ) {
        let Some(detection) = self.answering.as_deref_mut() else {
            return;
        };
        let again = detection.spotting == Spotting::BusyAndWanted;
        detection.spotting = Spotting::Idle;
        let phrases = result.unwrap_or_else(|error| {
            self.provider_failed(error, now);
            Vec::new()
        });
        self.spotted(&phrases, now);
        if again {
            self.spot(now);
        }
        self.settle(now);
    }

    fn spotted(&mut self, phrases: &[&'static str], now: Instant) {
        self.tell_detector(now, now, |detector, at| {
            detector.handle_phrases(phrases, at);
        });
    }

    fn verdict_reached(&mut self, verdict: VoicemailVerdict, now: Instant) {
        let Some(detection) = self.answering.as_deref_mut() else {
            return;
        };
        if !detection.is_deciding() {
            return;
        }
        let policy = detection.settings.policy.clone();
        if verdict.far_end.is_voicemail() {
            detection.end = EndCause::Voicemail;
        }
        self.gate.is_machine = match verdict.far_end {
            FarEnd::Human | FarEnd::Unknown | FarEnd::Silence => false,
            FarEnd::MachineGreeting
            | FarEnd::MachineBeep
            | FarEnd::CallScreening
            | FarEnd::Ivr
            | FarEnd::Fax => true,
        };
        tracing::info!(
            verdict = verdict.far_end.as_str(),
            confidence = verdict.confidence.value(),
            evidence = %shown(&verdict.evidence),
            after_ms = u64::try_from(verdict.at.as_millis()).unwrap_or(u64::MAX),
            "who answered"
        );
        let at = self.at(now);
        self.event(SessionEvent::Answerer {
            verdict: verdict.clone(),
            at,
        });
        let request = CallRequest::AnsweredBy(Box::new(verdict.clone()));
        self.out.push(Output::Call(request));
        match verdict.far_end {
            FarEnd::Human | FarEnd::Unknown | FarEnd::Silence => self.go_on(now),
            FarEnd::MachineGreeting | FarEnd::MachineBeep => match policy {
                VoicemailPolicy::Act(action) => self.act(action, false, now),
                VoicemailPolicy::Callback => self.ask_agent(verdict, now),
            },
            FarEnd::CallScreening | FarEnd::Ivr | FarEnd::Fax => self.ask_agent(verdict, now),
        }
    }

    /// `on_voicemail` decides. What the agent is saying goes on meanwhile, and nothing interrupts it.
    fn ask_agent(&mut self, verdict: VoicemailVerdict, now: Instant) {
        self.leave_conversation(Phase::Asking, now);
        if let Some(detection) = self.answering.as_deref_mut() {
            detection.stage = Stage::Asking;
        }
        self.speech.resume(now, &mut self.out);
        self.speech.open(now, &mut self.out);
        self.presser.set_open(!self.on_hold, now);
        self.run(Callback::Voicemail(verdict));
    }

    /// What `on_voicemail` returned.
    pub(in super::super) fn handle_decision(&mut self, action: VoicemailAction, now: Instant) {
        if self.closed().is_none() {
            self.callbacks.returned(super::CallbackKind::Voicemail);
            self.agent_decided(action, now);
            self.settle(now);
        }
    }

    /// The agent may have ended the call already, or an operator may have joined it to another.
    pub(super) fn agent_decided(&mut self, action: VoicemailAction, now: Instant) {
        if self.phase == Phase::Asking {
            self.act(action, true, now);
        }
    }

    /// `drain`: whether what the agent said to it is heard to its end.
    fn act(&mut self, action: VoicemailAction, drain: bool, now: Instant) {
        let Some(detection) = self.answering.as_deref_mut() else {
            return;
        };
        match action {
            VoicemailAction::HangUp => {
                let end = detection.end;
                self.hang_up(end.into(), drain, now);
            }
            VoicemailAction::LeaveMessage(message) => self.leave_message(message, now),
            VoicemailAction::Continue => self.go_on(now),
        }
    }

    /// Whatever was going on, it is no conversation with a person.
    fn leave_conversation(&mut self, phase: Phase, now: Instant) {
        let before = std::mem::replace(&mut self.phase, phase);
        if let Some(detection) = self.answering.as_deref_mut() {
            detection.turns.clear();
            if before != Phase::Asking {
                detection.before = before;
            }
        }
        self.timers.stop(Timer::FalseInterruption);
        self.turn.clear();
        self.callbacks.drop_turns();
        if let Some(collector) = self.collector.take() {
            self.finish_collection(collector.cancel(), now);
        }
        self.cut_message();
    }

    /// The message alone is heard: nothing of the agent's beside or before it.
    fn leave_message(&mut self, message: VoicemailMessage, now: Instant) {
        self.leave_conversation(Phase::LeavingMessage, now);
        self.interrupt(true, now);
        if self.loopback {
            self.out.leg(LegCommand::Loopback(false));
        }
        self.quieten_sounds();
        self.presser.set_open(false, now);
        let until = now + MESSAGE_PATIENCE;
        let Some(detection) = self.answering.as_deref_mut() else {
            return;
        };
        detection.stage = Stage::Awaiting { message, until };
        if detection.records {
            self.say_message(now);
        }
    }

    fn say_message(&mut self, now: Instant) {
        let Some(detection) = self.answering.as_deref_mut() else {
            return;
        };
        let stage = std::mem::replace(&mut detection.stage, Stage::Speaking);
        if let Stage::Awaiting { message, .. } = stage {
            self.speech.open(now, &mut self.out);
            self.speech.say(message.utterance(), now, &mut self.out);
        }
    }

    /// An utterance ended that may be the message.
    pub(super) fn message_ended(&mut self, id: UtteranceId, outcome: &Outcome, now: Instant) {
        let Some(detection) = self.answering.as_deref_mut() else {
            return;
        };
        if id != UtteranceId::VOICEMAIL_MESSAGE {
            return;
        }
        if *outcome == Outcome::Completed {
            let until = now + MACHINE_TAIL;
            detection.stage = Stage::Tail { until };
        } else {
            let end = detection.end;
            tracing::warn!(?outcome, "the message could not be left");
            self.hang_up(end.into(), false, now);
        }
    }

    /// The agent talks to whoever answered.
    fn go_on(&mut self, now: Instant) {
        let Some(detection) = self.answering.take() else {
            return;
        };
        self.stop_gathering();
        match self.phase {
            Phase::Waiting => self.admit(now),
            Phase::Asking | Phase::LeavingMessage => match detection.before {
                Phase::Waiting => {
                    self.phase = Phase::Waiting;
                    self.admit(now);
                }
                Phase::Announcing if self.speech.holds(UtteranceId::CONSENT) => {
                    self.phase = Phase::Announcing;
                }
                Phase::Announcing => self.enter(now),
                Phase::Open
                | Phase::Asking
                | Phase::LeavingMessage
                | Phase::HangingUp { .. }
                | Phase::Left { .. }
                | Phase::Closing { .. }
                | Phase::Closed { .. } => self.resume_conversation(now),
            },
            Phase::Announcing | Phase::Open => {}
            Phase::HangingUp { .. }
            | Phase::Left { .. }
            | Phase::Closing { .. }
            | Phase::Closed { .. } => return,
        }
        for turn in detection.turns {
            self.finish_turn(turn, now);
        }
    }

    /// The agent had entered before, and goes on.
    fn resume_conversation(&mut self, now: Instant) {
        self.phase = Phase::Open;
        if self.loopback {
            self.out.leg(LegCommand::Loopback(true));
        }
        self.presser.set_open(!self.on_hold, now);
    }

    /// Keeps a turn back while it is not clear whether whoever answered is a person; gives it back otherwise.
    pub(super) fn keep_back(&mut self, turn: UserTurn) -> Option<UserTurn> {
        let Some(detection) = self.answering.as_deref_mut() else {
            return Some(turn);
        };
        detection.keep_back(turn);
        None
    }

    /// An operator joined the call to another: who answered is for them to judge, and a message is not wanted any more.
    pub(super) fn answering_overruled(&mut self, now: Instant) {
        if self.phase == Phase::LeavingMessage {
            self.interrupt(true, now);
        }
        self.config.voicemail = None;
        self.go_on(now);
    }

    /// The call ends.
    pub(super) fn end_answering(&mut self) {
        self.config.voicemail = None;
        self.answering = None;
    }

    fn stop_gathering(&mut self) {
        let speaking = self.caller.is_some();
        self.hearing.forget_what_was_heard(speaking, &mut self.out);
    }
}

/// Evidence as the log shows it.
fn shown(evidence: &[Evidence]) -> String {
    let shown: Vec<String> = evidence.iter().map(voicemail::evidence_text).collect();
    shown.join(", ")
}
