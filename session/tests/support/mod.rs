//! A leg, a voice and a recogniser that follow a script in virtual time.

// Each test binary uses its own part of this.
#![allow(dead_code, unreachable_pub)]

pub mod model;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use offhook_media::control::{
    BargeInPolicy, Bus, CallTone, CallToneKind, Chunk, Confidence, Digit, Epoch, LegCommand,
    LegEvent, ListenMode, Listener,
};
use offhook_session::agent::Agent;
use offhook_session::agent_session::{
    AgentSession, CallEvent, CallFacts, CallId, CallRequest, Direction, EndReason, LegCommands,
    LegQueueFull, Line, Providers, SessionConfig, SessionEvent, SessionHandle, SessionTask,
};
use offhook_session::grammar::Grammar;
use offhook_session::pii::Pii;
use offhook_session::provider::{Audio, ProviderError, Recognition, SpeechToText, TextToSpeech};
use tokio::sync::{broadcast, mpsc};

pub const RATE_HZ: u32 = 8_000;
const TICK: Duration = Duration::from_millis(10);
const TICK_MS: u64 = 10;
const TICK_SAMPLES: usize = 80;
/// The detector says that the caller stopped this long after the last voiced frame.
const HANG_OVER_MS: u64 = 200;

pub fn config() -> SessionConfig {
    SessionConfig::new(CallFacts {
        call_id: CallId::new("scripted"),
        direction: Direction::Inbound,
        from: Pii::new("alice".into()),
        to: Pii::new("front-desk".into()),
        trunk: None,
        identity: offhook_session::agent_session::IdentityFacts::default(),
        headers: Vec::new(),
    })
}

pub fn grammar(phrases: &[&str]) -> Grammar {
    Grammar {
        phrases: phrases.iter().map(|phrase| (*phrase).into()).collect(),
        open: false,
    }
}

/// Takes 100 ms to begin and gives 50 ms of audio a character.
#[derive(Default)]
pub struct Voice {
    pub requests: AtomicUsize,
}

#[async_trait]
impl TextToSpeech for Voice {
    fn voice(&self) -> &str {
        "scripted"
    }

    async fn synthesise(&self, text: &str) -> Result<Audio, ProviderError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if text.contains("hangs") {
            std::future::pending::<()>().await;
        }
        if text.contains("panics") {
            panic!("the voice panics");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let samples = vec![1_000; text.len() * 50 * RATE_HZ as usize / 1_000];
        Ok(Audio {
            sample_rate_hz: RATE_HZ,
            samples: samples.into(),
        })
    }
}

/// Gives the next scripted answer after 150 ms.
#[derive(Default)]
pub struct Recogniser {
    pub answers: Mutex<VecDeque<Option<&'static str>>>,
    pub heard_ms: Mutex<Vec<u128>>,
    /// Words that are in every phrase that it spots.
    pub spots: Option<&'static str>,
}

impl Recogniser {
    pub fn answering(answers: &[Option<&'static str>]) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.iter().copied().collect()),
            ..Self::default()
        })
    }
}

#[async_trait]
impl SpeechToText for Recogniser {
    async fn spot(
        &self,
        _: Audio,
        phrases: &'static [&'static str],
    ) -> Result<Vec<&'static str>, ProviderError> {
        let spotted =
            |phrase: &&'static str| self.spots.is_some_and(|words| phrase.contains(words));
        Ok(phrases.iter().copied().filter(spotted).collect())
    }

    async fn recognise(&self, utterance: Audio, _: &Grammar) -> Result<Recognition, ProviderError> {
        self.heard_ms
            .lock()
            .unwrap()
            .push(utterance.duration().as_millis());
        tokio::time::sleep(Duration::from_millis(150)).await;
        let answer = self.answers.lock().unwrap().pop_front();
        match answer {
            Some(Some("panic")) => panic!("the recogniser panics"),
            Some(Some(text)) => Ok(Recognition::Phrase {
                text: text.into(),
                confidence: 0.9,
            }),
            Some(None) => Ok(Recognition::OutOfGrammar),
            None => Err(ProviderError::Unavailable("the script is over".into())),
        }
    }
}

