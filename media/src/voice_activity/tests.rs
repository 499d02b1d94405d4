//! The detector on a synthesised sentence, on noise and on tones.

use super::*;
use crate::codec::{CodecKind, Decoder};

/// "I would like a table for two people, please." in a synthetic voice: 8 kHz, about three seconds.
pub(crate) fn caller_sentence() -> Vec<i16> {
    let payload = include_bytes!("../../tests/data/caller-8k.ulaw");
    let mut decoder = Decoder::new(CodecKind::Pcmu).unwrap();
    let mut samples = vec![0; payload.len()];
    decoder.decode(payload, &mut samples).unwrap();
    samples
}

fn silence(ms: usize) -> Vec<i16> {
    vec![0; ms * 8]
}

fn noise(ms: usize, amplitude: f64, seed: u32) -> Vec<i16> {
    let mut state = seed;
    (0..ms * 8)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (amplitude * (f64::from(state) / f64::from(u32::MAX) * 2.0 - 1.0)) as i16
        })
        .collect()
}

fn scaled(samples: &[i16], factor: f64) -> Vec<i16> {
    samples
        .iter()
        .map(|sample| (f64::from(*sample) * factor) as i16)
        .collect()
}

fn marks(samples: &[i16]) -> (Vec<SpeechMark>, VoiceActivity) {
    let mut detector = VoiceActivity::new(8000, 1).unwrap();
    let mut list = Vec::new();
    for (slot, frame) in samples.chunks_exact(80).enumerate() {
        list.extend(detector.hear(Some(frame), slot as u64 * 10));
    }
    (list, detector)
}

fn starts_and_stops(marks: &[SpeechMark]) -> (Vec<u64>, Vec<u64>) {
    let mut starts = Vec::new();
    let mut stops = Vec::new();
    for mark in marks {
        match mark {
            SpeechMark::Started { at_ms } => starts.push(*at_ms),
            SpeechMark::Stopped { at_ms } => stops.push(*at_ms),
        }
    }
    (starts, stops)
}

/// Where the sentence's sound begins and ends, by its energy.
fn sounding(sentence: &[i16]) -> (u64, u64) {
    let loud = |frame: &[i16]| frame.iter().any(|sample| sample.abs() > 500);
    let frames: Vec<bool> = sentence.chunks_exact(80).map(loud).collect();
    let first = frames.iter().position(|loud| *loud).unwrap() as u64;
    let last = frames.iter().rposition(|loud| *loud).unwrap() as u64 + 1;
    (first * 10, last * 10)
}

#[test]
fn a_sentence_is_one_stretch_of_speech_at_its_right_place() {
    let sentence = caller_sentence();
    let (begin, end) = sounding(&sentence);
    for level in [1.0, 0.3, 0.1] {
        let line = [silence(1000), scaled(&sentence, level), silence(1000)].concat();
        let (list, detector) = marks(&line);
        let (starts, stops) = starts_and_stops(&list);
        println!("over {} detector frames", detector.detector_frames());
        assert_eq!(
            (starts.len(), stops.len()),
            (1, 1),
            "at {level}: {starts:?} {stops:?}"
        );
        let (early, late) = (1000 + begin, 1000 + end);
        println!("level {level}: {starts:?} for {early}, {stops:?} for {late}");
        assert!(
            (early - 50..early + 150).contains(&starts[0]),
            "{starts:?}, spoken at {early}"
        );
        assert!(
            (late - 100..late + 160).contains(&stops[0]),
            "{stops:?}, spoken until {late}"
        );
    }
}

#[test]
fn a_sentence_over_line_noise_is_found() {
    let sentence = scaled(&caller_sentence(), 0.5);
    for amplitude in [60.0, 300.0] {
        let line = [silence(1000), sentence.clone(), silence(1500)].concat();
        let hiss = noise(line.len() / 8, amplitude, 99);
        let line: Vec<i16> = line
            .iter()
            .zip(&hiss)
            .map(|(a, b)| a.saturating_add(*b))
            .collect();
        let (starts, stops) = starts_and_stops(&marks(&line).0);
        assert!(
            !starts.is_empty() && starts.len() == stops.len(),
            "{starts:?} {stops:?}"
        );
        assert!(
            starts.iter().all(|at_ms| *at_ms > 900),
            "no speech in the hiss before: {starts:?}"
        );
    }
}

#[test]
fn silence_and_quiet_noise_never_reach_the_neural_detector() {
    let (list, detector) = marks(&[silence(2000), noise(5000, 60.0, 3), silence(2000)].concat());
    assert_eq!(list, []);
    assert_eq!(detector.detector_frames(), 0);
}

#[test]
fn noise_after_digital_silence_is_no_speech() {
    for amplitude in [150.0, 300.0, 600.0, 1200.0] {
        let line = [
            silence(2000),
            noise(2000, amplitude, 5),
            silence(500),
            noise(2000, amplitude, 6),
        ];
        let (list, detector) = marks(&line.concat());
        assert_eq!(list, [], "amplitude {amplitude}");
        assert!(
            detector.detector_frames() > 0,
            "the detector itself was asked"
        );
    }
}

#[test]
fn an_even_sound_is_taken_for_speech_no_longer_than_three_seconds() {
    let hum: Vec<i16> = (0..80_000)
        .map(|index| {
            let phase = std::f64::consts::TAU * f64::from(index) / 8000.0;
            (3000.0 * ((120.0 * phase).sin() + (360.0 * phase).sin())) as i16
        })
        .collect();
    let (list, detector) = marks(&[silence(500), hum].concat());
    let (starts, stops) = starts_and_stops(&list);
    assert_eq!(starts.len(), stops.len(), "{list:?}");
    assert!(stops.iter().all(|at_ms| *at_ms < 3500), "{list:?}");
    assert!(
        detector.detector_frames() < 220,
        "{} frames",
        detector.detector_frames()
    );
}

#[test]
fn a_click_is_no_speech() {
    let mut line = silence(3000);
    for at in [8000, 12_000, 16_000] {
        line[at..at + 160].copy_from_slice(&noise(20, 20_000.0, 4));
    }
    assert_eq!(marks(&line).0, []);
}

#[test]
fn a_gap_in_reception_ends_speech() {
    let sentence = caller_sentence();
    let mut detector = VoiceActivity::new(8000, 1).unwrap();
    let mut list = Vec::new();
    for (slot, frame) in sentence[..12_000].chunks_exact(80).enumerate() {
        list.extend(detector.hear(Some(frame), slot as u64 * 10));
    }
    for slot in 150..250u64 {
        list.extend(detector.hear(None, slot * 10));
    }
    let (starts, stops) = starts_and_stops(&list);
    assert_eq!((starts.len(), stops.len()), (1, 1), "{list:?}");
    assert!(stops[0] <= 1500);
    assert_eq!(detector.speaking(), None);
}

#[test]
fn wideband_legs_are_heard_without_doubling() {
    let sentence = crate::resampler::resample_whole(&caller_sentence(), 8000, 16_000).unwrap();
    let mut detector = VoiceActivity::new(16_000, 1).unwrap();
    let line = [vec![0; 16_000], sentence, vec![0; 16_000]].concat();
    let list: Vec<_> = line
        .chunks_exact(160)
        .enumerate()
        .filter_map(|(slot, frame)| detector.hear(Some(frame), slot as u64 * 10))
        .collect();
    let (starts, stops) = starts_and_stops(&list);
    assert_eq!((starts.len(), stops.len()), (1, 1), "{list:?}");
}
