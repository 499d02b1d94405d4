//! A conversation that goes as dice fall.

use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::{Bus, Digit, Epoch, LegCommand, LegEvent};
use tokio::sync::oneshot;

use crate::agent_session::core::fixture::{
    Fixture, Like, MEANS, RATE_HZ, config, consent, phrase, samples,
};
use crate::agent_session::core::{Means, tests};
use crate::agent_session::digits::{CollectOptions, Collected};
use crate::agent_session::event::{CallbackKind, EndCause};
use crate::agent_session::facts::Direction;
use crate::agent_session::line::CallEvent;
use crate::agent_session::making::Step;
use crate::agent_session::message::{Command, NewMessageTaking};
use crate::agent_session::sounds::{Background, BackgroundOptions, SoundLoop};
use crate::agent_session::taking_message::{MessageOptions, MessageTaken};
use crate::agent_session::transfer::AgentInBridge;
use crate::agent_session::transfer::NewTransfer;
use crate::agent_session::utterance::{QueueMode, UtteranceHandle, UtteranceId};
use crate::agent_session::voicemail::{
    VoicemailAction, VoicemailMessage, VoicemailPolicy, VoicemailSettings,
};
use crate::agent_session::{
    InterruptionMode, InterruptionPolicy, Meanwhile, RecordPlan, ReplyPolicy, TransferMode,
    TransferOutcome, TransferRequest, TransferStep,
};
use crate::chat::ToolCall;
use crate::pii::Pii;
use crate::provider::{Audio, ProviderError, Recognition};
use crate::tool::{HandOff, Inherited};
use crate::voicemail::{FarEnd, VoicemailEvent};

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

pub(super) struct Conversation {
    pub(super) call: Fixture,
    dice: Dice,
    /// What befalls calls of ours whose answerer is found out; of its own, so that the others stay as they were.
    machine_dice: Option<Dice>,
    /// What befalls replies of a model, of its own as well.
    model_dice: Option<Dice>,
    /// Every reply that was ever made.
    replies: Vec<UtteranceId>,
    pub(super) handles: Vec<UtteranceHandle>,
    pub(super) collections: Vec<oneshot::Receiver<Collected>>,
    pub(super) transfers: Vec<oneshot::Receiver<TransferOutcome>>,
    pub(super) messages: Vec<oneshot::Receiver<MessageTaken>>,
    /// Callbacks that have not returned.
    pub(super) running: Vec<CallbackKind>,
    pub(super) seen_callbacks: usize,
}

impl Conversation {
    pub(super) fn new(seed: u64) -> Self {
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

    pub(super) fn step(&mut self) {
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
                63 if self.dice.one_in(3) => self
                    .call
                    .command(Command::Leave(EndCause::AgentHungUp.into())),
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
    pub(super) fn step_of_a_machine(&mut self) {
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
    pub(super) fn step_of_a_model(&mut self) {
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
}
