//! Tones of networks and machines: those that are meant, and what only resembles them.

mod sounds;

use offhook_media::codec::CodecKind;
use offhook_media::tones::call_tones::{CallTone, CallToneKind, ToneDetector};
use sounds::*;

/// Each tone with the media time it was reported at.
fn tones_in(sound: &Sound) -> Vec<(u64, CallTone)> {
    let samples = if sound.rate == 8_000 {
        sound.through(CodecKind::Pcmu)
    } else {
        sound.pcm()
    };
    let mut detector = ToneDetector::new(sound.rate).unwrap();
    let mut tones = Vec::new();
    for (index, frame) in (1u64..).zip(samples.chunks(sound.rate as usize / 100)) {
        detector.hear(frame, index * 10, |tone| tones.push((index * 10, tone)));
    }
    tones
}

fn kinds(tones: &[(u64, CallTone)]) -> Vec<CallToneKind> {
    let mut kinds: Vec<_> = tones.iter().map(|(_, tone)| tone.kind).collect();
    kinds.dedup();
    kinds
}

fn surest(tones: &[(u64, CallTone)], kind: CallToneKind) -> f32 {
    let of_kind = tones.iter().filter(|(_, tone)| tone.kind == kind);
    of_kind
        .map(|(_, tone)| tone.confidence.value())
        .fold(0.0, f32::max)
}

/// A sentence that somebody recorded.
fn greeting() -> Sound {
    let law = include_bytes!("data/caller-8k.ulaw");
    let mut samples = vec![0; law.len()];
    let mut decoder = offhook_media::codec::Decoder::new(CodecKind::Pcmu).unwrap();
    decoder.decode(law, &mut samples).unwrap();
    Sound::new(8_000).samples(&samples)
}

/// So often a tone and a pause.
fn repeated(sines: Sines<'_>, on_ms: f64, off_ms: f64, times: usize) -> Sound {
    (0..times).fold(Sound::new(8_000).quiet(200.0), |sound, _| {
        sound.tone(sines, on_ms).quiet(off_ms)
    })
}

const US_RING: Sines<'static> = &[(440.0, -19.0), (480.0, -19.0)];
const US_BUSY: Sines<'static> = &[(480.0, -24.0), (620.0, -24.0)];
const EUROPE: Sines<'static> = &[(425.0, -16.0)];
const UK_RING: Sines<'static> = &[(400.0, -19.0), (450.0, -19.0)];

#[test]
fn a_beep_after_a_greeting_is_told_within_100_ms_of_its_end() {
    for frequency in [425.0, 600.0, 850.0, 1_000.0, 1_400.0, 2_000.0] {
        for ms in [120.0, 200.0, 400.0, 1_000.0, 1_500.0] {
            for dbm0 in [-25.0, -8.0] {
                let sound = greeting().quiet(300.0).tone(&[(frequency, dbm0)], ms);
                let ended_ms = sound.ms();
                let tones = tones_in(&sound.quiet(2_000.0).noise(power(-60.0), 0.0, 4));
                let [(told_ms, tone)] = tones[..] else {
                    panic!("{frequency} Hz, {ms} ms, {dbm0} dBm0: {tones:?}")
                };
                assert_eq!(tone.kind, CallToneKind::Beep, "{tone:?}");
                assert!(
                    tone.confidence.value() >= 0.85,
                    "{frequency} Hz, {ms} ms: {tone:?}"
                );
                assert!(
                    (tone.duration_ms as f64 - ms).abs() <= 15.0,
                    "{tone:?}, not {ms} ms"
                );
                let late = told_ms as f64 - ended_ms;
                assert!(late <= 100.0, "told {late} ms after the end");
            }
        }
    }
}

#[test]
fn beeps_of_two_tones_at_once_or_one_after_the_other_are_one_beep() {
    let at_once = greeting()
        .quiet(200.0)
        .tone(&[(800.0, -14.0), (1_300.0, -14.0)], 400.0);
    let in_turn = greeting()
        .quiet(200.0)
        .tone(&[(800.0, -14.0)], 250.0)
        .tone(&[(1_200.0, -14.0)], 250.0);
    for sound in [at_once, in_turn] {
        let ended_ms = sound.ms();
        let tones = tones_in(&sound.quiet(1_000.0));
        let [(told_ms, tone)] = tones[..] else {
            panic!("{tones:?}")
        };
        assert_eq!(tone.kind, CallToneKind::Beep, "{tone:?}");
        assert!(
            tone.confidence.value() > 0.8 && tone.duration_ms.abs_diff(450) <= 70,
            "{tone:?}"
        );
        assert!(told_ms as f64 - ended_ms <= 100.0);
    }
}

