use super::*;

fn tone(samples: usize, rate: f32) -> Vec<i16> {
    (0..samples)
        .map(|n| ((n as f32 * 440.0 * std::f32::consts::TAU / rate).sin() * 10_000.0) as i16)
        .collect()
}

/// Signal over error in dB.
fn quality_db(original: &[i16], decoded: &[i16]) -> f32 {
    let power = |samples: &mut dyn Iterator<Item = f32>| samples.map(|s| s * s).sum::<f32>();
    let signal = power(&mut original.iter().map(|s| f32::from(*s)));
    let error = power(
        &mut original
            .iter()
            .zip(decoded)
            .map(|(a, b)| f32::from(*a) - f32::from(*b)),
    );
    10.0 * (signal / error).log10()
}

#[test]
fn g711_keeps_33_db_in_every_packet_time() {
    for kind in [CodecKind::Pcmu, CodecKind::Pcma] {
        for ptime_ms in [10, 20, 30, 40, 50, 60] {
            let codec = Codec {
                ptime_ms,
                ..Codec::new(kind)
            };
            let samples = tone(codec.samples_per_frame(), 8_000.0);
            let mut payload = [0; 480];
            let length = Encoder::new(&codec)
                .unwrap()
                .encode(&samples, &mut payload)
                .unwrap();
            assert_eq!(length, codec.samples_per_frame());
            let mut decoded = [0; 480];
            let count = Decoder::new(kind)
                .unwrap()
                .decode(&payload[..length], &mut decoded)
                .unwrap();
            assert!(
                quality_db(&samples, &decoded[..count]) > 33.0,
                "{kind:?} {ptime_ms} ms"
            );
        }
    }
}

#[test]
fn g711_agrees_with_another_implementation() {
    // Codes that `sox -D` gives for these samples.
    let samples = [
        0, 9, -9, 105, -105, 1_000, -1_000, 5_000, -5_000, 20_000, -20_000, 32_000,
    ];
    let mu = [
        0xFF, 0xFE, 0x7E, 0xF2, 0x72, 0xCE, 0x4E, 0xAB, 0x2B, 0x8C, 0x0C, 0x80,
    ];
    let a = [
        0xD5, 0xD5, 0x55, 0xD3, 0x53, 0xFA, 0x7A, 0x86, 0x06, 0xA6, 0x26, 0xAA,
    ];
    for (kind, expected) in [(CodecKind::Pcmu, mu), (CodecKind::Pcma, a)] {
        let codec = Codec {
            ptime_ms: 10,
            ..Codec::new(kind)
        };
        let mut frame = [0; 80];
        frame[..12].copy_from_slice(&samples);
        let mut payload = [0; 80];
        Encoder::new(&codec)
            .unwrap()
            .encode(&frame, &mut payload)
            .unwrap();
        assert_eq!(payload[..12], expected, "{kind:?}");
    }
}

#[test]
fn silence_is_ready_made_for_codecs_without_memory_in_every_packet_time() {
    for kind in [
        CodecKind::Pcmu,
        CodecKind::Pcma,
        CodecKind::L16Narrowband,
        CodecKind::L16Wideband,
    ] {
        for ptime_ms in [10, 20, 60] {
            let codec = Codec {
                ptime_ms,
                ..Codec::new(kind)
            };
            let mut encoder = Encoder::new(&codec).unwrap();
            let mut payload = vec![7; codec.samples_per_frame() * 2];
            let length = encoder
                .encode(&vec![0; codec.samples_per_frame()], &mut payload)
                .unwrap();
            assert_eq!(encoder.silence(), Some(&payload[..length]));
        }
    }
    for kind in [CodecKind::G722, CodecKind::Opus] {
        assert_eq!(Encoder::new(&Codec::new(kind)).unwrap().silence(), None);
    }
}

#[test]
fn opus_keeps_its_bitrate_and_the_sound_in_every_packet_time() {
    for ptime_ms in [10, 20, 40, 60] {
        let codec = Codec {
            ptime_ms,
            ..Codec::new(CodecKind::Opus)
        };
        let mut encoder = Encoder::new(&codec).unwrap();
        let mut decoder = Decoder::new(CodecKind::Opus).unwrap();
        let samples = tone(16_000, 16_000.0);
        let mut payload = [0; 1_400];
        let mut decoded = vec![0; 960];
        let (mut bytes, mut energy) = (0, 0.0_f64);
        for frame in samples.chunks_exact(codec.samples_per_frame()) {
            let length = encoder.encode(frame, &mut payload).unwrap();
            bytes += length;
            let count = decoder.decode(&payload[..length], &mut decoded).unwrap();
            assert_eq!(count, codec.samples_per_frame());
            energy += decoded[..count]
                .iter()
                .map(|s| f64::from(*s).powi(2))
                .sum::<f64>();
        }
        assert!(bytes * 8 < 40_000, "{ptime_ms} ms: {} bit/s", bytes * 8);
        let level = (energy / 16_000.0).sqrt();
        assert!(
            (6_000.0..8_500.0).contains(&level),
            "{ptime_ms} ms: {level}"
        );
    }
}

