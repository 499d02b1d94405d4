//! Who answered a call of ours, and what follows.

use std::sync::Arc;

use offhook_media::control::{CallTone, CallToneKind, Confidence, ListenMode};

use super::super::super::output::Preparation;
use super::super::super::pressing::{DigitsSent, NewSequence, SendDtmfOptions};
use super::super::super::transfer::AgentInBridge;
use super::super::super::voicemail::{
    VoicemailAction, VoicemailMessage, VoicemailPolicy, VoicemailSettings,
};
use super::*;
use crate::voicemail::{Evidence, FarEnd, VoicemailEvent, VoicemailVerdict};

const CED: CallTone = CallTone {
    kind: CallToneKind::FaxAnswer,
    confidence: Confidence::CERTAIN,
    at_ms: 100,
    duration_ms: 300,
};

pub(super) fn settings() -> VoicemailSettings {
    VoicemailSettings::default()
}

pub(super) fn with_policy(policy: VoicemailPolicy) -> VoicemailSettings {
    VoicemailSettings {
        policy,
        ..settings()
    }
}

pub(super) fn a_message() -> VoicemailAction {
    VoicemailAction::LeaveMessage(VoicemailMessage::text("Please call back."))
}

pub(super) fn leaving_a_message() -> VoicemailSettings {
    with_policy(VoicemailPolicy::Act(a_message()))
}

pub(super) fn speaking_meanwhile(policy: VoicemailPolicy) -> VoicemailSettings {
    VoicemailSettings {
        speak_while_detecting: true,
        ..with_policy(policy)
    }
}

pub(super) fn outbound(settings: VoicemailSettings) -> SessionConfig {
    let mut config = config();
    config.facts.direction = Direction::Outbound;
    config.voicemail = Some(Arc::new(settings));
    config
}

/// A call that was answered and whose media is live.
pub(super) fn live(config: SessionConfig) -> Fixture {
    let mut call = Fixture::new(config, MEANS);
    call.call(CallEvent::Answered);
    let at_ms = call.media_ms();
    call.leg(LegEvent::Live { at_ms });
    call
}

pub(super) fn detecting(settings: VoicemailSettings) -> Fixture {
    live(outbound(settings))
}

pub(in super::super) fn tell(call: &mut Fixture, event: VoicemailEvent) {
    call.session.handle_voicemail_event(event, call.now);
    call.session.settle(call.now);
    call.drain();
}

fn verdict(far_end: FarEnd) -> VoicemailVerdict {
    VoicemailVerdict {
        far_end,
        confidence: Confidence::CERTAIN,
        evidence: vec![Evidence::Model],
        at: Duration::from_secs(1),
    }
}

pub(in super::super) fn answered_by(call: &mut Fixture, far_end: FarEnd) {
    tell(call, VoicemailEvent::Verdict(verdict(far_end)));
}

pub(in super::super) fn machine_records(call: &mut Fixture) {
    tell(call, VoicemailEvent::MessageMayBegin { beeped: true });
}

pub(in super::super) fn decides(call: &mut Fixture, action: VoicemailAction) {
    call.session.handle_decision(action, call.now);
    call.drain();
}

/// Who answered, as the events say.
fn told(call: &Fixture) -> Vec<FarEnd> {
    let told = call.events.iter().filter_map(|event| match event {
        SessionEvent::Answerer { verdict, .. } => Some(verdict.far_end),
        _ => None,
    });
    told.collect()
}

/// Why the call was asked to end, if it was.
pub(super) fn ended(call: &Fixture) -> Option<EndCause> {
    call.requests.iter().find_map(|request| match request {
        CallRequest::HangUp { reason } => Some(reason.cause),
        _ => None,
    })
}

pub(super) fn preparing(call: &Fixture) -> Option<&str> {
    match &call.preparing.back()?.2 {
        Preparation::Synthesise(text) => Some(text.expose()),
        Preparation::Convert(_) => None,
    }
}

