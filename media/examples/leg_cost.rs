//! What a leg costs: nanoseconds of CPU for each 20 ms of a call (one packet in, two ticks, one packet
//! out), printed for several kinds of call. Run it with `--release`; an argument sets the seconds of call
//! that each is measured over (default 300). CPU time is the thread's own, so a busy machine disturbs it
//! little; writing each packet's header (some 20 ns) is included.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use offhook_media::codec::{Codec, CodecKind, Decoder, Encoder};
use offhook_media::control::{Bus, Epoch, LegCommand};
use offhook_media::leg::{InBandDigits, Leg, LegConfig};
use offhook_media::mixer::BusBounds;
use offhook_media::resampler::resample_whole;
use offhook_media::sdp::{Direction, RtcpPath};
use offhook_media::sender::StreamStart;
use rtp_rs::{RtpPacketBuilder, Seq};

fn far_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 9], 40_000))
}

/// What the caller does.
#[derive(Clone, Copy, PartialEq)]
enum Caller {
    Silent,
    /// Speaks 40 % of the time, in sentences.
    Talks,
}

struct Case {
    name: &'static str,
    kind: CodecKind,
    voice_activity: bool,
    caller: Caller,
    echo: bool,
    background: bool,
    echo_guard: bool,
    in_band_digits: InBandDigits,
    call_tones: bool,
}

const CASES: [Case; 18] = [
    case(
        "PCMU idle, silence out",
        CodecKind::Pcmu,
        false,
        Caller::Silent,
        false,
    ),
    case("PCMU echo", CodecKind::Pcmu, false, Caller::Talks, true),
    case(
        "PCMU echo, VAD, silent caller",
        CodecKind::Pcmu,
        true,
        Caller::Silent,
        true,
    ),
    case(
        "PCMU echo, VAD, 40 % speech",
        CodecKind::Pcmu,
        true,
        Caller::Talks,
        true,
    ),
    Case {
        background: true,
        ..case(
            "PCMU echo over music",
            CodecKind::Pcmu,
            false,
            Caller::Talks,
            true,
        )
    },
    Case {
        in_band_digits: InBandDigits::Always,
        ..case(
            "PCMU echo, digits by tones, 40 % speech",
            CodecKind::Pcmu,
            false,
            Caller::Talks,
            true,
        )
    },
    Case {
        in_band_digits: InBandDigits::Always,
        ..case(
            "PCMU echo, digits by tones, silent caller",
            CodecKind::Pcmu,
            false,
            Caller::Silent,
            true,
        )
    },
    Case {
        call_tones: true,
        ..case(
            "PCMU echo, call tones, 40 % speech",
            CodecKind::Pcmu,
            false,
            Caller::Talks,
            true,
        )
    },
    Case {
        in_band_digits: InBandDigits::Always,
        call_tones: true,
        ..case(
            "Opus idle, digits and call tones",
            CodecKind::Opus,
            false,
            Caller::Silent,
            false,
        )
    },
    Case {
        background: true,
        echo_guard: false,
        ..case(
            "PCMU agent on end, VAD, silent caller",
            CodecKind::Pcmu,
            true,
            Caller::Silent,
            false,
        )
    },
    Case {
        background: true,
        echo_guard: true,
        ..case(
            "the same, echo guard",
            CodecKind::Pcmu,
            true,
            Caller::Silent,
            false,
        )
    },
    Case {
        background: true,
        echo_guard: false,
        ..case(
            "PCMU agent on end, VAD, 40 % speech",
            CodecKind::Pcmu,
            true,
            Caller::Talks,
            false,
        )
    },
    Case {
        background: true,
        echo_guard: true,
        ..case(
            "the same, echo guard",
            CodecKind::Pcmu,
            true,
            Caller::Talks,
            false,
        )
    },
    case("PCMA echo", CodecKind::Pcma, false, Caller::Talks, true),
    case(
        "G.722 idle, silence out",
        CodecKind::G722,
        false,
        Caller::Silent,
        false,
    ),
    case("G.722 echo", CodecKind::G722, false, Caller::Talks, true),
    case(
        "Opus idle, silence out",
        CodecKind::Opus,
        false,
        Caller::Silent,
        false,
    ),
    case("Opus echo", CodecKind::Opus, false, Caller::Talks, true),
];

