//! A session in virtual time: inputs by the line, outputs sorted by kind.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::{Bus, Digit, Epoch, LegCommand, LegEvent, Listener, RecordMode};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::config::SessionConfig;
use super::super::event::{CallbackKind, EndCause, SessionEvent};
use super::super::facts::{CallFacts, CallId, Direction};
use super::super::identity::IdentityFacts;
use super::super::line::{CallEvent, CallRequest};
use super::super::making::{Progress, Request, Step};
use super::super::message::Command;
use super::super::output::{Callback, Output, Preparation};
use super::super::recording::{ConsentPrompt, RecordPlan};
use super::super::reply::NewReply;
use super::super::state::{AgentState, UserState};
use super::super::utterance::{
    NewUtterance, Outcome, QueueMode, Resolver, Source, UtteranceHandle, UtteranceId,
};
use super::{Means, Session};
use crate::agent::{Agent, UserTurn};
use crate::chat::ChatItem;
use crate::grammar::Grammar;
use crate::pii::Pii;
use crate::provider::{Audio, ProviderError, Recognition};
use crate::voicemail::VoicemailVerdict;

pub(super) const RATE_HZ: u32 = 8_000;

pub(super) fn config() -> SessionConfig {
    SessionConfig::new(CallFacts {
        call_id: CallId::new("test"),
        direction: Direction::Inbound,
        from: Pii::new("alice".into()),
        to: Pii::new("front-desk".into()),
        trunk: None,
        identity: IdentityFacts::default(),
        headers: Vec::new(),
    })
}

/// A call whose caller is told before they are recorded.
pub(super) fn consent() -> RecordPlan {
    RecordPlan::AfterConsent(Arc::new(ConsentPrompt {
        text: "This call is recorded.".into(),
        audio: None,
    }))
}

pub(super) const MEANS: Means = Means {
    sample_rate_hz: RATE_HZ,
    has_voice: true,
    has_recogniser: true,
    has_model: false,
    has_turn_detector: false,
    listens: true,
};

/// As [`MEANS`], with a language model.
pub(super) const WITH_MODEL: Means = Means {
    has_model: true,
    ..MEANS
};

/// An agent of which the core asks only what it is like.
pub(super) struct Like {
    pub(super) answers_turns: bool,
    pub(super) instructions: &'static str,
}

impl Agent for Like {
    fn instructions(&self) -> String {
        self.instructions.to_owned()
    }

    fn answers_turns(&self) -> bool {
        self.answers_turns
    }
}

pub(super) fn samples(ms: usize) -> Arc<[i16]> {
    vec![1_000; ms * RATE_HZ as usize / 1_000].into()
}

pub(super) fn phrase(text: &str) -> Result<Recognition, ProviderError> {
    Ok(Recognition::Phrase {
        text: text.into(),
        confidence: 0.9,
    })
}

pub(super) struct Fixture {
    pub(super) session: Session,
    pub(super) now: Instant,
    pub(super) began: Instant,
    pub(super) leg: Vec<LegCommand>,
    pub(super) requests: Vec<CallRequest>,
    pub(super) events: Vec<SessionEvent>,
    pub(super) callbacks: Vec<CallbackKind>,
    pub(super) turns: Vec<UserTurn>,
    pub(super) digits: Vec<Digit>,
    pub(super) preparing: VecDeque<(UtteranceId, usize, Preparation)>,
    pub(super) recognising: VecDeque<Audio>,
    /// Replies that are to be made, those that are not wanted any more left out.
    pub(super) generating: Vec<Request>,
    /// Words that the turn detector is asked about.
    pub(super) judging: VecDeque<u64>,
    /// How often another agent was put in the place of one.
    pub(super) agents_changed: usize,
    pub(super) spotting: VecDeque<Audio>,
    pub(super) verdicts: Vec<VoicemailVerdict>,
    pub(super) listener: Option<Listener>,
    /// Whether the leg holds its speech bus.
    pub(super) bus_is_held: bool,
    held_epoch: Epoch,
    next_utterance: u64,
}

impl Fixture {
    pub(super) fn new(config: SessionConfig, means: Means) -> Self {
        let agent = Like {
            answers_turns: false,
            instructions: "",
        };
        Self::with_agent(config, means, &agent)
    }

    pub(super) fn with_agent(config: SessionConfig, means: Means, agent: &dyn Agent) -> Self {
        let now = Instant::now();
        let mut fixture = Self {
            session: Session::new(Box::new(config), means, agent, now),
            now,
            began: now,
            leg: Vec::new(),
            requests: Vec::new(),
            events: Vec::new(),
            callbacks: Vec::new(),
            turns: Vec::new(),
            digits: Vec::new(),
            preparing: VecDeque::new(),
            recognising: VecDeque::new(),
            generating: Vec::new(),
            judging: VecDeque::new(),
            agents_changed: 0,
            spotting: VecDeque::new(),
            verdicts: Vec::new(),
            listener: None,
            bus_is_held: false,
            held_epoch: Epoch(0),
            next_utterance: UtteranceId::FIRST.0,
        };
        fixture.drain();
        fixture
    }