/// What holds at any time.
pub(in super::super) fn check_promises(call: &Fixture, seed: u64) {
    assert!(told(call).len() <= 1, "seed {seed}: two verdicts");
    if call.session.phase.is_with_a_machine() {
        assert!(!call.armed(), "seed {seed}: a machine may interrupt");
        // On hold it is paused whoever is there.
        let held = call.bus_is_held && !call.session.is_away();
        assert!(!held, "seed {seed}: a machine holds the bus");
    }
    let left = ended(call) == Some(EndCause::MessageLeft);
    let heard = call.events.iter().any(|event| {
        matches!(
            event,
            SessionEvent::UtteranceDone {
                id: UtteranceId::VOICEMAIL_MESSAGE,
                outcome: Outcome::Completed,
                ..
            }
        )
    });
    assert!(heard || !left, "seed {seed}: a message that nobody heard");
}

#[test]
fn the_agent_enters_when_the_verdict_is_there_at_the_latest_four_seconds_after_media_was_live() {
    let mut call = detecting(settings());
    call.pass_ms(3_999);
    assert!(call.callbacks.is_empty() && told(&call).is_empty());
    call.pass_ms(1);
    assert_eq!(told(&call), [FarEnd::Silence], "a mute far end");
    assert_eq!(call.callbacks, [CallbackKind::Enter]);
}

#[test]
fn the_deadline_of_a_far_end_that_sends_nothing_runs_from_a_second_after_the_answer() {
    let mut call = Fixture::new(outbound(settings()), MEANS);
    call.call(CallEvent::Answered);
    call.pass_ms(4_999);
    assert!(call.callbacks.is_empty());
    call.pass_ms(1);
    assert_eq!(told(&call), [FarEnd::Silence]);
    assert_eq!(call.callbacks, [CallbackKind::Enter]);
}

#[test]
fn early_media_is_nobody_who_answered() {
    let mut call = Fixture::new(outbound(settings()), MEANS);
    call.leg(LegEvent::Live { at_ms: 0 });
    call.leg(LegEvent::Tone(CED));
    call.pass_ms(10_000);
    assert!(told(&call).is_empty() && call.callbacks.is_empty());
}

#[test]
fn calls_that_come_in_and_calls_that_were_not_asked_for_it_find_nothing_out() {
    let mut incoming = outbound(settings());
    incoming.facts.direction = Direction::Inbound;
    let mut unasked = outbound(settings());
    unasked.voicemail = None;
    for config in [incoming, unasked] {
        let mut call = live(config);
        assert_eq!(call.callbacks, [CallbackKind::Enter], "at once");
        call.leg(LegEvent::Tone(CED));
        call.pass_ms(10_000);
        assert!(told(&call).is_empty());
    }
}

#[test]
fn somebody_unknown_and_somebody_silent_are_talked_to_as_a_person_is() {
    for far_end in [FarEnd::Human, FarEnd::Unknown, FarEnd::Silence] {
        let mut call = detecting(settings());
        answered_by(&mut call, far_end);
        assert_eq!(told(&call), [far_end]);
        assert_eq!(call.callbacks, [CallbackKind::Enter]);
        let request = CallRequest::AnsweredBy(Box::new(verdict(far_end)));
        assert_eq!(call.requests, [request]);
        call.pass_ms(10_000);
        assert_eq!(told(&call), [far_end], "once a call");
    }
}

#[test]
fn a_persons_hello_is_no_turn_and_leaves_nothing_behind() {
    let mut call = detecting(settings());
    call.expect(&["hello"]);
    call.caller_says(400);
    assert_eq!(call.states(), (A::Listening, U::Listening));
    answered_by(&mut call, FarEnd::Human);
    assert!(call.recognising.is_empty());
    assert_eq!(call.callbacks, [CallbackKind::Enter]);
    call.speak("Hello, this is Ann.", 1_000);
    call.returned(CallbackKind::Enter);
    call.drained(call.last_epoch());
    call.pass_ms(5_000);
    assert_eq!(call.states(), (A::Idle, U::Idle));
    assert!(call.turns.is_empty());
    // And what they say then is.
    call.caller_says(400);
    call.recognised(phrase("hello"));
    call.pass_ms(1_000);
    assert_eq!(call.turns, [said("hello")]);
}

