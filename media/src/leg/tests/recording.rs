//! What of a leg is recorded.

use super::tones::{FRAME, hears, listening, pressed};
use super::*;
use crate::control::RecordMode;

/// A leg that listens for keys and is recorded.
fn recorded(mode: RecordMode) -> (Scene, rtrb::Consumer<i16>) {
    let mut scene = Scene::new(listening(InBandDigits::Always));
    let (ring, reader) = rtrb::RingBuffer::new(400_000);
    scene.leg.attach_recorder(ring, mode);
    (scene, reader)
}

/// How loud each side was at most, since this was asked last.
fn loudest(reader: &mut rtrb::Consumer<i16>) -> (u16, u16) {
    let samples: Vec<i16> = std::iter::from_fn(|| reader.pop().ok()).collect();
    let of = |side: usize| {
        let side = samples.iter().skip(side).step_by(2);
        side.map(|sample| sample.unsigned_abs()).max().unwrap_or(0)
    };
    (of(0), of(1))
}

#[test]
fn the_keys_of_a_muted_caller_are_digits_and_not_in_the_recording_and_the_agent_is() {
    let (mut scene, mut reader) = recorded(RecordMode::Both);
    scene
        .leg
        .handle_command(LegCommand::Record(RecordMode::CallerMuted));
    scene.play(1, vec![7_000; 8_000], true);
    hears(&mut scene, &pressed("4711", 80, 80), |_| false);
    let digits = scene.events.iter();
    let digits = digits.filter(|event| matches!(event, LegEvent::Digit { .. }));
    assert_eq!(digits.count(), 4);
    let (caller, agent) = loudest(&mut reader);
    assert!(caller == 0 && agent > 6_000, "{caller}, {agent}");
}

#[test]
fn the_last_key_is_not_recorded_though_the_muting_ends_while_it_is_held() {
    for before in [RecordMode::CallerMuted, RecordMode::Paused] {
        let (mut scene, mut reader) = recorded(before);
        let keys = pressed("7", 2_000, 0);
        // The leg is told at the digit, as the end of a collection would have it; a second of its tone follows.
        let (first, rest) = keys.split_at(keys.len() / 2 / FRAME * FRAME);
        hears(&mut scene, first, |_| false);
        let is_digit = |event: &LegEvent| matches!(event, LegEvent::Digit { .. });
        assert!(scene.events.iter().any(is_digit));
        scene
            .leg
            .handle_command(LegCommand::Record(RecordMode::Both));
        hears(&mut scene, rest, |_| false);
        // What rings on when the key is up is far softer than the key.
        assert!(loudest(&mut reader).0 < 100, "{before:?}");
        hears(&mut scene, &[3_000; 10 * FRAME], |_| false);
        assert!(loudest(&mut reader).0 > 2_900, "{before:?}: heard again");
    }
}

#[test]
fn a_caller_who_is_muted_is_not_recorded_as_the_agent_either() {
    let (mut scene, mut reader) = recorded(RecordMode::CallerMuted);
    scene.leg.handle_command(LegCommand::Loopback(true));
    hears(&mut scene, &[3_000; 10 * FRAME], |_| false);
    assert_eq!(loudest(&mut reader), (0, 0));
    scene
        .leg
        .handle_command(LegCommand::Record(RecordMode::Both));
    hears(&mut scene, &[3_000; 10 * FRAME], |_| false);
    let (caller, agent) = loudest(&mut reader);
    assert!(caller > 2_900 && agent > 2_900, "{caller}, {agent}");
}

#[test]
fn a_pause_is_silence_of_its_own_length() {
    let (mut scene, mut reader) = recorded(RecordMode::Both);
    scene.play(1, vec![7_000; 80 * 60], true);
    let mut lengths = Vec::new();
    for mode in [RecordMode::Both, RecordMode::Paused, RecordMode::Both] {
        scene.leg.handle_command(LegCommand::Record(mode));
        hears(&mut scene, &[3_000; 10 * FRAME], |_| false);
        let samples: Vec<i16> = std::iter::from_fn(|| reader.pop().ok()).collect();
        lengths.push((samples.len() / 2, samples.iter().any(|sample| *sample != 0)));
    }
    let length = 10 * FRAME;
    assert_eq!(lengths, [(length, true), (length, false), (length, true)]);
}

#[test]
fn a_writer_that_gave_up_costs_the_call_nothing_and_is_no_loss_of_the_rings() {
    let (mut scene, reader) = recorded(RecordMode::Both);
    hears(&mut scene, &[3_000; 10 * FRAME], |_| false);
    drop(reader);
    hears(&mut scene, &[3_000; 4_000 * FRAME / 10], |_| false);
    let statistics = scene.leg.statistics();
    assert_eq!(statistics.recorder_lost_samples, 0);
    assert!(statistics.packets_sent > 100);
}

#[test]
fn a_message_is_what_the_caller_says_between_two_commands_without_keys_and_on_its_own_clock() {
    let mut scene = Scene::new(listening(InBandDigits::Always));
    scene.play(1, vec![7_000; 8_000], true);
    hears(&mut scene, &[3_000; 10 * FRAME], |_| false);
    let (ring, mut reader) = rtrb::RingBuffer::new(400_000);
    scene
        .leg
        .handle_command(LegCommand::TakeMessage(Some(ring)));
    hears(&mut scene, &[3_000; 10 * FRAME], |_| false);
    let samples: Vec<i16> = std::iter::from_fn(|| reader.pop().ok()).collect();
    assert_eq!(samples.len(), 10 * FRAME);
    let loudest = samples.iter().map(|sample| sample.unsigned_abs()).max();
    assert!(
        loudest > Some(2_900) && loudest < Some(3_200),
        "the caller alone: {loudest:?}"
    );

    hears(&mut scene, &pressed("7", 2_000, 0), |_| false);
    let key: Vec<i16> = std::iter::from_fn(|| reader.pop().ok()).collect();
    let sounds = key
        .chunks(FRAME)
        .filter(|frame| frame.iter().any(|sample| *sample != 0));
    // Until it is known to be a key, and what rings on when it is up.
    assert!(sounds.count() < 20, "{} frames", key.len() / FRAME);

    scene.leg.handle_command(LegCommand::TakeMessage(None));
    hears(&mut scene, &[3_000; FRAME], |_| false);
    assert!(reader.is_empty() && reader.is_abandoned());
}
