//! The silence wake-up.

use super::*;

fn waking() -> Fixture {
    let mut config = config();
    config.wake_up = Some(Duration::from_secs(8));
    Fixture::entered(config)
}

fn wakes(call: &Fixture) -> usize {
    call.callbacks
        .iter()
        .filter(|kind| **kind == CallbackKind::WakeUp)
        .count()
}

#[test]
fn it_runs_from_the_end_of_playback() {
    let mut call = waking();
    call.pass_ms(5_000);
    let (_, epoch) = call.speak("Hello.", 3_000);
    call.pass_ms(3_000);
    call.drained(epoch);
    call.pass_ms(7_999);
    assert_eq!(wakes(&call), 0);
    call.pass_ms(1);
    assert_eq!(wakes(&call), 1);
}

#[test]
fn it_fires_twice_and_then_the_silence_ends() {
    let mut call = waking();
    for _ in 0..2 {
        call.pass_ms(8_000);
        call.speak("Are you there?", 1_000);
        call.returned(CallbackKind::WakeUp);
        call.drained(call.last_epoch());
    }
    assert_eq!(wakes(&call), 2);
    call.pass_ms(8_000);
    assert_eq!(call.callbacks.last(), Some(&CallbackKind::SilenceEnd));
}

#[test]
fn noise_does_not_refresh_it_and_a_digit_does() {
    let mut call = waking();
    call.pass_ms(7_000);
    call.caller_says(100);
    call.pass_ms(900);
    assert_eq!(wakes(&call), 1);
    call.returned(CallbackKind::WakeUp);
    call.pass_ms(7_000);
    call.digit('5');
    call.returned(CallbackKind::Dtmf);
    call.pass_ms(7_999);
    assert_eq!(wakes(&call), 1);
}

#[test]
fn it_waits_while_the_caller_speaks_and_while_the_agent_thinks() {
    let mut call = waking();
    call.expect(&["sales"]);
    call.pass_ms(7_900);
    call.caller_says(1_000);
    call.recognised(phrase("sales"));
    call.pass_ms(60_000);
    assert_eq!(wakes(&call), 0, "the agent is at work on its reply");
    call.returned(CallbackKind::UserTurn);
    call.pass_ms(1);
    assert_eq!(wakes(&call), 1);
}

#[test]
fn it_is_armed_at_the_end_of_the_greeting_though_on_enter_goes_on() {
    let mut config = config();
    config.wake_up = Some(Duration::from_secs(8));
    let mut call = Fixture::new(config, MEANS);
    call.call(CallEvent::Confirmed);
    call.pass_ms(20_000);
    assert_eq!(wakes(&call), 0);
    let (_, epoch) = call.speak("Hello.", 500);
    call.drained(epoch);
    call.pass_ms(8_000);
    assert_eq!(wakes(&call), 1);
}

#[test]
fn it_stands_still_on_hold_and_begins_anew_afterwards() {
    let mut call = waking();
    call.pass_ms(5_000);
    call.call(CallEvent::Held);
    call.pass(Duration::from_secs(600));
    assert_eq!(wakes(&call), 0);
    call.call(CallEvent::Resumed);
    call.pass_ms(7_999);
    assert_eq!(wakes(&call), 0);
    call.pass_ms(1);
    assert_eq!(wakes(&call), 1);
}

#[test]
fn it_fires_as_often_as_is_configured() {
    for times in [0, 1, 4] {
        let mut config = config();
        config.wake_up = Some(Duration::from_secs(8));
        config.wake_up_repeat = times;
        let mut call = Fixture::entered(config);
        for _ in 0..times {
            call.pass_ms(8_000);
            call.returned(CallbackKind::WakeUp);
        }
        assert_eq!(wakes(&call), times as usize);
        call.pass_ms(8_000);
        assert_eq!(
            call.callbacks.last(),
            Some(&CallbackKind::SilenceEnd),
            "{times}"
        );
        assert_eq!(wakes(&call), times as usize);
    }
}
