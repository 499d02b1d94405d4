//! One verdict from all that speaks for one, at the latest at the deadline; then the moment for a message.
//!
//! What decides, the surest first:
//!
//! 1. A fax machine's tones, those before an announcement, those of a busy line.
//! 2. Words, as soon as they are understood.
//! 3. A beep after speech, with quiet behind it.
//! 4. Quiet after a greeting, for as long as a machine does not pause.
//! 5. The deadline, by cadence.

use std::collections::VecDeque;
use std::time::Duration;

use offhook_media::control::{CallTone, CallToneKind, Confidence};

use super::cadence::Cadence;
use super::message_start::{MaybeBeep, MessageStart};
use super::phrases::{Meaning, Words};
use super::spotting::Spotting;
use super::{Evidence, FarEnd, VoicemailEvent, VoicemailVerdict};

/// Tells who answered. Every time is one since media was live, and none is earlier than the one before.
#[derive(Debug)]
pub struct VoicemailDetector {
    max_decision: Duration,
    cadence: Cadence,
    words: Words,
    spotting: Spotting,
    maybe_beep: Option<MaybeBeep>,
    /// A beep that nobody had spoken before.
    lone_beep: Option<CallTone>,
    ringback: Option<Ringback>,
    /// A tone that says that nobody is there, of which it was not sure.
    progress: Option<CallTone>,
    stage: Stage,
    events: VecDeque<VoicemailEvent>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// It is not clear who answered.
    Deciding,
    /// A machine did, and does not record yet.
    Greeting(MessageStart),
    /// There is nothing more to say.
    Done,
}

/// The called telephone rang after the answer: nobody has answered in truth.
#[derive(Clone, Copy, Debug)]
struct Ringback {
    tone: CallTone,
    told: Duration,
}

/// A tone that is less sure does not decide.
const SURE_TONE: f32 = 0.8;
/// How long a telephone that rings is quiet at most before it rings again, and that is told.
const NEXT_RING: Duration = Duration::from_secs(7);
/// When a ring that is not the first is told, after its end.
const RING_TOLD_AFTER: Duration = Duration::from_millis(40);

/// Nobody says a phrase that decides in less.
const SHORTEST_PHRASE: Duration = Duration::from_millis(500);
/// What is shorter is nobody's greeting.
const SHORTEST_GREETING: Duration = Duration::from_millis(200);
/// A word or two: a machine hardly begins with so little and then pauses.
const QUICK_HELLO: Duration = Duration::from_millis(1_000);
/// A person who has greeted waits for an answer: it is one after nearly as much quiet as may be waited for at all, a
/// second, since machines pause for long.
const QUIET_AFTER_GREETING: Duration = Duration::from_millis(980);
/// A person whose words were understood.
const QUIET_AFTER_QUESTION: Duration = Duration::from_millis(500);
/// At the deadline: who has spoken for so long, and still does or has only just paused, is a machine as far as cadence
/// can tell. Machines rarely pause for longer.
const LONG_GREETING: Duration = Duration::from_millis(1_400);
const LONG_PAUSE: Duration = Duration::from_millis(550);

impl VoicemailDetector {
    /// A detector whose verdict comes at `max_decision` at the latest; where a telephone rings after the answer, that
    /// long after the ringing.
    #[must_use]
    pub fn new(max_decision: Duration) -> Self {
        Self {
            max_decision,
            cadence: Cadence::default(),
            words: Words::default(),
            spotting: Spotting::default(),
            maybe_beep: None,
            lone_beep: None,
            ringback: None,
            progress: None,
            stage: Stage::Deciding,
            events: VecDeque::new(),
        }
    }

    /// The far end began to speak: `at` is its first voiced frame.
    pub fn handle_speech_started(&mut self, at: Duration) {
        self.maybe_beep.take_if(|beep| beep.is_undone_by_speech(at));
        self.cadence.started(at);
    }

    /// The far end stopped: `at` is its last voiced frame. Both may be told some time after they were.
    pub fn handle_speech_stopped(&mut self, at: Duration) {
        self.cadence.stopped(at);
        if matches!(self.stage, Stage::Deciding) && self.spotting.is_due(&self.cadence) {
            self.ask(at);
        }
    }

    /// The answer to [`VoicemailEvent::Spot`]: the phrases of [`super::phrases()`] that were heard, at `at`. None where
    /// there is no recogniser.
    pub fn handle_phrases(&mut self, heard: &[&str], at: Duration) {
        self.words.hear(heard);
        self.spotting.answered(self.words.is_worth_asking_again());
        self.decide_by_words(at);
    }

    /// What was heard until `until`: each sample once, in order, from when media was live. Who does not tell it at all
    /// has voice activity alone, which does not know who speaks into the telephone and who behind them.
    pub fn handle_audio(&mut self, samples: &[i16], sample_rate_hz: u32, until: Duration) {
        self.cadence.heard(samples, sample_rate_hz, until);
        let paused = !self.cadence.is_speaking();
        if paused && matches!(self.stage, Stage::Deciding) && self.spotting.is_due(&self.cadence) {
            self.ask(until);
        }
    }

