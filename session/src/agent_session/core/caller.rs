//! What the caller does: speaks, is understood or not, interrupts, presses digits.

use std::time::Duration;

use offhook_media::control::{Digit, Epoch};
use tokio::time::Instant;

use super::super::digits::{Collector, Finished};
use super::super::event::SessionEvent;
use super::super::hearing::{self, Job};
use super::super::interruption::{InterruptionMode, Verdict};
use super::super::line::CallRequest;
use super::super::output::Output;
use super::super::pressing::Pressed;
use super::super::state::{AgentState, Trigger};
use super::super::transcript::{EntryKind, Speaker};
use super::super::turn::SHORTEST_SPEECH;
use super::super::utterance::UtteranceId;
use super::callbacks::Press;
use super::key_presses::Path;
use super::{Phase, Session, Timer};
use crate::agent::UserTurn;
use crate::pii::Pii;
use crate::provider::{ProviderError, Recognition};

/// How long a transcript may take before both sides count as idle.
const NO_TRANSCRIPT: Duration = Duration::from_millis(1_500);

/// The caller's speech under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallerSpeech {
    /// Media time of the first voiced frame.
    started_ms: u64,
    /// What the agent was saying then.
    over: Option<UtteranceId>,
    /// It has lasted longer than any utterance may: most likely noise.
    pub(super) long: bool,
}

impl Session {
    pub(super) fn caller_started(&mut self, at_ms: u64, now: Instant) {
        if self.caller.is_some() {
            return;
        }
        self.learn_media_time(at_ms, now);
        if let Some(taking) = &mut self.taking_message {
            taking.caller_started();
        }
        self.caller = Some(CallerSpeech {
            started_ms: at_ms,
            over: self.speech.audible(),
            long: false,
        });
        self.timers.stop(Timer::NoTranscript);
        // While the caller speaks, held audio stays held; the length of speech is bounded instead.
        self.timers.stop(Timer::FalseInterruption);
        self.timers.set(Timer::LongSpeech, now + hearing::LONGEST);
        self.turn.caller_speaks();
        self.trigger(Trigger::CallerSpeaks, now);
    }

    pub(super) fn caller_stopped(&mut self, at_ms: u64, now: Instant) {
        let Some(caller) = self.caller.take() else {
            // It began on hold.
            return self.hearing.drop_gathered();
        };
        self.timers.stop(Timer::LongSpeech);
        let stopped_at = self.media_time(at_ms, now);
        if let Some(taking) = &mut self.taking_message {
            taking.caller_stopped(stopped_at);
        }
        self.trigger(Trigger::CallerStops, now);
        if !self.is_occupied() {
            self.timers
                .set(Timer::NoTranscript, stopped_at + NO_TRANSCRIPT);
        }
        self.turn.caller_stopped(stopped_at);
        let spoken = Duration::from_millis(at_ms.saturating_sub(caller.started_ms));
        self.meter.caller_stopped(spoken, stopped_at, at_ms);
        let held = self.speech.is_held();
        if held {
            self.timers.set(
                Timer::FalseInterruption,
                now + self.config.interruption.false_interrupt_pause,
            );
        }
        let voiced = Duration::from_millis(at_ms.saturating_sub(caller.started_ms));
        let counts = voiced >= SHORTEST_SPEECH
            && self.phase == Phase::Open
            // What belongs to a message is no turn.
            && self.taking_message.is_none()
            && (self.input_open || caller.over.is_some() || held);
        if !counts
            || !self
                .hearing
                .recognise(voiced, caller.over, stopped_at, &mut self.out)
        {
            self.hearing.drop_gathered();
            self.no_words(stopped_at, now);
        }
        self.hearing.follow(false, &mut self.out);
    }

    /// Whatever the caller was saying is not to be answered.
    pub(super) fn forget_caller(&mut self, now: Instant) {
        if self.caller.take().is_some() {
            self.trigger(Trigger::CallerStops, now);
        }
        if let Some(taking) = self.taking_message.as_deref_mut() {
            taking.caller_was_cut_off(now);
        }
        for timer in [
            Timer::LongSpeech,
            Timer::FalseInterruption,
            Timer::NoTranscript,
        ] {
            self.timers.stop(timer);
        }
        self.turn.clear();
        self.forget_early_reply();
        self.hearing.drop_gathered();
        self.speech.resume(now, &mut self.out);
        self.no_transcript(now);
    }

