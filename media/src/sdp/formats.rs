//! What one media section says: its formats, address, direction and packet time.

use std::net::{IpAddr, SocketAddr};

use sdp_types::{Attribute, Connection, Media, Session};

use super::{Direction, LocalMedia, RtcpPath, Unacceptable};
use crate::codec::{CodecKind, OpusSettings, PayloadType};

/// What a payload type stands for, as far as we care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Audio(CodecKind),
    TelephoneEvent { clock_rate_hz: u32 },
}

/// The formats of `media` that we know, in the order its `m=` line lists them.
pub(super) fn formats(media: &Media) -> Vec<(PayloadType, Format)> {
    let rtpmaps: Vec<_> = values(&media.attributes, "rtpmap")
        .filter_map(rtpmap)
        .collect();
    media
        .fmt
        .split_ascii_whitespace()
        .filter_map(|token| PayloadType::new(token.parse().ok()?))
        .filter_map(|payload_type| {
            let stated = rtpmaps.iter().find(|(mapped, _)| *mapped == payload_type);
            let format = match (stated, static_format(payload_type)) {
                (Some((_, stated)), None) => (*stated)?,
                (None, Some(fixed)) => fixed,
                // A static type that is mapped to something else: whichever the far end sends, half
                // the implementations would hear noise. The type is not used.
                (Some((_, stated)), Some(fixed)) => (*stated == Some(fixed)).then_some(fixed)?,
                (None, None) => return None,
            };
            Some((payload_type, format))
        })
        .collect()
}

/// `<payload type> <encoding name>/<clock rate>[/<channels>]`; the second part is `None` for an
/// encoding we do not know.
fn rtpmap(value: &str) -> Option<(PayloadType, Option<Format>)> {
    let mut words = value.split_ascii_whitespace();
    let payload_type = PayloadType::new(words.next()?.parse().ok()?)?;
    let mut parts = words.next()?.split('/');
    let name = parts.next()?;
    let clock_rate_hz: u32 = parts.next()?.parse().ok()?;
    let channels = parts.next();
    let mono = matches!(channels, None | Some("1"));
    if name.eq_ignore_ascii_case("telephone-event") {
        let usable = (1_000..=192_000).contains(&clock_rate_hz);
        return Some((
            payload_type,
            usable.then_some(Format::TelephoneEvent { clock_rate_hz }),
        ));
    }
    let kind = CodecKind::ALL.into_iter().find(|kind| {
        name.eq_ignore_ascii_case(kind.encoding_name())
            && clock_rate_hz == kind.clock_rate_hz()
            // Opus always says 2; some say nothing or 1 and mean the same.
            && (mono || kind.rtpmap_channels().is_some())
    });
    Some((payload_type, kind.map(Format::Audio)))
}

/// Whether `media` says what `payload_type` is.
pub(super) fn is_mapped(media: &Media, payload_type: PayloadType) -> bool {
    values(&media.attributes, "rtpmap")
        .filter_map(rtpmap)
        .any(|(mapped, _)| mapped == payload_type)
}

fn static_format(payload_type: PayloadType) -> Option<Format> {
    CodecKind::ALL
        .into_iter()
        .find(|kind| kind.static_payload_type() == Some(payload_type))
        .map(Format::Audio)
}

/// The digits' format to use beside `codec`: the one with its clock (RFC 4733 section 2.1 wants one
/// timeline), else the first.
pub(super) fn telephone_event_beside(
    codec: CodecKind,
    formats: &[(PayloadType, Format)],
) -> Option<(PayloadType, u32)> {
    let events = formats
        .iter()
        .filter_map(|(payload_type, format)| match format {
            Format::TelephoneEvent { clock_rate_hz } => Some((*payload_type, *clock_rate_hz)),
            Format::Audio(_) => None,
        });
    events
        .clone()
        .find(|(_, clock_rate_hz)| *clock_rate_hz == codec.clock_rate_hz())
        .or_else(|| events.clone().next())
}

/// Whether RTP is in the clear or protected, each with or without the feedback profile, whose feedback is optional.
/// `None` for another transport.
pub(super) fn protection(media: &Media) -> Option<Protection> {
    let is = |names: [&str; 2]| {
        let mut names = names.iter();
        names.any(|name| media.proto.eq_ignore_ascii_case(name))
    };
    if is(["RTP/AVP", "RTP/AVPF"]) {
        Some(Protection::None)
    } else if is(["RTP/SAVP", "RTP/SAVPF"]) {
        Some(Protection::Srtp)
    } else {
        None
    }
}

/// See [`protection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    None,
    Srtp,
}

pub(super) fn is_audio(media: &Media) -> bool {
    media.media.eq_ignore_ascii_case("audio")
}

