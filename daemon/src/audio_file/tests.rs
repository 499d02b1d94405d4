//! Files as other programs write them, compared with what they were made of; and damaged ones.

use std::f64::consts::TAU;
use std::process::Command;
use std::sync::OnceLock;

use super::*;

/// A folder of files that ffmpeg, opusenc and sox made, of one piece of 1.7 s: long enough for several pages, and no
/// whole number of any codec's frames.
struct Made(PathBuf);

const SECONDS: f64 = 1.7;

impl Made {
    fn folder() -> &'static Self {
        static FOLDER: OnceLock<Made> = OnceLock::new();
        FOLDER.get_or_init(|| {
            let name = format!("offhook-audio-files-{}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            Self(folder)
        })
    }

    /// Writes `channels` as WAV of 16 bits and has it converted: `{in}` and `{out}` are the files' paths.
    #[track_caller]
    fn convert(&self, rate_hz: u32, channels: &[Vec<i16>], command: &str, name: &str) -> Vec<u8> {
        // Tests run side by side.
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let source = self.0.join(format!("{count}-source.wav"));
        let target = self.0.join(format!("{count}-{name}"));
        std::fs::write(&source, wav_16(rate_hz, channels)).unwrap();
        let mut words = command.split(' ').map(|word| {
            // A no-break space does not part words.
            word.replace('\u{a0}', " ")
                .replace("{in}", source.to_str().unwrap())
                .replace("{out}", target.to_str().unwrap())
        });
        let output = Command::new(words.next().unwrap())
            .args(words)
            .output()
            .unwrap_or_else(|error| {
                panic!("{command}: {error} (make require-test says what is missing)")
            });
        assert!(
            output.status.success(),
            "{command}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let bytes = std::fs::read(&target).unwrap();
        for file in [source, target] {
            std::fs::remove_file(file).unwrap();
        }
        bytes
    }
}

fn wav_16(rate_hz: u32, channels: &[Vec<i16>]) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: u16::try_from(channels.len()).unwrap(),
        sample_rate: rate_hz,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    for at in 0..channels[0].len() {
        for channel in channels {
            writer.write_sample(channel[at]).unwrap();
        }
    }
    writer.finalize().unwrap();
    bytes.into_inner()
}

/// Two tones and some noise, so that a shift of one sample shows.
fn piece(rate_hz: u32) -> Vec<i16> {
    let mut noise = 1_u32;
    (0..(SECONDS * f64::from(rate_hz)) as usize)
        .map(|at| {
            let time = at as f64 / f64::from(rate_hz);
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let hiss = f64::from(noise >> 16) / 65_536.0 - 0.5;
            // A tone that rises is like itself at no other place.
            let rising = (TAU * (300.0 * time + 200.0 * time * time)).sin();
            let steady = (TAU * 1_000.0 * time).sin();
            (6_000.0 * rising + 3_000.0 * steady + 200.0 * hiss).round() as i16
        })
        .collect()
}

fn lossless(rate_hz: u32, command: &str, name: &str) {
    let piece = piece(rate_hz);
    let bytes = Made::folder().convert(rate_hz, std::slice::from_ref(&piece), command, name);
    let audio = decode(&bytes).unwrap_or_else(|error| panic!("{command}: {error}"));
    assert_eq!(audio.sample_rate_hz, rate_hz, "{command}");
    assert!(*audio.samples == *piece, "{command}: other samples");
}

/// How much louder the piece is than what was made of it is off, in dB, with no shift at all.
fn signal_to_noise(heard: &[i16], piece: &[i16]) -> f64 {
    let power = |samples: &mut dyn Iterator<Item = f64>| samples.map(|x| x * x).sum::<f64>();
    // The codecs' own beginning and end are rough.
    let range = piece.len() / 20..piece.len() * 19 / 20;
    let of = |samples: &[i16], at: usize| f64::from(samples[at]);
    let signal = power(&mut range.clone().map(|at| of(piece, at)));
    let noise = power(&mut range.map(|at| of(heard, at) - of(piece, at)));
    10.0 * (signal / noise).log10()
}