#[test]
fn who_still_speaks_when_the_agent_enters_is_heard_to_the_end() {
    let mut call = detecting(VoicemailSettings {
        max_decision: Duration::from_secs(1),
        ..settings()
    });
    call.expect(&["hello"]);
    call.speech_starts();
    call.pass_ms(1_000);
    if told(&call).is_empty() {
        answered_by(&mut call, FarEnd::Unknown);
    }
    let listener = call.listener.as_ref().expect("installed");
    assert_eq!(
        listener.mode,
        ListenMode::Always,
        "not changed within speech"
    );
    call.speech_stops();
    let listener = call.listener.as_ref().expect("installed");
    assert!(matches!(listener.mode, ListenMode::DuringSpeech { .. }));
}

#[test]
fn a_machine_is_hung_up_on() {
    for far_end in [FarEnd::MachineGreeting, FarEnd::MachineBeep] {
        let mut call = detecting(settings());
        answered_by(&mut call, far_end);
        assert_eq!(told(&call), [far_end]);
        assert_eq!(ended(&call), Some(EndCause::Voicemail));
        assert_eq!(
            call.callbacks,
            [CallbackKind::Exit],
            "the agent never entered"
        );
    }
}

#[test]
fn a_machine_is_talked_to_where_the_policy_is_to_go_on() {
    let mut call = detecting(with_policy(VoicemailPolicy::Act(VoicemailAction::Continue)));
    answered_by(&mut call, FarEnd::MachineGreeting);
    assert_eq!(told(&call), [FarEnd::MachineGreeting]);
    assert_eq!(call.callbacks, [CallbackKind::Enter]);
    assert_eq!(ended(&call), None);
}

#[test]
fn the_agent_decides_about_a_machine_where_that_is_the_policy() {
    let mut call = detecting(with_policy(VoicemailPolicy::Callback));
    answered_by(&mut call, FarEnd::MachineBeep);
    assert_eq!(call.callbacks, [CallbackKind::Voicemail]);
    assert_eq!(call.verdicts, [verdict(FarEnd::MachineBeep)]);
    decides(&mut call, VoicemailAction::HangUp);
    assert_eq!(ended(&call), Some(EndCause::Voicemail));
}

#[test]
fn the_agent_decides_about_menus_screeners_and_faxes_whatever_the_policy() {
    for far_end in [FarEnd::Ivr, FarEnd::CallScreening, FarEnd::Fax] {
        let mut call = detecting(leaving_a_message());
        answered_by(&mut call, far_end);
        assert_eq!(call.callbacks, [CallbackKind::Voicemail]);
        assert_eq!(call.verdicts, [verdict(far_end)]);
        decides(&mut call, VoicemailAction::HangUp);
        assert_eq!(ended(&call), Some(EndCause::NoPerson));

        let mut call = detecting(leaving_a_message());
        answered_by(&mut call, far_end);
        decides(&mut call, VoicemailAction::Continue);
        assert_eq!(
            call.callbacks,
            [CallbackKind::Voicemail, CallbackKind::Enter]
        );
        assert_eq!(ended(&call), None);
    }
}

#[test]
fn a_tone_of_a_fax_is_told_to_the_detector() {
    let mut call = detecting(settings());
    call.leg(LegEvent::Tone(CED));
    assert_eq!(told(&call), [FarEnd::Fax]);
    // An agent that does not decide ends the call, and so does one that fails.
    call.session
        .handle_callback(CallbackKind::Voicemail, Err("scripted".into()), call.now);
    call.drain();
    assert_eq!(ended(&call), Some(EndCause::NoPerson));
}

#[test]
fn an_agent_may_press_keys_for_a_menu_and_what_it_says_is_heard_before_the_call_ends() {
    let mut call = detecting(settings());
    answered_by(&mut call, FarEnd::Ivr);
    let (reply, mut pressed) = oneshot::channel();
    call.command(Command::Press(NewSequence {
        keys: "1".parse().expect("a key"),
        options: SendDtmfOptions::default(),
        reply,
    }));
    call.pass_ms(500);
    assert_eq!(pressed.try_recv(), Ok(DigitsSent::All));
    let (handle, epoch) = call.speak("Operator.", 800);
    assert!(!call.armed(), "nothing interrupts it");
    call.digit('1');
    assert!(!handle.done());
    decides(&mut call, VoicemailAction::HangUp);
    assert_eq!(ended(&call), None);
    call.pass_ms(800);
    call.drained(epoch);
    assert_eq!(handle.outcome(), Some(Outcome::Completed));
    call.pass_ms(500);
    assert_eq!(ended(&call), Some(EndCause::NoPerson));
}

