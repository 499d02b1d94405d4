//! What losses do to speech, by codec: the table of docs/media.md.
//! `cargo run --release -p offhook-media --example loss_quality`

#[path = "../tests/loss_measure/mod.rs"]
mod loss_measure;
#[path = "../tests/lossy_network/mod.rs"]
mod lossy_network;

use offhook_media::codec::{Codec, CodecKind};

/// Calls are averaged over these seeds.
const SEEDS: std::ops::Range<u64> = 1..6;
const SECONDS: usize = 30;

fn main() {
    println!("| codec | lost | concealed | delay | segmental SNR | log-spectral distance |");
    println!("|---|---|---|---|---|---|");
    let without_copies = |mut codec: Codec| {
        codec.opus.fec = false;
        codec
    };
    let codecs = [
        ("L16, 8 kHz", Codec::new(CodecKind::L16Narrowband)),
        ("PCMU", Codec::new(CodecKind::Pcmu)),
        ("PCMA", Codec::new(CodecKind::Pcma)),
        ("G.722", Codec::new(CodecKind::G722)),
        ("Opus", Codec::new(CodecKind::Opus)),
        (
            "Opus without copies",
            without_copies(Codec::new(CodecKind::Opus)),
        ),
    ];
    for (name, codec) in codecs {
        for (loss, burst) in [(0.0, 1), (0.01, 1), (0.05, 1), (0.1, 1), (0.2, 1), (0.1, 3)] {
            print_row(name, codec, loss, burst);
        }
    }
}

fn print_row(name: &str, codec: Codec, loss: f64, burst: u32) {
    let calls: Vec<_> = SEEDS
        .map(|seed| loss_measure::call(codec, SECONDS, loss, burst, seed))
        .collect();
    let mean = |value: fn(&loss_measure::Outcome) -> f64| {
        calls.iter().map(value).sum::<f64>() / calls.len() as f64
    };
    let runs = if burst > 1 {
        format!(" in runs of {burst}")
    } else {
        String::new()
    };
    println!(
        "| {name} | {:.1} %{runs} | {:.1} % | {:.0} ms | {:.1} dB | {:.1} dB |",
        mean(|c| c.lost) * 100.0,
        mean(|c| c.concealed) * 100.0,
        mean(|c| c.delay_ms),
        mean(|c| c.segmental_db),
        mean(|c| c.spectral_db),
    );
}
