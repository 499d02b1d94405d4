//! Answering their offer (RFC 3264 section 6).

use sdp_types::Media;

use super::formats::{self, Format};
use super::writing::{self, AudioSection};
use super::{LocalMedia, Negotiated, SessionDescription, Unacceptable};
use crate::codec::{Codec, CodecKind, PayloadType};
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
    let ours = AudioSection {
        local,
        protocol: &audio.media.proto,
        formats: &accepted,
        ptime_ms: codec.ptime_ms,
        direction,
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
        direction,
        body,
    })
}

struct ChosenAudio<'a> {
    media: &'a Media,
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
    if !formats::is_plain_rtp(media) {
        return Err(Unacceptable::Transport);
    }
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
    let telephone_event = if local.telephone_event {
        formats::telephone_event_beside(kind, &offered)
    } else {
        None
    };
    Ok(ChosenAudio {
        media,
        kind,
        payload_type,
        telephone_event,
    })
}
