//! Speech over a network that loses, by any codec, and how far what is heard is from what was said.
//!
//! Two distances, both over the 20 ms pieces in which somebody speaks: the segmental signal-to-noise ratio
//! (each piece held between -10 and 35 dB, then the mean), which asks for the same samples, and the log-spectral
//! distance (of the power spectra in dB, root mean square over frequency, then the mean), which asks for the same
//! sound.

use std::f64::consts::TAU;

use offhook_media::codec::{Codec, CodecKind, Decoder, Encoder};
use offhook_media::receiver::{FrameOrigin, Receiver, ReceiverConfig};
use offhook_media::resampler::resample_whole;

use crate::lossy_network::{Seeded, at, beginning, rtp};

/// What a call came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// The share of packets that were lost.
    pub(crate) lost: f64,
    /// The share of frames that were invented, in part at least, once playout began.
    pub(crate) concealed: f64,
    /// From saying to hearing, the codec's own delay included, in milliseconds.
    pub(crate) delay_ms: f64,
    /// The segmental signal-to-noise ratio, in dB; more is better.
    pub(crate) segmental_db: f64,
    /// The log-spectral distance, in dB; less is better.
    pub(crate) spectral_db: f64,
}

/// The recorded caller's sentence again and again, at the codec's rate.
pub(crate) fn speech(rate_hz: u32, seconds: usize) -> Vec<i16> {
    let law = include_bytes!("../data/caller-8k.ulaw");
    let mut narrow = vec![0; law.len()];
    let mut decoder = Decoder::new(CodecKind::Pcmu).unwrap();
    decoder.decode(law, &mut narrow).unwrap();
    let sentence = resample_whole(&narrow, 8_000, rate_hz).unwrap();
    let samples = seconds * rate_hz as usize;
    sentence.into_iter().cycle().take(samples).collect()
}

/// Sends `seconds` of speech in packets of 20 ms over a network of 5 ms that loses the share `loss`, in runs of
/// `burst`.
pub(crate) fn call(codec: Codec, seconds: usize, loss: f64, burst: u32, seed: u64) -> Outcome {
    let rate = codec.sample_rate_hz();
    let said = speech(rate, seconds);
    let mut encoder = Encoder::new(&codec).unwrap();
    let mut receiver = Receiver::new(ReceiverConfig::new(codec, None)).unwrap();
    let mut random = Seeded::new(seed);
    let mut payload = vec![0; codec.kind.maximum_payload_bytes()];
    let mut frame = vec![0; codec.samples_per_tick()];
    let (mut heard, mut origins) = (Vec::new(), Vec::new());
    let (mut losing, mut lost, mut packets) = (0, 0, 0);
    let beginning = beginning();
    let payload_type = codec.payload_type_receive.get();
    for (n, samples) in (0_u32..).zip(said.chunks_exact(codec.samples_per_frame())) {
        let length = encoder.encode(samples, &mut payload).unwrap();
        if losing == 0 && random.share() < loss / f64::from(burst) {
            losing = burst;
        }
        packets += 1;
        // The first packet comes, so that all calls begin alike.
        if losing > 0 && n > 0 {
            losing -= 1;
            lost += 1;
        } else {
            let timestamp = n.wrapping_mul(codec.timestamp_step());
            let bytes = rtp(payload_type, n as u16, timestamp, 7, &payload[..length]);
            let arrival = at(
                beginning,
                i64::from(n) * i64::from(codec.ptime_ms) * 1_000 + 5_000,
            );
            receiver.handle_packet(&bytes, arrival).unwrap();
        }
        for tick in 0..i64::from(codec.ptime_ms) / 10 {
            let at_us = (i64::from(n) * i64::from(codec.ptime_ms) + tick * 10) * 1_000 + 7_000;
            origins.push(receiver.pull(&mut frame, at(beginning, at_us)));
            heard.extend_from_slice(&frame);
        }
    }
    let delay = best_delay(&said, &heard, rate as usize / 5);
    let heard = &heard[delay..];
    let begun = origins.iter().skip_while(|o| **o == FrameOrigin::Silence);
    let (concealed, frames) = begun.fold((0, 0), |(concealed, frames), origin| {
        (
            concealed + usize::from(*origin != FrameOrigin::Played),
            frames + 1,
        )
    });
    Outcome {
        lost: f64::from(lost) / f64::from(packets),
        concealed: concealed as f64 / f64::from(frames),
        // What is pulled at 7 ms was to be heard then.
        delay_ms: delay as f64 * 1_000.0 / f64::from(rate) + 7.0,
        segmental_db: segmental_db(&said, heard, rate as usize / 50),
        spectral_db: spectral_db(&said, heard, rate as usize / 50),
    }
}