#[test]
fn nobody_is_woken_while_a_machine_is_spoken_to() {
    let mut config = outbound(leaving_a_message());
    config.wake_up = Some(Duration::from_secs(3));
    let mut call = live(config);
    answered_by(&mut call, FarEnd::MachineGreeting);
    call.pass_ms(30_000);
    assert!(call.callbacks.is_empty());
    assert_eq!(ended(&call), None);
}

#[test]
fn a_call_that_ends_before_the_verdict_ends_as_usual() {
    let mut call = detecting(leaving_a_message());
    let early = call.say("Hello.");
    call.caller_says(300);
    call.call(CallEvent::Ended {
        reason: far_end_hung_up(),
    });
    assert!(early.done());
    call.returned(CallbackKind::Exit);
    assert_eq!(call.session.closed(), Some(&far_end_hung_up()));
    assert_eq!(call.session.poll_timeout(), None);
    assert!(told(&call).is_empty());
    assert!(call.listener.is_none());
}

#[test]
fn the_agent_enters_at_once_where_it_speaks_meanwhile() {
    let policy = VoicemailPolicy::Act(VoicemailAction::HangUp);
    let mut call = detecting(speaking_meanwhile(policy));
    assert_eq!(call.callbacks, [CallbackKind::Enter]);
    let (handle, _) = call.speak("Hello, this is Ann.", 3_000);
    call.pass_ms(1_000);
    answered_by(&mut call, FarEnd::Human);
    assert!(!handle.done(), "it goes on");
    assert_eq!(call.callbacks, [CallbackKind::Enter], "and enters once");
}

#[test]
fn what_is_said_to_an_agent_that_speaks_meanwhile_is_kept_until_it_is_clear_whose_it_is() {
    for (far_end, turns) in [
        (FarEnd::Human, vec![said("yes")]),
        (FarEnd::MachineGreeting, Vec::new()),
    ] {
        let policy = VoicemailPolicy::Act(VoicemailAction::HangUp);
        let mut call = detecting(speaking_meanwhile(policy));
        call.returned(CallbackKind::Enter);
        call.expect(&["yes"]);
        call.caller_says(300);
        call.recognised(phrase("yes"));
        call.pass_ms(600);
        assert!(call.turns.is_empty());
        let turn = |event: &SessionEvent| matches!(event, SessionEvent::UserTurn { .. });
        assert!(!call.events.iter().any(turn));
        answered_by(&mut call, far_end);
        assert_eq!(call.turns, turns);
    }
}

#[test]
fn an_agent_that_speaks_meanwhile_and_goes_on_is_as_before() {
    for policy in [
        VoicemailPolicy::Act(VoicemailAction::Continue),
        VoicemailPolicy::Callback,
    ] {
        let asks = matches!(policy, VoicemailPolicy::Callback);
        let mut call = detecting(speaking_meanwhile(policy));
        call.returned(CallbackKind::Enter);
        let (handle, epoch) = call.speak("Hello, this is Ann.", 3_000);
        answered_by(&mut call, FarEnd::MachineGreeting);
        assert_eq!(call.armed(), !asks);
        if asks {
            decides(&mut call, VoicemailAction::Continue);
        }
        assert!(call.armed());
        call.pass_ms(3_000);
        call.drained(epoch);
        assert_eq!(handle.outcome(), Some(Outcome::Completed));
        assert_eq!(call.states(), (A::Idle, U::Idle));
    }
}

#[test]
fn a_machine_is_not_told_that_it_is_recorded_and_a_person_is() {
    let recorded = |settings| {
        let mut config = outbound(settings);
        config.record = consent();
        live(config)
    };
    let mut call = recorded(settings());
    assert!(call.preparing.is_empty());
    answered_by(&mut call, FarEnd::Human);
    assert_eq!(preparing(&call), Some("This call is recorded."));
    call.prepared(1_000);
    call.started(call.last_epoch());
    call.drained(call.last_epoch());
    assert_eq!(call.callbacks, [CallbackKind::Enter]);
    assert_eq!(call.recorded(), Some(RecordMode::Both));

    let mut call = recorded(leaving_a_message());
    answered_by(&mut call, FarEnd::MachineGreeting);
    machine_records(&mut call);
    assert_eq!(preparing(&call), Some("Please call back."));
    assert_eq!(call.recorded(), Some(RecordMode::CallerMuted));
}

