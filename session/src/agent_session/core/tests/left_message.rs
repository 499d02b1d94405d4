//! Messages that are left on machines.

use super::super::super::voicemail::{VoicemailAction, VoicemailMessage, VoicemailPolicy};
use super::voicemail::{
    a_message, answered_by, decides, detecting, ended, leaving_a_message, live, machine_records,
    outbound, preparing, speaking_meanwhile, with_policy,
};
use super::*;
use crate::provider::Audio;
use crate::voicemail::FarEnd;

/// The message is said, from its first frame to its last.
fn message_is_said(call: &mut Fixture) {
    call.prepared(2_000);
    let epoch = call.last_epoch();
    call.started(epoch);
    call.pass_ms(2_000);
    call.drained(epoch);
}

#[test]
fn a_message_waits_until_the_machine_records_is_heard_to_its_end_and_ends_the_call() {
    let mut call = detecting(leaving_a_message());
    answered_by(&mut call, FarEnd::MachineGreeting);
    call.pass_ms(8_000);
    assert!(call.preparing.is_empty(), "the machine greets");
    machine_records(&mut call);
    assert_eq!(preparing(&call), Some("Please call back."));
    message_is_said(&mut call);
    assert_eq!(ended(&call), None, "its last word is on its way");
    call.pass_ms(499);
    assert_eq!(ended(&call), None);
    call.pass_ms(1);
    assert_eq!(ended(&call), Some(EndCause::MessageLeft));
    assert_eq!(
        call.callbacks,
        [CallbackKind::Exit],
        "the agent never entered"
    );
    let said = call.session.take_transcript();
    let said: Vec<_> = said
        .entries()
        .iter()
        .map(|entry| entry.text.expose().as_str())
        .collect();
    assert_eq!(said, ["Please call back."]);
}

#[test]
fn nothing_interrupts_a_message() {
    let mut call = detecting(leaving_a_message());
    call.expect(&["stop"]);
    answered_by(&mut call, FarEnd::MachineBeep);
    machine_records(&mut call);
    call.prepared(2_000);
    let epoch = call.last_epoch();
    call.started(epoch);
    assert!(!call.armed());
    // A reflex that was on its way, digits, speech, and others who want to say something.
    call.barge_in(epoch);
    assert!(!call.bus_is_held);
    call.digit('5');
    call.caller_says(900);
    let other = call.say("Excuse me.");
    assert!(other.done());
    assert!(!call.interrupt(false));
    assert!(call.recognising.is_empty() && call.flushes().is_empty());
    call.pass_ms(1_100);
    call.drained(epoch);
    call.pass_ms(500);
    assert_eq!(ended(&call), Some(EndCause::MessageLeft));
    assert!(call.digits.is_empty() && call.turns.is_empty());
}

#[test]
fn a_message_begins_after_forty_seconds_though_the_machine_gave_no_sign() {
    let mut call = detecting(leaving_a_message());
    answered_by(&mut call, FarEnd::MachineGreeting);
    call.pass_ms(39_999);
    assert!(call.preparing.is_empty());
    call.pass_ms(1);
    assert_eq!(preparing(&call), Some("Please call back."));
}

#[test]
fn a_message_that_the_agent_decides_on_late_begins_at_once() {
    let mut call = detecting(with_policy(VoicemailPolicy::Callback));
    answered_by(&mut call, FarEnd::MachineGreeting);
    machine_records(&mut call);
    call.pass_ms(700);
    assert!(call.preparing.is_empty());
    decides(&mut call, a_message());
    message_is_said(&mut call);
    call.pass_ms(500);
    assert_eq!(ended(&call), Some(EndCause::MessageLeft));
}

#[test]
fn a_recorded_message_is_played() {
    let audio = Audio {
        sample_rate_hz: 8_000,
        samples: vec![7; 8_000].into(),
    };
    let action = VoicemailAction::LeaveMessage(VoicemailMessage::Audio(audio));
    let mut call = detecting(with_policy(VoicemailPolicy::Act(action)));
    answered_by(&mut call, FarEnd::MachineGreeting);
    machine_records(&mut call);
    // It has the leg's rate: nothing is to be prepared.
    let epoch = call.last_epoch();
    call.started(epoch);
    call.drained(epoch);
    call.pass_ms(500);
    assert_eq!(ended(&call), Some(EndCause::MessageLeft));
}

