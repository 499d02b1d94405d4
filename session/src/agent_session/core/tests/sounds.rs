//! The background and the sound of thinking.

use super::super::fixture::{RATE_HZ, samples};
use super::*;

use crate::provider::Audio;

const THINKING_DB: f32 = -18.0;

pub(super) fn sound(volume_db: f32) -> SoundLoop {
    SoundLoop {
        audio: Audio {
            sample_rate_hz: RATE_HZ,
            samples: samples(1_000),
        },
        volume_db,
    }
}

/// An agent that is heard thinking, and has entered.
fn thinker() -> Fixture {
    let mut config = config();
    config.sounds.thinking = Some(sound(THINKING_DB));
    let mut call = Fixture::entered(config);
    call.expect(&["sales"]);
    call
}

fn background(options: BackgroundOptions) -> Command {
    Command::Background(Some(Background {
        samples: samples(1_000),
        options,
    }))
}

impl Fixture {
    /// The caller's turn is over and the agent's callback for it runs.
    fn think(&mut self) {
        self.caller_says(600);
        self.recognised(phrase("sales"));
        self.pass_until_thinking();
    }

    fn pass_until_thinking(&mut self) {
        while self.states().0 != A::Thinking {
            self.pass_ms(10);
        }
    }

    /// What went to a bus, in order: `+` for a beginning, `-` for a flush, with the epoch.
    fn bus(&self, wanted: Bus) -> Vec<(char, Epoch)> {
        let steps = self.leg.iter().filter_map(|command| match command {
            LegCommand::Loop { bus, epoch, .. } if *bus == wanted => Some(('+', *epoch)),
            LegCommand::Play { bus, chunk } if *bus == wanted => Some(('+', chunk.epoch)),
            LegCommand::Flush { bus, through, .. } if *bus == wanted => Some(('-', *through)),
            _ => None,
        });
        steps.collect()
    }

    pub(super) fn begins_and_ends(&self, bus: Bus) -> String {
        self.bus(bus).into_iter().map(|(what, _)| what).collect()
    }

    fn gain(&self, wanted: Bus) -> Option<f32> {
        self.leg.iter().rev().find_map(|command| match command {
            LegCommand::Gain { bus, decibels } if *bus == wanted => Some(*decibels),
            _ => None,
        })
    }
}

#[test]
fn a_configured_background_plays_from_the_gate_on_and_to_the_end() {
    let mut config = config();
    config.sounds.background = Some(sound(-20.0));
    let mut call = Fixture::new(config, MEANS);
    call.call(CallEvent::Answered);
    assert_eq!(call.begins_and_ends(Bus::Background), "");
    call.call(CallEvent::Confirmed);
    assert_eq!(call.begins_and_ends(Bus::Background), "+");
    assert_eq!(call.gain(Bus::Background), Some(-20.0));
    call.returned(CallbackKind::Enter);
    let (_, background) = call.bus(Bus::Background)[0];
    call.started(background);
    assert_eq!(call.states().0, A::Idle, "a background is no speech");
    call.hang_up(false);
    assert_eq!(call.begins_and_ends(Bus::Background), "+");
    call.returned(CallbackKind::Exit);
    assert_eq!(call.begins_and_ends(Bus::Background), "+-");
}

#[test]
fn pause_and_interruption_touch_the_speech_bus_only() {
    let mut config = config();
    config.sounds.background = Some(sound(-20.0));
    let mut call = Fixture::entered(config);
    call.expect(&["sales"]);
    let (_, epoch) = call.speak("A very long text.", 5_000);
    call.speech_starts();
    call.pass_ms(600);
    call.barge_in(epoch);
    assert!(call.interrupt(true));
    assert_eq!(call.flushes(), [epoch]);
    assert_eq!(call.begins_and_ends(Bus::Background), "+");
    let touched = call
        .leg
        .iter()
        .any(|command| matches!(command, LegCommand::Pause(_)));
    assert!(!touched);
}

#[test]
fn a_second_background_replaces_the_first() {
    let mut call = Fixture::entered(config());
    call.command(background(BackgroundOptions::default()));
    call.command(background(BackgroundOptions::default()));
    // A loop takes the place of what plays by itself, and its epoch is newer.
    let steps = call.bus(Bus::Background);
    assert!(matches!(steps[..], [('+', first), ('+', second)] if second > first));
    let once = BackgroundOptions {
        looping: false,
        ..BackgroundOptions::default()
    };
    call.command(background(once));
    let steps = call.bus(Bus::Background);
    assert!(matches!(steps[1..], [('+', loops), ('-', cut), ('+', _)] if loops == cut));
    call.command(Command::Background(None));
    assert_eq!(call.begins_and_ends(Bus::Background), "++-+-");
}

