//! RTCP: compound packets read, written again, and given to a leg.

use std::time::{Duration, Instant};

use offhook_media::rtcp::{
    CNAME_BYTES, Heard, LONGEST_REPORT, Report, Source, is_rtcp, read as read_compound,
};

use crate::rtp::{codec, leg, packet};
use crate::script::Script;
use crate::{far_end, stranger};

const US: Source = Source {
    ssrc: 0xA11CE,
    cname: *b"0123456789abcdefg",
};

/// The longest round trip that is believed.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(60);

/// The first byte says what kind of leg; its upper bit, that the rest is one compound packet.
pub fn rtcp(input: &[u8]) {
    let mut script = Script::new(input);
    let Some(flags) = script.byte() else {
        return;
    };
    match flags & 0x80 {
        0 => drop(to_a_leg(flags, script)),
        _ => compound(script.rest()),
    }
}

/// What is read, written and read again is the same; and a packet that follows takes nothing away.
fn compound(datagram: &[u8]) {
    let Ok(heard) = read_compound(datagram, &US) else {
        return;
    };
    assert!(datagram.len() >= 4 && datagram.len().is_multiple_of(4));
    if let Some(block) = heard.about_us {
        assert_eq!(block.ssrc, US.ssrc);
        assert!((-(1 << 23)..1 << 23).contains(&block.cumulative_lost));
    }
    assert!(heard.sender.is_some() || (heard.sender_info.is_none() && heard.about_us.is_none()));

    let theirs = Source {
        ssrc: heard.sender.unwrap_or(7),
        cname: match heard.is_ours {
            true => US.cname,
            false => [b'x'; CNAME_BYTES],
        },
    };
    let report = Report {
        us: theirs,
        sender_info: heard.sender_info,
        block: heard.about_us,
        goodbye: heard.goodbye,
    };
    let mut buffer = [0; LONGEST_REPORT];
    let length = report.write(&mut buffer);
    let written = &buffer[..length];
    assert!(is_rtcp(written));
    let expected = Heard {
        sender: Some(theirs.ssrc),
        ..heard
    };
    assert_eq!(read_compound(written, &US), Ok(expected));

    let both = read_compound(&[datagram, written].concat(), &US).expect("both can be read");
    assert_eq!(both.about_us, heard.about_us);
    assert_eq!(both.sender, Some(theirs.ssrc));
    assert_eq!((both.goodbye, both.is_ours), (heard.goodbye, heard.is_ours));
}

/// Datagrams to a leg's RTCP port, or to the one port of both: who is elsewhere is not heard, and moves nothing.
fn to_a_leg(flags: u8, mut script: Script<'_>) -> Option<()> {
    let mut now = Instant::now();
    let mut leg = leg(flags & 0x1F, now);
    let codec = codec(flags);
    let mut sequence = 1_u16;
    while let Some(step) = script.byte() {
        match step & 0x03 {
            0 => {
                let from = if step & 0x04 == 0 {
                    far_end()
                } else {
                    stranger()
                };
                let datagram = script.piece()?;
                let before = leg.statistics().rtcp;
                leg.handle_rtcp(datagram, from, now);
                let after = leg.statistics().rtcp;
                assert!(after.received + after.refused <= before.received + before.refused + 1);
                if from == stranger() {
                    assert_eq!(after.received, before.received);
                    assert_eq!((after.on_us, after.goodbye), (before.on_us, before.goodbye));
                }
            }
            // The far end's audio, whose stream a report may be about.
            1 => {
                let payload_type = codec.payload_type_receive.get();
                let timestamp = u32::from(sequence) * 160;
                let packet = packet(payload_type, sequence, timestamp, 0xBEEE, &[0x7F; 160]);
                leg.handle_datagram(&packet, far_end(), now);
                sequence = sequence.wrapping_add(u16::from(step >> 2));
            }
            2 => {
                for _ in 0..step >> 2 {
                    let _ = leg.tick(now);
                    now += Duration::from_millis(10);
                }
            }
            _ => now += Duration::from_millis(u64::from(script.word()?)),
        }
        if leg.is_report_due(now)
            && let Some(report) = leg.make_report(now)
        {
            assert_eq!(report.to.ip(), far_end().ip());
            assert!(report.bytes.len() <= LONGEST_REPORT);
            assert!(is_rtcp(report.bytes));
            assert!(read_compound(report.bytes, &US).is_ok());
        }
        while leg.poll_event().is_some() {}
        let statistics = leg.statistics();
        assert_eq!(statistics.remote, Some(far_end()));
        let round_trip = statistics.rtcp.round_trip.unwrap_or_default();
        assert!(round_trip <= LONGEST_ROUND_TRIP);
        if let Some(on_us) = statistics.rtcp.on_us {
            assert!((0.0..=1.0).contains(&on_us.loss()));
        }
        let quality = statistics.quality;
        for mos in [
            quality.heard,
            quality.heard_live,
            quality.sent,
            quality.sent_live,
        ]
        .into_iter()
        .flatten()
        {
            assert!((1.0..=4.5).contains(&mos.score()), "{mos:?}");
        }
    }
    if let Some(goodbye) = leg.goodbye(now) {
        let read = read_compound(goodbye.bytes, &US);
        assert!(read.is_ok_and(|heard| heard.goodbye));
    }
    Some(())
}
