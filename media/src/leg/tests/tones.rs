//! Digits and tones in the audio, both ways.

use super::*;
use crate::codec::PayloadType;
use crate::control::{CallToneKind, Digit};
use crate::tones::{DigitDetector, DigitTones, PressMark};

pub(super) const FRAME: usize = 160;

fn digit(symbol: char) -> Digit {
    Digit::from_char(symbol).unwrap()
}

/// A caller's presses, each with its pause, at 8 kHz.
pub(super) fn pressed(keys: &str, ms: u32, pause_ms: usize) -> Vec<i16> {
    let mut samples = vec![0; 50 * FRAME];
    for key in keys.chars() {
        let mut press = vec![0; (ms as usize + pause_ms) * 8];
        DigitTones::new(digit(key), ms, 8_000).write(&mut press);
        samples.extend(press);
    }
    samples.resize((samples.len() + 30 * FRAME).next_multiple_of(FRAME), 0);
    samples
}

pub(super) fn listening(in_band_digits: InBandDigits) -> LegConfig {
    LegConfig {
        in_band_digits,
        ..config(CodecKind::Pcmu)
    }
}

/// Lets the far end say `samples`, without the packets that `lost` names.
pub(super) fn hears(scene: &mut Scene, samples: &[i16], lost: impl Fn(usize) -> bool) {
    for (index, frame) in samples.chunks(FRAME).enumerate() {
        if lost(index) {
            scene.sequence += 1;
            scene.timestamp += FRAME as u32;
        } else {
            scene.far_end_says(frame);
        }
        scene.ticks(2);
    }
}

fn digits(scene: &Scene) -> String {
    let digit = |event: &LegEvent| match event {
        LegEvent::Digit { digit, .. } => Some(digit.as_char()),
        _ => None,
    };
    scene.events.iter().filter_map(digit).collect()
}

#[test]
fn tones_are_digits_where_that_is_wanted_and_nothing_otherwise() {
    for (wanted, heard) in [
        (InBandDigits::WithoutEvents, "0123456789*#ABCD"),
        (InBandDigits::Never, ""),
    ] {
        let mut scene = Scene::new(listening(wanted));
        hears(&mut scene, &pressed("0123456789*#ABCD", 60, 60), |_| false);
        assert_eq!(digits(&scene), heard, "{wanted:?}");
    }
}

#[test]
fn a_press_by_tones_is_told_with_its_beginning_within_100_ms() {
    let mut scene = Scene::new(listening(InBandDigits::Always));
    let mut told = None;
    for frame in pressed("5", 100, 100).chunks(FRAME) {
        scene.far_end_says(frame);
        for _ in 0..2 {
            scene.tick();
            let now_ms = scene.leg.clock.slot_ms();
            told = told.or((!digits(&scene).is_empty()).then_some(now_ms));
        }
    }
    let began_ms = 50 * 20;
    let at_ms = scene.events.iter().find_map(|event| match event {
        LegEvent::Digit { at_ms, .. } => Some(*at_ms),
        _ => None,
    });
    // The playout delay is in both.
    assert!(
        (began_ms..began_ms + 40).contains(&at_ms.unwrap()),
        "{at_ms:?}"
    );
    assert!(told.unwrap() < began_ms + 100, "{told:?}");
}

#[test]
fn keys_that_sound_are_no_speech() {
    let mut scene = Scene::new(LegConfig {
        voice_activity: true,
        ..listening(InBandDigits::Always)
    });
    hears(&mut scene, &pressed("159#", 400, 80), |_| false);
    let spoke = |event: &LegEvent| matches!(event, LegEvent::SpeechStarted { .. });
    assert!(!scene.events.iter().any(spoke), "{:?}", scene.events);
}

#[test]
fn one_packet_lost_in_a_long_press_does_not_make_two_of_it() {
    for lost in 0..8 {
        let mut scene = Scene::new(listening(InBandDigits::WithoutEvents));
        hears(&mut scene, &pressed("555", 160, 80), |index| {
            index == 50 + lost
        });
        assert_eq!(digits(&scene), "555", "packet {lost} of the first press");
    }
}

