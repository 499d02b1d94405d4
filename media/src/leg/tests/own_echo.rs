//! A far end that returns what it hears.

use super::*;

/// A scene in which all that is sent comes back a tenth as loud and 40 ms later, and the sentence besides from
/// `caller_from_ms` on, if it is given. The agent says the sentence's second half, again and again.
fn echoing_scene(guard: bool, caller_from_ms: Option<usize>) -> Scene {
    let mut scene = Scene::new(LegConfig {
        echo_guard: guard,
        ..hearing()
    });
    let policy = BargeInPolicy { min_speech_ms: 500 };
    scene.leg.handle_command(LegCommand::BargeIn(Some(policy)));
    let sentence = crate::voice_activity::tests::caller_sentence();
    scene.play(1, sentence[sentence.len() / 2..].repeat(8), true);
    let mut caller = vec![0; caller_from_ms.unwrap_or(0) * 8];
    if caller_from_ms.is_some() {
        caller.extend(sentence);
    }
    caller.resize(80_000, 0);
    for said in caller.chunks_exact(160) {
        let returned = scene.heard_by_far_end();
        let end = returned.len().saturating_sub(320);
        let begin = end.saturating_sub(160);
        let mut line = said.to_vec();
        for (sample, echo) in line.iter_mut().zip(&returned[begin..end]) {
            *sample += echo / 10;
        }
        scene.far_end_says(&line);
        scene.ticks(2);
    }
    scene
}

fn barge_ins(scene: &Scene) -> Vec<u64> {
    let at = |event: &LegEvent| match event {
        LegEvent::BargeIn { at_ms, .. } => Some(*at_ms),
        _ => None,
    };
    scene.events.iter().filter_map(at).collect()
}

#[test]
fn an_agent_that_hears_itself_is_not_interrupted_and_is_without_the_guard() {
    assert_eq!(barge_ins(&echoing_scene(true, None)), []);
    assert_ne!(barge_ins(&echoing_scene(false, None)), []);
}

#[test]
fn a_caller_over_the_echo_interrupts_and_the_listener_hears_the_caller_alone() {
    let scene = echoing_scene(true, Some(4_000));
    let barge_ins = barge_ins(&scene);
    assert_eq!(barge_ins.len(), 1, "{:?}", scene.events);
    assert!((4_500..5_200).contains(&barge_ins[0]), "{barge_ins:?}");
    let started = scene.events.iter().rev().find_map(|event| match event {
        LegEvent::SpeechStarted { at_ms } => Some(*at_ms),
        _ => None,
    });
    assert!(started.is_some_and(|at_ms| at_ms >= 4_000), "{started:?}");
}
