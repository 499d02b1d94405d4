//! RTCP packets as bytes (RFC 3550 section 6): what the far end's say, and ours written.
//!
//! The single packets are the `rtc-rtcp` crate's, which stays behind this module; compound packets are taken
//! apart here. The crate would give up all of a datagram for one packet in it that it cannot read, be that a
//! feedback or an extended report which nobody here wants. It allocates: a handful of small pieces each time
//! something is read or written, every few seconds. That is the one exception to "packets allocate nothing".

use rtc_rtcp::goodbye::Goodbye;
use rtc_rtcp::receiver_report::ReceiverReport;
use rtc_rtcp::reception_report::ReceptionReport;
use rtc_rtcp::sender_report::SenderReport;
use rtc_rtcp::source_description::{
    SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem,
};
use rtc_shared::marshal::{Marshal, Unmarshal};

/// Room for the longest packet of ours: SR with one block (52 bytes), SDES with CNAME (28), BYE (12).
pub const LONGEST_REPORT: usize = 96;
/// The bytes of a CNAME of ours. With so many its chunk ends at a word's end: the crate fills up words with counts
/// where section 6.5 wants nulls.
pub const CNAME_BYTES: usize = 17;

const HEADER_BYTES: usize = 4;
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
/// A reason for leaving. With these three letters a BYE ends at a word's end too.
const REASON: &[u8] = b"bye";

/// Whether a datagram on a port that RTP uses too is RTCP (RFC 5761 section 4). Read as RTP its payload type
/// would be one of 64 to 95 with the marker, which nobody may choose where both share a port.
#[must_use]
pub fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [first, 192..=223, ..] if first >> 6 == 2)
}

/// Who sends: its stream and its lasting name (RFC 7022).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The stream's SSRC.
    pub ssrc: u32,
    /// The name that stays when the SSRC changes.
    pub cname: [u8; CNAME_BYTES],
}

/// What a sender report says of its sender (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// When it was sent, by the sender's clock: seconds in the upper 32 bits, their fraction in the lower.
    pub ntp: u64,
    /// The same moment on the stream's clock.
    pub rtp_timestamp: u32,
    /// RTP packets sent so far.
    pub packets: u32,
    /// Payload octets sent so far.
    pub octets: u32,
}

/// What somebody received of one stream (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// Which stream.
    pub ssrc: u32,
    /// The share of packets lost since the report before, in 256ths.
    pub fraction_lost: u8,
    /// Packets lost since the beginning, -2^23 to 2^23 - 1; below zero where more came than were sent.
    pub cumulative_lost: i32,
    /// The highest sequence number received, with the count of its wrap-arounds above it.
    pub highest_sequence: u32,
    /// Interarrival jitter, in units of the stream's clock.
    pub jitter: u32,
    /// The middle 32 bits of the last sender report's NTP time; 0 for none.
    pub last_sender_report: u32,
    /// How long ago that came, in 65,536ths of a second.
    pub delay_since: u32,
}

/// What a compound packet says, as far as a call of two has a use for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Whose report it is.
    pub sender: Option<u32>,
    /// What the sender sent, where it sends.
    pub sender_info: Option<SenderInfo>,
    /// What it received of our stream.
    pub about_us: Option<ReportBlock>,
    /// Whether it bears our own name: a packet of ours that came back.
    pub is_ours: bool,
    /// Whether the sender leaves.
    pub goodbye: bool,
}

/// Bytes that are no compound packet (RFC 3550 section A.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no RTCP packet")]
pub struct Unreadable;

/// Reads a compound packet that came to `us`. What is neither report, nor description, nor goodbye is passed
/// over; so is a description or a goodbye that cannot be read.
///
/// # Errors
/// [`Unreadable`]: the lengths do not add up, or a report holds less than it says.
pub fn read(datagram: &[u8], us: &Source) -> Result<Heard, Unreadable> {
    let mut heard = Heard::default();
    let mut rest = datagram;
    while !rest.is_empty() || datagram.is_empty() {
        let (kind, packet, after) = first_packet(rest)?;
        match kind {
            SENDER_REPORT => {
                let report = SenderReport::unmarshal(&mut &*packet).map_err(|_| Unreadable)?;
                heard.sender = Some(report.ssrc);
                heard.sender_info = Some(SenderInfo {
                    ntp: report.ntp_time,
                    rtp_timestamp: report.rtp_time,
                    packets: report.packet_count,
                    octets: report.octet_count,
                });
                heard.note_blocks(&report.reports, us);
            }
            RECEIVER_REPORT => {
                let report = ReceiverReport::unmarshal(&mut &*packet).map_err(|_| Unreadable)?;
                heard.sender = Some(report.ssrc);
                heard.note_blocks(&report.reports, us);
            }
            SOURCE_DESCRIPTION => {
                if let Ok(description) = SourceDescription::unmarshal(&mut &*packet) {
                    heard.is_ours |= names(&description, &us.cname);
                }
            }
            GOODBYE => heard.goodbye |= Goodbye::unmarshal(&mut &*packet).is_ok(),
            _ => {}
        }
        rest = after;
    }
    Ok(heard)
}

