//! What receiving costs: memory of a receiver, allocations and CPU time per 20 ms packet with its two
//! 10 ms pulls. `cargo run --release -p offhook-media --example receive_cost`

#![allow(unsafe_code, reason = "counting what is allocated takes an allocator")]
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use offhook_media::codec::{Codec, CodecKind, Encoder};
use offhook_media::receiver::{Receiver, ReceiverConfig};
use rtp_rs::RtpPacketBuilder;

struct Counting;

static LIVE_BYTES: AtomicIsize = AtomicIsize::new(0);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE_BYTES.fetch_add(layout.size().cast_signed(), Ordering::Relaxed);
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size().cast_signed(), Ordering::Relaxed);
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const PACKETS: u32 = 200_000;

fn main() {
    println!("size_of::<Receiver>() = {} bytes", size_of::<Receiver>());
    measure("PCMU, no loss", CodecKind::Pcmu, |_| 0, PACKETS);
    measure(
        "PCMU, 5 % loss",
        CodecKind::Pcmu,
        |n| if n % 20 == 7 { -1 } else { 0 },
        PACKETS,
    );
    measure(
        "PCMU, 40 ms jitter",
        CodecKind::Pcmu,
        |n| (n * 7_919 % 40) as i32,
        PACKETS,
    );
    measure("G.722, no loss", CodecKind::G722, |_| 0, PACKETS / 10);
    measure("Opus, no loss", CodecKind::Opus, |_| 0, PACKETS / 20);
    for complexity in [0, 1, 2, 3, 5, 10] {
        measure_opus_encoder(complexity);
    }
}

/// What the encoder's effort costs, to choose one.
fn measure_opus_encoder(complexity: u8) {
    let mut codec = Codec::new(CodecKind::Opus);
    codec.opus.complexity = complexity;
    let mut encoder = Encoder::new(&codec).expect("an encoder");
    // A buzz of changing pitch, so that there is something to encode.
    let sound: Vec<i16> = (0..32_000_u32)
        .map(|n| {
            let t = f64::from(n) / 16_000.0;
            let phase = (t * (140.0 + 30.0 * (t * 4.0).sin())).fract();
            ((phase * 40.0).sin() * (-phase * 4.0).exp() * 9_000.0) as i16
        })
        .collect();
    let mut payload = [0; 1_400];
    let cpu_before = cpu_nanoseconds();
    let mut frames = 0;
    for frame in sound
        .chunks_exact(codec.samples_per_frame())
        .cycle()
        .take(2_000)
    {
        encoder.encode(frame, &mut payload).expect("a payload");
        frames += 1;
    }
    let nanoseconds = (cpu_nanoseconds() - cpu_before) / frames;
    println!("Opus encoder, complexity {complexity}: {nanoseconds} ns a 20 ms frame at 16 kHz");
}

/// CPU time of this thread: the machine may be busy with other things.
fn cpu_nanoseconds() -> u64 {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    statistics
        .split(' ')
        .next()
        .and_then(|first| first.parse().ok())
        .expect("a number")
}

/// `fate` gives a packet's extra delay in milliseconds, negative for a loss.
fn measure(name: &str, kind: CodecKind, fate: impl Fn(u32) -> i32, packets: u32) {
    let codec = Codec::new(kind);
    let mut encoder = Encoder::new(&codec).expect("an encoder");
    let tone: Vec<i16> = (0..codec.sample_rate_hz())
        .map(|n| ((f64::from(n) * 0.23).sin() * 8_000.0) as i16)
        .collect();
    let mut payload = [0; 1_400];
    let mut datagrams: Vec<(u64, Vec<u8>)> = (0..packets)
        .zip(tone.chunks_exact(codec.samples_per_frame()).cycle())
        .filter(|(n, _)| fate(*n) >= 0)
        .map(|(n, samples)| {
            let length = encoder.encode(samples, &mut payload).expect("a payload");
            let bytes = RtpPacketBuilder::new()
                .payload_type(codec.payload_type_receive.get())
                .sequence((n as u16).into())
                .timestamp(n.wrapping_mul(codec.timestamp_step()))
                .ssrc(1)
                .payload(&payload[..length])
                .build()
                .expect("a packet");
            (u64::from(n) * 20 + u64::from(fate(n).unsigned_abs()), bytes)
        })
        .collect();
    datagrams.sort_by_key(|(arrival_ms, _)| *arrival_ms);

    let before = LIVE_BYTES.load(Ordering::Relaxed);
    let mut receiver = Receiver::new(ReceiverConfig::new(codec, None)).expect("a receiver");
    let heap = LIVE_BYTES.load(Ordering::Relaxed) - before;
    let mut frame = vec![0; codec.samples_per_tick()];
    let beginning = Instant::now();
    let cpu_before = cpu_nanoseconds();
    let allocations = ALLOCATIONS.load(Ordering::Relaxed);
    let mut waiting = datagrams.iter().peekable();
    for tick in 0..u64::from(packets) * 2 {
        let now_ms = tick * 10 + 3;
        while let Some((arrival_ms, bytes)) = waiting.next_if(|(ms, _)| *ms <= now_ms) {
            let arrival = beginning + Duration::from_millis(*arrival_ms);
            receiver.handle_packet(bytes, arrival).expect("valid");
        }
        receiver.pull(&mut frame, beginning + Duration::from_millis(now_ms));
    }
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - allocations;
    let nanoseconds = cpu_nanoseconds() - cpu_before;
    println!(
        "{name}: {} ns a packet and two pulls, {heap} bytes of heap, {allocations} allocations, {:?}",
        nanoseconds / u64::from(packets),
        receiver.statistics()
    );
}