pub fn providers(recogniser: Option<Arc<Recogniser>>) -> Providers {
    Providers {
        voice: Some(Arc::new(Voice::default())),
        recogniser: recogniser.map(|recogniser| recogniser as Arc<dyn SpeechToText>),
        ..Providers::default()
    }
}

/// What the caller does, in media time.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Speaks from the first moment to the second, in milliseconds.
    Speaks(u64, u64),
    /// Presses a key.
    Presses(u64, char),
    /// Sounds a tone of a network or a machine.
    Sounds(u64, CallToneKind),
}

#[derive(Default)]
struct Queue {
    commands: Mutex<VecDeque<LegCommand>>,
    full: AtomicBool,
}

impl LegCommands for Queue {
    fn send(&self, command: LegCommand) -> Result<(), LegQueueFull> {
        if self.full.load(Ordering::Relaxed) {
            return Err(LegQueueFull(command));
        }
        self.commands.lock().unwrap().push_back(command);
        Ok(())
    }
}

/// What the far end heard, a line for each 10 ms, and what the leg was told.
#[derive(Default)]
pub struct Record {
    pub sent: Vec<Option<Epoch>>,
    pub loops: Vec<Arc<[i16]>>,
    pub loopback: bool,
    pub listening: bool,
    pub events: usize,
}

/// A call with its leg and its session.
pub struct Call {
    pub session: SessionHandle,
    pub task: SessionTask,
    pub events: broadcast::Receiver<SessionEvent>,
    pub call_events: mpsc::Sender<CallEvent>,
    pub requests: mpsc::Receiver<CallRequest>,
    pub record: Arc<Mutex<Record>>,
    queue: Arc<Queue>,
}

impl Call {
    /// An answered and acknowledged call at whose end `script` is acted.
    pub async fn start(
        config: SessionConfig,
        agent: Arc<dyn Agent>,
        providers: Providers,
        script: &[Act],
    ) -> Self {
        let (leg_events, events) = mpsc::channel(256);
        let (call_events, call_receiver) = mpsc::channel(8);
        let (call, requests) = mpsc::channel(8);
        let queue = Arc::new(Queue::default());
        let record = Arc::new(Mutex::new(Record::default()));
        let line = Line {
            commands: Arc::clone(&queue) as Arc<dyn LegCommands>,
            events,
            call,
            call_events: call_receiver,
            sample_rate_hz: RATE_HZ,
            has_mixer: true,
        };
        let session = AgentSession::new(config, line, agent, providers);
        let handle = session.handle();
        let events = handle.subscribe();
        let task = session.start();
        let leg = Leg::new(Arc::clone(&queue), Arc::clone(&record), leg_events, script);
        tokio::spawn(leg.run());
        call_events.send(CallEvent::Answered).await.unwrap();
        call_events.send(CallEvent::Confirmed).await.unwrap();
        Self {
            session: handle,
            task,
            events,
            call_events,
            requests,
            record,
            queue,
        }
    }

    /// The leg's queue takes nothing, or takes commands again.
    pub fn leg_queue_is_full(&self, full: bool) {
        self.queue.full.store(full, Ordering::Relaxed);
    }

    pub async fn far_end_ends(&self, reason: impl Into<EndReason>) {
        self.call_events
            .send(CallEvent::Ended {
                reason: reason.into(),
            })
            .await
            .unwrap();
    }

    /// Every event so far.
    pub fn drain_events(&mut self) -> Vec<SessionEvent> {
        let mut events = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            events.push(event);
        }
        events
    }

    /// How much of an utterance the far end was sent, in milliseconds.
    pub fn sent_ms(&self, epoch: u64) -> u64 {
        let record = self.record.lock().unwrap();
        record
            .sent
            .iter()
            .filter(|sent| **sent == Some(Epoch(epoch)))
            .count() as u64
            * TICK_MS
    }
}

