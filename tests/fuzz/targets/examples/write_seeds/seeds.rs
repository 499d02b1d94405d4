//! The seeds, by target and name.

use offhook_media::codec::CodecKind;
use offhook_media::rtcp::{LONGEST_REPORT, Report, ReportBlock, SenderInfo, Source};
use offhook_media::sdp::{
    Direction, LocalDescription, LocalMedia, LocalSrtp, RANDOM_BYTES, TelephoneEventRates,
};
use offhook_sip::message::{Method, NameAddr, Request, Response, StatusCode, Uri};

type Seeds = Vec<(&'static str, Vec<u8>)>;

pub(crate) fn all() -> [(&'static str, Seeds); 8] {
    [
        ("rtp", rtp()),
        ("rtcp", rtcp()),
        ("srtp", srtp()),
        ("sdp", sdp()),
        ("sip", sip()),
        ("sip_stream", sip_stream()),
        ("sip_values", sip_values()),
        ("telephone_event", telephone_event()),
    ]
}

/// Bytes behind their length.
fn piece(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a seed is short");
    [&length.to_be_bytes(), bytes].concat()
}

fn packet(payload_type: u8, sequence: u16, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

fn rtp() -> Seeds {
    let event = [5, 0x0A, 0, 160];
    let audio = [&[2, 1, 0, 160][..], &piece(&[0xD5; 40])].concat();
    let digit = [&[10, 1, 0, 160][..], &piece(&event)].concat();
    let raw = |step: u8, packet: &[u8]| [&[step][..], &piece(packet)].concat();
    let mut packet_with_extension = packet(0, 9, 2, &[0xBE, 0xDE, 0, 1, 1, 2, 3, 4, 0xD5, 0xD5]);
    packet_with_extension[0] |= 0x10;
    let mut padded = packet(0, 11, 2, &[0xD5, 0xD5, 0, 2]);
    padded[0] |= 0x20;
    let life = |flags: u8| {
        [
            &[flags][..],
            &audio,
            &[3, 4],
            &raw(1, &packet(0, 11, 3, &[0xD5; 20])),
            &audio,
            &digit,
            &[3, 8, 5, 0x01, 6, 0x85, 3, 30],
            &raw(0, &packet_with_extension),
            &[4, 1, 0, 5, 0x10],
            &raw(0, &padded),
            &raw(7, &report(true)),
            &raw(15, &report(false)),
            &[3, 31],
        ]
        .concat()
    };
    let numbered = |sequence: u16, timestamp: u32, payload: &[u8]| {
        let mut step = vec![1];
        step.extend(sequence.to_be_bytes());
        step.extend(timestamp.to_be_bytes());
        step.extend(piece(payload));
        step
    };
    let receiver = |flags: u8, payload: &[u8]| {
        let mut script = vec![flags];
        for n in 0..4_u16 {
            script.extend(numbered(
                65_534_u16.wrapping_add(n),
                u32::from(n) * 160,
                payload,
            ));
            script.extend([2, 2]);
        }
        script.extend(numbered(30_000, 7, payload));
        script.extend([3, 0x10, 0, 2, 10]);
        script
    };
    vec![
        ("leg-pcmu", life(0x00)),
        ("leg-pcma-digits", life(0x09)),
        ("leg-g722-apart", life(0x12)),
        ("leg-opus-tones", life(0x4B)),
        ("leg-speech", life(0x28)),
        ("receiver-pcmu", receiver(0x80, &[0xD5; 80])),
        ("receiver-g722-new-source", receiver(0xC2, &[0xFA; 80])),
        ("receiver-opus", receiver(0x83, &[0x48, 0x3C, 0x3C, 0x3C])),
        ("receiver-linear", receiver(0x8C, &[0x11; 160])),
    ]
}

fn report(sends: bool) -> Vec<u8> {
    let report = Report {
        us: Source {
            ssrc: 0xBEEE,
            cname: *b"gfedcba9876543210",
        },
        sender_info: sends.then_some(SenderInfo {
            ntp: 0x0123_4567_89AB_CDEF,
            rtp_timestamp: 160,
            packets: 7,
            octets: 1_120,
        }),
        block: Some(ReportBlock {
            ssrc: 0xA11CE,
            fraction_lost: 64,
            cumulative_lost: -3,
            highest_sequence: 65_505,
            jitter: 80,
            last_sender_report: 0x0001_0000,
            delay_since: 65_536,
        }),
        goodbye: !sends,
    };
    let mut buffer = [0; LONGEST_REPORT];
    let length = report.write(&mut buffer);
    buffer[..length].to_vec()
}

fn rtcp() -> Seeds {
    let leg = |flags: u8, report: &[u8]| {
        let mut script = vec![flags, 5, 5, 0];
        script.extend(piece(report));
        script.extend([0xFE, 0xFE, 0xFE, 3, 0x20, 0, 5, 0]);
        script.extend(piece(report));
        script.push(4);
        script.extend(piece(report));
        script
    };
    // An extended report (RFC 3611) of one block, and a transport feedback (RFC 4585), which nobody here wants.
    let extended = [
        0x80, 207, 0, 4, 0, 0, 0xBE, 0xEE, 4, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2,
    ];
    let feedback = [
        0x81, 205, 0, 3, 0, 0, 0xBE, 0xEE, 0, 0x0A, 0x11, 0xCE, 0, 1, 0, 0,
    ];
    let alone = |packets: &[&[u8]]| [&[0x80][..], &packets.concat()].concat();
    let mut padded = report(true);
    let last = padded.len();
    padded.extend([0xA0, 203, 0, 1, 0, 0, 0, 4]);
    padded[last] = 0xA0;
    vec![
        ("leg-sender", leg(0x00, &report(true))),
        ("leg-receiver-goodbye-apart", leg(0x10, &report(false))),
        ("sender", alone(&[&report(true)])),
        ("receiver-goodbye", alone(&[&report(false)])),
        ("extended", alone(&[&report(true), &extended])),
        ("feedback", alone(&[&report(false), &feedback])),
        ("padded", alone(&[&padded])),
        ("empty-receiver", alone(&[&[0x80, 201, 0, 1, 0, 0, 0, 7]])),
    ]
}

fn srtp() -> Seeds {
    let alone = |flags: u8| {
        let mut script = vec![flags, 0xFF, 0xFE];
        for step in [0x02, 0x06, 0x0A, 0x42, 0xC2] {
            script.push(step);
            script.extend(piece(&[0x55; 24]));
        }
        script.extend([0x01, 0x09, 0x03]);
        script.extend(piece(&[0x66; 8]));
        script.extend([0, 0, 1, 0x80]);
        script.push(0x07);
        script.extend(piece(&[0x77; 8]));
        script.extend([3, 0, 4]);
        script.extend(piece(&[1, 2, 3]));
        script.push(0x00);
        script.extend(piece(&packet(0, 1, 0xBEEE, &[0; 30])));
        script
    };
    let around = |flags: u8| {
        let mut script = vec![flags, 2, 2, 2, 0x43, 0];
        script.extend(piece(&packet(0, 4, 0xBEEE, &[0x55; 30])));
        script.push(1);
        script.extend(piece(&report(true)));
        script.extend([2, 0xFF]);
        script
    };
    vec![
        ("sha80", alone(0)),
        ("gcm256", alone(1)),
        ("gcm128", alone(2)),
        ("sha32", alone(3)),
        ("leg-sha80", around(0x80)),
        ("leg-gcm", around(0x81)),
    ]
}

fn sdp() -> Seeds {
    let description = |protected: bool, codecs: Vec<CodecKind>| {
        let random = std::array::from_fn(|n| [n as u8; RANDOM_BYTES]);
        LocalDescription::new(LocalMedia {
            address: [192, 0, 2, 9].into(),
            port: 5_004,
            codecs,
            telephone_event: Some(TelephoneEventRates::EachClock),
            ptime_ms: 20,
            srtp: protected.then(|| LocalSrtp::new(true, true, &random)),
            direction: Direction::SendReceive,
            session_id: 7,
            session_version: 1,
        })
        .offer()
        .body
    };
    let with = |flags: u8, wrapping: u8, body: &[u8]| [&[flags, wrapping], body].concat();
    let plain = description(false, CodecKind::ALL.to_vec());
    let secret = description(true, vec![CodecKind::Pcmu]);
    let part = |boundary: &str, sdp: &[u8]| {
        [
            format!("--{boundary}\r\nContent-Type: application/isup\r\n\r\n\u{1}\u{2}\r\n")
                .as_bytes(),
            format!("--{boundary}\r\nContent-Type: application/sdp\r\n\r\n").as_bytes(),
            sdp,
            format!("\r\n--{boundary}--\r\n").as_bytes(),
        ]
        .concat()
    };
    let video = b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
        m=video 6000 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n\
        m=audio 5004 RTP/AVP 8 0 101 13\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n\
        a=ptime:30\r\na=maxptime:40\r\na=rtcp:5011\r\na=sendonly\r\n\
        m=application 9 DTLS/SCTP 5000\r\n";
    let old_hold =
        b"v=0\no=- 1 1 IN IP4 0.0.0.0\ns=\nc=IN IP4 0.0.0.0\nt=0 0\nm=audio 5004 RTP/AVP 0\n";
    let six = b"v=0\r\no=- 1 1 IN IP6 2001:db8::9\r\ns=-\r\nc=IN IP6 2001:db8::9\r\nt=0 0\r\na=inactive\r\n\
        m=audio 5004 RTP/AVPF 111 9\r\na=rtpmap:111 opus/48000/2\r\n\
        a=fmtp:111 maxplaybackrate=16000;maxaveragebitrate=20000;useinbandfec=1;usedtx=1\r\na=rtcp-mux\r\n";
    let odd = b"v=0\r\no=J\xFCrgen  1 1 IN IP4 192.0.2.9\r\ns=\xE4\r\nb=X\r\nc=IN  IP4  192.0.2.9/127\r\nt=0 0\r\n\
        m=audio  5004  RTP/AVP  18 0\r\na=crypto:x\r\na=rtpmap:0 PCMU\r\n";
    let keys = b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
        m=audio 5004 RTP/SAVP 0\r\n\
        a=crypto:9 F8_128_HMAC_SHA1_80 inline:AAAA|2^20|1:4 UNENCRYPTED_SRTP\r\n\
        a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20\r\n";
    let own_type = [
        b"multipart/mixed; boundary=\"q;\"\r\n".as_slice(),
        &part("q;", &plain),
    ]
    .concat();
    vec![
        ("offer", with(0x1A, 0, &plain)),
        ("protected", with(0x7B, 0, &secret)),
        ("protected-elsewhere", with(0x18, 0, &secret)),
        ("plain-where-protected", with(0x78, 0, &plain)),
        ("video", with(0x08, 0, video)),
        ("old-hold", with(0x03, 0, old_hold)),
        ("six", with(0x15, 0, six)),
        ("odd", with(0x80, 0, odd)),
        ("keys", with(0x20, 0, keys)),
        ("multipart", with(0x1A, 1, &part("x", &plain))),
        ("multipart-quoted", with(0x1A, 2, &part("a b", video))),
        ("multipart-own", with(0x1A, 3, &own_type)),
    ]
}

fn request(method: Method, body: &[u8]) -> Request {
    let mut request = Request::new(
        method.clone(),
        Uri::parse("sip:agent@192.0.2.1").expect("a URI"),
    );
    let address = |text: &str| NameAddr::parse(text).expect("an address").to_string();
    for (name, value) in [
        (
            "Via",
            "SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK77;rport".to_owned(),
        ),
        ("Max-Forwards", "70".to_owned()),
        (
            "From",
            address("\"A, \\\"B\\\"\" <sip:alice@example.com;x=1>;tag=1928"),
        ),
        ("To", address("<sip:agent@example.com>")),
        ("Call-ID", "a84b4c76@host".to_owned()),
        ("CSeq", format!("314159 {}", method.as_str())),
        (
            "Contact",
            address("<sip:alice@192.0.2.9:5060;transport=tcp>"),
        ),
        ("Supported", "timer, 100rel, replaces".to_owned()),
        ("Session-Expires", "1800;refresher=uac".to_owned()),
    ] {
        request.headers.push(name, value);
    }
    if !body.is_empty() {
        request.headers.push("Content-Type", "application/sdp");
        request.body = body.to_vec();
    }
    request
}

const DAMAGED: &[u8] = b"INVITE sip:agent@[2001:db8::1]:5060;transport=udp SIP/2.0\r\n\
    v: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK776;rport, SIP / 2.0 / TCP [::1] ;branch=z9hG4bK2\r\n\
    From : \"A\" <sip:alice@example.com;x=1?h=2>;tag=1928\r\nTo: sip:agent@example.com\r\n\
    i: a84b4c76@host\r\nCSeq: 314159 INVITE\r\nm: <sip:alice@192.0.2.1>;q=0.5\r\n\
    Record-Route: <sip:p1;lr>, <sip:p2;lr=on>\r\nSubject: folded\r\n here\r\nl: 5\r\n\r\nv=0\r\n";

fn sip() -> Seeds {
    let invite = request(Method::Invite, b"v=0\r\ns=-\r\n");
    let mut challenge = Response::to_request(&invite, StatusCode::new(401).expect("a status"));
    challenge.headers.push(
        "WWW-Authenticate",
        "Digest realm=\"a\", nonce=\"b\", algorithm=SHA-256, qop=\"auth,auth-int\", stale=TRUE",
    );
    vec![
        ("invite", invite.to_bytes()),
        ("bye", request(Method::Bye, b"").to_bytes()),
        ("options", request(Method::Options, b"").to_bytes()),
        ("ok", Response::to_request(&invite, StatusCode::OK).to_bytes()),
        ("challenge", challenge.to_bytes()),
        ("compact", DAMAGED.to_vec()),
        (
            "no-to",
            b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
              Call-ID: i\r\nCSeq: 1 OPTIONS\r\n\r\n"
                .to_vec(),
        ),
        (
            "ack-unreadable",
            b"ACK urn:service:sos SIP/2.0\r\nVia: SIP/2.0/WSS h;branch=z9hG4bK1\r\nf: \"open <sip:a@h>;tag=1\r\n\
              t: <sip:b@h>\r\ni: i\r\nCSeq: 2 ACK\r\nl: 4294967296\r\n\r\n"
                .to_vec(),
        ),
        ("keep-alive", b"\r\n\r\n".to_vec()),
    ]
}

fn sip_stream() -> Seeds {
    let invite = request(Method::Invite, b"v=0\r\ns=-\r\n").to_bytes();
    let bye = request(Method::Bye, b"").to_bytes();
    vec![
        ("two", [&[7][..], &invite, &bye].concat()),
        (
            "pings",
            [&[1][..], b"\r\n\r\n", &bye, b"\r\n", &bye, b"\r\n\r\n\r"].concat(),
        ),
        ("compact", [&[64][..], DAMAGED, DAMAGED].concat()),
        (
            "no-length",
            [&[9][..], b"BYE sip:a SIP/2.0\r\nTo: b\r\n\r\n"].concat(),
        ),
        ("not-sip", [&[3][..], b"\x16\x03\x01\x02\x00\x01"].concat()),
    ]
}

fn sip_values() -> Seeds {
    [
        ("uri", "sips:al%20ice;day=tuesday:pw@[2001:db8::9]:5061;transport=tls;lr?subject=a%20b&priority=urgent"),
        ("tel", "tel:+1-201-555-0123;phone-context=example.com;ext=12"),
        ("via", "SIP / 2.0 / TCP [2001:db8::9]:5060 ;branch=z9hG4bK87;received=192.0.2.3;rport=5060;ttl=1"),
        ("address", "\"A \\\"b\\\" \\\\ c\" <sip:a@h;x=\"y\">;tag=88;q=0.5;+sip.instance=\"<urn:uuid:1>\""),
        ("bare-address", "sip:a@h;tag=88"),
        ("cseq", "4711  INVITE"),
        ("replaces", "a84b4c76%40host;to-tag=1;from-tag=2;early-only"),
        ("replaces-in-uri", "Replaces=a84b4c76%40host%3Bto-tag%3D1%3Bfrom-tag%3D2&x=1"),
        ("challenge", "Digest realm=\"a,\\\"b\", nonce=\"n\", opaque=o, algorithm=MD5-sess, qop=\"auth\", Basic realm=x"),
        ("fragment", "SIP/2.0 180 Ringing\r\nTo: x\r\n"),
    ]
    .map(|(name, text)| (name, text.as_bytes().to_vec()))
    .to_vec()
}

fn telephone_event() -> Seeds {
    let press = |flags: u8, event: u8, ssrc: u8| {
        let mut script = vec![flags];
        for (index, end) in [0, 0, 0, 0x80, 0x80, 0x80].into_iter().enumerate() {
            let marker = if index == 0 { 4 } else { 0 };
            script.extend([ssrc | marker, 3, 0xE8]);
            script.extend(piece(&[event, 10 | end, 0, 40 * index as u8]));
        }
        script.push(0x80);
        script
    };
    let mut moving = vec![1];
    for n in 0..5_u8 {
        moving.extend([0x41, 0xFF, 0xFF, 0xFE + (n & 1), n * 50]);
        moving.extend(piece(&[9, 10, 0xFF, 0xFF]));
    }
    vec![
        ("press", press(0, 5, 1)),
        ("press-wideband", press(2, 11, 0)),
        ("no-digit", press(0, 16, 1)),
        ("moving", moving),
        ("short", vec![0, 1, 0, 1, 0, 2, 5, 10]),
        (
            "ours",
            [
                &[0x83, 0x15, 0xF5, 0x0B, 0x31][..],
                &[0, 1, 2, 3, 0, 0, 2, 2].repeat(12),
            ]
            .concat(),
        ),
    ]
}