const fn case(
    name: &'static str,
    kind: CodecKind,
    voice_activity: bool,
    caller: Caller,
    echo: bool,
) -> Case {
    Case {
        name,
        kind,
        voice_activity,
        caller,
        echo,
        background: false,
        echo_guard: true,
        in_band_digits: InBandDigits::Never,
        call_tones: false,
    }
}

fn main() {
    let seconds = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(300);
    println!(
        "{:<42} {:>12} {:>14}",
        "call", "ns per 20 ms", "detector share"
    );
    for case in &CASES {
        // The best of several rounds: the others had company.
        let rounds: Vec<(f64, f64)> = (0..5).map(|_| measure(case, seconds)).collect();
        let best = rounds
            .iter()
            .map(|(nanoseconds, _)| *nanoseconds)
            .fold(f64::MAX, f64::min);
        println!(
            "{:<42} {best:>12.0} {:>13.0}%",
            case.name,
            rounds[0].1 * 100.0
        );
    }
}

fn sentence(rate: u32) -> Vec<i16> {
    let law = include_bytes!("../tests/data/caller-8k.ulaw");
    let mut samples = vec![0; law.len()];
    let mut decoder = Decoder::new(CodecKind::Pcmu).expect("a table needs no memory");
    decoder
        .decode(law, &mut samples)
        .expect("every byte is a sample");
    resample_whole(&samples, 8000, rate).expect("two usual rates")
}

/// Ten seconds of the caller, as payloads.
fn payloads(codec: &Codec, caller: Caller) -> Vec<Vec<u8>> {
    let rate = codec.sample_rate_hz();
    let mut samples = Vec::new();
    if caller == Caller::Talks {
        samples.extend(sentence(rate));
        samples.extend(&sentence(rate)[..rate as usize]);
    }
    samples.resize(rate as usize * 10, 0);
    let mut encoder = Encoder::new(codec).expect("libopus has memory");
    samples
        .chunks_exact(codec.samples_per_frame())
        .map(|frame| {
            let mut out = vec![0; 1500];
            let length = encoder.encode(frame, &mut out).expect("one packet time");
            out.truncate(length);
            out
        })
        .collect()
}

/// The CPU time this thread has used.
fn cpu_time() -> Duration {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds = schedule
        .split(' ')
        .next()
        .and_then(|field| field.parse().ok());
    Duration::from_nanos(nanoseconds.expect("nanoseconds on the CPU"))
}

/// Nanoseconds for each 20 ms, and the share of frames the neural detector saw.
#[allow(clippy::disallowed_methods)]
fn measure(case: &Case, seconds: usize) -> (f64, f64) {
    let codec = Codec::new(case.kind);
    let payloads = payloads(&codec, case.caller);
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
        voice_activity: case.voice_activity,
        echo_guard: case.echo_guard,
        in_band_digits: case.in_band_digits,
        call_tones: case.call_tones,
        no_media_timeout: None,
        bounds: BusBounds::default(),
    };
    let mut virtual_now = Instant::now();
    let mut leg = Leg::new(config, virtual_now).expect("libopus has memory");
    leg.handle_command(LegCommand::Loopback(case.echo));
    if case.background {
        let samples = sentence(codec.sample_rate_hz()).into();
        leg.handle_command(LegCommand::Loop {
            bus: Bus::Background,
            epoch: Epoch(1),
            samples,
        });
    }
    let mut packet = [0u8; 1600];
    let began = cpu_time();
    let packets = seconds * 50;
    for index in 0..packets {
        let length = RtpPacketBuilder::new()
            .payload_type(codec.payload_type_receive.get())
            .ssrc(9)
            .sequence(Seq::from(index as u16))
            .timestamp((index as u32).wrapping_mul(codec.timestamp_step()))
            .payload(&payloads[index % payloads.len()])
            .build_into(&mut packet)
            .expect("room for a packet");
        leg.handle_datagram(&packet[..length], far_address(), virtual_now);
        for _ in 0..2 {
            std::hint::black_box(leg.tick(virtual_now));
            if leg.is_report_due(virtual_now) {
                std::hint::black_box(leg.make_report(virtual_now));
            }
            virtual_now += Duration::from_millis(10);
            while let Some(event) = leg.poll_event() {
                std::hint::black_box(event);
            }
        }
    }
    let spent = cpu_time() - began;
    let detector_share = leg.statistics().detector_frames as f64 / (seconds as f64 * 62.5);
    (spent.as_nanos() as f64 / packets as f64, detector_share)
}
