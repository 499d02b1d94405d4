//! A far end that sends back what it hears: an echo path between a leg's two directions, and callers who talk
//! over it. Packets go by hand, time is virtual.

#![allow(dead_code, unreachable_pub, reason = "tests and an example use it")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use offhook_media::codec::{Codec, CodecKind, Decoder, Encoder};
use offhook_media::control::{BargeInPolicy, Bus, Chunk, Epoch, LegCommand, LegEvent};
use offhook_media::leg::{InBandDigits, Leg, LegConfig};
use offhook_media::mixer::BusBounds;
use offhook_media::resampler::resample_whole;
use offhook_media::sdp::{Direction, RtcpPath};
use offhook_media::sender::StreamStart;
use rtp_rs::{RtpPacketBuilder, RtpReader, Seq};

/// What the reflex of a session asks for.
pub const MIN_SPEECH_MS: u32 = 500;

/// What lies between what the far end hears and what it sends back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Path {
    /// The samples as they are.
    Pure,
    /// A hybrid: 6 ms, some of it out of phase.
    Hybrid,
    /// A speakerphone: a room's tail of 64 ms, a loudspeaker that bends, and noise at -55 dBFS.
    Speakerphone,
}

/// How long the way back takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Delay {
    Ms(usize),
    /// From the first to the second and back, every ten seconds.
    Changes(usize, usize),
}

#[derive(Clone, Copy, Debug)]
pub struct Echo {
    /// Power of what comes back against what was sent.
    pub level_db: f64,
    pub delay: Delay,
    pub path: Path,
}

/// One call: an agent who speaks on end, perhaps an echo, perhaps a caller.
pub struct Scene<'a> {
    pub kind: CodecKind,
    /// At the codec's rate.
    pub agent: &'a [i16],
    pub echo: Option<Echo>,
    /// At the codec's rate.
    pub caller: Option<&'a [i16]>,
    pub guard: bool,
}

fn far_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 9], 40_000))
}

#[allow(
    clippy::disallowed_methods,
    reason = "an Instant has to come from somewhere"
)]
fn virtual_start() -> Instant {
    Instant::now()
}

impl Scene<'_> {
    /// When the reflex acted, in milliseconds; the agent goes on at once each time.
    pub fn barge_ins(&self) -> Vec<u64> {
        let codec = Codec::new(self.kind);
        let config = LegConfig {
            codec,
            telephone_event: None,
            also_accepted: Vec::new(),
            remote: Some(far_address()),
            rtcp: RtcpPath::Multiplexed,
            direction: Direction::SendReceive,
            srtp: None,
            stream: StreamStart {
                ssrc: 1,
                sequence: 0,
                timestamp: 0,
            },
            voice_activity: true,
            echo_guard: self.guard,
            in_band_digits: InBandDigits::Never,
            call_tones: false,
            no_media_timeout: None,
            bounds: BusBounds::default(),
        };
        let mut now = virtual_start();
        let mut leg = Leg::new(config, now).unwrap();
        leg.handle_command(LegCommand::BargeIn(Some(BargeInPolicy {
            min_speech_ms: MIN_SPEECH_MS,
        })));
        leg.handle_command(LegCommand::Play {
            bus: Bus::Speech,
            chunk: Chunk {
                epoch: Epoch(1),
                samples: self.agent.into(),
                last: true,
            },
        });
        let length = codec.samples_per_frame();
        let rate = codec.sample_rate_hz() as usize;
        let mut way_back = self.echo.map(|echo| WayBack::new(echo, rate));
        let mut decoder = Decoder::new(self.kind).unwrap();
        let mut encoder = Encoder::new(&codec).unwrap();
        let mut barge_ins = Vec::new();
        let mut frame = vec![0i16; length];
        for packet in 0..self.agent.len() / length {
            let at = packet * length;
            for (index, sample) in frame.iter_mut().enumerate() {
                let said = self
                    .caller
                    .and_then(|caller| caller.get(at + index))
                    .copied()
                    .unwrap_or(0);
                let back = way_back.as_mut().map_or(0.0, |way| way.next(at + index));
                *sample = (f64::from(said) + back).round().clamp(-32_768.0, 32_767.0) as i16;
            }
            let mut payload = [0; 1500];
            let bytes = encoder.encode(&frame, &mut payload).unwrap();
            let datagram = RtpPacketBuilder::new()
                .payload_type(codec.payload_type_receive.get())
                .ssrc(9)
                .sequence(Seq::from(packet as u16))
                .timestamp((packet as u32).wrapping_mul(codec.timestamp_step()))
                .payload(&payload[..bytes])
                .build()
                .unwrap();
            leg.handle_datagram(&datagram, far_address(), now);
            for _ in 0..2 {
                if let Some((datagram, _)) = leg.tick(now) {
                    let mut samples = [0i16; 2_880];
                    let packet = RtpReader::new(datagram).unwrap();
                    let count = decoder.decode(packet.payload(), &mut samples).unwrap();
                    if let Some(way) = &mut way_back {
                        way.sent(&samples[..count]);
                    }
                }
                while let Some(event) = leg.poll_event() {
                    if let LegEvent::BargeIn { at_ms, .. } = event {
                        barge_ins.push(at_ms);
                        leg.handle_command(LegCommand::Resume(Bus::Speech));
                    }
                }
                now += Duration::from_millis(10);
            }
        }
        barge_ins
    }
}

