//! The mixer in virtual time: every frame of 10 ms is pulled by hand.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

const RATE: u32 = 8000;
const FRAME: usize = 80;

fn chunk(epoch: u64, samples: Vec<i16>, last: bool) -> Chunk {
    Chunk {
        epoch: Epoch(epoch),
        samples: samples.into(),
        last,
    }
}

fn mixer() -> Mixer {
    Mixer::new(RATE, BusBounds::default())
}

fn next_frame(mixer: &mut Mixer) -> Vec<i16> {
    let mut out = vec![0x5555; FRAME];
    match mixer.mix(None, &mut out) {
        MixedFrame::Silence => vec![0; FRAME],
        MixedFrame::Audio => out,
    }
}

fn frames(mixer: &mut Mixer, count: usize) -> Vec<i16> {
    (0..count).flat_map(|_| next_frame(mixer)).collect()
}

fn marks(mixer: &mut Mixer) -> Vec<Mark> {
    let mut list = Vec::new();
    mixer.take_marks(|_, mark| list.push(mark));
    list
}

fn sine(hertz: f32, amplitude: f32, samples: usize) -> Vec<i16> {
    (0..samples)
        .map(|index| {
            let phase = std::f32::consts::TAU * hertz * index as f32 / RATE as f32;
            (amplitude * phase.sin()) as i16
        })
        .collect()
}

fn largest_step(samples: &[i16]) -> i32 {
    samples
        .windows(2)
        .map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs())
        .max()
        .unwrap()
}

#[test]
fn a_single_bus_at_0_db_is_copied_bit_for_bit() {
    let mut mixer = mixer();
    let samples: Vec<i16> = (0..400).map(|index| index * 77 - 15_000).collect();
    mixer
        .play(Bus::Speech, chunk(1, samples[..130].to_vec(), false))
        .unwrap();
    mixer
        .play(Bus::Speech, chunk(1, samples[130..].to_vec(), true))
        .unwrap();
    assert_eq!(frames(&mut mixer, 5), samples);
    assert_eq!(
        marks(&mut mixer),
        [
            Mark::Started(Epoch(1)),
            Mark::Ended {
                epoch: Epoch(1),
                played: 400
            }
        ]
    );
    assert_eq!(mixer.mix(None, &mut [0; FRAME]), MixedFrame::Silence);
}

#[test]
fn the_end_is_marked_with_the_packet_of_the_last_sample_and_not_before() {
    let mut mixer = mixer();
    mixer
        .play(Bus::Speech, chunk(1, vec![9; FRAME * 2], true))
        .unwrap();
    next_frame(&mut mixer);
    assert_eq!(marks(&mut mixer), [Mark::Started(Epoch(1))]);
    next_frame(&mut mixer);
    assert_eq!(
        marks(&mut mixer),
        [Mark::Ended {
            epoch: Epoch(1),
            played: 160
        }]
    );
    assert_eq!(mixer.sounding(Bus::Speech), None);
}

#[test]
fn a_gap_between_chunks_is_silence_within_the_same_utterance() {
    let mut mixer = mixer();
    mixer
        .play(Bus::Speech, chunk(1, vec![9; FRAME], false))
        .unwrap();
    next_frame(&mut mixer);
    assert_eq!(next_frame(&mut mixer), vec![0; FRAME]);
    assert_eq!(mixer.sounding(Bus::Speech), Some(Epoch(1)));
    mixer
        .play(Bus::Speech, chunk(1, vec![7; FRAME], false))
        .unwrap();
    assert_eq!(next_frame(&mut mixer), vec![7; FRAME]);
    mixer.play(Bus::Speech, chunk(1, vec![], true)).unwrap();
    next_frame(&mut mixer);
    assert_eq!(
        marks(&mut mixer),
        [
            Mark::Started(Epoch(1)),
            Mark::Ended {
                epoch: Epoch(1),
                played: 160
            }
        ]
    );
}