#[test]
fn a_gateway_that_sends_events_and_leaves_the_tones_is_heard_once() {
    let number = PayloadType::new(101).unwrap();
    let mut scene = Scene::new(LegConfig {
        telephone_event: Some(TelephoneEvent {
            payload_type_send: number,
            payload_type_receive: number,
            clock_rate_hz: 8_000,
        }),
        ..listening(InBandDigits::Always)
    });
    let samples = pressed("4711", 80, 80);
    for (index, frame) in samples.chunks(FRAME).enumerate() {
        // Each press's event, late by 60 ms, so that its tones are heard first.
        let key = "4711".chars().nth((index.saturating_sub(53)) / 8);
        if let Some(key) = key.filter(|_| index >= 53 && (index - 53) % 8 == 0) {
            let packet = RtpPacketBuilder::new()
                .payload_type(101)
                .ssrc(0xBEEF)
                .sequence(Seq::from(scene.sequence))
                .timestamp(scene.timestamp)
                .marked(true)
                .payload(&[digit(key).event(), 0x8A, 2, 128])
                .build()
                .unwrap();
            scene.sequence += 1;
            scene.leg.handle_datagram(&packet, far_address(), scene.now);
        }
        scene.far_end_says(frame);
        scene.ticks(2);
    }
    assert_eq!(digits(&scene), "4711");
}

#[test]
fn a_re_invite_that_agrees_on_events_ends_the_listening_for_tones() {
    let mut scene = Scene::new(listening(InBandDigits::WithoutEvents));
    hears(&mut scene, &pressed("1", 80, 80), |_| false);
    let number = PayloadType::new(101).unwrap();
    let mut with_events = agreed(&scene.leg, Direction::SendReceive, Some(far_address()));
    with_events.telephone_event = Some(TelephoneEvent {
        payload_type_send: number,
        payload_type_receive: number,
        clock_rate_hz: 8_000,
    });
    scene.leg.renegotiate(&with_events, scene.now).unwrap();
    hears(&mut scene, &pressed("2", 80, 80), |_| false);
    assert_eq!(digits(&scene), "1");
}

#[test]
fn without_events_our_presses_are_tones_over_the_speech_and_a_flush_does_not_cut_them() {
    let mut scene = Scene::new(config(CodecKind::Pcmu));
    scene.play(1, tone(300.0, 8_000, 9_000.0, 8_000), true);
    scene.ticks(10);
    for key in ['1', '9', '9'] {
        scene.leg.handle_command(LegCommand::Press {
            digit: digit(key),
            duration_ms: 80,
        });
    }
    scene.ticks(5);
    scene.flush(1, 20);
    scene.ticks(60);
    let sent = scene.heard_by_far_end();
    let mut detector = DigitDetector::new(8_000).unwrap();
    let mut heard = String::new();
    for (index, frame) in (1u64..).zip(sent.chunks(80)) {
        detector.hear(frame, index * 10, false, |mark| match mark {
            PressMark::Began { digit, .. } => heard.push(digit.as_char()),
            PressMark::Ended { duration_ms, .. } => assert!(duration_ms.abs_diff(80) <= 8),
        });
    }
    assert_eq!(heard, "199");
    assert_eq!(scene.leg.statistics().unsent_digits, 0);
}

#[test]
fn call_tones_are_reported_where_that_is_wanted_and_otherwise_not() {
    for wanted in [true, false] {
        let mut scene = Scene::new(LegConfig {
            call_tones: wanted,
            ..config(CodecKind::Pcmu)
        });
        let mut samples = vec![0; 50 * FRAME];
        samples.extend(tone(1_000.0, 8_000, 6_000.0, 3_200));
        samples.extend(vec![0; 50 * FRAME]);
        hears(&mut scene, &samples, |_| false);
        let tones: Vec<_> = scene
            .events
            .iter()
            .filter_map(|event| match event {
                LegEvent::Tone(tone) => Some(tone.kind),
                _ => None,
            })
            .collect();
        let expected: &[CallToneKind] = if wanted { &[CallToneKind::Beep] } else { &[] };
        assert_eq!(tones, expected);
    }
}