    /// One utterance may not last longer: what there is of it is recognised, and it holds nothing up
    /// from here on.
    pub(super) fn caller_spoke_long(&mut self, now: Instant) {
        let Some(caller) = &mut self.caller else {
            return;
        };
        caller.long = true;
        let over = caller.over;
        self.timers.set(Timer::LongSpeech, now + hearing::LONGEST);
        let recognising = self.phase == Phase::Open
            && self
                .hearing
                .recognise(hearing::LONGEST, over, now, &mut self.out);
        if !recognising && self.speech.is_held() {
            self.false_interruption(now);
        }
    }

    /// Whether the agent's state says more than that nobody answered.
    fn is_occupied(&self) -> bool {
        match self.states.0 {
            AgentState::Speaking | AgentState::Thinking => true,
            AgentState::Starting
            | AgentState::Idle
            | AgentState::Listening
            | AgentState::Closing
            | AgentState::Closed => false,
        }
    }

    /// No transcript came in time after the caller stopped.
    pub(super) fn no_transcript(&mut self, now: Instant) {
        match self.states.0 {
            AgentState::Idle | AgentState::Listening => self.trigger(Trigger::NoTranscript, now),
            AgentState::Starting
            | AgentState::Speaking
            | AgentState::Thinking
            | AgentState::Closing
            | AgentState::Closed => {}
        }
    }

    /// The leg's reflex held the agent's audio.
    pub(super) fn barged_in(&mut self, epoch: Epoch, now: Instant) {
        if !self.speech.hold(epoch, now, &mut self.out) {
            return;
        }
        let mode = self
            .config
            .interruption
            .effective_mode(self.hearing.is_listening());
        match mode {
            InterruptionMode::Vad if self.phase == Phase::Open => self.confirm_interruption(now),
            InterruptionMode::Hybrid if self.phase == Phase::Open => {
                // Speech that began before the agent's counts, now that it holds it.
                if let Some(caller) = &mut self.caller {
                    caller.over = caller.over.or(self.speech.audible());
                } else {
                    let pause = self.config.interruption.false_interrupt_pause;
                    self.timers.set(Timer::FalseInterruption, now + pause);
                }
            }
            InterruptionMode::Vad
            | InterruptionMode::Hybrid
            | InterruptionMode::Stt
            | InterruptionMode::Off => self.speech.resume(now, &mut self.out),
        }
    }

    /// A request of the agent's or of the control API.
    pub(super) fn interrupt(&mut self, force: bool, now: Instant) -> bool {
        self.timers.stop(Timer::FalseInterruption);
        let was_replying = self.speech.is_waiting_for_reply();
        let stopped = self.speech.interrupt(force, now, &mut self.out);
        let had_floor = match self.states.0 {
            AgentState::Speaking => true,
            AgentState::Thinking => was_replying,
            AgentState::Starting
            | AgentState::Idle
            | AgentState::Listening
            | AgentState::Closing
            | AgentState::Closed => false,
        };
        if stopped && had_floor {
            self.trigger(Trigger::Interrupted, now);
            if self.caller.is_none() {
                self.timers.set(Timer::NoTranscript, now + NO_TRANSCRIPT);
            }
        }
        stopped
    }

    /// The caller interrupts for good.
    fn confirm_interruption(&mut self, now: Instant) {
        self.interrupt(false, now);
    }

    /// No words followed what held the agent's audio.
    pub(super) fn false_interruption(&mut self, now: Instant) {
        if !self.speech.is_held() {
            return;
        }
        self.timers.stop(Timer::FalseInterruption);
        let at = self.at(now);
        self.event(SessionEvent::FalseInterruption { at });
        if self.config.interruption.resume_on_false_interrupt {
            self.speech.resume(now, &mut self.out);
        } else {
            self.confirm_interruption(now);
        }
    }

    /// What the caller did turned out to be noise.
    fn no_words(&mut self, stopped_at: Instant, now: Instant) {
        if self.caller.is_some_and(|caller| !caller.long) || self.hearing.is_recognising() {
            return;
        }
        self.turn.was_noise(stopped_at);
        self.meter.caller_said_nothing();
        self.false_interruption(now);
    }