    /// A tone was recognised, at `at`.
    pub fn handle_tone(&mut self, tone: CallTone, at: Duration) {
        match tone.kind {
            CallToneKind::FaxCalling | CallToneKind::FaxAnswer => {
                self.decide(FarEnd::Fax, tone.confidence, vec![Evidence::Tone(tone)], at);
            }
            // Nobody is there, and the network says so.
            CallToneKind::SpecialInformation | CallToneKind::Busy | CallToneKind::Congestion => {
                if tone.confidence.value() >= SURE_TONE {
                    let evidence = vec![Evidence::Tone(tone)];
                    self.decide(FarEnd::MachineGreeting, tone.confidence, evidence, at);
                } else {
                    self.progress = Some(tone);
                }
            }
            CallToneKind::Ringback => self.rings(tone, at),
            CallToneKind::Beep => self.may_have_beeped(tone, at),
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let beep = self.maybe_beep.map(|beep| beep.sure_at());
        let other = match &self.stage {
            Stage::Deciding => [
                Some(self.deadline()),
                self.spotting.next(&self.cadence),
                self.human_at(),
            ]
            .into_iter()
            .flatten()
            .min(),
            // A beep that may be one is waited for.
            Stage::Greeting(start) if beep.is_none() => Some(start.without_beep(&self.cadence)),
            Stage::Greeting(_) => None,
            Stage::Done => return None,
        };
        beep.into_iter().chain(other).min()
    }

    /// It is `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        if let Some(beep) = self.maybe_beep.take_if(|beep| now >= beep.sure_at())
            && !self.cadence.surely_speaks()
        {
            self.beeped(beep, now);
        }
        match self.stage {
            Stage::Deciding => {
                self.spotting.give_up(now);
                if self.human_at().is_some_and(|at| now >= at) {
                    self.decide_by_quiet(now);
                } else if now >= self.deadline() {
                    self.decide_by_deadline(now);
                } else if self
                    .spotting
                    .next(&self.cadence)
                    .is_some_and(|at| now >= at)
                {
                    self.ask(now);
                }
            }
            Stage::Greeting(start) => {
                if self.maybe_beep.is_none() && now >= start.without_beep(&self.cadence) {
                    self.message_may_begin(false);
                }
            }
            Stage::Done => {}
        }
    }

    /// What it has to say next.
    pub fn poll_event(&mut self) -> Option<VoicemailEvent> {
        self.events.pop_front()
    }

    fn ask(&mut self, now: Duration) {
        self.spotting.ask(&self.cadence, now);
        self.events.push_back(VoicemailEvent::Spot);
    }

    fn may_have_beeped(&mut self, tone: CallTone, at: Duration) {
        let Some(beep) = MaybeBeep::new(tone, at) else {
            return;
        };
        // Voice activity may have taken the beep itself for speech.
        self.cadence.tone(beep.range());
        let spoke_before = |began: Duration| began < beep.range().start;
        if self.cadence.began().is_some_and(spoke_before) {
            self.maybe_beep = Some(beep);
        } else if self.cadence.began().is_none() {
            self.lone_beep = Some(tone);
        }
    }

    /// What was heard until now was a telephone that rings.
    fn rings(&mut self, tone: CallTone, at: Duration) {
        if !matches!(self.stage, Stage::Deciding) {
            return;
        }
        // The first is told some time after its end, the others at once.
        if let Some(before) = self.ringback {
            let ended = at.saturating_sub(RING_TOLD_AFTER);
            let began = ended.saturating_sub(Duration::from_millis(tone.duration_ms));
            let period = Duration::from_millis(tone.at_ms.saturating_sub(before.tone.at_ms));
            self.cadence.tone_repeats(&(began..ended), period);
        }
        self.ringback = Some(Ringback { tone, told: at });
        self.cadence.begin_again(at);
        self.words.forget();
        self.maybe_beep = None;
        self.lone_beep = None;
    }

    fn deadline(&self) -> Duration {
        // After a ring the time counts from the first word.
        let live_from = self.ringback.map_or(Duration::ZERO, |ringback| {
            let next_ring = ringback.told + NEXT_RING;
            let voiced = self.cadence.voiced(next_ring) >= SHORTEST_GREETING;
            let began = self.cadence.began().filter(|_| voiced);
            began.map_or(next_ring, |began| began.min(next_ring))
        });
        live_from.saturating_add(self.max_decision)
    }

    fn beeped(&mut self, beep: MaybeBeep, now: Duration) {
        match self.stage {
            Stage::Deciding => {
                let evidence = vec![
                    self.cadence.evidence(beep.range().start),
                    Evidence::Tone(beep.tone),
                ];
                self.decide(FarEnd::MachineBeep, beep.tone.confidence, evidence, now);
                self.message_may_begin(true);
            }
            Stage::Greeting(_) => self.message_may_begin(true),
            Stage::Done => {}
        }
    }