#[test]
fn opus_sends_nothing_in_silence_when_dtx_is_on() {
    let mut codec = Codec::new(CodecKind::Opus);
    codec.opus.dtx = true;
    let mut encoder = Encoder::new(&codec).unwrap();
    let mut payload = [0; 400];
    let sent = (0..100)
        .filter(|_| encoder.encode(&[0; 320], &mut payload).unwrap() > 0)
        .count();
    assert!(sent < 40, "{sent} of 100");
}

#[test]
fn wrong_sizes_are_refused_and_nothing_is_written() {
    let mut encoder = Encoder::new(&Codec::new(CodecKind::Pcmu)).unwrap();
    let mut out = [7; 159];
    assert!(matches!(
        encoder.encode(&[0; 80], &mut out),
        Err(CodecError::FrameLength {
            expected: 160,
            given: 80
        })
    ));
    assert!(matches!(
        encoder.encode(&[0; 160], &mut out),
        Err(CodecError::OutputTooSmall {
            needed: 160,
            available: 159
        })
    ));
    assert_eq!(out, [7; 159]);
    let mut decoder = Decoder::new(CodecKind::Pcmu).unwrap();
    assert!(matches!(
        decoder.decode(&[], &mut [0; 10]),
        Err(CodecError::Malformed)
    ));
    assert!(matches!(
        decoder.decode(&[0; 11], &mut [0; 10]),
        Err(CodecError::OutputTooSmall {
            needed: 11,
            available: 10
        })
    ));
}

#[test]
fn every_codec_has_one_name_and_permitted_packet_times() {
    for kind in CodecKind::ALL {
        for asked_ms in 0..300 {
            let given = kind.permitted_ptime_ms(asked_ms);
            assert!((10..=60).contains(&given) && given % 10 == 0);
            assert!(u32::from(given) <= asked_ms.max(10));
            let codec = Codec {
                ptime_ms: given,
                ..Codec::new(kind)
            };
            let mut payload = vec![0; kind.maximum_payload_bytes()];
            let frame = vec![0; codec.samples_per_frame()];
            Encoder::new(&codec)
                .unwrap()
                .encode(&frame, &mut payload)
                .unwrap();
        }
        assert_eq!(kind.name(), kind.encoding_name().to_ascii_lowercase());
    }
}

#[test]
fn g722_keeps_speech_and_both_bands() {
    // Six bits a sample below 4 kHz, two above.
    for (hertz, least_db) in [(440.0, 50.0), (2_500.0, 40.0), (5_500.0, 20.0)] {
        let samples: Vec<i16> = (0..16_000)
            .map(|n| {
                ((n as f32 * hertz * std::f32::consts::TAU / 16_000.0).sin() * 10_000.0) as i16
            })
            .collect();
        let codec = Codec::new(CodecKind::G722);
        let mut encoder = Encoder::new(&codec).unwrap();
        let mut decoder = Decoder::new(CodecKind::G722).unwrap();
        let (mut payload, mut decoded) = ([0; 160], Vec::new());
        for frame in samples.chunks_exact(320) {
            assert_eq!(encoder.encode(frame, &mut payload).unwrap(), 160);
            let mut out = [0; 320];
            assert_eq!(decoder.decode(&payload, &mut out).unwrap(), 320);
            decoded.extend(out);
        }
        // The two filters delay by 22 samples.
        let quality = quality_db(&samples[1_600..15_000], &decoded[1_622..]);
        println!("G.722 at {hertz} Hz: {quality:.1} dB");
        assert!(quality > least_db, "{hertz} Hz: {quality:.1} dB");
    }
}

