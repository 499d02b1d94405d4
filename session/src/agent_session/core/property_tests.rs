//! Random conversations: whatever comes in whatever order, a session keeps its promises.

use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::{Bus, Digit, Epoch, LegCommand, LegEvent};
use tokio::sync::oneshot;

use super::super::config::Direction;
use super::super::digits::{CollectOptions, Collected};
use super::super::event::{CallbackKind, EndCause, SessionEvent};
use super::super::line::{CallEvent, CallRequest};
use super::super::making::Step;
use super::super::message::{Command, NewMessageTaking};
use super::super::sounds::{Background, BackgroundOptions, SoundLoop};
use super::super::state::AgentState;
use super::super::taking_message::{MessageOptions, MessageTaken};
use super::super::transcript::{EntryKind, Speaker};
use super::super::transfer::AgentInBridge;
use super::super::transfer::NewTransfer;
use super::super::utterance::{Outcome, QueueMode, UtteranceHandle, UtteranceId};
use super::super::voicemail::{
    VoicemailAction, VoicemailMessage, VoicemailPolicy, VoicemailSettings,
};
use super::fixture::{Fixture, Like, MEANS, RATE_HZ, config, consent, phrase, samples};
use super::{Means, tests};
use crate::agent_session::{
    InterruptionMode, InterruptionPolicy, Meanwhile, RecordPlan, ReplyPolicy, TransferMode,
    TransferOutcome, TransferRequest, TransferStep,
};
use crate::chat::{ChatItem, ToolCall};
use crate::pii::Pii;
use crate::provider::{Audio, ProviderError, Recognition};
use crate::tool::{HandOff, Inherited};
use crate::voicemail::{FarEnd, VoicemailEvent};

/// What a caller is told who is recorded; said by the session, and so no part of the conversation.
const CONSENT: &str = "This call is recorded.";

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

fn any_action(dice: &mut Dice) -> VoicemailAction {
    match dice.below(4) {
        0 => VoicemailAction::HangUp,
        1 => VoicemailAction::Continue,
        _ => VoicemailAction::LeaveMessage(VoicemailMessage::text("Please call back. Thank you.")),
    }
}

/// A step in the making of a reply.
fn any_step(dice: &mut Dice) -> Step {
    let id = "1".to_owned();
    match dice.below(16) {
        0..=6 => {
            let texts = ["One ", "two. ", "Three. Four", " ", "five.\n"];
            Step::Text(texts[dice.below(5) as usize].to_owned())
        }
        7..=9 => Step::ToolsCalled(vec![ToolCall {
            id,
            name: "look_up".into(),
            arguments: Pii::new("{}".into()),
        }]),
        10 | 11 => Step::ToolDone {
            id,
            output: Pii::new("42".into()),
            is_error: dice.one_in(2),
        },
        12 if dice.one_in(4) => Step::HandedOff(hand_off()),
        13 => Step::Failed(ProviderError::Died("scripted".into())),
        _ => Step::Made,
    }
}

fn hand_off() -> HandOff {
    HandOff {
        agent: Arc::new(Like {
            answers_turns: true,
            instructions: "",
        }),
        name: "another".into(),
        context: Inherited::Whole,
    }
}

