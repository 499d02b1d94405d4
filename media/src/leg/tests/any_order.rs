//! Commands in any order.

use proptest::prelude::*;

use super::*;
use crate::bridge::bridge;

/// Anything a session might command, and time.
#[derive(Clone, Debug)]
enum Step {
    Play {
        bus: Bus,
        samples: usize,
        last: bool,
        same: bool,
    },
    Loop {
        bus: Bus,
        samples: usize,
    },
    Flush {
        bus: Bus,
        back: u64,
        fade_ms: u32,
    },
    Pause(Bus),
    Resume(Bus),
    Gain(Bus, f32),
    Arm(Option<u32>),
    Listen(Option<u32>),
    Loopback(bool),
    Record(RecordMode),
    /// Into a ring of this size, or no more.
    TakeMessage(Option<u32>),
    Direction(bool, bool),
    Codec(CodecKind),
    /// To another leg at 16 kHz, whose agent takes part or not; or to none.
    Bridge(Option<bool>),
    Packets(usize),
    Noise(Vec<u8>),
    Ticks(usize),
    Stall(u64),
}

fn any_bus() -> impl Strategy<Value = Bus> {
    prop_oneof![4 => Just(Bus::Speech), 1 => Just(Bus::Thinking), 1 => Just(Bus::Background)]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any_bus(), 0usize..900, any::<bool>(), any::<bool>())
            .prop_map(|(bus, samples, last, same)| Step::Play { bus, samples, last, same }),
        1 => (any_bus(), 0usize..900).prop_map(|(bus, samples)| Step::Loop { bus, samples }),
        2 => (any_bus(), 0u64..3, 0u32..500)
            .prop_map(|(bus, back, fade_ms)| Step::Flush { bus, back, fade_ms }),
        1 => any_bus().prop_map(Step::Pause),
        1 => any_bus().prop_map(Step::Resume),
        1 => (any_bus(), any::<f32>()).prop_map(|(bus, decibels)| Step::Gain(bus, decibels)),
        1 => proptest::option::of(0u32..6000).prop_map(Step::Arm),
        1 => proptest::option::of(0u32..1000).prop_map(Step::Listen),
        1 => any::<bool>().prop_map(Step::Loopback),
        1 => proptest::sample::select(CodecKind::ALL.to_vec()).prop_map(Step::Codec),
        1 => proptest::option::of(any::<bool>()).prop_map(Step::Bridge),
        1 => prop_oneof![
            Just(RecordMode::Both),
            Just(RecordMode::CallerMuted),
            Just(RecordMode::Paused)
        ]
        .prop_map(Step::Record),
        1 => proptest::option::of(1u32..2_000).prop_map(Step::TakeMessage),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(send, receive)| Step::Direction(send, receive)),
        2 => (1usize..20).prop_map(Step::Packets),
        1 => proptest::collection::vec(any::<u8>(), 0..200).prop_map(Step::Noise),
        6 => (1usize..20).prop_map(Step::Ticks),
        1 => (0u64..3000).prop_map(Step::Stall),
    ]
}

