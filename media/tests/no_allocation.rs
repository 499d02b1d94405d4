//! Packets and ticks allocate nothing: a counting allocator watches a busy leg.
//!
//! Allocation is for the beginning of a leg and for commands (a longer queue, a listener's pre-roll). What
//! a played chunk held is freed when it is over; nothing else is given back on the way either.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use offhook_media::bridge::bridge;
use offhook_media::codec::{Codec, CodecKind, Encoder, PayloadType};
use offhook_media::control::{
    BargeInPolicy, Bus, Chunk, Epoch, LegCommand, LegEvent, ListenMode, Listener, RecordMode,
};
use offhook_media::leg::{InBandDigits, Leg, LegConfig};
use offhook_media::mixer::BusBounds;
use offhook_media::rtcp::{CNAME_BYTES, LONGEST_REPORT, Report, ReportBlock, SenderInfo, Source};
use offhook_media::sdp::{Direction, RtcpPath};
use offhook_media::sender::StreamStart;
use offhook_media::srtp::{MAXIMUM_OVERHEAD, MasterKey, SrtpReceiver, SrtpSender, SrtpSuite};
use offhook_media::telephone_event::TelephoneEvent;
use rtp_rs::{RtpPacketBuilder, Seq};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static LIVE_BYTES: Cell<i64> = const { Cell::new(0) };
}

fn count(allocations: u64, bytes: i64) {
    // A thread that is ending has no counters any more.
    let _ = ALLOCATIONS.try_with(|cell| cell.set(cell.get() + allocations));
    let _ = LIVE_BYTES.try_with(|cell| cell.set(cell.get() + bytes));
}

// SAFETY: every call is handed to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

fn live_bytes() -> i64 {
    LIVE_BYTES.with(Cell::get)
}

#[allow(clippy::disallowed_methods)]
fn virtual_start() -> Instant {
    Instant::now()
}

fn far_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 9], 40_000))
}

const DIGITS: u8 = 101;

fn config(kind: CodecKind, voice_activity: bool) -> LegConfig {
    let payload_type = PayloadType::new(DIGITS).unwrap();
    LegConfig {
        codec: Codec::new(kind),
        telephone_event: Some(TelephoneEvent {
            payload_type_send: payload_type,
            payload_type_receive: payload_type,
            clock_rate_hz: Codec::new(kind).clock_rate_hz(),
        }),
        also_accepted: Vec::new(),
        remote: Some(far_address()),
        rtcp: RtcpPath::Multiplexed,
        direction: Direction::SendReceive,
        srtp: None,
        stream: StreamStart {
            ssrc: 1,
            sequence: 2,
            timestamp: 3,
        },
        voice_activity,
        echo_guard: true,
        in_band_digits: InBandDigits::Never,
        call_tones: false,
        no_media_timeout: Some(Duration::from_secs(1)),
        bounds: BusBounds::default(),
    }
}

/// The far end's packets, all made beforehand: the recorded sentence again and again, a digit now and
/// then, some of them lost, late or twice.
fn far_end_packets(codec: &Codec, count: usize) -> Vec<(usize, Vec<u8>)> {
    let mut encoder = Encoder::new(codec).unwrap();
    let law = include_bytes!("data/caller-8k.ulaw");
    let mut sentence = vec![0i16; law.len()];
    let mut decoder = offhook_media::codec::Decoder::new(CodecKind::Pcmu).unwrap();
    decoder.decode(law, &mut sentence).unwrap();
    let sentence =
        offhook_media::resampler::resample_whole(&sentence, 8000, codec.sample_rate_hz());
    let sentence = sentence.unwrap();
    let mut frames = sentence.chunks_exact(codec.samples_per_frame()).cycle();
    let mut packets = Vec::new();
    let mut sequence = 0u16;
    for index in 0..count {
        let frame = frames.next().unwrap();
        let mut payload = [0u8; 1500];
        let length = encoder.encode(frame, &mut payload).unwrap();
        let packet = |payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]| {
            RtpPacketBuilder::new()
                .payload_type(payload_type)
                .ssrc(0xBEEF)
                .sequence(Seq::from(sequence))
                .timestamp(timestamp)
                .payload(payload)
                .build()
                .unwrap()
        };
        let timestamp = codec.timestamp_step() * index as u32;
        let audio = packet(
            codec.payload_type_receive.get(),
            sequence,
            timestamp,
            &payload[..length],
        );
        sequence = sequence.wrapping_add(1);
        match index % 50 {
            7 => {}
            8 => packets.push((index + 1, audio)),
            9 => {
                packets.push((index, audio.clone()));
                packets.push((index, audio));
            }
            20 => {
                packets.push((index, audio));
                let key = (index / 50 % 16) as u8;
                packets.push((
                    index,
                    packet(DIGITS, sequence, timestamp, &[key, 10, 0, 160]),
                ));
                sequence = sequence.wrapping_add(1);
            }
            _ => packets.push((index, audio)),
        }
    }
    packets.sort_by_key(|(at, _)| *at);
    packets
}