#[test]
fn the_recogniser_is_asked_for_phrases_in_all_that_was_heard_since_media_was_live() {
    let mut call = detecting(settings());
    call.voice(400);
    call.speech_starts();
    call.pass_ms(200);
    call.voice(600);
    tell(&mut call, VoicemailEvent::Spot);
    assert_eq!(call.spotting.len(), 1);
    assert_eq!(call.spotting[0].samples.len(), 1_000);
    assert_eq!(call.spotting[0].sample_rate_hz, 8_000);
    // One at a time: what is asked meanwhile is asked when the answer is there, of all that was heard then.
    tell(&mut call, VoicemailEvent::Spot);
    tell(&mut call, VoicemailEvent::Spot);
    call.voice(500);
    assert_eq!(call.spotting.len(), 1);
    call.session.handle_spotted(Ok(Vec::new()), call.now);
    call.drain();
    assert_eq!(call.spotting.len(), 2);
    assert_eq!(call.spotting[1].samples.len(), 1_500);
    // A recogniser that fails holds nothing up.
    let late = Err(ProviderError::TimedOut(Duration::from_secs(5)));
    call.session.handle_spotted(late, call.now);
    call.drain();
    assert_eq!(call.spotting.len(), 2);
    answered_by(&mut call, FarEnd::Human);
    assert!(call.listener.is_none(), "the agent expects nothing");
    call.session.handle_spotted(Ok(Vec::new()), call.now);
}

#[test]
fn no_more_than_the_first_twenty_seconds_are_kept() {
    let mut call = detecting(VoicemailSettings {
        max_decision: Duration::from_secs(60),
        ..settings()
    });
    for _ in 0..30 {
        call.voice(8_000);
    }
    tell(&mut call, VoicemailEvent::Spot);
    let kept = call.spotting[0].duration();
    assert!((20..=21).contains(&kept.as_secs()), "{kept:?}");
}

#[test]
fn without_a_recogniser_nobody_is_asked_for_phrases_and_there_is_a_verdict_all_the_same() {
    let means = Means {
        has_recogniser: false,
        ..MEANS
    };
    let mut call = Fixture::new(outbound(settings()), means);
    call.call(CallEvent::Answered);
    call.leg(LegEvent::Live { at_ms: 0 });
    // The detector hears what there is, and the recogniser is not asked.
    assert!(call.listener.is_some());
    call.voice(400);
    tell(&mut call, VoicemailEvent::Spot);
    assert!(call.spotting.is_empty());
    call.pass_ms(4_000);
    assert_eq!(told(&call), [FarEnd::Silence]);
}

#[test]
fn an_operator_who_joins_the_call_to_another_judges_for_themselves() {
    let mut call = detecting(settings());
    call.call(CallEvent::Bridged(AgentInBridge::Stays));
    assert_eq!(call.callbacks, [CallbackKind::Enter]);
    call.pass_ms(10_000);
    assert!(told(&call).is_empty());

    let mut call = detecting(leaving_a_message());
    answered_by(&mut call, FarEnd::MachineGreeting);
    machine_records(&mut call);
    call.prepared(2_000);
    let epoch = call.last_epoch();
    call.started(epoch);
    call.call(CallEvent::Bridged(AgentInBridge::Stays));
    assert_eq!(call.flushes(), [epoch]);
    assert_eq!(call.callbacks, [CallbackKind::Enter]);
    call.pass_ms(60_000);
    assert_eq!(ended(&call), None);
}

#[test]
fn speech_that_a_hold_cuts_short_is_over_for_the_detector() {
    let mut call = detecting(VoicemailSettings {
        max_decision: Duration::from_secs(60),
        ..settings()
    });
    let speaks = |call: &Fixture| {
        let detection = call.session.answering.as_ref();
        detection.map(|detection| detection.is_speaking())
    };
    call.speech_starts();
    assert_eq!(speaks(&call), Some(true));
    call.call(CallEvent::Held);
    assert_eq!(speaks(&call), Some(false));
    // Their music, and its end after the hold.
    call.speech_starts();
    call.call(CallEvent::Resumed);
    call.speech_stops();
    assert_eq!(speaks(&call), Some(false));
}