    fn message_may_begin(&mut self, beeped: bool) {
        self.stage = Stage::Done;
        self.events
            .push_back(VoicemailEvent::MessageMayBegin { beeped });
    }

    fn decide_by_words(&mut self, at: Duration) {
        // Nobody says one of them so fast: it was something else that sounded like it.
        if self.cadence.voiced(at) < SHORTEST_PHRASE {
            return;
        }
        let Some(meaning) = self.words.speak_for() else {
            return;
        };
        let far_end = match meaning {
            Meaning::Screening => FarEnd::CallScreening,
            Meaning::Machine => FarEnd::MachineGreeting,
            Meaning::Ivr => FarEnd::Ivr,
            // A person is one when the greeting is over.
            Meaning::Human => return,
        };
        let mut evidence: Vec<_> = self.words.of(meaning).map(Evidence::Phrase).collect();
        let confidence = if evidence.len() > 1 { 0.97 } else { 0.9 };
        evidence.push(self.cadence.evidence(at));
        self.decide(far_end, Confidence::new(confidence), evidence, at);
    }

    /// How quiet it has to be after what was said until now, for it to have been a person; since when it is.
    fn human_at(&self) -> Option<Duration> {
        let quiet_since = self.cadence.quiet_since()?;
        let is_person = self.words.speak_for() == Some(Meaning::Human);
        if self.cadence.voiced(quiet_since) < SHORTEST_GREETING {
            return None;
        }
        let wait = if is_person && !self.spotting.is_waiting() {
            QUIET_AFTER_QUESTION
        } else {
            QUIET_AFTER_GREETING
        };
        // What may be a beep soon shows what it is.
        Some(
            (quiet_since + wait).max(
                self.maybe_beep
                    .map_or(Duration::ZERO, |beep| beep.sure_at()),
            ),
        )
    }

    fn decide_by_quiet(&mut self, now: Duration) {
        let quiet = now.saturating_sub(self.cadence.quiet_since().unwrap_or(now));
        let mut evidence = vec![self.cadence.evidence(now), Evidence::Quiet(quiet)];
        evidence.extend(self.words.of(Meaning::Human).map(Evidence::Phrase));
        let confidence = if self.words.speak_for() == Some(Meaning::Human) {
            0.95
        } else if self.cadence.voiced(now) <= QUICK_HELLO {
            0.9
        } else {
            0.8
        };
        self.decide(FarEnd::Human, Confidence::new(confidence), evidence, now);
    }

    fn decide_by_deadline(&mut self, now: Duration) {
        let mut evidence = vec![Evidence::Deadline];
        let voiced = self.cadence.voiced(now);
        let (far_end, confidence) = if let Some(tone) = self.progress {
            evidence.push(Evidence::Tone(tone));
            (FarEnd::MachineGreeting, 0.6)
        } else if voiced.is_zero() {
            match (self.lone_beep, self.ringback) {
                (Some(beep), _) => {
                    evidence.push(Evidence::Tone(beep));
                    (FarEnd::MachineBeep, 0.6)
                }
                (None, Some(ringback)) => {
                    evidence.push(Evidence::Tone(ringback.tone));
                    (FarEnd::Unknown, 0.6)
                }
                (None, None) => (FarEnd::Silence, 0.9),
            }
        } else {
            evidence.push(self.cadence.evidence(now));
            let quiet = self
                .cadence
                .quiet_since()
                .map(|since| now.saturating_sub(since));
            if self.words.speak_for() == Some(Meaning::Human) {
                evidence.extend(self.words.of(Meaning::Human).map(Evidence::Phrase));
                (FarEnd::Human, 0.8)
            } else if voiced < SHORTEST_GREETING {
                (FarEnd::Unknown, 0.5)
            } else {
                match quiet {
                    Some(quiet) if quiet >= LONG_PAUSE => (FarEnd::Human, 0.75),
                    Some(_) | None if voiced >= LONG_GREETING => (FarEnd::MachineGreeting, 0.75),
                    Some(_) => (FarEnd::Human, 0.6),
                    None => (FarEnd::Unknown, 0.5),
                }
            }
        };
        self.decide(far_end, Confidence::new(confidence), evidence, now);
    }

    fn decide(
        &mut self,
        far_end: FarEnd,
        confidence: Confidence,
        evidence: Vec<Evidence>,
        at: Duration,
    ) {
        if !matches!(self.stage, Stage::Deciding) {
            return;
        }
        self.stage = if far_end.is_voicemail() {
            Stage::Greeting(MessageStart::new(at))
        } else {
            Stage::Done
        };
        self.events
            .push_back(VoicemailEvent::Verdict(VoicemailVerdict {
                far_end,
                confidence,
                evidence,
                at,
            }));
    }
}