fn chunk(epoch: u64, samples: usize) -> Chunk {
    let samples: Vec<i16> = (0..samples)
        .map(|index| (index % 200 * 50) as i16)
        .collect();
    Chunk {
        epoch: Epoch(epoch),
        samples: samples.into(),
        last: true,
    }
}

/// Runs a busy leg for 10,000 ticks and returns what its packets and ticks allocated.
fn busy_leg(kind: CodecKind) -> u64 {
    const TICKS: usize = 10_000;
    let config = LegConfig {
        in_band_digits: InBandDigits::Always,
        call_tones: true,
        ..config(kind, true)
    };
    let rate = config.codec.sample_rate_hz() as usize;
    let packets = far_end_packets(&config.codec, TICKS / 2);
    let mut now = virtual_start();
    let mut leg = Leg::new(config, now).unwrap();
    let (recorder, mut recording) = rtrb::RingBuffer::new(rate * 2);
    leg.attach_recorder(recorder, RecordMode::Both);
    let (ring, mut heard) = rtrb::RingBuffer::new(rate);
    let mode = ListenMode::DuringSpeech { pre_roll_ms: 300 };
    leg.handle_command(LegCommand::Listen(Some(Listener { ring, mode })));
    leg.handle_command(LegCommand::Loopback(true));
    let music: Vec<i16> = (0..rate).map(|index| (index % 100 * 60) as i16).collect();
    // Another leg at another rate, which is ticked outside the count.
    let other_rate = 24_000 - rate as u32;
    let other = if other_rate == 16_000 {
        CodecKind::G722
    } else {
        CodecKind::Pcmu
    };
    let mut other = Leg::new(self::config(other, false), now).unwrap();
    let (end, other_end) = bridge(rate as u32, other_rate, true).unwrap();
    leg.handle_command(LegCommand::Bridge(Some(Box::new(end))));
    other.handle_command(LegCommand::Bridge(Some(Box::new(other_end))));
    other.handle_command(LegCommand::Play {
        bus: Bus::Speech,
        chunk: chunk(1, 20 * other_rate as usize),
    });
    let samples = music.into();
    leg.handle_command(LegCommand::Loop {
        bus: Bus::Background,
        epoch: Epoch(1),
        samples,
    });

    let mut next = packets.iter().peekable();
    let (mut counted, mut events, mut sent) = (0, 0, 0);
    let mut epoch = 1;
    for tick in 0..TICKS {
        // Commands are outside the count.
        if tick % 300 == 0 {
            epoch += 1;
            let chunk = chunk(epoch, rate);
            leg.handle_command(LegCommand::Play {
                bus: Bus::Speech,
                chunk,
            });
            let policy = Some(BargeInPolicy { min_speech_ms: 400 });
            leg.handle_command(LegCommand::BargeIn(policy));
        }
        if tick % 300 == 200 {
            let through = Epoch(epoch);
            leg.handle_command(LegCommand::Flush {
                bus: Bus::Speech,
                through,
                fade_ms: 20,
            });
        }
        std::hint::black_box(other.tick(now));
        let before = allocations();
        let modes = [
            RecordMode::CallerMuted,
            RecordMode::Both,
            RecordMode::Paused,
        ];
        if tick % 100 == 50 {
            leg.handle_command(LegCommand::Record(modes[tick / 100 % 3]));
        }
        while let Some((_, packet)) = next.next_if(|(at, _)| *at <= tick / 2) {
            leg.handle_datagram(packet, far_address(), now);
        }
        sent += usize::from(leg.tick(now).is_some());
        // Making the report that is due is the exception; see below.
        std::hint::black_box(leg.is_report_due(now));
        while let Some(event) = leg.poll_event() {
            events += 1;
            std::hint::black_box(event);
        }
        counted += allocations() - before;
        now += Duration::from_millis(if tick % 1000 == 999 { 40 } else { 10 });
        while recording.pop().is_ok() {}
        while heard.pop().is_ok() {}
    }
    let statistics = leg.statistics();
    assert_eq!(sent, TICKS / 2);
    assert!(events > 300, "a busy call: {events} events, {statistics:?}");
    assert!(statistics.detector_frames > 1000 && statistics.missed_slots > 0);
    counted
}

#[test]
fn ten_thousand_ticks_of_a_busy_pcmu_leg_allocate_nothing() {
    assert_eq!(busy_leg(CodecKind::Pcmu), 0);
}

#[test]
fn ten_thousand_ticks_of_a_busy_opus_leg_allocate_nothing() {
    assert_eq!(busy_leg(CodecKind::Opus), 0);
}