impl Heard {
    fn note_blocks(&mut self, blocks: &[ReceptionReport], us: &Source) {
        let ours = blocks.iter().find(|block| block.ssrc == us.ssrc);
        self.about_us = self.about_us.or(ours.map(|block| ReportBlock {
            ssrc: block.ssrc,
            fraction_lost: block.fraction_lost,
            cumulative_lost: signed_24(block.total_lost),
            highest_sequence: block.last_sequence_number,
            jitter: block.jitter,
            last_sender_report: block.last_sender_report,
            delay_since: block.delay,
        }));
    }
}

/// The type of the first packet in `bytes`, the packet without its padding, and what follows it.
fn first_packet(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), Unreadable> {
    let [first, kind, high, low, ..] = *bytes else {
        return Err(Unreadable);
    };
    let length = (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
    if first >> 6 != 2 || bytes.len() < length {
        return Err(Unreadable);
    }
    let (packet, after) = bytes.split_at(length);
    let padding = match packet.last() {
        Some(padding) if first & 0x20 != 0 => usize::from(*padding),
        Some(_) | None => 0,
    };
    // Whole words only; there are those who count the last word's unused bytes as padding.
    let padding = padding - padding % 4;
    let length = length.checked_sub(padding).ok_or(Unreadable)?;
    if length < HEADER_BYTES {
        return Err(Unreadable);
    }
    Ok((kind, &packet[..length], after))
}

fn names(description: &SourceDescription, cname: &[u8]) -> bool {
    let items = description.chunks.iter().flat_map(|chunk| &chunk.items);
    let mut names = items.filter(|item| item.sdes_type == SdesType::SdesCname);
    names.any(|item| item.text == cname)
}

fn signed_24(bits: u32) -> i32 {
    (bits << 8).cast_signed() >> 8
}

/// A compound packet of ours.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Who sends it.
    pub us: Source,
    /// What we sent: where there is something, it is a sender report.
    pub sender_info: Option<SenderInfo>,
    /// What we received.
    pub block: Option<ReportBlock>,
    /// Whether the source leaves.
    pub goodbye: bool,
}

impl Report {
    /// Writes the packet, and answers how long it is: SR or RR, SDES, and BYE where the source leaves.
    pub fn write(&self, buffer: &mut [u8; LONGEST_REPORT]) -> usize {
        let reports: Vec<ReceptionReport> = self.block.iter().map(reception_report).collect();
        let mut length = 0;
        let mut add = |packet: &dyn Marshal| {
            let written = packet.marshal_to(&mut buffer[length..]);
            length += written.expect("the buffer holds the longest report");
        };
        match self.sender_info {
            Some(info) => add(&SenderReport {
                ssrc: self.us.ssrc,
                ntp_time: info.ntp,
                rtp_time: info.rtp_timestamp,
                packet_count: info.packets,
                octet_count: info.octets,
                reports,
                ..SenderReport::default()
            }),
            None => add(&ReceiverReport {
                ssrc: self.us.ssrc,
                reports,
                ..ReceiverReport::default()
            }),
        }
        add(&SourceDescription {
            chunks: vec![SourceDescriptionChunk {
                source: self.us.ssrc,
                items: vec![SourceDescriptionItem {
                    sdes_type: SdesType::SdesCname,
                    text: self.us.cname.to_vec().into(),
                }],
            }],
        });
        if self.goodbye {
            add(&Goodbye {
                sources: vec![self.us.ssrc],
                reason: REASON.into(),
            });
        }
        length
    }
}