#[test]
fn a_background_that_does_not_repeat_is_over_at_its_end() {
    let mut call = Fixture::entered(config());
    let once = BackgroundOptions {
        looping: false,
        ..BackgroundOptions::default()
    };
    call.command(background(once));
    let (_, epoch) = call.bus(Bus::Background)[0];
    call.started(epoch);
    call.drained(epoch);
    call.command(Command::Background(None));
    assert_eq!(call.begins_and_ends(Bus::Background), "+");
    assert_eq!(call.agent_states(), [A::Starting, A::Idle]);
}

#[test]
fn thinking_is_heard_when_it_lasts_over_300_ms_and_until_the_first_frame_of_speech() {
    let mut call = thinker();
    call.think();
    call.pass_ms(290);
    assert_eq!(call.begins_and_ends(Bus::Thinking), "");
    call.pass_ms(20);
    assert_eq!(call.begins_and_ends(Bus::Thinking), "+");
    assert_eq!(call.gain(Bus::Thinking), Some(THINKING_DB));
    let (_, sound) = call.bus(Bus::Thinking)[0];
    call.started(sound);
    assert_eq!(call.states().0, A::Thinking, "its sound is no speech");
    call.say("Sales it is.");
    call.returned(CallbackKind::UserTurn);
    call.pass_ms(100);
    assert_eq!(call.begins_and_ends(Bus::Thinking), "+");
    call.prepared(500);
    let epoch = call.last_epoch();
    call.started(epoch);
    assert_eq!(call.bus(Bus::Thinking), [('+', sound), ('-', sound)]);
    call.pass_ms(400);
    assert_eq!(call.begins_and_ends(Bus::Thinking), "+-");
}

#[test]
fn a_quick_answer_is_not_preceded_by_a_sound() {
    let mut call = thinker();
    call.think();
    call.say("Sales it is.");
    call.returned(CallbackKind::UserTurn);
    call.prepared(500);
    call.pass_ms(250);
    let epoch = call.last_epoch();
    call.started(epoch);
    call.pass_ms(1_000);
    assert_eq!(call.begins_and_ends(Bus::Thinking), "");
}

#[test]
fn the_sound_of_thinking_goes_on_from_one_callback_to_the_next() {
    let mut call = thinker();
    call.think();
    call.pass_ms(310);
    // The caller says more while the agent thinks: that turn's callback follows the first.
    call.caller_says(600);
    call.recognised(phrase("sales"));
    call.pass_ms(2_000);
    assert_eq!(
        call.callbacks
            .iter()
            .filter(|kind| **kind == CallbackKind::UserTurn)
            .count(),
        1
    );
    call.returned(CallbackKind::UserTurn);
    call.pass_ms(2_000);
    assert_eq!(
        call.callbacks
            .iter()
            .filter(|kind| **kind == CallbackKind::UserTurn)
            .count(),
        2
    );
    assert_eq!(call.begins_and_ends(Bus::Thinking), "+");
    call.returned(CallbackKind::UserTurn);
    assert_eq!(call.states().0, A::Idle);
    assert_eq!(call.begins_and_ends(Bus::Thinking), "+-");
}

#[test]
fn thinking_can_be_heard_and_silenced_by_request() {
    let mut call = thinker();
    call.command(Command::Thinking(true));
    call.command(Command::Thinking(true));
    call.pass_ms(1_000);
    assert_eq!(call.begins_and_ends(Bus::Thinking), "+");
    call.command(Command::Thinking(false));
    assert_eq!(call.begins_and_ends(Bus::Thinking), "+-");
    // Not wanted while it thinks: it stays away for as long as that lasts.
    call.think();
    call.pass_ms(200);
    call.command(Command::Thinking(false));
    call.pass_ms(2_000);
    assert_eq!(call.begins_and_ends(Bus::Thinking), "+-");
    call.returned(CallbackKind::UserTurn);
    call.think();
    call.pass_ms(310);
    assert_eq!(call.begins_and_ends(Bus::Thinking), "+-+");
}

#[test]
fn what_was_asked_for_before_the_gate_is_heard_from_there_on() {
    let mut config = config();
    config.sounds.thinking = Some(sound(THINKING_DB));
    let mut call = Fixture::new(config, MEANS);
    call.command(Command::Thinking(true));
    call.call(CallEvent::Answered);
    assert_eq!(call.begins_and_ends(Bus::Thinking), "");
    call.call(CallEvent::Confirmed);
    assert_eq!(call.begins_and_ends(Bus::Thinking), "+");
}