#[track_caller]
fn lossy(rate_hz: u32, command: &str, name: &str, least_db: f64) {
    let piece = piece(rate_hz);
    let bytes = Made::folder().convert(rate_hz, std::slice::from_ref(&piece), command, name);
    let audio = decode(&bytes).unwrap_or_else(|error| panic!("{command}: {error}"));
    assert_eq!(audio.sample_rate_hz, rate_hz, "{command}");
    assert_eq!(
        audio.samples.len(),
        piece.len(),
        "{command}: another length"
    );
    let reached = signal_to_noise(&audio.samples, &piece);
    println!("{command}: {reached:.1} dB");
    assert!(reached > least_db, "{command}: {reached:.1} dB");
    // Half a millisecond off would be another sound: the measure sees a shift.
    let shifted = [&vec![0; rate_hz as usize / 2_000][..], &audio.samples].concat();
    assert!(signal_to_noise(&shifted, &piece) < 6.0);
}

const FFMPEG: &str = "ffmpeg -v error -bitexact -i {in} ";

fn ffmpeg(options: &str) -> String {
    format!("{FFMPEG}{options} {{out}}")
}

#[test]
fn wav_of_16_bits_and_more_is_taken_as_it_is_at_any_rate() {
    for rate_hz in [
        8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000,
    ] {
        lossless(rate_hz, "sox {in} {out}", "16.wav");
    }
    for codec in ["pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"] {
        lossless(44_100, &ffmpeg(&format!("-c:a {codec}")), "more.wav");
    }
    // To a pipe ffmpeg cannot say how long the file is.
    lossless(
        8_000,
        "sh -c ffmpeg\u{a0}-v\u{a0}error\u{a0}-i\u{a0}{in}\u{a0}-f\u{a0}wav\u{a0}-\u{a0}>{out}",
        "piped.wav",
    );
}

#[test]
fn wav_of_8_bits_and_of_g711_is_what_the_codec_leaves_of_it() {
    lossy(8_000, &ffmpeg("-c:a pcm_u8"), "8.wav", 30.0);
    lossy(8_000, &ffmpeg("-c:a pcm_alaw"), "a.wav", 30.0);
    lossy(8_000, &ffmpeg("-c:a pcm_mulaw"), "mu.wav", 30.0);
    // The values themselves, by somebody else's tables.
    let piece = piece(8_000);
    for codec in ["pcm_alaw", "pcm_mulaw"] {
        let folder = Made::folder();
        let source = std::slice::from_ref(&piece);
        let coded = folder.convert(8_000, source, &ffmpeg(&format!("-c:a {codec}")), "law.wav");
        let plain = format!("{FFMPEG}-c:a {codec} -f wav - ");
        let two = format!(
            "sh -c {}|ffmpeg\u{a0}-v\u{a0}error\u{a0}-i\u{a0}-\u{a0}-c:a\u{a0}pcm_s16le\u{a0}{{out}}",
            plain.replace(' ', "\u{a0}")
        );
        let expected = decode(&folder.convert(8_000, source, &two, "plain.wav")).unwrap();
        assert!(
            *decode(&coded).unwrap().samples == *expected.samples,
            "{codec}"
        );
    }
}

#[test]
fn flac_is_exact() {
    for rate_hz in [8_000, 44_100, 48_000, 96_000] {
        lossless(rate_hz, &ffmpeg("-c:a flac"), "a.flac");
    }
    lossless(44_100, &ffmpeg("-c:a flac -sample_fmt s32"), "24.flac");
    lossless(16_000, "sox {in} -C 8 {out}", "sox.flac");
}

#[test]
fn mp3_has_the_length_and_the_moments_of_what_it_was_made_of() {
    lossy(44_100, &ffmpeg("-c:a libmp3lame -b:a 128k"), "a.mp3", 25.0);
    lossy(48_000, &ffmpeg("-c:a libmp3lame -q:a 0"), "vbr.mp3", 25.0);
    lossy(16_000, &ffmpeg("-c:a libmp3lame -b:a 64k"), "low.mp3", 25.0);
    lossy(
        8_000,
        &ffmpeg("-c:a libmp3lame -b:a 48k"),
        "lowest.mp3",
        20.0,
    );
}

#[test]
fn vorbis_has_the_length_and_the_moments_of_what_it_was_made_of() {
    lossy(44_100, &ffmpeg("-c:a libvorbis -q:a 6"), "a.ogg", 15.0);
    lossy(8_000, &ffmpeg("-c:a libvorbis -q:a 6"), "low.ogg", 15.0);
    lossy(48_000, "sox {in} -C 8 {out}", "sox.ogg", 15.0);
}

