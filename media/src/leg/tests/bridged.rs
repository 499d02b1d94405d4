//! Two legs with a bridge between them: who hears whom.

use super::*;
use crate::bridge::bridge;
use crate::control::RecordMode;

const LEFT_HZ: f64 = 400.0;
const RIGHT_HZ: f64 = 700.0;
const AGENT_HZ: f64 = 1_100.0;
const LOUD: f64 = 6_000.0;

struct Pair {
    left: Scene,
    right: Scene,
    /// Packets of 20 ms said so far.
    said: usize,
}

impl Pair {
    fn new(left: CodecKind, right: CodecKind) -> Self {
        let mut pair = Self {
            left: Scene::new(config(left)),
            right: Scene::new(config(right)),
            said: 0,
        };
        pair.join(true);
        pair
    }

    fn join(&mut self, agents_take_part: bool) {
        let rate = |scene: &Scene| scene.leg.sample_rate_hz();
        let (left, right) = bridge(rate(&self.left), rate(&self.right), agents_take_part).unwrap();
        let give = |scene: &mut Scene, end| {
            let end = Some(Box::new(end));
            scene.leg.handle_command(LegCommand::Bridge(end));
        };
        give(&mut self.left, left);
        give(&mut self.right, right);
    }

    /// Both far ends say their tones for so many packets of 20 ms.
    fn talk(&mut self, packets: usize) {
        for _ in 0..packets {
            say(&mut self.left, LEFT_HZ, self.said);
            say(&mut self.right, RIGHT_HZ, self.said);
            self.said += 1;
            for _ in 0..2 {
                self.left.tick();
                self.right.tick();
            }
        }
    }
}

fn say(scene: &mut Scene, hertz: f64, packet: usize) {
    let rate = scene.codec.sample_rate_hz();
    let length = rate as usize / 50;
    let whole = tone(hertz, rate, LOUD, (packet + 1) * length);
    scene.far_end_says(&whole[packet * length..]);
}

/// How strong each of the three tones is in the last half second of `heard`, to the amplitude they were said with.
fn strengths(heard: &[i16], rate: u32) -> [f64; 3] {
    let last = &heard[heard.len() - rate as usize / 2..];
    [LEFT_HZ, RIGHT_HZ, AGENT_HZ].map(|hertz| {
        let (mut sine, mut cosine) = (0.0, 0.0);
        for (index, sample) in last.iter().enumerate() {
            let phase = std::f64::consts::TAU * hertz * index as f64 / f64::from(rate);
            sine += f64::from(*sample) * phase.sin();
            cosine += f64::from(*sample) * phase.cos();
        }
        sine.hypot(cosine) * 2.0 / last.len() as f64 / LOUD
    })
}

fn there(strengths: [f64; 3]) -> [bool; 3] {
    strengths.map(|strength| {
        assert!(
            strength < 0.02 || (0.8..1.1).contains(&strength),
            "{strengths:?}"
        );
        strength > 0.5
    })
}

fn agent_speaks(scene: &mut Scene) {
    let rate = scene.codec.sample_rate_hz();
    scene.play(1, tone(AGENT_HZ, rate, LOUD, 3 * rate as usize), true);
}

#[test]
fn of_two_far_ends_and_an_agent_each_hears_the_other_two() {
    for (left, right) in [
        (CodecKind::Pcmu, CodecKind::Pcma),
        (CodecKind::Pcmu, CodecKind::G722),
        (CodecKind::G722, CodecKind::Pcmu),
    ] {
        let mut pair = Pair::new(left, right);
        let rate = pair.left.codec.sample_rate_hz();
        let (ring, mut listener) = rtrb::RingBuffer::new(4 * rate as usize);
        pair.left
            .leg
            .handle_command(LegCommand::Listen(Some(Listener {
                ring,
                mode: ListenMode::Always,
            })));
        agent_speaks(&mut pair.left);
        pair.talk(100);
        let heard = pair.left.heard_by_far_end();
        assert_eq!(there(strengths(&heard, rate)), [false, true, true]);
        let heard = pair.right.heard_by_far_end();
        let right_rate = pair.right.codec.sample_rate_hz();
        assert_eq!(there(strengths(&heard, right_rate)), [true, false, true]);
        let chunk = listener.read_chunk(listener.slots()).unwrap();
        let heard: Vec<i16> = chunk.into_iter().collect();
        assert_eq!(there(strengths(&heard, rate)), [true, true, false]);
        for scene in [&pair.left, &pair.right] {
            let bridged = scene.leg.statistics().bridge;
            assert_eq!((bridged.missing, bridged.left_out), (0, 0), "{bridged:?}");
        }
    }
}

