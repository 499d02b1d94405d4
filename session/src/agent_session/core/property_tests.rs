//! Random conversations: whatever comes in whatever order, a session keeps its promises.

use std::time::Duration;

use offhook_media::control::{Bus, Digit, Epoch, LegCommand, LegEvent};
use tokio::sync::oneshot;

use super::super::config::Direction;
use super::super::digits::{CollectOptions, Collected};
use super::super::event::{CallbackKind, EndCause, SessionEvent};
use super::super::line::CallEvent;
use super::super::message::Command;
use super::super::state::AgentState;
use super::super::utterance::{Outcome, QueueMode, UtteranceHandle};
use super::Means;
use super::fixture::{Fixture, MEANS, config, phrase, samples};
use crate::agent_session::{InterruptionMode, InterruptionPolicy};
use crate::provider::{ProviderError, Recognition};

/// A small generator of our own, so that a seed means the same for ever (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

struct Conversation {
    call: Fixture,
    dice: Dice,
    handles: Vec<UtteranceHandle>,
    collections: Vec<oneshot::Receiver<Collected>>,
    /// Callbacks that have not returned.
    running: Vec<CallbackKind>,
    seen_callbacks: usize,
}

impl Conversation {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut config = config();
        if dice.one_in(3) {
            config.facts.direction = Direction::Outbound;
        }
        config.wake_up = dice.one_in(2).then_some(Duration::from_secs(8));
        config.max_duration = dice.one_in(4).then_some(Duration::from_secs(120));
        config.accept_input_during_enter = dice.one_in(2);
        let modes = [
            InterruptionMode::Vad,
            InterruptionMode::Stt,
            InterruptionMode::Off,
            // The default, and the one with most to go wrong: half of all.
            InterruptionMode::Hybrid,
        ];
        config.interruption = InterruptionPolicy {
            mode: modes[(dice.below(6) as usize).min(3)],
            resume_on_false_interrupt: !dice.one_in(4),
            ..InterruptionPolicy::default()
        }
        .into();
        let means = Means {
            has_recogniser: !dice.one_in(4),
            has_voice: !dice.one_in(8),
            ..MEANS
        };
        Self {
            call: Fixture::new(config, means),
            dice,
            handles: Vec::new(),
            collections: Vec::new(),
            running: Vec::new(),
            seen_callbacks: 0,
        }
    }

    /// An epoch that exists, mostly.
    fn epoch(&mut self) -> Epoch {
        let newest = self
            .call
            .leg
            .iter()
            .rev()
            .find_map(|command| match command {
                LegCommand::Play {
                    bus: Bus::Speech,
                    chunk,
                } => Some(chunk.epoch.0),
                _ => None,
            });
        let newest = newest.unwrap_or(0);
        if self.dice.one_in(5) {
            Epoch(self.dice.below(newest + 3))
        } else {
            Epoch(newest)
        }
    }

    fn step(&mut self) {
        let at_ms = self.call.media_ms().saturating_sub(self.dice.below(400));
        match self.dice.below(37) {
            0 => self.call.call(CallEvent::Answered),
            1 => self.call.call(CallEvent::Confirmed),
            2 => self.call.leg(LegEvent::Live { at_ms }),
            3..=5 => {
                let text = [
                    "One.",
                    "One. Two. Three.",
                    "",
                    "A rather long sentence without an end",
                ][self.dice.below(4) as usize];
                let queue = if self.dice.one_in(2) {
                    QueueMode::After
                } else {
                    QueueMode::Replace
                };
                let interruptible = !self.dice.one_in(4);
                self.handles
                    .push(self.call.say_with(text, queue, interruptible));
            }
            6..=9 => {
                if let Some((utterance, sentence, _)) = self.call.preparing.pop_front() {
                    let result = if self.dice.one_in(6) {
                        Err(ProviderError::Overloaded(1))
                    } else {
                        Ok(samples(self.dice.below(1_500) as usize))
                    };
                    self.call
                        .session
                        .handle_prepared(utterance, sentence, result, self.call.now);
                    self.call.drain();
                }
            }
            10..=12 => {
                let epoch = self.epoch();
                self.call.started(epoch);
            }
            13..=14 => {
                let epoch = self.epoch();
                self.call.drained(epoch);
            }
            15 => {
                let (epoch, cut) = (self.epoch(), self.epoch());
                let cut = (!self.dice.one_in(3)).then_some(cut);
                let played_ms = self.dice.below(3_000);
                self.call.leg(LegEvent::Flushed {
                    bus: Bus::Speech,
                    through: epoch,
                    cut,
                    played_ms,
                });
            }
            16 => {
                let epoch = self.epoch();
                if self.dice.one_in(4) {
                    self.call.leg(LegEvent::Refused {
                        bus: Bus::Speech,
                        epoch,
                    });
                }
            }
            17..=18 => self.call.leg(LegEvent::SpeechStarted { at_ms }),
            19..=20 => {
                self.call.voice(400);
                self.call.leg(LegEvent::SpeechStopped { at_ms });
            }
            21 => {
                let epoch = self.epoch();
                self.call.barge_in(epoch);
            }
            22 => {
                let event = u8::try_from(self.dice.below(16)).expect("below sixteen");
                let digit = Digit::from_event(event).expect("below sixteen");
                self.call.leg(LegEvent::Digit { digit, at_ms });
            }
            23..=24 => {
                if !self.call.recognising.is_empty() {
                    let result = match self.dice.below(5) {
                        0 => Err(ProviderError::TimedOut(Duration::from_secs(5))),
                        1 => Ok(Recognition::OutOfGrammar),
                        2 => phrase("mm-hm"),
                        3 => phrase("stop"),
                        _ => phrase("opening hours"),
                    };
                    self.call.recognised(result);
                }
            }
            25..=27 => {
                if !self.running.is_empty() {
                    let at = self.dice.below(self.running.len() as u64) as usize;
                    let kind = self.running.swap_remove(at);
                    let result = if self.dice.one_in(8) {
                        Err("scripted".into())
                    } else {
                        Ok(())
                    };
                    self.call
                        .session
                        .handle_callback(kind, result, self.call.now);
                    self.call.drain();
                }
            }
            28 => self.call.expect(&["opening hours", "sales"]),
            29 => {
                let (reply, answer) = oneshot::channel();
                let options = CollectOptions {
                    max: 3,
                    ..CollectOptions::default()
                };
                let after = self.handles.last().map(UtteranceHandle::id);
                self.call.command(Command::Collect {
                    options,
                    after,
                    reply,
                });
                self.collections.push(answer);
            }
            30 => {
                let force = self.dice.one_in(3);
                let (reply, _answer) = oneshot::channel();
                self.call.command(Command::Interrupt { force, reply });
            }
            31 => match self.dice.below(40) {
                0 => self.call.hang_up(false),
                1 | 2 => self.call.hang_up(true),
                3 => self.call.command(Command::Close),
                4 => self.call.call(CallEvent::Ended {
                    reason: EndCause::FarEndHungUp.into(),
                }),
                5 => self.call.leg(LegEvent::Silent { at_ms }),
                6 => self.call.session.handle_leg_gone(self.call.now),
                7 => self.call.call(CallEvent::Held),
                8..=18 => self.call.call(CallEvent::Resumed),
                19..=24 => self.call.command(Command::Expect(None)),
                _ => self
                    .call
                    .command(Command::SetWakeUp(Some(Duration::from_secs(3)))),
            },
            32 => self.talk_over(),
            33 => self.fall_silent(),
            _ => {
                let ms = self.dice.below(2_000);
                self.call.pass_ms(ms);
            }
        }
        let started = &self.call.callbacks[self.seen_callbacks..];
        self.running.extend_from_slice(started);
        self.seen_callbacks = self.call.callbacks.len();
    }

    /// The caller speaks long enough for the reflex, over something that plays, and may be understood.
    fn talk_over(&mut self) {
        self.call.expect(&["opening hours", "sales"]);
        self.handles.push(self.call.say("One. Two. Three."));
        while !self.call.preparing.is_empty() {
            self.call.prepared(1_000);
        }
        let epoch = self.epoch();
        self.call.started(epoch);
        let at_ms = self.call.media_ms();
        self.call.leg(LegEvent::SpeechStarted { at_ms });
        self.call.pass_ms(500);
        let epoch = self.epoch();
        self.call.barge_in(epoch);
        self.call.voice(400);
        let at_ms = self.call.media_ms();
        self.call.leg(LegEvent::SpeechStopped { at_ms });
    }

    /// Everything under way comes to its end, and nobody says anything for a while.
    fn fall_silent(&mut self) {
        while !self.call.preparing.is_empty() {
            self.call.prepared(200);
        }
        for _ in 0..3 {
            let epoch = self.epoch();
            self.call.started(epoch);
            self.call.drained(epoch);
        }
        while !self.call.recognising.is_empty() {
            self.call.recognised(Ok(Recognition::OutOfGrammar));
        }
        for kind in std::mem::take(&mut self.running) {
            self.call.returned(kind);
        }
        self.call.pass_ms(12_000);
    }

    fn check(&self, seed: u64) {
        let session = &self.call.session;
        assert_eq!(
            session.refused_transitions, 0,
            "seed {seed}: an illegal transition"
        );
        let deadline = session.poll_timeout();
        assert!(
            deadline.is_none_or(|at| at >= self.call.began),
            "seed {seed}: a deadline before the call"
        );
        if session.closed().is_some() {
            assert_eq!(deadline, None, "seed {seed}: a timer is left");
            assert!(
                matches!(self.call.events.last(), Some(SessionEvent::Closed { .. })),
                "seed {seed}"
            );
        }
        let closed = self
            .call
            .events
            .iter()
            .filter(|event| matches!(event, SessionEvent::Closed { .. }));
        assert!(closed.count() <= 1, "seed {seed}");
        assert!(
            self.call.requests.len() <= 1,
            "seed {seed}: the call was ended twice"
        );
    }

    /// Hangs up and sees everything resolved.
    fn end(mut self, seed: u64, reached: &mut Reached) {
        self.call.call(CallEvent::Ended {
            reason: EndCause::FarEndHungUp.into(),
        });
        self.call.pass_ms(5_000);
        self.check(seed);
        assert!(
            self.call.session.closed().is_some(),
            "seed {seed}: still open"
        );
        for handle in &self.handles {
            assert!(
                handle.done(),
                "seed {seed}: {:?} never resolved",
                handle.id()
            );
        }
        for collection in &mut self.collections {
            let cancelled = collection.try_recv();
            assert!(
                !matches!(cancelled, Err(oneshot::error::TryRecvError::Empty)),
                "seed {seed}: a collection hangs"
            );
        }
        self.check_states(seed);
        reached.count(&self.call);
    }

    /// What the events say of the agent's state is one unbroken chain.
    fn check_states(&self, seed: u64) {
        let mut known: Option<AgentState> = None;
        for event in &self.call.events {
            if let SessionEvent::AgentStateChanged {
                state, previous, ..
            } = event
            {
                assert_eq!(*previous, known, "seed {seed}");
                assert_ne!(
                    Some(*state),
                    known,
                    "seed {seed}: a change to the same state"
                );
                known = Some(*state);
            }
        }
        assert_eq!(known, Some(AgentState::Closed), "seed {seed}");
        let agents = self.call.agent_states();
        let closing = agents
            .iter()
            .position(|state| *state == AgentState::Closing);
        assert_eq!(
            closing,
            Some(agents.len() - 2),
            "seed {seed}: something follows Closing"
        );
    }
}