#[test]
fn opus_has_the_length_and_the_moments_of_what_it_was_made_of() {
    lossy(
        48_000,
        "opusenc --quiet --bitrate 128 {in} {out}",
        "a.opus",
        15.0,
    );
    lossy(
        48_000,
        "opusenc --quiet --bitrate 64 --framesize 60 {in} {out}",
        "60.opus",
        10.0,
    );
    lossy(
        48_000,
        "opusenc --quiet --bitrate 128 --framesize 2.5 {in} {out}",
        "short.opus",
        15.0,
    );
    lossy(
        48_000,
        &ffmpeg("-c:a libopus -b:a 128k"),
        "ffmpeg.opus",
        15.0,
    );
    // One page holds it all: its position speaks of the end.
    lossy(
        48_000,
        "opusenc --quiet --bitrate 32 --max-delay 1000 {in} {out}",
        "long.opus",
        6.0,
    );
}

#[test]
fn opus_from_a_stream_that_was_joined_late_has_its_moments_too() {
    let piece = piece(48_000);
    let command = "opusenc --quiet --bitrate 128 --max-delay 200 {in} {out}";
    let bytes = Made::folder().convert(48_000, std::slice::from_ref(&piece), command, "all.opus");
    let begins: Vec<usize> = bytes
        .windows(4)
        .enumerate()
        .filter_map(|(at, bytes)| (bytes == b"OggS").then_some(at))
        .collect();
    // Two pages of headers stay; the first two of audio go.
    let joined = [&bytes[..begins[2]], &bytes[begins[4]..]].concat();
    let gone = u16::from_le_bytes([bytes[begins[3] + 6], bytes[begins[3] + 7]]);
    let heard = decode(&joined).unwrap().samples;
    let rest = &piece[usize::from(gone)..];
    assert_eq!(heard.len(), rest.len());
    let reached = signal_to_noise(&heard, rest);
    assert!(reached > 15.0, "{reached:.1} dB");
}

#[test]
fn the_output_gain_of_opus_is_obeyed() {
    let piece = piece(48_000);
    let source = std::slice::from_ref(&piece);
    let command = "opusenc --quiet --bitrate 128 {in} {out}";
    let mut bytes = Made::folder().convert(48_000, source, command, "gain.opus");
    let level = |bytes: &[u8]| {
        let audio = decode(bytes).unwrap();
        let power: f64 = audio.samples.iter().map(|x| f64::from(*x).powi(2)).sum();
        10.0 * power.log10()
    };
    let before = level(&bytes);
    let head = bytes.windows(8).position(|at| at == b"OpusHead").unwrap();
    bytes[head + 16..head + 18].copy_from_slice(&(-6_i16 * 256).to_le_bytes());
    mend_checksums(&mut bytes);
    let lower = before - level(&bytes);
    assert!((5.9..6.1).contains(&lower), "{lower:.2} dB");
}

#[test]
fn channels_are_brought_to_one_by_their_mean() {
    let left = piece(48_000);
    let right: Vec<i16> = left.iter().map(|sample| sample / 2).collect();
    let mean: Vec<i16> = left
        .iter()
        .zip(&right)
        .map(|(left, right)| (f32::from(*left) / 2.0 + f32::from(*right) / 2.0).round() as i16)
        .collect();
    let both = [left, right];
    for (command, name) in [
        ("sox {in} {out}", "stereo.wav"),
        ("sox {in} {out}", "stereo.flac"),
    ] {
        let bytes = Made::folder().convert(48_000, &both, command, name);
        assert!(*decode(&bytes).unwrap().samples == *mean, "{name}");
    }
    for (command, name) in [
        (ffmpeg("-c:a libmp3lame -b:a 192k"), "stereo.mp3"),
        (ffmpeg("-c:a libvorbis -q:a 6"), "stereo.ogg"),
        (
            "opusenc --quiet --bitrate 160 {in} {out}".to_owned(),
            "stereo.opus",
        ),
    ] {
        let bytes = Made::folder().convert(48_000, &both, &command, name);
        let reached = signal_to_noise(&decode(&bytes).unwrap().samples, &mean);
        assert!(reached > 12.0, "{name}: {reached:.1} dB");
    }
    // Opposite channels cancel, and full ones do not clip.
    let loud = vec![vec![30_000; 8_000], vec![30_000; 8_000]];
    let bytes = wav_16(8_000, &loud);
    assert!(decode(&bytes).unwrap().samples.iter().all(|x| *x == 30_000));
}