struct Conversation {
    call: Fixture,
    dice: Dice,
    /// What befalls calls of ours whose answerer is found out; of its own, so that the others stay as they were.
    machine_dice: Option<Dice>,
    /// What befalls replies of a model, of its own as well.
    model_dice: Option<Dice>,
    /// Every reply that was ever made.
    replies: Vec<UtteranceId>,
    handles: Vec<UtteranceHandle>,
    collections: Vec<oneshot::Receiver<Collected>>,
    transfers: Vec<oneshot::Receiver<TransferOutcome>>,
    messages: Vec<oneshot::Receiver<MessageTaken>>,
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
        config.record = match seed % 3 {
            0 => RecordPlan::Off,
            1 => RecordPlan::On,
            _ => consent(),
        };
        // Of the seed and not of the dice, so that what they say stays as it was.
        config.sounds.thinking = seed.is_multiple_of(2).then(|| {
            let audio = Audio {
                sample_rate_hz: RATE_HZ,
                samples: samples(100),
            };
            SoundLoop {
                audio,
                volume_db: -20.0,
            }
        });
        let machine_dice = (config.facts.direction == Direction::Outbound).then(|| {
            let mut dice = Dice(seed | 1);
            config.voicemail = Some(Arc::new(VoicemailSettings {
                max_decision: Duration::from_secs(20),
                policy: match dice.below(3) {
                    0 => VoicemailPolicy::Callback,
                    _ => VoicemailPolicy::Act(any_action(&mut dice)),
                },
                speak_while_detecting: dice.one_in(2),
            }));
            dice
        });
        let mut means = Means {
            has_recogniser: !dice.one_in(4),
            has_voice: !dice.one_in(8),
            ..MEANS
        };
        let model_dice = (seed % 5 < 3).then(|| {
            let mut dice = Dice(seed.rotate_left(17) | 1);
            means.has_model = !dice.one_in(8);
            means.has_turn_detector = dice.one_in(2);
            config.replies = Arc::new(ReplyPolicy {
                preemptive_generation: dice.one_in(2),
                ..ReplyPolicy::default()
            });
            dice
        });
        let agent = Like {
            answers_turns: model_dice.is_some(),
            instructions: "",
        };
        Self {
            call: Fixture::with_agent(config, means, &agent),
            dice,
            machine_dice,
            model_dice,
            replies: Vec::new(),
            handles: Vec::new(),
            collections: Vec::new(),
            transfers: Vec::new(),
            messages: Vec::new(),
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
                    sensitive: self.collections.len() % 2 == 1,
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
            31 => match self.dice.below(72) {
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
                25 => self.call.command(Command::PauseRecording(true)),
                26..=28 => self.call.command(Command::PauseRecording(false)),
                29 => self.call.call(CallEvent::RecordingPaused),
                30..=32 => self.call.call(CallEvent::RecordingResumed),
                33 => self.call.call(CallEvent::Succeeded),
                34..=37 => {
                    let on = self.dice.one_in(2);
                    self.call.command(Command::Thinking(on));
                }
                38..=40 => {
                    let options = BackgroundOptions {
                        looping: self.dice.one_in(2),
                        override_thinking: self.dice.one_in(2),
                        ..BackgroundOptions::default()
                    };
                    let samples = samples(100);
                    let background = self
                        .dice
                        .one_in(2)
                        .then_some(Background { samples, options });
                    self.call.command(Command::Background(background));
                }
                41 => self
                    .call
                    .call(CallEvent::Bridged(AgentInBridge::StandsAside)),
                42 => self.call.call(CallEvent::Bridged(AgentInBridge::Stays)),
                43..=50 => self.call.call(CallEvent::Parted),
                56..=58 => self.transfer(),
                59 | 60 => {
                    let step = [
                        TransferStep::Calling,
                        TransferStep::Ringing(180),
                        TransferStep::Answered,
                        TransferStep::Accepted,
                    ][self.dice.below(4) as usize];
                    self.call.call(CallEvent::Transfer(step));
                }
                61 | 62 => {
                    let outcome = TransferOutcome::Declined;
                    let over = TransferStep::Over(outcome);
                    self.call.call(CallEvent::Transfer(over));
                }
                63 if self.dice.one_in(3) => self.call.command(Command::Leave),
                64 if self.dice.one_in(3) => {
                    self.call.call(CallEvent::Bridged(AgentInBridge::Leaves));
                }
                66..=71 => {
                    let (reply, answer) = oneshot::channel();
                    let (ring, _) = rtrb::RingBuffer::new(8);
                    let options = MessageOptions::default();
                    self.call.command(Command::TakeMessage(NewMessageTaking {
                        options,
                        ring,
                        reply,
                    }));
                    self.messages.push(answer);
                }
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

    /// Of a call of ours: who answered is found out, and what that leads to goes on.
    fn step_of_a_machine(&mut self) {
        let Some(dice) = &mut self.machine_dice else {
            return;
        };
        let call = &mut self.call;
        match dice.below(16) {
            0..=3 => {
                const ALL: [FarEnd; 8] = [
                    FarEnd::Human,
                    FarEnd::MachineGreeting,
                    FarEnd::MachineGreeting,
                    FarEnd::MachineBeep,
                    FarEnd::CallScreening,
                    FarEnd::Ivr,
                    FarEnd::Fax,
                    FarEnd::Unknown,
                ];
                tests::voicemail::answered_by(call, ALL[dice.below(8) as usize]);
            }
            4 => tests::voicemail::tell(call, VoicemailEvent::Spot),
            5 | 6 => tests::voicemail::machine_records(call),
            7 => {
                call.spotting.clear();
                call.session.handle_spotted(Ok(Vec::new()), call.now);
                call.drain();
            }
            8 => {
                let mut running = self.running.iter();
                let asked = running.position(|kind| *kind == CallbackKind::Voicemail);
                if let Some(asked) = asked {
                    self.running.swap_remove(asked);
                    tests::voicemail::decides(call, any_action(dice));
                }
            }
            9 => {
                let at_ms = call.media_ms();
                call.leg(LegEvent::Live { at_ms });
            }
            _ => {}
        }
    }

    /// Replies are asked for, made, called off; a tool speaks; another agent takes over; the far end is sent elsewhere.
    fn step_of_a_model(&mut self) {
        let Some(dice) = &mut self.model_dice else {
            return;
        };
        let call = &mut self.call;
        for request in &call.generating {
            if !self.replies.contains(&request.reply) {
                self.replies.push(request.reply);
            }
        }
        let any = |dice: &mut Dice, replies: &[UtteranceId]| {
            let among = replies.len() as u64;
            (among > 0).then(|| replies[dice.below(among) as usize])
        };
        // Mostly one that is under way.
        let under_way: Vec<UtteranceId> = call
            .generating
            .iter()
            .map(|request| request.reply)
            .collect();
        let reply = match dice.below(6) {
            0 => any(dice, &self.replies),
            _ => any(dice, &under_way),
        };
        match dice.below(24) {
            0 => self
                .handles
                .push(call.reply(dice.one_in(2).then_some("Be kind."))),
            1..=9 => {
                if let Some(reply) = reply {
                    let step = any_step(dice);
                    let is_over = matches!(step, Step::Made | Step::Failed(_) | Step::HandedOff(_));
                    call.progress(reply, step);
                    // Whoever made it has ended.
                    call.generating
                        .retain(|request| !is_over || request.reply != reply);
                }
            }
            10 | 11 => {
                if let Some(reply) = reply {
                    self.handles.push(call.say_within(reply, "One. Two."));
                }
            }
            12 => {
                if let Some(words) = call.judging.pop_front() {
                    let verdict = match dice.below(4) {
                        0 => Err(ProviderError::Overloaded(1)),
                        likelihood => Ok(likelihood as f32 / 3.0),
                    };
                    call.session.handle_turn_judged(words, verdict, call.now);
                    call.drain();
                }
            }
            13 if dice.one_in(4) => call.command(Command::HandOff {
                to: hand_off(),
                reply: oneshot::channel().0,
            }),
            14 if dice.one_in(3) => {
                let (answer, outcome) = oneshot::channel();
                call.command(Command::Transfer(NewTransfer {
                    request: TransferRequest::to("tel:+49"),
                    reply: answer,
                }));
                self.transfers.push(outcome);
            }
            15 => {
                let step = match dice.below(4) {
                    0 => TransferStep::Accepted,
                    1 => TransferStep::Ringing(180),
                    2 => TransferStep::Over(TransferOutcome::TimedOut),
                    _ => TransferStep::Over(TransferOutcome::Rejected(603)),
                };
                call.call(CallEvent::Transfer(step));
            }
            16 if dice.one_in(4) => {
                call.command(Command::SetInstructions("Be brief.".to_owned()));
            }
            _ => {}
        }
    }

    fn transfer(&mut self) {
        let (reply, outcome) = oneshot::channel();
        let mut request = TransferRequest::by(TransferMode::Bridge, "sip:desk@example.net");
        request.second_leg.meanwhile =
            [Meanwhile::Music, Meanwhile::Ringing, Meanwhile::Agent][self.dice.below(3) as usize];
        self.call
            .command(Command::Transfer(NewTransfer { request, reply }));
        self.transfers.push(outcome);
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
                "seed {seed}: {:?}",
                self.call.events.iter().rev().take(4).collect::<Vec<_>>()
            );
        }
        self.check_context(seed);
        tests::recording::check_promises(&self.call, seed);
        tests::voicemail::check_promises(&self.call, seed);
        let closed = self
            .call
            .events
            .iter()
            .filter(|event| matches!(event, SessionEvent::Closed { .. }));
        assert!(closed.count() <= 1, "seed {seed}");
        assert!(
            hang_ups(&self.call) <= 1,
            "seed {seed}: the call was ended twice"
        );
    }