fn reception_report(block: &ReportBlock) -> ReceptionReport {
    ReceptionReport {
        ssrc: block.ssrc,
        fraction_lost: block.fraction_lost,
        // The crate takes the 24 bits as they are.
        total_lost: block.cumulative_lost.cast_unsigned() & 0x00FF_FFFF,
        last_sequence_number: block.highest_sequence,
        jitter: block.jitter,
        last_sender_report: block.last_sender_report,
        delay: block.delay_since,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const US: Source = Source {
        ssrc: 0xA11CE,
        cname: *b"0123456789abcdefg",
    };
    const THEM: Source = Source {
        ssrc: 0xB0B,
        cname: *b"gfedcba9876543210",
    };

    fn their_report() -> Report {
        Report {
            us: THEM,
            sender_info: Some(SenderInfo {
                ntp: 0x0123_4567_89AB_CDEF,
                rtp_timestamp: 160,
                packets: 7,
                octets: 1_120,
            }),
            block: Some(ReportBlock {
                ssrc: US.ssrc,
                fraction_lost: 64,
                cumulative_lost: -3,
                highest_sequence: 0x0001_0005,
                jitter: 80,
                last_sender_report: 0x4567_89AB,
                delay_since: 65_536,
            }),
            goodbye: true,
        }
    }

    fn written(report: &Report) -> Vec<u8> {
        let mut buffer = [0; LONGEST_REPORT];
        let length = report.write(&mut buffer);
        buffer[..length].to_vec()
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let report = their_report();
        let bytes = written(&report);
        assert_eq!(bytes.len(), 92);
        let heard = read(&bytes, &US).unwrap();
        assert_eq!(
            heard,
            Heard {
                sender: Some(THEM.ssrc),
                sender_info: report.sender_info,
                about_us: report.block,
                is_ours: false,
                goodbye: true,
            }
        );
        assert!(is_rtcp(&bytes));
    }

    #[test]
    fn a_packet_of_ours_that_comes_back_bears_our_name() {
        let report = Report {
            us: US,
            ..their_report()
        };
        assert!(read(&written(&report), &US).unwrap().is_ours);
    }

    #[test]
    fn the_bytes_are_those_of_the_rfc() {
        let report = Report {
            sender_info: None,
            block: None,
            ..their_report()
        };
        let mut expected = vec![0x80, 201, 0, 1, 0, 0, 0x0B, 0x0B];
        expected.extend([0x81, 202, 0, 6, 0, 0, 0x0B, 0x0B, 1, 17]);
        expected.extend(THEM.cname);
        expected.push(0);
        expected.extend([0x81, 203, 0, 2, 0, 0, 0x0B, 0x0B, 3, b'b', b'y', b'e']);
        assert_eq!(written(&report), expected);
    }

    #[test]
    fn packets_of_other_kinds_are_passed_over() {
        let mut bytes = written(&Report {
            goodbye: false,
            ..their_report()
        });
        let without = read(&bytes, &US).unwrap();
        // APP, generic feedback, an extended report whose block lies about its length, and a type nobody knows.
        bytes.extend([0x80, 204, 0, 2, 0, 0, 0, 1, b't', b'e', b's', b't']);
        bytes.extend([0x81, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
        bytes.extend([0x80, 207, 0, 2, 0, 0, 0, 1, 4, 0, 0xFF, 0xFF]);
        bytes.extend([0x80, 222, 0, 0]);
        assert_eq!(read(&bytes, &US), Ok(without));
    }

    #[test]
    fn a_description_with_items_nobody_knows_costs_nothing_but_its_name() {
        let mut bytes = written(&Report {
            goodbye: false,
            ..their_report()
        });
        let without = read(&bytes, &US).unwrap();
        // An item of type 15, as browsers send to name their media sections.
        bytes.extend([
            0x81, 202, 0, 3, 0, 0, 0x0B, 0x0B, 15, 3, b'm', b'i', b'd', 0, 0, 0,
        ]);
        assert_eq!(read(&bytes, &US), Ok(without));
    }

    #[test]
    fn padding_is_left_out() {
        let mut bytes = written(&Report {
            goodbye: false,
            ..their_report()
        });
        let without = read(&bytes, &US).unwrap();
        bytes.extend([0xA1, 203, 0, 2, 0, 0, 0x0B, 0x0B, 0, 0, 0, 4]);
        let goodbye = true;
        assert_eq!(read(&bytes, &US), Ok(Heard { goodbye, ..without }));
        // The three unused bytes of a reason counted as padding, which is no whole word.
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&[0, 0, 0, 3]);
        assert_eq!(read(&bytes, &US), Ok(Heard { goodbye, ..without }));
    }

    #[test]
    fn lengths_that_do_not_add_up_are_refused() {
        let bytes = written(&their_report());
        for length in 0..bytes.len() {
            let whole = [52, 80].contains(&length);
            assert_eq!(read(&bytes[..length], &US).is_ok(), whole, "{length}");
        }
        let more_blocks_than_there_are = [0x82, 201, 0, 1, 0, 0, 0, 1];
        assert_eq!(read(&more_blocks_than_there_are, &US), Err(Unreadable));
    }

    #[test]
    fn rtp_is_not_taken_for_rtcp() {
        for payload_type in (0..=63).chain(96..=127) {
            for marker in [0, 0x80] {
                assert!(!is_rtcp(&[0x80, payload_type | marker, 0, 1]));
            }
        }
        assert!(!is_rtcp(&[0x80]));
        assert!(!is_rtcp(&[0x00, 200, 0, 0]), "another version");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]

        #[test]
        fn bytes_of_any_kind_are_read_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            let _ = read(&bytes, &US);
        }

        #[test]
        fn damaged_reports_are_read_without_a_panic(
            damage in proptest::collection::vec((0usize..92, any::<u8>()), 1..8),
            length in 0usize..=92,
            kind in proptest::option::of(192u8..224),
        ) {
            let mut bytes = written(&their_report());
            for (at, byte) in damage {
                bytes[at] = byte;
            }
            if let Some(kind) = kind {
                bytes[1] = kind;
            }
            let _ = read(&bytes[..length], &US);
        }
    }
}
