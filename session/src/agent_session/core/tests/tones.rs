//! Tones of networks and machines.

use offhook_media::control::{CallTone, CallToneKind, Confidence};

use super::*;

const BEEP: CallTone = CallTone {
    kind: CallToneKind::Beep,
    confidence: Confidence::CERTAIN,
    at_ms: 400,
    duration_ms: 300,
};

#[test]
fn a_tone_reaches_subscribers_at_any_time_and_the_agent_once_it_has_entered() {
    let mut call = Fixture::new(config(), MEANS);
    call.leg(LegEvent::Tone(BEEP));
    let told = |call: &Fixture| {
        let told = |event: &&SessionEvent| matches!(event, SessionEvent::Tone { tone, .. } if *tone == BEEP);
        call.events.iter().filter(told).count()
    };
    assert_eq!(told(&call), 1);
    assert!(!call.callbacks.contains(&CallbackKind::Tone));
    call.call(CallEvent::Answered);
    call.call(CallEvent::Confirmed);
    // The agent is at work still: a beep does not wait.
    call.leg(LegEvent::Tone(BEEP));
    assert_eq!(told(&call), 2);
    assert!(call.callbacks.contains(&CallbackKind::Tone));
}