#[test]
fn the_other_side_is_heard_at_most_30_ms_later_than_an_echo_would_be() {
    let first_sound = |scene: &Scene| {
        let heard = scene.heard_by_far_end();
        heard
            .iter()
            .position(|sample| sample.unsigned_abs() > 1_000)
    };
    let mut echoing = Scene::new(config(CodecKind::Pcmu));
    echoing.leg.handle_command(LegCommand::Loopback(true));
    let mut pair = Pair::new(CodecKind::Pcmu, CodecKind::Pcmu);
    pair.left.ticks(1);
    pair.right.ticks(1);
    for packet in 0..20 {
        say(&mut echoing, LEFT_HZ, packet);
        echoing.ticks(2);
    }
    pair.talk(20);
    let later = first_sound(&pair.right).unwrap() - first_sound(&echoing).unwrap();
    assert!(later <= 240, "{} ms", later / 8);
}

#[test]
fn when_one_leg_is_gone_or_parted_the_other_goes_on_alone() {
    for gone in [true, false] {
        let mut pair = Pair::new(CodecKind::Pcmu, CodecKind::Pcmu);
        pair.talk(50);
        if gone {
            pair.right = Scene::new(config(CodecKind::Pcmu));
        } else {
            pair.right.leg.handle_command(LegCommand::Bridge(None));
        }
        pair.talk(60);
        assert!(pair.left.leg.bridge.is_none());
        let heard = pair.left.heard_by_far_end();
        assert_eq!(there(strengths(&heard, 8_000)), [false; 3]);
        // And can be joined anew.
        pair.join(true);
        pair.talk(60);
        let heard = pair.left.heard_by_far_end();
        assert_eq!(there(strengths(&heard, 8_000)), [false, true, false]);
    }
}

#[test]
fn ticks_that_come_late_leave_a_bridge_no_slower_than_before() {
    let mut pair = Pair::new(CodecKind::Pcmu, CodecKind::Pcmu);
    pair.talk(20);
    for round in 0..10 {
        // One side, then the other, does not come to its ticks for 60 ms.
        let (early, late) = match round % 2 {
            0 => (&mut pair.left, &mut pair.right),
            _ => (&mut pair.right, &mut pair.left),
        };
        early.ticks(6);
        late.now += Duration::from_millis(60);
        for _ in 0..10 {
            // Quiet on both sides: what is too much can go.
            pair.left.tick();
            pair.right.tick();
        }
    }
    let waiting = |scene: &Scene| scene.leg.bridge.as_ref().unwrap().waiting();
    assert!(waiting(&pair.left) <= 4, "{}", waiting(&pair.left));
    assert!(waiting(&pair.right) <= 4, "{}", waiting(&pair.right));
    pair.talk(60);
    let heard = pair.right.heard_by_far_end();
    assert_eq!(there(strengths(&heard, 8_000)), [true, false, false]);
}

#[test]
fn an_agent_that_takes_no_part_is_heard_by_nobody_whatever_it_is_told_and_goes_on_where_it_was() {
    let mut pair = Pair::new(CodecKind::Pcmu, CodecKind::Pcmu);
    pair.join(false);
    agent_speaks(&mut pair.left);
    pair.left
        .leg
        .handle_command(LegCommand::Resume(Bus::Speech));
    pair.talk(60);
    for (scene, expected) in [
        (&pair.left, [false, true, false]),
        (&pair.right, [true, false, false]),
    ] {
        assert_eq!(there(strengths(&scene.heard_by_far_end(), 8_000)), expected);
    }
    pair.left.flush(1, 20);
    pair.left.play(2, tone(AGENT_HZ, 8_000, LOUD, 24_000), true);
    pair.talk(60);
    let heard = pair.right.heard_by_far_end();
    assert_eq!(there(strengths(&heard, 8_000)), [true, false, false]);
    pair.left.leg.handle_command(LegCommand::Bridge(None));
    pair.talk(60);
    let heard = pair.left.heard_by_far_end();
    assert_eq!(there(strengths(&heard, 8_000)), [false, false, true]);
}