/// A leg as `offhook_media::control` describes one, for one bus, in steps of 10 ms.
struct Leg {
    queue: Arc<Queue>,
    record: Arc<Mutex<Record>>,
    events: mpsc::Sender<LegEvent>,
    script: Vec<Act>,
    at_ms: u64,
    chunks: VecDeque<Chunk>,
    offset: usize,
    /// The utterance that sounds, and how much of it was sent.
    sounding: Option<(Epoch, u64)>,
    flushed_through: Epoch,
    paused: bool,
    policy: Option<BargeInPolicy>,
    listener: Option<Listener>,
    /// Where a message goes.
    message: Option<rtrb::Producer<i16>>,
    /// Since when the caller speaks, whether the reflex acted, unreported samples.
    caller: Option<(u64, bool, u32)>,
}

impl Leg {
    fn new(
        queue: Arc<Queue>,
        record: Arc<Mutex<Record>>,
        events: mpsc::Sender<LegEvent>,
        script: &[Act],
    ) -> Self {
        Self {
            queue,
            record,
            events,
            script: script.to_vec(),
            at_ms: 0,
            chunks: VecDeque::new(),
            offset: 0,
            sounding: None,
            flushed_through: Epoch(0),
            paused: false,
            policy: None,
            listener: None,
            message: None,
            caller: None,
        }
    }

    async fn run(mut self) {
        let mut clock = tokio::time::interval(TICK);
        while !self.events.is_closed() {
            clock.tick().await;
            let commands = std::mem::take(&mut *self.queue.commands.lock().unwrap());
            commands.into_iter().for_each(|command| self.obey(command));
            self.hear();
            self.speak();
            self.at_ms += TICK_MS;
        }
    }

    fn report(&mut self, event: LegEvent) {
        self.record.lock().unwrap().events += 1;
        let _closed = self.events.try_send(event);
    }

    fn obey(&mut self, command: LegCommand) {
        match command {
            LegCommand::Play {
                bus: Bus::Speech,
                chunk,
            } if chunk.epoch > self.flushed_through => {
                self.chunks.push_back(chunk);
            }
            LegCommand::Flush {
                bus: Bus::Speech,
                through,
                ..
            } => {
                self.flushed_through = through;
                self.chunks.retain(|chunk| chunk.epoch > through);
                let cut = self.sounding.take_if(|(epoch, _)| *epoch <= through);
                if cut.is_some() {
                    self.offset = 0;
                }
                let played_ms = cut.map_or(0, |(_, played_ms)| played_ms);
                let cut = cut.map(|(epoch, _)| epoch);
                self.report(LegEvent::Flushed {
                    bus: Bus::Speech,
                    through,
                    cut,
                    played_ms,
                });
            }
            LegCommand::Pause(Bus::Speech) => self.paused = true,
            LegCommand::Resume(Bus::Speech) => self.paused = false,
            LegCommand::BargeIn(policy) => self.policy = policy,
            LegCommand::Listen(listener) => {
                self.record.lock().unwrap().listening = listener.is_some();
                self.listener = listener;
            }
            LegCommand::TakeMessage(ring) => self.message = ring,
            LegCommand::Loopback(on) => self.record.lock().unwrap().loopback = on,
            LegCommand::Loop { samples, .. } => self.record.lock().unwrap().loops.push(samples),
            _ => {}
        }
    }