/// An agent, and somebody who talks over it.
pub struct Voices {
    pub agent: Vec<i16>,
    caller: Vec<i16>,
    /// When the caller begins each time, in milliseconds.
    begins: Vec<u64>,
}

impl Voices {
    /// Of two minutes of speech at 8 kHz, both taken to -20 dBFS and then to `rate`.
    pub fn new(agent: &[i16], caller: &[i16], seconds: usize, rate: u32) -> Self {
        let mut agent = levelled(agent, 0.0);
        agent.truncate(seconds * 8_000);
        let (caller, begins) = interjections(&levelled(caller, 0.0), agent.len());
        let at_rate = |samples: &[i16]| resample_whole(samples, 8_000, rate).unwrap();
        Self {
            agent: at_rate(&agent),
            caller: at_rate(&caller),
            begins,
        }
    }

    /// What the caller says, `db` louder than the agent.
    pub fn caller(&self, db: f64) -> Vec<i16> {
        let factor = 10f64.powf(db / 20.0);
        let louder = |sample: &i16| (f64::from(*sample) * factor) as i16;
        self.caller.iter().map(louder).collect()
    }
}

/// When the caller's interruptions are found without an echo and without the guard.
pub struct Reference<'a> {
    begins: &'a [u64],
    found: Vec<u64>,
}

/// How many interruptions were found.
#[derive(Debug, Default)]
pub struct Tally {
    pub all: usize,
    /// Not found, or more than 150 ms later than the reference.
    pub missed: usize,
    added_ms: Vec<i64>,
}

impl<'a> Reference<'a> {
    pub fn new(kind: CodecKind, voices: &'a Voices, caller: &[i16]) -> Self {
        let scene = Scene {
            kind,
            agent: &voices.agent,
            echo: None,
            caller: Some(caller),
            guard: false,
        };
        Self {
            begins: &voices.begins,
            found: scene.barge_ins(),
        }
    }

    pub fn compare(&self, found: &[u64], tally: &mut Tally) {
        for begin in self.begins {
            let of_this = |list: &[u64]| {
                let mut during = list
                    .iter()
                    .filter(|at| (*begin..begin + 2_400).contains(at));
                during.next().map(|at| *at as i64)
            };
            // Two seconds that begin with a pause are none of the reflex's.
            let Some(reference) = of_this(&self.found) else {
                continue;
            };
            tally.all += 1;
            match of_this(found) {
                Some(at) if at - reference <= 150 => tally.added_ms.push(at - reference),
                Some(_) | None => tally.missed += 1,
            }
        }
    }
}

impl Tally {
    pub fn median_ms(&self) -> i64 {
        self.quantile_ms(0.5)
    }

    /// What was added to the reference's time, of those that were found.
    pub fn quantile_ms(&self, share: f64) -> i64 {
        let mut sorted = self.added_ms.clone();
        sorted.sort_unstable();
        let at = (sorted.len() as f64 * share) as usize;
        sorted.get(at).copied().unwrap_or(i64::MAX)
    }
}

struct WayBack {
    echo: Echo,
    taps: Vec<f32>,
    noise: f64,
    samples_per_ms: usize,
    line: Vec<f32>,
    random: u64,
}