#[test]
fn an_echo_that_stays_is_not_heard_twice_by_the_other_side() {
    let mut pair = Pair::new(CodecKind::Pcmu, CodecKind::Pcmu);
    pair.left.leg.handle_command(LegCommand::Loopback(true));
    pair.talk(60);
    let heard = pair.right.heard_by_far_end();
    assert_eq!(there(strengths(&heard, 8_000)), [true, false, false]);
}

#[test]
fn an_agent_that_stays_hears_the_other_side_while_its_own_may_not_speak() {
    let mut pair = Pair::new(CodecKind::Pcmu, CodecKind::Pcmu);
    let (ring, mut listener) = rtrb::RingBuffer::new(80_000);
    let mode = ListenMode::Always;
    let listen = LegCommand::Listen(Some(Listener { ring, mode }));
    pair.left.leg.handle_command(listen);
    let held = agreed(&pair.left.leg, Direction::SendOnly, Some(far_address()));
    pair.left.leg.renegotiate(&held, pair.left.now).unwrap();
    pair.talk(60);
    let chunk = listener.read_chunk(listener.slots()).unwrap();
    let heard: Vec<i16> = chunk.into_iter().collect();
    assert_eq!(there(strengths(&heard, 8_000)), [false, true, false]);
}

#[test]
fn a_recording_holds_the_legs_own_sides_and_not_the_other_far_end() {
    let mut pair = Pair::new(CodecKind::Pcmu, CodecKind::Pcmu);
    let (ring, mut recorded) = rtrb::RingBuffer::new(80_000);
    pair.left.leg.attach_recorder(ring, RecordMode::Both);
    agent_speaks(&mut pair.left);
    pair.talk(60);
    let chunk = recorded.read_chunk(recorded.slots()).unwrap();
    let both: Vec<i16> = chunk.into_iter().collect();
    let side = |first: usize| -> Vec<i16> { both.iter().skip(first).step_by(2).copied().collect() };
    assert_eq!(there(strengths(&side(0), 8_000)), [true, false, false]);
    assert_eq!(there(strengths(&side(1), 8_000)), [false, false, true]);
}

#[test]
fn a_key_that_sounds_does_not_cross_on_hold_or_late_either() {
    for (direction, late) in [
        (Direction::SendReceive, false),
        (Direction::ReceiveOnly, false),
        (Direction::SendReceive, true),
    ] {
        let mut pair = Pair::new(CodecKind::Pcmu, CodecKind::Pcmu);
        pair.left = Scene::new(tones::listening(InBandDigits::WithoutEvents));
        pair.join(true);
        let agreed = agreed(&pair.left.leg, direction, Some(far_address()));
        pair.left.leg.renegotiate(&agreed, pair.left.now).unwrap();
        for (index, frame) in tones::pressed("5", 400, 400).chunks(160).enumerate() {
            pair.left.far_end_says(frame);
            match (late, index % 3) {
                (false, _) => pair.left.ticks(2),
                (true, 2) => {
                    pair.left.now += Duration::from_millis(50);
                    pair.left.tick();
                }
                (true, _) => {}
            }
            pair.right.ticks(2);
        }
        let pressed = |event: &LegEvent| matches!(event, LegEvent::Digit { .. });
        let presses = pair.left.events.iter().filter(|event| pressed(event));
        assert_eq!(presses.count(), 1, "{direction:?} {late}");
        let heard = pair.right.heard_by_far_end();
        let loud = heard
            .iter()
            .filter(|sample| sample.unsigned_abs() > 1_000)
            .count();
        assert!(loud <= 60 * 8, "{direction:?} {late} {} ms", loud / 8);
    }
}

#[test]
fn a_leg_that_is_joined_waits_for_no_media_while_its_far_end_may_not_send() {
    let mut pair = Pair::new(CodecKind::Pcmu, CodecKind::Pcmu);
    pair.left = Scene::new(LegConfig {
        no_media_timeout: Some(Duration::from_secs(1)),
        direction: Direction::SendOnly,
        ..config(CodecKind::Pcmu)
    });
    pair.join(true);
    pair.left.ticks(300);
    assert_eq!(pair.left.events, []);
    // From then on it may send, and does not.
    let agreed = agreed(&pair.left.leg, Direction::SendReceive, Some(far_address()));
    pair.left.leg.renegotiate(&agreed, pair.left.now).unwrap();
    pair.left.ticks(150);
    assert_eq!(pair.left.events, [LegEvent::Silent { at_ms: 4_000 }]);
}