    fn hear(&mut self) {
        let at_ms = self.at_ms;
        let voiced = self
            .script
            .iter()
            .any(|act| matches!(act, Act::Speaks(from, to) if (*from..*to).contains(&at_ms)));
        for act in self.script.clone() {
            match act {
                Act::Presses(when, symbol) if when == at_ms => {
                    self.report(LegEvent::Digit {
                        digit: Digit::from_char(symbol).unwrap(),
                        at_ms,
                    });
                }
                Act::Speaks(_, to) if at_ms == to + HANG_OVER_MS && self.caller.is_some() => {
                    self.report_heard();
                    self.caller = None;
                    self.report(LegEvent::SpeechStopped { at_ms: to });
                }
                Act::Sounds(when, kind) if when == at_ms => {
                    self.report(LegEvent::Tone(CallTone {
                        kind,
                        confidence: Confidence::CERTAIN,
                        at_ms,
                        duration_ms: 300,
                    }));
                }
                Act::Presses(..) | Act::Speaks(..) | Act::Sounds(..) => {}
            }
        }
        if let Some(message) = &mut self.message {
            for _ in 0..TICK_SAMPLES {
                let _full = message.push(if voiced { 500 } else { 0 });
            }
        }
        if voiced && self.caller.is_none() {
            self.caller = Some((at_ms, false, 0));
            self.report(LegEvent::SpeechStarted { at_ms });
        }
        let Some((since, acted, unreported)) = &mut self.caller else {
            return self.hear_quiet();
        };
        if let Some(listener) = &mut self.listener {
            // About as loud as a voice is.
            for n in 0..TICK_SAMPLES {
                let sample = if n % 16 < 8 { 3_000 } else { -3_000 };
                if listener.ring.push(sample).is_ok() {
                    *unreported += 1;
                }
            }
        }
        let batch = *unreported >= RATE_HZ / 10;
        let long_enough = self
            .policy
            .is_some_and(|policy| at_ms - *since >= u64::from(policy.min_speech_ms));
        let reflex = long_enough && !*acted && !self.paused;
        if let (true, Some((epoch, _))) = (reflex, self.sounding) {
            *acted = true;
            self.paused = true;
            self.report(LegEvent::BargeIn { epoch, at_ms });
        }
        if batch {
            self.report_heard();
        }
    }

    /// A listener of everything gets the quiet, too; each tick by itself.
    fn hear_quiet(&mut self) {
        let everything = |listener: &&mut Listener| listener.mode == ListenMode::Always;
        let mut samples = 0;
        if let Some(listener) = self.listener.as_mut().filter(everything) {
            for _ in 0..TICK_SAMPLES {
                samples += u32::from(listener.ring.push(0).is_ok());
            }
        }
        if samples > 0 {
            self.report(LegEvent::Heard { samples });
        }
    }

    fn report_heard(&mut self) {
        if let Some((_, _, unreported)) = &mut self.caller {
            let samples = std::mem::take(unreported);
            if samples > 0 {
                self.report(LegEvent::Heard { samples });
            }
        }
    }

    fn speak(&mut self) {
        let at_ms = self.at_ms;
        let mut sent = None;
        if !self.paused {
            let mut room = TICK_SAMPLES;
            while room > 0
                && let Some(chunk) = self.chunks.front().cloned()
            {
                if self.sounding.is_none_or(|(epoch, _)| epoch != chunk.epoch) {
                    // One utterance a frame: the next begins with the next frame.
                    if sent.is_some() {
                        break;
                    }
                    self.sounding = Some((chunk.epoch, 0));
                    self.report(LegEvent::Started {
                        epoch: chunk.epoch,
                        at_ms,
                    });
                }
                sent = Some(chunk.epoch);
                let taken = room.min(chunk.samples.len() - self.offset);
                self.offset += taken;
                room -= taken;
                if self.offset < chunk.samples.len() {
                    continue;
                }
                self.chunks.pop_front();
                self.offset = 0;
                if chunk.last {
                    self.sounding = None;
                    self.report(LegEvent::Drained {
                        epoch: chunk.epoch,
                        at_ms,
                    });
                }
            }
            if let Some((_, played_ms)) = &mut self.sounding
                && sent.is_some()
            {
                *played_ms += TICK_MS;
            }
        }
        self.record.lock().unwrap().sent.push(sent);
    }
}