/// What happened over all conversations, so that the test is known to go where it matters.
#[derive(Debug, Default)]
struct Reached {
    completed: usize,
    interrupted: usize,
    failed: usize,
    turns: usize,
    false_interruptions: usize,
    backchannels: usize,
    wake_ups: usize,
    hang_ups: usize,
}

impl Reached {
    fn count(&mut self, call: &Fixture) {
        for event in &call.events {
            match event {
                SessionEvent::UtteranceDone { outcome, .. } => match outcome {
                    Outcome::Completed => self.completed += 1,
                    Outcome::Interrupted { .. } => self.interrupted += 1,
                    Outcome::Failed(_) => self.failed += 1,
                },
                SessionEvent::UserTurn { .. } => self.turns += 1,
                SessionEvent::FalseInterruption { .. } => self.false_interruptions += 1,
                SessionEvent::BackchannelDetected { .. } => self.backchannels += 1,
                SessionEvent::AgentStateChanged { .. }
                | SessionEvent::UserStateChanged { .. }
                | SessionEvent::AgentStarted { .. }
                | SessionEvent::Digit { .. }
                | SessionEvent::CallbackFailed { .. }
                | SessionEvent::ProviderFailed { .. }
                | SessionEvent::Closed { .. } => {}
            }
        }
        let wakes = call
            .callbacks
            .iter()
            .filter(|kind| **kind == CallbackKind::WakeUp);
        self.wake_ups += wakes.count();
        self.hang_ups += call.requests.len();
    }