fn direction(sends: bool, receives: bool) -> Direction {
    match (sends, receives) {
        (true, true) => Direction::SendReceive,
        (true, false) => Direction::SendOnly,
        (false, true) => Direction::ReceiveOnly,
        (false, false) => Direction::Inactive,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is commanded and whatever arrives: nothing panics, no utterance begins twice, and each
    /// one that was taken is drained or flushed, once.
    #[test]
    fn no_utterance_is_lost_or_reported_twice(steps in proptest::collection::vec(any_step(), 1..120)) {
        let mut scene = Scene::new(hearing());
        let mut ends = Vec::new();
        let mut rings = Vec::new();
        let mut newest = 1;
        let mut played = std::collections::BTreeMap::new();
        for step in steps {
            match step {
                Step::Play { bus, samples, last, same } => {
                    newest += u64::from(!same);
                    let epoch = Epoch(newest);
                    let samples: Arc<[i16]> = vec![3000; samples].into();
                    // An utterance stays on the bus where it began.
                    let bus = if last || !samples.is_empty() {
                        *played.entry(newest).or_insert(bus)
                    } else {
                        bus
                    };
                    let chunk = Chunk { epoch, samples, last };
                    scene.leg.handle_command(LegCommand::Play { bus, chunk });
                    if last {
                        newest += 1;
                    }
                }
                Step::Loop { bus, samples } => {
                    newest += 1;
                    if samples > 0 {
                        played.insert(newest, bus);
                    }
                    let samples: Arc<[i16]> = vec![500; samples].into();
                    scene.leg.handle_command(LegCommand::Loop { bus, epoch: Epoch(newest), samples });
                    newest += 1;
                }
                Step::Flush { bus, back, fade_ms } => {
                    let through = Epoch(newest.saturating_sub(back));
                    scene.leg.handle_command(LegCommand::Flush { bus, through, fade_ms });
                    newest += 1;
                }
                Step::Pause(bus) => scene.leg.handle_command(LegCommand::Pause(bus)),
                Step::Resume(bus) => scene.leg.handle_command(LegCommand::Resume(bus)),
                Step::Gain(bus, decibels) => {
                    scene.leg.handle_command(LegCommand::Gain { bus, decibels });
                }
                Step::Arm(policy) => {
                    let policy = policy.map(|min_speech_ms| BargeInPolicy { min_speech_ms });
                    scene.leg.handle_command(LegCommand::BargeIn(policy));
                }
                Step::Listen(pre_roll) => {
                    let listener = pre_roll.map(|pre_roll_ms| {
                        let (ring, reader) = rtrb::RingBuffer::new(4000);
                        rings.push(reader);
                        Listener { ring, mode: ListenMode::DuringSpeech { pre_roll_ms } }
                    });
                    scene.leg.handle_command(LegCommand::Listen(listener));
                }
                Step::Record(mode) => scene.leg.handle_command(LegCommand::Record(mode)),
                Step::TakeMessage(size) => {
                    let ring = size.map(|size| rtrb::RingBuffer::new(size as usize).0);
                    scene.leg.handle_command(LegCommand::TakeMessage(ring));
                }
                Step::Loopback(on) => scene.leg.handle_command(LegCommand::Loopback(on)),
                Step::Direction(sends, receives) => {
                    let agreed = agreed(&scene.leg, direction(sends, receives), Some(far_address()));
                    scene.leg.renegotiate(&agreed, scene.now).unwrap();
                }
                Step::Codec(kind) => {
                    let mut other = agreed(&scene.leg, scene.leg.direction, Some(far_address()));
                    other.codec = Codec::new(kind);
                    scene.leg.renegotiate(&other, scene.now).unwrap();
                }
                Step::Bridge(agents) => {
                    let bridge = agents.map(|take_part| bridge(8_000, 16_000, take_part).unwrap());
                    let (end, other) = bridge.unzip();
                    ends.extend(other);
                    scene.leg.handle_command(LegCommand::Bridge(end.map(Box::new)));
                }
                Step::Packets(count) => {
                    for _ in 0..count {
                        scene.far_end_says(&tone(300.0, 8000, 9000.0, 160));
                        scene.ticks(2);
                    }
                }
                Step::Noise(bytes) => scene.leg.handle_datagram(&bytes, far_address(), scene.now),
                Step::Ticks(count) => scene.ticks(count),
                Step::Stall(ms) => scene.now += Duration::from_millis(ms),
            }
            while let Some(event) = scene.leg.poll_event() {
                scene.events.push(event);
            }
        }
        for bus in [Bus::Speech, Bus::Thinking, Bus::Background] {
            let through = Epoch(newest);
            scene.leg.handle_command(LegCommand::Flush { bus, through, fade_ms: 20 });
        }
        scene.leg.handle_command(LegCommand::Bridge(None));
        let mut open = agreed(&scene.leg, Direction::SendReceive, Some(far_address()));
        open.codec = Codec::new(CodecKind::Pcmu);
        scene.leg.renegotiate(&open, scene.now).unwrap();
        scene.ticks(100);

        let mut begun = std::collections::BTreeSet::new();
        let mut over = std::collections::BTreeMap::new();
        for event in &scene.events {
            match *event {
                LegEvent::Started { epoch, .. } => {
                    prop_assert!(begun.insert(epoch), "{epoch:?} began twice");
                    prop_assert!(!over.contains_key(&epoch.0), "{epoch:?} began after its end");
                }
                LegEvent::Drained { epoch, .. } => {
                    prop_assert!(over.insert(epoch.0, "drained").is_none(), "{epoch:?} ended twice");
                }
                LegEvent::Flushed { bus, through, cut, .. } => {
                    if let Some(cut) = cut {
                        prop_assert!(!over.contains_key(&cut.0), "{cut:?} was over when cut");
                    }
                    for (epoch, on) in played.range(..=through.0) {
                        if *on == bus {
                            over.entry(*epoch).or_insert("flushed");
                        }
                    }
                }
                LegEvent::Refused { epoch, .. } => {
                    over.entry(epoch.0).or_insert("refused");
                }
                LegEvent::Live { .. }
                | LegEvent::SpeechStarted { .. }
                | LegEvent::SpeechStopped { .. }
                | LegEvent::Heard { .. }
                | LegEvent::Digit { .. }
                | LegEvent::BargeIn { .. }
                | LegEvent::Tone(_)
                | LegEvent::Silent { .. } => {}
            }
        }
        for epoch in played.keys() {
            prop_assert!(over.contains_key(epoch), "utterance {epoch} never ended");
        }
        prop_assert_eq!(scene.leg.statistics().events_lost, 0);
        let silent = scene.sent.last().unwrap();
        prop_assert!(silent[12..].iter().all(|byte| *byte == 0xFF) || scene.leg.loopback);
    }
}