#[test]
fn a_background_may_override_the_sound_of_thinking_until_it_stops() {
    let overriding = BackgroundOptions {
        override_thinking: true,
        ..BackgroundOptions::default()
    };
    let mut call = thinker();
    call.command(background(overriding));
    call.think();
    call.pass_ms(310);
    assert_eq!(call.begins_and_ends(Bus::Thinking), "+");
    assert_eq!(call.gain(Bus::Thinking), Some(-60.0));
    call.command(Command::Background(None));
    assert_eq!(call.gain(Bus::Thinking), Some(THINKING_DB));
    // One that does not repeat stops by itself.
    call.command(background(BackgroundOptions {
        looping: false,
        ..overriding
    }));
    assert_eq!(call.gain(Bus::Thinking), Some(-60.0));
    let (_, epoch) = *call.bus(Bus::Background).last().expect("a background");
    call.drained(epoch);
    assert_eq!(call.gain(Bus::Thinking), Some(THINKING_DB));
    assert_eq!(call.begins_and_ends(Bus::Thinking), "+");
}

#[test]
fn the_sound_of_thinking_can_be_exchanged() {
    let mut call = thinker();
    call.think();
    call.pass_ms(310);
    let louder = Thinking {
        samples: samples(500),
        volume_db: -3.0,
    };
    call.command(Command::SetThinking(Some(louder)));
    assert_eq!(call.begins_and_ends(Bus::Thinking), "++");
    assert_eq!(call.gain(Bus::Thinking), Some(-3.0));
    call.command(Command::SetThinking(None));
    assert_eq!(call.begins_and_ends(Bus::Thinking), "++-");
}

#[test]
fn an_agent_without_a_sound_thinks_in_silence() {
    let mut call = Fixture::listening(&["sales"]);
    call.command(Command::Thinking(true));
    call.think();
    call.pass_ms(2_000);
    assert_eq!(call.begins_and_ends(Bus::Thinking), "");
}

#[test]
fn thinking_and_its_timer_end_with_the_call() {
    let mut call = thinker();
    call.think();
    call.pass_ms(310);
    call.call(CallEvent::Ended {
        reason: far_end_hung_up(),
    });
    assert_eq!(call.begins_and_ends(Bus::Thinking), "+-");
    call.returned(CallbackKind::Exit);
    call.pass_ms(2_000);
    assert_eq!(call.begins_and_ends(Bus::Thinking), "+-");
}

#[test]
fn on_hold_there_is_music_and_nothing_of_the_agents_and_afterwards_the_agents_again() {
    let mut config = config();
    config.sounds.background = Some(sound(-20.0));
    config.sounds.thinking = Some(sound(THINKING_DB));
    config.sounds.hold_music = Some(sound(0.0));
    let mut call = Fixture::entered(config);
    call.expect(&["sales"]);
    call.think();
    call.pass_ms(310);
    assert_eq!(call.begins_and_ends(Bus::Thinking), "+");
    call.call(CallEvent::Held);
    assert_eq!(call.begins_and_ends(Bus::Thinking), "+-+");
    assert_eq!(
        call.gain(Bus::Thinking),
        Some(0.0),
        "music is not as soft as thinking"
    );
    let last = |call: &Fixture| {
        call.leg.iter().rev().find_map(|command| match command {
            LegCommand::Pause(Bus::Background) => Some("paused"),
            LegCommand::Resume(Bus::Background) => Some("resumed"),
            _ => None,
        })
    };
    assert_eq!(last(&call), Some("paused"));
    call.pass_ms(2_000);
    assert_eq!(call.begins_and_ends(Bus::Thinking), "+-+");
    call.call(CallEvent::Resumed);
    assert_eq!(last(&call), Some("resumed"));
    assert_eq!(call.begins_and_ends(Bus::Thinking), "+-+-");
    call.pass_ms(310);
    assert_eq!(call.begins_and_ends(Bus::Thinking), "+-+-+");
    assert_eq!(call.gain(Bus::Thinking), Some(THINKING_DB));
    let epochs: Vec<Epoch> = call
        .bus(Bus::Thinking)
        .into_iter()
        .map(|(_, epoch)| epoch)
        .collect();
    assert!(
        epochs.is_sorted(),
        "a newer sound never has an older epoch: {epochs:?}"
    );
}