#[test]
fn the_next_utterance_follows_within_the_same_frame() {
    let mut mixer = mixer();
    mixer
        .play(Bus::Speech, chunk(1, vec![1; 30], true))
        .unwrap();
    mixer
        .play(Bus::Speech, chunk(2, vec![2; 200], true))
        .unwrap();
    let frame = next_frame(&mut mixer);
    assert_eq!((frame[29], frame[30], frame[79]), (1, 2, 2));
    assert_eq!(
        marks(&mut mixer),
        [
            Mark::Started(Epoch(1)),
            Mark::Ended {
                epoch: Epoch(1),
                played: 30
            },
            Mark::Started(Epoch(2)),
        ]
    );
}

#[test]
fn two_utterances_never_end_in_the_same_packet() {
    let mut mixer = mixer();
    for epoch in 1..=5 {
        mixer
            .play(Bus::Speech, chunk(epoch, vec![1; 8], true))
            .unwrap();
    }
    mixer.play(Bus::Speech, chunk(6, vec![], true)).unwrap();
    let mut ended = Vec::new();
    for _packet in 0..12 {
        next_frame(&mut mixer);
        next_frame(&mut mixer);
        let ends: Vec<Epoch> = marks(&mut mixer)
            .into_iter()
            .filter_map(|mark| match mark {
                Mark::Ended { epoch, .. } => Some(epoch),
                Mark::Started(_) => None,
            })
            .collect();
        assert!(ends.len() <= 1, "{ends:?}");
        ended.extend(ends);
    }
    assert_eq!(ended, (1..=6).map(Epoch).collect::<Vec<_>>());
}

#[test]
fn an_utterance_without_its_last_chunk_ends_when_the_next_begins() {
    let mut mixer = mixer();
    mixer
        .play(Bus::Speech, chunk(1, vec![1; FRAME], false))
        .unwrap();
    mixer
        .play(Bus::Speech, chunk(2, vec![2; FRAME], false))
        .unwrap();
    frames(&mut mixer, 2);
    assert_eq!(
        marks(&mut mixer),
        [
            Mark::Started(Epoch(1)),
            Mark::Ended {
                epoch: Epoch(1),
                played: 80
            },
            Mark::Started(Epoch(2)),
        ]
    );
    assert_eq!(
        mixer.play(Bus::Speech, chunk(1, vec![1; FRAME], true)),
        Err(Refusal::OutOfOrder)
    );
}

#[test]
fn after_a_flush_no_sample_of_the_old_epoch_is_left_but_its_fade() {
    let mut mixer = mixer();
    mixer
        .play(Bus::Speech, chunk(1, vec![10_000; 4000], false))
        .unwrap();
    mixer
        .play(Bus::Speech, chunk(2, vec![10_000; 4000], true))
        .unwrap();
    frames(&mut mixer, 3);
    marks(&mut mixer);
    let flush = mixer.flush(Bus::Speech, Epoch(2), 20);
    assert_eq!(
        flush,
        Flush {
            through: Epoch(2),
            cut: Some(Epoch(1)),
            played_ms: 30
        }
    );
    mixer
        .play(Bus::Speech, chunk(1, vec![10_000; 800], true))
        .unwrap();
    mixer
        .play(Bus::Speech, chunk(2, vec![10_000; 800], true))
        .unwrap();
    mixer
        .play(Bus::Speech, chunk(3, vec![333; 800], true))
        .unwrap();
    let heard = frames(&mut mixer, 12);
    let fade = &heard[..160];
    assert!(
        fade.windows(2)
            .all(|pair| pair[1] <= pair[0] && pair[0] - pair[1] <= 63),
        "{fade:?}"
    );
    assert!(fade[0] > 9900 && fade[159] == 0);
    assert_eq!(heard[160..], [333; 800]);
    assert_eq!(
        marks(&mut mixer),
        [
            Mark::Started(Epoch(3)),
            Mark::Ended {
                epoch: Epoch(3),
                played: 800
            }
        ]
    );
}

#[test]
fn a_flush_without_fade_is_silent_at_once() {
    let mut mixer = mixer();
    mixer
        .play(Bus::Speech, chunk(1, vec![10_000; 4000], true))
        .unwrap();
    frames(&mut mixer, 3);
    mixer.flush(Bus::Speech, Epoch(1), 0);
    assert_eq!(mixer.mix(None, &mut [0; FRAME]), MixedFrame::Silence);
    assert_eq!(mixer.sounding(Bus::Speech), None);
}