#[test]
fn tags_around_the_audio_are_passed_over() {
    let command =
        ffmpeg("-c:a libmp3lame -b:a 64k -metadata title=Hold -write_id3v1 1 -id3v2_version 3");
    lossy(16_000, &command, "tagged.mp3", 20.0);
    // A tag whose content looks like the frames of another rate.
    let piece = piece(16_000);
    let plain = Made::folder().convert(
        16_000,
        std::slice::from_ref(&piece),
        &ffmpeg("-c:a libmp3lame -b:a 64k -id3v2_version 0"),
        "plain.mp3",
    );
    let picture = [0xff, 0xfb, 0x90, 0x64].repeat(500);
    let mut tagged = b"ID3\x03\0\0\0\0\x0f\x50".to_vec();
    assert_eq!(picture.len(), 0x0f << 7 | 0x50);
    tagged.extend(&picture);
    tagged.extend(&plain);
    assert!(*decode(&tagged).unwrap().samples == *decode(&plain).unwrap().samples);
}

/// One file of each form.
fn samples_of_each_form() -> Vec<(&'static str, Vec<u8>)> {
    let piece = piece(16_000);
    let forms = [
        ("wav", "sox {in} {out}".to_owned()),
        ("flac", ffmpeg("-c:a flac")),
        ("mp3", ffmpeg("-c:a libmp3lame -b:a 64k")),
        ("ogg", ffmpeg("-c:a libvorbis -q:a 3 -page_duration 200000")),
        (
            "opus",
            ffmpeg("-c:a libopus -b:a 32k -page_duration 200000"),
        ),
    ];
    let make = |(name, command): (&'static str, String)| {
        let source = std::slice::from_ref(&piece);
        let file = format!("sample.{name}");
        (
            name,
            Made::folder().convert(16_000, source, &command, &file),
        )
    };
    forms.into_iter().map(make).collect()
}

#[test]
fn what_was_cut_off_is_refused_wherever_it_was() {
    for (name, bytes) in samples_of_each_form() {
        decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        for permille in [300, 500, 700, 900, 980] {
            let cut = &bytes[..bytes.len() * permille / 1_000];
            let error = decode(cut).err();
            assert!(
                matches!(
                    error,
                    Some(AudioFileError::CutOff | AudioFileError::Damaged { .. })
                ),
                "{name} at {permille}: {error:?}"
            );
        }
        // Between two pages of Ogg nothing is broken, but the end is missing.
        if name == "ogg" || name == "opus" {
            let page = bytes.windows(4).rposition(|at| at == b"OggS").unwrap();
            assert!(
                matches!(decode(&bytes[..page]), Err(AudioFileError::CutOff)),
                "{name}"
            );
        }
    }
}

#[test]
fn what_cannot_be_played_is_told_apart() {
    let told = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
    assert_eq!(told(b""), "is empty");
    assert_eq!(told(&wav_16(8_000, &[Vec::new()])), "is empty");
    let not_audio = "is no audio file that is known";
    assert!(told(b"[agent.a]\nkind = \"echo\"\n").starts_with(not_audio));
    assert!(told(&[0; 4_096]).starts_with(not_audio));
    assert!(told(b"ID3\x03\0\0\x7f\x7f\x7f\x7f").starts_with(not_audio));
    let piece = piece(16_000);
    let made = |command: &str, name| {
        Made::folder().convert(16_000, std::slice::from_ref(&piece), command, name)
    };
    let unknown = "has a codec that is not known";
    for (command, name) in [
        (ffmpeg("-c:a adpcm_ima_wav"), "adpcm.wav"),
        (ffmpeg("-c:a libspeex"), "speex.ogg"),
        (ffmpeg("-c:a flac"), "flac.ogg"),
    ] {
        let told = told(&made(&command, name));
        assert!(told.starts_with(unknown), "{name}: {told}");
    }
    assert!(told(&made(&ffmpeg("-c:a aac"), "a.m4a")).starts_with(not_audio));
    assert!(told(&wav_16(4_000, &[vec![1; 100]])).starts_with("has a rate of 4000 Hz"));
    let channels = vec![vec![1; 100]; 9];
    assert_eq!(
        told(&wav_16(8_000, &channels)),
        "has 9 channels; it may have 1 to 8"
    );
    // Five channels of Opus have a mapping of their own.
    let five = vec![piece; 5];
    let surround = Made::folder().convert(16_000, &five, "opusenc --quiet {in} {out}", "5.opus");
    assert!(told(&surround).contains("Opus with 5 channels"));
}