#[test]
fn ten_thousand_ticks_of_a_busy_g722_leg_allocate_nothing() {
    assert_eq!(busy_leg(CodecKind::G722), 0);
}

#[test]
fn ten_thousand_ticks_of_a_busy_l16_leg_allocate_nothing() {
    assert_eq!(busy_leg(CodecKind::L16Wideband), 0);
    assert_eq!(busy_leg(CodecKind::L16Narrowband), 0);
}

/// RTCP is the exception, every few seconds: the crate that knows its packets makes them of pieces.
#[test]
fn a_report_read_and_one_written_take_a_handful_of_allocations_and_give_them_back() {
    let config = config(CodecKind::Pcmu, false);
    let packets = far_end_packets(&config.codec, 3_000);
    let mut now = virtual_start();
    let mut leg = Leg::new(config, now).unwrap();
    let report = Report {
        us: Source {
            ssrc: 9,
            cname: [b'x'; CNAME_BYTES],
        },
        sender_info: Some(SenderInfo {
            ntp: 1 << 40,
            rtp_timestamp: 1,
            packets: 1,
            octets: 160,
        }),
        block: Some(ReportBlock {
            ssrc: 1,
            ..ReportBlock::default()
        }),
        goodbye: false,
    };
    let mut theirs = [0; LONGEST_REPORT];
    let length = report.write(&mut theirs);
    let mut next = packets.iter().peekable();
    let (mut written, mut read) = (Vec::with_capacity(100), Vec::with_capacity(100));
    let held = live_bytes();
    for tick in 0..6_000 {
        while let Some((_, packet)) = next.next_if(|(at, _)| *at <= tick / 2) {
            leg.handle_datagram(packet, far_address(), now);
        }
        let _ = leg.tick(now);
        while leg.poll_event().is_some() {}
        let before = allocations();
        if leg.is_report_due(now) {
            assert!(leg.make_report(now).is_some());
            written.push(allocations() - before);
        }
        if tick % 500 == 499 {
            let before = allocations();
            leg.handle_datagram(&theirs[..length], far_address(), now);
            read.push(allocations() - before);
        }
        now += Duration::from_millis(10);
    }
    let still_held = live_bytes();
    assert_eq!(leg.statistics().rtcp.received, 12);
    println!("allocations of reports written: {written:?}; read: {read:?}");
    assert!(written.len() >= 8 && written.iter().all(|count| *count <= 8));
    assert!(read.iter().all(|count| *count <= 8));
    assert_eq!(still_held, held);
}

/// What a leg holds while a call goes on: its own size and its heap.
fn footprint(kind: CodecKind, voice_activity: bool) -> i64 {
    let config = config(kind, voice_activity);
    let packets = far_end_packets(&config.codec, 100);
    let mut now = virtual_start();
    let before = live_bytes();
    let mut leg = Box::new(Leg::new(config, now).unwrap());
    leg.handle_command(LegCommand::Loopback(true));
    let mut next = packets.iter().peekable();
    for tick in 0..200 {
        while let Some((_, packet)) = next.next_if(|(at, _)| *at <= tick / 2) {
            leg.handle_datagram(packet, far_address(), now);
        }
        let _ = leg.tick(now);
        while leg.poll_event().is_some() {}
        now += Duration::from_millis(10);
    }
    live_bytes() - before
}

#[test]
fn an_echoing_pcmu_leg_fits_into_40_kib() {
    let plain = footprint(CodecKind::Pcmu, false);
    let detecting = footprint(CodecKind::Pcmu, true);
    println!(
        "PCMU leg: {} B itself, {plain} B with its heap, {detecting} B with speech detection; \
         G.722 {} B, Opus {} B on Rust's heap, both with it; an event is {} B",
        size_of::<Leg>(),
        footprint(CodecKind::G722, true),
        footprint(CodecKind::Opus, true),
        size_of::<LegEvent>(),
    );
    assert!(plain <= 40 * 1024, "{plain} B");
    assert!(detecting <= 56 * 1024, "{detecting} B");
}

#[test]
fn ten_thousand_packets_protected_and_proven_allocate_nothing() {
    for suite in SrtpSuite::ALL {
        let key = MasterKey::from_random(suite, &[7; 46]);
        let (mut sender, mut receiver) = (SrtpSender::new(&key), SrtpReceiver::new(&key));
        let mut packet = [0; 172 + MAXIMUM_OVERHEAD];
        packet[0] = 0x80;
        let before = allocations();
        for sequence in 0..10_000_u16 {
            packet[2..4].copy_from_slice(&sequence.to_be_bytes());
            let length = sender.protect_rtp(&mut packet, 172).unwrap().unwrap();
            assert_eq!(receiver.open_rtp(&mut packet[..length]), Ok(172));
        }
        assert_eq!(allocations() - before, 0, "{suite}");
    }
}