    /// The recogniser's answer: a turn, an interruption, a backchannel, or nothing. A recogniser that
    /// failed leaves the caller not understood, which the agent can at least say.
    pub(super) fn recognised(&mut self, result: Result<Recognition, ProviderError>, now: Instant) {
        let Some(job) = self.hearing.finish_job(&mut self.out) else {
            return;
        };
        let words = match result {
            Ok(Recognition::Phrase { text, confidence }) => Some((text, confidence)),
            Ok(Recognition::OutOfGrammar) => None,
            Err(error) => {
                self.provider_failed(error, now);
                None
            }
        };
        if self.is_away() || self.phase.is_with_a_machine() {
            return;
        }
        let least = self.config.interruption.min_confidence;
        let words = words.filter(|(_, confidence)| *confidence >= least);
        let held = self.speech.is_held();
        if !self.input_open && job.over.is_none() && !held {
            return self.no_words(job.stopped_at, now);
        }
        let audible = held || self.speech.audible().is_some();
        match words {
            Some((text, _))
                if job.over.is_some() && audible && !self.words_interrupt(&text, &job, held) =>
            {
                let at = self.at(now);
                let text = Pii::new(text);
                self.event(SessionEvent::BackchannelDetected { text, at });
                self.no_words(job.stopped_at, now);
            }
            Some((text, _)) if !audible && self.is_agreement_to_reply(&text) => {
                let at = self.at(now);
                let text = Pii::new(text);
                self.event(SessionEvent::BackchannelDetected { text, at });
                self.no_words(job.stopped_at, now);
            }
            Some((text, confidence)) => {
                // Also what was said before the agent was heard: an answer, however short.
                if audible || self.speech.answering().is_some() {
                    self.confirm_interruption(now);
                }
                self.accept_words(text, confidence, &job, now);
            }
            None if audible => self.no_words(job.stopped_at, now),
            None => self
                .turn
                .add_unknown(job.stopped_at, self.caller_is_speaking()),
        }
    }

    /// Whether words are said into the middle of a reply that waits for a tool, and no more than agree with it. What is
    /// said before an agent's first word is always meant.
    fn is_agreement_to_reply(&self, text: &str) -> bool {
        self.speech.answering().is_some()
            && self.reply_has_spoken()
            && self.config.interruption.is_backchannel(text)
    }

    fn caller_is_speaking(&self) -> bool {
        self.caller.is_some_and(|caller| !caller.long)
    }

    /// Whether words said over the agent stop it.
    fn words_interrupt(&self, text: &str, job: &Job, held: bool) -> bool {
        if !self.speech.is_interruptible() {
            return false;
        }
        let policy = &self.config.interruption;
        let long_enough = match policy.mode {
            InterruptionMode::Vad | InterruptionMode::Hybrid => {
                held || job.voiced >= policy.min_duration
            }
            InterruptionMode::Stt => true,
            InterruptionMode::Off => return false,
        };
        match policy.judge(text, Some(&job.grammar)) {
            Verdict::Stops => true,
            Verdict::Interrupts => long_enough,
            Verdict::GoesOn => false,
        }
    }

    /// Words that belong to the caller's turn.
    fn accept_words(&mut self, text: String, confidence: f32, job: &Job, now: Instant) {
        self.input_open = true;
        self.timers.stop(Timer::NoTranscript);
        self.silence.caller_was_heard(now);
        self.meter.words_known(now);
        let started_at = job.stopped_at.checked_sub(job.voiced);
        self.note(
            Speaker::Caller,
            EntryKind::Speech,
            text.clone(),
            started_at.unwrap_or(job.stopped_at),
        );
        let speaking = self.caller_is_speaking();
        self.turn.add_words(
            text,
            confidence,
            Some(&job.grammar),
            job.stopped_at,
            speaking,
        );
        if self.means.has_turn_detector {
            let words = self.turn.await_verdict(&self.config.replies.end_of_turn);
            self.out.push(Output::JudgeTurn {
                words,
                context: self.replies.context.to_vec(),
                turn: Pii::new(self.turn.text()),
            });
        }
        self.begin_early_reply(now);
    }

    /// The caller's turn is over.
    pub(super) fn finish_turn(&mut self, turn: UserTurn, now: Instant) {
        if self.phase != Phase::Open {
            return;
        }
        let Some(turn) = self.keep_back(turn) else {
            return;
        };
        let at = self.at(now);
        self.event(SessionEvent::UserTurn {
            turn: turn.clone(),
            at,
        });
        self.turn_is_over(&turn);
        self.meter_turn(now);
        self.callbacks.queue_turn(turn);
    }