#[test]
fn a_beep_that_nothing_was_said_before_is_less_sure() {
    let alone = Sound::new(8_000)
        .quiet(500.0)
        .tone(&[(1_000.0, -12.0)], 400.0)
        .quiet(500.0);
    let after_greeting = greeting().tone(&[(1_000.0, -12.0)], 400.0).quiet(500.0);
    let [alone, after_greeting] =
        [alone, after_greeting].map(|sound| surest(&tones_in(&sound), CallToneKind::Beep));
    assert!(
        alone > 0.3 && alone + 0.2 < after_greeting,
        "{alone} {after_greeting}"
    );
}

#[test]
fn a_tone_that_speech_follows_at_once_and_a_melody_are_no_beep() {
    let spoken_over = Sound::new(8_000)
        .quiet(300.0)
        .tone(&[(900.0, -12.0)], 300.0)
        .samples(&greeting().pcm()[8_000..]);
    assert_eq!(surest(&tones_in(&spoken_over), CallToneKind::Beep), 0.0);
    let melody = [523.0, 587.0, 659.0, 698.0, 784.0, 698.0, 659.0, 587.0]
        .iter()
        .cycle()
        .take(64)
        .fold(greeting(), |sound, hz| sound.tone(&[(*hz, -14.0)], 250.0));
    let tones = tones_in(&melody.quiet(20.0));
    assert!(tones.is_empty(), "{tones:?}");
}

#[test]
fn the_keys_of_a_telephone_are_no_beeps() {
    let sound = KEYS.chars().fold(greeting(), |sound, key| {
        let (row, column) = frequencies(key);
        sound
            .tone(&[(row, -9.0), (column, -7.0)], 200.0)
            .quiet(300.0)
    });
    assert_eq!(tones_in(&sound), []);
}

#[test]
fn special_information_tones_are_told_before_the_third_is_over() {
    let european: [(f32, f64); 3] = [(950.0, 330.0), (1_400.0, 330.0), (1_800.0, 330.0)];
    let intercept = [(913.8, 274.0), (1_370.6, 274.0), (1_776.7, 380.0)];
    let no_circuit = [(985.2, 380.0), (1_428.5, 380.0), (1_776.7, 380.0)];
    for three in [european, intercept, no_circuit] {
        for pause in [0.0, 25.0] {
            let sound = three
                .iter()
                .fold(Sound::new(8_000).quiet(400.0), |sound, (hz, ms)| {
                    sound.tone(&[(*hz, -20.0)], *ms).quiet(pause)
                });
            let ended_ms = sound.ms();
            let tones = tones_in(&sound.quiet(1_000.0));
            let [(told_ms, tone)] = tones[..] else {
                panic!("{three:?}: {tones:?}")
            };
            assert_eq!(tone.kind, CallToneKind::SpecialInformation);
            assert!(
                tone.confidence.value() > 0.9 && (told_ms as f64) < ended_ms,
                "{tone:?}"
            );
        }
    }
}

#[test]
fn ringback_of_america_europe_and_britain_is_suspected_at_the_first_ring_and_sure_at_the_second() {
    let britain = (0..3).fold(Sound::new(8_000).quiet(200.0), |sound, _| {
        sound
            .tone(UK_RING, 400.0)
            .quiet(200.0)
            .tone(UK_RING, 400.0)
            .quiet(2_000.0)
    });
    for (sound, first_ms, sure_ms) in [
        (repeated(US_RING, 2_000.0, 4_000.0, 3), 3_300, 8_300),
        (repeated(EUROPE, 1_000.0, 4_000.0, 3), 2_300, 6_300),
        (
            repeated(&[(440.0, -15.0)], 1_500.0, 3_500.0, 3),
            2_800,
            6_800,
        ),
        (britain, 2_300, 4_300),
    ] {
        let tones = tones_in(&sound);
        assert_eq!(kinds(&tones), [CallToneKind::Ringback], "{tones:?}");
        assert_eq!(tones.len(), 2, "{tones:?}");
        let [(first, suspected), (second, sure)] = tones[..] else {
            unreachable!()
        };
        assert!(
            (0.4..0.8).contains(&suspected.confidence.value()) && first <= first_ms,
            "{tones:?}"
        );
        assert!(
            sure.confidence.value() >= 0.9 && second <= sure_ms,
            "{tones:?}"
        );
    }
}