    fn least(&self) -> usize {
        let all = [
            self.completed,
            self.interrupted,
            self.failed,
            self.turns,
            self.false_interruptions,
            self.backchannels,
            self.wake_ups,
            self.hang_ups,
        ];
        all.into_iter().min().unwrap_or(0)
    }
}

#[test]
fn two_hundred_thousand_random_steps_break_no_promise() {
    let mut reached = Reached::default();
    for seed in 1..=500 {
        let mut conversation = Conversation::new(seed);
        for _ in 0..400 {
            conversation.step();
            conversation.check(seed);
        }
        conversation.end(seed, &mut reached);
    }
    println!("{reached:?}");
    assert!(reached.least() >= 40, "{reached:?}");
}

/// While the call is up and nobody does anything more, everything comes to rest by itself.
#[test]
fn left_alone_every_conversation_comes_to_rest() {
    for seed in 1..=200 {
        let mut conversation = Conversation::new(seed);
        for _ in 0..150 {
            conversation.step();
        }
        // Nobody wakes anybody up, the agent's callbacks return, providers answer.
        conversation.call.command(Command::SetWakeUp(None));
        conversation.call.call(CallEvent::Resumed);
        for _ in 0..40 {
            conversation.call.pass_ms(10_000);
            while let Some((utterance, sentence, _)) = conversation.call.preparing.pop_front() {
                let call = &mut conversation.call;
                call.session
                    .handle_prepared(utterance, sentence, Ok(samples(100)), call.now);
                call.drain();
            }
            while !conversation.call.recognising.is_empty() {
                conversation.call.recognised(Ok(Recognition::OutOfGrammar));
            }
            let started = conversation.call.callbacks[conversation.seen_callbacks..].to_vec();
            conversation.seen_callbacks = conversation.call.callbacks.len();
            conversation.running.extend(started);
            for kind in std::mem::take(&mut conversation.running) {
                conversation.call.returned(kind);
            }
            let at_ms = conversation.call.media_ms();
            conversation.call.leg(LegEvent::SpeechStopped { at_ms });
        }
        conversation.check(seed);
        let handles = conversation
            .handles
            .iter()
            .filter(|handle| !handle.done())
            .count();
        let waiting = conversation.call.states().0 == AgentState::Starting;
        assert!(
            handles == 0 || waiting,
            "seed {seed}: {handles} handles hang"
        );
        let over = conversation.call.session.closed().is_some();
        assert!(
            over || !conversation.call.bus_is_held,
            "seed {seed}: the bus stays held"
        );
        let state = conversation.call.states().0;
        assert!(
            matches!(
                state,
                AgentState::Starting | AgentState::Idle | AgentState::Closed
            ),
            "seed {seed}: rests in {state:?}"
        );
    }
}
