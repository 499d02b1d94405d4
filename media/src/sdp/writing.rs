//! Our side of a description, written.

use std::fmt::Write as _;

use sdp_types::{Attribute, Connection, Media, Origin, Session, Time};

use super::crypto;
use super::formats::Format;
use super::{Direction, LocalMedia};
use crate::codec::PayloadType;

/// Our audio section.
pub(super) struct AudioSection<'a> {
    pub(super) local: &'a LocalMedia,
    /// Whether RTCP may come on RTP's port; else it comes on the one above, which goes without saying.
    pub(super) rtcp_mux: bool,
    pub(super) protocol: &'a str,
    pub(super) formats: &'a [(PayloadType, Format)],
    pub(super) ptime_ms: u8,
    pub(super) direction: Direction,
    /// Keys for SRTP.
    pub(super) crypto: Vec<crypto::Line>,
}

impl AudioSection<'_> {
    pub(super) fn to_media(&self) -> Media {
        let mut list = String::new();
        let mut attributes = Vec::new();
        for (payload_type, format) in self.formats {
            let separator = if list.is_empty() { "" } else { " " };
            // Writing to a String cannot fail.
            let _ = write!(list, "{separator}{payload_type}");
            attributes.push(Attribute::with_value(
                "rtpmap",
                rtpmap(*payload_type, *format),
            ));
            match format {
                Format::Audio(kind) => {
                    if let Some(parameters) = kind.format_parameters() {
                        let value = format!("{payload_type} {parameters}");
                        attributes.push(Attribute::with_value("fmtp", value));
                    }
                }
                // The sixteen keys; flash and the tones of RFC 4733 are not understood.
                Format::TelephoneEvent { .. } => {
                    let value = format!("{payload_type} 0-15");
                    attributes.push(Attribute::with_value("fmtp", value));
                }
            }
        }
        attributes.extend(self.crypto.iter().map(crypto::Line::attribute));
        attributes.push(Attribute::with_value("ptime", self.ptime_ms));
        attributes.push(Attribute::new(self.direction.name()));
        if self.rtcp_mux {
            attributes.push(Attribute::new("rtcp-mux"));
        }
        Media {
            attributes,
            ..section("audio", self.local.port, self.protocol, &list)
        }
    }
}

fn rtpmap(payload_type: PayloadType, format: Format) -> String {
    match format {
        Format::Audio(kind) => {
            let (name, clock) = (kind.encoding_name(), kind.clock_rate_hz());
            match kind.rtpmap_channels() {
                Some(channels) => format!("{payload_type} {name}/{clock}/{channels}"),
                None => format!("{payload_type} {name}/{clock}"),
            }
        }
        Format::TelephoneEvent { clock_rate_hz } => {
            format!("{payload_type} telephone-event/{clock_rate_hz}")
        }
    }
}

/// A refused section: port 0, and the formats as they were (RFC 3264 section 6).
pub(super) fn refused(theirs: &Media) -> Media {
    section(&theirs.media, 0, &theirs.proto, &theirs.fmt)
}

fn section(media: &str, port: u16, protocol: &str, list: &str) -> Media {
    Media {
        media: media.to_owned(),
        port,
        num_ports: None,
        proto: protocol.to_owned(),
        fmt: list.to_owned(),
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
    }
}

/// The whole description as bytes. An answer repeats the offer's `t=` lines (RFC 3264 section 6).
pub(super) fn write(local: &LocalMedia, times: Vec<Time>, media: Vec<Media>) -> Vec<u8> {
    let origin = Origin::with_ip_addr(local.session_id, local.session_version, local.address);
    let mut session = Session::new(origin, "-");
    session.connection = Some(Connection::from_ip_addr(local.address));
    session.times = times;
    session.medias = media;
    let mut bytes = Vec::with_capacity(400);
    session
        .write(&mut bytes)
        .expect("writing to a Vec cannot fail");
    bytes
}