#[test]
fn a_flush_leaves_newer_utterances_alone() {
    let mut mixer = mixer();
    mixer
        .play(Bus::Speech, chunk(4, vec![10_000; 400], true))
        .unwrap();
    mixer
        .play(Bus::Speech, chunk(5, vec![55; 400], true))
        .unwrap();
    next_frame(&mut mixer);
    mixer.flush(Bus::Speech, Epoch(4), 0);
    assert_eq!(frames(&mut mixer, 5), [55; 400]);
}

#[test]
fn a_flush_takes_back_an_end_whose_packet_has_not_left() {
    let mut mixer = mixer();
    mixer
        .play(Bus::Speech, chunk(1, vec![5; FRAME], true))
        .unwrap();
    next_frame(&mut mixer);
    let flush = mixer.flush(Bus::Speech, Epoch(1), 20);
    assert_eq!(
        flush,
        Flush {
            through: Epoch(1),
            cut: Some(Epoch(1)),
            played_ms: 10
        }
    );
    assert_eq!(marks(&mut mixer), []);
}

#[test]
fn a_second_flush_during_the_fade_lets_the_fade_finish() {
    let mut mixer = mixer();
    mixer
        .play(Bus::Speech, chunk(1, vec![10_000; 4000], true))
        .unwrap();
    mixer
        .play(Bus::Speech, chunk(2, vec![77; 4000], true))
        .unwrap();
    next_frame(&mut mixer);
    mixer.flush(Bus::Speech, Epoch(1), 40);
    next_frame(&mut mixer);
    let second = mixer.flush(Bus::Speech, Epoch(2), 0);
    assert_eq!(second.cut, None);
    let tail = frames(&mut mixer, 5);
    assert!(largest_step(&tail) <= 100, "{}", largest_step(&tail));
    assert_eq!(tail[240..], [0; 160]);
}

#[test]
fn a_pause_resumes_at_the_same_sample_and_neither_side_clicks() {
    let mut mixer = mixer();
    let samples = sine(200.0, 12_000.0, 4000);
    mixer
        .play(Bus::Speech, chunk(1, samples.clone(), true))
        .unwrap();
    frames(&mut mixer, 3);
    mixer.pause(Bus::Speech);
    let mut paused = vec![samples[239]];
    paused.extend(frames(&mut mixer, 20));
    assert!(largest_step(&paused) < 2400, "{}", largest_step(&paused));
    assert_eq!(paused[41..], [0; 1560]);
    assert_eq!(mixer.sounding(Bus::Speech), None);
    mixer.resume(Bus::Speech);
    let mut resumed = vec![0];
    resumed.extend(frames(&mut mixer, 4));
    assert!(largest_step(&resumed) < 2400, "{}", largest_step(&resumed));
    assert_eq!(
        resumed[41..],
        samples[280..560],
        "after the ramp it is the old signal, nothing lost"
    );
}

#[test]
fn a_flush_of_a_paused_bus_is_silent_and_ends_the_pause() {
    let mut mixer = mixer();
    mixer
        .play(Bus::Speech, chunk(1, vec![10_000; 4000], true))
        .unwrap();
    frames(&mut mixer, 3);
    mixer.pause(Bus::Speech);
    frames(&mut mixer, 3);
    let flush = mixer.flush(Bus::Speech, Epoch(1), 50);
    assert_eq!((flush.cut, flush.played_ms), (Some(Epoch(1)), 30));
    assert_eq!(next_frame(&mut mixer), [0; FRAME]);
    mixer
        .play(Bus::Speech, chunk(2, vec![5; FRAME], true))
        .unwrap();
    assert_eq!(next_frame(&mut mixer), [5; FRAME]);
}

#[test]
fn a_flush_of_older_utterances_does_not_end_a_pause() {
    let mut mixer = mixer();
    mixer
        .play(Bus::Speech, chunk(2, vec![100; 4000], true))
        .unwrap();
    frames(&mut mixer, 3);
    mixer.pause(Bus::Speech);
    frames(&mut mixer, 1);
    mixer.flush(Bus::Speech, Epoch(1), 50);
    assert_eq!(next_frame(&mut mixer), [0; FRAME]);
}