    /// Answered, acknowledged, entered, `on_enter` returned: idle.
    pub(super) fn entered(config: SessionConfig) -> Self {
        let mut fixture = Self::new(config, MEANS);
        fixture.enter();
        fixture
    }

    /// As `entered`, with an agent whose turns the model answers.
    pub(super) fn answering(config: SessionConfig) -> Self {
        let agent = Like {
            answers_turns: true,
            instructions: "Be brief.",
        };
        let mut fixture = Self::with_agent(config, WITH_MODEL, &agent);
        fixture.enter();
        fixture
    }

    fn enter(&mut self) {
        self.call(CallEvent::Answered);
        self.call(CallEvent::Confirmed);
        self.returned(CallbackKind::Enter);
    }

    /// As `entered`, and the agent expects something.
    pub(super) fn listening(phrases: &[&str]) -> Self {
        let mut fixture = Self::entered(config());
        fixture.expect(phrases);
        fixture
    }

    pub(super) fn drain(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Leg(LegCommand::Listen(listener)) => {
                    self.leg.push(LegCommand::Listen(None));
                    self.listener = listener;
                }
                Output::Leg(command) => {
                    match &command {
                        LegCommand::Resume(Bus::Speech) => self.bus_is_held = false,
                        // With what was held the pause is over, too.
                        LegCommand::Flush {
                            bus: Bus::Speech,
                            through,
                            ..
                        } if *through >= self.held_epoch => self.bus_is_held = false,
                        _ => {}
                    }
                    self.leg.push(command);
                }
                Output::Call(request) => self.requests.push(request),
                Output::Event(event) => self.events.push(event),
                Output::Callback(callback) => {
                    self.callbacks.push(callback.kind());
                    match callback {
                        Callback::UserTurn(turn) => self.turns.push(turn),
                        Callback::Dtmf(digit) => self.digits.push(digit),
                        Callback::Voicemail(verdict) => self.verdicts.push(verdict),
                        Callback::Enter
                        | Callback::Tone(_)
                        | Callback::Transfer(_)
                        | Callback::WakeUp
                        | Callback::SilenceEnd
                        | Callback::Exit(_) => {}
                    }
                }
                Output::Prepare {
                    utterance,
                    sentence,
                    work,
                } => {
                    self.preparing.push_back((utterance, sentence, work));
                }
                Output::CancelPreparation => {
                    self.preparing.pop_back();
                }
                Output::Recognise {
                    utterance,
                    grammar: _,
                } => self.recognising.push_back(utterance),
                Output::Generate(request) => self.generating.push(*request),
                Output::CancelGeneration(reply) => {
                    self.generating.retain(|request| request.reply != reply);
                }
                Output::ChangeAgent(_) => self.agents_changed += 1,
                Output::JudgeTurn { words, .. } => self.judging.push_back(words),
                Output::Spot { heard } => self.spotting.push_back(heard),
            }
        }
    }

    /// Lets time pass, timers firing at their moments.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(deadline) = self
            .session
            .poll_timeout()
            .filter(|deadline| *deadline <= until)
        {
            self.now = self.now.max(deadline);
            self.session.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    pub(super) fn pass_ms(&mut self, ms: u64) {
        self.pass(Duration::from_millis(ms));
    }

    /// Media time now.
    pub(super) fn media_ms(&self) -> u64 {
        u64::try_from((self.now - self.began).as_millis()).expect("a short test")
    }

    pub(super) fn call(&mut self, event: CallEvent) {
        self.session.handle_call_event(event, self.now);
        self.drain();
    }

    pub(super) fn leg(&mut self, event: LegEvent) {
        self.session.handle_leg_event(event, self.now);
        self.drain();
    }

    pub(super) fn command(&mut self, command: Command) {
        self.session.handle_command(command, self.now);
        self.drain();
    }

    pub(super) fn returned(&mut self, kind: CallbackKind) {
        self.session.handle_callback(kind, Ok(()), self.now);
        self.drain();
    }

    pub(super) fn say_with(
        &mut self,
        text: &str,
        queue: QueueMode,
        interruptible: bool,
    ) -> UtteranceHandle {
        let id = UtteranceId(self.next_utterance);
        self.next_utterance += 1;
        let (resolver, handle) = Resolver::pair(id);
        self.command(Command::Say(NewUtterance {
            id,
            text: Some(Pii::new(text.into())),
            source: Source::Text,
            interruptible,
            add_to_transcript: true,
            add_to_chat_context: true,
            part_of: None,
            queue,
            resolver,
        }));
        handle
    }

    pub(super) fn say(&mut self, text: &str) -> UtteranceHandle {
        self.say_with(text, QueueMode::Replace, true)
    }

    /// The preparation under way gives so much audio.
    pub(super) fn prepared(&mut self, ms: usize) {
        let (utterance, sentence, _) = self
            .preparing
            .pop_front()
            .expect("something is being prepared");
        self.session
            .handle_prepared(utterance, sentence, Ok(samples(ms)), self.now);
        self.drain();
    }

    /// Says a one-sentence text whose audio lasts so long, up to its first frame.
    pub(super) fn speak(&mut self, text: &str, ms: usize) -> (UtteranceHandle, Epoch) {
        let handle = self.say(text);
        self.prepared(ms);
        let epoch = self.last_epoch();
        self.started(epoch);
        (handle, epoch)
    }

    /// The sentence under way gives so much audio, and the caller hears it to its end.
    pub(super) fn hears_out(&mut self, ms: usize) {
        self.prepared(ms);
        let epoch = self.last_epoch();
        self.started(epoch);
        self.drained(epoch);
    }

    pub(super) fn last_epoch(&self) -> Epoch {
        let played = self.leg.iter().rev().find_map(|command| match command {
            LegCommand::Play {
                bus: Bus::Speech,
                chunk,
            } => Some(chunk.epoch),
            _ => None,
        });
        played.expect("something was played")
    }

    pub(super) fn started(&mut self, epoch: Epoch) {
        let at_ms = self.media_ms();
        self.leg(LegEvent::Started { epoch, at_ms });
    }

    pub(super) fn drained(&mut self, epoch: Epoch) {
        // With nothing left the pause is over.
        self.bus_is_held &= epoch < self.held_epoch;
        let at_ms = self.media_ms();
        self.leg(LegEvent::Drained { epoch, at_ms });
    }

    pub(super) fn flushed(&mut self, epoch: Epoch, played_ms: u64) {
        self.leg(LegEvent::Flushed {
            bus: Bus::Speech,
            through: epoch,
            cut: Some(epoch),
            played_ms,
        });
    }

    pub(super) fn barge_in(&mut self, epoch: Epoch) {
        self.bus_is_held = true;
        self.held_epoch = epoch;
        let at_ms = self.media_ms();
        self.leg(LegEvent::BargeIn { epoch, at_ms });
    }

    pub(super) fn digit(&mut self, symbol: char) {
        let at_ms = self.media_ms();
        self.leg(LegEvent::Digit {
            digit: Digit::from_char(symbol).expect("a digit"),
            at_ms,
        });
    }

    pub(super) fn speech_starts(&mut self) {
        let at_ms = self.media_ms();
        self.leg(LegEvent::SpeechStarted { at_ms });
    }

    /// Audio arrives from the caller.
    pub(super) fn voice(&mut self, count: usize) {
        if let Some(listener) = &mut self.listener {
            for _ in 0..count {
                let _full = listener.ring.push(1);
            }
        }
        self.leg(LegEvent::Heard {
            samples: u32::try_from(count).expect("a short test"),
        });
    }

    /// The caller's last voiced frame was now.
    pub(super) fn speech_stops(&mut self) {
        let at_ms = self.media_ms();
        self.leg(LegEvent::SpeechStopped { at_ms });
    }

    /// The caller speaks for so long.
    pub(super) fn caller_says(&mut self, ms: u64) {
        self.speech_starts();
        self.pass_ms(ms);
        self.voice(1_000);
        self.speech_stops();
    }

    pub(super) fn recognised(&mut self, result: Result<Recognition, ProviderError>) {
        self.recognising
            .pop_front()
            .expect("something is being recognised");
        self.session.handle_recognised(result, self.now);
        self.drain();
    }

    pub(super) fn expect(&mut self, phrases: &[&str]) {
        let grammar = Grammar {
            phrases: phrases.iter().map(|phrase| (*phrase).into()).collect(),
            open: false,
        };
        self.command(Command::Expect(Some(Arc::new(grammar))));
    }

    pub(super) fn reply(&mut self, instructions: Option<&str>) -> UtteranceHandle {
        let id = UtteranceId(self.next_utterance);
        self.next_utterance += 1;
        let (resolver, handle) = Resolver::pair(id);
        self.command(Command::Reply(NewReply {
            id,
            instructions: instructions.map(|text| Pii::new(text.to_owned())),
            interruptible: true,
            to_turn: false,
            resolver,
        }));
        handle
    }

    /// A tool of the reply under way says something.
    pub(super) fn say_within(&mut self, reply: UtteranceId, text: &str) -> UtteranceHandle {
        let id = UtteranceId(self.next_utterance);
        self.next_utterance += 1;
        let (resolver, handle) = Resolver::pair(id);
        self.command(Command::Say(NewUtterance {
            id,
            text: Some(Pii::new(text.into())),
            source: Source::Text,
            interruptible: true,
            add_to_transcript: true,
            add_to_chat_context: true,
            part_of: Some(reply),
            queue: QueueMode::Replace,
            resolver,
        }));
        handle
    }

    /// The making of the newest reply gets on.
    pub(super) fn made(&mut self, step: Step) {
        let reply = self.generating.last().expect("a reply is made").reply;
        self.progress(reply, step);
    }

    pub(super) fn progress(&mut self, reply: UtteranceId, step: Step) {
        self.session
            .handle_progress(Progress { reply, step }, self.now);
        self.drain();
    }

    /// The newest reply is these words, and no more.
    pub(super) fn made_all(&mut self, text: &str) {
        self.made(Step::Text(text.to_owned()));
        self.made(Step::Made);
    }

    /// The caller says something that is understood.
    pub(super) fn caller_says_words(&mut self, text: &str) {
        self.caller_says(600);
        self.recognised(phrase(text));
    }

    /// As `caller_says_words`, and their turn is over and was taken by the agent's callback.
    pub(super) fn turn(&mut self, text: &str) {
        self.caller_says_words(text);
        self.pass_ms(1_500);
        self.returned(CallbackKind::UserTurn);
    }

    pub(super) fn context(&self) -> Vec<ChatItem> {
        self.session.replies.context.to_vec()
    }

    pub(super) fn interrupt(&mut self, force: bool) -> bool {
        let (reply, mut answer) = oneshot::channel();
        self.command(Command::Interrupt { force, reply });
        answer.try_recv().expect("answered at once")
    }

    pub(super) fn hang_up(&mut self, drain: bool) {
        self.command(Command::HangUp {
            reason: EndCause::AgentHungUp.into(),
            drain,
        });
    }

    pub(super) fn states(&self) -> (AgentState, UserState) {
        self.session.states
    }

    /// The agent's states as reported, the first included.
    pub(super) fn agent_states(&self) -> Vec<AgentState> {
        let states = self.events.iter().filter_map(|event| match event {
            SessionEvent::AgentStateChanged { state, .. } => Some(*state),
            _ => None,
        });
        states.collect()
    }

    pub(super) fn flushes(&self) -> Vec<Epoch> {
        let flushes = self.leg.iter().filter_map(|command| match command {
            LegCommand::Flush {
                bus: Bus::Speech,
                through,
                ..
            } => Some(*through),
            _ => None,
        });
        flushes.collect()
    }

    pub(super) fn resumes(&self) -> usize {
        self.leg
            .iter()
            .filter(|command| matches!(command, LegCommand::Resume(Bus::Speech)))
            .count()
    }

    /// What the leg records, as it began and was told; `None` where it records nothing.
    pub(super) fn recorded(&self) -> Option<RecordMode> {
        let told = self.leg.iter().rev().find_map(|command| match command {
            LegCommand::Record(mode) => Some(*mode),
            _ => None,
        });
        told.or(self.session.config.record.first_mode())
    }

    /// What was begun beside the speech was replaced or ended, at the latest with the call; and no epoch came twice.
    pub(super) fn check_sounds(&self, seed: u64) {
        for wanted in [Bus::Thinking, Bus::Background] {
            let mut newest = None;
            let mut plays = None;
            for command in &self.leg {
                let begins = match command {
                    LegCommand::Loop { bus, epoch, .. } if *bus == wanted => Some(*epoch),
                    LegCommand::Play { bus, chunk } if *bus == wanted => Some(chunk.epoch),
                    LegCommand::Flush { bus, through, .. } if *bus == wanted => {
                        plays.take_if(|epoch| *epoch <= *through);
                        None
                    }
                    _ => None,
                };
                if let Some(epoch) = begins {
                    assert!(newest < Some(epoch), "seed {seed}: {wanted:?} {epoch:?}");
                    // A piece that does not repeat ends by itself.
                    let repeats = matches!(command, LegCommand::Loop { .. });
                    (newest, plays) = (Some(epoch), repeats.then_some(epoch));
                }
            }
            assert_eq!(plays, None, "seed {seed}: {wanted:?} plays on");
        }
    }

    pub(super) fn armed(&self) -> bool {
        let last = self.leg.iter().rev().find_map(|command| match command {
            LegCommand::BargeIn(policy) => Some(policy.is_some()),
            _ => None,
        });
        last.unwrap_or(false)
    }
}

pub(super) fn interrupted(text: &str, heard_ms: u64) -> Option<Outcome> {
    Some(Outcome::Interrupted {
        heard_text: Pii::new(text.into()),
        heard_ms,
    })
}
