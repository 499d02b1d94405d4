//! Digits as RTP events: any run of packets, and our own presses through packets that are lost.

use std::time::{Duration, Instant};

use offhook_media::control::{Digit, LegCommand, LegEvent};
use offhook_media::telephone_event::{DigitReceiver, EventPacket};

use crate::far_end;
use crate::rtp::leg;
use crate::script::Script;

/// The most digits that wait to be taken.
const QUEUE_LENGTH: usize = 64;

/// The first byte's upper bit: presses of ours; else packets of somebody's.
pub fn telephone_event(input: &[u8]) {
    let mut script = Script::new(input);
    let Some(flags) = script.byte() else {
        return;
    };
    match flags & 0x80 {
        0 => packets(flags, script),
        _ => presses(flags, script),
    }
}

/// No more digits than packets, each one that was pressed, none beyond the bound; and afterwards a press of another
/// source is one digit.
fn packets(flags: u8, mut script: Script<'_>) {
    let mut now = Instant::now();
    let clock_rate_hz = [8_000, 16_000, 48_000, 0, 1, u32::MAX][usize::from(flags & 7) % 6];
    let mut receiver = DigitReceiver::new(clock_rate_hz);
    let mut pressed = [0_u64; 16];
    let mut taken = [0_u64; 16];
    let mut step = || -> Option<()> {
        let kind = script.byte()?;
        if kind & 0x80 != 0 {
            let taken_now = std::iter::from_fn(|| receiver.poll())
                .map(|digit| taken[usize::from(digit.digit.event())] += 1)
                .count();
            assert!(taken_now <= QUEUE_LENGTH);
            return Some(());
        }
        let timestamp = match kind & 0x40 {
            0 => u32::from(script.word()?),
            _ => script.long()?,
        };
        let payload = script.piece()?;
        let packet = EventPacket {
            ssrc: u32::from(kind & 3),
            timestamp,
            marker: kind & 4 != 0,
            payload,
        };
        assert_eq!(receiver.handle(packet, now), payload.len() >= 4);
        if let [event @ 0..16, _, _, _, ..] = payload {
            pressed[usize::from(*event)] += 1;
        }
        now += Duration::from_millis(20);
        Some(())
    };
    while step().is_some() {}
    while let Some(digit) = receiver.poll() {
        taken[usize::from(digit.digit.event())] += 1;
    }
    for (taken, pressed) in taken.into_iter().zip(pressed) {
        assert!(taken <= pressed, "more digits than packets");
    }
    let total = |counts: [u64; 16]| counts.into_iter().sum::<u64>();
    assert!(total(taken) + receiver.dropped() <= total(pressed));

    for (duration, end) in [(160, 0), (320, 0), (480, 0x80), (480, 0x80), (480, 0x80)] {
        let [high, low] = u16::to_be_bytes(duration);
        let packet = EventPacket {
            ssrc: 99,
            timestamp: 77,
            marker: duration == 160,
            payload: &[5, 10 | end, high, low],
        };
        assert!(receiver.handle(packet, now));
    }
    let heard: Vec<u8> = std::iter::from_fn(|| receiver.poll())
        .map(|digit| digit.digit.event())
        .collect();
    assert_eq!(heard, [5]);
}

/// What one leg presses the other hears, in order and once, as long as one packet of each press arrives: the script
/// loses and repeats packets, but never the last of a press's three ends.
fn presses(flags: u8, mut script: Script<'_>) {
    let mut now = Instant::now();
    // With digits as events, a leg of PCMU, no detectors.
    let (mut agent, mut caller) = (leg(0x08, now), leg(0x08, now));
    let mut pressed = Vec::new();
    for _ in 0..=flags & 3 {
        let Some(code) = script.byte() else { break };
        let digit = Digit::from_event(code & 0x0F).expect("four bits are a digit");
        let duration_ms = 40 + u32::from(code >> 4) * 20;
        agent.handle_command(LegCommand::Press { digit, duration_ms });
        pressed.push(digit);
    }
    let mut heard = Vec::new();
    let mut ends = 0;
    for _ in 0..300 {
        if let Some((datagram, _)) = agent.tick(now) {
            let is_end = datagram[1] & 0x7F == 101 && datagram[13] & 0x80 != 0;
            ends = if is_end { ends + 1 } else { 0 };
            let fate = script.byte().unwrap_or(0);
            let times = match fate & 0x07 {
                1 | 2 if ends < 3 => 0,
                3 => 2,
                _ => 1,
            };
            for _ in 0..times {
                caller.handle_datagram(datagram, far_end(), now);
            }
        }
        caller.tick(now);
        heard.extend(
            std::iter::from_fn(|| caller.poll_event()).filter_map(|event| match event {
                LegEvent::Digit { digit, .. } => Some(digit),
                _ => None,
            }),
        );
        now += Duration::from_millis(10);
    }
    assert_eq!(heard, pressed);
}