#[test]
fn a_full_bus_refuses_and_still_takes_the_end() {
    let bounds = BusBounds {
        speech: Duration::from_secs(1),
        ..BusBounds::default()
    };
    let mut mixer = Mixer::new(RATE, bounds);
    mixer
        .play(Bus::Speech, chunk(1, vec![1; 8000], false))
        .unwrap();
    assert_eq!(
        mixer.play(Bus::Speech, chunk(1, vec![1; 1], false)),
        Err(Refusal::Full)
    );
    mixer.play(Bus::Speech, chunk(1, vec![], true)).unwrap();
    frames(&mut mixer, 100);
    assert!(marks(&mut mixer).contains(&Mark::Ended {
        epoch: Epoch(1),
        played: 8000
    }));
    mixer
        .play(Bus::Speech, chunk(2, vec![1; 1], false))
        .unwrap();
}

#[test]
fn crumbs_of_chunks_are_bounded_in_number_too() {
    let mut mixer = mixer();
    let refused = (0..2000)
        .filter(|_| mixer.play(Bus::Speech, chunk(1, vec![1], false)).is_err())
        .count();
    assert_eq!(refused, 2000 - 1024);
}

#[test]
fn a_loop_goes_round_without_a_click_and_ends_with_a_flush() {
    let mut mixer = mixer();
    // 1,030 samples of 110 Hz: the end does not meet the beginning.
    let samples = sine(110.0, 10_000.0, 1030);
    let raw_step = largest_step(&samples);
    mixer
        .play_loop(Bus::Thinking, Epoch(1), samples.into())
        .unwrap();
    let heard = frames(&mut mixer, 100);
    assert!(
        largest_step(&heard) < raw_step + 300,
        "{} of {raw_step}",
        largest_step(&heard)
    );
    assert_eq!(marks(&mut mixer), [Mark::Started(Epoch(1))]);
    let flush = mixer.flush(Bus::Thinking, Epoch(1), 30);
    assert_eq!((flush.cut, flush.played_ms), (Some(Epoch(1)), 1000));
    let tail = frames(&mut mixer, 6);
    assert!(largest_step(&tail) < raw_step + 300);
    assert_eq!(tail[240..], [0; 240]);
}

#[test]
fn loops_of_one_two_and_three_samples_play() {
    for length in 1..=3 {
        let mut mixer = mixer();
        mixer
            .play_loop(Bus::Background, Epoch(1), vec![50; length].into())
            .unwrap();
        assert_eq!(frames(&mut mixer, 3), [50; 240]);
    }
}

#[test]
fn a_loop_replaces_what_the_bus_played_and_says_so() {
    let mut mixer = mixer();
    mixer
        .play(Bus::Background, chunk(1, vec![1000; 4000], true))
        .unwrap();
    frames(&mut mixer, 4);
    let flush = mixer
        .play_loop(Bus::Background, Epoch(2), vec![50; 800].into())
        .unwrap();
    assert_eq!(
        flush,
        Some(Flush {
            through: Epoch(1),
            cut: Some(Epoch(1)),
            played_ms: 40
        })
    );
    assert_eq!(frames(&mut mixer, 3)[80..], [50; 160]);
    let old = mixer.play_loop(Bus::Background, Epoch(2), vec![50; 800].into());
    assert_eq!(old, Err(Refusal::OutOfOrder));
    let empty: Arc<[i16]> = Arc::new([]);
    assert_eq!(
        mixer.play_loop(Bus::Background, Epoch(3), empty),
        Err(Refusal::Empty)
    );
}