/// Where `media` is to be sent: `None` when its address is the unspecified one (hold as before
/// RFC 3264).
pub(super) fn remote(
    session: &Session,
    media: &Media,
    local: &LocalMedia,
) -> Result<Option<SocketAddr>, Unacceptable> {
    let connection: &Connection = media
        .connections
        .first()
        .or(session.connection.as_ref())
        .ok_or(Unacceptable::AddressFormat)?;
    let address = connection
        .connection_address
        .split('/')
        .next()
        .unwrap_or_default();
    let address: IpAddr = address.parse().map_err(|_| Unacceptable::AddressFormat)?;
    if address.is_unspecified() {
        return Ok(None);
    }
    if address.is_multicast() || address == IpAddr::from([255, 255, 255, 255]) {
        return Err(Unacceptable::Multicast);
    }
    if address.is_ipv4() != local.address.is_ipv4() {
        return Err(Unacceptable::NetworkProtocol);
    }
    Ok(Some(SocketAddr::new(address, media.port)))
}

/// Where whoever wrote `media` has its RTCP.
pub(super) fn rtcp_path(media: &Media) -> RtcpPath {
    let is_multiplexed = |attribute: &Attribute| {
        let name = attribute.attribute.trim();
        name.eq_ignore_ascii_case("rtcp-mux")
    };
    if media.attributes.iter().any(is_multiplexed) {
        return RtcpPath::Multiplexed;
    }
    let stated = values(&media.attributes, "rtcp")
        .find_map(|value| value.split_ascii_whitespace().next()?.parse().ok())
        .filter(|port| *port != 0);
    RtcpPath::Apart {
        port: stated.unwrap_or(media.port.saturating_add(1)),
    }
}

/// The direction `media` states, or its session, or the default.
pub(super) fn direction(session: &Session, media: &Media) -> Direction {
    let stated = |attributes: &[Attribute]| {
        attributes.iter().find_map(|attribute| {
            [
                Direction::SendReceive,
                Direction::SendOnly,
                Direction::ReceiveOnly,
                Direction::Inactive,
            ]
            .into_iter()
            .find(|direction| {
                attribute
                    .attribute
                    .trim()
                    .eq_ignore_ascii_case(direction.name())
            })
        })
    };
    stated(&media.attributes)
        .or_else(|| stated(&session.attributes))
        .unwrap_or_default()
}

/// Our direction towards a far end that states `theirs` and receives at `remote`: to one that gave no
/// address we do not send.
pub(super) fn our_direction(
    theirs: Direction,
    remote: Option<SocketAddr>,
    wish: Direction,
) -> Direction {
    let ours = theirs.answered(wish);
    match remote {
        Some(_) => ours,
        None => Direction::of(false, ours.receives()),
    }
}

/// The packet time to send to whoever wrote `media`, in milliseconds: what it asks for (or `wish_ms`),
/// not above its `maxptime`, rounded down to what `codec` permits.
pub(super) fn ptime_ms(media: &Media, codec: CodecKind, wish_ms: u8) -> u8 {
    let milliseconds = |name| {
        values(&media.attributes, name)
            .filter_map(|value| {
                let whole = value.trim().split('.').next()?;
                whole.parse::<u32>().ok().filter(|ms| *ms > 0)
            })
            .next()
    };
    let wished = milliseconds("ptime").unwrap_or(u32::from(wish_ms));
    let capped = milliseconds("maxptime").map_or(wished, |maximum| wished.min(maximum));
    codec.permitted_ptime_ms(capped)
}

/// How to encode Opus for whoever wrote `media` (RFC 7587 section 6.1): no more bits and no wider a band than
/// it wants, copies of earlier packets only if it can use them, and silence unsent if it says so. Whether it
/// would take stereo does not matter: we send mono.
pub(super) fn opus_settings(media: &Media, payload_type: PayloadType) -> OpusSettings {
    let wished = OpusSettings::default();
    let stated = values(&media.attributes, "fmtp").find_map(|value| {
        let (number, parameters) = value.trim().split_once(' ')?;
        (number.parse() == Ok(payload_type.get())).then_some(parameters)
    });
    let parameter = |name: &str| {
        stated?.split(';').find_map(|parameter| {
            let (key, value) = parameter.split_once('=')?;
            key.trim()
                .eq_ignore_ascii_case(name)
                .then_some(value.trim())
        })
    };
    let most = parameter("maxaveragebitrate").and_then(|value| value.parse().ok());
    OpusSettings {
        bitrate: most.map_or(wished.bitrate, |most: u32| {
            wished.bitrate.min(most.max(6_000))
        }),
        fec: wished.fec && parameter("useinbandfec") == Some("1"),
        dtx: parameter("usedtx") == Some("1"),
        playback_rate_hz: parameter("maxplaybackrate")
            .and_then(|value| value.parse().ok())
            .map_or(wished.playback_rate_hz, |rate: u32| {
                rate.clamp(8_000, 48_000)
            }),
        ..wished
    }
}

fn values<'a>(attributes: &'a [Attribute], name: &'a str) -> impl Iterator<Item = &'a str> {
    attributes
        .iter()
        .filter(move |attribute| attribute.attribute.eq_ignore_ascii_case(name))
        .filter_map(|attribute| attribute.value.as_deref())
}
