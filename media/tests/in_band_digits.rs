//! Digits as sound, against what ITU-T Q.24 and the American receivers' rules ask for.

mod sounds;

use offhook_media::codec::CodecKind;
use offhook_media::control::Digit;
use offhook_media::tones::{DigitDetector, DigitTones, PressMark};
use sounds::*;

fn marks_at(rate: u32, samples: &[i16]) -> Vec<PressMark> {
    let mut detector = DigitDetector::new(rate).unwrap();
    let mut marks = Vec::new();
    let length = rate as usize / 100;
    for (index, frame) in (1u64..).zip(samples.chunks(length)) {
        detector.hear(frame, index * 10, false, |mark| marks.push(mark));
    }
    marks
}

fn keys_in(marks: &[PressMark]) -> String {
    marks
        .iter()
        .filter_map(|mark| match mark {
            PressMark::Began { digit, .. } => Some(digit.as_char()),
            PressMark::Ended { .. } => None,
        })
        .collect()
}

fn heard(samples: &[i16]) -> String {
    let marks = marks_at(8_000, samples);
    let keys = keys_in(&marks);
    assert_eq!(
        marks.len(),
        2 * keys.len(),
        "each press begins once and ends once: {marks:?}"
    );
    keys
}

/// A press with both frequencies moved by a share of themselves and the rows louder by `twist_db`.
fn press(sound: Sound, key: char, ms: f64, dbm0: f32, twist_db: f32, moved: (f32, f32)) -> Sound {
    let (row, column) = frequencies(key);
    let row_dbm0 = dbm0 + twist_db.min(0.0);
    let column_dbm0 = dbm0 - twist_db.max(0.0);
    sound.tone(
        &[
            (row * (1.0 + moved.0), row_dbm0),
            (column * (1.0 + moved.1), column_dbm0),
        ],
        ms,
    )
}

fn presses(
    keys: &str,
    on_ms: f64,
    off_ms: f64,
    dbm0: f32,
    twist_db: f32,
    moved: (f32, f32),
) -> Sound {
    keys.chars()
        .fold(Sound::new(8_000).quiet(50.0), |sound, key| {
            press(sound, key, on_ms, dbm0, twist_db, moved).quiet(off_ms)
        })
}

#[test]
fn all_sixteen_digits_are_heard_from_minus_25_to_minus_3_dbm0_through_both_laws() {
    for dbm0 in -25..=-3 {
        let sound = presses(KEYS, 50.0, 50.0, dbm0 as f32, 0.0, (0.0, 0.0)).quiet(50.0);
        assert_eq!(heard(&sound.pcm()), KEYS, "{dbm0} dBm0");
        for law in [CodecKind::Pcmu, CodecKind::Pcma] {
            assert_eq!(heard(&sound.through(law)), KEYS, "{dbm0} dBm0, {law:?}");
        }
    }
}

#[test]
fn a_press_of_40_ms_with_a_pause_of_40_ms_is_heard_wherever_it_begins_and_one_of_20_ms_never() {
    for shift in 0..40 {
        let shifted = |sound: Sound| {
            let mut samples = vec![0; shift];
            samples.extend(sound.through(CodecKind::Pcmu));
            samples
        };
        for dbm0 in [-24.0, -10.0] {
            let sound = presses(KEYS, 40.0, 40.0, dbm0, 0.0, (0.0, 0.0)).quiet(60.0);
            assert_eq!(heard(&shifted(sound)), KEYS, "shifted by {shift}");
            let sound = presses("5555", 40.0, 40.0, dbm0, 0.0, (0.0, 0.0)).quiet(60.0);
            assert_eq!(heard(&shifted(sound)), "5555", "shifted by {shift}");
            let sound = presses(KEYS, 20.0, 80.0, dbm0, 0.0, (0.0, 0.0)).quiet(60.0);
            assert_eq!(heard(&shifted(sound)), "", "shifted by {shift}");
        }
    }
}

#[test]
fn frequencies_off_by_1_5_per_cent_are_accepted_and_by_3_5_per_cent_refused() {
    for ms in [40.0, 200.0] {
        for row in [-0.015, 0.0, 0.015] {
            for column in [-0.015, 0.0, 0.015] {
                let sound = presses(KEYS, ms, 50.0, -10.0, 0.0, (row, column)).quiet(60.0);
                assert_eq!(
                    heard(&sound.through(CodecKind::Pcmu)),
                    KEYS,
                    "{row} {column} {ms} ms"
                );
            }
        }
        for moved in [
            (0.035, 0.0),
            (-0.035, 0.0),
            (0.0, 0.035),
            (0.0, -0.035),
            (0.035, 0.035),
        ] {
            let sound = presses(KEYS, ms, 50.0, -10.0, 0.0, moved).quiet(60.0);
            assert_eq!(
                heard(&sound.through(CodecKind::Pcmu)),
                "",
                "{moved:?} {ms} ms"
            );
        }
    }
}