#[test]
fn background_is_12_db_lower_while_speech_plays_and_comes_back() {
    let mut mixer = mixer();
    mixer
        .play_loop(Bus::Background, Epoch(1), vec![8000; 1600].into())
        .unwrap();
    assert_eq!(next_frame(&mut mixer)[79], 8000);
    // An alternating signal, so that the mean of a frame is the background alone.
    let speech: Vec<i16> = (0..8000)
        .map(|index| if index % 2 == 0 { 4000 } else { -4000 })
        .collect();
    mixer.play(Bus::Speech, chunk(2, speech, true)).unwrap();
    let mean =
        |frame: &[i16]| frame.iter().map(|s| f64::from(*s)).sum::<f64>() / frame.len() as f64;
    let during = frames(&mut mixer, 100);
    let level = 20.0 * (mean(&during[7200..]) / 8000.0).log10();
    assert!((-12.1..-11.9).contains(&level), "{level:.2} dB");
    let after = frames(&mut mixer, 100);
    assert_eq!(
        after[7999], 8000,
        "and the cheap path gives the exact samples again"
    );
    assert!(mixer.ducker.is_at_rest());
}

#[test]
fn a_gain_change_is_spread_over_a_frame() {
    let mut mixer = mixer();
    mixer
        .play(Bus::Speech, chunk(1, vec![20_000; 4000], true))
        .unwrap();
    next_frame(&mut mixer);
    mixer.set_gain(Bus::Speech, -6.0206);
    let heard = frames(&mut mixer, 3);
    assert!(largest_step(&heard) < 150);
    assert!(
        (i32::from(heard[239]) - 10_000).abs() <= 1,
        "{}",
        heard[239]
    );
    mixer.set_gain(Bus::Speech, -60.0);
    assert_eq!(frames(&mut mixer, 2)[159], 0);
    mixer.set_gain(Bus::Speech, f32::NAN);
    assert_eq!(frames(&mut mixer, 2)[159], 0);
}

#[test]
fn loopback_stands_in_for_speech_and_gives_way_to_it() {
    let mut mixer = mixer();
    let caller = [123i16; FRAME];
    let mut out = [0i16; FRAME];
    assert_eq!(mixer.mix(Some(&caller), &mut out), MixedFrame::Audio);
    assert_eq!(out, caller);
    mixer
        .play(Bus::Speech, chunk(1, vec![9; FRAME], true))
        .unwrap();
    mixer.mix(Some(&caller), &mut out);
    assert_eq!(out, [9; FRAME]);
    mixer.pause(Bus::Speech);
    mixer.mix(Some(&caller), &mut out);
    assert_eq!(mixer.mix(Some(&caller), &mut out), MixedFrame::Silence);
}

#[test]
fn an_utterance_cut_while_its_end_waits_for_the_next_packet_does_not_end_too() {
    let mut mixer = mixer();
    mixer.play(Bus::Speech, chunk(1, vec![100], true)).unwrap();
    mixer.play(Bus::Speech, chunk(2, vec![100], true)).unwrap();
    next_frame(&mut mixer);
    let [.., Mark::Started(Epoch(2))] = marks(&mut mixer)[..] else {
        panic!("the second begins in the packet that the first ends in");
    };
    let flush = mixer.flush(Bus::Speech, Epoch(2), 20);
    assert_eq!(flush.cut, Some(Epoch(2)));
    next_frame(&mut mixer);
    assert_eq!(marks(&mut mixer), []);
}

#[derive(Clone, Debug)]
enum Step {
    Play {
        epoch: u64,
        samples: usize,
        last: bool,
    },
    Loop {
        epoch: u64,
        samples: usize,
    },
    Flush {
        through: u64,
        fade_ms: u32,
    },
    Pause,
    Resume,
    Gain(f32),
    Frames(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u64..12, 0usize..400, any::<bool>())
            .prop_map(|(epoch, samples, last)| Step::Play { epoch, samples, last }),
        1 => (0u64..12, 0usize..300).prop_map(|(epoch, samples)| Step::Loop { epoch, samples }),
        1 => (0u64..12, 0u32..60).prop_map(|(through, fade_ms)| Step::Flush { through, fade_ms }),
        1 => Just(Step::Pause),
        1 => Just(Step::Resume),
        1 => any::<f32>().prop_map(Step::Gain),
        4 => (1usize..6).prop_map(Step::Frames),
    ]
}