/// The delay at which the two are most alike, in samples: by a second of it, every fourth sample of it first.
fn best_delay(said: &[i16], heard: &[i16], most: usize) -> usize {
    let length = (most * 5).min(said.len().min(heard.len()) - most);
    let likeness = |delay: usize, step: usize| -> f64 {
        let pairs = said[..length].iter().zip(&heard[delay..]).step_by(step);
        pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let best = |mut delays: Box<dyn Iterator<Item = usize>>, step| {
        let first = delays.next().unwrap_or(0);
        let start = (first, likeness(first, step));
        delays
            .map(|delay| (delay, likeness(delay, step)))
            .fold(
                start,
                |best, next| if next.1 > best.1 { next } else { best },
            )
            .0
    };
    let near = best(Box::new((0..most).step_by(2)), 8);
    best(Box::new(near.saturating_sub(3)..(near + 4).min(most)), 1)
}

fn power(samples: &[i16]) -> f64 {
    let energy: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    energy / samples.len() as f64
}

/// About -45 dBFS.
const SPEAKING: f64 = 180.0 * 180.0;

fn segmental_db(said: &[i16], heard: &[i16], piece: usize) -> f64 {
    let pieces = said.chunks_exact(piece).zip(heard.chunks_exact(piece));
    let ratios = pieces
        .filter(|(said, _)| power(said) > SPEAKING)
        .map(|(said, heard)| {
            let error: f64 = said
                .iter()
                .zip(heard)
                .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
                .sum();
            let error = error / piece as f64 + 0.01;
            (10.0 * (power(said) / error).log10()).clamp(-10.0, 35.0)
        });
    mean(ratios)
}

fn spectral_db(said: &[i16], heard: &[i16], piece: usize) -> f64 {
    let pieces = said.chunks_exact(piece).zip(heard.chunks_exact(piece));
    let distances = pieces
        .filter(|(said, _)| power(said) > SPEAKING)
        .map(|(said, heard)| {
            let (said, heard) = (spectrum_db(said), spectrum_db(heard));
            let squares = said.iter().zip(&heard).map(|(a, b)| (a - b).powi(2));
            mean(squares).sqrt()
        });
    mean(distances)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count.max(1))
}

/// The power from 100 to 3,400 Hz in dB, in 16 bands, not below what a quiet line has.
fn spectrum_db(samples: &[i16]) -> Vec<f64> {
    let length = samples.len() as f64;
    let windowed: Vec<f64> = (0..)
        .zip(samples)
        .map(|(n, sample)| {
            f64::from(*sample) * (0.5 - 0.5 * (TAU * (f64::from(n) + 0.5) / length).cos())
        })
        .collect();
    // The pieces are 20 ms at any rate, so a bin is 50 Hz wide.
    let bins = 2..=67;
    let powers: Vec<f64> = bins.map(|bin| bin_power(&windowed, bin) / length).collect();
    let bands = powers.chunks(4);
    bands
        .map(|band| 10.0 * (band.iter().sum::<f64>() / band.len() as f64 + 10.0).log10())
        .collect()
}

/// Goertzel's.
fn bin_power(samples: &[f64], bin: u32) -> f64 {
    let coefficient = 2.0 * (TAU * f64::from(bin) / samples.len() as f64).cos();
    let (last, before) = samples.iter().fold((0.0, 0.0), |(last, before), sample| {
        (sample + coefficient * last - before, last)
    });
    last * last + before * before - coefficient * last * before
}