#[test]
fn columns_4_db_louder_and_rows_8_db_louder_are_accepted() {
    for twist_db in [-4.0, -2.0, 4.0, 8.0] {
        for dbm0 in [-17.0, -6.0] {
            for off in [-0.015, 0.0, 0.015] {
                let sound = presses(KEYS, 40.0, 40.0, dbm0, twist_db, (off, off)).quiet(60.0);
                for law in [CodecKind::Pcmu, CodecKind::Pcma] {
                    assert_eq!(heard(&sound.through(law)), KEYS, "{twist_db} dB at {dbm0}");
                }
            }
        }
    }
    for twist_db in [-8.0, 14.0] {
        let sound = presses(KEYS, 100.0, 40.0, -6.0, twist_db, (0.0, 0.0)).quiet(60.0);
        assert_eq!(heard(&sound.pcm()), "", "{twist_db} dB");
    }
}

#[test]
fn noise_15_db_below_hides_none_of_1600_presses_and_adds_none() {
    let mut missed = 0;
    for seed in 1..=100 {
        let sound = presses(KEYS, 50.0, 50.0, -10.0, 0.0, (0.0, 0.0))
            .quiet(60.0)
            .noise(2.0 * power(-10.0), 15.0, seed);
        let keys = heard(&sound.through(CodecKind::Pcmu));
        if keys != KEYS {
            println!("seed {seed}: {keys}");
            missed += 1;
        }
    }
    assert_eq!(missed, 0);
}

#[test]
fn a_press_is_reported_once_with_beginning_end_and_duration_to_5_ms() {
    for (ms, shift) in [
        (40.0, 0.0),
        (65.0, 3.0),
        (100.0, 1.0),
        (333.0, 2.5),
        (5_000.0, 4.0),
    ] {
        let begins = 100.0 + shift;
        let sound = press(
            Sound::new(8_000).quiet(begins),
            '7',
            ms,
            -12.0,
            2.0,
            (0.0, 0.0),
        )
        .quiet(100.0);
        let marks = marks_at(8_000, &sound.pcm());
        let [
            PressMark::Began {
                digit: first,
                at_ms: began,
            },
            PressMark::Ended {
                digit: second,
                at_ms,
                duration_ms,
            },
        ] = marks[..]
        else {
            panic!("{marks:?}")
        };
        assert_eq!(
            (first.as_char(), second.as_char(), at_ms),
            ('7', '7', began)
        );
        assert!(
            (began as f64 - begins).abs() <= 5.0,
            "began at {began}, not {begins}"
        );
        assert!(
            (duration_ms as f64 - ms).abs() <= 6.0,
            "{duration_ms} ms, not {ms}"
        );
    }
}

#[test]
fn an_interruption_of_up_to_10_ms_does_not_make_two_presses_of_one() {
    for gap in 1..=10 {
        for first in [15.0, 33.0, 42.5, 61.0, 100.0] {
            let sound = press(
                Sound::new(8_000).quiet(50.0),
                '3',
                first,
                -10.0,
                0.0,
                (0.0, 0.0),
            )
            .quiet(f64::from(gap));
            let sound = press(sound, '3', 60.0, -10.0, 0.0, (0.0, 0.0)).quiet(80.0);
            assert_eq!(
                heard(&sound.pcm()),
                "3",
                "{first} ms, then a gap of {gap} ms"
            );
        }
    }
}

#[test]
fn keys_that_follow_each_other_without_a_pause_are_all_heard() {
    let sound = presses("159#", 60.0, 0.0, -10.0, 0.0, (0.0, 0.0)).quiet(80.0);
    assert_eq!(heard(&sound.pcm()), "159#");
}

#[test]
fn our_own_presses_are_heard_at_every_rate() {
    for rate in [8_000u32, 16_000, 24_000, 32_000, 48_000] {
        for ms in [40, 100] {
            let mut samples = Vec::new();
            for key in KEYS.chars() {
                let mut tones = DigitTones::new(Digit::from_char(key).unwrap(), ms, rate);
                let mut piece = vec![0; (ms as usize + 40) * rate as usize / 1_000];
                tones.write(&mut piece);
                samples.extend(piece);
            }
            samples.extend(vec![0; rate as usize / 10]);
            assert_eq!(
                keys_in(&marks_at(rate, &samples)),
                KEYS,
                "{ms} ms at {rate} Hz"
            );
        }
    }
}

#[test]
fn silence_noise_dial_tone_and_single_tones_are_no_digits() {
    let sound = Sound::new(8_000)
        .quiet(500.0)
        .tone(&[(350.0, -13.0), (440.0, -13.0)], 3_000.0)
        .tone(&[(480.0, -13.0), (620.0, -13.0)], 1_000.0);
    let sound = (300..2_500)
        .step_by(10)
        .fold(sound, |sound, hz| sound.tone(&[(hz as f32, -10.0)], 100.0));
    assert_eq!(heard(&sound.pcm()), "");
    let noise = Sound::new(8_000)
        .quiet(60_000.0)
        .noise(power(-20.0), 0.0, 5);
    assert_eq!(heard(&noise.pcm()), "");
}
