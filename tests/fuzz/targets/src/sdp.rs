//! SDP: a description as an offer and as an answer, alone or in a multipart.

use std::time::{Duration, Instant};

use offhook_media::codec::CodecKind;
use offhook_media::control::{Digit, LegCommand};
use offhook_media::leg::{Leg, LegConfig};
use offhook_media::sdp::{
    self, Direction, LocalDescription, LocalMedia, LocalSrtp, MAXIMUM_BYTES, MAXIMUM_MEDIA,
    Negotiated, RANDOM_BYTES, TelephoneEventRates,
};
use offhook_media::sender::StreamStart;
use offhook_media::srtp::SrtpSuite;

use crate::far_end;
use crate::script::Script;

/// The first two bytes say what we can do and how the body is wrapped; the rest is the body.
pub fn sdp(input: &[u8]) {
    let mut script = Script::new(input);
    let (Some(flags), Some(wrapping)) = (script.byte(), script.byte()) else {
        return;
    };
    let body = script.rest();
    let content_type = match wrapping & 3 {
        0 => "application/sdp",
        1 => "multipart/mixed;boundary=x",
        2 => "Multipart/Related ; type=\"application/sdp\"; boundary=\"a b\"",
        _ => {
            // The first line of the body is the header itself.
            let line = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
            &String::from_utf8_lossy(line)
        }
    };
    let Some(bytes) = sdp::find_in_body(content_type, body) else {
        return;
    };
    assert!(bytes.len() <= body.len());
    let parsed = sdp::parse(bytes);
    let Ok(theirs) = parsed else {
        assert!(!parsed.unwrap_err().to_string().is_empty());
        return;
    };
    let media = lines(bytes, b"m=");
    assert!(bytes.len() <= MAXIMUM_BYTES && media <= MAXIMUM_MEDIA);

    // As an offer.
    let mut ours = LocalDescription::new(local(flags, 1));
    if let Ok(agreed) = ours.answer(&theirs) {
        check(&agreed, ours.local());
        let written = sdp::parse(&agreed.body).expect("what we write we read");
        assert_eq!(
            lines(&agreed.body, b"m="),
            media,
            "a section was lost or made up"
        );
        let again = ours.answer(&theirs).expect("it was answered before");
        assert_eq!(
            again.body, agreed.body,
            "the same offer has the same answer"
        );
        // A far end like us understands our answer as an offer, and what we offer next.
        let offer = ours.offer();
        are_lines(&offer.body);
        let seen = sdp::parse(&offer.body).expect("what we write we read");
        assert!(lines(&offer.body, b"m=") >= media);
        let mut like_us = LocalDescription::new(local(flags, 2));
        let answer = like_us.answer(&seen).expect("an offer of ours suits us");
        check(&answer, like_us.local());
        let read = sdp::parse(&answer.body).expect("what we write we read");
        let settled = ours
            .accept_answer(&offer, &read)
            .expect("so does its answer");
        check(&settled, ours.local());
        assert_eq!(settled.codec.kind, answer.codec.kind);
        assert_eq!(settled.srtp.is_some(), answer.srtp.is_some());
        if let (Some(one), Some(other)) = (&settled.srtp, &answer.srtp) {
            assert!(one.ours == other.theirs && one.theirs == other.ours);
        }
        let _ = LocalDescription::new(local(flags, 2)).answer(&written);
    }

    // As an answer.
    let mut ours = LocalDescription::new(local(flags, 1));
    let offer = ours.offer();
    if let Ok(agreed) = ours.accept_answer(&offer, &theirs) {
        check(&agreed, ours.local());
        assert!(agreed.body.is_empty());
        assert_eq!(ours.repeat().body, offer.body);
    }
}

fn lines(bytes: &[u8], start: &[u8]) -> usize {
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| line.trim_ascii().starts_with(start))
        .count()
}

/// What we write is text in lines, also for who ends them differently: what a refused section repeats is theirs.
fn are_lines(body: &[u8]) {
    let text = std::str::from_utf8(body).expect("what we write is text");
    assert!(text.ends_with("\r\n"));
    for line in text.split_terminator("\r\n") {
        assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
    }
}

