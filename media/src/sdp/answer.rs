//! Answering their offer (RFC 3264 section 6).

use sdp_types::Media;

use super::crypto;
use super::formats::{self, Format, Protection};
use super::writing::{self, AudioSection};
use super::{LocalMedia, Negotiated, RtcpPath, SessionDescription, Unacceptable};
use crate::codec::{Codec, CodecKind, PayloadType};
use crate::srtp::{MasterKey, SrtpKeys};
use crate::telephone_event::TelephoneEvent;

/// Answers `offer`: one codec, the first of ours that they offer, with their payload type numbers;
/// every other media section refused with port 0, in their order.
///
/// # Errors
/// [`Unacceptable`] when no audio section can be met; of several, the reason of the first.
pub fn answer(offer: &SessionDescription, local: &LocalMedia) -> Result<Negotiated, Unacceptable> {
    let session = &offer.session;
    let audio = choose_audio(&session.medias, local)?;
    let remote = formats::remote(session, audio.media, local)?;
    let theirs = formats::direction(session, audio.media);
    let direction = formats::our_direction(theirs, remote, local.direction);
    let codec = Codec {
        kind: audio.kind,
        payload_type_send: audio.payload_type,
        payload_type_receive: audio.payload_type,
        ptime_ms: formats::ptime_ms(audio.media, audio.kind, local.ptime_ms),
        opus: formats::opus_settings(audio.media, audio.payload_type),
    };
    let telephone_event =
        audio
            .telephone_event
            .map(|(payload_type, clock_rate_hz)| TelephoneEvent {
                payload_type_send: payload_type,
                payload_type_receive: payload_type,
                clock_rate_hz,
            });

    let mut accepted = vec![(audio.payload_type, Format::Audio(audio.kind))];
    accepted.extend(audio.telephone_event.map(|(payload_type, clock_rate_hz)| {
        (payload_type, Format::TelephoneEvent { clock_rate_hz })
    }));
    let rtcp = formats::rtcp_path(audio.media);
    let ours = AudioSection {
        local,
        rtcp_mux: rtcp == RtcpPath::Multiplexed,
        protocol: &audio.media.proto,
        formats: &accepted,
        ptime_ms: codec.ptime_ms,
        direction,
        crypto: audio.srtp.iter().map(|(line, _)| line).cloned().collect(),
    };
    let media = session
        .medias
        .iter()
        .map(|theirs| {
            if std::ptr::eq(theirs, audio.media) {
                ours.to_media()
            } else {
                writing::refused(theirs)
            }
        })
        .collect();
    let body = writing::write(local, session.times.clone(), media);
    Ok(Negotiated {
        codec,
        telephone_event,
        remote,
        rtcp,
        direction,
        srtp: audio.srtp.map(|(line, theirs)| SrtpKeys {
            ours: line.key,
            theirs,
        }),
        body,
        another_far_end: false,
    })
}

struct ChosenAudio<'a> {
    media: &'a Media,
    /// Our line and their key, where it is protected.
    srtp: Option<(crypto::Line, MasterKey)>,
    kind: CodecKind,
    payload_type: PayloadType,
    telephone_event: Option<(PayloadType, u32)>,
}

fn choose_audio<'a>(
    media: &'a [Media],
    local: &LocalMedia,
) -> Result<ChosenAudio<'a>, Unacceptable> {
    let mut reason = None;
    for media in media
        .iter()
        .filter(|media| formats::is_audio(media) && media.port != 0)
    {
        match meet(media, local) {
            Ok(chosen) => return Ok(chosen),
            Err(unacceptable) => reason = reason.or(Some(unacceptable)),
        }
    }
    Err(reason.unwrap_or(Unacceptable::MediaType))
}

fn meet<'a>(media: &'a Media, local: &LocalMedia) -> Result<ChosenAudio<'a>, Unacceptable> {
    let srtp = match (formats::protection(media), &local.srtp) {
        (Some(Protection::None), Some(srtp)) if srtp.required => {
            return Err(Unacceptable::InTheClear);
        }
        (Some(Protection::None), _) => None,
        (Some(Protection::Srtp), Some(srtp)) => {
            Some(srtp.choose(media).ok_or(Unacceptable::Transport)?)
        }
        (Some(Protection::Srtp), None) | (None, _) => return Err(Unacceptable::Transport),
    };
    let offered = formats::formats(media);
    let (payload_type, kind) = local
        .codecs
        .iter()
        .find_map(|wanted| {
            offered
                .iter()
                .find(|(_, format)| *format == Format::Audio(*wanted))
                .map(|(payload_type, _)| (*payload_type, *wanted))
        })
        .ok_or(Unacceptable::MediaFormat)?;
    let telephone_event = if local.telephone_event.is_some() {
        formats::telephone_event_beside(kind, &offered)
    } else {
        None
    };
    Ok(ChosenAudio {
        media,
        srtp,
        kind,
        payload_type,
        telephone_event,
    })
}
