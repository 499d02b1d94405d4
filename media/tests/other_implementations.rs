//! Our codecs beside others': ffmpeg and sox for G.711, ffmpeg for G.722, opus-tools for Opus. A program that is
//! missing is a failure, not a test left out; `make test` installs them.

mod ogg;

use std::io::Write;
use std::process::{Command, Stdio};

use offhook_media::codec::{Codec, CodecKind, Decoder, Encoder};
use offhook_media::resampler::resample_whole;

/// What `program` makes of `input`; `package` is where it comes from.
fn through(package: &str, program: &str, arguments: &str, input: Vec<u8>) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments.split_ascii_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} (package {package}): {error}"));
    let mut stdin = child.stdin.take().expect("piped");
    // Beside the reading, since either pipe may be full.
    let writing = std::thread::Builder::new()
        .spawn(move || stdin.write_all(&input))
        .expect("a thread");
    let output = child.wait_with_output().expect("an end");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments}: {complaints}"
    );
    writing.join().expect("written").expect("all of it");
    output.stdout
}

fn bytes_of(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|s| s.to_le_bytes()).collect()
}

fn samples_of(bytes: &[u8]) -> Vec<i16> {
    let pairs = bytes.chunks_exact(2);
    pairs
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

/// In packets of 20 ms; what does not fill one is left out.
fn encode(kind: CodecKind, samples: &[i16]) -> Vec<Vec<u8>> {
    let codec = Codec::new(kind);
    let mut encoder = Encoder::new(&codec).unwrap();
    let frames = samples.chunks_exact(codec.samples_per_frame());
    frames
        .map(|frame| {
            let mut payload = [0; 1_400];
            let length = encoder.encode(frame, &mut payload).unwrap();
            payload[..length].to_vec()
        })
        .collect()
}

fn decode<'a>(kind: CodecKind, payloads: impl IntoIterator<Item = &'a [u8]>) -> Vec<i16> {
    let mut decoder = Decoder::new(kind).unwrap();
    let mut samples = Vec::new();
    for payload in payloads {
        let mut out = [0; 2_880];
        let count = decoder.decode(payload, &mut out).unwrap();
        samples.extend_from_slice(&out[..count]);
    }
    samples
}

/// The recorded caller's sentence at 16 kHz.
fn speech() -> Vec<i16> {
    let law = include_bytes!("data/caller-8k.ulaw");
    let narrow = decode(CodecKind::Pcmu, law.chunks(160));
    let mut wide = resample_whole(&narrow, 8_000, 16_000).unwrap();
    wide.truncate(wide.len() / 960 * 960);
    wide
}

/// The same with its mirror image above 4 kHz, so that both bands of G.722 have sound.
fn wideband_speech() -> Vec<i16> {
    let speech = speech();
    let carried = speech.iter().enumerate().map(|(n, sample)| {
        let mirrored = if n % 2 == 0 { *sample } else { -*sample };
        (i32::from(*sample) * 3 / 4 + i32::from(mirrored) / 8) as i16
    });
    carried.collect()
}

fn noise(amplitude: i32, samples: usize) -> Vec<i16> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    (0..samples)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state % 65_536) as i32 * amplitude / 32_768 - amplitude).clamp(-32_768, 32_767) as i16
        })
        .collect()
}

/// Signal over error in dB, at the delay from 0 to `most` where it is best, and that delay.
fn best_quality_db(original: &[i16], other: &[i16], most: usize) -> (f64, usize) {
    let quality = |delay: usize| {
        let pairs = original.iter().zip(&other[delay..]);
        let (signal, error) = pairs.fold((0.0, 1.0), |(signal, error), (a, b)| {
            let (a, b) = (f64::from(*a), f64::from(*b));
            (signal + a * a, error + (a - b).powi(2))
        });
        10.0 * f64::log10(signal / error)
    };
    let delays = 0..=most.min(other.len() - 1);
    let qualities = delays.map(|delay| (quality(delay), delay));
    qualities.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
}

fn differences<T: PartialEq>(ours: &[T], theirs: &[T]) -> usize {
    ours.iter().zip(theirs).filter(|(a, b)| a != b).count()
}

#[test]
fn g711_decodes_every_code_as_ffmpeg_and_sox_do() {
    let codes: Vec<u8> = (0..=255).collect();
    for (kind, ffmpeg, sox) in [
        (CodecKind::Pcmu, "mulaw", "ul"),
        (CodecKind::Pcma, "alaw", "al"),
    ] {
        let ours = decode(kind, [&codes[..]]);
        let arguments = format!("-v error -f {ffmpeg} -ar 8000 -ac 1 -i pipe:0 -f s16le pipe:1");
        let theirs = samples_of(&through("ffmpeg", "ffmpeg", &arguments, codes.clone()));
        assert_eq!(ours, theirs, "{kind:?}, ffmpeg");
        let arguments = format!("-D -t {sox} -r 8000 -c 1 - -t s16 -L -");
        let theirs = samples_of(&through("sox", "sox", &arguments, codes.clone()));
        assert_eq!(ours, theirs, "{kind:?}, sox");
    }
}

