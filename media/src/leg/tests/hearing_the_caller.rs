//! Speech, interruptions, listeners and digits.

use super::*;

/// A scene whose far end says the sentence after `before_ms`, and which runs for `total_ms`.
fn sentence_after(scene: &mut Scene, before_ms: usize, total_ms: usize) {
    let mut said = vec![0; before_ms * 8];
    said.extend(crate::voice_activity::tests::caller_sentence());
    said.resize(total_ms * 8, 0);
    for frame in said.chunks_exact(160) {
        scene.far_end_says(frame);
        scene.ticks(2);
    }
}

#[test]
fn a_speech_listener_gets_the_sentence_with_its_pre_roll_and_all_is_announced_before_the_end() {
    let mut scene = Scene::new(hearing());
    let (ring, mut reader) = rtrb::RingBuffer::new(80_000);
    let mode = ListenMode::DuringSpeech { pre_roll_ms: 300 };
    scene
        .leg
        .handle_command(LegCommand::Listen(Some(Listener { ring, mode })));
    sentence_after(&mut scene, 1000, 5000);

    let at = |wanted: fn(&LegEvent) -> bool| scene.events.iter().position(wanted).unwrap();
    let started = at(|event| matches!(event, LegEvent::SpeechStarted { .. }));
    let stopped = at(|event| matches!(event, LegEvent::SpeechStopped { .. }));
    let announced: u32 = scene.events[..stopped]
        .iter()
        .map(|event| match event {
            LegEvent::Heard { samples } => *samples,
            _ => 0,
        })
        .sum();
    let samples: Vec<i16> = std::iter::from_fn(|| reader.pop().ok()).collect();
    assert_eq!(
        announced as usize,
        samples.len(),
        "nothing is announced or written after the end"
    );
    let (LegEvent::SpeechStarted { at_ms: from }, LegEvent::SpeechStopped { at_ms: to }) =
        (scene.events[started], scene.events[stopped])
    else {
        panic!("{:?}", scene.events);
    };
    // Pre-roll before; after, the gate's hang-over of 100 ms and the detector's.
    let expected_ms = to - from + 300 + 100 + 250;
    let length_ms = samples.len() as u64 / 8;
    assert!(
        length_ms.abs_diff(expected_ms) <= 20,
        "{length_ms} of {expected_ms} ms"
    );
    assert!(
        samples[..800].iter().all(|sample| sample.abs() < 100),
        "it begins in the quiet before"
    );
}

#[test]
fn the_reflex_pauses_the_agent_once_and_resuming_loses_no_sample() {
    let mut scene = Scene::new(hearing());
    let policy = BargeInPolicy { min_speech_ms: 300 };
    scene.leg.handle_command(LegCommand::BargeIn(Some(policy)));
    let ramp: Vec<i16> = (0..40_000)
        .map(|index| 1000 + (index / 8 % 1000) as i16)
        .collect();
    scene.play(1, ramp, true);
    sentence_after(&mut scene, 1000, 5000);
    let reflexes: Vec<LegEvent> = scene
        .events
        .iter()
        .copied()
        .filter(|event| matches!(event, LegEvent::BargeIn { .. }))
        .collect();
    let [
        LegEvent::BargeIn {
            epoch: Epoch(1),
            at_ms,
        },
    ] = reflexes[..]
    else {
        panic!("{:?}", scene.events);
    };
    let since = scene
        .events
        .iter()
        .find_map(|event| match event {
            LegEvent::SpeechStarted { at_ms } => Some(*at_ms),
            _ => None,
        })
        .unwrap();
    assert!(
        (since + 290..since + 400).contains(&at_ms),
        "at {at_ms}, speech since {since}"
    );
    let heard = scene.heard_by_far_end();
    let paused_from = at_ms as usize * 8 + 160;
    assert!(
        heard[paused_from..].iter().all(|sample| *sample == 0),
        "nothing after the pause"
    );

    scene.sent.clear();
    scene.leg.handle_command(LegCommand::Resume(Bus::Speech));
    scene.ticks(20);
    let resumed = scene.heard_by_far_end();
    let expected = 1000 + (at_ms as usize % 1000) as i32;
    let first = i32::from(resumed[100]);
    assert!(
        (first - expected).abs() < 60,
        "{first} where {expected} was next"
    );
}

#[test]
fn the_reflex_leaves_short_speech_and_a_silent_agent_alone() {
    let mut scene = Scene::new(hearing());
    let policy = BargeInPolicy {
        min_speech_ms: 4900,
    };
    scene.leg.handle_command(LegCommand::BargeIn(Some(policy)));
    scene.play(1, vec![1000; 80_000], true);
    sentence_after(&mut scene, 500, 5000);
    scene.flush(1, 0);
    let policy = BargeInPolicy { min_speech_ms: 100 };
    scene.leg.handle_command(LegCommand::BargeIn(Some(policy)));
    sentence_after(&mut scene, 500, 5000);
    assert!(
        !scene
            .events
            .iter()
            .any(|event| matches!(event, LegEvent::BargeIn { .. }))
    );
}

#[test]
fn music_of_a_far_end_that_holds_the_call_does_not_set_the_reflex_off() {
    let mut scene = Scene::new(hearing());
    let hold = agreed(&scene.leg, Direction::ReceiveOnly, Some(far_address()));
    scene.leg.renegotiate(&hold, scene.now).unwrap();
    let policy = BargeInPolicy { min_speech_ms: 300 };
    scene.leg.handle_command(LegCommand::BargeIn(Some(policy)));
    scene.play(1, vec![1000; 80_000], true);
    sentence_after(&mut scene, 500, 5000);
    let heard = |wanted: fn(&LegEvent) -> bool| scene.events.iter().any(wanted);
    assert!(heard(|event| matches!(
        event,
        LegEvent::SpeechStarted { .. }
    )));
    assert!(!heard(|event| matches!(event, LegEvent::BargeIn { .. })));
}

#[test]
fn digits_reach_the_session_once_a_press_and_in_order() {
    let payload_type = PayloadType::new(101).unwrap();
    let event = TelephoneEvent {
        payload_type_send: payload_type,
        payload_type_receive: payload_type,
        clock_rate_hz: 8000,
    };
    let mut scene = Scene::new(LegConfig {
        telephone_event: Some(event),
        ..config(CodecKind::Pcmu)
    });
    for (press, code) in [1u8, 1, 11].into_iter().enumerate() {
        let began = 50_000 + press as u32 * 2000;
        for packet in 0..6u32 {
            let end = if packet >= 3 { 0x80 } else { 0 };
            let duration = (160 * (packet + 1).min(4)) as u16;
            let payload = [code, end | 10, (duration >> 8) as u8, duration as u8];
            let datagram = RtpPacketBuilder::new()
                .payload_type(101)
                .ssrc(0xBEEF)
                .sequence(Seq::from(scene.sequence))
                .timestamp(began)
                .marked(packet == 0)
                .payload(&payload)
                .build()
                .unwrap();
            scene.sequence += 1;
            scene
                .leg
                .handle_datagram(&datagram, far_address(), scene.now);
            scene.ticks(2);
        }
        scene.ticks(10);
    }
    let digits: String = scene
        .events
        .iter()
        .filter_map(|event| match event {
            LegEvent::Digit { digit, .. } => Some(digit.as_char()),
            _ => None,
        })
        .collect();
    assert_eq!(digits, "11#");
}