proptest! {
    /// Whatever is commanded: an utterance begins at most once, and every utterance that was taken is
    /// either ended or covered by a flush, once.
    #[test]
    fn every_utterance_ends_or_is_flushed_exactly_once(steps in proptest::collection::vec(step(), 1..80)) {
        let mut mixer = mixer();
        let mut taken = std::collections::BTreeSet::new();
        let mut started = std::collections::BTreeSet::new();
        let mut over = std::collections::BTreeSet::new();
        let mut flushed_through: Option<u64> = None;
        let mut flush = |mixer: &mut Mixer,
                         through: u64,
                         fade_ms: u32,
                         taken: &std::collections::BTreeSet<u64>,
                         over: &mut std::collections::BTreeSet<u64>| {
            let flush = mixer.flush(Bus::Speech, Epoch(through), fade_ms);
            if let Some(cut) = flush.cut {
                prop_assert!(!over.contains(&cut.0), "{} cut after it was over", cut.0);
            }
            over.extend(taken.range(..=through).copied());
            flushed_through = flushed_through.max(Some(through));
            Ok(())
        };
        let mut observe = |mixer: &mut Mixer, over: &mut std::collections::BTreeSet<u64>| {
            for mark in marks(mixer) {
                match mark {
                    Mark::Started(epoch) => prop_assert!(started.insert(epoch.0)),
                    Mark::Ended { epoch, .. } => prop_assert!(over.insert(epoch.0)),
                }
            }
            Ok(())
        };
        for step in steps.into_iter().chain([Step::Resume]) {
            match step {
                Step::Play { epoch, samples, last } => {
                    let fresh = !over.contains(&epoch);
                    let empty = samples == 0 && !last;
                    let verdict = mixer.play(Bus::Speech, chunk(epoch, vec![100; samples], last));
                    if verdict.is_ok() && fresh && !empty {
                        taken.insert(epoch);
                    }
                }
                Step::Loop { epoch, samples } => {
                    let fresh = !over.contains(&epoch);
                    let verdict = mixer.play_loop(Bus::Speech, Epoch(epoch), vec![7; samples].into());
                    if let Ok(flush) = verdict {
                        if let Some(flush) = flush {
                            over.extend(taken.range(..=flush.through.0).copied());
                        }
                        if fresh {
                            taken.insert(epoch);
                        }
                    }
                }
                Step::Flush { through, fade_ms } => flush(&mut mixer, through, fade_ms, &taken, &mut over)?,
                Step::Pause => mixer.pause(Bus::Speech),
                Step::Resume => mixer.resume(Bus::Speech),
                Step::Gain(decibels) => mixer.set_gain(Bus::Speech, decibels),
                Step::Frames(count) => {
                    for _ in 0..count {
                        next_frame(&mut mixer);
                        next_frame(&mut mixer);
                        observe(&mut mixer, &mut over)?;
                    }
                }
            }
        }
        for _ in 0..200 {
            next_frame(&mut mixer);
            observe(&mut mixer, &mut over)?;
        }
        flush(&mut mixer, 100, 20, &taken, &mut over)?;
        for _ in 0..10 {
            next_frame(&mut mixer);
            observe(&mut mixer, &mut over)?;
        }
        prop_assert!(taken.iter().all(|epoch| over.contains(epoch)));
        prop_assert_eq!(mixer.mix(None, &mut [0; FRAME]), MixedFrame::Silence);
    }
}

#[test]
fn the_sound_of_thinking_is_12_db_lower_while_speech_plays_and_comes_back() {
    let mut mixer = mixer();
    mixer
        .play_loop(Bus::Thinking, Epoch(1), vec![8000; 1600].into())
        .unwrap();
    next_frame(&mut mixer);
    let speech = (0..8000).map(|index| if index % 2 == 0 { 4000 } else { -4000 });
    mixer
        .play(Bus::Speech, chunk(2, speech.collect(), true))
        .unwrap();
    let during = frames(&mut mixer, 100);
    let end: f64 = during[7200..].iter().map(|s| f64::from(*s)).sum::<f64>() / 800.0;
    let level = 20.0 * (end / 8000.0).log10();
    assert!((-12.1..-11.9).contains(&level), "{level:.2} dB");
    assert_eq!(frames(&mut mixer, 100)[7999], 8000);
}
