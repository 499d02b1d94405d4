//! A far end that changes to a codec of another sample rate in mid-call: what it says is echoed by both.

use std::f64::consts::TAU;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use offhook_media::codec::{Codec, CodecKind, Decoder, Encoder};
use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::phone::Phone;
use offhook_tests::sip_text;

/// For half a second of an echo, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const LOUD: f64 = 8_000.0;

/// Says a tone by `kind`, a packet for each that comes, until half a second of it has come back.
fn echoed(socket: &UdpSocket, kind: CodecKind, sequence: &mut u16) -> bool {
    let codec = Codec::new(kind);
    let number = codec.payload_type_send.get();
    let rate = f64::from(kind.sample_rate_hz());
    let mut encoder = Encoder::new(&codec).expect("an encoder");
    let mut decoder = Decoder::new(kind).expect("a decoder");
    let until = Instant::now() + PATIENCE;
    let (mut said, mut heard) = (0usize, 0);
    let mut datagram = [0; 1_500];
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("a timeout");
    while heard < 25 {
        if Instant::now() > until {
            return false;
        }
        let frame: Vec<i16> = (said..said + codec.samples_per_frame())
            .map(|at| (LOUD * (TAU * 443.0 * at as f64 / rate).sin()) as i16)
            .collect();
        let timestamp = said as u32 / codec.samples_per_frame() as u32 * codec.timestamp_step();
        said += frame.len();
        let mut packet = vec![0x80, number];
        packet.extend(sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(0x0BAD_CAFE_u32.to_be_bytes());
        let mut payload = [0; 1_000];
        let length = encoder.encode(&frame, &mut payload).expect("a payload");
        packet.extend(&payload[..length]);
        *sequence = sequence.wrapping_add(1);
        socket.send(&packet).expect("sent");
        let Ok(length) = socket.recv(&mut datagram) else {
            continue;
        };
        if length <= 12 || datagram[1] & 0x7F != number {
            continue;
        }
        let mut samples = [0; 960];
        let count = decoder.decode(&datagram[12..length], &mut samples);
        let loudest = samples[..count.unwrap_or(0)]
            .iter()
            .map(|s| s.unsigned_abs());
        heard += usize::from(
            loudest
                .max()
                .is_some_and(|peak| f64::from(peak) > LOUD * 0.8),
        );
    }
    true
}

#[test]
fn a_far_end_that_changes_to_wideband_and_back_is_heard_and_hears_by_each() {
    let daemon = Daemon::start(&DaemonSetup {
        codecs: vec!["pcmu", "g722"],
        ..DaemonSetup::default()
    })
    .expect("a daemon");
    let mut phone = Phone::new(daemon.sip(), "echo", "wider").expect("a phone");
    phone.call().expect("an answer");
    let mut number = 1;
    assert!(
        echoed(phone.rtp(), CodecKind::Pcmu, &mut number),
        "{}",
        daemon.log()
    );
    let local = phone.rtp().local_addr().expect("an address");
    for (sequence, kind) in [(2, CodecKind::G722), (3, CodecKind::Pcmu)] {
        let offer = sip_text::pcmu_offer(local).replace("o=- 1 1", &format!("o=- 1 {sequence}"));
        let offer = match kind {
            CodecKind::G722 => offer
                .replace("RTP/AVP 0", "RTP/AVP 9")
                .replace("rtpmap:0 PCMU", "rtpmap:9 G722"),
            _ => offer,
        };
        let branch = sequence.to_string();
        let reinvite = phone.caller.request("INVITE", sequence, &branch, &offer);
        phone.send(&reinvite).expect("sent");
        let answer = phone.final_answer("INVITE").expect("an answer");
        assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
        let ack = phone
            .caller
            .request("ACK", sequence, &format!("{branch}-ack"), "");
        phone.send(&ack).expect("sent");
        assert!(
            echoed(phone.rtp(), kind, &mut number),
            "{kind:?} {}",
            daemon.log()
        );
    }
    let bye = phone.caller.request("BYE", 4, "4", "");
    phone.send(&bye).expect("sent");
    phone.final_answer("BYE").expect("an answer");
    daemon.stop().expect("the daemon leaves");
}