fn local(flags: u8, seed: u8) -> LocalMedia {
    let codecs = match flags & 3 {
        0 => vec![CodecKind::Pcma, CodecKind::Pcmu],
        1 => vec![CodecKind::Opus, CodecKind::G722, CodecKind::Pcma],
        2 => CodecKind::ALL.to_vec(),
        _ => vec![CodecKind::Pcmu],
    };
    let random = std::array::from_fn(|n| [seed.wrapping_mul(31) ^ n as u8; RANDOM_BYTES]);
    const { assert!(SrtpSuite::ALL.len() == 4) };
    LocalMedia {
        address: match flags & 4 {
            0 => [192, 0, 2, 1].into(),
            _ => [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(),
        },
        port: 4_000,
        codecs,
        telephone_event: match flags & 0x18 {
            0 => None,
            8 => Some(TelephoneEventRates::FirstCodec),
            _ => Some(TelephoneEventRates::EachClock),
        },
        ptime_ms: 20,
        srtp: match flags & 0x60 {
            0 => None,
            0x20 => Some(LocalSrtp::new(false, false, &random)),
            0x40 => Some(LocalSrtp::new(false, true, &random)),
            _ => Some(LocalSrtp::new(true, true, &random)),
        },
        direction: match flags & 0x80 {
            0 => Direction::SendReceive,
            _ => Direction::SendOnly,
        },
        session_id: 1,
        session_version: u64::from(seed),
    }
}

/// Digits go both ways in a clock that is not the audio's, whatever it is.
fn digits_pass(agreed: &Negotiated) {
    let mut now = Instant::now();
    let start = StreamStart {
        ssrc: 1,
        sequence: 1,
        timestamp: 1,
    };
    let agreed = Negotiated {
        remote: Some(far_end()),
        direction: Direction::SendReceive,
        srtp: None,
        ..agreed.clone()
    };
    let config = LegConfig {
        voice_activity: false,
        ..LegConfig::new(&agreed, start)
    };
    let mut leg = Leg::new(config, now).expect("there is memory");
    let digit = Digit::from_event(5).expect("a digit");
    leg.handle_command(LegCommand::Press {
        digit,
        duration_ms: 100,
    });
    for _ in 0..40 {
        let sent = leg.tick(now).map(|(datagram, _)| datagram.to_vec());
        if let Some(datagram) = sent {
            leg.handle_datagram(&datagram, far_end(), now);
        }
        while leg.poll_event().is_some() {}
        now += Duration::from_millis(10);
    }
}

/// What has to hold of everything that was agreed on.
fn check(agreed: &Negotiated, local: &LocalMedia) {
    assert!(local.codecs.contains(&agreed.codec.kind));
    assert!((10..=60).contains(&agreed.codec.ptime_ms) && agreed.codec.ptime_ms.is_multiple_of(10));
    let opus = agreed.codec.opus;
    assert!((6_000..=128_000).contains(&opus.bitrate));
    assert!((8_000..=48_000).contains(&opus.playback_rate_hz));
    match agreed.remote {
        Some(remote) => {
            assert_eq!(remote.is_ipv4(), local.address.is_ipv4());
            assert!(!remote.ip().is_unspecified() && !remote.ip().is_multicast());
            assert_ne!(remote.port(), 0);
        }
        None => assert!(!agreed.direction.sends(), "it is sent nowhere"),
    }
    if let Some(event) = agreed.telephone_event {
        assert!(local.telephone_event.is_some());
        assert_ne!(
            event.payload_type_receive,
            agreed.codec.payload_type_receive
        );
        if event.clock_rate_hz != agreed.codec.clock_rate_hz() {
            digits_pass(agreed);
        }
    }
    match (&agreed.srtp, &local.srtp) {
        (None, Some(srtp)) => assert!(!srtp.required, "in the clear all the same"),
        (Some(keys), Some(_)) => {
            assert_eq!(keys.ours.suite(), keys.theirs.suite());
            let shown = format!("{keys:?}");
            assert!(!shown.contains(&keys.ours.to_base64()));
            assert!(!shown.contains(&keys.theirs.to_base64()));
        }
        (Some(_), None) => panic!("protected without keys of ours"),
        (None, None) => {}
    }
    if !agreed.body.is_empty() {
        are_lines(&agreed.body);
        let secured = lines(&agreed.body, b"a=crypto:");
        assert_eq!(secured, usize::from(agreed.srtp.is_some()));
    }
}