#[test]
fn l16_is_network_order_and_loses_nothing() {
    for kind in [CodecKind::L16Narrowband, CodecKind::L16Wideband] {
        let codec = Codec {
            ptime_ms: 10,
            ..Codec::new(kind)
        };
        let mut samples = tone(codec.samples_per_frame(), 8_000.0);
        samples[..3].copy_from_slice(&[i16::MIN, -2, i16::MAX]);
        let mut payload = vec![0; samples.len() * 2];
        Encoder::new(&codec)
            .unwrap()
            .encode(&samples, &mut payload)
            .unwrap();
        assert_eq!(payload[..6], [0x80, 0, 0xFF, 0xFE, 0x7F, 0xFF]);
        let mut decoded = vec![0; samples.len()];
        let mut decoder = Decoder::new(kind).unwrap();
        decoder.decode(&payload, &mut decoded).unwrap();
        assert_eq!(decoded, samples);
        assert!(matches!(
            decoder.decode(&payload[..3], &mut decoded),
            Err(CodecError::Malformed)
        ));
    }
}

#[test]
fn opus_encodes_no_wider_a_band_than_the_far_end_plays() {
    let above_4_khz = |playback_rate_hz| {
        let mut codec = Codec::new(CodecKind::Opus);
        codec.opus.playback_rate_hz = playback_rate_hz;
        let mut encoder = Encoder::new(&codec).unwrap();
        let mut decoder = Decoder::new(CodecKind::Opus).unwrap();
        let samples: Vec<i16> = (0..16_000)
            .map(|n| {
                ((n as f32 * 6_000.0 * std::f32::consts::TAU / 16_000.0).sin() * 8_000.0) as i16
            })
            .collect();
        let (mut payload, mut out) = ([0; 1_400], [0; 320]);
        let mut energy = 0.0;
        for frame in samples.chunks_exact(320) {
            let length = encoder.encode(frame, &mut payload).unwrap();
            decoder.decode(&payload[..length], &mut out).unwrap();
            energy += out.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>();
        }
        (energy / 16_000.0).sqrt()
    };
    let (narrow, wide) = (above_4_khz(8_000), above_4_khz(16_000));
    println!("6 kHz through Opus: {wide:.0} to who plays 16 kHz, {narrow:.0} to who plays 8 kHz");
    assert!(wide > 3_000.0 && narrow < 300.0, "{wide} {narrow}");
}

#[test]
fn what_is_invented_fades_to_silence_by_60_ms_and_comes_back_without_a_click_with_every_codec() {
    for kind in CodecKind::ALL {
        let codec = Codec::new(kind);
        let rate = codec.sample_rate_hz() as f32;
        let mut encoder = Encoder::new(&codec).unwrap();
        let mut decoder = Decoder::new(kind).unwrap();
        let said: Vec<i16> = (0..rate as usize)
            .map(|n| ((n as f32 * 180.0 * std::f32::consts::TAU / rate).sin() * 8_000.0) as i16)
            .collect();
        let mut heard = Vec::new();
        let mut payload = vec![0; kind.maximum_payload_bytes()];
        let (mut out, tick) = (vec![0; codec.samples_per_frame()], codec.samples_per_tick());
        for (n, frame) in said.chunks_exact(codec.samples_per_frame()).enumerate() {
            let length = encoder.encode(frame, &mut payload).unwrap();
            if (20..30).contains(&n) {
                out.chunks_exact_mut(tick)
                    .for_each(|gap| decoder.conceal(gap));
            } else {
                decoder.decode(&payload[..length], &mut out).unwrap();
            }
            heard.extend_from_slice(&out);
        }
        let ticks: Vec<&[i16]> = heard.chunks_exact(tick).collect();
        let level = |samples: &[i16]| {
            let energy: f32 = samples.iter().map(|s| f32::from(*s).powi(2)).sum();
            (energy / samples.len() as f32).sqrt()
        };
        let gap: Vec<f32> = ticks[40..60].iter().map(|tick| level(tick)).collect();
        assert!(gap[0] > 3_000.0, "{kind:?} continues: {gap:?}");
        assert!(
            gap.windows(2).all(|pair| pair[1] <= pair[0] * 1.1),
            "{kind:?} fades: {gap:?}"
        );
        assert!(
            gap[6..].iter().all(|level| *level < 1.0),
            "{kind:?}: {gap:?}"
        );
        let step = |samples: &[i16]| {
            let steps = samples
                .windows(2)
                .map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs());
            steps.max().unwrap_or(0)
        };
        let (natural, largest) = (
            step(&heard[tick * 10..tick * 40]),
            step(&heard[tick * 38..tick * 80]),
        );
        println!("{kind:?}: steps of {natural}, around the gap {largest}; levels {gap:.0?}");
        assert!(
            largest <= natural * 3 / 2,
            "{kind:?}: {largest} against {natural}"
        );
    }
}