    pub(super) fn caller_pressed(&mut self, digit: Digit, path: Path, now: Instant) {
        match self.phase {
            Phase::Waiting | Phase::Announcing | Phase::Open | Phase::Asking => {}
            // What a machine presses is for nobody.
            Phase::LeavingMessage => return,
            // Also what signalling still brings when the end has begun.
            Phase::HangingUp { .. }
            | Phase::Left { .. }
            | Phase::Closing { .. }
            | Phase::Closed { .. } => return,
        }
        if !self.key_presses.is_new(digit, path, now) {
            return;
        }
        self.collector.take_if(|collector| !collector.is_wanted());
        self.silence.caller_was_heard(now);
        let press = Press { digit, at: now };
        if self.press_into_message(press) {
            return;
        }
        let collector = self.collector.take();
        // What nobody here asked for is for whoever the caller talks to.
        if self.bridge.is_some() && collector.is_none() {
            self.out.push(Output::Call(CallRequest::PassOn(digit)));
        }
        match collector {
            Some(collector) => {
                self.collector = self.press_into(collector, press, now);
                return self.press_cuts_prompt(now);
            }
            // Nor for an agent who does not talk with the caller.
            None if self.stands_aside() || self.transfer.parked().is_some() => {
                return self.note_press(press);
            }
            None => self.callbacks.queue_digit(press),
        }
        self.press_interrupts(now);
    }

    /// Gives a press to a collection; gives that back while it is not complete.
    fn press_into(
        &mut self,
        mut collector: Box<Collector>,
        press: Press,
        now: Instant,
    ) -> Option<Box<Collector>> {
        self.report_press(press, collector.is_sensitive());
        if collector.press(press.digit, now) {
            self.finish_collection(collector.finish(), now);
            return None;
        }
        Some(collector)
    }

    /// Whether a digit may be shown is known only when somebody takes it.
    fn report_press(&mut self, press: Press, sensitive: bool) {
        let digit = (!sensitive).then_some(press.digit);
        let at = self.at(press.at);
        self.event(SessionEvent::Digit { digit, at });
    }

    /// A digit that was asked for stops what is said, not the reply whose tool asks for it.
    fn press_cuts_prompt(&mut self, now: Instant) {
        if self.reply_is_under_way() {
            if self.config.interruption.dtmf_interrupts {
                self.speech.interrupt_part(now, &mut self.out);
            }
        } else {
            self.press_interrupts(now);
        }
    }

    fn press_interrupts(&mut self, now: Instant) {
        let may = self.config.interruption.dtmf_interrupts && self.phase != Phase::Asking;
        if may && self.speech.is_interruptible() {
            self.confirm_interruption(now);
        }
    }

    /// A digit on its own is shown when it is known that nothing collects it.
    pub(super) fn note_press(&mut self, press: Press) {
        self.report_press(press, false);
        let digit = press.digit.to_string();
        self.note(Speaker::Caller, EntryKind::Digits, digit, press.at);
    }

    /// Begins to collect digits, with those that were pressed early and still wait: the caller knew
    /// what would be asked.
    pub(super) fn collect(&mut self, collector: Box<Collector>, now: Instant) {
        if let Some(earlier) = self.collector.take() {
            self.finish_collection(earlier.cancel(), now);
        }
        let sensitive = collector.is_sensitive();
        let mut pressed_early = false;
        let mut collecting = Some(collector);
        while let Some(collector) = collecting.take() {
            let Some(press) = self.callbacks.take_digit() else {
                self.collector = Some(collector);
                break;
            };
            pressed_early = true;
            collecting = self.press_into(collector, press, now);
        }
        if pressed_early {
            self.press_interrupts(now);
            if sensitive {
                self.recording.sensitive_digits_were_pressed(now);
            }
        }
    }

    pub(super) fn finish_collection(&mut self, mut finished: Finished, now: Instant) {
        let shown = std::mem::take(&mut finished.shown);
        if !shown.is_empty() {
            self.note(Speaker::Caller, EntryKind::Digits, shown, now);
        }
        self.silence.restart(now);
        finished.deliver();
    }

    /// A sequence of keys has been pressed, or was cut short.
    pub(super) fn keys_pressed(&mut self, pressed: Pressed, now: Instant) {
        if !pressed.shown.is_empty() {
            self.note(Speaker::Agent, EntryKind::Digits, pressed.shown, now);
        }
        self.silence.restart(now);
    }

    /// Learns from a mark that was sent at media time `at_ms` how the leg's time relates to ours: the
    /// mark that took least time to come tells best.
    pub(super) fn learn_media_time(&mut self, at_ms: u64, now: Instant) {
        let Some(origin) = now.checked_sub(Duration::from_millis(at_ms)) else {
            return;
        };
        let earlier = self.media_origin.is_none_or(|known| origin < known);
        if earlier {
            self.media_origin = Some(origin);
        }
    }

    /// The moment of media time `at_ms`, never later than `now`.
    pub(super) fn media_time(&mut self, at_ms: u64, now: Instant) -> Instant {
        self.learn_media_time(at_ms, now);
        let moment = self
            .media_origin
            .and_then(|origin| origin.checked_add(Duration::from_millis(at_ms)));
        moment.map_or(now, |moment| moment.min(now))
    }
}