    /// The chat context holds what the caller heard, all of it and nothing else, as the transcript does.
    fn check_context(&self, seed: u64) {
        let session = &self.call.session;
        if session.closed().is_none() && !seed.is_multiple_of(16) {
            return;
        }
        let mut told: Vec<&str> = session
            .replies
            .context
            .items()
            .filter_map(|item| match item {
                ChatItem::Assistant { text, .. } => Some(text.expose().as_str()),
                _ => None,
            })
            .collect();
        let lines = session.transcript.entries().iter();
        let mut heard: Vec<&str> = lines
            .filter(|line| line.who == Speaker::Agent && line.kind != EntryKind::Digits)
            .map(|line| line.text.expose().as_str())
            .filter(|text| !CONSENT.starts_with(text))
            .collect();
        told.sort_unstable();
        heard.sort_unstable();
        assert_eq!(told, heard, "seed {seed}");
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
        for transfer in &mut self.transfers {
            let outcome = transfer.try_recv();
            assert!(
                !matches!(outcome, Err(oneshot::error::TryRecvError::Empty)),
                "seed {seed}: a transfer hangs"
            );
        }
        assert!(
            self.call.generating.is_empty(),
            "seed {seed}: a reply is still made"
        );
        for message in &mut self.messages {
            let over = message.try_recv();
            assert!(
                !matches!(over, Err(oneshot::error::TryRecvError::Empty)),
                "seed {seed}: a message hangs"
            );
        }
        self.check_states(seed);
        self.call.check_sounds(seed);
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
    sounds: usize,
    verdicts: usize,
    messages: usize,
    tools: usize,
    hand_offs: usize,
    measured: usize,
}

/// How often the call was asked to end.
fn hang_ups(call: &Fixture) -> usize {
    let requests = call.requests.iter();
    requests
        .filter(|request| matches!(request, CallRequest::HangUp { .. }))
        .count()
}

impl Reached {
    fn count(&mut self, call: &Fixture) {
        for event in &call.events {
            match event {
                SessionEvent::UtteranceDone {
                    id: UtteranceId::VOICEMAIL_MESSAGE,
                    ..
                } => self.messages += 1,
                SessionEvent::UtteranceDone { outcome, .. } => match outcome {
                    Outcome::Completed => self.completed += 1,
                    Outcome::Interrupted { .. } => self.interrupted += 1,
                    Outcome::Failed(_) => self.failed += 1,
                },
                SessionEvent::UserTurn { .. } => self.turns += 1,
                SessionEvent::ToolCalled { .. } => self.tools += 1,
                SessionEvent::HandedOff { .. } => self.hand_offs += 1,
                SessionEvent::TurnMetrics { .. } => self.measured += 1,
                SessionEvent::Answerer { .. } => self.verdicts += 1,
                SessionEvent::FalseInterruption { .. } => self.false_interruptions += 1,
                SessionEvent::BackchannelDetected { .. } => self.backchannels += 1,
                SessionEvent::AgentStateChanged { .. }
                | SessionEvent::UserStateChanged { .. }
                | SessionEvent::AgentStarted { .. }
                | SessionEvent::Digit { .. }
                | SessionEvent::Tone { .. }
                | SessionEvent::Transfer { .. }
                | SessionEvent::RecordingChanged { .. }
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
        self.hang_ups += hang_ups(call);
        let sounds = call.leg.iter().filter(
            |command| matches!(command, LegCommand::Loop { bus, .. } if *bus == Bus::Thinking),
        );
        self.sounds += sounds.count();
    }

    fn and(self, other: Self) -> Self {
        Self {
            completed: self.completed + other.completed,
            interrupted: self.interrupted + other.interrupted,
            failed: self.failed + other.failed,
            turns: self.turns + other.turns,
            false_interruptions: self.false_interruptions + other.false_interruptions,
            backchannels: self.backchannels + other.backchannels,
            wake_ups: self.wake_ups + other.wake_ups,
            hang_ups: self.hang_ups + other.hang_ups,
            sounds: self.sounds + other.sounds,
            verdicts: self.verdicts + other.verdicts,
            messages: self.messages + other.messages,
            tools: self.tools + other.tools,
            hand_offs: self.hand_offs + other.hand_offs,
            measured: self.measured + other.measured,
        }
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
            self.sounds,
            self.verdicts,
            self.messages,
            self.tools,
            self.hand_offs,
            self.measured,
        ];
        all.into_iter().min().unwrap_or(0)
    }
}

#[test]
fn a_million_random_steps_break_no_promise() {
    const STEPS: usize = 1_000_000;
    const AT_ONCE: usize = 4;
    let some = |first: usize| {
        let mut reached = Reached::default();
        let mut steps = 0;
        let mut seeds = (first as u64..).step_by(AT_ONCE);
        while steps < STEPS / AT_ONCE {
            let seed = seeds.next().expect("there are enough");
            let mut conversation = Conversation::new(seed);
            // A few more steps when it is over: nothing may follow.
            let mut left = 400;
            while left > 0 {
                conversation.step();
                conversation.step_of_a_machine();
                conversation.step_of_a_model();
                conversation.check(seed);
                if conversation.call.session.closed().is_some() {
                    left = left.min(20);
                }
                left -= 1;
                steps += 1;
            }
            conversation.end(seed, &mut reached);
        }
        reached
    };
    let reached = std::thread::scope(|scope| {
        let parts: Vec<_> = (1..=AT_ONCE)
            .map(|first| scope.spawn(move || some(first)))
            .collect();
        let parts = parts.into_iter().map(|part| part.join().expect("no panic"));
        parts.fold(Reached::default(), Reached::and)
    });
    println!("{reached:?}");
    assert!(reached.least() >= 150, "{reached:?}");
}

/// While the call is up and nobody does anything more, everything comes to rest by itself.
#[test]
fn left_alone_every_conversation_comes_to_rest() {
    for seed in 1..=200 {
        let mut conversation = Conversation::new(seed);
        for _ in 0..150 {
            conversation.step();
            conversation.step_of_a_machine();
            conversation.step_of_a_model();
        }
        // Nobody wakes anybody up, the agent's callbacks return, providers answer.
        conversation.call.command(Command::SetWakeUp(None));
        conversation.call.call(CallEvent::Resumed);
        conversation.call.call(CallEvent::Parted);
        let over = TransferStep::Over(TransferOutcome::TimedOut);
        conversation.call.call(CallEvent::Transfer(over));
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
            let made: Vec<UtteranceId> = conversation
                .call
                .generating
                .drain(..)
                .map(|request| request.reply)
                .collect();
            for reply in made {
                let step = Step::Made;
                conversation.call.progress(reply, step);
            }
            let step = TransferStep::Over(TransferOutcome::TimedOut);
            conversation.call.call(CallEvent::Transfer(step));
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