impl WayBack {
    fn new(echo: Echo, rate: usize) -> Self {
        let mut taps: Vec<f32> = match echo.path {
            Path::Pure => vec![1.0],
            Path::Hybrid => {
                let mut taps = vec![0.0; rate * 6 / 1_000];
                for (ms, tap) in [(1, 0.35), (2, 0.8), (3, -0.9), (4, 0.3), (5, -0.2)] {
                    taps[ms * rate / 1_000] = tap;
                }
                taps
            }
            Path::Speakerphone => {
                let mut random = 77;
                (0..rate * 64 / 1_000)
                    .map(|index| {
                        let fade = (-5.0 * index as f64 / (rate as f64 * 0.064)).exp();
                        (uniform(&mut random) * fade) as f32
                    })
                    .collect()
            }
        };
        let energy: f32 = taps.iter().map(|tap| tap * tap).sum();
        let gain = 10f32.powf(echo.level_db as f32 / 20.0) / energy.sqrt();
        for tap in &mut taps {
            *tap *= gain;
        }
        Self {
            echo,
            taps,
            noise: if echo.path == Path::Speakerphone {
                58.0 * 3f64.sqrt()
            } else {
                0.0
            },
            samples_per_ms: rate / 1_000,
            line: Vec::new(),
            random: 5,
        }
    }

    fn sent(&mut self, samples: &[i16]) {
        let bends = self.echo.path == Path::Speakerphone;
        self.line.extend(samples.iter().map(|sample| {
            let sample = f32::from(*sample);
            if bends {
                sample - sample * (sample / 40_000.0).powi(2)
            } else {
                sample
            }
        }));
    }

    fn next(&mut self, at: usize) -> f64 {
        let delay_ms = match self.echo.delay {
            Delay::Ms(ms) => ms,
            Delay::Changes(one, other) => {
                if (at / (self.samples_per_ms * 10_000)).is_multiple_of(2) {
                    one
                } else {
                    other
                }
            }
        };
        // What is sent in this packet time is not there yet.
        let delay = delay_ms * self.samples_per_ms + 20 * self.samples_per_ms;
        let noise = self.noise * uniform(&mut self.random);
        let Some(end) = (at + 1).checked_sub(delay) else {
            return noise;
        };
        let end = end.min(self.line.len());
        let begin = end.saturating_sub(self.taps.len());
        let past = self.line[begin..end].iter().rev();
        let sum: f32 = past.zip(&self.taps).map(|(a, b)| a * b).sum();
        f64::from(sum) + noise
    }
}

/// From -1 to 1.
fn uniform(state: &mut u64) -> f64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

/// At an effective value of -20 dBFS over what sounds, and `db` louder.
fn levelled(samples: &[i16], db: f64) -> Vec<i16> {
    let powers: Vec<f64> = samples.chunks(80).map(power).collect();
    let loudest = powers.iter().copied().fold(1.0, f64::max);
    let sounding: Vec<f64> = powers
        .into_iter()
        .filter(|p| *p > loudest * 0.001)
        .collect();
    let mean = sounding.iter().sum::<f64>() / sounding.len() as f64;
    let factor = 3_277.0 / mean.sqrt() * 10f64.powf(db / 20.0);
    samples
        .iter()
        .map(|sample| (f64::from(*sample) * factor).clamp(-32_768.0, 32_767.0) as i16)
        .collect()
}

fn power(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    sum / samples.len().max(1) as f64
}

/// What a caller says over an agent: two seconds out of `speech` (8 kHz), begun where a sentence begins, each
/// five seconds. Answers the samples and where each begins, in milliseconds.
fn interjections(speech: &[i16], length: usize) -> (Vec<i16>, Vec<u64>) {
    const TWO_SECONDS: usize = 16_000;
    let mut out = vec![0; length];
    let mut begins = Vec::new();
    let loudest = speech.chunks_exact(80).map(power).fold(1.0, f64::max);
    let loud: Vec<bool> = speech
        .chunks_exact(80)
        .map(|frame| power(frame) > loudest * 0.003)
        .collect();
    let mut onsets = (20..loud.len())
        .filter(|at| loud[*at] && loud[at - 10..*at].iter().all(|before| !before))
        .map(|at| at * 80);
    let mut at = 20_000;
    while at + TWO_SECONDS < length {
        let Some(from) = onsets.next() else { break };
        let Some(said) = speech.get(from..from + TWO_SECONDS) else {
            break;
        };
        out[at..at + TWO_SECONDS].copy_from_slice(said);
        begins.push(at as u64 / 8);
        // Not in step with anything.
        at += 40_000 + 777;
        // The next sentence, and not the next word.
        while onsets
            .clone()
            .next()
            .is_some_and(|next| next < from + TWO_SECONDS)
        {
            onsets.next();
        }
    }
    (out, begins)
}