#[test]
fn half_an_hour_is_played_and_more_is_not() {
    let minutes = |minutes: usize| wav_16(8_000, &[vec![0; 8_000 * 60 * minutes]]);
    decode(&minutes(30)).expect("half an hour");
    assert!(matches!(decode(&minutes(31)), Err(AudioFileError::TooLong)));
    // Where nothing announces it, it is found on the way.
    let long = Made::folder().convert(
        8_000,
        &[vec![0; 8_000 * 60 * 31]],
        "opusenc --quiet --bitrate 6 --framesize 60 --comp 0 {in} {out}",
        "long.opus",
    );
    assert!(matches!(decode(&long), Err(AudioFileError::TooLong)));
    // Above 48 kHz it is a matter of memory.
    assert_eq!(most_samples(192_000), most_samples(48_000));
}

#[test]
fn a_file_is_decoded_once_however_often_it_is_named() {
    let path = Made::folder().0.join("shared.wav");
    std::fs::write(&path, wav_16(8_000, &[vec![7; 800]])).unwrap();
    let mut files = AudioFiles::default();
    let asset = Asset::File(path.clone());
    let first = files.get(&asset).unwrap();
    std::fs::remove_file(path).unwrap();
    let second = files.get(&asset).unwrap();
    assert!(Arc::ptr_eq(first.audio(), second.audio()));
    assert!(matches!(
        AudioFile::load(&asset),
        Err(AudioFileError::Unreadable(_))
    ));
}

#[test]
fn a_file_of_too_many_bytes_is_not_read() {
    let path = Made::folder().0.join("huge.wav");
    // A hole: it takes no room on the disk.
    std::fs::File::create(&path)
        .unwrap()
        .set_len(MOST_BYTES + 1)
        .unwrap();
    let loaded = AudioFile::load(&Asset::File(path.clone()));
    std::fs::remove_file(path).unwrap();
    assert!(matches!(loaded, Err(AudioFileError::TooLarge)));
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// Makes Ogg's checksums true again, so that what lies in the pages is looked at.
fn mend_checksums(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = bytes.get(at..at + 27) {
        let segments = usize::from(header[26]);
        let Some(table) = bytes.get(at + 27..at + 27 + segments) else {
            return;
        };
        let body: usize = table.iter().map(|length| usize::from(*length)).sum();
        let end = at + 27 + segments + body;
        let Some(page) = bytes.get_mut(at..end) else {
            return;
        };
        let sum = ogg::checksum(page);
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        at = end;
    }
}

#[test]
fn damaged_files_never_panic_and_never_grow() {
    for (name, whole) in samples_of_each_form() {
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        let length = decode(&whole).unwrap().samples.len();
        let (mut taken, mut refused) = (0, 0);
        for round in 0..400 {
            let mut bytes = whole.clone();
            // Half of the damage is where headers are.
            for _ in 0..1 + numbers.below(8) {
                let within = if round % 2 == 0 { bytes.len() } else { 200 };
                let at = numbers.below(within);
                bytes[at] ^= 1 << numbers.below(8);
            }
            if round % 3 == 0 {
                bytes.truncate(numbers.below(bytes.len()));
            }
            if matches!(name, "ogg" | "opus") && round % 4 != 0 {
                mend_checksums(&mut bytes);
            }
            match std::panic::catch_unwind(|| decode(&bytes)) {
                Ok(Ok(audio)) => {
                    assert!(audio.samples.len() <= length * 13, "{name} round {round}");
                    taken += 1;
                }
                Ok(Err(_)) => refused += 1,
                Err(_) => panic!("{name} panics in round {round}"),
            }
        }
        println!("{name}: {taken} taken, {refused} refused");
        assert!(refused > 0, "{name}");
    }
}