#[test]
fn a_message_that_cannot_be_said_is_not_said_to_have_been_left() {
    let mut call = detecting(leaving_a_message());
    answered_by(&mut call, FarEnd::MachineGreeting);
    machine_records(&mut call);
    let (utterance, sentence, _) = call.preparing.pop_front().expect("the message");
    let failed = Err(ProviderError::Overloaded(1));
    call.session
        .handle_prepared(utterance, sentence, failed, call.now);
    call.drain();
    assert_eq!(ended(&call), Some(EndCause::Voicemail));

    let mut call = Fixture::new(
        outbound(leaving_a_message()),
        Means {
            has_voice: false,
            ..MEANS
        },
    );
    call.call(CallEvent::Answered);
    call.leg(LegEvent::Live { at_ms: 0 });
    answered_by(&mut call, FarEnd::MachineGreeting);
    machine_records(&mut call);
    assert_eq!(ended(&call), Some(EndCause::Voicemail));
}

#[test]
fn a_machine_that_hangs_up_on_a_message_ends_the_call_as_usual() {
    let mut call = detecting(leaving_a_message());
    answered_by(&mut call, FarEnd::MachineGreeting);
    machine_records(&mut call);
    call.prepared(2_000);
    call.started(call.last_epoch());
    call.call(CallEvent::Ended {
        reason: far_end_hung_up(),
    });
    call.returned(CallbackKind::Exit);
    assert_eq!(call.session.closed(), Some(&far_end_hung_up()));
    assert_eq!(ended(&call), None);
}

#[test]
fn a_message_takes_the_place_of_what_the_agent_was_saying_to_the_machine() {
    let policy = VoicemailPolicy::Act(a_message());
    let mut config = outbound(speaking_meanwhile(policy));
    config.sounds.background = Some(SoundLoop {
        audio: Audio {
            sample_rate_hz: 8_000,
            samples: vec![3; 800].into(),
        },
        volume_db: -20.0,
    });
    let mut call = live(config);
    call.command(Command::Loopback(true));
    let (handle, epoch) = call.speak("Hello, this is Ann.", 3_000);
    let waiting = call.say_with("And that was it.", QueueMode::After, true);
    call.pass_ms(1_000);
    assert!(call.armed());
    answered_by(&mut call, FarEnd::MachineGreeting);
    assert!(waiting.done());
    assert_eq!(call.flushes(), [epoch]);
    call.flushed(epoch, 1_000);
    assert!(handle.interrupted());
    assert!(!call.armed());
    let is_quiet = |command: &LegCommand| matches!(command, LegCommand::Loopback(false));
    assert!(call.leg.iter().any(is_quiet));
    call.check_sounds(0);
    machine_records(&mut call);
    message_is_said(&mut call);
    call.pass_ms(500);
    assert_eq!(ended(&call), Some(EndCause::MessageLeft));
}

#[test]
fn an_agent_that_was_cut_short_for_a_message_and_hangs_up_waits_for_it() {
    let policy = VoicemailPolicy::Act(a_message());
    let mut call = detecting(speaking_meanwhile(policy));
    answered_by(&mut call, FarEnd::MachineGreeting);
    call.hang_up(true);
    assert_eq!(ended(&call), None);
    machine_records(&mut call);
    message_is_said(&mut call);
    call.pass_ms(500);
    assert_eq!(ended(&call), Some(EndCause::MessageLeft));

    // Who does not want to wait does not have to.
    let mut call = detecting(leaving_a_message());
    answered_by(&mut call, FarEnd::MachineGreeting);
    call.hang_up(false);
    assert_eq!(ended(&call), Some(EndCause::AgentHungUp));
}

#[test]
fn wound_63_the_last_word_said_to_a_machine_is_on_its_way_before_the_call_ends() {
    let mut call = detecting(with_policy(VoicemailPolicy::Act(VoicemailAction::Continue)));
    answered_by(&mut call, FarEnd::MachineBeep);
    let (_, epoch) = call.speak("Please call back.", 1_000);
    call.hang_up(true);
    call.pass_ms(1_000);
    call.drained(epoch);
    call.pass_ms(300);
    // What happens meanwhile makes it no longer.
    call.digit('1');
    call.pass_ms(199);
    assert_eq!(ended(&call), None);
    call.pass_ms(1);
    assert_eq!(ended(&call), Some(EndCause::AgentHungUp));
}