#[test]
fn busy_and_congestion_are_told_apart_by_their_rhythm() {
    for (sines, on_ms, kind) in [
        (US_BUSY, 500.0, CallToneKind::Busy),
        (EUROPE, 500.0, CallToneKind::Busy),
        (EUROPE, 480.0, CallToneKind::Busy),
        (&[(400.0, -20.0)], 375.0, CallToneKind::Busy),
        (US_BUSY, 250.0, CallToneKind::Congestion),
        (EUROPE, 240.0, CallToneKind::Congestion),
        (EUROPE, 200.0, CallToneKind::Congestion),
    ] {
        let tones = tones_in(&repeated(sines, on_ms, on_ms, 6));
        assert_eq!(kinds(&tones), [kind], "{sines:?} {on_ms}: {tones:?}");
        assert!(surest(&tones, kind) >= 0.9, "{tones:?}");
        assert!(
            tones.len() <= 3 && tones[0].0 as f64 <= 260.0 + 4.0 * on_ms,
            "{tones:?}"
        );
    }
}

#[test]
fn fax_machines_that_call_and_that_answer_are_told() {
    let calling = repeated(&[(1_100.0, -20.0)], 500.0, 3_000.0, 2);
    let tones = tones_in(&calling);
    assert_eq!(kinds(&tones), [CallToneKind::FaxCalling], "{tones:?}");
    let confidence: Vec<_> = tones
        .iter()
        .map(|(_, tone)| tone.confidence.value())
        .collect();
    assert!(
        confidence[0] > 0.6 && confidence[1] > 0.9 && tones[0].0 <= 800,
        "{tones:?}"
    );
    for frequency in [1_062.0, 1_138.0] {
        let tones = tones_in(&repeated(&[(frequency, -20.0)], 500.0, 3_000.0, 1));
        assert_eq!(kinds(&tones), [CallToneKind::FaxCalling], "{frequency}");
    }
    let answering = Sound::new(8_000)
        .quiet(300.0)
        .tone(&[(2_100.0, -14.0)], 3_000.0)
        .quiet(500.0);
    let tones = tones_in(&answering);
    assert_eq!(kinds(&tones), [CallToneKind::FaxAnswer], "{tones:?}");
    assert_eq!(tones.len(), 1);
    assert!(tones[0].0 <= 2_000 && tones[0].1.confidence.value() > 0.9);
}

#[test]
fn tones_are_heard_at_16_and_48_khz_too() {
    for rate in [16_000, 48_000] {
        let busy = (0..4).fold(Sound::new(rate), |sound, _| {
            sound.tone(US_BUSY, 500.0).quiet(500.0)
        });
        assert_eq!(kinds(&tones_in(&busy)), [CallToneKind::Busy]);
    }
}

#[test]
fn noise_15_db_below_hides_no_tone() {
    let with_noise = |sound: Sound, dbm0: f32| sound.noise(power(dbm0), 15.0, 9);
    let beep = greeting().tone(&[(1_000.0, -12.0)], 400.0).quiet(700.0);
    assert!(surest(&tones_in(&with_noise(beep, -12.0)), CallToneKind::Beep) > 0.6);
    let ring = repeated(US_RING, 2_000.0, 4_000.0, 2);
    assert!(surest(&tones_in(&with_noise(ring, -16.0)), CallToneKind::Ringback) > 0.8);
    let busy = repeated(US_BUSY, 500.0, 500.0, 5);
    assert!(surest(&tones_in(&with_noise(busy, -21.0)), CallToneKind::Busy) > 0.8);
}