/// Where two chords meet, the standard's decision value is not half way between its levels: ours are the standard's,
/// as the reference software's; ffmpeg takes the nearest level. Others round where ours truncate. Either gives one of
/// two neighbouring codes.
#[test]
fn g711_encodes_every_sample_as_ffmpeg_and_sox_do_or_as_its_neighbour() {
    let samples: Vec<i16> = (i16::MIN..=i16::MAX).collect();
    for (kind, ffmpeg, sox) in [
        (CodecKind::Pcmu, "mulaw", "ul"),
        (CodecKind::Pcma, "alaw", "al"),
    ] {
        let mut padded = samples.clone();
        padded.resize(samples.len().next_multiple_of(160), 0);
        let mut ours = encode(kind, &padded).concat();
        ours.truncate(samples.len());
        let arguments = format!(
            "-v error -f s16le -ar 8000 -ac 1 -i pipe:0 -c:a pcm_{ffmpeg} -f {ffmpeg} pipe:1"
        );
        let of_ffmpeg = through("ffmpeg", "ffmpeg", &arguments, bytes_of(&samples));
        let arguments = format!("-D -t s16 -L -r 8000 -c 1 - -t {sox} -");
        let of_sox = through("sox", "sox", &arguments, bytes_of(&samples));
        for (name, theirs) in [("ffmpeg", of_ffmpeg), ("sox", of_sox)] {
            assert_eq!(theirs.len(), ours.len(), "{name}");
            // Codes in the order of their levels: magnitudes apart from signs, whose zeros are neighbours.
            let order = |code: &u8| match kind {
                CodecKind::Pcmu => i16::from(!code & 0x7F),
                _ => i16::from((code ^ 0x55) & 0x7F),
            };
            let pairs = ours.iter().zip(&theirs);
            let apart = pairs.map(|(ours, theirs)| (order(ours) - order(theirs)).abs());
            let worst = apart.max().unwrap();
            let different = differences(&ours, &theirs);
            println!(
                "{kind:?} beside {name}: {different} of 65536 codes differ, by {worst} at most"
            );
            assert!(worst <= 1, "{kind:?}, {name}: {worst}");
            assert!(different < 65_536 / 32, "{kind:?}, {name}: {different}");
        }
    }
}

const TO_G722: &str = "-v error -f s16le -ar 16000 -ac 1 -i pipe:0 -c:a g722 -f g722 pipe:1";
const FROM_G722: &str = "-v error -f g722 -i pipe:0 -f s16le pipe:1";

#[test]
fn g722_gives_the_codes_and_the_samples_that_ffmpeg_gives() {
    let speech = wideband_speech();
    for (name, samples) in [
        ("speech", speech),
        ("quiet noise", noise(300, 32_000)),
        ("loud noise", noise(20_000, 32_000)),
    ] {
        let ours = encode(CodecKind::G722, &samples).concat();
        let theirs = through("ffmpeg", "ffmpeg", TO_G722, bytes_of(&samples));
        let different = differences(&ours, &theirs);
        println!(
            "G.722, {name}: {different} of {} codes differ from ffmpeg's",
            ours.len()
        );
        assert_eq!(theirs.len(), ours.len(), "{name}");
        assert_eq!(different, 0, "{name}");

        let heard = decode(CodecKind::G722, ours.chunks(160));
        let heard_there = samples_of(&through("ffmpeg", "ffmpeg", FROM_G722, ours));
        assert_eq!(heard.len(), heard_there.len(), "{name}");
        assert_eq!(differences(&heard, &heard_there), 0, "{name}: samples");
        let (quality, delay) = best_quality_db(&samples[..samples.len() - 320], &heard, 40);
        println!("G.722, {name}: {quality:.1} dB at a delay of {delay} samples");
        assert_eq!(delay, 22, "{name}");
    }
}

#[test]
fn opus_is_understood_by_opusdec_and_opusenc_by_us() {
    let samples = speech();
    let ours = encode(CodecKind::Opus, &samples);
    let file = ogg::write_opus(&ours, 960);
    let arguments = "--quiet --rate 48000 --no-dither - -";
    let heard_there = samples_of(&through("opus-tools", "opusdec", arguments, file));
    let heard = decode(CodecKind::Opus, ours.iter().map(Vec::as_slice));
    // Their decoder runs at 48 kHz: the sound is the same, the samples are not.
    let heard = resample_whole(&heard, 16_000, 48_000).unwrap();
    // It also filters by other means, so ours may be the later one.
    let (quality, delay) = best_quality_db(&heard_there[..48_000], &heard, 200);
    println!("Opus of ours, heard by opusdec and by us: {quality:.1} dB alike at {delay} samples");
    assert!(quality > 25.0, "{quality:.1} dB");

    let arguments = "--quiet --raw --raw-rate 16000 --raw-chan 1 --bitrate 28 --speech - -";
    let theirs = ogg::read_opus(&through(
        "opus-tools",
        "opusenc",
        arguments,
        bytes_of(&samples),
    ));
    assert!(
        theirs.len() >= samples.len() / 320,
        "{} packets",
        theirs.len()
    );
    let heard = decode(CodecKind::Opus, theirs.iter().map(Vec::as_slice));
    let (quality, delay) = best_quality_db(&samples[..samples.len() - 960], &heard, 400);
    let of_ours = decode(CodecKind::Opus, ours.iter().map(Vec::as_slice));
    let (ours_quality, _) = best_quality_db(&samples[..samples.len() - 960], &of_ours, 400);
    // Theirs spends its bits on the samples; ours, meant for speech, filters and keeps some for copies.
    println!(
        "Opus of opusenc, heard by us: {quality:.1} dB of the original at {delay} samples; ours {ours_quality:.1} dB"
    );
    assert!(quality > 20.0, "{quality:.1} dB");
}
