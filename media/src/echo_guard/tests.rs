//! The guard on a synthesised sentence that comes back, and on a caller over it.

use super::*;
use crate::voice_activity::tests::caller_sentence;

fn scaled(samples: &[i16], factor: f64) -> Vec<i16> {
    samples
        .iter()
        .map(|sample| (f64::from(*sample) * factor) as i16)
        .collect()
}

fn is_loud(frame: &[i16]) -> bool {
    frame.iter().any(|sample| sample.abs() > 150)
}

/// The verdicts on the loud ticks of `heard` while `sent` is sent, with the tick's number.
fn verdicts(guard: &mut EchoGuard, sent: &[i16], heard: &[i16]) -> Vec<(usize, bool)> {
    let mut verdicts = Vec::new();
    for (tick, (sent, heard)) in sent
        .chunks_exact(80)
        .zip(heard.chunks_exact(80))
        .enumerate()
    {
        let loud = is_loud(heard);
        let echo = guard.hear(Some(heard), loud);
        if loud {
            verdicts.push((tick, echo));
        }
        guard.sent(sent);
    }
    verdicts
}

fn delayed(samples: &[i16], ms: usize, factor: f64) -> Vec<i16> {
    [vec![0; ms * 8], scaled(samples, factor)].concat()
}

/// The share of verdicts from tick `from` on that say it is our echo.
fn share_of_echo(verdicts: &[(usize, bool)], from: usize) -> f64 {
    let late = || verdicts.iter().filter(|(tick, _)| *tick >= from);
    late().filter(|(_, echo)| *echo).count() as f64 / late().count() as f64
}

#[test]
fn an_echo_is_known_within_400_ms_whatever_its_delay_and_gain() {
    let agent = caller_sentence();
    for ms in [40, 95, 203, 400, 650] {
        for factor in [0.5, 0.1, 0.05] {
            let mut guard = EchoGuard::new(8_000).unwrap();
            let heard = delayed(&agent, ms, factor);
            let sent = [&agent[..], &vec![0; heard.len() - agent.len()]].concat();
            let verdicts = verdicts(&mut guard, &sent, &heard);
            let from = verdicts[0].0 + 40;
            let share = share_of_echo(&verdicts, from);
            assert!(share > 0.97, "{ms} ms, times {factor}: {share:.3}");
        }
    }
}

#[test]
fn a_caller_over_the_echo_is_told_from_it_within_50_ms() {
    let agent = caller_sentence().repeat(2);
    // Another part of the sentence, half as loud as the agent and five times as loud as the echo.
    let caller = scaled(&caller_sentence()[8_000..16_000], 0.5);
    let mut guard = EchoGuard::new(8_000).unwrap();
    let mut heard = delayed(&agent, 60, 0.1);
    let begin = caller_sentence().len() + 4_000;
    for (sample, said) in heard[begin..].iter_mut().zip(&caller) {
        *sample = sample.saturating_add(*said);
    }
    let verdicts = verdicts(&mut guard, &agent, &heard);
    let first = verdicts
        .iter()
        .find(|(tick, echo)| *tick >= begin / 80 && !echo)
        .unwrap();
    let onset = caller.chunks_exact(80).position(is_loud).unwrap();
    assert!(first.0 <= begin / 80 + onset + 5, "{first:?}");
    let during: Vec<_> = verdicts
        .iter()
        .copied()
        .filter(|(tick, _)| (first.0..begin / 80 + 95).contains(tick))
        .collect();
    assert!(share_of_echo(&during, 0) < 0.2, "{during:?}");
}

#[test]
fn a_caller_without_an_echo_is_never_taken_for_one() {
    let agent = caller_sentence();
    let caller = [caller_sentence()[8_000..].to_vec(), vec![0; 8_000]].concat();
    let mut guard = EchoGuard::new(8_000).unwrap();
    let verdicts = verdicts(&mut guard, &agent, &caller);
    assert!(verdicts.len() > 100);
    assert_eq!(share_of_echo(&verdicts, 0), 0.0, "{:?}", guard.search);
}

#[test]
fn nothing_is_looked_at_when_nothing_was_sent_for_long() {
    let agent = caller_sentence();
    let mut guard = EchoGuard::new(8_000).unwrap();
    verdicts(&mut guard, &agent, &delayed(&agent, 60, 0.2));
    for _ in 0..=HISTORY {
        guard.hear(None, false);
    }
    let before = guard.newest;
    for frame in agent.chunks_exact(80) {
        assert!(
            !guard.hear(Some(frame), true),
            "there is nothing to come back"
        );
    }
    assert_eq!(guard.newest, before);
    // What was learned is still known when the agent speaks again.
    let again = verdicts(&mut guard, &agent, &delayed(&agent, 60, 0.2));
    assert!(share_of_echo(&again, 0) > 0.97);
}

#[test]
fn wideband_ticks_are_brought_to_8_khz_and_other_rates_are_not_offered() {
    assert!(EchoGuard::new(48_000).is_none());
    let agent = crate::resampler::resample_whole(&caller_sentence(), 8_000, 16_000).unwrap();
    let heard = [vec![0; 960], scaled(&agent, 0.2)].concat();
    let mut guard = EchoGuard::new(16_000).unwrap();
    let (mut loud, mut echo) = (0, 0);
    for (tick, (sent, heard)) in agent
        .chunks_exact(160)
        .zip(heard.chunks_exact(160))
        .enumerate()
    {
        let is_echo = guard.hear(Some(heard), is_loud(heard));
        if tick > 70 && is_loud(heard) {
            loud += 1;
            echo += usize::from(is_echo);
        }
        guard.sent(sent);
    }
    assert!(loud > 50 && echo * 100 > loud * 97, "{echo} of {loud}");
}
